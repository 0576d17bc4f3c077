// Bytes and text: what HTTP and the frameworks that know only one of them need.

const BEYOND_ASCII = /[^\0-\x7f]/;

// Never fewer bytes than `text` has as UTF-8.
function atMost(text) {
  return BEYOND_ASCII.test(text) ? text.length * 3 : text.length;
}

function byteText(bytes) {
  let text = '';
  // In pieces, because of the limit to the number of arguments.
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

function utf8Text(text) {
  return byteText(new TextEncoder().encode(text));
}

// The bytes of a binary message, or nothing for text.
function binaryOf(message) {
  if (ArrayBuffer.isView(message)) return new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
  // Of whichever frame of the page.
  return Object.prototype.toString.call(message) === '[object ArrayBuffer]' ? new Uint8Array(message) : null;
}

function textBytes(text) {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
