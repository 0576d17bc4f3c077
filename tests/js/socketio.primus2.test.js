'use strict';

// The client of `socket.io` against Primus 2.4.
const { contract } = require('./support/contract');

contract(2, 'socket.io');
