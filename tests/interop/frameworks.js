'use strict';

/** The transformers as the suite has to know them: the ways in which each carries a connection, and what it cannot do. */
(function define(root, factory) {
  if (typeof module === 'object' && module.exports) module.exports = factory();
  else root.InteropFrameworks = factory();
})(typeof globalThis === 'object' ? globalThis : this, () => {
  /**
   * For each way the client options that make it go that way only. The first way is what a client does by itself, where it
   * has a choice.
   */
  const WAYS = {
    websockets: { websocket: {} },
    faye: { websocket: {} },
    'engine.io': {
      upgrade: {},
      upgraded: {}, // as `upgrade`, but each scenario begins when that is done
      polling: { websockets: false },
      websocket: { transport: { transports: ['websocket'] } } // ours; the official ones always begin with polling
    },
    polling: { polling: { websockets: false } },
    // it would take a slow machine for one that cannot do it
    sockjs: Object.fromEntries(['websocket', 'xhr-streaming', 'xhr-polling'].map((name) =>
      [name, { transport: { transports: [name], timeout: 8000 } }])),
    browserchannel: { streaming: {}, polling: { transport: { streaming: false } } }, // official clients always try to stream
    'socket.io': { websocket: {}, 'xhr-polling': { websockets: false } }
  };

  const ENGINE = ['engine.io', 'polling'];
  const TEXT = ['sockjs', 'browserchannel', 'socket.io'];

  /** The transformers that each client has. */
  const CLIENTS = {
    ours: Object.keys(WAYS),
    primus8: ['websockets', 'faye', 'engine.io', 'polling', 'sockjs', 'browserchannel'],
    primus24: Object.keys(WAYS)
  };

  /** Client options for one way. */
  function options(transformer, way, { kind, browser }) {
    // 2.4 brings SockJS 0.3 into a page, which has another name for that
    if (transformer === 'sockjs' && kind === 'primus24' && browser) return { transport: { protocols_whitelist: [way] } };
    return WAYS[transformer][way];
  }

  return {
    CLIENTS,
    WAYS,
    options,
    /** Whether Engine.IO carries the messages. */
    engine: (transformer) => ENGINE.includes(transformer),
    /** Whether the framework has text only; our two ends send bytes in base64 then. */
    text: (transformer) => TEXT.includes(transformer),
    /** Whether a connection is a session of many requests, or can be, rather than one WebSocket. */
    session: (transformer) => ENGINE.includes(transformer) || TEXT.includes(transformer),
    /** Whether one end is Primus 2.4 with SockJS, which has no query: neither sends its client one, nor shows its server any. */
    queryless: (transformer, ends) => transformer === 'sockjs' && ends.includes('primus24')
  };
});
