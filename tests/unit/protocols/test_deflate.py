from __future__ import annotations

import itertools
import random
import tracemalloc
import zlib

import pytest

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols import deflate
from primus_gevent.protocols.deflate import DeflateOptions, PerMessageDeflate, accept, negotiate, offer
from primus_gevent.protocols.handshake import parse_extensions
from primus_gevent.protocols.websocket import Event, Failure, Ping, WebSocketProtocol
from tests.unit.protocols.wire import build, cut_at, feed, single_bytes

CONT, TEXT, BINARY, PING = 0, 1, 2, 9
RSV1 = 4
EVERYTHING = DeflateOptions(threshold=0)
LIMIT = 1 << 20


def raw_deflate(data: bytes, bits: int = 15, *, final: bool = False) -> bytes:
    compressor = zlib.compressobj(wbits=-bits)
    if final:
        return compressor.compress(data) + compressor.flush()
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def server(**limits: int) -> WebSocketProtocol:
    return WebSocketProtocol(deflate=PerMessageDeflate(), **limits)


def parameters(header: str) -> deflate.Parameters:
    ((name, found),) = parse_extensions(header)
    assert name == deflate.EXTENSION
    return found


# --- the examples of RFC 7692, 7.2.3 ---


def test_examples_of_the_rfc() -> None:
    protocol = server()
    assert protocol.receive(build(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=RSV1)) == ["Hello"]
    # 7.2.3.2: the same message again, by reference to the first
    assert protocol.receive(build(TEXT, bytes.fromhex("f200110000"), rsv=RSV1)) == ["Hello"]
    # 7.2.3.1: in two fragments, of which the first alone has RSV1
    fragments = build(TEXT, bytes.fromhex("f248cd"), rsv=RSV1, fin=False) + build(
        CONT, bytes.fromhex("c9c90700")
    )
    for pieces in ([fragments], single_bytes(fragments)):
        assert feed(server(), pieces) == ["Hello"]
    # 7.2.3.3: a block that is not compressed
    assert server().receive(build(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=RSV1)) == ["Hello"]
    # 7.2.3.4: a final block
    assert server().receive(build(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=RSV1)) == ["Hello"]
    # 7.2.3.5: two blocks
    assert server().receive(build(TEXT, bytes.fromhex("f248050000 00ffffcac9c90700"), rsv=RSV1)) == ["Hello"]
    # 7.2.3.6: nothing
    assert server().receive(build(TEXT, b"\x00", rsv=RSV1)) == [""]


def test_we_compress_as_the_rfc_does() -> None:
    sender = PerMessageDeflate()
    assert sender.compress(b"Hello") == bytes.fromhex("f248cdc9c90700")
    assert sender.compress(b"Hello") == bytes.fromhex("f200110000")
    alone = PerMessageDeflate(server_no_context_takeover=True)
    assert alone.compress(b"Hello") == alone.compress(b"Hello") == bytes.fromhex("f248cdc9c90700")


@pytest.mark.parametrize("takeover", [True, False])
def test_empty_messages_any_number_of_times(takeover: bool) -> None:
    sender = PerMessageDeflate(server_no_context_takeover=not takeover)
    receiver = PerMessageDeflate(client=True, server_no_context_takeover=not takeover)
    for data in (b"", b"", b"a", b"", b"", b"b"):
        wire = sender.compress(data)
        assert wire
        assert receiver.decompress(wire, LIMIT) == data


# --- both roles together ---

COMBINATIONS = list(
    itertools.product((False, True), (False, True), (None, *range(9, 16)), (None, *range(9, 16)))
)


def traffic(seed: int) -> list[str | bytes]:
    """Messages that repeat themselves from afar, so that a window too large on one side would show."""
    source = random.Random(seed)
    block = source.randbytes(700)
    return [
        "",
        "héllo €" * 50,
        block,
        source.randbytes(1500),
        block,
        b"",
        "x" * 3000,
        block + source.randbytes(40_000) + block,
        "héllo €" * 50,
    ]


