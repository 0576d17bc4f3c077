"""Frames made by hand, lawful or not, independently of the code under test; and ways to feed them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from primus_gevent.protocols.websocket import Event, WebSocketProtocol

KEY = b"\x37\xfa\x21\x3d"  # the key of the examples in RFC 6455, 5.7


def xor(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


def build(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = KEY,
    form: int | None = None,
    announce: int | None = None,
) -> bytes:
    """One frame.

    Args:
        rsv: the three reserved bits as a number, RSV1 being 4.
        key: None for a frame that is not masked.
        form: 7, 16 or 64 bits for the length; the shortest by default.
        announce: a length other than the payload's.
    """
    size = len(payload) if announce is None else announce
    if form is None:
        form = 7 if size < 126 else 16 if size < 65536 else 64
    masked = 0 if key is None else 0x80
    header = bytes([fin << 7 | rsv << 4 | opcode])
    if form == 7:
        header += bytes([masked | size])
    elif form == 16:
        header += bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        header += bytes([masked | 127]) + size.to_bytes(8, "big")
    return header + payload if key is None else header + key + xor(payload, key)


def feed(protocol: WebSocketProtocol, pieces: Iterable[bytes]) -> list[Event]:
    return [event for piece in pieces for event in protocol.receive(piece)]


def single_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    borders = [0, *sorted(place for place in places if place <= len(data)), len(data)]
    return [data[start:stop] for start, stop in pairwise(borders)]
