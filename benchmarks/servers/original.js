'use strict';

// The original: npm primus with what its transformer needs, as its README sets it up.
// usage: node --expose-gc original.js 8|2 TRANSFORMER echo|broadcast

const http = require('http');
const path = require('path');

// Primus 2 has a folder of its own: it needs generations of its packages that 8 cannot use.
const folders = {8: '..', 2: '../primus2'};
const [generation, transformer, mode] = process.argv.slice(2);
const Primus = require(require.resolve('primus', {paths: [path.join(__dirname, folders[generation])]}));

const server = http.createServer();
const primus = new Primus(server, {transformer, parser: 'json', pingInterval: false});

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
