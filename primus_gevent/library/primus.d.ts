// Types of the client library, for every format of it: the global of a script, CommonJS and ES module.

export = Primus;
export as namespace Primus;

declare class Emitter {
  on(event: string, fn: Primus.Listener, context?: any): this;
  addListener(event: string, fn: Primus.Listener, context?: any): this;
  once(event: string, fn: Primus.Listener, context?: any): this;
  /** Without `fn`: every listener of the event. */
  off(event: string, fn?: Primus.Listener): this;
  removeListener(event: string, fn?: Primus.Listener): this;
  removeAllListeners(event?: string): this;
  listeners(event: string): Primus.Listener[];
  listenerCount(event: string): number;
  emit(event: string, ...args: any[]): boolean;
}

declare class Primus<In = any, Out = any> extends Emitter {
  /** Connects to `url`, by default the origin of the page, or `http://127.0.0.1` outside a browser. */
  constructor(url?: string | URL, options?: Primus.Options);
  constructor(options: Primus.Options);

  static connect<In = any, Out = any>(url?: string | URL, options?: Primus.Options): Primus<In, Out>;

  static readonly Primus: typeof Primus;
  /** The parser that the server chose; what it has besides its two functions depends on which it is. */
  static readonly parser: Primus.Parser;
  static readonly OPENING: 1;
  static readonly CLOSED: 2;
  static readonly OPEN: 3;

  readonly readyState: Primus.ReadyState;
  /** The options with their defaults; `strategy` is normalised. */
  readonly options: Readonly<Primus.Options>;
  readonly url: Readonly<Primus.URLParts>;
  /** Milliseconds: of opening the connection at first, of the last heartbeat later. */
  readonly latency: number;
  /** False from `offline` until the next `online`. */
  readonly online: boolean;
  readonly writable: boolean;
  readonly readable: boolean;
  /**
   * The transport's own connection: a WebSocket of the browser or of the `ws` package; with `engine.io`, `polling`,
   * `browserchannel` and `socket.io` its session, with `id`, `transport.name` and `close()`; with `sockjs` the
   * same, but `transport` is the name and there is no `id`.
   */
  readonly socket: any;
  /** Version of the server that compiled this library. */
  readonly version: string;
  readonly pathname: string;
  readonly authorization: boolean;
  readonly ark: Record<string, Primus.Plugin>;

  /** Opens a connection; to be called only with `manual`, or after `end`. */
  open(): this;
  /** Sends a message, or queues it until the connection is open. */
  write(data: Out): true;
  /** Closes the connection for good, after a last message if there is one. */
  end(data?: Out): this;
  /** Ends the client and removes every listener; false when it was destroyed before. */
  destroy(): boolean;
  /** Asks the server for the id of our spark. */
  id(fn: (id: string) => void): this;
  /** Adds a message transform. With `next` it is asynchronous; returning false drops the message. */
  transform(type: 'incoming' | 'outgoing', fn: Primus.Transform): this;
  transforms(type: 'incoming' | 'outgoing', fn: Primus.Transform): this;
  plugin(): Record<string, Primus.Plugin>;
  plugin(name: string): Primus.Plugin | undefined;
  /** Whether the client uses an event of this name itself. */
  reserved(event: string): boolean;
  /** A function that emits `event` with its first argument, or with the result of `parser`. */
  emits(event: string, parser?: (...args: any[]) => any): (...args: any[]) => boolean;
  pipe<D extends Primus.Destination<In>>(destination: D, options?: { end?: boolean }): D;
  /** The address to connect to; emits `outgoing::url`. */
  uri(options?: Partial<Primus.URLParts>): string;

  on<E extends keyof Primus.Events<In>>(event: E, fn: Primus.Events<In>[E], context?: any): this;
  on<E extends string>(event: E extends keyof Primus.Events ? never : E, fn: Primus.Listener, context?: any): this;
  once<E extends keyof Primus.Events<In>>(event: E, fn: Primus.Events<In>[E], context?: any): this;
  once<E extends string>(event: E extends keyof Primus.Events ? never : E, fn: Primus.Listener, context?: any): this;
}

declare namespace Primus {
  type Listener = (...args: any[]) => void;
  /** Opening, closed, open. */
  type ReadyState = 1 | 2 | 3;
  type Strategy = 'disconnect' | 'online' | 'timeout';
  type Plugin = (this: Primus, primus: Primus, options: Options) => void;
  /** Milliseconds, or text such as `30 seconds`. */
  type Duration = number | string;

  /** `Stream` is its name in code for the original. */
  const EventEmitter: typeof Emitter;
  const Stream: typeof Emitter;
  type EventEmitter = Emitter;

