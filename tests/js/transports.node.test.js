'use strict';

// The clients over HTTP in Node: what only a program has, and a page has not.
const assert = require('node:assert');
const http = require('http');
const { spawn } = require('child_process');
const { after, describe, test } = require('node:test');
const { compile, load, save } = require('./support/library');
const { record, visible } = require('./support/browser');
const { next, start } = require('./support/servers');
const { order, startPeer } = require('./support/peers');

const FAST = { reconnect: { minDelay: 10, maxDelay: 50 } };
const WAYS = [
  ['engine.io', {}],
  ['engine.io', { websockets: false }],
  ['engine.io', { transport: { transports: ['websocket'] } }],
  ['polling', {}],
  ['sockjs', {}],
  ['sockjs', { websockets: false }],
  ['sockjs', { transport: { transports: ['xhr-polling'] } }],
  ['browserchannel', {}],
  ['browserchannel', { transport: { streaming: false } }],
  ['socket.io', {}],
  ['socket.io', { websockets: false }]
];
const NAMES = Array.from(new Set(WAYS.map(([transformer]) => transformer)));
const serverOf = (transformer) => (transformer === 'polling' ? 'engine.io' : transformer);
// The original that has it.
const originalOf = (transformer) => (transformer === 'socket.io' ? 2 : 8);
const EXIT_MS = 30000;

/** Run a program that has `Primus`, `url` and `options`; resolves with its output when it has ended by itself. */
function program(body, { transformer, url, options, format = 'script' }) {
  const file = format === 'esm' ? save('program.mjs', compile({ transformer, format })) : __filename;
  const given = `const url = ${JSON.stringify(url)}; const options = ${JSON.stringify(options)};`;
  const text = format === 'esm'
    ? `import Primus from ${JSON.stringify(`file://${file}`)}; ${given} ${body}`
    : `const Primus = require('./support/library').load({ transformer: '${transformer}' }); ${given} ${body}`;
  const child = spawn(process.execPath, ['--input-type', format === 'esm' ? 'module' : 'commonjs', '-e', text],
    { cwd: __dirname, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (part) => { output += part; });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`still running after ${EXIT_MS} ms: ${output}`));
    }, EXIT_MS);
    child.on('exit', () => { clearTimeout(timer); resolve(output); });
  });
}

const ECHO = `
  const client = new Primus(url, options);
  client.write('hello');
  client.on('data', (data) => { console.log(data, client.socket.transport.name || client.socket.transport); client.end('bye'); });
`;

describe('a program ends when its client has', () => {
  const peers = new Map(); // by transformer
  const peerOf = (transformer) => {
    const name = serverOf(transformer);
    if (!peers.has(name)) peers.set(name, startPeer('own', { transformer: name }));
    return peers.get(name);
  };
  after(async () => {
    for (const peer of peers.values()) await (await peer).stop();
  });

  for (const [transformer, options] of WAYS) {
    test(`${transformer} ${JSON.stringify(options)}`, async () => {
      const peer = await peerOf(transformer);
      const expected = /^hello (polling|websocket|xhr-streaming|xhr-polling|streaming|long-polling)\n$/;
      assert.match(await program(ECHO, { transformer, url: peer.url, options }), expected);
      await peer.empty();
    });
  }

  test('as ES module', async () => {
    const peer = await peerOf('polling');
    assert.match(await program(ECHO, { transformer: 'polling', format: 'esm', url: peer.url, options: {} }), /^hello polling\n$/);
    await peer.empty();
  });
});

test('one server for all of them at once', async () => {
  const transformers = ['websockets', ...new Set(NAMES.map(serverOf))];
  const peer = await startPeer('own', { transformer: transformers });
  // All of them first: compiling holds everything up, and the clients that there are already would run out of time.
  const ways = [['websockets', {}], ['faye', {}], ...WAYS].map(([transformer, options]) => [transformer, options, load({ transformer })]);
  await Promise.all(ways.map(async ([transformer, options, Primus]) => {
    const client = new Primus(peer.url, { ...FAST, ...options });
    assert.strictEqual(await order(client, transformer), transformer);
    const ended = next(client, 'end');
    assert.strictEqual(await order(client, { do: 'end', with: ['bye'] }), 'bye');
    await ended;
  }));
  await peer.stop();
});

