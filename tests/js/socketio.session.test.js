'use strict';

// What a session of Socket.IO 0.9 sends and when, over a network and with a clock that belong to the test.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { visible } = require('./support/browser');
const { network, turn } = require('./support/network');

const HANDSHAKE = 'S_-1:60:25:websocket,htmlfile,xhr-polling,jsonp-polling';
const MARK = '\ufffd';
const LOST = ['error', 'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled'];
const LEFT = ['readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled'];
const NEVER = ['readyStateChange opening', 'error', 'readyStateChange end', 'close', 'end'];

const payload = (...packets) => packets.map((packet) => `${MARK}${packet.length}${MARK}${packet}`).join('');

/** A client whose handshake is answered; it pings never. */
async function shaken({ handshake = HANDSHAKE, options, url, ...settings } = {}) {
  const world = network({ transformer: 'socket.io', ...settings });
  const { client, events } = world.client({ ping: false, ...options }, url);
  const received = [];
  client.on('data', (data) => received.push(data));
  client.on('error', (error) => { world.error = error; });
  await world.the('GET').answer(handshake);
  return { world, client, events, received };
}

/** One that is open. */
async function session(over, { options, ...settings } = {}) {
  const made = await shaken({ options: { websockets: over === 'websocket', ...options }, ...settings });
  const { world } = made;
  if (over === 'websocket') {
    world.socket.accept();
    world.socket.message('1::');
  } else await world.the('GET').answer('1::');
  assert.strictEqual(made.client.readyState, world.Primus.OPEN);
  made.events.length = 0;
  return made;
}

async function deliver(world, over, ...packets) {
  if (over === 'websocket') for (const packet of packets) world.socket.message(packet);
  else await world.the('GET').answer(packets.length === 1 ? packets[0] : payload(...packets));
}

describe('the handshake', () => {
  test('addresses, with Primus\'s query on each', async () => {
    const url = 'https://server.example:81/?foo=b%20r';
    const { world, client } = await shaken({ url, handshake: HANDSHAKE.replace('S_-1', 'S/1') });
    world.socket.drop();
    await world.the('GET').answer('1::');
    client.write('x');
    await turn();
    const urls = [...world.requests, world.socket].map((each) => each.url.replace(/_primuscb=\d+/, '_primuscb=M'));
    const base = 'https://server.example:81/primus/1/';
    const query = 'foo=b%20r&_primuscb=M-0&t';
    assert.deepStrictEqual(urls, [
      `${base}?${query}=0`,
      `${base}xhr-polling/S%2F1?${query}=2`,
      `${base}xhr-polling/S%2F1?${query}=3`,
      `${base}xhr-polling/S%2F1?${query}=4`,
      `wss://server.example:81/primus/1/websocket/S%2F1?${query}=1`
    ]);
    assert.strictEqual(client.socket.id, 'S/1');
  });

  for (const [name, answer, message] of [
    ['refused', ['handshake unauthorized', 403], /403/],
    ['no handshake', ['Welcome to socket.io.'], /A broken handshake: Welcome to socket.io/],
    ['empty', [''], /A broken handshake/]
  ]) {
    test(`one that is ${name}`, async () => {
      const world = network({ transformer: 'socket.io' });
      const { client, events } = world.client({ strategy: false });
      client.on('error', (error) => { world.error = error; });
      await world.the('GET').answer(...answer);
      assert.match(world.error.message, message);
      assert.deepStrictEqual(visible(events), NEVER);
      assert.strictEqual(world.open().length + world.sockets.length, 0);
    });
  }
});

