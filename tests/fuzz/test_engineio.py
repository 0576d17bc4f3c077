"""Any body and any frame become packets or a RemoteProtocolError, and what was written is read again.

Long runs: ``FUZZ_EXAMPLES=100000 pytest tests/fuzz``.
"""

from __future__ import annotations

import os
from array import array

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols.engineio import (
    BINARY_TYPE,
    MESSAGE,
    Codec,
    Dialect,
    Packet,
    PayloadError,
    codec,
    encode_message,
    jsonp_decode,
)
from primus_gevent.protocols.engineio_payloads import well_formed

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
MAX_PACKETS = 20

dialects: st.SearchStrategy[Dialect] = st.sampled_from(["3a", "3b", "3c"])
codecs = st.builds(
    lambda revision, base64, dialect: codec(revision, base64=base64, dialect=dialect),
    st.sampled_from([2, 3, 3, 3, 4]),
    st.booleans(),
    dialects,
)
characters = st.one_of(
    st.characters(),
    st.sampled_from("0123456789:b4=\\n\n\x1eé€😀Ã©\u2028\ud800\udc00"),
)
texts = st.text(characters, max_size=20)
payloads = st.one_of(texts, texts, st.binary(max_size=20))

# Mostly lawful, so that the decoders get somewhere; every part can also be anything.
lawful_pieces = st.one_of(
    texts.map(lambda text: "4" + text),
    texts.map(lambda text: "4" + text.encode("utf-8", "surrogatepass").decode("latin-1")),
    st.sampled_from(["", "1", "2probe", "3", "5", "6", "b4AQI=", "bAQ", "b", "7", "x"]),
)


def lengths(piece: str, wrong_by: int) -> bytes:
    size = len(piece.encode("utf-16-le", "surrogatepass")) // 2
    return f"{size + wrong_by}:{well_formed(piece)}".encode()


def entry(kind: int, data: bytes, wrong_by: int) -> bytes:
    digits = bytes(int(digit) for digit in str(max(0, len(data) + wrong_by)))
    return bytes([kind]) + digits + b"\xff" + data


slips = st.sampled_from([0] * 12 + [-1, 1, 5])
bodies = st.one_of(
    st.lists(st.builds(lengths, lawful_pieces, slips), max_size=8).map(b"".join),
    st.lists(
        st.builds(
            entry,
            st.sampled_from([0, 0, 0, 1, 1, 1, 2]),
            st.one_of(
                lawful_pieces.map(lambda piece: piece.encode("utf-8", "surrogatepass")),
                st.binary(max_size=10),
                st.binary(max_size=10).map(lambda data: b"\4" + data),
            ),
            slips,
        ),
        max_size=8,
    ).map(b"".join),
    st.lists(lawful_pieces.map(lambda piece: well_formed(piece).encode()), max_size=8).map(b"\x1e".join),
    st.lists(st.sampled_from([b"0:", b"1:4", b"\0\1\xff4", b"4\x1e"]), max_size=40).map(b"".join),
    st.binary(max_size=60),
)


def check(packets: list[Packet]) -> None:
    for kind, data in packets:
        assert kind in tuple("0123456")
        assert isinstance(kind, str)
        if isinstance(data, str):
            data.encode()  # text of a peer can be handed on
        else:
            assert type(data) is bytes


def attempt(peer: Codec, body: bytes, binary: bool) -> tuple[list[Packet], bool]:
    """What is delivered, and whether that is all."""
    try:
        return peer.decode_payload(body, binary, max_packets=MAX_PACKETS), True
    except PayloadError as error:
        return error.packets, False


@settings(max_examples=EXAMPLES)
@given(peer=codecs, sent=st.lists(st.tuples(bodies, st.booleans()), max_size=4))
def test_any_body_is_packets_or_an_error(peer: Codec, sent: list[tuple[bytes, bool]]) -> None:
    for body, binary in sent:
        packets, _ = attempt(peer, body, binary)
        assert len(packets) <= MAX_PACKETS
        check(packets)
        # whatever was learned from it, what is written now is for one that reads it
        body, content_type = peer.encode_payload([encode_message("aé😀")])
        assert peer.decode_payload(body, content_type == BINARY_TYPE)[0][0] == MESSAGE


@settings(max_examples=EXAMPLES)
@given(
    peer=codecs, frames=st.lists(st.one_of(lawful_pieces.map(well_formed), st.binary(max_size=9)), max_size=4)
)
def test_any_frame_is_a_packet_or_an_error(peer: Codec, frames: list[str | bytes]) -> None:
    for frame in frames:
        try:
            check([peer.decode_frame(frame)])
        except RemoteProtocolError:
            pass


def same_peer(peer: Codec) -> Codec:
    return codec(peer.revision, base64=peer.base64, dialect=peer.dialect or "3b")


