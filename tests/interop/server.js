'use strict';

/**
 * The test server on the official Primus: `node server.js primus8 '{"port": 0, "timeout": 1.5}'`.
 *
 * server.py is the same server on primus_gevent; the README lists the services and control end points. Prints one
 * line of JSON with its port. Options are in seconds and bytes, and each generation takes those that it knows.
 */
const http = require('http');
const official = require('./official');

const name = process.argv[2];
const options = JSON.parse(process.argv[3] || '{}');
const OLD = name === 'primus24';

const ABOUT = {
  server: name,
  serverPings: !OLD,
  answersPings: OLD,
  maxLength: (!OLD && options.maxLength) || null
};

/** What one tag (all connections of one scenario) has done so far. */
class Tag {
  constructor() {
    this.connections = this.disconnections = this.ends = this.heartbeats = this.received = 0;
    this.errors = [];
    this.messages = []; // the last 50
    this.log = []; // connection, data, disconnection, end; the last 50
    this.ids = [];
    this.sparks = new Map();
  }

  note(event) {
    this.log = this.log.concat(event).slice(-50);
  }

  state() {
    const { sparks, ...rest } = this;
    return { ...rest, open: sparks.size };
  }
}

const tags = new Map();
const waiting = new Set(); // functions that look whether the state is now what a request waits for

function tagOf(value) {
  if (!tags.has(value)) tags.set(value, new Tag());
  return tags.get(value);
}

function changed() {
  for (const look of [...waiting]) look();
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
    url: spark.request.url,
    headers: { ...spark.headers },
    address: { ip: spark.address.ip, port: spark.address.port }
  };
}

/** Cuts the connection without a goodbye; the official spark has no method for that. */
function kill(spark) {
  spark.request.socket.destroy();
}

const server = http.createServer(control);
const Primus = official.server(name);
const primus = new Primus(server, {
  transformer: 'websockets',
  parser: 'json',
  ...(OLD ? given({ timeout: milliseconds(options.timeout) }) : {}),
  ...(OLD ? {} : given({ pingInterval: milliseconds(options.pingInterval), maxLength: options.maxLength }))
});

function milliseconds(value) {
  return typeof value === 'number' ? value * 1000 : value;
}

function given(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

primus.on('connection', (spark) => {
  const { id } = spark; // 2.4 takes it away from a spark that has ended
  const tag = tagOf(spark.query.tag || '');
  const service = SERVICES[spark.query.service || 'echo'];
  spark.interop = tag;
  tag.connections += 1;
  tag.ids.push(id);
  tag.sparks.set(id, spark);
  tag.note('connection');
  spark.on('data', (data) => {
    tag.received += 1;
    tag.messages = tag.messages.concat([data]).slice(-50);
    tag.note('data');
    service(spark, data);
    changed();
  });
  spark.on('heartbeat', () => {
    tag.heartbeats += 1;
    changed();
  });
  spark.on('error', (error) => {
    tag.errors.push(String(error.message));
    changed();
  });
  spark.on('end', () => {
    tag.ends += 1;
    tag.note('end');
    changed();
  });
  changed();
  if (spark.query.service === 'close') spark.end();
});

primus.on('disconnection', (spark) => {
  const tag = spark.interop;
  tag.disconnections += 1;
  tag.sparks.delete(spark.id);
  tag.note('disconnection');
  changed();
});

const CONTROL = {
  about: () => ABOUT,
  connected: () => ({ connected: primus.connected }),
  state: (query) => tagOf(query.get('tag')).state(),
  wait: (query) => wait(query),
  broadcast(query) {
    primus.write(JSON.parse(query.get('data')));
    return {};
  },
  end: (query) => each(query, (spark) => spark.end()),
  kill: (query) => each(query, kill)
};

function each(query, act) {
  const sparks = [...tagOf(query.get('tag')).sparks.values()];
  sparks.forEach((spark) => act(spark));
  return { sparks: sparks.length };
}

/** Answers with the state as soon as `field` is at least `least`, or when `limit` seconds have passed. */
function wait(query) {
  const tag = tagOf(query.get('tag'));
  const field = query.get('field');
  const reached = () => (Array.isArray(tag[field]) ? tag[field].length : tag.state()[field]) >= +query.get('least');
  if (reached()) return tag.state();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      waiting.delete(look);
      resolve(tag.state());
    };
    const look = () => reached() && done();
    const timer = setTimeout(done, +query.get('limit') * 1000);
    waiting.add(look);
  });
}

async function control(request, response) {
  const url = new URL(request.url, 'http://localhost');
  const act = url.pathname.startsWith('/control/') && CONTROL[url.pathname.slice('/control/'.length)];
  const body = act ? JSON.stringify(await act(url.searchParams)) : '{"error": "not found"}';
  response.writeHead(act ? 200 : 404, {
    'Content-Type': 'application/json',
    'Access-Control-Allow-Origin': '*', // a browser asks from the page's own port
    'Cache-Control': 'no-store',
    Connection: 'close' // a server that is stopped and started leaves no half-dead connection in a client's pool
  });
  response.end(body);
}

server.listen(options.port || 0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
