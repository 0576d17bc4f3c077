'use strict';

// What a session of SockJS sends and when, over a network and with a clock that belong to the test.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { visible } = require('./support/browser');
const { network, turn } = require('./support/network');

const INFO = { websocket: true, origins: ['*:*'], cookie_needed: false, entropy: 1 };
const PRELUDE = `${'h'.repeat(2048)}\n`;
const LOST = ['error', 'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled'];
const LEFT = ['readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled'];
const NEVER = ['readyStateChange opening', 'error', 'readyStateChange end', 'close', 'end'];

/** A client that has its answer from /info; it pings never. */
async function informed({ info, options, url, ...settings } = {}) {
  const world = network({ transformer: 'sockjs', ...settings });
  const { client, events } = world.client({ ping: false, ...options }, url);
  const received = [];
  client.on('data', (data) => received.push(data));
  client.on('error', (error) => { world.error = error; });
  await world.the('GET').answer(JSON.stringify({ ...INFO, ...info }));
  return { world, client, events, received };
}

/** One that is open. `over` is the name of its transport. */
async function session(over, { info, options, ...settings } = {}) {
  const made = await informed({ info, options: { transport: { transports: [over] }, ...options }, ...settings });
  const { world, events } = made;
  if (over === 'websocket') {
    world.socket.accept();
    world.socket.message('o');
  } else if (over === 'xhr-streaming') {
    await world.the('POST').piece(PRELUDE);
    await world.the('POST').piece('o\n');
  } else await world.the('POST').answer('o\n');
  assert.strictEqual(made.client.readyState, world.Primus.OPEN);
  events.length = 0;
  return made;
}

const receiving = (world) => world.open('POST').filter(({ path }) => /\/xhr(_streaming)?$/.test(path));
const sending = (world) => world.open('POST').filter(({ path }) => /\/xhr_send$/.test(path));

function the(requests) {
  assert.strictEqual(requests.length, 1);
  return requests[0];
}

describe('what the server can do', () => {
  test('addresses, with Primus\'s query on each', async () => {
    const { world, client } = await informed({ options: { websockets: false }, url: 'https://server.example:81/?foo=b%20r' });
    await world.the('POST').answer('o\n');
    client.write('x');
    await turn();
    const paths = world.requests.map((request) => request.url.replace(/_primuscb=\d+/, '_primuscb=M'));
    const [, server, id] = /primus\/(\d{3})\/([a-z0-9]{16})\//.exec(paths[1]);
    const base = 'https://server.example:81/primus';
    const query = 'foo=b%20r&_primuscb=M-0';
    assert.deepStrictEqual(paths, [
      `${base}/info?${query}&resume=1&t=0`,
      `${base}/${server}/${id}/xhr_streaming?${query}&t=1`,
      `${base}/${server}/${id}/xhr_streaming?${query}&t=2`,
      `${base}/${server}/${id}/xhr_send?${query}&t=3`
    ]);
    assert.strictEqual(world.requests[3].headers['Content-Type'], 'text/plain;charset=UTF-8');
  });

  test('a WebSocket at once, over TLS if the rest is', async () => {
    for (const [url, expected] of [['http://h.example', /^ws:\/\/h\.example\/primus\/\d{3}\/\w{16}\/websocket\?_primuscb=/],
      ['https://h.example', /^wss:\/\/h\.example\/primus\/\d{3}\/\w{16}\/websocket\?_primuscb=/]]) {
      const { world, client } = await informed({ url });
      assert.match(world.socket.url, expected);
      assert.strictEqual(world.open().length, 0);
      assert.strictEqual(client.socket.transport, 'websocket');
    }
  });

  for (const [base, expected] of [
    ['/other', 'http://server.example/other/'], ['https://else.example/a/', 'https://else.example/a/'],
    ['https://else.example:8443', 'https://else.example:8443/']
  ]) {
    test(`base_url ${base}`, async () => {
      const { world } = await informed({ info: { base_url: base }, options: { websockets: false } });
      assert.ok(world.the('POST').url.startsWith(expected));
      assert.match(world.the('POST').url, /\/\d{3}\/\w{16}\/xhr_streaming\?_primuscb=\d+-0&t=1$/);
    });
  }

  for (const [name, answer, message] of [
    ['a status', (request) => request.answer('{"error":"no"}', 401), /401/],
    ['no network', (request) => request.fail('Failed to fetch'), /Failed to fetch/],
    ['no JSON', (request) => request.answer('<html>'), /JSON/],
    ['no object', (request) => request.answer('null'), /./],
    ['no address', (request) => request.answer('{"base_url":"http://"}'), /URL/]
  ]) {
    test(`${name} in answer is the end of the attempt`, async () => {
      const world = network({ transformer: 'sockjs' });
      const { client, events } = world.client({ strategy: false });
      client.on('error', (error) => { world.error = error; });
      await answer(world.the('GET'));
      assert.match(world.error.message, message);
      assert.deepStrictEqual(visible(events), NEVER);
      assert.strictEqual(world.open().length + world.sockets.length, 0);
      assert.strictEqual(world.clock.timers.size, 0);
    });
  }

  test('no answer in 8 seconds', async () => {
    const world = network({ transformer: 'sockjs' });
    const { client, events } = world.client({ strategy: false });
    client.on('error', (error) => { world.error = error; });
    world.clock.advance(7999);
    assert.deepStrictEqual(visible(events), ['readyStateChange opening']);
    world.clock.advance(1);
    assert.strictEqual(world.error.code, 1002);
    assert.strictEqual(world.error.message, 'Cannot connect to server');
    await turn();
    assert.strictEqual(world.open().length, 0);
  });
});

