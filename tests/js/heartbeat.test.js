'use strict';

// Heartbeats in both directions.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { page, visible } = require('./support/browser');

const START = 1400000000000;

/** Connected; `sent` is what went over the wire since. */
function connected(options, settings = {}) {
  const world = page(settings);
  const made = world.connected(options);
  return { world, ...made, sent: world.socket.sent, socket: world.socket };
}

const now = (world) => world.clock.now;

describe('our pings', () => {
  test('every 25 s, answered within 10 s', () => {
    const { world, events, sent, socket, client } = connected();
    for (let n = 1; n <= 3; n++) {
      events.length = 0;
      world.clock.advance(25000);
      const asked = now(world);
      assert.strictEqual(sent.length, n);
      assert.strictEqual(sent[n - 1], `"primus::ping::${asked}"`);
      assert.deepStrictEqual(events, [`outgoing::data "primus::ping::${asked}"`, `outgoing::ping ${asked}`]);
      events.length = 0;
      world.clock.advance(40);
      socket.message(`"primus::pong::${asked}"`);
      assert.deepStrictEqual(events, [`incoming::data "primus::pong::${asked}"`, `incoming::pong ${asked}`]);
      assert.strictEqual(client.latency, 40);
    }
  });

  test('no answer: offline, and the reconnect process', () => {
    const { world, client, events, socket } = connected();
    world.clock.advance(25000);
    events.length = 0;
    world.clock.advance(9999);
    assert.deepStrictEqual(events, []);
    world.clock.advance(1);
    assert.deepStrictEqual(visible(events), [
      'offline', 'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled'
    ]);
    assert.strictEqual(client.online, false);
    assert.ok(socket.closed, 'the dead socket is not kept');

    events.length = 0;
    socket.onmessage({ data: '"late"' });
    assert.deepStrictEqual(events, []);
    world.clock.advance(500);
    events.length = 0;
    world.socket.accept();
    assert.deepStrictEqual(visible(events), ['online', 'readyStateChange open', 'open', 'reconnected']);
    assert.strictEqual(client.online, true);
  });

  test('no answer after the close message is the end', () => {
    const { world, events, socket } = connected();
    socket.message('"primus::server::close"');
    events.length = 0;
    world.clock.advance(35000);
    assert.deepStrictEqual(visible(events), ['offline', 'readyStateChange end', 'close', 'end']);
  });

  test('end() in an offline listener', () => {
    const { world, client, events } = connected();
    client.on('offline', () => client.end());
    world.clock.advance(600000);
    assert.deepStrictEqual(visible(events), ['offline', 'readyStateChange end', 'close', 'end']);
  });

  test('traffic does not postpone them: the server counts on them', () => {
    const { world, sent, socket } = connected();
    world.clock.advance(20000);
    socket.message('"hello"');
    world.clock.advance(5000);
    assert.deepStrictEqual(sent, [`"primus::ping::${now(world)}"`]);
  });

  test('options', () => {
    const { world, sent, events } = connected({ ping: 1000, pong: '2s' });
    world.clock.advance(1000);
    assert.strictEqual(sent.length, 1);
    world.clock.advance(1999);
    assert.ok(!events.includes('offline'));
    world.clock.advance(1);
    assert.ok(events.includes('offline'));
  });

  for (const ping of [false, 0]) {
    test(`ping: ${ping} sends none`, () => {
      const { world, sent, events } = connected({ ping });
      world.clock.advance(6000000);
      assert.deepStrictEqual([sent, events], [[], []]);
    });
  }

  test('the interval follows from the timeout of the server', () => {
    const pings = (timeout) => new (page({ timeout }).Primus)({ manual: true }).options.ping;
    assert.strictEqual(pings(35), 25000);
    assert.strictEqual(pings(60.5), 50500);
    assert.strictEqual(pings(4), 2000);
    assert.strictEqual(pings(null), false);
    assert.strictEqual(pings(false), false);
  });

  test('a pong that is no number leaves the latency alone', () => {
    const { client, socket } = connected();
    const before = client.latency;
    socket.message('"primus::pong::x"');
    assert.strictEqual(client.latency, before);
  });

  test('end() stops them', () => {
    const { world, client, sent } = connected();
    client.end();
    world.clock.advance(600000);
    assert.deepStrictEqual(sent, []);
    assert.strictEqual(world.clock.timers.size, 0);
  });
});

