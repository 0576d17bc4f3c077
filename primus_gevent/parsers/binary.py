"""BinaryPack as the original's `binary-pack` reads and writes it.

It looks like an early MessagePack and is none: bytes and texts have each other's places. The original's
reader has two defects that are not kept (64-bit integers), and its writer refuses three values that every
reader reads, which are written here: no bytes at all, and the infinities and integers beyond 64 bits, as
floats.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from .packing import Packer, encode_lone_surrogates
from .values import key_text

__all__ = ["decoder", "encoder"]

MIN_INT32, MAX_UINT32 = -(1 << 31), (1 << 32) - 1
MIN_INT64, MAX_INT64 = -(1 << 63), (1 << 63) - 1

# -- encoding

_double = struct.Struct(">Bd").pack
_int8 = struct.Struct(">Bb").pack
_int16 = struct.Struct(">Bh").pack
_int32 = struct.Struct(">Bi").pack
_int64 = struct.Struct(">Bq").pack
_uint8 = struct.Struct(">BB").pack
_uint16 = struct.Struct(">BH").pack
_uint32 = struct.Struct(">BI").pack

_small_int = {value: bytes([value & 0xFF]) for value in range(-32, 128)}.get


def _pack_int(value: int) -> bytes:
    packed = _small_int(value)
    if packed is not None:
        return packed
    if MIN_INT32 <= value <= MAX_UINT32:
        return _pack_int32(value)
    if MIN_INT64 <= value <= MAX_INT64:
        return _int64(0xD3, value)
    return _double(0xCB, float(value))  # OverflowError where even that is too small


def _pack_int32(value: int) -> bytes:
    if value > 0:
        if value < 0x100:
            return _uint8(0xCC, value)
        return _uint16(0xCD, value) if value < 0x10000 else _uint32(0xCE, value)
    if value >= -0x80:
        return _int8(0xD0, value)
    return _int16(0xD1, value) if value >= -0x8000 else _int32(0xD2, value)


def _pack_float(value: float) -> bytes:
    if value.is_integer():
        return _pack_int(int(value))
    return _double(0xCB, value)


_SHORT_TEXT = [bytes([0xB0 | size]) for size in range(16)]


def _pack_text(value: str) -> bytes:
    try:
        data = value.encode()
    except UnicodeEncodeError:
        data = encode_lone_surrogates(value)
    size = len(data)
    if size < 16:
        return _SHORT_TEXT[size] + data
    if size < 0x10000:
        return _uint16(0xD8, size) + data
    return _uint32(0xD9, size) + data


def _pack_bytes(value: bytes) -> bytes:
    size = len(value)
    if size < 16:
        return b"%c%b" % (0xA0 | size, value)
    if size < 0x10000:
        return _uint16(0xDA, size) + value
    return _uint32(0xDB, size) + value


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _pack_date(value: datetime) -> bytes:
    """As the text of a Date where the time zone is UTC: it is told in it, so that readers get the instant."""
    value = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    return _pack_text(
        f"{_DAYS[value.weekday()]} {_MONTHS[value.month - 1]} {value.day:02} {value.year:04} "
        f"{value.hour:02}:{value.minute:02}:{value.second:02} GMT+0000 (Coordinated Universal Time)"
    )


def _array_header(size: int) -> bytes:
    if size < 16:
        return b"%c" % (0x90 | size)
    return _uint16(0xDC, size) if size < 0x10000 else _uint32(0xDD, size)


def _map_header(size: int) -> bytes:
    if size < 16:
        return b"%c" % (0x80 | size)
    return _uint16(0xDE, size) if size < 0x10000 else _uint32(0xDF, size)


encoder: Callable[[Any], bytes] = Packer(
    {
        str: _pack_text,
        int: _pack_int,
        float: _pack_float,
        bool: lambda value: b"\xc3" if value else b"\xc2",
        type(None): lambda value: b"\xc0",
        bytes: _pack_bytes,
        bytearray: lambda value: _pack_bytes(bytes(value)),
        memoryview: lambda value: _pack_bytes(bytes(value)),
        datetime: _pack_date,
    },
    _array_header,
    _map_header,
).encode


# -- decoding: each reader gets the message and the place behind the first byte of a value, and returns the
# value and the place behind it

Read = Callable[[bytes, int], tuple[Any, int]]


def _cut(raw: bytes, at: int, size: int) -> bytes:
    data = raw[at : at + size]
    if len(data) < size:
        raise ValueError(f"the message ends {size - len(data)} bytes early")
    return data


def _constant(value: Any) -> Read:
    return lambda raw, at: (value, at)


def _number(form: str) -> Read:
    unpack = struct.Struct(form)
    size = unpack.size
    unpack_from = unpack.unpack_from
    return lambda raw, at: (unpack_from(raw, at)[0], at + size)


def _sized(size: int, read: Callable[[bytes, int, int], tuple[Any, int]]) -> Read:
    """What has its length, or number of items, in its first byte."""
    return lambda raw, at: read(raw, at, size)


def _announced(form: str, read: Callable[[bytes, int, int], tuple[Any, int]]) -> Read:
    """What has it in the bytes that follow."""
    unpack = struct.Struct(form)
    width = unpack.size
    unpack_from = unpack.unpack_from
    return lambda raw, at: read(raw, at + width, unpack_from(raw, at)[0])


def _read_text(raw: bytes, at: int, size: int) -> tuple[str, int]:
    return _cut(raw, at, size).decode("utf-8", "replace"), at + size


def _read_bytes(raw: bytes, at: int, size: int) -> tuple[bytes, int]:
    return _cut(raw, at, size), at + size


def _read_array(raw: bytes, at: int, size: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(size):
        item, at = _READERS[raw[at]](raw, at + 1)
        items.append(item)
    return items, at


def _read_map(raw: bytes, at: int, size: int) -> tuple[dict[str, Any], int]:
    items = {}
    for _ in range(size):
        key, at = _READERS[raw[at]](raw, at + 1)
        if type(key) is not str:
            key = key.decode("utf-8", "replace") if type(key) is bytes else key_text(key)
        items[key], at = _READERS[raw[at]](raw, at + 1)
    return items, at


_READERS: list[Read] = [
    *(_constant(value) for value in range(128)),
    *(_sized(size, _read_map) for size in range(16)),
    *(_sized(size, _read_array) for size in range(16)),
    *(_sized(size, _read_bytes) for size in range(16)),
    *(_sized(size, _read_text) for size in range(16)),
    _constant(None),
    _constant(None),  # c1, c4 to c9 and d4 to d7 are `undefined`
    _constant(False),
    _constant(True),
    *[_constant(None)] * 6,
    _number(">f"),
    _number(">d"),
    _number(">B"),
    _number(">H"),
    _number(">I"),
    _number(">Q"),
    _number(">b"),
    _number(">h"),
    _number(">i"),
    _number(">q"),
    *[_constant(None)] * 4,
    _announced(">H", _read_text),
    _announced(">I", _read_text),
    _announced(">H", _read_bytes),
    _announced(">I", _read_bytes),
    _announced(">H", _read_array),
    _announced(">I", _read_array),
    _announced(">H", _read_map),
    _announced(">I", _read_map),
    *(_constant(value) for value in range(-32, 0)),
]


def decoder(raw: str | bytes) -> Any:
    """Decode one binary message; what follows the first value is ignored.

    Raises ValueError for what ends early, RecursionError for what nests too deep, TypeError for text. Takes
    no more memory than the message has items, whatever lengths it announces.
    """
    if isinstance(raw, str):
        raise TypeError("binary reads binary messages, and this one is text")
    try:
        return _READERS[raw[0]](raw, 1)[0]
    except (IndexError, struct.error):
        raise ValueError("the message ends early") from None
