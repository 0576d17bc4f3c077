"""Tables of bytes and the events they make. Each row is fed whole, byte by byte, and cut in the middle."""

from __future__ import annotations

import pytest

from primus_gevent.protocols.websocket import Close, Event, Failure, Ping, Pong, WebSocketProtocol
from tests.unit.protocols.wire import build, cut_at, feed, single_bytes

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

LONG = "ä€😀x" * 40  # 400 bytes: more than one byte of length, and characters of every width

LAWFUL: list[tuple[str, bytes, list[Event]]] = [
    # RFC 6455, 5.7
    ("the RFC's masked hello", bytes.fromhex("818537fa213d7f9f4d5158"), ["Hello"]),
    ("nothing", b"", []),
    ("empty text", build(TEXT), [""]),
    ("empty binary", build(BINARY), [b""]),
    ("binary", build(BINARY, b"\x00\xff\x80"), [b"\x00\xff\x80"]),
    ("every width of UTF-8", build(TEXT, LONG.encode()), [LONG]),
    ("125 bytes", build(TEXT, b"a" * 125), ["a" * 125]),
    ("126 bytes", build(TEXT, b"a" * 126), ["a" * 126]),
    ("65535 bytes", build(BINARY, b"a" * 65535), [b"a" * 65535]),
    ("65536 bytes", build(BINARY, b"a" * 65536), [b"a" * 65536]),
    (
        "many in one piece",
        build(TEXT, b"a") * 3 + build(BINARY, b"b") + build(TEXT, b"c"),
        [*"aaa", b"b", "c"],
    ),
    ("ping", build(PING, b"x" * 125), [Ping(b"x" * 125)]),
    ("pong", build(PONG), [Pong(b"")]),
    ("fragments", build(TEXT, b"He", fin=False) + build(CONT, b"llo"), ["Hello"]),
    ("binary fragments", build(BINARY, b"a", fin=False) + build(CONT, b"b"), [b"ab"]),
    (
        "a character over three fragments",
        build(TEXT, b"\xf0\x9f", fin=False) + build(CONT, b"\x98", fin=False) + build(CONT, b"\x80"),
        ["😀"],
    ),
    ("empty fragments", build(TEXT, fin=False) + build(CONT, fin=False) * 5 + build(CONT), [""]),
    (
        "control frames between fragments",
        build(TEXT, b"a", fin=False)
        + build(PING, b"1")
        + build(CONT, b"b", fin=False)
        + build(PONG)
        + build(CONT),
        [Ping(b"1"), Pong(b""), "ab"],
    ),
    (
        "a message after a fragmented one",
        build(TEXT, b"a", fin=False) + build(CONT) + build(TEXT, b"b"),
        ["a", "b"],
    ),
    ("close without code", build(CLOSE) + b"ignored", [Close(1005, "")]),
    ("close", build(CLOSE, b"\x03\xe8bye \xc3\xa4") + build(TEXT, b"ignored"), [Close(1000, "bye ä")]),
    ("close between fragments", build(TEXT, b"a", fin=False) + build(CLOSE), [Close(1005, "")]),
    ("a key of zeros", build(TEXT, b"abc", key=b"\0\0\0\0"), ["abc"]),
    ("a frame that is not whole", build(TEXT, b"abc")[:-1], []),
    ("a header that is not whole", build(TEXT, b"abc") + b"\x81", ["abc"]),
]

RESERVED = Failure(1002, "reserved bits are set")
NOT_SHORTEST = Failure(1002, "a length is not in its shortest form")
BAD_UTF8 = Failure(1007, "a text message is not valid UTF-8")
TOO_LONG = Failure(1009, "the message is longer than the limit")

