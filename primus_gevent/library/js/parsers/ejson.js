// The `ejson` parser: JSON in which small objects with dollar signs in their keys stand for what JSON lacks.
//
//   Date {"$date":ms}   NaN {"$InfNaN":0}   Infinity {"$InfNaN":1}   RegExp {"$regexp":"a+","$flags":"gi"}
//   Uint8Array and Buffer {"$binary":"AAH+/w=="}   custom types {"$type":"name","$value":JSON}
//   and objects that only look like one of these {"$escape":{...}}

const parser = (() => {
  const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  // The original cuts to so many flags before it looks at them, and keeps those that every engine has.
  const MAX_FLAGS = 50;
  const FLAGS = /[^gimuy]/g;
  const REPEATED = /(.)(?=.*\1)/g;

  // The sorted keys of each form, and how many they are: a key may hold a space itself.
  const FORMS = new Map([
    ['$date', 1], ['$InfNaN', 1], ['$binary', 1], ['$escape', 1], ['$flags $regexp', 2], ['$type $value', 2]
  ]);
  const types = new Map();

  function addType(name, factory) {
    if (types.has(name)) throw new Error('The type ' + name + ' was added before');
    types.set(name, factory);
  }

  // The keys that make an object one of the forms, '' for all others.
  function formOf(value) {
    const keys = Object.keys(value);
    const form = keys.length < 3 ? keys.sort().join(' ') : '';
    return FORMS.get(form) === keys.length ? form : '';
  }

  // --- to JSON ---

  // The value with all that JSON lacks replaced: a copy, the caller's objects are left alone. `path` holds
  // those that we are inside of.
  function adapt(value, path) {
    if (typeof value === 'number' && !isFinite(value)) return { $InfNaN: value === value ? Math.sign(value) : 0 };
    if (value === null || typeof value !== 'object') return value;
    switch (kindOf(value)) {
      // JSON makes null of an invalid one.
      case 'Date': return { $date: +value };
      case 'RegExp': return { $regexp: value.source, $flags: value.flags };
      case 'Uint8Array': return { $binary: toBase64(value) };
    }
    if (typeof value.typeName === 'function' && types.has(value.typeName())) {
      return { $type: value.typeName(), $value: value.toJSONValue() };
    }
    const source = typeof value.toJSON === 'function' ? value.toJSON() : value;
    if (source !== value) return adapt(source, path);
    return inside(path, value, () => (Array.isArray(value) ? adaptList(value, path) : adaptMembers(value, path)));
  }

  function adaptList(list, path) {
    return Array.from(list, (item) => adapt(item, path));
  }

  function adaptMembers(object, path) {
    const copy = {};
    for (const key of Object.keys(object)) {
      const member = adapt(object[key], path);
      // What JSON leaves out must not count when the form is looked at.
      if (member !== undefined && typeof member !== 'function' && typeof member !== 'symbol') setMember(copy, key, member);
    }
    return formOf(copy) ? { $escape: copy } : copy;
  }

  function toBase64(bytes) {
    let text = '';
    for (let at = 0; at < bytes.length; at += 3) {
      // What is not there counts as zero, and its letters are replaced below.
      const group = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
      text += BASE64[group >> 18] + BASE64[(group >> 12) & 63] + BASE64[(group >> 6) & 63] + BASE64[group & 63];
    }
    const missing = (3 - bytes.length % 3) % 3;
    return text.slice(0, text.length - missing) + '=='.slice(0, missing);
  }

  // --- from JSON ---

  function restore(value) {
    if (value === null || typeof value !== 'object') return value;
    if (Array.isArray(value)) {
      // In place, here and below: JSON.parse has made it for us.
      for (let i = 0; i < value.length; i++) value[i] = restore(value[i]);
      return value;
    }
    switch (formOf(value)) {
      case '$date': return new Date(value.$date);
      case '$InfNaN': return value.$InfNaN / 0;
      case '$binary': return fromBase64(text(value.$binary));
      case '$escape': return restoreMembers(value.$escape);
      case '$flags $regexp':
        return new RegExp(text(value.$regexp), text(value.$flags).slice(0, MAX_FLAGS).replace(FLAGS, '').replace(REPEATED, ''));
      case '$type $value':
        if (!types.has(value.$type)) throw new Error('The type ' + text(value.$type) + ' was not added');
        return types.get(value.$type)(value.$value);
    }
    return restoreMembers(value);
  }

  function restoreMembers(object) {
    if (object === null || typeof object !== 'object') throw new TypeError('An escaped object is none');
    for (const key of Object.keys(object)) setMember(object, key, restore(object[key]));
    return object;
  }

  function text(value) {
    if (typeof value !== 'string') throw new TypeError('An EJSON form holds something else than text');
    return value;
  }

  // Padding may be missing, and a character that is none of base64 counts as zero bits.
  function fromBase64(letters) {
    const size = letters.replace(/={1,2}$/, '').length;
    const bytes = new Uint8Array(Math.floor(size * 3 / 4));
    let bits = 0;
    for (let at = 0, filled = 0; filled < bytes.length; at++) {
      bits = (bits << 6) | Math.max(0, BASE64.indexOf(letters[at]));
      // Each letter but the first of four completes a byte.
      if (at & 3) bytes[filled++] = bits >> (6 - 2 * (at & 3));
    }
    return bytes;
  }

  return {
    encoder(data, fn) {
      let packet;
      try { packet = JSON.stringify(adapt(data, new Set())); } catch (error) { return fn(error); }
      fn(null, packet);
    },

    decoder(packet, fn) {
      let data;
      try { data = restore(JSON.parse(text(packet))); } catch (error) { return fn(error); }
      fn(null, data);
    },

    addType
  };
})();
