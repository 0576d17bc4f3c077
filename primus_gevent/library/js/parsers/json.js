// The `json` parser. A parser is an object with these two functions, which call back with (error, result).

function answerWith(convert, value, fn) {
  let result;
  try { result = convert(value); } catch (error) { return fn(error); }
  fn(null, result);
}

const parser = {
  encoder(data, fn) {
    answerWith(JSON.stringify, data, fn);
  },

  // A binary frame is nobody's JSON: it passes as it is, as in the original.
  decoder(packet, fn) {
    if (typeof packet === 'string') answerWith(JSON.parse, packet, fn);
    else fn(null, packet);
  }
};
