'use strict';

/** Connections, messages, ends, reconnects, heartbeats and errors, with the parser `json`: played by every pair. */
(({ suite, check, equal, show, silence, staysGone, onlyOne, back, OPENED, CLOSED, LIMIT }) => {
  const scenario = suite('connections');

  // --- connect, messages ---

  scenario('connects', async (world) => {
    const peer = await world.connected();
    const state = await peer.state('connections', 1);
    equal(state.open, 1, 'open sparks');
    equal(peer.client.readyState, 3, 'readyState');
    equal(peer.trace, ['readyStateChange opening', 'readyStateChange open', 'open'], 'events');
    equal(peer.count('outgoing::open'), 1, 'outgoing::open');
    // for BCSocket, 2.4 makes the address with a query and without
    equal(peer.count('outgoing::url'), world.bcsocket && world.generation === 2 ? 2 : 1, 'outgoing::url');
    equal(peer.count('incoming::open'), 1, 'incoming::open');
    if (peer.generation === 2) {
      // the time that opening took; 8 has no latency
      check(peer.client.latency >= 0 && peer.client.latency < LIMIT, () => `latency ${peer.client.latency}`);
    }
  });

  scenario('connects only when told to, with `manual`', async (world) => {
    const peer = world.peer({ options: { manual: true } });
    await silence(100);
    equal(peer.trace, [], 'events before open()');
    equal((await peer.state()).connections, 0, 'connections');
    peer.client.open();
    await peer.event('open');
    equal(await peer.ask('hello'), 'hello');
  });

  const nested = (depth, make) => Array.from({ length: depth }).reduce((inner) => make(inner), make());
  const CONTROLS = Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)).join('');
  const VALUES = [
    null, true, false, 0, -0, 1, -1, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, -(2 ** 53), 2 ** 53 - 1,
    0.1, -0.5, 0.1 + 0.2, 1e300, -1e300, 5e-324, 1.7976931348623157e308, 1e21, 1e-7, 123456789.12345679,
    '', ' ', 'a', '"', '\\', '\\\\"', '/', '</script>', '\\u0041', '\u0000', CONTROLS, '\u007f\u0080\u009f', '\r\n\t',
    'é', 'e\u0301', 'ß', '€', '日本語', 'שלום', '💩', '👩‍👩‍👧‍👦', '\u{10ffff}', 'a💩b\u2028c€d',
    '\u2028', '\u2029', 'x\u2028\u2029\u2028y', '\\u2028', '\ufeff', '\ufeffabc', 'abc\ufeff', '\ufffd', '\uffff', '\ufdd0',
    'null', 'true', '0', '[]', '{}', 'undefined', 'NaN', '1e5', '2026-11-22T00:00:00.000Z', '"quoted"',
    [], {}, [[]], [{}], [[], [[]], {}, { a: [] }], { a: {}, b: [], c: null }, [null, null], [1, 'a', null, true, { b: [2] }],
    nested(100, (inner) => (inner ? [inner] : [])), nested(100, (inner) => (inner ? { inner } : {})),
    { '': '' }, { clé: 'é', '💩': 1, '\u2028': 2, 'a.b': 3, '0': 4, constructor: 5, toString: 6, '\u0000': 7 },
    JSON.parse('{"__proto__": {"x": 1}, "hasOwnProperty": 2}'),
    { ['k'.repeat(70000)]: 'v'.repeat(70000) },
    Array.from({ length: 5000 }, (_, n) => n * 1.5), { event: 'chat', args: ['hi', { to: ['a', 'b'] }], id: 17 }
  ];

  scenario('echo of every JSON type and awkward text', async (world) => {
    const peer = await world.connected();
    for (const value of VALUES) peer.client.write(value);
    const answers = await peer.messages(VALUES.length);
    // JSON has one zero, so -0 comes back as 0; anything else as it was
    VALUES.forEach((value, n) => equal(answers[n], value === 0 ? 0 : value, `value ${n}`));
  });

  scenario('the server decodes what the client meant', async (world) => {
    // the echo alone would hide two errors that cancel out: here a JSON library that is not Primus's answers
    const peer = await world.connected({ service: 'stringify' });
    for (const value of VALUES) peer.client.write(value);
    const answers = await peer.messages(VALUES.length);
    VALUES.forEach((value, n) => equal(JSON.parse(answers[n]), value === 0 ? 0 : value, `value ${n}`));
  });

  scenario('the client decodes what the server meant', async (world) => {
    const texts = [...VALUES.map((value) => JSON.stringify(value)), '-0', '-0.0', '1E5', '1.0', '1e400', '-1e400',
      '9007199254740993', '12345678901234567890', '123456789012345678901234567890', '{"a":1,"a":2}', '"\\ud83d\\udca9"'];
    const peer = await world.connected({ service: 'parse' });
    for (const text of texts) peer.client.write(text);
    const answers = await peer.messages(texts.length);
    texts.forEach((text, n) => {
      const value = JSON.parse(text);
      const expected = value === Infinity || value === -Infinity ? null : value; // as JSON.stringify has it
      equal(answers[n] === 0 ? 0 : answers[n], expected === 0 ? 0 : expected, `text ${n}`);
    });
  });

  scenario('half a surrogate pair passes unharmed', async (world) => {
    const peer = await world.connected();
    for (const text of ['\ud800', 'a\udc00b', '\udca9\ud83d', '\ud83d']) equal(await peer.ask(text), text);
    equal(await peer.ask({ '\ud800': '\udfff' }), { '\ud800': '\udfff' });
  });

  scenario('text that only looks like a protocol message is data', async (world) => {
    const texts = ['primus', 'primus:', 'primus::', 'primus::x', 'primus::foo::bar', 'primus::foo:bar', 'primus::server::close',
      'Primus::id::', ' primus::id::', 'primus:id:', 'xprimus::ping::1', '"primus::ping::1"'];
    const up = await world.connected({ service: 'stringify' });
    for (const text of texts) equal(JSON.parse(await up.ask(text)), text, 'to the server');
    const wrapped = [['primus::ping::1'], { 'primus::pong::1': 'primus::server::close' }];
    for (const value of wrapped) equal(JSON.parse(await up.ask(value)), value, 'to the server');

    const down = await world.connected({ service: 'parse' });
    for (const text of texts.filter((item) => item !== 'primus::server::close')) {
      equal(await down.ask(JSON.stringify(text)), text, 'to the client');
    }
    for (const value of wrapped) equal(await down.ask(JSON.stringify(value)), value, 'to the client');
    equal([up.count('close'), down.count('close')], [0, 0], 'closed');
  });

  const MIB = 1024 * 1024;

  scenario('one mebibyte both ways', async (world) => {
    const peer = await world.connected();
    const ascii = 'x'.repeat(MIB - 2); // with its quotes exactly the default limit of our server
    check((await peer.ask(ascii)) === ascii, 'ASCII text changed');
    const wide = '€'.repeat(Math.floor((MIB - 2) / 3));
    check((await peer.ask(wide)) === wide, 'three-byte text changed');
    const astral = '💩'.repeat(Math.floor((MIB - 2) / 12));
    check((await peer.ask(astral)) === astral, 'astral text changed');
    equal(await peer.ask('still here'), 'still here');
    equal(peer.count('close'), 0, 'close');
  });

  scenario('a message over the limit ends the connection, a WebSocket with 1009', {
    needs: (world) => {
      const some = world.about.server === 'python' || !(world.text && world.polls); // of the originals
      return world.about.maxLength && some ? undefined : 'this server has no limit';
    }
  }, async (world) => {
    const peer = await world.connected();
    const code = world.session ? undefined : peer.closeCode();
    peer.client.write('x'.repeat(world.about.maxLength - 1)); // with its quotes one byte too many
    if (code) equal(await code, 1009, 'close code');
    await peer.event('close');
    // the original of Engine.IO refuses the request, and keeps the session until its heartbeat is missed
    if (!world.engine || world.about.server === 'python') await peer.state('disconnections', 1);
    const other = await world.connected();
    equal(await other.ask('alive'), 'alive');
  });

  scenario('a large message from the server', async (world) => {
    const peer = await world.connected({ service: 'amplify' });
    for (const size of [125, 126, 65533, 65534, 65535, 4 * MIB]) {
      const text = await peer.ask(size);
      check(text === 'x'.repeat(size), () => `${size} characters came as ${text.length}`);
    }
  });

  scenario('a burst of 1000 both ways, in order', async (world) => {
    const peer = await world.connected();
    const sent = Array.from({ length: 1000 }, (_, n) => ({ n, pad: 'p'.repeat(n % 300) }));
    for (const message of sent) peer.client.write(message);
    const answers = await peer.messages(1000);
    sent.forEach((message, n) => equal(answers[n], message, `message ${n}`));
    equal((await peer.state()).received, 1000, 'received by the server');
  });

  scenario('a burst of 1000 from the server, in order', async (world) => {
    const peer = await world.connected({ service: 'burst' });
    peer.client.write(1000);
    equal(await peer.messages(1000), Array.from({ length: 1000 }, (_, n) => n));
  });

  scenario('writes before the connection is open wait for it, in order', async (world) => {
    const peer = world.peer();
    for (const text of ['one', 'two', 'three']) equal(peer.client.write(text), true, 'write()');
    peer.client.on('open', () => peer.client.write('four'));
    const answers = await peer.messages(4);
    // 2.4 and 8 disagree on whether `open` comes before or after the queue; nothing may overtake what was queued first
    equal(answers.filter((text) => text !== 'four'), ['one', 'two', 'three']);
    check(answers.includes('four'), 'what the open listener wrote is lost');
  });

  scenario('queueSize keeps the newest writes', async (world) => {
    const peer = world.peer({ options: { queueSize: 2 } });
    for (const text of ['one', 'two', 'three', 'four']) peer.client.write(text);
    equal(await peer.messages(2), ['three', 'four']);
    equal(await peer.ask('five'), 'five');
  });

  scenario('a binary frame harms nobody', {
    needs: (world) => world.textOnly
  }, async (world) => {
    // Official JSON parsers hand bytes on undecoded, ours reads them as JSON: either is an answer
    const bytes = (values) => (typeof Buffer === 'undefined' ? Uint8Array : Buffer).from(values); // faye-websocket knows no other
    const peer = await world.connected();
    peer.client.socket.send(bytes(new TextEncoder().encode('{"binär": "💩"}')));
    await peer.message();
    equal(await peer.ask('after'), 'after');
    peer.client.socket.send(bytes([0xff, 0xfe, 0x00]));
    peer.client.write('last');
    let message;
    do message = await peer.message(); while (message !== 'last');
    equal(peer.count('close'), 0, 'close');
  });

  // --- what the server knows about a client ---

  scenario('the id that the client asks for is the id on the server', async (world) => {
    const peer = await world.connected({ service: 'meta' });
    const id = await peer.id();
    const meta = await peer.ask('who am I');
    equal(typeof id, 'string', 'type of the id');
    equal(meta.id, id, 'id on the server');
    equal((await peer.state()).ids, [id], 'ids');
    const other = await world.connected();
    check((await other.id()) !== id, 'two clients with one id');
  });

  // 8 gives it the query of the URL that the client was made with; for 2.4 see `connects`.
  const ownAddress = (world) => (world.bcsocket ? 'BCSocket makes the address its own way' : undefined);

  const QUERY = { name: 'Zoë', smile: '💩', empty: '', signs: 'a+b c&d=e?f#g%h/;', quoted: '"\'<>', 'clé é': 'ключ', q: '日本' };

  scenario('the query arrives, unicode and signs too', { needs: (world) => world.queryless }, async (world) => {
    const peer = await world.connected({ service: 'meta', query: QUERY });
    const { query, url } = await peer.ask('query');
    for (const [key, value] of Object.entries(QUERY)) equal(query[key], value, `query ${key}`);
    equal(query.service, 'meta');
    equal(query.tag, peer.tag);
    check(query._primuscb || ownAddress(world), () => `no _primuscb in ${url}`);
  });

  scenario('a repeated key in the query keeps all its values', {
    needs: (world) => world.queryless || ownAddress(world)
  }, async (world) => {
    const peer = world.peer({ service: 'meta' });
    peer.client.on('outgoing::url', (parts) => {
      parts.query = `${String(parts.query).replace(/^\?/, '')}&many=1&many=&many=%F0%9F%92%A9&blank=`;
    });
    await peer.event('open');
    const { query, url } = await peer.ask('query');
    const sent = new URLSearchParams(url.slice(url.indexOf('?')));
    // the 2.4 client parses what a plugin made of the query once more, and keeps one value; so does engine.io-client
    const parsed = world.kind === 'primus24' || (world.kind === 'primus8' && world.engine);
    equal(sent.getAll('many').length, parsed ? 1 : 3, 'values in the URL');
    const many = sent.getAll('many');
    equal(query.many, many.length > 1 ? many : many[0], 'many');
    equal(query.blank, '', 'blank');
  });

  scenario('headers and address', async (world) => {
    const cookie = 'interop=a%20b; other=c';
    const agent = world.browser ? navigator.userAgent : 'interop/1.0 (test)';
    let options = { transport: { withCredentials: true } }; // without it the engine.io-client of 8 sends no cookie
    if (world.browser) for (const one of cookie.split('; ')) document.cookie = `${one}; path=/; SameSite=Lax`;
    else options = world.carrying({ Cookie: cookie, 'User-Agent': agent, 'X-Interop': 'yes' });
    const peer = await world.connected({ service: 'meta', options });
    const { headers, address } = await peer.ask('headers');
    const { host, hostname } = new URL(peer.url);
    equal(headers.host, world.bcsocket && !world.browser ? hostname : host, 'host');
    // Socket.IO and BrowserChannel show the headers of the request that made the session
    const upgrades = world.way === 'websocket' && world.transformer !== 'socket.io';
    equal(String(headers.upgrade).toLowerCase(), upgrades ? 'websocket' : 'undefined', 'upgrade');
    if (world.browser || !world.headerless) {
      equal(headers['user-agent'], agent, 'user-agent');
      // BCSocket sends none to another origin; SockJS of Primus 2.4 goes to another host here
      if (!(world.browser && (world.bcsocket || world.queryless))) equal(headers.cookie, cookie, 'cookie');
    }
    if (!world.headerless) equal(headers['x-interop'], 'yes', 'x-interop');
    equal(address.ip, '127.0.0.1', 'address.ip');
    check(Number.isInteger(address.port) && address.port > 0, () => `address.port is ${show(address.port)}`);
  });

  scenario('the address that a proxy forwards', { needs: (world) => world.headerless }, async (world) => {
    const headers = { 'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Port': '5678' };
    const peer = await world.connected({ service: 'meta', options: world.carrying(headers) });
    const { address } = await peer.ask('address');
    equal(address.ip, '1.2.3.4', 'address.ip');
    equal(+address.port, 5678, 'address.port');
  });

  scenario('spec, primus.js and plain HTTP on the path', {
    needs: (world) => (world.browser ? 'the page is of another origin; contract tests cover CORS' : undefined)
  }, async (world) => {
    const spec = await world.get('/primus/spec');
    equal([spec.pathname, spec.parser, spec.transformer], ['/primus', 'json', world.transformer], 'spec');
    equal(typeof spec.version, 'string', 'version');
    const script = await world.fetch(`${world.base}/primus/primus.js`);
    equal(script.status, 200, 'primus.js');
    check(/^(text|application)\/javascript/.test(script.headers.get('content-type')), 'primus.js is no script');
    check((await script.text()).includes('Primus'), 'primus.js has no Primus');
    const plain = await world.fetch(`${world.base}/primus`);
    const answers = { sockjs: 200, browserchannel: 404, 'socket.io': 200 };
    equal(plain.status, answers[world.transformer] || (world.engine ? 400 : 426), 'a request that is none of the framework');
    await plain.text();
  });

  // --- many ---

  // Six of a browser's requests to one server at a time, and each client keeps one waiting.
  const manyPolls = (world) => (world.browser && world.polls ? 'a page cannot poll with that many' : undefined);

  scenario('broadcast reaches 20 clients of all kinds at once, with default options', { needs: manyPolls }, async (world) => {
    const server = await world.start();
    const kinds = [world, ...world.others];
    const peers = Array.from({ length: 20 }, (_, n) => world.peer({ base: server.base }, kinds[n % kinds.length]));
    for (const peer of peers) await peer.event('open');
    for (const peer of peers) await peer.state('connections', 1);
    equal((await world.get('/control/connected', server.base)).connected, 20, 'connected');
    const sent = [{ to: 'all', text: '💩\u2028' }, 'two', null, [3]];
    for (const message of sent) await world.get(`/control/broadcast?data=${encodeURIComponent(JSON.stringify(message))}`, server.base);
    for (const peer of peers) equal(await peer.messages(sent.length), sent, 'broadcast');
    for (const peer of peers) equal(await peer.ask(peer.tag), peer.tag);
    peers.slice(0, 10).forEach((peer) => peer.client.end());
    for (const peer of peers.slice(0, 10)) await peer.state('disconnections', 1);
    equal((await world.get('/control/connected', server.base)).connected, 10, 'connected');
    await world.get('/control/broadcast?data=5', server.base);
    for (const peer of peers.slice(10)) equal(await peer.message(), 5);
    for (const peer of peers.slice(0, 10)) equal(peer.count('data'), sent.length + 1, 'messages of one that has left');
  });

  scenario('a crowd of clients comes and goes, each is counted', { needs: manyPolls }, async (world) => {
    const server = await world.start();
    // Chromium makes a page wait for seconds that opens many WebSockets at once
    const peers = Array.from({ length: world.browser ? 8 : 30 }, () => world.peer({ base: server.base }));
    for (const peer of peers) equal(await peer.ask(peer.tag), peer.tag);
    peers.forEach((peer, n) => (n % 3 === 0 ? world.get(`/control/end?tag=${peer.tag}`, server.base) : peer.client.end()));
    for (const peer of peers) {
      await peer.event('end');
      const state = await peer.state('ends', 1);
      equal([state.connections, state.disconnections, state.ends], [1, 1, 1], 'connections, disconnections, ends');
    }
    equal((await world.get('/control/connected', server.base)).connected, 0, 'connected');
  });

  // --- ends ---

  scenario('client.end: `end` after the last data, disconnection counted once', async (world) => {
    const peer = await world.connected({ service: 'silent' });
    const words = world.forgetful ? [] : [...Array.from({ length: 20 }, (_, n) => n), 'last words'];
    for (const word of words.slice(0, -1)) peer.client.write(word);
    peer.client.end(...words.slice(-1));
    equal(peer.trace, [...OPENED, ...CLOSED, 'end'], 'events');
    await peer.state('disconnections', 1);
    const state = await peer.state('ends', 1);
    equal([state.received, state.messages], [words.length, words], 'messages');
    await staysGone(peer);
    const { log } = await peer.state();
    check(log.lastIndexOf('data') < log.indexOf('end'), () => `data after end: ${show(log)}`);
    equal(peer.trace, [...OPENED, ...CLOSED, 'end'], 'events later');
  });

  scenario('client.end, then open again', async (world) => {
    const peer = await world.connected();
    const first = await peer.id();
    peer.client.end();
    await peer.event('end');
    await peer.state('disconnections', 1);
    peer.client.open();
    await peer.event('open', 2);
    equal(await peer.ask('again'), 'again');
    check((await peer.id()) !== first, 'the id of the first connection');
    equal((await peer.state()).connections, 2, 'connections');
  });

  scenario('a client that is ended before it is open', {
    needs: (world) => (world.transformer === 'socket.io' && world.about.server === 'primus24'
      ? 'this server waits for a minute for a client that has left so early' : undefined)
  }, async (world) => {
    // a session whose client cannot say goodbye, or forgets to, as engine.io-client does, ends by its heartbeats
    const peer = world.peer(world.session ? { base: world.servers.quick } : {});
    await peer.event('outgoing::open');
    peer.client.end();
    await peer.event('end');
    equal(peer.trace, ['readyStateChange opening', ...CLOSED, 'end'], 'events');
    // the handshake may or may not have reached the server: whatever was connected must be gone again
    world.release();
    await silence(300);
    if ((await peer.state()).connections) await peer.state('ends', 1);
    const { connections, disconnections, ends, open, log } = await peer.state();
    equal(open, 0, 'open sparks');
    equal([disconnections, ends], [connections, connections], 'disconnections, ends');
    equal(log, connections ? ['connection', 'disconnection', 'end'] : [], 'events on the server');
    equal(peer.count('open'), 0, 'open');
  });

  scenario('a client that ends in its open listener', {
    needs: (world) => (world.forgetful ? 'this client forgets what it has not sent yet' : undefined)
  }, async (world) => {
    const peer = world.peer({ service: 'silent' });
    peer.client.on('open', () => peer.client.end('hello and goodbye'));
    await peer.event('end');
    equal(peer.trace, [...OPENED, ...CLOSED, 'end'], 'events');
    const { messages, log } = await peer.state('ends', 1);
    equal(messages, ['hello and goodbye'], 'messages');
    equal([log[0], log.indexOf('data') < log.indexOf('end')], ['connection', true], 'events on the server');
    await staysGone(peer);
  });

  scenario('spark.end is final', async (world) => {
    const peer = await world.connected({ service: 'end' });
    peer.client.write('now');
    await peer.event('end');
    equal(peer.trace, [...OPENED, ...world.dismissed, 'end'], 'events');
    await peer.state('ends', 1);
    await staysGone(peer);
    equal(peer.trace, [...OPENED, ...world.dismissed, 'end'], 'events later');
  });

  scenario('spark.end at once, in the connection listener', async (world) => {
    const peer = world.peer({ service: 'close' });
    await peer.event('end');
    equal(peer.trace, [...OPENED, ...world.dismissed, 'end'], 'events');
    await peer.state('ends', 1);
    await staysGone(peer);
  });

  scenario('spark.end with data: data, then end', async (world) => {
    const data = { bye: 'au revoir \u2028 💩' };
    const peer = await world.connected({ service: 'end_data' });
    equal(await peer.ask(data), data);
    await peer.event('end');
    equal(peer.trace, [...OPENED, 'data', ...world.dismissed, 'end'], 'events');
    await peer.state('ends', 1);
    await staysGone(peer);
  });

  scenario('spark.end with reconnect brings a new spark', async (world) => {
    const peer = await world.connected({ service: 'end_reconnect' });
    const first = await peer.id();
    peer.client.write('now');
    await peer.event('open', 2);
    await peer.event('reconnected');
    check((await peer.id()) !== first, 'the id of the first connection');
    equal(peer.trace, [...OPENED, ...world.dismissed, ...back(peer.generation)], 'events');
    const state = await peer.state('disconnections', 1);
    equal([state.connections, state.disconnections, state.open], [2, 1, 1], 'connections, disconnections, open');
  });

  scenario('what the reconnect events carry', async (world) => {
    const peer = await world.connected({ service: 'end_reconnect' });
    const given = peer.client.options.reconnect;
    const copied = JSON.stringify(given);
    // the options object lives through the whole outage, so what it holds is read when the event comes
    const at = {};
    const names = peer.generation === 8 ? ['reconnect scheduled', 'reconnect', 'reconnected'] : ['reconnecting', 'reconnect'];
    for (const name of names) peer.client.once(name, (options) => { at[name] = options && { ...options }; });
    peer.client.write('now');
    await peer.event('open', 2);
    await peer.event('reconnected');
    for (const name of names) {
      check(at[name], () => `${name} came without options`);
      equal(at[name].attempt, 1, `${name}: attempt`);
      equal(at[name].retries, 100, `${name}: retries`);
      equal(at[name].factor, 2, `${name}: factor`);
    }
    if (peer.generation === 8) {
      const { min, max, scheduled, backoff } = at['reconnect scheduled'];
      equal([min, max, scheduled, backoff], [20, 200, 20, true], 'min, max, scheduled, backoff');
    } else {
      const { minDelay, maxDelay, timeout, backoff } = at.reconnecting;
      equal([minDelay, maxDelay, timeout, backoff], [20, 200, 20, true], 'minDelay, maxDelay, timeout, backoff');
      equal(at.reconnect.backoff, false, 'reconnect: backoff');
    }
    equal(JSON.stringify(given), copied, "the caller's own options");
  });

  scenario('a killed connection comes back', async (world) => {
    const peer = await world.connected({ service: 'kill' });
    const first = await peer.id();
    await peer.settled();
    peer.client.write('now');
    await peer.event('open', 2);
    await peer.event('reconnected');
    check((await peer.id()) !== first, 'the id of the first connection');
    equal(peer.trace.filter((name) => name !== 'error'), [...OPENED, ...CLOSED, ...back(peer.generation)], 'events');
    await onlyOne(peer, 2);
  });

  scenario('a connection killed again and again comes back every time', async (world) => {
    const peer = await world.connected();
    for (let round = 2; round <= 5; round++) {
      await peer.settled();
      await world.get(`/control/kill?tag=${peer.tag}`);
      await peer.event('open', round);
      equal(await peer.ask(round), round);
    }
    await onlyOne(peer, 5);
  });

  scenario('without the disconnect strategy a lost connection is the end', async (world) => {
    const peer = await world.connected({ service: 'end_reconnect', options: { strategy: 'online' } });
    peer.client.write('now');
    await peer.event('end');
    equal(peer.trace, [...OPENED, ...world.dismissed, 'end'], 'events');
    await peer.state('ends', 1);
    await staysGone(peer);
  });

  scenario('client.end while waiting to reconnect emits only `end`', async (world) => {
    const delay = world.generation === 8 ? { min: 5000 } : { minDelay: 5000 };
    const peer = await world.connected({ service: 'end_reconnect', options: { reconnect: delay } });
    peer.client.write('now');
    await peer.event(world.generation === 8 ? 'reconnect scheduled' : 'reconnecting');
    peer.client.end();
    await peer.event('end');
    equal(peer.trace, [...OPENED, ...world.dismissed, back(world.generation)[0], 'end'], 'events');
    await peer.state('ends', 1);
    await staysGone(peer);
  });

  // --- a server that is not there, comes, goes and hangs ---

  // Between failed attempts the 2.4 client's readyState depends on its WebSocket library; the rest does not.
  const steady = (trace) => trace.filter((name) => !name.startsWith('readyStateChange'));

  // BCSocket looks what is wrong, and tells that as another error, whenever it knows.
  const firstErrorOnly = (world, { trace }) => (world.bcsocket
    ? trace.filter((name, n) => name !== 'error' || n === trace.indexOf('error')) : trace);

  scenario('no server: error, then attempts until the retries are used up', async (world) => {
    const { base } = await world.runner('/closed');
    const reconnect = world.generation === 8 ? { min: 10, max: 20, retries: 3 } : { minDelay: 10, maxDelay: 20, retries: 3 };
    const peer = world.peer({ base, options: { reconnect } });
    await peer.event('end');
    const [first] = back(world.generation);
    const attempts = peer.count('reconnect');
    equal(attempts, 3, 'attempts');
    const rounds = Array.from({ length: 3 }).flatMap(() => [first, 'reconnect']);
    world.release();
    await silence(100);
    equal(steady(firstErrorOnly(world, peer)), ['error', ...rounds, 'end', ...(world.generation === 8 ? ['reconnect failed'] : [])], 'events');
    check(peer.seen.get('error')[0][0] instanceof Error || peer.seen.get('error')[0][0].message !== undefined, 'no Error');
  });

  scenario('no server, without the timeout strategy: error, then the end', async (world) => {
    const { base } = await world.runner('/closed');
    const peer = world.peer({ base, options: { strategy: 'disconnect,online' } });
    await peer.event('end');
    world.release();
    await silence(100);
    equal(firstErrorOnly(world, peer), ['readyStateChange opening', 'error', ...CLOSED, 'end'], 'events');
  });

  scenario('a server that comes later is found', async (world) => {
    const { base, port } = await world.runner('/closed');
    const peer = world.peer({ base });
    peer.client.write('patience');
    await peer.event('reconnect');
    await world.start({ port });
    await peer.event('open');
    equal(await peer.message(), 'patience');
    equal(firstErrorOnly(world, peer).filter((name) => name === 'error').length, 1, 'error, only for the first attempt');
  });

  scenario('server restart: the client comes back, and what it wrote meanwhile arrives', {
    needs: (world) => {
      if (world.transformer === 'browserchannel') return 'BrowserChannel tries for up to 45 s before it says that the server is gone';
      const deaf = world.kind !== 'ours' && world.way === 'xhr-streaming' && !world.browser;
      return deaf ? 'sockjs-client in Node does not notice that a stream is cut off' : undefined;
    }
  }, async (world) => {
    const server = await world.start();
    const peer = await world.connected({ base: server.base });
    equal(await peer.ask('before'), 'before');
    await peer.settled();
    await world.stop(server);
    await peer.event('close');
    for (const text of ['meanwhile 1', 'meanwhile 2', { meanwhile: 3 }]) peer.client.write(text);
    await peer.event('reconnect');
    await world.start({ port: server.port });
    await peer.event('open', 2);
    equal(await peer.messages(3), ['meanwhile 1', 'meanwhile 2', { meanwhile: 3 }]);
    equal(await peer.ask('after'), 'after');
    equal([peer.count('end'), peer.count('close'), peer.count('reconnected')], [0, 1, 1], 'end, close, reconnected');
  });

  scenario('a server that does not answer the handshake: timeout, then another attempt', async (world) => {
    const server = await world.start();
    await world.pause(server);
    const peer = world.peer({ base: server.base, options: { timeout: 300 } });
    await peer.event('timeout');
    await peer.event('reconnect');
    await world.resume(server);
    await peer.event('open');
    equal(await peer.ask('awake'), 'awake');
  });

  // --- heartbeats ---

  const TIMEOUT = 4; // seconds, as the `timeout` of the servers for this
  const LONG = 3 * TIMEOUT * 1000 + 500; // ms: three timeouts and some

  const NO_HEARTBEAT = 'this client and this server have no direction of heartbeats in common';

  /** Who pings in this pair: 'client', 'server' or nobody. Ours can do both, and pings first. */
  function direction({ kind, about }) {
    if (kind !== 'primus8' && about.answersPings) return 'client';
    return kind !== 'primus24' && about.serverPings ? 'server' : undefined;
  }

  scenario('client pings keep an idle connection alive over three timeouts', {
    idle: true,
    needs: (world) => (world.kind === 'primus8' && 'this client does not ping') ||
      (!world.about.answersPings && 'this server does not answer pings') || undefined
  }, async (world) => {
    const peer = await world.connected({ base: world.servers.pinging, options: { ping: 400, pong: 4000 } });
    await silence(LONG);
    equal(peer.trace, OPENED, 'events');
    const state = await peer.state();
    equal([state.connections, state.disconnections, state.received], [1, 0, 0], 'connections, disconnections, messages');
    for (const name of ['outgoing::ping', 'incoming::pong']) {
      check(peer.count(name) >= 6, () => `${name}: only ${peer.count(name)}`);
    }
    check(peer.client.latency >= 0 && peer.client.latency < 4000, () => `latency ${peer.client.latency}`);
    equal(await peer.ask('alive'), 'alive');
  });

  scenario('server pings keep an idle connection alive over three timeouts', {
    idle: true,
    needs: (world) => (world.kind === 'primus24' && 'this client does not answer pings') ||
      (!world.about.serverPings && 'this server does not ping') || undefined
  }, async (world) => {
    const least = world.about.server === 'primus8' ? 3 : 6;
    // ours begins with pings of its own, far apart, and is turned round by the first ping of the server
    const options = world.kind === 'ours' ? { ping: 25000, pingTimeout: 5000 } : { pingTimeout: 5000 };
    const peer = await world.connected({ base: world.servers.pinged, options });
    await silence(LONG);
    equal(peer.trace, OPENED, 'events');
    const state = await peer.state();
    equal([state.connections, state.disconnections, state.received], [1, 0, 0], 'connections, disconnections, messages');
    check(state.heartbeats >= least, () => `the server saw only ${state.heartbeats} heartbeats`);
    for (const name of ['incoming::ping', 'outgoing::pong']) {
      check(peer.count(name) >= least, () => `${name}: only ${peer.count(name)}`);
    }
    equal(await peer.ask('alive'), 'alive');
  });

  scenario('both directions side by side on one server', {
    idle: true,
    needs: (world) => (world.about.answersPings && world.about.serverPings ? undefined : 'this server has one direction')
  }, async (world) => {
    const peers = [world, ...world.others].map((who) => world.peer({
      base: world.servers.both,
      options: who.kind === 'primus8' ? { pingTimeout: 5000 } : { ping: 200, pong: 4000 }
    }, who));
    for (const peer of peers) await peer.event('open');
    await silence(LONG);
    for (const peer of peers) {
      // a client that has pinged is never pinged: a 2.4 client would take that for data
      equal(peer.trace, OPENED, 'events');
      equal((await peer.state()).disconnections, 0, 'disconnections');
    }
  });

  scenario('heartbeats beside traffic drop nobody', {
    idle: true,
    needs: (world) => (direction(world) ? undefined : NO_HEARTBEAT)
  }, async (world) => {
    const pings = direction(world) === 'client';
    const options = pings ? { ping: 200, pong: 4000 } : { pingTimeout: 5000 };
    const peer = await world.connected({ base: pings ? world.servers.pinging : world.servers.both, options });
    for (let n = 0; n < 20; n++) {
      equal(await peer.ask(n), n);
      await silence(LONG / 20);
    }
    equal(peer.trace.filter((name) => name !== 'data'), OPENED, 'events');
    equal((await peer.state()).received, 20, 'messages');
  });

  scenario('a silent client is dropped, and comes back', {
    idle: true,
    needs: (world) => (world.way.endsWith('polling') && world.about.server === 'python'
      ? 'to our server every poll is a sign of life' : undefined)
  }, async (world) => {
    const peer = await world.connected({
      base: world.servers.pinged,
      options: world.generation === 8 ? { pingTimeout: 20000 } : { ping: false }
    });
    const first = await peer.id();
    peer.client.socket.send = () => {}; // from here on nothing leaves: no ping, no pong
    await peer.event('close');
    await peer.event('open', 2);
    await peer.event('reconnected');
    const state = await peer.state('disconnections', 1);
    equal([state.connections, state.disconnections], [2, 1], 'connections, disconnections');
    // a 2.4 client that does not ping is taken for a newer one, and its user gets our pings as data
    equal(peer.trace.filter((name) => name !== 'data'), [...OPENED, ...world.dismissed, ...back(peer.generation)], 'events');
    check((await peer.id()) !== first, 'the id of the first connection');
  });

  scenario('a server that falls silent: offline, and back when it wakes', {
    idle: true,
    needs: (world) => (direction(world) ? undefined : NO_HEARTBEAT)
  }, async (world) => {
    const pings = direction(world) === 'client';
    // a client that pings must get its first ping in before the server takes it for one that does not
    // the original ends who has not answered one ping before it sends the next
    const server = await world.start({ timeout: 10, pingInterval: pings ? 8 : 1 });
    const peer = await world.connected({
      base: server.base,
      options: pings ? { ping: 200, pong: 1000 } : { pingTimeout: 3000 }
    });
    await peer.event(pings ? 'incoming::pong' : 'incoming::ping', 2);
    equal(peer.count('offline'), 0, 'offline');
    await world.pause(server);
    await peer.event('offline');
    await peer.event('close');
    await peer.event('reconnect');
    await world.resume(server);
    await peer.event('open', 2);
    await peer.event('online');
    equal(await peer.ask('awake'), 'awake');
    equal(peer.trace.filter((name) => ['offline', 'close', 'online', 'end'].includes(name)), ['offline', 'close', 'online'], 'events');
  });

  // --- errors ---

  scenario('an undecodable message from the server: error, the connection lives', async (world) => {
    const peer = await world.connected({ service: 'raw' });
    for (const text of ['{"broken', 'nonsense', '[1,]']) {
      equal(await peer.ask(text), 'after');
    }
    equal(peer.count('error'), 3, 'errors');
    for (const [error] of peer.seen.get('error')) check(typeof error.message === 'string', 'an error without message');
    equal(peer.count('close'), 0, 'close');
  });

  scenario('an undecodable message from the client: error on the spark, the connection lives', async (world) => {
    const peer = await world.connected();
    const bad = ['{"broken', 'nonsense', '[1,]', '{"a":1}}', '\u0000'];
    // the original's Engine.IO makes `undefined` of it, and the parser leaves that as it is
    if (!world.engine || world.about.server === 'python') bad.push('');
    for (const text of bad) peer.client.socket.send(text);
    equal(await peer.ask('after'), 'after');
    const state = await peer.state('errors', bad.length);
    equal(state.errors.length, bad.length, 'errors');
    equal(state.received, 1, 'messages');
    equal(peer.count('close'), 0, 'close');
  });

  scenario('an error without a listener harms nobody', async (world) => {
    const peer = await world.connected({ service: 'raw' });
    peer.client.removeAllListeners('error');
    equal(await peer.ask('{"broken'), 'after');
    equal(peer.count('close'), 0, 'close');
  });
})(typeof module === 'object' ? require('../harness') : globalThis.InteropHarness);