describe('which transports are tried', () => {
  const names = async (options, info, settings) => {
    const { world, client } = await informed({ options: { strategy: false, ...options }, info, ...settings });
    const tried = [];
    while (client.socket) {
      tried.push(client.socket.transport);
      if (client.socket.socket) world.socket.drop({ message: 'refused' });
      else await world.the('POST').answer('', 404);
    }
    return [tried, world.error];
  };
  for (const [name, expected, ...setting] of [
    ['all', ['websocket', 'xhr-streaming', 'xhr-polling'], {}],
    ['websockets: false', ['xhr-streaming', 'xhr-polling'], { websockets: false }],
    ['a server without', ['xhr-streaming', 'xhr-polling'], {}, { websocket: false }],
    ['no WebSocket', ['xhr-streaming', 'xhr-polling'], {}, {}, { globals: { WebSocket: undefined } }],
    ['transports, in the order of SockJS', ['websocket', 'xhr-polling'], { transport: { transports: ['jsonp-polling', 'xhr-polling', 'websocket'] } }],
    ['transports as text', ['xhr-polling'], { transport: { transports: 'xhr-polling' } }]
  ]) {
    test(name, async () => {
      const [tried, error] = await names(...setting);
      // The client is gone before the last one could be asked for its name.
      assert.deepStrictEqual(tried, expected);
      assert.strictEqual(error.code, 2000);
      assert.strictEqual(error.message, 'All transports failed');
      assert.ok(error.cause);
    });
  }

  test('none', async () => {
    for (const options of [{ transport: { transports: ['eventsource'] } }, { websockets: false, transport: { transports: ['websocket'] } }]) {
      const { world, events } = await informed({ options: { strategy: false, ...options } });
      assert.strictEqual(world.error.code, 2000);
      assert.deepStrictEqual(visible(events), NEVER);
    }
  });

  test('each has a session of its own, and time that depends on the round trip', async () => {
    for (const [rtt, patience] of [[0, 600], [100, 800], [101, 808], [500, 4000]]) {
      const world = network({ transformer: 'sockjs' });
      const { client } = world.client({ ping: false });
      world.clock.advance(rtt);
      await world.the('GET').answer(JSON.stringify(INFO));
      const socket = world.socket;
      world.clock.advance(patience - 1);
      assert.strictEqual(client.socket.transport, 'websocket');
      world.clock.advance(1);
      assert.ok(socket.closed);
      assert.strictEqual(client.socket.transport, 'xhr-streaming');
      world.clock.advance(patience);
      await turn();
      assert.strictEqual(client.socket.transport, 'xhr-polling');
      assert.strictEqual(world.open('POST').length, 1);
      const ids = [socket.url, ...world.requests.slice(1).map(({ url }) => url)].map((url) => url.split('/')[5]);
      assert.strictEqual(new Set(ids).size, 3);
      // What comes late from those that were given up is nobody's.
      socket.onopen();
      socket.message('o');
      assert.strictEqual(client.readyState, world.Primus.OPENING);
      await world.the('POST').answer('o\n');
      world.clock.advance(60000);
      assert.strictEqual(client.readyState, world.Primus.OPEN);
      client.end();
    }
  });

  test('`timeout` is the least of it', async () => {
    const { world, client } = await informed({ options: { transport: { timeout: 3000 } } });
    world.clock.advance(2999);
    assert.strictEqual(client.socket.transport, 'websocket');
    world.clock.advance(1);
    assert.strictEqual(client.socket.transport, 'xhr-streaming');
  });

  test('a close frame before `o`: the next one, unless the application closed', async () => {
    for (const [frame, expected] of [['c[2010,"Another connection still open"]', 'xhr-polling'], ['c[3000,"Go away!"]', null]]) {
      const { world, client } = await informed({ options: { websockets: false, strategy: false } });
      await world.the('POST').piece(`${PRELUDE}${frame}\n`);
      assert.strictEqual(client.socket && client.socket.transport, expected);
    }
  });

  test('a stream that keeps everything to itself', async () => {
    const { world, client } = await informed({ options: { websockets: false } });
    world.clock.advance(600);
    await turn();
    assert.strictEqual(world.the('POST').path.split('/').pop(), 'xhr');
    assert.strictEqual(client.socket.transport, 'xhr-polling');
  });

  test('the time that Primus gives to a connection ends it all', async () => {
    const { world, events } = await informed({ options: { timeout: 500, transport: { timeout: 9000 } } });
    world.clock.advance(500);
    assert.ok(events.includes('timeout'));
    assert.ok(world.socket.closed);
  });
});

