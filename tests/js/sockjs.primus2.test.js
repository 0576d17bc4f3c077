'use strict';

// The client of `sockjs` against Primus 2.4.
const { contract } = require('./support/contract');

contract(2, 'sockjs');
