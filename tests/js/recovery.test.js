'use strict';

// Back-off and strategies.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { page } = require('./support/browser');

const FAILED = { message: 'connection failed' };

/** Lose an open connection and fail `attempts` times: the delays that were chosen, and the last options. */
function delays(attempts, reconnect, random) {
  const world = page({ random });
  const { client } = world.connected({ reconnect });
  const chosen = [];
  let last = null;
  client.on('reconnecting', (opts) => {
    chosen.push(opts.timeout);
    last = { ...opts };
  });
  world.socket.drop();
  for (let n = 1; n < attempts; n++) {
    world.clock.advance(chosen[n - 1]);
    world.socket.drop(FAILED);
  }
  return { chosen, last, world };
}

describe('back-off', () => {
  test('lower bound: 500, 1000, 2000, 4000 as the README says', () => {
    assert.deepStrictEqual(delays(5, {}, 0).chosen, [500, 1000, 2000, 4000, 8000]);
  });

  test('upper bound: twice that, except for the first', () => {
    assert.deepStrictEqual(delays(5, {}, 0.999999).chosen, [500, 2000, 4000, 8000, 16000]);
  });

  test('is randomised', () => {
    assert.deepStrictEqual(delays(3, {}, 0.25).chosen, [500, 1250, 2500]);
  });

  test('the delay passes before the attempt', () => {
    const { world } = delays(1, {}, 0);
    world.clock.advance(499);
    assert.strictEqual(world.sockets.length, 1);
    world.clock.advance(1);
    assert.strictEqual(world.sockets.length, 2);
  });

  for (const [name, options] of Object.entries({
    'of 2.4': { minDelay: 100, maxDelay: 700, factor: 3, retries: 7 },
    'of 5 and later': { min: 100, max: 700, factor: 3, retries: 7 },
    'as text': { min: '100ms', max: '0.7 seconds', factor: 3, retries: 7 }
  })) {
    test(`options with the names ${name}`, () => {
      const { chosen, last } = delays(4, options, 0);
      assert.deepStrictEqual(chosen, [100, 300, 700, 700]);
      const { attempt, retries, min, max, minDelay, maxDelay, factor, timeout, scheduled, backoff } = last;
      assert.deepStrictEqual(
        { attempt, retries, min, max, minDelay, maxDelay, factor, timeout, scheduled, backoff },
        { attempt: 4, retries: 7, min: 100, max: 700, minDelay: 100, maxDelay: 700, factor: 3, timeout: 700, scheduled: 700, backoff: true }
      );
    });
  }

  test('defaults', () => {
    const { last } = delays(1, {}, 0);
    assert.deepStrictEqual(
      [last.min, last.max, last.retries, last.factor, last['reconnect timeout']],
      [500, Infinity, 10, 2, 30000]
    );
  });

  test('a maximum below the minimum wins', () => {
    assert.deepStrictEqual(delays(2, { minDelay: 500, maxDelay: 200 }, 0).chosen, [200, 200]);
  });

  test('nonsense falls back to the defaults', () => {
    const { last } = delays(1, { minDelay: 'soon', maxDelay: -1, retries: NaN, factor: null }, 0);
    assert.deepStrictEqual([last.min, last.max, last.retries, last.factor], [500, Infinity, 10, 2]);
  });

  test('retries: 0 never reconnects', () => {
    const world = page();
    const { events } = world.connected({ reconnect: { retries: 0 } });
    world.socket.drop();
    assert.ok(events.includes('end'));
    assert.ok(!events.includes('reconnecting'));
  });

  test('delays beyond what a timer can hold do not become none', () => {
    const { chosen, world } = delays(24, { retries: Infinity }, 0);
    assert.ok(chosen[23] > 0x7fffffff);
    assert.strictEqual(Math.max(...world.clock.delays), 0x7fffffff);
    world.clock.advance(60000);
    assert.strictEqual(world.sockets.length, 24);
  });

  test('a connection that opened starts the count again', () => {
    const { world, chosen } = delays(3, {}, 0);
    world.clock.advance(chosen[2]);
    world.socket.accept();
    world.socket.drop();
    assert.strictEqual(chosen[3], 500);
  });

  test('a second reason while waiting changes nothing', () => {
    const world = page();
    const { client, events } = world.connected();
    client.on('error', () => {});
    world.socket.drop();
    world.socket.onclose({});
    world.socket.onerror(FAILED);
    assert.strictEqual(events.filter((event) => event === 'reconnecting').length, 1);
    assert.ok(!events.includes('error'));
    world.clock.advance(500);
    assert.strictEqual(world.sockets.length, 2);
  });

  for (const event of ['reconnecting', 'reconnect']) {
    test(`end() in a listener of ${event}`, () => {
      const world = page();
      const { client, events } = world.connected();
      client.on(event, () => client.end());
      world.socket.drop();
      world.clock.advance(600000);
      assert.strictEqual(world.sockets.length, 1);
      assert.strictEqual(events.filter((name) => name === 'end').length, 1);
    });

    test(`open() in a listener of ${event}`, () => {
      const world = page();
      const { client } = world.connected();
      client.once(event, () => client.open());
      world.socket.drop();
      world.clock.advance(600);
      assert.strictEqual(world.sockets.length, 2);
      world.socket.accept();
      assert.strictEqual(client.readyState, world.Primus.OPEN);
      world.clock.advance(9000);
      assert.strictEqual(world.sockets.length, 2, 'and no attempt is left over');
    });
  }
});

describe('strategy', () => {
  const normalised = [
    [undefined, 'disconnect,online,timeout'],
    [true, 'disconnect,online,timeout'],
    [false, ''],
    [[], ''],
    ['', ''],
    ['dIsconNect', 'disconnect'],
    ['online,  TIMEOUT , disconnect', 'online,timeout,disconnect'],
    ['online timeout', 'online,timeout'],
    [['Online', 'timeout', ' Disconnect'], 'online,timeout,disconnect']
  ];
  for (const [given, expected] of normalised) {
    test(`${JSON.stringify(given)} becomes '${expected}'`, () => {
      const { Primus } = page();
      assert.strictEqual(new Primus({ manual: true, strategy: given }).options.strategy, expected);
    });
  }

  test('a server with authorization leaves timeout out of the default', () => {
    const { Primus } = page({ authorization: true });
    assert.strictEqual(new Primus({ manual: true }).options.strategy, 'disconnect,online');
    assert.strictEqual(new Primus({ manual: true, strategy: 'timeout' }).options.strategy, 'timeout');
    assert.strictEqual(Primus.prototype.authorization, true);
  });

  test('false does not reconnect at all', () => {
    const world = page({ onLine: true });
    const { client } = world.connected({ strategy: false });
    world.socket.drop();
    world.network('offline');
    world.network('online');
    world.clock.advance(600000);
    assert.strictEqual(world.sockets.length, 1);
    assert.strictEqual(client.readyState, world.Primus.CLOSED);
  });
});
