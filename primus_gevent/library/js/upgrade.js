// A WebSocket for a transformer that has other transports too.

function ignore() {}

// With the headers that are asked for, where they can be sent. Throws if there is no WebSocket.
function openWebSocket(url, options) {
  const { Socket, configurable } = findWebSocket();
  const { address, headers } = addressed(url, options);
  const socket = configurable
    ? new Socket(address, [], Object.assign({}, options, { headers }))
    : new Socket(url);
  socket.binaryType = 'arraybuffer';
  return socket;
}

function dismiss(socket) {
  // Closing one that is not open yet is an error to `ws`.
  socket.onopen = socket.onmessage = socket.onerror = socket.onclose = ignore;
  socket.close();
}
