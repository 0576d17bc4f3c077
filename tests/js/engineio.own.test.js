'use strict';

// The clients of `engine.io` and `polling` against our server.
const { contract } = require('./support/contract');

contract('own', 'engine.io');
