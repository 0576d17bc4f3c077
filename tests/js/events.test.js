'use strict';

// The order and the arguments of the events, row by row of what the original was seen to do (2.4.12). Clock,
// network and server belong to the test.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { page, record, visible } = require('./support/browser');

const OPENING = ['outgoing::open', 'readyStateChange opening', 'outgoing::end', 'outgoing::url'];
const FAST = { reconnect: { minDelay: 20, maxDelay: 100, retries: 2 } };
const GIVE_UP = 'connection failed';

describe('starting', () => {
  test('nothing happens before the caller could attach listeners', () => {
    const world = page();
    const client = new world.Primus('http://server.example');
    assert.strictEqual(world.sockets.length, 0);
    assert.strictEqual(client.readyState, world.Primus.CLOSED);
    world.clock.advance(1);
    assert.strictEqual(world.sockets.length, 1);
    assert.strictEqual(client.readyState, world.Primus.OPENING);
  });

  test('opening', () => {
    const world = page();
    const { events } = world.client();
    assert.deepStrictEqual(events, OPENING);
  });

  test('opened, and what was written before', () => {
    const world = page();
    const { client, events } = world.client();
    client.write({ a: 1 });
    client.write('two');
    events.length = 0;
    world.socket.accept();
    assert.deepStrictEqual(events, [
      'incoming::open', 'readyStateChange open', 'open', 'outgoing::data {"a":1}', 'outgoing::data "two"'
    ]);
    assert.deepStrictEqual(world.socket.sent, ['{"a":1}', '"two"']);
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });

  test('what an open listener writes comes after what was written before it', () => {
    const world = page();
    const { client } = world.client({ queueSize: 1 });
    client.write('queued');
    client.on('open', () => client.write('in open'));
    world.socket.accept();
    assert.deepStrictEqual(world.socket.sent, ['"queued"', '"in open"']);
  });

  test('manual waits for open()', () => {
    const world = page();
    const { client, events } = world.client({ manual: true });
    world.clock.advance(60000);
    assert.deepStrictEqual(events, []);
    client.open();
    assert.deepStrictEqual(events, OPENING);
  });

  test('end() right after the constructor opens nothing', () => {
    const world = page();
    const client = new world.Primus('http://server.example');
    const events = record(client);
    client.end();
    world.clock.advance(60000);
    assert.deepStrictEqual(events, ['end']);
    assert.strictEqual(world.sockets.length, 0);
    assert.deepStrictEqual([client.writable, client.readable], [false, false]);
  });

  test('before anything happened', () => {
    const { Primus } = page();
    const { readyState, socket, latency, online, writable, readable } = new Primus({ manual: true });
    assert.deepStrictEqual(
      { readyState, socket, latency, online, writable, readable },
      { readyState: Primus.CLOSED, socket: null, latency: 0, online: true, writable: true, readable: true }
    );
  });

  test('end() as soon as it is opening', () => {
    const world = page();
    const { client, events } = world.client({ manual: true });
    client.once('readyStateChange', () => client.end());
    client.open();
    assert.ok(events.includes('end'));
    assert.strictEqual(world.sockets.length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('open() while opening starts again', () => {
    const world = page();
    const { client, events } = world.client();
    client.open();
    assert.deepStrictEqual(visible(events), ['readyStateChange opening']);
    assert.ok(world.sockets[0].closed);
    world.socket.accept();
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });

  test('open() while open stops the heartbeat of the old connection', () => {
    const world = page();
    const { client } = world.connected({ timeout: false });
    client.open();
    world.clock.advance(60000);
    assert.strictEqual(client.buffer.length, 0);
  });

  test('latency is how long opening took', () => {
    const world = page();
    const { client } = world.client();
    world.clock.advance(120);
    world.socket.accept();
    assert.strictEqual(client.latency, 120);
  });

  test('open() while open drops the old connection', () => {
    const world = page();
    const { client, events } = world.connected();
    const [old] = world.sockets;
    client.open();
    assert.ok(old.closed);
    assert.deepStrictEqual(events, OPENING);
    old.onclose({});
    old.onmessage({ data: '"late"' });
    assert.deepStrictEqual(events, OPENING);
    world.socket.accept();
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });
});

describe('ending', () => {
  test('the server ends with a last message', () => {
    const world = page();
    const { client, events } = world.connected();
    world.socket.message('"bye"');
    world.socket.message('"primus::server::close"');
    world.socket.drop();
    assert.deepStrictEqual(events, [
      'incoming::data "bye"', 'data bye', 'incoming::data "primus::server::close"',
      'incoming::end', 'readyStateChange end', 'outgoing::end', 'close', 'end'
    ]);
    assert.strictEqual(client.readyState, world.Primus.CLOSED);
    world.clock.advance(600000);
    assert.strictEqual(world.sockets.length, 1);
  });

  test('the close message alone ends nothing', () => {
    const world = page();
    const { events } = world.connected();
    world.socket.message('"primus::server::close"');
    assert.deepStrictEqual(visible(events), []);
  });

  test('client.end(data)', () => {
    const world = page();
    const { client, events } = world.connected();
    const { socket } = world;
    assert.strictEqual(client.end('last'), client);
    assert.deepStrictEqual(events, ['outgoing::data "last"', 'readyStateChange end', 'outgoing::end', 'close', 'end']);
    assert.deepStrictEqual(socket.sent, ['"last"']);
    assert.ok(socket.closed);
    assert.strictEqual(client.socket, null);
    assert.strictEqual(client.writable, false);
    socket.drop();
    client.end();
    world.clock.advance(600000);
    assert.strictEqual(events.length, 5, 'and nothing after it');
  });

  test('a falsy last message is a message', () => {
    const world = page();
    const { client } = world.connected();
    client.end(0);
    assert.deepStrictEqual(world.socket.sent, ['0']);
  });

  test('client.end() while the first connection is opening', () => {
    const world = page();
    const { client, events } = world.client();
    events.length = 0;
    client.end();
    assert.deepStrictEqual(events, ['readyStateChange end', 'outgoing::end', 'close', 'end']);
    world.socket.accept();
    assert.strictEqual(client.readyState, world.Primus.CLOSED);
    world.clock.advance(600000);
    assert.strictEqual(events.length, 4);
  });

  test('client.end() while waiting to reconnect', () => {
    const world = page();
    const { client, events } = world.connected();
    world.socket.drop();
    events.length = 0;
    client.end();
    world.clock.advance(600000);
    assert.deepStrictEqual(events, ['end']);
    assert.strictEqual(world.sockets.length, 1);
  });

  test('client.end() during a reconnect attempt', () => {
    const world = page();
    const { client, events } = world.connected(FAST);
    world.socket.drop();
    world.clock.advance(20);
    events.length = 0;
    client.end();
    world.socket.accept();
    world.clock.advance(600000);
    assert.deepStrictEqual(events, ['readyStateChange end', 'outgoing::end', 'close', 'end']);
  });

  test('end() in a close listener stays the end', () => {
    const world = page();
    const { client, events } = world.connected();
    client.on('close', () => client.end());
    world.socket.drop();
    world.clock.advance(600000);
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'end']);
  });

  test('the close message of one connection does not count for the next', () => {
    const world = page();
    const { client, events } = world.connected();
    world.socket.message('"primus::server::close"');
    client.open();
    world.socket.drop();
    assert.ok(!events.includes('end'));
    world.clock.advance(500);
    world.socket.accept();
    world.socket.drop();
    assert.strictEqual(events.filter((event) => event === 'reconnecting').length, 2);
  });

  test('writable and readable', () => {
    const world = page();
    const { client } = world.connected(FAST);
    const states = () => [client.writable, client.readable];
    assert.deepStrictEqual(states(), [true, true]);
    world.socket.drop();
    assert.deepStrictEqual(states(), [false, false]);
    world.clock.advance(20);
    world.socket.accept();
    assert.deepStrictEqual(states(), [true, true]);
    client.end();
    assert.deepStrictEqual(states(), [false, false]);
  });

  test('open() after end', () => {
    const world = page();
    const { client, events } = world.connected();
    client.end();
    events.length = 0;
    client.write('kept for the next connection');
    client.open();
    world.socket.accept();
    assert.deepStrictEqual(visible(events), ['readyStateChange opening', 'readyStateChange open', 'open']);
    assert.deepStrictEqual(world.socket.sent, ['"kept for the next connection"']);
  });

  for (const event of ['readyStateChange', 'open', 'online']) {
    test(`end() in a listener of ${event} while opening`, () => {
      const world = page({ onLine: event !== 'online' });
      const { client, events } = world.client();
      client.once(event, () => client.end());
      events.length = 0;
      world.socket.accept();
      world.clock.advance(600000);
      assert.strictEqual(client.readyState, world.Primus.CLOSED);
      assert.strictEqual(events[events.length - 1], 'end');
      assert.deepStrictEqual(world.socket.sent, []);
      assert.strictEqual(world.sockets.length, 1);
    });
  }

  test('end() in a listener of outgoing::url leaves no socket open', () => {
    const world = page();
    const { client, events } = world.client({ manual: true });
    client.on('outgoing::url', () => client.end());
    client.open();
    assert.ok(world.sockets.every((socket) => socket.closed));
    assert.strictEqual(events[events.length - 1], 'end');
  });

  test('destroy', () => {
    const world = page({ onLine: true });
    const { client, events } = world.connected();
    client.on('custom', () => {});
    client.on('end', () => client.write('too late'));
    assert.strictEqual(world.listeners.offline.size, 1);
    assert.strictEqual(client.destroy(), true);
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'end', 'destroy']);
    assert.strictEqual(client.listeners('custom').length, 0);
    assert.strictEqual(client.buffer.length, 0);
    assert.strictEqual(world.listeners.offline.size + world.listeners.online.size, 0);
    assert.strictEqual(client.destroy(), false);
    assert.strictEqual(client.open(), client);
    assert.strictEqual(world.sockets.length, 1);
    assert.strictEqual(world.clock.timers.size, 0);
  });
});

