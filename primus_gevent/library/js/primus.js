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

const PROTOCOL = 'primus::';

// The events of both generations, so that plugins which ask `reserved` leave all of them alone.
const RESERVED = new Set([
  'readyStateChange', 'reconnecting', 'reconnected', 'reconnect', 'reconnect scheduled', 'reconnect timeout',
  'reconnect failed', 'offline', 'online', 'timeout', 'error', 'close', 'open', 'data', 'end', 'destroy'
]);

// What the client itself does on its private events, before any listener of that event. Kept apart from the
// listeners: `removeAllListeners()` must not break the client.
const REACTIONS = {
  'outgoing::open': connect,
  'outgoing::reconnect'() { this.emit('outgoing::open'); },
  'outgoing::data': send,
  'outgoing::end': disconnect,
  'incoming::open': opened,
  'incoming::data': received,
  'incoming::pong'(value) { this.heartbeat.pong(value); },
  'incoming::error': failed,
  // Behind the messages that are still being decoded: one may say that this end is final.
  'incoming::end'() {
    const connection = this._connection;
    this._lines.decoder.place()(() => { if (this._connection === connection) ended.call(this); });
  }
};

// What Primus's own messages do.
const COMMANDS = {
  pong(client, value) { client.emit('incoming::pong', +value); },
  ping(client, value) {
    client.emit('incoming::ping', +value);
    client.heartbeat.answer(value);
  },
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
  this._lines = { incoming: new Line(), outgoing: new Line(), encoder: new Line(), decoder: new Line() };
  this.timers = new Timers();
  this.recovery = new Recovery(this);
  this.heartbeat = new Heartbeat(this, given.pingTimeout !== undefined && !(this.options.ping > 0));
  this.AVOID_WEBSOCKETS = given.websockets === false;
  this.NETWORK_EVENTS = given.network === undefined ? hasNetworkEvents() : !!given.network;
  this.online = !(this.NETWORK_EVENTS && navigator.onLine === false);

  // Somebody wants a connection: true from open() to `end`.
  this._wanted = !this.options.manual;
  // Offline: wait for `online`, not for a timer.
  this._suspended = false;
  // The server said that the next end of the transport is final.
  this._final = false;
  // What the transformer gave us; its late reports are ignored once this changes.
  this._connection = null;
  this._started = 0;
  this._urls = 0;
  this._destroyed = false;

  if (this.NETWORK_EVENTS) watchNetwork(this);
  for (const name of Object.keys(this.ark)) this.ark[name].call(this, this, this.options);
  // Later, so that the caller can attach listeners first. 1 is what every engine makes of 0.
  if (this._wanted) this.timers.set('open', 1, () => this.open());
}

Object.setPrototypeOf(Primus.prototype, EventEmitter.prototype);

Object.assign(Primus, { Primus, EventEmitter, Stream: EventEmitter, parser, OPENING, CLOSED, OPEN });

