"""The reading side of a connection, over a script in place of a socket."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.hosts.reading import Input, Limit, Limits
from tests.unit.hosts.requests import BAD, GOOD, Bad, Good, chunked, get, post, table
from tests.unit.hosts.scripted import ScriptedReader, body_of, no_limit, outcome
from tests.unit.hub import eventually


def one_by_one(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


# -- heads


@pytest.mark.parametrize("row", table(GOOD))
def test_good_request(row: Good) -> None:
    seen = outcome([row.raw])
    assert len(seen) == 3
    assert seen[1] == row.body
    assert seen[2] == ("end" if row.keeps_alive else "closed")


@pytest.mark.parametrize("row", table(BAD))
def test_bad_request(row: Bad) -> None:
    if row.in_body:
        assert outcome([row.raw])[1:] == ["broken body"]
    else:
        assert outcome([row.raw]) == ["refused"]


@pytest.mark.parametrize("row", [*table(GOOD), *table(BAD)])  # type: ignore[list-item]
def test_cutting_changes_nothing(row: Good | Bad) -> None:
    if len(row.raw) < 10_000:
        assert outcome(one_by_one(row.raw)) == outcome([row.raw])
    for size in (7, 4096):
        pieces = [row.raw[index : index + size] for index in range(0, len(row.raw), size)]
        assert outcome(pieces) == outcome([row.raw])


@pytest.mark.parametrize("row", table({name: row for name, row in GOOD.items() if row.keeps_alive}))
def test_two_requests_in_one_piece(row: Good) -> None:
    once = outcome([row.raw])[:2]
    assert outcome([row.raw * 2]) == [*once, *once, "end"]
    assert outcome(one_by_one(row.raw * 2) if len(row.raw) < 5000 else [row.raw * 2])[:4] == [*once, *once]


@pytest.mark.parametrize("row", table(GOOD))
def test_client_leaves_in_the_middle(row: Good) -> None:
    for size in range(1, min(len(row.raw), 500)):
        assert outcome([row.raw[:size]])[-1] in ("end", "cut off", "closed")


@pytest.mark.parametrize(
    "raw",
    [b"GET /" + b"x" * 8300, b"GET / HTTP/1.1\nHost: x\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 11_000],
)
def test_bad_request_that_does_not_end(raw: bytes) -> None:
    """It is refused before the end of file, and so not only when the client's time is over."""
    assert outcome([raw]) == ["refused"]


def test_head_at_the_limit() -> None:
    room = 65536 - len(get(b"X: "))
    assert outcome([get(b"X: " + b"y" * (room + 4))])[-1] == "end"
    assert outcome([get(b"X: " + b"y" * (room + 5))]) == ["refused"]
    assert outcome(one_by_one(get(b"X: " + b"y" * 9000)))[-1] == "end"


# -- bodies


CASES: list[Any] = [
    pytest.param({"length": 11}, b"ab\ncd\n\nefgh", id="length"),
    pytest.param(
        {"chunked": True}, b"1\r\na\r\n3\r\nb\nc\r\n4\r\nd\n\ne\r\n3\r\nfgh\r\n0\r\n\r\n", id="chunks"
    ),
]
WHOLE = b"ab\ncd\n\nefgh"


@pytest.mark.parametrize("cut", [1, 2, 3, 1000])
@pytest.mark.parametrize(("framing", "raw"), CASES)
class TestBody:
    def body(self, framing: Any, raw: bytes, cut: int) -> Input:
        raw += b"next"
        return body_of(*[raw[index : index + cut] for index in range(0, len(raw), cut)], **framing)

    def test_read(self, framing: Any, raw: bytes, cut: int) -> None:
        for arguments in ((), (-1,), (None,), (11,), (1000,)):
            body = self.body(framing, raw, cut)
            assert body.read(*arguments) == WHOLE
            assert body.read() == body.read(5) == body.readline() == b""
            assert body.finished
            assert body.rfile.peek()[:1] == b"n"

    def test_read_in_parts(self, framing: Any, raw: bytes, cut: int) -> None:
        for size in (1, 2, 5):
            body = self.body(framing, raw, cut)
            parts = list(iter(lambda body=body, size=size: body.read(size), b""))  # type: ignore[misc]
            assert b"".join(parts) == WHOLE
            assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)

    def test_read_nothing(self, framing: Any, raw: bytes, cut: int) -> None:
        body = self.body(framing, raw, cut)
        assert body.read(0) == body.readline(0) == b""
        assert body.read() == WHOLE

    def test_lines(self, framing: Any, raw: bytes, cut: int) -> None:
        lines = [b"ab\n", b"cd\n", b"\n", b"efgh"]
        assert list(self.body(framing, raw, cut)) == lines
        assert self.body(framing, raw, cut).readlines() == lines
        assert self.body(framing, raw, cut).readlines(4) == lines[:2]
        assert self.body(framing, raw, cut).readlines(None) == lines
        body = self.body(framing, raw, cut)
        assert [body.readline(2), body.readline(2), body.readline(-1)] == [b"ab", b"\n", b"cd\n"]

    def test_discard(self, framing: Any, raw: bytes, cut: int) -> None:
        body = self.body(framing, raw, cut)
        assert body.read(3) == b"ab\n"
        assert body.discard(1000)
        assert body.rfile.peek()[:1] == b"n"

    def test_discard_has_a_limit(self, framing: Any, raw: bytes, cut: int) -> None:
        assert not self.body(framing, raw, cut).discard(2) or cut > 2

    def test_client_leaves(self, framing: Any, raw: bytes, cut: int) -> None:
        for size in range(len(raw)):
            body = body_of(raw[:size], **framing)
            with pytest.raises(ConnectionAbortedError) as caught:
                body.read()
            assert body.error is caught.value
            with pytest.raises(ConnectionAbortedError):
                body.read(1)


