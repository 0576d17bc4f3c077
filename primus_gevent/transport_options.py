"""The option `transport`: what one framework can be told, checked when the server or the client is made.

Each check takes an option's name and the value that was given, and returns what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .errors import OptionError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "TransportOptions",
    "choices",
    "flag",
    "option",
    "refuse",
    "seconds",
    "size",
    "size_or_none",
    "text",
]

Check = Callable[[str, Any], Any]
Own = TypeVar("Own", bound="TransportOptions")

LONGEST = 1e9  # seconds; a timer that is set to more would overflow


def option(default: Any, check: Check) -> Any:
    """A field of `TransportOptions`; ``check(name, value)`` gives back what is kept of a given value."""
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True)
class TransportOptions:
    """What a transformer's options are made from: a frozen dataclass whose fields are `option`."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check the mapping.

        Raises:
            OptionError: a name is unknown, or a value cannot be used.
        """
        checks = {known.name: known.metadata["check"] for known in fields(cls)}
        kept = {}
        for name, value in values.items():
            if name not in checks:
                known = f"known are: {', '.join(checks)}" if checks else "this transformer has none"
                raise OptionError(f"unknown transport option {name!r}; {known}", "transport")
            kept[name] = checks[name](name, value)
        return cls(**kept)


def refuse(name: str, what: str, value: Any) -> NoReturn:
    """Say what a transport option is instead of ``value``."""
    raise OptionError(f"transport option {name!r} is {what}, not {value!r}", "transport")


def seconds(name: str, value: Any) -> float:
    """A time above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < LONGEST:
        refuse(name, "a number of seconds above 0", value)
    return value


def size(name: str, value: Any) -> int:
    """A number of bytes above 0."""
    if type(value) is not int or value <= 0:
        refuse(name, "a number of bytes", value)
    return value


def size_or_none(name: str, value: Any) -> int | None:
    """The same, or None."""
    return None if value is None else size(name, value)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        refuse(name, "True or False", value)
    return value


def text(name: str, value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        refuse(name, "a text", value)
    return value


def choices(*allowed: str) -> Check:
    """A list of some of these, at least one."""

    def check(name: str, value: Any) -> Sequence[str]:
        fine = isinstance(value, (list, tuple)) and value and all(item in allowed for item in value)
        if not fine:
            refuse(name, f"a list of {', '.join(map(repr, allowed))}", value)
        return tuple(value)

    return check
