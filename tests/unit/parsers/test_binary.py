"""The BinaryPack parser against what the original's package writes and refuses, and Python's own values."""

from __future__ import annotations

import math
from array import array
from datetime import date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from primus_gevent.parsers import binary as parser
from primus_gevent.parsers.values import RegExp
from tests.unit.parsers.js_values import (
    NotInPythonError,
    by_rule,
    check_bytes,
    decoded,
    load,
    params,
    same,
    value,
)

VECTORS = load("binary")

SENT_HERE = "refused by the original's writer; sent here as a float, which every reader reads"
NOT_ENCODED = {
    "Infinity": SENT_HERE,
    "-Infinity": SENT_HERE,
    "1e21": SENT_HERE,
    "1.7976931348623157e308": SENT_HERE,
    "2^64": SENT_HERE,
    "2^64-2048 (largest double below 2^64)": SENT_HERE,
    "2^63": "the original turns it into -2**63; sent here as a float, which every reader reads",
    "empty Buffer": "refused by the original's writer; sent here, as every reader reads it",
    "invalid Date": "Python has none",
    "object with toJSON": "the value does not show the method; for_json() is honoured here",
    "object without prototype": "the value does not show it",
    "class instance": "the value does not show it",
    "toBinaryPack": "the value does not show the method; for_json() is honoured here",
}
NOT_DECODED = {
    "uint64 decodes to NaN (defect of the Node reader; the browser build returns 4294967296)": "a defect",
}
NOT_REFUSED = {"int64 is never readable by the Node implementation": "a defect"}


def encode_vector(vector: dict[str, Any]) -> bytes:
    return parser.encoder(by_rule(vector["value_rule"]) if "value_rule" in vector else value(vector["value"]))


@pytest.mark.parametrize("vector", params(VECTORS["vectors"], NOT_ENCODED))
def test_what_javascript_would_write_is_written(vector: dict[str, Any]) -> None:
    if "encode_error" in vector:
        with pytest.raises((TypeError, NotInPythonError)):
            encode_vector(vector)
    else:
        check_bytes(vector, encode_vector(vector))


DECODED = [v for v in VECTORS["vectors"] if "encoded_hex" in v and v["name"] != "2^63"] + VECTORS[
    "decode_only"
]


@pytest.mark.parametrize("vector", params(DECODED, NOT_DECODED))
def test_what_javascript_writes_is_read(vector: dict[str, Any]) -> None:
    """Also where ``decode_error`` tells that Node itself cannot: integers of 64 bits."""
    expected = decoded(vector["decodes_to"] if "decodes_to" in vector else vector["value"])
    assert same(parser.decoder(bytes.fromhex(vector["encoded_hex"])), expected)


@pytest.mark.parametrize("vector", params(VECTORS["invalid"], NOT_REFUSED))
def test_what_javascript_refuses_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="early"):
        parser.decoder(bytes.fromhex(vector["encoded_hex"]))


def test_there_are_vectors() -> None:
    assert len(VECTORS["vectors"]) == 101


@pytest.mark.parametrize(
    ("packed", "number"),
    [
        ("cf0000000100000000", 2**32),
        ("cfffffffffffffffff", 2**64 - 1),
        ("d30020000000000000", 2**53),
        ("d3ffffffff00000000", -(2**32)),
        ("d38000000000000000", -(2**63)),
    ],
)
def test_integers_of_64_bits_are_read(packed: str, number: int) -> None:
    assert same(parser.decoder(bytes.fromhex(packed)), number)


@pytest.mark.parametrize(
    ("number", "packed"),
    [
        (2**63 - 1, "d37fffffffffffffff"),
        (2**63, "cb43e0000000000000"),
        (-(2**63) - 1, "cbc3e0000000000000"),
        (10**21, "cb444b1ae4d6e2ef50"),
        (1e21, "cb444b1ae4d6e2ef50"),
        (math.inf, "cb7ff0000000000000"),
        (1.0, "01"),
        (-0.0, "00"),
        (2.0**40, "d30000010000000000"),
        (b"", "a0"),
    ],
)
def test_what_the_original_cannot_send(number: Any, packed: str) -> None:
    assert parser.encoder(number).hex() == packed
    assert same(parser.decoder(bytes.fromhex(packed)), number)


def test_an_integer_too_large_for_a_double_is_refused() -> None:
    with pytest.raises(OverflowError):
        parser.encoder([10**400])


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (datetime(2014, 5, 13, 16, 53, 20), "Tue May 13 2014 16:53:20 GMT+0000 (Coordinated Universal Time)"),
        (
            datetime(999, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            "Mon Dec 31 0998 23:00:00 GMT+0000 (Coordinated Universal Time)",
        ),
    ],
)
def test_a_date_is_its_text(when: datetime, text: str) -> None:
    assert parser.decoder(parser.encoder(when)) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 2), [1, 2]),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2014, 3, 1), "2014-03-01"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        ({5: 2, None: 3, True: 4}, {"5": 2, "null": 3, "true": 4}),
        (["x" * 20, b"y" * 20], ["x" * 20, b"y" * 20]),
    ],
)
def test_what_is_sent_for_it(one: Any, other: Any) -> None:
    assert same(parser.decoder(parser.encoder(one)), other)


@pytest.mark.parametrize("data", [object(), {1, 2}, {b"a": 1}, array("B", b"a"), RegExp("a"), lambda: 1])
def test_what_has_no_form_raises(data: Any) -> None:
    with pytest.raises(TypeError):
        parser.encoder(data)


@pytest.mark.parametrize(
    ("packed", "data"),
    [("81a16102", {"a": 2}), ("82b131010102", {"1": 2}), ("81cb3ff800000000000002", {"1.5": 2})],
)
def test_keys_become_text(packed: str, data: Any) -> None:
    assert parser.decoder(bytes.fromhex(packed)) == data


@pytest.mark.parametrize("packed", ["819001", "81800102", "dd", "ddffffffff", "df00000001b161", "d8", "d800"])
def test_what_makes_no_value(packed: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        parser.decoder(bytes.fromhex(packed))


def test_text_is_refused() -> None:
    with pytest.raises(TypeError, match="text"):
        parser.decoder("5")
