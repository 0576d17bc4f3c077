"""Socket.IO 0.9 on the wire, row by row as socket.io 0.9.19 does it, on every kind of server; where ours does
it otherwise, the docstring of `primus_gevent.transformers.socketio` says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.support.client import BINARY, CONTINUATION, PING, PONG, TEXT, close, frame
from tests.support.hosts import Server, leaves_nothing, serve
from tests.support.socketio import JSONP_BODY, PLAIN, PRELUDE, UNKNOWN, SocketIO, socketio_server

HOSTS = ["own", "own-tls", "pywsgi", "gunicorn"]
ORIGIN = {"Origin": "http://page.example"}
INTERVAL, TIMEOUT = 0.3, 0.5
QUICK = {
    "heartbeat_interval": INTERVAL,
    "heartbeat_timeout": TIMEOUT,
    "close_timeout": 0.6,
    "polling_duration": 0.3,
    "handshake_lifetime": 0.5,
}


@pytest.fixture(scope="module", params=HOSTS)
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with socketio_server(request.param, max_length=100_000) as server:
        yield server


@pytest.fixture
def server(any_server: Server) -> Iterator[Server]:
    with leaves_nothing(any_server):
        yield any_server


@pytest.fixture(scope="module", params=HOSTS)
def any_quick_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with socketio_server(request.param, transport=QUICK, session_timeout=None) as server:
        yield server


@pytest.fixture
def quick(any_quick_server: Server) -> Iterator[Server]:
    """With short times."""
    with leaves_nothing(any_quick_server):
        yield any_quick_server


# -- URLs and handshake


@pytest.mark.parametrize(
    ("path", "method", "status", "body"),
    [
        ("", "GET", 200, b"Welcome to socket.io."),
        ("/", "GET", 200, b"Welcome to socket.io."),
        ("/2/", "GET", 500, b"Protocol version not supported."),
        ("/0/websocket/x", "POST", 500, b"Protocol version not supported."),
        ("/elsewhere", "GET", 404, b"Not Found"),
        ("/1/flashsocket/x", "GET", 400, b"Transport not supported"),
        ("/1//x", "GET", 400, b"Transport not supported"),
        ("/1/xhr-polling/x", "PUT", 405, b""),
        ("/1/", "DELETE", 405, b""),
        ("/1/", "OPTIONS", 200, b""),
        ("/1/xhr-polling/x", "OPTIONS", 200, b""),
    ],
)
def test_addresses(server: Server, path: str, method: str, status: int, body: bytes) -> None:
    response, data = server.request("/primus" + path, method=method)
    assert (response.status, data) == (status, body)


def test_plain_request_to_the_websocket(server: Server) -> None:
    assert server.request("/primus/1/websocket/x")[0].status == 426


@pytest.mark.parametrize("path", ["/1", "/1/", "/1/xhr-polling", "/1/xhr-polling/", "/1//"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_handshake(server: Server, path: str, method: str) -> None:
    response, body = server.request(f"/primus{path}?t=1", ORIGIN, method=method)
    assert response.status == 200
    assert response.getheader("Content-Type") == "text/plain"
    assert response.getheader("Access-Control-Allow-Origin") == ORIGIN["Origin"]
    assert response.getheader("Access-Control-Allow-Credentials") == "true"
    pattern = r"[\w-]{20,}:60:60:websocket,htmlfile,xhr-polling,jsonp-polling"
    assert re.fullmatch(pattern, body.decode())


def test_handshake_by_jsonp(server: Server) -> None:
    response, body = server.request("/primus/1/?jsonp=12&t=1")
    assert response.getheader("Content-Type") == "application/javascript"
    found = JSONP_BODY.fullmatch(body.decode())
    assert found is not None
    assert found[1] == "12"
    session = SocketIO(server)
    session.sid = json.loads(found[2]).split(":")[0]
    session.open().close()
    assert re.match(rb"[\w-]+:60:", server.request("/primus/1/?jsonp=alert(1)")[1])


def test_spark_is_of_the_handshake(server: Server) -> None:
    headers = {"X-Mine": "handshake"}
    session = SocketIO(server, "info", query={"foo": "bar"}, headers=headers).shake_hands()
    assert server.state()["sparks"] == 0
    session.headers = {"X-Mine": "transport"}
    told = session.open().recv_message()
    assert told["id"] == session.sid
    assert told["query"] == {"service": "info", "foo": "bar", "t": "1400000000000"}
    assert told["headers"]["x-mine"] == "handshake"
    assert told["ip"] == "127.0.0.1"
    assert told["socket"] == "xhr-polling"
    session.close()


@pytest.mark.parametrize("transport", ["xhr-polling", "jsonp-polling", "htmlfile"])
def test_unknown_session(server: Server, transport: str) -> None:
    response, body = server.request(f"/primus/1/{transport}/nobody?i=3")
    assert response.status == 200
    expected = {
        "xhr-polling": UNKNOWN.encode(),
        "jsonp-polling": b'io.j[3]("7:::1+0");',
        "htmlfile": PRELUDE + b'<script>_("7:::1+0");</script>',
    }
    assert body == expected[transport]
    assert server.request(f"/primus/1/{transport}/nobody", method="POST", body=b"3:::x")[1] == b"1"
    assert server.request(f"/primus/1/{transport}/nobody?disconnect")[0].status == 200


def test_unknown_session_over_websocket(server: Server) -> None:
    session = SocketIO(server)
    session.sid = "nobody"
    session.socket = server.client().upgrade(session.path("websocket"))
    assert session.recv_packet() == UNKNOWN
    session.expect_close()


def test_thousand_handshakes_are_gone_after_their_time(quick: Server) -> None:
    sids = []
    with quick.client() as client:
        for _ in range(1000):
            response = client.request("/primus/1/")
            sids.append(response.body.decode().split(":")[0])
    assert len(set(sids)) == 1000
    quick.wait_state(handshakes=0, sparks=0, sessions=0)
    for sid in sids[::100]:
        assert quick.request(f"/primus/1/xhr-polling/{sid}")[1] == UNKNOWN.encode()


# -- polling


def test_polling(server: Server) -> None:
    session = SocketIO(server, headers=ORIGIN).open()
    assert session.response is not None
    headers = session.response.headers
    assert headers["content-type"] == PLAIN
    assert headers["content-length"] == "3"
    assert headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert headers["access-control-allow-credentials"] == "true"
    response = session.post_response('3:::"a"')
    assert (response.status, response.body) == (200, b"1")
    assert response.headers["x-xss-protection"] == "0"
    assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert session.poll() == ['3:::"a"']
    session.send("é€", "😀", {"a": [1]})
    assert session.poll() == ['3:::"é€"', '3:::"😀"', '3:::{"a":[1]}']
    held = session.send_poll()
    assert held.quiet(0.05)
    session.send("now")
    assert session.recv_poll() == ['3:::"now"']
    session.close()


def test_poll_is_answered_after_its_time(quick: Server) -> None:
    session = SocketIO(quick).open()
    assert session.poll() == ["8::"]
    assert session.poll() == ["8::"]
    session.post("2::")  # nobody has asked
    session.send(1)
    assert session.poll() == ["3:::1"]
    session.close()


def test_jsonp(server: Server) -> None:
    session = SocketIO(server, transport="jsonp-polling").shake_hands()
    assert session.poll(i="7") == ["1::"]
    assert session.response is not None
    assert session.response.body == b'io.j[7]("1::");'
    assert session.response.headers["content-type"] == "text/javascript; charset=UTF-8"
    assert session.response.headers["x-xss-protection"] == "0"
    assert session.response.headers["x-content-type-options"] == "nosniff"
    session.send('a"\n\u2028', "😀")
    session.send_poll(i="x")
    response = session.recv_poll_response()
    assert response.body.startswith(b"io.j[0](")
    assert b"\xe2\x80\xa8" not in response.body
    for broken in (b"", b"d=", b"d=3:::x", b"d=%22", b"d=5", b"x=1", b"d=%5B%22%22%5D"):
        session.post(raw=broken)
    session.send("on")
    assert session.recv_message() == "on"
    session.close()


def test_bodies_that_are_none(server: Server) -> None:
    session = SocketIO(server).open()
    for body in ("", "x", "9::", "3", "\ufffd", "\ufffdx\ufffd3:::1", "\ufffd3:::1", "5:::{", "4:::{"):
        session.post(raw=body.encode())
    session.post(raw=b"\xff\xfe")
    session.post(raw="\ufffd99\ufffd3:::1".encode())  # longer than there is
    assert session.recv_message() == 1
    session.close()


def test_body_that_is_too_large(server: Server) -> None:
    session = SocketIO(server).open()
    assert session.post_response(raw=b"3:::" + b"x" * 500_000).status == 413
    session.send("on")
    assert session.recv_message() == "on"
    session.close()


def test_message_that_is_too_large(server: Server) -> None:
    session = SocketIO(server).open()
    session.post("3:::" + "x" * 100_001)
    assert session.poll() == ["0::"]
    session.expect_unknown()
    session.drop()
    session = SocketIO(server).open_websocket()
    session.send_packet("3:::" + "x" * 100_001)
    assert session.recv_packet() == "0::"
    session.expect_close(1009)


def test_second_poll_takes_over(server: Server) -> None:
    session = SocketIO(server).open()
    first = session.send_poll()
    session.getting = None
    session.send_poll()
    assert first.recv_response().body == b"8::"
    session.send("for the second")
    assert session.recv_poll() == ['3:::"for the second"']
    first.sock.close()
    session.close()


def test_poll_that_is_hung_up(server: Server) -> None:
    session = SocketIO(server).open()
    session.send_poll()
    session.cut_poll()
    session.send("kept")
    assert session.poll() == ['3:::"kept"']
    session.close()


def test_post_before_any_poll(server: Server) -> None:
    session = SocketIO(server).shake_hands()
    session.send("early")
    assert session.poll() == ["1::", '3:::"early"']
    session.close()


def test_client_that_stays_away(quick: Server) -> None:
    session = SocketIO(quick).open()
    quick.wait_state(sparks=0, sessions=0, objects=0)
    session.expect_unknown()
    assert session.post_response("3:::1").body == b"1"
    session.drop()


# -- htmlfile


def test_htmlfile(server: Server) -> None:
    session = SocketIO(server, headers=ORIGIN)
    stream = session.stream()
    headers = stream.response.headers
    assert headers["content-type"] == "text/html; charset=UTF-8"
    assert headers["transfer-encoding"] == "chunked"
    assert stream.chunk() == PRELUDE
    assert stream.chunk() == b'<script>_("1::");</script>'
    session.send("/a")
    assert stream.chunk() == b'<script>_("3:::\\"\\/a\\"");</script>'
    session.send("</script><!--")
    assert b"<!--" not in stream.chunk()
    session.post("0::")
    assert stream.chunk() == b'<script>_("0::");</script>'
    stream.expect_end()
    session.drop()


def test_htmlfile_that_is_hung_up(server: Server) -> None:
    session = SocketIO(server)
    stream = session.stream()
    stream.chunk()
    stream.chunk()
    session.cut_poll()
    server.wait_state(sparks=0, sessions=0, objects=0)


# -- WebSocket


def test_websocket(server: Server) -> None:
    session = SocketIO(server).open_websocket()
    session.send("é€", "😀")
    assert [session.recv_packet(), session.recv_packet()] == ['3:::"é€"', '3:::"😀"']
    assert session.socket is not None
    session.socket.send(frame(BINARY, b'3:::"ignored"'))
    session.socket.send(frame(TEXT, b'3:::"in ', fin=False) + frame(CONTINUATION, b'pieces"'))
    assert session.recv_packet() == '3:::"in pieces"'
    session.send_packet("", "x", "9::", "8::", "1::", "6:::1", "7:::1+0", "\ufffd", '3:::"on"')
    assert session.recv_packet() == '3:::"on"'
    session.close()


def test_websocket_keeps_to_its_rfc(server: Server) -> None:
    session = SocketIO(server).open_websocket()
    assert session.socket is not None
    for payload in (b"hello", b""):
        session.socket.send(frame(PONG, b"nobody asked") + frame(PING, payload))
        received = session.socket.recv_frame()
        assert (received.opcode, received.payload) == (PONG, payload)
    session.socket.send(close(1000))
    session.socket.expect_close(1000)
    session.socket.expect_eof()


def test_message_with_the_websocket_handshake(server: Server) -> None:
    session = SocketIO(server).open_websocket(early=frame(TEXT, b'3:::"early"'))
    assert session.recv_packet() == '3:::"early"'
    session.close()


def test_websocket_to_another_transport(server: Server) -> None:
    with server.client() as client:
        assert client.handshake("/primus/1/xhr-polling/x").status == 400
        client.expect_eof()


# -- packets


def both(server: Server, service: str = "echo") -> list[SocketIO]:
    return [SocketIO(server, service).open(), SocketIO(server, service).open_websocket()]


def give(session: SocketIO, *packets: str) -> None:
    if session.socket is not None:
        session.send_packet(*packets)
    else:
        session.post(*packets)


def test_acknowledgements(server: Server) -> None:
    for session in both(server):
        give(session, '3:1::"a"', '3:2+::"b"', "4:3::[1]", '5:4::{"name":"x"}', "2:5::", '3:6:/chat:"c"')
        received = [session.recv() for _ in range(7)]
        acks = [packet for packet in received if packet[0] == "6"]
        assert acks == ["6:::1", "6:::3", "6:::4", "6::/chat:6"]
        assert [packet for packet in received if packet[0] != "6"] == ['3:::"a"', '3:::"b"', "3:::[1]"]
        session.close()


def test_values(server: Server) -> None:
    """JSON packets, and events called ``message``, are messages."""
    for session in both(server):
        give(
            session,
            '4:::{"a":[null,1.5]}',
            '4:::"5"',  # text, which is decoded like any other
            '5:::{"name":"message","args":[{"b":2},3]}',
            '5:::{"name":"other","args":[1]}',
            '5:::{"name":"message"}',
            "4:::{bad",
            '3::/chat:"elsewhere"',
            "1::/chat",
            "0::/chat",
            "3:::9",
        )
        assert [session.recv_message() for _ in range(4)] == [{"a": [None, 1.5]}, 5, {"b": 2}, 9]
        session.close()


def test_bytes_of_our_own_clients(server: Server) -> None:
    for session in both(server, "binary"):
        give(session, "3:::primus::binary::AAEC/w==")
        assert session.recv() == "3:::primus::binary::AAEC/w=="
        session.close()


def test_pings_of_primus(server: Server) -> None:
    for session in both(server):
        session.send("primus::ping::1400000000000")
        assert session.recv_message() == "primus::pong::1400000000000"
        session.close()


def test_broadcast(server: Server) -> None:
    sessions = [*both(server, "idle"), SocketIO(server, "broadcast").open_websocket()]
    sessions[-1].send("to all é")
    for session in sessions:
        assert session.recv_message() == "to all é"
        session.close()


# -- heartbeats


def test_heartbeats(quick: Server) -> None:
    session = SocketIO(quick)
    stream = session.stream()
    stream.chunk()
    stream.chunk()
    for _ in range(3):
        assert stream.chunk() == b'<script>_("2::");</script>'
        session.post("2::")
    session.post("0::")
    stream.rest()
    session.drop()
    session = SocketIO(quick).open_websocket()
    for _ in range(3):
        assert session.recv_packet() == "2::"
        session.send_packet("2::")
    session.close()


def test_client_that_answers_no_heartbeat(quick: Server) -> None:
    session = SocketIO(quick).open_websocket()
    assert session.recv_packet() == "2::"
    session.send("a message is no answer")
    assert session.recv().startswith("3:::")
    assert session.recv_packet() == "0::"
    session.expect_close()
    session = SocketIO(quick)
    stream = session.stream()
    expected = [PRELUDE, *[f'<script>_("{packet}::");</script>'.encode() for packet in "120"]]
    assert [stream.chunk() for _ in range(4)] == expected
    stream.expect_end()
    session.drop()


# -- the end


def test_client_disconnects_by_packet(server: Server) -> None:
    session = SocketIO(server).open()
    session.send_poll()
    session.post("0::")
    assert session.recv_poll() == ["0::"]
    session.expect_unknown()
    session.drop()
    session = SocketIO(server).open()
    session.post("0::")
    session.expect_unknown()
    session.drop()
    SocketIO(server).open_websocket().close()


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_client_disconnects_by_request(server: Server, method: str) -> None:
    polling = SocketIO(server).open()
    polling.send_poll()
    socket = SocketIO(server).open_websocket()
    unused = SocketIO(server).shake_hands()
    for session, path in ((polling, "xhr-polling"), (socket, "websocket"), (unused, "")):
        response, body = server.request(f"/primus/1/{path}/{session.sid}/?disconnect=1", method=method)
        assert (response.status, body) == (200, b"")
    assert polling.recv_poll() == ["0::"]
    assert socket.recv_packet() == "0::"
    socket.expect_close()
    for session in (polling, unused):
        session.expect_unknown()
        session.drop()


def test_server_ends(server: Server) -> None:
    expected = ['3:::"bye"', '3:::"primus::server::close"', "0::"]
    session = SocketIO(server, "end-when-told").open_websocket()
    session.send("end")
    assert [session.recv_packet() for _ in range(3)] == expected
    session.expect_close()
    session = SocketIO(server, "end-when-told").open()
    session.send_poll()
    session.send("end")
    assert session.recv_poll() == expected
    session.expect_unknown()
    session.drop()
    session = SocketIO(server, "end-when-told").open()
    session.send("reconnect")  # between polls: nothing is lost
    assert session.poll() == ['3:::"bye"', "0::"]
    session.expect_unknown()
    session.drop()


def test_server_aborts(server: Server) -> None:
    session = SocketIO(server, "abort").open()
    session.send_poll()
    session.send("x")
    assert session.recv_poll() == [UNKNOWN]
    session.drop()
    session = SocketIO(server, "abort").open_websocket()
    session.send("x")
    assert session.socket is not None
    session.socket.expect_eof()


@pytest.mark.parametrize("code", [1012, 1013, 1011, 3001])
def test_close_codes_that_old_clients_know(server: Server, code: int) -> None:
    session = SocketIO(server, "close-code").open_websocket()
    session.send(code)
    assert session.recv_packet() == "0::"
    session.expect_close(1000 if code in (1012, 1013) else code)


# -- another transport for the same session


def test_client_that_gives_up_its_websocket(server: Server) -> None:
    """It waits for ``1::`` wherever it goes, until it has said something."""
    session = SocketIO(server).open_websocket()
    swallowed = session.socket
    assert swallowed is not None
    session.socket = None
    session.open()
    session.send("by polling")
    assert session.recv_message() == "by polling"
    swallowed.expect_close()
    swallowed.sock.close()
    session.transport = "jsonp-polling"
    session.send_poll()
    session.send("by script")
    assert session.recv_poll() == ['3:::"by script"']
    session.close()


@pytest.mark.parametrize("polled", [1, 2])
def test_client_that_goes_over_to_a_websocket(server: Server, polled: int) -> None:
    """It has seen the answer to its first poll only if it has polled again."""
    session = SocketIO(server).open()
    if polled == 1:
        session.open_websocket()
    else:
        held = session.send_poll()
        session.socket = server.client().upgrade(session.path("websocket"))
        assert held.recv_response().body == b"8::"
    session.send("over there")
    assert session.recv_packet() == '3:::"over there"'
    session.close()


def test_websocket_that_takes_the_place_of_another(server: Server) -> None:
    session = SocketIO(server).open_websocket()
    first = session.socket
    assert first is not None
    session.send("one")
    assert session.recv_message() == "one"
    session.socket = server.client().upgrade(session.path("websocket"))
    first.expect_close()
    session.send("two")
    assert session.recv_message() == "two"
    session.close()
    first.sock.close()


# -- back-pressure


def test_nobody_reads_what_is_posted(server: Server) -> None:
    session = SocketIO(server, "deaf").open()
    session.send(*range(1200))
    session.send_post("3:::-1")
    assert session.send_poll().quiet(0.2)
    server.control("go")
    assert session.recv_post().status == 200
    session.send("last")
    assert session.recv_poll() == ["3:::1202"]
    session.close()


# -- limits and origins


def bare_server(transport: dict[str, Any], **options: Any) -> AbstractContextManager[Server]:
    return serve("own", transformer="socket.io", transport=transport, close_timeout=0.4, **options)


def test_origins() -> None:
    options: dict[str, Any] = {"origins": "http://page.example"}
    with socketio_server("own", **options) as server:
        assert server.request("/primus/1/", {"Origin": "http://evil.example"})[0].status == 403
        response, body = server.request("/primus/1/?jsonp=3", {"Referer": "http://evil.example/x"})
        assert (response.status, body) == (200, b'io.j[3](new Error("handshake bad origin"));')
        assert server.request("/primus/1/?jsonp=3", {"Referer": "http://page.example/x"})[1][:7] == b"io.j[3]"
        session = SocketIO(server).shake_hands()
        for transport in ("jsonp-polling", "htmlfile"):
            assert server.request(session.path(transport))[0].status == 403
        with server.client() as client:
            path = session.path("websocket")
            assert client.handshake(path, {"Origin": "http://evil.example"}).status == 403
        session.headers = ORIGIN
        session.open().close()


def test_transports_and_heartbeats_that_are_turned_off() -> None:
    options = {"transports": ["xhr-polling"], "heartbeats": False, "close_timeout": 6.5}
    with bare_server(options) as server:
        session = SocketIO(server).open()
        assert session.answer[1:] == ["2000000", "7", "xhr-polling"]
        assert server.request(session.path("jsonp-polling"))[0].status == 400
        with server.client() as client:
            assert client.handshake(session.path("websocket")).status == 400
        session.close()


def test_handshakes_over_the_limit() -> None:
    """The oldest ones go; connections over the limit are refused."""
    with bare_server({"max_handshakes": 3}, max_connections=1) as server:
        sessions = [SocketIO(server).shake_hands() for _ in range(4)]
        sessions[0].expect_unknown()
        sessions[1].open()
        assert server.request("/primus/1/")[0].status == 503
        assert server.request(sessions[2].path())[0].status == 503
        with server.client() as client:
            assert client.handshake(sessions[3].path("websocket")).status == 503
        with server.client() as client:
            # who is in already takes no room by moving
            assert client.handshake(sessions[1].path("websocket")).status == 101
        sessions[2].open().close()
