'use strict';

// Servers that echo and take orders (see server.py), ours and the original ones, behind a proxy that can cut and
// count their connections; and clients of them, in Node and as in a page.
const net = require('net');
const vm = require('vm');
const path = require('path');
const readline = require('readline');
const { spawn } = require('child_process');
const { after } = require('node:test');
const { PYTHON, compile, load } = require('./library');
const { next, start } = require('./servers');

const stops = new Set();
after(() => Promise.all(Array.from(stops, (stop) => stop())));

let own = null; // the process of our own servers

/** Our own server, in a process that all of them share. */
function startOwn(options) {
  if (!own) {
    own = spawn(PYTHON, [path.join(__dirname, 'server.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    own.asked = [];
    own.exited = new Promise((resolve, reject) => { own.on('exit', resolve).on('error', reject); });
    readline.createInterface({ input: own.stdout }).on('line', (line) => {
      const { id, ...about } = JSON.parse(line);
      own.asked[id](about);
    });
  }
  const { asked, exited, stdin } = own;
  return new Promise((resolve, reject) => {
    exited.then((code) => reject(new Error(`server.py ended with ${code}`)), reject);
    const id = asked.push((about) => {
      resolve({ ...about, stop() { stdin.write(`${JSON.stringify({ stop: about.port })}\n`); } });
    }) - 1;
    stdin.write(`${JSON.stringify({ id, options })}\n`);
  });
}

after(async () => {
  if (!own) return;
  own.stdin.end();
  await own.exited;
});

/** An original server that does what server.py does. */
async function startOriginal(generation, options) {
  const world = await start(generation, options);
  const gone = new Map();
  const orders = {
    burst(spark, { count }) { for (let n = 0; n < count; n++) spark.write({ n }); },
    end(spark, order) { spark.end(...(order.with || [])); },
    reconnect(spark) { spark.end(undefined, { reconnect: true }); },
    kill() { world.kill(); },
    id(spark) { spark.write(spark.id); },
    headers(spark) { spark.write(spark.headers); },
    query(spark) { spark.write(spark.query); },
    gone(spark, { id }) { gone.get(id).promise.then(() => spark.write({ last: gone.get(id).last })); }
  };
  world.primus.on('connection', (spark) => {
    const entry = {};
    entry.promise = new Promise((resolve) => { entry.resolve = resolve; });
    gone.set(spark.id, entry);
    spark.on('end', () => entry.resolve());
    spark.on('data', (data) => {
      entry.last = data;
      const order = data && orders[data.do];
      if (order) order(spark, data);
      else spark.write(data);
    });
  });
  return world;
}

/** `own`, 8 or 2; `url` leads through a proxy. */
async function startPeer(kind, options = {}) {
  const begin = () => (kind === 'own' ? startOwn(options) : startOriginal(kind, options));
  let server = await begin();
  const sockets = new Set();
  const emptied = [];
  const forget = (socket) => {
    if (sockets.delete(socket) && !sockets.size) for (const resolve of emptied.splice(0)) resolve();
  };
  const proxy = net.createServer((socket) => {
    const other = net.connect(server.port, '127.0.0.1');
    sockets.add(socket);
    for (const [one, two] of [[socket, other], [other, socket]]) {
      one.setNoDelay(true);
      one.pipe(two);
      one.on('error', () => {});
      one.on('close', () => { two.destroy(); forget(socket); });
    }
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const peer = {
    url: `${options.tls ? 'https://localhost' : 'http://127.0.0.1'}:${proxy.address().port}`,
    ca: server.ca,
    sockets,
    cut() { for (const socket of sockets) socket.destroy(); },
    /** Put another server in its place, which knows of no session. */
    async replace() {
      const old = server;
      server = await begin();
      peer.cut();
      await old.stop();
    },
    /** When the last connection has been closed. */
    empty() { return sockets.size ? new Promise((resolve) => emptied.push(resolve)) : Promise.resolve(); },
    async stop() {
      if (!stops.delete(peer.stop)) return;
      peer.cut();
      proxy.close();
      await server.stop();
    }
  };
  stops.add(peer.stop);
  return peer;
}

/** The constructor as a page has it: with fetch and WebSocket, and without Node. */
function loadPage(settings, globals = {}) {
  const context = vm.createContext({
    URL, URLSearchParams, TextEncoder, TextDecoder, AbortController, crypto, fetch, atob, btoa, setTimeout, clearTimeout,
    WebSocket: require('ws'), ...globals
  });
  vm.runInContext(compile(settings), context);
  return context.Primus;
}

/** Send an order; resolves with the next message. */
function order(client, message) {
  const answer = next(client, 'data');
  client.write(message);
  return answer.then(([data]) => data);
}

module.exports = { startPeer, load, loadPage, order };
