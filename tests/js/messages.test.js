'use strict';

// Messages: encoding, the queue, transforms, Primus's own texts; and listeners that misbehave.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { page, visible } = require('./support/browser');

function connected(options, settings = {}) {
  const world = page(settings);
  const made = world.connected(options);
  const errors = [];
  const received = [];
  made.client.on('error', (error) => errors.push(error.message));
  made.client.on('data', (data, raw) => received.push([data, raw]));
  return { world, ...made, socket: world.socket, sent: world.socket.sent, errors, received };
}

const data = (received) => received.map(([value]) => value);

describe('encoding', () => {
  test('data listeners get the message and what came over the wire', () => {
    const { socket, received } = connected();
    for (const raw of ['null', '0', '""', '{"a":[1,"\\u00e9"]}']) socket.message(raw);
    assert.deepEqual(received, [[null, 'null'], [0, '0'], ['', '""'], [{ a: [1, 'é'] }, '{"a":[1,"\\u00e9"]}']]);
  });

  test('line separators leave escaped', () => {
    const { client, sent } = connected();
    client.write('a\u2028b\u2029c\u2028');
    assert.deepStrictEqual(sent, ['"a\\u2028b\\u2029c\\u2028"']);
  });

  test('what JSON has no text for is not sent', () => {
    const { client, sent, errors } = connected();
    assert.strictEqual(client.write(undefined), true);
    client.write(() => {});
    assert.deepStrictEqual([sent, errors], [[], []]);
  });

  test('a message that cannot be encoded is an error, and the connection lives', () => {
    const { client, sent, errors } = connected();
    const circle = {};
    circle.self = circle;
    client.write(circle);
    client.write('next');
    assert.strictEqual(errors.length, 1);
    assert.match(errors[0], /circular/i);
    assert.deepStrictEqual(sent, ['"next"']);
  });

  test('so is one that cannot be decoded', () => {
    const { client, world, socket, errors, received } = connected();
    socket.message('{');
    socket.message('"next"');
    assert.match(errors[0], /JSON/);
    assert.deepStrictEqual(data(received), ['next']);
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });

  test('a socket that throws while sending', () => {
    const { client, world, socket, errors } = connected();
    socket.broken = 'no buffer space';
    client.write('x');
    assert.deepStrictEqual(errors, ['no buffer space']);
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });

  test('a parser of the application', () => {
    const source = `{
      encoder(data, fn) { if (data === 'bad') throw new Error('cannot'); fn(null, 'x' + data); },
      decoder(raw, fn) { if (raw === 'bad') return fn('unreadable'); fn(null, raw.slice(1)); }
    }`;
    const { client, socket, sent, errors, received } = connected({}, { parser_source: source });
    client.write('one');
    client.write('bad');
    socket.message('xtwo');
    socket.message('bad');
    socket.message('xprimus::ping::5');
    assert.deepStrictEqual(sent, ['xone', 'xprimus::pong::5']);
    assert.deepStrictEqual(received, [['two', 'xtwo']]);
    assert.deepStrictEqual(errors, ['cannot', 'unreadable']);
  });

  test('a parser that answers after the end', () => {
    const source = '{ encoder(data, fn) { setTimeout(function () { fn(null, data); }, 5); }, decoder() {} }';
    const { client, world, sent, errors } = connected({}, { parser_source: source });
    client.write('x');
    client.end();
    world.clock.advance(5);
    assert.deepStrictEqual([sent, errors, world.clock.uncaught], [[], [], []]);
  });

  test('bytes pass as they are', () => {
    const source = '{ encoder(data, fn) { fn(null, data); }, decoder(raw, fn) { fn(null, raw); } }';
    const { client, socket, sent, received } = connected({}, { parser_source: source });
    const bytes = new Uint8Array([1, 2]);
    client.write(bytes);
    socket.message(bytes.buffer);
    assert.strictEqual(sent[0], bytes);
    assert.strictEqual(received[0][0], bytes.buffer);
    assert.strictEqual(socket.binaryType, 'arraybuffer');
  });
});

