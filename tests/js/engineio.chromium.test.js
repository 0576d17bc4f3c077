'use strict';

// The clients of `engine.io` and `polling` in a real browser, against our server at another origin.
const assert = require('node:assert');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { test } = require('node:test');
const { served, visited, LIMIT_MS } = require('./support/chromium');
const { compile } = require('./support/library');
const { startPeer } = require('./support/peers');

const FILES = {
  '/': ['text/html', () => fs.readFileSync(path.join(__dirname, 'support', 'engineio.html'))],
  '/engine.io.js': ['text/javascript', () => compile({ transformer: 'engine.io' })],
  '/polling.mjs': ['text/javascript', () => compile({ transformer: 'polling', format: 'esm' })]
};

test('every way of a session, through an upgrade, a cut, being offline, and to its end', { timeout: LIMIT_MS }, async () => {
  const peer = await startPeer('own', { transformer: 'engine.io' });
  const pages = http.createServer();
  const report = served(pages, FILES);
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
  try {
    const page = `http://127.0.0.1:${pages.address().port}/?server=${encodeURIComponent(peer.url)}`;
    const { error, ...results } = await visited(page, report);
    const expected = {
      order: true,
      echo: true,
      id: true,
      cookie: 'of=ours', // ports are no part of a site: the cookies of the page belong to the server too
      last: 'bye',
      events: ['open', 'close', 'open', 'reconnected', 'offline', 'close', 'online', 'open', 'reconnected', 'close', 'end']
    };
    assert.deepStrictEqual(results, {
      upgrade: expected, 'websockets: false': expected, 'websocket only': expected, polling: expected
    });
    assert.strictEqual(error, 'TypeError');
  } finally {
    pages.closeAllConnections();
    await new Promise((resolve) => pages.close(resolve));
    await peer.stop();
  }
});
