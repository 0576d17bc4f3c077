'use strict';

// The client of `browserchannel` against our server.
const { contract } = require('./support/contract');

contract('own', 'browserchannel');
