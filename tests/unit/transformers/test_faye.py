"""The `faye` transformer: that it is `websockets` but for who reads, and what it says where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from primus_gevent import Primus, transformers
from primus_gevent.errors import OptionError
from primus_gevent.transformers.faye import Faye
from primus_gevent.transformers.websockets import WebSockets
from primus_gevent.transports.gevent_websocket import GeventWebSocketTransport
from tests.unit.hub import eventually
from tests.unit.protocols.wire import build
from tests.unit.transformers import test_websockets
from tests.unit.transformers.test_websockets import ask

host = test_websockets.host  # a fixture


def faye(**options: Any) -> Primus:
    return Primus(transformer="faye", **options)


def test_it_is_found_by_name() -> None:
    assert transformers.load("faye") is Faye
    assert faye().spec["transformer"] == "faye"


def test_a_connection_is_read_by_gevent_websocket(host: Any) -> None:
    given = host(early=build(1, b'"early"'))
    got: list[Any] = []
    primus = faye()
    primus.on("connection", lambda spark: spark.on("data", got.append))
    ask(primus)
    assert given.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert type(next(iter(primus)).socket) is GeventWebSocketTransport
    assert next(iter(primus)).socket.name == "websocket"
    given.peer.send(build(1, b'"later"'))
    eventually(lambda: got == ["early", "later"])
    primus.write({"to": "all"})
    assert given.peer.receive(1) == ['{"to":"all"}']
    given.peer.sock.close()
    eventually(lambda: not primus._open_sockets)


@pytest.mark.parametrize("detached", [True, False])
@pytest.mark.parametrize(("why", "code"), [("origin", 1008), ("room", 1013)])
def test_who_has_its_101_already_is_refused_with_a_close_frame(
    why: str, code: int, detached: bool, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_websockets, "Primus", faye)
    test_websockets.test_who_has_its_101_already_is_refused_with_a_close_frame(why, code, detached, host)


def test_the_limits_of_the_options_arrive(host: Any) -> None:
    given = host()
    primus = faye(max_length=10, max_fragments=2, write_buffer=400, write_timeout=3, close_timeout=4)
    ask(primus)
    transport = next(iter(primus)).socket
    limits = transport._limits
    assert (limits.high, limits.low, limits.write_timeout, limits.close_timeout) == (400, 100, 3, 4)
    given.peer.send(build(1, b"1", fin=False) + build(0, b"1", fin=False) + build(0, b"1"))
    assert [event.code for event in given.peer.receive_all()] == [1008]
    given.peer.sock.close()
    given = host()
    ask(primus)
    given.peer.send(build(1, b"x" * 11))
    assert [event.code for event in given.peer.receive_all()] == [1009]


def test_it_does_not_compress_and_says_so(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    given = host()
    primus = faye(compression=True)
    assert "does not compress" in caplog.text
    ask(primus, HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate")
    assert "Sec-WebSocket-Extensions" not in given.headers


def test_it_has_no_options_of_its_own() -> None:
    with pytest.raises(OptionError, match="has none"):
        faye(transport={"a": 1})


def test_of_two_for_the_same_wire_the_first_has_it(host: Any) -> None:
    for names, kind in ((("websockets", "faye"), WebSockets), (("faye", "websockets"), Faye)):
        host()
        primus = Primus(transformer=names)
        ask(primus)
        transport = next(iter(primus)).socket
        assert (type(transport) is GeventWebSocketTransport) is (kind is Faye)
