'use strict';

// The clients of `sockjs`, `browserchannel` and `socket.io` in a real browser, against our servers at other origins.
const assert = require('node:assert');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { test } = require('node:test');
const { served, visited, LIMIT_MS } = require('./support/chromium');
const { compile } = require('./support/library');
const { startPeer } = require('./support/peers');

const NAMES = ['sockjs', 'browserchannel', 'socket.io'];

const files = { '/': ['text/html', () => fs.readFileSync(path.join(__dirname, 'support', 'transports.html'))] };
for (const transformer of NAMES) files[`/${transformer}.mjs`] = ['text/javascript', () => compile({ transformer, format: 'esm' })];

test('every transport, through a cut, being offline, and to its end', { timeout: LIMIT_MS }, async () => {
  const peers = await Promise.all(NAMES.map((transformer) => startPeer('own', { transformer })));
  const servers = Object.fromEntries(NAMES.map((transformer, i) => [transformer, peers[i].url]));
  const pages = http.createServer();
  const report = served(pages, files);
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
  try {
    const page = `http://127.0.0.1:${pages.address().port}/?servers=${encodeURIComponent(JSON.stringify(servers))}`;
    const results = await visited(page, report);
    const expected = (transport) => ({
      order: true,
      transport,
      echo: true,
      id: true,
      cookie: 'of=ours', // ports are no part of a site: the cookies of the page belong to the server too
      last: 'bye',
      events: ['open', 'close', 'open', 'reconnected', 'offline', 'close', 'online', 'open', 'reconnected', 'close', 'end']
    });
    const ways = ['websocket', 'xhr-streaming', 'xhr-polling', 'streaming', 'long-polling', 'socket.io websocket', 'socket.io xhr-polling'];
    assert.deepStrictEqual(results, Object.fromEntries(ways.map((way) => [way, expected(way.split(' ').pop())])));
  } finally {
    pages.closeAllConnections();
    await new Promise((resolve) => pages.close(resolve));
    await Promise.all(peers.map((peer) => peer.stop()));
  }
});
