'use strict';

// The client of `browserchannel` against Primus 8.
const { contract } = require('./support/contract');

contract(8, 'browserchannel');
