"""The client's half of BrowserChannel: what comes is cut anywhere, and may be nonsense."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols.browserchannel_client import (
    ChunkReader,
    Status,
    decode_arrays,
    decode_status,
    encode_map,
    encode_maps,
)
from primus_gevent.protocols.engineio_payloads import utf16_units

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def chunk(text: str) -> bytes:
    return f"{utf16_units(text)}\n{text}".encode()


def outcome(pieces: list[bytes], limit: int = 1 << 20) -> tuple[list[str], str | None]:
    """The chunks, and what is wrong with the stream, if anything is."""
    reader = ChunkReader(limit)
    found: list[str] = []
    for piece in pieces:
        try:
            found += reader.receive(piece)
        except RemoteProtocolError as error:
            return found, error.reason
    return found, None


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


# -- chunks


@pytest.mark.parametrize(
    ("data", "chunks"),
    [
        (b"", []),
        (b"3\nabc", ["abc"]),
        (b"3\nabc4\n1\n23", ["abc", "1\n23"]),
        (b"0\n2\nab", ["", "ab"]),
        ("1\né".encode(), ["é"]),
        ("2\n😀1\nx".encode(), ["😀", "x"]),  # two UTF-16 units
        ("3\n😀é2\n€€".encode(), ["😀é", "€€"]),
        (b"003\nabc", ["abc"]),
        (b"3\nab", []),
        (b"3", []),
        ("2\n\u010a\u0a01".encode(), ["\u010a\u0a01"]),  # their bytes look like line ends
    ],
)
def test_chunks(data: bytes, chunks: list[str]) -> None:
    assert outcome([data]) == (chunks, None)
    assert outcome([bytes([byte]) for byte in data]) == (chunks, None)


@given(st.lists(TEXTS, max_size=8), st.lists(st.integers(min_value=0), max_size=20))
def test_cutting_the_stream_changes_nothing(texts: list[str], cuts: list[int]) -> None:
    data = b"".join(map(chunk, texts))
    assert outcome(split(data, cuts)) == (texts, None)


@given(st.binary(max_size=60), st.lists(st.integers(min_value=0), max_size=10))
@example(b"3\nabcx", [])
@example(b"\xff\n", [])
@example("1\n😀".encode(), [])  # a length that cuts a pair in two
@example("\u0a0a\n".encode(), [])
def test_garbage_gives_the_same_however_it_comes(data: bytes, cuts: list[int]) -> None:
    whole = outcome([data])
    found, reason = outcome(split(data, cuts))
    assert found == whole[0]
    assert (reason is None) == (whole[1] is None)


@pytest.mark.parametrize(
    "data", [b"x\n", b"-1\nx", b" 1\nx", b"1 \nx", b"\n", b"1.5\nx", "\u0661\nx".encode(), b"1" * 16 + b"\n"]
)
def test_what_is_no_length(data: bytes) -> None:
    found, reason = outcome([data])
    assert found == []
    assert reason is not None
    assert "no length" in reason


def test_chunks_in_front_of_the_fault_are_delivered() -> None:
    found, reason = outcome([b"1\naoops\n"])
    assert found == ["a"]
    assert reason is not None


def test_a_length_without_end_is_not_waited_for() -> None:
    reader = ChunkReader()
    assert list(reader.receive(b"1" * 10)) == []
    with pytest.raises(RemoteProtocolError, match="no length"):
        list(reader.receive(b"1" * 40))
    assert reader.waiting <= 100


def test_a_chunk_is_refused_before_it_is_kept() -> None:
    reader = ChunkReader(100)
    assert list(reader.receive(b"50\n" + b"x" * 50)) == ["x" * 50]
    with pytest.raises(RemoteProtocolError, match="too long"):
        list(reader.receive(b"51\n"))
    with pytest.raises(RemoteProtocolError, match="too long"):
        list(ChunkReader(100).receive(b"999999999999999\nx"))


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert outcome([b"3\na\xffb"]) == (["a\ufffdb"], None)


# -- arrays


def test_arrays() -> None:
    assert decode_arrays('[[0,["c","id",null,8]],[1,"text"]]') == [(0, ["c", "id", None, 8]), (1, "text")]
    assert decode_arrays("[]") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}x",
        "1",
        "null",
        "{}",
        '""',
        "[1]",
        "[[1]]",
        '[["a",1]]',
        "[[1,2,3]]",
        "[[1e999,1]]",
        "[[NaN,1]]",
        "[null]",
        "[[null,1]]",
        "[" * 100_000,
    ],
)
def test_what_is_no_array(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_arrays(text)


@given(st.text(max_size=60))
def test_any_text_is_arrays_or_an_error(text: str) -> None:
    try:
        arrays = decode_arrays(text)
    except RemoteProtocolError:
        return
    assert all(isinstance(number, int) for number, _ in arrays)


# -- what answers a POST


def test_status() -> None:
    assert decode_status(b"7\n[1,5,0]") == Status(True, 5, 0)
    assert decode_status(b"9\n[0,-1,12]") == Status(False, -1, 12)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1,5,0]",
        b"7\n[1,5]",
        b"7\n[1,5,0,0]",
        b'7\n[1,"x",0]',
        b"7\n{}",
        b"7\nnull",
        b"7\n[1,1e999,0]",
        b"\n" + b"[" * 100_000,
    ],
)
def test_what_is_no_status(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_status(body)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_status_or_an_error(body: bytes) -> None:
    try:
        status = decode_status(body)
    except RemoteProtocolError:
        return
    assert isinstance(status.last_sent, int)


# -- maps


@given(st.lists(TEXTS, min_size=1, max_size=6), st.integers(min_value=0, max_value=10**9))
def test_maps_are_a_form(texts: list[str], offset: int) -> None:
    body = encode_maps([encode_map(text) for text in texts], offset)
    fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True))
    assert fields.pop("count") == str(len(texts))
    assert fields.pop("ofs") == str(offset)
    assert fields == {f"req{index}__S": text for index, text in enumerate(texts)}


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("a b", "a+b"),
        ("a+b&c=d%", "a%2Bb%26c%3Dd%25"),
        ("é😀", "%C3%A9%F0%9F%98%80"),
        ("a\ud800b", "a%EF%BF%BDb"),  # a lone surrogate, as browsers write it
        ("\ud83d\ude00", "%F0%9F%98%80"),  # a pair that Python keeps apart
        (json.dumps("\n"), "%22%5Cn%22"),
    ],
)
def test_maps(text: str, encoded: str) -> None:
    assert encode_map(text) == encoded
