"""The codec of Engine.IO against what the original's parsers write, read and refuse; the three dialects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols import engineio
from primus_gevent.protocols.engineio import (
    BINARY_TYPE,
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    PROBE,
    PROBE_ANSWER,
    TEXT_TYPE,
    UPGRADE,
    Codec,
    Dialect,
    Encoded,
    Packet,
    PayloadError,
    codec,
    encode_message,
)

VECTORS = json.loads(
    (Path(__file__).parent / "vectors" / "engine.io-payloads.json").read_text(encoding="utf-8")
)
TYPES = {
    "open": OPEN,
    "close": CLOSE,
    "ping": PING,
    "pong": PONG,
    "message": MESSAGE,
    "upgrade": UPGRADE,
    "noop": NOOP,
}

# What 3a and 3b make of "é€😀" in a body.
TWICE = "characters pre-encoded as UTF-8"

TWICE = "é€😀".encode().decode("latin-1")


def peers(vector: dict[str, Any]) -> Iterator[Codec]:
    """The codecs that should write what the vector has, and read it."""
    revision, mode = vector["revision"], vector.get("mode", "")
    base64 = "asked for base64" in mode
    if revision != 3:
        yield codec(revision, base64=base64)
    elif mode.startswith("websocket, characters pre-encoded"):
        yield codec(3, dialect="3a")
    elif mode.startswith("websocket"):
        yield codec(3, base64=base64, dialect="3b")
        yield codec(3, base64=base64, dialect="3c")
    elif vector["parser"] == "1.3.2":
        base64 = mode.startswith("text") or (not mode and vector["kind"] == "text")
        yield codec(3, base64=base64, dialect="3a")
        yield codec(3, base64=base64, dialect="3b")
    else:
        yield codec(3, base64=mode.startswith("text"), dialect="3c")


def strangers(vector: dict[str, Any]) -> Iterator[Codec]:
    """The codecs of a server that met this peer a moment ago: it may assume any dialect."""
    for peer in peers(vector):
        yield peer
        if peer.revision == 3:
            for dialect in ("3a", "3b", "3c"):
                yield codec(3, base64=peer.base64, dialect=dialect)  # type: ignore[arg-type]


def packet(notation: dict[str, Any]) -> Packet:
    data = bytes.fromhex(notation["data_hex"]) if "data_hex" in notation else notation.get("data", "")
    if isinstance(data, str):
        data = data.replace("\ud800", "\ufffd")  # a lone surrogate has no UTF-8
    return TYPES[notation["type"]], data


def encoded(notation: dict[str, Any]) -> Encoded:
    kind = TYPES[notation["type"]]
    if kind == MESSAGE and "data_hex" in notation:
        return encode_message(bytes.fromhex(notation["data_hex"]))
    if kind == MESSAGE:
        return encode_message(notation.get("data", ""))
    return kind + notation.get("data", "")


def named(vectors: list[dict[str, Any]]) -> list[Any]:
    return [
        pytest.param(v, id=f"{v['revision']}-{v['parser']}-{v.get('mode', v['kind'])}-{v['name']}")
        for v in vectors
    ]


def wire(vector: dict[str, Any]) -> bytes:
    data = bytes.fromhex(vector["encoded_hex"])
    if vector["name"] == "lone surrogate":
        # The older parsers let it pass. Newer ones, and every browser's WebSocket, do as we do.
        data = data.replace(b"\xed\xa0\x80", b"\xef\xbf\xbd")
        data = data.replace("\xed\xa0\x80".encode(), "\xef\xbf\xbd".encode())
    return data


def received(vector: dict[str, Any]) -> str | bytes:
    data = bytes.fromhex(vector["encoded_hex"])
    return data.decode() if vector["kind"] == "text" else data


# --- what the original does ---------------------------------------------------------------------------------


def test_there_are_vectors() -> None:
    counts = {name: len(VECTORS[name]) for name in ("payloads", "packets", "decode_only", "invalid")}
    assert counts == {"payloads": 173, "packets": 96, "decode_only": 46, "invalid": 58}


@pytest.mark.parametrize("vector", named(VECTORS["payloads"]))
def test_a_payload_is_written_as_the_original_writes_it(vector: dict[str, Any]) -> None:
    packets = [encoded(item) for item in vector["packets"]]
    content_type = TEXT_TYPE if vector["kind"] == "text" else BINARY_TYPE
    for peer in peers(vector):
        assert peer.encode_payload(packets) == (wire(vector), content_type)


@pytest.mark.parametrize("vector", named(VECTORS["payloads"]))
def test_a_payload_of_the_original_is_read(vector: dict[str, Any]) -> None:
    expected = [packet(item) for item in vector["packets"]]
    body = bytes.fromhex(vector["encoded_hex"])
    if vector["revision"] == 4:
        if not body:
            pytest.skip("an empty body is never sent in this revision, and is an error")
        if "record separator" in vector["name"]:
            expected = [(MESSAGE, "a"), (MESSAGE, b"")]  # nobody can tell that it was one packet
    for peer in strangers(vector):
        assert peer.decode_payload(body, vector["kind"] == "binary") == expected, peer


@pytest.mark.parametrize("vector", named(VECTORS["packets"]))
def test_a_frame_is_written_as_the_original_writes_it(vector: dict[str, Any]) -> None:
    data = wire(vector)
    for peer in peers(vector):
        frame = peer.encode_frame(encoded(vector["packet"]))
        assert isinstance(frame, str) == (vector["kind"] == "text")
        assert (frame.encode() if isinstance(frame, str) else frame) == data


@pytest.mark.parametrize("vector", named(VECTORS["packets"]))
def test_a_frame_of_the_original_is_read(vector: dict[str, Any]) -> None:
    for peer in strangers(vector):
        assert peer.decode_frame(received(vector)) == packet(vector["packet"]), peer


@pytest.mark.parametrize("vector", named(VECTORS["decode_only"]))
def test_what_the_original_reads_is_read(vector: dict[str, Any]) -> None:
    expected = [packet(item) for item in vector["packets"]]
    for peer in strangers(vector):
        if vector.get("single_packet"):
            assert [peer.decode_frame(received(vector))] == expected
        else:
            body = bytes.fromhex(vector["encoded_hex"])
            assert peer.decode_payload(body, vector["kind"] == "binary") == expected


@pytest.mark.parametrize("vector", named(VECTORS["invalid"]))
def test_what_the_original_refuses_is_refused_behind_the_same_packets(vector: dict[str, Any]) -> None:
    # A packet without a type is one that the original then ignores; here it is refused.
    expected = [packet(item) for item in vector["packets"] if item.get("type", "error") != "error"]
    for peer in strangers(vector):
        if vector.get("single_packet"):
            assert expected == []
            with pytest.raises(RemoteProtocolError):
                peer.decode_frame(received(vector))
        else:
            with pytest.raises(PayloadError) as caught:
                peer.decode_payload(bytes.fromhex(vector["encoded_hex"]), vector["kind"] == "binary")
            assert caught.value.packets == expected


# --- packets ------------------------------------------------------------------------------------------------


def test_an_empty_message_is_empty_text_and_no_bytes() -> None:
    assert encode_message("") == "4"
    assert codec(4).decode_frame("4") == (MESSAGE, "")
    assert encode_message(b"") == b""
    assert codec(4).decode_frame(b"") == (MESSAGE, b"")
    assert codec(3).encode_frame(b"") == b"\x04"
    assert codec(3).decode_frame(b"\x04") == (MESSAGE, b"")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("a\ud800b", "4a\ufffdb"),
        ("\udc00\ud800", "4\ufffd\ufffd"),
        ("\ud83d\ude00", "4😀"),
        ("é\udfff", "4é\ufffd"),
    ],
)
def test_surrogates_leave_as_node_lets_them_leave(text: str, sent: str) -> None:
    assert encode_message(text) == sent


@pytest.mark.parametrize("revision", [2, 3, 4])
def test_a_frame_for_one_peer_is_the_same_object_for_all(revision: int) -> None:
    message = encode_message("häufig")
    assert codec(revision).encode_frame(message) is message


def test_revision_2_has_no_binary_messages_so_bytes_are_text() -> None:
    message = encode_message("é".encode())
    peer = codec(2)
    assert peer.encode_frame(message) == "4é"
    assert peer.encode_payload([message, b"\xff"]) == ("2:4é2:4\ufffd".encode(), TEXT_TYPE)
    with pytest.raises(RemoteProtocolError):
        peer.decode_frame(b"4a")


def test_revision_2_reads_every_body_as_text() -> None:
    assert codec(2).decode_payload(b"2:4a", True) == [(MESSAGE, "a")]


def test_revision_4_refuses_a_binary_body() -> None:
    with pytest.raises(PayloadError, match="binary"):
        codec(4).decode_payload(b"4a", True)


@pytest.mark.parametrize("revision", [2, 3, 4])
def test_probes(revision: int) -> None:
    peer = codec(revision)
    assert peer.decode_frame(PROBE) == (PING, "probe")
    assert peer.decode_frame(PROBE_ANSWER) == (PONG, "probe")
    assert peer.encode_frame(PROBE_ANSWER) == "3probe"


@pytest.mark.parametrize("revision", [2, 3])
def test_the_handshake(revision: int) -> None:
    expected = '0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":60000}'
    peer = codec(revision)
    # what only revision 4 can tell is left out
    assert (
        peer.encode_open("abc", ping_interval=25, ping_timeout=60, upgrades=["websocket"], max_payload=1)
        == expected
    )


def test_the_handshake_of_revision_4() -> None:
    assert codec(4).encode_open("abc", ping_interval=0.3, ping_timeout=0.2, max_payload=1000000) == (
        '0{"sid":"abc","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}'
    )
    assert "maxPayload" not in codec(4).encode_open("abc", ping_interval=25, ping_timeout=20)


def test_base64_of_polling_and_of_the_websocket_are_asked_for_apart() -> None:
    peer = codec(3, base64=True)
    assert peer.encode_frame(b"\1") == "b4AQ=="
    peer.base64_frames = False
    assert peer.encode_frame(b"\1") == b"\4\1"
    assert peer.encode_payload([b"\1"]) == (b"6:b4AQ==", TEXT_TYPE)
    peer = codec(4, base64=True)
    assert peer.encode_frame(b"\1") == "bAQ=="
    peer.base64_frames = False
    assert peer.encode_frame(b"\1") == b"\1"


@pytest.mark.parametrize("peer", [codec(3, dialect="3b"), codec(3, dialect="3c"), codec(4)], ids=repr)
def test_jsonp_is_text_whatever_the_peer_takes(peer: Codec) -> None:
    text = peer.encode_text_payload([encode_message(b"\1"), encode_message("€")])
    peer.base64 = True
    assert peer.decode_text_payload(text) == [(MESSAGE, b"\1"), (MESSAGE, "€")]


@pytest.mark.parametrize("kind", [7, 0x30, 0x34, 255])
def test_a_binary_packet_has_one_of_the_seven_types(kind: int) -> None:
    peer = codec(3)
    assert peer.decode_frame(b"\6") == (NOOP, b"")
    with pytest.raises(RemoteProtocolError, match="unknown type"):
        peer.decode_frame(bytes([kind]))
    with pytest.raises(PayloadError, match="unknown type"):
        peer.decode_payload(bytes([1, 1, 255, kind]), True)


def test_an_unknown_revision_is_refused() -> None:
    with pytest.raises(ValueError, match="revision 5"):
        codec(5)


def test_a_codec_shows_what_it_is() -> None:
    assert repr(codec(3, base64=True, dialect="3c")) == "<Codec of Engine.IO 3c base64>"
    assert repr(codec(4)) == "<Codec of Engine.IO 4>"


# --- the dialects of revision 3 -----------------------------------------------------------------------------


def text_body(*texts: str) -> bytes:
    """A body as 3c writes it; with text encoded twice, as 3a and 3b write it."""
    return codec(3, base64=True, dialect="3c").encode_payload([encode_message(text) for text in texts])[0]


@pytest.mark.parametrize("assumed", ["3a", "3b", "3c"])
def test_ascii_tells_nothing(assumed: Dialect) -> None:
    peer = codec(3, base64=True, dialect=assumed)
    assert peer.decode_payload(text_body("a", "b")) == [(MESSAGE, "a"), (MESSAGE, "b")]
    assert peer.decode_frame("4a") == (MESSAGE, "a")
    assert peer.decode_frame(b"\4\xc3\xa9") == (MESSAGE, b"\xc3\xa9")
    assert peer.decode_payload(b"\1\3\xff\4\xc3\xa9", True) == [(MESSAGE, b"\xc3\xa9")]
    assert peer.dialect == assumed


@pytest.mark.parametrize(("assumed", "known"), [("3a", "3a"), ("3b", "3b"), ("3c", "3b")])
def test_a_body_that_is_encoded_twice_is_known(assumed: Dialect, known: Dialect) -> None:
    peer = codec(3, base64=True, dialect=assumed)
    assert peer.decode_payload(text_body("a", TWICE)) == [(MESSAGE, "a"), (MESSAGE, "é€😀")]
    assert peer.dialect == known
    assert peer.encode_payload(["4€"])[0] == b"4:4\xc3\xa2\xc2\x82\xc2\xac"


@pytest.mark.parametrize("assumed", ["3a", "3b", "3c"])
@pytest.mark.parametrize("text", ["€", "é", "😀", "é" + TWICE])
def test_a_plain_body_is_known(assumed: Dialect, text: str) -> None:
    peer = codec(3, base64=True, dialect=assumed)
    assert peer.decode_payload(text_body("a", text, "b")) == [(MESSAGE, x) for x in ("a", text, "b")]
    assert peer.dialect == "3c"
    assert peer.encode_payload(["4€"])[0] == "2:4€".encode()


def test_plain_text_that_seems_to_be_encoded_twice_is_left_alone_once_the_peer_is_known() -> None:
    peer = codec(3, base64=True)
    peer.decode_payload(text_body("€"))
    assert peer.decode_payload(text_body(TWICE)) == [(MESSAGE, TWICE)]
    assert peer.decode_frame("4" + TWICE) == (MESSAGE, TWICE)
    assert peer.dialect == "3c"


def test_a_guess_is_taken_back() -> None:
    peer = codec(3, base64=True)
    assert peer.decode_payload(text_body(TWICE)) == [(MESSAGE, "é€😀")]
    assert peer.decode_payload(text_body("é")) == [(MESSAGE, "é")]
    assert peer.dialect == "3c"


@pytest.mark.parametrize("assumed", ["3b", "3c"])
def test_a_peer_that_takes_binary_and_sends_text(assumed: Dialect) -> None:
    """As engine.io-client 1.8 does in a browser, which can read the binary form only."""
    peer = codec(3, dialect=assumed)
    assert peer.decode_payload(text_body(TWICE)) == [(MESSAGE, "é€😀")]
    assert peer.dialect == "3b"
    assert peer.encode_payload(["4€"]) == (b"\0\4\xff4\xe2\x82\xac", BINARY_TYPE)
    assert peer.decode_payload(text_body("€")) == [(MESSAGE, "€")]
    assert peer.dialect == "3c"


def test_text_alone_in_the_binary_form_is_from_an_old_client() -> None:
    body, _ = codec(3, dialect="3b").encode_payload(["4€"])
    peer = codec(3, dialect="3c")
    assert peer.decode_payload(body, True) == [(MESSAGE, "€")]
    assert peer.dialect == "3b"
    peer.decode_payload(text_body("€"))
    peer.decode_payload(body, True)
    assert peer.dialect == "3c", "what is known for certain stays"


def test_binary_beside_text_in_the_binary_form_tells_nothing() -> None:
    body, content_type = codec(3, dialect="3c").encode_payload(["4€", b"\1"])
    assert content_type == BINARY_TYPE
    peer = codec(3, dialect="3c")
    assert peer.decode_payload(body, True) == [(MESSAGE, "€"), (MESSAGE, b"\1")]
    assert peer.decode_payload(b"", True) == []
    assert peer.dialect == "3c"


@pytest.mark.parametrize("assumed", ["3a", "3b", "3c"])
def test_a_frame_that_is_encoded_twice_is_known(assumed: Dialect) -> None:
    peer = codec(3, dialect=assumed)
    assert peer.decode_frame("4" + TWICE) == (MESSAGE, "é€😀")
    assert peer.dialect == "3a"
    assert peer.encode_frame("4é€😀") == "4" + TWICE


@pytest.mark.parametrize(("assumed", "known"), [("3a", "3b"), ("3b", "3b"), ("3c", "3c")])
@pytest.mark.parametrize("text", ["€", "é", "😀", "é" + TWICE])
def test_a_plain_frame_is_known(assumed: Dialect, known: Dialect, text: str) -> None:
    peer = codec(3, dialect=assumed)
    assert peer.decode_frame("4" + text) == (MESSAGE, text)
    assert peer.dialect == known
    assert peer.decode_frame("4" + TWICE) == (MESSAGE, TWICE), "that frames are plain was known"
    assert peer.dialect == known


def test_plain_frames_say_nothing_about_bodies() -> None:
    peer = codec(3, base64=True, dialect="3b")
    peer.decode_frame("4€")
    assert peer.decode_payload(text_body(TWICE)) == [(MESSAGE, "é€😀")]


def test_what_waited_while_the_dialect_changed_leaves_in_the_new_one() -> None:
    peer = codec(3, base64=True)
    outbox = [encode_message("€")]
    peer.decode_payload(text_body("€"))
    assert peer.encode_payload(outbox)[0] == "2:4€".encode()


def test_a_length_that_cuts_a_character_in_two() -> None:
    peer = codec(3, base64=True)
    # half of a pair of surrogates is no text; what the other half is in front of is no length
    with pytest.raises(PayloadError) as caught:
        peer.decode_payload("2:4😀".encode())
    assert caught.value.packets == [(MESSAGE, "\ufffd")]


def test_a_length_that_cuts_a_character_that_is_encoded_twice() -> None:
    with pytest.raises(PayloadError) as caught:
        codec(3, base64=True).decode_payload(b"2:4a2:4\xc3\x83\xc2\xa9")
    assert caught.value.packets == [(MESSAGE, "a")]


def test_surrogates_that_an_old_client_let_pass() -> None:
    peer = codec(3)
    assert peer.decode_payload(b"\0\5\xff4a\xed\xa0\x80", True) == [(MESSAGE, "a\ufffd")]
    assert peer.decode_payload(b"\0\7\xff4\xed\xa0\xbd\xed\xb8\x80", True) == [(MESSAGE, "😀")]
    with pytest.raises(PayloadError, match="UTF-8"):
        peer.decode_payload(b"\0\2\xff4\xff", True)


def test_bytes_that_are_no_utf8_are_replaced_as_in_node() -> None:
    assert codec(4).decode_payload(b"4a\xffb") == [(MESSAGE, "a\ufffdb")]
    assert codec(2).decode_payload(b"4:4a\xffb") == [(MESSAGE, "a\ufffdb")]


# --- limits -------------------------------------------------------------------------------------------------

TINY = {
    2: b"1:4",
    3: b"1:4",
    4: b"4\x1e",
}


@pytest.mark.parametrize("revision", [2, 3, 4])
def test_a_body_has_so_many_packets_at_most(revision: int) -> None:
    peer = codec(revision)
    body = (TINY[revision] * 3).rstrip(b"\x1e")
    assert peer.decode_payload(body, max_packets=3) == [(MESSAGE, "")] * 3
    with pytest.raises(PayloadError, match="too many") as caught:
        peer.decode_payload(body, max_packets=2)
    assert caught.value.packets == [(MESSAGE, "")] * 2
    assert (caught.value.status, caught.value.close_code) == (413, 1009)


def test_a_binary_body_has_so_many_packets_at_most() -> None:
    peer = codec(3)
    assert len(peer.decode_payload(b"\0\1\xff4" * 3, True, max_packets=3)) == 3
    with pytest.raises(PayloadError, match="too many") as caught:
        peer.decode_payload(b"\0\1\xff4" * 3, True, max_packets=2)
    assert len(caught.value.packets) == 2


def test_empty_pieces_count() -> None:
    with pytest.raises(PayloadError, match="too many"):
        codec(3).decode_payload(b"0:" * 1000, max_packets=999)
    assert codec(3).decode_payload(b"0:" * 1000, max_packets=1000) == []


@pytest.mark.parametrize(
    ("peer", "tiny", "binary"),
    [
        (codec(2), b"2:4a", False),
        (codec(2), b"0:", False),
        (codec(2), "3:4😀".encode(), False),
        (codec(3), b"2:4a", False),
        (codec(3, base64=True), "3:4Ã©".encode(), False),
        (codec(3), b"\0\1\xff4", True),
        (codec(4), b"4\x1e", False),
        (codec(4), b"b\x1e", False),
    ],
)
def test_ten_megabytes_of_the_smallest_packets(peer: Codec, tiny: bytes, binary: bool) -> None:
    """They are refused in a moment; anything quadratic would reach the time limit of the test."""
    with pytest.raises(PayloadError, match="too many") as caught:
        peer.decode_payload(tiny * (10_000_000 // len(tiny)), binary)
    assert len(caught.value.packets) in (0, engineio.MAX_PACKETS)
    count = 1_000_000
    body = (tiny * count).rstrip(b"\x1e")
    assert len(peer.decode_payload(body, binary, max_packets=count)) in (0, count)


@pytest.mark.parametrize(
    ("body", "binary"),
    [
        (b"9" * 1_000_000 + b":4a", False),
        (b"0" * 1_000_000 + b"2:4a", False),
        (b"999999999999999:4a", False),
        ("999999999999999:4€".encode(), False),
        (b"\0" + b"\x09" * 1_000_000 + b"\xff4", True),
        (b"\0" + b"\x09" * 1_000_000, True),
        (b"\0\xff4a", True),
        (b"\0\x0a\xff4a", True),
        (b"\x02\x01\xff4", True),
        (b"\0\x00\xff", True),
        (b"\x01\x00\xff", True),
        ("٢:4a".encode(), False),
        (b" 2:4a", False),
        (b"+2:4a", False),
        (b"1_0:4123456789", False),
        (b"2 :4a", False),
        ("2:4€2".encode(), False),
    ],
)
def test_lengths_that_are_none(body: bytes, binary: bool) -> None:
    for base64 in (False, True):
        with pytest.raises(PayloadError):
            codec(3, base64=base64).decode_payload(body, binary)


def test_a_binary_entry_may_be_shorter_than_announced_as_in_the_original() -> None:
    body = b"\0" + b"\x09" * 15 + b"\xff4hi"
    assert codec(3).decode_payload(body, True) == [(MESSAGE, "hi")]


# --- sizes --------------------------------------------------------------------------------------------------

CODECS = [
    codec(2),
    *[codec(3, base64=b, dialect=d) for b in (False, True) for d in ("3a", "3b", "3c")],  # type: ignore[arg-type]
    codec(4),
]
PACKETS = [
    [],
    ["6", "1"],
    ["4" + "x" * n for n in (8, 9, 10, 98, 99, 100)],
    ["4é€😀"],
    [b""],
    [b"12", "4a", b"123", b"1234"],
    ["4" + "😀" * 25, b"x" * 99],
]


@pytest.mark.parametrize("peer", CODECS, ids=repr)
@pytest.mark.parametrize("packets", PACKETS)
def test_a_length_is_never_too_low_and_not_much_too_high(peer: Codec, packets: list[Encoded]) -> None:
    length = len(peer.encode_payload(packets)[0]) if packets else 0
    # per packet: the separator behind the last one, or the header of the binary form that was not needed
    assert length <= peer.payload_length(packets) <= length + 2 * len(packets)


@pytest.mark.parametrize("peer", CODECS, ids=repr)
def test_as_many_packets_as_fit_are_taken(peer: Codec) -> None:
    outbox: list[Encoded] = ["4" + "x" * 50, "4€", b"\0" * 20, "6"] * 20
    sent: list[Encoded] = []
    while outbox:
        count = peer.fit(outbox, 200)
        batch, outbox = outbox[:count], outbox[count:]
        assert len(peer.encode_payload(batch)[0]) <= 200
        assert count > 1
        sent += batch
    assert sent == ["4" + "x" * 50, "4€", b"\0" * 20, "6"] * 20


def test_one_packet_is_taken_however_long_it_is() -> None:
    assert codec(4).fit(["4" + "x" * 1000, "6"], 200) == 1
    assert codec(4).fit([], 200) == 0
