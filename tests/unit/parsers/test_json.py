"""The JSON parser against what Node writes and refuses, and any value through it and back."""

from __future__ import annotations

import json as stdlib_json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent.parsers import json as parser

# Made by JSON.stringify on Node 20, with U+2028 and U+2029 replaced as Primus does.
VECTORS = stdlib_json.loads((Path(__file__).parent / "vectors" / "json.json").read_text(encoding="utf-8"))

# What is spelt in another way here, to the same value: exponents, and U+007F, which simplejson escapes.
SPELT_OTHERWISE = {"1e-7", "5e-324", "control characters"}


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


@pytest.mark.parametrize(
    "vector",
    VECTORS["vectors"] + VECTORS["decode_only"],
    ids=names(VECTORS["vectors"] + VECTORS["decode_only"]),
)
def test_what_node_writes_is_read(vector: dict[str, Any]) -> None:
    assert parser.decoder(vector["text"]) == vector["decodes_to"]


ENCODED = [vector for vector in VECTORS["vectors"] if vector.get("encodes")]


@pytest.mark.parametrize("vector", ENCODED, ids=names(ENCODED))
def test_what_node_would_write_is_written(vector: dict[str, Any]) -> None:
    text = parser.encoder(vector["decodes_to"])
    if vector["name"] in SPELT_OTHERWISE:
        assert stdlib_json.loads(text) == stdlib_json.loads(vector["text"])
    else:
        assert text == vector["text"]


def test_there_are_vectors() -> None:
    assert len(ENCODED) > 40


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=names(VECTORS["invalid"]))
def test_what_node_refuses_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parser.decoder(vector["text"])


@pytest.mark.parametrize(
    "text", ["Infinity", "-Infinity", "[NaN]", "tru", "\x00", "[1", '{"a"}', "{,}", "1x"]
)
def test_other_things_that_are_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parser.decoder(text)


def test_depth_without_end_is_an_error_that_can_be_caught() -> None:
    with pytest.raises(RecursionError):
        parser.decoder("[" * 200_000)
    nested: list[Any] = []
    for _ in range(200_000):
        nested = [nested]
    with pytest.raises((RecursionError, ValueError)):
        parser.encoder(nested)
    while nested:  # freed level by level
        nested = nested.pop()


def test_digits_without_end_are_refused() -> None:
    with pytest.raises(ValueError, match="digits"):
        parser.decoder("9" * 100_000)


def test_bytes_pass_as_they_are() -> None:
    assert parser.decoder(b"\xff\x00") == b"\xff\x00"


class Level(IntEnum):
    LOW = 1


class Point:
    def for_json(self) -> Any:
        return {"x": 1}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "null"),
        (math.inf, "null"),
        ([-math.inf], "[null]"),
        (Decimal("NaN"), "null"),
        (Decimal("1.10"), "1.10"),
        ((1, 2), "[1,2]"),
        (Level.LOW, "1"),
        (True, "true"),
        (Point(), '{"x":1}'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (b"\x01\xff", '{"type":"Buffer","data":[1,255]}'),
        (bytearray(b"a"), '{"type":"Buffer","data":[97]}'),
        (memoryview(b"a"), '{"type":"Buffer","data":[97]}'),
        ({5: 2, None: 3, True: 4}, '{"5":2,"null":3,"true":4}'),
        (date(2014, 3, 1), '"2014-03-01"'),
        (datetime(2014, 3, 1, 12, 30, 15, 123999), '"2014-03-01T12:30:15.123Z"'),
        (datetime(999, 1, 1), '"0999-01-01T00:00:00.000Z"'),
        (
            datetime(2014, 3, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            '"2014-02-28T23:00:00.000Z"',
        ),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        (["\u2028é"], '["\\u2028é"]'),
        ("\ud800", '"\\ud800"'),
        ({"\udfff": "😀"}, '{"\\udfff":"😀"}'),
        ("C:\\users\\u0041", '"C:\\\\users\\\\u0041"'),
        ("\x00\x7f\x1f", '"\\u0000\\u007f\\u001f"'),
        ("</script>", '"</script>"'),
    ],
)
def test_what_python_has_and_javascript_has_not(value: Any, text: str) -> None:
    assert parser.encoder(value) == text


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, {(1, 2): 3}, {b"a": 1}, [object], lambda: 1])
def test_what_has_no_form_raises(value: Any) -> None:
    with pytest.raises(TypeError):
        parser.encoder(value)


def test_a_cycle_raises() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match=r"[Cc]ircular"):
        parser.encoder(loop)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=20),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_value_survives_and_is_what_the_standard_library_reads(value: Any) -> None:
    text = parser.encoder(value)
    assert parser.decoder(text) == value
    assert stdlib_json.loads(text) == value
    assert not {"\u2028", "\u2029"} & set(text)
    text.encode()  # no lone surrogate is left: it can go into a text frame


@given(json_values, st.text(" \t\r\n", max_size=3), st.text(" \t\r\n", max_size=3))
def test_white_space_around_changes_nothing(value: Any, before: str, after: str) -> None:
    assert parser.decoder(before + parser.encoder(value) + after) == value


@given(st.text(max_size=30) | st.text('[]{}",:0123456789.eE+-truefalsn\\u ', max_size=30))
def test_any_text_is_read_as_the_standard_library_does_or_refused(text: str) -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        expected = stdlib_json.loads(text, parse_constant=refuse)
    except ValueError:
        with pytest.raises(ValueError, match=r".*"):
            parser.decoder(text)
    else:
        assert parser.decoder(text) == expected
