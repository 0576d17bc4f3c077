"""The hub in a test: one turn of its loop, waiting with a limit, and errors that would only be printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent

LIMIT = 10.0  # seconds that nothing here should ever need


def turn(times: int = 1) -> None:
    """Let the loop run what is scheduled now."""
    for _ in range(times):
        gevent.sleep(0)


def in_hub(function: Callable[..., Any], *args: Any) -> None:
    """Call ``function`` in the hub, as a watcher would, and come back after it."""
    gevent.get_hub().loop.run_callback(function, *args)
    turn()


def eventually(condition: Callable[[], Any], limit: float = LIMIT) -> Any:
    """Wait until ``condition()`` is true, and return what it is then."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        gevent.sleep(0.001)
    return value


@contextmanager
def hub_errors() -> Iterator[list[BaseException]]:
    """Collect what reaches the hub; nothing of ours may."""
    hub = gevent.get_hub()
    errors: list[BaseException] = []

    def handle_error(context: Any, kind: Any, value: Any, traceback: Any) -> None:
        if issubclass(kind, hub.SYSTEM_ERROR):
            type(hub).handle_error(hub, context, kind, value, traceback)
            return
        errors.append(value if isinstance(value, BaseException) else kind(value))

    hub.handle_error = handle_error
    try:
        yield errors
    finally:
        del hub.handle_error
