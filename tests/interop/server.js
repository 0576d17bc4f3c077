'use strict';

/**
 * The test server on the official Primus: `node server.js primus8 '{"port": 0, "timeout": 1.5}'`.
 *
 * server.py is the same server on primus_gevent; the README lists options, services and control end points. A list of
 * options makes as many servers in this process. Prints one line of JSON with their ports. Options are in seconds
 * and bytes, and each generation takes those that it knows.
 */
const { once } = require('events');
const http = require('http');
const official = require('./official');
const { describe, revive } = require('./values');

const name = process.argv[2];
const OLD = name === 'primus24';
const KEPT = 100; // messages and log entries that the state of a tag shows

/** What one tag (all connections of one scenario) has done so far. */
class Tag {
  constructor(server) {
    this.server = server;
    this.connections = this.disconnections = this.ends = this.heartbeats = this.received = 0;
    this.asked = this.held = 0; // requests that the authorization hook saw, connections at the gate
    this.errors = [];
    this.messages = []; // the last of them, as values.js describes them
    this.log = []; // connection, data, disconnection, end
    this.ids = [];
    this.sparks = new Map();
    this.gates = []; // functions that let a held connection on
  }

  note(event) {
    this.log = this.log.concat(event).slice(-KEPT);
  }

  state() {
    const { sparks, gates, server, ...rest } = this;
    return { ...rest, open: sparks.size };
  }
}

const SERVICES = {
  echo: (spark, data) => spark.write(data),
  stringify: (spark, data) => spark.write(JSON.stringify(data)),
  parse: (spark, data) => spark.write(JSON.parse(data)),
  amplify: (spark, data) => spark.write('x'.repeat(data)),
  burst(spark, data) {
    for (let n = 0; n < data; n++) spark.write(n);
  },
  meta: (spark) => spark.write(meta(spark)),
  end: (spark) => spark.end(),
  end_data: (spark, data) => spark.end(data),
  end_reconnect: (spark) => spark.end(undefined, { reconnect: true }),
  kill: (spark) => kill(spark),
  raw(spark, data) {
    spark.emit('outgoing::data', data);
    spark.write('after');
  },
  close: () => {}, // ended at once, see `connection`
  silent: () => {}
};

function meta(spark) {
  return {
    id: spark.id,
    query: { ...spark.query },
    url: spark.request && spark.request.url, // not every transformer has one
    // Primus keeps the request itself among them until it is answered
    headers: Object.fromEntries(Object.entries(spark.headers).filter(([, value]) => typeof value === 'string')),
    address: { ip: spark.address.ip, port: spark.address.port }
  };
}

/** Cuts the connection without a goodbye; the official spark has no method for that. */
function kill(spark) {
  const { primus, options, sessions } = spark.interop.server;
  const { service } = primus.transformer;
  const again = () => setTimeout(kill, 1, spark); // between two polls there is nothing to cut
  switch (options.transformer) {
    case 'engine.io': {
      const session = service.clients[spark.id];
      if (!session) return undefined; // it has ended
      const { name: transport, socket, req } = session.transport;
      if (transport === 'websocket') return socket.terminate();
      return req ? req.socket.destroy() : again();
    }
    case 'sockjs': {
      const { recv } = sessions.get(spark.id)._session;
      return recv ? recv.thingy.destroy() : again();
    }
    case 'browserchannel': return sessions.get(spark.id).close(); // a cut connection harms no session
    case 'socket.io': return service.transports[spark.id].socket.destroy(); // of a WebSocket: a poll that is cut is not noticed
    default: return spark.request.socket.destroy();
  }
}

/** What a client asks for, and which scenario it is of. One without a query has the host tell it: `<service>.<tag>.localhost`. */
function labelOf({ query, headers }) {
  if (query && query.tag) return { service: query.service || 'echo', tag: query.tag };
  const [, service = 'echo', tag = ''] = /^([^.]+)\.(.+)\.localhost(:|$)/.exec(headers.host) || [];
  return { service, tag };
}

// --- what `authorization` and `extended` add; extensions.py has the same ---

