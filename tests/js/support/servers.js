'use strict';

// The original servers, both generations, each beside a `ws` that it can work with.
const http = require('http');
const { before, after } = require('node:test');

const PACKAGES = { 8: 'primus', 2: '../primus2/node_modules/primus' };

/** A listening server of that generation; `stop` takes it down with all its connections. */
async function start(generation, options = {}, port = 0) {
  const Primus = require(PACKAGES[generation]);
  const server = http.createServer();
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const primus = new Primus(server, { transformer: 'websockets', ...options });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const { port: used } = server.address();
  const world = {
    primus,
    server,
    sockets,
    port: used,
    url: `http://127.0.0.1:${used}`,
    /** Cut every connection, without a word of WebSocket. */
    kill() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      if (!running.delete(world)) return;
      world.kill();
      await new Promise((resolve) => server.close(resolve));
      // Not for good: the sessions of SockJS are shared by all servers of the process, and might tell a client.
      primus.forEach((spark) => { spark.end(undefined, { reconnect: true }); });
      // Its heartbeat would keep the process alive.
      primus.destroy({ close: false });
    }
  };
  running.add(world);
  return world;
}

// A test that fails does not come to stop its server.
const running = new Set();
after(() => Promise.all(Array.from(running, (world) => world.stop())));

// How often the clock of `next` ticks. It counts the ticks and not the time: while something holds up the process, or the
// machine, there are none, and an event that is only late is still in time.
const TICK_MS = 100;

/** The arguments with which `event` is emitted next. */
function next(emitter, event, { timeout = 5000, when = () => true } = {}) {
  return new Promise((resolve, reject) => {
    const done = (settle, value) => {
      clearInterval(clock);
      emitter.removeListener(event, listener);
      settle(value);
    };
    let ticks = Math.ceil(timeout / TICK_MS);
    const clock = setInterval(() => { if (--ticks <= 0) done(reject, new Error(`no ${event} in ${timeout} ms`)); }, TICK_MS);
    function listener(...args) {
      if (when(...args)) done(resolve, args);
    }
    emitter.on(event, listener);
  });
}

/** A server for all tests of a suite; `world.server` once they run. */
function sharedServer(generation, options) {
  const world = {};
  before(async () => { world.server = await start(generation, options); });
  after(() => world.server.stop());
  return world;
}

module.exports = { start, next, sharedServer };