describe('losing the connection', () => {
  test('reconnects', () => {
    const world = page();
    const { events } = world.connected(FAST);
    world.socket.drop();
    assert.deepStrictEqual(events, [
      'incoming::end', 'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled'
    ]);
    events.length = 0;
    world.clock.advance(20);
    assert.deepStrictEqual(events, ['reconnect', 'outgoing::reconnect', ...OPENING]);
    events.length = 0;
    world.socket.accept();
    assert.deepStrictEqual(events, ['incoming::open', 'readyStateChange open', 'open', 'reconnected']);
  });

  test('what is written meanwhile arrives', () => {
    const world = page();
    const { client } = world.connected(FAST);
    world.socket.drop();
    assert.strictEqual(client.write('meanwhile'), true);
    world.clock.advance(20);
    world.socket.accept();
    assert.deepStrictEqual(world.socket.sent, ['"meanwhile"']);
  });

  test('one options object for all attempts of an outage, another for the next outage', () => {
    const world = page();
    const { client } = world.connected(FAST);
    const seen = [];
    for (const event of ['reconnecting', 'reconnect scheduled', 'reconnect', 'reconnected']) {
      client.on(event, (opts) => seen.push({ event, opts, attempt: opts.attempt, backoff: opts.backoff }));
    }
    world.socket.drop();
    world.clock.advance(20);
    world.socket.drop({ message: GIVE_UP });
    world.clock.advance(100);
    world.socket.accept();
    const rows = seen.map(({ event, attempt, backoff }) => [event, attempt, backoff]);
    assert.deepStrictEqual(rows, [
      ['reconnecting', 1, true], ['reconnect scheduled', 1, true], ['reconnect', 1, false],
      ['reconnecting', 2, true], ['reconnect scheduled', 2, true], ['reconnect', 2, false],
      ['reconnected', 2, false]
    ]);
    assert.strictEqual(new Set(seen.map(({ opts }) => opts)).size, 1);
    const [{ opts }] = seen;
    assert.strictEqual(opts.duration, world.clock.now - opts.start);

    world.socket.drop();
    assert.notStrictEqual(seen[seen.length - 1].opts, opts);
    assert.strictEqual(seen[seen.length - 1].attempt, 1);
  });

  for (const event of ['open', 'reconnected']) {
    test(`end() in a listener of ${event} after a reconnect`, () => {
      const world = page();
      const { client, events } = world.connected(FAST);
      client.on(event, () => client.end());
      world.socket.drop();
      world.clock.advance(20);
      world.socket.accept();
      assert.strictEqual(events[events.length - 1], 'end');
      assert.strictEqual(world.clock.timers.size, 0);
    });
  }

  test('an attempt that is closed without an error is followed by the next', () => {
    const world = page();
    const { events } = world.connected({ ...FAST, strategy: 'disconnect' });
    world.socket.drop();
    world.clock.advance(20);
    events.length = 0;
    world.socket.drop();
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'reconnecting', 'reconnect scheduled']);
  });

  test('without the strategy disconnect it is the end', () => {
    const world = page();
    const { client, events } = world.connected({ strategy: 'online, timeout' });
    world.socket.drop();
    world.clock.advance(600000);
    assert.deepStrictEqual(events, ['incoming::end', 'readyStateChange end', 'close', 'outgoing::end', 'end']);
    client.end();
    assert.strictEqual(events.length, 5, 'the end comes once');
  });

  test('an error of an open connection closes nothing', () => {
    const world = page();
    const { client, events } = world.connected();
    const errors = [];
    client.on('error', (error) => errors.push(error.message));
    world.socket.onerror({ message: 'odd' });
    assert.deepStrictEqual(events, ['incoming::error', 'error']);
    assert.deepStrictEqual(errors, ['odd']);
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });
});

