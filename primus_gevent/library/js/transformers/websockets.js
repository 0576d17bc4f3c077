// The `websockets` transformer: one WebSocket per connection. It is called when a connection is wanted,
// reports with relay('open' | 'data' | 'error' | 'end', value) and returns how to send and how to close.
//
// The client option `websockets: false` changes nothing here, there is no other transport to fall back to.

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
  throw new Error('Primus found no WebSocket here: install the `ws` package (npm install ws)');
}

function transformer(client, relay) {
  const { Socket, configurable } = findWebSocket();
  const url = client.uri({ protocol: client.secure ? 'wss:' : 'ws:' });
  const socket = configurable ? new Socket(url, [], client.options.transport) : new Socket(url);

  client.socket = socket;
  socket.binaryType = 'arraybuffer';
  socket.onopen = (event) => relay('open', event);
  socket.onmessage = (event) => relay('data', event.data);
  socket.onerror = (event) => relay('error', event);
  socket.onclose = (event) => relay('end', event);

  return {
    send(packet) { socket.send(packet); },
    close() { socket.close(); }
  };
}
