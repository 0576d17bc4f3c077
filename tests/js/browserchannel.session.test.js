'use strict';

// What a session of BrowserChannel sends and when, over a network and with a clock that belong to the test.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { visible } = require('./support/browser');
const { network, turn } = require('./support/network');

const LOST = ['error', 'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled'];
const LEFT = ['readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled'];
const NEVER = ['readyStateChange opening', 'error', 'readyStateChange end', 'close', 'end'];
const OPENING = [0, ['c', 'S_-1', null, 8]];

const chunk = (...arrays) => {
  const text = `${JSON.stringify(arrays)}\n`;
  return `${text.length}\n${text}`;
};
const status = (...items) => `${JSON.stringify(items).length}\n${JSON.stringify(items)}`;

/** A client that has asked for the first phase of the test; it pings never. */
function begun({ options, url, ...settings } = {}) {
  const world = network({ transformer: 'browserchannel', ...settings });
  const { client, events } = world.client({ ping: false, ...options }, url);
  const received = [];
  client.on('data', (data) => received.push(data));
  client.on('error', (error) => { world.error = error; });
  return { world, client, events, received };
}

/** One whose session is being made. */
async function tested({ phase1 = '[null,null]', buffered = false, ...settings } = {}) {
  const made = begun(settings);
  const { world } = made;
  await world.the('GET').answer(phase1);
  if (buffered) await world.the('GET').answer('111112');
  else await world.the('GET').piece('11111');
  return made;
}

/** One that is open. */
async function session({ answer = chunk(OPENING), ...settings } = {}) {
  const made = await tested(settings);
  await made.world.the('POST').answer(answer);
  assert.strictEqual(made.client.readyState, made.world.Primus.OPEN);
  made.events.length = 0;
  return made;
}

const parameters = (request, ...names) => names.map((name) => request.query.get(name));
const form = (request) => Object.fromEntries(new URLSearchParams(request.body));