@pytest.mark.parametrize("group", range(8))
def test_both_roles_understand_each_other_with_all_parameters(group: int) -> None:
    for number, combination in list(enumerate(COMBINATIONS))[group::8]:
        server_alone, client_alone, server_bits, client_bits = combination
        offered = offer(
            server_no_context_takeover=server_alone,
            client_no_context_takeover=client_alone,
            server_max_window_bits=server_bits,
            client_max_window_bits=client_bits,
        )
        agreed = negotiate([parameters(offered)], EVERYTHING)
        assert agreed is not None
        streams, answer = agreed
        client_streams = accept(parameters(answer), parameters(offered), EVERYTHING)
        assert client_streams is not None
        for ours, theirs in ((streams, client_streams), (client_streams, streams)):
            assert ours.send_window_bits == theirs.receive_window_bits
            assert ours.send_takeover == theirs.receive_takeover
        assert streams.send_window_bits == (server_bits or 15)
        assert streams.receive_window_bits == (client_bits or 15)
        assert (streams.send_takeover, streams.receive_takeover) == (not server_alone, not client_alone)

        a, b = WebSocketProtocol(deflate=streams), WebSocketProtocol(client=True, deflate=client_streams)
        messages = traffic(number)
        for sender, receiver in ((a, b), (b, a)):
            wire = b""
            for message in messages:
                wire += sender.text(message) if isinstance(message, str) else sender.binary(message)
                wire += sender.ping(b"between")
            places = random.Random(number).sample(range(len(wire)), 20)
            expected: list[Event] = []
            for message in messages:
                expected += [message, Ping(b"between")]
            assert feed(receiver, cut_at(wire, places)) == expected


def test_compressed_and_plain_messages_mix() -> None:
    protocol = server()
    data = (
        build(TEXT, raw_deflate(b"abc"), rsv=RSV1)
        + build(TEXT, b"def")
        + build(BINARY, raw_deflate(b"\xff"), rsv=RSV1)
    )
    for pieces in ([data], single_bytes(data)):
        assert feed(
            WebSocketProtocol(deflate=PerMessageDeflate(client_no_context_takeover=True)), pieces
        ) == [
            "abc",
            "def",
            b"\xff",
        ]
    assert protocol.receive(build(TEXT, b"plain")) == ["plain"]


def test_without_takeover_nothing_is_kept_between_messages() -> None:
    alone = PerMessageDeflate(server_no_context_takeover=True, client_no_context_takeover=True)
    alone.decompress(raw_deflate(b"x" * 1000), LIMIT)
    alone.compress(b"x" * 1000)
    assert alone._compressor is None
    assert alone._decompressor is None
    kept = PerMessageDeflate()
    assert (kept._compressor, kept._decompressor) == (None, None)  # not before the first message
    kept.decompress(raw_deflate(b"x" * 1000), LIMIT)
    kept.compress(b"x" * 1000)
    assert kept._compressor is not None
    assert kept._decompressor is not None


def test_a_window_of_256_bytes_is_read_but_not_sent() -> None:
    # zlib cannot write with 8 bits; a peer that says 8 may really use 9, as old zlibs did.
    streams = PerMessageDeflate(client_max_window_bits=8)
    # (zlib itself goes back 250 bytes at most with 9 bits, so 10 stand for a peer that uses all of 9.)
    peer = PerMessageDeflate(client=True, client_max_window_bits=10)
    first, second = random.Random(8).randbytes(300), random.Random(9).randbytes(150)
    # The second message refers to the first one's beginning, 450 bytes back.
    for message in (first + second, first + second):
        assert streams.decompress(peer.compress(message), LIMIT) == message
    with pytest.raises(ValueError, match="8 window bits"):
        PerMessageDeflate(server_max_window_bits=8)
    with pytest.raises(ValueError, match="8 window bits"):
        PerMessageDeflate(client=True, client_max_window_bits=8)


# --- what is not lawful ---


