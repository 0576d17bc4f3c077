"""What JavaScript has and Python has not, and the other way round: for the parsers that carry more than JSON.

`RegExp`, `JSError` and `ExtBuffer` are public: they are what such values are decoded to, and can be sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

__all__ = ["ExtBuffer", "JSError", "RegExp", "from_ms", "key_text", "stand_in", "to_ms"]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MILLISECOND = timedelta(milliseconds=1)
# ECMAScript, 21.4.1.1: 100 million days to either side; a Date beyond them is invalid.
MAX_DATE_MS = 8.64e15


@dataclass(frozen=True, slots=True)
class RegExp:
    """A regular expression of JavaScript: the text between its slashes, and its flags.

    It is not a `re.Pattern`, because the two languages have different ones; `compile` makes that of it.
    """

    source: str
    flags: str = ""

    @classmethod
    def of(cls, pattern: re.Pattern[Any]) -> RegExp:
        """The same text for JavaScript, with the flags that it has too.

        Raises:
            TypeError: it is a pattern for bytes.
            ValueError: it is a verbose one, whose white space and comments JavaScript would look for.
        """
        if not isinstance(pattern.pattern, str):
            raise TypeError("a pattern for bytes has no form in JavaScript")
        if pattern.flags & re.VERBOSE:
            raise ValueError("a verbose pattern has no form in JavaScript")
        flags = zip("ims", (re.IGNORECASE, re.MULTILINE, re.DOTALL), strict=True)
        return cls(pattern.pattern, "".join(letter for letter, flag in flags if pattern.flags & flag))

    def compile(self) -> re.Pattern[str]:
        """Compile the source as a pattern of Python, with those of the flags ``i``, ``m`` and ``s`` it has.

        For patterns that mean the same in both. Not for those of a peer that is not trusted: some take
        time without end to search with.

        Raises:
            re.error: Python cannot read it.
        """
        flags = re.RegexFlag(0)
        for letter, flag in (("i", re.IGNORECASE), ("m", re.MULTILINE), ("s", re.DOTALL)):
            if letter in self.flags:
                flags |= flag
        return re.compile(self.source, flags)


@dataclass(frozen=True, slots=True)
class JSError:
    """An ``Error`` of JavaScript. No exception: the peer only tells of one."""

    name: str
    message: str
    stack: str = ""


@dataclass(frozen=True, slots=True)
class ExtBuffer:
    """An extension of MessagePack that has no meaning here: its type (0 to 255) and its bytes."""

    type: int
    data: bytes


def to_ms(value: datetime) -> int:
    """Milliseconds since 1970, rounded down; a naive datetime is taken for UTC."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=timezone.utc)
    return (value - EPOCH) // MILLISECOND


def from_ms(ms: float) -> datetime | None:
    """What ``new Date(ms)`` is; None where that is an invalid Date, as in JSON.

    Raises:
        ValueError: a Date before the year 1 or after 9999, which JavaScript has and Python has not.
    """
    if not -MAX_DATE_MS <= ms <= MAX_DATE_MS:  # NaN is not between anything either
        return None
    try:
        return EPOCH + timedelta(milliseconds=int(ms))
    except OverflowError:
        raise ValueError(f"a Date of {ms:.0f} ms is out of the range of datetime") from None


def key_text(key: Any) -> str:
    """The name of a property: JavaScript has no other keys than text. Numbers and constants are as in JSON.

    Raises:
        TypeError: there is no such text.
    """
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return "null" if key is None else "true" if key else "false"
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return int.__repr__(int(key)) if key.is_integer() and abs(key) < 1e21 else float.__repr__(key)
    raise TypeError(f"a key must be text or a number, not {type(key).__name__}")


# Subclasses (an IntEnum, say) are what they descend from, and their __str__ is for people.
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (dict, dict),
    (list, list),
    (bytes, bytes),
    (datetime, lambda value: EPOCH + MILLISECOND * to_ms(value)),
    (date, date.isoformat),
    (UUID, str),
    (Decimal, float),
    (bytearray, bytes),
    (memoryview, bytes),
)


def stand_in(value: Any) -> Any:
    """What is sent for a value that no form was found for, as the JSON parser does it.

    ``for_json()`` comes first; subclasses go as what they descend from, named tuples as objects.

    Raises:
        TypeError: nothing stands for it.
    """
    for_json = getattr(value, "for_json", None)
    if callable(for_json) and not isinstance(value, type):
        return for_json()
    if isinstance(value, tuple):
        as_dict = getattr(value, "_asdict", None)
        return as_dict() if callable(as_dict) else list(value)
    for base, plain in _BASES:
        if isinstance(value, base):
            return plain(value)
    raise TypeError(
        f"{type(value).__name__} has no form in this parser; convert it, or give it a for_json() method"
    )
