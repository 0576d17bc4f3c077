// The `websockets` transformer: one WebSocket per connection. It is called when a connection is wanted,
// reports with relay('open' | 'data' | 'error' | 'end', value) and returns an object with send(packet) and
// close(), which a WebSocket has already.
//
// The client option `websockets: false` changes nothing here, there is no other transport to fall back to.

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
  return socket;
}
