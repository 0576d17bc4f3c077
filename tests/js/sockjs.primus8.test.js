'use strict';

// The client of `sockjs` against Primus 8.
const { contract } = require('./support/contract');

contract(8, 'sockjs');
