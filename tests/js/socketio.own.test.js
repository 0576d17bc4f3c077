'use strict';

// The client of `socket.io` against our server.
const { contract } = require('./support/contract');

contract('own', 'socket.io');
