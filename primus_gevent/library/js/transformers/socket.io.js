// The `socket.io` transformer: Socket.IO 0.9, over a WebSocket or by polling. (Its other transports, htmlfile and
// jsonp-polling, are for browsers that have no fetch.)
//
// `transport` options: `transports` (a list of 'websocket', 'xhr-polling': those that may be used), `connect timeout` (10000 ms, for
// each of them), `withCredentials`, `extraHeaders` or `headers`. In Node the others go to `http` and `ws`. The client option
// `websockets: false` leaves the first one out.

const SOCKET_IO_TRANSPORTS = ['websocket', 'xhr-polling'];

const CONNECT_MS = 10000;

// In front of each packet's length and of each packet, if there are several in a body.
const MARK = '\ufffd';

const PACKET = /^(\d):(\d+)?(\+)?:([^:]+)?:?([\s\S]*)$/;

const REASONS = ['transport not supported', 'client not handshaken', 'unauthorized'];

class SocketIO extends TransportSession {
  constructor(client, relay) {
    super(client, relay);
    this.transport = { name: undefined };
    // Of the session, and of the spark.
    this.id = undefined;
  }

  open() {
    this.get = this.request('1/', '', undefined, (error, text) => {
      this.get = null;
      if (error) return this.fail(error);
      const [id, heartbeat, close, transports] = text.split(':');
      if (!transports) return this.fail(new Error('A broken handshake: ' + text.slice(0, 80)));
      this.id = id;
      // How long nothing may come: beats on a WebSocket, and answers to polls.
      this.silence = { websocket: heartbeat * 1000, 'xhr-polling': close * 1000 };
      const offered = transports.split(',');
      this.choose(SOCKET_IO_TRANSPORTS, (name) => offered.includes(name));
    });
  }

  patience() {
    return this.options['connect timeout'] || CONNECT_MS;
  }

  exhausted(cause) {
    return cause || new Error('The server offers none of the transports');
  }

  begin(name) {
    this.transport = { name };
    if (name === 'websocket') this.connect(this.path());
    else this.poll();
  }

  path() {
    return '1/' + this.transport.name + '/' + encodeURIComponent(this.id);
  }

  // --- what comes ---

  poll() {
    this.get = this.request(this.path(), '', undefined, (error, text) => {
      this.get = null;
      if (this.over) return;
      if (error) return this.lost(error);
      this.guard(() => {
        for (const packet of this.packets(text)) this.frame(packet);
        if (!this.over && !this.get) this.poll();
      });
    });
  }

  *packets(body) {
    if (body[0] !== MARK) yield body;
    else {
      for (let at = 0; at < body.length;) {
        const start = body.indexOf(MARK, at + 1) + 1;
        const end = start + Number(body.slice(at + 1, start - 1));
        if (body[at] !== MARK || !start || !(end <= body.length)) throw new Error('A broken answer: ' + body.slice(at, at + 80));
        yield body.slice(start, end);
        at = end;
      }
    }
  }

  frame(packet) {
    if (this.over) return;
    this.timers.set('silence', this.silence[this.transport.name], () => this.finish());
    // Official clients ignore what is no packet, and would ask for it again and again.
    const [, type, id, own, endpoint, data] = PACKET.exec(packet) || [];
    if (!type) throw new Error('An unknown packet: ' + packet.slice(0, 80));
    // Of another namespace.
    if (endpoint) return;
    // Asked of us, not of the application.
    if (id && !own && type >= 3 && type <= 5) this.put('6:::' + id);
    switch (type) {
      case '0': return this.finish();
      case '1': if (!this.opened) this.ready(); return;
      case '2': return this.put('2::');
      // 4 is JSON, which is what the parser expects.
      case '3': case '4': return this.relay('data', fromText(data));
      case '7': return this.fail(new Error(REASONS[data[0]] || data));
    }
  }

  // Official clients report no error when a connection that was open is lost.
  broken(reason) {
    this.finish(reason);
  }

  // --- what goes ---

  send(message) {
    this.put('3:::' + toText(message));
  }

  put(packet) {
    if (this.socket) this.socket.send(packet);
    else super.put(packet);
  }

  deliver(packets, fn) {
    const body = packets.length === 1 ? packets[0] : packets.map((each) => MARK + each.length + MARK + each).join('');
    return this.request(this.path(), '', body, fn);
  }

  // (The request `?disconnect=1` has no effect on official servers while no poll waits.)
  goodbye(fn) {
    if (this.socket && this.opened) this.socket.send('0::');
    if (this.transport.name === 'xhr-polling') this.post = this.deliver(['0::'], fn);
    else fn();
  }
}

function transformer(client, relay) {
  const session = new SocketIO(client, relay);
  session.open();
  return session;
}
