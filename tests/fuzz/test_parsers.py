"""Whatever comes in, a parser returns a value or raises an Exception, soon and without much memory; and what
it sends comes back.

Long runs: ``FUZZ_EXAMPLES=100000 pytest tests/fuzz/test_parsers.py``.
"""

from __future__ import annotations

import json as stdlib_json
import math
import os
import struct
import subprocess
import sys
import textwrap
from array import array
from datetime import timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from primus_gevent.parsers import PARSERS, load
from primus_gevent.parsers.values import ExtBuffer, JSError, RegExp
from tests.unit.parsers.js_values import load as load_vectors
from tests.unit.parsers.js_values import same

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
TEXT = ["json", "ejson", "jsonh", "orjson"]
BINARY = ["msgpack", "binary"]
assert {*TEXT, *BINARY} == set(PARSERS)


def attempt(name: str, raw: str | bytes) -> Any:
    """The value, or the Exception; MemoryError is none that a message may cause."""
    try:
        return load(name).decoder(raw)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001
        return error


# -- what is sent comes back

# In JavaScript's terms: a number is a double, so an integer beyond 2**53 may not survive, and 1.0 is 1.
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = texts | st.sampled_from(
    ["$date", "$escape", "$type", "$value", "$binary", "$regexp", "$flags", "$InfNaN"]
)
scalars = st.none() | st.booleans() | numbers | texts


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda children: (
            st.lists(children, max_size=14)
            | st.dictionaries(keys, children, max_size=4)
            | st.lists(leaves, max_size=14)
        ),
        max_leaves=20,
    )


# What each carries beyond JSON. A Date has milliseconds.
instants = st.datetimes().map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone.utc)
)
regexps = st.builds(RegExp, texts, st.sampled_from(["", "g", "gi", "imuy"]))
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])
arrays = st.lists(st.integers(-128, 127)).flatmap(
    lambda items: st.sampled_from("bhifd").map(lambda code: array(code, items))
)
errors = st.builds(JSError, st.sampled_from(["Error", "TypeError", "Mine"]), texts, texts)
extensions = st.builds(ExtBuffer, st.integers(32, 254), st.binary(max_size=40))
BEYOND = {
    "ejson": st.binary() | instants | regexps | not_finite,
    "msgpack": st.binary(max_size=40) | instants | regexps | not_finite | arrays | errors | extensions,
    "binary": st.binary(max_size=40) | not_finite,
}


@pytest.mark.parametrize("name", ["json", "orjson"])
@given(data=trees(scalars))
@settings(max_examples=EXAMPLES, deadline=None)
def test_json_comes_back(name: str, data: Any) -> None:
    parser = load(name)
    assert same(parser.decoder(parser.encoder(data)), data)


@pytest.mark.parametrize("name", BEYOND)
def test_any_value_comes_back(name: str) -> None:
    parser = load(name)

    @given(data=trees(scalars | BEYOND[name]))
    @settings(max_examples=EXAMPLES, deadline=None)
    def check(data: Any) -> None:
        assert same(parser.decoder(parser.encoder(data)), data)

    check()


@given(data=trees(scalars))
@settings(max_examples=EXAMPLES, deadline=None)
def test_ejson_is_json(data: Any) -> None:
    """And without a dollar it is what the parser json sends."""
    text = load("ejson").encoder(data)
    stdlib_json.loads(text)
    if "$" not in text:
        assert text == load("json").encoder(data)


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(trees(scalars), min_size=n, max_size=n), max_size=4)
    )
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_rows_come_back(rows: list[list[Any]]) -> None:
    data = [dict(zip("abcde", row, strict=False)) for row in rows]
    parser = load("jsonh")
    assert same(parser.decoder(parser.encoder(data)), data)


# -- anything


