"""The default parser: JSON as JavaScript's `JSON` reads and writes it, on simplejson.

Differences that stay, because the two languages differ: Python writes ``1.0`` where JavaScript writes
``1``, and an integer beyond 2**53 is exact here but becomes the nearest double in JavaScript.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timezone
from typing import Any
from uuid import UUID

import simplejson
from simplejson.encoder import encode_basestring_ascii

__all__ = ["date_text", "decoder", "encoder", "make_decoder", "make_encoder", "stand_in"]

# U+2028 and U+2029 end a line in older JavaScript, and a lone surrogate has no UTF-8 form; JSON.stringify
# escapes the second, Primus the first.
_UNSAFE = re.compile("[\u2028\u2029\ud800-\udfff]")


def date_text(value: datetime) -> str:
    """The ``toJSON`` of a Date, which is an instant: a naive datetime is taken for UTC."""
    utc = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def stand_in(value: Any) -> Any:
    """Stand-ins for what JSON has no form for, as the same values' ``toJSON`` in Node."""
    if isinstance(value, datetime):
        return date_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"type": "Buffer", "data": list(bytes(value))}
    raise TypeError(f"{type(value).__name__} has no JSON form; convert it, or give it a for_json() method")


def make_encoder(default: Callable[[Any], Any], *, ignore_nan: bool) -> Callable[[Any], str]:
    """Make an encoder that asks ``default`` for a stand-in for what JSON has no form for.

    Without ``ignore_nan`` NaN and the infinities are a ValueError.
    """

    def new_encoder(*, ensure_ascii: bool) -> Callable[[Any], str]:
        return simplejson.JSONEncoder(
            ensure_ascii=ensure_ascii,
            ignore_nan=ignore_nan,  # NaN and the infinities become null, as in JSON.stringify
            for_json=True,
            encoding=None,  # type: ignore[arg-type]  # or bytes would be taken for UTF-8 text
            separators=(",", ":"),
            default=default,
        ).encode

    encode_ascii = new_encoder(ensure_ascii=True)
    encode_unicode = new_encoder(ensure_ascii=False)

    def encoder(data: Any) -> str:
        """Encode ``data``; raises TypeError, ValueError or RecursionError for what has no JSON form."""
        if type(data) is str and data.isascii():
            return encode_basestring_ascii(data)
        text = encode_ascii(data)
        if "\\u" not in text:
            return text
        # Beyond ASCII: JavaScript leaves such characters as they are, in half the bytes. simplejson does
        # this in Python, per string, so only messages that need it pay for it.
        text = encode_unicode(data)
        return _UNSAFE.sub(lambda m: f"\\u{ord(m[0]):04x}", text)

    return encoder


def make_decoder(object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Callable[[str | bytes], Any]:
    """Make a decoder that replaces every object by what ``object_hook`` makes of it, innermost first."""
    decoder = simplejson.JSONDecoder(object_hook=object_hook)
    decode = decoder.decode
    # The scanner under `decode`, without its two searches for white space: five times faster for a short
    # message. Text that does not end where the value ends takes the long way.
    scan = decoder.scan_once

    def read(raw: str | bytes) -> Any:
        """Decode one text message; raises ValueError (simplejson's JSONDecodeError) or RecursionError.

        Bytes (a binary frame) are nobody's JSON: they pass as they are, as in the original.
        """
        if isinstance(raw, str):
            try:
                value, end = scan(raw, 0)
                if end == len(raw):
                    return value
            except (StopIteration, ValueError):
                pass  # white space in front, or an error: `decode` tells which
            if raw[:1] == "\ufeff":  # `decode` would skip it; JSON.parse does not
                raise ValueError("a byte order mark is no JSON")
            return decode(raw)
        return raw

    return read


encoder = make_encoder(stand_in, ignore_nan=True)
decoder = make_decoder()