describe('the test phase', () => {
  test('addresses, with Primus\'s query on each', async () => {
    const { world, client } = await tested({ url: 'https://server.example:81/?foo=b%20r', options: { transport: { appVersion: '1 2' } } });
    await world.the('POST').answer(chunk(OPENING));
    client.write('x');
    await turn();
    await world.the('POST').answer(status(1, 0, 0));
    client.write('y');
    await turn();
    const urls = world.requests.map(({ url }) => url.replace(/_primuscb=\d+/, '_primuscb=M'));
    const base = 'https://server.example:81/primus';
    const query = 'foo=b%20r&_primuscb=M-0&VER=8';
    assert.deepStrictEqual(urls, [
      `${base}/test?${query}&MODE=init&t=0`,
      `${base}/test?${query}&TYPE=xmlhttp&t=1`,
      `${base}/bind?${query}&RID=50000&CVER=1%202&t=2`,
      `${base}/bind?${query}&SID=S_-1&AID=0&RID=rpc&CI=0&TYPE=xmlhttp&t=3`,
      `${base}/bind?${query}&SID=S_-1&AID=0&RID=50001&t=4`,
      `${base}/bind?${query}&SID=S_-1&AID=0&RID=50002&t=5`
    ]);
    assert.deepStrictEqual(world.requests.map(({ body }) => body),
      [undefined, undefined, 'count=0', undefined, 'count=1&ofs=0&req0__S=x', 'count=1&ofs=1&req0__S=y']);
    assert.strictEqual(world.requests[2].headers['Content-Type'], 'application/x-www-form-urlencoded');
  });

  test('an answer in pieces: it streams, and the rest is not waited for', async () => {
    const { world, client } = await tested();
    assert.ok(world.requests[1].signal.aborted);
    assert.strictEqual(client.socket.transport.name, 'streaming');
  });

  test('the first piece in two', async () => {
    const { world } = begun();
    await world.the('GET').answer('[null,null]');
    await world.the('GET').piece('1');
    assert.strictEqual(world.open('POST').length, 0);
    await world.the('GET').piece('1111');
    assert.strictEqual(world.open('POST').length, 1);
  });

  test('an answer as a whole: something keeps it, so it polls', async () => {
    const { world, client } = await session({ buffered: true });
    assert.strictEqual(client.socket.transport.name, 'long-polling');
    assert.deepStrictEqual(parameters(world.the('GET'), 'CI'), ['1']);
  });

  test('both pieces at once mean the same', async () => {
    const { world, client } = begun();
    await world.the('GET').answer('[null,null]');
    await world.the('GET').piece('111112');
    await world.the('GET').end();
    assert.strictEqual(client.socket.transport.name, 'long-polling');
  });

  test('`streaming: false` asks for no second phase', async () => {
    const { world, client } = begun({ options: { transport: { streaming: false } } });
    await world.the('GET').answer('[null,null]');
    assert.strictEqual(world.open('GET').length, 0);
    assert.strictEqual(world.open('POST').length, 1);
    assert.strictEqual(client.socket.transport.name, 'long-polling');
  });

  test('a host prefix is for GETs, and the one of the session counts in the end', async () => {
    const { world, client } = begun({ url: 'http://server.example:81' });
    await world.the('GET').answer('["one",null]');
    assert.strictEqual(new URL(world.the('GET').url).host, 'one.server.example:81');
    await world.the('GET').piece('11111');
    assert.strictEqual(new URL(world.the('POST').url).host, 'server.example:81');
    await world.the('POST').answer(chunk([0, ['c', 'S', 'two', 8]]));
    assert.strictEqual(new URL(world.the('GET').url).host, 'two.server.example:81');
    client.write('x');
    await turn();
    assert.strictEqual(new URL(world.the('POST').url).host, 'server.example:81');
    client.end();
    assert.strictEqual(world.requests.filter(({ url }) => new URL(url).host !== 'server.example:81').length, 2);
  });

  for (const [name, spoil, message] of [
    ['phase 1 is refused', (world) => world.the('GET').answer('', 400), /400/],
    ['phase 1 is nonsense', (world) => world.the('GET').answer('<html>'), /JSON/],
    ['phase 1 is null', (world) => world.the('GET').answer('null'), /./],
    ['phase 2 is refused', async (world) => { await world.the('GET').answer('[null,null]'); await world.the('GET').answer('', 400); }, /400/],
    ['there is no network', (world) => world.the('GET').fail('Failed to fetch'), /Failed to fetch/]
  ]) {
    test(`${name}: an error, and nothing is left`, async () => {
      const { world, events } = begun({ options: { strategy: false } });
      await spoil(world);
      assert.match(world.error.message, message);
      assert.deepStrictEqual(visible(events), NEVER);
      assert.strictEqual(world.open().length, 0);
      assert.strictEqual(world.clock.timers.size, 0);
    });
  }

  for (const [name, answer, code] of [
    ['is refused', ['', 403], undefined],
    ['has no session', [chunk([0, ['noop']])], 10],
    ['is cut off', ['30\n[[0,["c"'], 10],
    ['has no length', ['hello\n'], 10],
    ['is nonsense', ['2\n[\n'], undefined]
  ]) {
    test(`a session whose first answer ${name}: no second try`, async () => {
      const { world, events } = await tested({ options: { strategy: false } });
      await world.the('POST').answer(...answer);
      assert.strictEqual(world.error.code, code);
      assert.deepStrictEqual(visible(events), NEVER);
      assert.strictEqual(world.open().length, 0);
    });
  }
});

