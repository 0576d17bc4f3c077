// The WebSocket to use, for every transformer that has one.

// `ws` first, because it has the `unexpected-response` event and takes the `transport` options (headers,
// certificates, ...); the global WebSocket of browsers and newer Nodes has neither.
function findWebSocket() {
  try {
    const ws = load('ws');
    if (ws) return { Socket: ws, configurable: true };
  } catch (error) {
    // Not installed. Anything else that is wrong with it would end in the message below.
  }
  if (typeof WebSocket === 'function') return { Socket: WebSocket, configurable: false };
  throw new Error('Primus found no WebSocket: install the `ws` package (npm install ws)');
}
