// The client: state, events, queue and transforms, as the README describes them. Where the README is silent
// the order and arguments of the events are those of Primus 2.4; newer events are added beside them.

const OPENING = 1;
const CLOSED = 2;
const OPEN = 3;

const DEFAULTS = {
  timeout: 10000,
  ping: SETTINGS.ping,
  pong: 10000,
  pingTimeout: SETTINGS.pingTimeout,
  strategy: SETTINGS.authorization ? 'disconnect,online' : 'disconnect,online,timeout',
  reconnect: {},
  transport: {},
  queueSize: Infinity,
  manual: false
};

// The events of both generations, so that plugins which ask `reserved` leave all of them alone.
const RESERVED = new Set([
  'readyStateChange', 'reconnecting', 'reconnected', 'reconnect', 'reconnect scheduled', 'reconnect timeout',
  'reconnect failed', 'offline', 'online', 'timeout', 'error', 'close', 'open', 'data', 'end', 'destroy'
]);

// What the client itself does on its private events, before any listener of that event. Kept apart from the
// listeners: `removeAllListeners()` must not break the client.
const REACTIONS = {
  'outgoing::open': connect,
  'outgoing::reconnect'(client) { client.emit('outgoing::open'); },
  'outgoing::data': send,
  'outgoing::end': disconnect,
  'incoming::open': opened,
  'incoming::data': received,
  'incoming::pong': pong,
  'incoming::error': failed,
  // Behind the messages that are still being decoded: one may say that this end is final.
  'incoming::end'(client) {
    const unchanged = watchConnection(client);
    client._lines.decoder()(() => { if (unchanged()) ended(client); });
  }
};

// Primus's own messages. Unknown commands are ordinary data, as in every generation.
const PROTOCOL = /^primus::(ping|pong|server|id):[^]?([^]*)/;

const COMMANDS = {
  ping(client, value) {
    client.emit('incoming::ping', +value);
    answer(client, value);
  },
  pong(client, value) { client.emit('incoming::pong', +value); },
  server(client, value) { if (value === 'close') client._final = true; },
  id(client, value) { client.emit('incoming::id', value); }
};

function Primus(url, options) {
  if (!(this instanceof Primus)) return new Primus(url, options);
  EventEmitter.call(this);

  // `new Primus(options)` with the address in `options.url`. URL and Location objects have a `href`.
  if (url && typeof url === 'object' && typeof url.href !== 'string') {
    options = url;
    url = undefined;
  }
  const given = Object.assign({}, options);
  this.options = normalise(given);
  this.url = parseURL(url || given.url || given.uri || defaultURL());
  this.secure = /^(https|wss):$/.test(this.url.protocol);

  this.readyState = CLOSED;
  // What is written before the connection opens is queued.
  this.writable = this.readable = true;
  this.socket = null;
  this.latency = 0;
  this.buffer = [];
  this.transformers = { incoming: [], outgoing: [] };
  this.timers = new Timers();
  this.AVOID_WEBSOCKETS = given.websockets === false;
  this.NETWORK_EVENTS = given.network === undefined ? hasNetworkEvents() : !!given.network;
  this.online = !(this.NETWORK_EVENTS && navigator.onLine === false);

  this._lines = { incoming: newLine(), outgoing: newLine(), encoder: newLine(), decoder: newLine() };
  // Somebody wants a connection: true from open() to `end`.
  this._wanted = !this.options.manual;
  // Offline: wait for `online`, not for a timer.
  this._suspended = false;
  // The server said that the next end of the transport is final.
  this._final = false;
  // What the transformer gave us; its late reports are ignored once this changes.
  this._connection = null;
  // The outage that we are in, see `newOutage`.
  this._outage = null;
  // Whether the server is to ping from the start.
  this._expectPings = given.pingTimeout !== undefined && !(this.options.ping > 0);
  this._started = 0;
  this._urls = 0;
  this._destroyed = false;

  if (this.NETWORK_EVENTS) watchNetwork(this);
  for (const name of Object.keys(this.ark)) this.ark[name].call(this, this, this.options);
  // Later, so that the caller can attach listeners first. 1 is what every engine makes of 0.
  if (this._wanted) this.timers.set('open', 1, () => this.open());
}

Object.setPrototypeOf(Primus.prototype, EventEmitter.prototype);

Object.assign(Primus, {
  Primus, EventEmitter, Stream: EventEmitter, parser, OPENING, CLOSED, OPEN,
  connect: (url, options) => new Primus(url, options)
});

