"""SockJS's frames, quoting and documents, against vectors of the original (server 0.3.24, client 1.6.1)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent_encode
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols import sockjs
from primus_gevent.protocols.sockjs import Framing

VECTORS: dict[str, list[dict[str, str]]] = json.loads(
    (Path(__file__).parent / "vectors" / "sockjs-frames.json").read_text(encoding="utf-8")
)
MESSAGES = ["a", 'é"\u2028']  # of the vectors with two messages

texts = st.text(
    st.one_of(st.characters(), st.sampled_from('"\\%<\r\n\0\x7f\u200c\u2028\ufeff\uffff😀\ud83d\ude00\ud800'))
)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def units(text: str) -> list[int]:
    """The UTF-16 units of a text: what JavaScript compares."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def code_point(text: str) -> int:
    return int(text.removeprefix("U+"), 16)


def ranges(name: str) -> list[tuple[int, int, str]]:
    return [(code_point(r["from"]), code_point(r["to"]), r["style"]) for r in VECTORS[name]]


# -- quoting


@pytest.mark.parametrize("vector", VECTORS["quote"], ids=lambda v: repr(v["message"]))
def test_message_is_quoted_as_the_original_quotes_it(vector: dict[str, str]) -> None:
    packet = sockjs.quote(vector["message"])
    assert packet == vector["server"]
    assert packet.encode().hex() == vector["server_hex"]
    assert sockjs.decode_frame(f"[{vector['client']}]") == [vector["message"]]
    assert sockjs.decode_frame(vector["client"]) == [vector["message"]]


def test_every_unit_is_quoted_as_the_original_quotes_it() -> None:
    escaped = {
        code: style for first, last, style in ranges("server_quote_ranges") for code in range(first, last + 1)
    }
    for code in range(0x10000):
        packet = sockjs.quote(chr(code))
        style = escaped.get(code, "")
        if "lower case hex" in style:
            assert packet == f'"\\u{code:04x}"'
        elif style == "short escape":
            assert len(packet) == 4
            assert packet[1] == "\\"
        else:
            assert packet == f'"{chr(code)}"'


def test_every_character_that_a_client_escapes_is_read() -> None:
    codes = [code for first, last, _ in ranges("client_quote_ranges") for code in range(first, last + 1)]
    text = "".join(map(chr, codes))
    body = '["' + "".join(f"\\u{code:04x}" for code in codes) + '"]'
    assert units(sockjs.decode_body(body.encode())[0]) == units(text)


@given(st.lists(texts, min_size=1))
def test_what_is_quoted_can_be_read_by_any_json_parser(messages: list[str]) -> None:
    frame = sockjs.array_frame(map(sockjs.quote, messages))
    wire = frame.encode()  # whatever is in the messages, also where they have no UTF-8
    assert wire[:1] == b"a"
    assert [units(message) for message in json.loads(wire[1:])] == [units(message) for message in messages]


@given(texts)
def test_nothing_that_browsers_change_is_left(message: str) -> None:
    packet = sockjs.quote(message)
    raw = [code for code in units(packet) if code > 0x7F]
    unsafe = [(first, last) for first, last, _ in ranges("server_quote_ranges")]
    assert not any(first <= code <= last for code in raw for first, last in unsafe)
    assert all(ord(character) > 0x1F for character in packet)


# -- frames


def test_close_frame() -> None:
    assert sockjs.close_frame(3000, "Go away!") == 'c[3000,"Go away!"]'
    assert sockjs.close_frame(1000, 'é"\u2028\n\ud800😀') == 'c[1000,"é\\"\u2028\\n\\ud800😀"]'


@given(st.integers(0, 9999), texts)
def test_reason_of_a_close_frame_can_be_read(code: int, reason: str) -> None:
    wire = sockjs.close_frame(code, reason).encode()
    assert wire[:1] == b"c"
    read = json.loads(wire[1:])
    assert (read[0], units(read[1])) == (code, units(reason))