describe('the queue', () => {
  const queued = (queueSize) => {
    const world = page();
    const { client } = world.client({ queueSize });
    for (const n of [1, 2, 3, 4]) assert.strictEqual(client.write(n), true);
    world.socket.accept();
    return world.socket.sent;
  };

  test('keeps everything by default', () => assert.deepStrictEqual(queued(undefined), ['1', '2', '3', '4']));
  test('drops the oldest at queueSize', () => assert.deepStrictEqual(queued(2), ['3', '4']));
  test('of size 0 keeps nothing', () => assert.deepStrictEqual(queued(0), []));

  test('holds messages as they were transformed, and encodes them when they are sent', () => {
    const world = page();
    const { client } = world.client();
    client.transform('outgoing', (packet) => { packet.data = { wrapped: packet.data }; });
    const message = { n: 1 };
    client.write(message);
    message.n = 2;
    world.socket.accept();
    assert.deepStrictEqual(world.socket.sent, ['{"wrapped":{"n":2}}']);
  });

  test('a connection lost while it is flushed keeps the rest', () => {
    const world = page();
    const { client } = world.client();
    for (const n of [1, 2, 3]) client.write(n);
    client.once('outgoing::data', () => world.sockets[0].drop());
    world.socket.accept();
    world.clock.advance(500);
    world.socket.accept();
    assert.deepStrictEqual(world.sockets.map((socket) => socket.sent), [['1'], ['2', '3']]);
  });
});

describe('transforms', () => {
  test('in the order of their registration, in both directions', () => {
    const { client, socket, sent, received } = connected();
    for (const letter of ['a', 'b']) {
      client.transform('outgoing', (packet) => { packet.data += letter; });
      client.transform('incoming', (packet) => { packet.data += letter.toUpperCase(); });
    }
    client.write('x');
    socket.message('"y"');
    assert.deepStrictEqual(sent, ['"xab"']);
    assert.deepStrictEqual(received, [['yAB', '"y"']]);
  });

  test('this is the client', () => {
    const { client } = connected();
    let self;
    assert.strictEqual(client.transform('outgoing', function transform() { self = this; }), client);
    client.write(1);
    assert.strictEqual(self, client);
  });

  test('only false drops the message', () => {
    const { client, socket, sent, received } = connected();
    const later = [];
    client.transform('incoming', (packet) => packet.data);
    client.transform('incoming', (packet) => { later.push(packet.data); });
    client.transform('outgoing', () => false);
    for (const raw of ['0', 'null', '""', 'false']) socket.message(raw);
    client.write('x');
    assert.deepStrictEqual(data(received), [0, null, '']);
    assert.deepStrictEqual(later, [0, null, '']);
    assert.deepStrictEqual(sent, []);
  });

  test('asynchronous: goes on, stops, or fails', () => {
    const { client, socket, errors, received } = connected();
    const waiting = [];
    client.transforms('incoming', (packet, next) => waiting.push([packet, next]));
    client.transform('incoming', (packet) => { packet.data += '!'; });
    for (const raw of ['"on"', '"stop"', '"fail"', '"last"']) socket.message(raw);
    const [on, stop, fail, last] = waiting.map(([, next]) => next);
    waiting[0][0].data = 'changed';
    on();
    on();
    stop(undefined, false);
    stop();
    fail(new Error('refused'));
    last();
    assert.deepStrictEqual(received, [['changed!', '"on"'], ['last!', '"last"']]);
    assert.deepStrictEqual(errors, ['refused']);
  });

  test('one that throws after it said next: the message goes on, and the error is told', () => {
    const { client, sent, errors } = connected();
    client.transform('outgoing', (packet, next) => {
      next();
      throw new Error('late');
    });
    client.write(1);
    client.write(2);
    assert.deepStrictEqual([sent, errors], [['1', '2'], ['late', 'late']]);
  });

  test('one that throws loses its message only', () => {
    const { client, sent, errors } = connected();
    client.transform('outgoing', (packet) => { if (packet.data === 1) throw new Error('one'); });
    client.transform('outgoing', (packet, next) => {
      if (packet.data === 2) throw new Error('two');
      next();
    });
    for (const n of [1, 2, 3]) client.write(n);
    assert.deepStrictEqual(errors, ['one', 'two']);
    assert.deepStrictEqual(sent, ['3']);
  });

  test('one that throws nothing at all loses its message too', () => {
    const { client, sent, errors } = connected();
    client.transform('outgoing', (packet) => { if (packet.data === 1) throw undefined; });
    for (const n of [1, 2]) client.write(n);
    assert.deepStrictEqual([sent, errors], [['2'], []]);
  });

  test('do not see the messages of Primus', () => {
    const { client, socket, sent } = connected();
    let seen = 0;
    client.transform('incoming', () => { seen += 1; });
    client.transform('outgoing', () => { seen += 1; });
    socket.message('"primus::ping::7"');
    client.id(() => {});
    assert.strictEqual(sent.length, 2);
    assert.strictEqual(seen, 0);
  });

  test('other names, and what is no function, are refused', () => {
    const { client } = connected();
    for (const type of ['sideways', 'toString', undefined]) {
      assert.throws(() => client.transform(type, () => {}), /incoming, outgoing/);
    }
    assert.throws(() => client.transform('incoming', 'fn'), /function/);
  });
});

