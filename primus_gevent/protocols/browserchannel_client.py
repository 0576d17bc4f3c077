"""The client's half of BrowserChannel, without I/O: chunks are read, maps are written.

See `browserchannel` for the server's half, and for the wire format itself.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus

from primus_gevent.errors import RemoteProtocolError

__all__ = ["ChunkReader", "Status", "decode_arrays", "decode_status", "encode_map", "encode_maps"]

_MAX_DIGITS: Final = 15
_LENGTH: Final = re.compile(rb"(?:[0-9]\0){1,15}\Z")
_LINE_END: Final = "\n".encode("utf-16-le")


class ChunkReader:
    """Cuts a stream into its chunks, each with its length in UTF-16 units in front.

    Args:
        max_bytes: of a chunk, as UTF-16.
    """

    def __init__(self, max_bytes: int = 128 << 20) -> None:
        self._max_bytes = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._units = bytearray()  # UTF-16, little endian
        self._needed: int | None = None  # bytes of the chunk whose length was read

    @property
    def waiting(self) -> int:
        """Bytes that are kept of a chunk that is not complete."""
        return len(self._units)

    def receive(self, piece: bytes) -> Iterator[str]:
        """The chunks that are complete now.

        Raises:
            RemoteProtocolError: something else stands where a length should be.
        """
        self._units += self._decoder.decode(piece).encode("utf-16-le")
        while True:
            if self._needed is None:
                end = self._line_end()
                if end < 0:
                    return
                head = bytes(self._units[:end])
                if not _LENGTH.match(head):
                    raise RemoteProtocolError(
                        f"a chunk has no length: {head.decode('utf-16-le', 'replace')!r}"
                    )
                del self._units[: end + 2]
                self._needed = 2 * int(head[::2])
                if self._needed > self._max_bytes:
                    raise RemoteProtocolError(f"a chunk of {self._needed} bytes is too long")
            if len(self._units) < self._needed:
                return
            chunk = self._units[: self._needed].decode("utf-16-le", "replace")
            del self._units[: self._needed]
            self._needed = None
            yield chunk

    def _line_end(self) -> int:
        at = -1
        while True:
            at = self._units.find(_LINE_END, at + 1, 2 * _MAX_DIGITS + 4)
            if at < 0 and len(self._units) > 2 * _MAX_DIGITS + 2:
                raise RemoteProtocolError("a chunk has no length")
            if at % 2 == 0 or at < 0:
                return at


def decode_arrays(chunk: str) -> list[tuple[int, Any]]:
    """The arrays of a chunk, each with its number.

    Raises:
        RemoteProtocolError: there are none in it.
    """
    try:
        arrays = json.loads(chunk)
        if isinstance(arrays, list):
            return [(int(number), data) for number, data in arrays]
    except (ValueError, TypeError, OverflowError, RecursionError):
        pass
    raise RemoteProtocolError(f"bad data in a chunk: {chunk[:80]!r}")


class Status(NamedTuple):
    """What answers a request that has brought maps.

    Attributes:
        connected: whether the server has a request of ours that waits.
        last_sent: number of the last array that it has sent.
        outstanding: characters of those that we have not acknowledged.
    """

    connected: bool
    last_sent: int
    outstanding: int


def decode_status(body: bytes) -> Status:
    """Read that.

    Raises:
        RemoteProtocolError: it is something else.
    """
    try:
        connected, last_sent, outstanding = json.loads(body.partition(b"\n")[2])
        return Status(bool(connected), int(last_sent), int(outstanding))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise RemoteProtocolError(f"a bad answer to a message: {body[:80]!r}") from None


def encode_map(text: str) -> str:
    """A message as the value in a form; a lone surrogate becomes U+FFFD, as in browsers."""
    return quote_plus(text, errors="replace") if text.isascii() else quote_plus(_valid(text))


def _valid(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def encode_maps(maps: Sequence[str], offset: int) -> bytes:
    """The body of a request that brings these maps.

    Args:
        maps: made by `encode_map`.
        offset: number of the first of them.
    """
    pieces = [f"count={len(maps)}&ofs={offset}"]
    pieces += [f"req{index}__S={value}" for index, value in enumerate(maps)]
    return "&".join(pieces).encode("ascii")
