// The `engine.io` transformer: polling that moves to a WebSocket when one can be had, or a WebSocket from the
// start.
//
// `transport` options: `transports` (['polling', 'websocket'], which begin and may be used), `upgrade` (true),
// `forceBase64`, `withCredentials` (cookies for other origins, of polling; as the server allows), `extraHeaders` or
// `headers`. In Node the others go to `http` and `ws`: `agent`, `ca`, `cert`, ... The client option `websockets: false` is
// polling only.

class UpgradableEngine extends Engine {
  constructor(client, relay) {
    super(client, relay);
    const wanted = this.options.transports || ['polling', 'websocket'];
    this.direct = wanted[0] === 'websocket' && !client.AVOID_WEBSOCKETS;
    this.upgrades = wanted.includes('websocket') && !client.AVOID_WEBSOCKETS && this.options.upgrade !== false;
    // A WebSocket that is tried beside polling.
    this.probe = null;
    // It has answered: no request is begun any more.
    this.paused = false;
  }

  open() {
    if (!this.direct) return super.open();
    const socket = this.connect();
    socket.onopen = ignore;
    this.adopt(socket);
  }

  connect() {
    return openWebSocket(this.address('websocket', this.options.forceBase64 ? '&b64=1' : ''), this.options);
  }

  opened(handshake) {
    // There is no framing that would tell the revision; since engine.io 6.2 the handshake does.
    if (this.transport.socket) this.legacy = !handshake.maxPayload;
    super.opened(handshake);
    if (!this.over && this.upgrades && handshake.upgrades.includes('websocket')) this.tryWebSocket();
  }

  // --- from polling to WebSocket ---

  tryWebSocket() {
    let socket;
    try {
      socket = this.connect();
    } catch (error) {
      return; // there is none: polling goes on
    }
    this.probe = socket;
    const giveUp = () => {
      this.drop();
      this.proceed();
    };
    socket.onopen = () => socket.send('2probe');
    socket.onmessage = (event) => {
      if (event.data !== '3probe') return giveUp();
      this.paused = true;
      this.proceed();
    };
    socket.onerror = socket.onclose = giveUp;
  }

  // Both requests have to be over: nobody could tell what is older, their packets or those of the WebSocket. The
  // server answers the GET with nothing, if it has nothing.
  proceed() {
    if (!this.paused) return super.proceed();
    if (this.get || this.post) return;
    const socket = this.probe;
    this.probe = null;
    this.paused = false;
    socket.send('5');
    this.adopt(socket);
    for (const packet of this.queue.splice(0)) socket.send(packet);
  }

  flush() {
    if (!this.paused) super.flush();
  }

  // Without the probe.
  drop() {
    const socket = this.probe;
    this.probe = null;
    this.paused = false;
    if (socket) dismiss(socket);
  }

  // --- on the WebSocket ---

  adopt(socket) {
    this.transport = { name: 'websocket', socket };
    socket.onmessage = (event) => this.frame(event.data);
    socket.onerror = (event) => this.relay('error', event);
    socket.onclose = (event) => this.finish(event);
  }

  frame(data) {
    this.heard();
    try {
      if (typeof data === 'string') return this.receive(data);
    } catch (error) {
      return this.fail(error);
    }
    this.relay('data', this.legacy ? data.slice(1) : data);
  }

  send(message) {
    const { socket } = this.transport;
    let bytes = socket && !this.options.forceBase64 && binaryOf(message);
    if (!bytes) return super.send(message);
    if (this.legacy) {
      const typed = new Uint8Array(bytes.length + 1);
      typed[0] = 4;
      typed.set(bytes, 1);
      bytes = typed;
    }
    socket.send(bytes);
  }

  put(packet) {
    if (this.transport.socket) this.transport.socket.send(packet);
    else super.put(packet);
  }

  // --- the end ---

  goodbye() {
    this.drop();
    if (this.transport.socket) this.abort();
    else super.goodbye();
  }

  abort() {
    this.drop();
    if (this.transport.socket) dismiss(this.transport.socket);
    super.abort();
  }
}

function transformer(client, relay) {
  const engine = new UpgradableEngine(client, relay);
  engine.open();
  return engine;
}
