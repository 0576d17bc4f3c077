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
        if self._idle:
            worker = self._idle.pop()
            hub = worker.parent
            if getcurrent() is hub:
                worker.switch(_TASK, task, args)
            else:
                hub.loop.run_callback(worker.switch, _TASK, task, args)
            return
        hub = get_hub()
        worker = greenlet(self._work, hub)
        if getcurrent() is hub:
            worker.switch([task, args])
        else:
            hub.loop.run_callback(worker.switch, [task, args])

    def stop(self) -> None:
        """Let the idle greenlets end, and keep none from now on; `run` still runs.

        Without it they would stay: a greenlet that is parked and the list that holds it are a cycle that the
        garbage collector cannot see through.
        """
        self._room = 0
        self.dismiss()

    def dismiss(self) -> None:
        """Let those end that are idle now. They belong to the hub that they have worked in."""
        idle = self._idle[:]
        self._idle.clear()
        for worker in idle:
            get_hub().loop.run_callback(worker.switch, None)

    def _work(self, first: list[Any]) -> None:
        task, args = first
        first.clear()  # what a greenlet was first switched to with is kept as long as it lives
        hub = get_hub()
        me: Any = getcurrent()
        idle = self._idle
        while True:
            try:
                task(*args)
            except FAILURES:
                logger.exception("%r failed", task)
            if len(idle) >= self._room:
                return
            task = args = job = None  # or an idle worker would keep the last spark alive
            if me.gr_context is not None:
                me.gr_context = None  # nor may the next spark find the context variables of the last one
            idle.append(me)
            # Until there is something to do. A timeout that a listener did not cancel, or a waiter that it
            # left, wakes this greenlet too.
            while True:
                try:
                    job = hub.switch()
                except GreenletExit:
                    if me in idle:
                        idle.remove(me)
                    return
                except FAILURES as error:
                    logger.debug("a listener left something behind: %r", error)
                    continue
                if job is None:
                    return
                if type(job) is tuple and len(job) == 3 and job[0] is _TASK:
                    break
            _, task, args = job
