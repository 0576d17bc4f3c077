"""What this process holds that a client could leave behind."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from greenlet import greenlet

from primus_gevent.client import messages
from tests.unit.hub import eventually

__all__ = ["frozen", "held", "leaves_nothing"]


@contextmanager
def frozen() -> Iterator[None]:
    """What is there by now is no leak, and takes long to look through."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def held() -> dict[str, Any]:
    """Greenlets, without those that wait to be lent out; descriptors, by what they are; running watchers of
    the hub, which are timers and sockets that it waits for."""
    gc.collect()
    running = sum(isinstance(thing, greenlet) and not thing.dead for thing in gc.get_objects())
    return {
        "greenlets": running - len(messages._dispatchers()._idle),
        "descriptors": Counter(_descriptors()),
        "watchers": gevent.get_hub().loop.activecnt,
    }


def _descriptors() -> Iterator[str]:
    for name in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{name}").partition(":")[0]
        except OSError:
            pass  # of the list itself


@contextmanager
def leaves_nothing() -> Iterator[None]:
    """What is held after the block is what was held before."""
    before = held()
    yield
    now = held()

    def same() -> bool:
        now.update(held())
        return now == before

    try:
        eventually(same)
    except AssertionError:
        names = [repr(thing) for thing in gc.get_objects() if isinstance(thing, greenlet) and not thing.dead]
        raise AssertionError(f"before {before}\nafter {now}\ngreenlets {names}") from None
