"""The forms of text in Engine.IO's bodies: base64 as Node reads it, and JSONP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from primus_gevent.protocols.engineio_payloads import (
    decode_base64,
    encode_base64,
    jsonp_body,
    jsonp_decode,
    utf16_units,
    well_formed,
)

VECTORS = json.loads(
    (Path(__file__).parent / "vectors" / "engine.io-payloads.json").read_text(encoding="utf-8")
)["jsonp"]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", ""),
        ("AQIDBA==", "01020304"),
        ("AQIDBA=", "01020304"),
        ("AQIDBA", "01020304"),
        ("YWJjZ", "616263"),
        ("Y", ""),
        ("YQ==YQ==", "61"),
        ("YWJj=ZGVm", "616263"),
        ("Y=WJj", ""),
        ("YQ=x", "61"),
        ("AQ-=ID", "010f"),
        ("==", ""),
        ("YW Jj", "616263"),
        ("YW\nJj", "616263"),
        ("YWJ\0j", "616263"),
        ("YWJj€ZGVm", "616263646566"),
        ("****", ""),
        ("-_-_", "fbffbf"),
        ("+/-_", "fbffbf"),
    ],
)
def test_base64_is_read_as_node_reads_it(text: str, data: str) -> None:
    """Each made by ``Buffer.from(text, 'base64')`` of Node 20."""
    assert decode_base64(text).hex() == data


def test_base64_is_written_padded_and_in_one_line() -> None:
    assert encode_base64(b"") == ""
    assert encode_base64(b"\xfb\xff\xbf\0") == "+/+/AA=="
    assert encode_base64(b"\0" * 300) == "A" * 400


@pytest.mark.parametrize("vector", VECTORS["responses"], ids=lambda v: repr(v["j"]))
def test_a_jsonp_answer_is_written_as_the_original_writes_it(vector: dict[str, str]) -> None:
    assert jsonp_body(vector["j"], vector["payload"]) == vector["body"].encode()


def test_nothing_but_digits_is_taken_from_the_index() -> None:
    assert jsonp_body('0];alert("x")//٣', "1:6") == b'___eio[0]("1:6");'


@pytest.mark.parametrize(
    ("payload", "literal"),
    [
        ('"\\\b\f\n\r\t\x00\x1f\x7f', '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"'),
        ("é€😀\x85", '"é€😀\x85"'),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        ("\ud800", '"\\ud800"'),
    ],
)
def test_a_jsonp_answer_has_the_literal_that_json_stringify_makes(payload: str, literal: str) -> None:
    assert jsonp_body("1", payload) == f"___eio[1]({literal});".encode()


@pytest.mark.parametrize("vector", VECTORS["form"], ids=lambda v: repr(v["d"]))
def test_a_jsonp_request_is_read_as_the_original_reads_it(vector: dict[str, str]) -> None:
    assert jsonp_decode(vector["d"]) == vector["payload"]


def protect(payload: str) -> str:
    """What the client of engine.io 1.x to 6.x puts into the form."""
    return payload.replace("\\n", "\\\\n").replace("\n", "\\n")


@pytest.mark.parametrize("payload", ["a\nb", "a\\nb", "\n\n", "\\n\\n\n", "a\\", '"\\n\n"', "\r\n\\r"])
def test_what_a_jsonp_client_protects_comes_out_again(payload: str) -> None:
    assert jsonp_decode(protect(payload)) == payload


def test_lengths_are_those_of_javascript() -> None:
    assert [utf16_units(text) for text in ("", "a", "é", "€", "😀", "\ud800")] == [0, 1, 1, 1, 2, 1]


def test_surrogates_are_joined_or_replaced() -> None:
    assert well_formed("a\ud83d\ude00b\ud800\ude00\ude00\ud83d") == "a😀b\U00010200\ufffd\ufffd"