describe('what comes', () => {
  test('messages with the first answer', async () => {
    const { received, world } = await session({ answer: chunk(OPENING, [1, 'first']) });
    assert.deepStrictEqual(received, ['first']);
    assert.deepStrictEqual(parameters(world.the('GET'), 'SID', 'AID'), ['S_-1', '1']);
  });

  test('streams, in chunks', async () => {
    const { world, received } = await session();
    await world.the('GET').piece(chunk([1, 'a'], [2, ['noop']], [3, '\u{1f600}\u2028']) + chunk([4, '']));
    await world.the('GET').piece(chunk([5, 'primus::binary::AP8=']));
    assert.deepStrictEqual(received.slice(0, 3), ['a', '\u{1f600}\u2028', '']);
    assert.deepStrictEqual(Array.from(new Uint8Array(received[3])), [0, 255]);
    await world.the('GET').end();
    assert.deepStrictEqual(parameters(world.the('GET'), 'AID'), ['5']);
  });

  test('cut anywhere', async () => {
    const text = Buffer.from(chunk([1, 'é€\u{1f600}\n'], [2, 'b']) + chunk([3, 'c']));
    for (let at = 1; at < text.length; at++) {
      const { world, received } = await session();
      await world.the('GET').piece(text.subarray(0, at));
      await world.the('GET').piece(text.subarray(at));
      assert.deepStrictEqual(received, ['é€\u{1f600}\n', 'b', 'c']);
    }
  });

  test('polls, one chunk each', async () => {
    const { world, received } = await session({ buffered: true });
    await world.the('GET').answer(chunk([1, 'a'], [2, 'b']));
    await world.the('GET').answer(chunk([3, 'c']));
    assert.deepStrictEqual(received, ['a', 'b', 'c']);
    assert.deepStrictEqual(parameters(world.the('GET'), 'AID', 'CI'), ['3', '1']);
  });

  test('what comes again is not taken again', async () => {
    const { world, received } = await session({ buffered: true });
    await world.the('GET').answer(chunk([1, 'a'], [2, 'b']));
    await world.the('GET').answer(chunk([1, 'a'], [2, 'b'], [3, 'c']));
    assert.deepStrictEqual(received, ['a', 'b', 'c']);
  });

  test('a listener that ends the client ends the reading', async () => {
    const { world, client, received } = await session();
    client.on('data', () => client.end());
    await world.the('GET').piece(chunk([1, 'a'], [2, 'b']) + chunk([3, 'c']));
    assert.deepStrictEqual(received, ['a']);
  });
});

