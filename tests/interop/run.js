'use strict';

/**
 * Plays scenarios for one client and one server: `node run.js --client primus8 --server python [--browser]`.
 *
 * Starts the servers, is the `control` of harness.js, and prints one line of JSON per scenario. The README has all
 * options. Ends with 0 when every scenario was played, whatever came of it, and with 1 when that was not possible.
 */
const { execFileSync, spawn } = require('child_process');
const dns = require('dns');
const { EventEmitter, once } = require('events');
const fs = require('fs');
const http = require('http');
const Module = require('module');
const net = require('net');
const path = require('path');
const readline = require('readline');
const frameworks = require('./frameworks');
const harness = require('./harness');

const ROOT = path.join(__dirname, '..', '..');
const CLIENTS = Object.keys(frameworks.CLIENTS);
const SERVERS = ['python', 'primus8', 'primus24'];
const MIB = 1024 * 1024;

// Without --parser everything that does not depend on it is played, with `json`.
const SUITES = { json: ['connections', 'extensions'], parsers: ['parsers'], core: ['core'] };
for (const name of Object.values(SUITES).flat()) require(`./suites/${name}`);
const QUIET = 'the servers had nothing to complain about';

const settings = argumentsOf(process.argv.slice(2));

function argumentsOf(words) {
  const known = {
    client: 'ours', server: 'python', transformer: 'websockets', way: '', parser: '', suite: '', only: '', host: '', python: '',
    several: false, browser: false, list: false
  };
  for (let n = 0; n < words.length; n++) {
    const name = words[n].replace(/^--/, '');
    if (!(name in known)) throw new Error(`unknown option ${words[n]}; known are: --${Object.keys(known).join(', --')}`);
    known[name] = typeof known[name] === 'boolean' ? true : words[++n];
  }
  const must = (name, value, choice) => {
    if (!choice.includes(value)) throw new Error(`unknown ${name} ${value}; known are: ${choice.join(', ')}`);
  };
  const list = (text) => (text ? text.split(',') : []);
  must('client', known.client, CLIENTS);
  must('server', known.server, SERVERS);
  known.transformers = list(known.transformer);
  for (const one of known.transformers) must('transformer', one, frameworks.CLIENTS[known.client]);
  // of each transformer those that it has, or else the one that a client takes by itself
  known.ways = {};
  const all = known.transformers.flatMap((one) => Object.keys(frameworks.WAYS[one]));
  for (const way of list(known.way)) must('way', way, all);
  for (const one of known.transformers) {
    const ways = Object.keys(frameworks.WAYS[one]);
    const chosen = list(known.way).filter((way) => ways.includes(way));
    known.ways[one] = chosen.length ? chosen : [ways[0]];
  }
  if (known.server !== 'python' && (known.several || known.host)) throw new Error('--several and --host are for our server');
  const usual = known.parser ? SUITES.parsers : known.several || known.host ? SUITES.core : SUITES.json;
  known.suites = known.suite ? list(known.suite) : usual;
  for (const one of known.suites) must('suite', one, Object.values(SUITES).flat());
  return known;
}

// Names below `localhost` are this machine's (RFC 6761, section 6.3), but not every resolver knows.
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(/\.localhost$/.test(name) ? '127.0.0.1' : name, ...rest);

// --- servers ---

const running = new Map(); // port -> child process
process.on('exit', () => { // also after an error that nobody caught
  for (const child of running.values()) kill(child);
});
let complaints = ''; // what all servers wrote to stderr

function python() {
  const venv = path.join(ROOT, '.venv', 'bin', 'python');
  return settings.python || (fs.existsSync(venv) ? venv : 'python3');
}

function environment() {
  return { ...process.env, PYTHONPATH: ROOT }; // the package of this tree, installed or not
}

function command(kind, options) {
  if (kind !== 'python') {
    // 2.4 uses what Node has deprecated since; stderr is for real complaints
    const words = ['--no-deprecation', path.join(__dirname, 'server.js'), kind, JSON.stringify(options)];
    return [process.execPath, words];
  }
  return [python(), [path.join(__dirname, 'server.py'), JSON.stringify(options), settings.host || 'pywsgi']];
}

