import Primus = require('../../../primus_gevent/library/primus');

const primus: Primus = Primus.connect('http://localhost');
const outage = (opts: Primus.Outage): number => opts.scheduled;
primus.on('reconnect scheduled', outage);
