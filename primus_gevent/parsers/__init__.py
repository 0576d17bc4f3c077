"""Parsers turn a message into the text or bytes on the wire, and back.

A parser is any object with ``encoder(data) -> str | bytes`` and ``decoder(raw) -> data``; both may raise
whatever they like, and the spark makes a `ParserError` of it. The ones named here are modules of this
folder, imported on first use so that an optional package is needed only by those who ask for it.

A module whose name is not that of its wire format has that as ``wire_name``: clients are told of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Protocol

from ..errors import OptionError, UnknownNameError

__all__ = ["PARSERS", "Parser", "load"]

PARSERS = {
    "binary": ".binary",
    "ejson": ".ejson",
    "json": ".json",
    "jsonh": ".jsonh",
    "msgpack": ".msgpack",
    "orjson": ".orjson",
}


class Parser(Protocol):
    """What a spark needs of a parser.

    Both functions are called in greenlets and may block there; but texts of Primus's own (heartbeats, say)
    are encoded and decoded in the hub, where blocking is an error that costs just that text.
    """

    def encoder(self, data: Any, /) -> str | bytes:
        """Turn a message into what goes on the wire; ``str`` travels as text, ``bytes`` as binary."""

    def decoder(self, raw: Any, /) -> Any:
        """Turn what came from the wire (``str`` or ``bytes``) into a message."""


def load(parser: Any) -> Any:
    """The parser for a lower-case name; an object is its own parser, a mapping becomes one.

    The functions of objects and mappings are taken as they are: see `primus_gevent.parsing` for those that
    call back.

    Raises:
        OptionError: it has no ``encoder`` or no ``decoder``.
        UnknownNameError: no parser has that name.
        MissingPackageError: it needs a package that is not installed.
    """
    if not isinstance(parser, str):
        found = SimpleNamespace(**parser) if isinstance(parser, Mapping) else parser
        for half in ("encoder", "decoder"):
            if not callable(getattr(found, half, None)):
                raise OptionError(f"the parser {parser!r} has no function {half!r}", "parser")
        return found
    if parser not in PARSERS:
        raise UnknownNameError("parser", parser, PARSERS)
    return import_module(PARSERS[parser], __name__)
