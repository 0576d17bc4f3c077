"""Any request: a refusal with a reason, or an answer that a WebSocket client accepts. Never an exception."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primus_gevent import Primus
from primus_gevent.errors import HandshakeError
from primus_gevent.protocols.handshake import ServerHandshake, accept_key
from primus_gevent.request import RequestRecord
from tests.unit.fakes import ENVIRON

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    **ENVIRON,
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": KEY,
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}

# As WSGI has them: one character is one byte.
values = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.sampled_from(
        [
            "",
            "websocket",
            "WebSocket, h2c",
            "keep-alive, Upgrade",
            "close",
            "13",
            "13, 8",
            "8",
            " 13 ",
            KEY,
            KEY[:-1],
            KEY + "=",
            "AAAA",
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=8; client_no_context_takeover, permessage-deflate",
            "permessage-deflate; server_max_window_bits=7",
            'x; a="b"; c',
            "; ;,,",
            "a, b",
            "GET",
            "HTTP/1.1",
            "HTTP/1.0",
            "HTTP/2",
            "http://evil.example",
            "null",
            "\x00",
            ", " * 300,
        ]
    ),
)
names = st.sampled_from(
    [
        "REQUEST_METHOD",
        "SERVER_PROTOCOL",
        "QUERY_STRING",
        "HTTP_HOST",
        "HTTP_UPGRADE",
        "HTTP_CONNECTION",
        "HTTP_SEC_WEBSOCKET_KEY",
        "HTTP_SEC_WEBSOCKET_VERSION",
        "HTTP_SEC_WEBSOCKET_EXTENSIONS",
        "HTTP_SEC_WEBSOCKET_PROTOCOL",
        "HTTP_ORIGIN",
        "HTTP_TRANSFER_ENCODING",
        "CONTENT_LENGTH",
        "HTTP_X_FORWARDED_FOR",
    ]
)
changes = st.dictionaries(names, st.one_of(values, values, st.none()), max_size=4)


def changed(change: dict[str, str | None], **more: str) -> dict[str, Any]:
    environ: dict[str, Any] = {**GOOD, **change, **more}
    return {name: value for name, value in environ.items() if value is not None}


@settings(max_examples=EXAMPLES)
@given(change=changes, compression=st.booleans())
def test_a_request_is_refused_with_a_reason_or_answered(
    change: dict[str, str | None], compression: bool
) -> None:
    environ = changed(change)
    try:
        handshake = ServerHandshake.parse(environ, compression=compression)
        refusal = None
    except HandshakeError as error:
        refusal = error
    if refusal is not None:
        assert refusal.status in (400, 405, 426)
        assert refusal.reason
        return
    headers = dict(handshake.response_headers())
    assert headers["Sec-WebSocket-Accept"] == accept_key(environ["HTTP_SEC_WEBSOCKET_KEY"].strip(" \t"))
    assert headers["Upgrade"] == "websocket"
    assert "Sec-WebSocket-Protocol" not in headers
    assert ("Sec-WebSocket-Extensions" in headers) is (handshake.deflate is not None)
    assert compression or handshake.deflate is None
    assert not any(c in value for value in headers.values() for c in "\r\n")


@settings(max_examples=EXAMPLES)
@given(change=changes, path=st.text(st.characters(max_codepoint=255), max_size=20))
def test_the_whole_stack_answers_every_request(change: dict[str, str | None], path: str) -> None:
    primus = Primus(origins=["http://good.example", "self"], compression=True)
    answer: list[Any] = []
    body = b"".join(primus(changed(change, PATH_INFO="/primus/" + path), lambda *args: answer.append(args)))
    (status, headers, *_), *others = answer
    assert others == []
    # There is no socket here, so a good request ends as 501.
    assert status.split()[0] in ("200", "400", "403", "405", "426", "501")
    assert dict(headers)["Content-Length"] == str(len(body)) or changed(change)["REQUEST_METHOD"] == "HEAD"
    assert all("\r" not in value and "\n" not in value for _, value in headers)
    assert b"Traceback" not in body


@settings(max_examples=EXAMPLES)
@given(change=changes, path=st.text(st.characters(max_codepoint=255), max_size=20))
def test_a_spark_can_tell_of_any_request(change: dict[str, str | None], path: str) -> None:
    environ = changed(change, PATH_INFO=path)
    record = RequestRecord(environ)
    assert record.address(None).ip
    assert record.address([]).ip == "10.0.0.1"
    assert isinstance(record.query(), dict)
    assert record.headers().get("Sec-WebSocket-Key") is not None or change["HTTP_SEC_WEBSOCKET_KEY"] is None
    request = record.request()
    assert request.environ["PATH_INFO"] == path
    assert isinstance(request.query, dict)
