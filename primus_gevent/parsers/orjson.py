"""JSON on orjson, for those who have it: what the parser `json` writes and reads, several times as fast.

On the wire it is `json`, and so it is for clients (`wire_name`). What orjson does not do in the same way is
left to `json`. One difference stays: an integer of more than 64 bits is read as a float.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..errors import MissingPackageError
from . import json

try:
    import orjson
except ImportError:
    raise MissingPackageError("the parser 'orjson'", "orjson", "orjson") from None

__all__ = ["decoder", "encoder", "wire_name"]

#: The name of this parser for those at the other end.
wire_name = "json"

_dumps = orjson.dumps
_loads = orjson.loads
# Whatever orjson would write in a way of its own comes to `_default`.
_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def _default(value: Any) -> Any:
    if type(value) is datetime:
        return json.date_text(value)
    raise TypeError  # the whole message is for `json`


def encoder(data: Any) -> str:
    """Encode ``data``; raises TypeError, ValueError or RecursionError for what has no JSON form."""
    try:
        text = _dumps(data, _default, _OPTIONS).decode()
    except TypeError:
        # Keys that are no text, integers of more than 64 bits, lone surrogates, nesting beyond 254, and every
        # type that orjson does not know: or it is an error, and `json` tells which.
        return json.encoder(data)
    if "\u2028" in text or "\u2029" in text:
        return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text


def decoder(raw: str | bytes) -> Any:
    """Decode one text message; raises ValueError or RecursionError. Bytes pass as they are, as in `json`."""
    if isinstance(raw, str):
        try:
            return _loads(raw)
        except ValueError:
            return json.decoder(raw)  # a lone surrogate, 1e400, nesting beyond 1,024, or an error
    return raw
