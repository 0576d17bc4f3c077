"""Checks of the options that decide about pages of other origins (CORS; see `middleware.cors`).

Each takes an option's name and the value that was given, and returns the one form in which the option is used
from then on; what is in that form already passes unchanged. Texts end up in response headers, so everything
that is no token (RFC 9110, section 5.6.2) is refused here, line ends with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from .errors import OptionError

__all__ = ["DEFAULT_MAX_AGE", "DEFAULT_METHODS", "flag", "header_names", "is_token", "max_age", "methods"]

DEFAULT_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS")
DEFAULT_MAX_AGE = 30 * 86400  # seconds; "30 days" in the specification

_SEPARATORS = re.compile(r"[, ]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# The words of `millisecond`, the package that reads durations for the original, in seconds.
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+) *([a-z]*)", re.ASCII)
_UNITS = {
    "": 1.0,  # seconds, as everywhere in Python; the original takes a bare number in a text for milliseconds
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 7 * 86400.0),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 365 * 86400.0),
}
MAX_DURATION_CHARS = 100


def is_token(text: str) -> bool:
    """Whether this can be the name of a header, a method or a cookie."""
    return _TOKEN.fullmatch(text) is not None


def flag(name: str, value: Any) -> bool:
    """True or False, and nothing that only behaves like one of them.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(value, bool):
        raise OptionError(f"option {name!r} is True or False, not {value!r}", name)
    return value


def methods(name: str, value: Any) -> tuple[str, ...]:
    """HTTP methods in capitals; a list, or a text with commas or spaces. Empty means: any method.

    Raises:
        OptionError: it is something else, or one of them is no token.
    """
    return tuple(method.upper() for method in _tokens(name, value, "HTTP methods"))


def header_names(name: str, value: Any) -> tuple[str, ...] | Literal[False]:
    """Names of headers; a list, or a text with commas or spaces. Empty is the same as False.

    Raises:
        OptionError: it is something else, or one of them is no token.
    """
    if value is False:
        return False
    return _tokens(name, value, "names of headers, or False") or False


def max_age(name: str, value: Any) -> int | Literal[False]:
    """Whole seconds; from a number of seconds or a text such as ``30 days``. Zero is the same as False.

    Raises:
        OptionError: it is something else, or below zero.
    """
    if value is False:
        return False
    seconds = _seconds(value) if isinstance(value, str) else value
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, (int, float))
        or not math.isfinite(seconds)
        or seconds < 0
    ):
        raise OptionError(
            f"option {name!r} is a number of seconds, a duration such as '30 days', or False, not {value!r}",
            name,
        )
    return int(seconds) or False


def _seconds(text: str) -> float | None:
    # bounded, because a duration is short and digits are expensive by the million
    match = _DURATION.fullmatch(text.strip().lower()) if len(text) <= MAX_DURATION_CHARS else None
    if match is None or match[2] not in _UNITS:
        return None
    return round(float(match[1]) * _UNITS[match[2]], 3)


def _tokens(name: str, value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise OptionError(f"option {name!r} is a list or a text of {what}, not {value!r}", name)
    tokens = [token for item in value for token in _SEPARATORS.split(item) if token]
    for token in tokens:
        if not _TOKEN.fullmatch(token):
            raise OptionError(f"option {name!r} is a list or a text of {what}; {token!r} is none", name)
    return tuple(dict.fromkeys(tokens))
