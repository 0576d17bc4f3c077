'use strict';

// Our client, required in Node, against the original servers over real sockets.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { load } = require('./support/library');
const { record, visible } = require('./support/browser');
const { next, sharedServer, start } = require('./support/servers');

const Primus = load();
const FAST = { reconnect: { minDelay: 10, maxDelay: 50 } };
const GENERATIONS = [8, 2];

for (const generation of GENERATIONS) {
  describe(`primus ${generation}`, () => {
    const world = sharedServer(generation);

    /** A client and its spark, both after `open`. */
    async function connect(options, query = '') {
      const { primus, url } = world.server;
      const client = new Primus(`${url}${query}`, { ...FAST, ...options });
      const [[spark]] = await Promise.all([next(primus, 'connection'), next(client, 'open')]);
      return { client, spark };
    }

    test('messages of every type arrive both ways as they were', async () => {
      const { client, spark } = await connect();
      spark.on('data', (data) => spark.write(data));
      const values = [null, true, false, 0, -1.5, 1e21, '', 'text', 'ünïcödé', '\u{1f600}', '\u2028\u2029', [], {},
        [1, [2, [3]]], { a: { b: null } }, 'primus::', 'primus::foo::bar', '"\\\n\u0000'];
      const back = [];
      client.on('data', (data) => back.push(data));
      for (const value of values) client.write(value);
      await next(client, 'data', { when: () => back.length === values.length });
      assert.deepStrictEqual(back, values);
      client.end();
    });

    test('a megabyte both ways, and a thousand in order', async () => {
      const { client, spark } = await connect();
      spark.on('data', (data) => spark.write(data));
      const large = 'x'.repeat(1 << 20);
      client.write(large);
      const [back] = await next(client, 'data');
      assert.strictEqual(back, large);

      const received = [];
      client.on('data', (data) => received.push(data));
      for (let n = 0; n < 1000; n++) client.write(n);
      await next(client, 'data', { when: () => received.length === 1000 });
      assert.deepStrictEqual(received, Array.from({ length: 1000 }, (_, n) => n));
      client.end();
    });

    test('what is written before open, the query and the id', async () => {
      const { primus, url } = world.server;
      const client = new Primus(`${url}/?foo=b%20r`, FAST);
      client.write('early');
      const [spark] = await next(primus, 'connection');
      const data = next(spark, 'data');
      assert.strictEqual(spark.query.foo, 'b r');
      assert.match(spark.query._primuscb, /^\d{13}-0$/);
      assert.strictEqual((await data)[0], 'early');
      const id = await new Promise((resolve) => client.id(resolve));
      assert.strictEqual(id, spark.id);
      client.end();
    });

    test('options for ws', async () => {
      const { client, spark } = await connect({ transport: { headers: { cookie: 'a=b' } } });
      assert.strictEqual(spark.headers.cookie, 'a=b');
      client.end();
    });

    test('client.end(data) is seen by the server', async () => {
      const { client, spark } = await connect();
      const events = record(client);
      const data = next(spark, 'data');
      const gone = next(world.server.primus, 'disconnection', { when: (other) => other === spark });
      client.end('last');
      assert.strictEqual((await data)[0], 'last');
      await gone;
      assert.deepStrictEqual(visible(events), ['readyStateChange end', 'close', 'end']);
    });

    test('spark.end(data) is the end', async () => {
      const { client, spark } = await connect();
      const events = record(client);
      spark.end('bye');
      await next(client, 'end');
      assert.deepStrictEqual(events, [
        'incoming::data "bye"', 'data bye', 'incoming::data "primus::server::close"', 'incoming::end',
        'readyStateChange end', 'outgoing::end', 'close', 'end'
      ]);
    });

    test('spark.end with reconnect brings the client back', async () => {
      const { client, spark } = await connect();
      const events = record(client);
      const connection = next(world.server.primus, 'connection');
      spark.end(undefined, { reconnect: true });
      const [outage] = await next(client, 'reconnected');
      assert.notStrictEqual((await connection)[0].id, spark.id);
      assert.strictEqual(outage.attempt, 1);
      assert.deepStrictEqual(visible(events), [
        'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled', 'reconnect',
        'readyStateChange opening', 'readyStateChange open', 'open', 'reconnected'
      ]);
      client.end();
    });

    test('a connection that is cut comes back, with what was written meanwhile', async () => {
      const { client } = await connect();
      const closed = next(client, 'close');
      const connection = next(world.server.primus, 'connection');
      world.server.kill();
      await closed;
      client.write('meanwhile');
      const [spark] = await connection;
      assert.strictEqual((await next(spark, 'data'))[0], 'meanwhile');
      client.end();
    });

    test('broadcast', async () => {
      const all = await Promise.all(Array.from({ length: 5 }, () => {
        const client = new Primus(world.server.url, FAST);
        return next(client, 'open').then(() => client);
      }));
      const received = all.map((client) => next(client, 'data'));
      world.server.primus.write({ to: 'all' });
      for (const [data] of await Promise.all(received)) assert.deepStrictEqual(data, { to: 'all' });
      for (const client of all) client.end();
    });

    test('Node streams pipe into the client', async () => {
      const { Readable } = require('stream');
      const { client, spark } = await connect();
      const received = [];
      spark.on('data', (data) => received.push(data));
      Readable.from(['a', 'b']).pipe(client);
      await next(client, 'end');
      await next(spark, 'end').catch(() => {});
      assert.deepStrictEqual(received, ['a', 'b']);
    });

    test('the server goes away and comes back', async () => {
      const first = await start(generation);
      const client = new Primus(first.url, { reconnect: { minDelay: 10, maxDelay: 50, retries: Infinity } });
      await next(client, 'open');
      const attempts = [];
      client.on('reconnecting', (opts) => attempts.push(opts.attempt));
      await first.stop();
      await next(client, 'reconnecting', { when: (opts) => opts.attempt === 3 });
      const second = await start(generation, {}, first.port);
      await next(client, 'reconnected');
      assert.deepStrictEqual(attempts.slice(0, 3), [1, 2, 3]);
      client.end();
      await second.stop();
    });
  });

  describe(`authorization of primus ${generation}`, () => {
    const world = sharedServer(generation);
    const refuse = () => world.server.primus.authorize((req, done) => done({
      statusCode: 401, message: 'Authentication required', authenticate: 'Basic realm="x"'
    }));

    test('refused: an error, and with the library of such a server no second try', async () => {
      refuse();
      const Authorized = load({ authorization: true });
      const client = new Authorized(world.server.url, FAST);
      const events = record(client);
      const error = next(client, 'error');
      await next(client, 'end');
      assert.match((await error)[0].message, /401/);
      assert.deepStrictEqual(visible(events), ['readyStateChange opening', 'error', 'readyStateChange end', 'close', 'end']);
    });

    test('the refusal can be read', async () => {
      refuse();
      const client = new Primus(world.server.url, { ...FAST, strategy: 'disconnect' });
      const seen = {};
      client.on('outgoing::open', () => {
        client.socket.on('unexpected-response', (request, response) => {
          seen.status = response.statusCode;
          seen.authenticate = response.headers['www-authenticate'];
          let body = '';
          response.on('data', (part) => { body += part; });
          response.on('end', () => {
            seen.body = JSON.parse(body);
            client.socket.emit('error', 'authorization failed: ' + response.statusCode);
          });
        });
      });
      const ended = next(client, 'end');
      const [error] = await next(client, 'error');
      assert.strictEqual(error.message, 'authorization failed: 401');
      assert.deepStrictEqual(seen, {
        status: 401, authenticate: 'Basic realm="x"', body: { error: 'Authentication required' }
      });
      await ended;
    });

    test('user and password of the url', async () => {
      let authorization;
      world.server.primus.authorize((req, done) => {
        authorization = req.headers.authorization;
        done();
      });
      const client = new Primus(world.server.url.replace('//', '//user:secret@'), FAST);
      await next(client, 'open');
      assert.strictEqual(authorization, 'Basic ' + Buffer.from('user:secret').toString('base64'));
      client.end();
    });
  });
}

