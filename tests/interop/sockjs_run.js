'use strict';

/**
 * Plays sockjs_scenarios.js: `node sockjs_run.js PYTHON [PART-OF-A-TRANSPORT]`.
 *
 * Over every transport of sockjs-client that Node or Chromium can use, against a server that speaks SockJS and one that
 * runs all transformers at once. Prints a line of JSON per scenario, and at the end what the servers had to say; `--list`
 * prints what there is. The servers are started here, because the page for iframes must be told where the script is.
 */
const { spawn } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const path = require('path');
const readline = require('readline');
const { WAYS } = require('./frameworks');
const { play, scenarios } = require('./sockjs_scenarios');

const SCRIPTS = { client: require.resolve('sockjs-client/dist/sockjs.js'), scenarios: path.join(__dirname, 'sockjs_scenarios.js') };

// The xdr transports are for Internet Explorer. `htmlfile` needs a page of the server's own origin.
const PLACES = {
  node: ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'],
  'several-node': ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'],
  chromium: ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'],
  'chromium-iframe': ['iframe-eventsource', 'iframe-htmlfile', 'iframe-xhr-polling', 'jsonp-polling'],
  'chromium-same-origin': ['htmlfile'],
  'several-chromium': ['xhr-streaming', 'jsonp-polling']
};

/** The server of the page, of an origin of its own, and of the script that the page for iframes asks for. */
async function pages() {
  const server = http.createServer((request, response) => {
    const script = request.url === '/sockjs.js';
    response.setHeader('Content-Type', `text/${script ? 'javascript' : 'html'}; charset=utf-8`);
    response.end(script ? fs.readFileSync(SCRIPTS.client) : '<!doctype html><meta charset="utf-8"><title>sockjs</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

/** Starts the test servers; gives the process and the addresses of `main`, `quick` and the same of `several`. */
async function servers(python, script) {
  const options = { sockjs_url: script };
  const quick = { ...options, heartbeat_delay: 0.3 };
  const several = { transformer: Object.keys(WAYS) };
  const list = [
    { transformer: 'sockjs', transport: options },
    { transformer: 'sockjs', transport: quick },
    { ...several, transport: { sockjs: options } },
    { ...several, transport: { sockjs: quick } }
  ];
  const root = path.join(__dirname, '..', '..');
  const child = spawn(python, [path.join(__dirname, 'server.py'), JSON.stringify(list)], {
    cwd: root, env: { ...process.env, PYTHONPATH: root }, stdio: ['ignore', 'pipe', 'pipe']
  });
  process.on('exit', () => child.kill('SIGKILL'));
  child.said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => { child.said += text; });
  const [line] = await Promise.race([once(readline.createInterface({ input: child.stdout }), 'line'), once(child, 'exit')]);
  if (typeof line !== 'string') throw new Error(`the server did not start:\n${child.said}`);
  const [main, quickly, mainOfAll, quicklyOfAll] = JSON.parse(line).ports.map((port) => `http://127.0.0.1:${port}`);
  return { child, addresses: { one: { main, quick: quickly }, several: { main: mainOfAll, quick: quicklyOfAll } } };
}

function serversFor(place, { one, several }) {
  if (place.startsWith('several')) return several;
  // of one origin there is one server
  return place.includes('same-origin') ? { main: one.quick, quick: one.quick } : one;
}

async function inChromium(places, report) {
  const { chromium } = require('playwright-core');
  const { executable } = require('./browser');
  const browser = await chromium.launch({ executablePath: executable(), headless: true, args: ['--no-sandbox', '--disable-gpu'] });
  await Promise.all(places.map(async ({ place, transports, base, servers: given }) => {
    const page = await browser.newPage();
    await page.exposeFunction('interopReport', report);
    await page.goto(place.includes('same-origin') ? `${given.main}/control/about` : base);
    for (const file of Object.values(SCRIPTS)) await page.addScriptTag({ path: file });
    await page.evaluate(([where, names, all]) => InteropSockJS.play(where, names, SockJS, all, window.interopReport), [place, transports, given]);
  }));
  await browser.close();
}

async function main(python, only = '') {
  const base = await pages();
  const { child, addresses } = await servers(python, `${base}/sockjs.js`);
  const report = (result) => console.log(JSON.stringify(result));
  const places = Object.entries(PLACES).map(([place, transports]) => ({
    place,
    transports: transports.filter((name) => `${place} ${name}`.includes(only)),
    base,
    servers: serversFor(place, addresses)
  })).filter(({ transports }) => transports.length);
  const rest = places.filter((one) => !one.place.endsWith('node'));
  await Promise.all([
    ...places.filter((one) => one.place.endsWith('node')).map(({ place, transports, servers: given }) =>
      play(place, transports, require('sockjs-client'), given, report)),
    rest.length && inChromium(rest, report)
  ]);
  report({ complaints: child.said });
}

if (process.argv[2] === '--list') console.log(JSON.stringify({ places: PLACES, scenarios }));
else {
  main(process.argv[2], process.argv[3]).then(() => process.exit(0), (error) => {
    console.error(error.stack);
    process.exit(1);
  });
}
