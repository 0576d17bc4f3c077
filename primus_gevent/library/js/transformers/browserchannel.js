// The `browserchannel` transformer: BrowserChannel, version 8. One GET brings what the server has, as a stream or, where
// something on the way keeps answers until they are whole, one piece at a time; one POST at a time takes what we have.
// Both are repeated when they break, and nothing is lost or doubled by that.
//
// `transport` options: `streaming` (false: do not try, poll), `failFast` (true: repeat no POST), `appVersion` (told to the
// server), `withCredentials`, `extraHeaders` or `headers`. In Node the others go to `http`. There is no WebSocket in it, so
// the client option `websockets: false` changes nothing.

// The times are those of the original client.
const POST_MS = 10000;
const POST_REPEATS = 2;
const GET_REPEATS = 3;
const REPEAT_PAUSE_MS = 5000;

// The server sends something every 20 seconds.
const SILENCE_MS = 45000;

// A GET that the server does not know of, although it is so old, has got lost.
const LOST_GET_MS = 3000;

// One on which nothing comes, although the server says that it has sent something, may be dead; if it is much that it
// has sent, the connection is slow.
const DEAD_GET_MS = 6000;
const SLOW_BYTES = 37500;

const FORM = { type: 'application/x-www-form-urlencoded' };

function failure(code, message) {
  return Object.assign(new Error(message), { code });
}

// Cuts a stream into its chunks, each with its length in front.
class Chunks {
  constructor(fn) {
    this.fn = fn;
    this.rest = '';
    this.length = -1;
  }

  take(piece) {
    this.rest += piece;
    for (;;) {
      if (this.length < 0) {
        const end = this.rest.indexOf('\n');
        if (end < 0) return;
        this.length = Number(this.rest.slice(0, end));
        if (!(this.length > 0)) throw failure(10, 'Got bad data from the server');
        this.rest = this.rest.slice(end + 1);
      }
      if (this.rest.length < this.length) return;
      const chunk = this.rest.slice(0, this.length);
      this.rest = this.rest.slice(this.length);
      this.length = -1;
      this.fn(chunk);
    }
  }
}

class BrowserChannel extends Session {
  constructor(client, relay) {
    super(client, relay);
    this.transport = { name: undefined };
    // Of the session, and of the spark.
    this.id = undefined;
    // Of the host that GETs go to, so that they do not count among a browser's connections to ours.
    this.prefix = null;
    // Of the next POST.
    this.rid = Math.floor(Math.random() * 100000);
    // Of the first message in it.
    this.offset = 0;
    // Of the last array that has come.
    this.last = -1;
    this.began = 0;
    this.repeats = { get: 0, post: 0 };
  }

  address(path, parameters) {
    const session = this.id ? '&SID=' + encodeURIComponent(this.id) + '&AID=' + this.last : '';
    return super.address(path, '&VER=8' + session + parameters);
  }

  // From the other host, if there is one.
  fromHost(path, parameters, fn, part) {
    const host = this.prefix ? this.prefix + '.' : '';
    const url = this.address(path, parameters).replace(/^\w+:\/\/([^/@]*@)?/, (start) => start + host);
    return httpRequest(url, this.options, undefined, fn, { part });
  }

  // --- the test phase ---

  open() {
    this.get = this.request('test', '&MODE=init', undefined, (error, text) => {
      this.get = null;
      if (error) return this.fail(error);
      this.guard(() => {
        this.prefix = JSON.parse(text)[0];
        if (this.options.streaming === false) this.bind('long-polling');
        else this.test();
      });
    });
  }

  // Whether an answer comes as it is sent: its first five characters come alone then.
  test() {
    let seen = '';
    this.get = this.fromHost('test', '&TYPE=xmlhttp', (error) => {
      this.get = null;
      if (error) this.fail(error);
      else this.bind('long-polling');
    }, (piece) => {
      seen += piece;
      if (seen !== '11111') return;
      this.drop();
      this.bind('streaming');
    });
  }

  // The first POST makes the session; it is not repeated, since that might make two.
  bind(name) {
    this.transport.name = name;
    const { appVersion } = this.options;
    const version = appVersion === undefined ? '' : '&CVER=' + encodeURIComponent(appVersion);
    this.post = this.request('bind', '&RID=' + this.rid++ + version, 'count=0', (error, text) => {
      this.post = null;
      if (error) return this.over ? this.abort() : this.fail(error);
      this.guard(() => {
        new Chunks((chunk) => this.arrays(chunk)).take(text);
        if (!this.id) throw failure(10, 'Got bad data from the server');
        if (this.over) this.leave();
        else this.receive();
      });
    }, FORM);
  }