Object.assign(Primus.prototype, {
  version: SETTINGS.version,
  pathname: SETTINGS.pathname,
  authorization: SETTINGS.authorization,
  encoder: parser.encoder,
  decoder: parser.decoder,
  ark: {},

  open() {
    if (this._destroyed) return this;
    this._wanted = true;
    this._suspended = false;
    recovered(this);
    this.timers.clear();
    this.timers.set('connect', milliseconds(this.options.timeout), () => timedOut(this));
    this.emit('outgoing::open');
    return this;
  },

  // Encoded and sent, or queued until the connection is open.
  write(data) {
    transformed(this, 'outgoing', data, (result) => this._write(result));
    return true;
  },

  // Closes for good: `end` follows, and only open() brings a connection again.
  end(data) {
    if (!this._wanted) return this;
    if (data !== undefined) this.write(data);
    this._wanted = this._suspended = this._final = false;
    recovered(this);
    closed(this);
    this.emit('end');
    return this;
  },

  destroy() {
    if (this._destroyed) return false;
    this._destroyed = true;
    this.end();
    if (this._network) unwatchNetwork(this);
    this.buffer = [];
    this.emit('destroy');
    this.removeAllListeners();
    return true;
  },

  // Asks the server for the id of our spark, unless the transport knows it.
  id(fn) {
    if (this.socket && this.socket.id) fn(this.socket.id);
    else {
      this.once('incoming::id', fn);
      this._write('primus::id::');
    }
    return this;
  },

  // fn(packet) changes `packet.data`, or returns false to drop the message; fn(packet, next) does so later.
  transform(type, fn) {
    if (!this.transformers.hasOwnProperty(type)) {
      throw new Error('Unknown transform type ' + type + '; known are: incoming, outgoing');
    }
    requireFunction('transform', fn);
    this.transformers[type].push(fn);
    return this;
  },

  plugin(name) {
    return name ? this.ark[name] : this.ark;
  },

  reserved(event) {
    return /^(incoming|outgoing)::/.test(event) || RESERVED.has(event);
  },

  // A function that emits `event` with its first argument, or with what the parser makes of all of them.
  emits(event, parse) {
    return (...args) => this.emit(event, parse ? parse.apply(this, args) : args[0]);
  },

  emit(event, ...args) {
    if (REACTIONS.hasOwnProperty(event)) REACTIONS[event](this, ...args);
    return EventEmitter.prototype.emit.call(this, event, ...args);
  },

  // Nothing holds back on our side: there is no pause, and what `destination.write` returns is not looked at.
  pipe(destination, options) {
    const forward = (data) => { destination.write(data); };
    const finish = () => {
      this.off('data', forward);
      this.off('end', finish);
      if (typeof destination.end === 'function' && !(options && options.end === false)) destination.end();
    };
    this.on('data', forward);
    this.on('end', finish);
    if (typeof destination.emit === 'function') destination.emit('pipe', this);
    return destination;
  },

  // The address that the transformer requests. `outgoing::url` listeners edit the parts; `_primuscb` keeps
  // caches away and comes after them, as in 2.4.
  uri(options) {
    const { secure, pathname, url } = this;
    const parts = Object.assign({}, url, { secure, pathname }, options);
    delete parts.href;
    this.emit('outgoing::url', parts);
    // Either way of naming the server can be edited.
    if (parts.host === url.host) parts.host = parts.hostname + (parts.port ? ':' + parts.port : '');
    const own = String(parts.query || '').replace(/^\?/, '');
    return formatURL(parts, (own && own + '&') + '_primuscb=' + Date.now() + '-' + this._urls++);
  },

  // Without the outgoing transforms: protocol messages come here directly.
  _write(data) {
    const { readyState, buffer, options } = this;
    if (readyState === OPEN) {
      // An `open` listener may write before the queue was sent: it goes first.
      flush(this);
      encode(this, data);
    } else {
      buffer.push(data);
      buffer.splice(0, buffer.length - options.queueSize);
    }
    return readyState === OPEN;
  },

  // A listener that throws is reported like any uncaught error, but after the client has finished its step:
  // an exception half way through `open` would leave it without heartbeat and with an unsent queue.
  _call(entry, args) {
    try {
      EventEmitter.prototype._call(entry, args);
    } catch (error) {
      setTimeout(() => { throw error; });
    }
  }
});

// The README's example of an asynchronous transform spells it so.
Primus.prototype.transforms = Primus.prototype.transform;

// --- options ---

