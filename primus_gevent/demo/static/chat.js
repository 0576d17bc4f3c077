'use strict';

// The page of the chat. Everything that people write reaches it by `textContent`, never as HTML.

const PING = 1000; // ms; far shorter than the 25 s of the default, so that the latency can be watched
const SAMPLES = 40; // of the latency, in the sparkline
const EVENTS = 40; // in the list of the client's events
const MESSAGES = 400; // on the page; older ones are removed

const $ = (id) => document.getElementById(id);

// --- the client ---

const primus = new Primus({
  ping: PING,
  pong: 5000,
  // By default the first attempt comes after 500 ms: too soon to see anything.
  reconnect: { min: 3000, max: 20000, retries: 10 }
});

// The name travels in the URL of each connection, also of those that the client opens by itself.
primus.on('outgoing::url', (url) => {
  url.query = 'name=' + encodeURIComponent(myName);
});

// --- my name ---

const ADJECTIVES = ['Quiet', 'Brave', 'Swift', 'Sunny', 'Clever', 'Gentle', 'Lucky', 'Merry'];
const ANIMALS = ['Otter', 'Falcon', 'Badger', 'Heron', 'Lynx', 'Marten', 'Puffin', 'Hare'];
const pick = (list) => list[Math.floor(Math.random() * list.length)];

// Of this tab, so that two tabs are two people.
let myName = sessionStorage.getItem('name') || pick(ADJECTIVES) + ' ' + pick(ANIMALS);
$('name').value = myName;

$('name').addEventListener('change', () => {
  const name = $('name').value.trim();
  if (name && name !== myName) {
    myName = name;
    sessionStorage.setItem('name', name);
    // Otherwise the next connection tells it.
    if (primus.readyState === Primus.OPEN) primus.write({ type: 'name', name });
  }
  $('name').value = myName;
});

$('name').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter') return;
  event.preventDefault();
  $('text').focus();
});

// --- messages: out ---

const mine = new Map(); // tag of a message of mine -> its element
const unconfirmed = new Map(); // the same, as long as the server has not sent it back

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text) return;
  const tag = crypto.getRandomValues(new Uint32Array(3)).join('-');
  const element = addMessage({ name: myName, text, time: Date.now() / 1000 }, true);
  const connected = primus.readyState === Primus.OPEN;
  element.classList.add('unconfirmed');
  if (!connected) note(element, 'waits for the connection');
  mine.set(tag, element);
  unconfirmed.set(tag, { element, connected });
  // Without a connection the client keeps it, and sends it with the next one.
  primus.write({ type: 'say', text, tag });
  $('text').value = '';
  countLeft();
  $('log').scrollTop = $('log').scrollHeight;
});

$('text').addEventListener('input', countLeft);

function countLeft() {
  const left = $('text').maxLength - $('text').value.length;
  $('left').textContent = left <= 50 ? left + ' characters left' : '';
}

// --- messages: in ---

const seen = new Set(); // ids of messages: after a reconnect the history repeats some

const REACTIONS = {
  welcome({ history }) {
    for (const said of history) REACTIONS.said(said);
    // What was under way when the connection was cut, and is not in the history, did not arrive.
    for (const [tag, { element, connected }] of unconfirmed) {
      if (!connected) continue;
      note(element, 'did not arrive');
      unconfirmed.delete(tag);
    }
  },
  said(message) {
    if (seen.has(message.id)) return;
    seen.add(message.id);
    const element = mine.get(message.tag);
    if (!element) return addMessage(message, false);
    unconfirmed.delete(message.tag);
    element.classList.remove('unconfirmed');
    note(element, '');
  },
  joined({ name, online }) {
    addNotice(name, ' joined');
    showOnline(online);
  },
  left({ name, online }) {
    addNotice(name, ' left');
    showOnline(online);
  },
  renamed({ before, name, online }) {
    addNotice(before, ' is now ', name);
    showOnline(online);
  },
  notice({ text }) {
    addNotice('', text);
  }
};

