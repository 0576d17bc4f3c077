'use strict';

// Our parsers by themselves, as the compiler puts them into the library; and the values of the vector files.
const vm = require('vm');
const { compile } = require('./library');

/**
 * A parser as a function of Node loads it, or with `browser` as a page does: a scope without Buffer.
 * `encode` and `decode` throw what the parser calls back with.
 */
function load(name, { browser = false } = {}) {
  const source = compile({ part: 'parser', parser: name });
  let parser;
  if (browser) {
    const context = vm.createContext({ TextEncoder, TextDecoder });
    parser = vm.runInContext(`${source}\nparser;`, context);
  } else {
    const Module = require('module');
    const module = new Module(`parser-${name}`);
    module._compile(`${source}\nmodule.exports = parser;`, `parser-${name}.js`);
    parser = module.exports;
  }
  const call = (fn) => (value) => {
    const answers = [];
    fn(value, (...args) => answers.push(args));
    if (answers.length !== 1) throw new Error(`the parser called back ${answers.length} times`);
    const [error, result] = answers[0];
    if (error) throw error;
    return result;
  };
  return { parser, encode: call(parser.encoder), decode: call(parser.decoder) };
}

// --- values of the vector files: JSON, and {"$js": tag} for what JSON cannot carry ---

const SIMPLE = { undefined, NaN, Infinity, '-Infinity': -Infinity, '-0': -0 };

function bytes(hex) {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** The JavaScript value that a tagged one stands for. */
function revive(value) {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) {
    const list = new Array(value.length);
    value.forEach((item, i) => { if (!(item && item.$js === 'hole')) list[i] = revive(item); });
    return list;
  }
  const tag = value.$js;
  if (tag === undefined) {
    const object = {};
    for (const [key, member] of Object.entries(value)) object[key] = revive(member);
    return object;
  }
  if (SIMPLE.hasOwnProperty(tag)) return SIMPLE[tag];
  if (tag.startsWith('boxed ')) return Object(revive(value.value));
  switch (tag) {
    case 'function': return () => {};
    case 'symbol': return Symbol('s');
    case 'number': return Number(value.literal);
    case 'bigint': return BigInt(value.value);
    case 'Date': return new Date(revive(value.ms));
    case 'RegExp': return new RegExp(value.source, value.flags);
    case 'Map': return new Map(value.entries);
    case 'Error': return new globalThis[value.name](value.message);
    case 'Buffer': return Buffer.from(value.hex, 'hex');
    case 'ArrayBuffer': return bytes(value.hex).buffer;
    case 'ExtBuffer': return { $ext: value.type, buffer: Buffer.from(value.hex, 'hex') };
  }
  return new globalThis[tag](bytes(value.hex).buffer);
}

/** A value in plain terms, equal for equal values of whichever realm they are; a Buffer may be said to be another. */
function describe(value, buffer = 'Buffer') {
  const inner = (member) => describe(member, buffer);
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : `number ${value}`;
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? `text ${value}` : String(value);
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  const hex = (view) => Buffer.from(view.buffer || view, view.byteOffset || 0, view.byteLength).toString('hex');
  if (Buffer.isBuffer(value)) return `${buffer} ${value.toString('hex')}`;
  if (ArrayBuffer.isView(value) || kind === 'ArrayBuffer') return `${kind} ${hex(value)}`;
  switch (kind) {
    case 'Array': return Array.from(value, inner);
    case 'Date': return `Date ${value.getTime()}`;
    case 'RegExp': return `RegExp ${value}`;
    case 'Error': return `Error ${value.name} ${value.message}`;
    case 'String': case 'Number': case 'Boolean': return `boxed ${inner(value.valueOf())}`;
  }
  if (value.constructor && value.constructor.name === 'ExtBuffer') return `ExtBuffer ${value.type} ${hex(value.buffer)}`;
  if (value.$ext !== undefined) return `ExtBuffer ${value.$ext} ${hex(value.buffer)}`;
  return Object.keys(value).map((key) => [key, inner(value[key])]);
}

/** The value of a vector that has only a rule for it. */
function ruled(rule) {
  const number = Number((/repeated (\d+)|k(\d+) in that order/.exec(rule) || []).slice(1).find(Boolean));
  if (rule.startsWith('the character x')) return 'x'.repeat(number);
  if (rule.startsWith('byte ab')) return Buffer.alloc(number, 0xab);
  if (rule.startsWith('the number 1')) return new Array(number).fill(1);
  if (rule.startsWith('keys k0')) return Object.fromEntries(Array.from({ length: number + 1 }, (_, i) => [`k${i}`, 0]));
  throw new Error(`no such rule: ${rule}`);
}

module.exports = { load, revive, describe, ruled };
