'use strict';

/**
 * The bare engine.io-client of three generations against our server, speaking Primus's text by hand:
 * `node engineio_clients.js '{"main": URL, "quick": URL}' [part of a name]`.
 *
 * Programs that know Engine.IO only talk to a Primus server too, and what Primus's own client asks for (base64 at all
 * times, and polling first) is not all that engine.io-client can do. Prints a line of JSON per scenario; `--list` prints
 * what there is. For Node only. test_engineio_clients.py starts the servers.
 */
const assert = require('assert');

const VERSIONS = {
  1.8: require('engine.io-client18').Socket,
  3.5: require('engine.io-client35').Socket,
  6.6: require('engine.io-client').Socket
};
const WAYS = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };
const LIMIT = 20000; // ms that a scenario may take
const BEATS = 600 + 1500; // ms: pingInterval and pingTimeout of the server `quick`

// --- one client ---

/** A connection, what has come over it, and Primus's JSON text in both directions. */
class Connection {
  constructor({ version, way, tag }, base, { service = 'echo', query = '', options = {} } = {}) {
    this.way = way;
    this.messages = [];
    this.events = [];
    this.waiting = new Set();
    this.socket = new VERSIONS[version](`${base}/?service=${service}&tag=${tag}${query}`, {
      path: '/primus',
      transports: WAYS[way],
      rememberUpgrade: false, // 1.8 and 3.5 would share that among all connections
      ...options
    });
    this.socket.on('message', (data) => this.note(() => this.messages.push(data)));
    for (const name of ['open', 'upgrade', 'close', 'error']) {
      this.socket.on(name, () => this.note(() => this.events.push(name)));
    }
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

  event(name) {
    return this.wait(() => this.events.includes(name));
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

  /** Waits until the connection is as it will stay. */
  async settled() {
    await this.event('open');
    if (this.way === 'upgrade') await this.event('upgrade');
    assert.strictEqual(this.socket.transport.name, this.way === 'polling' ? 'polling' : 'websocket', 'transport');
  }
}

// --- scenarios ---

const TEXTS = ['', 'é', 'ключ', '日本語', '💩', 'a💩b€c\u{10ffff}', 'x\u2028\u2029y', '\u0000\u001e\u007f', '\ufeffbom', 'Ã©', '4:4a',
  '"\\\n', 'b4AQID', 'x'.repeat(100000), '€'.repeat(40000), '💩'.repeat(20000)];

// Those that mostly wait are played beside all others.
const IDLE = ['idle over several heartbeats', 'a client that falls silent is dropped'];

const SCENARIOS = {
  async 'echo of awkward text'(world) {
    const peer = world.connect();
    for (let round = 0; round < 2; round++) {
      for (const text of TEXTS) peer.write({ text });
      (await peer.take(TEXTS.length)).forEach(({ text }, n) => assert.strictEqual(text, TEXTS[n], `text ${n}`));
      await peer.settled(); // and again on the transport that it stays on
    }
    const { messages } = await world.state();
    assert.deepStrictEqual(messages, [...TEXTS, ...TEXTS].map((text) => ({ text })), 'what the server got');
    peer.write('\u2028');
    assert.deepStrictEqual(await peer.raw(), ['"\\u2028"'], 'never sent as it is: no script could hold it');
  },

  async '1000 each way, in order, from open on'(world) {
    const peer = world.connect();
    const burst = world.connect({ service: 'burst' });
    await Promise.all([peer.event('open'), burst.event('open')]);
    burst.write(1000);
    for (let n = 0; n < 1000;) {
      // a few in every turn, so that some meet each step of the upgrade
      for (let i = 0; i < 10; i++) peer.write(n++);
      await new Promise(setImmediate);
    }
    const expected = Array.from({ length: 1000 }, (_, n) => n);
    assert.deepStrictEqual(await peer.take(1000), expected, 'echoes');
    assert.deepStrictEqual(await burst.take(1000), expected, 'burst');
    await Promise.all([peer.settled(), burst.settled()]);
  },

  async 'bytes, as such and in base64'(world) {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    for (const forceBase64 of [false, true]) {
      const peer = world.connect({ service: 'raw', options: { forceBase64 } });
      await peer.event('open');
      for (let round = 0; round < 2; round++) {
        for (const sent of [bytes, Buffer.from([4]), Buffer.alloc(70000, 0xab)]) {
          peer.socket.send(sent);
          const [back, text] = await peer.raw(2);
          assert.ok(typeof back !== 'string', `bytes came as text: ${String(back).slice(0, 40)}`);
          assert.ok(Buffer.from(back).equals(sent), `${sent.length} bytes have changed`);
          assert.strictEqual(text, '"after"', 'the text behind them');
        }
        await peer.settled();
      }
    }
  },

  async 'the id, and a ping of Primus 2'(world) {
    const peer = world.connect();
    await peer.event('open');
    assert.strictEqual(await peer.ask('primus::id::'), `primus::id::${peer.socket.id}`);
    assert.strictEqual(await peer.ask('primus::ping::1400000000123'), 'primus::pong::1400000000123');
    assert.deepStrictEqual((await world.state()).ids, [peer.socket.id]);
  },

  async 'the client closes: its last words arrive'(world) {
    for (const when of ['open', 'settled']) {
      const before = await world.state();
      const peer = world.connect({ service: 'silent' });
      await (when === 'settled' ? peer.settled() : peer.event('open'));
      for (let n = 0; n < 20; n++) peer.write(n);
      peer.socket.close();
      await peer.event('close');
      const { received, log } = await world.state('ends', before.ends + 1);
      assert.strictEqual(received - before.received, 20, `messages, when ${when}`);
      assert.deepStrictEqual(log.slice(-2), ['disconnection', 'end']);
    }
  },

  async 'the server closes: its last words arrive'(world) {
    for (const when of ['open', 'settled']) {
      const peer = world.connect({ service: 'end_data' });
      await (when === 'settled' ? peer.settled() : peer.event('open'));
      peer.write('au revoir 💩');
      assert.deepStrictEqual(await peer.take(2), ['au revoir 💩', 'primus::server::close'], `when ${when}`);
      await peer.event('close');
      assert.ok(!peer.events.includes('error'), 'an error');
    }
    await world.state('ends', 2);
  },

  async 'the server wants it back: no error'(world) {
    const peer = world.connect({ service: 'end_reconnect' });
    await peer.settled();
    peer.write('now');
    await peer.event('close');
    assert.ok(!peer.events.includes('error'), 'an error');
    assert.deepStrictEqual(peer.messages, []);
  },

  async 'idle over several heartbeats'(world) {
    const peer = world.connect({ base: 'quick' });
    await peer.settled();
    await new Promise((resolve) => setTimeout(resolve, 2.5 * BEATS)); // for what must not happen
    assert.ok(!peer.events.includes('close'), 'closed');
    assert.strictEqual(await peer.ask('alive'), 'alive');
    assert.strictEqual((await world.state(undefined, 0, 'quick')).disconnections, 0);
  },

  async 'a client that falls silent is dropped'(world) {
    const peer = world.connect({ base: 'quick' });
    await peer.settled();
    // nothing leaves any more, no ping and no pong, and no poll after the one that is under way
    const { transport } = peer.socket;
    transport.write = () => {};
    if (transport.doPoll) transport.doPoll = () => {};
    await world.state('ends', 1, 'quick');
    await peer.event('close');
  },

  async 'killed, and back by hand'(world) {
    const peer = world.connect({ service: 'kill' });
    await peer.settled();
    peer.write('now');
    await peer.event('close');
    await world.state('ends', 1);
    const other = world.connect();
    assert.strictEqual(await other.ask('again'), 'again');
    assert.notStrictEqual(other.socket.id, peer.socket.id);
    other.socket.close();
    await other.event('close');
    await world.state('ends', 2);
    if (!other.socket.open) return; // 6 makes a new socket each time
    other.events = [];
    other.socket.open();
    assert.strictEqual(await other.ask('and again'), 'and again');
    await other.settled();
    other.socket.close();
    assert.strictEqual((await world.state('ends', 3)).open, 0);
  },

  async 'a session that is unknown'(world) {
    const peer = world.connect({ query: '&sid=nobody' });
    await peer.event('error');
    await peer.event('close');
    assert.strictEqual((await world.state()).connections, 0);
  }
};

// --- playing them ---

async function get(url) {
  const response = await fetch(url);
  assert.ok(response.ok, `${url} answered ${response.status}`);
  return response.json();
}

/** What one scenario works with: its connections, and the server's view of them. */
function worldOf(servers, { version, way, index }) {
  const tag = `${version}.${way}.${index}`;
  const connections = [];
  return {
    connections,
    connect({ base = 'main', ...more } = {}) {
      const connection = new Connection({ version, way, tag }, servers[base], more);
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

async function play(item, servers) {
  const world = worldOf(servers, item);
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
  const { version, way, scenario } = item;
  console.log(JSON.stringify({ version, way, scenario, failure }));
}

async function main(servers, only = '') {
  const items = Object.keys(VERSIONS).flatMap((version) => Object.keys(WAYS).flatMap((way) =>
    Object.keys(SCENARIOS).map((scenario, index) => ({ version, way, scenario, index }))));
  const chosen = items.filter(({ version, way, scenario }) => `${version} ${way} ${scenario}`.includes(only));
  const beside = chosen.filter(({ scenario }) => IDLE.includes(scenario)).map((item) => play(item, servers));
  for (const item of chosen.filter(({ scenario }) => !IDLE.includes(scenario))) await play(item, servers);
  await Promise.all(beside);
}

if (process.argv[2] === '--list') {
  console.log(JSON.stringify({
    versions: Object.keys(VERSIONS), ways: Object.keys(WAYS), scenarios: Object.keys(SCENARIOS)
  }));
} else {
  main(JSON.parse(process.argv[2]), process.argv[3]).then(() => process.exit(0));
}