def test_reserved_bits_stay_reserved_where_compression_has_no_say() -> None:
    reserved = Failure(1002, "reserved bits are set")
    assert server().receive(build(PING, rsv=RSV1)) == [reserved]
    assert server().receive(build(TEXT, b"a", fin=False) + build(CONT, b"b", rsv=RSV1)) == [reserved]
    assert server().receive(build(TEXT, b"a", rsv=RSV1 | 2)) == [reserved]
    assert server().receive(build(TEXT, b"a", rsv=1)) == [reserved]


@pytest.mark.parametrize(
    ("payload", "failure"),
    [
        (b"\xff\xff\xff\xff", Failure(1007, "the compressed message is not valid deflate")),
        (raw_deflate(b"\xff\xfe"), Failure(1007, "a text message is not valid UTF-8")),
        (
            raw_deflate(b"a", final=True) + raw_deflate(b"b", final=True),
            Failure(1007, "more than one final block in a compressed message"),
        ),
        (
            raw_deflate(b"a", final=True) + b"\xff\xff",
            Failure(1007, "the compressed message is not valid deflate"),
        ),
    ],
)
def test_bad_payloads(payload: bytes, failure: Failure) -> None:
    data = build(TEXT, payload, rsv=RSV1)
    for pieces in ([data], single_bytes(data)):
        assert feed(server(), pieces) == [failure]


def test_references_before_the_beginning_are_an_error() -> None:
    first, second = PerMessageDeflate(), PerMessageDeflate()
    first.compress(b"Hello")
    with pytest.raises(RemoteProtocolError) as caught:
        second.decompress(first.compress(b"Hello"), LIMIT)
    assert caught.value.close_code == 1007


def test_after_a_final_block_the_connection_goes_on() -> None:
    protocol = server()
    for text in ("one", "two", "three"):
        data = build(TEXT, raw_deflate(text.encode(), final=True) + b"\x00", rsv=RSV1)
        assert protocol.receive(data) == [text]
    assert protocol.receive(build(TEXT, raw_deflate(b"four"), rsv=RSV1)) == ["four"]


def test_a_flood_of_final_blocks_is_refused_at_the_second() -> None:
    protocol = server()
    assert protocol.receive(build(BINARY, b"\x03\x00" * 300_000, rsv=RSV1)) == [
        Failure(1007, "more than one final block in a compressed message")
    ]


# --- limits ---


@pytest.mark.parametrize("limit", [0, 1, 100, 10_000])
def test_the_limit_is_for_the_inflated_message(limit: int) -> None:
    for source in (bytes(limit + 1), random.Random(limit).randbytes(limit + 1)):
        fits = build(BINARY, raw_deflate(source[:limit]), rsv=RSV1)
        assert server(max_length=limit).receive(fits) == [source[:limit]]
        (event,) = server(max_length=limit).receive(build(BINARY, raw_deflate(source), rsv=RSV1))
        assert isinstance(event, Failure)
        assert event.code == 1009


def test_output_that_zlib_holds_back_counts_too() -> None:
    """When the limit falls on the end of zlib's input, the rest of the output is inside it: no tail shows."""
    wire = raw_deflate(b"a" * 258 * 4 + b"b")
    for limit in range(1000, 258 * 4 + 1):
        with pytest.raises(RemoteProtocolError) as caught:
            PerMessageDeflate().decompress(wire, limit)
        assert caught.value.close_code == 1009
    assert len(PerMessageDeflate().decompress(wire, 258 * 4 + 1)) == 258 * 4 + 1


