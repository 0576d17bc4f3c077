"""The clock of a client, and its named timers: setting one replaces the earlier one of that name."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal, Protocol

from .. import clock

__all__ = ["Clock", "HubClock", "Timer", "Timers"]

LONGEST = 1e9  # seconds; more would overflow, and nobody waits for 30 years


class Timer(Protocol):
    """What `Clock.call_later` returns."""

    def close(self) -> None:
        """Do not call any more."""


class Clock(Protocol):
    """Everything about a client that is not the same each time; tests have one of their own."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def call_later(self, seconds: float, fn: Callable[[], Any]) -> Timer:
        """Call ``fn``, which must not raise, in the hub."""

    def random(self) -> float:
        """From 0 to 1, without 1."""


class HubClock:
    """The clock of a hub."""

    __slots__ = ("_loop",)

    def __init__(self, hub: Any) -> None:
        self._loop = hub.loop

    def now(self) -> float:
        return clock.now()

    def call_later(self, seconds: float, fn: Callable[[], Any]) -> Timer:
        timer: Any = self._loop.timer(min(seconds, LONGEST))
        # The loop's own time is that of its last turn, which may be long ago in a program that computes.
        timer.start(fn, update=True)
        return timer  # type: ignore[no-any-return]

    def random(self) -> float:
        return random.random()


class Timers:
    """The running timers of one client, by name."""

    __slots__ = ("_clock", "_running")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[str, Timer] = {}

    def set(self, name: str, seconds: float | Literal[False], fn: Callable[[], Any]) -> None:
        """Call ``fn`` after so many seconds; never for False or infinity: that is how options turn a limit
        off."""
        self.clear(name)
        if seconds is False or seconds >= LONGEST:
            return

        def fire() -> None:
            self.clear(name)
            fn()

        self._running[name] = self._clock.call_later(seconds, fire)

    def clear(self, *names: str) -> None:
        """Stop these timers; all of them if none is named."""
        for name in names or tuple(self._running):
            timer = self._running.pop(name, None)
            if timer is not None:
                timer.close()

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def __len__(self) -> int:
        return len(self._running)
