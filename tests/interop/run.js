'use strict';

/**
 * Plays scenarios for one client and one server: `node run.js --client primus8 --server python [--browser]`.
 *
 * Starts the servers, is the `control` of harness.js, and prints one line of JSON per scenario. The README has all
 * options. Ends with 0 when every scenario was played, whatever came of it, and with 1 when that was not possible.
 */
const { execFileSync, spawn } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const Module = require('module');
const net = require('net');
const path = require('path');
const readline = require('readline');
const harness = require('./harness');

const ROOT = path.join(__dirname, '..', '..');
const CLIENTS = ['ours', 'primus8', 'primus24'];
const SERVERS = ['python', 'primus8', 'primus24'];
const WAYS = {
  websockets: ['websocket'],
  faye: ['websocket'],
  polling: ['polling'],
  'engine.io': ['upgrade', 'upgraded', 'polling', 'websocket']
};
const ENGINE = ['engine.io', 'polling']; // those that speak Engine.IO
const MIB = 1024 * 1024;

// Without --parser everything that does not depend on it is played, with `json`.
const SUITES = { json: ['connections', 'extensions'], parsers: ['parsers'] };
for (const name of [...SUITES.json, ...SUITES.parsers]) require(`./suites/${name}`);
const QUIET = 'the servers had nothing to complain about';

const settings = argumentsOf(process.argv.slice(2));

function argumentsOf(words) {
  const known = {
    client: 'ours', server: 'python', transformer: 'websockets', way: '', parser: '', suite: '', only: '', python: '',
    browser: false, list: false
  };
  for (let n = 0; n < words.length; n++) {
    const name = words[n].replace(/^--/, '');
    if (!(name in known)) throw new Error(`unknown option ${words[n]}; known are: --${Object.keys(known).join(', --')}`);
    known[name] = typeof known[name] === 'boolean' ? true : words[++n];
  }
  const must = (name, value, choice) => {
    if (!choice.includes(value)) throw new Error(`unknown ${name} ${value}; known are: ${choice.join(', ')}`);
  };
  must('client', known.client, CLIENTS);
  must('server', known.server, SERVERS);
  must('transformer', known.transformer, Object.keys(WAYS));
  known.ways = (known.way || WAYS[known.transformer][0]).split(',');
  for (const way of known.ways) must('way', way, WAYS[known.transformer]);
  return known;
}

// --- servers ---

const running = new Map(); // port -> child process
let complaints = ''; // what all servers wrote to stderr

function python() {
  const venv = path.join(ROOT, '.venv', 'bin', 'python');
  return settings.python || (fs.existsSync(venv) ? venv : 'python3');
}

function command(kind, options) {
  if (kind !== 'python') {
    // 2.4 uses what Node has deprecated since; stderr is for real complaints
    const words = ['--no-deprecation', path.join(__dirname, 'server.js'), kind, JSON.stringify(options)];
    return [process.execPath, words];
  }
  return [python(), [path.join(__dirname, 'server.py'), JSON.stringify(options)]];
}

/** Starts test servers in one process, one for each of a list of options, and gives their ports. */
async function startAll(list, kind = settings.server) {
  const env = { ...process.env, PYTHONPATH: ROOT }; // the package of this tree, installed or not
  const child = spawn(...command(kind, list), { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
    complaints += text;
  });
  const lines = readline.createInterface({ input: child.stdout });
  const limit = setTimeout(() => child.kill('SIGKILL'), 30000);
  const line = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => undefined)]);
  clearTimeout(limit);
  if (!line) throw new Error(`the ${kind} server did not start:\n${said}`);
  const { ports } = JSON.parse(line[0]);
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

