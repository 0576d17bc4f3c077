"""What time it is. Everything of the package that measures time asks here, and looks the function up when it
does: `primus_gevent.testing` puts others in their place, with which time passes when a test says so.

Timers are not here: they are gevent's, and `primus_gevent.testing` brings along a loop with its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["monotonic", "now"]

#: Seconds of a clock that nobody sets; only differences mean anything.
monotonic: Callable[[], float] = time.monotonic

#: Seconds since the epoch.
now: Callable[[], float] = time.time