/** A process of its own; its `ports` come, or nothing where it ends before. */
function launch(kind, list) {
  const detached = settings.host.startsWith('gunicorn'); // it has children of its own, which end with its process group
  const child = spawn(...command(kind, list), { cwd: ROOT, env: environment(), detached, stdio: ['ignore', 'pipe', 'pipe'] });
  child.group = detached;
  child.stderr.setEncoding('utf8').on('data', (text) => { complaints += text; });
  const lines = readline.createInterface({ input: child.stdout });
  child.ports = Promise.race([once(lines, 'line').then(([line]) => JSON.parse(line).ports), once(child, 'exit').then(() => undefined)]);
  return child;
}

let forks = null; // the process of forks.py

/** A copy of that process, as `launch` gives it. */
function fork(list) {
  if (!forks) {
    forks = spawn(python(), [path.join(__dirname, 'forks.py'), settings.host || 'pywsgi'],
      { cwd: ROOT, env: environment(), stdio: ['pipe', 'pipe', 'pipe'] });
    forks.children = [];
    forks.stderr.setEncoding('utf8').on('data', (text) => { complaints += text; });
    readline.createInterface({ input: forks.stdout }).on('line', (line) => {
      const { id, pid, ports, exit } = JSON.parse(line);
      const child = forks.children[id];
      if (ports) return child.emit('ports', Object.assign(child, { pid }) && ports);
      child.exitCode = exit;
      return child.emit('exit', exit);
    });
    forks.on('exit', (code) => { for (const child of forks.children) if (child.exitCode === null) child.emit('exit', code); });
  }
  const child = Object.assign(new EventEmitter(), { pid: null, exitCode: null, signalCode: null });
  child.kill = (name) => child.pid !== null && process.kill(child.pid, name);
  child.ports = Promise.race([once(child, 'ports').then(([ports]) => ports), once(child, 'exit').then(() => undefined)]);
  const id = forks.children.push(child) - 1;
  forks.stdin.write(`${JSON.stringify({ id, options: list })}\n`);
  return child;
}

/** Starts test servers in one process, one for each of a list of options, and gives their ports. */
async function startAll(list, kind = settings.server) {
  // what is sent to a client that has left, or does not ask for its last words, is reported as dropped
  const lossy = settings.transformers.some((name) => (settings.client === 'ours' ? name === 'socket.io' : frameworks.text(name)));
  if (lossy) list = list.map((options) => ({ ...options, lossy }));
  const child = kind === 'python' && !settings.host.startsWith('gunicorn') ? fork(list) : launch(kind, list);
  child.on('exit', (code) => {
    if (![...running.values()].includes(child)) return;
    console.error(`a ${kind} server has ended with ${code}:\n${complaints.slice(-20000)}`);
    process.exit(1); // every scenario that is left would wait for it in vain
  });
  const limit = setTimeout(() => kill(child), 30000);
  const ports = await child.ports;
  clearTimeout(limit);
  if (!ports) throw new Error(`the ${kind} server did not start:\n${complaints.slice(-20000)}`);
  for (const port of ports) running.set(port, child);
  return ports;
}

/** Starts a test server of its own process; `options` may hold the port, otherwise the system chooses one. */
async function start(options) {
  const [port] = await startAll([options]);
  return { port, base: address(port) };
}

function address(port) {
  return `http://127.0.0.1:${port}`;
}

function kill(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  if (child.group) process.kill(-child.pid, 'SIGKILL');
  else child.kill('SIGKILL');
}

async function stop({ port }) {
  const child = running.get(port);
  for (const [other, its] of [...running]) if (its === child) running.delete(other);
  if (!child || child.exitCode !== null || child.signalCode !== null) return {};
  const exit = once(child, 'exit');
  kill(child);
  await exit;
  return {};
}

function signal({ port }, name) {
  if (!running.get(port).kill(name)) throw new Error(`no server runs on port ${port}`);
  return {};
}

/** An address where nothing listens. */
async function closed() {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return { port, base: address(port) };
}

// --- control: what the suite asks for, and the page for the browser ---

const ACTIONS = {
  '/start': (options) => start(options),
  '/stop': stop,
  '/pause': (server) => signal(server, 'SIGSTOP'),
  '/resume': (server) => signal(server, 'SIGCONT'),
  '/closed': closed
};

const SCRIPTS = ['values.js', 'frameworks.js', 'harness.js', ...Object.values(SUITES).flat().map((name) => `suites/${name}.js`)];

