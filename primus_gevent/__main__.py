"""``python -m primus_gevent`` is the program ``primus-gevent``; see `primus_gevent.cli`."""

from __future__ import annotations

import sys

from .cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
