// Binary messages over a framework that carries text only: with a mark in front that no application may use, as
// base64. Between our own ends; see "Binary over text" in the documentation of the wire.

const BINARY_MARK = 'primus::binary::';

function toText(message) {
  const bytes = binaryOf(message);
  return bytes ? BINARY_MARK + btoa(byteText(bytes)) : message;
}

function fromText(text) {
  if (typeof text !== 'string' || !text.startsWith(BINARY_MARK)) return text;
  try {
    return textBytes(atob(text.slice(BINARY_MARK.length))).buffer;
  } catch (error) {
    return text; // the parser will say what it thinks of it
  }
}
