// The `json` parser. A parser is an object with these two functions, which call back with (error, result).

const parser = {
  encoder(data, fn) {
    let packet;
    try { packet = JSON.stringify(data); } catch (error) { return fn(error); }
    fn(null, packet);
  },

  decoder(packet, fn) {
    let data;
    try { data = JSON.parse(packet); } catch (error) { return fn(error); }
    fn(null, data);
  }
};
