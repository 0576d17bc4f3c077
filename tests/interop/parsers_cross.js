'use strict';

/**
 * The JavaScript side of test_parsers_cross.py: one JSON line in, one out, until the input ends.
 *
 * The first line holds the sources of our parsers, by name. Each other one is a message to decode, {parser, peer,
 * text} or {parser, peer, bytes} with the bytes in base64; the peer is `ours` or `original`, the npm package. The
 * answer is {value, text} or {value, bytes}: the value as JSON, and encoded again; or {error}.
 */
const Module = require('module');
const readline = require('readline');

// As the parsers of the original Primus call them.
const ORIGINALS = {
  json: () => [JSON.stringify, JSON.parse],
  ejson() {
    const EJSON = require('ejson');
    return [EJSON.stringify, EJSON.parse];
  },
  msgpack() {
    const msgpack = require('primus-msgpack');
    return [msgpack.encode, msgpack.decode];
  },
  binary() {
    const BinaryPack = require('binary-pack');
    return [BinaryPack.pack, BinaryPack.unpack];
  },
  jsonh() {
    const JSONH = require('jsonh');
    return [JSONH.stringify, JSONH.parse];
  }
};

const peers = { ours: {}, original: {} };

function load(name, source) {
  const module = new Module(name);
  module._compile(`${source}\nmodule.exports = parser;`, `${name}.js`);
  const call = (fn) => (value) => {
    let answer;
    fn(value, (error, result) => {
      if (error) throw error;
      answer = result;
    });
    return answer;
  };
  return [call(module.exports.encoder), call(module.exports.decoder)];
}

/** What JSON cannot carry, named: the tests compare texts. */
function plain(key, value) {
  if (typeof value === 'number' && !isFinite(value)) return { $number: String(value) };
  const raw = this[key];
  if (raw instanceof Date) return { $date: raw.getTime() };
  if (raw instanceof RegExp) return { $regexp: [raw.source, raw.flags] };
  if (raw instanceof Uint8Array) return { $bytes: Buffer.from(raw).toString('hex') };
  return value;
}

function answer({ parser, peer, text, bytes }) {
  const parsers = peers[peer];
  if (!parsers[parser]) parsers[parser] = ORIGINALS[parser]();
  const [encode, decode] = parsers[parser];
  const value = decode(text === undefined ? Buffer.from(bytes, 'base64') : text);
  const packet = encode(value);
  const shown = JSON.stringify(value, plain);
  return typeof packet === 'string'
    ? { value: shown, text: packet }
    : { value: shown, bytes: Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength).toString('base64') };
}

let ready = false;

readline.createInterface({ input: process.stdin, terminal: false }).on('line', (line) => {
  const request = JSON.parse(line);
  if (!ready) {
    for (const name of Object.keys(request)) peers.ours[name] = load(name, request[name]);
    ready = true;
    return;
  }
  let reply;
  try {
    reply = answer(request);
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
});
