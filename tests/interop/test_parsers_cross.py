"""Any value through every parser, to JavaScript and back: with our client's half, and with the npm package.

Python encodes, JavaScript decodes, shows what it got, and encodes it again; Python decodes that. JavaScript
has one type of numbers, doubles: an integer beyond 2**53 is compared as the nearest one, and 1.0 comes back
as 1, which is equal. The parsers' own limits are in the strategies, each with its reason.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from primus_gevent import parsers
from primus_gevent.library import LibrarySettings, parser_source
from primus_gevent.parsers.values import RegExp

HERE = Path(__file__).parent
NAMES = ("json", "ejson", "msgpack", "binary", "jsonh")
PEERS = ("ours", "original")

EXACT = 2**53
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

pytestmark = pytest.mark.interop


class JavaScript:
    """A Node process with both halves of every parser in it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", HERE / "parsers_cross.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.send({name: parser_source(LibrarySettings("1.0.0", parser=name)) for name in NAMES})

    def send(self, line: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def turn(self, parser: str, peer: str, packet: str | bytes) -> tuple[Any, str | bytes]:
        """What JavaScript decodes ``packet`` to, in terms of JSON, and what it encodes that to."""
        if isinstance(packet, str):
            self.send({"parser": parser, "peer": peer, "text": packet})
        else:
            self.send({"parser": parser, "peer": peer, "bytes": base64.b64encode(packet).decode()})
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the Node process has ended"
        reply = json.loads(line)
        assert "error" not in reply, reply["error"]
        back = reply["text"] if "text" in reply else base64.b64decode(reply["bytes"])
        return json.loads(reply["value"]), back

    def close(self) -> None:
        self.process.communicate(timeout=10)
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScript]:
    assert (HERE / "node_modules").is_dir(), "run `npm ci` in tests/interop first (make test does)"
    node = JavaScript()
    yield node
    node.close()


def as_javascript(value: Any) -> Any:
    """The value with its integers as JavaScript has them."""
    if isinstance(value, dict):
        return {key: as_javascript(member) for key, member in value.items()}
    if isinstance(value, list):
        return [as_javascript(item) for item in value]
    if type(value) is int and abs(value) > EXACT:
        return float(value)
    return value


# A text of UTF-8 has no lone surrogates; JSON can name them.
any_text = st.text(st.characters(), max_size=20)
utf8_text = st.text(max_size=40)
# The keys that EJSON gives a meaning to, and those that JavaScript does.
DOLLARS = ("$date", "$InfNaN", "$binary", "$escape", "$type", "$value", "$regexp", "$flags", "$foo")
SPECIAL_KEYS = ("0", "10", "-1", "01", "length", "constructor", "hasOwnProperty", "toJSON", "__proto__")
# What the originals cannot have as keys: all but JSON itself set the prototype of the object they make, and
# binary-pack asks the object itself what it is.
LOST_KEYS = {"json": (), "binary": ("__proto__", "constructor", "hasOwnProperty")}

doubles = st.floats(allow_nan=False, allow_infinity=False)
# The original reads no integer of 64 bits, and takes a float without a fraction for an integer.
int32_doubles = doubles.filter(lambda number: -(2**31) <= number < 2**32 or not number.is_integer())

NUMBERS = {
    "json": doubles | st.integers(-(10**30), 10**30),
    "ejson": doubles | st.integers(-(10**30), 10**30),
    "jsonh": doubles | st.integers(-(10**30), 10**30),
    "msgpack": doubles | st.integers(-(10**30), 10**30),
    "binary": doubles | st.integers(-(10**30), 10**30),
}
ORIGINAL_NUMBERS = {**NUMBERS, "binary": int32_doubles | st.integers(-(2**31), 2**32 - 1)}


def values(parser: str, peer: str) -> st.SearchStrategy[Any]:
    text = utf8_text if parser in ("msgpack", "binary") else any_text
    keys = (text | st.sampled_from(SPECIAL_KEYS + DOLLARS)).filter(
        lambda key: peer == "ours" or key not in LOST_KEYS.get(parser, ("__proto__",))
    )
    numbers = (NUMBERS if peer == "ours" else ORIGINAL_NUMBERS)[parser]
    json_values = st.recursive(
        st.none() | st.booleans() | numbers | text,
        lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=20),
        max_leaves=25,
    )
    if parser != "jsonh":
        return json_values
    lists = st.lists(keys, min_size=1, max_size=5, unique=True).flatmap(
        lambda columns: st.lists(st.fixed_dictionaries(dict.fromkeys(columns, json_values)), max_size=4)
    )
    return lists | text if peer == "ours" else lists


