'use strict';

// The clients of `engine.io` and `polling` against Primus 8: Engine.IO revision 4.
const { contract } = require('./support/contract');

contract(8, 'engine.io');
