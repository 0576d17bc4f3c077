"""The codec of Socket.IO 0.9 against what the original's parsers write and read, and hostile texts."""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols import socketio
from primus_gevent.protocols.socketio import Packet, decode, encode, encode_payload, split_payload

VECTORS = json.loads(
    (Path(__file__).parent / "vectors" / "socket.io-0.9-packets.json").read_text(encoding="utf-8")
)
NAMES = ["disconnect", "connect", "heartbeat", "message", "json", "event", "ack", "error", "noop"]


def as_text(text: Any) -> str:
    return repr(text)[:40]


# -- vectors: packets as the Node parsers name their fields


def write(packet: dict[str, Any]) -> str:
    """The packet, through the functions for its type."""
    kind = packet["type"]
    rest = {
        "endpoint": packet.get("endpoint", ""),
        "id": str(packet.get("id", "")),
        "data_ack": packet.get("ack") == "data",
    }
    if kind == "message" and set(packet) == {"type", "data"}:
        # the short cut for what nearly every packet is
        assert socketio.encode_message(packet["data"]) == encode(socketio.MESSAGE, packet["data"])
    if kind == "message":
        data = packet["data"]
    elif kind == "json":
        data = socketio.encode_json(packet["data"])
    elif kind == "event":
        data = socketio.encode_event(packet["name"], packet.get("args", ()))
    elif kind == "ack":
        data = socketio.encode_ack(str(packet["ackId"]), packet.get("args", ()))
    elif kind == "error":
        data = socketio.encode_error(packet.get("reason", ""), packet.get("advice", ""))
    else:
        data = packet.get("qs", "")
    return encode(str(NAMES.index(kind)), data, **rest)


def read(text: str, *, client: bool = False) -> dict[str, Any]:  # noqa: C901 - a table of types
    """What the Node parser makes of a text."""
    packet = decode(text)
    if re.search(r"[^:]+:[0-9]*\+?:", text) is None:
        assert packet == Packet(None)
        return {}
    fields: dict[str, Any] = {"endpoint": packet.endpoint}
    if packet.id:
        fields.update(id=packet.id, ack="data" if packet.data_ack else True)
    if packet.type is None:
        return fields
    fields["type"] = NAMES[int(packet.type)]
    if packet.type == socketio.MESSAGE:
        fields["data"] = packet.data
    elif packet.type == socketio.CONNECT:
        fields["qs"] = packet.data
    elif packet.type == socketio.JSON:
        try:
            fields["data"] = socketio.decode_json(packet.data)
        except ValueError:
            if not client:
                fields["data"] = False
    elif packet.type == socketio.EVENT:
        name, fields["args"] = socketio.decode_event(packet.data)
        if name is not None:
            fields["name"] = name
    elif packet.type == socketio.ACK:
        acknowledged = socketio.decode_ack(packet.data)
        if acknowledged is not None:
            fields["ackId"], fields["args"] = acknowledged
    elif packet.type == socketio.ERROR:
        fields["reason"], fields["advice"] = socketio.decode_error(packet.data)
    return fields


@pytest.mark.parametrize("vector", VECTORS["encode"], ids=lambda v: v["name"].replace(" ", "-"))
def test_a_packet_is_written_as_the_original_writes_it(vector: dict[str, Any]) -> None:
    assert write(vector["packet"]).encode().hex() == vector["encoded_hex"]


@pytest.mark.parametrize("vector", VECTORS["decode"], ids=lambda v: as_text(v["text"]))
def test_a_packet_is_read_as_the_original_reads_it(vector: dict[str, Any]) -> None:
    text = bytes.fromhex(vector["encoded_hex"]).decode()
    assert read(text) == vector["packet"]
    assert read(text, client=True) == vector.get("client_packet", vector["packet"])


@pytest.mark.parametrize("vector", VECTORS["payload_encode"], ids=lambda v: v["name"].replace(" ", "-"))
def test_a_payload_is_written_as_the_original_writes_it(vector: dict[str, Any]) -> None:
    assert encode_payload(vector["messages"]).encode().hex() == vector["encoded_hex"]


@pytest.mark.parametrize("vector", VECTORS["payload_decode"], ids=lambda v: as_text(v["text"]))
def test_a_payload_is_read_as_the_original_reads_it(vector: dict[str, Any]) -> None:
    text = bytes.fromhex(vector["encoded_hex"]).decode()
    assert [read(packet) for packet in split_payload(text)] == vector["packets"]


def test_packets_that_are_always_the_same() -> None:
    assert encode(socketio.DISCONNECT) == socketio.DISCONNECTED
    assert encode(socketio.CONNECT) == socketio.CONNECTED
    assert encode(socketio.HEARTBEAT) == socketio.HEARTBEAT_PACKET
    assert encode(socketio.NOOP) == socketio.NOOP_PACKET
    told = socketio.encode_error("client not handshaken", "reconnect")
    assert encode(socketio.ERROR, told) == socketio.NOT_HANDSHAKEN