@pytest.mark.parametrize("name", PARSERS)
@given(
    raw=st.binary(max_size=200)
    | st.text(max_size=100)
    | st.text('[]{}",:$datescp0123456789.-\\u ', max_size=60)
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_anything_is_read_or_refused(name: str, raw: str | bytes) -> None:
    attempt(name, raw)


HEADS = [
    b"\xc7",
    b"\xc8",
    b"\xc9",
    b"\xd4",
    b"\xd8",
    b"\xdc",
    b"\xdd",
    b"\xde",
    b"\xdf",
    b"\x91",
    b"\x92",
    b"\x81",
]


@pytest.mark.parametrize("name", BINARY)
@given(raw=st.lists(st.sampled_from(HEADS) | st.binary(max_size=4), max_size=30).map(b"".join))
@settings(max_examples=EXAMPLES, deadline=None)
@example(raw=b"\xc7\x02\x0a\xc7\x00")
def test_heads_of_containers_and_extensions(name: str, raw: bytes) -> None:
    attempt(name, raw)


def vectors(name: str) -> list[bytes]:
    return [bytes.fromhex(v["encoded_hex"]) for v in load_vectors(name)["vectors"] if "encoded_hex" in v]


@pytest.mark.parametrize("name", ["ejson", "jsonh", "msgpack", "binary"])
def test_every_packet_cut_at_every_byte(name: str) -> None:
    for packet in vectors(name):
        whole = attempt(name, packet if name in BINARY else packet.decode())
        for end in range(min(len(packet), 300)):
            cut = packet[:end]
            got = attempt(name, cut if name in BINARY else cut.decode("utf-8", "ignore"))
            # Nothing that is short passes for whole: what is left of a number's digits is another number.
            assert isinstance(got, Exception) or name in TEXT or isinstance(whole, Exception), (packet, end)


@pytest.mark.parametrize("name", BINARY)
def test_every_packet_with_a_byte_changed(name: str) -> None:
    for packet in vectors(name):
        for place in range(min(len(packet), 24)):
            for byte in (0x00, 0x91, 0xC1, 0xC7, 0xC9, 0xDD, 0xDF, 0xFF, packet[place] ^ 1):
                attempt(name, packet[:place] + bytes([byte]) + packet[place + 1 :])


# -- depth


def nested(name: str, depth: int) -> list[str | bytes]:
    if name in BINARY:
        key = b"\xa1a" if name == "msgpack" else b"\xb1a"
        found: list[str | bytes] = [
            b"\x91" * depth + b"\xc0",
            b"\x91" * depth,
            (b"\x81" + key) * depth + b"\xc0",
        ]
        found.append((b"\x92\x01") * depth + b"\x01")
        if name == "msgpack":
            found += [b"\x81" * depth, *extensions_in_extensions(depth)]
        return found
    return [
        "[" * depth + "]" * depth,
        "[" * depth,
        '{"a":' * depth + "1" + "}" * depth,
        '{"$escape":' * depth + "{}" + "}" * depth,
        '{"$date":' * depth + "1" + "}" * depth,
        '[{"$type":"x","$value":' * depth + "1" + "}]" * depth,
        "[1," * depth + "1" + "]" * depth,
    ]


def extensions_in_extensions(depth: int) -> list[str | bytes]:
    """Each would be a level of the C stack if it were followed; 2,000 make 20 MB of lengths already."""
    found = []
    for kind in (0x0A, 0x0B, 0x0D, 0x0E):
        packed = b"\xc0"
        for _ in range(min(depth, 2000)):
            packed = struct.pack(">BIB", 0xC9, len(packed), kind) + packed
        found.append(packed)
    return found


@pytest.mark.parametrize("depth", [10, 500, 1_000, 5_000, 100_000])
@pytest.mark.parametrize("name", PARSERS)
def test_depth(name: str, depth: int) -> None:
    for raw in nested(name, depth):
        got = attempt(name, raw)
        assert isinstance(got, Exception) or depth <= 5_000 or name == "msgpack"


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "of", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: {"$date": inner}]
)
def test_depth_of_what_is_sent(name: str, of: Any) -> None:
    value: Any = []
    for _ in range(100_000):
        value = of(value)
    with pytest.raises((RecursionError, ValueError, TypeError)):
        load(name).encoder(value)
    while value:  # freed level by level
        value = value.popitem()[1] if isinstance(value, dict) else value.pop()


# -- size: in a process of its own with little memory, where a crash would be seen and an allocation refused

