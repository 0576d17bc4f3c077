'use strict';

/**
 * BCSocket, the client of the package browserchannel, against our server, speaking Primus's text by hand:
 * `node browserchannel_clients.js '{"main": URL, "quick": URL}' [part of a name]`.
 *
 * It is Closure's channel, the one client that BrowserChannel has ever had, played without a proxy, with one that
 * hands answers on as they come, and with one that waits until they are whole, which its connection test finds out.
 * Prints a line of JSON per scenario; `--list` prints what there is. For Node only. test_browserchannel_clients.py
 * starts the servers.
 */
const assert = require('assert');
const http = require('http');
const { BCSocket } = require('browserchannel');

const WAYS = ['direct', 'streaming', 'buffered'];
const LIMIT = 30000; // ms that a scenario may take
const NOOPS = 400; // ms: keep_alive_interval of the server `quick`

// --- one client ---

/** A connection, what has come over it, and Primus's JSON text in both directions. */
class Connection {
  constructor(base, { tag, service = 'echo', options = {} }) {
    this.messages = [];
    this.events = [];
    this.waiting = new Set();
    const socket = new BCSocket(`${base}/primus`, {
      extraParams: { service, tag },
      testImageUri: `${base}/control/about`, // not one of Google's
      appVersion: '7',
      ...options
    });
    this.socket = socket;
    socket.onopen = () => this.note(() => this.events.push('open'));
    socket.onmessage = ({ data }) => this.note(() => this.messages.push(data));
    socket.onerror = (message, code) => this.note(() => this.events.push(`error ${code}`));
    socket.onclose = () => this.note(() => this.events.push('close'));
  }

  note(act) {
    act();
    for (const look of [...this.waiting]) look();
  }

