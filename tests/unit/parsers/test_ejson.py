"""The EJSON parser against what the original's package writes and refuses, and Python's own values."""

from __future__ import annotations

import json
import math
import re
from array import array
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from primus_gevent.parsers import ejson as parser
from primus_gevent.parsers.values import RegExp
from tests.unit.parsers.js_values import decoded, instant, load, params, same, value

VECTORS = load("ejson")

NOT_ENCODED = {
    "undefined": "None is null; nothing here is undefined",
    "array with undefined": "as above, and it is tested as null",
    "object with undefined": "as above",
    "function": "Python's functions raise a TypeError: silence would hide a mistake",
    "object with function": "as above",
    "invalid Date": "Python has none",
    "ArrayBuffer": "bytes are binary",
    "Map": "Python has none; a dict is an object",
    "boxed String": "Python has none",
    "object with toJSON": "the value does not show the method; for_json() is honoured here",
    "custom type foo": "tested below, with an object",
}
# To the same value: exponents, zero's sign, and U+007F, which simplejson escapes; as in the parser json.
SPELT_OTHERWISE = {
    "negative zero",
    "1e21",
    "1e-7",
    "5e-324",
    "1.7976931348623157e308",
    "control characters",
}


class Money:
    """A type of an application, with the names of the methods in Python."""

    def __init__(self, amount: Any) -> None:
        self.amount = amount

    def type_name(self) -> str:
        return "money"

    def to_json_value(self) -> Any:
        return self.amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.amount == other.amount

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "_types", {})
    parser.add_type("money", Money)
    parser.add_type("foo", lambda plain: {"decodedCustomType": "foo", **plain})


@pytest.mark.parametrize("vector", params(VECTORS["vectors"], NOT_ENCODED))
def test_what_javascript_would_write_is_written(vector: dict[str, Any]) -> None:
    text = parser.encoder(value(vector["value"]))
    if vector["name"] in SPELT_OTHERWISE:
        assert same(json.loads(text), json.loads(vector["text"]))
    else:
        assert text == vector["text"]


@pytest.mark.parametrize(
    "vector", params([v for v in VECTORS["vectors"] if "text" in v] + VECTORS["decode_only"], {})
)
def test_what_javascript_writes_is_read(vector: dict[str, Any]) -> None:
    expected = decoded(vector["decodes_to"] if "decodes_to" in vector else vector["value"])
    assert same(parser.decoder(vector["text"]), expected)


@pytest.mark.parametrize(
    "vector", params(VECTORS["invalid"], {"invalid regexp": "its text is carried; nobody compiles it here"})
)
def test_what_javascript_refuses_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parser.decoder(vector["text"])


def test_there_are_vectors() -> None:
    assert len(VECTORS["vectors"]) == 102


def test_binary_messages_are_refused() -> None:
    with pytest.raises(TypeError, match="binary"):
        parser.decoder(b"{}")


# -- encoding


class Point(NamedTuple):
    x: float
    at: Any


class Square:
    def for_json(self) -> Any:
        return {"$date": math.inf}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (datetime(1970, 1, 1, 0, 0, 1, 999), '{"$date":1000}'),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), '{"$date":0}'),
        (datetime(1969, 12, 31, 23, 59, 59, 999999), '{"$date":-1}'),
        (date(2014, 3, 1), '"2014-03-01"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (bytearray(b"a"), '{"$binary":"YQ=="}'),
        ([memoryview(b"a")], '[{"$binary":"YQ=="}]'),
        (array("B", b"a"), '{"$binary":"YQ=="}'),
        (array("f", [0.5, math.inf]), '{"0":0.5,"1":{"$InfNaN":1}}'),
        (re.compile("é\u2028", re.IGNORECASE), '{"$regexp":"é\\u2028","$flags":"i"}'),
        (Point(math.nan, datetime(1970, 1, 1)), '{"x":{"$InfNaN":0},"at":{"$date":0}}'),
        ((1, (2, math.inf)), '[1,[2,{"$InfNaN":1}]]'),
        (Square(), '{"$escape":{"$date":{"$InfNaN":1}}}'),
        ([Square()], '[{"$escape":{"$date":{"$InfNaN":1}}}]'),
        ([Decimal("NaN"), Decimal("-Infinity"), Decimal("1.10")], '[{"$InfNaN":0},{"$InfNaN":-1},1.10]'),
        ({"$date": datetime(1970, 1, 1)}, '{"$escape":{"$date":{"$date":0}}}'),
        ({"$value": 1, "$type": 2}, '{"$escape":{"$value":1,"$type":2}}'),
        (
            {"$type": {"$date": 5}, "$value": math.nan},
            '{"$escape":{"$type":{"$escape":{"$date":5}},"$value":{"$InfNaN":0}}}',
        ),
        ({"$set": {"$date": 1}}, '{"$set":{"$escape":{"$date":1}}}'),
        ({"$a": b"a"}, '{"$a":{"$binary":"YQ=="}}'),
        ({1: b"a", None: math.inf}, '{"1":{"$binary":"YQ=="},"null":{"$InfNaN":1}}'),
        ("$date", '"$date"'),
        ({"price": '{"$date"'}, '{"price":"{\\"$date\\""}'),
        ([{"\\/date": 1}, {"\\/": '{"\\/'}], '[{"\\\\/date":1},{"\\\\/":"{\\"\\\\/"}]'),
        (["\u2029é", b"a"], '["\\u2029é",{"$binary":"YQ=="}]'),
        (["\ud800", b"a"], '["\\ud800",{"$binary":"YQ=="}]'),
        (Money(1), '{"$type":"money","$value":1}'),
        (
            [Money({"$date": 1, "n": math.nan, "d": datetime(1970, 1, 1)})],
            '[{"$type":"money","$value":{"$date":1,"n":null,"d":"1970-01-01T00:00:00.000Z"}}]',
        ),
        (
            {"$escape": Money({"$date": "é"})},
            '{"$escape":{"$escape":{"$type":"money","$value":{"$date":"é"}}}}',
        ),
    ],
)
def test_what_is_written(data: Any, text: str) -> None:
    assert parser.encoder(data) == text


