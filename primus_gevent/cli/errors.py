"""How a command ends."""

from __future__ import annotations

from ..errors import PrimusError

__all__ = ["FAILED", "INTERRUPTED", "MISUSED", "NOBODY_READS", "OK", "Failure"]

OK = 0
FAILED = 1
MISUSED = 2  # an argument is wrong; argparse's own
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
NOBODY_READS = 141  # 128 + SIGPIPE


class Failure(PrimusError):
    """A command cannot do what it was asked for; the message says why, and what to do about it.

    Args:
        details: lines to show before, such as the traceback of code of the user's.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details
