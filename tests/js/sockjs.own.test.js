'use strict';

// The client of `sockjs` against our server.
const { contract } = require('./support/contract');

contract('own', 'sockjs');
