// The event emitter of the client. Constructor functions and not classes, here and for
// Primus itself: plugins of the ES5 era inherit with `EventEmitter.call(this)`.

function EventEmitter() {}

// One list for all events, because there are few listeners; a new one per change, so that whoever is emitting keeps
// what it began with. None at first, also for objects that borrowed the prototype and never ran the constructor.
function listenersOf(emitter) {
  return emitter._listeners || [];
}

function entriesOf(emitter, event) {
  return listenersOf(emitter).filter((entry) => entry.event === event);
}

function requireFunction(name, fn) {
  if (typeof fn !== 'function') throw new TypeError('The ' + name + ' must be a function');
}

function addListener(emitter, event, fn, context, once) {
  requireFunction('listener', fn);
  emitter._listeners = listenersOf(emitter).concat({ event, fn, context: context || emitter, once });
  return emitter;
}

function keep(emitter, test) {
  emitter._listeners = listenersOf(emitter).filter(test);
  return emitter;
}

Object.assign(EventEmitter.prototype, {
  on(event, fn, context) {
    return addListener(this, event, fn, context, false);
  },

  once(event, fn, context) {
    return addListener(this, event, fn, context, true);
  },

  // Without a function: every listener of the event.
  off(event, fn) {
    return keep(this, (entry) => entry.event !== event || (fn && entry.fn !== fn));
  },

  removeAllListeners(event) {
    return keep(this, (entry) => event !== undefined && entry.event !== event);
  },

  listeners(event) {
    return entriesOf(this, event).map((entry) => entry.fn);
  },

  listenerCount(event) {
    return entriesOf(this, event).length;
  },

  emit(event, ...args) {
    const entries = entriesOf(this, event);
    for (const entry of entries) {
      // Already called when an earlier listener emitted this event again.
      if (entry.fired) continue;
      if (entry.once) {
        entry.fired = true;
        keep(this, (other) => other !== entry);
      }
      this._call(entry, args);
    }
    return entries.length > 0;
  },

  _call({ fn, context }, args) {
    fn.apply(context, args);
  }
});

EventEmitter.prototype.addListener = EventEmitter.prototype.on;
EventEmitter.prototype.removeListener = EventEmitter.prototype.off;
