"""The sessions of Engine.IO over real sockets: every revision, both transports, and all that may go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engine import Engine, engine_server, expect_error
from tests.support.hosts import Server, leaves_nothing

REVISIONS: Any = pytest.mark.parametrize(
    "kind",
    [
        pytest.param({"revision": 4}, id="4"),
        pytest.param({"revision": 3}, id="3"),
        pytest.param({"revision": 3, "base64": True}, id="3-base64"),
        pytest.param({"revision": 2}, id="2"),
        pytest.param({"revision": 4, "base64": True, "jsonp": "0"}, id="4-jsonp"),
        pytest.param({"revision": 3, "base64": True, "jsonp": "12x"}, id="3-jsonp"),
    ],
)


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with engine_server("own") as server:
        yield server


@pytest.fixture
def server(own_server: Server) -> Iterator[Server]:
    with leaves_nothing(own_server):
        yield own_server


# -- polling


@REVISIONS
def test_echo_over_polling(server: Server, kind: dict[str, Any]) -> None:
    session = Engine(server, **kind).open()
    messages = ["text", "", 0, None, [1, [2]], {"a": 'quote " backslash \\n line\nend \x1e'}]
    for message in messages:
        session.send(message)
        assert session.recv_message() == message
    session.send(*messages)
    assert [session.recv_message() for _ in messages] == messages
    session.close()


@pytest.mark.parametrize("revision", [3, 4])
def test_binary_and_text_over_polling(server: Server, revision: int) -> None:
    session = Engine(server, "binary", revision).open()
    session.post('4"ü€😀"', b"\x00\x01\xff\x04", '4"text"', binary=revision == 3)
    expected = ['4"ü€😀"', b"\x00\x01\xff\x04", '4"text"']
    assert [session.recv() for _ in expected] == expected
    session.close()


def test_largest_message(server: Server) -> None:
    session = Engine(server).open()
    message = "x" * ((1 << 20) - 2)
    session.send(message)
    assert session.recv_message() == message
    session.send(message + "x")
    assert session.recv() == "1"
    expect_error(session.poll_response(), 1)


@pytest.mark.parametrize(
    ("query", "method", "code"),
    [
        ("", "GET", 0),
        ("EIO=4&transport=abc", "GET", 0),
        ("EIO=4&transport=polling&sid=nobody", "GET", 1),
        ("EIO=4&transport=polling&sid=nobody", "POST", 1),
        ("EIO=4&transport=websocket&sid=nobody", "GET", 1),
        ("EIO=4&transport=polling", "POST", 2),
        ("EIO=4&transport=polling", "PUT", 2),
        ("EIO=4&transport=websocket", "GET", 3),
        ("EIO=abc&transport=polling", "GET", 5),
        ("EIO=5&transport=polling", "GET", 5),
    ],
)
def test_refused_requests(server: Server, query: str, method: str, code: int) -> None:
    with server.client() as client:
        for _ in range(2):
            expect_error(client.request("/primus/?" + query, method=method), code)


def test_transport_of_the_session(server: Server) -> None:
    session = Engine(server).open_websocket()
    expect_error(Engine.poll_response(session), 3)
    plain = Engine(server).open()
    with server.client() as client:
        expect_error(client.request(plain.path("websocket")), 3)
    plain.close()
    session.close()


# -- overlaps, and clients that leave


# -- WebSocket


@REVISIONS
def test_echo_over_websocket(server: Server, kind: dict[str, Any]) -> None:
    if "jsonp" in kind:
        pytest.skip("JSONP is polling")
    session = Engine(server, **kind).open_websocket()
    for message in ["text", "", 0, {"ü€😀": "\x1e"}]:
        session.send(message)
        assert session.recv_message() == message
    session.close()


@pytest.mark.parametrize("kind", [{"revision": 3}, {"revision": 4}, {"revision": 3, "base64": True}])
def test_binary_over_websocket(server: Server, kind: dict[str, Any]) -> None:
    session = Engine(server, "binary", **kind).open_websocket()
    session.send_frame(b"\x00\x01\xff\x04", '4"text"')
    assert [session.recv_frame(), session.recv_frame()] == [b"\x00\x01\xff\x04", '4"text"']
    session.close()


def test_frame_that_is_no_packet(server: Server) -> None:
    session = Engine(server).open_websocket()
    session.send_frame('4"first"', "abc", '4"never"')
    assert session.recv_message() == "first"
    session.expect_close()


def test_close_packet_over_websocket(server: Server) -> None:
    session = Engine(server).open_websocket()
    session.send_frame('4"first"', "1")
    assert session.recv_message() == "first"
    session.expect_close()


def test_message_over_the_limit(server: Server) -> None:
    session = Engine(server).open_websocket()
    session.send("x" * (1 << 20))
    session.expect_close(1009)


# -- upgrade


@REVISIONS
def test_upgrade(server: Server, kind: dict[str, Any]) -> None:
    session = Engine(server, **kind).open()
    session.send("polled")
    assert session.recv_message() == "polled"
    session.upgrade()
    for message in ("upgraded", "ü€😀"):
        session.send(message)
        assert session.recv_message() == message
    session.close()


def test_a_poll_that_is_held_at_the_upgrade(server: Server) -> None:
    session = Engine(server).open()
    session.probe()
    session.send_poll()
    server.request("/")  # so that it is there
    session.send_frame("5")
    assert session.recv_poll() == ["6"]
    session.close()


def test_frames_behind_the_upgrade_packet(server: Server) -> None:
    session = Engine(server).open().probe()
    session.send_frame("5", '4"one"', '4"two"')
    assert [session.recv_message(), session.recv_message()] == ["one", "two"]
    session.close()


@pytest.mark.parametrize("first", ['4"x"', "5", "abc", "2"])
def test_wrong_probe(server: Server, first: str) -> None:
    """Its WebSocket is closed, and the session goes on with polling."""
    session = Engine(server).open()
    socket = server.client().upgrade(session.path("websocket"))
    session.socket = socket
    session.send_frame(first)
    session.expect_close()
    session.socket = None
    session.send("polled")
    assert session.recv_message() == "polled"
    session.upgrade()
    session.close()


def test_second_probe(server: Server) -> None:
    session = Engine(server).open().probe()
    with server.client() as second:
        second.upgrade(session.path("websocket"))
        second.expect_close()
        second.fin()
        second.expect_eof()
    session.send_frame("5")
    session.send("x")
    assert session.recv_message() == "x"
    with server.client() as third:
        third.upgrade(session.path("websocket"))
        third.expect_close()
        third.fin()
        third.expect_eof()
    session.close()


# -- the end


def test_end_while_no_poll_waits(server: Server) -> None:
    session = Engine(server, "end-when-told").open()
    session.post('4"end"')
    server.wait_state(sparks=0)
    assert session.poll() == ['4"bye"', '4"primus::server::close"', "1"]
    expect_error(session.poll_response(), 1)


def test_goodbye_that_nobody_fetches(server: Server) -> None:
    session = Engine(server, "end-data").open()
    server.wait_state(sparks=0)
    server.wait_state(sparks=0, sessions=0, objects=0)
    expect_error(session.poll_response(), 1)


def test_abort(server: Server) -> None:
    session = Engine(server, "abort").open()
    session.send_poll()
    session.post('4"now"')
    assert session.recv_poll() == ["6"]
    expect_error(session.poll_response(), 1)


@pytest.mark.parametrize("body", [b"abc", b"", b'4"x"\x1e', b"\xff\xfe"])
def test_body_that_is_no_payload(server: Server, body: bytes) -> None:
    """The session ends; the answer is the same, as in the original."""
    session = Engine(server).open()
    session.send_poll()
    session.post(raw=body)
    assert session.recv_poll()[-1] == "1"
    expect_error(session.poll_response(), 1)


# -- back-pressure