def bodies(framing: Framing) -> dict[str, bytes]:
    """What each frame, or sequence of frames, of the vectors is on that transport."""
    packets = [sockjs.quote(message) for message in MESSAGES]
    away = sockjs.close_frame(3000, "Go away!")
    if not framing.streams:
        return {
            "o": framing.encode(sockjs.OPEN),
            "a with two messages (streams: one frame per write)": framing.encode(sockjs.array_frame(packets)),
            "c": framing.encode(away),
            "h": framing.encode(sockjs.HEARTBEAT),
        }
    begin = framing.prelude + framing.encode(sockjs.OPEN)
    return {
        "prelude, o, a with two messages (streams: one frame per write)": begin
        + b"".join(framing.encode(sockjs.array_frame([packet])) for packet in packets),
        "prelude, o, c": begin + framing.encode(away),
    }


FRAMINGS = {
    "xhr": sockjs.XHR,
    "jsonp (c=cb)": sockjs.jsonp("cb"),
    "xhr_streaming": sockjs.XHR_STREAMING,
    "eventsource": sockjs.EVENTSOURCE,
    "htmlfile (c=cb)": sockjs.htmlfile("cb"),
}


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda v: f"{v['transport']}: {v['frame']}")
def test_body_is_the_original_s(vector: dict[str, str]) -> None:
    framing = FRAMINGS[vector["transport"]]
    assert bodies(framing)[vector["frame"]].hex() == vector["body_hex"]


def test_every_transport_has_vectors() -> None:
    assert {vector["transport"] for vector in VECTORS["frames"]} == set(FRAMINGS)


@pytest.mark.parametrize("callback", ["c", "_jp.abcdef", "x" * 500])
def test_page_of_htmlfile_has_the_length_of_the_original_s(callback: str) -> None:
    framing = sockjs.htmlfile(callback)
    assert len(framing.prelude) == 1027 + len(callback)
    assert f"parent.{callback};".encode() in framing.prelude
    assert framing.prelude.endswith(b" \r\n\r\n")


@given(texts)
def test_no_message_ends_the_script_that_carries_it(message: str) -> None:
    frame = sockjs.array_frame([sockjs.quote(message)])
    body = sockjs.htmlfile("c").encode(frame).decode()
    head, tail = "<script>\np(", ");\n</script>\r\n"
    assert body.startswith(head)
    assert body.endswith(tail)
    literal = body[len(head) : -len(tail)]
    assert "<" not in literal
    assert json.loads(literal) == frame


@given(texts)
def test_jsonp_carries_any_frame(reason: str) -> None:
    frame = sockjs.close_frame(3000, reason)
    body = sockjs.jsonp("_jp.a").encode(frame).decode()
    assert body.startswith("/**/_jp.a(")
    assert body.endswith(");\r\n")
    assert not {"\u2028", "\u2029"} & set(body)
    assert json.loads(body[len("/**/_jp.a(") : -len(");\r\n")]) == frame


@given(texts)
def test_eventsource_keeps_every_frame_in_one_line(message: str) -> None:
    frame = sockjs.array_frame([sockjs.quote(message)])
    body = sockjs.EVENTSOURCE.encode(frame)
    assert body[:6] == b"data: "
    assert body.endswith(b"\r\n\r\n")
    line = body[6:-4]
    assert not {0, 10, 13} & set(line)
    assert line.decode().replace("%25", "%") == frame
    assert line.count(b"%") == line.count(b"%25")


# -- what clients send


@given(st.lists(texts))
def test_messages_of_a_client_are_read(messages: list[str]) -> None:
    escaped = json.dumps(messages)
    assert [units(m) for m in sockjs.decode_body(escaped.encode())] == [units(m) for m in messages]
    assert [units(m) for m in sockjs.decode_frame(escaped)] == [units(m) for m in messages]
    for form in (quote_plus(escaped), percent_encode(escaped)):
        assert [units(m) for m in sockjs.decode_form(f"d={form}".encode())] == [units(m) for m in messages]


def reason_of(decode: Any, data: str | bytes, **options: Any) -> tuple[str, int, int]:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data, **options)
    return caught.value.reason, caught.value.status, caught.value.close_code


