"""SockJS over real sockets, on every host: what depends on the server that the connections come from.

Everything else is in `test_sockjs_sessions`, on one host.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.support.client import Frame
from tests.support.hosts import HOSTS, Server, leaves_nothing, serve, wait_until
from tests.support.sockjs import (
    NOT_FOUND,
    PRELUDE,
    SockJS,
    html_frames,
    jsonp_frame,
    messages_of,
    sockjs_server,
    sse_frames,
)

BIG = 3_000_000  # bytes of several messages, which no kernel takes at once


ALL_HOSTS = [name for name, kind in HOSTS.items() if not kind.variant]


@pytest.fixture(scope="module", params=ALL_HOSTS)
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with sockjs_server(request.param) as server:
        yield server


@pytest.fixture
def server(any_server: Server) -> Iterator[Server]:
    """A server of each host."""
    with leaves_nothing(any_server):
        yield any_server


def test_answers_leave_at_once(server: Server) -> None:
    """Not 40 ms later, with the acknowledgement of the packet before; connections are kept."""
    session = SockJS(server).open()
    connection = session.getting
    seconds = []
    for number in range(25):
        started = time.monotonic()
        session.send(str(number))
        assert messages_of(session.poll()) == [str(number)]
        seconds.append(time.monotonic() - started)
    assert min(seconds[5:]) < 0.035  # the others may wait for a busy machine
    assert session.getting is connection
    session.drop()


@pytest.mark.parametrize("transport", ["xhr_streaming", "eventsource", "htmlfile"])
def test_streams(server: Server, transport: str) -> None:
    """Each message leaves when it was written, and in order."""
    session = SockJS(server)
    stream = session.stream(transport, c="callback")
    stream.chunk()
    frames = {
        "xhr_streaming": lambda chunk: chunk.decode().splitlines(),
        "eventsource": sse_frames,
        "htmlfile": html_frames,
    }[transport]
    assert frames(stream.chunk()) == ["o"]
    for number in range(25):
        session.send(str(number), "50%\n</script>")
        chunks = b""
        while not (read := frames(chunks)) or sum(len(messages_of(text)) for text in read) < 2:
            chunks += stream.chunk()
        assert [message for text in read for message in messages_of(text)] == [str(number), "50%\n</script>"]
    session.drop()


def test_jsonp(server: Server) -> None:
    session = SockJS(server)
    assert jsonp_frame(session.poll_response("jsonp", c="callback").body) == "o"
    form = "application/x-www-form-urlencoded"
    assert session.post("d=%5B%22x+%C3%BC%22%5D", "jsonp_send", form).body == b"ok"
    assert messages_of(jsonp_frame(session.poll_response("jsonp", c="callback").body)) == ["x ü"]
    session.drop()


def test_websocket(server: Server) -> None:
    session = SockJS(server).open_websocket()
    session.send_text('["a","ü€😀\\ud800"]')
    assert session.recv_messages() == ["a"]
    assert session.recv_messages() == ["ü€😀\ud800"]
    session.send_text("[")
    assert session.socket is not None
    goodbye = session.socket.expect_close(3000)
    assert goodbye.reason == "Broken framing."
    session.drop()


def test_raw_websocket(server: Server) -> None:
    client = server.client().upgrade("/primus/websocket?service=echo")
    client.send_message({"a": [1]})
    assert client.recv_message() == {"a": [1]}
    client.close_properly()


def test_upgrade_that_is_for_nobody(server: Server) -> None:
    """A server that has sent its 101 already can only say it in a Close frame."""
    with server.client() as client:
        response = client.handshake("/primus/a/b/xhr")
        if server.kind.upgraded:
            assert response.status == 101
            frame: Frame = client.expect_close(1008)
            assert frame.reason.startswith("404")
            client.fin()
        else:
            assert (response.status, response.body) == (404, NOT_FOUND)
        client.expect_eof()


def test_a_poll_that_is_cut_off(server: Server) -> None:
    """It is seen at once, and ends the session; the next request begins a new one."""
    session = SockJS(server, "idle").open()
    held = session.send_poll()
    assert held.quiet(0.05)
    session.cut_poll()
    assert session.poll() == "o"
    session.drop()
    server.wait_state(sparks=0, sessions=0)


def test_a_stream_that_is_cut_off(server: Server) -> None:
    session = SockJS(server, "idle")
    stream = session.stream()
    assert [stream.chunk(), stream.chunk()] == [PRELUDE, b"o\n"]
    session.cut_poll()
    wait_until(lambda: server.state()["sparks"] == 0)


def test_recovery(server: Server) -> None:
    session = SockJS(server).open(seen="0")
    session.send("a", "b", first="0")
    session.send_poll(seen="0").reset()  # perhaps with the answer on its way
    session.getting = None
    session.send("a", "b", "c", first="0")
    assert messages_of(session.poll(seen="0")) == ["a", "b", "c"]
    assert messages_of(session.poll(seen="2")) == ["c"]
    session.end()
    server.wait_state(sparks=0, sessions=0)
    session.drop()


@pytest.mark.parametrize("host", ALL_HOSTS)
def test_large_answers(host: str) -> None:
    """To a client that reads slowly: polls of a megabyte each, and one stream."""
    # On a busy machine it may take long to come back.
    with sockjs_server(host, transport={"disconnect_delay": 30}) as server, leaves_nothing(server):
        read_large_answers(server)


def read_large_answers(server: Server) -> None:
    session = SockJS(server, "big", query={}).open()
    session.send(*["500000"] * (BIG // 500_000))
    size = 0
    while size < BIG:
        size += sum(len(json.loads(text)) for text in messages_of(session.poll()))
    assert size == BIG
    session.end()
    session = SockJS(server, "big")
    stream = session.stream()
    assert stream.chunk() == PRELUDE
    session.send(*["500000"] * (BIG // 500_000))
    size = 0
    while size < BIG:
        body = stream.rest().decode()
        for line in body.splitlines():
            if line[0] == "a":
                size += sum(len(json.loads(text)) for text in messages_of(line))
        if size < BIG:
            stream = session.stream()
            assert stream.chunk() == PRELUDE
    assert size == BIG
    session.end()


def test_broadcast(server: Server) -> None:
    """To every transport at once."""
    polling, streaming = SockJS(server, "broadcast").open(), SockJS(server, "broadcast")
    sockets = [SockJS(server, "broadcast").open_websocket() for _ in range(2)]
    raw = server.client().upgrade("/primus/websocket?service=broadcast")
    stream = streaming.stream()
    assert [stream.chunk(), stream.chunk()] == [PRELUDE, b"o\n"]
    server.wait_state(sparks=5)
    polling.send('"ü\\u2028"')
    assert json.loads(messages_of(stream.chunk().decode())[0]) == "ü\u2028"
    assert json.loads(messages_of(polling.poll())[0]) == "ü\u2028"
    for socket in sockets:
        assert json.loads(socket.recv_messages()[0]) == "ü\u2028"
    assert raw.recv_message() == "ü\u2028"
    for client in (polling, streaming, *sockets):
        client.drop()


def test_head_and_unknown_paths(server: Server) -> None:
    """Nothing of an answer without a body is taken for the beginning of the next one."""
    client = server.client()
    for path, method, status in (
        ("/primus/info", "HEAD", 405),
        ("/primus/info", "OPTIONS", 204),
        ("/primus/nowhere", "HEAD", 404),
        ("/primus/iframe.html", "GET", 200),
    ):
        assert client.request(path, method=method).status == status
    response = client.request("/primus/iframe.html")
    client.send_request("/primus/iframe.html", {"If-None-Match": response.headers["etag"]})
    assert client.recv_response().status == 304
    client.send_request("/primus/a/b/xhr_send", {"Content-Length": "3"}, method="POST", body=b"[1]")
    assert client.recv_response().body == NOT_FOUND
    assert client.request("/primus").body == b"Welcome to SockJS!\n"


# -- hosts that hide their connection


@pytest.mark.parametrize("host", ["pywsgi-hidden", "gunicorn-hidden"])
def test_behind_a_middleware(host: str) -> None:
    """Polling and streaming work; who hangs up is noticed when something is sent."""
    transport = {"heartbeat_delay": 0.3, "disconnect_delay": 0.5}
    with serve(host, transformer="sockjs", transport=transport, close_timeout=0.4) as server:
        session = SockJS(server).open()
        session.send("x")
        assert messages_of(session.poll()) == ["x"]
        session.drop()
        session = SockJS(server)
        stream = session.stream()
        assert [stream.chunk(), stream.chunk()] == [PRELUDE, b"o\n"]
        session.send("x")
        assert messages_of(stream.chunk().decode()) == ["x"]
        session.drop()
        server.wait_state(sparks=0, sessions=0, objects=0)


# -- origins


def test_origins() -> None:
    """Checked on every request, whatever header the origin is in."""
    good, evil = "http://good.example", "http://evil.example"
    with serve("own", transformer="sockjs", origins=[good], close_timeout=0.4) as server:
        for headers, status in (
            ({"Origin": evil}, 403),
            ({"Origin": good}, 101),
            ({"Sec-WebSocket-Version": "8", "Sec-WebSocket-Origin": evil}, 403),
            ({"Sec-WebSocket-Version": "8", "Sec-WebSocket-Origin": good}, 101),
        ):
            for path in (SockJS(server).path("websocket"), "/primus/websocket"):
                assert server.client().handshake(path, dict(headers)).status == status, headers
        for transport in ("xhr", "xhr_streaming", "eventsource"):
            assert SockJS(server, headers={"Origin": evil}).poll_response(transport).status == 403
        session = SockJS(server, headers={"Origin": good}).open()
        assert SockJS(server, key=session.key, headers={"Origin": evil}).post('["x"]').status == 403
        assert server.request("/primus/info", {"Origin": evil})[0].status == 403
        session.send("x")
        assert messages_of(session.poll()) == ["x"]
        session.drop()


# -- the end of the server


@pytest.mark.parametrize("host", ["own", "gunicorn"])
def test_destroy(host: str) -> None:
    """Everybody gets the goodbye, also those that come for it a little later."""
    with serve(host, transformer="sockjs", close_timeout=2.0) as server:
        held, late = SockJS(server, "idle").open(), SockJS(server, "idle").open()
        streaming, socket = SockJS(server, "idle"), SockJS(server, "idle").open_websocket()
        stream = streaming.stream()
        assert [stream.chunk(), stream.chunk()] == [PRELUDE, b"o\n"]
        held.send_poll()
        server.wait_state(sparks=4)
        asker = server.client()
        asker.send_request("/control/destroy", {"Content-Length": "0"}, method="POST")
        final, normal = 'a["\\"primus::server::close\\""]', 'c[1000,"Normal closure"]'
        assert held.recv_poll() == final
        assert held.poll() == normal
        assert [late.poll(), late.poll()] == [final, normal]
        assert stream.rest().decode().splitlines() == [final, normal]
        assert socket.socket is not None
        assert [socket.socket.recv_text(), socket.socket.recv_text()] == [final, normal]
        socket.socket.close_properly()
        assert asker.recv_response().status == 200
        assert late.poll_response().status == 404  # the wrapped application's
