"""Ctrl-C and its kin: the first asks to stop, the second one insists."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import gevent

__all__ = ["SIGNALS", "interrupts", "quiet_interrupts"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# A signal between gevent's last look and its sleep wakes nobody; see `hosts.drain`.
LOOK_SECONDS = 0.5


@contextmanager
def interrupts(stop: Callable[[int], object]) -> Iterator[None]:
    """Call ``stop(exit_status)`` in the hub on the first SIGINT, SIGTERM or SIGHUP within the block; the next
    one is a KeyboardInterrupt.

    A signal that is ignored stays ignored. Elsewhere than in the main thread nothing is installed.
    """
    hub = gevent.get_hub()
    stopped = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True
        hub.loop.run_callback(stop, 128 + signum)

    before: dict[signal.Signals, Any] = {}
    try:
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                before[signum] = signal.signal(signum, handle)
    except ValueError:
        pass  # not the main thread
    waker = hub.loop.timer(LOOK_SECONDS, LOOK_SECONDS, ref=False)
    waker.start(lambda: None)
    try:
        yield
    finally:
        waker.close()
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def quiet_interrupts() -> Iterator[None]:
    """Within the block, a KeyboardInterrupt in the hub is no error that gevent has to print."""
    hub = gevent.get_hub()
    before = hub.NOT_ERROR
    hub.NOT_ERROR = (*before, KeyboardInterrupt)
    try:
        yield
    finally:
        hub.NOT_ERROR = before