describe('connections', () => {
  test('polling keeps two', async () => {
    const server = await start(8, { transformer: 'engine.io' });
    server.primus.on('connection', (spark) => spark.on('data', (data) => spark.write(data)));
    let count = 0;
    server.server.on('connection', () => { count += 1; });
    const client = new (load({ transformer: 'polling' }))(server.url, FAST);
    for (let n = 0; n < 20; n++) assert.strictEqual(await order(client, n), n);
    assert.strictEqual(count, 2);
    client.end();
    await server.stop();
  });

  test('a poll may take longer than an idle connection is kept', async () => {
    const server = await start(8, { transformer: 'engine.io', transport: { pingInterval: 1300, pingTimeout: 5000 }, pingInterval: false });
    const client = new (load({ transformer: 'polling' }))(server.url, { ...FAST, ping: false });
    const events = record(client);
    const [spark] = await next(server.primus, 'connection');
    await next(client, 'open');
    // Its second ping comes after more than two seconds without anything else.
    const engine = client.socket;
    const { receive } = engine;
    await new Promise((resolve) => {
      let pings = 0;
      engine.receive = function counted(packet) {
        receive.call(this, packet);
        if (packet === '2' && ++pings === 2) resolve();
      };
    });
    spark.write('still here');
    assert.strictEqual((await next(client, 'data'))[0], 'still here');
    assert.ok(!events.includes('close'));
    client.end();
    await server.stop();
  });

  test('the server goes away and comes back', async () => {
    const first = await start(8, { transformer: 'engine.io' });
    const client = new (load({ transformer: 'engine.io' }))(first.url, { reconnect: { minDelay: 10, maxDelay: 50, retries: Infinity } });
    client.on('error', () => {});
    await next(client, 'open');
    await first.stop();
    await next(client, 'reconnecting', { when: (opts) => opts.attempt === 3 });
    const second = await start(8, { transformer: 'engine.io' }, first.port);
    await next(client, 'reconnected');
    client.end();
    await second.stop();
  });
});

describe('requests', () => {
  for (const [transformer, options] of WAYS) {
    test(`headers, user and password: ${transformer} ${JSON.stringify(options)}`, async () => {
      const server = await start(originalOf(transformer), { transformer: serverOf(transformer) });
      const seen = [];
      server.primus.authorize((req, done) => {
        seen.push([req.headers.authorization, req.headers.cookie, req.headers['x-extra']]);
        done();
      });
      const client = new (load({ transformer }))(server.url.replace('//', '//us%C3%A9r:p%40ss@'), {
        ...FAST, ...options, transport: { headers: { cookie: 'a=b' }, extraHeaders: { 'x-extra': 'c' }, ...options.transport }
      });
      server.primus.on('connection', (spark) => spark.on('data', (data) => spark.write(data)));
      assert.strictEqual(await order(client, 'x'), 'x');
      const authorization = 'Basic ' + Buffer.from('usér:p@ss').toString('base64');
      assert.ok(seen.length);
      for (const each of seen) assert.deepStrictEqual(each, [authorization, 'a=b', 'c']);
      client.end();
      await server.stop();
    });
  }

  for (const name of NAMES) {
    test(`certificates: ${name}`, async () => {
      const peer = await startPeer('own', { transformer: serverOf(name), tls: true });
      for (const [transformer, options] of WAYS) {
        if (transformer !== name) continue;
        const client = new (load({ transformer }))(peer.url, { ...FAST, ...options, transport: { ca: peer.ca, ...options.transport } });
        assert.strictEqual(await order(client, 'x'), 'x');
        if (transformer === 'engine.io' && !options.transport && options.websockets !== false) {
          while (client.socket.transport.name !== 'websocket') await order(client, 'settled?');
        }
        client.end();
        const stranger = new (load({ transformer }))(peer.url, { ...options, strategy: false });
        assert.match((await next(stranger, 'error'))[0].message, /certificate/);
      }
      await peer.stop();
    });
  }

  test('an answer that is cut off is one error', async () => {
    const cut = http.createServer((request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('0{"sid"', () => response.destroy());
    });
    await new Promise((resolve) => cut.listen(0, '127.0.0.1', resolve));
    const client = new (load({ transformer: 'polling' }))(`http://127.0.0.1:${cut.address().port}`, { strategy: false });
    const events = record(client);
    client.on('error', () => {});
    await next(client, 'end');
    assert.deepStrictEqual(visible(events), ['readyStateChange opening', 'error', 'readyStateChange end', 'close', 'end']);
    await new Promise((resolve) => cut.close(resolve));
  });

  test('an agent of the application', async () => {
    const server = await start(8, { transformer: 'engine.io' });
    const used = [];
    class Agent extends http.Agent {
      addRequest(request, ...rest) {
        used.push(request.path.replace(/.*transport=(\w+).*/, '$1'));
        return super.addRequest(request, ...rest);
      }
    }
    const client = new (load({ transformer: 'engine.io' }))(server.url, { ...FAST, transport: { agent: new Agent() } });
    await next(client, 'open');
    assert.ok(used.includes('polling') && used.includes('websocket'));
    client.end();
    await server.stop();
  });

  test('refused: the error has the answer, and with the library of such a server there is no second try', async () => {
    for (const transformer of NAMES) {
      const server = await start(originalOf(transformer), { transformer: serverOf(transformer) });
      server.primus.authorize((req, done) => done({ statusCode: 401, message: 'Authentication required' }));
      const client = new (load({ transformer, authorization: true }))(server.url, FAST);
      const events = record(client);
      const error = next(client, 'error');
      await next(client, 'end');
      const [{ message, status, body }] = await error;
      assert.deepStrictEqual([message, status, JSON.parse(body)],
        ['Unexpected server response: 401', 401, { error: 'Authentication required' }]);
      assert.deepStrictEqual(visible(events), ['readyStateChange opening', 'error', 'readyStateChange end', 'close', 'end']);
      await server.stop();
    }
  });
});
