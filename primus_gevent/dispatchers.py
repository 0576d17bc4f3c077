"""Greenlets that are lent out: listeners need one to block in, but an idle connection should not keep one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gevent import get_hub
from greenlet import getcurrent, greenlet

__all__ = ["Dispatchers"]

logger = logging.getLogger("primus_gevent")

MAX_IDLE = 64

Task = tuple[Callable[..., None], tuple[Any, ...]]


class Dispatchers:
    """Runs tasks, each in a greenlet that is used again afterwards."""

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: list[Any] = []

    def run(self, task: Callable[..., None], *args: Any) -> None:
        """Run ``task(*args)`` in a greenlet: up to its first blocking call at once if called in the hub,
        otherwise soon. What it raises is logged."""
        hub = get_hub()
        worker = self._idle.pop() if self._idle else greenlet(self._work, hub)
        if getcurrent() is hub:
            worker.switch((task, args))
        else:
            hub.loop.run_callback(worker.switch, (task, args))

    def _work(self, job: Task | None) -> None:
        hub = get_hub()
        me = getcurrent()
        while job is not None:
            task, args = job
            try:
                task(*args)
            except Exception:
                logger.exception("%r failed", task)
            if len(self._idle) >= MAX_IDLE:
                return
            del task, args, job  # or an idle worker would keep the last spark alive
            self._idle.append(me)
            job = hub.switch()
