"""MessagePack as the original's `primus-msgpack` (msgpack-lite) reads and writes it.

Reading is the C code of the package `msgpack`; writing is ours, because JavaScript has one type for numbers:
``1.0`` is the integer 1, and what does not fit into 32 bits is a float. Types that MessagePack lacks are
msgpack-lite's extensions, see `_EXTENSIONS`.
"""

from __future__ import annotations

import math
import re
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ..errors import MissingPackageError
from .packing import Packer, encode_lone_surrogates
from .values import ExtBuffer, JSError, RegExp, from_ms, key_text, to_ms

try:
    from msgpack import ExtraData, packb, unpackb  # type: ignore[import-untyped]
except ImportError:
    raise MissingPackageError("the parser 'msgpack'", "msgpack", "msgpack") from None

__all__ = ["decoder", "encoder"]

MIN_INT32, MAX_INT32 = -(1 << 31), (1 << 31) - 1

# -- extension types of msgpack-lite

_ERRORS = {
    0x01: "EvalError",
    0x02: "RangeError",
    0x03: "ReferenceError",
    0x04: "SyntaxError",
    0x05: "TypeError",
    0x06: "URIError",
    0x0E: "Error",
}
_REGEXP = 0x0A
_BOXED = {0x0B, 0x0C, 0x0F}  # Boolean, String and Number made with `new`
_DATE = 0x0D
_BYTES = {0x12, 0x19, 0x1A, 0x1B, 0x1D}  # Uint8Array, its clamped sister, ArrayBuffer, Buffer, DataView
# Typed arrays, with a type code of `array` whose items are as wide everywhere.
_ARRAYS = {0x11: "b", 0x13: "h", 0x14: "H", 0x15: "i", 0x16: "I", 0x17: "f", 0x18: "d"}
_ARRAY_TYPES = {
    ("int", 1): 0x11,
    ("uint", 1): 0x12,
    ("int", 2): 0x13,
    ("uint", 2): 0x14,
    ("int", 4): 0x15,
    ("uint", 4): 0x16,
    ("float", 4): 0x17,
    ("float", 8): 0x18,
}
_ERROR_TYPES = {name: code for code, name in _ERRORS.items()}


# -- encoding

_double = struct.Struct(">Bd").pack
_int8 = struct.Struct(">Bb").pack
_int16 = struct.Struct(">Bh").pack
_int32 = struct.Struct(">Bi").pack
_uint8 = struct.Struct(">BB").pack
_uint16 = struct.Struct(">BH").pack
_uint32 = struct.Struct(">BI").pack

_small_int = {value: bytes([value & 0xFF]) for value in range(-32, 128)}.get


def _pack_int(value: int) -> bytes:
    packed = _small_int(value)
    if packed is not None:
        return packed
    if value > 0:
        if value < 0x100:
            return _uint8(0xCC, value)
        if value < 0x10000:
            return _uint16(0xCD, value)
        if value <= MAX_INT32:
            return _uint32(0xCE, value)
    elif value >= -0x80:
        return _int8(0xD0, value)
    elif value >= -0x8000:
        return _int16(0xD1, value)
    elif value >= MIN_INT32:
        return _int32(0xD2, value)
    return _double(0xCB, float(value))  # OverflowError where even that is too small


def _pack_float(value: float) -> bytes:
    if value.is_integer() and MIN_INT32 <= value <= MAX_INT32:
        return _pack_int(int(value))
    return _double(0xCB, value)


_SHORT_TEXT = [bytes([0xA0 | size]) for size in range(32)]


def _pack_text(value: str) -> bytes:
    try:
        data = value.encode()
    except UnicodeEncodeError:
        data = encode_lone_surrogates(value)
    size = len(data)
    if size < 32:
        return _SHORT_TEXT[size] + data
    if size < 0x100:
        return _uint8(0xD9, size) + data
    if size < 0x10000:
        return _uint16(0xDA, size) + data
    return _uint32(0xDB, size) + data


def _pack_bytes(value: bytes) -> bytes:
    size = len(value)
    if size < 0xFF:  # msgpack-lite's own limit: 255 has the longer header
        return _uint8(0xC4, size) + value
    if size < 0x10000:
        return _uint16(0xC5, size) + value
    return _uint32(0xC6, size) + value


_FIXED_EXT = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}


def _pack_ext(kind: int, data: bytes) -> bytes:
    size = len(data)
    if size in _FIXED_EXT:
        return _uint8(_FIXED_EXT[size], kind) + data
    if size < 0xFF:
        return struct.pack(">BBB", 0xC7, size, kind) + data
    if size < 0x10000:
        return struct.pack(">BHB", 0xC8, size, kind) + data
    return struct.pack(">BIB", 0xC9, size, kind) + data


def _pack_date(value: datetime) -> bytes:
    return _pack_ext(_DATE, _pack_int(to_ms(value)))


def _pack_regexp(value: RegExp) -> bytes:
    return _pack_ext(_REGEXP, b"\x92" + _pack_text(value.source) + _pack_text(value.flags))


