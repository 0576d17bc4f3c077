"""Percent-encoding as forms and query strings have it (application/x-www-form-urlencoded)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["unquote_plus"]

_lone_sign: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})").sub


def unquote_plus(text: str) -> str:
    """Decode one name or value, as `urllib.parse.unquote_plus` does.

    That one takes seconds for megabytes of percent signs, during which nobody else would be served. This one
    is C all through.
    """
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    data = text.encode("utf-8", "surrogatepass")
    # What is no escape stays as it is.
    escaped = _lone_sign(b"%25", data).replace(b"\\", b"\\\\").replace(b"%", b"\\x")
    return escaped.decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
