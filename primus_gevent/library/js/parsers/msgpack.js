// The `msgpack` parser: MessagePack, with the extension types of msgpack-lite for JavaScript's own objects.
// Bytes of an application come out as Uint8Array, in Node as its subclass Buffer.

const parser = (() => {
  // Their extension types begin at 1 and at 0x11.
  const ERRORS = ['EvalError', 'RangeError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError'];
  const ARRAYS = [Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array,
    Float64Array, Uint8ClampedArray];
  const FIRST_ARRAY = 0x11;
  const FIELDS = ['name', 'message', 'stack', 'columnNumber', 'fileName', 'lineNumber'];
  // Types of what is inside of Boolean, String, Number and Date objects.
  const BOXED = { 0x0b: 'boolean', 0x0c: 'string', 0x0f: 'number', 0x0d: 'number' };

  // An extension of a type that is nobody's here; it is written as it was read.
  class ExtBuffer {
    constructor(buffer, type) {
      this.buffer = buffer;
      this.type = type;
    }
  }

  class MsgPacker extends Packer {
    textSize(length) {
      this.size(length, 0xda, 0xa0, 32, 0x100);
    }

    beyond(value) {
      this.float(value);
    }

    other(value) {
      if (typeof value === 'bigint') throw new TypeError('A BigInt cannot be encoded');
      this.head(0xc0);
    }

    special(value) {
      if (isPlain(value)) return false;
      if (NodeBuffer && NodeBuffer.isBuffer(value)) {
        this.size(value.length, 0xc5, 0, 0, 0xff);
        this.append(value);
        return true;
      }
      if (value instanceof ExtBuffer) return this.extension(value.type, value.buffer);
      const kind = kindOf(value);
      const array = ARRAYS.findIndex((each) => each.name === kind);
      if (array >= 0) return this.extension(FIRST_ARRAY + array, bytesOf(value));
      switch (kind) {
        case 'ArrayBuffer': return this.extension(0x1a, bytesOf(value));
        case 'DataView': return this.extension(0x1d, bytesOf(value));
        case 'RegExp': return this.extension(0x0a, packed([value.source, value.flags]));
        case 'Boolean': return this.extension(0x0b, packed(value.valueOf()));
        case 'String': return this.extension(0x0c, packed(value.valueOf()));
        case 'Date': return this.extension(0x0d, packed(value.valueOf()));
        case 'Number': return this.extension(0x0f, packed(value.valueOf()));
        case 'Error': return this.error(value);
      }
      return false;
    }

    // Subclasses of an application are objects like others.
    error(value) {
      const name = value.constructor && value.constructor.name;
      const type = name === 'Error' ? 0x0e : ERRORS.indexOf(name) + 1;
      if (!type) return false;
      const fields = {};
      for (const field of FIELDS) fields[field] = value[field];
      return this.extension(type, packed(fields));
    }

    extension(type, bytes) {
      const { length } = bytes;
      // 1, 2, 4, 8 and 16 have a type byte of their own.
      if (length && length <= 16 && !(length & (length - 1))) this.head(0xd4 + Math.log2(length));
      else this.size(length, 0xc8, 0, 0, 0xff);
      this.head(type);
      this.append(bytes);
      return true;
    }
  }

  class MsgUnpacker extends Unpacker {
    special(type) {
      if (type < 0xc0) return this.text(type & 31);
      switch (type) {
        case 0xc4: case 0xc5: case 0xc6: return ownBytes(this.take(this.uint(1 << (type - 0xc4))));
        case 0xc7: case 0xc8: case 0xc9: return this.extension(this.uint(1 << (type - 0xc7)));
        case 0xd9: case 0xda: case 0xdb: return this.text(this.uint(1 << (type - 0xd9)));
        case 0xc1: throw new Error('Invalid type: 0xc1');
      }
      return this.extension(1 << (type - 0xd4));
    }

    extension(size) {
      const type = this.uint(1);
      const bytes = this.take(size);
      const Typed = ARRAYS[type - FIRST_ARRAY];
      // Copies: the bytes of the frame begin anywhere, an array wants its elements aligned.
      if (Typed) return new Typed(bytes.slice().buffer);
      if (BOXED[type]) return boxed(type, unpacked(bytes));
      if (type === 0x0e || ERRORS[type - 1]) return error(type, unpacked(bytes));
      switch (type) {
        case 0x0a: return regExp(unpacked(bytes));
        case 0x1a: return bytes.slice().buffer;
        case 0x1b: return ownBytes(bytes);
        case 0x1d: return new DataView(bytes.slice().buffer);
      }
      return new ExtBuffer(ownBytes(bytes), type);
    }
  }

  function boxed(type, value) {
    if (typeof value !== BOXED[type]) throw new TypeError('The extension holds another type than its own');
    return type === 0x0d ? new Date(value) : Object(value);
  }

  function regExp([source, flags]) {
    if (typeof source !== 'string' || typeof flags !== 'string') throw new TypeError('A RegExp is made of texts');
    return new RegExp(source, flags);
  }

  const CONSTRUCTORS = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];

  function error(type, fields) {
    const made = new (CONSTRUCTORS[type] || Error)(fields.message);
    for (const field of FIELDS) {
      if (typeof fields[field] === 'string' || typeof fields[field] === 'number') made[field] = fields[field];
    }
    return made;
  }

  function packed(value) {
    return new MsgPacker().pack(value);
  }

  function unpacked(bytes) {
    return new MsgUnpacker(bytes).value();
  }

  // Integers from -2^31; others are floats.
  MsgPacker.prototype.largest = 0x7fffffff;

  return {
    encoder(data, fn) {
      let packet;
      try { packet = packed(data); } catch (error) { return fn(error); }
      fn(null, packet);
    },

    decoder(packet, fn) {
      let data;
      try { data = unpacked(packet); } catch (error) { return fn(error); }
      fn(null, data);
    },

    ExtBuffer
  };
})();
