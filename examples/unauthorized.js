// Why was I refused? With the package ws, outside of browsers, the answer can be read.
//
// node examples/unauthorized.js URL   where URL is what examples/basic_auth.py has printed,
// also with a name and password: http://ann:secret@127.0.0.1:8080
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

async function load(url) {
  const response = await fetch(new URL('/primus/primus.js', new URL(url).origin));
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'primus-')), 'primus.js');
  fs.writeFileSync(file, await response.text());
  return require(file);
}

async function main(url) {
  const Primus = await load(url);
  const primus = new Primus(url);

  primus.on('outgoing::open', () => {
    primus.socket.on('unexpected-response', (request, response) => {
      console.log(response.statusCode);
      console.log(response.headers['www-authenticate']);
      let data = '';
      response.on('data', (piece) => { data += piece; });
      response.on('end', () => {
        // The message is the property `error`. Who listens to this event has to tell Primus of the failure.
        primus.socket.emit('error', new Error(JSON.parse(data).error));
        request.destroy();
      });
    });
  });

  primus.on('error', (error) => console.log('Something horrible has happened:', error.message));
  primus.on('end', () => console.log('end'));
  primus.on('data', (data) => {
    console.log(data);
    primus.end();
  });
}

main(process.argv[2] || 'http://127.0.0.1:8080');
