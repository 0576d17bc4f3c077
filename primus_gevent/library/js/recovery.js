// Reconnecting: a randomised exponential back-off, and one options object that tells listeners about it.

const RECONNECT_DEFAULTS = { min: 500, max: Infinity, retries: 10, factor: 2, 'reconnect timeout': 30000 };

function numberOption(fallback, ...values) {
  const value = milliseconds(values.find((candidate) => candidate !== undefined && candidate !== null));
  return typeof value === 'number' && value >= 0 ? value : fallback;
}

class Recovery {
  constructor(client) {
    this.client = client;
    // The options object of the outage that we are in.
    this.outage = null;
  }

  // A delay is running. A further reason to reconnect changes nothing then.
  get waiting() {
    return !!this.outage && this.outage.backoff;
  }

  // The transport is trying right now.
  get attempting() {
    return !!this.outage && !this.outage.backoff;
  }

  // Plan the next attempt, or give up.
  schedule() {
    const { client } = this;
    const outage = this.outage || (this.outage = this.begin());
    if (outage.attempt >= outage.retries) return this.fail();

    outage.attempt += 1;
    outage.backoff = true;
    outage.timeout = outage.scheduled = this.delay(outage);
    client.emit('reconnecting', outage);
    client.emit('reconnect scheduled', outage);
    // A listener may have ended or reopened the client.
    if (this.outage === outage) client.timers.set('recovery', Math.max(outage.scheduled, 1), () => this.attempt());
  }

  // Both generations' names: 2.4 has minDelay and maxDelay, 5 and later min and max.
  begin() {
    const given = this.client.options.reconnect || {};
    const min = numberOption(RECONNECT_DEFAULTS.min, given.minDelay, given.min);
    const max = numberOption(RECONNECT_DEFAULTS.max, given.maxDelay, given.max);
    return {
      min,
      max,
      minDelay: min,
      maxDelay: max,
      factor: numberOption(RECONNECT_DEFAULTS.factor, given.factor),
      retries: numberOption(RECONNECT_DEFAULTS.retries, given.retries),
      'reconnect timeout': numberOption(RECONNECT_DEFAULTS['reconnect timeout'], given['reconnect timeout']),
      attempt: 0,
      backoff: false,
      start: Date.now(),
      duration: 0
    };
  }

  // Grows as the README says (500, 1000, 2000, ...), so it is the formula of Primus 5 and later: the one
  // of 2.4 skips a step and waits twice as long.
  delay({ attempt, min, max, factor }) {
    if (attempt === 1) return Math.min(min, max);
    return Math.min(Math.round((Math.random() + 1) * min * Math.pow(factor, attempt - 1)), max);
  }

  attempt() {
    const { client, outage } = this;
    outage.backoff = false;
    client.timers.set('recovery', outage['reconnect timeout'], () => this.expire());
    client.emit('reconnect', outage);
    if (this.outage === outage && !outage.backoff) client.emit('outgoing::reconnect');
  }

  expire() {
    const { client, outage } = this;
    client._disconnect();
    client.emit('reconnect timeout', new Error('Failed to reconnect in a timely manner'), outage);
    if (this.outage === outage) this.schedule();
  }

  // Retries are used up. README: `end` is final.
  fail() {
    const { client, outage } = this;
    this.reset();
    outage.duration = Date.now() - outage.start;
    client._wanted = client.writable = client.readable = false;
    client._disconnect();
    client.emit('end');
    client.emit('reconnect failed', new Error('Unable to recover'), outage);
  }

  // The connection is back: hands out the outage, or nothing when there was none.
  succeed() {
    const { outage } = this;
    if (outage) outage.duration = Date.now() - outage.start;
    this.reset();
    return outage;
  }

  reset() {
    this.outage = null;
    this.client.timers.clear('recovery');
  }
}