  interface Options {
    /** Address, instead of the first argument. */
    url?: string;
    uri?: string;
    reconnect?: ReconnectOptions;
    /** Limit for the first connection, 10000 ms. */
    timeout?: Duration | false;
    /** Interval of our pings, 25000 ms; `false` sends none. */
    ping?: Duration | false;
    /** Time the server has to answer a ping, 10000 ms. */
    pong?: Duration | false;
    /** Time between the pings of a server that pings itself (Primus 7 and later), 45000 ms. */
    pingTimeout?: Duration | false;
    /** When to reconnect: `disconnect, online, timeout`; `false` is never. */
    strategy?: string | readonly string[] | boolean;
    /** Do not connect before open() is called. */
    manual?: boolean;
    /** False: no WebSocket with `engine.io`, `sockjs` and `socket.io`. No effect with `websockets`, which has nothing else. */
    websockets?: boolean;
    /** Use the online and offline events of the browser; detected. */
    network?: boolean;
    /** Of the transformer; in Node handed to the `ws` package and to `http.request` too. */
    transport?: TransportOptions;
    /** Messages that may wait for the connection; the oldest are dropped first. Infinity. */
    queueSize?: number;
    /** Options of plugins. */
    [name: string]: any;
  }

  interface TransportOptions {
    /**
     * With which transports `engine.io` may begin (the first one) and go on; both, polling first. Which ones `sockjs`
     * and `socket.io` may use; all.
     */
    transports?: readonly ('polling' | 'websocket' | 'xhr-streaming' | 'xhr-polling')[];
    /** Whether `engine.io` may change from polling to WebSocket; true. */
    upgrade?: boolean;
    /** Bytes as base64 on a WebSocket of `engine.io` too; false. */
    forceBase64?: boolean;
    /** Milliseconds that a transport of `sockjs` has at least to open, 0. */
    timeout?: number;
    /** Milliseconds that a transport of `socket.io` has to open, 10000. */
    'connect timeout'?: number;
    /** Whether `browserchannel` may keep an answer open; true, if a test finds that it can. */
    streaming?: boolean;
    /** Whether `browserchannel` repeats no POST; false. */
    failFast?: boolean;
    /** What `browserchannel` tells the server. */
    appVersion?: string | number;
    /** Cookies with requests to other origins; true. */
    withCredentials?: boolean;
    /** Headers of every request; not for a browser's WebSocket. */
    headers?: Record<string, string>;
    extraHeaders?: Record<string, string>;
    /** Options of `ws` and `http.request`: `agent`, `ca`, `cert`, ... */
    [name: string]: any;
  }

  interface ReconnectOptions {
    /** Delay of the first attempt, 500 ms. */
    minDelay?: Duration;
    /** Infinity. */
    maxDelay?: Duration;
    /** Names of Primus 5 and later for the same. */
    min?: Duration;
    max?: Duration;
    /** Attempts, 10. */
    retries?: number;
    /** Growth of the delay, 2. */
    factor?: number;
    /** Limit for each attempt, 30000 ms. */
    'reconnect timeout'?: Duration;
  }

  /** One outage, from its first attempt to the last. */
  interface Outage {
    attempt: number;
    retries: number;
    min: number;
    max: number;
    minDelay: number;
    maxDelay: number;
    factor: number;
    'reconnect timeout': number;
    /** Whether a delay is running. */
    backoff: boolean;
    /** The delay before this attempt in milliseconds; `scheduled` is its newer name. */
    timeout: number;
    scheduled: number;
    /** Clock at the beginning of the outage, and its length once it is over. */
    start: number;
    duration: number;
  }

  interface URLParts {
    protocol: string;
    secure?: boolean;
    auth: string;
    host: string;
    hostname: string;
    port: string;
    pathname: string;
    query: string;
    hash: string;
  }

  interface Packet {
    data: any;
  }

  interface Parser {
    /** Calls back once, with an error, or with null and a text or bytes. */
    encoder(data: any, fn: (error: any, packet?: any) => void): void;
    /** Calls back once, with an error, or with null and the message. */
    decoder(packet: any, fn: (error: any, data?: any) => void): void;
    /** Of `ejson`: objects with `typeName()` and `toJSONValue()` are made again by `factory`. */
    addType?(name: string, factory: (value: any) => any): void;
    /** Of `msgpack`: an extension type that has no meaning in JavaScript. */
    ExtBuffer?: new (buffer: Uint8Array, type: number) => ExtBuffer;
  }

  interface ExtBuffer {
    type: number;
    buffer: Uint8Array;
  }

  interface Destination<T> {
    write(data: T): unknown;
    end?(): unknown;
  }

  /** A function that declares `next` is asynchronous, and later messages wait for it; what it returns is not looked at. */
  type Transform = (
    this: Primus, packet: Packet, next: (error?: any, proceed?: boolean) => void
  ) => void | boolean;

  interface Events<In = any> {
    open: () => void;
    data: (message: In, raw: any) => void;
    error: (error: Error) => void;
    close: () => void;
    end: () => void;
    timeout: () => void;
    online: () => void;
    offline: () => void;
    destroy: () => void;
    readyStateChange: (state: 'opening' | 'open' | 'end') => void;
    reconnecting: (outage: Outage) => void;
    reconnect: (outage: Outage) => void;
    reconnected: (outage: Outage) => void;
    'reconnect scheduled': (outage: Outage) => void;
    'reconnect timeout': (error: Error, outage: Outage) => void;
    'reconnect failed': (error: Error, outage: Outage) => void;
    'outgoing::url': (parts: URLParts) => void;
    'outgoing::ping': (time: number) => void;
    'incoming::pong': (time: number) => void;
    'incoming::ping': (time: number) => void;
    'outgoing::pong': (time: number) => void;
    'incoming::id': (id: string) => void;
  }
}