describe('the order', () => {
  // A parser that holds back what it is asked for: `held` are functions that let it answer.
  const HELD = `(function () {
    var held = [];
    function hold(convert) { return function (value, fn) {
      held.push({ value: value, go: function () { convert(value, fn); }, fail: function () { fn(new Error('no ' + value)); } });
    }; }
    return {
      held: held,
      encoder: hold(function (data, fn) { fn(null, JSON.stringify(data)); }),
      decoder: hold(function (raw, fn) { fn(null, JSON.parse(raw)); })
    };
  })()`;
  const holding = (options) => {
    const made = connected(options, { parser_source: HELD });
    const { held } = made.world.Primus.parser;
    const go = (value) => held.find((each) => each.value === value).go();
    return { ...made, held, go, fail: (value) => held.find((each) => each.value === value).fail() };
  };

  test('of what a parser encodes late', () => {
    const { client, sent, held, go, fail, errors } = holding();
    for (const n of [1, 2, 3, 4]) client.write(n);
    assert.strictEqual(held.length, 4, 'all at once');
    go(2);
    fail(3);
    go(4);
    assert.deepStrictEqual([sent, errors], [[], []]);
    go(1);
    assert.deepStrictEqual([sent, errors], [['1', '2', '4'], ['no 3']]);
    go(1);
    assert.strictEqual(sent.length, 3, 'once is enough');
  });

  test('of what it decodes late', () => {
    const { socket, received, go, fail, errors } = holding();
    for (const n of [1, 2, 3, 4]) socket.message(String(n));
    go('3');
    go('4');
    fail('2');
    assert.deepStrictEqual([received, errors], [[], []]);
    go('1');
    assert.deepStrictEqual([data(received), errors], [[1, 3, 4], ['no 2']]);
  });

  test('of what transforms let go late, in both directions', () => {
    const { client, socket, sent, received } = connected();
    const waiting = {};
    for (const type of ['incoming', 'outgoing']) {
      client.transform(type, (packet, next) => { waiting[type + packet.data] = next; });
    }
    for (const n of [1, 2, 3]) {
      client.write(n);
      socket.message(String(n));
    }
    for (const n of [3, 2, 1]) {
      assert.deepStrictEqual([sent, received], [[], []]);
      waiting['outgoing' + n]();
      waiting['incoming' + n](null, n !== 2);
    }
    assert.deepStrictEqual(sent, ['1', '2', '3']);
    assert.deepStrictEqual(data(received), [1, 3]);
  });

  test('of what a transform writes: behind its own message', () => {
    const { client, sent } = connected();
    client.transform('outgoing', function wrap(packet) {
      if (packet.data === 'a') this.write('b');
    });
    client.write('a');
    assert.deepStrictEqual(sent, ['"a"', '"b"']);
  });

  test('of the queue', () => {
    const world = page({ parser_source: HELD });
    const { client } = world.client();
    for (const n of [1, 2]) client.write(n);
    world.socket.accept();
    client.write(3);
    for (const each of world.Primus.parser.held.slice().reverse()) each.go();
    assert.deepStrictEqual(world.socket.sent, ['1', '2', '3']);
  });

  test('messages of Primus do not wait for a transform', () => {
    const { client, socket, sent, received } = connected();
    client.transform('incoming', (packet, next) => {});
    client.transform('outgoing', (packet, next) => {});
    socket.message('1');
    client.write(2);
    socket.message('"primus::ping::7"');
    assert.deepStrictEqual([sent, received], [['"primus::pong::7"'], []]);
  });

  test('an end waits for what is being decoded: it may be final', () => {
    const { world, client, socket, go, received, events } = holding();
    socket.message('1');
    socket.message('"primus::server::close"');
    socket.drop();
    assert.strictEqual(client.readyState, world.Primus.OPEN);
    go('"primus::server::close"');
    go('1');
    assert.deepStrictEqual(data(received), [1]);
    assert.deepStrictEqual(visible(events), ['data 1', 'readyStateChange end', 'close', 'end']);
    world.clock.advance(60000);
    assert.strictEqual(world.sockets.length, 1);
  });

  test('a decoder that never answers: the heartbeat gets over it', () => {
    const { world, client, socket, events, go, received } = holding();
    socket.message('1');
    socket.drop();
    world.clock.advance(25000 + 10000);
    assert.deepStrictEqual(visible(events), ['offline', 'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled']);
    world.clock.advance(500);
    world.socket.accept();
    world.socket.message('2');
    go('2');
    assert.deepStrictEqual(data(received), [2]);
    go('1');
    assert.deepStrictEqual(data(received), [2, 1], 'late, but not lost');
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });

  test('what Primus said over an earlier connection is over', () => {
    const { world, client, socket, events, go, received } = holding();
    socket.message('"primus::server::close"');
    socket.message('"primus::ping::5"');
    client.emit('outgoing::end');
    client.open();
    world.socket.accept();
    go('"primus::server::close"');
    go('"primus::ping::5"');
    assert.deepStrictEqual(received, []);
    assert.ok(!events.some((event) => event.startsWith('outgoing::pong')));
    world.socket.drop();
    assert.ok(events.includes('reconnecting'));
  });
});

