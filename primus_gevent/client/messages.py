"""What decides about the messages of one client: parser, transforms, limits; see `inbox.Owner`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from gevent import get_hub, monkey

from .. import parsing
from ..dispatchers import Dispatchers
from ..errors import ParserError
from ..transforms import Transform
from .options import ClientOptions

__all__ = ["Messages"]

logger = logging.getLogger("primus_gevent")

# Really of the thread, also where `threading` is monkey-patched: the greenlets of a hub belong to a thread.
_local = monkey.get_original("threading", "local")()


class Messages:
    """The owner of a client's inbox, so that the client has not all these names itself.

    Attributes:
        parser: as `parsing.load` made it.
        dropped_counts: what was dropped, by name, and how often.
    """

    def __init__(self, options: ClientOptions) -> None:
        self.inbox_messages = options.inbox_messages
        self.inbox_bytes = options.inbox_bytes
        self.parser = parsing.load(options.parser)
        self.encode: Callable[[Any], str | bytes] = self.parser.encoder
        self.decode: Callable[[str | bytes], Any] = self.parser.decoder
        self.incoming: tuple[Transform, ...] = ()
        self.outgoing: tuple[Transform, ...] = ()
        self.dropped_counts: Counter[str] = Counter()
        self.run = _dispatchers().run

    def report(self, inbox: Any, what: str, error: BaseException) -> None:
        """Log what went wrong, with its traceback where that is of use."""
        if isinstance(error, ParserError):
            logger.warning("%r: %s", inbox, error)
        else:
            logger.error("%r: %s failed", inbox, what, exc_info=error)

    def dropped(self, what: str) -> None:
        """Count something that was dropped."""
        self.dropped_counts[what] += 1


def _dispatchers() -> Dispatchers:
    """Of this thread's hub, for all of its clients: each has listeners to run now and then."""
    hub = get_hub()
    known: tuple[Any, Dispatchers] | None = getattr(_local, "dispatchers", None)
    if known is None or known[0] is not hub:  # a hub can be destroyed, and its greenlets with it
        known = _local.dispatchers = (hub, Dispatchers())
    return known[1]
