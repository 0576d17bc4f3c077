'use strict';

/**
 * The bare client of faye-websocket against our server, speaking Primus's JSON by hand:
 * `node faye_client.js BASE [part of a name]`, where BASE is `ws://` or `wss://` and an address.
 *
 * The services are those of tests/support/app.py. Prints a line of JSON per scenario; `--list` prints their names.
 * test_faye_client.py starts the servers.
 */
const assert = require('assert');
const { Client } = require('faye-websocket');

const LIMIT = 15000; // ms that a scenario may take
const TEXTS = ['', 'é', 'ключ', '日本語', '💩', 'a💩b€c\u{10ffff}', 'x\u2028\u2029y', '\u0000\u001e\u007f', '\ufeffbom', '"\\\n',
  'x'.repeat(125), 'x'.repeat(126), 'x'.repeat(65535), 'x'.repeat(65536), '€'.repeat(40000), 'x'.repeat(1000000)];

// --- one client ---

class Connection {
  constructor(base, service, { query = '', ...options } = {}) {
    this.messages = [];
    this.events = [];
    this.waiting = new Set();
    this.socket = new Client(`${base}/primus?service=${service}${query}`, [], {
      tls: { rejectUnauthorized: false }, // the certificate is made for the test
      ...options
    });
    this.socket.on('message', ({ data }) => this.note(() => this.messages.push(data)));
    for (const name of ['open', 'close', 'error']) {
      this.socket.on(name, (event) => this.note(() => {
        this.events.push(name);
        this[name] = event;
      }));
    }
  }

  note(act) {
    act();
    for (const look of [...this.waiting]) look();
  }

