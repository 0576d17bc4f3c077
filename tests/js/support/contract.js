'use strict';

// What the clients of all frameworks that use HTTP are to do with any server, on every way a session can go: as Node
// programs with Node's HTTP client, and as pages with fetch.
const assert = require('node:assert');
const http = require('http');
const { before, after, describe, test } = require('node:test');
const { record, visible } = require('./browser');
const { next } = require('./servers');
const { load, loadPage, order, startPeer } = require('./peers');

const FAST = { reconnect: { minDelay: 10, maxDelay: 50 } };

// What differs between frameworks. `ways`: name, transformer of the client, its options, how it is connected in the end.
const FRAMEWORKS = {
  'engine.io': {
    ways: [
      ['upgrade', 'engine.io', {}, 'websocket'],
      ['websockets: false', 'engine.io', { websockets: false }, 'polling'],
      ['websocket only', 'engine.io', { transport: { transports: ['websocket'] } }, 'websocket'],
      ['upgrade in base64', 'engine.io', { transport: { forceBase64: true } }, 'websocket'],
      ['polling', 'polling', {}, 'polling']
    ],
    knowsId: true,
    carriesBytes: true,
    query: { EIO: '4' }
  },
  sockjs: {
    // On a busy machine a transport may need longer than the round trip suggests.
    ways: [
      ['websocket', 'sockjs', { transport: { timeout: 5000 } }, 'websocket'],
      ['websockets: false', 'sockjs', { websockets: false, transport: { timeout: 5000 } }, 'xhr-streaming'],
      ['polling', 'sockjs', { transport: { timeout: 5000, transports: 'xhr-polling' } }, 'xhr-polling']
    ],
    resumes: ['own'],
    // A session that ends between two polls lives so long (ms) without one; Primus 2.4 lets nobody say it.
    server: { 8: { transport: { disconnect_delay: 500 } } },
    transport: (socket) => socket.transport,
    query: {}
  },
  browserchannel: {
    ways: [
      ['streaming', 'browserchannel', {}, 'streaming'],
      ['long polling', 'browserchannel', { websockets: false, transport: { streaming: false } }, 'long-polling']
    ],
    knowsId: true,
    resumes: ['own', 2, 8],
    query: { VER: '8' }
  },
  'socket.io': {
    ways: [
      ['websocket', 'socket.io', {}, 'websocket'],
      ['websockets: false', 'socket.io', { websockets: false }, 'xhr-polling'],
      ['polling', 'socket.io', { transport: { transports: ['xhr-polling'] } }, 'xhr-polling']
    ],
    knowsId: true,
    query: {}
  }
};
// Without keep-alive, so that what is open is in use.
const agent = new http.Agent();
const once = (url, init) => fetch(url, { ...init, headers: { ...init.headers, connection: 'close' } });
const ENVIRONMENTS = [['Node', load], ['a page', (settings) => loadPage(settings, { fetch: once })]];

const VALUES = [null, true, false, 0, -1.5, 1e21, '', 'text', 'ünïcödé €', '\u{1f600}', '\u2028\u2029\u001e\u0000', '\ud800',
  '\udc00x', 'Ã©', [], {}, [1, [2, [3]]], { a: { b: null } }, 'primus::', '"\\\n', '\ufeffbom'];

const plain = (value) => JSON.parse(JSON.stringify(value)); // of this context

