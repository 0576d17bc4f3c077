"""The parser on orjson: whatever it is given, it is the parser `json`."""

from __future__ import annotations

import builtins
import math
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent import parsers
from primus_gevent.errors import MissingPackageError
from primus_gevent.parsers import json
from primus_gevent.parsers import orjson as parser
from tests.unit.parsers.js_values import load, same

VECTORS = load("json")
EXPONENTS = ("1e-7", "5e-324")  # spelt in another way, to the same value


class Level(IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int


class Row(dict):
    def for_json(self) -> Any:
        return "row"


@pytest.mark.parametrize(
    "vector", VECTORS["vectors"] + VECTORS["decode_only"], ids=lambda vector: vector["name"]
)
def test_what_javascript_writes_is_read(vector: dict[str, Any]) -> None:
    assert same(parser.decoder(vector["text"]), vector["decodes_to"])


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["name"])
def test_what_javascript_refuses_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parser.decoder(vector["text"])


@pytest.mark.parametrize(
    "data",
    [
        *(v["decodes_to"] for v in VECTORS["vectors"] if v.get("encodes") and v["name"] not in EXPONENTS),
        math.nan,
        [math.inf, -math.inf],
        Decimal("1.10"),
        Decimal("NaN"),
        [2**64, -(2**63) - 1, 2**200],
        Level.LOW,
        Point(1),
        Row(a=1),
        [Row(a=1)],
        UUID(int=1),
        b"\x01\xff",
        date(2014, 3, 1),
        datetime(2014, 3, 1, 12, 30, 15, 123999),
        {"at": datetime(2014, 3, 1, 1, tzinfo=timezone(timedelta(hours=2)))},
        {5: 2, None: 3, True: 4},
        "\u2028\u2029",
        {"\u2028": "é\u2029"},
        "\ud800",
        {"\udfff": 1},
        [[], {}, (1, 2)],
    ],
)
def test_it_writes_what_json_writes(data: Any) -> None:
    # simplejson escapes U+007F, which means the same
    assert parser.encoder(data).replace("\x7f", "\\u007f") == json.encoder(data)


@pytest.mark.parametrize("data", [object(), {1, 2}, 1j, {(1, 2): 3}, {b"a": 1}, [object]])
def test_what_has_no_form_raises(data: Any) -> None:
    with pytest.raises(TypeError, match=r".+"):
        parser.encoder(data)


def test_depth_beyond_that_of_orjson() -> None:
    nested: list[Any] = []
    for _ in range(400):
        nested = [nested]
    assert parser.encoder(nested) == "[" * 401 + "]" * 401
    with pytest.raises(RecursionError):
        parser.decoder("[" * 200_000)


@given(st.text(max_size=30) | st.text('[]{}",:0123456789.eE+-truefalsn\\u ', max_size=30))
def test_it_reads_what_json_reads(text: str) -> None:
    try:
        expected = json.decoder(text)
    except ValueError:
        with pytest.raises(ValueError, match=r".*"):
            parser.decoder(text)
    else:
        assert same(parser.decoder(text), expected)


def test_bytes_pass_as_they_are() -> None:
    assert parser.decoder(b"\xff\x00") == b"\xff\x00"


def test_it_is_json_to_clients() -> None:
    assert parser.wire_name == "json"


def test_without_the_package_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "orjson" and (args[3] if len(args) > 3 else 0) == 0:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "primus_gevent.parsers.orjson")
    with pytest.raises(MissingPackageError, match=r"pip install 'primus-gevent\[orjson\]'"):
        parsers.load("orjson")
