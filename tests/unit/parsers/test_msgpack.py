"""The MessagePack parser against what the original's package writes and refuses, and Python's own values."""

from __future__ import annotations

import builtins
import importlib
import math
import re
import struct
import sys
from array import array
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from primus_gevent import parsers
from primus_gevent.errors import MissingPackageError
from primus_gevent.parsers import msgpack as parser
from primus_gevent.parsers.values import ExtBuffer, JSError, RegExp
from tests.unit.parsers.js_values import by_rule, check_bytes, decoded, instant, load, params, same, value

VECTORS = load("msgpack")

NOT_ENCODED = {
    "function": "Python's functions raise a TypeError: silence would hide a mistake",
    "object with function": "as above",
    "symbol": "Python has none",
    "bigint": "Python has one type of integers, and 5 is a number",
    "invalid Date": "Python has none",
    "ArrayBuffer": "bytes are a Buffer",
    "DataView": "bytes are a Buffer",
    "Uint8ClampedArray": "bytes are a Buffer",
    "Map": "Python has none; a dict is an object",
    "boxed String": "Python has none",
    "boxed Number": "Python has none",
    "boxed Boolean": "Python has none",
    "object with toJSON": "the value does not show the method; for_json() is honoured here",
}


@pytest.mark.parametrize("vector", params(VECTORS["vectors"], NOT_ENCODED))
def test_what_javascript_would_write_is_written(vector: dict[str, Any]) -> None:
    data = by_rule(vector["value_rule"]) if "value_rule" in vector else value(vector["value"])
    check_bytes(vector, parser.encoder(data))


@pytest.mark.parametrize(
    "vector", params([v for v in VECTORS["vectors"] if "encoded_hex" in v] + VECTORS["decode_only"], {})
)
def test_what_javascript_writes_is_read(vector: dict[str, Any]) -> None:
    expected = decoded(vector["decodes_to"] if "decodes_to" in vector else vector["value"])
    assert same(parser.decoder(bytes.fromhex(vector["encoded_hex"])), expected)


@pytest.mark.parametrize("vector", [v for v in VECTORS["vectors"] if "value_rule" in v])
def test_what_is_very_large_is_read(vector: dict[str, Any]) -> None:
    data = by_rule(vector["value_rule"])
    assert parser.decoder(parser.encoder(data)) == data


@pytest.mark.parametrize("vector", params(VECTORS["invalid"], {}))
def test_what_javascript_refuses_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parser.decoder(bytes.fromhex(vector["encoded_hex"]))


def test_there_are_vectors() -> None:
    assert len(VECTORS["vectors"]) == 115


@pytest.mark.parametrize("text", ["", "5", "hello"])
def test_text_is_refused(text: str) -> None:
    with pytest.raises(TypeError, match="text"):
        parser.decoder(text)  # type: ignore[arg-type]


# -- numbers


@pytest.mark.parametrize(
    ("number", "packed"),
    [
        (1.0, "01"),
        (-0.0, "00"),
        (255.0, "ccff"),
        (-2147483648.0, "d280000000"),
        (-2147483649.0, "cbc1e0000000200000"),
        (2147483647.0, "ce7fffffff"),
        (2147483648.0, "cb41e0000000000000"),
        (2**53 + 1, "cb4340000000000000"),
        (10**300, "cb7e37e43c8800759c"),
        (Decimal("1.5"), "cb3ff8000000000000"),
        (Decimal(7), "07"),
        (Decimal("NaN"), "cb7ff8000000000000"),
        (Decimal("-Infinity"), "cbfff0000000000000"),
    ],
)
def test_numbers(number: Any, packed: str) -> None:
    assert parser.encoder(number).hex() == packed
    assert parser.encoder([number]).hex() == f"91{packed}"


def test_an_integer_too_large_for_a_double_is_refused() -> None:
    with pytest.raises(OverflowError):
        parser.encoder(10**400)


@pytest.mark.parametrize(
    "items",
    [
        [1.5] * 20,
        [*range(20)],
        [1.5, math.nan, math.inf] * 10,
        [*[1.5] * 20, 2.0],
        [*[1] * 20, 2**31],
        [*[1] * 20, -(2**31) - 1],
        [*[1] * 20, True],
        ["a"] * 20,
        [*["a"] * 20, "\ud800"],
        [b"\x01" * 255] * 20,
        [{"a": 1.0}] * 20,
        [[1.0]] * 20,
        (1, 2.0) * 20,
        [1.0] * 16,
        [None] * 70000,
        [0.5] * 70000,
        [3.0] * 70000,
    ],
    ids=lambda items: f"{len(items)} {items[0]!r:.10}, {items[-1]!r:.10}",
)
def test_a_long_list_is_its_items(items: Any) -> None:
    """Whatever short cut is taken."""
    size = len(items)
    header = b"\xdc" + size.to_bytes(2, "big") if size < 65536 else b"\xdd" + size.to_bytes(4, "big")
    assert parser.encoder(items) == header + b"".join(map(parser.encoder, items))


# -- other types


class Point(NamedTuple):
    x: float
    y: float


class Level(IntEnum):
    LOW = 1


class Colour(str, Enum):
    RED = "red"


class Shouting(str):
    def __str__(self) -> str:
        return self.upper()


