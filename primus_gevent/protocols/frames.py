"""WebSocket frames and events (RFC 6455, section 5): the words that `websocket.WebSocketProtocol` speaks.

Building a frame needs no connection, so a broadcast is framed here once and sent to many.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeAlias

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols.masking import mask

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "NO_CODE",
    "PING",
    "PONG",
    "TEXT",
    "WIRE_CLOSE_CODES",
    "Close",
    "Data",
    "Event",
    "Failure",
    "Ping",
    "Pong",
    "frame",
    "prepare_binary",
    "prepare_text",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1, RSV2_RSV3, MASKED = 0x80, 0x40, 0x30, 0x80
FIN_TEXT = FIN | TEXT

MAX_CONTROL_BYTES = 125  # RFC 6455, 5.5
MAX_REASON_BYTES = 123  # the same, less the two bytes of the code

BAD_DATA, POLICY_VIOLATION, TOO_BIG = 1007, 1008, 1009  # close codes; 1002 is RemoteProtocolError's default
NO_CODE = 1005  # "no status code was in the frame"; never on the wire itself (RFC 6455, 7.4.1)

# RFC 6455, 7.4 and the IANA registry: 1004 is reserved, 1005, 1006 and 1015 are for reports inside one side.
WIRE_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))

BAD_UTF8 = "a text message is not valid UTF-8"

Data: TypeAlias = bytes | bytearray | memoryview


@dataclass(slots=True)
class Ping:
    """The peer wants a `Pong` with this payload."""

    payload: bytes


@dataclass(slots=True)
class Pong:
    """The peer answered a ping, or sent a sign of life unasked."""

    payload: bytes


@dataclass(slots=True)
class Close:
    """The peer's last word, to be answered by ours; `code` is 1005 when its frame had none."""

    code: int
    reason: str


@dataclass(slots=True)
class Failure:
    """The peer broke the protocol or a limit: close with `code` and hang up. No event follows."""

    code: int
    reason: str


# A str is a text message and bytes are a binary one: the hot path pays for no wrapper.
Event: TypeAlias = str | bytes | Ping | Pong | Close | Failure

SHORT_TEXT_HEADERS = tuple(bytes((FIN_TEXT, size)) for size in range(MAX_CONTROL_BYTES + 1))


def frame(payload: bytes, opcode: int) -> bytes:
    """One whole, unmasked, uncompressed frame, as any server connection may send it: made once for many."""
    return header(FIN | opcode, len(payload)) + payload


def prepare_text(payload: str) -> bytes:
    """`payload` as a server's text frame for many connections; raises UnicodeEncodeError as `text` does."""
    return frame(payload.encode(), TEXT)


def prepare_binary(payload: Data) -> bytes:
    """`payload` as a server's binary frame for many connections."""
    return frame(bytes(payload), BINARY)


def header(first: int, size: int, masked: int = 0) -> bytes:
    """A frame's header without its key; `first` is its first byte, `masked` 0 or MASKED."""
    if size <= MAX_CONTROL_BYTES:
        return bytes((first, masked | size))
    if size < 1 << 16:
        return bytes((first, masked | 126, size >> 8, size & 0xFF))
    return bytes((first, masked | 127)) + size.to_bytes(8, "big")


def masked_frame(first: int, payload: bytes) -> bytes:
    """A client's frame; `first` is its first byte."""
    # Whoever chose the payload must not foresee the key (RFC 6455, 10.3): hence the system's randomness.
    key = os.urandom(4)
    return header(first, len(payload), MASKED) + key + mask(payload, key)


def long_length(extended: bytes) -> int:
    """Read an extended length of two or eight bytes; RemoteProtocolError when RFC 6455, 5.2 forbids it."""
    size = int.from_bytes(extended, "big")
    if size >= 1 << 63:
        raise RemoteProtocolError("the highest bit of a 64-bit length is set")
    if size <= (MAX_CONTROL_BYTES if len(extended) == 2 else 0xFFFF):
        raise RemoteProtocolError("a length is not in its shortest form")
    return size


def parse_close(payload: bytes) -> Close:
    """Read a close frame's payload; RemoteProtocolError when its code or reason may not be on the wire."""
    if not payload:
        return Close(NO_CODE, "")
    if len(payload) == 1:
        raise RemoteProtocolError("a close frame has half a code")
    code = int.from_bytes(payload[:2], "big")
    if code not in WIRE_CLOSE_CODES:
        raise RemoteProtocolError(f"close code {code} may not be sent")
    try:
        return Close(code, str(payload[2:], "utf-8"))
    except UnicodeDecodeError:
        raise RemoteProtocolError("a close reason is not valid UTF-8", close_code=BAD_DATA) from None


def cut_text(text: bytes, size: int) -> bytes:
    """At most `size` bytes of the UTF-8 `text`, without half a character at the end."""
    if len(text) <= size:
        return text
    while text[size] & 0xC0 == 0x80:  # the first byte left out is inside a character
        size -= 1
    return text[:size]