async function stop({ port }) {
  const child = running.get(port);
  running.delete(port);
  if (!child || child.exitCode !== null || child.signalCode !== null) return {};
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
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

const SCRIPTS = ['values.js', 'harness.js', ...Object.values(SUITES).flat().map((name) => `suites/${name}.js`)];

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
 * The sources of our client for each of a list of server options: as our server sends them, or for another server as
 * `primus.library()` gives them.
 */
async function ourLibraries(list, ports) {
  if (settings.server !== 'python') {
    const words = [path.join(__dirname, 'libraries.py'), JSON.stringify(list)];
    return JSON.parse(execFileSync(python(), words, { cwd: ROOT, env: { ...process.env, PYTHONPATH: ROOT }, encoding: 'utf8' }));
  }
  return Promise.all(ports.map(async (port) => {
    const response = await fetch(`${address(port)}/primus/primus.js`);
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

/**
 * What is played: for each parser the common test servers, and with which options.
 *
 * The servers of all parsers are in one process, because starting one takes longer than playing a dozen scenarios.
 */
function plan() {
  const { transformer } = settings;
  // all with the same limit, which is the default of ours; Engine.IO's is for a whole request
  const limit = settings.server === 'primus8' ? { maxLength: ENGINE.includes(transformer) ? 2 * MIB : MIB } : {};
  if (!settings.parser) {
    const common = {
      main: { transformer, ...limit },
      authorization: { transformer, authorization: 'callback' },
      ...(settings.server === 'python' ? { blocking: { transformer, authorization: 'blocking' } } : {}),
      extended: { transformer, extended: true }
    };
    // of a process of their own: their scenarios mostly wait, and the others would hold up the heartbeats
    const timeout = 1.5;
    const apart = {
      pinging: { transformer, timeout },
      // the official one gives a client no longer for its answer than until the next ping
      pinged: { transformer, timeout, pingInterval: settings.server === 'primus8' ? 1 : 0.5 },
      both: { transformer, timeout, pingInterval: 1 },
      ...(ENGINE.includes(transformer) ? { quick: { transformer, heartbeats: { pingInterval: 0.3, pingTimeout: 0.3 } } } : {})
    };
    return [{ parser: 'json', suites: settings.suite ? settings.suite.split(',') : SUITES.json, common, apart }];
  }
  return settings.parser.split(',').map((parser) => ({
    parser,
    suites: SUITES.parsers,
    common: {
      main: { transformer, parser, ...limit },
      // the official one gives a client no longer for its answer than until the next ping
      pinged: { transformer, parser, timeout: 1.5, pingInterval: settings.server === 'primus8' ? 1 : 0.5 },
      pinging: { transformer, parser, timeout: 1.5 }
    }
  }));
}

function zip(names, values) {
  return Object.fromEntries(names.map((name, n) => [name, values[n]]));
}

/** Gives one of the plays its servers and clients; `sources` gets those of clients for the page. */
function equip(one, ports, libraries, sources) {
  const official = require('./official');
  const { client, transformer, only, browser } = settings;
  const names = Object.keys(one.common);
  const options = Object.values(one.common);
  Object.assign(one, { kind: client, transformer, only, browser, servers: zip(names, ports.map(address)), others: [] });
  if (browser) {
    one.clients = zip(names, names.map((name) => `${one.parser}-${name}`));
    names.forEach((name, n) => {
      sources[one.clients[name]] = client === 'ours' ? libraries[n] : official.library(client, options[n]);
    });
    return;
  }
  const make = (kind, n) => {
    if (kind === 'ours') return evaluate(libraries[n]);
    return settings.parser ? official.required(kind, options[n]) : official.client(kind, options[n]);
  };
  one.clients = zip(names, names.map((name, n) => make(client, n)));
  one.nodeBuffers = one.parser === 'binary' && client !== 'ours';
  if (settings.parser) return;
  for (const kind of CLIENTS.filter((other) => other !== client)) {
    // Originals among themselves need no client of ours. Their generations speak other revisions of Engine.IO.
    const foreign = ENGINE.includes(transformer) && settings.server !== 'python' && kind !== settings.server;
    if (kind === 'ours' ? libraries.length : !foreign) one.others.push({ kind, Client: make(kind, 0) });
  }
}

async function play() {
  const common = plan();
  const wanted = common.flatMap(({ common }) => Object.values(common));
  const apart = Object.assign({}, ...common.map((one) => one.apart));
  const [ports, ...rest] = await Promise.all([
    startAll(wanted),
    ...(Object.keys(apart).length ? [startAll(Object.values(apart))] : [])
  ]);
  const ours = settings.client === 'ours' || (settings.server === 'python' && !settings.parser);
  const libraries = ours ? await ourLibraries(wanted, ports) : [];
  const sources = {};
  for (const one of common) {
    const size = Object.keys(one.common).length;
    equip(one, ports.splice(0, size), libraries.splice(0, size), sources);
  }
  const report = (result) => console.log(JSON.stringify(result));
  const runner = await control(sources);
  if (rest.length) for (const one of common) Object.assign(one.servers, zip(Object.keys(apart), rest[0].map(address)));
  const plays = common.flatMap((one) => settings.ways.map((way) => ({ ...one, way, control: runner })));

  if (settings.browser) await require('./browser').run(plays, report);
  else await harness.run(plays.map((one) => ({ ...one, fetch })), report);

  for (const port of [...running.keys()]) await stop({ port });
  for (const { way, parser } of plays) {
    report({ way, parser, scenario: QUIET, outcome: complaints ? 'failed' : 'passed', detail: complaints.slice(-20000), seconds: 0 });
  }
}

if (settings.list) {
  const named = Object.entries(SUITES).map(([kind, suites]) => [kind, [...harness.names(suites), QUIET]]);
  console.log(JSON.stringify(Object.fromEntries(named)));
} else {
  // exit: an official client constructor is made by a server whose heartbeat interval would keep Node alive
  play().then(() => process.exit(0), (error) => {
    for (const child of running.values()) child.kill('SIGKILL');
    console.error(error.stack);
    process.exit(1);
  });
}
