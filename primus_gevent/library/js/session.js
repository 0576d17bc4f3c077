// What the sessions of SockJS, BrowserChannel and Socket.IO have in common: requests below the pathname, one POST at
// a time with what was written, and an end. What is said in them is the framework's.

// Bytes in one POST; servers take more, ours 1 MiB.
const MAX_BODY = 1e6;

// Messages in one POST: what BrowserChannel's own client sends.
const MAX_MESSAGES = 1000;

// Around a message in a body.
const FRAMING = 16;

// For what has to be sent after the end.
const GOODBYE_MS = 5000;

class Session {
  constructor(client, relay) {
    this.relay = relay;
    this.options = client.options.transport || {};
    this.url = client.uri({ protocol: client.secure ? 'https:' : 'http:' });
    this.opened = false;
    this.over = false;
    // Encoded for a body. What a POST has taken is `pending` until that has arrived.
    this.queue = [];
    this.pending = null;
    // While one is under way: the function that gives it up.
    this.get = null;
    this.post = null;
    this.requests = 0;
    this.timers = new Timers();
    client.socket = this;
  }

  // Of something below the pathname. Primus's query is on every request, and what keeps caches away.
  address(path, parameters = '') {
    return this.url.replace('?', path + '?') + parameters + '&t=' + this.requests++;
  }

  request(path, parameters, body, fn, extra) {
    return httpRequest(this.address(path, parameters), this.options, body, fn, extra);
  }

  ready() {
    this.opened = true;
    this.relay('open');
  }

  // --- what goes ---

  put(piece) {
    if (this.over) return;
    // Whatever else is written in this turn leaves with it.
    if (this.queue.push(piece) === 1) Promise.resolve().then(() => this.flush());
  }

  // deliver(pieces, fn) of the framework makes the POST, fn(error, text).
  flush() {
    if (this.post || this.timers.active('post') || !(this.pending || this.queue.length)) return;
    if (!this.pending) this.pending = this.batch();
    this.post = this.deliver(this.pending, (error, text) => {
      this.post = null;
      if (error) return this.undelivered(error);
      this.delivered(this.pending.length, text);
      this.pending = null;
      if (this.over) this.leave();
      else this.flush();
    });
  }

  // Takes from the queue what one POST may hold; a message that is too long by itself has to go alone.
  batch() {
    const { queue } = this;
    let size = 0;
    let count = 0;
    while (count < queue.length && count < MAX_MESSAGES) {
      size += atMost(queue[count]) + FRAMING;
      if (size > MAX_BODY && count) break;
      count++;
    }
    return queue.splice(0, count);
  }

  delivered() {}

  undelivered(error) {
    if (this.over) this.abort();
    else this.lost(error);
  }

  // --- the end ---

  // By us: what was written before still leaves. The GET stays until then, since servers may end the session with it.
  close() {
    if (this.over) return;
    this.over = true;
    this.timers.clear();
    this.timers.set('goodbye', GOODBYE_MS, () => this.abort());
    this.leave();
    // Primus does not listen any more if it is the one who closes.
    this.relay('end');
  }

  leave() {
    if (this.post) return;
    if (this.pending || this.queue.length) this.flush();
    else this.goodbye(() => this.abort());
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
    this.pending = null;
    this.drop();
    if (this.post) this.post();
    this.post = null;
  }

  // Gives up what waits for messages.
  drop() {
    if (this.get) this.get();
    this.get = null;
  }
}
