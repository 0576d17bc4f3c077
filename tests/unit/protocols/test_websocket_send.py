from __future__ import annotations

import pytest

from primus_gevent.errors import LocalProtocolError
from primus_gevent.protocols.deflate import DeflateOptions, PerMessageDeflate
from primus_gevent.protocols.websocket import (
    BINARY,
    TEXT,
    Close,
    Event,
    Ping,
    Pong,
    WebSocketProtocol,
    frame,
    prepare_binary,
    prepare_text,
)
from tests.unit.protocols.wire import build

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537]


@pytest.mark.parametrize("size", SIZES)
def test_a_server_sends_bare_frames_of_the_shortest_form(size: int) -> None:
    protocol = WebSocketProtocol()
    data = b"x" * size
    assert protocol.text("x" * size) == prepare_text("x" * size) == build(1, data, key=None)
    assert protocol.binary(data) == prepare_binary(data) == build(2, data, key=None)
    assert frame(data, TEXT) == build(1, data, key=None)
    assert frame(data, BINARY) == build(2, data, key=None)


@pytest.mark.parametrize("size", SIZES)
def test_a_client_masks_each_frame_with_a_key_of_its_own(size: int) -> None:
    protocol = WebSocketProtocol(client=True)
    offset = 2 if size < 126 else 4 if size < 65536 else 10
    keys = set()
    for _ in range(4):
        sent = protocol.text("x" * size)
        key = sent[offset : offset + 4]
        keys.add(key)
        assert sent == build(1, b"x" * size, key=key)
    assert len(keys) > 1


def test_frames_of_the_rfc() -> None:
    """RFC 6455, 5.7."""
    protocol = WebSocketProtocol()
    assert protocol.text("Hello") == bytes.fromhex("810548656c6c6f")
    assert protocol.ping(b"Hello") == bytes.fromhex("890548656c6c6f")
    assert protocol.pong(b"Hello") == bytes.fromhex("8a0548656c6c6f")
    assert protocol.binary(bytes(256)) == bytes.fromhex("827e0100") + bytes(256)
    assert protocol.binary(bytes(65536)) == bytes.fromhex("827f0000000000010000") + bytes(65536)


def test_binary_takes_every_kind_of_bytes() -> None:
    for protocol in (WebSocketProtocol(), WebSocketProtocol(client=True)):
        view = memoryview(b"a.b.c.")[::2]  # not contiguous
        wide = memoryview(b"abcd").cast("H")  # len() counts two items, not four bytes
        other = WebSocketProtocol(client=not protocol.client)
        sent = protocol.binary(bytearray(b"abc")) + protocol.binary(view) + protocol.binary(wide)
        assert other.receive(sent) == [b"abc", b"abc", b"abcd"]
    assert prepare_binary(bytearray(b"abc")) == build(2, b"abc", key=None)


@pytest.mark.parametrize("client", [False, True])
def test_text_with_half_a_surrogate_pair_is_refused(client: bool) -> None:
    with pytest.raises(UnicodeEncodeError):
        WebSocketProtocol(client=client).text("\ud800")
    with pytest.raises(UnicodeEncodeError):
        prepare_text("\ud800")


@pytest.mark.parametrize("client", [False, True])
def test_control_frames_have_125_bytes_at_most(client: bool) -> None:
    protocol = WebSocketProtocol(client=client)
    other = WebSocketProtocol(client=not client)
    sent = (
        protocol.ping(b"x" * 125) + protocol.pong(bytearray(b"y" * 125)) + protocol.ping() + protocol.pong()
    )
    events: list[Event] = [Ping(b"x" * 125), Pong(b"y" * 125), Ping(b""), Pong(b"")]
    assert other.receive(sent) == events
    for method in (protocol.ping, protocol.pong):
        with pytest.raises(LocalProtocolError, match="125"):
            method(b"x" * 126)


@pytest.mark.parametrize("client", [False, True])
def test_every_close_code_that_may_be_sent(client: bool) -> None:
    lawful = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    for code in range(-1, 5001):
        protocol = WebSocketProtocol(client=client)
        if code in lawful:
            sent = protocol.close(code, "why")
            assert protocol.close_sent
            assert WebSocketProtocol(client=not client).receive(sent) == [Close(code, "why")]
        else:
            with pytest.raises(LocalProtocolError, match=str(code)):
                protocol.close(code)
            assert not protocol.close_sent


def test_close_without_a_code() -> None:
    protocol = WebSocketProtocol()
    assert protocol.close() == b"\x88\x00"
    assert protocol.close_sent
    with pytest.raises(LocalProtocolError, match="needs a close code"):
        WebSocketProtocol().close(None, "why")


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("ä" * 100, "ä" * 61),
        ("x" + "ä" * 100, "x" + "ä" * 61),
        ("€" * 100, "€" * 41),
        ("😀" * 100, "😀" * 30),
        ("xxx" + "😀" * 100, "xxx" + "😀" * 30),
        ("\ud800", "?"),
    ],
)
def test_a_close_reason_is_cut_between_characters(reason: str, sent: str) -> None:
    assert WebSocketProtocol(client=True).receive(WebSocketProtocol().close(1000, reason)) == [
        Close(1000, sent)
    ]


def test_messages_below_the_threshold_are_not_compressed() -> None:
    deflate = PerMessageDeflate(options=DeflateOptions(threshold=100))
    protocol = WebSocketProtocol(deflate=deflate)
    assert protocol.text("x" * 99) == build(1, b"x" * 99, key=None)
    assert protocol.binary(b"x" * 99) == build(2, b"x" * 99, key=None)
    for sent, opcode in ((protocol.text("x" * 100), 0x41), (protocol.binary(b"x" * 100), 0x42)):
        assert sent[0] & 0x7F == opcode
        assert len(sent) < 50
    assert protocol.ping(b"x" * 125) == build(9, b"x" * 125, key=None)