HOSTILE = """
    import resource, gevent
    from primus_gevent.parsers import load

    def announce(head, size):
        return head + size.to_bytes(4, "big")

    MEGABYTE = 1 << 20
    packed = []
    for size in (MEGABYTE - 6, 2**31 - 1, 2**31, 2**32 - 1):
        for head in (b"\\xc6", b"\\xc9", b"\\xd9", b"\\xdb", b"\\xdd", b"\\xdf"):
            packed += [announce(head, size), announce(head, size) + b"\\x01" * 1000]
            packed.append((announce(head, size) * (MEGABYTE // 5))[:MEGABYTE])
        packed += [announce(b"\\xdd", size) * 1000 + b"\\x01" * (MEGABYTE - 5000)]
    packed += [
        b"\\xdd\\x00\\x0f\\xff\\xfa" + b"\\xc0" * (MEGABYTE - 6),
        b"\\xdd\\x00\\x0f\\xff\\xfa" + b"\\x90" * (MEGABYTE - 6),
        b"\\xdf\\x00\\x07\\xff\\xfd" + b"\\x01\\x01" * (MEGABYTE // 2 - 3),
        announce(b"\\xdf", 90_000) + b"".join(announce(b"\\xce", n) + b"\\0" for n in range(90_000)),
        announce(b"\\xdf", 90_000) + b"".join(announce(b"\\xcf", n) + b"\\0" * 5 for n in range(90_000)),
        b"\\xdc\\xff\\xff" * 1000 + b"\\x01" * MEGABYTE,
        (b"\\xd4\\x0d\\x01" * (MEGABYTE // 3)),
        b"\\xdd\\x00\\x04\\x00\\x00" + b"\\xd4\\x0d\\x01" * (MEGABYTE // 4),
    ]
    texts = [
        "[" * MEGABYTE,
        "{" * MEGABYTE,
        ('{"$date":' * MEGABYTE)[:MEGABYTE],
        "{" + " " * MEGABYTE,
        "{ " * (MEGABYTE // 2),
        '[' + '{"$date":1},' * 80_000 + '1]',
        '[' + '{"$escape":{"$date":1}},' * 40_000 + '1]',
        '{"$binary":"' + "!" * MEGABYTE + '"}',
        '{"$binary":"' + "=" * MEGABYTE + '"}',
        '{"$date":"' + "1" * MEGABYTE + '"}',
        '{"$regexp":"' + "(" * MEGABYTE + '","$flags":"' + "g" * MEGABYTE + '"}',
        '"' + "\\\\" * MEGABYTE,
        '"' + "\\u2028" * MEGABYTE + '"',
        "9" * MEGABYTE,
        "1e" + "9" * MEGABYTE,
        '{"$date":' + "9" * 4000 + "}",
        '{"$date":1e400}',
        "[1000000000]",
        "[1000000000," + "1," * 1000 + "1]",
        "[" + "9" * 4000 + "]",
        "{" + ",".join('"k%d":1' % n for n in range(80_000)) + "}",
        "[1," + "1," * 400_000 + "1]",
        "[500000," + '"a",' * 250_000 + "1]",
    ]

    def attempt(name, raw):
        try:
            load(name).decoder(raw)
        except MemoryError:
            raise
        except Exception:
            pass

    for name in ("json", "ejson", "jsonh", "orjson", "msgpack", "binary"):
        load(name)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    peak = used + (1 << 30)
    resource.setrlimit(resource.RLIMIT_DATA, (peak, peak))

    def everything():
        for name in ("msgpack", "binary"):
            for raw in packed:
                attempt(name, raw)
        for name in ("json", "ejson", "jsonh", "orjson"):
            for raw in texts:
                attempt(name, raw)
        return "survived"

    print(gevent.spawn(everything).get())
    # ru_maxrss would begin with that of the process that has forked
    print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory differ elsewhere")
def test_size() -> None:
    """Messages of a megabyte that announce more, or make many objects, in half a gigabyte."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HOSTILE)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, peak = done.stdout.split()
    assert said == "survived"
    assert int(peak) < 512 << 10  # KiB
