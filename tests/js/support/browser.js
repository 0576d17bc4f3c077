'use strict';

// A page without a browser: the library runs as a script in a context of its own, whose clock, dice, network
// and WebSocket belong to the test. Nothing here waits.
const vm = require('vm');
const { compile } = require('./library');

class FakeClock {
  constructor() {
    this.now = 1400000000000;
    this.timers = new Map();
    this.ids = 0;
    this.uncaught = [];
    this.delays = [];
  }

  setTimeout(fn, ms = 0) {
    this.ids += 1;
    this.delays.push(ms);
    // As in every engine: what does not fit into 31 bits fires at once.
    this.timers.set(this.ids, { at: this.now + (ms > 0x7fffffff ? 1 : Math.max(ms, 1)), fn });
    return this.ids;
  }

  clearTimeout(id) {
    this.timers.delete(id);
  }

  /** Let that many milliseconds pass, with everything that is due in them. */
  advance(ms) {
    const end = this.now + ms;
    for (;;) {
      const due = Array.from(this.timers).filter(([, timer]) => timer.at <= end);
      if (!due.length) break;
      const [id, timer] = due.reduce((first, other) => (other[1].at < first[1].at ? other : first));
      this.timers.delete(id);
      this.now = timer.at;
      try { timer.fn(); } catch (error) { this.uncaught.push(error); }
    }
    this.now = end;
  }
}

/** One socket of the page; the test plays the network and the server. */
function socketClass(world) {
  return class FakeWebSocket {
    constructor(url, ...rest) {
      if (world.refuse) throw new SyntaxError(world.refuse);
      Object.assign(this, { url, rest, readyState: 0, sent: [], closed: false });
      world.sockets.push(this);
    }

    send(packet) {
      if (this.broken) throw new Error(this.broken);
      this.sent.push(packet);
    }

    close() {
      this.closed = true;
      this.readyState = 2;
    }

    accept() {
      this.readyState = 1;
      if (this.onopen) this.onopen({ type: 'open' });
    }

    message(data) {
      this.onmessage({ type: 'message', data });
    }

    /** The connection is gone: `close` alone, or after an `error` as when connecting fails. */
    drop(error) {
      this.readyState = 3;
      if (error) this.onerror(error);
      this.onclose({ type: 'close', code: 1006, reason: '' });
    }
  };
}

/**
 * A page with the library loaded.
 *
 * @param {object} options settings of the library, and: `onLine` (undefined: no network events), `origin`,
 *   `random`, `globals`
 */
function page({ onLine, origin = 'http://page.example', random = 0.5, globals = {}, ...settings } = {}) {
  const clock = new FakeClock();
  const listeners = { online: new Set(), offline: new Set() };
  const world = { clock, sockets: [], listeners, refuse: null };
  const context = vm.createContext({
    URL,
    WebSocket: socketClass(world),
    location: { origin },
    navigator: onLine === undefined ? {} : { onLine },
    setTimeout: (fn, ms) => clock.setTimeout(fn, ms),
    clearTimeout: (id) => clock.clearTimeout(id),
    addEventListener: (name, fn) => listeners[name].add(fn),
    removeEventListener: (name, fn) => listeners[name].delete(fn),
    ...globals
  });
  vm.runInContext('Date', context).now = () => clock.now;
  vm.runInContext('Math', context).random = () => random;
  vm.runInContext(compile(settings), context);

  world.global = context;
  world.Primus = context[settings.global_name || 'Primus'];
  world.network = (name) => {
    context.navigator.onLine = name === 'online';
    for (const fn of listeners[name]) fn({ type: name });
  };
  Object.defineProperty(world, 'socket', { get: () => world.sockets[world.sockets.length - 1] });

  /** A client with its first socket requested, and the names of all events from now on in `events`. */
  world.client = (options, url = 'http://server.example') => {
    const client = new world.Primus(url, options);
    const events = record(client);
    clock.advance(1);
    return { client, events };
  };
  /** The same, connected, with `events` empty. */
  world.connected = (options, url) => {
    const made = world.client(options, url);
    world.socket.accept();
    made.events.length = 0;
    return made;
  };
  return world;
}

// Events that carry a name or value worth comparing; the others are recorded by their name alone.
const WITH_VALUE = new Set(['readyStateChange', 'data', 'outgoing::data', 'incoming::data', 'outgoing::ping',
  'outgoing::pong', 'incoming::ping', 'incoming::pong', 'incoming::id']);

/** Record what a client emits, in the order in which it does, listeners or not. */
function record(client) {
  const events = [];
  const { emit } = client;
  client.emit = function recorded(event, ...args) {
    events.push(WITH_VALUE.has(event) ? event + ' ' + args[0] : event);
    return emit.call(this, event, ...args);
  };
  return events;
}

/** Without the private events. */
function visible(events) {
  return events.filter((event) => !/^(incoming|outgoing)::/.test(event));
}

module.exports = { page, record, visible };
