'use strict';

/**
 * The official Primus packages, unchanged, each with a `ws` that it can work with.
 *
 * primus@2.4.12 was written for ws 0.5, whose native part no longer compiles. ws 2.3.1 is the newest that it
 * runs on: its server reads `socket.upgradeReq`, which ws 3 removed. Neither Primus lists `ws` as a dependency,
 * so `require('ws')` is answered here, by who asks.
 */
const Module = require('module');
const path = require('path');

const modules = path.join(__dirname, 'node_modules') + path.sep;
// `load` evaluates the compiled client of 2.4 and lends it its own `require`; nothing else uses that package.
const OLD = [path.join(modules, 'primus24') + path.sep, path.join(modules, 'load') + path.sep];

const resolve = Module._resolveFilename;
Module._resolveFilename = function resolveFilename(request, parent, ...rest) {
  const old = request === 'ws' && parent && parent.filename && OLD.some((room) => parent.filename.startsWith(room));
  return resolve.call(this, old ? 'ws2' : request, parent, ...rest);
};

/** The server constructor of one package: `primus8` or `primus24`. */
function server(name) {
  if (name !== 'primus8' && name !== 'primus24') throw new Error(`no official package is called ${name}`);
  return require(name);
}

/** The client constructor, made as the README of both generations says. */
function client(name) {
  return server(name).createSocket({ transformer: 'websockets', parser: 'json' });
}

/** The source of the client for browsers, as the official server would send it from `/primus/primus.js`. */
function library(name) {
  const { EventEmitter } = require('events');
  const Primus = server(name);
  return new Primus(new EventEmitter(), { transformer: 'websockets', parser: 'json' }).library();
}

module.exports = { server, client, library };