BROKEN = [
    '["x',
    "x",
    "[",
    "]",
    "['x']",
    '["x",]',
    '["x"]]',
    '["x"] y',
    " ",
    "[NaN]",
    "[Infinity]",
    "[-Infinity]",
    '["\n"]',
    '["\\x"]',
    '["\\u12"]',
    "[01]",
    "[1.]",
    "[+1]",
    '\ufeff["x"]',
    "[٣]",
    "[" * 100_000,
    '{"a":' * 100_000,
    "[" * 100_000 + "]" * 100_000,
]


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: repr(text[:12]))
def test_broken_json(text: str) -> None:
    assert reason_of(sockjs.decode_body, text.encode())[:2] == (sockjs.BROKEN_JSON, 500)
    assert reason_of(sockjs.decode_body, text.encode(), nested=True)[:2] == (sockjs.BROKEN_JSON, 500)
    assert reason_of(sockjs.decode_body, json.dumps(text).encode(), nested=True)[0] == sockjs.BROKEN_JSON
    form = b"d=" + quote_plus(text).encode()
    assert reason_of(sockjs.decode_form, form)[:2] == (sockjs.BROKEN_JSON, 500)
    assert reason_of(sockjs.decode_frame, text)[::2] == (sockjs.BROKEN_FRAMING, 3000)


def test_body_that_is_no_utf8() -> None:
    for body in (b'["\xff"]', b'["\xed\xa0\x80"]', b'["\xc0\x80"]'):
        assert reason_of(sockjs.decode_body, body)[0] == sockjs.BROKEN_JSON
        assert reason_of(sockjs.decode_form, b"d=" + body)[0] == sockjs.BROKEN_JSON
        assert reason_of(sockjs.decode_form, b"d=" + percent_encode(body).encode())[0] == sockjs.BROKEN_JSON


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b"7", b"true", b'"x"', b' {"a": ["b"]} '])
def test_body_that_is_no_array(body: bytes) -> None:
    assert reason_of(sockjs.decode_body, body)[:2] == (sockjs.PAYLOAD_EXPECTED, 500)
    assert reason_of(sockjs.decode_form, b"d=" + body)[:2] == (sockjs.PAYLOAD_EXPECTED, 500)


@pytest.mark.parametrize("body", [b"", b"d", b"d=", b"p=p", b'["x"]', b"D=[]", b"&&", b'dd=["x"]'])
def test_form_without_its_field(body: bytes) -> None:
    assert reason_of(sockjs.decode_form, body)[:2] == (sockjs.PAYLOAD_EXPECTED, 500)


def test_form() -> None:
    assert sockjs.decode_form(b"i=1&d=%5B%22a+b%2B%22%5D&d=no") == ["a b+"]
    assert sockjs.decode_form(b'd=["%C3%A9"]') == ["é"]
    assert sockjs.decode_form(b"d=[]") == []
    assert sockjs.decode_form(b"&" * 63 + b"d=[]") == []
    assert reason_of(sockjs.decode_form, b"&" * 64 + b"d=[]&d=[]")[0] == sockjs.BROKEN_JSON
    assert reason_of(sockjs.decode_form, b"&" * 65 + b"d=[]")[0] == sockjs.PAYLOAD_EXPECTED


def test_percent_sign_that_stands_alone() -> None:
    for body in (b'd=["%"]', b'd=["%2"]', b'd=["%zz"]', b"d=%", b'd=["%u0041"]'):
        assert reason_of(sockjs.decode_form, body)[0] == sockjs.BROKEN_JSON
    assert sockjs.decode_form(b'd=["\\\\x41 %5c%5C \\u0041"]') == ["\\x41 \\ A"]


def test_bodies_that_take_long_elsewhere() -> None:
    """Decoded in C: in Python each of these takes seconds."""
    for value in (b"%" * 9_000_000, b"%2" * 4_000_000, b"%22a" * 2_000_000):
        assert reason_of(sockjs.decode_form, b"d=" + value)[0] == sockjs.BROKEN_JSON
    assert reason_of(sockjs.decode_form, b"&" * 9_000_000)[0] == sockjs.PAYLOAD_EXPECTED


def test_too_many_messages() -> None:
    most = "[" + ",".join(['""'] * sockjs.MAX_MESSAGES) + "]"
    assert len(sockjs.decode_frame(most)) == sockjs.MAX_MESSAGES
    more = most[:-1] + ",[]]"
    assert reason_of(sockjs.decode_frame, more)[2] == 1009
    assert reason_of(sockjs.decode_body, more.encode())[1] == 413


def test_text_body_of_jsonp_send() -> None:
    """Percent signs stay; a JSON string is parsed once more, but not twice."""
    assert sockjs.decode_body(b'["%61bc%20d"]', nested=True) == ["%61bc%20d"]
    assert sockjs.decode_body(b'"[\\"x\\"]"', nested=True) == ["x"]
    twice = json.dumps(json.dumps('["x"]')).encode()
    assert reason_of(sockjs.decode_body, twice, nested=True)[0] == sockjs.PAYLOAD_EXPECTED
    assert reason_of(sockjs.decode_body, b'"[\\"x\\"]"')[0] == sockjs.PAYLOAD_EXPECTED


