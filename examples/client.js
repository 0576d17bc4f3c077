// The JavaScript client in Node: the same file as in a page, its options and all its events.
//
// node examples/client.js URL         where URL is what, for example, examples/end_reconnect.py has printed.
// Before Node.js 22 it needs the package ws.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

async function load(url) {
  const response = await fetch(new URL('/primus/primus.js', url));
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'primus-')), 'primus.js');
  fs.writeFileSync(file, await response.text());
  return require(file);
}

async function main(url) {
  const Primus = await load(url);
  const primus = Primus.connect(url, {  // the same as `new Primus(url, {...})`
    reconnect: { minDelay: 50, maxDelay: 1000, retries: 10 },  // milliseconds
    strategy: ['disconnect', 'online', 'timeout'],  // or 'disconnect, online'; false: never by itself
    timeout: 10000,
    queueSize: 100,
    manual: true  // wait for open()
  });
  primus.write('written before the connection is open: it waits in the queue');

  primus.on('open', () => console.log('Connection is alive and kicking'));
  primus.on('data', (data) => console.log('Received a new message from the server', JSON.stringify(data)));
  primus.on('error', (error) => console.log('Something horrible has happened', error.message));
  primus.on('reconnecting', (outage) => {
    console.log('Reconnecting in %d ms', outage.timeout);
    console.log('This is attempt %d out of %d', outage.attempt, outage.retries);
  });
  primus.on('reconnect', () => console.log('Reconnect attempt started'));
  primus.on('reconnected', () => primus.write('end with data'));
  primus.on('timeout', () => console.log('No answer'));
  primus.on('readyStateChange', (state) => console.log('State', state));
  primus.on('close', () => console.log('Closed; it may come back'));
  primus.on('end', () => console.log('Connection closed'));

  // Events whose names come over the wire: ask first, or a server could play the client's part.
  primus.on('data', (data) => {
    if (data && typeof data.event === 'string' && !primus.reserved(data.event)) primus.emit(data.event, data);
  });

  primus.open();
  primus.id((id) => {
    console.log('id', id);
    primus.write('reconnect');
  });
}

main(process.argv[2] || 'http://127.0.0.1:8080/');
