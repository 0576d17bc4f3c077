'use strict';

/**
 * What applications and plugins add to a server and its clients: authorization, plugins, message transforms, and
 * connection listeners that make others wait. With the parser `json`, by every pair.
 *
 * The clients are compiled for the server that they go to: a library that knows of an authorization hook does not retry.
 */
(({ suite, check, equal, silence, OPENED, CLOSED }) => {
  const scenario = suite('extensions');

  // --- authorization; the hooks and their verdicts are in server.js and extensions.py ---

  /** The common servers with a hook: the specification's form, and ours that blocks. */
  const hooks = (world) => ['authorization', 'blocking'].filter((name) => world.servers[name]);

  // Its hook resumes a request that it lets pass. Node then says that the request has closed, since 16, and Engine.IO 1
  // takes that for its client's doing.
  const RESUMES = 'on a Node of today Primus 2.4 with a hook cannot hold a poll';
  const lettingIn = (world) => (world.engine && world.about.server === 'primus24' ? RESUMES : world.queryless);

  const FAILED = ['readyStateChange opening', 'error', ...CLOSED, 'end'];
  const inNode = (world) => (world.browser ? 'a page is not told how a server answered a handshake' : undefined);
  const asWebSocket = (world) => {
    if (world.transformer === 'faye' && world.kind !== 'ours') return 'faye-websocket tells it by words in its error';
    return world.session ? 'only the WebSocket itself tells that' : inNode(world);
  };

  /** Checks how many requests the hook has seen: where a connection has many, every single one is asked for. */
  function askedFor(world, { asked }, connections) {
    check(world.session ? asked >= connections : asked === connections, `${asked} requests for ${connections} connections`);
  }

  /** What a refused request is answered, by its token. */
  const REFUSALS = {
    none: { status: 401, authenticate: 'Basic realm="myscheme"', error: 'Authentication required' },
    forbidden: { status: 403, authenticate: undefined, error: 'Go away!' },
    text: { status: 401, authenticate: undefined, error: 'Not you.' }
  };

  scenario('a refused client: error, then the end, and no second try', { needs: (world) => world.queryless }, async (world) => {
    const peers = [];
    for (const server of hooks(world)) {
      for (const [token, { authenticate }] of Object.entries(REFUSALS)) {
        // a page that polls has the browser ask its user for a password, and waits
        if (!(world.browser && world.session && authenticate)) peers.push(world.peer({ server, query: { token } }));
      }
    }
    for (const peer of peers) await peer.event('end');
    world.release();
    await silence(200); // ten times the first reconnect delay
    for (const peer of peers) {
      // BCSocket looks later what is wrong
      equal(world.bcsocket ? peer.trace.slice(0, FAILED.length) : peer.trace, FAILED, 'events');
      check(typeof peer.seen.get('error')[0][0].message === 'string', 'an error without message');
      const { asked, connections } = await peer.state();
      equal([asked, connections], [1, 0], 'requests, connections');
    }
  });

  scenario('with the timeout strategy a refused client tries again, until it is let in', {
    needs: (world) => lettingIn(world) || (world.bcsocket ? 'BCSocket makes the address its own way' : undefined)
  }, async (world) => {
    for (const server of hooks(world)) {
      const options = { strategy: 'disconnect,online,timeout' };
      const peer = world.peer({ server, query: { token: 'forbidden' }, options });
      let attempts = 0;
      peer.client.on('outgoing::url', (parts) => {
        attempts += 1;
        if (attempts > 2) parts.query = String(parts.query).replace('forbidden', 'good');
      });
      await peer.event('open');
      equal(await peer.ask('in'), 'in');
      equal([peer.count('error'), peer.count('reconnect'), peer.count('end')], [1, 2, 0], 'error, reconnect, end');
      askedFor(world, await peer.state(), 3);
    }
  });

  scenario('a token in the query lets in, and is asked for again after a lost connection', {
    needs: lettingIn
  }, async (world) => {
    for (const server of hooks(world)) {
      const peer = await world.connected({ server, query: { token: 'good' } });
      equal(await peer.ask('in'), 'in');
      askedFor(world, await peer.state(), 1);
      await peer.settled();
      await world.get(`/control/kill?tag=${peer.tag}`, peer.base);
      await peer.event('open', 2);
      equal(await peer.ask('in again'), 'in again');
      askedFor(world, await peer.state(), 2);
    }
  });

  scenario('a header lets in', { needs: (world) => lettingIn(world) || world.headerless || inNode(world) }, async (world) => {
    for (const server of hooks(world)) {
      const peer = await world.connected({ server, options: world.carrying({ Authorization: 'Bearer good' }) });
      equal(await peer.ask('in'), 'in');
    }
  });

  // The two examples of the specification, "Authorization", "Client".

  scenario('unexpected-response tells the status, and an error that is emitted there ends the client', {
    needs: asWebSocket
  }, async (world) => {
    for (const server of hooks(world)) {
      for (const [token, refusal] of Object.entries(REFUSALS)) {
        const peer = world.peer({ server, query: { token } });
        let seen;
        peer.client.on('outgoing::open', () => {
          peer.client.socket.on('unexpected-response', (request, response) => {
            seen = [response.statusCode, response.headers['www-authenticate']];
            request.abort();
            const text = `authorization failed: ${response.statusCode}`;
            // ws 2 makes its event of the very value that is emitted; the ws of the time made one around it
            peer.client.socket.emit('error', world.kind === 'primus24' ? new Error(text) : text);
          });
        });
        await peer.event('end');
        equal(seen, [refusal.status, refusal.authenticate], 'status, WWW-Authenticate');
        equal(peer.trace, FAILED, 'events');
        const [error] = peer.seen.get('error')[0];
        // ws 8 makes an event of the text, in which Primus 8 looks for a message only
        equal(error.message, world.kind === 'primus8' ? '' : `authorization failed: ${refusal.status}`, 'error');
      }
    }
  });

  scenario('unexpected-response gives the body, as JSON', { needs: asWebSocket }, async (world) => {
    for (const server of hooks(world)) {
      for (const [token, refusal] of Object.entries(REFUSALS)) {
        const peer = world.peer({ server, query: { token } });
        let headers;
        peer.client.on('outgoing::open', () => {
          peer.client.socket.on('unexpected-response', (request, response) => {
            ({ headers } = response);
            let data = '';
            response.on('data', (chunk) => { data += chunk; });
            response.on('end', () => peer.client.socket.emit('error', new Error(JSON.parse(data).error)));
          });
        });
        await peer.event('end');
        equal(headers['content-type'], 'application/json', 'content-type');
        equal(peer.seen.get('error')[0][0].message, refusal.error, 'error');
        equal(peer.trace, FAILED, 'events');
      }
    }
  });

  scenario('plain HTTP is refused too, but not the spec and primus.js', { needs: inNode }, async (world) => {
    for (const server of hooks(world)) {
      const base = world.servers[server];
      for (const [token, { status, authenticate, error }] of Object.entries(REFUSALS)) {
        const response = await world.fetch(`${base}/primus?token=${token}`);
        equal(response.status, status, 'status');
        equal(response.headers.get('www-authenticate'), authenticate || null, 'WWW-Authenticate');
        equal(await response.json(), { error }, 'body');
      }
      equal((await world.get('/primus/spec', base)).transformer, world.transformer, 'spec');
      const script = await world.fetch(`${base}/primus/primus.js`);
      equal(script.status, 200, 'primus.js');
      await script.text();
    }
  });

  // --- a plugin with a server side, a client side and a library ---

  scenario('a plugin runs on both sides, with its library and the options of the client', async (world) => {
    const peers = [world.peer({ server: 'extended', options: { shoutMark: '?' } }), world.peer({ server: 'extended' })];
    for (const peer of peers) {
      peer.listen('heard', false);
      await peer.event('open');
      peer.client.shout('hello é');
    }
    equal(await peers[0].event('heard'), ['HELLO É?'], 'heard');
    equal(await peers[1].event('heard'), ['HELLO É!'], 'heard');
    for (const peer of peers) {
      // the plugin's own messages are nobody else's
      equal([(await peer.state()).received, peer.count('data')], [0, 0], 'messages');
      equal(await peer.ask({ ordinary: 'message' }), { ordinary: 'message' });
    }
  });

  // --- message transforms on both sides: each writes its name into the message ---

  const PLACES = ['client out', 'client out later', 'server in', 'server in later', 'server out', 'server out later',
    'client in', 'client in later'];

  function step(packet, name) {
    packet.data = { ...packet.data, steps: [...packet.data.steps, name] };
    return packet.data.stop !== name;
  }

  /** Gives the client of a peer the same transforms as the server has. */
  function transforming(peer) {
    for (const [type, way] of [['outgoing', 'out'], ['incoming', 'in']]) {
      const name = `client ${way} later`;
      peer.client.transform(type, (packet) => (packet.data.steps ? step(packet, `client ${way}`) : undefined));
      peer.client.transform(type, (packet, next) => {
        if (!packet.data.steps) return next();
        setTimeout(() => {
          const proceed = step(packet, name);
          next(packet.data.fail === name ? new Error(`failed: ${name}`) : undefined, proceed);
        }, packet.data.slow === name ? 50 : 1);
        return undefined;
      });
    }
    return peer;
  }

  scenario('transforms of both sides run in their order', async (world) => {
    const peer = transforming(world.peer({ server: 'extended' }));
    await peer.event('open');
    equal(await peer.ask({ text: '💩', steps: [] }), { text: '💩', steps: PLACES });
    const [message] = (await peer.state()).messages;
    equal(message.steps, PLACES.slice(0, 4), 'what the server got');
    equal(await peer.ask('not theirs'), 'not theirs');
  });

  scenario('a transform stops a message, wherever it is', async (world) => {
    const peer = transforming(world.peer({ server: 'extended' }));
    await peer.event('open');
    for (const stop of PLACES) {
      equal(peer.client.write({ stop, steps: [] }), true, 'write()');
      equal((await peer.ask({ steps: [] })).steps, PLACES, `after a stop at ${stop}`);
    }
    equal([peer.count('data'), peer.count('error')], [PLACES.length, 0], 'messages, errors');
    equal((await peer.state()).errors, [], 'errors on the server');
  });

  scenario('a transform that fails: error on its side, the message is lost, the connection lives', async (world) => {
    const peer = transforming(world.peer({ server: 'extended' }));
    await peer.event('open');
    const places = PLACES.filter((name) => name.endsWith('later'));
    for (const fail of places) {
      peer.client.write({ fail, steps: [] });
      equal((await peer.ask({ steps: [] })).steps, PLACES, `after a failure at ${fail}`);
    }
    const { errors } = await peer.state('errors', 2);
    equal(errors, ['failed: server in later', 'failed: server out later'], 'errors on the server');
    const own = peer.seen.get('error').map(([error]) => error.message);
    equal(own, ['failed: client out later', 'failed: client in later'], 'errors on the client');
    equal([peer.count('data'), peer.count('close')], [places.length, 0], 'messages, close');
  });

  scenario('a slow transform lets no message overtake', {
    needs: (world) => (world.about.server === 'python' ? undefined : 'in the original it does')
  }, async (world) => {
    const peer = transforming(world.peer({ server: 'extended' }));
    await peer.event('open');
    const slow = PLACES.filter((name) => name.endsWith('later') && (world.kind === 'ours' || name.startsWith('server')));
    // with an original client its own transforms take a millisecond each: they hold back nobody for long
    for (const name of slow) {
      peer.client.write({ slow: name, n: 0, steps: [] });
      for (let n = 1; n < 4; n++) peer.client.write({ n, steps: [] });
      equal((await peer.messages(4)).map(({ n }) => n), [0, 1, 2, 3], `order with a slow ${name}`);
    }
  });

  scenario('a broadcast passes the outgoing transforms', async (world) => {
    const peers = [];
    for (let n = 0; n < 3; n++) peers.push(await world.connected({ server: 'extended' }));
    for (const peer of peers) await peer.state('connections', 1);
    const broadcast = (value) =>
      world.get(`/control/broadcast?data=${encodeURIComponent(JSON.stringify(value))}`, world.servers.extended);
    await broadcast({ steps: [] });
    for (const peer of peers) equal(await peer.message(), { steps: ['server out', 'server out later'] });
    await broadcast({ steps: [], stop: 'server out' });
    await broadcast(1);
    for (const peer of peers) equal(await peer.message(), 1);
  });

  // --- connection listeners that make others wait ---

  scenario('early messages wait for a connection listener with next, and arrive in order', {
    needs: (world) => (world.about.server === 'primus24' ? 'Primus 2.4 hands them to the listeners of that moment' : world.queryless)
  }, async (world) => {
    const peer = await world.connected({ server: 'extended', query: { gate: 'closed' } });
    await peer.state('held', 1);
    const early = Array.from({ length: 20 }, (_, n) => ({ n }));
    for (const message of early) peer.client.write(message);
    await peer.id(); // nobody makes Primus's own messages wait: when this is answered the others have come
    const { received, connections } = await peer.state();
    equal([received, connections], [0, 0], 'messages, connections that the second listener saw');
    await world.get(`/control/gate?tag=${peer.tag}`, peer.base);
    peer.client.write({ n: 20 });
    equal(await peer.messages(21), [...early, { n: 20 }], 'messages');
    equal((await peer.state()).connections, 1, 'connections');
  });

  scenario('next(error) ends the client, which does not come back', { needs: (world) => world.queryless }, async (world) => {
    const peer = await world.connected({ server: 'extended', query: { gate: 'closed' } });
    await peer.state('held', 1);
    await world.get(`/control/gate?tag=${peer.tag}&error=${encodeURIComponent('who are you?')}`, peer.base);
    await peer.event('end');
    world.release();
    await silence(300); // fifteen times the first reconnect delay
    equal(peer.trace, [...OPENED, ...world.dismissed, 'end'], 'events');
    const { held, connections, errors } = await peer.state();
    equal([held, connections], [1, 0], 'connections, those that the second listener saw');
    equal(errors, ['who are you?'], 'errors of the spark');
  });
})(typeof module === 'object' ? require('../harness') : globalThis.InteropHarness);