def test_body_that_is_longer_than_a_read() -> None:
    assert body_of(b"x" * 200_000, length=200_000).read() == b"x" * 200_000


def test_continue_is_said_before_the_first_wait() -> None:
    said: list[str] = []
    body = Input(ScriptedReader([b"ab"]), 2, False, lambda: said.append("continue"))
    assert said == []
    assert body.read(1) == b"a"
    assert body.read(1) == b"b"
    assert said == ["continue"]


def test_continue_is_not_said_to_who_did_not_wait() -> None:
    reader = ScriptedReader([])
    reader.add(b"ab")
    assert Input(reader, 2, False, lambda: pytest.fail("nobody waits for it")).read() == b"ab"


def test_what_is_not_worth_reading() -> None:
    assert not body_of(length=5).beyond(5)
    assert body_of(length=6).beyond(5)
    assert not body_of(chunked=True).beyond(5)
    waits = Input(ScriptedReader([]), 5, False, lambda: None)
    assert waits.beyond(5)  # its client may never send it
    broken = body_of(b"x\r\n", chunked=True)
    with pytest.raises(RemoteProtocolError):
        broken.read()
    assert broken.beyond(5)


def test_where_code_that_knows_pywsgi_looks() -> None:
    reader = ScriptedReader([b"early"])
    body = Input(reader, 0, False, None)
    assert body.rfile is body.raw is reader
    assert reader.raw._sock.recv(2) == b"ea"
    assert reader.peek() == reader.peek() == b"rly"
    reader.close()
    assert reader.closed


# -- limits


class Late:
    """A reader, for a `Limit`."""

    def __init__(self) -> None:
        self.expired: list[float] = []

    def expire(self) -> None:
        self.expired.append(time.monotonic())


def test_limit() -> None:
    limit = Limit(gevent.get_hub().loop, 0.05)
    first, second, third = Late(), Late(), Late()
    started = time.monotonic()
    limit.start(first)  # type: ignore[arg-type]
    limit.start(second)  # type: ignore[arg-type]
    limit.stop(first)  # type: ignore[arg-type]
    gevent.sleep(0.02)
    limit.start(third)  # type: ignore[arg-type]
    eventually(lambda: third.expired)
    assert not first.expired
    assert len(second.expired) == len(third.expired) == 1
    assert second.expired[0] - started >= 0.05
    assert third.expired[0] - started >= 0.07


def test_limit_that_starts_again() -> None:
    """The timer is that of the first start, which was called off."""
    limit = Limit(gevent.get_hub().loop, 0.05)
    late = Late()
    limit.start(late)  # type: ignore[arg-type]
    gevent.sleep(0.03)
    limit.stop(late)  # type: ignore[arg-type]
    started = time.monotonic()
    limit.start(late)  # type: ignore[arg-type]
    eventually(lambda: late.expired)
    assert late.expired[0] - started >= 0.05


def test_no_limit() -> None:
    limit = no_limit()
    limit.start(Late())  # type: ignore[arg-type]
    assert "0 readers" in repr(limit)


def test_limits_by_their_seconds() -> None:
    limits = Limits(gevent.get_hub().loop)
    assert limits[1.0] is limits[1.0]
    assert limits[1.0] is not limits[2.0]


def test_repr() -> None:
    reader = ScriptedReader([])
    reader.add(b"abc")
    assert repr(reader).startswith("<Reader open, 3 bytes of")
    assert outcome([post(), chunked(b"0\r\n\r\n")])[-1] == "end"