primus.on('data', (message) => REACTIONS[message.type](message));

function showOnline(online) {
  $('online').textContent = online === 1 ? 'Only you here' : online + ' people here';
}

// --- the log of the chat ---

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function append(element) {
  const log = $('log');
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  log.append(element);
  while (log.children.length > MESSAGES) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
  return element;
}

function addMessage({ name, text, time }, own) {
  const item = make('li', own ? 'message own' : 'message');
  const before = $('log').lastElementChild;
  item.dataset.author = own ? '' : name;
  if (before && before.classList.contains('message') && before.dataset.author === item.dataset.author) {
    item.classList.add('same');
  }
  const avatar = make('span', 'avatar', [...name][0]);
  avatar.setAttribute('aria-hidden', 'true');
  item.style.setProperty('--hue', hue(name));

  const head = make('p', 'head');
  head.append(make('bdi', 'name', own ? 'You' : name), make('time', '', clock(time * 1000)));
  const body = make('p', 'text', text);
  body.dir = 'auto';
  item.append(avatar, head, body, make('p', 'note'));
  return append(item);
}

function note(element, text) {
  element.querySelector('.note').textContent = text;
}

// Names apart from our own words, and each in a direction of its own.
function addNotice(name, text, after) {
  const item = make('li', 'notice');
  item.append(make('bdi', '', name), text);
  if (after) item.append(make('bdi', '', after));
  append(item);
}

function hue(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}

function clock(time, seconds) {
  const options = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  if (seconds) options.second = '2-digit';
  return new Date(time).toLocaleTimeString('en', options);
}

// --- the connection: what the events of the client say about it ---

const LABELS = {
  connecting: 'Connecting',
  open: 'Open',
  reconnecting: 'Reconnecting',
  offline: 'Offline',
  closed: 'Closed'
};
// The second button offers what makes sense now.
const OTHER = {
  connecting: 'Stop',
  open: 'Disconnect',
  reconnecting: 'Try now',
  offline: 'Try now',
  closed: 'Connect'
};

let state = 'connecting';
let since = Date.now();
let outage = null; // while reconnecting: the client's own options object
let attemptAt = 0; // when the next attempt starts; 0 while one is running
let lostAt = 0;
let leaving = false; // we ended it ourselves

function show(next, spoken) {
  if (state !== next) since = Date.now();
  state = next;
  document.body.dataset.state = state;
  $('state').textContent = LABELS[state];
  $('spoken').textContent = 'Connection: ' + (spoken || LABELS[state]);
  $('other').textContent = OTHER[state];
  $('kill').disabled = state !== 'open';
  tick();
}

function tick() {
  $('detail').textContent = {
    connecting: () => '\u2026',
    open: () => 'for ' + duration(Date.now() - since),
    reconnecting: describeAttempt,
    offline: () => 'no network; waiting for it',
    closed: () => 'no further attempts'
  }[state]();
}

function describeAttempt() {
  const attempt = '(attempt ' + outage.attempt + ' of ' + outage.retries + ')';
  if (!attemptAt) return 'now ' + attempt;
  return 'in ' + Math.max(Math.ceil((attemptAt - Date.now()) / 1000), 0) + ' s ' + attempt;
}

function duration(ms) {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? seconds + ' s' : Math.floor(seconds / 60) + ' min ' + (seconds % 60) + ' s';
}

primus.on('open', () => {
  if (lostAt) addNotice('', 'Connected again after ' + ((Date.now() - lostAt) / 1000).toFixed(1) + ' s');
  lostAt = 0;
  show('open');
  // Of opening the connection, until the first heartbeat.
  showLatency(primus.latency);
});

primus.on('close', () => {
  if (!lostAt) addNotice('', leaving ? 'You have disconnected' : 'The connection is lost');
  lostAt = lostAt || Date.now();
  $('online').textContent = 'Not connected';
  sample(null);
});

