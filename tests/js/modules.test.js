'use strict';

// One file, every module system; and what the compiler puts into it.
const assert = require('node:assert');
const path = require('path');
const vm = require('vm');
const { describe, test } = require('node:test');
const { pathToFileURL } = require('url');
const { compile, load, save } = require('./support/library');
const { page } = require('./support/browser');

describe('module systems', () => {
  test('a plain script makes a global', () => {
    const context = vm.createContext({ URL });
    vm.runInContext(compile(), context);
    assert.strictEqual(typeof context.Primus, 'function');
    assert.deepStrictEqual(Object.keys(context).sort(), ['Primus', 'URL'], 'and no other');
  });

  test('of the name that the server chose', () => {
    const context = vm.createContext({ URL });
    vm.runInContext(compile({ global_name: 'MyPrimus' }), context);
    assert.deepStrictEqual(Object.keys(context).sort(), ['MyPrimus', 'URL']);
  });

  test('a script in a page with an element called module', () => {
    const context = vm.createContext({ URL, module: { tagName: 'DIV' } });
    vm.runInContext(compile(), context);
    assert.strictEqual(typeof context.Primus, 'function');
  });

  test('AMD', () => {
    const defined = [];
    const define = (...args) => defined.push(args);
    define.amd = {};
    const context = vm.createContext({ URL, define });
    vm.runInContext(compile(), context);
    assert.strictEqual(defined.length, 1);
    const factory = defined[0].pop();
    assert.strictEqual(factory(), context.Primus);
    assert.strictEqual(typeof context.Primus.connect, 'function');
  });

  test('CommonJS', () => {
    const Primus = require(save('primus.js', compile()));
    assert.strictEqual(typeof Primus, 'function');
    assert.strictEqual(Primus.Primus, Primus);
    assert.strictEqual(globalThis.Primus, undefined);
  });

  test('ES module', async () => {
    const module = await import(pathToFileURL(save('primus.mjs', compile({ format: 'esm' }))).href);
    assert.deepStrictEqual(Object.keys(module).sort(), ['EventEmitter', 'Primus', 'default']);
    assert.strictEqual(module.default, module.Primus);
    assert.strictEqual(module.Primus.EventEmitter, module.EventEmitter);
  });

  test('no WebSocket anywhere is an error that says what to do', () => {
    const world = page({ globals: { WebSocket: undefined } });
    const client = new world.Primus('http://h', { strategy: false });
    let message;
    client.on('error', (error) => { message = error.message; });
    world.clock.advance(1);
    assert.match(message, /npm install ws/);
  });

  test('Node without ws uses the global WebSocket, with ws does not', () => {
    const made = [];
    const use = (folder) => {
      const Module = require('module');
      const module = new Module(path.join(folder, 'primus.js'));
      module.paths = Module._nodeModulePaths(folder);
      module._compile(compile(), module.id);
      const client = new module.exports('http://127.0.0.1:1', { manual: true, strategy: false });
      client.on('error', () => {});
      client.open();
      const socket = client.socket;
      client.destroy();
      return socket;
    };
    const own = globalThis.WebSocket;
    globalThis.WebSocket = class {
      constructor(...args) { made.push(args); }
      close() {}
    };
    try {
      assert.ok(use(path.parse(__dirname).root) instanceof globalThis.WebSocket);
      assert.strictEqual(made[0].length, 1, 'which takes no options');
      assert.ok(use(__dirname) instanceof require('ws'));
    } finally {
      globalThis.WebSocket = own;
    }
  });
});

describe('what is compiled in', () => {
  test('settings', () => {
    const { Primus } = load({ version: '9.8.7', pathname: '/real', timeout: 60, ping_interval: 10 });
    assert.strictEqual(Primus.prototype.version, '9.8.7');
    assert.strictEqual(Primus.prototype.pathname, '/real');
    const { options } = new Primus({ manual: true });
    assert.deepStrictEqual(
      [options.ping, options.pong, options.pingTimeout, options.timeout, options.queueSize, options.manual],
      [50000, 10000, 15000, 10000, Infinity, true]
    );
  });

  test('values cannot leave their text or a script element', () => {
    const pathname = '/</script><!--\u2028\u2029"\'\\';
    const text = compile({ pathname });
    assert.doesNotMatch(text, /<\/script|<!--|[\u2028\u2029]/);
    assert.strictEqual(load({ pathname }).prototype.pathname, pathname);
  });

  test('placeholders inside of values and sources stay what they are', () => {
    const { Primus } = page({
      pathname: "/'@sources';'@name'",
      plugins: [['quote', "function (primus) { primus.quoted = '@settings'; }"]]
    });
    const client = new Primus({ manual: true });
    assert.strictEqual(client.pathname, "/'@sources';'@name'");
    assert.strictEqual(client.quoted, '@settings');
  });

  test('plugins get the client and its options, as this too, in their order', () => {
    const world = page({
      libraries: ['var helper = { order: [] };'],
      plugins: [
        ['first', 'function (primus, options) { helper.order.push("first"); this.same = this === primus; this.seen = options; }'],
        ['sec"ond', '(primus) => { helper.order.push("second"); primus.order = helper.order; }']
      ]
    });
    const client = new world.Primus('http://h', { manual: true, mine: 1 });
    assert.strictEqual(client.same, true);
    assert.strictEqual(client.seen.mine, 1);
    assert.deepEqual(client.order, ['first', 'second']);
    assert.deepEqual(Object.keys(client.ark), ['first', 'sec"ond']);
  });

  test('a plugin can transform and extend', () => {
    const world = page({
      plugins: [['double', `function client(primus) {
        primus.transform('incoming', function (packet) { packet.data *= 2; });
        primus.constructor.prototype.shout = function () { return this.write('!'); };
      }`]]
    });
    const { client } = world.connected();
    let data;
    client.on('data', (value) => { data = value; });
    world.socket.message('21');
    assert.strictEqual(data, 42);
    client.shout();
    assert.deepStrictEqual(world.socket.sent, ['"!"']);
  });
});