describe('messages of Primus', () => {
  test('id', () => {
    const { client, socket, sent, received } = connected();
    const ids = [];
    assert.strictEqual(client.id((id) => ids.push(id)), client);
    assert.deepStrictEqual(sent, ['"primus::id::"']);
    socket.message('"primus::id::4f2a$0"');
    assert.deepStrictEqual(ids, ['4f2a$0']);
    socket.message('"primus::id::again"');
    assert.deepStrictEqual(ids, ['4f2a$0']);
    assert.deepStrictEqual(received, []);
  });

  test('id of a transport that knows it, and before the connection is open', () => {
    const { client, sent } = connected();
    client.socket.id = 'own';
    const ids = [];
    client.id((id) => ids.push(id));
    assert.deepStrictEqual([ids, sent], [['own'], []]);

    const world = page();
    world.client().client.id(() => {});
    world.socket.accept();
    assert.deepStrictEqual(world.socket.sent, ['"primus::id::"']);
  });

  for (const text of ['primus::', 'primus::ping', 'primus::pingx', 'primus::foo::bar', 'primus:ping::1', 'Primus::ping::1']) {
    test(`${text} is data`, () => {
      const { socket, received, sent } = connected();
      socket.message(JSON.stringify(text));
      assert.deepStrictEqual(data(received), [text]);
      assert.deepStrictEqual(sent, []);
    });
  }

  test('server with another value is swallowed', () => {
    const { world, socket, received, events } = connected();
    socket.message('"primus::server::restart"');
    assert.deepStrictEqual(received, []);
    socket.drop();
    assert.ok(events.includes('reconnecting'));
    assert.strictEqual(world.sockets.length, 1);
  });
});