/** Why a request is refused, by its token; undefined lets it pass. */
const VERDICTS = {
  good: undefined,
  forbidden: { statusCode: 403, message: 'Go away!' },
  text: 'Not you.',
  none: { message: 'Authentication required', authenticate: 'Basic realm="myscheme"' }
};

function tokenOf(request) {
  const given = /^Bearer (.+)$/.exec(request.headers.authorization);
  return given ? given[1] : request.query.token || 'none';
}

/** The server side of the plugin: answers what the client side sends, and the application sees none of it. */
function shout(primus) {
  primus.transform('incoming', function heard(packet) {
    if (!packet.data || packet.data.shout === undefined) return undefined;
    this.write({ heard: packet.data.shout });
    return false;
  });
}

/** Transforms that write their name into messages that have `steps`, or stop them there. */
function transforms(primus) {
  for (const way of ['in', 'out']) {
    const type = way === 'in' ? 'incoming' : 'outgoing';
    primus.transform(type, (packet) => step(packet, `server ${way}`));
    primus.transform(type, (packet, next) => {
      const name = `server ${way} later`;
      if (!packet.data || !packet.data.steps) return next();
      setTimeout(() => {
        const result = step(packet, name);
        next(packet.data.fail === name ? new Error(`failed: ${name}`) : undefined, result);
      }, packet.data.slow === name ? 50 : 1);
      return undefined;
    });
  }
}

function step(packet, name) {
  if (!packet.data || !packet.data.steps) return undefined;
  // a copy: a broadcast gives the same object to every spark
  packet.data = { ...packet.data, steps: [...packet.data.steps, name] };
  return packet.data.stop !== name;
}

// --- the server ---

class TestServer {
  constructor(options) {
    this.options = options;
    this.tags = new Map();
    this.sessions = new Map(); // of the framework, by the id of the spark, where nothing else leads to them
    this.waiting = new Set(); // functions that look whether the state is now what a request waits for
    this.http = http.createServer((request, response) => this.control(request, response));
    if (options.transformer === 'browserchannel') official.onSession(name, (session) => this.sessions.set(session.id, session));
    this.primus = new (official.server(name))(this.http, {
      transformer: options.transformer || 'websockets',
      parser: official.parser(name, options.parser || 'json'),
      ...(options.extended ? { plugin: { shout: official.plugin(shout) } } : {}),
      ...(OLD ? given({ timeout: milliseconds(options.timeout) }) : {}),
      ...(OLD ? {} : given({ pingInterval: milliseconds(options.pingInterval), maxLength: options.maxLength }))
    });
    const { service } = this.primus.transformer;
    // 2.4 hands its Engine.IO no options; 8 would, but both keep them in a place of their own
    if (options.patience && options.transformer === 'engine.io') {
      const ms = milliseconds(options.patience);
      Object.assign(OLD ? service : service.opts, { pingInterval: ms, pingTimeout: ms });
    }
    if (options.transformer === 'sockjs') service.on('connection', (session) => session && this.sessions.set(session.id, session));
    if (options.authorization) this.primus.authorize((request, done) => this.authorize(request, done));
    if (options.extended) {
      transforms(this.primus);
      this.primus.on('connection', (spark, next) => this.gate(spark, next));
    }
    this.primus.on('connection', (spark) => this.connection(spark));
    this.primus.on('disconnection', (spark) => this.disconnection(spark));
  }

  tag(value) {
    if (!this.tags.has(value)) this.tags.set(value, new Tag(this));
    return this.tags.get(value);
  }

  changed() {
    for (const look of [...this.waiting]) look();
  }

  authorize(request, done) {
    this.tag(labelOf(request).tag).asked += 1;
    this.changed();
    setImmediate(() => done(VERDICTS[tokenOf(request)]));
  }

  /** A connection listener that holds its connection until /control/gate says how it goes on. */
  gate(spark, next) {
    if (!spark.query.gate) return next();
    const tag = this.tag(labelOf(spark).tag);
    spark.interop = tag;
    spark.on('error', (error) => {
      tag.errors.push(String(error.message || error));
      this.changed();
    });
    tag.held += 1;
    tag.gates.push(next);
    return this.changed();
  }

