'use strict';

// Addresses: what is given, what a page or Node stands for, and what is requested.
const assert = require('node:assert');
const { describe, test } = require('node:test');
const { page } = require('./support/browser');

const OPENED_AT = 1400000000001; // the clock of the page when a client opens

/** The address that is requested for this one, without the cache breaker. */
function requested(url, settings) {
  const world = page(settings);
  world.client({}, url);
  return world.socket.url.replace(`_primuscb=${OPENED_AT}-0`, '#');
}

describe('what is requested', () => {
  for (const [url, expected] of [
    ['http://h', 'ws://h/primus/?#'],
    ['http://h:8080/', 'ws://h:8080/primus/?#'],
    ['https://h', 'wss://h/primus/?#'],
    ['ws://h', 'ws://h/primus/?#'],
    ['wss://h:444', 'wss://h:444/primus/?#'],
    ['http://h/?foo=bar', 'ws://h/primus/?foo=bar&#'],
    ['http://h/?foo=b%20r&foo=x&flag&%C3%A9=%26', 'ws://h/primus/?foo=b%20r&foo=x&flag&%C3%A9=%26&#'],
    ['http://h/ignored/path?a=1#hash', 'ws://h/primus/?a=1&#'],
    ['http://user:pa%20ss@h/', 'ws://user:pa%20ss@h/primus/?#'],
    ['http://user@h/', 'ws://user@h/primus/?#'],
    ['http://[::1]:80/', 'ws://[::1]/primus/?#'],
    ['http://[::1]:8080/', 'ws://[::1]:8080/primus/?#'],
    ['localhost:8080', 'ws://localhost:8080/primus/?#'],
    ['//h:1/?a=b', 'ws://h:1/primus/?a=b&#']
  ]) {
    test(`${url} is ${expected}`, () => assert.strictEqual(requested(url), expected));
  }

  test('pathname of the server', () => {
    assert.strictEqual(requested('http://h', { pathname: '/real/time' }), 'ws://h/real/time/?#');
    assert.strictEqual(requested('http://h', { pathname: '/x/' }), 'ws://h/x/?#');
  });

  test('the cache breaker counts, and uses the clock', () => {
    const world = page();
    const { client } = world.connected();
    client.open();
    assert.deepStrictEqual(
      world.sockets.map((socket) => socket.url.split('?')[1]),
      [`_primuscb=${OPENED_AT}-0`, `_primuscb=${OPENED_AT}-1`]
    );
  });
});

describe('what stands for no url', () => {
  test('the origin of the page, without its path and query', () => {
    const world = page({ origin: 'https://page.example:8443' });
    world.client({}, undefined);
    const client = new world.Primus();
    assert.strictEqual(client.url.host, 'page.example:8443');
    assert.strictEqual(client.uri().split('?')[0], 'https://page.example:8443/primus/');
  });

  test('a scheme-less url has the scheme of the page', () => {
    assert.strictEqual(requested('h:1', { origin: 'https://page.example' }), 'wss://h:1/primus/?#');
  });

  test('a page of a file, and no page at all', () => {
    for (const settings of [{ origin: 'null' }, { globals: { location: undefined } }]) {
      const { Primus } = page(settings);
      assert.strictEqual(new Primus({ manual: true }).url.href, 'http://127.0.0.1/');
    }
  });

  for (const name of ['url', 'uri']) {
    test(`option ${name}, as only or second argument`, () => {
      const { Primus } = page();
      const options = { manual: true, [name]: 'http://option.example' };
      assert.strictEqual(new Primus(options).url.host, 'option.example');
      assert.strictEqual(new Primus(undefined, options).url.host, 'option.example');
      assert.strictEqual(new Primus('http://first.example', options).url.host, 'first.example');
    });
  }

  test('URL objects', () => {
    const { Primus } = page();
    assert.strictEqual(new Primus(new URL('https://object.example/?a=1'), { manual: true }).url.query, 'a=1');
  });

  test('what is no address is an exception at once', () => {
    const { Primus } = page();
    for (const url of ['http://', 'http://a b', 'ftp://h']) assert.throws(() => new Primus(url), { name: 'TypeError' });
  });

  test('connect, and without new', () => {
    const { Primus } = page();
    for (const client of [Primus.connect('http://h', { manual: true }), Primus('http://h', { manual: true })]) {
      assert.ok(client instanceof Primus);
      assert.strictEqual(client.url.host, 'h');
      assert.strictEqual(client.options.manual, true);
    }
  });
});

describe('outgoing::url', () => {
  const edited = (url, edit) => {
    const world = page();
    const { client } = world.client({ manual: true }, url);
    client.on('outgoing::url', edit);
    client.open();
    return world.socket.url.replace(/_primuscb=.*/, '#');
  };

  test('shows the parts', () => {
    let parts;
    edited('https://user:pw@h:1/?a=b', (given) => { parts = { ...given }; });
    assert.deepStrictEqual(parts, {
      protocol: 'wss:', secure: true, auth: 'user:pw', host: 'h:1', hostname: 'h', port: '1', query: 'a=b',
      hash: '', pathname: '/primus'
    });
  });

  for (const [name, edit, expected] of [
    ['query', (parts) => { parts.query = 'token=1'; }, 'ws://h:1/primus/?token=1&#'],
    ['query with its mark', (parts) => { parts.query = '?token=1'; }, 'ws://h:1/primus/?token=1&#'],
    ['no query', (parts) => { parts.query = ''; }, 'ws://h:1/primus/?#'],
    ['pathname', (parts) => { parts.pathname = 'other'; }, 'ws://h:1/other/?a=b&#'],
    ['host', (parts) => { parts.host = 'x:2'; }, 'ws://x:2/primus/?a=b&#'],
    ['port', (parts) => { parts.port = 2; }, 'ws://h:2/primus/?a=b&#'],
    ['hostname', (parts) => { parts.hostname = 'x'; }, 'ws://x:1/primus/?a=b&#'],
    ['protocol', (parts) => { parts.protocol = 'wss'; }, 'wss://h:1/primus/?a=b&#'],
    ['auth', (parts) => { parts.auth = 'u:p'; }, 'ws://u:p@h:1/primus/?a=b&#']
  ]) {
    test(`editing: ${name}`, () => assert.strictEqual(edited('http://h:1/?a=b', edit), expected));
  }

  test('an edit holds for one request', () => {
    const world = page();
    const { client } = world.client({ manual: true }, 'http://h/?a=b');
    client.once('outgoing::url', (parts) => { parts.query = 'once=1'; });
    client.open();
    client.open();
    assert.match(world.socket.url, /\?a=b&/);
  });
});
