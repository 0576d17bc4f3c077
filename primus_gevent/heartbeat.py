"""One greenlet that watches over the silence of all sparks, instead of a timer for each.

Primus 2 to 6 clients ping by themselves; 7 and 8 wait for the server's ping. Nobody has to configure which:
a spark that has sent no ping by ``ping_interval`` is of the newer kind and is pinged from then on, and one
that has sent a ping is never pinged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal

import gevent

from . import clock

__all__ = ["Sweep"]

MIN_STEP_SECONDS = 0.02
MAX_STEP_SECONDS = 1.0
# A sweep that is so late had no turn: the process was stopped, or something blocked the loop.
LATE_SECONDS = 0.5


class Sweep:
    """Ends silent sparks, and pings those that wait for it. Runs while there are sparks.

    Args:
        sparks: gives the open sparks.
        timeout: seconds of silence after which a spark is ended, so that its client reconnects.
        ping_interval: seconds between the pings to one spark.
    """

    def __init__(
        self,
        sparks: Callable[[], Collection[Any]],
        timeout: float | Literal[False],
        ping_interval: float | Literal[False],
    ) -> None:
        self._sparks = sparks
        self._timeout = timeout
        self._ping_interval = ping_interval
        shortest = min((seconds for seconds in (timeout, ping_interval) if seconds), default=0.0)
        self._step = _step(shortest)
        self._enabled = bool(shortest)
        self._watched: list[Collection[Any]] = []
        self._greenlet: Any = None

    def watch(self, sessions: Collection[Any], shortest: float) -> None:
        """Call ``tick(now)`` of each of these too, for as long as there are any. Other calls add to it.

        Args:
            shortest: seconds of the shortest time that they look for.
        """
        self._watched.append(sessions)
        self._step = min(self._step, _step(shortest)) if self._enabled else _step(shortest)
        self._enabled = True

    def start(self) -> None:
        """Begin, unless it is running: called with every new spark, so that a forked worker has its own, and
        for sessions that have no spark yet."""
        if self._enabled and (self._greenlet is None or self._greenlet.dead):
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop watching."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def _run(self) -> None:
        while (sparks := list(self._sparks())) or any(self._watched):
            now, now_ms = clock.monotonic(), int(clock.now() * 1000)
            for spark in sparks:
                self._look(spark, now, now_ms)
            for sessions in self._watched:
                for session in sessions:
                    session.tick(now)
            session = spark = None
            del sparks  # or the last ones would live as long as the sleep
            gevent.sleep(self._step)
            if clock.monotonic() - now > self._step + LATE_SECONDS:
                # Nobody is judged by the silence of a time in which nothing was read; once, or a loop that is
                # always late would keep the dead.
                gevent.sleep(self._step)

    def _look(self, spark: Any, now: float, now_ms: int) -> None:
        connection = spark.socket
        # Paused: it is we who do not listen. A peer that left meanwhile gets no new lease, though: what it
        # sent is still to be read, but not for ever.
        if connection.active or (connection.paused and not connection.peer_left()):
            connection.active = False
            spark.seen_at = now
        elif self._timeout and now - spark.seen_at > self._timeout:
            spark.end(reconnect=True)
            return
        if self._ping_interval and not spark.pings_itself and now - spark.pinged_at >= self._ping_interval:
            spark.pinged_at = now
            spark.ping(now_ms)


def _step(shortest: float) -> float:
    """Seconds between two looks, so that the shortest time is kept well enough."""
    return min(max(shortest / 20, MIN_STEP_SECONDS), MAX_STEP_SECONDS)
