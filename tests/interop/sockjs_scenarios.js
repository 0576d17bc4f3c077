'use strict';

/**
 * Scenarios for sockjs-client 1.6.1 by itself against the test server.
 *
 * Each transport is named in `transports`, so that the client takes no other: the clients of Primus use the first that works. The
 * scenarios run in Node and in a page; sockjs_run.js starts them, and test_sockjs_clients.py makes tests of them.
 */
(function define(root, factory) {
  if (typeof module === 'object' && module.exports) module.exports = factory();
  else root.InteropSockJS = factory();
})(typeof globalThis === 'object' ? globalThis : this, () => {
  const LIMIT = 20000; // ms that a scenario may take

  function check(condition, message) {
    if (!condition) throw new Error(typeof message === 'function' ? message() : message);
  }

  function equal(actual, expected, what) {
    const [got, wanted] = [actual, expected].map((value) => String(JSON.stringify(value)));
    check(got === wanted, () => `${what}: got ${got.slice(0, 300)}, expected ${wanted.slice(0, 300)}`);
  }

  // --- one client ---

  /** A connection, what has come over it, and Primus's JSON text in both directions. */
  class Connection {
    constructor(world, { base = 'main', service = 'echo' } = {}) {
      const query = `?service=${service}&tag=${world.tag}`;
      this.messages = [];
      this.events = [];
      this.waiting = new Set();
      this.name = world.transport;
      this.socket = new world.SockJS(`${world.servers[base]}/primus${query}`, null, {
        transports: world.transport,
        timeout: LIMIT // for it to open; by itself the client takes a slow machine for one that cannot do it
      });
      this.socket.onmessage = ({ data }) => this.note(() => this.messages.push(data));
      this.socket.onclose = (event) => this.note(() => {
        this.closed = { code: event.code, reason: event.reason };
        this.events.push('close');
      });
      for (const name of ['open', 'heartbeat']) this.socket[`on${name}`] = () => this.note(() => this.events.push(name));
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

    async event(name, times = 1) {
      await this.wait(() => this.events.filter((one) => one === name).length >= times || this.closed);
      check(this.events.includes(name), () => `closed instead of ${name}: ${JSON.stringify(this.closed)}`);
      if (name === 'open') equal(this.socket.transport, this.name, 'transport');
    }

    write(value) {
      this.socket.send(JSON.stringify(value));
    }

    /** The next messages as they came. */
    async raw(count = 1) {
      await this.wait(() => this.messages.length >= count || this.closed);
      check(this.messages.length >= count, () => `closed after ${this.messages.length} messages: ${JSON.stringify(this.closed)}`);
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

  // --- scenarios ---

  const TEXTS = ['', 'é', 'ключ', '日本語', '💩', 'a💩b€c\u{10ffff}', 'x\u2028\u2029y', '\u0000\u001e\u007f', '\ufeffbom', 'Ã©', '4:4a', '50%', '%25%0A',
    '"\\\n', '</script>', '\u200c\ufff0\uffff\u206f', 'x'.repeat(100000), '€'.repeat(40000), '💩'.repeat(20000)];

  const SCENARIOS = {
    async 'echo of awkward text'(world) {
      const peer = await world.connected();
      for (const text of TEXTS) peer.write({ text });
      (await peer.take(TEXTS.length)).forEach(({ text }, n) => equal(text, TEXTS[n], `text ${n}`));
      equal((await world.state()).messages, TEXTS.map((text) => ({ text })), 'what the server got');
    },

    async '500 each way, in order, from open on'(world) {
      const [peer, burst] = [await world.connected(), await world.connected({ service: 'burst' })];
      const expected = Array.from({ length: 500 }, (_, n) => n);
      burst.write(500);
      for (const n of expected) peer.write(n);
      equal(await peer.take(500), expected, 'echoes');
      equal(await burst.take(500), expected, 'burst');
    },

    async 'more than a stream may bring'(world) {
      const peer = await world.connected({ service: 'amplify' });
      for (const size of [1, 125, 65535, 300000, 10]) equal((await peer.ask(size)).length, size, 'characters');
    },

    async 'half a mebibyte both ways'(world) {
      const peer = await world.connected();
      for (const text of ['x'.repeat(500000), '€'.repeat(150000)]) {
        const answer = await peer.ask(text);
        check(answer === text, () => `${text.length} characters came as ${answer.length}`);
      }
    },

    async 'the id, and a ping of Primus 2'(world) {
      const peer = await world.connected();
      const [id] = (await world.state('connections', 1)).ids;
      equal(await peer.ask('primus::id::'), `primus::id::${id}`, 'id');
      equal(await peer.ask('primus::ping::1400000000123'), 'primus::pong::1400000000123', 'pong');
    },

    async 'the query, headers and address of the spark'(world) {
      const peer = await world.connected({ service: 'meta' });
      const { query, headers, address } = await peer.ask('who am I');
      equal([query.service, query.tag], ['meta', world.tag], 'query');
      equal(headers.host, new URL(world.servers.main).host, 'host');
      equal(address.ip, '127.0.0.1', 'address');
    },

    async 'the client closes'(world) {
      const peer = await world.connected();
      equal(await peer.ask('hello'), 'hello', 'echo');
      peer.socket.close();
      await peer.event('close');
      equal(peer.closed, { code: 1000, reason: 'Normal closure' }, 'close');
      const { connections, log } = await world.state('ends', 1);
      equal([connections, log], [1, ['connection', 'data', 'disconnection', 'end']], 'on the server');
    },

    async 'the server closes: its last words arrive'(world) {
      const peer = await world.connected({ service: 'end_data' });
      peer.write('au revoir 💩');
      equal(await peer.take(2), ['au revoir 💩', 'primus::server::close'], 'last words');
      await peer.event('close');
      equal(peer.closed, { code: 1000, reason: 'Normal closure' }, 'close');
      await world.state('ends', 1);
    },

    async 'the server wants it back: no error'(world) {
      const peer = await world.connected({ service: 'end_reconnect' });
      peer.write('now');
      await peer.event('close');
      equal(peer.closed, { code: 1000, reason: 'Normal closure' }, 'close');
      equal(peer.messages, [], 'messages');
      const other = await world.connected();
      equal(await other.ask('back'), 'back', 'echo');
    },

    async 'killed, and back by hand'(world) {
      const peer = await world.connected({ service: 'kill' });
      peer.write('now');
      await peer.event('close');
      check(peer.closed.code !== 1000, () => `closed with ${JSON.stringify(peer.closed)}`);
      await world.state('ends', 1);
      const other = await world.connected();
      equal(await other.ask('again'), 'again', 'echo');
      // one that makes requests may have asked for its old session, and got another one that it did not want
      const { ids } = await world.state();
      equal(new Set(ids).size, ids.length, 'ids');
    },

    async 'idle over several heartbeats'(world) {
      const peer = await world.connected({ base: 'quick' });
      // a WebSocket gets pings, which its user does not see
      if (world.transport === 'websocket') await new Promise((resolve) => setTimeout(resolve, 1000));
      else await peer.event('heartbeat', 3);
      equal(await peer.ask('alive'), 'alive', 'echo');
      equal((await world.state(undefined, 0, 'quick')).disconnections, 0, 'disconnections');
    }
  };

  // --- playing them ---

  async function get(url) {
    const response = await fetch(url);
    check(response.ok, () => `${url} answered ${response.status}`);
    return response.json();
  }

  /** What one scenario works with: its connections, and the server's view of them. */
  class World {
    constructor(item) {
      Object.assign(this, item);
      this.connections = [];
    }

    connect(settings) {
      const connection = new Connection(this, settings);
      this.connections.push(connection);
      return connection;
    }

    async connected(settings) {
      const connection = this.connect(settings);
      await connection.event('open');
      return connection;
    }

    /** At once, or as soon as `field` has come to `least`. */
    async state(field, least, base = 'main') {
      if (!field) return get(`${this.servers[base]}/control/state?tag=${this.tag}`);
      const state = await get(`${this.servers[base]}/control/wait?tag=${this.tag}&field=${field}&least=${least}&limit=10`);
      check(state[field] >= least, () => `the server: ${field} did not come to ${least}: ${JSON.stringify(state)}`);
      return state;
    }
  }

  async function playOne(item) {
    const world = new World(item);
    let timer;
    const limit = new Promise((resolve, reject) => {
      const story = () => JSON.stringify(world.connections.map(({ events, closed, messages }) => [events, closed, messages.length]));
      timer = setTimeout(() => reject(new Error(`not within ${LIMIT} ms; so far: ${story()}`)), LIMIT);
    });
    try {
      await Promise.race([SCENARIOS[item.scenario](world), limit]);
      return '';
    } catch (error) {
      return String(error.stack || error);
    } finally {
      clearTimeout(timer);
      for (const { socket } of world.connections) socket.close();
    }
  }

  /** Plays every scenario over these transports and calls report({place, transport, scenario, failure, seconds}) for each. */
  async function play(place, transports, SockJS, servers, report) {
    for (const transport of transports) {
      // A script that is loading cannot be stopped. Of those of clients that have ended, the server notices when they have
      // their answer, which is a heartbeat, and no other one is asked for; and a page has only six requests.
      const given = transport === 'jsonp-polling' ? { main: servers.quick, quick: servers.quick } : servers;
      for (const [index, scenario] of Object.keys(SCENARIOS).entries()) {
        const tag = `${place}.${transport}.${index}`;
        const began = Date.now();
        const failure = await playOne({ transport, scenario, tag, SockJS, servers: given });
        await report({ place, transport, scenario, failure, seconds: (Date.now() - began) / 1000 });
      }
    }
  }

  return { play, scenarios: Object.keys(SCENARIOS) };
});
