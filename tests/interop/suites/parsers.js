'use strict';

/**
 * What depends on the parser, played with each: which values travel, that Primus's own messages are understood, and
 * what happens to messages that nobody can read.
 *
 * `carries` names the parsers for which a scenario makes sense. What an original cannot do with its parser is in
 * `needs`, for the pairs where that original takes part.
 */
(({ suite, check, equal, silence, staysGone, back, OPENED, CLOSED }, { describe, revive, PLAIN, NAMES, PROTO, FORMS, ASTRAL, WIDE, EXTREME }) => {
  const register = suite('parsers');
  const ALL = ['json', 'ejson', 'msgpack', 'binary', 'jsonh', 'orjson'];

  // Their messages are bytes.
  const bytesLost = (world) => (['msgpack', 'binary'].includes(world.parser) ? world.textOnly : undefined);

  function scenario(name, { carries = ALL, needs = () => undefined, ...settings }, play) {
    register(name, {
      ...settings,
      needs: (world) => bytesLost(world) ||
        (carries.includes(world.parser) ? needs(world) : 'this parser does not carry such values') || undefined
    }, play);
  }

  // --- who takes part ---

  const has = (world, party) => world.kind === party || world.about.server === party;
  const official = (world) => world.kind !== 'ours' || world.about.server !== 'python';

  // Its reader and writer for browsers are others than those for Node.
  const forBrowsers = (world) => world.parser === 'binary' && world.browser && world.kind !== 'ours';

  const LETTERS = 'the original jsonh sends a text as a list of its letters, so nobody understands Primus\'s own messages';
  const understood = (world) => (world.parser === 'jsonh' && official(world) ? LETTERS : undefined);

  /** A value as the parser can carry it: jsonh carries lists of objects. */
  function wrap(world, value) {
    return world.parser === 'jsonh' ? [{ v: value }] : value;
  }

  // --- values ---

  /**
   * Lets values travel from the client to the server, back to the client, and from the server as it makes them.
   *
   * Each of `cases` is {value} as values.js describes it, and what becomes of it: `up`, what the server gets; `down`, what
   * comes back, and what the client gets when the server sends `made`. What is not given is as `value`.
   */
  async function travel(world, cases) {
    const peer = await world.connected();
    const full = cases.map(({ value, up = value, down = value, made = value }) => ({ value, up, down, made }));
    for (const { value } of full) peer.client.write(wrap(world, revive(value)));
    const echoes = (await peer.messages(full.length)).map(describe);
    const { messages } = await peer.state();
    const sent = await peer.sent(full.map(({ made }) => wrap(world, made)));
    full.forEach(({ up, down }, n) => {
      equal(messages[n], wrap(world, up), `value ${n} on the server`);
      equal(echoes[n], wrap(world, down), `value ${n} back on the client`);
      equal(sent[n], wrap(world, down), `value ${n} from the server`);
    });
    equal([peer.count('error'), peer.count('close')], [0, 0], 'error, close');
  }

  const plain = (values) => values.map((value) => ({ value }));

  scenario('every JSON type and awkward text', {}, (world) => travel(world, plain(PLAIN)));

  scenario('objects with names that JavaScript itself gives', {
    needs: (world) => (world.parser === 'binary' && official(world) && 'the original binary asks objects for their constructor') ||
      (world.parser === 'ejson' && has(world, 'primus24') && 'EJSON 1.0 takes what has a length for a list') || undefined
  }, (world) => travel(world, plain(NAMES)));

  scenario('objects that look like something special of EJSON', {}, (world) => {
    const forms = world.parser === 'ejson' && has(world, 'primus24') ? FORMS.slice(0, -1) : FORMS;
    return travel(world, plain(forms));
  });

  scenario('a member called __proto__', {
    needs: (world) => (world.parser !== 'json' && official(world)
      ? 'the original copies members by assignment, and loses this one' : undefined)
  }, (world) => travel(world, plain(PROTO)));

  scenario('text beyond the basic multilingual plane', {
    needs: (world) => (forBrowsers(world) ? 'the original binary for browsers announces six bytes and sends four' : undefined)
  }, (world) => travel(world, plain(ASTRAL)));

  scenario('integers beyond 32 bits', {
    needs: (world) => (world.parser === 'binary' && official(world)
      ? 'the original binary sends them as 64-bit integers, and its reader for Node cannot read those' : undefined)
  }, (world) => travel(world, plain(WIDE)));

  scenario('the largest and the smallest numbers', {
    needs: (world) => (world.parser === 'binary' && official(world)
      ? 'the original binary sends whole numbers as integers, and none is that large' : undefined)
  }, (world) => travel(world, plain(EXTREME)));

  scenario('NaN and the infinities', {
    needs: (world) => (forBrowsers(world) ? 'the original binary for browsers sends 0 for NaN' : undefined)
  }, (world) => {
    const numbers = ['NaN', 'Infinity', '-Infinity'].map((kind) => ({ $js: kind }));
    const values = [...numbers, [numbers], { a: { b: numbers[1] } }];
    // the original binary takes infinity for an integer, and refuses it
    if (world.parser === 'binary' && official(world)) return travel(world, plain([numbers[0], [numbers[0]]]));
    if (['ejson', 'msgpack', 'binary'].includes(world.parser)) return travel(world, plain(values));
    return travel(world, numbers.map((value) => ({ value, up: null, down: null })));
  });

  const MOMENT = 1400000000123;

  scenario('dates, also nested', {}, async (world) => {
    const date = (ms) => ({ $js: 'Date', ms });
    if (['ejson', 'msgpack'].includes(world.parser)) {
      const dates = [MOMENT, 0, 1, -1, -62135596800000, 253402300799999, 2 ** 31 * 1000].map(date);
      return travel(world, plain([...dates, { at: dates }, [[dates[0]], { when: dates[1] }]]));
    }
    if (world.parser !== 'binary') {
      const text = '2014-05-13T16:53:20.123Z';
      return travel(world, [{ value: date(MOMENT), up: text, down: text }]);
    }
    // an English text, in the time zone of whoever sends it
    const peer = await world.connected();
    const texts = [await peer.ask(new Date(MOMENT)), ...(await peer.sent([new Date(MOMENT)]))];
    for (const text of texts) equal(Date.parse(text), Math.floor(MOMENT / 1000) * 1000, text);
    return undefined;
  });

  scenario('regular expressions, also nested', {
    carries: ['ejson', 'msgpack'],
    needs: (world) => (world.parser === 'ejson' && has(world, 'primus24') ? 'EJSON 1.0 has none' : undefined)
  }, (world) => {
    const regexps = [/a+b\/c/gi, /^é💩$/u, /^x$/m, /\d{2,3}|["\\\u2028]/, /[/]y/y].map(describe);
    return travel(world, plain([...regexps, { list: regexps }, [[regexps[0]]]]));
  });

  /** The kinds of bytes that the client can send, and what becomes of them. */
  function bytesCases(world, hex) {
    const { parser, kind, browser } = world;
    const python = world.about.server === 'python';
    const received = forBrowsers(world) ? 'ArrayBuffer' : browser ? 'Uint8Array' : 'Buffer';
    const kinds = {
      ejson: ['Uint8Array'],
      msgpack: ['Uint8Array', 'ArrayBuffer', 'DataView'],
      binary: kind === 'ours' || browser ? ['Uint8Array', 'ArrayBuffer'] : [] // the original has Buffers only
    }[parser];
    return [...kinds, ...(browser ? [] : ['Buffer'])].map((sent) => {
      const value = { $js: sent, hex };
      if (parser === 'ejson') return { value, up: { $js: python ? 'bytes' : 'Uint8Array', hex }, down: { $js: 'Uint8Array', hex } };
      const kept = parser === 'msgpack' && !python; // one JavaScript tells the other the kind
      const down = { $js: kept ? sent : received, hex };
      const made = parser === 'binary' ? { $js: 'bytes', hex } : value;
      return { value, up: { $js: python ? 'bytes' : kept ? sent : 'Buffer', hex }, down, made };
    });
  }

  scenario('bytes, also nested', { carries: ['ejson', 'msgpack', 'binary'] }, (world) => {
    const all = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join('');
    // the original binary fails for an empty Buffer
    const none = world.parser === 'binary' && official(world) ? [] : [''];
    const hexes = [...none, '00', 'ff', '0001feff', 'c0ffee'.repeat(5), all, all.repeat(300)];
    const cases = hexes.flatMap((hex) => bytesCases(world, hex));
    const nests = [(bytes) => ({ deep: [{ bytes }, bytes, 'text'] }), (bytes) => [[bytes], null]];
    const nested = nests.flatMap((nest) => bytesCases(world, '0102ff').map((one) =>
      Object.fromEntries(Object.entries(one).map(([what, bytes]) => [what, nest(bytes)]))));
    return travel(world, [...cases, ...nested]);
  });

  scenario('typed arrays and errors, also nested', { carries: ['msgpack'] }, (world) => {
    const hex = '000102037f8081fe000000000000e03f';
    const kinds = ['Int8', 'Int16', 'Uint16', 'Int32', 'Uint32', 'Float32', 'Float64'].map((name) => `${name}Array`);
    const values = [...kinds.map((kind) => ({ $js: kind, hex })), { $js: 'Error', name: 'Error', message: 'boom 💩' }];
    return travel(world, plain([...values, values, { values }]));
  });

  scenario('lists of objects', {}, async (world) => {
    const jsonh = world.parser === 'jsonh';
    const nested = { a: [1, { b: 2 }], c: { d: [] } };
    const cases = [
      [[{ a: 'A' }, { a: 'B' }]],
      [Array.from({ length: 50 }, (_, n) => ({ id: n, name: `n${n}`, tags: ['é', '\u2028'], flag: n % 2 === 0, none: null }))],
      [[nested, nested]],
      [[{ '': 1, 'a b': 2, clé: 3 }]],
      [[]],
      // the first row names the columns
      [[{ a: 1, b: 2 }, { a: 3 }], [{ a: 1, b: 2 }, { a: 3, b: null }]],
      [[{ a: 1 }, { a: 2, z: 9 }], [{ a: 1 }, { a: 2 }]]
    ];
    const peer = await world.connected();
    for (const [list] of cases) peer.client.write(list);
    const echoes = await peer.messages(cases.length);
    const { messages } = await peer.state();
    const sent = await peer.sent(cases.map(([list]) => list));
    cases.forEach(([list, packed = list], n) => {
      const expected = jsonh ? packed : list;
      equal(messages[n], expected, `list ${n} on the server`);
      equal(echoes[n], expected, `list ${n} back on the client`);
      equal(sent[n], expected, `list ${n} from the server`);
    });
  });

  // --- amounts ---

  const MIB = 1024 * 1024;
  const ROOM = 64; // bytes of a message for what the parser adds

  scenario('one mebibyte both ways', {}, async (world) => {
    const peer = await world.connected();
    for (const text of ['x'.repeat(MIB - ROOM), '€'.repeat((MIB - ROOM) / 3)]) {
      const answer = await peer.ask(wrap(world, text));
      check((world.parser === 'jsonh' ? answer[0].v : answer) === text, 'the text has changed');
    }
    if (['msgpack', 'binary'].includes(world.parser)) {
      const bytes = new Uint8Array(MIB - ROOM).fill(0xab);
      const { $js: kind } = bytesCases(world, '').pop().value;
      const answer = describe(await peer.ask(kind === 'Buffer' ? Buffer.from(bytes) : bytes));
      check(answer.hex === 'ab'.repeat(bytes.length), 'the bytes have changed');
    }
    equal(await peer.ask(wrap(world, 'still here')), wrap(world, 'still here'));
    equal(peer.count('close'), 0, 'close');
  });

  scenario('a burst of 1000 both ways, in order', {}, async (world) => {
    const peer = await world.connected();
    const messages = Array.from({ length: 1000 }, (_, n) => [{ n, pad: 'p'.repeat(n % 300) }]);
    for (const message of messages) peer.client.write(message);
    equal(await peer.messages(1000), messages, 'messages');
    equal((await peer.state()).received, 1000, 'received by the server');
    equal(await peer.sent(messages), messages, 'messages of the server');
  });

  scenario('broadcast', {}, async (world) => {
    const peers = [];
    for (let n = 0; n < 3; n++) peers.push(await world.connected());
    for (const peer of peers) await peer.state('connections', 1);
    const bytes = ['ejson', 'msgpack', 'binary'].includes(world.parser) ? [bytesCases(world, '00ff').pop()] : [];
    const cases = [...plain([{ to: 'all', text: 'é\u2028' }, 'two', null, [3]]), ...bytes];
    for (const { value, made = value } of cases) {
      const data = JSON.stringify(wrap(world, made));
      await world.get(`/control/broadcast?data=${encodeURIComponent(data)}`);
    }
    for (const peer of peers) {
      const got = (await peer.messages(cases.length)).map(describe);
      equal(got, cases.map(({ value, down = value }) => wrap(world, down)), 'broadcast');
    }
  });

  // --- Primus's own messages ---

  scenario('the id', { needs: understood }, async (world) => {
    const peer = await world.connected();
    const id = await peer.id();
    equal((await peer.state('connections', 1)).ids, [id], 'ids');
    equal(peer.count('data'), 0, 'data');
  });

  scenario('spark.end with data: data, then the end', { needs: understood }, async (world) => {
    const data = [{ bye: 'au revoir \u2028' }];
    const peer = await world.connected({ service: 'end_data' });
    equal(await peer.ask(data), data);
    await peer.event('end');
    equal(peer.trace, [...OPENED, 'data', ...world.dismissed, 'end'], 'events');
    await peer.state('ends', 1);
    await staysGone(peer);
  });

  scenario('spark.end with reconnect brings a new spark', {}, async (world) => {
    const peer = await world.connected({ service: 'end_reconnect' });
    peer.client.write(wrap(world, 'now'));
    await peer.event('open', 2);
    await peer.event('reconnected');
    equal(peer.trace, [...OPENED, ...world.dismissed, ...back(peer.generation)], 'events');
    const state = await peer.state('disconnections', 1);
    equal([state.connections, state.disconnections, state.open], [2, 1, 1], 'connections, disconnections, open');
  });

  scenario('client.end: its last words arrive', {
    needs: (world) => (world.forgetful ? 'this client forgets what it has not sent yet' : undefined)
  }, async (world) => {
    const peer = await world.connected({ service: 'silent' });
    peer.client.write(wrap(world, 'first'));
    peer.client.end(wrap(world, 'last words'));
    equal(peer.trace, [...OPENED, ...CLOSED, 'end'], 'events');
    const { messages } = await peer.state('ends', 1);
    equal(messages, ['first', 'last words'].map((text) => wrap(world, text)), 'messages');
  });

  const LONG = 3500; // ms: more than two timeouts of the servers that have one

  scenario('client pings keep an idle connection alive over two timeouts', {
    idle: 'alone', // the originals take long for a megabyte
    needs: (world) => (world.kind === 'primus8' && 'this client does not ping') ||
      (!world.about.answersPings && 'this server does not answer pings') || understood(world)
  }, async (world) => {
    const peer = await world.connected({ server: 'pinging', options: { ping: 400, pong: 3000 } });
    await silence(LONG);
    equal(peer.trace, OPENED, 'events');
    for (const name of ['outgoing::ping', 'incoming::pong']) {
      check(peer.count(name) >= 4, () => `${name}: only ${peer.count(name)}`);
    }
    equal((await peer.state()).received, 0, 'messages');
  });

  scenario('server pings keep an idle connection alive over two timeouts', {
    idle: 'alone', // the originals take long for a megabyte
    needs: (world) => (world.kind === 'primus24' && 'this client does not answer pings') ||
      (!world.about.serverPings && 'this server does not ping') || understood(world)
  }, async (world) => {
    const options = world.kind === 'ours' ? { ping: 25000, pingTimeout: 3000 } : { pingTimeout: 3000 };
    const peer = await world.connected({ server: 'pinged', options });
    await silence(LONG);
    equal(peer.trace, OPENED, 'events');
    const { received, heartbeats } = await peer.state();
    equal(received, 0, 'messages');
    check(heartbeats >= 3, () => `the server saw only ${heartbeats} heartbeats`);
    for (const name of ['incoming::ping', 'outgoing::pong']) {
      check(peer.count(name) >= 3, () => `${name}: only ${peer.count(name)}`);
    }
  });

  // --- errors ---

  const BROKEN_JSON = [{ text: '{"broken' }, { text: 'nonsense' }, { text: '[1,]' }];

  /** Frames that no reader of the parser can read. */
  const BROKEN = {
    json: BROKEN_JSON,
    orjson: BROKEN_JSON,
    ejson: [...BROKEN_JSON, { text: '{"$type":"nobody","$value":1}' }, { hex: 'ff00' }],
    jsonh: [...BROKEN_JSON, { text: 'null' }, { text: '[2,"a"]' }],
    msgpack: [{ hex: 'c1' }, { hex: 'a561' }, { hex: 'dcffff01' }, { hex: 'cb00' }, { text: 'hello' }],
    binary: [{ hex: 'b561' }, { hex: 'dcffff01' }, { hex: 'cb00' }, { text: 'hello' }]
  };

  scenario('an undecodable message from the server: error, the connection lives', {
    needs: (world) => (forBrowsers(world) ? 'the original binary for browsers reads on behind the end' : undefined)
  }, async (world) => {
    const peer = await world.connected();
    await peer.state('connections', 1);
    const broken = BROKEN[world.parser].filter(({ hex }) => !(hex && world.textOnly));
    for (const frame of broken) await peer.sentRaw(frame);
    equal(await peer.ask(wrap(world, 'after')), wrap(world, 'after'));
    equal(peer.count('error'), broken.length, 'errors');
    for (const [error] of peer.seen.get('error')) check(typeof error.message === 'string', 'an error without message');
    equal([peer.count('data'), peer.count('close')], [1, 0], 'data, close');
  });

  scenario('an undecodable message from the client: error on the spark, the connection lives', {}, async (world) => {
    const peer = await world.connected();
    const broken = BROKEN[world.parser].filter(({ hex }) => !(hex && world.textOnly));
    for (const { text, hex } of broken) peer.client.socket.send(hex ? revive({ $js: 'Uint8Array', hex }) : text);
    equal(await peer.ask(wrap(world, 'after')), wrap(world, 'after'));
    const state = await peer.state('errors', broken.length);
    equal([state.errors.length, state.received], [broken.length, 1], 'errors, messages');
    equal(peer.count('close'), 0, 'close');
  });

  scenario('what cannot be encoded: error, the connection lives', {}, async (world) => {
    const peer = await world.connected();
    peer.client.write(wrap(world, BigInt(1)));
    await peer.event('error');
    equal(await peer.ask(wrap(world, 'after')), wrap(world, 'after'));
    equal([peer.count('error'), (await peer.state()).received, peer.count('close')], [1, 1, 0], 'errors, messages, close');
  });

  scenario('the spec names the parser', {
    needs: (world) => (world.browser ? 'the page is of another origin' : undefined)
  }, async (world) => {
    const { parser } = await world.get('/primus/spec');
    const given = world.parser === 'msgpack' && world.about.server === 'primus24' ? 'custom' : world.parser;
    equal(parser, given === 'orjson' ? 'json' : given, 'parser');
  });
})(
  typeof module === 'object' ? require('../harness') : globalThis.InteropHarness,
  typeof module === 'object' ? require('../values') : globalThis.InteropValues
);
