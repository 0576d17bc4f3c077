// One HTTP request at a time: by Node's own client where there is one, since it takes certificates, an agent
// and every header, and by fetch elsewhere.

// An idle connection is given up sooner than servers do (gunicorn after 2 s): a request must not cross its end.
const IDLE_MS = 1000;

const nodeAgents = {};

// `http` or `https` of Node, and an agent that keeps connections alive.
function nodeClient(name) {
  try {
    const { request, Agent } = load(name);
    const agent = nodeAgents[name] || (nodeAgents[name] = new Agent({ keepAlive: true, timeout: IDLE_MS }));
    return { request, agent };
  } catch (error) {
    return null; // a browser, or a Node whose modules we cannot reach
  }
}

// The headers that are asked for, and the address without what belongs to them: fetch refuses user and password
// in an address, and `ws` does not decode them.
function addressed(url, options) {
  const target = new URL(url);
  const headers = Object.assign({}, options.headers, options.extraHeaders);
  if (target.username || target.password) {
    headers.Authorization = 'Basic ' + btoa(utf8Text(decodeURIComponent(target.username + ':' + target.password)));
    target.username = target.password = '';
  }
  return { address: target.href, headers };
}

// What a stream of bytes has as text, in the end and meanwhile.
function readPieces(reader, take) {
  const decoder = new TextDecoder();
  let text = '';
  return reader.read().then(function next({ done, value }) {
    const piece = decoder.decode(value, { stream: !done });
    text += piece;
    if (piece) take(piece);
    return done ? text : reader.read().then(next);
  });
}

// GET, or POST with a body of text. fn(error, text) is called once, later; not after the function that is
// returned: it gives the request up. `options` are the client's `transport`. part(text) is called with each piece of
// the answer as it comes.
function httpRequest(url, options, body, fn, { type = 'text/plain;charset=UTF-8', part } = {}) {
  const post = typeof body === 'string';
  const method = post ? 'POST' : 'GET';
  const { address, headers } = addressed(url, options);
  // A simple request, as CORS calls it: no preflight.
  if (post) headers['Content-Type'] = type;

  let wanted = true;
  const settle = (error, status, text) => {
    if (!wanted) return;
    wanted = false;
    if (!error && status !== 200 && status !== 204) {
      error = Object.assign(new Error('Unexpected server response: ' + status), { status, body: text });
    }
    fn(error, text);
  };
  const take = (piece) => { if (wanted && part) part(piece); };

  let cancel = null;
  const node = nodeClient(/^https:/.test(url) ? 'https' : 'http');
  if (node) {
    const settings = Object.assign({ agent: node.agent }, options, { method, headers });
    const sent = node.request(address, settings, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece) => {
        text += piece;
        if (answer.statusCode === 200) take(piece);
      });
      // Later, when the connection is free for the request that may follow.
      answer.on('end', () => setImmediate(settle, null, answer.statusCode, text));
      answer.on('error', settle);
    });
    sent.on('error', settle);
    sent.end(body);
    cancel = () => sent.destroy();
  } else {
    const { withCredentials = SETTINGS.credentials } = options;
    const credentials = withCredentials === false ? 'same-origin' : 'include';
    const controller = new AbortController();
    fetch(address, { method, headers, body, credentials, signal: controller.signal })
      .then((answer) => {
        const pieces = part && answer.status === 200 && answer.body;
        return (pieces ? readPieces(pieces.getReader(), take) : answer.text()).then((text) => [answer.status, text]);
      })
      .then(([status, text]) => settle(null, status, text), settle);
    cancel = () => controller.abort();
  }
  return () => {
    wanted = false;
    cancel();
  };
}
