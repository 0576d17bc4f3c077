'use strict';

/**
 * Values in terms of JSON, for what only some parsers carry: `{"$js": kind, ...}` stands for a value of that kind.
 *
 * Both ends of a test describe what they got in these terms, and are told in them what to send, over plain HTTP: the
 * parser under test has no part in that. values.py is the same in terms of Python. Runs in Node and in the browser.
 */
(function define(root, factory) {
  if (typeof module === 'object' && module.exports) module.exports = factory();
  else root.InteropValues = factory();
})(typeof globalThis === 'object' ? globalThis : this, () => {
  const NUMBERS = { NaN, Infinity, '-Infinity': -Infinity, '-0': -0 };
  const NodeBuffer = typeof Buffer === 'function' ? Buffer : undefined;

  // Official clients may live in a realm of their own, so `instanceof` tells nothing.
  function kindOf(value) {
    if (NodeBuffer && NodeBuffer.isBuffer(value)) return 'Buffer';
    return Object.prototype.toString.call(value).slice(8, -1);
  }

  function hexOf(value) {
    const bytes = ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      : new Uint8Array(value);
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  function bytesOf(hex) {
    return Uint8Array.from(hex.match(/../g) || [], (byte) => parseInt(byte, 16));
  }

  /** The value in terms of JSON; JSON values are themselves. */
  function describe(value) {
    const special = Object.keys(NUMBERS).find((name) => Object.is(value, NUMBERS[name]));
    if (special) return { $js: special };
    if (value === undefined) return { $js: 'undefined' };
    if (value === null || typeof value !== 'object') return value;
    const kind = kindOf(value);
    switch (kind) {
      case 'Array': return Array.from(value, describe);
      case 'Date': return { $js: kind, ms: describe(value.getTime()) };
      case 'RegExp': return { $js: kind, source: value.source, flags: value.flags };
      case 'Error': return { $js: kind, name: value.name, message: value.message };
    }
    if (kind === 'Buffer' || kind === 'ArrayBuffer' || ArrayBuffer.isView(value)) return { $js: kind, hex: hexOf(value) };
    // not by assignment: a key may be __proto__
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, describe(member)]));
  }

  /** The value that a description stands for. */
  function revive(description) {
    if (description === null || typeof description !== 'object') return description;
    if (Array.isArray(description)) return description.map(revive);
    const { $js: kind, hex } = description;
    switch (kind) {
      case undefined: return Object.fromEntries(Object.entries(description).map(([key, member]) => [key, revive(member)]));
      case 'undefined': return undefined;
      case 'Date': return new Date(revive(description.ms));
      case 'RegExp': return new RegExp(description.source, description.flags);
      case 'Error': return new Error(description.message);
      case 'Buffer': return NodeBuffer.from(hex, 'hex');
      case 'bytes': return NodeBuffer ? NodeBuffer.from(hex, 'hex') : bytesOf(hex);
      case 'ArrayBuffer': return bytesOf(hex).buffer;
    }
    if (Object.prototype.hasOwnProperty.call(NUMBERS, kind)) return NUMBERS[kind];
    return new globalThis[kind](bytesOf(hex).buffer);
  }

  const nested = (depth, make) => Array.from({ length: depth }).reduce((inner) => make(inner), make());
  const CONTROLS = Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)).join('');

  /** What every parser carries: JSON values, and awkward text in them. */
  const PLAIN = [
    null, true, false, 0, 1, -1, 127, 128, 255, 256, 65535, 65536, -32, -33, -128, -129, -32768, -32769,
    2 ** 31 - 1, -(2 ** 31), 0.1, -0.5, 0.1 + 0.2, 1e-7, 123456789.12345679,
    '', ' ', 'a', '"', '\\', '\\\\"', '/', '</script>', '\\u0041', '\u0000', CONTROLS, '\u007f\u0080\u009f', '\r\n\t',
    'é', 'e\u0301', 'ß', '€', '日本語', 'שלום', 'x'.repeat(15), 'x'.repeat(16), 'é'.repeat(8), 'x'.repeat(31), 'x'.repeat(32),
    'x'.repeat(255), 'x'.repeat(256), '€'.repeat(100), 'x'.repeat(65535), 'x'.repeat(65536),
    '\u2028', '\u2029', 'x\u2028\u2029\u2028y', '\\u2028', '\ufeff', '\ufeffabc', 'abc\ufeff', '\ufffd', '\uffff', '\ufdd0',
    'null', 'true', '0', '[]', '{}', 'undefined', 'NaN', '1e5', '2026-11-22T00:00:00.000Z', '"quoted"',
    [], {}, [[]], [{}], [[], [[]], {}, { a: [] }], { a: {}, b: [], c: null }, [null, null], [1, 'a', null, true, { b: [2] }],
    nested(100, (inner) => (inner ? [inner] : [])), nested(100, (inner) => (inner ? { inner } : {})),
    { '': '' }, { clé: 'é', '\u2028': 2, 'a.b': 3, '0': 4, toString: 5, '\u0000': 6 },
    { ['k'.repeat(70000)]: 'v'.repeat(70000) }, Array.from({ length: 16 }, (_, n) => n),
    Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`k${n}`, n])),
    Array.from({ length: 1000 }, (_, n) => n * 1.5), { event: 'chat', args: ['hi', { to: ['a', 'b'] }], id: 17 }
  ];

  /** Objects with names that JavaScript itself gives to objects. */
  const NAMES = [{ constructor: 1 }, { hasOwnProperty: 2, valueOf: [3], length: 4 }];
  const PROTO = [JSON.parse('{"__proto__": {"x": 5}}'), [JSON.parse('{"__proto__": 1}')]];

  /** Objects that look like the forms in which EJSON sends what JSON does not have; the last is one that 2.0 added. */
  const FORMS = [
    { $date: 5 }, { $date: { $date: 1 } }, { $date: 1, x: 2 }, { $InfNaN: 1 }, { $binary: 'AAEC' }, { $type: 'x', $value: 1 },
    { $escape: { $date: 1 } }, { $escape: 1 }, { a: [{ $date: null }, { $escape: { a: { $InfNaN: 0 } } }] }, { $foo: 1 }, { $: 1 },
    { $date: 1, $type: 2 }, { $regexp: 'a' }, { $regexp: 'a', $flags: 'g' }
  ];

  /** Text beyond the basic multilingual plane: two units in JavaScript, four bytes in UTF-8. */
  const ASTRAL = ['💩', '👩‍👩‍👧‍👦', '\u{10ffff}', 'a💩b\u2028c€d', '💩'.repeat(5000), { '💩': ['💩'] }, { text: 'é💩é' }];

  /** Numbers that a parser may send as 64-bit integers, or as floats. */
  const WIDE = [2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 31) - 1, -(2 ** 32), 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 53, -(2 ** 53)];

  /** Numbers that only fit into a float. */
  const EXTREME = [2 ** 64, 1e21, 1e300, -1e300, 1.7976931348623157e308, 5e-324];

  return { describe, revive, PLAIN, NAMES, PROTO, FORMS, ASTRAL, WIDE, EXTREME };
});
