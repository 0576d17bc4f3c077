'use strict';

/**
 * A dozen quick scenarios that nothing may break: played on every kind of host, and against a server that runs all
 * transformers at once. The other suites ask for more, on one host and of one transformer at a time. With json.
 */
(({ suite, check, equal, silence, staysGone, onlyOne, back, OPENED, CLOSED, LIMIT }) => {
  const scenario = suite('core');

  const VALUES = [null, true, 0, -1.5, 2 ** 53, '', 'é', '日本語', '💩', 'a💩b\u2028c€d', '\u0000\u001f"\\/</script>', '\ufeff\ufffd\uffff',
    [], {}, [[], {}, null], { event: 'chat', args: ['hi', { to: ['a', 'b'] }], id: 17 }, { '💩': 1, '\u2028': [2, 'x'.repeat(1000)] }];

  scenario('opens: one spark, with the query and the address of the client', async (world) => {
    const peer = await world.connected({ service: 'meta' });
    equal(peer.trace, OPENED, 'events');
    const id = await peer.id();
    const { query, headers, address, ...meta } = await peer.ask('who am I');
    equal(meta.id, id, 'id on the server');
    if (!world.queryless) equal([query.service, query.tag], ['meta', peer.tag], 'query');
    equal(headers.host.replace(/:.*/, ''), new URL(peer.url).hostname, 'host'); // BCSocket names no port
    equal(address.ip, '127.0.0.1', 'address.ip');
    check(Number.isInteger(address.port) && address.port > 0, () => `address.port is ${address.port}`);
    const { connections, open, ids } = await peer.state('connections', 1);
    equal([connections, open, ids], [1, 1, [id]], 'connections, open, ids');
  });

  scenario('every kind of value, unicode too, travels both ways', async (world) => {
    const peer = await world.connected();
    for (const value of VALUES) peer.client.write(value);
    equal(await peer.messages(VALUES.length), VALUES, 'back on the client');
    equal((await peer.state()).messages, VALUES, 'on the server');
    equal(await peer.sent(VALUES), VALUES, 'from the server');
    equal([peer.count('error'), peer.count('close')], [0, 0], 'error, close');
  });

  scenario('300 messages both ways, in order', async (world) => {
    const peer = world.peer();
    const burst = world.peer({ service: 'burst' });
    const expected = Array.from({ length: 300 }, (_, n) => n);
    burst.client.write(300); // waits until it is open
    for (const n of expected) peer.client.write(n);
    equal(await peer.messages(300), expected, 'echoes');
    equal(await burst.messages(300), expected, 'burst');
    equal((await peer.state()).received, 300, 'received by the server');
  });

  scenario('a large message both ways', async (world) => {
    const peer = await world.connected();
    for (const text of ['x'.repeat(600000), '€'.repeat(100000), '💩'.repeat(50000)]) {
      check((await peer.ask(text)) === text, 'the text has changed');
    }
    equal(await peer.ask('still here'), 'still here');
  });

  scenario('a message that nobody can read: an error, and the connection lives', async (world) => {
    const peer = await world.connected({ service: 'raw' });
    equal(await peer.ask('{"broken'), 'after');
    equal(peer.count('error'), 1, 'errors of the client');
    peer.client.socket.send('nonsense');
    await peer.state('errors', 1);
    equal(await peer.ask('[1,'), 'after');
    equal(peer.count('close'), 0, 'close');
  });

  scenario('client.end: its last words arrive, and it stays away', async (world) => {
    const peer = await world.connected({ service: 'silent' });
    const words = world.forgetful ? [] : [...Array.from({ length: 10 }, (_, n) => n), 'last words'];
    for (const word of words.slice(0, -1)) peer.client.write(word);
    peer.client.end(...words.slice(-1));
    equal(peer.trace, [...OPENED, ...CLOSED, 'end'], 'events');
    const { messages, log } = await peer.state('ends', 1);
    equal(messages, words, 'messages');
    equal(log.slice(-2), ['disconnection', 'end'], 'events on the server');
    await staysGone(peer);
  });

  scenario('spark.end with data: data, then the end', async (world) => {
    const data = { bye: 'au revoir \u2028 💩' };
    const peer = await world.connected({ service: 'end_data' });
    equal(await peer.ask(data), data);
    await peer.event('end');
    equal(peer.trace, [...OPENED, 'data', ...world.dismissed, 'end'], 'events');
    await peer.state('ends', 1);
    await staysGone(peer);
  });

  scenario('spark.end with reconnect brings a new spark', async (world) => {
    const peer = await world.connected({ service: 'end_reconnect' });
    const first = await peer.id();
    peer.client.write('now');
    await peer.event('open', 2);
    await peer.event('reconnected');
    check((await peer.id()) !== first, 'the id of the first connection');
    equal(peer.trace.filter((name) => name !== 'error'), [...OPENED, ...CLOSED, ...back(peer.generation)], 'events');
    await onlyOne(peer, 2);
  });

  scenario('a killed connection comes back, with what was written meanwhile', async (world) => {
    const peer = await world.connected({ service: 'echo' });
    equal(await peer.ask('before'), 'before');
    await peer.settled();
    await world.get(`/control/kill?tag=${peer.tag}`, peer.base);
    await peer.event('close');
    for (const text of ['meanwhile 1', 'meanwhile 2']) peer.client.write(text);
    await peer.event('reconnected');
    equal(await peer.messages(2), ['meanwhile 1', 'meanwhile 2']);
    await onlyOne(peer, 2);
  });

  scenario('a broadcast reaches clients of all kinds', async (world) => {
    const peers = [];
    for (const who of [world, world, ...world.others]) peers.push(await world.connected({}, who));
    for (const peer of peers) await peer.state('connections', 1);
    const sent = [{ to: 'all', text: '💩\u2028' }, 'two', null, [3]];
    for (const message of sent) await world.get(`/control/broadcast?data=${encodeURIComponent(JSON.stringify(message))}`);
    for (const peer of peers) equal(await peer.messages(sent.length), sent, 'broadcast');
    for (const peer of peers) equal(await peer.ask(peer.tag), peer.tag);
  });

  const LONG = 3500; // ms: more than two timeouts of the servers for this

  scenario('pings of the client keep an idle connection alive', {
    idle: 'alone',
    needs: (world) => (world.kind === 'primus8' ? 'this client does not ping' : undefined)
  }, async (world) => {
    const peer = await world.connected({ server: 'pinging', options: { ping: 400, pong: LIMIT } });
    await silence(LONG);
    equal(peer.trace, OPENED, 'events');
    check(peer.count('incoming::pong') >= 4, () => `only ${peer.count('incoming::pong')} pongs`);
    equal(await peer.ask('alive'), 'alive');
  });

  scenario('pings of the server keep an idle connection alive', {
    idle: 'alone',
    needs: (world) => (world.kind === 'primus24' ? 'this client does not answer pings' : undefined)
  }, async (world) => {
    const options = world.kind === 'ours' ? { ping: 25000, pingTimeout: LIMIT } : { pingTimeout: LIMIT };
    const peer = await world.connected({ server: 'pinged', options });
    await silence(LONG);
    equal(peer.trace, OPENED, 'events');
    check(peer.count('outgoing::pong') >= 3, () => `only ${peer.count('outgoing::pong')} pongs`);
    equal(await peer.ask('alive'), 'alive');
  });
})(typeof module === 'object' ? require('../harness') : globalThis.InteropHarness);