Primus.connect = function connect(url, options) {
  return new Primus(url, options);
};

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
    this.recovery.reset();
    this.timers.clear();
    this.timers.set('connect', milliseconds(this.options.timeout), () => timedOut(this));
    this.emit('outgoing::open');
    return this;
  },

  // Encoded and sent, or queued until the connection is open.
  write(data) {
    transformed(this, 'outgoing', { data }, (packet) => this._write(packet.data));
    return true;
  },

  // Closes for good: `end` follows, and only open() brings a connection again.
  end(data) {
    if (!this._wanted) return this;
    if (data !== undefined) this.write(data);
    const established = this.readyState !== CLOSED;
    this._wanted = this._suspended = this._final = false;
    this.recovery.reset();
    if (established) closed(this);
    else abandon(this);
    this.emit('end');
    return this;
  },

  destroy() {
    if (this._destroyed) return false;
    this._destroyed = true;
    this.end();
    unwatchNetwork(this);
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
      this._write(PROTOCOL + 'id::');
    }
    return this;
  },

  // fn(packet) changes `packet.data`, or returns false to drop the message; fn(packet, next) does so later.
  transform(type, fn) {
    if (!this.transformers.hasOwnProperty(type)) {
      throw new Error('Unknown transform type ' + type + '; known are: incoming, outgoing');
    }
    if (typeof fn !== 'function') throw new TypeError('A transform must be a function');
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
    if (REACTIONS.hasOwnProperty(event)) REACTIONS[event].apply(this, args);
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
    const { auth, host, hostname, port, query, hash } = this.url;
    const parts = Object.assign(
      { protocol: this.url.protocol, secure: this.secure, auth, host, hostname, port, query, hash, pathname: this.pathname },
      options
    );
    this.emit('outgoing::url', parts);
    // Either way of naming the server can be edited.
    if (parts.host === host) parts.host = parts.hostname + (parts.port ? ':' + parts.port : '');
    const own = String(parts.query || '').replace(/^\?/, '');
    return formatURL(parts, (own && own + '&') + '_primuscb=' + Date.now() + '-' + this._urls++);
  },

  // Without the outgoing transforms: protocol messages come here directly.
  _write(data) {
    if (this.readyState !== OPEN) {
      enqueue(this, data);
      return false;
    }
    // An `open` listener may write before the queue was sent: it goes first.
    flush(this);
    encode(this, data);
    return true;
  },

  // README: unlike in Node, an `error` without a listener is no exception.
  _error(reason) {
    if (this.listeners('error').length) this.emit('error', toError(reason));
  },

  // Let go of the transport without a word to the public, except that readyState changes.
  _disconnect() {
    this.emit('outgoing::end');
    changeState(this, CLOSED, 'end');
  },

  // A listener that throws is reported like any uncaught error, but after the client has finished its step:
  // an exception half way through `open` would leave it without heartbeat and with an unsent queue.
  _call(fn, context, args) {
    try {
      fn.apply(context, args);
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
  options.strategy = strategies(options.strategy);
  return options;
}

// `[ 'Online', 'timeout' ]` and `'online,  TIMEOUT'` are both 'online,timeout'; `false` is ''.
function strategies(value) {
  if (!value) return '';
  if (value === true) return DEFAULTS.strategy;
  return [].concat(value).join(',').toLowerCase().split(/[\s,]+/).filter(Boolean).join(',');
}

function wants(client, strategy) {
  return client.options.strategy.split(',').includes(strategy);
}

// --- state ---

function changeState(client, state, name) {
  if (client.readyState === state) return;
  client.readyState = state;
  client.emit('readyStateChange', name);
}

// The connection (or the attempt) is over: everything up to `close`. What follows differs.
function closed(client) {
  client.writable = client.readable = false;
  client.timers.clear();
  changeState(client, CLOSED, 'end');
  client.emit('outgoing::end');
  client.emit('close');
}

// There is nothing to close, only a plan: to open, to reconnect, to wait for the network.
function abandon(client) {
  client.writable = client.readable = false;
  client.timers.clear();
  disconnect.call(client);
}

// --- reactions to the private events; `this` is the client ---

function connect() {
  changeState(this, OPENING, 'opening');
  // What is left of an earlier connection.
  this.emit('outgoing::end');
  // A listener ended the client.
  if (this.readyState !== OPENING) return;

  const connection = this._connection = { transport: null };
  const relay = (event, value) => {
    if (this._connection === connection) this.emit('incoming::' + event, value);
  };
  this._final = false;
  this._started = Date.now();
  let transport = null;
  try {
    transport = transformer(this, relay);
  } catch (error) {
    relay('error', error);
    relay('end', error);
    return;
  }
  if (this._connection === connection) connection.transport = transport;
  // An `outgoing::url` listener ended the client.
  else transport.close();
}

function send(packet) {
  if (!this._connection || !this._connection.transport) return;
  try {
    this._connection.transport.send(packet);
  } catch (error) {
    this._error(error);
  }
}

function disconnect() {
  const connection = this._connection;
  this._connection = this.socket = null;
  // What is still being decoded has no say in what comes.
  this._lines.decoder = new Line();
  if (connection && connection.transport) connection.transport.close();
}

function opened() {
  const connection = this._connection;
  // A listener ended or reopened the client.
  const gone = () => this._connection !== connection;
  this.latency = Date.now() - this._started;
  this.timers.clear('connect');
  const outage = this.recovery.succeed();
  this.writable = this.readable = true;

  if (!this.online) {
    this.online = true;
    this.emit('online');
    if (gone()) return;
  }
  changeState(this, OPEN, 'open');
  if (gone()) return;
  this.emit('open');
  if (gone()) return;
  if (outage) this.emit('reconnected', outage);
  if (gone()) return;
  this.heartbeat.start();
  flush(this);
}

function received(raw) {
  const connection = this._connection;
  convert(this, 'decoder', raw, (data) => {
    if (protocol(this, data, this._connection === connection)) return;
    transformed(this, 'incoming', { data }, (packet) => this.emit('data', packet.data, raw));
  });
}

// An error of a connection that is open says nothing about its end: the transport reports that too.
function failed(reason) {
  const connection = this._connection;
  if (this.recovery.waiting) return;
  if (this.recovery.attempting) return this.recovery.schedule();
  const connecting = this.readyState === OPENING;
  this._error(reason);
  if (connecting && this._connection === connection) neverOpened(this);
}

function ended() {
  const before = this.readyState;
  const connection = this._connection;
  if (this._final) return this.end();
  changeState(this, CLOSED, 'end');
  if (this._connection !== connection || !this._wanted || this.recovery.waiting) return;

  if (this.recovery.attempting) this.recovery.schedule();
  else if (before === OPENING) neverOpened(this);
  else if (before === OPEN) lost(this, connection);
}

// README, `disconnect`: reconnect after an unintentional disconnect.
function lost(client, connection) {
  client.writable = client.readable = false;
  client.timers.clear();
  client.emit('close');
  if (client._connection !== connection || !client._wanted) return;
  if (wants(client, 'disconnect')) return client.recovery.schedule();
  client._wanted = false;
  client.emit('outgoing::end');
  client.emit('end');
}

// README, `timeout`: reconnect when the initial connection could not be made.
function neverOpened(client) {
  client.timers.clear('connect');
  if (wants(client, 'timeout')) client.recovery.schedule();
  else client.end();
}

function timedOut(client) {
  const connection = client._connection;
  client.emit('timeout');
  if (client._connection !== connection) return;
  if (wants(client, 'timeout')) client._disconnect();
  neverOpened(client);
}

// --- network ---

function hasNetworkEvents() {
  return typeof navigator === 'object' && typeof navigator.onLine === 'boolean' &&
    typeof addEventListener === 'function';
}

function watchNetwork(client) {
  client._network = { offline: () => wentOffline(client), online: () => cameOnline(client) };
  for (const name of Object.keys(client._network)) addEventListener(name, client._network[name]);
}

function unwatchNetwork(client) {
  for (const name of Object.keys(client._network || {})) removeEventListener(name, client._network[name]);
}

// The README calls `end` final and `close` "we might retry", so with the `online` strategy this is a `close`.
// (The original emits `end` here, and then comes back nevertheless, even after its user's own end().)
function wentOffline(client) {
  if (!client.online) return;
  client.online = false;
  client.emit('offline');
  if (!client._wanted) return;
  if (!wants(client, 'online')) return client.end();

  client._suspended = true;
  client.recovery.reset();
  client.timers.clear();
  if (client.readyState !== CLOSED) closed(client);
}

function cameOnline(client) {
  if (client.online) return;
  client.online = true;
  client.emit('online');
  if (!client._suspended) return;
  client._suspended = false;
  client.recovery.schedule();
}

// --- messages ---

function enqueue(client, data) {
  const { buffer, options } = client;
  while (buffer.length && buffer.length >= options.queueSize) buffer.shift();
  if (options.queueSize > 0) buffer.push(data);
}

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
  const leave = client._lines[name].place();
  const done = (error, result) => leave(() => (error ? client._error(error) : fn(result)));
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
function transformed(client, type, packet, fn) {
  const transforms = client.transformers[type].slice();
  const leave = client._lines[type].place();
  const stop = (error) => leave(() => { if (error) client._error(error); });
  const run = (index) => {
    if (index === transforms.length) return leave(() => fn(packet));
    const later = transforms[index].length > 1;
    let called = false;
    const next = (error, proceed) => {
      if (called) return;
      called = true;
      if (error || proceed === false) stop(error);
      else run(index + 1);
    };
    let result;
    try {
      result = transforms[index].call(client, packet, next);
    } catch (error) {
      if (called) return client._error(error);
      called = true;
      return stop(error);
    }
    if (!later) next(null, result);
  };
  run(0);
}

// Consumes the messages that are Primus's own. Unknown commands are ordinary data, as in every generation.
// Those of an earlier connection have no effect on this one.
function protocol(client, message, current) {
  if (typeof message !== 'string' || message.slice(0, PROTOCOL.length) !== PROTOCOL) return false;
  const last = message.indexOf(':', PROTOCOL.length);
  if (last < 0) return false;
  const value = message.slice(last + 2);
  const command = message.slice(PROTOCOL.length, last);
  if (!COMMANDS.hasOwnProperty(command)) return false;
  if (current) COMMANDS[command](client, value);
  return true;
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