primus.on('reconnect scheduled', (options) => {
  outage = options;
  attemptAt = Date.now() + options.scheduled;
  show('reconnecting', 'reconnecting, attempt ' + options.attempt + ' of ' + options.retries);
});

primus.on('reconnect', (options) => {
  outage = options;
  attemptAt = 0;
  show('reconnecting');
});

primus.on('offline', () => show('offline'));
primus.on('end', () => show('closed'));

setInterval(tick, 250);

$('kill').addEventListener('click', () => {
  primus.write({ type: 'kill' });
  // Where one wants to be now; a click on a phone must not open its keyboard.
  if (matchMedia('(hover: hover)').matches) $('text').focus();
});

$('other').addEventListener('click', () => {
  if (state === 'open' || state === 'connecting') {
    leaving = true;
    primus.end();
    leaving = false;
  } else {
    show('connecting');
    primus.open();
  }
});

// --- latency ---

const samples = []; // ms; null where there was no connection
let pingedAt = 0;

// `primus.latency` counts whole milliseconds, and on one machine an answer takes less than one.
primus.on('outgoing::ping', () => { pingedAt = performance.now(); });
primus.on('incoming::pong', () => sample(performance.now() - pingedAt));

function sample(ms) {
  samples.push(ms);
  if (samples.length > SAMPLES) samples.shift();
  showLatency(ms);
  draw();
}

function showLatency(ms) {
  $('latency').textContent = ms === null ? '\u2013' : (ms < 10 ? ms.toFixed(1) : Math.round(ms)) + ' ms';
}

// A line for each run of samples, and the area below it.
function draw() {
  // A single slow answer is cut off at the top, or all the others would be a flat line.
  const sorted = samples.filter((ms) => ms !== null).sort((a, b) => a - b);
  const top = Math.min(1.15 * Math.max(0, ...sorted), 4 * (sorted[sorted.length >> 1] || 0)) || 1;
  const runs = [[]];
  samples.forEach((ms, i) => {
    const x = (SAMPLES - samples.length + i) * (120 / (SAMPLES - 1));
    if (ms === null) runs.push([]);
    else runs[runs.length - 1].push(x.toFixed(1) + ' ' + (33 - Math.min(ms / top, 1) * 32).toFixed(1));
  });
  const lines = runs.filter((run) => run.length).map((run) => {
    const [begin, end] = [run[0], run[run.length - 1]].map((point) => point.split(' ')[0]);
    return { line: 'M' + run.join('L'), area: `M${begin} 34L${run.join('L')}L${end} 34Z` };
  });
  for (const name of ['line', 'area']) {
    document.querySelector('#sparkline .' + name).setAttribute('d', lines.map((run) => run[name]).join(''));
  }
}

// --- the events, as they come ---

const EXPLAIN = {
  'reconnect scheduled': (options) => 'attempt ' + options.attempt + ', in ' + (options.scheduled / 1000).toFixed(1) + ' s',
  reconnect: (options) => 'attempt ' + options.attempt,
  reconnected: (options) => 'after ' + (options.duration / 1000).toFixed(1) + ' s',
  'reconnect failed': (error) => error.message,
  'reconnect timeout': (error) => error.message,
  error: (error) => error.message
};

for (const event of ['open', 'close', 'end', 'timeout', 'online', 'offline', 'error', 'reconnect scheduled',
  'reconnect', 'reconnected', 'reconnect failed', 'reconnect timeout']) {
  primus.on(event, (...args) => {
    const item = make('li');
    item.append(make('time', '', clock(Date.now(), true)), make('code', '', event));
    if (EXPLAIN[event]) item.append(make('span', '', EXPLAIN[event](...args)));
    $('events').prepend(item);
    if ($('events').children.length > EVENTS) $('events').lastElementChild.remove();
  });
}

// --- the server ---

fetch('/primus/spec').then((response) => response.json()).then((spec) => {
  for (const name of ['transformer', 'parser', 'version']) $(name).textContent = spec[name];
});

if (matchMedia('(hover: hover)').matches) $('text').focus();
