'use strict';

// The clients of `engine.io` and `polling` against Primus 2.4: Engine.IO revision 3.
const { contract } = require('./support/contract');

contract(2, 'engine.io');