function normalise(given) {
  const options = Object.assign({}, given);
  for (const name of Object.keys(DEFAULTS)) {
    if (options[name] === undefined) options[name] = DEFAULTS[name];
  }
  // Only servers of Primus 7 and later make anybody set this: they ping, and take ours for data.
  if (given.pingTimeout && given.ping === undefined) options.ping = false;
  for (const name of ['ping', 'pong', 'pingTimeout']) options[name] = milliseconds(options[name]);
  // `[ 'Online', 'timeout' ]` and `'online,  TIMEOUT'` are both 'online,timeout'; `false` is ''.
  const strategy = options.strategy === true ? DEFAULTS.strategy : String(options.strategy || '');
  options.strategy = (strategy.toLowerCase().match(/[^\s,]+/g) || []).join();
  return options;
}

function wants(client, strategy) {
  return client.options.strategy.includes(strategy);
}

// --- state ---

function changeState(client, state, name) {
  if (client.readyState === state) return;
  client.readyState = state;
  client.emit('readyStateChange', name);
}

// Whether that is news.
function setOnline(client, online) {
  if (client.online === online) return false;
  client.online = online;
  client.emit(online ? 'online' : 'offline');
  return true;
}

// A function that tells whether the connection is still the one of now: listeners may end or reopen the client.
function watchConnection(client) {
  const connection = client._connection;
  return () => client._connection === connection;
}

function halt(client) {
  client.writable = client.readable = false;
  client.timers.clear();
}

// The connection (or the attempt) is over: everything up to `close`. What follows differs. Nothing is to be told
// of a mere plan: to open, to reconnect, to wait for the network.
function closed(client) {
  halt(client);
  if (client.readyState === CLOSED) return disconnect(client);
  changeState(client, CLOSED, 'end');
  client.emit('outgoing::end');
  client.emit('close');
}

// Let go of the transport without a word to the public, except that readyState changes.
function drop(client) {
  client.emit('outgoing::end');
  changeState(client, CLOSED, 'end');
}

// README: unlike in Node, an `error` without a listener is no exception.
function report(client, reason) {
  if (client.listenerCount('error')) client.emit('error', toError(reason));
}

// --- reactions to the private events ---

function connect(client) {
  changeState(client, OPENING, 'opening');
  // What is left of an earlier connection.
  client.emit('outgoing::end');
  // A listener ended the client.
  if (client.readyState !== OPENING) return;

  const connection = client._connection = { transport: null };
  const unchanged = watchConnection(client);
  const relay = (event, value) => { if (unchanged()) client.emit('incoming::' + event, value); };
  client._final = false;
  client._started = Date.now();
  try {
    connection.transport = transformer(client, relay);
  } catch (error) {
    relay('error', error);
    relay('end', error);
    return;
  }
  // An `outgoing::url` listener ended the client.
  if (!unchanged()) connection.transport.close();
}

function send(client, packet) {
  const connection = client._connection;
  if (!connection || !connection.transport) return;
  try {
    connection.transport.send(packet);
  } catch (error) {
    report(client, error);
  }
}

function disconnect(client) {
  const connection = client._connection;
  client._connection = client.socket = null;
  // What is still being decoded has no say in what comes.
  client._lines.decoder = newLine();
  if (connection && connection.transport) connection.transport.close();
}

function opened(client) {
  const unchanged = watchConnection(client);
  client.latency = Date.now() - client._started;
  client.timers.clear();
  const outage = recovered(client);
  client.writable = client.readable = true;
  const steps = [
    () => setOnline(client, true),
    () => changeState(client, OPEN, 'open'),
    () => client.emit('open'),
    () => { if (outage) client.emit('reconnected', outage); },
    () => {
      // Another server may answer after a reconnect.
      beat(client, client._expectPings);
      flush(client);
    }
  ];
  for (const step of steps) if (unchanged()) step();
}

function received(client, raw) {
  const unchanged = watchConnection(client);
  convert(client, 'decoder', raw, (message) => {
    const [, command, value] = (typeof message === 'string' && PROTOCOL.exec(message)) || [];
    if (!command) transformed(client, 'incoming', message, (data) => client.emit('data', data, raw));
    // Those of an earlier connection have no effect on this one.
    else if (unchanged()) COMMANDS[command](client, value);
  });
}

// An error of a connection that is open says nothing about its end: the transport reports that too.
function failed(client, reason) {
  if (client._outage) return retry(client);
  const unchanged = watchConnection(client);
  const connecting = client.readyState === OPENING;
  report(client, reason);
  if (connecting && unchanged()) neverOpened(client);
}