describe('which transports are tried', () => {
  for (const [name, expected, options, handshake, settings] of [
    ['all', ['websocket', 'xhr-polling']],
    ['websockets: false', ['xhr-polling'], { websockets: false }],
    ['transports', ['xhr-polling'], { transport: { transports: ['xhr-polling', 'htmlfile'] } }],
    ['a server without', ['xhr-polling'], {}, 'S:60:60:xhr-polling,jsonp-polling'],
    ['a server with nothing else', ['websocket'], {}, 'S:60:60:websocket'],
    ['no WebSocket', ['xhr-polling'], {}, HANDSHAKE, { globals: { WebSocket: undefined } }],
    ['none', [], {}, 'S:60:60:htmlfile']
  ]) {
    test(name, async () => {
      const { world, client, events } = await shaken({ options: { strategy: false, ...options }, handshake, ...settings });
      const tried = [];
      while (client.socket) {
        tried.push(client.socket.transport.name);
        if (client.socket.socket) world.socket.drop({ message: 'refused' });
        else await world.the('GET').answer('', 500);
      }
      assert.deepStrictEqual(tried, expected);
      assert.deepStrictEqual(visible(events), NEVER);
      assert.ok(world.error.message);
      assert.strictEqual(world.open().length, 0);
    });
  }

  test('each has 10 seconds, or as many as are asked for', async () => {
    for (const [options, ms] of [[{}, 10000], [{ transport: { 'connect timeout': 300 } }, 300]]) {
      const { world, client } = await shaken({ options: { timeout: false, ...options } });
      world.socket.accept();
      world.clock.advance(ms - 1);
      assert.strictEqual(client.socket.transport.name, 'websocket');
      world.clock.advance(1);
      assert.ok(world.socket.closed);
      assert.strictEqual(client.socket.transport.name, 'xhr-polling');
      await world.the('GET').answer('1::');
      assert.strictEqual(client.readyState, world.Primus.OPEN);
    }
  });

  test('a session that the server does not know: an error, and no other transport', async () => {
    const { world, events } = await shaken({ options: { strategy: false } });
    world.socket.message('7:::1+0');
    assert.strictEqual(world.error.message, 'client not handshaken');
    assert.deepStrictEqual(visible(events), NEVER);
    assert.strictEqual(world.open().length, 0);
  });
});

for (const over of ['websocket', 'xhr-polling']) {
  describe(`packets over ${over}`, () => {
    test('messages', async () => {
      const { world, received } = await session(over);
      await deliver(world, over, '3:::a:b\n', '3::', '8::', '4:::{"a":1}', '3:::\u{1f600}\ufffd', '3::/chat:theirs', '1::/chat', '5:::{"name":"x"}', '6:::1',
        '3:::primus::binary::AP8=');
      assert.deepStrictEqual(received.slice(0, 4), ['a:b\n', '', '{"a":1}', '\u{1f600}\ufffd']);
      assert.deepStrictEqual(Array.from(new Uint8Array(received[4])), [0, 255]);
      assert.strictEqual(received.length, 5);
    });

    test('heartbeats and acknowledgements are answered', async () => {
      const { world } = await session(over);
      await deliver(world, over, '2::', '3:7::x', '3:8+::y', '8::');
      const answers = ['2::', '6:::7'];
      if (over === 'websocket') assert.deepStrictEqual(world.socket.sent, answers);
      else assert.strictEqual(world.the('POST').body, payload(...answers));
    });

    test('the end', async () => {
      for (const [packet, expected, message] of [
        ['0::', LEFT], ['7:::1+0', LOST, 'client not handshaken'], ['7:::2', LOST, 'unauthorized'], ['7:::why', LOST, 'why'],
        ['<html>', LOST, 'An unknown packet: <html>'], ['', LOST, 'An unknown packet: ']
      ]) {
        const { world, events } = await session(over);
        await deliver(world, over, packet);
        assert.deepStrictEqual(visible(events), expected);
        assert.strictEqual(world.error && world.error.message, message);
        assert.strictEqual(world.open().length, 0);
        if (over === 'websocket') assert.ok(world.socket.closed);
        assert.strictEqual(world.clock.timers.size, 1, 'only the one of the reconnect');
      }
    });

    test('a second connect packet is nothing new', async () => {
      const { world, events } = await session(over);
      await deliver(world, over, '1::');
      assert.deepStrictEqual(visible(events), []);
    });

    test('the end of another namespace is none', async () => {
      const { world, events } = await session(over);
      await deliver(world, over, '0::/chat', '7::/chat:2');
      assert.deepStrictEqual(visible(events), []);
    });

    test('silence is the end', async () => {
      const { world, events } = await session(over);
      const patience = over === 'websocket' ? 60000 : 25000;
      world.clock.advance(patience - 1);
      await deliver(world, over, '8::');
      world.clock.advance(patience - 1);
      assert.deepStrictEqual(visible(events), []);
      world.clock.advance(1);
      assert.deepStrictEqual(visible(events), LEFT);
    });

    test('unless the server says that there is no limit', async () => {
      const { world, events } = await session(over, { handshake: 'S:::websocket,xhr-polling' });
      world.clock.advance(1e9);
      assert.deepStrictEqual(visible(events), []);
    });

    test('a listener that ends the client ends the reading', async () => {
      const { world, client, received } = await session(over);
      client.on('data', () => client.end());
      await deliver(world, over, '3:::a', '3:::b');
      assert.deepStrictEqual(received, ['a']);
    });
  });
}

