'use strict';

// The clients that use HTTP in a real browser, against our servers at other origins.
const assert = require('node:assert');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { test } = require('node:test');
const { served, visited, LIMIT_MS } = require('./support/chromium');
const { compile } = require('./support/library');
const { startPeer } = require('./support/peers');

// Those of the servers.
const NAMES = ['engine.io', 'sockjs', 'browserchannel', 'socket.io'];

const files = {
  '/': ['text/html', () => fs.readFileSync(path.join(__dirname, 'support', 'transports.html'))],
  '/engine.io.js': ['text/javascript', () => compile({ transformer: 'engine.io' })]
};
for (const transformer of ['polling', ...NAMES]) files[`/${transformer}.mjs`] = ['text/javascript', () => compile({ transformer, format: 'esm' })];

// How a way's connection is carried in the end, where that is not its name.
const CARRIED = {
  upgrade: 'websocket', 'websockets: false': 'polling', 'websocket only': 'websocket',
  'socket.io websocket': 'websocket', 'socket.io xhr-polling': 'xhr-polling'
};

test('every transport, through an upgrade, a cut, being offline, and to its end', { timeout: LIMIT_MS }, async () => {
  const peers = await Promise.all(NAMES.map((transformer) => startPeer('own', { transformer })));
  const servers = Object.fromEntries(NAMES.map((transformer, i) => [transformer, peers[i].url]));
  const pages = http.createServer();
  const report = served(pages, files);
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
  try {
    const page = `http://127.0.0.1:${pages.address().port}/?servers=${encodeURIComponent(JSON.stringify(servers))}`;
    const { error, ...results } = await visited(page, report);
    assert.deepStrictEqual(Object.keys(results), ['upgrade', 'websockets: false', 'websocket only', 'polling',
      'websocket', 'xhr-streaming', 'xhr-polling', 'streaming', 'long-polling', 'socket.io websocket', 'socket.io xhr-polling']);
    for (const [way, result] of Object.entries(results)) {
      assert.deepStrictEqual(result, {
        order: true,
        transport: CARRIED[way] || way,
        echo: true,
        id: true,
        cookie: 'of=ours', // ports are no part of a site: the cookies of the page belong to the server too
        last: 'bye',
        events: ['open', 'close', 'open', 'reconnected', 'offline', 'close', 'online', 'open', 'reconnected', 'close', 'end']
      }, way);
    }
    assert.strictEqual(error, 'TypeError');
  } finally {
    pages.closeAllConnections();
    await new Promise((resolve) => pages.close(resolve));
    await Promise.all(peers.map((peer) => peer.stop()));
  }
});
