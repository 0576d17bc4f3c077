// A session of Engine.IO by polling: one GET waits for what the server has, and one POST at a time takes what
// we have. It speaks revision 4, and 3 when the server's first answer is of that kind: servers before 4 do not
// look at what we say. What WebSockets add is in transformers/engine.io.js.

const SEPARATOR = '\x1e';

// In one POST, where the server says nothing (bytes), and where it never does.
const MAX_PAYLOAD = 1e6;
const MAX_PACKETS = 16384;

// For the last POST.
const GOODBYE_MS = 5000;

// The pingTimeout of engine.io 1.x, unless configured; 3.x waits 5 or 20 seconds.
const OLD_PING_TIMEOUT = 60000;

const BEYOND_BYTES = /[^\0-\xff]/;

class Engine {
  constructor(client, relay) {
    this.relay = relay;
    this.options = client.options.transport || {};
    this.url = client.uri({ protocol: client.secure ? 'https:' : 'http:' });
    // As official clients name it.
    this.transport = { name: 'polling' };
    // Of the session, and of the spark; undefined before it is open.
    this.id = undefined;
    // The server speaks revision 3.
    this.legacy = false;
    // Servers of that revision up to engine.io 1.8 encode text twice in bodies.
    this.twice = false;
    // They do not, for certain.
    this.plain = false;
    this.over = false;
    this.queue = [];
    // While one is under way: the function that gives it up.
    this.get = null;
    this.post = null;
    this.requests = 0;
    this.timers = new Timers();
    client.socket = this;
  }

  address(transport, parameters) {
    const sid = this.id ? '&sid=' + encodeURIComponent(this.id) : '';
    const name = '&EIO=4&transport=' + transport + '&t=' + this.requests++;
    return this.url.replace(/^(http|ws)/, transport === 'polling' ? 'http' : 'ws') + name + sid + parameters;
  }

  // b64: servers of revision 3 would send bodies of bytes.
  request(body, fn) {
    return httpRequest(this.address('polling', '&b64=1'), this.options, body, fn);
  }

  open() {
    this.poll();
  }

  // --- what comes ---

  poll() {
    this.get = this.request(undefined, (error, text) => {
      this.get = null;
      if (this.over) return;
      if (error) return this.fail(error);
      this.read(text);
      this.proceed();
    });
  }

  // Whatever is to be done after a request.
  proceed() {
    if (this.over) return;
    if (!this.get) this.poll();
    this.flush();
  }

  read(body) {
    if (!this.id) this.legacy = /^\d+:0/.test(body);
    this.heard();
    try {
      for (const packet of this.legacy ? this.entries(body) : body.split(SEPARATOR)) this.receive(packet);
    } catch (error) {
      this.fail(error);
    }
  }

  // The packets of a body of revision 3: each with its length in front.
  *entries(body) {
    const head = /(\d+):/y;
    while (head.lastIndex < body.length) {
      const start = head.lastIndex;
      const [, length] = head.exec(body) || [];
      const end = head.lastIndex + Number(length);
      if (!(end <= body.length)) throw new Error('A broken answer: ' + body.slice(start, start + 80));
      if (length > 0) yield this.decoded(body.slice(head.lastIndex, end));
      head.lastIndex = end;
    }
  }

  // Text that was encoded twice is told by its characters: bytes that are valid UTF-8. We answer in kind. Other
  // text may look like that by chance, but what does not look like it tells for ever.
  decoded(packet) {
    if (this.plain || !BEYOND_ASCII.test(packet)) return packet;
    try {
      if (BEYOND_BYTES.test(packet)) throw new Error('no bytes');
      const text = new TextDecoder('utf-8', { fatal: true }).decode(textBytes(packet));
      this.twice = true;
      return text;
    } catch (error) {
      this.plain = true;
      this.twice = false;
      return packet;
    }
  }

  receive(packet) {
    if (this.over) return;
    const data = packet.slice(1);
    // The open packet comes first, and no other comes before it.
    if (!this.id !== (packet[0] === '0')) throw new Error('An unexpected packet: ' + packet.slice(0, 80));
    switch (packet[0]) {
      case '0': return this.opened(JSON.parse(data));
      case '1': return this.finish();
      case '2': return this.put('3' + data);
      case '3': case '6': return;
      case '4': return this.relay('data', data);
      // With the type of the packet, in revision 3.
      case 'b': return this.relay('data', textBytes(atob(this.legacy ? data.slice(1) : data)).buffer);
    }
    throw new Error('An unknown packet: ' + packet.slice(0, 80));
  }

  opened(handshake) {
    const { sid, pingInterval, pingTimeout, maxPayload } = handshake;
    this.id = sid;
    this.limit = maxPayload || MAX_PAYLOAD;
    this.twice = pingTimeout >= OLD_PING_TIMEOUT;
    this.patience = pingInterval + pingTimeout;
    this.heard();
    if (this.legacy) this.ping(pingInterval);
    this.relay('open');
  }

  // --- heartbeats: the server's in revision 4, ours in 3 ---

  heard() {
    this.timers.set('silence', this.patience, () => this.close());
  }

  ping(interval) {
    this.timers.set('ping', interval, () => {
      this.put('2');
      this.ping(interval);
    });
  }

  // --- what goes ---

  send(message) {
    const bytes = binaryOf(message);
    this.put(bytes ? (this.legacy ? 'b4' : 'b') + btoa(byteText(bytes)) : '4' + message);
  }

  put(packet) {
    if (this.over) return;
    // Whatever else is written in this turn leaves with it.
    if (this.queue.push(packet) === 1) Promise.resolve().then(() => this.flush());
  }

  flush() {
    if (this.post || !this.queue.length) return;
    const body = this.body();
    this.post = this.request(body, (error) => {
      this.post = null;
      if (!this.over) return error ? this.fail(error) : this.proceed();
      // The goodbye, or what has to leave in front of it.
      if (error || !this.queue.length) this.abort();
      else this.flush();
    });
  }

  // Takes from the queue what one POST may hold; a packet that is too long by itself has to go alone.
  body() {
    const { queue } = this;
    const pieces = [];
    let size = 0;
    while (queue.length && pieces.length < MAX_PACKETS) {
      let piece = queue[0];
      if (this.legacy) {
        if (this.twice) piece = utf8Text(piece);
        piece = piece.length + ':' + piece;
      }
      size += atMost(piece) + 1;
      if (size > this.limit && pieces.length) break;
      pieces.push(piece);
      queue.shift();
    }
    return pieces.join(this.legacy ? '' : SEPARATOR);
  }

  // --- the end ---

  // By us: what was written before still leaves. The GET stays until then, since some servers end the session
  // with it, and take nothing any more.
  close() {
    if (this.over) return;
    this.over = true;
    this.goodbye();
    // Primus does not listen any more if it is the one who closes.
    this.relay('end');
  }

  goodbye() {
    if (!this.id) return this.abort();
    this.timers.set('goodbye', GOODBYE_MS, () => this.abort());
    this.queue.push('1');
    this.flush();
  }

  // By the server.
  finish(reason) {
    this.over = true;
    this.abort();
    this.relay('end', reason);
  }

  fail(error) {
    if (this.over) return;
    this.over = true;
    this.abort();
    this.relay('error', error);
    this.relay('end', error);
  }

  // Nothing is left under way.
  abort() {
    this.timers.clear();
    this.queue = [];
    if (this.get) this.get();
    if (this.post) this.post();
  }
}