  connection(spark) {
    const { id } = spark; // 2.4 takes it away from a spark that has ended
    const label = labelOf(spark);
    const tag = this.tag(label.tag);
    const service = SERVICES[label.service];
    spark.interop = tag;
    tag.connections += 1;
    tag.ids.push(id);
    tag.sparks.set(id, spark);
    tag.note('connection');
    spark.on('data', (data) => {
      tag.received += 1;
      tag.messages = tag.messages.concat([describe(data)]).slice(-KEPT);
      tag.note('data');
      service(spark, data);
      this.changed();
    });
    spark.on('heartbeat', () => {
      tag.heartbeats += 1;
      this.changed();
    });
    spark.on('error', (error) => {
      tag.errors.push(String(error.message));
      this.changed();
    });
    spark.on('end', () => {
      tag.ends += 1;
      tag.note('end');
      this.changed();
    });
    this.changed();
    if (label.service === 'close') spark.end();
  }

  disconnection(spark) {
    const tag = spark.interop;
    if (!tag) return; // gone before the original has announced it: on a busy machine
    tag.disconnections += 1;
    tag.sparks.delete(spark.id);
    tag.note('disconnection');
    this.changed();
  }

  async control(request, response) {
    const url = new URL(request.url, 'http://localhost');
    const act = url.pathname.startsWith('/control/') && CONTROL[url.pathname.slice('/control/'.length)];
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const given = chunks.length ? JSON.parse(Buffer.concat(chunks)) : Object.fromEntries(url.searchParams);
    const body = act ? JSON.stringify(await act(this, given)) : '{"error": "not found"}';
    response.writeHead(act ? 200 : 404, {
      'Content-Type': 'application/json',
      'Access-Control-Allow-Origin': '*', // a browser asks from the page's own port
      'Cache-Control': 'no-store',
      Connection: 'close' // a server that is stopped and started leaves no half-dead connection in a client's pool
    });
    response.end(body);
  }

  each(query, act) {
    const sparks = [...this.tag(query.tag).sparks.values()];
    sparks.forEach((spark) => act(spark));
    return { sparks: sparks.length };
  }

  async listen() {
    this.http.listen(this.options.port || 0, '127.0.0.1');
    await once(this.http, 'listening');
    return this.http.address().port;
  }
}

function milliseconds(value) {
  return typeof value === 'number' ? value * 1000 : value;
}

function given(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

const CONTROL = {
  about: ({ options }) => ({
    server: name,
    serverPings: !OLD,
    answersPings: OLD,
    maxLength: (!OLD && options.maxLength) || null
  }),
  connected: ({ primus }) => ({ connected: primus.connected }),
  state: (server, query) => server.tag(query.tag).state(),
  wait,
  broadcast({ primus }, query) {
    primus.write(revive(JSON.parse(query.data)));
    return {};
  },
  end: (server, query) => server.each(query, (spark) => spark.end()),
  kill: (server, query) => server.each(query, kill),
  send: (server, { values, ...query }) =>
    server.each(query, (spark) => values.forEach((value) => spark.write(revive(value)))),
  send_raw: (server, { text, hex, ...query }) =>
    server.each(query, (spark) => spark.emit('outgoing::data', hex ? Buffer.from(hex, 'hex') : text)),
  gate(server, { tag, error }) {
    for (const next of server.tag(tag).gates.splice(0)) next(error && new Error(error));
    return {};
  }
};

/** Answers with the state as soon as `field` is at least `least`, or when `limit` seconds have passed. */
function wait(server, query) {
  const tag = server.tag(query.tag);
  const { field } = query;
  const reached = () => (Array.isArray(tag[field]) ? tag[field].length : tag.state()[field]) >= +query.least;
  if (reached()) return tag.state();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      server.waiting.delete(look);
      resolve(tag.state());
    };
    const look = () => reached() && done();
    const timer = setTimeout(done, +query.limit * 1000);
    server.waiting.add(look);
  });
}

const wanted = [].concat(JSON.parse(process.argv[3] || '{}'));
Promise.all(wanted.map((options) => new TestServer(options).listen()))
  .then((ports) => console.log(JSON.stringify({ ports })));
