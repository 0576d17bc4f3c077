'use strict';

/**
 * What all scenarios are written with, and what plays them.
 *
 * It needs Primus client constructors, the addresses of test servers (server.js or server.py) and `fetch`, and nothing
 * of Node or of the browser, so that this very file runs in both, as do those in suites/. What only the runner can do -
 * start, stop and pause servers - it asks for over HTTP too (run.js, `control`).
 *
 * A scenario waits for events, each with a time limit. The one exception is `silence`, for what must not happen.
 */
(function define(root, factory) {
  if (typeof module === 'object' && module.exports) module.exports = factory(require('./values'), require('./frameworks'));
  else root.InteropHarness = factory(root.InteropValues, root.InteropFrameworks);
})(typeof globalThis === 'object' ? globalThis : this, ({ describe }, frameworks) => {
  const LIMIT = 8000; // ms that an event may take; far more than any needs on a busy machine
  const SCENARIOS = [];

  /**
   * Gives the function that registers scenarios of one suite: scenario(name, settings, play).
   *
   * `needs(world)` returns nothing, or the sentence that says why this client and server cannot play it.
   * `idle` marks one that mostly waits. These run at the same time: with `true` beside the others, with 'alone' when
   * those are done, because they would hold up its heartbeats.
   */
  function suite(name) {
    return (scenario, settings, play) => {
      if (typeof settings === 'function') [settings, play] = [{}, settings];
      SCENARIOS.push({ suite: name, name: scenario, needs: () => undefined, idle: false, ...settings, play });
    };
  }

  // --- tools ---

  class Failure extends Error {}

  function check(condition, message) {
    if (!condition) throw new Failure(typeof message === 'function' ? message() : message);
  }

  function equal(actual, expected, what = 'value') {
    check(same(actual, expected), () => `${what}: got ${show(actual)}, expected ${show(expected)}`);
  }

  /** Deep equality of JSON values. Official clients live in a realm of their own, so prototypes are not compared. */
  function same(a, b) {
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b);
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    const keys = Object.keys(a);
    const own = Object.prototype.hasOwnProperty;
    return keys.length === Object.keys(b).length && keys.every((key) => own.call(b, key) && same(a[key], b[key]));
  }

  function show(value) {
    let text;
    try {
      text = JSON.stringify(value);
    } catch (error) {
      text = undefined;
    }
    if (text === undefined || Object.is(value, -0)) text = Object.is(value, -0) ? '-0' : String(value);
    return text.length > 300 ? `${text.slice(0, 300)}... (${text.length} characters)` : text;
  }

  /** For what must NOT happen within `ms`: nothing but the clock can tell. The only sleep of the suite. */
  function silence(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  function within(promise, ms, what) {
    let timer;
    const limit = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Failure(`${what()} - not within ${ms} ms`)), ms);
    });
    return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
  }

  const EVENTS = {
    2: ['readyStateChange', 'open', 'data', 'error', 'timeout', 'close', 'end', 'offline', 'online',
      'reconnecting', 'reconnect', 'reconnected'],
    8: ['readyStateChange', 'open', 'data', 'error', 'timeout', 'close', 'end', 'offline', 'online',
      'reconnect scheduled', 'reconnect', 'reconnected', 'reconnect timeout', 'reconnect failed']
  };
  const INTERNAL = ['outgoing::open', 'outgoing::url', 'incoming::open', 'outgoing::reconnect', 'incoming::end',
    'outgoing::ping', 'incoming::pong', 'incoming::ping', 'outgoing::pong', 'outgoing::end'];

  /** One client, and everything that it has told so far. */
  class Peer {
    constructor(world, { kind, Client, transformer = world.transformer, way = world.way }, { service = 'echo', query = {}, options = {}, base, tag }) {
      this.world = world;
      this.kind = kind;
      this.generation = kind === 'primus8' ? 8 : 2;
      this.tag = tag;
      this.seen = new Map(); // event -> list of its arguments
      this.trace = []; // the public events in order, readyStateChange with its argument
      this.taken = 0; // messages that message() has handed out
      this.waiting = new Set();
      const quick = this.generation === 8 ? { min: 20, max: 200, retries: 100 } : { minDelay: 20, maxDelay: 200, retries: 100 };
      const parts = Object.entries({ service, tag, ...query }).map((pair) => pair.map(encodeURIComponent).join('='));
      const given = frameworks.options(transformer, way, { kind, browser: world.browser });
      const transport = { ...given.transport, ...options.transport };
      // Where there is no query, the host tells service and tag.
      const nameless = frameworks.queryless(transformer, [kind, world.about.server]);
      this.base = base;
      this.url = nameless ? base.replace('127.0.0.1', `${service}.${tag}.localhost`) : base;
      this.client = new Client(`${this.url}/?${parts.join('&')}`, { reconnect: quick, ...given, ...options, transport });
      for (const name of EVENTS[this.generation]) this.listen(name, true);
      for (const name of INTERNAL) this.listen(name, false);
      // The official `binary` parser in Node reads Buffers only, so its user has to ask `ws` for them.
      if (world.nodeBuffers) this.client.on('outgoing::open', () => { this.client.socket.binaryType = 'nodebuffer'; });
    }

    listen(name, traced) {
      this.seen.set(name, []);
      this.client.on(name, (...args) => {
        this.seen.get(name).push(args);
        if (traced) this.trace.push(name === 'readyStateChange' ? `readyStateChange ${args[0]}` : name);
        for (const look of [...this.waiting]) look();
      });
    }

    count(name) {
      return this.seen.get(name).length;
    }

    /** Waits until `event` has happened `nth` times in all; gives the arguments of that time. */
    async event(name, nth = 1, limit = LIMIT) {
      const list = this.seen.get(name);
      await this.until(() => list.length >= nth, limit, () => `${name}, time ${nth}`);
      return list[nth - 1];
    }

    /** The next message that was not taken yet. */
    async message() {
      return (await this.event('data', ++this.taken))[0];
    }

    async messages(count) {
      await this.event('data', this.taken + count);
      const list = this.seen.get('data').slice(this.taken, this.taken + count).map((args) => args[0]);
      this.taken += count;
      return list;
    }

    async ask(data) {
      this.client.write(data);
      return this.message();
    }

    until(reached, limit, what) {
      if (reached()) return undefined;
      let look;
      const happened = new Promise((resolve) => {
        look = () => reached() && resolve();
        this.waiting.add(look);
      });
      const story = () => `${what()}; so far: ${show(this.trace.slice(-30))}, errors: ` +
        show(this.seen.get('error').map(([error]) => String(error && error.message)));
      return within(happened, limit, story).finally(() => this.waiting.delete(look));
    }

    /** Waits until the client has gone over to a WebSocket. */
    async upgraded() {
      const { socket } = this.client;
      const deadline = Date.now() + LIMIT;
      while (socket.transport.name !== 'websocket') {
        check(Date.now() < deadline, () => `the upgrade - not within ${LIMIT} ms; so far: ${show(this.trace.slice(-30))}`);
        await silence(2); // not every client says it
      }
    }

    /**
     * Waits until the session can be lost: engine.io-client does not notice it while it goes over to a WebSocket, but
     * by its heartbeat. Ours does.
     */
    async settled() {
      if (this.world.way === 'upgrade' && this.kind !== 'ours') await this.upgraded();
    }

    /** Says when the WebSocket of now has closed, and with which code. */
    closeCode() {
      const { socket } = this.client;
      const closed = new Promise((resolve) => socket.addEventListener('close', (event) => resolve(event.code)));
      return within(closed, LIMIT, () => 'the end of the WebSocket');
    }

    id() {
      return within(new Promise((resolve) => this.client.id(resolve)), LIMIT, () => 'the answer to id()');
    }

    state(field, least) {
      return this.world.state(this.tag, field, least, this.base);
    }

    /** Has the server write these values, which may be more than JSON has, and gives the client's view of them. */
    async sent(values) {
      await this.world.post('/control/send', { tag: this.tag, values: values.map(describe) }, this.base);
      return (await this.messages(values.length)).map(describe);
    }

    /** Has the server write something past its parser: `text`, or bytes as `hex`. */
    sentRaw(frame) {
      return this.world.post('/control/send_raw', { tag: this.tag, ...frame }, this.base);
    }
  }

  /**
   * What one scenario works with: its own tag, its peers and the servers that it started. When nothing is left to do but wait,
   * `release()` lets the next one begin.
   */
  class World {
    constructor(settings, name, index) {
      Object.assign(this, settings); // see `run`
      this.name = name;
      this.index = index;
      this.peers = [];
      this.started = [];
      this.released = new Promise((resolve) => { this.release = resolve; });
    }

    get generation() {
      return this.kind === 'primus8' ? 8 : 2;
    }

    /** Whether Engine.IO carries the messages. */
    get engine() {
      return frameworks.engine(this.transformer);
    }

    /** Whether a connection is a session of many requests, or can be, rather than one WebSocket. */
    get session() {
      return frameworks.session(this.transformer);
    }

    /** Whether the framework has text only. */
    get text() {
      return frameworks.text(this.transformer);
    }

    /** Why messages cannot be bytes here, if so. */
    get textOnly() {
      const official = this.kind !== 'ours' || this.about.server !== 'python';
      return official && this.text ? 'the framework carries text only, and its original makes text of bytes' : undefined;
    }

    /**
     * Whether the client forgets what it has not sent yet when it is ended, and does not know of a session that is over: official
     * ones of the text frameworks, where these make requests.
     */
    get forgetful() {
      return this.kind !== 'ours' && this.text && this.polls;
    }

    /** Whether each connection holds a request. */
    get polls() {
      return this.session && !['websocket', 'upgrade', 'upgraded'].includes(this.way);
    }

    /** Whether BCSocket is the client. It has ways of its own. */
    get bcsocket() {
      return this.kind !== 'ours' && this.transformer === 'browserchannel';
    }

    /** The events of a connection that its server ends: BCSocket takes that for an error. */
    get dismissed() {
      return this.bcsocket ? ['error', ...CLOSED] : CLOSED;
    }

    /** Why the server does not get the query of the client, if so. */
    get queryless() {
      const none = frameworks.queryless(this.transformer, [this.kind, this.about.server]);
      return none ? 'SockJS of Primus 2.4 knows no query' : undefined;
    }

    get base() {
      return this.servers.main;
    }

    get Client() {
      return this.clients.main;
    }

    /**
     * A client of the kind under test (or another), connected to the common server, unless `base` is given or
     * `server`, the name of another common one: then the client is compiled for that.
     */
    peer(settings = {}, who = this) {
      const { server } = settings;
      const tag = `${this.transformer}.${this.way}.${this.index}.${this.peers.length}`;
      const base = settings.base || this.servers[server || 'main'];
      const chosen = server ? { kind: who.kind, Client: this.clients[server] || this.clients.main } : who;
      const peer = new Peer(this, chosen, { tag, ...settings, base });
      this.peers.push(peer);
      return peer;
    }

    async connected(settings, who) {
      const peer = this.peer(settings, who);
      await peer.event('open');
      if (this.way === 'upgraded') await peer.upgraded();
      return peer;
    }

    /** The client options that make a request carry these headers. */
    carrying(headers) {
      const name = this.engine && this.kind !== 'ours' ? 'extraHeaders' : 'headers';
      return { transport: { [name]: headers } };
    }

    /** Why the client cannot send headers of one's own, if so. */
    get headerless() {
      if (this.browser) return 'a page cannot set headers of a WebSocket';
      return this.kind !== 'ours' && this.text ? 'this client sends no headers of one\'s own' : undefined;
    }

    async get(path, base = this.base) {
      const response = await this.fetch(base + path);
      check(response.ok, () => `${path} answered ${response.status}`);
      return response.json();
    }

    async post(path, body, base = this.base) {
      // text/plain: a browser sends such a request without asking first
      const response = await this.fetch(base + path, { method: 'POST', body: JSON.stringify(body) });
      check(response.ok, () => `${path} answered ${response.status}`);
      return response.json();
    }

    /** The server's view of a tag, at once or as soon as `field` has come to `least`. */
    async state(tag, field, least, base) {
      if (!field) return this.get(`/control/state?tag=${tag}`, base);
      const seconds = LIMIT / 1000;
      const state = await this.get(`/control/wait?tag=${tag}&field=${field}&least=${least}&limit=${seconds}`, base);
      const value = Array.isArray(state[field]) ? state[field].length : state[field];
      check(value >= least, () => `server: ${field} did not come to ${least}: ${show(state)}`);
      return state;
    }

    async runner(path, body = {}) {
      const response = await this.fetch(this.control + path, { method: 'POST', body: JSON.stringify(body) });
      const answer = await response.json();
      check(response.ok, () => `the runner's ${path} failed: ${answer.error}`);
      return answer;
    }

    /** A server of this scenario's own, with `options` in seconds and bytes (and perhaps a port). */
    async start(options = {}) {
      const server = await this.runner('/start', { transformer: this.several || this.transformer, parser: this.parser, ...options });
      this.started.push(server);
      return server;
    }

    stop(server) {
      return this.runner('/stop', { port: server.port });
    }

    pause(server) {
      return this.runner('/pause', { port: server.port });
    }

    resume(server) {
      return this.runner('/resume', { port: server.port });
    }

    async clean() {
      // sockjs-client does not abort a request that it is about to make, and a page has only six of them
      if (this.forgetful) await silence(10);
      for (const peer of this.peers) peer.client.end();
      for (const server of this.started) await this.stop(server);
    }
  }

  // --- what several suites expect ---

  const OPENED = ['readyStateChange opening', 'readyStateChange open', 'open'];
  const CLOSED = ['readyStateChange end', 'close'];

  /** How the trace goes on from `close` to the next open connection. */
  function back(generation) {
    return generation === 8
      // 8 opens the connection from a listener of `reconnect` that is older than ours
      ? ['reconnect scheduled', 'readyStateChange opening', 'reconnect', 'reconnected', 'readyStateChange open', 'open']
      : ['reconnecting', 'reconnect', 'readyStateChange opening', 'readyStateChange open', 'open', 'reconnected'];
  }

  async function staysGone(peer, connections = 1) {
    peer.world.release();
    await silence(300); // fifteen times the first reconnect delay
    const state = await peer.state();
    equal(state.connections, connections, 'connections');
    equal(state.disconnections, connections, 'disconnections');
    equal(state.ends, connections, '`end` events of the spark');
    equal(state.open, 0, 'open sparks');
  }

  /** Checks that of the `connections` of a client that comes back the last one is there. */
  async function onlyOne(peer, connections) {
    const { connections: made } = await peer.state('disconnections', connections - 1);
    // one that is forgetful may have asked for its old session, and got another one that it did not want
    check(peer.world.forgetful ? made >= connections : made === connections, () => `${made} connections, expected ${connections}`);
    if (made > connections) peer.world.release(); // these end when nobody asks for them
    const { open } = await peer.state('ends', made - 1);
    equal(open, 1, 'open sparks');
  }

  // --- running them ---

  /**
   * Plays scenarios and calls report({transformer, way, parser, scenario, outcome, detail, seconds}) for each.
   *
   * Each of `plays` is one client against one server; they take turns, but for their idle scenarios:
   *
   *   suites    names of the suites to play
   *   kind      'ours', 'primus8' or 'primus24'
   *   transformer  its name; and `several`: those of the server, if it has more
   *   way       one of those of the transformer in frameworks.js
   *   parser    name of the parser
   *   servers   addresses of the common test servers by name: `main`, and others with options that scenarios ask for
   *   clients   client constructors by the same names; those that are missing are the same as `main`
   *   others    list of {kind, Client}, for mixed scenarios, of others with their transformer and way
   *   control   address of the runner
   *   fetch, browser, and perhaps nodeBuffers, only (part of a name)
   */
  async function run(plays, report) {
    const chosen = [];
    for (const settings of plays) {
      const about = await (await settings.fetch(`${settings.servers.main}/control/about`)).json();
      SCENARIOS.forEach((item, index) => {
        if (!settings.suites.includes(item.suite) || !item.name.includes(settings.only || '')) return;
        chosen.push({ ...item, index, settings: { others: [], ...settings, about } });
      });
    }
    const playIn = async (world, item) => {
      const started = Date.now();
      let [outcome, detail] = ['passed', ''];
      try {
        const reason = item.needs(world);
        if (reason) [outcome, detail] = ['skipped', reason];
        else await within(item.play(world), 30000, () => 'the scenario');
      } catch (error) {
        [outcome, detail] = ['failed', error instanceof Failure ? error.message : String(error.stack || error)];
      }
      try {
        await world.clean();
      } catch (error) {
        [outcome, detail] = ['failed', `${detail}\ncleaning up: ${error.stack || error}`];
      }
      const seconds = (Date.now() - started) / 1000;
      report({ transformer: world.transformer, way: world.way, parser: world.parser, scenario: item.name, outcome, detail, seconds });
    };
    const begun = [];
    const play = (item) => {
      const world = new World(item.settings, item.name, item.index);
      begun.push(playIn(world, item));
      return Promise.race([begun[begun.length - 1], world.released]);
    };
    for (const item of chosen.filter((one) => one.idle === true)) play(item);
    for (const item of chosen.filter((one) => !one.idle)) await play(item);
    for (const item of chosen.filter((one) => one.idle === 'alone')) play(item);
    await Promise.all(begun);
  }

  /** The names of all scenarios of these suites. */
  function names(suites) {
    return SCENARIOS.filter((item) => suites.includes(item.suite)).map((item) => item.name);
  }

  return { suite, run, names, check, equal, show, silence, staysGone, onlyOne, back, OPENED, CLOSED, LIMIT };
});