def test_element_that_is_no_string() -> None:
    text = ' [ "a" , 1.50, {"b" : [2, "]"]},null ,[ ], "c\\n",1e999,true] '
    spelled = ["a", "1.50", '{"b" : [2, "]"]}', "null", "[ ]", "c\n", "1e999", "true"]
    assert sockjs.decode_frame(text) == spelled
    assert sockjs.decode_body(text.encode()) == spelled
    assert sockjs.decode_body(json.dumps(text).encode(), nested=True) == spelled


@given(sent=st.lists(values, max_size=5))
def test_elements_keep_their_values(sent: list[Any]) -> None:
    messages = sockjs.decode_frame(json.dumps(sent))
    assert [m if isinstance(v, str) else json.loads(m) for m, v in zip(messages, sent, strict=True)] == sent


def test_long_number_takes_no_time() -> None:
    digits = "9" * 1_000_000  # which Python would need minutes to convert, or refuse
    assert sockjs.decode_frame(f"[{digits}]") == [digits]


def test_single_value_in_a_websocket_message() -> None:
    assert sockjs.decode_frame('"a"') == ["a"]
    assert sockjs.decode_frame(" 7\n") == ["7"]
    assert sockjs.decode_frame('{"a": 1}') == ['{"a": 1}']
    assert sockjs.decode_frame("null") == ["null"]
    assert sockjs.decode_frame("") == []
    assert sockjs.decode_frame("[]") == []


def test_broken_anywhere() -> None:
    """Every beginning of a valid message is an error, and the same one."""
    text = '["a\\u00e9", 1, {"b": null}]'
    for end in range(1, len(text)):
        assert reason_of(sockjs.decode_frame, text[:end])[0] == sockjs.BROKEN_FRAMING
        assert reason_of(sockjs.decode_body, text[:end].encode())[0] == sockjs.BROKEN_JSON
        assert reason_of(sockjs.decode_form, b"d=" + text[:end].encode())[0] == sockjs.BROKEN_JSON


# -- documents


@pytest.mark.parametrize(
    ("callback", "short", "error"),
    [
        (None, False, '"callback" parameter required'),
        ("callback", True, ""),
        ("_jp.a0-Z", True, ""),
        ("", True, ""),
        ("x" * 32, True, ""),
        ("x" * 33, True, 'invalid "callback" parameter'),
        ("x" * 33, False, ""),
        (" ", False, 'invalid "callback" parameter'),
        ("*", False, 'invalid "callback" parameter'),
        ("abc(", False, 'invalid "callback" parameter'),
        ("a\n", False, 'invalid "callback" parameter'),
        ("é", False, 'invalid "callback" parameter'),
    ],
)
def test_callback(callback: str | None, short: bool, error: str) -> None:
    assert sockjs.callback_error(callback, short=short) == error


def test_info_document() -> None:
    known = {"websocket": True, "cookie_needed": False, "entropy": 920108116}
    document = b'{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":920108116}'
    assert sockjs.info_document(**known) == document
    assert sockjs.info_document(**known, resume=True) == document[:-1] + b',"resume":true}'


def test_iframe_page() -> None:
    page, etag = sockjs.iframe_page("https://cdn.example/sockjs.js?a=1&b=2")
    assert b'<script src="https://cdn.example/sockjs.js?a=1&amp;b=2"></script>' in page
    assert b"SockJS.bootstrap_iframe();" in page
    assert page.startswith(b"<!DOCTYPE html>\n")
    assert etag == f'"{hashlib.md5(page).hexdigest()}"'
    other, other_etag = sockjs.iframe_page('"><script>')
    assert b'"><script>' not in other
    assert other_etag != etag


def test_chunking_test() -> None:
    assert [piece for _, piece in sockjs.CHUNKING_TEST] == [b"h\n", b" " * 2048 + b"h\n"] + [b"h\n"] * 5
    assert [seconds for seconds, _ in sockjs.CHUNKING_TEST] == [0, 0.001, 0.005, 0.025, 0.125, 0.625, 3.125]