describe('frames', () => {
  /** What is received when the server sends these, on each transport. */
  const deliver = async (over, frames, settings) => {
    const made = await session(over, settings);
    const { world } = made;
    for (const frame of frames) {
      if (over === 'websocket') world.socket.message(frame);
      else if (over === 'xhr-streaming') await the(receiving(world)).piece(`${frame}\n`);
      else await the(receiving(world)).answer(`${frame}\n`);
    }
    return made;
  };

  for (const over of ['websocket', 'xhr-streaming', 'xhr-polling']) {
    test(`messages over ${over}`, async () => {
      const { received, events } = await deliver(over, ['a["a","\\u2028\\ud83d\\ude00"]', 'h', 'm"b"', 'a[""]', 'a[]']);
      assert.deepStrictEqual(received, ['a', '\u2028\u{1f600}', 'b', '']);
      assert.ok(!events.includes('close'));
    });

    test(`bytes over ${over}`, async () => {
      const { world, client, received } = await deliver(over, ['a["primus::binary::AP8=","primus::binary::!"]']);
      assert.deepStrictEqual(Array.from(new Uint8Array(received[0])), [0, 255]);
      assert.strictEqual(received[1], 'primus::binary::!');
      client.write(new Uint8Array([0, 255]));
      await turn();
      assert.strictEqual(over === 'websocket' ? world.socket.sent[0] : the(sending(world)).body, '["primus::binary::AP8="]');
    });

    for (const [frame, code, expected] of [
      ['c[1000,"Normal closure"]', undefined, LEFT],
      ['c[3000,"Go away!"]', 3000, LOST],
      ['o', 1006, LOST],
      ['a["x', undefined, LOST]
    ]) {
      test(`${frame} over ${over} is the end`, async () => {
        const { world, events } = await deliver(over, [frame]);
        assert.deepStrictEqual(visible(events), expected);
        assert.strictEqual(world.error && world.error.code, code);
        assert.strictEqual(world.open().length, 0);
        if (over === 'websocket') assert.ok(world.socket.closed);
        assert.strictEqual(world.clock.timers.size, 1, 'only the one of the reconnect');
      });
    }

    test(`a listener that ends the client ends the reading of ${over}`, async () => {
      const made = await session(over);
      made.client.on('data', () => made.client.end());
      const { world } = made;
      if (over === 'websocket') world.socket.message('a["a","b"]');
      else if (over === 'xhr-streaming') await the(receiving(world)).piece('a["a","b"]\na["c"]\n');
      else await the(receiving(world)).answer('a["a","b"]\n');
      assert.deepStrictEqual(made.received, ['a']);
      assert.strictEqual(world.open().length, 0);
    });
  }

  test('a stream that is cut anywhere', async () => {
    const text = Buffer.from('a["é€\u{1f600}","b"]\nh\na["c"]\n');
    for (let at = 1; at < text.length; at++) {
      const { world, received } = await session('xhr-streaming');
      await the(receiving(world)).piece(text.subarray(0, at));
      await the(receiving(world)).piece(text.subarray(at));
      assert.deepStrictEqual(received, ['é€\u{1f600}', 'b', 'c']);
    }
  });

  test('a stream that ends is followed by the next, of the same session', async () => {
    const { world, received } = await session('xhr-streaming');
    const { path } = the(receiving(world));
    await the(receiving(world)).piece('a["a"]\n');
    await the(receiving(world)).end();
    assert.strictEqual(the(receiving(world)).path, path);
    await the(receiving(world)).piece(PRELUDE);
    await the(receiving(world)).end();
    await the(receiving(world)).piece(`${PRELUDE}a["b"]\n`);
    assert.deepStrictEqual(received, ['a', 'b']);
  });

  for (const [name, spoil] of [
    ['with another status', (request) => request.answer('', 404)],
    ['with nothing', (request) => request.answer('')],
    ['with a line that has no end', (request) => request.answer('a["x"]')],
    ['broken', (request) => request.fail('Failed to fetch')]
  ]) {
    test(`an answer ${name} is the end`, async () => {
      for (const over of ['xhr-streaming', 'xhr-polling']) {
        const made = await session('xhr-polling');
        await spoil(the(receiving(made.world)));
        assert.deepStrictEqual(visible(made.events), LOST, over);
        assert.strictEqual(made.world.open().length, 0);
      }
    });
  }

  test('a WebSocket that is closed', async () => {
    for (const [event, expected] of [[{ code: 1006, reason: '' }, LOST], [{ code: 1012, reason: 'restart' }, LOST], [{ code: 1000, reason: '' }, LEFT]]) {
      const { world, events } = await session('websocket');
      world.socket.onclose({ type: 'close', ...event });
      assert.deepStrictEqual(visible(events), expected);
      if (expected === LOST) assert.strictEqual(world.error.code, event.code);
    }
  });

  test('a WebSocket that has an error is lost once', async () => {
    const { world, events } = await session('websocket');
    world.socket.drop({ type: 'error', message: 'broken pipe' });
    assert.deepStrictEqual(visible(events), LOST);
    assert.strictEqual(world.error.message, 'broken pipe');
  });
});