/** The page: it keeps every client under a name of its own, though each one calls itself Primus. */
function page(sources) {
  const clients = Object.keys(sources).map((name) =>
    `<script src="/client/${name}"></script><script>InteropClients['${name}'] = Primus;</script>`);
  const scripts = SCRIPTS.map((name) => `<script src="/${name}"></script>`);
  return `<!doctype html><meta charset="utf-8"><title>interop</title><script>var InteropClients = {};</script>
    ${clients.join('')}${scripts.join('')}`;
}

/** Starts the control server; `sources` are those of the clients for the page, by name. */
async function control(sources) {
  const files = {
    '/': ['text/html', () => page(sources)],
    ...Object.fromEntries(SCRIPTS.map((name) =>
      [`/${name}`, ['text/javascript', () => fs.readFileSync(path.join(__dirname, name))]])),
    ...Object.fromEntries(Object.entries(sources).map(([name, source]) =>
      [`/client/${name}`, ['text/javascript', () => source]]))
  };
  const server = http.createServer(async (request, response) => {
    if (request.method === 'GET' && files[request.url]) {
      const [type, read] = files[request.url];
      response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8` });
      return response.end(read());
    }
    let status = 200;
    let answer;
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      answer = await ACTIONS[request.url](JSON.parse(Buffer.concat(chunks)));
    } catch (error) {
      [status, answer] = [500, { error: String(error.message) }];
    }
    response.writeHead(status, { 'Content-Type': 'application/json' });
    return response.end(JSON.stringify(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return address(server.address().port);
}

// --- clients ---

/**
 * The source of our client for each of a list of {options of the server, its port, transformer}: as our server sends
 * it, or for another server as `primus.library()` gives it.
 */
async function ourLibraries(list) {
  if (settings.server !== 'python') {
    const words = [path.join(__dirname, 'libraries.py'), JSON.stringify(list.map(({ options }) => options))];
    return JSON.parse(execFileSync(python(), words, { cwd: ROOT, env: environment(), encoding: 'utf8' }));
  }
  return Promise.all(list.map(async ({ port, transformer }) => {
    const query = settings.several ? `?transformer=${transformer}` : '';
    const response = await fetch(`${address(port)}/primus/primus.js${query}`);
    if (!response.ok) throw new Error(`primus.js: the server answered ${response.status}`);
    return response.text();
  }));
}

/** Our client as a Node program would load it, with the `ws` of this folder. */
function evaluate(source) {
  const file = path.join(__dirname, 'primus.js');
  const module = new Module(file);
  module.filename = file;
  module.paths = Module._nodeModulePaths(__dirname);
  module._compile(source, file);
  return module.exports;
}

/** The option `transformer` of a server for clients with that one. */
function served(transformer) {
  if (!settings.several) return transformer;
  // `faye` has the addresses of `websockets`, and `polling` those of `engine.io`: the first in the list gets them
  const all = Object.keys(frameworks.WAYS);
  return ['faye', 'polling'].includes(transformer) ? [transformer, ...all.filter((name) => name !== transformer)] : all;
}

/**
 * What is played: for each transformer and parser the options of the common test servers. Those `apart` are in a process of
 * their own: their scenarios mostly wait, and the others would hold up the heartbeats.
 */
function plan() {
  return settings.transformers.flatMap((transformer) => (settings.parser || 'json').split(',').map((parser) => {
    const base = { transformer: served(transformer) };
    // all with the same limit, which is the default of ours; of a session it is for a whole request, or what is around a message
    const limit = settings.server === 'primus8' ? { maxLength: frameworks.session(transformer) ? 2 * MIB : MIB } : {};
    const timeout = 4;
    const beats = {
      pinging: { ...base, parser, timeout },
      // the official one gives a client no longer for its answer than until the next ping
      pinged: { ...base, parser, timeout, pingInterval: settings.server === 'primus8' ? 1 : 0.5 }
    };
    const main = { ...base, parser, ...limit };
    const one = { transformer, parser, suites: settings.suites, common: { main }, apart: {} };
    if (!settings.suites.some((name) => SUITES.json.includes(name))) {
      Object.assign(one.common, beats);
      return one;
    }
    Object.assign(one.common, {
      authorization: { ...base, authorization: 'callback' },
      ...(settings.server === 'python' ? { blocking: { ...base, authorization: 'blocking' } } : {}),
      extended: { ...base, extended: true }
    });
    one.apart = { ...beats, both: { ...base, timeout, pingInterval: 1 } };
    if (frameworks.session(transformer)) one.apart.quick = { ...base, patience: 0.3 };
    return one;
  }));
}

/** Starts a server for each of these options, and gives a function that tells the port for such options. */
async function startDistinct(list) {
  const wanted = [...new Set(list.map((options) => JSON.stringify(options)))];
  const ports = wanted.length ? await startAll(wanted.map((text) => JSON.parse(text))) : [];
  return (options) => ports[wanted.indexOf(JSON.stringify(options))];
}

const mapValues = (object, fn) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, fn(value, name)]));

/** Gives one of the plays its clients; `sources` gets those for the page. */
function equip(one, sources) {
  const official = require('./official');
  const { client, only, browser } = settings;
  const { transformer, parser, common } = one;
  Object.assign(one, { kind: client, only, browser, others: [] });
  const compiled = (options) => ({ ...options, transformer });
  if (browser) {
    one.clients = mapValues(common, (options, name) => {
      const id = `${transformer}-${parser}-${name}`;
      sources[id] = client === 'ours' ? one.libraries[name] : official.library(client, compiled(options));
      return id;
    });
    return;
  }
  const make = (kind, options, name) => {
    if (kind === 'ours') return evaluate(one.libraries[name]);
    return settings.parser ? official.required(kind, compiled(options)) : official.client(kind, compiled(options));
  };
  one.clients = mapValues(common, (options, name) => make(client, options, name));
  one.nodeBuffers = parser === 'binary' && client !== 'ours';
  if (settings.parser) return;
  for (const kind of CLIENTS.filter((other) => other !== client && frameworks.CLIENTS[other].includes(transformer))) {
    // Originals among themselves need no client of ours. Their generations speak other revisions of Engine.IO.
    const foreign = frameworks.engine(transformer) && settings.server !== 'python' && kind !== settings.server;
    if (kind === 'ours' ? one.libraries : !foreign) one.others.push({ kind, Client: make(kind, common.main, 'main') });
  }
}

async function play() {
  const kinds = plan();
  const [portOf, portApart] = await Promise.all([
    startDistinct(kinds.flatMap(({ common }) => Object.values(common))),
    startDistinct(kinds.flatMap(({ apart }) => Object.values(apart)))
  ]);
  if (settings.client === 'ours' || (settings.server === 'python' && !settings.parser)) {
    const wanted = kinds.flatMap((one) => Object.entries(one.common).map(([name, options]) =>
      ({ one, name, options, transformer: one.transformer, port: portOf(options) })));
    const texts = await ourLibraries(wanted);
    wanted.forEach(({ one, name }, n) => { one.libraries = { ...one.libraries, [name]: texts[n] }; });
  }
  const sources = {};
  for (const one of kinds) {
    equip(one, sources);
    one.servers = { ...mapValues(one.common, (options) => address(portOf(options))), ...mapValues(one.apart, (options) => address(portApart(options))) };
  }
  const report = (result) => console.log(JSON.stringify(result));
  const runner = await control(sources);
  for (const one of kinds) delete one.libraries; // a page would get them once more
  const plays = kinds.flatMap((one) => settings.ways[one.transformer].map((way) => ({
    ...one, way, control: runner, several: settings.several && served(one.transformer), others: [...one.others, ...companions(kinds, one)]
  })));

  if (settings.browser) await require('./browser').run(plays, report);
  else await harness.run(plays.map((one) => ({ ...one, fetch })), report);

  for (const port of [...running.keys()]) await stop({ port });
  for (const { transformer, way, parser } of plays) {
    const outcome = complaints ? 'failed' : 'passed';
    report({ transformer, way, parser, scenario: QUIET, outcome, detail: complaints.slice(-20000), seconds: 0 });
  }
}

/** Clients of the other transformers, for scenarios in which all meet on one server. */
function companions(kinds, one) {
  return kinds.filter((other) => other !== one && other.servers.main === one.servers.main).map((other) => ({
    kind: other.kind, Client: other.clients.main, transformer: other.transformer, way: settings.ways[other.transformer][0]
  }));
}

if (settings.list) {
  const named = Object.entries(SUITES).map(([kind, suites]) => [kind, [...harness.names(suites), QUIET]]);
  console.log(JSON.stringify(Object.fromEntries(named)));
} else {
  // exit: an official client constructor is made by a server whose heartbeat interval would keep Node alive
  play().then(() => process.exit(0), (error) => {
    console.error(error.stack);
    process.exit(1);
  });
}
