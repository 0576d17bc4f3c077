'use strict';

// The clients of `engine.io` and `polling` against Primus 8: Engine.IO revision 4.
const { contract } = require('./support/engineio');

contract(8);
