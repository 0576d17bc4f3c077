'use strict';

// The client of `browserchannel` against Primus 2.4.
const { contract } = require('./support/contract');

contract(2, 'browserchannel');
