'use strict';

/**
 * Runs the suite for one client and one server: `node run.js --client primus8 --server python [--browser]`.
 *
 * Starts the servers, is the `control` of suite.js, and prints one line of JSON per scenario. The README has all
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
const suite = require('./suite');

const ROOT = path.join(__dirname, '..', '..');
const CLIENTS = ['ours', 'primus8', 'primus24'];
const SERVERS = ['python', 'primus8', 'primus24'];
const MIB = 1024 * 1024;

const settings = argumentsOf(process.argv.slice(2));

function argumentsOf(words) {
  const known = { client: 'ours', server: 'python', only: '', python: '', browser: false, list: false };
  for (let n = 0; n < words.length; n++) {
    const name = words[n].replace(/^--/, '');
    if (!(name in known)) throw new Error(`unknown option ${words[n]}; known are: --${Object.keys(known).join(', --')}`);
    known[name] = typeof known[name] === 'boolean' ? true : words[++n];
  }
  for (const [name, choice] of [['client', CLIENTS], ['server', SERVERS]]) {
    if (!choice.includes(known[name])) throw new Error(`unknown ${name} ${known[name]}; known are: ${choice.join(', ')}`);
  }
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

/** Starts a test server; `options` may hold the port, otherwise the system chooses one. */
async function start(options, kind = settings.server) {
  const env = { ...process.env, PYTHONPATH: ROOT }; // the package of this tree, installed or not
  const child = spawn(...command(kind, options), { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
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
  const { port } = JSON.parse(line[0]);
  running.set(port, child);
  return { port, base: `http://127.0.0.1:${port}` };
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
  return { port, base: `http://127.0.0.1:${port}` };
}

// --- control: what the suite asks for, and the page for the browser ---

const ACTIONS = {
  '/start': (options) => start(options),
  '/stop': stop,
  '/pause': (server) => signal(server, 'SIGSTOP'),
  '/resume': (server) => signal(server, 'SIGCONT'),
  '/closed': closed
};

const PAGE = '<!doctype html><meta charset="utf-8"><title>interop</title>' +
  '<script src="/client.js"></script><script src="/suite.js"></script>';

async function control(library) {
  const files = {
    '/': ['text/html', () => PAGE],
    '/client.js': ['text/javascript', () => library],
    '/suite.js': ['text/javascript', () => fs.readFileSync(path.join(__dirname, 'suite.js'))]
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
  return `http://127.0.0.1:${server.address().port}`;
}

// --- clients ---

/** The source of our client: as our server sends it, or for another server as `primus.library()` gives it. */
async function ourLibrary(main) {
  if (settings.server !== 'python') {
    const script = 'from primus_gevent import Primus; print(Primus().library())';
    return execFileSync(python(), ['-c', script], { cwd: ROOT, encoding: 'utf8' });
  }
  const response = await fetch(`${main.base}/primus/primus.js`);
  if (!response.ok) throw new Error(`primus.js: the server answered ${response.status}`);
  return response.text();
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

function nodeClients(library) {
  const official = require('./official');
  const clients = [
    ...(library ? [{ kind: 'ours', Client: evaluate(library) }] : []),
    ...['primus8', 'primus24'].map((kind) => ({ kind, Client: official.client(kind) }))
  ];
  const main = clients.find(({ kind }) => kind === settings.client);
  return { ...main, others: clients.filter((client) => client !== main) };
}

async function play() {
  // both servers with the same limit, which is the default of ours
  const main = await start(settings.server === 'primus8' ? { maxLength: MIB } : {});
  const wanted = settings.client === 'ours' || settings.server === 'python';
  const ours = wanted ? await ourLibrary(main) : undefined;
  const library = settings.client === 'ours' || !settings.browser ? ours : require('./official').library(settings.client);
  const common = { base: main.base, control: await control(library), only: settings.only };
  const report = (result) => console.log(JSON.stringify(result));

  if (settings.browser) await require('./browser').run({ ...common, kind: settings.client, browser: true }, report);
  else await suite.run({ ...common, ...nodeClients(ours), fetch, browser: false }, report);

  for (const port of [...running.keys()]) await stop({ port });
  report({
    scenario: 'the servers had nothing to complain about',
    outcome: complaints ? 'failed' : 'passed',
    detail: complaints.slice(-20000),
    seconds: 0
  });
}

if (settings.list) {
  console.log(JSON.stringify([...suite.names, 'the servers had nothing to complain about']));
} else {
  // exit: an official client constructor is made by a server whose heartbeat interval would keep Node alive
  play().then(() => process.exit(0), (error) => {
    for (const child of running.values()) child.kill('SIGKILL');
    console.error(error.stack);
    process.exit(1);
  });
}