describe('listeners that throw', () => {
  test('a data listener: reported, and nothing else changes', () => {
    const { world, client, socket, received, events } = connected();
    client.on('data', () => { throw new Error('mine'); });
    const after = [];
    client.on('data', (value) => after.push(value));
    socket.message('1');
    socket.message('2');
    world.clock.advance(1);
    assert.deepStrictEqual(world.clock.uncaught.map((error) => error.message), ['mine', 'mine']);
    assert.deepStrictEqual([data(received), after], [[1, 2], [1, 2]]);
    assert.ok(!events.includes('error'));
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });

  for (const event of ['open', 'readyStateChange', 'incoming::open']) {
    test(`a listener of ${event} does not stop the opening`, () => {
      const world = page();
      const { client } = world.client();
      client.on(event, () => { throw new Error('mine'); });
      client.write('queued');
      world.socket.accept();
      assert.deepStrictEqual(world.socket.sent, ['"queued"']);
      world.clock.advance(25000);
      assert.strictEqual(world.socket.sent.length, 2, 'the heartbeat runs');
      assert.ok(world.clock.uncaught.length > 0);
    });
  }

  for (const event of ['close', 'reconnecting', 'reconnect']) {
    test(`a listener of ${event} does not stop the reconnect`, () => {
      const world = page();
      const { client } = world.connected();
      client.on(event, () => { throw new Error('mine'); });
      world.socket.drop();
      world.clock.advance(500);
      world.socket.accept();
      assert.strictEqual(client.readyState, world.Primus.OPEN);
    });
  }
});

describe('small methods', () => {
  test('reserved', () => {
    const { client } = connected();
    const reserved = ['readyStateChange', 'reconnecting', 'reconnected', 'reconnect', 'reconnect scheduled',
      'reconnect timeout', 'reconnect failed', 'offline', 'online', 'timeout', 'error', 'close', 'open', 'data',
      'end', 'destroy', 'incoming::anything', 'outgoing::'];
    assert.deepStrictEqual(reserved.filter((name) => !client.reserved(name)), []);
    const free = ['custom', 'connection', 'toString', 'incoming', 'x incoming::y', '', undefined];
    assert.deepStrictEqual(free.filter((name) => client.reserved(name)), []);
  });

  test('every event that the client emits is reserved', () => {
    const world = page({ onLine: true });
    const { client, events } = world.client({ reconnect: { retries: 1 } });
    world.socket.accept();
    world.network('offline');
    world.network('online');
    world.clock.advance(500);
    world.socket.drop({ message: 'failed' });
    client.open();
    world.clock.advance(10000);
    client.destroy();
    const names = new Set(events.map((event) => event.replace(/^(readyStateChange|.*::data|.*::p.ng) .*/, '$1')));
    for (const name of ['reconnect failed', 'timeout', 'destroy', 'offline']) assert.ok(names.has(name), name);
    for (const name of names) assert.ok(client.reserved(name), name);
  });

  test('emits', () => {
    const { client } = connected();
    const seen = [];
    client.on('custom', (...args) => seen.push(args));
    client.emits('custom')('first', 'second');
    client.emits('custom', (a, b) => a + b)(1, 2);
    client.emits('custom', function parse() { return this === client; })();
    assert.deepStrictEqual(seen, [['first'], [3], [true]]);
  });

  test('the option websockets is only kept', () => {
    for (const websockets of [true, undefined, false]) {
      const { client, world } = connected({ websockets });
      assert.strictEqual(client.AVOID_WEBSOCKETS, websockets === false);
      assert.strictEqual(client.readyState, world.Primus.OPEN);
    }
  });

  test('plugin', () => {
    const { client } = connected({}, { plugins: [['one', 'function () {}']] });
    assert.strictEqual(typeof client.plugin('one'), 'function');
    assert.strictEqual(client.plugin('two'), undefined);
    assert.strictEqual(client.plugin(), client.ark);
  });

  test('pipe', () => {
    const { client, socket } = connected();
    const seen = [];
    const destination = {
      write: (value) => seen.push(value),
      end: () => seen.push('ended'),
      emit: (event, source) => seen.push([event, source === client])
    };
    assert.strictEqual(client.pipe(destination), destination);
    const open = client.pipe({ write: (value) => seen.push('also ' + value) }, { end: false });
    assert.ok(open);
    socket.message('1');
    client.end();
    assert.deepStrictEqual(seen, [['pipe', true], 1, 'also 1', 'ended']);
    assert.deepStrictEqual([client.listenerCount('data'), client.listenerCount('end')], [1, 0]);
  });

  test('removeAllListeners leaves the client working', () => {
    const { world, client, socket, events } = connected();
    client.removeAllListeners();
    const late = [];
    client.on('data', (value) => late.push(value));
    socket.message('1');
    socket.drop();
    world.clock.advance(500);
    world.socket.accept();
    assert.deepStrictEqual(late, [1]);
    assert.ok(visible(events).includes('reconnected'));
  });
});