describe('heartbeats', () => {
  test('ours keep a connection of primus 2 alive over three timeouts', async () => {
    const server = await start(2, { timeout: 300 });
    const client = new Primus(server.url, { ...FAST, ping: 100, pong: 250 });
    const events = record(client);
    await next(client, 'open');
    let pongs = 0;
    await next(client, 'incoming::pong', { when: () => ++pongs === 10 });
    assert.deepStrictEqual(visible(events).filter((event) => event === 'close' || event === 'offline'), []);
    assert.ok(client.latency < 250);
    client.end();
    await server.stop();
  });

  test('without them primus 2 ends it, and the client comes back', async () => {
    const server = await start(2, { timeout: 100 });
    const client = new Primus(server.url, { ...FAST, ping: false });
    await next(client, 'reconnected');
    client.end();
    await server.stop();
  });

  for (const options of [{}, { pingTimeout: 500 }]) {
    test(`primus 8 pings, with ${JSON.stringify(options)}`, async () => {
      const server = await start(8, { pingInterval: 100 });
      const client = new Primus(server.url, { ...FAST, ...options });
      const events = record(client);
      await next(client, 'open');
      let pings = 0;
      await next(client, 'incoming::ping', { when: () => ++pings === 8 });
      assert.ok(!events.includes('close'));
      client.end();
      await server.stop();
    });
  }

  for (const [generation, settings, options] of [
    [2, { timeout: false }, { ping: 50, pong: 100 }],
    [8, { pingInterval: 50 }, { pingTimeout: 150 }]
  ]) {
    test(`primus ${generation} falls silent`, async () => {
      const server = await start(generation, settings);
      const client = new Primus(server.url, { ...FAST, ...options });
      const events = record(client);
      await next(client, generation === 2 ? 'incoming::pong' : 'incoming::ping');
      // The connection stays, but nothing comes through any more: neither a ping nor an answer to ours.
      const { _socket: silent } = client.socket;
      silent.pause();
      await next(client, 'reconnected');
      assert.deepStrictEqual(visible(events.slice(events.indexOf('offline'))), [
        'offline', 'readyStateChange end', 'close', 'reconnecting', 'reconnect scheduled', 'reconnect',
        'readyStateChange opening', 'online', 'readyStateChange open', 'open', 'reconnected'
      ]);
      client.end();
      silent.destroy(); // ws would wait half a minute for an answer to its close frame
      await server.stop();
    });
  }
});

