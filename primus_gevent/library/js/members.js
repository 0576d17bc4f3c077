// For the parsers that take values apart and put them together themselves.

// `object[name] = value` would change the prototype for one name, and a peer may send any.
function setMember(object, name, value) {
  if (name === '__proto__') {
    Object.defineProperty(object, name, { value, configurable: true, enumerable: true, writable: true });
  } else {
    object[name] = value;
  }
}

// The kind of an object, whichever frame or context of the page it was made in: `Date`, `Uint8Array`, ...
function kindOf(value) {
  return Object.prototype.toString.call(value).slice(8, -1);
}

// Runs fn with `object` in the set of those that we are inside of. Meeting it there again would never end.
function inside(path, object, fn) {
  if (path.has(object)) throw new TypeError('A circular structure cannot be encoded');
  path.add(object);
  const result = fn();
  path.delete(object);
  return result;
}
