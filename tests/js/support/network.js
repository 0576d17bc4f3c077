'use strict';

// A page whose requests the test answers, at once or piece by piece. Nothing here waits.
const assert = require('node:assert');
const { page } = require('./browser');

const RAW = `{ encoder: function (data, fn) { fn(null, data); }, decoder: function (raw, fn) { fn(null, raw); } }`;

/** When everything that was caused so far has happened. */
const turn = () => new Promise(setImmediate);

/** What fetch resolves with while the body is still to come. */
class Stream {
  constructor() {
    this.status = 200;
    this.body = { getReader: () => this };
    this.pieces = [];
    this.waiting = null;
  }

  read() {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.next();
    });
  }

  push(...piece) {
    this.pieces.push(piece);
    this.next();
  }

  next() {
    if (!this.waiting || !this.pieces.length) return;
    const { resolve, reject } = this.waiting;
    this.waiting = null;
    const [bytes, error] = this.pieces.shift();
    if (error) reject(error);
    else resolve({ done: !bytes, value: bytes || undefined });
  }
}

/** `page()` with requests: those made, in `requests`, and how many are open. */
function network({ globals, ...settings } = {}) {
  const requests = [];
  const fetch = (url, init) => new Promise((resolve, reject) => {
    const request = { url, path: new URL(url).pathname, query: new URL(url).searchParams, ...init, open: true };
    let stream = null;
    const over = (settle) => (...args) => {
      assert.ok(request.open, 'answered twice');
      request.open = false;
      settle(...args);
      return turn();
    };
    request.answer = over((body = 'ok', status = 200) => resolve({ status, text: () => Promise.resolve(body) }));
    request.fail = over((message) => {
      const error = new TypeError(message);
      if (stream) stream.push(null, error);
      else reject(error);
    });
    /** A part of the answer: text or bytes. */
    request.piece = (content) => {
      assert.ok(request.open, 'a piece after the end');
      if (!stream) resolve(stream = new Stream());
      stream.push(Buffer.from(content));
      return turn();
    };
    request.end = over(() => stream.push(null));
    init.signal.addEventListener('abort', () => { if (request.open) request.fail('aborted'); });
    requests.push(request);
  });
  const world = page({
    parser_source: RAW,
    globals: { fetch, AbortController, TextEncoder, TextDecoder, URLSearchParams, crypto, atob, btoa, Promise, ...globals }, ...settings
  });
  world.requests = requests;
  world.open = (method) => requests.filter((request) => request.open && (!method || request.method === method));
  /** The only one that is open. */
  world.the = (method) => {
    const open = world.open(method);
    assert.strictEqual(open.length, 1, `${open.length} ${method || 'requests'} are open`);
    return open[0];
  };
  return world;
}

module.exports = { RAW, network, turn };