def _pack_error(value: JSError) -> bytes:
    fields = {
        "name": value.name,
        "message": value.message,
        "stack": value.stack,
        "columnNumber": None,  # as in Node, which does not tell these three
        "fileName": None,
        "lineNumber": None,
    }
    return _pack_ext(_ERROR_TYPES.get(value.name, 0x0E), encoder(fields))


def _pack_array(value: array[Any]) -> bytes:
    sort = "float" if value.typecode in "fd" else "int" if value.typecode.islower() else "uint"
    kind = None if value.typecode in "uw" else _ARRAY_TYPES.get((sort, value.itemsize))
    if kind is None:
        raise TypeError(f"there is no typed array for array.array({value.typecode!r}) in msgpack")
    return _pack_ext(kind, _little_endian(value).tobytes())


def _little_endian(items: array[Any]) -> array[Any]:
    if sys.byteorder == "big":  # pragma: no cover
        items = items[:]
        items.byteswap()
    return items


def _array_header(size: int) -> bytes:
    if size < 16:
        return b"%c" % (0x90 | size)
    return _uint16(0xDC, size) if size < 0x10000 else _uint32(0xDD, size)


def _map_header(size: int) -> bytes:
    if size < 16:
        return b"%c" % (0x80 | size)
    return _uint16(0xDE, size) if size < 0x10000 else _uint32(0xDF, size)


def _pack_long_list(value: Sequence[Any]) -> bytes | None:
    """Lists of one plain type go through C where it writes what JavaScript would: over ten times faster."""
    kinds = set(map(type, value))
    if len(kinds) > 1:
        return None
    kind = kinds.pop()
    same = (
        (kind is int and min(value) >= MIN_INT32 and max(value) <= MAX_INT32)
        or (kind is float and not any(map(float.is_integer, value)))
        or kind is str
    )
    if not same:
        return None
    try:
        packed: bytes = packb(value)
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return packed


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
        array: _pack_array,
        RegExp: _pack_regexp,
        re.Pattern: lambda value: _pack_regexp(RegExp.of(value)),
        JSError: _pack_error,
        ExtBuffer: lambda value: _pack_ext(value.type, bytes(value.data)),
    },
    _array_header,
    _map_header,
    _pack_long_list,
).encode


# -- decoding


def _unpack(raw: bytes, ext_hook: Callable[[int, bytes], Any]) -> Any:
    """The first value of ``raw``; what follows it is ignored."""
    try:
        # Keys are nearly always text, and a hook for every object takes its time. The C code refuses other
        # keys than text, but for bytes, so those must not be anywhere.
        if not (b"\xc4" in raw or b"\xc5" in raw or b"\xc6" in raw):
            try:
                return unpackb(raw, raw=False, unicode_errors="replace", timestamp=3, ext_hook=ext_hook)
            except ExtraData:
                raise
            except ValueError:
                pass  # another key, or an error that will come again
        return unpackb(
            raw,
            raw=False,
            unicode_errors="replace",
            timestamp=3,
            ext_hook=ext_hook,
            strict_map_key=False,
            object_hook=_name_keys,
        )
    except ExtraData as error:
        return error.unpacked


def _name_keys(value: dict[Any, Any]) -> dict[str, Any]:
    if all(type(key) is str for key in value):
        return value
    return {_key_text(key): item for key, item in value.items()}


def _key_text(key: Any) -> str:
    return key.decode("utf-8", "replace") if type(key) is bytes else key_text(key)


def _ext_inside(kind: int, data: bytes) -> ExtBuffer:
    # The C code gives the type as a signed byte; JavaScript has it unsigned.
    return ExtBuffer(kind & 0xFF, data)


def _ext(kind: int, data: bytes) -> Any:
    if kind == _DATE:
        return _date(_inner(data))
    if kind in _BYTES:
        return data
    if kind in _ARRAYS:
        items = array(_ARRAYS[kind])
        items.frombytes(data)
        return _little_endian(items)
    if kind in _BOXED:
        return _inner(data)
    if kind == _REGEXP:
        source, flags = _inner(data)
        return RegExp(_text(source), _text(flags))
    if kind in _ERRORS:
        return _error(_ERRORS[kind], _inner(data))
    return _ext_inside(kind, data)


def _inner(data: bytes) -> Any:
    """The value in an extension. What JavaScript writes has no further one in it, and a peer's must not
    have: each would take 32 KiB of the C stack."""
    return _unpack(data, _ext_inside)


def _date(value: Any) -> datetime | None:
    if isinstance(value, (int, float)):
        return from_ms(value)
    return from_ms(0 if value is None else math.nan)  # as `new Date(value)`, but for texts


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"an extension has {type(value).__name__} where text belongs")
    return value


def _error(name: str, fields: Any) -> JSError:
    if not isinstance(fields, dict):
        raise ValueError("an error must be a map")
    return JSError(
        _text(fields.get("name") or name),
        _text(fields.get("message") or ""),
        _text(fields.get("stack") or ""),
    )


def decoder(raw: str | bytes) -> Any:
    """Decode one binary message; raises ValueError or TypeError for what is no MessagePack, and for text.

    Bounded by the length of ``raw``: no room is made for what is only announced, and nesting ends at 1,024.
    """
    if isinstance(raw, str):
        raise TypeError("msgpack reads binary messages, and this one is text")
    return _unpack(raw, _ext)