describe('pings of the server', () => {
  test('are answered with the same text', () => {
    const { events, sent, socket } = connected();
    socket.message('"primus::ping::1400000000123"');
    assert.deepStrictEqual(sent, ['"primus::pong::1400000000123"']);
    assert.deepStrictEqual(events.slice(1), [
      'incoming::ping 1400000000123', 'outgoing::data "primus::pong::1400000000123"', 'outgoing::pong 1400000000123'
    ]);
    socket.message('"primus::ping:x"');
    assert.strictEqual(sent[1], '"primus::pong::"');
    socket.message('"primus::ping::not a number"');
    assert.strictEqual(sent[2], '"primus::pong::not a number"');
  });

  test('the first one stops ours, and is expected again from then on', () => {
    const { world, events, sent, socket } = connected();
    world.clock.advance(25000);
    assert.strictEqual(sent.length, 1, 'ours');
    world.clock.advance(5000);
    socket.message('"primus::ping::1"');
    world.clock.advance(30000);
    socket.message('"primus::ping::2"');
    world.clock.advance(44999);
    assert.deepStrictEqual(sent.slice(1), ['"primus::pong::1"', '"primus::pong::2"']);
    assert.ok(!events.includes('offline'));
    events.length = 0;
    world.clock.advance(1);
    assert.deepStrictEqual(visible(events).slice(0, 3), ['offline', 'readyStateChange end', 'close']);
  });

  test('a late pong does not bring ours back', () => {
    const { world, sent, socket } = connected();
    world.clock.advance(25000);
    socket.message('"primus::ping::1"');
    socket.message(`"primus::pong::${START}"`);
    world.clock.advance(40000);
    assert.strictEqual(sent.length, 2);
  });

  for (const event of ['incoming::ping', 'outgoing::pong']) {
    test(`end() in a listener of ${event}`, () => {
      const { world, client, events, socket } = connected();
      client.on(event, () => client.end());
      socket.message('"primus::ping::1"');
      world.clock.advance(600000);
      assert.ok(events.includes('end'));
      assert.strictEqual(world.clock.timers.size, 0);
      assert.strictEqual(client.buffer.length, 0, 'no pong waits for the next connection');
    });
  }

  test('another server may answer after a reconnect', () => {
    const { world, socket } = connected();
    socket.message('"primus::ping::1"');
    socket.drop();
    world.clock.advance(500);
    world.socket.accept();
    world.clock.advance(25000);
    assert.deepStrictEqual(world.socket.sent, [`"primus::ping::${now(world)}"`]);
  });

  test('pingTimeout without ping expects them from the start', () => {
    const { world, events, sent } = connected({ pingTimeout: 45000 });
    world.clock.advance(44999);
    assert.deepStrictEqual([sent, events], [[], []]);
    world.clock.advance(1);
    assert.ok(events.includes('offline'));
  });

  test('pingTimeout with ping waits for the first', () => {
    const { world, sent, events } = connected({ ping: 20000, pingTimeout: 1000 });
    world.clock.advance(20000);
    assert.strictEqual(sent.length, 1);
    world.socket.message('"primus::ping::1"');
    world.clock.advance(1000);
    assert.ok(events.includes('offline'));
  });

  test('pingTimeout: false watches nothing', () => {
    const { world, events, socket } = connected({ pingTimeout: false });
    socket.message('"primus::ping::1"');
    world.clock.advance(6000000);
    assert.ok(!events.includes('offline'));
  });

  test('the time to wait follows from the interval of the server', () => {
    const waits = (interval) => new (page({ ping_interval: interval }).Primus)({ manual: true }).options.pingTimeout;
    assert.strictEqual(waits(30), 45000);
    assert.strictEqual(waits(2.5), 3750);
    assert.strictEqual(waits(null), 45000);
  });
});
