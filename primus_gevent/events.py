"""Event emitter with Node's words (`on`, `once`, `off`, `emit`) and the reserved event names.

Knows nothing of greenlets: `Emitter.emit` calls the listeners one after the other in the caller's greenlet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from .arity import arity, never_runs

__all__ = ["SERVER_EVENTS", "SPARK_EVENTS", "Emitter", "Listener", "is_reserved"]

F = TypeVar("F", bound=Callable[..., Any])

#: Events that only Primus itself may emit (specification, "Events"); plus everything that
#: starts with ``incoming::`` or ``outgoing::``.
SERVER_EVENTS = frozenset({"disconnection", "initialised", "connection", "plugout", "plugin", "close", "log"})
SPARK_EVENTS = frozenset({"readyStateChange", "heartbeat", "error", "data", "end"})


def is_reserved(event: str, names: frozenset[str]) -> bool:
    """Tell whether ``event`` is Primus's own: listed in ``names``, ``incoming::*`` or ``outgoing::*``."""
    return event in names or event.startswith(("incoming::", "outgoing::"))


class Listener:
    """One registered function; its arity is read here once and never again."""

    __slots__ = ("accepted", "function", "once", "required")

    def __init__(self, function: Callable[..., Any], once: bool = False) -> None:
        if not callable(function):
            raise TypeError(f"a listener must be callable, not {function!r}")
        if never_runs(function):
            raise TypeError(f"a listener is a plain function, which may block; {function!r} would never run")
        self.function = function
        self.once = once
        self.required, self.accepted = arity(function)

    def __call__(self, *args: Any) -> Any:
        # As in JavaScript a listener may ignore trailing arguments: `data` carries the raw message as
        # its second one, and hardly any listener wants it.
        if len(args) > self.accepted:
            args = args[: self.accepted]
        return self.function(*args)


class _Registration(Generic[F]):
    """What `on(event)` without a function returns: the decorator."""

    __slots__ = ("_emitter", "_event", "_once")

    def __init__(self, emitter: Emitter, event: str, once: bool) -> None:
        self._emitter, self._event, self._once = emitter, event, once

    def __call__(self, function: F) -> F:
        self._emitter._add(self._event, function, self._once)
        return function


class Emitter:
    """Keeps listeners by event name, in the order of their registration.

    The table is made with the first listener, because an idle connection usually has none. Tuples are
    replaced, never changed, so adding and removing while an event is being emitted is safe.
    """

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: dict[str, tuple[Listener, ...]] | None = None

    @overload
    def on(self, event: str) -> _Registration[Any]: ...
    @overload
    def on(self, event: str, function: F) -> F: ...
    def on(self, event: str, function: Any = None) -> Any:
        """Call ``function`` at every ``event``; without a function, be a decorator.

        Returns the function, so that both spellings leave the name usable.
        """
        return self._register(event, function, once=False)

    @overload
    def once(self, event: str) -> _Registration[Any]: ...
    @overload
    def once(self, event: str, function: F) -> F: ...
    def once(self, event: str, function: Any = None) -> Any:
        """Like `on`, but for the next ``event`` only."""
        return self._register(event, function, once=True)

    def off(self, event: str, function: Callable[..., Any] | None = None) -> bool:
        """Remove ``function``, or every listener, of ``event``; tell whether anything was removed."""
        listeners = self._listeners
        if not listeners or event not in listeners:
            return False
        before = listeners[event]
        rest = () if function is None else tuple(x for x in before if x.function != function)
        if rest:
            listeners[event] = rest
        else:
            del listeners[event]
        return len(rest) < len(before)

    def remove_all_listeners(self, event: str | None = None) -> None:
        """Remove the listeners of ``event``, or of all events."""
        if event is None:
            self._listeners = None
        else:
            self.off(event)

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """The functions that listen to ``event``, in order."""
        return [listener.function for listener in self._registered(event)]

    def emit(self, event: str, *args: Any) -> bool:
        """Call the listeners of ``event`` in order, in this greenlet; tell whether there was one.

        What a listener raises reaches the caller, and the later listeners are not called.
        """
        registered = self._registered(event)
        for listener in registered:
            if listener.once:
                self._discard(event, listener)
            listener(*args)
        return bool(registered)

    def _register(self, event: str, function: Any, *, once: bool) -> Any:
        if function is None:
            return _Registration(self, event, once)
        self._add(event, function, once)
        return function

    def _add(self, event: str, function: Callable[..., Any], once: bool) -> None:
        if self._listeners is None:
            self._listeners = {}
        self._listeners[event] = (*self._listeners.get(event, ()), Listener(function, once))

    def _registered(self, event: str) -> tuple[Listener, ...]:
        return self._listeners.get(event, ()) if self._listeners else ()

    def _claim(self, event: str, listener: Listener) -> bool:
        """Whether ``listener`` is to be called: a `once` listener by the first who asks, and then no more."""
        if not listener.once:
            return True
        waiting = listener in self._registered(event)
        self._discard(event, listener)
        return waiting

    def _discard(self, event: str, listener: Listener) -> None:
        if self._listeners and event in self._listeners:
            rest = tuple(x for x in self._listeners[event] if x is not listener)
            if rest:
                self._listeners[event] = rest
            else:
                del self._listeners[event]