  // --- what comes ---

  receive() {
    let any = false;
    const chunks = new Chunks((chunk) => {
      any = true;
      this.repeats.get = 0;
      this.arrays(chunk);
    });
    const take = (piece) => {
      this.heard();
      try {
        chunks.take(piece);
      } catch (error) {
        this.again(error);
      }
    };
    const streaming = this.transport.name === 'streaming';
    const parameters = '&RID=rpc&CI=' + (streaming ? 0 : 1) + '&TYPE=xmlhttp';
    this.began = Date.now();
    this.heard();
    this.get = this.fromHost('bind', parameters, (error, text) => {
      this.get = null;
      if (!error && !any) take(text);
      if (this.over || this.timers.active('get')) return;
      if (error || !any) this.again(error || failure(5, 'No data from server'));
      else this.receive();
    }, streaming ? take : undefined);
  }

  heard() {
    this.timers.clear('dead');
    this.timers.set('silence', SILENCE_MS, () => this.again(failure(5, 'No data from server')));
  }

  // Each with its number. Those that have not been acknowledged come again with the next GET.
  arrays(chunk) {
    for (const [number, data] of JSON.parse(chunk)) {
      if (this.over && this.id) return;
      if (number <= this.last) continue;
      this.last = number;
      if (Array.isArray(data)) this.control(data);
      else this.relay('data', fromText(data));
    }
  }

  control([name, id, prefix]) {
    if (name === 'c' && !this.id) {
      this.id = id;
      this.prefix = prefix;
      this.ready();
    } else if (name === 'stop') {
      // Official clients report an error; it is the way in which sparks end here. The session is not over by itself.
      this.queue = [];
      this.close();
    }
  }

  // Drops the GET, if there is one, and makes another.
  again(error) {
    this.drop();
    this.timers.clear('silence', 'dead');
    this.repeat('get', GET_REPEATS, error, () => this.receive());
  }

  // At once at first, then after 5 to 15 seconds, then after 10 to 30.
  repeat(kind, limit, error, fn) {
    const times = this.repeats[kind]++;
    if (/Unknown SID/.test(error.body)) return this.fail(failure(6, 'Unknown session ID'));
    if (times >= limit) return this.fail(error);
    this.timers.set(kind, (REPEAT_PAUSE_MS + Math.random() * 2 * REPEAT_PAUSE_MS) * times || 1, fn);
  }

  // --- what goes ---

  send(message) {
    // `=` and the text.
    this.put(new URLSearchParams({ '': toText(message) }).toString());
  }

  // A repeated POST has the number of the first one, and its messages have theirs: what has arrived is not taken again.
  deliver(pieces, fn) {
    const maps = pieces.map((piece, index) => '&req' + index + '__S' + piece);
    const body = 'count=' + pieces.length + '&ofs=' + this.offset + maps.join('');
    const began = Date.now();
    this.timers.set('late', POST_MS + Math.random() * POST_MS, () => {
      this.post();
      fn(new Error('The server does not answer'));
    });
    return this.request('bind', '&RID=' + this.rid, body, (error, text) => {
      this.timers.clear('late');
      fn(error, text);
      if (!error && !this.over) this.guard(() => this.check(text, began));
    }, FORM);
  }

  delivered(count) {
    this.rid++;
    this.offset += count;
    this.repeats.post = 0;
  }

  undelivered(error) {
    const { failFast } = this.options;
    if (this.over) this.abort();
    else this.repeat('post', failFast ? 0 : POST_REPEATS, error, () => this.flush());
  }

  // What the server knows of our GET.
  check(text, began) {
    const answer = JSON.parse(text.slice(text.indexOf('\n')));
    if (!Array.isArray(answer) || answer.length !== 3) throw failure(11, 'Got a bad response from the server');
    const [waiting, last, outstanding] = answer;
    if (!this.get) return;
    if (!waiting) {
      if (began - this.began > LOST_GET_MS) this.again(failure(5, 'No data from server'));
    } else if (last > this.last && outstanding < SLOW_BYTES && !this.timers.active('dead')) {
      this.timers.set('dead', DEAD_GET_MS, () => this.again(failure(5, 'No data from server')));
    }
  }

  guard(fn) {
    try {
      fn();
    } catch (error) {
      this.fail(error);
    }
  }

  // --- the end ---

  // A session that may be about to be made is waited for.
  goodbye(fn) {
    if (this.id) this.post = this.request('bind', '&RID=' + this.rid + '&TYPE=terminate', undefined, fn);
    else fn();
  }
}

function transformer(client, relay) {
  const session = new BrowserChannel(client, relay);
  session.open();
  return session;
}
