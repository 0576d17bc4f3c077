/// <reference path="../../../primus_gevent/library/primus.d.ts" />

// A plain script, where the library is a global.
function connect(url: string): Primus {
  const primus = new Primus(url, { strategy: false });
  primus.on('data', (message) => console.log(message, Primus.OPEN));
  return primus;
}