describe('on a WebSocket', () => {
  test('a message is a packet', async () => {
    const { world, client } = await session('websocket');
    client.write('a:b');
    client.write('');
    client.write(new Uint8Array([0, 255]));
    assert.deepStrictEqual(world.socket.sent, ['3:::a:b', '3:::', '3:::primus::binary::AP8=']);
  });

  test('its end is ours, and no error, as with the original', async () => {
    for (const error of [undefined, { message: 'broken pipe' }]) {
      const { world, events } = await session('websocket');
      world.socket.drop(error);
      assert.deepStrictEqual(visible(events), LEFT);
    }
  });

  test('we say that we leave', async () => {
    const { world, client } = await session('websocket');
    client.end('a');
    assert.deepStrictEqual(world.socket.sent, ['3:::a', '0::']);
    assert.ok(world.socket.closed);
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('not before it is open', async () => {
    const { world, client } = await shaken();
    client.end();
    assert.deepStrictEqual(world.socket.sent, []);
    assert.ok(world.socket.closed);
    assert.strictEqual(world.open().length, 0);
  });
});

describe('polling', () => {
  test('one POST at a time, one packet bare and several with their lengths', async () => {
    const { world, client } = await session('xhr-polling');
    client.write('a');
    await turn();
    for (const text of ['é', '\u{1f600}', MARK]) client.write(text);
    assert.strictEqual(world.the('POST').body, '3:::a');
    await world.the('POST').answer('1');
    assert.strictEqual(world.the('POST').body, payload('3:::é', '3:::\u{1f600}', `3:::${MARK}`));
    await world.the('POST').answer('1');
    assert.strictEqual(world.open('POST').length, 0);
    assert.strictEqual(world.open('GET').length, 1);
  });

  for (const body of [`${MARK}5`, `${MARK}50${MARK}3:::a`, `${MARK}x${MARK}3:::a`, `${payload('3:::a', '3:::b')}rest`, `${payload('3:::a')}x5${MARK}3:::b`]) {
    test(`a body that is broken: ${JSON.stringify(body)}`, async () => {
      const { world, events } = await session('xhr-polling');
      await world.the('GET').answer(body);
      assert.match(world.error.message, /A broken answer/);
      assert.deepStrictEqual(visible(events).slice(-LOST.length), LOST);
      assert.strictEqual(world.open().length, 0);
    });
  }

  test('a request that fails is the end, and no error, as with the original', async () => {
    for (const method of ['GET', 'POST']) {
      for (const spoil of [(request) => request.answer('', 500), (request) => request.fail('Failed to fetch')]) {
        const { world, client, events } = await session('xhr-polling');
        client.write('a');
        await turn();
        await spoil(world.the(method));
        assert.deepStrictEqual(visible(events), LEFT);
        assert.strictEqual(world.open().length, 0);
      }
    }
  });

  test('what was written leaves, then the goodbye, and then the GET is dropped', async () => {
    const { world, client, events } = await session('xhr-polling');
    client.write('a');
    await turn();
    client.end('b');
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'end']);
    const get = world.the('GET');
    for (const body of ['3:::a', '3:::b', '0::']) {
      assert.strictEqual(world.the('POST').body, body);
      assert.ok(!get.signal.aborted);
      await world.the('POST').answer('1');
    }
    assert.ok(get.signal.aborted);
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('not for ever', async () => {
    const { world, client } = await session('xhr-polling');
    client.end();
    world.clock.advance(5000);
    await turn();
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('the goodbye is also for a session that is not open yet; before the handshake there is none', async () => {
    const { world, client } = await shaken({ options: { websockets: false } });
    client.end();
    assert.strictEqual(world.the('POST').body, '0::');
    await world.the('POST').answer('1');
    const early = network({ transformer: 'socket.io' });
    early.client().client.end();
    await turn();
    for (const { clock, open } of [world, early]) {
      assert.strictEqual(open().length, 0);
      assert.strictEqual(clock.timers.size, 0);
    }
  });
});