describe('writing', () => {
  test('on a WebSocket: each message by itself', async () => {
    const { world, client } = await session('websocket');
    client.write('a"b');
    client.write('\u{1f600}');
    assert.deepStrictEqual(world.socket.sent, ['["a\\"b"]', '["\u{1f600}"]']);
  });

  test('by requests: one at a time, with what was written meanwhile', async () => {
    const { world, client } = await session('xhr-streaming');
    for (const text of ['a', 'b"', '']) client.write(text);
    await turn();
    assert.strictEqual(the(sending(world)).body, '["a","b\\"",""]');
    assert.strictEqual(the(sending(world)).query.get('first'), null);
    client.write('c');
    await turn();
    await the(sending(world)).answer('', 204);
    assert.strictEqual(the(sending(world)).body, '["c"]');
    await the(sending(world)).answer('', 204);
    assert.strictEqual(sending(world).length, 0);
  });

  test('no request is longer than servers take', async () => {
    const { world, client } = await session('xhr-polling');
    const texts = ['x'.repeat(600000), '€'.repeat(200000), 'y', 'z'.repeat(2000000), ...Array(1500).fill('')];
    for (const text of texts) client.write(text);
    await turn();
    const bodies = [];
    while (sending(world).length) {
      bodies.push(JSON.parse(the(sending(world)).body));
      await the(sending(world)).answer('', 204);
    }
    assert.deepStrictEqual(bodies.map((body) => body.length), [1, 2, 1, 1000, 500]);
    assert.deepStrictEqual([].concat(...bodies), texts);
  });

  for (const [name, spoil] of [['refused', (request) => request.answer('', 404)], ['broken', (request) => request.fail('Failed to fetch')]]) {
    test(`a request that is ${name} is the end`, async () => {
      const { world, client, events } = await session('xhr-streaming');
      client.write('a');
      await turn();
      await spoil(the(sending(world)));
      assert.deepStrictEqual(visible(events), LOST);
      assert.strictEqual(world.open().length, 0);
    });
  }
});

