// The `binary` parser: BinaryPack, an early relative of MessagePack. Bytes of an application (typed arrays,
// ArrayBuffer, DataView) are sent as they are in memory, and come out as Uint8Array, in Node as Buffer.

const parser = (() => {
  const INT64 = 0x8000000000000000;

  class BinaryPacker extends Packer {
    textSize(length) {
      this.size(length, 0xd8, 0xb0, 16);
    }

    // What 64 bits cannot hold is a float to us, as every decoder reads it. (The original sends 2^63 as -2^63,
    // and refuses the others.)
    beyond(value) {
      if (Math.floor(value) !== value || value < -INT64 || value >= INT64) return this.float(value);
      const high = Math.floor(value / 0x100000000);
      this.head(0xd3, 4, high);
      const at = this.room(4);
      this.view.setUint32(at, value - high * 0x100000000);
    }

    other(value) {
      throw new TypeError('Type "' + typeof value + '" not yet supported');
    }

    special(value) {
      if (typeof value.toBinaryPack === 'function') {
        this.value(value.toBinaryPack());
        return true;
      }
      if (isPlain(value)) return false;
      const kind = kindOf(value);
      if (kind === 'ArrayBuffer' || ArrayBuffer.isView(value)) {
        const bytes = bytesOf(value);
        this.size(bytes.length, 0xda, 0xa0, 16);
        this.append(bytes);
        return true;
      }
      if (kind === 'Date') {
        this.text(String(value));
        return true;
      }
      throw new TypeError('Type "' + (value.constructor && value.constructor.name || kind) + '" not yet supported');
    }
  }

  BinaryPacker.prototype.largest = 0xffffffff;

  class BinaryUnpacker extends Unpacker {
    special(type) {
      if (type < 0xb0) return ownBytes(this.take(type & 15));
      if (type < 0xc0) return this.text(type & 15);
      switch (type) {
        case 0xd8: case 0xd9: return this.text(this.uint(type === 0xd8 ? 2 : 4));
        case 0xda: case 0xdb: return ownBytes(this.take(this.uint(type === 0xda ? 2 : 4)));
      }
      // c1, c4 to c9 and d4 to d7.
      return undefined;
    }
  }

  return {
    encoder(data, fn) {
      let packet;
      try { packet = new BinaryPacker().pack(data); } catch (error) { return fn(error); }
      fn(null, packet);
    },

    decoder(packet, fn) {
      let data;
      try { data = new BinaryUnpacker(packet).value(); } catch (error) { return fn(error); }
      fn(null, data);
    }
  };
})();
