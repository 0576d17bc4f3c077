// Reconnecting: a randomised exponential back-off. One object tells listeners about an outage, from its first
// attempt to the last; its options are those of `reconnect`.

const RECONNECT_DEFAULTS = { min: 500, max: Infinity, factor: 2, retries: 10, 'reconnect timeout': 30000 };

function newOutage(given) {
  const outage = { attempt: 0, backoff: false, start: Date.now(), duration: 0 };
  for (const name of Object.keys(RECONNECT_DEFAULTS)) {
    // Both generations' names: 2.4 has minDelay and maxDelay, 5 and later min and max.
    outage[name] = [given[name + 'Delay'], given[name], RECONNECT_DEFAULTS[name]].map(milliseconds)
      .find((value) => typeof value === 'number' && value >= 0);
  }
  outage.minDelay = outage.min;
  outage.maxDelay = outage.max;
  return outage;
}

// Plan the next attempt, or give up.
function reconnect(client) {
  const outage = client._outage || (client._outage = newOutage(client.options.reconnect || {}));
  if (outage.attempt >= outage.retries) return giveUp(client);

  outage.attempt += 1;
  outage.backoff = true;
  outage.timeout = outage.scheduled = delay(outage);
  client.emit('reconnecting', outage);
  client.emit('reconnect scheduled', outage);
  // A listener may have ended or reopened the client. Timers of 0 ms are none.
  if (client._outage === outage) client.timers.set('recovery', outage.scheduled || 1, () => attempt(client, outage));
}

// Grows as the README says (500, 1000, 2000, ...), so it is the formula of Primus 5 and later: the one
// of 2.4 skips a step and waits twice as long.
function delay({ attempt, min, max, factor }) {
  const grown = attempt === 1 ? min : Math.round((Math.random() + 1) * min * factor ** (attempt - 1));
  return Math.min(grown, max);
}

function attempt(client, outage) {
  outage.backoff = false;
  client.timers.set('recovery', outage['reconnect timeout'], () => {
    drop(client);
    client.emit('reconnect timeout', new Error('Failed to reconnect in a timely manner'), outage);
    if (client._outage === outage) reconnect(client);
  });
  client.emit('reconnect', outage);
  if (client._outage === outage && !outage.backoff) client.emit('outgoing::reconnect');
}

// Retries are used up. README: `end` is final.
function giveUp(client) {
  const outage = recovered(client);
  client._wanted = false;
  halt(client);
  drop(client);
  client.emit('end');
  client.emit('reconnect failed', new Error('Unable to recover'), outage);
}

// The outage is over, if there is one: hands it out. Who calls this stops the timers too.
function recovered(client) {
  const outage = client._outage;
  if (outage) outage.duration = Date.now() - outage.start;
  client._outage = null;
  return outage;
}
