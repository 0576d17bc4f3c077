// Named timers: setting one replaces the earlier one of that name.

// setTimeout keeps 31 bits and fires at once beyond that: an unlimited back-off would hammer the server.
const MAX_TIMER_MS = 0x7fffffff;

const UNIT_MS = { s: 1e3, m: 6e4, h: 36e5, d: 864e5 };

class Timers {
  constructor() {
    this.running = {};
  }

  // No timer at all for `false`, 0, null or NaN: that is how an option turns a limit off.
  set(name, ms, fn) {
    this.clear(name);
    if (!(ms > 0)) return;
    this.running[name] = setTimeout(() => {
      delete this.running[name];
      fn();
    }, Math.min(ms, MAX_TIMER_MS));
  }

  active(name) {
    return name in this.running;
  }

  clear(...names) {
    for (const name of names.length ? names : Object.keys(this.running)) {
      clearTimeout(this.running[name]);
      delete this.running[name];
    }
  }
}

// Durations may be text such as `30 seconds`, as in Primus 5 and later.
function milliseconds(value) {
  if (typeof value !== 'string') return value;
  const parts = /^\s*([\d.]+)\s*(ms|milli|[smhd]?)\w*\s*$/i.exec(value);
  return parts ? parts[1] * (UNIT_MS[parts[2].toLowerCase()] || 1) : NaN;
}
