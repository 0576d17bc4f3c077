"""Any body and any message become messages or a RemoteProtocolError; any text that is sent is read again as
it was, on every transport.

Long runs: ``FUZZ_EXAMPLES=100000 pytest tests/fuzz``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols import sockjs

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))

characters = st.one_of(
    st.characters(),
    st.characters(),
    st.sampled_from(
        '"\\/%+&=<>\0\b\t\n\f\r\x1f\x7f\xff\u200c\u2028\u2029\u206f\ufeff\ufff0\uffff😀\ud83d\ude00'
    ),
)
texts = st.text(characters, max_size=20)

# Mostly lawful JSON, so that the decoders get somewhere; every part can also be anything.
pieces = st.one_of(
    texts.map(json.dumps),
    texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.integers(), texts),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
        max_leaves=5,
    ).map(json.dumps),
    st.sampled_from(
        [
            "",
            " ",
            "NaN",
            "-Infinity",
            "[",
            "]",
            "[]",
            "{",
            '"',
            "-",
            "1e",
            "1E5",
            "-0",
            "nul",
            "\\u",
            "٣",
            "1_0",
        ]
    ),
    texts,
)
spaces = st.sampled_from(["", "", "", " ", "\n", "\t \r", "\u00a0", "\ufeff"])
arrays = st.lists(st.tuples(spaces, pieces, spaces), max_size=5).map(
    lambda parts: "[" + ",".join(["".join(part) for part in parts]) + "]"
)
bodies = st.one_of(
    arrays,
    arrays,
    st.tuples(spaces, arrays, spaces).map("".join),
    st.tuples(arrays, texts).map("".join),
    arrays.map(json.dumps),
    pieces,
)


def strict(text: str) -> object:
    """What JSON.parse makes of it; raises ValueError."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    if text.startswith("\ufeff"):
        raise ValueError("a byte order mark")
    return json.loads(text, parse_constant=refuse)


def expect_messages(got: list[str], text: str) -> None:
    """They are the elements of the array, or their JSON."""
    value = strict(text)
    elements = value if isinstance(value, list) else [value]
    assert len(got) == len(elements)
    for message, element in zip(got, elements, strict=True):
        if isinstance(element, str):
            assert message == element
        else:
            assert json.loads(message) == element
            assert message == message.strip(" \t\r\n")


Outcome = tuple[list[str], RemoteProtocolError | None]


def outcome(decode: Callable[..., list[str]], data: str | bytes, **options: bool) -> Outcome:
    """The messages, or the one error that there may be."""
    try:
        return decode(data, **options), None
    except RemoteProtocolError as error:
        return [], error


@settings(max_examples=EXAMPLES)
@given(bodies)
@example("[1,[2 ],{ } ]")
@example(' [ "]" , [ "]" ] ] ')
def test_any_message_of_a_websocket(text: str) -> None:
    got, error = outcome(sockjs.decode_frame, text)
    if error is not None:
        assert (error.reason, error.close_code) == (sockjs.BROKEN_FRAMING, 3000)
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser calls it
            strict(text)
    elif text:
        expect_messages(got, text)
    else:
        assert got == []


@settings(max_examples=EXAMPLES)
@given(bodies, st.booleans())
def test_any_body(text: str, nested: bool) -> None:
    got, error = outcome(sockjs.decode_body, text.encode("utf-8", "surrogatepass"), nested=nested)
    if error is not None:
        assert error.status == 500
        assert error.reason in (sockjs.BROKEN_JSON, sockjs.PAYLOAD_EXPECTED)
        return
    value = strict(text)
    assert isinstance(value, list) or (nested and isinstance(value, str))
    expect_messages(got, value if isinstance(value, str) else text)


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=60))
@example(b"d=%")
@example(b"d=\\x41")
@example(b'd=["\\\\u0041%22%5d')
def test_any_bytes(body: bytes) -> None:
    for decode in (sockjs.decode_body, sockjs.decode_form):
        got, error = outcome(decode, body)
        assert error is None or error.status == 500
        assert all(type(message) is str for message in got)


@settings(max_examples=EXAMPLES)
@given(bodies, st.sets(st.sampled_from(" \"[]{}\\,:'abcé%")))
def test_forms_are_what_is_in_them(text: str, safe: set[str]) -> None:
    """However much of it a client has escaped."""
    try:
        escaped = quote(text, safe="".join(safe - {"%", "é"}))
    except UnicodeEncodeError:
        return
    plain, error = outcome(sockjs.decode_body, text.encode())
    form, form_error = outcome(sockjs.decode_form, f"i=0&d={escaped}&e=1".encode())
    assert plain == form
    assert str(error) == str(form_error)


@settings(max_examples=EXAMPLES)
@given(st.lists(texts, min_size=1, max_size=5), texts, st.integers(0, 9999))
def test_whatever_is_sent_is_read_again(messages: list[str], reason: str, code: int) -> None:
    frames = [sockjs.array_frame(map(sockjs.quote, messages)), sockjs.close_frame(code, reason)]
    expected = [messages, [code, reason]]
    for frame, value in zip(frames, expected, strict=True):
        framed = {
            "xhr": sockjs.XHR.encode(frame).removesuffix(b"\n"),
            "eventsource": sockjs.EVENTSOURCE.encode(frame)[6:-4].replace(b"%25", b"%"),
            "htmlfile": json.loads(sockjs.htmlfile("c").encode(frame)[11:-14]).encode(),
            "jsonp": json.loads(sockjs.jsonp("c").encode(frame)[6:-4]).encode(),
        }
        for transport, body in framed.items():
            assert b"\n" not in body, transport
            assert pairs(json.loads(body[1:])) == pairs(value), transport


def pairs(value: object) -> str:
    """Two texts are the same to JavaScript when their UTF-16 units are: two surrogates are a character."""
    return json.dumps(value)