describe('a GET that fails', () => {
  for (const [name, spoil] of [
    ['breaks', (request) => request.fail('Failed to fetch')],
    ['is refused', (request) => request.answer('', 502)],
    ['brings nothing', (request) => request.answer('')],
    ['brings nonsense', (request) => request.answer('hello\n')],
    ['brings half of it', (request) => request.answer('30\n[[1,')]
  ]) {
    test(`because it ${name} is repeated three times, at growing intervals`, async () => {
      const { world, events } = await session({ buffered: true });
      // Of 5 to 15 seconds, with dice that always show the middle.
      for (const pause of [1, 10000, 20000]) {
        await spoil(world.the('GET'));
        world.clock.advance(pause - 1);
        assert.strictEqual(world.open().length, 0);
        world.clock.advance(1);
        assert.deepStrictEqual(parameters(world.the('GET'), 'RID', 'AID'), ['rpc', '0']);
      }
      assert.deepStrictEqual(visible(events), []);
      await spoil(world.the('GET'));
      assert.deepStrictEqual(visible(events), LOST);
      assert.strictEqual(world.open().length, 0);
    });
  }

  test('half way through a stream, with the same acknowledgement; what came counts', async () => {
    const { world, received } = await session();
    for (let round = 1; round < 10; round++) {
      await world.the('GET').piece(chunk([round, String(round)]));
      await world.the('GET').piece('20\n[[');
      await world.the('GET').fail('Failed to fetch');
      world.clock.advance(1);
      assert.deepStrictEqual(parameters(world.the('GET'), 'AID'), [String(round)]);
    }
    assert.deepStrictEqual(received, ['1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  test('nonsense in a stream: it is dropped', async () => {
    const { world } = await session();
    const get = world.the('GET');
    await get.piece('hello\n');
    assert.ok(get.signal.aborted);
    world.clock.advance(1);
    await world.the('GET').piece(chunk([1, 'a']));
  });

  test('the session is unknown: at once', async () => {
    for (const method of ['GET', 'POST']) {
      const { world, client, events } = await session();
      client.write('x');
      await turn();
      if (method === 'GET') {
        await world.the('GET').fail('Failed to fetch');
        world.clock.advance(1);
      }
      await world.the(method).answer('<html><body><h1>Unknown SID</h1></body></html>', 400);
      assert.deepStrictEqual([world.error.code, world.error.message], [6, 'Unknown session ID']);
      assert.deepStrictEqual(visible(events), LOST);
      assert.strictEqual(world.open().length, 0);
      world.clock.advance(500);
      assert.deepStrictEqual(parameters(world.the('GET'), 'MODE'), ['init']);
    }
  });

  test('silence for 45 seconds', async () => {
    const { world, events } = await session();
    world.clock.advance(44000);
    await world.the('GET').piece(chunk([1, ['noop']]));
    world.clock.advance(44999);
    const get = world.the('GET');
    assert.ok(!get.signal.aborted);
    world.clock.advance(1);
    assert.ok(get.signal.aborted);
    world.clock.advance(1);
    await turn();
    assert.deepStrictEqual(parameters(world.the('GET'), 'AID'), ['1']);
    assert.deepStrictEqual(visible(events), []);
  });
});

describe('what goes', () => {
  test('one POST at a time, with what was written meanwhile', async () => {
    const { world, client } = await session();
    for (const text of ['a b', 'é&=\n', '']) client.write(text);
    client.write(new Uint8Array([0, 255]));
    await turn();
    assert.deepStrictEqual(form(world.the('POST')),
      { count: '4', ofs: '0', req0__S: 'a b', req1__S: 'é&=\n', req2__S: '', req3__S: 'primus::binary::AP8=' });
    client.write('c');
    await turn();
    await world.the('POST').answer(status(1, 0, 0));
    assert.deepStrictEqual(form(world.the('POST')), { count: '1', ofs: '4', req0__S: 'c' });
    assert.deepStrictEqual(parameters(world.the('POST'), 'RID'), ['50002']);
    await world.the('POST').answer(status(1, 0, 0));
    assert.strictEqual(world.open('POST').length, 0);
  });

  test('no more than servers take', async () => {
    const { world, client } = await session();
    const texts = ['x'.repeat(600000), '€'.repeat(50000), 'y', 'z'.repeat(2000000), ...Array(1500).fill('')];
    for (const text of texts) client.write(text);
    await turn();
    const counts = [];
    const back = [];
    while (world.open('POST').length) {
      const { count, ofs, ...maps } = form(world.the('POST'));
      assert.strictEqual(Number(ofs), back.length);
      counts.push(Number(count));
      back.push(...Object.values(maps));
      await world.the('POST').answer(status(1, 0, 0));
    }
    assert.deepStrictEqual(back, texts);
    assert.deepStrictEqual(counts, [1, 2, 1, 1000, 500]);
  });

  test('a POST that fails is repeated twice, with its number and those of its messages', async () => {
    for (const spoil of [(request) => request.fail('Failed to fetch'), (request) => request.answer('', 502)]) {
      const { world, client, events } = await session();
      client.write('a');
      await turn();
      client.write('b');
      for (const pause of [1, 10000]) {
        await spoil(world.the('POST'));
        world.clock.advance(pause);
        assert.deepStrictEqual(form(world.the('POST')), { count: '1', ofs: '0', req0__S: 'a' });
        assert.deepStrictEqual(parameters(world.the('POST'), 'RID'), ['50001']);
      }
      assert.deepStrictEqual(visible(events), []);
      await spoil(world.the('POST'));
      assert.deepStrictEqual(visible(events), LOST);
      assert.strictEqual(world.open().length, 0);
    }
  });

  test('the count begins anew when one has arrived', async () => {
    const { world, client, events } = await session();
    for (let round = 0; round < 5; round++) {
      client.write('a');
      await turn();
      await world.the('POST').fail('Failed to fetch');
      world.clock.advance(1);
      await world.the('POST').answer(status(1, 0, 0));
    }
    assert.deepStrictEqual(visible(events), []);
  });

  test('`failFast` repeats none', async () => {
    const { world, client, events } = await session({ options: { transport: { failFast: true } } });
    client.write('a');
    await turn();
    await world.the('POST').fail('Failed to fetch');
    assert.deepStrictEqual(visible(events), LOST);
  });

  test('one that is not answered in 10 to 20 seconds has failed', async () => {
    const { world, client } = await session();
    client.write('a');
    await turn();
    const post = world.the('POST');
    world.clock.advance(14999);
    assert.ok(!post.signal.aborted);
    world.clock.advance(1);
    assert.ok(post.signal.aborted);
    world.clock.advance(1);
    await turn();
    assert.deepStrictEqual(form(world.the('POST')), { count: '1', ofs: '0', req0__S: 'a' });
    await world.the('POST').answer(status(1, 0, 0));
    world.clock.advance(20000);
    await turn();
    assert.strictEqual(world.open('POST').length, 0);
    assert.deepStrictEqual(world.clock.uncaught, []);
  });

  test('an answer that is none', async () => {
    for (const body of ['7\n[0,0]', '4\nnull', 'hello', '']) {
      const { world, client, events } = await session();
      client.write('a');
      await turn();
      await world.the('POST').answer(body);
      assert.deepStrictEqual(visible(events), LOST, body);
      assert.strictEqual(world.open().length, 0);
    }
  });

  describe('tells of the GET', () => {
    /** A session whose POST, begun after so many ms, is answered so. */
    const told = async (ms, ...items) => {
      const made = await session();
      const get = made.world.the('GET');
      made.world.clock.advance(ms);
      made.client.write('a');
      await turn();
      await made.world.the('POST').answer(status(...items));
      return { ...made, get };
    };

    test('that the server has none: it is lost, unless it is young', async () => {
      for (const [ms, lost] of [[3000, false], [3001, true]]) {
        const { world, get } = await told(ms, 0, 0, 0);
        assert.strictEqual(get.signal.aborted, lost);
        world.clock.advance(1);
        await turn();
        assert.strictEqual(world.open('GET').length, 1);
      }
    });

    test('that something should have come: it has 6 seconds', async () => {
      const { world, get } = await told(0, 1, 2, 30);
      world.clock.advance(5999);
      assert.ok(!get.signal.aborted);
      world.clock.advance(1);
      assert.ok(get.signal.aborted);
    });

    test('that it should have come, once more: it has no more time', async () => {
      const { world, client, get } = await told(0, 1, 2, 30);
      world.clock.advance(3000);
      client.write('b');
      await turn();
      await world.the('POST').answer(status(1, 2, 30));
      world.clock.advance(2999);
      assert.ok(!get.signal.aborted);
      world.clock.advance(1);
      assert.ok(get.signal.aborted);
    });

    test('and when it breaks, that is one failure', async () => {
      const { world, client, get } = await told(0, 1, 0, 0);
      await get.fail('Failed to fetch');
      world.clock.advance(1);
      client.write('b');
      await turn();
      await world.the('POST').answer(status(1, 2, 30));
      await world.the('GET').fail('Failed to fetch');
      world.clock.advance(9999);
      assert.strictEqual(world.open().length, 0);
      world.clock.advance(1);
      assert.strictEqual(world.open('GET').length, 1);
    });

    test('and when it breaks after a long silence too', async () => {
      const { world, get } = await told(0, 1, 0, 0);
      await get.fail('Failed to fetch');
      world.clock.advance(1);
      world.clock.advance(44000);
      await world.the('GET').fail('Failed to fetch');
      world.clock.advance(10000);
      await world.the('GET').fail('Failed to fetch');
      world.clock.advance(20000);
      assert.strictEqual(world.open('GET').length, 1);
    });

    test('nothing any more when we are leaving', async () => {
      const { world, client } = await session();
      world.clock.advance(5000);
      client.end('a');
      await world.the('POST').answer(status(0, 0, 0));
      world.clock.advance(1);
      assert.deepStrictEqual(world.open().map((request) => request.query.get('TYPE')), ['xmlhttp', 'terminate']);
    });

    for (const [name, items] of [['nothing is missing', [1, 0, 30]], ['much is on its way', [1, 2, 37500]]]) {
      test(`that ${name}: it is left alone`, async () => {
        const { world, get } = await told(0, ...items);
        world.clock.advance(7000);
        assert.ok(!get.signal.aborted);
      });
    }

    test('and when something comes, all is well', async () => {
      const { world, get } = await told(0, 1, 1, 30);
      await world.the('GET').piece(chunk([1, 'x']));
      world.clock.advance(7000);
      assert.ok(!get.signal.aborted);
    });
  });
});

describe('the end', () => {
  test('by us: what was written leaves, then the server is told, then the GET is dropped', async () => {
    const { world, client, events } = await session();
    client.write('a');
    await turn();
    client.end('b');
    assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'end']);
    const get = world.the('GET');
    await world.the('POST').answer(status(1, 0, 0));
    assert.deepStrictEqual(form(world.the('POST')), { count: '1', ofs: '1', req0__S: 'b' });
    await world.the('POST').answer(status(1, 0, 0));
    const goodbye = world.open('GET').find((request) => request !== get);
    assert.deepStrictEqual(parameters(goodbye, 'SID', 'RID', 'TYPE'), ['S_-1', '50003', 'terminate']);
    assert.ok(!get.signal.aborted);
    await goodbye.answer('');
    assert.ok(get.signal.aborted);
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('not for ever', async () => {
    const { world, client } = await session();
    client.end('b');
    world.clock.advance(5000);
    await turn();
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('while the session is being made: it is waited for, and ended', async () => {
    const { world, client, events } = await tested();
    client.end();
    assert.ok(events.includes('end'));
    await world.the('POST').answer(chunk(OPENING, [1, 'x']));
    assert.deepStrictEqual(parameters(world.the(), 'SID', 'TYPE'), ['S_-1', 'terminate']);
    assert.ok(!events.includes('open'));
    await world.the().answer('');
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('while it is being made, and is not', async () => {
    const { world, client } = await tested();
    client.end();
    await world.the('POST').fail('Failed to fetch');
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('in the test phase', async () => {
    const { world, client } = begun();
    client.end();
    await turn();
    assert.strictEqual(world.open().length, 0);
    assert.strictEqual(world.clock.timers.size, 0);
  });

  test('by the server: no error, and its session is ended too', async () => {
    const { world, events, received } = await session();
    await world.the('GET').piece(chunk([1, 'bye'], [2, ['stop']], [3, 'never']));
    assert.deepStrictEqual(received, ['bye']);
    assert.deepStrictEqual(visible(events), ['data bye', ...LEFT]);
    assert.strictEqual(world.error, undefined);
    const goodbye = world.open('GET').find((request) => request.query.get('TYPE') === 'terminate');
    await goodbye.answer('');
    assert.strictEqual(world.open().length, 0);
  });

  test('nothing is sent afterwards', async () => {
    const { world, client } = await session();
    const { socket } = client;
    client.end();
    socket.send('too late');
    await turn();
    assert.strictEqual(world.open('POST').length, 0);
  });
});
