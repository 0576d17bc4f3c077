"""Any bytes, however they are cut: the same requests, the same bodies, the same end. Never another exception.

And what is read as one request is one: written out again from what was read, it is read as the same.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.hosts.requests import BAD, GOOD
from tests.unit.hosts.scripted import outcome

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))

ROWS = [row.raw for row in (*GOOD.values(), *BAD.values()) if len(row.raw) < 2000]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b";",
    b",",
    b"0",
    b"5",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: x\r\n",
    b"GET / HTTP/1.1\r\n",
    b"0\r\n\r\n",
    b"\xa0",
    b"\xff",
]

raw_requests = st.lists(st.sampled_from(ROWS), min_size=1, max_size=3).map(b"".join)


@st.composite
def broken_requests(draw: st.DrawFn) -> bytes:
    """Good ones and bad ones, with something put in, taken out, or put in another place."""
    data = draw(raw_requests)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 8)))
        data = data[:start] + draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + data[end:]
    return data


def cut(data: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(8)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=200) | broken_requests(), st.integers(0, 1 << 32))
def test_cutting_changes_nothing(data: bytes, seed: int) -> None:
    whole = outcome([data])
    assert outcome([data[index : index + 1] for index in range(len(data))]) == whole
    assert outcome(cut(data, seed)) == whole


@settings(max_examples=EXAMPLES)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_pieces_of_requests(data: bytes) -> None:
    assert outcome([data[index : index + 1] for index in range(len(data))]) == outcome([data])


@settings(max_examples=EXAMPLES)
@given(broken_requests())
def test_nobody_reads_it_in_another_way(data: bytes) -> None:
    """A request that was accepted says one thing, also in the spelling that leaves no choice."""
    seen = outcome([data])
    end = seen.pop()
    again = b""
    for (method, target, host, environ, _keeps_alive), body in zip(seen[::2], seen[1::2], strict=False):
        if environ["SERVER_PROTOCOL"] == "HTTP/1.0" and "HTTP_TRANSFER_ENCODING" in environ:
            pytest.fail("chunks in HTTP/1.0")
        lines = [f"{method} {target} {environ['SERVER_PROTOCOL']}"]
        for key, value in environ.items():
            if key == "HTTP_TRANSFER_ENCODING":
                lines.append(f"Content-Length: {len(body)}")
            elif key.startswith(("HTTP_", "CONTENT_")):
                lines.append(f"{key.removeprefix('HTTP_').replace('_', '-')}: {value}")
        assert host is None or target.lower().startswith("http")
        again += "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    second = outcome([again])
    assert second[1:-1:2] == seen[1 : len(second) - 1 : 2]
    assert [request[:3] for request in second[:-1:2]] == [
        request[:3] for request in seen[: len(second) - 1 : 2]
    ]
    if end in ("end", "closed"):
        assert second[-1] == end
