'use strict';

// The browser's own online and offline events.
const assert = require('node:assert');
const { test } = require('node:test');
const { page, visible } = require('./support/browser');

test('offline closes, online reconnects', () => {
  const world = page({ onLine: true });
  const { client, events } = world.connected();
  world.network('offline');
  assert.deepStrictEqual(visible(events), ['offline', 'readyStateChange end', 'close']);
  assert.strictEqual(client.online, false);
  assert.ok(world.sockets[0].closed);

  events.length = 0;
  world.network('offline');
  world.clock.advance(600000);
  assert.deepStrictEqual(events, [], 'no attempts while there is no network');

  world.network('online');
  assert.deepStrictEqual(visible(events), ['online', 'reconnecting', 'reconnect scheduled']);
  world.clock.advance(500);
  world.socket.accept();
  assert.deepStrictEqual(visible(events).slice(3), [
    'reconnect', 'readyStateChange opening', 'readyStateChange open', 'open', 'reconnected'
  ]);
  events.length = 0;
  world.network('online');
  assert.deepStrictEqual(events, []);
});

test('without the strategy online, offline is the end', () => {
  const world = page({ onLine: true });
  const { events } = world.connected({ strategy: 'disconnect, timeout' });
  world.network('offline');
  world.network('online');
  world.clock.advance(600000);
  assert.deepStrictEqual(visible(events), ['offline', 'readyStateChange end', 'close', 'end', 'online']);
  assert.strictEqual(world.sockets.length, 1);
});

test('offline while waiting to reconnect: a fresh start once online', () => {
  const world = page({ onLine: true, random: 0 });
  const { client, events } = world.connected();
  const attempts = [];
  client.on('reconnecting', (opts) => attempts.push(opts.attempt));
  world.socket.drop();
  world.clock.advance(500);
  world.socket.drop({ message: 'failed' });
  events.length = 0;
  world.network('offline');
  world.clock.advance(600000);
  assert.deepStrictEqual(visible(events), ['offline']);
  world.network('online');
  assert.deepStrictEqual(attempts, [1, 2, 1]);
});

test('offline while opening', () => {
  const world = page({ onLine: true });
  const { client, events } = world.client();
  events.length = 0;
  world.network('offline');
  assert.deepStrictEqual(visible(events), ['offline', 'readyStateChange end', 'close']);
  world.clock.advance(600000);
  assert.deepStrictEqual(visible(events).length, 3, 'the time limit for connecting does not run');
  world.network('online');
  world.clock.advance(500);
  world.socket.accept();
  assert.strictEqual(client.readyState, world.Primus.OPEN);
});

test('offline before the first attempt', () => {
  const world = page({ onLine: true });
  const client = new world.Primus('http://h');
  world.network('offline');
  world.clock.advance(600000);
  assert.strictEqual(world.sockets.length, 0);
  world.network('online');
  world.clock.advance(500);
  world.socket.accept();
  assert.strictEqual(client.readyState, world.Primus.OPEN);
});

test('open() while offline is not disturbed by online', () => {
  const world = page({ onLine: true });
  const { client, events } = world.connected();
  world.network('offline');
  client.open();
  events.length = 0;
  world.network('online');
  assert.deepStrictEqual(visible(events), ['online']);
  world.socket.accept();
  world.clock.advance(9000);
  assert.strictEqual(world.sockets.length, 2);
});

test('online while already reconnecting changes nothing', () => {
  const world = page({ onLine: true });
  const { events } = world.connected();
  world.network('offline');
  world.network('online');
  world.clock.advance(500);
  world.socket.accept();
  world.clock.advance(35000);
  assert.strictEqual(events.filter((event) => event === 'offline').length, 2, 'the heartbeat found out');
  events.length = 0;
  world.network('online');
  assert.deepStrictEqual(visible(events), ['online']);
});

test('end() while offline, and online does not bring it back', () => {
  const world = page({ onLine: true });
  const { client, events } = world.connected();
  world.network('offline');
  events.length = 0;
  client.end();
  world.network('online');
  world.clock.advance(600000);
  assert.deepStrictEqual(visible(events), ['end', 'online']);
  assert.strictEqual(world.sockets.length, 1);
});

test('after end() by the user online does not bring it back', () => {
  const world = page({ onLine: true });
  const { client } = world.connected();
  client.end();
  world.network('offline');
  world.network('online');
  world.clock.advance(600000);
  assert.strictEqual(world.sockets.length, 1);
});

test('a page that starts offline tries nevertheless, and says online when that works', () => {
  const world = page({ onLine: false });
  const { client, events } = world.client();
  assert.strictEqual(client.online, false);
  world.socket.accept();
  assert.deepStrictEqual(visible(events).slice(1), ['online', 'readyStateChange open', 'open']);
});

test('network: false does not listen', () => {
  const world = page({ onLine: true });
  const { client, events } = world.connected({ network: false });
  assert.strictEqual(client.NETWORK_EVENTS, false);
  world.network('offline');
  assert.deepStrictEqual(events, []);
  assert.strictEqual(world.listeners.offline.size, 0);
});

test('detected: a page without these events has none', () => {
  assert.strictEqual(page().connected().client.NETWORK_EVENTS, false);
  assert.strictEqual(page({ onLine: true }).connected().client.NETWORK_EVENTS, true);
});
