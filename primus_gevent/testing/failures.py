"""What went wrong in handlers, collected, so that a test can raise it where it was caused.

Primus gives every failure of the application's to its logger, and gevent gives those of other greenlets to
the hub. Both are listened to here for a while.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gevent import monkey

from ..errors import PrimusError

__all__ = ["Failures"]

LOGGER = "primus_gevent"

# Really of the thread, also where `threading` is monkey-patched: so is a hub.
_thread_id = monkey.get_original("_thread", "get_ident")


class Failures(logging.Handler):
    """Those of one world.

    Args:
        hub: whose greenlets are meant.
        quiet: the hub is not to print them.

    Attributes:
        found: all of them, in order.
    """

    def __init__(self, hub: Any, *, quiet: bool) -> None:
        super().__init__(logging.WARNING)
        self.found: list[BaseException] = []
        self._hub: Any = hub
        self._quiet = quiet
        self._thread = _thread_id()
        self._waiting: list[BaseException] = []
        self._before: tuple[bool, int] = (False, logging.NOTSET)
        self._handle_error: Callable[..., Any] = hub.handle_error

    def start(self) -> None:
        """Listen from now on, also where the application's configuration has silenced the logger."""
        logger = logging.getLogger(LOGGER)
        self._before = logger.disabled, logger.level
        logger.disabled = False
        if not logger.isEnabledFor(logging.WARNING):
            logger.setLevel(logging.WARNING)
        logger.addHandler(self)
        hub: Any = self._hub
        self._handle_error = hub.handle_error
        hub.handle_error = self._of_hub

    def stop(self) -> None:
        """Leave everything as it was."""
        logger = logging.getLogger(LOGGER)
        logger.removeHandler(self)
        logger.disabled = self._before[0]
        logger.setLevel(self._before[1])
        hub: Any = self._hub
        if hasattr(self._handle_error, "__self__") and self._handle_error.__self__ is hub:
            del hub.handle_error  # it has that of its class
        else:
            hub.handle_error = self._handle_error

    def add(self, error: BaseException) -> None:
        """Take one that came in another way."""
        if not any(error is known for known in self.found):
            self.found.append(error)
            self._waiting.append(error)

    def next(self) -> BaseException | None:
        """The oldest that was not handed out yet."""
        return self._waiting.pop(0) if self._waiting else None

    def forget(self, error: BaseException) -> None:
        """Somebody else has raised it."""
        self._waiting = [waiting for waiting in self._waiting if waiting is not error]

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        if _thread_id() != self._thread:
            return  # of a server in another thread
        if record.exc_info and record.exc_info[1] is not None:
            self.add(record.exc_info[1])
            return
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, PrimusError):
                self.add(argument)

    def _of_hub(self, context: Any, kind: Any, value: Any, traceback: Any) -> None:
        hub = self._hub
        if issubclass(kind, hub.NOT_ERROR):
            return
        if not issubclass(kind, hub.SYSTEM_ERROR):
            self.add(value if isinstance(value, BaseException) else kind(value))
            if self._quiet:
                return
        self._handle_error(context, kind, value, traceback)