  /** Waits until `reached` holds. The limit is that of the scenario. */
  wait(reached) {
    return new Promise((resolve) => {
      const look = () => {
        if (!reached()) return;
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
      look();
    });
  }

  event(name, count = 1) {
    return this.wait(() => this.events.filter((event) => event === name).length >= count);
  }

  write(value) {
    this.socket.send(JSON.stringify(value));
  }

  /** The next messages as they came. */
  async raw(count = 1) {
    await this.wait(() => this.messages.length >= count);
    return this.messages.splice(0, count);
  }

  /** The next messages as JSON. */
  async take(count) {
    return (await this.raw(count)).map((text) => JSON.parse(text));
  }

  async ask(value) {
    this.write(value);
    return (await this.take(1))[0];
  }
}

/** A proxy that hands answers on as they come, or, as bad ones do, when they are whole. Notes which CI it sees. */
async function proxyOf(target, way) {
  const seen = new Set();
  const proxy = http.createServer((request, response) => {
    const { searchParams } = new URL(request.url, target);
    if (searchParams.has('CI')) seen.add(searchParams.get('CI'));
    const onward = http.request(new URL(request.url, target), { method: request.method, headers: request.headers });
    onward.on('response', async (answer) => {
      const { 'transfer-encoding': _, ...headers } = answer.headers;
      response.writeHead(answer.statusCode, answer.statusMessage, headers);
      if (way === 'streaming') {
        answer.on('error', () => response.destroy()).pipe(response);
        return;
      }
      const pieces = [];
      try {
        for await (const piece of answer) pieces.push(piece);
        response.end(Buffer.concat(pieces));
      } catch {
        response.destroy();
      }
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${proxy.address().port}`, seen };
}

// --- scenarios ---

const TEXTS = ['', 'é', 'ключ', '日本語', '💩', 'a💩b€c\u{10ffff}', 'x\u2028\u2029y', '\u0000\u001e\u007f', '\ufeffbom', 'Ã©', '[[1,"x"]]',
  '"\\\n', 'a+b%20c&d=e;f', '</script>', 'x'.repeat(100000), '€'.repeat(40000), '💩'.repeat(20000)];

const SCENARIOS = {
  async 'echo of awkward text'(world) {
    const peer = world.connect();
    for (const text of TEXTS) peer.write({ text }); // they go with the first request
    (await peer.take(TEXTS.length)).forEach(({ text }, n) => assert.strictEqual(text, TEXTS[n], `text ${n}`));
    for (const text of TEXTS) assert.deepStrictEqual(await peer.ask({ text }), { text });
    const { messages } = await world.state();
    assert.deepStrictEqual(messages, [...TEXTS, ...TEXTS].map((text) => ({ text })), 'what the server got');
    assert.deepStrictEqual(peer.events, ['open']);
    peer.write('\u2028');
    assert.deepStrictEqual(await peer.raw(), ['"\\u2028"'], 'never sent as it is: no script could hold it');
  },

  async '3000 each way, in order, from the first request on'(world) {
    const peer = world.connect();
    const burst = world.connect({ service: 'burst' });
    burst.write(3000);
    for (let n = 0; n < 3000;) {
      for (let i = 0; i < 30; i++) peer.write(n++); // more than fit into one request
      await new Promise(setImmediate);
    }
    const expected = Array.from({ length: 3000 }, (_, n) => n);
    assert.deepStrictEqual(await peer.take(3000), expected, 'echoes');
    assert.deepStrictEqual(await burst.take(3000), expected, 'burst');
  },

  async 'a large message each way'(world) {
    const peer = world.connect();
    const text = '%€'.repeat(150000);
    assert.strictEqual(await peer.ask(text), text);
    const amplifier = world.connect({ service: 'amplify' });
    assert.strictEqual((await amplifier.ask(2000000)).length, 2000000);
  },

  async 'values instead of text'(world) {
    const peer = world.connect();
    const values = [{ a: [1, null] }, [1, '2'], 7, true, null];
    for (const value of values) peer.socket.send(value); // as the map JSON
    assert.deepStrictEqual(await peer.take(values.length), values);
  },

  async 'what the spark knows'(world) {
    const peer = world.connect({ service: 'meta' });
    const { id, query, address } = await peer.ask('?');
    assert.strictEqual(query.CVER, '7');
    assert.strictEqual(query.service, 'meta');
    assert.strictEqual(query.a, peer.socket.affinity);
    assert.strictEqual(address.ip, '127.0.0.1');
    assert.strictEqual(id, (await world.state()).ids[0]);
    assert.strictEqual(await peer.ask('primus::id::'), `primus::id::${id}`);
    assert.strictEqual(await peer.ask('primus::ping::1400000000123'), 'primus::pong::1400000000123');
  },

  async 'the client closes: its last words arrive'(world) {
    for (const sent of [0, 20]) {
      const before = await world.state();
      const peer = world.connect({ service: 'silent' });
      await peer.event('open');
      for (let n = 0; n < sent; n++) peer.write(n);
      // as the official Primus client: it lets what it has said go out first
      if (sent) await world.state('received', before.received + sent);
      peer.socket.close();
      await peer.event('close');
      const { received, log } = await world.state('ends', before.ends + 1);
      assert.strictEqual(received - before.received, sent);
      assert.deepStrictEqual(log.slice(-2), ['disconnection', 'end']);
      assert.deepStrictEqual(peer.events, ['open', 'close']);
    }
  },

  async 'the server closes: its last words arrive, and it is final'(world) {
    const peer = world.connect({ service: 'end_data', options: { reconnect: true, reconnectTime: 1 } });
    await peer.event('open');
    peer.write('au revoir 💩');
    assert.deepStrictEqual(await peer.take(2), ['au revoir 💩', 'primus::server::close']);
    await peer.event('close');
    assert.deepStrictEqual(peer.events, ['open', 'error 7', 'close']);
    await world.state('ends', 1);
  },

  async 'the server closes at once'(world) {
    const peer = world.connect({ service: 'close' });
    await peer.event('close');
    assert.deepStrictEqual(await peer.take(1), ['primus::server::close']);
    assert.ok(peer.events.includes('error 7'), peer.events);
  },

  async 'the server wants it back, and it is opened again'(world) {
    const peer = world.connect({ service: 'end_reconnect' });
    await peer.event('open');
    peer.write('now');
    await peer.event('close');
    assert.deepStrictEqual(peer.events, ['open', 'error 7', 'close']);
    assert.deepStrictEqual(peer.messages, []);
    peer.socket.open();
    await peer.event('open', 2);
    await world.state('connections', 2);
  },

  async 'a session that is unknown: back at once'(world) {
    const peer = world.connect({ options: { reconnect: true, reconnectTime: 1e6 } });
    assert.strictEqual(await peer.ask('x'), 'x');
    await world.act('kill');
    await peer.event('open', 2); // without waiting for its reconnectTime
    assert.deepStrictEqual(peer.events, ['open', 'error 6', 'close', 'open']);
    assert.strictEqual(await peer.ask('y'), 'y');
    const { ids, disconnections } = await world.state('connections', 2);
    assert.strictEqual(disconnections, 1);
    assert.notStrictEqual(ids[0], ids[1]);
  },

  async 'killed by its own message: back as well'(world) {
    const peer = world.connect({ service: 'kill', options: { reconnect: true, reconnectTime: 100 } });
    await peer.event('open');
    // which is answered 403, for the client an error of no special kind; or its next GET is the first to know
    peer.write('now');
    await peer.event('open', 2);
    assert.match(peer.events.filter((event) => event !== 'error 8').join(), /^open,error [26],(close,)+open$/);
    assert.strictEqual((await world.state('connections', 2)).disconnections, 1);
  },

  async 'the session before is ended by the next one'(world) {
    const first = world.connect();
    assert.strictEqual(await first.ask('x'), 'x');
    const second = world.connect({ options: { prev: first.socket } });
    assert.strictEqual(await second.ask('y'), 'y');
    await world.state('ends', 1);
    await first.event('error 6');
    const { ids, open } = await world.state();
    assert.strictEqual(ids.length, 2);
    assert.strictEqual(open, 1);
  },

  async 'idle over several noops'(world) {
    const peer = world.connect({ base: 'quick' });
    await peer.event('open');
    await new Promise((resolve) => setTimeout(resolve, 6 * NOOPS)); // for what must not happen
    assert.deepStrictEqual(peer.events, ['open']);
    assert.deepStrictEqual(peer.messages, []);
    assert.strictEqual(await peer.ask('alive'), 'alive');
    assert.strictEqual((await world.state(undefined, 0, 'quick')).disconnections, 0);
  },

  async 'it finds out whether answers are streamed'(world) {
    const peer = world.connect();
    // the first answer may come with the one to the request that makes the session
    for (const text of ['x', 'y']) assert.strictEqual(await peer.ask(text), text);
    // `proxies` are asked by everybody: what one finds out, all do
    if (world.way !== 'direct') assert.deepStrictEqual([...world.asked()], [world.way === 'buffered' ? '1' : '0']);
  }
};

// --- playing them ---

async function get(url) {
  const response = await fetch(url);
  assert.ok(response.ok, `${url} answered ${response.status}`);
  return response.json();
}

/** What one scenario works with: its connections, and the server's view of them. */
function worldOf(servers, proxies, { way, index }) {
  const tag = `${way}.${index}`;
  const connections = [];
  return {
    way,
    connections,
    asked: () => proxies[way].main.seen,
    act: (name, base = 'main') => get(`${servers[base]}/control/${name}?tag=${tag}`),
    connect({ base = 'main', ...more } = {}) {
      const connection = new Connection(way === 'direct' ? servers[base] : proxies[way][base].url, { tag, ...more });
      connections.push(connection);
      return connection;
    },
    /** At once, or as soon as `field` has come to `least`. */
    async state(field, least, base = 'main') {
      if (!field) return get(`${servers[base]}/control/state?tag=${tag}`);
      const state = await get(`${servers[base]}/control/wait?tag=${tag}&field=${field}&least=${least}&limit=10`);
      assert.ok(state[field] >= least, `the server: ${field} did not come to ${least}: ${JSON.stringify(state)}`);
      return state;
    }
  };
}

async function play(item, servers, proxies) {
  const world = worldOf(servers, proxies, item);
  let timer;
  const limit = new Promise((resolve, reject) => {
    const story = () => JSON.stringify(world.connections.map(({ events, messages }) => [events, messages.length]));
    timer = setTimeout(() => reject(new Error(`not within ${LIMIT} ms; so far: ${story()}`)), LIMIT);
  });
  let failure = '';
  try {
    await Promise.race([SCENARIOS[item.scenario](world), limit]);
  } catch (error) {
    failure = String(error.stack || error);
  }
  clearTimeout(timer);
  for (const { socket } of world.connections) socket.close();
  const { way, scenario } = item;
  console.log(JSON.stringify({ way, scenario, failure }));
}

async function main(servers, only = '') {
  const proxies = { streaming: {}, buffered: {} };
  for (const [way, of] of Object.entries(proxies)) {
    for (const [name, url] of Object.entries(servers)) of[name] = await proxyOf(url, way);
  }
  const items = WAYS.flatMap((way) => Object.keys(SCENARIOS).map((scenario, index) => ({ way, scenario, index })));
  // The connection test takes two seconds on a path that buffers: all at once.
  await Promise.all(items.filter(({ way, scenario }) => `${way} ${scenario}`.includes(only))
    .map((item) => play(item, servers, proxies)));
}

if (process.argv[2] === '--list') {
  console.log(JSON.stringify({ ways: WAYS, scenarios: Object.keys(SCENARIOS) }));
} else {
  main(JSON.parse(process.argv[2]), process.argv[3]).then(() => process.exit(0));
}
