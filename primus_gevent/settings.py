"""Checks of options that a server and a client have in common, and what to say of a name that is none.

Each check takes an option's name and the value that was given, and returns the form in which it is used.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal
from urllib.parse import quote

from .errors import OptionError

__all__ = [
    "GUESS",
    "MISSPELT",
    "Check",
    "at_least",
    "compression",
    "duration",
    "duration_or_off",
    "function",
    "mapping",
    "misspelt",
    "one_of",
    "optional",
    "parser",
    "pathname",
    "plugin",
    "text",
    "texts",
    "unknown",
]

Check = Callable[[str, Any], Any]

# How alike two names must be: for a hint, and for refusing what may also be an option of a plugin's.
GUESS = 0.6
MISSPELT = 0.85

_OF_A_PATH = "/%:@!$&'()*+,;="  # beside letters, digits and "-._~" (RFC 3986, section 3.3)


def unknown(name: str, known: Sequence[str], renamed: Mapping[str, str]) -> OptionError:
    """The error for an option that there is not.

    Args:
        renamed: names of the specification, and ours for them.
    """
    guess = misspelt(name, known, renamed, GUESS)
    hint = f"did you mean {guess!r}?" if guess else f"known are: {', '.join(sorted(known))}"
    return OptionError(f"unknown option {name!r}; {hint}", name)


def misspelt(name: str, known: Sequence[str], renamed: Mapping[str, str], cutoff: float) -> str | None:
    """The option that whoever wrote ``name`` has probably meant."""
    return renamed.get(name) or next(iter(difflib.get_close_matches(name, known, 1, cutoff)), None)


def duration(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise OptionError(f"option {name!r} is a number of seconds above 0, not {value!r}", name)
    return float(value)


def duration_or_off(name: str, value: Any) -> float | Literal[False]:
    if value is False:
        return False
    if value is None or value is True or value == 0:
        raise OptionError(
            f"option {name!r} is a number of seconds, or False to turn it off, not {value!r}", name
        )
    return duration(name, value)


def optional(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def at_least(minimum: int) -> Check:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise OptionError(f"option {name!r} is a whole number of at least {minimum}, not {value!r}", name)
        return value

    return check


def one_of(*choices: str) -> Check:
    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise OptionError(
                f"option {name!r} is one of {', '.join(map(repr, choices))}, not {value!r}", name
            )
        return str(value)

    return check


def text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise OptionError(f"option {name!r} is a text, not {value!r}", name)
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(v, str) for v in value)
    ):
        raise OptionError(f"option {name!r} is a list of texts, not {value!r}", name)
    return tuple(value)


def function(name: str, value: Any) -> Any:
    if not callable(value):
        raise OptionError(f"option {name!r} is a function, not {value!r}", name)
    return value


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise OptionError(f"option {name!r} is a mapping, not {value!r}", name)
    return dict(value)


def compression(name: str, value: Any) -> Any:
    return value if isinstance(value, bool) else mapping(name, value)


def pathname(name: str, value: Any) -> str:
    path = text(name, value)
    if any(c in path for c in "?#\r\n "):
        raise OptionError(f"option {name!r} is a plain URL path, not {value!r}", name)
    # As it stands in addresses: clients take it as it is, and not every one encodes it.
    path = "/" + quote(path, safe=_OF_A_PATH).strip("/")
    if path == "/":
        raise OptionError(
            "option 'pathname' must not be the root: the wrapped app would get no request", name
        )
    return path


def plugin(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if isinstance(value, Mapping):
        return dict(value)
    return texts(name, value)


def parser(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return text(name, value).lower()
    if isinstance(value, Mapping):
        value = SimpleNamespace(**value)
    if not (callable(getattr(value, "encoder", None)) and callable(getattr(value, "decoder", None))):
        raise OptionError(f"option {name!r} is a name, or an object with encoder and decoder", name)
    return value
