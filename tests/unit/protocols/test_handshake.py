from __future__ import annotations

from typing import Any

import pytest

from primus_gevent.errors import HandshakeError, RemoteProtocolError
from primus_gevent.protocols.deflate import DeflateOptions
from primus_gevent.protocols.handshake import ClientHandshake, ServerHandshake, accept_key, parse_extensions

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE = [("Upgrade", "websocket"), ("Connection", "Upgrade")]


def request(**changes: Any) -> dict[str, Any]:
    """The environ of a good request; None takes a key away."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.com",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
    }
    environ.update(changes)
    return {name: value for name, value in environ.items() if value is not None}


def test_the_answer_of_the_rfc() -> None:
    assert accept_key(KEY) == ACCEPT
    handshake = ServerHandshake.parse(request())
    assert handshake.key == KEY
    assert handshake.deflate is None
    assert handshake.subprotocols == ()
    assert handshake.response_headers() == [*UPGRADE, ("Sec-WebSocket-Accept", ACCEPT)]


@pytest.mark.parametrize(
    "changes",
    [
        {"HTTP_UPGRADE": "WebSocket"},
        {"HTTP_UPGRADE": "h2c, websocket"},
        {"HTTP_CONNECTION": "keep-alive, Upgrade"},  # Firefox
        {"HTTP_CONNECTION": "keep-alive,UPGRADE"},
        {"HTTP_CONNECTION": ", upgrade ,"},
        {"HTTP_SEC_WEBSOCKET_VERSION": " 13 "},
        {"HTTP_SEC_WEBSOCKET_KEY": f" {KEY} "},
        {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "x-unknown; a=1; b"},
    ],
)
def test_other_spellings_of_a_good_request(changes: dict[str, str]) -> None:
    assert ServerHandshake.parse(request(**changes)).response_headers()[2] == ("Sec-WebSocket-Accept", ACCEPT)


@pytest.mark.parametrize(
    ("changes", "status", "headers"),
    [
        ({"REQUEST_METHOD": "POST"}, 405, [("Allow", "GET")]),
        ({"REQUEST_METHOD": "HEAD"}, 405, [("Allow", "GET")]),
        ({"REQUEST_METHOD": None}, 405, [("Allow", "GET")]),
        ({"HTTP_UPGRADE": None}, 426, UPGRADE),
        ({"HTTP_UPGRADE": "h2c"}, 426, UPGRADE),
        ({"HTTP_UPGRADE": "websockets"}, 426, UPGRADE),
        ({"HTTP_UPGRADE": None, "HTTP_CONNECTION": None}, 426, UPGRADE),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, 400, []),
        ({"SERVER_PROTOCOL": "HTTP/2"}, 400, []),
        ({"SERVER_PROTOCOL": None}, 400, []),
        ({"HTTP_CONNECTION": None}, 400, []),
        ({"HTTP_CONNECTION": "keep-alive"}, 400, []),
        ({"HTTP_CONNECTION": "not-upgrade"}, 400, []),
        ({"CONTENT_LENGTH": "5"}, 400, []),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_VERSION": None}, 426, [*UPGRADE, ("Sec-WebSocket-Version", "13")]),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, 426, [*UPGRADE, ("Sec-WebSocket-Version", "13")]),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "13, 8"}, 426, [*UPGRADE, ("Sec-WebSocket-Version", "13")]),
        ({"HTTP_SEC_WEBSOCKET_KEY": None}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_KEY": ""}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_KEY": "not base64!"}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ"}, 400, []),  # no padding
        ({"HTTP_SEC_WEBSOCKET_KEY": "AAAA"}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_KEY": "A" * 24}, 400, []),  # 18 bytes
        ({"HTTP_SEC_WEBSOCKET_KEY": f"{KEY},{KEY}"}, 400, []),  # the header came twice
        ({"HTTP_SEC_WEBSOCKET_KEY": "d\xe9" * 12}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "chat, two words"}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "a\r\nb"}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_EXTENSIONS": "a; b=c d"}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_EXTENSIONS": "a=b"}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_EXTENSIONS": 'a; b="c, d"'}, 400, []),
        ({"HTTP_SEC_WEBSOCKET_EXTENSIONS": "a;;b"}, 400, []),
    ],
)
def test_refusals(changes: dict[str, Any], status: int, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(HandshakeError) as caught:
        ServerHandshake.parse(request(**changes))
    assert isinstance(caught.value, RemoteProtocolError)
    assert (caught.value.status, caught.value.headers) == (status, headers)
    assert caught.value.reason


def test_every_reason_names_what_is_wrong() -> None:
    for changes, words in (
        ({"HTTP_CONNECTION": None}, "Connection"),
        ({"HTTP_SEC_WEBSOCKET_KEY": None}, "Sec-WebSocket-Key"),
        ({"HTTP_SEC_WEBSOCKET_VERSION": None}, "version 13"),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, "HTTP/1.1"),
        ({"HTTP_SEC_WEBSOCKET_EXTENSIONS": "a=b"}, "Sec-WebSocket-Extensions"),
    ):
        with pytest.raises(HandshakeError, match=words):
            ServerHandshake.parse(request(**changes))


def test_subprotocols_are_offered_but_not_chosen() -> None:
    handshake = ServerHandshake.parse(request(HTTP_SEC_WEBSOCKET_PROTOCOL="chat.v2 ,chat.v1"))
    assert handshake.subprotocols == ("chat.v2", "chat.v1")
    assert "Sec-WebSocket-Protocol" not in dict(handshake.response_headers())
    assert dict(handshake.response_headers("chat.v1"))["Sec-WebSocket-Protocol"] == "chat.v1"


def test_compression_only_when_both_want_it() -> None:
    offer = {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "x-other, permessage-deflate; server_max_window_bits=10"}
    refused = ServerHandshake.parse(request(**offer))
    assert refused.deflate is None
    assert "Sec-WebSocket-Extensions" not in dict(refused.response_headers())
    assert ServerHandshake.parse(request(), compression=True).deflate is None
    options = DeflateOptions(level=1, threshold=7)
    accepted = ServerHandshake.parse(request(**offer), compression=options)
    assert accepted.deflate is not None
    assert accepted.deflate.options is options
    assert accepted.deflate.send_window_bits == 10
    extensions = dict(accepted.response_headers())["Sec-WebSocket-Extensions"]
    assert extensions == "permessage-deflate; server_max_window_bits=10"
    default = ServerHandshake.parse(request(**offer), compression=True)
    assert default.deflate is not None
    assert default.deflate.options == DeflateOptions()
    assert repr(default) == "<ServerHandshake permessage-deflate; server_max_window_bits=10, offered []>"


def test_an_offer_that_cannot_be_taken_leaves_a_plain_connection() -> None:
    offer = {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate; server_max_window_bits=8"}
    assert ServerHandshake.parse(request(**offer), compression=True).deflate is None


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("", []),
        (" , ,", []),
        ("a", [("a", [])]),
        ("a,b ; c", [("a", []), ("b", [("c", None)])]),
        ('a; b=1;c="2" ; d', [("a", [("b", "1"), ("c", "2"), ("d", None)])]),
    ],
)
def test_extensions_are_read(value: str, parsed: Any) -> None:
    assert parse_extensions(value) == parsed


@pytest.mark.parametrize(
    "value", ["a b", "a;", ";", "a; =1", "a; b=", 'a; b="', 'a; b=""', "a; b=c=d", "ä", "a; b=\x00"]
)
def test_extensions_that_cannot_be_read(value: str) -> None:
    with pytest.raises(ValueError, match="not an extension"):
        parse_extensions(value)


def test_a_long_list_of_extensions_is_read_in_linear_time() -> None:
    # Nested repetition in the pattern would never come back from this.
    for value in ("a" * 60_000 + "\x00", "a" + "; b=c" * 10_000 + "\x00", " \t" * 30_000 + "a b"):
        with pytest.raises(ValueError, match="not an extension"):
            parse_extensions(value)


# --- the client ---


def environ_of(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers}


def test_a_request_that_our_server_accepts_and_an_answer_that_our_client_accepts() -> None:
    client = ClientHandshake(compression=True, subprotocols=["one", "two"])
    environ = request(**environ_of(client.request_headers()))
    server = ServerHandshake.parse(environ, compression=True)
    assert server.key == client.key != ClientHandshake().key
    assert server.subprotocols == ("one", "two")
    client.check(101, server.response_headers("two"))
    assert client.subprotocol == "two"
    assert client.deflate is not None
    assert server.deflate is not None
    assert client.deflate.send_window_bits == server.deflate.receive_window_bits


def test_the_plain_request() -> None:
    client = ClientHandshake(key=KEY)
    assert client.request_headers() == [*UPGRADE, ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")]
    client.check(
        101,
        [("upgrade", "WebSocket"), ("CONNECTION", "keep-alive, upgrade"), ("sec-websocket-accept", ACCEPT)],
    )
    assert (client.subprotocol, client.deflate) == (None, None)


def test_an_offer_of_ones_own() -> None:
    offer = "permessage-deflate; client_max_window_bits=10"
    options = DeflateOptions(threshold=1)
    client = ClientHandshake(compression=options, offer=offer, key=KEY)
    assert dict(client.request_headers())["Sec-WebSocket-Extensions"] == offer
    client.check(101, [*UPGRADE, ("Sec-WebSocket-Accept", ACCEPT), ("Sec-WebSocket-Extensions", offer)])
    assert client.deflate is not None
    assert client.deflate.options is options
    assert client.deflate.send_window_bits == 10


GOOD = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        (200, {}, "answered 200"),
        (403, {}, "answered 403"),
        (101, {"Upgrade": None}, "does not upgrade"),
        (101, {"Upgrade": "h2c"}, "does not upgrade"),
        (101, {"Connection": None}, "Connection"),
        (101, {"Connection": "close"}, "Connection"),
        (101, {"Sec-WebSocket-Accept": None}, "Accept"),
        (101, {"Sec-WebSocket-Accept": accept_key("A" * 24)}, "Accept"),
        (101, {"Sec-WebSocket-Protocol": "three"}, "subprotocol"),
        (101, {"Sec-WebSocket-Protocol": "one, two"}, "subprotocol"),
        (101, {"Sec-WebSocket-Extensions": "x-other"}, "not offered"),
        (101, {"Sec-WebSocket-Extensions": "permessage-deflate, permessage-deflate"}, "not offered"),
        (101, {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=16"}, "parameters"),
        (101, {"Sec-WebSocket-Extensions": "a=b"}, "not an extension"),
    ],
)
def test_answers_that_a_client_refuses(status: int, changes: dict[str, str | None], words: str) -> None:
    client = ClientHandshake(key=KEY, compression=True, subprotocols=["one", "two"])
    headers = {**GOOD, **changes}
    with pytest.raises(HandshakeError, match=words) as caught:
        client.check(status, [(name, value) for name, value in headers.items() if value is not None])
    assert caught.value.status == status
    assert client.deflate is None


def test_compression_that_was_not_offered_is_refused() -> None:
    headers = [*GOOD.items(), ("Sec-WebSocket-Extensions", "permessage-deflate")]
    with pytest.raises(HandshakeError, match="not offered"):
        ClientHandshake(key=KEY).check(101, headers)
