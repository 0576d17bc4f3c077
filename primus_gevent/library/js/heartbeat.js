// Heartbeats, in both directions. README (2.x to 6.x): the client pings, the server answers. Since Primus 7
// the server pings and the client answers. We begin with our own pings, unless `pingTimeout` was given
// without `ping`: then the server is expected to ping. Its first ping turns the connection round.

class Heartbeat {
  constructor(client, expectPings) {
    this.client = client;
    this.expectPings = expectPings;
    this.serverPings = false;
  }

  start() {
    // Another server may answer after a reconnect.
    this.serverPings = this.expectPings;
    if (this.serverPings) this.watch();
    else this.schedule();
  }

  // A fixed interval, whatever the traffic: the server's timer too is refreshed by it.
  schedule() {
    const { timers, options } = this.client;
    timers.set('ping', options.ping, () => this.ping());
  }

  ping() {
    const { client } = this;
    const now = Date.now();
    client.timers.set('pong', client.options.pong, () => this.lost());
    client._write('primus::ping::' + now);
    client.emit('outgoing::ping', now);
  }

  // The server answered.
  pong(value) {
    const { client } = this;
    client.timers.clear('pong');
    // Not NaN.
    if (value === value) client.latency = Date.now() - value;
    if (!this.serverPings) this.schedule();
  }

  // The server asks; it gets its own text back, whatever that is.
  answer(text) {
    const { client } = this;
    // A listener may have ended the client: a pong would wait for the next connection.
    if (client.readyState !== OPEN) return;
    this.serverPings = true;
    client.timers.clear('ping', 'pong');
    this.watch();
    client._write('primus::pong::' + text);
    client.emit('outgoing::pong', +text);
  }

  watch() {
    const { timers, options } = this.client;
    timers.set('pingTimeout', options.pingTimeout, () => this.lost());
  }

  // The socket may still look alive: it is dropped here, so that nothing late arrives from it.
  lost() {
    const { client } = this;
    client.emit('outgoing::end');
    if (client.online) {
      client.online = false;
      client.emit('offline');
    }
    // Unless a listener ended it.
    if (client.readyState === OPEN) client.emit('incoming::end');
  }
}
