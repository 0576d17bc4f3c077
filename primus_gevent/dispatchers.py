"""Greenlets that are lent out: listeners need one to block in, but an idle connection should not keep one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gevent import Timeout, get_hub
from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["FAILURES", "Dispatchers"]

logger = logging.getLogger("primus_gevent")

MAX_IDLE = 64

#: What may come out of a listener and concerns only its own connection. The last two are no `Exception`, and
#: would otherwise take a greenlet along, or reach the hub.
FAILURES = (Exception, Timeout, GreenletExit)

_TASK = object()  # marks what `run` switches with, because a listener may leave others behind that switch too


class Dispatchers:
    """Runs tasks, each in a greenlet that is used again afterwards."""

    __slots__ = ("_idle", "_room")

    def __init__(self) -> None:
        self._idle: list[Any] = []
        self._room = MAX_IDLE

    def run(self, task: Callable[..., None], *args: Any) -> None:
        """Run ``task(*args)`` in a greenlet: up to its first blocking call at once if called in the hub,
        otherwise soon. What it raises is logged."""
        hub = get_hub()
        worker = self._idle.pop() if self._idle else greenlet(self._work, hub)
        if getcurrent() is hub:
            worker.switch([_TASK, task, args])
        else:
            hub.loop.run_callback(worker.switch, [_TASK, task, args])

    def stop(self) -> None:
        """Let the idle greenlets end, and keep none from now on; `run` still runs.

        Without it they would stay: a greenlet that is parked and the list that holds it are a cycle that the
        garbage collector cannot see through.
        """
        self._room = 0
        idle, self._idle = self._idle, []
        for worker in idle:
            get_hub().loop.run_callback(worker.switch, None)

    def _work(self, job: list[Any] | None) -> None:
        hub = get_hub()
        me: Any = getcurrent()
        while job is not None:
            _, task, args = job
            job.clear()  # what a greenlet was first switched to with is kept as long as it lives
            try:
                task(*args)
            except FAILURES:
                logger.exception("%r failed", task)
            if len(self._idle) >= self._room:
                return
            del task, args, job  # or an idle worker would keep the last spark alive
            me.gr_context = None  # nor may the next spark find the context variables of the last one
            self._idle.append(me)
            job = self._next(hub, me)

    def _next(self, hub: Any, me: Any) -> list[Any] | None:
        """Park until there is something to do; None to end.

        A timeout that a listener did not cancel, or a waiter that it left, wakes this greenlet too.
        """
        while True:
            try:
                job = hub.switch()
            except GreenletExit:
                if me in self._idle:
                    self._idle.remove(me)
                return None
            except FAILURES as error:
                logger.debug("a listener left something behind: %r", error)
                continue
            if job is None or (type(job) is list and job and job[0] is _TASK):
                return job