  /** Waits until `reached` holds. The limit is that of the scenario. */
  wait(reached) {
    return new Promise((resolve) => {
      const look = () => {
        if (!reached()) return;
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
      look();
    });
  }

  async opened() {
    await this.wait(() => this.events.length);
    assert.strictEqual(this.events[0], 'open', this.error && this.error.message);
    return this;
  }

  write(value) {
    this.socket.send(JSON.stringify(value));
  }

  async raw() {
    await this.wait(() => this.messages.length);
    return this.messages.shift();
  }

  async take() {
    const text = await this.raw();
    assert.strictEqual(typeof text, 'string', 'a text message');
    return JSON.parse(text);
  }

  /** How the connection has ended, once it has. */
  async closed() {
    await this.wait(() => this.close);
    return [this.close.code, this.close.reason];
  }

  /** Says goodbye; the server answers with the same code. */
  async leave(code = 1000, reason = '') {
    this.socket.close(code, reason);
    assert.deepStrictEqual(await this.closed(), [code, ''], 'the goodbye');
    assert.ok(!this.events.includes('error'), this.error && this.error.message);
  }
}

// --- scenarios ---

const SCENARIOS = {
  async 'echo of awkward text'(connect) {
    const peer = await connect('echo');
    for (const text of TEXTS) peer.write(text);
    for (const text of TEXTS) assert.strictEqual(await peer.take(), text, text.slice(0, 20));
    await peer.leave();
  },

  async 'echo of bytes'(connect) {
    const peer = await connect('binary');
    for (const size of [0, 1, 125, 126, 65535, 65536, 1000000]) {
      const bytes = Buffer.alloc(size, Buffer.from([0, 255, 128, 10, 200]));
      peer.socket.send(bytes);
      const back = await peer.raw();
      assert.ok(Buffer.isBuffer(back) && back.equals(bytes), `${size} bytes`);
    }
    peer.write('text between');
    assert.strictEqual(await peer.take(), 'text between');
    await peer.leave();
  },

  async 'many messages in order'(connect) {
    const [up, down] = [await connect('echo'), await connect('count')];
    for (let n = 0; n < 2000; n++) up.write(n);
    down.write(2000);
    for (let n = 0; n < 2000; n++) assert.deepStrictEqual([await up.take(), await down.take()], [n, n]);
    await up.leave();
    await down.leave();
  },

  async 'pings are answered, with what was in them'(connect) {
    const peer = await connect('idle');
    for (const text of ['', 'one', '€'.repeat(41)]) {
      await new Promise((resolve) => { peer.socket.ping(text, resolve); }); // only a pong with that text resolves it
    }
    await peer.leave();
  },

  async "Primus's heartbeat and id"(connect) {
    const peer = await connect('info');
    const { id, socket } = await peer.take();
    assert.strictEqual(socket, 'websocket');
    peer.write('primus::id::');
    assert.strictEqual(await peer.take(), `primus::id::${id}`);
    peer.write('primus::ping::1400000000123');
    assert.strictEqual(await peer.take(), 'primus::pong::1400000000123');
    await peer.leave();
  },

  async 'headers and query reach the server'(connect) {
    const peer = await connect('info', { query: '&name=J%C3%BCrgen', headers: { 'X-Token': 'secret' } });
    const { headers, query } = await peer.take();
    assert.strictEqual(headers['x-token'], 'secret');
    assert.deepStrictEqual(query, { service: 'info', name: 'Jürgen' });
    await peer.leave();
  },

  async 'codes and reasons of the client'(connect) {
    for (const [code, reason] of [[1000, ''], [1000, 'so long'], [3000, 'é€💩'], [4999, 'x'.repeat(123)]]) {
      await (await connect('echo')).leave(code, reason);
    }
  },

  async 'codes of the server'(connect) {
    for (const code of [1000, 1001, 1011, 3000, 4999]) {
      const peer = await connect('close-code');
      peer.write(code);
      assert.deepStrictEqual(await peer.closed(), [code, 'as you wish']);
    }
  },

  async 'ends of the server'(connect) {
    const ended = await connect('end-data');
    assert.deepStrictEqual([await ended.take(), await ended.take()], [{ bye: 'all' }, 'primus::server::close']);
    assert.deepStrictEqual(await ended.closed(), [1000, '']);
    const sent = await connect('end-reconnect');
    assert.strictEqual((await sent.closed())[0], 1002); // it is 1012, which it does not know, and puts this in its place
    assert.deepStrictEqual(sent.messages, []);
    const cut = await connect('abort');
    cut.write('now');
    assert.strictEqual((await cut.closed())[0], 1006);
  },

  async 'a message that is too long'(connect) {
    const peer = await connect('echo');
    peer.write('x'.repeat(1024 * 1024));
    assert.strictEqual((await peer.closed())[0], 1009);
  },

  async 'extensions are offered in vain'(connect) {
    const offer = { name: 'permessage-deflate', type: 'permessage', rsv1: true, rsv2: false, rsv3: false };
    const session = { generateOffer: () => ({}), activate: () => assert.fail('it was accepted'), close() {} };
    const peer = await connect('echo', { extensions: [{ ...offer, createClientSession: () => session }] });
    peer.write('plain');
    assert.strictEqual(await peer.take(), 'plain');
    await peer.leave();
  }
};

async function play(base, name) {
  const peers = [];
  const connect = (...settings) => {
    peers.push(new Connection(base, ...settings));
    return peers[peers.length - 1].opened();
  };
  let clock;
  const limit = new Promise((resolve, reject) => {
    clock = setTimeout(() => {
      const seen = peers.map(({ events, messages }) => `${events} and ${messages.length} messages`);
      reject(new Error(`not done after ${LIMIT} ms; ${seen.join('; ')}`));
    }, LIMIT);
  });
  try {
    await Promise.race([SCENARIOS[name](connect), limit]);
    return '';
  } catch (error) {
    return error.stack;
  } finally {
    clearTimeout(clock);
    for (const { socket } of peers) socket.close();
  }
}

async function main([base, only = '']) {
  const names = Object.keys(SCENARIOS).filter((name) => name.includes(only));
  await Promise.all(names.map(async (scenario) => {
    console.log(JSON.stringify({ scenario, failure: await play(base, scenario) }));
  }));
}

if (process.argv[2] === '--list') console.log(JSON.stringify(Object.keys(SCENARIOS)));
else main(process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