UNLAWFUL: list[tuple[str, bytes, Event]] = [
    ("RSV1 without an extension", build(TEXT, b"a", rsv=4), RESERVED),
    ("RSV2", build(TEXT, b"a", rsv=2), RESERVED),
    ("RSV3", build(BINARY, b"a", rsv=1), RESERVED),
    ("RSV1 on a ping", build(PING, rsv=4), RESERVED),
    ("not masked", build(TEXT, b"abc", key=None), Failure(1002, "a frame is not masked")),
    (
        "a long frame that is not masked",
        build(TEXT, b"a" * 300, key=None),
        Failure(1002, "a frame is not masked"),
    ),
    ("a close that is not masked", build(CLOSE, key=None), Failure(1002, "a frame is not masked")),
    ("a fragmented ping", build(PING, fin=False), Failure(1002, "a control frame is fragmented")),
    ("a fragmented close", build(CLOSE, fin=False), Failure(1002, "a control frame is fragmented")),
    ("126 bytes of ping", build(PING, b"a" * 126), Failure(1002, "a control frame is longer than 125 bytes")),
    (
        "a long form for a pong",
        build(PONG, b"a", form=64),
        Failure(1002, "a control frame is longer than 125 bytes"),
    ),
    ("0 in 16 bits", build(TEXT, form=16), NOT_SHORTEST),
    ("125 in 16 bits", build(TEXT, b"a" * 125, form=16), NOT_SHORTEST),
    ("125 in 64 bits", build(TEXT, b"a" * 125, form=64), NOT_SHORTEST),
    ("65535 in 64 bits", build(TEXT, b"a" * 65535, form=64), NOT_SHORTEST),
    ("2^63", build(TEXT, announce=1 << 63), Failure(1002, "the highest bit of a 64-bit length is set")),
    (
        "2^64 - 1",
        build(TEXT, announce=(1 << 64) - 1),
        Failure(1002, "the highest bit of a 64-bit length is set"),
    ),
    ("2^63 - 1", build(TEXT, announce=(1 << 63) - 1), TOO_LONG),
    ("2^31", build(BINARY, announce=1 << 31), TOO_LONG),
    ("1 MiB and a byte", build(BINARY, announce=(1 << 20) + 1), TOO_LONG),
    ("nothing to continue", build(CONT, b"a"), Failure(1002, "no message to continue")),
    ("nothing left to continue", build(TEXT, b"a") + build(CONT), Failure(1002, "no message to continue")),
    (
        "a message inside another",
        build(TEXT, b"a", fin=False) + build(BINARY, b"b"),
        Failure(1002, "a message begins inside another"),
    ),
    (
        "the same with the frame of the quick loop",
        build(TEXT, b"a", fin=False) + build(TEXT, b"b"),
        Failure(1002, "a message begins inside another"),
    ),
    ("half a close code", build(CLOSE, b"\x03"), Failure(1002, "a close frame has half a code")),
    (
        "a close reason that is not UTF-8",
        build(CLOSE, b"\x03\xe8\xff"),
        Failure(1007, "a close reason is not valid UTF-8"),
    ),
    ("bad UTF-8", build(TEXT, b"\xff"), BAD_UTF8),
    ("an overlong slash", build(TEXT, b"\xc0\xaf"), BAD_UTF8),
    ("a surrogate", build(TEXT, b"\xed\xa0\x80"), BAD_UTF8),
    ("beyond U+10FFFF", build(TEXT, b"\xf4\x90\x80\x80"), BAD_UTF8),
    ("half a character", build(TEXT, b"a\xc3"), BAD_UTF8),
    ("half a character in a long frame", build(TEXT, b"a" * 300 + b"\xc3"), BAD_UTF8),
    ("half a character after fragments", build(TEXT, b"\xc3", fin=False) + build(CONT), BAD_UTF8),
    (
        "a character that its second fragment does not continue",
        build(TEXT, b"\xe2\x82", fin=False) + build(CONT, b"A", fin=False),
        BAD_UTF8,
    ),
    *(
        (f"opcode {opcode}", build(opcode), Failure(1002, f"opcode {opcode} is reserved"))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    *(
        (f"opcode {opcode} inside a message", build(TEXT, fin=False) + build(opcode), Failure(1002, reason))
        for opcode, reason in ((3, "opcode 3 is reserved"), (11, "opcode 11 is reserved"))
    ),
]


def ways_to_cut(data: bytes) -> list[list[bytes]]:
    ways = [
        [data],
        cut_at(data, [len(data) // 2]),
        cut_at(data, [2, 4, 6, 8]),
        cut_at(data, [1, len(data) - 1]),
    ]
    if len(data) < 2000:
        ways.append(single_bytes(data))
    return ways


@pytest.mark.parametrize(("data", "events"), [row[1:] for row in LAWFUL], ids=[row[0] for row in LAWFUL])
def test_lawful(data: bytes, events: list[Event]) -> None:
    for pieces in ways_to_cut(data):
        assert feed(WebSocketProtocol(), pieces) == events


@pytest.mark.parametrize(("data", "failure"), [row[1:] for row in UNLAWFUL], ids=[row[0] for row in UNLAWFUL])
def test_unlawful(data: bytes, failure: Event) -> None:
    before = build(TEXT, b"before") + build(PING)
    after = build(TEXT, b"after")
    for pieces in ways_to_cut(before + data + after):
        protocol = WebSocketProtocol()
        events = feed(protocol, pieces)
        assert events[:2] == ["before", Ping(b"")]
        assert events[-1] == failure
        # A whole message may stand before the failure, but nothing after it.
        assert all(isinstance(event, str) and event != "after" for event in events[2:-1])
        assert not protocol.partial
        assert protocol.receive(after) == []
        assert protocol.ignored_bytes >= len(after)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
def test_a_client_takes_no_masked_frame(opcode: int) -> None:
    assert WebSocketProtocol(client=True).receive(build(opcode, b"abc")) == [
        Failure(1002, "a frame is masked")
    ]


@pytest.mark.parametrize(("data", "events"), [row[1:] for row in LAWFUL[4:10]])
def test_a_client_reads_what_is_not_masked(data: bytes, events: list[Event]) -> None:
    (event,) = events
    bare = build(TEXT, event.encode(), key=None) if isinstance(event, str) else build(BINARY, event, key=None)
    for pieces in ways_to_cut(bare):
        assert feed(WebSocketProtocol(client=True), pieces) == events


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_will_do_and_is_not_kept(kind: type) -> None:
    protocol = WebSocketProtocol()
    buffer = bytearray(build(BINARY, b"abcdef") * 2)
    first = protocol.receive(kind(buffer[:9]))
    second = protocol.receive(kind(buffer[9:]))
    assert [*first, *second] == [b"abcdef"] * 2
    assert all(type(event) is bytes for event in [*first, *second])
    reused = bytearray(build(BINARY, b"abcdef"))
    assert protocol.receive(memoryview(reused)[:8]) == []
    reused[:] = bytes(len(reused))  # as a server that reads into one buffer does
    assert protocol.receive(build(BINARY, b"abcdef")[8:]) == [b"abcdef"]


def test_messages_are_exactly_str_and_bytes() -> None:
    protocol = WebSocketProtocol()
    data = build(TEXT, b"a") + build(BINARY, b"b") + build(BINARY, b"c", fin=False) + build(CONT, b"d")
    assert [type(event) for event in protocol.receive(data)] == [str, bytes, bytes]


def test_partial_tells_whether_something_is_unfinished() -> None:
    protocol = WebSocketProtocol()
    seen = []
    for piece in (
        b"",
        build(TEXT)[:1],
        build(TEXT)[1:],
        build(TEXT, b"a", fin=False),
        build(PING),
        build(CONT),
    ):
        protocol.receive(piece)
        seen.append(protocol.partial)
    assert seen == [False, True, False, True, True, False]
    protocol.receive(build(BINARY, b"abc")[:-1])
    assert protocol.partial


def test_bytes_after_the_close_frame_are_counted_and_ignored() -> None:
    protocol = WebSocketProtocol()
    assert protocol.receive(build(CLOSE) + b"12345") == [Close(1005, "")]
    assert protocol.receive(build(TEXT, b"abc")) == []
    assert protocol.ignored_bytes == 5 + len(build(TEXT, b"abc"))
    assert protocol.close_received
    assert not protocol.partial


@pytest.mark.parametrize("client", [False, True])
def test_every_close_code_that_may_be_received(client: bool) -> None:
    lawful = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    key = None if client else b"abcd"
    for code in range(5001):
        (event,) = WebSocketProtocol(client=client).receive(build(CLOSE, code.to_bytes(2, "big"), key=key))
        if code in lawful:
            assert event == Close(code, "")
        else:
            assert event == Failure(1002, f"close code {code} may not be sent")
    (event,) = WebSocketProtocol(client=client).receive(build(CLOSE, b"\xff\xff", key=key))
    assert isinstance(event, Failure)


def test_text_fails_at_its_first_bad_byte_though_the_frame_goes_on() -> None:
    """Autobahn 6.4: nothing is gained by waiting for the end of what is broken already."""
    protocol = WebSocketProtocol()
    frame = build(TEXT, b"\xce\xba\xe1\xbd\xb9" + b"\xf4\x90" + b"x" * 500)
    assert protocol.receive(frame[: 8 + 5]) == []
    assert protocol.receive(frame[8 + 5 : 8 + 6]) == []  # F4 may still become a character
    assert protocol.receive(frame[8 + 6 : 8 + 7]) == [BAD_UTF8]  # but not before 90
    protocol = WebSocketProtocol()
    assert protocol.receive(build(TEXT, b"abc", fin=False)) == []
    assert protocol.receive(build(CONT, b"\x80", fin=False)) == [BAD_UTF8]


def test_repr_shows_the_state() -> None:
    protocol = WebSocketProtocol()
    assert repr(protocol) == "<WebSocketProtocol server>"
    protocol.receive(build(TEXT, b"a", fin=False))
    protocol.close()
    assert repr(protocol) == "<WebSocketProtocol server, partial, close sent>"
    protocol.receive(build(CLOSE))
    assert repr(protocol) == "<WebSocketProtocol server, close sent, close received>"
    failed = WebSocketProtocol(client=True)
    failed.receive(b"\xff\xff")
    assert repr(failed) == "<WebSocketProtocol client, failed>"