describe('failing to connect', () => {
  test('with the strategy timeout', () => {
    const world = page();
    const { client, events } = world.client(FAST);
    client.on('error', () => {});
    events.length = 0;
    world.socket.drop({ message: GIVE_UP });
    assert.deepStrictEqual(events, [
      'incoming::error', 'error', 'reconnecting', 'reconnect scheduled', 'incoming::end', 'readyStateChange end'
    ]);
  });

  test('without it', () => {
    const world = page();
    const { client, events } = world.client({ strategy: 'disconnect,online' });
    client.on('error', () => {});
    events.length = 0;
    world.socket.drop({ message: GIVE_UP });
    world.clock.advance(600000);
    assert.deepStrictEqual(events, [
      'incoming::error', 'error', 'readyStateChange end', 'outgoing::end', 'close', 'end'
    ]);
  });

  test('has no time limit any more once it failed', () => {
    const world = page();
    const { events } = world.client({ reconnect: { minDelay: 60000 } });
    world.socket.drop({ message: GIVE_UP });
    world.clock.advance(59999);
    assert.ok(!events.includes('timeout'));
  });

  test('closed before it opened, without an error', () => {
    const world = page();
    const { events } = world.client(FAST);
    events.length = 0;
    world.socket.drop();
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'reconnecting', 'reconnect scheduled']);
  });

  test('an error without a listener is no exception', () => {
    const world = page();
    const { events } = world.client(FAST);
    world.socket.drop({ message: GIVE_UP });
    world.clock.advance(0);
    assert.ok(!events.includes('error'));
    assert.deepStrictEqual(world.clock.uncaught, []);
  });

  test('a constructor that throws is an error event', () => {
    const world = page();
    world.refuse = 'mixed content';
    const client = new world.Primus('http://server.example', { strategy: false });
    const events = record(client);
    const errors = [];
    client.on('error', (error) => errors.push(error.message));
    world.clock.advance(1);
    assert.deepStrictEqual(errors, ['mixed content']);
    assert.deepStrictEqual(visible(events), [
      'readyStateChange opening', 'error', 'readyStateChange end', 'close', 'end'
    ]);
  });

  test('a constructor that throws is tried again, and may work then', () => {
    const world = page();
    world.refuse = 'not yet';
    const { client } = world.client(FAST);
    assert.strictEqual(client.readyState, world.Primus.CLOSED);
    world.refuse = null;
    world.clock.advance(20);
    world.socket.accept();
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });

  test('no answer in time, with the strategy timeout', () => {
    const world = page();
    const { client, events } = world.client(FAST);
    events.length = 0;
    world.clock.advance(9998);
    assert.deepStrictEqual(events, []);
    world.clock.advance(2);
    assert.deepStrictEqual(visible(events), ['timeout', 'readyStateChange end', 'reconnecting', 'reconnect scheduled']);
    assert.ok(world.sockets[0].closed);
    world.sockets[0].accept();
    assert.strictEqual(client.readyState, world.Primus.CLOSED, 'a late answer is no connection');
  });

  test('no answer in time, without it', () => {
    const world = page();
    const { events } = world.client({ strategy: 'disconnect', timeout: 50 });
    events.length = 0;
    world.clock.advance(50);
    assert.deepStrictEqual(events, ['timeout', 'readyStateChange end', 'outgoing::end', 'close', 'end']);
  });

  test('end() in a timeout listener', () => {
    const world = page();
    const { client, events } = world.client({ timeout: 50 });
    client.on('timeout', () => client.end());
    events.length = 0;
    world.clock.advance(600000);
    assert.deepStrictEqual(visible(events), ['timeout', 'readyStateChange end', 'close', 'end']);
  });

  test('timeout: false waits for ever', () => {
    const world = page();
    const { events } = world.client({ timeout: false });
    events.length = 0;
    world.clock.advance(6000000);
    assert.deepStrictEqual(events, []);
  });

  test('an error during a reconnect attempt is none, only the next attempt', () => {
    const world = page();
    const { client, events } = world.connected(FAST);
    client.on('error', () => {});
    world.socket.drop();
    world.clock.advance(20);
    events.length = 0;
    world.socket.drop({ message: GIVE_UP });
    assert.deepStrictEqual(events, [
      'incoming::error', 'reconnecting', 'reconnect scheduled', 'incoming::end', 'readyStateChange end'
    ]);
  });

  test('retries used up', () => {
    const world = page();
    const { client, events } = world.connected(FAST);
    const failures = [];
    client.on('reconnect failed', (error, opts) => failures.push([error.message, opts.attempt, opts.retries, opts.duration]));
    world.socket.drop();
    world.clock.advance(20);
    world.socket.drop({ message: GIVE_UP });
    world.clock.advance(100);
    events.length = 0;
    world.socket.drop({ message: GIVE_UP });
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'end', 'reconnect failed']);
    assert.deepStrictEqual(failures, [['Unable to recover', 2, 2, 120]]);
    client.end();
    world.clock.advance(600000);
    assert.strictEqual(visible(events).length, 3);
    assert.strictEqual(world.sockets.length, 3);
  });

  test('an attempt that hangs', () => {
    const world = page();
    const { client, events } = world.connected({ reconnect: { minDelay: 20, 'reconnect timeout': '1 second' } });
    const expired = [];
    client.on('reconnect timeout', (error, opts) => expired.push([error.message, opts.attempt]));
    world.socket.drop();
    world.clock.advance(20);
    events.length = 0;
    world.clock.advance(1000);
    assert.deepStrictEqual(visible(events), [
      'readyStateChange end', 'reconnect timeout', 'reconnecting', 'reconnect scheduled'
    ]);
    assert.deepStrictEqual(expired, [['Failed to reconnect in a timely manner', 1]]);
    assert.ok(world.sockets[1].closed);
  });
});

describe('error values', () => {
  test('an Error is the same object', () => {
    const world = page();
    const { client } = world.connected();
    const reason = new RangeError('own');
    let error;
    client.on('error', (value) => { error = value; });
    world.socket.onerror(reason);
    assert.strictEqual(error, reason);
    assert.deepStrictEqual(Object.keys(reason), []);
  });

  const cases = {
    'a string': ['refused', 'refused'],
    'an error inside an event': [{ error: new RangeError('inner') }, 'inner'],
    'text inside an event': [{ error: 'authorization failed: 401' }, 'authorization failed: 401'],
    'a close event of SockJS': [{ code: 2000, reason: 'All transports failed' }, 'All transports failed'],
    'an event without anything': [{ type: 'error' }, 'The connection failed']
  };
  for (const [name, [reason, message]] of Object.entries(cases)) {
    test(name, () => {
      const world = page();
      const { client } = world.connected();
      let error;
      client.on('error', (value) => { error = value; });
      world.socket.onerror(reason);
      assert.strictEqual(error.message, message);
      assert.match(error.stack, /Error/);
      if (reason.code) assert.strictEqual(error.code, reason.code);
    });
  }
});
