'use strict';

/**
 * Prints what access-control@1.0.1, the package that answers for Primus 8, says to a table of requests under a table
 * of configurations, over real HTTP: `node access_control_vectors.js > ../unit/middleware/access_control_vectors.json`.
 *
 * An answer is [status, headers, body]. A request that goes on to the next layer is answered with 299, and one at which
 * the package fell over with 599. `answers` of a configuration has the number of the answer for each request.
 */
const http = require('http');
const { once } = require('events');
const access = require('primus8/node_modules/access-control');

const TWO = ['http://a.example', 'https://b.example:8443'];

const CONFIGURATIONS = {
  defaults: {},
  'no credentials': { credentials: false },
  'one origin': { origins: 'http://a.example' },
  'one origin, no credentials': { origins: 'http://a.example', credentials: false },
  'two origins': { origins: TWO },
  'two origins as a text': { origins: TWO.join(', ') },
  'origin in capitals': { origins: 'HTTP://A.Example' },
  'null is an origin': { origins: ['null', 'http://a.example'] },
  'few methods': { methods: ['GET', 'OPTIONS'] },
  'few methods as a text': { methods: 'get,options' },
  'methods with spaces': { methods: 'GET POST,  OPTIONS' },
  'no OPTIONS': { methods: 'GET,POST' },
  'any method': { methods: '' },
  'max age off': { maxAge: false },
  'max age zero': { maxAge: 0 },
  'max age in seconds': { maxAge: 600 },
  'max age in hours': { maxAge: '12 hours' },
  'max age in minutes': { maxAge: '10 minutes' },
  'max age of a week': { maxAge: '1 week' },
  'max age of half a day': { maxAge: '0.5 days' },
  'allowed headers': { headers: ['X-One', 'X-Two'] },
  'allowed headers as a text': { headers: 'X-One, X-Two' },
  'exposed headers': { exposed: ['X-Seen', 'X-Too'] },
  'exposed headers as a text': { exposed: 'X-Seen' },
  'exposed headers, no credentials': { exposed: 'X-Seen', credentials: false },
  everything: {
    origins: TWO, methods: 'GET,PUT,OPTIONS', credentials: false, maxAge: '1 day', headers: 'X-One', exposed: 'X-Seen'
  }
};

const ORIGINS = [
  'http://a.example', 'HTTP://A.EXAMPLE', 'http://a.example:80', 'https://a.example', 'http://a.example.evil.example',
  'https://b.example:8443', 'https://b.example', 'http://evil.example', 'null', 'NULL', '', 'a.example', '//a.example',
  'http://a.example/%0d', '%', 'a.example:80', 'http:', 'file://', 'chrome-extension://abcdef', '*', 'self', 'http',
  'http://[::1]:8080', 'http://[::1', 'http://a.example:99999', '1:2', '+:', '-', ':', 'http://\u00e9.example',
  'http://a.example http://b.example', 'http://a.example, http://b.example', 'a b:c'
];

function requests() {
  const table = [{ method: 'GET', headers: {} }, { method: 'POST', headers: {} }];
  table.push({ method: 'OPTIONS', headers: { 'access-control-request-method': 'PUT' } }); // no preflight without Origin
  for (const origin of ORIGINS) table.push({ method: 'GET', headers: { origin } });
  for (const method of ['HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    for (const origin of ['http://a.example', 'http://evil.example']) table.push({ method, headers: { origin } });
  }
  for (const origin of ['http://a.example', 'https://b.example:8443', 'http://evil.example', 'null', '%', '']) {
    for (const more of [
      { 'access-control-request-method': 'PUT' },
      { 'access-control-request-method': 'PATCH' },
      { 'access-control-request-method': '' },
      { 'access-control-request-method': 'PUT', 'access-control-request-headers': 'x-asked, content-type' },
      { 'access-control-request-headers': 'x-asked' }
    ]) table.push({ method: 'OPTIONS', headers: { origin, ...more } });
  }
  table.push({ method: 'GET', headers: { origin: 'http://a.example', 'access-control-request-method': 'PUT' } });
  return table;
}

async function ask(control, request) {
  const server = http.createServer((req, res) => {
    let ended;
    try {
      ended = control(req, res);
    } catch (error) {
      res.statusCode = 599;
      ended = res.end(error.code);
    }
    if (ended === false) {
      res.statusCode = 299;
      res.end();
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    const sent = http.request({ port: server.address().port, agent: false, ...request }).end();
    const [answer] = await once(sent, 'response');
    let body = '';
    for await (const chunk of answer.setEncoding('utf8')) body += chunk;
    const headers = Object.entries(answer.headers)
      .filter(([name]) => /^(access-control-|vary|content-)/.test(name))
      .filter(([name]) => answer.statusCode !== 299 || name !== 'content-length');
    return [answer.statusCode, Object.fromEntries(headers.sort()), body];
  } finally {
    server.close();
  }
}

async function main() {
  const table = requests();
  const answers = new Map(); // the text of each: its number
  const lines = [];
  for (const [name, options] of Object.entries(CONFIGURATIONS)) {
    const control = access({ ...options });
    const numbers = [];
    for (const request of table) {
      const answer = JSON.stringify(await ask(control, request));
      if (!answers.has(answer)) answers.set(answer, answers.size);
      numbers.push(answers.get(answer));
    }
    lines.push(`{"name": ${JSON.stringify(name)}, "options": ${JSON.stringify(options)},\n  "answers": [${numbers}]}`);
  }
  const { version } = require('primus8/node_modules/access-control/package.json');
  console.log(`{"package": "access-control@${version}",\n"requests": [\n  ` +
    `${table.map((request) => JSON.stringify(request)).join(',\n  ')}\n],\n"configurations": [\n` +
    `${lines.join(',\n')}\n],\n"answers": [\n  ${[...answers.keys()].join(',\n  ')}\n]}`);
}

main();
