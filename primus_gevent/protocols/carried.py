"""Binary messages over a framework that carries text only (SockJS, BrowserChannel, Socket.IO 0.9).

Between our own ends: ``primus::binary::`` and base64. No application may send such a text, because everything
that begins with ``primus::`` is Primus's own; official clients, whose parsers make text, never meet it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Final

__all__ = ["MARK", "from_text", "to_text"]

MARK: Final = "primus::binary::"


def to_text(message: str | bytes) -> str:
    """What a message is on the wire."""
    return message if isinstance(message, str) else MARK + b64encode(message).decode("ascii")


def from_text(text: str) -> str | bytes:
    """The message that is carried; what is not base64 is left to the parser to complain about."""
    if not text.startswith(MARK):
        return text
    try:
        return b64decode(text[len(MARK) :], validate=True)
    except ValueError:
        return text