def as_received(peer: Codec, payload: str | bytes) -> str | bytes:
    if isinstance(payload, str):
        return well_formed(payload)
    return payload.decode("utf-8", "replace") if peer.revision == 2 else payload


def is_guess(text: str) -> bool:
    """Whether plain text could be text that was encoded twice."""
    try:
        text.encode("latin-1").decode("utf-8", "surrogatepass")
    except UnicodeError:
        return False
    return not text.isascii()


@settings(max_examples=EXAMPLES)
@given(peer=codecs, sent=st.lists(payloads, min_size=1, max_size=8), assumed=dialects, jsonp=st.booleans())
@example(peer=codec(3, base64=True, dialect="3c"), sent=["é", "Ã©"], assumed="3b", jsonp=False)
def test_a_payload_comes_out_as_it_went_in(
    peer: Codec, sent: list[str | bytes], assumed: Dialect, jsonp: bool
) -> None:
    expected = [(MESSAGE, as_received(peer, payload)) for payload in sent]
    if peer.revision == 4:
        assume(not any("\x1e" in payload for payload in sent if isinstance(payload, str)))
    encoded = [encode_message(payload) for payload in sent]
    other = codec(peer.revision, base64=peer.base64 or jsonp, dialect=assumed)
    if jsonp:
        text = peer.encode_text_payload(encoded)
        ambiguous = peer.dialect == "3c" and is_guess(text)
        assume(not ambiguous)
        assert other.decode_text_payload(text) == expected
        return
    body, content_type = peer.encode_payload(encoded)
    assert len(body) <= peer.payload_length(encoded) <= len(body) + 2 * len(sent)
    binary = content_type == BINARY_TYPE
    assume(binary or peer.dialect != "3c" or not is_guess(body.decode()))
    assert other.decode_payload(body, binary) == expected


@settings(max_examples=EXAMPLES)
@given(peer=codecs, payload=payloads, assumed=dialects)
def test_a_frame_comes_out_as_it_went_in(peer: Codec, payload: str | bytes, assumed: Dialect) -> None:
    frame = peer.encode_frame(encode_message(payload))
    assume(isinstance(frame, bytes) or peer.dialect == "3a" or not is_guess(frame))
    other = codec(peer.revision, dialect=assumed)
    assert other.decode_frame(frame) == (MESSAGE, as_received(peer, payload))


@settings(max_examples=EXAMPLES)
@given(peer=codecs, sent=st.lists(payloads, min_size=1, max_size=6), cut=st.integers(0, 200))
def test_of_a_body_that_is_cut_off_the_packets_in_front_are_delivered(
    peer: Codec, sent: list[str | bytes], cut: int
) -> None:
    encoded = [encode_message(payload) for payload in sent]
    body, content_type = peer.encode_payload(encoded)
    binary = content_type == BINARY_TYPE
    assume(cut < len(body))
    whole, complete = attempt(same_peer(peer), body, binary)
    packets, _ = attempt(same_peer(peer), body[:cut], binary)
    check(packets)
    if peer.revision == 3 and not binary and not body[:cut].isascii() and is_guess(body.decode("utf-8")):
        return  # with half a character at its end it is known to be another dialect's
    # the last one may be cut as well, where no length is there to tell
    if complete:
        assert packets[:-1] == whole[: max(0, len(packets) - 1)]
        if not binary and peer.revision != 4:
            assert packets == whole[: len(packets)] or "\ufffd" in str(packets[-1][1])


def reference(body: bytes, limit: int) -> tuple[list[Packet], bool]:
    """Revision 2's decoder written down from its description, one UTF-16 unit after the other."""
    units = array("H", body.decode("utf-8", "replace").encode("utf-16-le"))
    packets: list[Packet] = []
    at = count = 0
    if not units:
        return packets, False
    while at < len(units):
        digits = ""
        while at < len(units) and chr(units[at]) in "0123456789":
            digits += chr(units[at])
            at += 1
        if not digits or len(digits) > 15 or at == len(units) or chr(units[at]) != ":" or count == limit:
            return packets, False
        count += 1
        at += 1
        if at + int(digits) > len(units):
            return packets, False
        piece = units[at : at + int(digits)].tobytes().decode("utf-16-le", "replace")
        at += int(digits)
        if piece:
            if piece[0] not in "0123456":
                return packets, False
            packets.append((piece[0], piece[1:]))
    return packets, True


@settings(max_examples=EXAMPLES)
@given(body=bodies)
@example(body="2:4😀".encode())
@example(body=b"0:" * 21)
def test_revision_2_is_read_as_its_description_says(body: bytes) -> None:
    assert attempt(codec(2), body, False) == reference(body, MAX_PACKETS)


@settings(max_examples=EXAMPLES)
@given(text=texts)
def test_jsonp_fields_come_out_as_they_went_in(text: str) -> None:
    assume("\\\n" not in text)
    assert jsonp_decode(text.replace("\\n", "\\\\n").replace("\n", "\\n")) == text