def shown(value: Any) -> Any:
    """Python's value in the terms in which the other side shows its own."""
    if isinstance(value, dict):
        return {key: shown(member) for key, member in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, datetime):
        return {"$date": (value - EPOCH) // timedelta(milliseconds=1)}
    if isinstance(value, RegExp):
        return {"$regexp": [value.source, value.flags]}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, float) and value - value != 0:
        return {"$number": {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]}
    return value


def check(javascript: JavaScript, parser: str, peer: str, value: Any) -> None:
    half = parsers.load(parser)
    expected = shown(as_javascript(value))
    there, packet = javascript.turn(parser, peer, half.encoder(value))
    assert as_javascript(there) == expected
    assert shown(as_javascript(half.decoder(packet))) == expected


def pairs(*names: str) -> Callable[[Any], Any]:
    return pytest.mark.parametrize(
        ("parser", "peer"),
        [pytest.param(name, peer, id=f"{name}-{peer}") for name in names for peer in PEERS],
    )


@pairs(*NAMES)
def test_any_json_value_survives(javascript: JavaScript, parser: str, peer: str) -> None:
    @given(values(parser, peer))
    @settings(max_examples=100)
    def survives(value: Any) -> None:
        check(javascript, parser, peer, value)

    survives()


@pairs("json", "ejson", "msgpack", "binary")
@pytest.mark.parametrize("size", [15, 16, 31, 32, 255, 256, 65535, 65536])
def test_every_size_of_a_head(javascript: JavaScript, parser: str, peer: str, size: int) -> None:
    half = parsers.load(parser)
    texts: list[Any] = ["x" * size, "é" * (size // 2)]
    # binary-pack takes minutes for so many items: it copies everything for each.
    slow = (parser, peer) == ("binary", "original") and size > 1000
    for value in texts if slow else [*texts, [0] * size, {f"k{n}": n for n in range(size)}]:
        there, packet = javascript.turn(parser, peer, half.encoder(value))
        back = half.decoder(packet)
        if there != value or back != value:  # an assertion would explain the difference for minutes
            pytest.fail(f"{type(value).__name__} of {size}: there {len(there)}, back {len(back)}")


@pairs(*NAMES)
def test_messages_of_primus(javascript: JavaScript, parser: str, peer: str) -> None:
    if (parser, peer) == ("jsonh", "original"):
        pytest.skip("the original makes a list of characters of a text")
    for text in ("primus::ping::1400000000123", "primus::id::", "primus::server::close"):
        check(javascript, parser, peer, text)


moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(timezone.utc)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
patterns = st.builds(
    RegExp, st.sampled_from(["a+b", "\\d", "[^/]\\/", "é"]), st.sampled_from(["", "g", "gim"])
)
some_bytes = st.binary(max_size=300)
RICHER = {
    "ejson": moments | patterns | some_bytes | st.floats(),
    "msgpack": moments | patterns | some_bytes | st.floats(),
    # The original has no empty bytes, and no infinities.
    "binary": st.binary(min_size=1, max_size=300) | st.just(float("nan")),
}


@pairs(*RICHER)
def test_what_is_not_json_survives(javascript: JavaScript, parser: str, peer: str) -> None:
    @given(
        st.recursive(
            RICHER[parser] | st.integers(-1000, 100_000),
            lambda inner: (
                st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
            ),
        )
    )
    @example([b"\x00\xff"] * 3)
    @settings(max_examples=100)
    def survives(value: Any) -> None:
        check(javascript, parser, peer, value)

    survives()


def test_what_the_original_refuses_in_the_binary_parser(javascript: JavaScript) -> None:
    check(
        javascript, "binary", "ours", [b"", {"a": b""}, float("inf"), float("-inf"), 2**63, -(2**63) - 2048]
    )


def test_a_date_of_python_is_a_text_in_the_binary_parser(javascript: JavaScript) -> None:
    # As it is the other way round; there is no form for it.
    there, _ = javascript.turn("binary", "ours", parsers.load("binary").encoder(EPOCH))
    assert isinstance(there, str)
    assert "1970" in there
