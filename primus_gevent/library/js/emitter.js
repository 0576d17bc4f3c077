// The event emitter of the client. Constructor functions and not classes, here and for
// Primus itself: plugins of the ES5 era inherit with `EventEmitter.call(this)`.

function EventEmitter() {
  this._listeners = new Map();
}

// Also for objects that borrowed the prototype and never ran the constructor.
function listenersOf(emitter) {
  return emitter._listeners || (emitter._listeners = new Map());
}

function entriesOf(emitter, event) {
  return listenersOf(emitter).get(event) || [];
}

function addListener(emitter, event, fn, context, once) {
  if (typeof fn !== 'function') throw new TypeError('The listener must be a function');
  // A new array per change: whoever is emitting keeps the list that it began with.
  const entries = entriesOf(emitter, event).concat({ fn, context: context || emitter, once });
  listenersOf(emitter).set(event, entries);
  return emitter;
}

function keep(emitter, event, test) {
  const entries = entriesOf(emitter, event).filter(test);
  if (entries.length) listenersOf(emitter).set(event, entries);
  else listenersOf(emitter).delete(event);
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
    return keep(this, event, (entry) => fn && entry.fn !== fn);
  },

  removeAllListeners(event) {
    if (event === undefined) listenersOf(this).clear();
    else listenersOf(this).delete(event);
    return this;
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
      if (entry.once) {
        // Already called when an earlier listener emitted this event again.
        if (entry.fired) continue;
        entry.fired = true;
        keep(this, event, (other) => other !== entry);
      }
      this._call(entry.fn, entry.context, args);
    }
    return entries.length > 0;
  },

  _call(fn, context, args) {
    fn.apply(context, args);
  }
});

EventEmitter.prototype.addListener = EventEmitter.prototype.on;
EventEmitter.prototype.removeListener = EventEmitter.prototype.off;

