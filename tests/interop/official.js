'use strict';

/**
 * The official Primus packages, unchanged, each with the packages that it can work with.
 *
 * primus@2.4.12 was written for ws 0.5, whose native part no longer compiles. ws 2.3.1 is the newest that it runs on:
 * its server reads `socket.upgradeReq`, which ws 3 removed. Its parsers were written for EJSON 1.0 and binary-pack 0.0, its
 * Engine.IO is 1.x, and its SockJS 0.3.9; sockjs-client-node is a browser's client in jsdom, so that in Node it gets the client of
 * today, which has the same interface. No Primus lists `ws`, `engine.io` or a parser as a dependency, so `require` is answered here, by who asks.
 */
const fs = require('fs');
const Module = require('module');
const path = require('path');
const vm = require('vm');

const modules = path.join(__dirname, 'node_modules') + path.sep;
// `load` evaluates the compiled client of 2.4 and lends it its own `require`; nothing else uses that package.
const OLD = [path.join(modules, 'primus24') + path.sep, path.join(modules, 'load') + path.sep];
const OLDER = {
  ws: 'ws2',
  ejson: 'ejson24',
  'ejson/source': 'ejson24/source',
  'binary-pack': 'binary-pack24',
  'engine.io': 'engine.io18',
  'engine.io-client': 'engine.io-client18',
  sockjs: 'sockjs03',
  'sockjs-client-node': 'sockjs-client'
};

const resolve = Module._resolveFilename;
Module._resolveFilename = function resolveFilename(request, parent, ...rest) {
  const old = parent && parent.filename && OLD.some((room) => parent.filename.startsWith(room));
  return resolve.call(this, (old && OLDER[request]) || request, parent, ...rest);
};

/** The server constructor of one package: `primus8` or `primus24`. */
function server(name) {
  if (name !== 'primus8' && name !== 'primus24') throw new Error(`no official package is called ${name}`);
  return require(name);
}

/** 2.4 has no msgpack of its own. This is the one of 8, as an object, which both take. */
const MSGPACK = {
  encoder: require('primus8/parsers/msgpack').encoder,
  decoder: require('primus8/parsers/msgpack').decoder,
  // not that of 8, which asks for the package by a function that 2.4 does not have
  library: 'var msgpack = require("primus-msgpack");'
};

/** What the option `parser` of one package has to be for a parser. */
function parser(name, wanted) {
  return name === 'primus24' && wanted === 'msgpack' ? MSGPACK : wanted;
}

/** The plugin `shout`, with the client side that both languages share; `serve` is its server side, if any. */
function plugin(serve) {
  const read = (file) => fs.readFileSync(path.join(__dirname, 'plugin', file), 'utf8');
  return {
    ...(serve && { server: serve }),
    client: vm.runInThisContext(`(${read('client.js')})`),
    library: read('library.js')
  };
}

/** Options for a server or client of a package: its parser, and what a client is compiled with for `server.js`. */
function settings(name, { transformer = 'websockets', parser: wanted = 'json', authorization, extended }) {
  return {
    transformer: transformer === 'polling' ? 'engine.io' : transformer, // they have no other
    parser: parser(name, wanted),
    // the client is only told that there is a hook
    ...(authorization && { authorization: (request, done) => done() }),
    ...(extended && { plugin: { shout: plugin() } })
  };
}

/** The client constructor, made as the README of both generations says. */
function client(name, options = {}) {
  return server(name).createSocket(settings(name, options));
}

/** The source of the client, as the official server would send it from `/primus/primus.js`, or for Node. */
function library(name, options = {}, nodejs = false) {
  const { EventEmitter } = require('events');
  const Primus = server(name);
  return new Primus(new EventEmitter(), settings(name, options)).library(nodejs);
}

/**
 * The client constructor of a program that has saved the library and requires it.
 *
 * createSocket evaluates it in a context of its own, where a Date or an ArrayBuffer of the program is none, so that
 * parsers that carry such values do not work there.
 */
function required(name, options = {}) {
  const file = path.join(modules, name, 'interop.js');
  const module = new Module(file);
  module.filename = file;
  module.paths = Module._nodeModulePaths(path.dirname(file));
  // newer Nodes have a WebSocket of their own, which takes no options
  module._compile(`var WebSocket;${library(name, options, true)}`, file);
  return module.exports;
}

/** Tells every session that a BrowserChannel server of this package makes from now on. */
function onSession(name, tell) {
  const browserchannel = Module.createRequire(path.join(modules, name, 'index.js'))('browserchannel');
  const make = browserchannel.server;
  browserchannel.server = (options, connected) => {
    browserchannel.server = make; // only of the next one
    return make(options, (session, ...rest) => {
      tell(session);
      return connected(session, ...rest);
    });
  };
}

module.exports = { server, client, library, required, parser, plugin, onSession };
