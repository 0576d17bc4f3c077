'use strict';

// Node's http by itself: answers what a polling transport answers, and does nothing else.

const http = require('http');

const message = '4hello world, this is a message';

function answer(response, type, body) {
  response.writeHead(200, {'Content-Type': type, 'Content-Length': Buffer.byteLength(body)});
  response.end(body);
}

const server = http.createServer(function listener(request, response) {
  if (request.method !== 'POST') return answer(response, 'text/plain; charset=UTF-8', message);
  let body = '';
  request.setEncoding('utf8');
  request.on('data', function data(chunk) {
    body += chunk;
  });
  request.on('end', function end() {
    answer(response, 'text/html', 'ok');
  });
});

server.listen(0, '127.0.0.1', function listening() {
  console.log('port ' + server.address().port);
});