# -- packets


def test_decode_finds_the_type_behind_what_is_none() -> None:
    """As the original's pattern does, which is not anchored."""
    assert decode("x:y:z:3::/chat:hi") == Packet(None, "/chat:hi", "", "3")
    assert decode("x:y::3:::hi") == Packet(None, "::hi", "3")
    assert decode(":x:y5:3:::hi") == Packet(None, ":hi", "", "3")
    assert decode("::3:::hi") == Packet("3", "hi")
    assert decode("x\n3:::hi") == Packet(None, "hi")
    assert decode("3:x::5:::hi") == Packet(None, "::hi", "5")


def test_an_id_has_ascii_digits() -> None:
    assert decode("3:٣::hi") == Packet(None, "", "hi")
    assert decode("3:+::hi") == Packet("3", "hi")


PATTERN = re.compile(r"([^:]+):([0-9]+)?(\+)?:([^:]+)?:?([\s\S]*)?")  # the original's


@given(st.text(st.sampled_from("0123459:::::+a/\n"), max_size=24))
@example("a:b:1:")
def test_decode_finds_what_the_pattern_of_the_original_finds(text: str) -> None:
    found = PATTERN.search(text)
    if found is None:
        assert decode(text) == Packet(None)
        return
    kind, id_, plus, endpoint, data = (part or "" for part in found.groups())
    known = kind if kind in [str(n) for n in range(9)] else None
    assert decode(text) == Packet(known, data, endpoint, id_, bool(id_ and plus))


identifiers = st.integers(0, 10**12).map(str)
endpoints = st.one_of(st.just(""), st.text(st.characters(exclude_characters=":"), max_size=8))


@given(
    kind=st.sampled_from("012345678"),
    data=st.text(max_size=20),
    endpoint=endpoints,
    id_=st.one_of(st.just(""), identifiers),
    data_ack=st.booleans(),
)
def test_a_packet_comes_out_as_it_went_in(
    kind: str, data: str, endpoint: str, id_: str, data_ack: bool
) -> None:
    packet = Packet(kind, data, endpoint, id_, bool(id_ and data_ack))
    text = encode(kind, data, endpoint=endpoint, id=id_, data_ack=packet.data_ack)
    assert decode(text) == packet


def test_a_message_without_utf_8_is_repaired() -> None:
    assert socketio.encode_message("a\ud800") == "3:::a\ufffd"
    assert socketio.encode_message("\ud83d\ude00") == "3:::\U0001f600"


# -- what is in them


