'use strict';

/** The original BrowserChannel server as an echo, for test_browserchannel_original.py. Prints its port. */
const http = require('http');
const browserchannel = require('browserchannel');

const service = browserchannel.server({ base: '/primus' }, (session) => {
  session.on('message', (message) => session.send(typeof message === 'string' ? message : JSON.stringify(message)));
});
const server = http.createServer((request, response) => service(request, response, () => {
  // as Primus goes on
  response.writeHead(404, { 'content-type': 'text/plain' });
  response.end('Not Found');
}));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
