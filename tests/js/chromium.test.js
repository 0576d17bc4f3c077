'use strict';

// The client in a real browser, against the original server.
const assert = require('node:assert');
const fs = require('fs');
const path = require('path');
const { test } = require('node:test');
const { served, visited, LIMIT_MS } = require('./support/chromium');
const { compile } = require('./support/library');
const { start } = require('./support/servers');

const FILES = {
  '/': ['text/html', () => fs.readFileSync(path.join(__dirname, 'support', 'page.html'))],
  '/library.js': ['text/javascript', () => compile()],
  '/library.mjs': ['text/javascript', () => compile({ format: 'esm' })]
};
for (const parser of ['ejson', 'msgpack', 'binary']) {
  FILES[`/library.mjs?parser=${parser}`] = ['text/javascript', () => compile({ format: 'esm', parser })];
}

test('connects, reconnects and ends as in Node', { timeout: LIMIT_MS }, async () => {
  const { primus, server, sockets, url, stop } = await start(8);
  primus.on('connection', (spark) => spark.on('data', (data) => {
    if (data === 'cut me') for (const socket of sockets) socket.destroy();
    else if (data === 'end me') spark.end();
    else spark.write(data);
  }));
  // Primus needs only the upgrades here, and would answer the page's requests before we do.
  server.removeAllListeners('request');
  const report = served(server, FILES);
  try {
    const { id, ...results } = await visited(url, report);
    assert.deepStrictEqual(results, {
      module: true,
      early: 'early',
      origin: true,
      socket: true,
      network: true,
      echo: true,
      events: ['open', 'close', 'reconnecting', 'reconnect', 'open', 'reconnected', 'offline', 'close', 'online',
        'reconnecting', 'reconnect', 'open', 'reconnected', 'close', 'end'],
      error: 'The connection failed',
      parsers: {
        ejson: ['String', true, 'Uint8Array', [1, 255], 2 ** 40, 'NaN'],
        msgpack: ['Uint8Array', true, 'Uint8Array', [1, 255], 2 ** 40, 'NaN'],
        binary: ['Uint8Array', true, 'Uint8Array', [1, 255], 2 ** 40, 'NaN']
      },
      done: true
    });
    assert.match(id, /^[\w-]{21}$/);
  } finally {
    await stop();
  }
});