function ended(client) {
  const before = client.readyState;
  const unchanged = watchConnection(client);
  if (client._final) return client.end();
  changeState(client, CLOSED, 'end');
  if (!unchanged() || !client._wanted) return;

  if (client._outage) retry(client);
  else if (before === OPENING) neverOpened(client);
  else if (before === OPEN) lost(client);
}

// An attempt failed. While a delay is running, a further reason to reconnect changes nothing.
function retry(client) {
  if (!client._outage.backoff) reconnect(client);
}

// README, `disconnect`: reconnect after an unintentional disconnect.
function lost(client) {
  const unchanged = watchConnection(client);
  halt(client);
  client.emit('close');
  if (!unchanged() || !client._wanted) return;
  if (wants(client, 'disconnect')) return reconnect(client);
  client._wanted = false;
  client.emit('outgoing::end');
  client.emit('end');
}

// README, `timeout`: reconnect when the initial connection could not be made.
function neverOpened(client) {
  client.timers.clear();
  if (wants(client, 'timeout')) reconnect(client);
  else client.end();
}

function timedOut(client) {
  const unchanged = watchConnection(client);
  client.emit('timeout');
  if (!unchanged()) return;
  if (wants(client, 'timeout')) drop(client);
  neverOpened(client);
}

// --- network ---

function hasNetworkEvents() {
  return typeof navigator === 'object' && typeof navigator.onLine === 'boolean' &&
    typeof addEventListener === 'function';
}

function watchNetwork(client) {
  client._network = ({ type }) => (type === 'online' ? cameOnline : wentOffline)(client);
  addEventListener('online', client._network);
  addEventListener('offline', client._network);
}

function unwatchNetwork(client) {
  removeEventListener('online', client._network);
  removeEventListener('offline', client._network);
}

// The README calls `end` final and `close` "we might retry", so with the `online` strategy this is a `close`.
// (The original emits `end` here, and then comes back nevertheless, even after its user's own end().)
function wentOffline(client) {
  if (!setOnline(client, false) || !client._wanted) return;
  if (!wants(client, 'online')) return client.end();

  client._suspended = true;
  recovered(client);
  client.timers.clear();
  if (client.readyState !== CLOSED) closed(client);
}

function cameOnline(client) {
  if (!setOnline(client, true) || !client._suspended) return;
  client._suspended = false;
  reconnect(client);
}

// --- messages ---

function flush(client) {
  while (client.buffer.length && client.readyState === OPEN) encode(client, client.buffer.shift());
}

function encode(client, data) {
  convert(client, 'encoder', data, (packet) => {
    // JSON has nothing for undefined or a function.
    if (packet === undefined || packet === null) return;
    client.emit('outgoing::data', typeof packet === 'string' ? escapeLines(packet) : packet);
  });
}

// A message that fails to encode or decode is dropped, the connection lives.
function convert(client, name, value, fn) {
  const leave = client._lines[name]();
  const done = (error, result) => leave(() => (error ? report(client, error) : fn(result)));
  try {
    client[name](value, done);
  } catch (error) {
    done(error);
  }
}

// Line separators are legal in JSON but not in older JavaScript, and some transports carry messages as script.
function escapeLines(text) {
  return text.replace(/\u2028/g, '\\u2028').replace(/\u2029/g, '\\u2029');
}

// Run the transforms in the order of their registration, then call fn, unless one of them stops the message.
function transformed(client, type, data, fn) {
  const packet = { data };
  const transforms = client.transformers[type].slice();
  const leave = client._lines[type]();
  const next = (error, proceed) => {
    const transform = transforms.shift();
    if (error) return leave(() => report(client, error));
    if (proceed === false) return leave(() => {});
    if (!transform) return leave(() => fn(packet.data));

    let called = false;
    const once = (...outcome) => {
      if (called) return;
      called = true;
      next(...outcome);
    };
    let result;
    try {
      result = transform.call(client, packet, once);
    } catch (failure) {
      return called ? report(client, failure) : once(failure, false);
    }
    if (transform.length < 2) once(null, result);
  };
  next();
}

// Transports report errors as Error, text, event or plain object; listeners always get an Error.
function toError(reason) {
  if (Object.prototype.toString.call(reason) === '[object Error]') return reason;
  if (reason && reason.error) return toError(reason.error);
  if (reason && typeof reason === 'object') {
    return Object.assign(new Error(reason.message || reason.reason || 'The connection failed'), reason);
  }
  return new Error(String(reason));
}
