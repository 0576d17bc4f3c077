// A session that has a choice of transports, a WebSocket among them, and tries one after the other. What it has told
// the framework, how long it waits and what it begins, is the framework's.

class TransportSession extends Session {
  constructor(client, relay) {
    super(client, relay);
    this.avoid = client.AVOID_WEBSOCKETS;
    // Names of those that have not been tried.
    this.left = [];
    // The WebSocket, if that is the transport.
    this.socket = null;
  }

  // Those of `names` that the application wants and that there may be, in that order.
  choose(names, possible) {
    const { transports = names } = this.options;
    const wanted = [].concat(transports);
    this.left = names.filter((name) => wanted.includes(name) && possible(name) && !(this.avoid && name === 'websocket'));
    this.attempt();
  }

  // The next one. `error` says what was wrong with the one before.
  attempt(error) {
    this.drop();
    const name = this.left.shift();
    if (!name) return this.fail(this.exhausted(error));
    this.timers.set('attempt', this.patience(), () => this.attempt(new Error('No answer over ' + name)));
    try {
      this.begin(name);
    } catch (reason) {
      this.attempt(reason); // there is no WebSocket
    }
  }

  connect(path) {
    const socket = this.socket = openWebSocket(this.address(path).replace(/^http/, 'ws'), this.options);
    socket.onmessage = (event) => this.guard(() => this.frame(event.data));
    socket.onerror = (event) => this.lost(event);
    socket.onclose = (event) => this.lost(event);
  }

  ready() {
    this.timers.clear('attempt');
    super.ready();
  }

  // Until it is open, whatever goes wrong is the transport's fault.
  lost(error) {
    if (this.opened) this.broken(error);
    else this.attempt(error);
  }

  // What the server says may be nonsense.
  guard(fn) {
    try {
      fn();
    } catch (error) {
      if (this.opened) this.fail(error);
      else this.lost(error);
    }
  }

  drop() {
    const { socket } = this;
    this.socket = null;
    if (socket) dismiss(socket);
    super.drop();
  }
}