describe('the class', () => {
  test('constants', () => {
    const { Primus } = page();
    assert.deepStrictEqual([Primus.OPENING, Primus.CLOSED, Primus.OPEN], [1, 2, 3]);
  });

  test('inheriting the way of ES5 and of classes', () => {
    const { Primus } = page();
    function Old(url) {
      Primus.call(this, url, { manual: true });
    }
    Old.prototype = Object.create(Primus.prototype);
    class New extends Primus {}
    for (const client of [new Old('http://h'), new New('http://h', { manual: true })]) {
      assert.ok(client instanceof Primus);
      assert.ok(client instanceof Primus.EventEmitter);
      assert.strictEqual(client.url.host, 'h');
      assert.strictEqual(client.on('x', () => {}), client);
    }
  });
});

describe('the emitter', () => {
  const make = () => new (page().Primus.EventEmitter)();

  test('listeners in order, with the emitter or another object as this', () => {
    const emitter = make();
    const calls = [];
    const other = {};
    emitter.on('x', function first(...args) { calls.push(['first', this === emitter, ...args]); });
    emitter.addListener('x', function second() { calls.push(['second', this === other]); }, other);
    assert.strictEqual(emitter.emit('x', 1, 2), true);
    assert.strictEqual(emitter.emit('y'), false);
    assert.deepStrictEqual(calls, [['first', true, 1, 2], ['second', true]]);
  });

  test('once is once, even when the event is emitted again meanwhile', () => {
    const emitter = make();
    let calls = 0;
    emitter.once('outer', () => emitter.emit('outer'));
    emitter.once('outer', () => { calls += 1; });
    emitter.emit('outer');
    emitter.emit('outer');
    assert.strictEqual(calls, 1);
    assert.strictEqual(emitter.listenerCount('outer'), 0);
  });

  test('a listener that is added or removed while emitting', () => {
    const emitter = make();
    const calls = [];
    const last = () => calls.push('last');
    emitter.on('x', () => {
      emitter.on('x', () => calls.push('added'));
      emitter.off('x', last);
    });
    emitter.on('x', last);
    emitter.emit('x');
    assert.deepStrictEqual(calls, ['last'], 'this time as it was');
    emitter.emit('x');
    assert.deepStrictEqual(calls, ['last', 'added']);
  });

  test('removing', () => {
    const emitter = make();
    const fn = () => {};
    emitter.on('x', fn).once('x', fn).on('x', () => {}).on('y', fn);
    assert.strictEqual(emitter.removeListener('x', fn), emitter);
    assert.strictEqual(emitter.listeners('x').length, 1);
    emitter.off('x');
    assert.deepEqual(emitter.listeners('x'), []);
    emitter.on('x', fn).removeAllListeners('y');
    assert.deepEqual([emitter.listenerCount('x'), emitter.listenerCount('y')], [1, 0]);
    emitter.removeAllListeners();
    assert.strictEqual(emitter.listenerCount('x'), 0);
  });

  test('names of Object.prototype are names like others', () => {
    const emitter = make();
    assert.strictEqual(emitter.emit('constructor'), false);
    assert.strictEqual(emitter.emit('__proto__'), false);
    assert.throws(() => emitter.on('x', null), /function/);
  });

  test('errors pass through, unlike those of listeners on a client', () => {
    const emitter = make();
    emitter.on('x', () => { throw new Error('mine'); });
    assert.throws(() => emitter.emit('x'), /mine/);
  });

  test('works for objects that never ran its constructor', () => {
    const borrowed = Object.create(page().Primus.EventEmitter.prototype);
    let called = false;
    borrowed.on('x', () => { called = true; });
    borrowed.emit('x');
    assert.ok(called);
  });
});