/** Registers the tests; `kind` is that of startPeer, `name` that of the server's transformer. */
function contract(kind, name) {
  const { ways, knowsId, carriesBytes, server = {}, resumes = [], query: own } = FRAMEWORKS[name];
  const used = FRAMEWORKS[name].transport || ((socket) => socket.transport.name);
  // The original of socket.io 0.9 reads frames that come together by recursion, and loses its last words while no poll waits.
  const frail = name === 'socket.io' && kind !== 'own';
  const COUNT = frail ? 300 : 1000;
  const peers = {};
  before(async () => {
    peers.json = await startPeer(kind, { transformer: name, ...server[kind] });
    if (carriesBytes || kind === 'own') peers.binary = await startPeer(kind, { transformer: name, ...server[kind], parser: 'binary' });
  });
  after(() => Promise.all(Object.values(peers).map((peer) => peer.stop())));

  for (const [environment, get] of ENVIRONMENTS) {
    for (const [way, transformer, options, final] of ways) {
      describe(`${environment}, ${way}`, () => {
        const make = (more, parser = 'json', query = '') => {
          const Primus = get({ transformer, parser });
          const transport = { agent, ...options.transport };
          return new Primus(peers[parser].url + query, { ...FAST, ping: kind !== 8 && 25000, ...options, transport, ...more });
        };
        const connect = async (...args) => {
          const client = make(...args);
          await next(client, 'open');
          return client;
        };
        /** When it is on the transport that it is to stay on. */
        const settled = async (client) => {
          while (used(client.socket) !== final) await order(client, 'settled?');
        };

        test('values of every kind, while it settles and afterwards', async () => {
          const client = await connect();
          for (let round = 0; round < 2; round++) {
            const back = [];
            const listen = (data) => back.push(data);
            client.on('data', listen);
            for (const value of VALUES) client.write(value);
            await next(client, 'data', { when: () => back.length === VALUES.length });
            client.off('data', listen);
            assert.deepStrictEqual(plain(back), VALUES);
            await settled(client);
          }
          client.end();
        });

        test(`${COUNT} each way, in order, from open on through the upgrade`, async () => {
          const client = make();
          const bursts = [];
          const echoes = [];
          client.on('data', (data) => (data.n === undefined ? echoes : bursts).push(data.n === undefined ? data : data.n));
          client.write({ do: 'burst', count: COUNT });
          await next(client, 'open');
          // A few in every turn, so that some meet each step of the upgrade.
          for (let n = 0; n < COUNT;) {
            for (let i = 0; i < 10; i++) client.write(n++);
            await new Promise(setImmediate);
          }
          if (echoes.length < COUNT || bursts.length < COUNT) {
            await next(client, 'data', { when: () => echoes.length === COUNT && bursts.length === COUNT });
          }
          const expected = Array.from({ length: COUNT }, (_, n) => n);
          assert.deepStrictEqual(echoes, expected);
          assert.deepStrictEqual(bursts, expected);
          await settled(client);
          client.end();
        });

        test('a long message', async () => {
          const client = await connect();
          // It also breaks characters in two, between two pieces of a body.
          const text = (frail ? 'xe' : 'xé').repeat(100000);
          assert.strictEqual(await order(client, text), text);
          await settled(client);
          assert.strictEqual(await order(client, text), text);
          client.end();
        });

        test('the id is that of the spark', async () => {
          const client = await connect();
          const id = await new Promise((resolve) => client.id(resolve));
          assert.strictEqual(id, await order(client, { do: 'id' }));
          assert.strictEqual(client.socket.id, knowsId ? id : undefined);
          client.end();
        });

        test('the query, and no other path', async () => {
          const client = await connect({}, 'json', '/?foo=b%20r');
          const { foo, _primuscb, ...query } = await order(client, { do: 'query' });
          // Primus 2.4 passes none of SockJS's on.
          if (name !== 'sockjs' || kind !== 2) {
            assert.strictEqual(foo, 'b r');
            assert.match(_primuscb, /^\d{13}-0$/);
          }
          assert.deepStrictEqual({ ...query, ...own }, query);
          client.end();
        });

        test('client.end(data): it arrives, the spark ends, and no request is left', async () => {
          const client = await connect();
          await settled(client);
          const id = await order(client, { do: 'id' });
          const events = record(client);
          client.end('last');
          assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'end']);
          const other = await connect();
          assert.deepStrictEqual(plain(await order(other, { do: 'gone', id })), { last: 'last' });
          other.end();
          await peers.json.empty();
        });

        test('client.end() at once, while it settles', async () => {
          const client = await connect();
          const id = knowsId ? client.socket.id : await order(client, { do: 'id' });
          client.end();
          const other = await connect();
          await order(other, { do: 'gone', id });
          other.end();
          await peers.json.empty();
        });

        test('client.end() before open leaves nothing', async () => {
          const client = make();
          const opening = next(client, 'outgoing::url');
          const events = record(client);
          await opening;
          client.end();
          assert.deepStrictEqual(visible(events).slice(-3), ['readyStateChange end', 'close', 'end']);
          await peers.json.empty();
        });

        if (!frail || final === 'websocket') test('spark.end(data) is the end', async () => {
          const client = await connect();
          await settled(client);
          const events = record(client);
          client.write({ do: 'end', with: ['bye'] });
          await next(client, 'end');
          assert.deepStrictEqual(visible(events), ['data bye', 'readyStateChange end', 'close', 'end']);
          await peers.json.empty();
        });

        test('spark.end with reconnect brings the client back', async () => {
          const client = await connect();
          client.on('error', () => {}); // not ready for the end, says the original of socket.io
          const id = await order(client, { do: 'id' });
          client.write({ do: 'reconnect' });
          await next(client, 'reconnected');
          assert.notStrictEqual(await order(client, { do: 'id' }), id);
          assert.strictEqual(await order(client, 'again'), 'again');
          await settled(client);
          client.end();
        });

        if (resumes.includes(kind) && final !== 'websocket') test('connections that are cut lose nothing', async () => {
          const client = await connect();
          const events = record(client);
          const back = [];
          client.on('data', (data) => back.push(data));
          let written = 0;
          for (let round = 0; round < 20; round++) {
            // Before the POST has left, while it is on its way, or when its echoes are.
            for (let i = 0; i < 10; i++) client.write(written++);
            for (let turn = round % 5; turn > 0; turn--) await new Promise(setImmediate);
            peers.json.cut();
            if (back.length < written) await next(client, 'data', { when: () => back.length === written });
            // Official times: what fails a second time is repeated after 5 seconds.
            while (client.socket.post || client.socket.pending) await new Promise(setImmediate);
          }
          assert.deepStrictEqual(back, Array.from({ length: written }, (_, n) => n));
          assert.ok(!events.includes('close'));
          client.end();
        });

        test('a server that is replaced', async () => {
          const client = await connect();
          client.on('error', () => {});
          await settled(client);
          const data = next(client, 'data');
          const back = next(client, 'reconnected');
          client.once('close', () => client.write('meanwhile'));
          await peers.json.replace();
          await back;
          assert.strictEqual((await data)[0], 'meanwhile');
          client.end();
        });

        if (!resumes.includes(kind)) for (const step of ['at once', 'settled']) {
          test(`a session that is cut comes back, ${step}`, async () => {
            const client = await connect();
            client.on('error', () => {});
            if (step === 'settled') await settled(client);
            client.once('close', () => {
              clearInterval(cutting);
              client.write('meanwhile');
            });
            // Again and again: a request may be on its way to the proxy.
            const cutting = setInterval(peers.json.cut, 5);
            const data = next(client, 'data');
            await next(client, 'reconnected');
            assert.strictEqual((await data)[0], 'meanwhile');
            client.end();
          });
        }

        test('a heartbeat that does not come, and the connection after it', async () => {
          const client = await connect({ ping: false, pingTimeout: 200 });
          await next(client, 'offline');
          client.options.pingTimeout = 45000;
          await next(client, 'reconnected');
          assert.strictEqual(await order(client, 'again'), 'again');
          client.end();
        });

        if (kind !== 8) test('heartbeats', async () => {
          const client = await connect({ ping: 20 });
          for (let n = 0; n < 3; n++) await next(client, 'incoming::pong');
          client.end();
        });

        if (carriesBytes || kind === 'own') test('values of the binary parser, and heartbeats', async () => {
          const client = await connect({ ping: kind !== 8 && 20 }, 'binary');
          if (kind !== 8) await next(client, 'incoming::pong');
          for (let round = 0; round < 2; round++) {
            const values = ['é\u{1f600}', 1, -1.5, [1, { a: null }], Buffer.from([0, 1, 127, 128, 255]), Buffer.alloc(70000, 0x80)];
            for (const value of values) {
              const back = await order(client, value);
              if (Buffer.isBuffer(value)) assert.deepStrictEqual(Array.from(back), Array.from(value));
              else assert.deepStrictEqual(plain(back), value);
            }
            await settled(client);
          }
          client.end();
        });
      });
    }
  }
}

module.exports = { contract };