describe('a server that lets sessions resume', () => {
  const RESUME = { info: { resume: true } };

  test('is told what was seen, and the numbers of messages', async () => {
    const { world, client } = await session('xhr-polling', RESUME);
    const said = ({ query }) => [query.get('seen'), query.get('open')];
    assert.deepStrictEqual(said(world.requests[1]), ['0', null]);
    assert.deepStrictEqual(said(the(receiving(world))), ['0', '1']);
    await the(receiving(world)).answer('a["a","b"]\n');
    assert.deepStrictEqual(said(the(receiving(world))), ['2', '1']);
    for (const texts of [['a', 'b'], ['c']]) {
      for (const text of texts) client.write(text);
      await turn();
      assert.strictEqual(the(sending(world)).query.get('first'), texts[0] === 'a' ? '0' : '2');
      await the(sending(world)).answer('', 204);
    }
  });

  test('receives a request that broke again, of the same session; half a frame was not seen', async () => {
    const { world, received, events } = await session('xhr-streaming', RESUME);
    const { path } = the(receiving(world));
    await the(receiving(world)).piece('a["a"]\na["b');
    await the(receiving(world)).fail('network changed');
    assert.strictEqual(receiving(world).length, 0);
    world.clock.advance(50);
    assert.strictEqual(the(receiving(world)).path, path);
    assert.strictEqual(the(receiving(world)).query.get('seen'), '1');
    await the(receiving(world)).piece(`${PRELUDE}a["b"]\n`);
    assert.deepStrictEqual(received, ['a', 'b']);
    assert.deepStrictEqual(visible(events), ['data a', 'data b']);
  });

  test('after growing pauses, and not for ever', async () => {
    for (const [kind, find] of [['receiving', receiving], ['sending', sending]]) {
      const { world, client, events } = await session('xhr-streaming', RESUME);
      if (kind === 'sending') {
        client.write('a');
        await turn();
      }
      for (const pause of [50, 100, 200, 400, 800, 1600]) {
        await the(find(world)).fail('Failed to fetch');
        world.clock.advance(pause - 1);
        assert.strictEqual(find(world).length, 0);
        world.clock.advance(1);
        assert.ok(!events.includes('error'));
      }
      await the(find(world)).fail('Failed to fetch');
      assert.deepStrictEqual(visible(events), LOST);
      assert.strictEqual(world.open().length, 0);
    }
  });

  test('the pauses are short again when something has arrived', async () => {
    const { world, client } = await session('xhr-streaming', RESUME);
    for (let round = 0; round < 10; round++) {
      await the(receiving(world)).fail('Failed to fetch');
      world.clock.advance(50);
      await the(receiving(world)).fail('Failed to fetch');
      world.clock.advance(100);
      await the(receiving(world)).piece('a["a"]\n');
      client.write('a');
      await turn();
      await the(sending(world)).fail('Failed to fetch');
      world.clock.advance(50);
      await the(sending(world)).answer('', 204);
    }
    assert.strictEqual(client.readyState, world.Primus.OPEN);
  });

  test('and when a poll was answered', async () => {
    const { world, events } = await session('xhr-polling', RESUME);
    for (let round = 0; round < 10; round++) {
      await the(receiving(world)).fail('Failed to fetch');
      world.clock.advance(50);
      await the(receiving(world)).answer('h\n');
    }
    assert.deepStrictEqual(visible(events), []);
  });

  test('but not by a stream that brings nothing', async () => {
    const { world, events } = await session('xhr-streaming', RESUME);
    for (const pause of [50, 100, 200, 400, 800, 1600]) {
      await the(receiving(world)).piece(PRELUDE);
      await the(receiving(world)).fail('Failed to fetch');
      world.clock.advance(pause);
    }
    await the(receiving(world)).fail('Failed to fetch');
    assert.deepStrictEqual(visible(events), LOST);
  });

  test('gets a request that broke again as it was, before what was written since', async () => {
    const { world, client } = await session('xhr-streaming', RESUME);
    client.write('a');
    await turn();
    await the(sending(world)).fail('Failed to fetch');
    for (const text of ['b', 'c']) client.write(text);
    await turn();
    assert.strictEqual(sending(world).length, 0);
    world.clock.advance(50);
    assert.strictEqual(the(sending(world)).body, '["a"]');
    assert.strictEqual(the(sending(world)).query.get('first'), '0');
    await the(sending(world)).answer('', 204);
    assert.strictEqual(the(sending(world)).body, '["b","c"]');
    assert.strictEqual(the(sending(world)).query.get('first'), '1');
  });

  test('takes its time when nobody reads: what it refuses is sent again', async () => {
    const { world, client } = await session('xhr-polling', RESUME);
    client.write('a');
    await turn();
    await the(sending(world)).answer('', 503);
    world.clock.advance(50);
    assert.strictEqual(the(sending(world)).body, '["a"]');
  });

  test('another status is an answer', async () => {
    for (const find of [receiving, sending]) {
      const { world, client, events } = await session('xhr-polling', RESUME);
      client.write('a');
      await turn();
      await the(find(world)).answer('', 404);
      assert.deepStrictEqual(visible(events), LOST);
    }
  });

  test('a session that it has lost', async () => {
    const { world, events } = await session('xhr-polling', RESUME);
    await the(receiving(world)).fail('Failed to fetch');
    world.clock.advance(50);
    await the(receiving(world)).answer('o\n');
    assert.strictEqual(world.error.message, 'Server lost session');
    assert.deepStrictEqual(visible(events), LOST);
  });

  test('is told of the end, which it would not see', async () => {
    const { world, client } = await session('xhr-streaming', RESUME);
    client.write('a');
    await turn();
    client.end('b');
    await the(sending(world)).answer('', 204);
    assert.strictEqual(the(sending(world)).body, '["b"]');
    assert.strictEqual(the(sending(world)).query.get('end'), null);
    await the(sending(world)).answer('', 204);
    assert.strictEqual(the(sending(world)).body, '[]');
    assert.deepStrictEqual([the(sending(world)).query.get('first'), the(sending(world)).query.get('end')], ['2', '1']);
    assert.strictEqual(receiving(world).length, 1);
    await the(sending(world)).answer('', 204);
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('what was waiting to be repeated leaves at the end, at once', async () => {
    const { world, client } = await session('xhr-streaming', RESUME);
    client.write('a');
    await turn();
    await the(sending(world)).fail('Failed to fetch');
    client.end();
    assert.strictEqual(the(sending(world)).body, '["a"]');
    await the(sending(world)).fail('Failed to fetch');
    world.clock.advance(100);
    await the(sending(world)).answer('', 204);
    assert.strictEqual(the(sending(world)).query.get('end'), '1');
  });

  test('nothing of it on a WebSocket', async () => {
    const { world, client, events } = await session('websocket', RESUME);
    assert.doesNotMatch(world.socket.url, /seen/);
    client.write('a');
    world.socket.drop();
    assert.deepStrictEqual(visible(events), LOST);
    const other = await session('websocket', RESUME);
    other.client.end();
    assert.ok(other.world.socket.closed);
    assert.strictEqual(world.requests.length + other.world.requests.length, 2);
  });

  test('nor before a session is open', async () => {
    const { world, client } = await informed({ info: { resume: true }, options: { websockets: false } });
    await world.the('POST').fail('Failed to fetch');
    assert.strictEqual(client.socket.transport, 'xhr-polling');
  });
});

describe('ending', () => {
  test('what was written still leaves, and the receiving request is dropped behind it', async () => {
    const { world, client, events } = await session('xhr-streaming');
    client.write('a');
    await turn();
    client.end('b');
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'end']);
    await the(sending(world)).answer('', 204);
    assert.strictEqual(the(sending(world)).body, '["b"]');
    const receiver = the(receiving(world));
    await the(sending(world)).answer('', 204);
    assert.ok(receiver.signal.aborted);
    assert.strictEqual(world.requests.filter(({ path }) => path.endsWith('xhr_send')).length, 2);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('not for ever', async () => {
    const { world, client } = await session('xhr-streaming');
    client.end('b');
    world.clock.advance(4999);
    assert.strictEqual(world.open().length, 2);
    world.clock.advance(1);
    await turn();
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('on a WebSocket, and while something is tried', async () => {
    const open = await session('websocket');
    open.client.end('a');
    assert.deepStrictEqual(open.world.socket.sent, ['["a"]']);
    assert.ok(open.world.socket.closed);
    const trying = await informed();
    trying.client.end();
    assert.ok(trying.world.socket.closed);
    const asking = network({ transformer: 'sockjs' });
    asking.client().client.end();
    await turn();
    for (const { world } of [open, trying, { world: asking }]) {
      assert.strictEqual(world.open().length, 0);
      assert.strictEqual(world.clock.timers.size, 0);
    }
  });

  test('nothing is sent afterwards', async () => {
    const { world, client } = await session('xhr-polling');
    const { socket } = client;
    client.end();
    socket.send('too late');
    await turn();
    assert.strictEqual(world.open().length, 0);
  });

  test('client.socket.close(), as with the original', async () => {
    const { client, events } = await session('xhr-polling');
    client.socket.close();
    assert.deepStrictEqual(visible(events), LEFT);
  });
});
