"""What a peer may cost us: lengths, fragments, floods, memory and time."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from primus_gevent.protocols import websocket
from primus_gevent.protocols.websocket import Close, Event, Failure, Ping, WebSocketProtocol
from tests.unit.protocols.wire import build, feed, single_bytes

CONT, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9
TOO_LONG = Failure(1009, "the message is longer than the limit")
TOO_MANY = Failure(1008, "too many fragments")


@contextmanager
def peak_bytes() -> Iterator[Callable[[], int]]:
    """Gives a function that tells how many bytes were held at most since the beginning."""
    tracemalloc.start()
    base = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - base
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("limit", [0, 1, 100, 124, 125, 126, 1000, 65535, 65536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_max_length_is_the_longest_that_passes(limit: int, opcode: int) -> None:
    fits: Event = "x" * limit if opcode == TEXT else b"x" * limit
    for pieces in (lambda data: [data], lambda data: [data[:7], data[7:]]):
        good = WebSocketProtocol(max_length=limit)
        assert feed(good, pieces(build(opcode, b"x" * limit) + build(PING))) == [fits, Ping(b"")]
        bad = WebSocketProtocol(max_length=limit)
        assert feed(bad, pieces(build(opcode, b"x" * (limit + 1)))) == [TOO_LONG]


def test_a_client_has_the_same_limit() -> None:
    assert WebSocketProtocol(client=True, max_length=9).receive(build(TEXT, b"x" * 9, key=None)) == ["x" * 9]
    assert WebSocketProtocol(client=True, max_length=9).receive(build(TEXT, b"x" * 10, key=None)) == [
        TOO_LONG
    ]


def test_max_length_bounds_the_sum_of_fragments() -> None:
    start = build(TEXT, b"x" * 60, fin=False)
    assert WebSocketProtocol(max_length=100).receive(start + build(CONT, b"x" * 40)) == ["x" * 100]
    assert WebSocketProtocol(max_length=100).receive(start + build(CONT, b"x" * 41)[:6]) == [TOO_LONG]
    # Each message is counted anew.
    protocol = WebSocketProtocol(max_length=100)
    assert protocol.receive((start + build(CONT)) * 3) == ["x" * 60] * 3


@pytest.mark.parametrize("announced", [(1 << 20) + 1, 1 << 31, 1 << 32, (1 << 63) - 1])
@pytest.mark.parametrize("head_only", [True, False])
def test_an_announced_length_is_judged_before_anything_is_held(announced: int, head_only: bool) -> None:
    header = build(BINARY, announce=announced)
    data = header[:10] if head_only else header + b"x" * 1000
    with peak_bytes() as peak:
        protocol = WebSocketProtocol()
        assert protocol.receive(data) == [TOO_LONG]
        assert peak() < 20_000
    assert not protocol.partial


def test_an_announced_length_within_the_limit_reserves_nothing() -> None:
    header = build(BINARY, announce=1 << 40)
    with peak_bytes() as peak:
        protocol = WebSocketProtocol(max_length=1 << 41)
        assert protocol.receive(header + b"x" * 1000) == []
        assert peak() < 20_000
    assert protocol.partial


def test_max_fragments_is_the_most_that_passes() -> None:
    def message(fragments: int) -> bytes:
        return (
            build(TEXT, b"a", fin=False) + build(CONT, b"b", fin=False) * (fragments - 2) + build(CONT, b"c")
        )

    protocol = WebSocketProtocol(max_fragments=10)
    assert protocol.receive(message(10) * 2) == ["a" + "b" * 8 + "c"] * 2
    assert protocol.receive(message(11)) == [TOO_MANY]
    assert WebSocketProtocol().receive(message(1024)) == ["a" + "b" * 1022 + "c"]
    assert WebSocketProtocol().receive(message(1025)) == [TOO_MANY]


def test_frames_that_arrive_in_many_pieces_are_not_many_fragments() -> None:
    protocol = WebSocketProtocol(max_fragments=1)
    assert feed(protocol, single_bytes(build(TEXT, b"x" * 1000))) == ["x" * 1000]


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_flood_of_tiny_fragments_ends_soon_and_holds_little(payload: bytes) -> None:
    flood = build(TEXT, fin=False) + build(CONT, payload, fin=False) * 100_000
    protocol = WebSocketProtocol()
    with peak_bytes() as peak:
        assert protocol.receive(flood) == [TOO_MANY]
        assert peak() < 50_000


def test_empty_fragments_hold_nothing_however_many_are_allowed() -> None:
    protocol = WebSocketProtocol(max_fragments=1 << 30)
    piece = build(CONT, fin=False) * 10_000
    protocol.receive(build(TEXT, fin=False))
    with peak_bytes() as peak:
        for _ in range(5):
            assert protocol.receive(piece) == []
        assert peak() < 10_000
    assert protocol.receive(build(CONT)) == [""]


def test_pings_inside_a_message_do_not_count_as_fragments() -> None:
    protocol = WebSocketProtocol(max_fragments=2)
    data = build(TEXT, b"a", fin=False) + build(PING) * 50 + build(CONT, b"b")
    assert protocol.receive(data) == [*[Ping(b"")] * 50, "ab"]


def test_single_bytes_of_a_text_hold_hardly_more_than_the_text() -> None:
    frame = build(TEXT, ("ä" * 20_000).encode())
    protocol = WebSocketProtocol()
    with peak_bytes() as peak:
        for index in range(len(frame) - 1):
            protocol.receive(frame[index : index + 1])
        assert peak() < 3 * len(frame)
    assert protocol.receive(frame[-1:]) == ["ä" * 20_000]


def test_an_idle_connection_holds_no_buffer() -> None:
    protocol = WebSocketProtocol()
    protocol.receive(build(TEXT, b"x" * 100_000)[:-1])
    protocol.receive(build(TEXT, b"x" * 100_000)[-1:])
    # Its own 11 fields and no more: no dictionary, no list, no bytearray.
    assert not hasattr(protocol, "__dict__")
    assert sys.getsizeof(protocol) <= 16 + 16 + 11 * 8
    assert protocol._message is None
    assert protocol._buffer == b""


class Work:
    """Counts what the codec does to bytes: unmasking, looking for bad UTF-8, and keeping them for later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.masked = self.looked_at = 0
        mask, utf_8_decode = websocket.mask, websocket.utf_8_decode

        def counting_mask(data: bytes, key: bytes) -> bytes:
            self.masked += len(data)
            return mask(data, key)

        def counting_decode(data: bytes, *args: Any) -> tuple[str, int]:
            self.looked_at += len(data)
            return utf_8_decode(data, *args)

        monkeypatch.setattr(websocket, "mask", counting_mask)
        monkeypatch.setattr(websocket, "utf_8_decode", counting_decode)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_each_byte_of_a_message_in_pieces_is_touched_once(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Else a megabyte in single bytes would cost a thousand times what it costs in one piece."""
    work = Work(monkeypatch)
    text = "aä€😀" * 20_000
    data = build(TEXT, text.encode())
    protocol = WebSocketProtocol()
    events: list[Event] = []
    kept = 0
    for start in range(0, len(data), size):
        events += protocol.receive(data[start : start + size])
        kept = max(kept, len(protocol._buffer))
    assert events == [text]
    payload_bytes = len(text.encode())
    assert work.masked == payload_bytes
    # A character in two pieces is looked at twice: three bytes for each piece at the very most.
    assert payload_bytes <= work.looked_at <= payload_bytes + 3 * (payload_bytes // size + 1)
    assert kept < 14  # what is put together again each time: nothing but an unfinished header


def test_what_is_kept_of_a_control_frame_is_never_more_than_one() -> None:
    protocol = WebSocketProtocol()
    kept = 0
    for byte in single_bytes(build(PING, b"x" * 125) * 3):
        protocol.receive(byte)
        kept = max(kept, len(protocol._buffer))
    assert kept == len(build(PING, b"x" * 125)) - 1


def test_a_whole_text_frame_is_decoded_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch)
    protocol = WebSocketProtocol()
    assert protocol.receive(build(TEXT, b"x" * 100) + build(TEXT, b"y" * 1000)) == ["x" * 100, "y" * 1000]
    assert work.looked_at == 0
    assert work.masked == 1100


def lines_executed(function: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "unit",
    [
        build(TEXT, b"x"),
        build(BINARY, b"x"),
        build(TEXT, b"x", fin=False) + build(CONT),
        build(PING, b"x"),
        build(TEXT, b"x" * 200),
    ],
    ids=["text", "binary", "fragments", "ping", "long"],
)
def test_the_steps_for_a_batch_grow_with_its_frames(unit: bytes) -> None:
    def steps(frames: int) -> int:
        return lines_executed(lambda: WebSocketProtocol().receive(unit * frames))

    few, many = steps(100), steps(1000)
    assert many < 10 * few


@pytest.mark.parametrize(
    "unit",
    [
        build(TEXT, b"x" * 50),
        build(BINARY, b"x" * 50),
        build(TEXT, b"x", fin=False) + build(CONT),
        build(PING),
    ],
    ids=["text", "binary", "fragments", "ping"],
)
def test_no_byte_of_a_batch_is_sliced_out_more_than_once(
    monkeypatch: pytest.MonkeyPatch, unit: bytes
) -> None:
    """Slicing off the rest after each frame would copy a batch of n frames n / 2 times."""
    copied = 0

    class CountingBytes(bytes):
        def __getitem__(self, item: Any) -> Any:
            nonlocal copied
            found = super().__getitem__(item)
            if isinstance(item, slice):
                copied += len(found)
            return found

    # The codec takes what is exactly `bytes` as it is: so for it, these are.
    monkeypatch.setattr(websocket, "bytes", CountingBytes, raising=False)
    batch = CountingBytes(unit * 1000 + unit[:-1])
    assert len(WebSocketProtocol().receive(batch)) >= 1000
    assert 0 < copied <= len(batch)


def test_a_cut_in_a_batch_keeps_the_last_frame_only() -> None:
    """The rest of a batch is never sliced off for each frame: what is kept is less than one header."""
    protocol = WebSocketProtocol()
    batch = build(TEXT, b"x" * 50) * 1000
    assert len(protocol.receive(batch + build(PING, b"abc")[:-1])) == 1000
    assert protocol._buffer == build(PING, b"abc")[:-1]
    assert protocol.receive(build(PING, b"abc")[-1:] + build(CLOSE)) == [Ping(b"abc"), Close(1005, "")]