@pytest.mark.parametrize("data", [object(), {1, 2}, {(1, 2): 3}, {b"a": 1}, [object], [math.nan, object()]])
def test_what_has_no_form_raises(data: Any) -> None:
    with pytest.raises(TypeError):
        parser.encoder(data)


@pytest.mark.parametrize("special", [{}, {"$date": 1}, math.nan])
def test_what_has_no_end_raises(special: Any) -> None:
    loop: list[Any] = [special]
    loop.append(loop)
    with pytest.raises((ValueError, RecursionError)):
        parser.encoder(loop)


@pytest.mark.parametrize(
    "data",
    [
        {"$escape": {"$escape": {"$date": 1}}},
        {"$escape": datetime(2020, 1, 1, tzinfo=timezone.utc)},
        {"$date": {"$date": 5}},
        {"$type": "money", "$value": 5},
        {"$regexp": "a", "$flags": "g"},
        {"$regexp": "a", "$flags": "g", "$x": 1},
        {"$regexp": "a"},
        {"a": [{"$binary": b"\0"}]},
        [Money({"$escape": 1}), {"$escape": Money(1)}],
        datetime(1, 1, 1, tzinfo=timezone.utc),
        datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc),
        RegExp("é/\u2028", "gimuy"),
    ],
)
def test_what_comes_back(data: Any) -> None:
    assert same(parser.decoder(parser.encoder(data)), data)


# -- decoding


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"\\u0024date":5}', instant(5)),
        (' { "$date" : 5 } ', instant(5)),
        ('{"$date":1.7}', instant(1)),
        ('{"$date":-1.7}', instant(-1)),
        ('{"$date":true}', instant(1)),
        ('{"$date":1e300}', None),
        ('{"$date":{"$date":1}}', None),
        ('{"$date":""}', None),
        ('{"$date":"2014-13-01"}', None),
        ('{"$date":"2014"}', datetime(2014, 1, 1, tzinfo=timezone.utc)),
        ('{"$date":"2014-05"}', datetime(2014, 5, 1, tzinfo=timezone.utc)),
        ('{"$date":"2014-05-13T10:00"}', datetime(2014, 5, 13, 10, tzinfo=timezone.utc)),
        ('{"$date":"2014-05-13T16:53:20.1239+02:00"}', instant(1399992800123)),
        ('{"$date":"2014-05-13T16:53:20-01:30"}', instant(1400005400000)),
        ('{"$InfNaN":null}', math.nan),
        ('{"$InfNaN":"5"}', math.inf),
        ('{"$binary":"A"}', b""),
        ('{"$binary":"AAAAA"}', b"\0\0\0"),
        ('{"$binary":"AQ AA"}', b"\x01\0\0"),
        ('{"$binary":"AQ-_"}', b"\x01\0\0"),
        ('{"$binary":"é€AA"}', b"\0\0\0"),
        ('{"$regexp":"a","$flags":"gig"}', RegExp("a", "gi")),
        ('{"$date":1,"$x":2}', {"$date": 1, "$x": 2}),
        ('{"$x":{"$date":1},"$y":2}', {"$x": instant(1), "$y": 2}),
        ('{"$escape":{"$date":1},"$y":1}', {"$escape": instant(1), "$y": 1}),
        ('{"$escape":{"$escape":{"$date":1}}}', {"$escape": instant(1)}),
        ('{"$type":"money","$value":{"$date":1}}', Money({"$date": 1})),
        ('[{"$type":"money","$value":[{"$escape":1}]}]', [Money([{"$escape": 1}])]),
        ('{"a":"{\\"$date\\":1}"}', {"a": '{"$date":1}'}),
    ],
)
def test_what_others_may_write(text: str, data: Any) -> None:
    assert same(parser.decoder(text), data)


@pytest.mark.parametrize(
    "text",
    [
        '{"$binary":5}',
        '{"$binary":null}',
        '{"$InfNaN":"a"}',
        '{"$regexp":5,"$flags":"g"}',
        '{"$escape":5}',
        '{"$escape":[1]}',
        '{"$type":5,"$value":1}',
        '{"$type":[],"$value":1}',
        '{"$date":-8.64e15}',
        '{"$date":253402300800000}',
        '{"$date":"0001-01-01T00:00:00+01:00"}',
    ],
)
def test_what_makes_no_value(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parser.decoder(text)


def test_an_error_of_a_factory_reaches_the_caller() -> None:
    parser.add_type("broken", lambda plain: plain["missing"])
    with pytest.raises(KeyError):
        parser.decoder('{"$type":"broken","$value":{}}')


def test_a_type_is_added_once() -> None:
    with pytest.raises(ValueError, match="'money' exists already"):
        parser.add_type("money", Money)
