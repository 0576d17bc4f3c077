"""Graceful end of a process: every Primus in it says goodbye to its clients, and they come back elsewhere.

No WSGI server tells an application about SIGTERM. A `Primus` registers its `drain` here; `install_signals`
(our own server) and `primus_gevent.hosts.gunicorn.post_worker_init` (gunicorn) see to it that they run.
Handlers that were installed before still run, and all of it is safe to run repeatedly: a master may send
    SIGTERM several times.
"""

from __future__ import annotations

import logging
import os
import signal
import weakref
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import gevent
from gevent.event import Event

__all__ = ["DRAIN_SECONDS", "install_signals", "register", "start", "unregister"]

logger = logging.getLogger("primus_gevent")

DRAIN_SECONDS = 10.0
SIGNAL_SECONDS = 0.5  # after which a signal is noticed, at the latest
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

Drain = Callable[[float], object]


class _Registry:
    """Drain callables of this process. A bound method is held weakly: registering keeps nobody alive."""

    def __init__(self) -> None:
        self.references: list[Callable[[], Drain | None]] = []

    def add(self, function: Drain) -> None:
        self.references = [ref for ref in self.references if ref() is not None]
        if function in self.callables():
            return
        if hasattr(function, "__self__"):
            # No `WeakMethod`: when the interpreter ends, its callback may find itself gone, and fails aloud.
            owner, name = weakref.ref(function.__self__), function.__name__
            self.references.append(lambda: getattr(owner(), name, None))
        else:
            self.references.append(lambda: function)

    def remove(self, function: Drain) -> None:
        self.references = [ref for ref in self.references if ref() not in (function, None)]

    def callables(self) -> list[Drain]:
        return [function for ref in self.references if (function := ref()) is not None]


class _Run:
    """One drain of the whole process; asked for again while it runs, it stays the same one."""

    def __init__(self, timeout: float) -> None:
        self.pid = os.getpid()
        self.finished = Event()
        self.greenlet = gevent.spawn(self.run, timeout)

    def run(self, timeout: float) -> None:
        try:
            drains = [gevent.spawn(self.call, function, timeout) for function in _registry.callables()]
            gevent.joinall(drains, timeout=timeout)
        finally:
            self.finished.set()

    def call(self, function: Drain, timeout: float) -> None:
        try:
            function(timeout)
        except Exception:  # whatever a listener of the application raises must not cut the others
            logger.exception("drain failed: %r", function)


class _Handler:
    """The handler of one signal: starts the drain, and passes the signal on to whoever was there before."""

    def __init__(self, signum: signal.Signals) -> None:
        self.signum = signum
        self.installations: list[_Installation] = []
        self.previous: Any = signal.getsignal(signum)
        signal.signal(signum, self)

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        # Runs between two bytecodes of any greenlet, maybe the hub: it must not block.
        begun = [installation.begin(self) for installation in list(self.installations)]
        if not callable(self.previous):
            return
        if self.previous is signal.default_int_handler and any(begun):
            return  # KeyboardInterrupt is for who presses Ctrl-C again
        self.previous(signum, frame)

    def add(self, installation: _Installation) -> None:
        self.installations.append(installation)

    def discard(self, installation: _Installation) -> None:
        if installation in self.installations:
            self.installations.remove(installation)
        current: object = signal.getsignal(self.signum)
        if not self.installations and current is self:
            signal.signal(self.signum, self.previous)
            _handlers.pop(self.signum, None)


class _Installation:
    """What one caller of `install_signals` wants done around the drain."""

    def __init__(
        self, before: Callable[[], object] | None, after: Callable[[], object] | None, timeout: float
    ) -> None:
        self.before = before
        self.after = after
        self.timeout = timeout
        self.begun = False

    def begin(self, handler: _Handler) -> bool:
        """Start, unless that was done; says which."""
        if self.begun:
            return False
        self.begun = True
        gevent.spawn(self.run, handler)
        return True

    def run(self, handler: _Handler) -> None:
        if self.before is not None:
            self.before()
        start(self.timeout).wait(self.timeout)
        if self.after is not None:
            self.after()
        elif handler.previous in (signal.SIG_DFL, signal.default_int_handler):
            # Nobody else makes the process end, as the signal would have done without us.
            signal.signal(handler.signum, handler.previous)
            os.kill(os.getpid(), handler.signum)


_registry = _Registry()
_run: _Run | None = None
_handlers: dict[signal.Signals, _Handler] = {}


def _look() -> None:
    """Return to the loop, which then runs the handlers of pending signals."""


def register(drain: Drain) -> None:
    """Have `drain(timeout)` called when the process is told to end; it may block, and other drains run beside
    it.

    A bound method is held weakly. Registering the same one again changes nothing.
    """
    _registry.add(drain)


def unregister(drain: Drain) -> None:
    """Take back `register`; unknown ones are ignored."""
    _registry.remove(drain)


def start(timeout: float = DRAIN_SECONDS) -> Event:
    """Call every registered drain, each in a greenlet of its own, and return at once.

    While they run, asking again only joins in.

    Args:
        timeout: seconds that the drains get.

    Returns:
        Set when all have returned or the time is over.
    """
    global _run
    # a fork inherits the variable, but not the greenlet
    if _run is None or _run.finished.is_set() or _run.pid != os.getpid():
        _run = _Run(timeout)
    return _run.finished


def install_signals(
    before: Callable[[], object] | None = None,
    after: Callable[[], object] | None = None,
    *,
    signals: Iterable[signal.Signals] = SIGNALS,
    timeout: float = DRAIN_SECONDS,
) -> Callable[[], None]:
    """Drain when one of these signals arrives. To be called in the main thread.

    A handler that was there before is called at once, in addition, except Python's own for SIGINT. A signal
    that is ignored (`nohup` does that to SIGHUP) stays ignored. A second signal does not start anything
    again; a second SIGINT is a KeyboardInterrupt.

    Args:
        before: called when the signal arrives, for example to close a listening socket; may block.
        after: called when the drain is over, for example to stop a server; without it the signal is then sent
            again with the handler that was there before, if that one ends the process.
        signals: which ones.
        timeout: seconds that the drain gets.

    Returns:
        A function that takes the installation back.

    Raises:
        ValueError: this is not the main thread.
    """
    installation = _Installation(before, after, timeout)
    for signum in signals:
        if signal.getsignal(signum) is signal.SIG_IGN:
            continue
        if signum not in _handlers or signal.getsignal(signum) is not _handlers[signum]:
            _handlers[signum] = _Handler(signum)
        _handlers[signum].add(installation)

    # A signal between gevent's last look and its sleep wakes nobody: Python's handler runs with the next
    # event, which on an idle server may be far away (one SIGTERM of thirty was seen to hang).
    waker = gevent.get_hub().loop.timer(SIGNAL_SECONDS, SIGNAL_SECONDS, ref=False)
    waker.start(_look)

    def uninstall() -> None:
        waker.close()
        for handler in list(_handlers.values()):
            handler.discard(installation)

    return uninstall
