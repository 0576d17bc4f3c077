'use strict';

// Each parser against what the original packages write and read (the vectors), and against what nobody should
// send. The same in Node, where bytes are Buffers, and in a scope without Buffer, as in a browser.
process.env.TZ = 'UTC'; // the binary parser sends a Date as its English text in the local time

const assert = require('node:assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { describe, test } = require('node:test');
const { page } = require('./support/browser');
const { ROOT } = require('./support/library');
const { load, revive, describe: described, ruled } = require('./support/parsers');

const NAMES = ['json', 'ejson', 'msgpack', 'binary', 'jsonh'];
const BINARY = ['msgpack', 'binary'];

function vectors(name) {
  return JSON.parse(fs.readFileSync(path.join(ROOT, 'tests', 'unit', 'parsers', 'vectors', `${name}.json`), 'utf8'));
}

function packet(name, hex) {
  const bytes = Buffer.from(hex, 'hex');
  // An ArrayBuffer of its own, as a WebSocket delivers it.
  return BINARY.includes(name) ? new Uint8Array(bytes).buffer : bytes.toString('utf8');
}

/** What goes into the frame, for a packet of our encoder. */
function sent(result) {
  if (typeof result !== 'string') return Buffer.from(result.buffer, result.byteOffset, result.byteLength);
  return Buffer.from(result.replace(/\u2028/g, '\\u2028').replace(/\u2029/g, '\\u2029'), 'utf8');
}

class Instance {
  constructor() { this.x = 1; }
}

// The real value where the vector could not show it.
const REAL = {
  'object with toJSON': () => ({ toJSON: () => 'tj' }),
  'object without prototype': () => Object.assign(Object.create(null), { a: 1 }),
  'class instance': () => new Instance(),
  toBinaryPack: () => ({ toBinaryPack: () => true }),
  'custom type foo': () => ({ typeName: () => 'foo', toJSONValue: () => ({ x: 3 }) }),
  Error: () => Object.assign(new Error('boom'), { stack: 'S' }),
  TypeError: () => Object.assign(new TypeError('t'), { stack: 'S' })
};

// Where we differ from the original on purpose: what of the vector does not hold, and why.
const DIFFERENT = {
  binary: {
    encoding: {
      Uint8Array: 'typed arrays are bytes, as in the original build for browsers',
      ArrayBuffer: 'the same',
      Float32Array: 'the same',
      'empty Buffer': 'is a0, which every decoder reads; the original in Node fails',
      '2^63': 'is a float, as are the next; the original sends -2^63',
      '2^64-2048 (largest double below 2^64)': 'every decoder reads a float; the original fails',
      '2^64': 'the same',
      '1e21': 'the same',
      '1.7976931348623157e308': 'the same',
      Infinity: 'the same',
      '-Infinity': 'the same',
      'object without prototype': 'is an object like others'
    },
    decoding: {
      '2^63': 'what the original sends is -2^63',
      'uint64 decodes to NaN (defect of the Node reader; the browser build returns 4294967296)': 'cf is read'
    },
    refusing: { 'int64 is never readable by the Node implementation': 'd3 is read' }
  },
  jsonh: {
    encoding: {
      string: 'a text is sent as the JSON of that text, so that Primus can be used with this parser at all',
      'empty string': 'the same',
      'protocol string ping': 'the same',
      'protocol string close': 'the same'
    },
    decoding: { 'a string is treated like a list of characters': 'it is that text' },
    refusing: {}
  }
};
const same = { encoding: {}, decoding: {}, refusing: {} };

for (const name of ['ejson', 'msgpack', 'binary', 'jsonh']) {
  const file = vectors(name);
  const different = DIFFERENT[name] || same;

  describe(`${name} encodes as the original`, () => {
    const { parser, encode } = load(name);
    if (parser.addType) parser.addType('foo', () => {});

    for (const vector of file.vectors) {
      test(vector.name, { skip: different.encoding[vector.name] }, () => {
        const real = vector.js_only ? REAL[vector.name] : null;
        assert.ok(real || !vector.js_only, 'what is the real value?');
        const value = real ? real() : vector.value_rule ? ruled(vector.value_rule) : revive(vector.value);
        if (vector.encode_error) return assert.throws(() => encode(value), Error);
        const result = encode(value);
        if (vector.nothing_sent) return assert.strictEqual(result, undefined);
        const frame = sent(result);
        if (!vector.value_rule) return assert.strictEqual(frame.toString('hex'), vector.encoded_hex);
        assert.strictEqual(frame.length, vector.encoded_length);
        assert.strictEqual(crypto.createHash('sha1').update(frame).digest('hex'), vector.encoded_sha1);
      });
    }
  });

  for (const browser of [false, true]) {
    const { parser, decode } = load(name, { browser });
    const { encode } = load(name);
    if (parser.addType) parser.addType('foo', (value) => ({ decodedCustomType: 'foo', ...value }));
    const expected = (value) => described(value, browser ? 'Uint8Array' : 'Buffer');

    describe(`${name} decodes as the original${browser ? ', without Buffer' : ''}`, () => {
      for (const vector of file.vectors.concat(file.decode_only)) {
        if (vector.encode_error || vector.nothing_sent) continue;
        test(vector.name, { skip: different.decoding[vector.name] }, () => {
          if (vector.value_rule) {
            const value = ruled(vector.value_rule);
            const frame = sent(encode(value));
            assert.ok(frame.toString('hex').startsWith(vector.encoded_head_hex));
            return assert.deepStrictEqual(described(decode(packet(name, frame.toString('hex')))), expected(value));
          }
          const value = 'decodes_to' in vector ? vector.decodes_to : vector.value;
          const result = decode(packet(name, vector.encoded_hex));
          assert.deepStrictEqual(described(result), expected(revive(value)));
        });
      }
    });

    describe(`${name} refuses what the original refuses${browser ? ', without Buffer' : ''}`, () => {
      for (const vector of file.invalid) {
        test(vector.name, { skip: different.refusing[vector.name] }, () => {
          assert.throws(() => decode(packet(name, vector.encoded_hex)), isError);
        });
      }
    });
  }
}

// Also one of another realm.
function isError(error) {
  return Object.prototype.toString.call(error) === '[object Error]';
}

describe('json', () => {
  const file = vectors('json');
  const { encode, decode } = load('json');

  test('reads and refuses what is in its vectors', () => {
    const read = file.vectors.concat(file.decode_only);
    assert.ok(read.length > 60 && file.invalid.length > 10);
    for (const vector of read) assert.deepEqual(decode(vector.text), vector.decodes_to, vector.name);
    for (const vector of file.invalid) assert.throws(() => decode(vector.text), SyntaxError, vector.name);
    for (const vector of file.vectors.filter(({ encodes }) => encodes)) {
      assert.strictEqual(sent(encode(vector.decodes_to)).toString(), vector.text);
    }
  });
});

describe('where we differ', () => {
  test('binary: bytes of any kind', () => {
    for (const browser of [false, true]) {
      const { encode, decode } = load('binary', { browser });
      const kind = browser ? 'Uint8Array' : 'Buffer';
      for (const value of [new Uint8Array([1, 2]), new Uint8Array([1, 2]).buffer, new Uint16Array([0x0201]),
        new DataView(new Uint8Array([9, 1, 2, 9]).buffer, 1, 2), Buffer.from([1, 2])]) {
        const frame = encode(value);
        assert.strictEqual(sent(frame).toString('hex'), 'a20102');
        assert.strictEqual(described(decode(frame)), `${kind} 0102`);
      }
      assert.strictEqual(sent(encode(new Uint8Array(0))).toString('hex'), 'a0');
      assert.strictEqual(described(decode(encode(new ArrayBuffer(0)))), `${kind} `);
    }
  });

  test('binary: integers of 64 bits are read, and rounded once', () => {
    const { encode, decode } = load('binary');
    const read = (hex) => decode(packet('binary', hex));
    for (const value of [2 ** 32, -(2 ** 31) - 1, 2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 63 - 1024, -(2 ** 63)]) {
      assert.strictEqual(decode(encode(value)), value);
    }
    assert.strictEqual(read('cf0000000100000000'), 2 ** 32);
    assert.strictEqual(read('cfffffffffffffffff'), 2 ** 64);
    // Half way between two doubles and a bit: rounded twice it would come out one lower.
    assert.strictEqual(read('cf0020000000000401'), Number(0x0020000000000401n));
    assert.strictEqual(read('d3ffdffffffffffbff'), Number(-0x20000000000401n));
    assert.strictEqual(read('d38000000000000000'), -(2 ** 63));
  });

  test('binary: numbers that 64 bits cannot hold are floats', () => {
    const { encode, decode } = load('binary');
    for (const value of [2 ** 63, 2 ** 64, -(2 ** 63) - 2048, 1e21, -1e300, Number.MAX_VALUE, Infinity, -Infinity]) {
      assert.strictEqual(sent(encode(value))[0], 0xcb);
      assert.strictEqual(decode(encode(value)), value);
    }
  });

  test('jsonh: a text is that text', () => {
    const { encode, decode } = load('jsonh');
    for (const text of ['', 'abc', '[0]', 'é\u2028"\\', 'primus::ping::1400000000123']) {
      assert.strictEqual(encode(text), JSON.stringify(text));
      assert.strictEqual(decode(JSON.stringify(text)), text);
    }
  });
});

describe('frames of the other kind', () => {
  const bytes = new Uint8Array([0x93, 1, 2, 3]).buffer;

  for (const name of ['json', 'jsonh']) {
    test(`${name} lets bytes pass as they are`, () => assert.strictEqual(load(name).decode(bytes), bytes));
  }
  test('ejson refuses bytes', () => assert.throws(() => load('ejson').decode(bytes), TypeError));
  for (const name of BINARY) {
    test(`${name} refuses text`, () => {
      for (const text of ['5', '', '"primus::ping::1"']) assert.throws(() => load(name).decode(text), TypeError);
    });
    test(`${name} reads a view as well`, () => {
      const { decode } = load(name);
      const larger = new Uint8Array([0, 0x93, 1, 2, 3, 0]);
      for (const view of [larger.subarray(1, 5), Buffer.from(larger).subarray(1, 5), new DataView(larger.buffer, 1, 4)]) {
        assert.deepStrictEqual(decode(view), [1, 2, 3]);
      }
    });
  }
});

describe('bytes that an application gets', () => {
  for (const [name, hex] of [['msgpack', 'c40201ff'], ['msgpack', 'c7021b01ff'], ['binary', 'a201ff']]) {
    test(`${name} ${hex}: are its own`, () => {
      const frame = packet(name, hex);
      const value = load(name).decode(frame);
      assert.ok(Buffer.isBuffer(value));
      assert.strictEqual(value.buffer.byteLength, 2, 'and nothing else of the frame is behind them');
      new Uint8Array(frame).fill(0);
      assert.strictEqual(value.toString('hex'), '01ff');
      assert.strictEqual(described(load(name, { browser: true }).decode(packet(name, hex))), 'Uint8Array 01ff');
    });
  }

  test('wide elements are read wherever they begin', () => {
    const { encode, decode } = load('msgpack');
    const value = ['x', new Float64Array([0.5, -1]), 'xy', new Int16Array([-2]), new DataView(new ArrayBuffer(3))];
    assert.deepStrictEqual(decode(encode(value)), value);
  });

  test('an extension of nobody here goes back as it came', () => {
    const { parser, encode, decode } = load('msgpack');
    for (const hex of ['d42005', 'd4ff05', 'c70020', 'd8200102030405060708090a0b0c0d0e0f10', 'c703200a0b0c']) {
      const value = decode(packet('msgpack', hex));
      assert.ok(value instanceof parser.ExtBuffer);
      assert.strictEqual(sent(encode(value)).toString('hex'), hex);
    }
    assert.strictEqual(sent(encode([new parser.ExtBuffer(new Uint8Array([5]), 32)])).toString('hex'), '91d42005');
  });
});

describe('objects', () => {
  test('a member __proto__ is a member', () => {
    for (const name of NAMES) {
      const { encode, decode } = load(name);
      const value = [JSON.parse('{"__proto__":{"polluted":1},"a":2}')];
      const [result] = decode(encode(value));
      assert.deepStrictEqual(Object.keys(result), ['__proto__', 'a'], name);
      assert.strictEqual(result.polluted, undefined, name);
      assert.strictEqual(Object.getPrototypeOf(result), Object.prototype, name);
    }
    const { decode } = load('ejson');
    const [inner] = [decode('{"$escape":{"__proto__":{"$date":0}}}')];
    assert.ok(Object.getOwnPropertyDescriptor(inner, '__proto__').value instanceof Date);
  });

  test('the fields of an error cannot change its prototype', () => {
    const { encode, decode } = load('msgpack');
    const fields = Array.from(encode(JSON.parse('{"message":"m","__proto__":{"polluted":1}}')));
    const error = decode(new Uint8Array([0xc7, fields.length, 0x05, ...fields]));
    assert.ok(error instanceof TypeError);
    assert.deepStrictEqual([error.message, error.polluted], ['m', undefined]);
  });

  test('of another realm are of their kind', () => {
    const vm = require('vm');
    const value = () => vm.runInNewContext('({ d: new Date(5), r: /x/g, l: [1], b: new Uint8Array([1]), o: {} })');
    assert.strictEqual(load('ejson').encode(value()),
      '{"d":{"$date":5},"r":{"$regexp":"x","$flags":"g"},"l":[1],"b":{"$binary":"AQ=="},"o":{}}');
    assert.deepStrictEqual(described(load('msgpack').decode(load('msgpack').encode(value()))), described(value()));
    const { d, l, b, o } = value();
    assert.deepStrictEqual(described(load('binary').decode(load('binary').encode({ l, b, o, d }))),
      described({ l, b: Buffer.from([1]), o, d: String(d) }));
  });

  test('circular ones are an error, however large', () => {
    const circle = { bytes: Buffer.alloc(1 << 16), text: 'x'.repeat(1 << 16) };
    circle.inner = [circle];
    for (const name of NAMES) assert.throws(() => load(name).encode([circle]), /circular/i, name);
  });

  test('that occur twice are no circle', () => {
    const shared = { a: 1 };
    for (const name of NAMES) {
      const { encode, decode } = load(name);
      assert.deepStrictEqual(decode(encode([{ x: shared, y: [shared] }])), [{ x: { a: 1 }, y: [{ a: 1 }] }], name);
    }
  });

  test('are left alone by the encoder', () => {
    const value = () => [{ d: new Date(5), n: NaN, $date: [1], l: [Infinity, { $escape: 1 }] }];
    for (const name of ['ejson', 'msgpack']) {
      const mine = value();
      load(name).encode(mine);
      assert.deepStrictEqual(mine, value());
    }
  });
});

describe('ejson', () => {
  const { parser, encode, decode } = load('ejson');

  test('toJSON: own, inherited, returning a Date or itself', () => {
    class Money { toJSON() { return { cents: NaN }; } }
    const itself = { a: 1, toJSON() { return this; } };
    assert.strictEqual(encode([new Money(), { toJSON: () => new Date(5) }, itself]),
      '[{"cents":{"$InfNaN":0}},{"$date":5},{"a":1}]');
  });

  test('what JSON leaves out does not hide a form', () => {
    assert.strictEqual(encode({ $date: 5, x: undefined, y() {} }), '{"$escape":{"$date":5}}');
  });

  test('keys that look like the list of those of a form', () => {
    const value = { '$flags $regexp': 1 };
    assert.strictEqual(encode(value), JSON.stringify(value));
    assert.deepStrictEqual(decode(JSON.stringify(value)), value);
  });

  test('forms that hold something else', () => {
    for (const text of ['{"$binary":5}', '{"$binary":null}', '{"$regexp":5,"$flags":"g"}', '{"$escape":5}',
      '{"$type":5,"$value":1}', '{"$type":"constructor","$value":1}']) assert.throws(() => decode(text), Error, text);
  });

  test('bytes of every length survive', () => {
    for (let size = 0; size < 20; size++) {
      const bytes = new Uint8Array(Array.from({ length: size }, (_, i) => 255 - i * 37));
      assert.strictEqual(encode(bytes), JSON.stringify({ $binary: Buffer.from(bytes).toString('base64') }));
      assert.deepStrictEqual(decode(encode(bytes)), bytes);
    }
  });

  test('a custom type', () => {
    class Point {
      constructor(x) { this.x = x; }
      typeName() { return 'point'; }
      toJSONValue() { return [this.x]; }
    }
    assert.strictEqual(encode([new Point(1)]), '[{"x":1}]', 'before it was added');
    parser.addType('point', ([x]) => new Point(x));
    assert.strictEqual(encode([new Point(1)]), '[{"$type":"point","$value":[1]}]');
    assert.deepStrictEqual(decode(encode([new Point(1)])), [new Point(1)]);
    assert.throws(() => parser.addType('point', () => {}), /point/);
    parser.addType('broken', () => { throw new Error('mine'); });
    assert.throws(() => decode('{"$type":"broken","$value":1}'), /mine/);
  });
});

describe('what nobody should send', () => {
  const DEPTH = 1000000;
  const ENDLESS = {
    json: ['['.repeat(DEPTH), '{"a":'.repeat(DEPTH)],
    ejson: ['['.repeat(DEPTH) + ']'.repeat(DEPTH), '{"$escape":'.repeat(DEPTH) + '{}' + '}'.repeat(DEPTH)],
    jsonh: ['['.repeat(DEPTH), '[4294967295]', '[1e300,"a"]', '[-1,"a"]', '[0,1,2]', '[1.5,"a","b","c"]', '["1","a",5]',
      `[2,${'"a",'.repeat(1000)}1]`],
    // Lists, maps and extensions in one another, and lengths that are not there.
    msgpack: [Buffer.alloc(DEPTH, 0x91), Buffer.alloc(DEPTH, 0x81), Buffer.from('81a161'.repeat(DEPTH), 'hex'), nestedDates(),
      ...['ddffffffff', 'dfffffffff', 'dbffffffff', 'c6ffffffff', 'c9ffffffff12', 'dd7fffffffc0c0', 'd60da3616263',
        'd50ba161', 'd40c05', 'd40a05', 'd41705', 'd40ec0'].map((hex) => Buffer.from(hex, 'hex'))],
    binary: [Buffer.alloc(DEPTH, 0x91), Buffer.alloc(DEPTH, 0x81), Buffer.from('81b161'.repeat(DEPTH), 'hex'),
      ...['ddffffffff', 'dfffffffff', 'd9ffffffff', 'dbffffffff', 'cf', 'd300'].map((hex) => Buffer.from(hex, 'hex'))]
  };

  function nestedDates() {
    const count = DEPTH / 10;
    const bytes = Buffer.alloc(6 * count + 1);
    for (let at = 0; at < 6 * count; at += 6) {
      bytes[at] = 0xc9;
      bytes.writeUInt32BE(bytes.length - at - 6, at + 1);
      bytes[at + 5] = 0x0d;
    }
    return bytes;
  }

  for (const name of NAMES) {
    for (const browser of [false, true]) {
      test(`${name}: depth without end, and lengths that are not there${browser ? ', without Buffer' : ''}`, () => {
        const { decode } = load(name, { browser });
        for (const message of ENDLESS[name]) assert.throws(() => decode(message), isError, message.slice(0, 10));
      });
    }

    test(`${name}: a value nested without end is not encoded`, () => {
      let value = {};
      for (let i = 0; i < DEPTH; i++) value = { a: value };
      assert.throws(() => load(name).encode([value]), Error);
    });
  }

  for (const name of BINARY) {
    const { encode, decode } = load(name);

    test(`${name}: a message cut short anywhere`, () => {
      const value = [1, -5, 300, 70000, 2 ** 40, 0.5, 'text', 'é'.repeat(40), null, true, { a: { b: [] } },
        Buffer.from('bytes'), Buffer.alloc(300), ...(name === 'msgpack' ? [new Date(2 ** 40), /x/g, new Int16Array(2)] : [])];
      const frame = sent(encode(value));
      for (let size = 0; size < frame.length; size++) assert.throws(() => decode(frame.subarray(0, size)), Error);
      decode(frame);
    });

    test(`${name}: random bytes are a value or an error, and what is read can be written`, () => {
      let seed = 1;
      const random = () => (seed = (seed * 48271) % 0x7fffffff);
      let values = 0;
      for (let i = 0; i < 20000; i++) {
        const frame = Uint8Array.from({ length: random() % 40 }, () => random() >> 8);
        let value;
        try { value = decode(frame); } catch (error) { continue; }
        values += 1;
        encode(value);
      }
      assert.ok(values > 5000, `${values} values`);
    });
  }

  test('the parsers of text: a message cut short anywhere', () => {
    for (const [name, value] of [['ejson', [new Date(5), { a: /x/ }]], ['jsonh', [{ a: 1, b: [2] }, { a: 'x', b: {} }]]]) {
      const { encode, decode } = load(name);
      const text = encode(value);
      for (let size = 0; size < text.length; size++) assert.throws(() => decode(text.slice(0, size)), Error);
      assert.deepStrictEqual(described(decode(text)), described(value));
    }
  });
});

describe('in a client', () => {
  for (const name of NAMES) {
    test(`${name}: messages, and those of Primus`, () => {
      const world = page({ parser: name, globals: { TextEncoder, TextDecoder } });
      const { client } = world.connected();
      const { encode, decode } = load(name);
      const received = [];
      const errors = [];
      client.on('data', (data) => received.push(data));
      client.on('error', (error) => errors.push(error.message));
      const arrive = (value) => {
        const frame = encode(value);
        world.socket.message(typeof frame === 'string' ? frame : new Uint8Array(frame).buffer);
      };
      const left = () => world.socket.sent.splice(0).map((frame) => decode(frame));

      const rows = [{ a: 1, b: 'é\u2028' }, { a: null, b: [0.5] }];
      client.write(rows);
      client.id(() => received.push('id'));
      assert.deepStrictEqual(left(), [rows, 'primus::id::']);
      arrive(rows);
      arrive('primus::id::4f2a');
      assert.deepEqual(received, [rows, 'id']);
      arrive('primus::ping::5');
      assert.deepStrictEqual(left(), ['primus::pong::5']);

      client.write(name === 'jsonh' ? 5 : name === 'binary' ? /x/ : 5n);
      world.socket.message(BINARY.includes(name) ? new ArrayBuffer(0) : '[');
      assert.strictEqual(errors.length, 2);
      assert.strictEqual(client.readyState, world.Primus.OPEN);

      arrive('primus::server::close');
      const ended = [];
      client.on('end', () => ended.push('end'));
      world.socket.drop();
      assert.deepStrictEqual(ended, ['end']);
    });
  }

  test('the class knows its parser', () => {
    for (const name of NAMES) {
      const { Primus } = page({ parser: name, globals: { TextEncoder, TextDecoder } });
      assert.strictEqual(Primus.parser.encoder, Primus.prototype.encoder);
      assert.strictEqual(typeof Primus.parser.addType, name === 'ejson' ? 'function' : 'undefined');
    }
  });
});
