// What MessagePack and BinaryPack share: numbers, lists, maps, and bytes that grow or run out. The parsers
// add what differs: texts, bytes, numbers beyond 32 bits, and everything that is neither list nor map.

const TO_UTF8 = new TextEncoder();
// A byte order mark is a character like others.
const FROM_UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

// Node's, or one that the page has made global. Not by its bare name: bundlers would pack it for the browser.
const NodeBuffer = (typeof globalThis === 'object' ? globalThis : self).Buffer;

// Up to this length a loop is faster than the coders above.
const SHORT_TEXT = 24;

// As bytes of the memory, in the order of the machine; all that run JavaScript are little-endian.
function bytesOf(value) {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}

// Bytes for the application: a copy, or they would keep the whole message alive, and `buffer` would show it.
function ownBytes(bytes) {
  const copy = bytes.slice();
  return NodeBuffer ? NodeBuffer.from(copy.buffer) : copy;
}

// Of Object.prototype, in whichever frame of the page that is, or of nothing.
function isPlain(object) {
  const prototype = Object.getPrototypeOf(object);
  return !prototype || !Object.getPrototypeOf(prototype);
}

class Packer {
  constructor() {
    this.view = new DataView(new ArrayBuffer(128));
    this.length = 0;
    // The lists and objects that we are inside of.
    this.path = new Set();
  }

  // The bytes of one value.
  pack(value) {
    this.value(value);
    return new Uint8Array(this.view.buffer, 0, this.length);
  }

  // Makes room for `size` bytes and returns where they go.
  room(size) {
    const at = this.length;
    this.length += size;
    if (this.length > this.view.byteLength) {
      const larger = new Uint8Array(Math.max(this.length, this.view.byteLength * 2));
      larger.set(new Uint8Array(this.view.buffer, 0, at));
      this.view = new DataView(larger.buffer);
    }
    return at;
  }

  // A type byte, and after it a number of `width` bytes.
  head(type, width, number) {
    const at = this.room(1 + (width || 0));
    this.view.setUint8(at, type);
    if (width === 1) this.view.setUint8(at + 1, number);
    else if (width === 2) this.view.setUint16(at + 1, number);
    else if (width === 4) this.view.setUint32(at + 1, number);
  }

  // A length: below `fixed` inside of the byte `base`, below `narrow` behind the type `wide` - 1, then `wide`, ...
  size(length, wide, base, fixed, narrow) {
    if (length < fixed) this.head(base + length);
    else if (length < narrow) this.head(wide - 1, 1, length);
    else if (length < 0x10000) this.head(wide, 2, length);
    else this.head(wide + 1, 4, length);
  }

  append(bytes) {
    const at = this.room(bytes.length);
    new Uint8Array(this.view.buffer).set(bytes, at);
  }

  value(value) {
    switch (typeof value) {
      case 'number': return this.number(value);
      case 'string': return this.text(value);
      case 'boolean': return this.head(value ? 0xc3 : 0xc2);
      case 'undefined': return this.head(0xc0);
      case 'object': return value === null ? this.head(0xc0) : this.object(value);
    }
    this.other(value);
  }

  number(value) {
    if (Math.floor(value) !== value || value < -0x80000000 || value > this.largest) this.beyond(value);
    else if (value >= 0x10000) this.head(0xce, 4, value);
    else if (value >= 0x100) this.head(0xcd, 2, value);
    else if (value >= 0x80) this.head(0xcc, 1, value);
    else if (value >= -0x20) this.head(value & 0xff);
    else if (value >= -0x80) this.head(0xd0, 1, value);
    else if (value >= -0x8000) this.head(0xd1, 2, value);
    else this.head(0xd2, 4, value);
  }

  float(value) {
    this.head(0xcb);
    const at = this.room(8);
    this.view.setFloat64(at, value);
    // There are many NaN, and an engine may write any of them.
    if (value !== value) this.view.setUint32(at, 0x7ff80000);
  }

  text(value) {
    const { length } = value;
    if (length > SHORT_TEXT) return this.utf8(value);
    const before = this.length;
    this.textSize(length);
    const at = this.room(length);
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) {
        this.length = before;
        return this.utf8(value);
      }
      this.view.setUint8(at + i, code);
    }
  }

  utf8(text) {
    const bytes = TO_UTF8.encode(text);
    this.textSize(bytes.length);
    this.append(bytes);
  }

  object(value) {
    inside(this.path, value, () => {
      if (Array.isArray(value)) {
        this.size(value.length, 0xdc, 0x90, 16);
        for (let i = 0; i < value.length; i++) this.value(value[i]);
      } else if (!this.special(value)) {
        const keys = Object.keys(value);
        this.size(keys.length, 0xde, 0x80, 16);
        for (const key of keys) {
          this.text(key);
          this.value(value[key]);
        }
      }
    });
  }
}

class Unpacker {
  // Of an ArrayBuffer or a view of one, as WebSockets deliver binary frames.
  constructor(packet) {
    if (!ArrayBuffer.isView(packet) && kindOf(packet) !== 'ArrayBuffer') throw new TypeError('The message is not binary');
    this.bytes = bytesOf(packet);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    this.at = 0;
  }

  // Passes over `size` bytes, and returns where they begin.
  skip(size) {
    const at = this.at;
    if (size > this.bytes.length - at) throw new RangeError('The message is cut short');
    this.at += size;
    return at;
  }

  take(size) {
    const at = this.skip(size);
    return this.bytes.subarray(at, at + size);
  }

  uint(width) {
    const at = this.skip(width);
    if (width === 1) return this.bytes[at];
    if (width === 2) return this.view.getUint16(at);
    if (width === 4) return this.view.getUint32(at);
    return this.view.getUint32(at) * 0x100000000 + this.view.getUint32(at + 4);
  }

  int(width) {
    const at = this.skip(width);
    if (width === 1) return this.view.getInt8(at);
    if (width === 2) return this.view.getInt16(at);
    if (width === 4) return this.view.getInt32(at);
    // Only the sum is rounded.
    return this.view.getInt32(at) * 0x100000000 + this.view.getUint32(at + 4);
  }

  value() {
    const type = this.uint(1);
    if (type < 0x80) return type;
    if (type < 0x90) return this.map(type & 15);
    if (type < 0xa0) return this.list(type & 15);
    if (type >= 0xe0) return type - 0x100;
    switch (type) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xca: return this.view.getFloat32(this.skip(4));
      case 0xcb: return this.view.getFloat64(this.skip(8));
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return this.uint(1 << (type - 0xcc));
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return this.int(1 << (type - 0xd0));
      case 0xdc: case 0xdd: return this.list(this.uint(type === 0xdc ? 2 : 4));
      case 0xde: case 0xdf: return this.map(this.uint(type === 0xde ? 2 : 4));
    }
    return this.special(type);
  }

  // Nothing is allocated for a count: each item has to be there.
  list(count) {
    const items = [];
    while (count-- > 0) items.push(this.value());
    return items;
  }

  map(count) {
    const object = {};
    while (count-- > 0) setMember(object, String(this.value()), this.value());
    return object;
  }

  text(size) {
    const bytes = this.take(size);
    if (size > SHORT_TEXT) return FROM_UTF8.decode(bytes);
    let text = '';
    for (let i = 0; i < size; i++) {
      if (bytes[i] > 0x7f) return FROM_UTF8.decode(bytes);
      text += String.fromCharCode(bytes[i]);
    }
    return text;
  }
}
