'use strict';

// The original: npm primus with the ws package, as its README sets it up.
// usage: node --expose-gc original.js echo|broadcast

const http = require('http');
const Primus = require('primus');

const mode = process.argv[2] || 'echo';
const server = http.createServer();
const primus = new Primus(server, {transformer: 'websockets', parser: 'json', pingInterval: false});

primus.on('connection', function connection(spark) {
  if (mode === 'broadcast') {
    spark.on('data', function data(message) {
      primus.write(message);
    });
  } else {
    spark.on('data', function data(message) {
      spark.write(message);
    });
  }
});

// What is garbage is no memory of a connection; the harness asks before it reads the figure.
process.on('SIGUSR2', function collect() {
  global.gc();
  console.log('collected');
});

server.listen(0, '127.0.0.1', function listening() {
  console.log('port ' + server.address().port);
});
