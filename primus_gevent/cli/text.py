"""Words and figures as people read them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

__all__ = ["as_json", "bar", "duration", "no_surprises", "plural", "rate"]

# What turns the direction of a line round: a message could make a status line of ours look like another.
DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def duration(seconds: float) -> str:
    """Such as ``0.42 ms``, ``35 ms``, ``1.2 s`` and ``90 s``."""
    if not math.isfinite(seconds):
        return "ever"
    if seconds < 0.9995:
        return f"{significant(seconds * 1000)} ms"
    return f"{significant(seconds)} s"


def significant(number: float) -> str:
    """With two digits below ten, and none behind the point above."""
    if number < 0.995:
        return f"{number:.2f}"
    if number < 9.95:
        return f"{number:.1f}".removesuffix(".0")
    return f"{number:.0f}"


def rate(number: float) -> str:
    """How many of something in a second."""
    return f"{significant(number)}/s"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def bar(share: float, width: int) -> str:
    """A bar of ASCII characters, for a share from 0 to 1."""
    return ("#" * round(min(max(share, 0.0), 1.0) * width)).ljust(width)


def no_surprises(text: str) -> str:
    """``text`` for a terminal: what would move the cursor, colour, or answer in the user's name is written as
    an escape sequence. Line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if harmless(char) else escaped(char) for char in text)


def harmless(char: str) -> bool:
    if char.isprintable():
        return True
    # Not printable to Python, but of use: joiners inside emoji and words, other spaces.
    return char in "\n\t" or (char >= "\xa0" and char not in DIRECTIONS and not "\ud800" <= char <= "\udfff")


def escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def as_json(message: Any) -> str:
    """A message on one line of JSON. What JSON has not is a text, or for bytes ``{"base64": "..."}``."""
    try:
        return json.dumps(message, ensure_ascii=False, default=_stand_in)
    except (ValueError, TypeError, RecursionError):  # keys that are no texts, circles
        return json.dumps(repr(message), ensure_ascii=False)


def _stand_in(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        from base64 import b64encode

        return {"base64": b64encode(value).decode("ascii")}
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Sequence, set, frozenset)):
        return list(value)
    return str(value)
