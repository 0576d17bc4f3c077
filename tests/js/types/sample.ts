// Compiled with --strict: what users write, and, marked, what must not compile.
import PrimusDefault, { Primus, EventEmitter } from '../../../primus_gevent/library/primus';
import type PrimusTypes from '../../../primus_gevent/library/primus';

interface Chat {
  from: string;
  said: string;
}

const primus = new PrimusDefault<Chat, string>('http://localhost:8080', {
  reconnect: { minDelay: 100, maxDelay: Infinity, retries: 3, 'reconnect timeout': '30 seconds' },
  strategy: ['disconnect', 'online'],
  ping: false,
  pingTimeout: 45e3,
  transport: { headers: { cookie: 'a=b' } },
  queueSize: 100,
  optionOfAPlugin: { any: 'thing' }
});
const connected: PrimusDefault<Chat> = Primus.connect<Chat>(new URL('http://localhost'), { manual: true });
new PrimusDefault({ url: 'http://localhost' });

primus
  .on('data', (message, raw) => {
    const text: string = message.said;
    console.log(text, raw);
  })
  .on('open', () => primus.write('hello'))
  .on('error', (error) => console.log(error.stack))
  .once('reconnecting', (outage) => console.log(outage.timeout.toFixed(), outage.attempt + outage.retries))
  .on('reconnect failed', (error, outage) => console.log(error.message, outage.duration))
  .on('readyStateChange', (state) => console.log(state === 'opening'))
  .on('outgoing::url', (parts) => {
    parts.query = 'token=1';
  })
  .on('an event of a plugin', (anything) => console.log(anything.at.all));

primus.transform('incoming', (packet) => {
  packet.data = 'foo';
});
primus.transform('incoming', (packet) => packet.data !== 'dropped');
primus.transform('outgoing', function (packet, next) {
  this.reserved('data');
  next(undefined, packet.data === 1);
});

primus.id((id) => id.toUpperCase());
primus.emits('custom', (first: number, second: number) => first + second)(1, 2);
primus.pipe({ write: (message: Chat) => message.said }).write({ from: 'a', said: 'b' });
const plugin: PrimusTypes.Plugin | undefined = primus.plugin('rooms');
const destroyed: boolean = primus.end('bye').destroy();
const state: PrimusTypes.ReadyState = PrimusDefault.OPEN;
const options: PrimusTypes.Options = { timeout: false };
const emitter = new EventEmitter().on('x', () => undefined).off('x');
console.log(connected.latency + 1, connected.online, primus.socket.anything, plugin, destroyed, state, options, emitter);
PrimusDefault.parser.encoder({ a: 1 }, (error, packet) => console.log(error, packet));
PrimusDefault.parser.addType?.('point', ([x, y]: [number, number]) => ({ x, y }));
const extension = PrimusDefault.parser.ExtBuffer && new PrimusDefault.parser.ExtBuffer(new Uint8Array(1), 32);
console.log(extension?.type, extension?.buffer.length);

// @ts-expect-error: the messages of this client are strings
primus.write({ not: 'a string' });
// @ts-expect-error: a listener of data gets a Chat
primus.on('data', (message: number) => message);
// @ts-expect-error: there are two directions
primus.transform('sideways', () => undefined);
// @ts-expect-error: read only
primus.readyState = 3;
// @ts-expect-error: retries are counted
new PrimusDefault('http://localhost', { reconnect: { retries: 'many' } });