test('nobody listens: an error, attempts, and then the end', async () => {
  const server = await start(8);
  const { url } = server;
  await server.stop();
  const client = new Primus(url, { reconnect: { minDelay: 5, maxDelay: 10, retries: 2 } });
  const events = record(client);
  client.on('error', () => {});
  const [error, outage] = await next(client, 'reconnect failed');
  assert.strictEqual(error.message, 'Unable to recover');
  assert.strictEqual(outage.attempt, 2);
  assert.deepStrictEqual(visible(events).filter((event) => !event.startsWith('readyState')), [
    'error', 'reconnecting', 'reconnect scheduled', 'reconnect', 'reconnecting', 'reconnect scheduled', 'reconnect',
    'end', 'reconnect failed'
  ]);
});

test('the ES module connects too', { skip: !process.getBuiltinModule && 'this Node gives ES modules no way to ws' }, async () => {
  const fs = require('fs');
  const path = require('path');
  const { pathToFileURL } = require('url');
  const { compile } = require('./support/library');
  // Beside node_modules, where it finds ws.
  const file = path.join(__dirname, `.primus-${process.pid}.mjs`);
  fs.writeFileSync(file, compile({ format: 'esm' }));
  const server = await start(8);
  try {
    const { default: Module } = await import(pathToFileURL(file).href);
    const client = new Module(server.url);
    await next(client, 'open');
    client.end();
  } finally {
    fs.unlinkSync(file);
    await server.stop();
  }
});

