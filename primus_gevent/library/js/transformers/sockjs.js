// The `sockjs` transformer: it asks the server what it can do, and then tries a WebSocket, a stream, and polling. The
// other transports of SockJS (eventsource, htmlfile, jsonp, iframes) are for browsers that have no fetch.
//
// `transport` options: `transports` (a list of 'websocket', 'xhr-streaming', 'xhr-polling': those that may be used), `timeout`
// (for one transport to open, in ms, if that is more than the server's round trip asks for), `withCredentials`,
// `extraHeaders` or `headers`. In Node the others go to `http` and `ws`. The client option `websockets: false` leaves the first
// one out.

const SOCKJS_TRANSPORTS = ['websocket', 'xhr-streaming', 'xhr-polling'];

const INFO_MS = 8000;

// What a transport may take to open: two round trips, one of them for a preflight.
const ROUND_TRIPS = 2;

// A request that broke is repeated after 50 ms, 100, ..., 3 s in all: our server keeps a session for 5.
const REPEAT_MS = 50;
const REPEATS = 6;

// With which an application may close, so that no other transport is tried.
function chosen(code) {
  return code === 1000 || (code >= 3000 && code <= 4999);
}

function closing(code, reason) {
  return Object.assign(new Error(reason), { code, reason });
}

function randomText(length) {
  const values = new Uint8Array(length).map(() => Math.random() * 256);
  if (typeof crypto === 'object') crypto.getRandomValues(values);
  return Array.from(values, (value) => (value % 36).toString(36)).join('');
}

class SockJS extends TransportSession {
  constructor(client, relay) {
    super(client, relay);
    // The name, as official clients have it.
    this.transport = undefined;
    // Of the session, with the server part in front that load balancers may look at.
    this.path = '';
    // Our own server knows messages by their number: a request that broke can be repeated.
    this.resume = false;
    this.seen = 0;
    this.sent = 0;
    this.repeats = { get: 0, post: 0 };
  }

  open() {
    const began = Date.now();
    this.timers.set('info', INFO_MS, () => this.fail(closing(1002, 'Cannot connect to server')));
    this.get = this.request('info', '&resume=1', undefined, (error, text) => {
      this.get = null;
      this.timers.clear('info');
      try {
        if (error) throw error;
        this.informed(JSON.parse(text), Date.now() - began);
      } catch (reason) {
        this.fail(reason);
      }
    });
  }

  informed(info, rtt) {
    this.rto = rtt > 100 ? 4 * rtt : 300 + rtt;
    this.resume = info.resume === true;
    if (info.base_url) {
      const base = new URL(info.base_url, this.url);
      this.url = base.origin + base.pathname.replace(/\/*$/, '/') + this.url.slice(this.url.indexOf('?'));
    }
    this.choose(SOCKJS_TRANSPORTS, (name) => name !== 'websocket' || info.websocket !== false);
  }

  patience() {
    return Math.max(this.options.timeout || 0, this.rto * ROUND_TRIPS);
  }

  exhausted(cause) {
    return Object.assign(closing(2000, 'All transports failed'), { cause });
  }

  // Every transport has a session of its own.
  begin(name) {
    this.transport = name;
    this.path = String(1000 + Math.random() * 1000).slice(1, 4) + '/' + randomText(16) + '/';
    if (name === 'websocket') this.connect(this.path + name);
    else this.receive();
  }

  // --- what comes ---

  // A stream ends when it has brought enough, a poll with its first frame.
  receive() {
    const streaming = this.transport === 'xhr-streaming';
    let rest = '';
    let any = false;
    const part = (piece) => {
      const end = piece.lastIndexOf('\n');
      if (end < 0) {
        rest += piece;
        return;
      }
      any = true;
      const frames = (rest + piece.slice(0, end)).split('\n');
      rest = piece.slice(end + 1);
      this.guard(() => frames.forEach((frame) => this.frame(frame)));
    };
    // Once open, no other session is wanted.
    const seen = this.resume ? '&seen=' + this.seen + (this.opened ? '&open=1' : '') : '';
    this.get = this.request(this.path + (streaming ? 'xhr_streaming' : 'xhr'), seen, '', (error, text) => {
      this.get = null;
      if (!error && !any) part(text);
      if (this.over) return;
      if (error) return this.repeat('get', error, () => this.receive());
      if (!any) return this.lost(closing(1006, 'An empty answer'));
      this.repeats.get = 0;
      this.receive();
    }, streaming ? { part } : {});
  }

  frame(text) {
    if (this.over) return;
    switch (text[0]) {
      case 'o':
        if (this.opened) throw closing(1006, 'Server lost session');
        return this.ready();
      case 'a':
        for (const message of JSON.parse(text.slice(1))) this.message(message);
        return;
      case 'm': return this.message(JSON.parse(text.slice(1)));
      case 'c': return this.closed(...JSON.parse(text.slice(1)));
    }
  }

  message(text) {
    this.seen++;
    this.repeats.get = 0;
    this.relay('data', fromText(text));
  }

  // By the server: as official clients report it, anything but 1000 is an error too.
  closed(code, reason) {
    if (!this.opened && !chosen(code)) this.lost(closing(code, reason));
    else if (code > 1000) this.fail(closing(code, reason));
    else this.finish();
  }

  // A request whose server may still have the session. A refusal is an answer, but for the one that says that nobody has
  // read for long.
  repeat(kind, error, fn) {
    const { status = 503 } = error;
    const times = this.repeats[kind]++;
    if (!this.resume || !this.opened || status !== 503 || times >= REPEATS) return super.undelivered(error);
    this.timers.set(kind, REPEAT_MS << times, fn);
  }

  broken(reason) {
    // A close event of a WebSocket has these.
    if (reason.type === 'close') this.closed(reason.code, reason.reason || 'WebSocket connection broken');
    else this.fail(reason);
  }

  // --- what goes ---

  send(message) {
    const piece = JSON.stringify(toText(message));
    if (this.socket) this.socket.send('[' + piece + ']');
    else this.put(piece);
  }

  deliver(pieces, fn, parameters = '') {
    const first = this.resume ? '&first=' + this.sent : '';
    return this.request(this.path + 'xhr_send', first + parameters, '[' + pieces + ']', fn);
  }

  delivered(count) {
    this.sent += count;
    this.repeats.post = 0;
  }

  undelivered(error) {
    this.repeat('post', error, () => this.flush());
  }

  // The server takes the end of our request for the end, unless it keeps the session for those that come back.
  goodbye(fn) {
    if (this.resume && this.opened && !this.socket) this.post = this.deliver([], fn, '&end=1');
    else fn();
  }
}

function transformer(client, relay) {
  const session = new SockJS(client, relay);
  session.open();
  return session;
}
