'use strict';

/**
 * The bare socket.io-client 0.9.17 against our server, speaking Primus's text by hand:
 * `node socketio_clients.js '{"main": URL, "quick": URL}' [part of a name]`.
 *
 * Programs that know Socket.IO only talk to a Primus server too, with what Primus's own client makes no use of. Prints a
 * line of JSON per scenario; `--list` prints what there is. For Node only. test_socketio_clients.py starts the servers.
 */
const assert = require('assert');
const io = require('socket.io-client');

const WAYS = ['websocket', 'xhr-polling'];
const LIMIT = 20000; // ms that a scenario may take

// --- one client ---

/** A connection, what has come over it, and Primus's JSON text in both directions. */
class Connection {
  constructor(way, base, tag, { service = 'echo', options = {} } = {}) {
    this.messages = [];
    this.events = [];
    this.waiting = new Set();
    this.socket = io.connect(`${base}?service=${service}&tag=${tag}`, {
      resource: 'primus',
      'force new connection': true,
      reconnect: false,
      ...options
    });
    // As an option it would be written into the array that all connections share.
    this.session.options.transports = [way];
    this.socket.on('message', (data) => this.note(() => this.messages.push(data)));
    for (const name of ['connect', 'connect_failed', 'disconnect', 'error']) {
      this.socket.on(name, (reason) => this.note(() => this.events.push(reason ? `${name}: ${reason}` : name)));
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

  get session() {
    return this.socket.socket;
  }

  write(value) {
    this.socket.send(JSON.stringify(value));
  }

  /** The next messages as JSON. */
  async take(count) {
    await this.wait(() => this.messages.length >= count);
    return this.messages.splice(0, count).map((text) => JSON.parse(text));
  }

  async ask(value) {
    this.write(value);
    return (await this.take(1))[0];
  }
}

// --- scenarios ---

const TEXTS = ['', 'é', 'ключ', '日本語', '💩', 'a💩b€c\u{10ffff}', 'x\u2028\u2029y', '\u0000\u001e\u007f', '\ufeffbom',
  '\ufffd5\ufffd', '3:::x', ':::', '"\\\n', '1+0', 'x'.repeat(100000), '€'.repeat(40000), '💩'.repeat(20000)];

// Those that mostly wait are played beside all others.
const IDLE = ['idle over several heartbeats', 'a client that falls silent is dropped'];

const SCENARIOS = {
  async 'the handshake'(world) {
    const peer = world.connect();
    await peer.event('connect');
    assert.strictEqual(peer.session.transport.name, world.way);
    assert.strictEqual(peer.session.heartbeatTimeout, 60000);
    assert.strictEqual(peer.session.closeTimeout, 60000);
    assert.deepStrictEqual((await world.state()).ids, [peer.session.sessionid]);
    assert.strictEqual(await peer.ask('primus::id::'), `primus::id::${peer.session.sessionid}`);
    assert.strictEqual(await peer.ask('primus::ping::1400000000123'), 'primus::pong::1400000000123');
  },

  async 'echo of awkward text'(world) {
    const peer = world.connect();
    for (const text of TEXTS) peer.write({ text });
    (await peer.take(TEXTS.length)).forEach(({ text }, n) => assert.strictEqual(text, TEXTS[n], `text ${n}`));
    const { messages } = await world.state();
    assert.deepStrictEqual(messages, TEXTS.map((text) => ({ text })), 'what the server got');
  },

  async '1000 each way, in order'(world) {
    const peer = world.connect();
    const burst = world.connect({ service: 'burst' });
    burst.write(1000);
    for (let n = 0; n < 1000;) {
      for (let i = 0; i < 10; i++) peer.write(n++);
      await new Promise(setImmediate);
    }
    const expected = Array.from({ length: 1000 }, (_, n) => n);
    assert.deepStrictEqual(await peer.take(1000), expected, 'echoes');
    assert.deepStrictEqual(await burst.take(1000), expected, 'burst');
  },

  async 'what is large'(world) {
    const peer = world.connect();
    const amplify = world.connect({ service: 'amplify' });
    const text = 'é💩x'.repeat(120000); // 960 kB
    assert.ok((await peer.ask(text)) === text, 'echo');
    assert.strictEqual((await amplify.ask(3e6)).length, 3e6);
  },

  async 'acknowledgements, values and events'(world) {
    const peer = world.connect();
    await peer.event('connect');
    const acknowledged = [];
    for (const n of [1, 2]) {
      peer.socket.send(`"ack ${n}"`, () => peer.note(() => acknowledged.push(n)));
    }
    // what the application would have to answer, and Primus's does not
    peer.socket.emit('message', '"data"', (answer) => peer.note(() => acknowledged.push(answer)));
    peer.socket.json.send({ json: [1, null] });
    peer.socket.emit('message', { event: true }, 'left out');
    peer.socket.emit('other', 1);
    peer.write('last');
    const expected = ['ack 1', 'ack 2', 'data', { json: [1, null] }, { event: true }, 'last'];
    assert.deepStrictEqual(await peer.take(6), expected);
    await peer.wait(() => acknowledged.length >= 2);
    assert.deepStrictEqual(acknowledged, [1, 2]);
  },

  async 'the client disconnects: its last words arrive'(world) {
    const peer = world.connect({ service: 'silent' });
    await peer.event('connect');
    for (let n = 0; n < 20; n++) peer.write(n);
    await world.state('received', 20);
    peer.session.disconnect();
    await peer.event('disconnect: booted');
    const { received, log, disconnections } = await world.state('ends', 1);
    assert.strictEqual(received, 20);
    assert.strictEqual(disconnections, 1);
    assert.deepStrictEqual(log.slice(-2), ['disconnection', 'end']);
  },

  async 'the page goes: disconnect by a request of its own'(world) {
    const peer = world.connect();
    await peer.event('connect');
    const { sessionid, options } = peer.session;
    const response = await fetch(`http://${options.host}:${options.port}/primus/1//${sessionid}/?disconnect=1`);
    assert.strictEqual(response.status, 200);
    await peer.event('disconnect: booted');
    await world.state('ends', 1);
  },

  async 'the server ends: its last words arrive'(world) {
    const peer = world.connect({ service: 'end_data' });
    await peer.event('connect');
    peer.write('au revoir 💩');
    assert.deepStrictEqual(await peer.take(2), ['au revoir 💩', 'primus::server::close']);
    await peer.event('disconnect: booted');
    assert.ok(!peer.events.some((name) => name.startsWith('error')), peer.events.join());
    await world.state('ends', 1);
  },

  async 'the server wants it back: no error'(world) {
    const peer = world.connect({ service: 'end_reconnect' });
    await peer.event('connect');
    peer.write('now');
    await peer.event('disconnect: booted');
    assert.deepStrictEqual(peer.messages, []);
    assert.ok(!peer.events.some((name) => name.startsWith('error')), peer.events.join());
  },

  async 'killed, and another one'(world) {
    const peer = world.connect({ service: 'kill' });
    await peer.event('connect');
    peer.write('now');
    await peer.wait(() => peer.events.some((name) => name.startsWith('disconnect')));
    await world.state('ends', 1);
    const other = world.connect();
    assert.strictEqual(await other.ask('again'), 'again');
    assert.notStrictEqual(other.session.sessionid, peer.session.sessionid);
  },

  async 'its own reconnection'(world) {
    const peer = world.connect({ service: 'kill', options: { reconnect: true, 'reconnection delay': 20 } });
    await peer.event('connect');
    peer.write('now');
    await world.state('connections', 2);
    await peer.wait(() => peer.events.filter((name) => name === 'connect').length === 2);
  },

  async 'idle over several heartbeats'(world) {
    const peer = world.connect({ base: 'quick' });
    await peer.event('connect');
    assert.strictEqual(peer.session.heartbeatTimeout, 2000);
    await new Promise((resolve) => setTimeout(resolve, 6000)); // for what must not happen
    assert.deepStrictEqual(peer.events, ['connect']);
    assert.strictEqual(await peer.ask('alive'), 'alive');
    assert.strictEqual((await world.state(undefined, 0, 'quick')).disconnections, 0);
  },

  async 'a client that falls silent is dropped'(world) {
    const peer = world.connect({ base: 'quick' });
    await peer.event('connect');
    // nothing leaves any more, no heartbeat, and no poll after the one that is under way
    const { transport } = peer.session;
    transport.send = transport.packet = () => {};
    if (transport.get) transport.get = () => {};
    await world.state('ends', 1, 'quick');
  },

  async 'a server that does not know the session'(world) {
    const peer = world.connect();
    await peer.event('connect');
    const stranger = world.connect();
    await stranger.event('connect');
    stranger.session.transport.sessid = 'nobody';
    if (world.way === 'websocket') stranger.session.transport.open();
    else peer.socket.send('"go on"');
    if (world.way === 'xhr-polling') await fetch(`${world.address('control/broadcast')}?data=1`);
    await stranger.wait(() => stranger.events.some((name) => name.startsWith('disconnect')));
    assert.ok(stranger.events.includes('error: client not handshaken'), stranger.events.join());
  }
};

// --- playing them ---

async function get(url) {
  const response = await fetch(url);
  assert.ok(response.ok, `${url} answered ${response.status}`);
  return response.json();
}

/** What one scenario works with: its connections, and the server's view of them. */
function worldOf(servers, { way, index }) {
  const tag = `${way}.${index}`;
  const connections = [];
  return {
    way,
    connections,
    address: (path) => `${servers.main}/${path}`,
    connect({ base = 'main', ...more } = {}) {
      const connection = new Connection(way, servers[base], tag, more);
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
  for (const { session } of world.connections) {
    session.options.reconnect = false;
    session.disconnect();
  }
  const { way, scenario } = item;
  console.log(JSON.stringify({ way, scenario, failure }));
}

async function main(servers, only = '') {
  const items = WAYS.flatMap((way) =>
    Object.keys(SCENARIOS).map((scenario, index) => ({ way, scenario, index })));
  const chosen = items.filter(({ way, scenario }) => `${way} ${scenario}`.includes(only));
  const beside = chosen.filter(({ scenario }) => IDLE.includes(scenario)).map((item) => play(item, servers));
  for (const item of chosen.filter(({ scenario }) => !IDLE.includes(scenario))) await play(item, servers);
  await Promise.all(beside);
}

if (process.argv[2] === '--list') {
  console.log(JSON.stringify({ ways: WAYS, scenarios: Object.keys(SCENARIOS) }));
} else {
  main(JSON.parse(process.argv[2]), process.argv[3]).then(() => process.exit(0));
}