describe('the other parsers', () => {
  const JSON_VALUES = [null, true, false, 0, -1, 127, 128, 65536, -129, -(2 ** 31), 0.1, -1.5, '', 'text', 'x'.repeat(70000),
    'ünïcödé \u{1f600}\u2028\ufeff', [], {}, [1, [2, [3]]], { a: { b: null } }, { 2: 'b', 1: 'a' }, 'primus::foo::bar'];
  const OTHER_VALUES = {
    ejson: [new Date(5), NaN, -Infinity, /a+/gi, new Uint8Array([1, 255]), { $date: 5 }, { $escape: { $date: 1 } }, 2 ** 60],
    msgpack: [new Date(1400000000123), NaN, /a+/gi, Buffer.from([1, 255]), new Uint8Array([1]), new Float64Array([0.5]),
      [new Uint8Array([1, 2]).buffer], 2 ** 60, -(2 ** 40)],
    binary: [Buffer.from([1, 255]), [Buffer.alloc(70000, 1)], 2 ** 32 - 1, NaN, 0.5]
  };

  for (const [generation, parser] of [[8, 'ejson'], [8, 'msgpack'], [8, 'binary'], [2, 'ejson'], [2, 'binary']]) {
    test(`${parser} of primus ${generation}: values both ways, the id, heartbeats and a final end`, async () => {
      const server = await start(generation, { parser });
      const Client = load({ parser });
      const client = new Client(server.url, { ...FAST, ping: generation === 2 ? 20 : false });
      const [[spark]] = await Promise.all([next(server.primus, 'connection'), next(client, 'open')]);
      if (generation === 2) await next(client, 'incoming::pong');

      spark.on('data', (data) => spark.write(data));
      const values = JSON_VALUES.concat(OTHER_VALUES[parser]);
      const back = [];
      client.on('data', (data) => back.push(data));
      for (const value of values) client.write(value);
      await next(client, 'data', { when: () => back.length === values.length });
      assert.deepStrictEqual(back, values);

      assert.strictEqual(await new Promise((resolve) => client.id(resolve)), spark.id);
      const events = record(client);
      spark.end(['bye']);
      await next(client, 'end');
      assert.deepStrictEqual(visible(events), ['data bye', 'readyStateChange end', 'close', 'end']);
      await server.stop();
    });
  }

  test('binary of primus 8 sends integers of 64 bits that only we can read', async () => {
    const server = await start(8, { parser: 'binary' });
    const client = new (load({ parser: 'binary' }))(server.url, FAST);
    const [spark] = await next(server.primus, 'connection');
    spark.write([2 ** 32, -(2 ** 53), 2 ** 62]);
    assert.deepStrictEqual(await next(client, 'data').then(([data]) => data), [2 ** 32, -(2 ** 53), 2 ** 62]);
    client.end();
    await server.stop();
  });

  test('jsonh of primus 2.4: lists of objects, and no message of Primus', async () => {
    const server = await start(2, { parser: 'jsonh' });
    const client = new (load({ parser: 'jsonh' }))(server.url, { ...FAST, ping: false });
    const [[spark]] = await Promise.all([next(server.primus, 'connection'), next(client, 'open')]);
    spark.on('data', (data) => spark.write(data));
    for (const rows of [[], [{ a: 1, b: 'é' }, { a: null, b: [{}] }]]) {
      client.write(rows);
      assert.deepStrictEqual((await next(client, 'data'))[0], rows);
    }
    client.end();
    await server.stop();
  });
});