@pytest.mark.parametrize("data", ["", "{", "NaN", "-Infinity", "[1,]", "'a'", "[" * 100_000])
def test_bad_json(data: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own
        socketio.decode_json(data)
    assert socketio.decode_event(data) == (None, [])
    assert socketio.decode_ack("7+" + data) == ("7", [])


@pytest.mark.parametrize(
    ("data", "name", "args"),
    [
        ("[1]", None, []),
        ('"x"', None, []),
        ('{"args":[1]}', None, [1]),
        ('{"name":"a","args":0}', "a", []),
        ('{"name":"a","args":{}}', "a", {}),
        ('{"name":"a","args":"x"}', "a", "x"),
        ('{"name":5}', 5, []),
    ],
)
def test_events_that_nobody_sends(data: str, name: Any, args: Any) -> None:
    """Each as Node's parser reads it."""
    assert socketio.decode_event(data) == (name, args)


def test_acks_that_nobody_sends() -> None:
    assert socketio.decode_ack("") is None
    assert socketio.decode_ack("+[1]") is None
    assert socketio.decode_ack("12[1]") == ("12", [1])
    assert socketio.decode_ack("12+\n[1]") == ("12", [])
    assert socketio.decode_ack("12+[1]\u2028") == ("12", [1])


def test_errors_that_nobody_sends() -> None:
    assert socketio.decode_error("9+9") == ("", "")
    assert socketio.decode_error("00+0+1") == ("", "reconnect")
    with pytest.raises(ValueError, match="tuple"):
        socketio.encode_error("out of tea")


# -- payloads


@given(st.lists(st.text(min_size=1, max_size=12).map(socketio.encode_message), max_size=6))
def test_a_payload_comes_out_as_it_went_in(packets: list[str]) -> None:
    assert split_payload(encode_payload(packets)) == (packets or [""])


characters = st.one_of(
    st.sampled_from("\ufffd\ufffd\ufffd0123456789:3x\U0001f600"), st.characters(exclude_categories=["Cs"])
)


def reference(text: str) -> list[str]:
    """The original's `decodePayload`, one UTF-16 unit after the other."""
    data = text.encode("utf-16-le")
    units = [data[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(data), 2)]
    if units[:1] != ["\ufffd"]:
        return [text]
    packets: list[str] = []
    at, length = 1, ""
    while at < len(units):
        if units[at] != "\ufffd":
            length += units[at]
            at += 1
            continue
        if re.fullmatch("[0-9]{0,15}", length) is None:
            return [*packets, ""]
        end = at + 1 + int(length or 0)
        packet = "".join(units[at + 1 : end]).encode("utf-16-le", "surrogatepass")
        packets.append(packet.decode("utf-16-le", "replace"))
        at, length = end + 1, ""
    return packets


@given(st.text(characters, max_size=30).map(lambda text: "\ufffd" + text))
@example("\ufffd6\ufffd3:::\U0001f600\ufffd1\ufffdx")
@example("\ufffd5\ufffd3:::\U0001f600\ufffd1\ufffdx")
def test_a_payload_is_read_unit_by_unit(text: str) -> None:
    assert split_payload(text) == reference(text)


def test_a_length_that_is_no_number() -> None:
    for length in ("-1", "1.5", "0x5", " 5", "1e1", "9" * 16, "٣", "NaN"):
        assert split_payload(f"\ufffd{length}\ufffd3:::a") == [""]


@pytest.mark.parametrize("piece", ["\U0001f600", "\ufffd", "\ufdff", "\ufffd1\ufffd\U0001f600", "\ufffdx"])
def test_megabytes(piece: str) -> None:
    text = piece * (3_000_000 // len(piece))
    for body in ("\ufffd" + text, f"\ufffd{len(text)}\ufffd{text}"):
        with contextlib.suppress(RemoteProtocolError):
            assert len("".join(split_payload(body))) <= len(body)


def test_too_many_packets() -> None:
    assert len(split_payload("\ufffd1\ufffdx" * 10, max_packets=10)) == 10
    with pytest.raises(RemoteProtocolError) as caught:
        split_payload("\ufffd1\ufffdx" * 11, max_packets=10)
    assert (caught.value.status, caught.value.close_code) == (413, 1009)


def test_how_many_packets_fit() -> None:
    packets = ["3:::" + "x" * 96] * 10
    assert socketio.fit([], 1000) == 0
    assert socketio.fit(packets, 1) == 1
    assert socketio.fit(packets, 1_000_000) == 10
    for limit in (200, 500, 1000):
        count = socketio.fit(packets, limit)
        assert len(encode_payload(packets[:count]).encode()) <= limit
    assert socketio.fit(["\U0001f600" * 100] * 2, 500) == 1


# -- scripts and the handshake


def test_handshake() -> None:
    text = socketio.handshake(
        "abc", heartbeat_timeout=60, close_timeout=61, transports=["websocket", "xhr-polling"]
    )
    assert text == "abc:60:61:websocket,xhr-polling"
    text = socketio.handshake("abc", heartbeat_timeout=None, close_timeout=None, transports=["htmlfile"])
    assert text == "abc:::htmlfile"


def test_jsonp() -> None:
    assert socketio.jsonp_body("12", '3:::"a/b"') == b'io.j[12]("3:::\\"a/b\\"");'
    assert socketio.jsonp_body("0", "\u2028é\ud800") == 'io.j[0]("\\u2028é\\ud800");'.encode()
    expected = b'io.j[3](new Error("handshake bad origin"));'
    assert socketio.jsonp_error("3", "handshake bad origin") == expected
    assert socketio.jsonp_decode('"3:::hi\\n\\ud83d\\ude00"') == "3:::hi\n\U0001f600"
    for field in ("", "3:::hi", "5", "null", '["3:::hi"]', '"', "[" * 100_000):
        with pytest.raises(ValueError):  # noqa: PT011 - json's own
            socketio.jsonp_decode(field)


def test_htmlfile() -> None:
    assert len(socketio.HTMLFILE_PRELUDE) == 256
    assert socketio.htmlfile_chunk("3:::/a") == b'<script>_("3:::\\/a");</script>'
    chunk = socketio.htmlfile_chunk("3:::<!--<script></script>")
    assert chunk.count(b"<script") == 2
    assert chunk.count(b"</script") == 1
    assert b"<!--" not in chunk
    literal = chunk[len("<script>_(") : -len(");</script>")]
    assert json.loads(literal.replace(b"\\/", b"/")) == "3:::<!--<script></script>"


# -- time


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "1:" * 500_000,
        "a:" * 500_000,
        ":" * 1_000_000,
        "1:" + "1" * 1_000_000,
        ("a:" + "1" * 1000) * 1000,
        "3:" + "1" * 1_000_000 + "+x",
        "6:::" + "1" * 1_000_000,
        "\ufffd" + "1" * 1_000_000 + "\ufffd",
        "\ufffd0\ufffd" * 60_000,
        "\ufffd1\ufffd\U0001f600" * 60_000,
    ],
    ids=lambda text: text[:6] + str(len(text)),
)
def test_time_is_in_proportion_to_the_text(text: str) -> None:
    """The original's pattern takes minutes for some of these. (A generous bound: it is milliseconds here.)"""
    started = time.process_time()
    for packet in split_payload(text):
        decoded = decode(packet)
        if decoded.type == socketio.ACK:
            socketio.decode_ack(decoded.data)
    assert time.process_time() - started < 5