@pytest.mark.parametrize("final", [False, True])
def test_a_bomb_is_inflated_no_further_than_the_limit(final: bool) -> None:
    bomb = raw_deflate(bytes(200 << 20), final=final)  # 200 MiB of zeros in 200 KiB
    data = build(BINARY, bomb, rsv=RSV1)
    protocol = server()
    tracemalloc.start()
    try:
        assert protocol.receive(data) == [Failure(1009, "the message inflates beyond the limit")]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_a_bomb_after_a_final_block_has_only_what_is_left() -> None:
    wire = raw_deflate(bytes(1000), final=True) + raw_deflate(bytes(100_000))
    with pytest.raises(RemoteProtocolError) as caught:
        PerMessageDeflate().decompress(wire, 2000)
    assert caught.value.close_code == 1009
    assert len(PerMessageDeflate().decompress(wire, 101_000)) == 101_000

    half = raw_deflate(bytes(LIMIT), final=True) + raw_deflate(bytes(100 * LIMIT))
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            PerMessageDeflate().decompress(half, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * LIMIT  # the message, and the message with one byte more


def test_what_does_not_compress_may_be_longer_on_the_wire_than_the_limit() -> None:
    noise = random.Random(1).randbytes(LIMIT)
    for mem_level in (1, 8):
        sender = PerMessageDeflate(options=DeflateOptions(level=9, mem_level=mem_level))
        wire = sender.compress(noise)
        assert len(wire) > LIMIT
        assert server().receive(build(BINARY, wire, rsv=RSV1)) == [noise]


def test_the_wire_length_has_a_limit_of_its_own() -> None:
    # Blocks without content inflate to nothing, however many there are.
    header = build(BINARY, announce=2 * LIMIT, rsv=RSV1)
    assert server().receive(header) == [Failure(1009, "the message is longer than the limit")]
    empty_blocks = b"\x00\x00\x00\xff\xff" * 1000
    data = build(BINARY, empty_blocks, rsv=RSV1, fin=False) + build(CONT, empty_blocks, fin=False) * 10
    assert server(max_length=20_000).receive(data) == [Failure(1009, "the message is longer than the limit")]


# --- negotiation (RFC 7692, 5 and 7.1) ---


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=15", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=8", "permessage-deflate; client_max_window_bits=8"),
        ("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9"),
        ("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
        # zlib cannot send with 8
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"),
        # not as 7.1 has them
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; server_max_window_bits=x", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_no_context_takeover=true", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-deflate; server_max_window_bits=9; server_max_window_bits=10", None),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; Server_No_Context_Takeover", None),
        (
            "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=12",
            "permessage-deflate; server_max_window_bits=12",
        ),
    ],
)
def test_what_a_server_answers(offered: str, answer: str | None) -> None:
    agreed = negotiate([found for _, found in parse_extensions(offered)])
    assert (agreed and agreed[1]) == answer


@pytest.mark.parametrize(
    ("offered", "answer", "fine"),
    [
        ("permessage-deflate", "permessage-deflate", True),
        ("permessage-deflate", "permessage-deflate; server_no_context_takeover", True),
        ("permessage-deflate", "permessage-deflate; client_no_context_takeover", True),
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=10", True),
        ("permessage-deflate", "permessage-deflate; client_max_window_bits=10", False),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=10", True),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits", False),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=8", False),
        (
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=11",
            False,
        ),
        ("permessage-deflate; client_max_window_bits=10", "permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=10", "permessage-deflate", False),
        (
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=11",
            False,
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=8",
            True,
        ),
        ("permessage-deflate; server_no_context_takeover", "permessage-deflate", False),
        ("permessage-deflate", "permessage-deflate; unknown=1", False),
    ],
)
def test_what_a_client_accepts(offered: str, answer: str, fine: bool) -> None:
    streams = accept(parameters(answer), parameters(offered))
    assert (streams is not None) is fine


def test_what_a_client_asked_of_itself_holds_though_the_server_does_not_repeat_it() -> None:
    streams = accept([], parameters(offer(client_no_context_takeover=True)))
    assert streams is not None
    assert not streams.send_takeover
    # Of the window's size a silent server has taken no notice; sending with less is our own affair.
    streams = accept([], parameters(offer(client_max_window_bits=10)))
    assert streams is not None
    assert streams.send_window_bits == 15


def test_repr_shows_the_parameters() -> None:
    streams = PerMessageDeflate(server_no_context_takeover=True, client_max_window_bits=10)
    assert repr(streams) == "<PerMessageDeflate out 15 bits, no takeover; in 10 bits>"