class Square:
    def for_json(self) -> Any:
        return {"side": Point(1, 2.0)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 2), [1, 2]),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Level.LOW, 1),
        (Colour.RED, "red"),
        (Shouting("a"), "a"),
        ({Shouting("a"): 1}, {"a": 1}),
        (Square(), {"side": {"x": 1, "y": 2}}),
        ([Square()], [{"side": {"x": 1, "y": 2}}]),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2014, 3, 1), "2014-03-01"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        ({5: 2, None: 3, True: 4, 1.5: 6}, {"5": 2, "null": 3, "true": 4, "1.5": 6}),
        (datetime(1970, 1, 1, 0, 0, 1, 999), instant(1000)),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), instant(0)),
        (datetime(1969, 12, 31, 23, 59, 59, 999999), instant(-1)),
        (re.compile("a", re.IGNORECASE | re.DOTALL), RegExp("a", "is")),
        (array("B", b"ab"), b"ab"),
        (array("l", [1]) if array("l").itemsize == 4 else array("i", [1]), array("i", [1])),
    ],
)
def test_what_is_sent_for_it(one: Any, other: Any) -> None:
    assert same(parser.decoder(parser.encoder(one)), other)


@pytest.mark.parametrize(
    "data",
    [
        datetime(1, 1, 1, tzinfo=timezone.utc),
        datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc),
        RegExp("é/", "gimsuy"),
        JSError("RangeError", "m", "at"),
        JSError("Error", ""),
        ExtBuffer(0, b""),
        ExtBuffer(32, bytes(254)),
        ExtBuffer(32, bytes(255)),
        ExtBuffer(200, bytes(65535)),
        ExtBuffer(254, bytes(65536)),
        array("b", [-1]),
        array("h", [-1, 300]),
        array("H", [65535]),
        array("i", [-1]),
        array("I", [2**32 - 1]),
        array("f", [0.5]),
        array("d", [0.1]),
        array("d"),
    ],
)
def test_what_comes_back(data: Any) -> None:
    assert same(parser.decoder(parser.encoder(data)), data)


def test_an_error_of_another_name_keeps_it() -> None:
    packed = parser.encoder(JSError("MyError", "m"))
    assert packed[2] == 0x0E
    assert parser.decoder(packed) == JSError("MyError", "m")


@pytest.mark.parametrize(
    "data",
    [
        object(),
        {1, 2},
        1j,
        {(1, 2): 3},
        {b"a": 1},
        [object],
        Square,
        lambda: 1,
        re.compile(b"a"),
        array("q", [1]),
        array("u", "a"),
    ],
)
@pytest.mark.filterwarnings("ignore:The 'u' type code is deprecated")
def test_what_has_no_form_raises(data: Any) -> None:
    with pytest.raises(TypeError):
        parser.encoder(data)


def test_a_verbose_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="verbose"):
        parser.encoder(re.compile("a b", re.VERBOSE))


def test_what_has_no_end_raises() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RecursionError):
        parser.encoder(loop)


# -- decoding what others write


def ext(kind: int, payload: bytes) -> bytes:
    return bytes([0xC7, len(payload), kind]) + payload


def double(number: float) -> bytes:
    return b"\xcb" + struct.pack(">d", number)


DATE = 0x0D


@pytest.mark.parametrize(
    ("packed", "data"),
    [
        (b"\x81\xc4\x01a\x02", {"a": 2}),  # bytes as a key
        (b"\x82\xa11\x01\x01\x02", {"1": 2}),  # "1" and then 1: the last one wins
        (b"\x81" + double(1.5) + b"\x02", {"1.5": 2}),
        (b"\x81" + double(2.0) + b"\x02", {"2": 2}),
        (b"\x82\xc2\x01\x01\xa1a", {"false": 1, "1": "a"}),
        (b"\x82\x01\xc4\x01\x01\xa1a\x01", {"1": b"\x01", "a": 1}),
        (ext(DATE, b"\xc0"), instant(0)),
        (ext(DATE, b"\xc3"), instant(1)),
        (ext(DATE, b"\xa11"), None),
        (ext(DATE, b"\x90"), None),
        (ext(DATE, double(1.9)), instant(1)),
        (ext(DATE, double(-1.9)), instant(-1)),
        (ext(DATE, double(8.7e15)), None),  # no Date is so late, in JavaScript either
        (ext(DATE, double(math.inf)), None),
        (ext(0xFF, b"\0\0\0\1"), instant(1000)),  # the timestamp of MessagePack itself
        (ext(0xFE, b"\0"), ExtBuffer(254, b"\0")),
        (ext(0x0B, ext(0x0F, b"\5")), ExtBuffer(0x0F, b"\5")),  # none inside another
        (ext(0x0E, b"\x80"), JSError("Error", "")),
        (ext(DATE, b"\1\2\3"), instant(1)),
    ],
)
def test_what_others_may_write(packed: bytes, data: Any) -> None:
    assert same(parser.decoder(packed), data)


@pytest.mark.parametrize(
    "packed",
    [
        b"\x81\x90\1",  # a list as a key
        b"\x81" + ext(DATE, b"\5") + b"\2",  # a Date as a key
        ext(0x0A, b"\xc0"),
        ext(0x0A, b"\x91\1"),
        ext(0x0A, b"\x92\1\2"),
        ext(0x0E, b"\0"),
        ext(0x0E, b"\x81\xa4name\1"),
        ext(0x13, b"\1\2\3"),  # an item and a half
        ext(DATE, double(-8.64e15)),  # long before the year 1
        ext(DATE, double(8.64e15)),
        ext(0xFF, b"\0\0\0\0" + b"\x7f" * 8),
        ext(0xFF, b"\0"),
    ],
)
def test_what_makes_no_value(packed: bytes) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        parser.decoder(packed)


def test_without_the_package_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        level = args[3] if len(args) > 3 else kwargs.get("level", 0)
        if name == "msgpack" and level == 0:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "primus_gevent.parsers.msgpack")
    with pytest.raises(MissingPackageError, match=r"pip install 'primus-gevent\[msgpack\]'"):
        parsers.load("msgpack")
    monkeypatch.undo()
    assert importlib.import_module("primus_gevent.parsers.msgpack")
