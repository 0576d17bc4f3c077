'use strict';

// What a session of Engine.IO sends and when, over a network and with a clock that belong to the test.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { visible } = require('./support/browser');
const { RAW, network, turn } = require('./support/network');

const HANDSHAKE = { sid: 'S_-1', upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 100000 };
const UPGRADES = { upgrades: ['websocket'] };
// Of engine.io 1.x, with `upgrades`, and what is different in 3.x.
const OLD = { sid: 'S_-1', upgrades: [], pingInterval: 25000, pingTimeout: 60000 };
const OLD_3 = { pingTimeout: 5000 };
const entry = (text) => `${text.length}:${text}`;

/** A client whose handshake is answered; it pings only as Engine.IO does. */
async function session({ handshake, body = (text) => text, options, ...settings } = {}) {
  const world = network({ transformer: 'engine.io', ...settings });
  const { client, events } = world.client({ ping: false, ...options });
  const received = [];
  client.on('data', (data) => received.push(data));
  client.on('error', (error) => { world.error = error; });
  await world.the('GET').answer(body(`0${JSON.stringify({ ...HANDSHAKE, ...handshake })}`));
  events.length = 0;
  return { world, client, events, received };
}

const old = (handshake, settings) => session({
  body: entry, ...settings, handshake: { ...OLD, maxPayload: undefined, ...handshake }
});

const bytes = (value) => Array.from(new Uint8Array(value));

