// The `json` parser. A parser is an object with these two functions, which call back with (error, result).

const parser = {
  encoder(data, fn) {
    let packet;
    try { packet = JSON.stringify(data); } catch (error) { return fn(error); }
    fn(null, packet);
  },

  // A binary frame is nobody's JSON: it passes as it is, as in the original.
  decoder(packet, fn) {
    let data = packet;
    try { if (typeof packet === 'string') data = JSON.parse(packet); } catch (error) { return fn(error); }
    fn(null, data);
  }
};
