"""What the tests that run programs of Node share."""

from __future__ import annotations

import re

__all__ = ["ADVICE", "slug"]

ADVICE = "`make test` installs what is missing; by hand: Node.js 18 or newer, and `npm ci` in tests/interop."


def slug(value: object) -> str:
    """A value in the name of a test."""
    return re.sub(r"\W+", "-", str(value)).strip("-").lower()
