// Heartbeats, in both directions. README (2.x to 6.x): the client pings, the server answers. Since Primus 7
// the server pings and the client answers. We begin with our own pings, unless `pingTimeout` was given
// without `ping`: then the server is expected to ping. Its first ping turns the connection round.

// Waits until it is our time to ping, or too late for the server's ping. Our interval is fixed, whatever the
// traffic: the server's timer too is refreshed by our pings.
function beat(client, serverPings) {
  const { timers, options } = client;
  client._serverPings = serverPings;
  if (serverPings) timers.set('ping', options.pingTimeout, () => silent(client));
  else timers.set('ping', options.ping, () => ping(client));
}

function ping(client) {
  const now = Date.now();
  client.timers.set('pong', client.options.pong, () => silent(client));
  client._write('primus::ping::' + now);
  client.emit('outgoing::ping', now);
}

// The server answered.
function pong(client, value) {
  client.timers.clear('pong');
  // Not NaN.
  if (value === value) client.latency = Date.now() - value;
  if (!client._serverPings) beat(client, false);
}

// The server asks; it gets its own text back, whatever that is.
function answer(client, text) {
  // A listener may have ended the client: a pong would wait for the next connection.
  if (client.readyState !== OPEN) return;
  client.timers.clear('pong');
  beat(client, true);
  client._write('primus::pong::' + text);
  client.emit('outgoing::pong', +text);
}

// The socket may still look alive: it is dropped here, so that nothing late arrives from it.
function silent(client) {
  client.emit('outgoing::end');
  setOnline(client, false);
  // Unless a listener ended it.
  if (client.readyState === OPEN) client.emit('incoming::end');
}