describe('requests', () => {
  test('their addresses', async () => {
    const world = network({ transformer: 'engine.io' });
    const { client } = world.client({}, 'https://server.example:81/?foo=b%20r');
    await world.the('GET').answer(`0${JSON.stringify(HANDSHAKE)}`);
    client.write('x');
    await turn();
    const urls = world.requests.map(({ url }) => url.replace(/_primuscb=\d+/, '_primuscb=M'));
    const base = 'https://server.example:81/primus/?foo=b%20r&_primuscb=M-0&EIO=4&transport=polling';
    assert.deepStrictEqual(urls, [`${base}&t=0&b64=1`, `${base}&t=1&sid=S_-1&b64=1`, `${base}&t=2&sid=S_-1&b64=1`]);
  });

  test('an id that has to be escaped', async () => {
    const { world } = await session({ handshake: { sid: 'a b&c' } });
    assert.strictEqual(world.the('GET').query.get('sid'), 'a b&c');
  });

  test('plugins can edit them', async () => {
    const world = network({ transformer: 'engine.io' });
    const client = new world.Primus('http://server.example', { manual: true });
    client.on('outgoing::url', (parts) => Object.assign(parts, { protocol: 'wss', hostname: 'other.example', query: 'a=b' }));
    client.open();
    assert.match(world.the('GET').url, /^https?:\/\/other\.example\/primus\/\?a=b&_primuscb=/);
  });

  test('cookies go to other origins, unless `withCredentials` is false', async () => {
    for (const [withCredentials, credentials] of [[undefined, 'include'], [true, 'include'], [false, 'same-origin']]) {
      const world = network({ transformer: 'engine.io' });
      world.client({ transport: { withCredentials } });
      assert.strictEqual(world.the('GET').credentials, credentials);
    }
  });

  test('user, password and headers', async () => {
    const { world, client } = await session({ options: { transport: { headers: { a: '1' }, extraHeaders: { b: '2' } } } });
    client.write('x');
    await turn();
    assert.deepEqual({ ...world.the('GET').headers }, { a: '1', b: '2' });
    assert.deepEqual({ ...world.the('POST').headers }, { a: '1', b: '2', 'Content-Type': 'text/plain;charset=UTF-8' });

    const other = network({ transformer: 'engine.io' });
    other.client({}, 'http://us%C3%A9r:p%40ss@server.example');
    const { url, headers } = other.the('GET');
    assert.match(url, /^http:\/\/server\.example\//);
    assert.strictEqual(headers.Authorization, 'Basic ' + Buffer.from('usér:p@ss').toString('base64'));
  });
});

describe('writing', () => {
  test('what is written in one turn is one POST, and what is written meanwhile the next', async () => {
    const { world, client } = await session();
    for (const text of ['a', 'b', '']) client.write(text);
    await turn();
    assert.strictEqual(world.the('POST').body, '4a\x1e4b\x1e4');
    for (const text of ['c', 'd']) {
      client.write(text);
      await turn();
    }
    assert.strictEqual(world.open('POST').length, 1);
    await world.the('POST').answer();
    assert.strictEqual(world.the('POST').body, '4c\x1e4d');
    await world.the('POST').answer();
    assert.strictEqual(world.open('POST').length, 0);
    assert.strictEqual(world.open('GET').length, 1);
  });

  test('what waits for open is one POST too', async () => {
    const world = network({ transformer: 'engine.io' });
    const { client } = world.client();
    for (const text of ['a', 'b']) client.write(text);
    await world.the('GET').answer(`0${JSON.stringify(HANDSHAKE)}`);
    assert.strictEqual(world.the('POST').body, '4a\x1e4b');
  });

  test('no POST is longer than the server takes, in bytes', async () => {
    const { world, client } = await session({ handshake: { maxPayload: 20 } });
    const texts = ['12345678', '12345678', 'é€', '\u{1f600}', '€€€', '€€€', 'x'.repeat(100), 'y', new Uint8Array(9), 'z'.repeat(18), 'z'];
    for (const text of texts) client.write(text);
    await turn();
    const bodies = [];
    while (world.open('POST').length) {
      bodies.push(world.the('POST').body);
      await world.the('POST').answer();
    }
    assert.strictEqual(bodies.join('\x1e'), texts.map((each) => (each.length === 9 ? 'bAAAAAAAAAAAA' : `4${each}`)).join('\x1e'));
    assert.deepStrictEqual(bodies.filter((body) => Buffer.byteLength(body) > 20), [`4${'x'.repeat(100)}`]);
    assert.ok(bodies.length < texts.length, 'and they are put together');
  });

  test('nor has more packets than servers take', async () => {
    const { world, client } = await session({ handshake: { maxPayload: 1e9 } });
    for (let n = 0; n < 20000; n++) client.write('');
    await turn();
    assert.strictEqual(world.the('POST').body.split('\x1e').length, 16384);
    await world.the('POST').answer();
    assert.strictEqual(world.the('POST').body.split('\x1e').length, 20000 - 16384);
  });

  test('bytes of every kind are base64, and copied at once', async () => {
    const { world, client } = await session();
    const source = new Uint8Array([9, 1, 255, 9]);
    client.write(source.subarray(1, 3));
    client.write(source.buffer.slice(1, 3));
    client.write(new DataView(source.buffer, 1, 2));
    client.write(Buffer.from([1, 255]));
    source.fill(0);
    await turn();
    assert.strictEqual(world.the('POST').body, ['bAf8=', 'bAf8=', 'bAf8=', 'bAf8='].join('\x1e'));
  });
});

describe('reading', () => {
  test('one GET after the other, with all packets of an answer', async () => {
    const { world, received } = await session();
    await world.the('GET').answer('4a\x1e6\x1e4\x1e4b b\x1e3\x1ebAQIDBA==');
    assert.deepStrictEqual(received.slice(0, 3), ['a', '', 'b b']);
    assert.deepStrictEqual(bytes(received[3]), [1, 2, 3, 4]);
    await world.the('GET').answer('4c');
    assert.strictEqual(received[4], 'c');
    assert.strictEqual(world.the('GET').query.get('sid'), 'S_-1');
  });

  test('messages in the answer to the handshake', async () => {
    const world = network({ transformer: 'engine.io' });
    const { events } = world.client();
    await world.the('GET').answer(`0${JSON.stringify(HANDSHAKE)}\x1e4first`);
    assert.deepStrictEqual(visible(events).slice(-3), ['readyStateChange open', 'open', 'data first']);
  });

  for (const [name, body, message] of [
    ['of an unknown type', '4a\x1e7x\x1e4b', /unknown packet: 7x/],
    ['that is empty', '4a\x1e\x1e4b', /unknown packet/],
    ['that is no base64', '4a\x1eb!\x1e4b', /./],
    ['that opens again', '4a\x1e0{}\x1e4b', /unexpected packet: 0/]
  ]) {
    test(`a packet ${name} is the end, behind what came before it`, async () => {
      const { world, received, events } = await session();
      await world.the('GET').answer(body);
      assert.deepStrictEqual(received, ['a']);
      assert.match(world.error.message, message);
      assert.deepStrictEqual(visible(events).slice(-4, -1), ['readyStateChange end', 'close', 'reconnecting']);
      assert.strictEqual(world.open('GET').length, 0);
    });
  }

  for (const body of ['', '4x', '0{', 'hello', '<html>', '96:0{}']) {
    test(`a handshake ${JSON.stringify(body)} is an error`, async () => {
      const world = network({ transformer: 'engine.io' });
      const { client, events } = world.client({ strategy: false });
      client.on('error', () => {});
      await world.the('GET').answer(body);
      assert.deepStrictEqual(visible(events), ['readyStateChange opening', 'error', 'readyStateChange end', 'close', 'end']);
      assert.strictEqual(world.requests.length, 1);
    });
  }

  test('a listener that ends the client ends the reading', async () => {
    const { world, client, received } = await session();
    client.on('data', () => client.end());
    await world.the('GET').answer('4a\x1e4b');
    assert.deepStrictEqual(received, ['a']);
    assert.strictEqual(world.open('GET').length, 0);
  });
});

describe('failing', () => {
  for (const method of ['GET', 'POST']) {
    test(`a ${method} that is refused: the error tells how`, async () => {
      const { world, client, events } = await session();
      client.write('x');
      await turn();
      await world.the(method).answer('{"code":1,"message":"Session ID unknown"}', 400);
      const { message, status, body } = world.error;
      assert.deepStrictEqual([message, status, body],
        ['Unexpected server response: 400', 400, '{"code":1,"message":"Session ID unknown"}']);
      assert.deepStrictEqual(visible(events), ['error', 'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled']);
      assert.ok(world.requests.every((request) => !request.open));
      world.clock.advance(500);
      assert.strictEqual(world.the('GET').query.get('sid'), null);
    });

    test(`a ${method} that breaks`, async () => {
      const { world, client, events } = await session();
      client.write('x');
      await turn();
      await world.the(method).fail('Failed to fetch');
      assert.strictEqual(world.error.message, 'Failed to fetch');
      assert.ok(events.includes('reconnecting'));
      assert.ok(world.requests.every((request) => !request.open));
    });
  }

  test('a handshake that is not answered is given up after the timeout', async () => {
    const world = network({ transformer: 'engine.io' });
    const { events } = world.client({ timeout: 3000 });
    const request = world.the('GET');
    world.clock.advance(3000);
    assert.ok(events.includes('timeout'));
    await turn();
    assert.strictEqual(request.open, false);
    assert.strictEqual(world.open('POST').length, 0);
  });
});

describe('ending', () => {
  test('says goodbye behind what was written, and lets go of the GET afterwards', async () => {
    const { world, client, events } = await session();
    client.write('a');
    client.end('b');
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'end']);
    assert.strictEqual(world.the('POST').body, '4a\x1e4b\x1e1');
    const get = world.the('GET');
    await world.the('POST').answer();
    assert.ok(get.signal.aborted);
    assert.strictEqual(world.requests.length, 3);
  });

  test('waits for the POST that is under way', async () => {
    const { world, client } = await session();
    client.write('a');
    await turn();
    client.end('b');
    assert.strictEqual(world.the('POST').body, '4a');
    await world.the('POST').answer();
    assert.strictEqual(world.the('POST').body, '4b\x1e1');
    await world.the('GET').answer('6');
    await world.the('POST').answer();
    assert.ok(world.requests.every((request) => !request.open));
    assert.strictEqual(world.requests.length, 4);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('but not for ever', async () => {
    const { world, client } = await session();
    client.end();
    world.clock.advance(4999);
    assert.strictEqual(world.open('POST').length + world.open('GET').length, 2);
    world.clock.advance(1);
    assert.strictEqual(world.open('POST').length + world.open('GET').length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('by the server', async () => {
    for (const body of ['1', '6\x1e1', '4"x"\x1e1\x1e4"y"']) {
      const { world, received, events } = await session();
      await world.the('GET').answer(body);
      assert.deepStrictEqual(received, body.includes('x') ? ['"x"'] : []);
      assert.ok(events.includes('reconnecting'));
      assert.ok(!events.includes('error'));
      assert.ok(world.requests.every((request) => !request.open));
    }
  });

  test('nothing is sent afterwards, whatever was written', async () => {
    const { world, client } = await session();
    client.on('data', () => client.write('too late'));
    const { socket } = client;
    await world.the('GET').answer('4a\x1e1');
    socket.send('after the end');
    await turn();
    assert.strictEqual(world.open('POST').length, 0);
  });

  test('client.socket.close(), as with the original', async () => {
    const { world, client, events } = await session();
    client.socket.close();
    assert.strictEqual(world.the('POST').body, '1');
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled']);
  });
});

describe('heartbeats', () => {
  test('pings are answered', async () => {
    const { world } = await session();
    await world.the('GET').answer('2');
    assert.strictEqual(world.the('POST').body, '3');
  });

  test('a server that never says anything', async () => {
    const { world, events } = await session();
    world.clock.advance(44999);
    assert.ok(!events.includes('close'));
    world.clock.advance(1);
    assert.ok(events.includes('close'));
  });

  test('a server that is silent is given up, with a goodbye', async () => {
    const { world, events } = await session();
    world.clock.advance(44000);
    await world.the('GET').answer('4x');
    world.clock.advance(44999);
    assert.ok(!events.includes('close'));
    world.clock.advance(1);
    assert.strictEqual(world.the('POST').body, '1');
    assert.deepStrictEqual(visible(events).slice(-4), ['readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled']);
  });

  test('of revision 3: ours', async () => {
    const { world, events } = await old();
    for (let round = 0; round < 3; round++) {
      world.clock.advance(24999);
      await turn();
      assert.strictEqual(world.open('POST').length, 0);
      world.clock.advance(1);
      await turn();
      assert.strictEqual(world.the('POST').body, '1:2');
      await world.the('POST').answer();
      await world.the('GET').answer('1:3');
    }
    world.clock.advance(84999);
    assert.ok(!events.includes('close'));
    world.clock.advance(1);
    assert.ok(events.includes('close'));
  });

  test('end with the session', async () => {
    const { world, client } = await old();
    client.destroy();
    await world.the('POST').answer();
    assert.strictEqual(world.clock.timers.size, 0);
  });
});

test('revision 4 of a server that does not say how much it takes', async () => {
  const { world, client } = await session({ handshake: { maxPayload: undefined } });
  client.write('a');
  await turn();
  assert.strictEqual(world.the('POST').body, '4a');
});

describe('revision 3', () => {
  const TEXT = 'é€\u{1f600}\ufeff';
  const LOW_BYTES = '\u0141\u0142';
  const twice = (text) => Buffer.from(text).toString('latin1');

  test('lengths in front of packets, both ways', async () => {
    const { world, client, received } = await old();
    client.write('hello');
    client.write(new Uint8Array([1, 2, 3, 4]));
    await turn();
    assert.strictEqual(world.the('POST').body, '6:4hello10:b4AQIDBA==');
    await world.the('GET').answer('2:4a0:3:4:112:4"1"x"2"x"3"1:61:410:b4AQIDBA==');
    assert.deepStrictEqual(received.slice(0, 4), ['a', ':1', '"1"x"2"x"3"', '']);
    assert.deepStrictEqual(bytes(received[4]), [1, 2, 3, 4]);
  });

  for (const [name, handshake, encoded] of [['1.x', {}, twice(TEXT)], ['3.x', OLD_3, TEXT], ['3.x (whose low bytes are ASCII)', OLD_3, LOW_BYTES]]) {
    test(`text as engine.io ${name} takes it`, async () => {
      const { world, client, received } = await old(handshake);
      const text = encoded === LOW_BYTES ? encoded : TEXT;
      client.write(text);
      await turn();
      assert.strictEqual(world.the('POST').body, entry(`4${encoded}`));
      await world.the('GET').answer(entry(`4${encoded}`) + '2:4a');
      assert.deepStrictEqual(received, [text, 'a']);
    });
  }

  for (const [name, handshake, sent, text] of [
    ['1.x with other times', OLD_3, twice(TEXT), TEXT],
    ['3.x with other times', {}, TEXT, TEXT],
    ['3.x, in text that could be bytes', {}, 'caf\xe9', 'caf\xe9']
  ]) {
    test(`engine.io ${name} is told by its text`, async () => {
      const { world, client, received } = await old(handshake);
      await world.the('GET').answer(entry(`4${sent}`));
      assert.deepStrictEqual(received, [text]);
      client.write(text);
      await turn();
      assert.strictEqual(world.the('POST').body, entry(`4${sent}`));
    });
  }

  test('and what has told once is believed for ever', async () => {
    const { world, client, received } = await old();
    await world.the('GET').answer(entry('4€') + entry(`4${twice('é')}`));
    await world.the('GET').answer(entry(`4${twice('é')}`));
    assert.deepStrictEqual(received, ['€', twice('é'), twice('é')]);
    client.write('é');
    await turn();
    assert.strictEqual(world.the('POST').body, '2:4é');
  });

  for (const body of ['x', '5:4a', '2:4a9', '-1:4a', ':4a', '2:4a3', '1:7']) {
    test(`an answer ${body} is an error, behind what came before it`, async () => {
      const { world, received } = await old();
      await world.the('GET').answer(body);
      assert.ok(world.error);
      assert.deepStrictEqual(received, body.startsWith('2:4a') ? ['a'] : []);
    });
  }

  test('goodbye', async () => {
    const { world, client } = await old();
    client.end('x');
    assert.strictEqual(world.the('POST').body, '2:4x1:1');
  });

  test('over WebSocket', async () => {
    const { world, client, received } = await old(UPGRADES);
    world.socket.accept();
    world.socket.message('3probe');
    await world.the('GET').answer('1:6');
    client.write(TEXT);
    client.write(new Uint8Array([1, 2]));
    assert.deepStrictEqual(world.socket.sent.slice(0, 3), ['2probe', '5', `4${TEXT}`]);
    assert.deepStrictEqual(bytes(world.socket.sent[3]), [4, 1, 2]);
    world.socket.message(`4${TEXT}`);
    world.socket.message(new Uint8Array([4, 3, 4]).buffer);
    world.socket.message('b4BQY=');
    assert.strictEqual(received[0], TEXT);
    assert.deepStrictEqual(received.slice(1).map(bytes), [[3, 4], [5, 6]]);
    world.clock.advance(25000);
    assert.strictEqual(world.socket.sent[4], '2');
  });
});

describe('the upgrade', () => {
  const begin = async (settings) => {
    const made = await session({ handshake: UPGRADES, ...settings });
    return { ...made, socket: made.world.socket };
  };

  test('a probe beside polling, which takes over when no request is under way', async () => {
    const { world, client, received, socket } = await begin();
    assert.match(socket.url, /^ws:\/\/server\.example\/primus\/\?_primuscb=\d+-0&EIO=4&transport=websocket&t=1&sid=S_-1$/);
    client.write('a');
    await turn();
    socket.accept();
    assert.deepStrictEqual(socket.sent, ['2probe']);
    await world.the('GET').answer('4x');
    socket.message('3probe');
    client.write('b');
    client.write(new Uint8Array([1]));
    await turn();
    assert.strictEqual(world.the('POST').body, '4a');
    await world.the('GET').answer('4y');
    assert.strictEqual(world.open('GET').length, 0);
    assert.deepStrictEqual([client.socket.transport.name, socket.sent.length], ['polling', 1]);
    await world.the('POST').answer();
    assert.strictEqual(client.socket.transport.name, 'websocket');
    assert.deepStrictEqual(socket.sent, ['2probe', '5', '4b', 'bAQ==']);
    assert.ok(world.requests.every((request) => !request.open));

    client.write('c');
    client.write(new Uint8Array([2]).subarray(0));
    assert.strictEqual(socket.sent[4], '4c');
    assert.deepStrictEqual(bytes(socket.sent[5]), [2]);
    socket.message('4z');
    socket.message(new Uint8Array([3]).buffer);
    assert.deepStrictEqual(received.slice(0, 3), ['x', 'y', 'z']);
    assert.deepStrictEqual(bytes(received[3]), [3]);
    socket.message('2');
    assert.strictEqual(socket.sent[6], '3');
    client.end();
    assert.ok(socket.closed);
    assert.strictEqual(world.open('POST').length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('no request begins once it has answered', async () => {
    const { world, client, socket } = await begin();
    assert.strictEqual(socket.binaryType, 'arraybuffer');
    socket.accept();
    socket.message('3probe');
    client.write('a');
    await turn();
    assert.strictEqual(world.open('POST').length, 0);
    await world.the('GET').answer('6');
    assert.deepStrictEqual(socket.sent, ['2probe', '5', '4a']);
  });

  test('is not tried for a client that has ended meanwhile', async () => {
    const world = network({ transformer: 'engine.io' });
    const { client } = world.client();
    client.on('open', () => client.end());
    await world.the('GET').answer(`0${JSON.stringify({ ...HANDSHAKE, ...UPGRADES })}`);
    assert.strictEqual(world.sockets.length, 0);
    assert.strictEqual(world.the('POST').body, '1');
  });

  for (const [name, fail] of [
    ['is refused', (socket) => socket.drop({ message: '400' })],
    ['closes', (socket) => { socket.accept(); socket.drop(); }],
    ['answers something else', (socket) => { socket.accept(); socket.message('4x'); }]
  ]) {
    test(`a probe that ${name}: polling goes on`, async () => {
      const { world, client, received, events, socket } = await begin();
      fail(socket);
      assert.ok(socket.readyState >= 2);
      client.write('a');
      await turn();
      await world.the('POST').answer();
      await world.the('GET').answer('4b');
      assert.deepStrictEqual(received, ['b']);
      assert.deepStrictEqual(visible(events), ['data b']);
      assert.strictEqual(world.sockets.length, 1);
    });
  }

  test('one that is lost while polling waits for it: polling goes on where it stopped', async () => {
    const { world, client, socket } = await begin();
    client.write('a');
    await turn();
    socket.accept();
    socket.message('3probe');
    client.write('b');
    await world.the('GET').answer('6');
    socket.drop();
    assert.strictEqual(world.open('GET').length, 1);
    await world.the('POST').answer();
    assert.strictEqual(world.the('POST').body, '4b');
    assert.strictEqual(world.open('GET').length, 1);
  });

  test('ends with the client', async () => {
    for (const step of [() => {}, (socket) => socket.accept(), (socket) => { socket.accept(); socket.message('3probe'); }]) {
      const { world, client, socket } = await begin();
      step(socket);
      client.end('x');
      assert.ok(socket.closed);
      assert.strictEqual(world.the('POST').body, '4x\x1e1');
      await world.the('POST').answer();
      assert.ok(world.requests.every((request) => !request.open));
    }
  });

  test('ends with the session', async () => {
    const { world, events, socket } = await begin();
    socket.accept();
    await world.the('GET').answer('1');
    assert.ok(socket.closed);
    assert.ok(events.includes('reconnecting'));
  });

  for (const [name, settings] of [
    ['the client does not want it', { options: { websockets: false } }],
    ['`upgrade` is false', { options: { transport: { upgrade: false } } }],
    ['`transports` has no WebSocket', { options: { transport: { transports: ['polling'] } } }],
    ['the server does not offer it', { handshake: {} }],
    ['there is no WebSocket', { globals: { WebSocket: undefined } }],
    ['there is none that works', { globals: { WebSocket: function refused() { throw new Error('refused'); } } }],
    ['the transformer is `polling`', { transformer: 'polling' }]
  ]) {
    test(`does not happen when ${name}`, async () => {
      const { world, client, received } = await begin(settings);
      assert.strictEqual(world.sockets.length, 0);
      await world.the('GET').answer('4x');
      assert.deepStrictEqual(received, ['x']);
      assert.strictEqual(client.socket.transport.name, 'polling');
      assert.strictEqual(client.readyState, world.Primus.OPEN);
    });
  }
});

describe('a WebSocket from the start', () => {
  const ONLY = { transport: { transports: ['websocket'] } };
  const direct = (handshake, options = ONLY, settings = {}) => {
    const world = network({ transformer: 'engine.io', ...settings });
    const { client, events } = world.client({ ping: false, ...options });
    const received = [];
    client.on('data', (data) => received.push(data));
    client.on('error', (error) => { world.error = error; });
    if (handshake) {
      world.socket.accept();
      world.socket.message(`0${JSON.stringify(handshake)}`);
      events.length = 0;
    }
    return { world, client, events, received };
  };

  test('its address, and no request', () => {
    const { world, client } = direct(HANDSHAKE);
    assert.match(world.socket.url, /^ws:\/\/server\.example\/primus\/\?_primuscb=\d+-0&EIO=4&transport=websocket&t=0$/);
    assert.strictEqual(client.socket.id, 'S_-1');
    assert.strictEqual(client.readyState, world.Primus.OPEN);
    assert.strictEqual(world.requests.length, 0);
    assert.strictEqual(world.sockets.length, 1);
  });

  for (const [name, handshake, sent] of [['4', HANDSHAKE, [1, 255]], ['3', OLD, [4, 1, 255]]]) {
    test(`messages of revision ${name}`, () => {
      const { world, client, received } = direct(handshake);
      client.write('a\x1eé');
      client.write(new Uint8Array([1, 255]));
      assert.strictEqual(world.socket.sent[0], '4a\x1eé');
      assert.deepStrictEqual(bytes(world.socket.sent[1]), sent);
      world.socket.message('4b');
      world.socket.message(new Uint8Array(sent).buffer);
      assert.strictEqual(received[0], 'b');
      assert.deepStrictEqual(bytes(received[1]), [1, 255]);
    });

    test(`in base64, of revision ${name}`, () => {
      const { world, client } = direct(handshake, { transport: { transports: ['websocket'], forceBase64: true } });
      assert.match(world.socket.url, /&b64=1$/);
      client.write(new Uint8Array([1, 255]));
      assert.deepStrictEqual(world.socket.sent, [name === '4' ? 'bAf8=' : 'b4Af8=']);
    });
  }

  test('is given up when the server is silent', () => {
    const { world, events } = direct(HANDSHAKE);
    world.clock.advance(44000);
    world.socket.message('2');
    assert.deepStrictEqual(world.socket.sent, ['3']);
    world.clock.advance(44000);
    world.socket.message(new ArrayBuffer(1));
    world.clock.advance(44999);
    assert.ok(!events.includes('close'));
    world.clock.advance(1);
    assert.ok(events.includes('reconnecting'));
    assert.ok(world.socket.closed);
  });

  test('a frame that is no packet is the end', () => {
    const { world, events } = direct(HANDSHAKE);
    world.socket.message('hello');
    assert.match(world.error.message, /unknown packet/);
    assert.ok(world.socket.closed && events.includes('reconnecting'));
  });

  test('lost, refused, and closed by the server', () => {
    for (const [handshake, act, expected] of [
      [HANDSHAKE, (socket) => socket.drop(), ['readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled']],
      [HANDSHAKE, (socket) => socket.message('1'), ['readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled']],
      [null, (socket) => socket.drop({ message: '401' }), ['readyStateChange opening', 'error', 'reconnecting', 'reconnect scheduled']]
    ]) {
      const { world, events } = direct(handshake);
      act(world.socket);
      assert.deepStrictEqual(visible(events).filter((event) => event !== 'readyStateChange end' || handshake), expected);
    }
  });

  test('`websockets: false` is stronger', () => {
    const { world } = direct(null, { ...ONLY, websockets: false });
    assert.strictEqual(world.sockets.length, 0);
    assert.strictEqual(world.open('GET').length, 1);
  });

  test('without any WebSocket it is an error that says what to do', () => {
    const world = network({ transformer: 'engine.io', globals: { WebSocket: undefined } });
    const client = new world.Primus('http://server.example', { ...ONLY, strategy: false });
    let message;
    client.on('error', (error) => { message = error.message; });
    world.clock.advance(1);
    assert.match(message, /npm install ws/);
    assert.strictEqual(world.requests.length, 0);
  });
});
