"""Engine.IO over real sockets, on every host: what depends on the server that the connections come from.

Everything else is in `test_engineio_sessions`, on one host.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.engine import Engine, engine_server, error, expect_error
from tests.support.hosts import HOSTS, Server, leaves_nothing, wait_until

BIG = 12_000_000  # bytes that no kernel takes at once


@pytest.fixture(scope="module", params=[name for name, kind in HOSTS.items() if not kind.variant])
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with engine_server(request.param) as server:
        yield server


@pytest.fixture
def server(any_server: Server) -> Iterator[Server]:
    """A server of each host."""
    with leaves_nothing(any_server):
        yield any_server


# -- polling


def test_answers_leave_at_once(server: Server) -> None:
    """Not 40 ms later, with the acknowledgement of the packet before; connections are kept."""
    session = Engine(server).open()
    connection = session.getting
    seconds = []
    for number in range(25):
        started = time.monotonic()
        session.send(number)
        assert session.recv_message() == number
        seconds.append(time.monotonic() - started)
    assert min(seconds[5:]) < 0.035  # the others may wait for a busy machine
    assert session.getting is connection
    session.close()


def test_headers(server: Server) -> None:
    session = Engine(server, headers={"Origin": "http://page.example"}).open()
    response = session.response
    assert response is not None
    assert response.headers["content-type"] == "text/plain; charset=UTF-8"
    assert int(response.headers["content-length"]) == len(response.body)
    assert "no-store" in response.headers["cache-control"]
    assert response.headers["access-control-allow-origin"] == "http://page.example"
    assert "transfer-encoding" not in response.headers
    assert "set-cookie" not in response.headers
    answer = session.post_response('4"x"')
    assert answer.headers["content-length"] == "2"
    assert answer.headers["access-control-allow-credentials"] == "true"
    session.close()


def test_a_poll_waits_for_what_comes(server: Server) -> None:
    session = Engine(server, "count").open()
    held = session.send_poll()
    assert held.quiet(0.1)
    session.send(3)
    assert session.recv_poll() == ["40", "41", "42"]  # written together, so sent together
    session.close()


def test_body_without_length(server: Server) -> None:
    session = Engine(server).open()
    with server.client() as client:
        client.send_request(session.path(), {"Transfer-Encoding": "chunked"}, method="POST")
        for chunk in (b'4"in', b' pieces"\x1e4"', b'and more"'):
            client.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        client.send(b"0\r\n\r\n")
        assert client.recv_response().body == b"ok"
        assert [session.recv_message(), session.recv_message()] == ["in pieces", "and more"]
        # broken chunks are the client's fault, and the session goes on
        client.send_request(
            session.path(), {"Transfer-Encoding": "chunked"}, method="POST", body=b"zz\r\n4\r\n"
        )
        assert client.recv_response().status == 400
    session.send("still here")
    assert session.recv_message() == "still here"
    session.close()


def test_body_over_the_limit(server: Server) -> None:
    """Is refused before it is read, or at the limit; the session goes on."""
    session = Engine(server).open()
    limit = session.handshake["maxPayload"]
    chunk = b"%x\r\n" % (limit + 1) + b"x" * (limit + 1) + b"\r\n0\r\n\r\n"
    for headers, body in [
        ({"Content-Length": str(limit + 1)}, b""),
        ({"Content-Length": "9" * 15}, b""),
        ({"Transfer-Encoding": "chunked"}, chunk),
    ]:
        with server.client() as client:
            client.send_request(session.path(), headers, method="POST", body=body)
            response = client.recv_response()
            assert response.status == 413
            assert response.headers["connection"].lower() == "close"
            if not body:  # and nobody waits for one
                client.expect_eof()
    session.send("still here")
    assert session.recv_message() == "still here"
    session.close()


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_other_methods(server: Server, method: str) -> None:
    session = Engine(server).open()
    with server.client() as client:
        for path in (session.path(), "/primus/?EIO=4&transport=polling"):
            response = client.request(path, method=method)
            assert response.status == 400
            assert method == "HEAD" or response.json() == error(2)
        assert client.request("/").body == b"wrapped app"
    session.close()


def test_options(server: Server) -> None:
    session = Engine(server).open()
    with server.client() as client:
        response = client.request(session.path(), method="OPTIONS")
        assert (response.status, response.body) == (200, b"")
        assert response.headers["access-control-allow-headers"] == "Content-Type"
        preflight = {"Origin": "http://page.example", "Access-Control-Request-Method": "POST"}
        response = client.request(session.path(), preflight, method="OPTIONS")
        assert response.status == 200
        assert "POST" in response.headers["access-control-allow-methods"]
        assert response.headers["access-control-allow-origin"] == "http://page.example"
    session.close()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("EIO=4&transport=abc", b"Transport unknown"),
        ("EIO=4&transport=websocket&sid=nobody", b"Session ID unknown"),
        ("EIO=4&transport=polling", b"Bad request"),
        ("EIO=9&transport=websocket", b"Unsupported protocol version"),
    ],
)
def test_refused_upgrades(server: Server, query: str, message: bytes) -> None:
    with server.client() as client:
        response = client.handshake("/primus/?" + query)
        if server.kind.upgraded:
            assert client.expect_close(1008).reason == message.decode()
            client.fin()
        else:
            assert (response.status, response.body) == (400, message)
            assert response.headers["content-type"] == "text/html"
            assert response.headers["connection"].lower() == "close"
        client.expect_eof()


def test_what_a_handler_knows(server: Server) -> None:
    headers = {"X-Token": "secret"}
    for begin, name in ((Engine.open, "polling"), (Engine.open_websocket, "websocket")):
        session = begin(Engine(server, "info", query={"name": "Jürgen"}, headers=headers))
        port = (session.getting or session.socket).sock.getsockname()[1]  # type: ignore[union-attr]
        known = session.recv_message()
        assert known["id"] == session.sid
        assert known["query"] == {"EIO": "4", "transport": name, "service": "info", "name": "Jürgen"}
        assert known["headers"]["x-token"] == "secret"
        assert (known["ip"], known["port"]) == ("127.0.0.1", port)
        assert known["path"] == "/primus/"
        assert known["socket"] == name
        session.close()


# -- overlaps, and clients that leave


def test_second_poll_at_once(server: Server) -> None:
    session = Engine(server).open()
    session.send_poll()
    with server.client() as client:
        expect_error(client.request(session.path()), 3)
    assert session.recv_poll() == ["1"]
    expect_error(session.poll_response(), 1)


def test_second_post_at_once(server: Server) -> None:
    session = Engine(server).open()
    with server.client() as first:
        first.send_request(session.path(), {"Content-Length": "9"}, method="POST", body=b"4")
        server.request("/")  # so that the first one is being read
        expect_error(session.post_response('4"second"'), 3)
        assert session.poll() == ["1"]
        first.send(b'"first"\n')
        response = first.recv_response()
        assert response.status in (200, 400)
    expect_error(session.poll_response(), 1)


@pytest.mark.parametrize("how", ["close", "reset", "fin"])
def test_client_that_leaves_its_poll(server: Server, how: str) -> None:
    """Is noticed at once; it may come back, and misses nothing."""
    session = Engine(server, "count").open()
    for _ in range(3):
        held = session.send_poll()
        server.request("/")
        before = server.sockets()
        if how == "reset":
            held.reset()
        elif how == "fin":
            held.fin()
            held.rest()
        else:
            held.sock.close()
        session.getting = None
        wait_until(lambda before=before: server.sockets() < before)
        session.send(2)
        assert session.poll() == ["40", "41"]
    session.close()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_poll_that_is_sent_again_at_once(server: Server, how: str) -> None:
    """The connection of the one before has ended, though that may not have been looked at yet."""
    session = Engine(server, "count").open()
    others = [server.client() for _ in range(20)]
    for client in others:
        client.request("/")
    for client in others:
        held = session.send_poll()
        server.request("/")
        if how == "reset":
            held.reset()
        else:
            held.sock.close()
        session.getting = client
    session.send_poll()
    session.send(2)
    assert session.recv_poll() == ["40", "41"]
    session.close()


def test_post_that_is_cut_and_sent_again(server: Server) -> None:
    session = Engine(server).open()
    others = [server.client() for _ in range(10)]
    for client in others:
        client.request("/")
    for number, client in enumerate(others):
        with server.client() as broken:
            broken.send_request(session.path(), {"Content-Length": "100"}, method="POST", body=b"4123")
            server.request("/")
        session.posting = client
        session.send(number)
        assert session.recv_message() == number
    session.close()


@pytest.mark.parametrize("how", ["close", "reset", "late"])
def test_answer_that_is_not_taken(server: Server, how: str) -> None:
    """A client that leaves in the middle of an answer gets it again with its next poll.

    For that, a server may ask for the next piece of a response only when it has sent the one before.
    """
    if server.kind.name == "pywsgi" and server.kind.tls:
        server.expected.append("SSLEOFError")  # it logs that for every response that is not taken
    session = Engine(server, "big").open()
    session.send(BIG)
    slow = server.client(receive_buffer=4096)
    slow.send_request(session.path())
    slow.take(100, time.monotonic() + 10)
    if how == "reset":
        slow.reset()
    else:
        slow.sock.close()
    if how == "late":
        server.request("/")
    session.send(1)
    assert len(session.recv_message()) == BIG
    assert session.recv_message() == "x"
    session.close()


# -- WebSocket


def test_early_frames(server: Server) -> None:
    """In one packet with the request."""
    session = Engine(server)
    session.open_websocket(early=session.frames('4"early"'))
    assert session.recv_message() == "early"
    session.close()


# -- upgrade


def test_upgrade(server: Server) -> None:
    session = Engine(server).open()
    session.send("polled")
    assert session.recv_message() == "polled"
    session.upgrade()
    for message in ("upgraded", "ü€😀"):
        session.send(message)
        assert session.recv_message() == message
    session.close()


def test_a_held_poll_is_answered_while_the_client_probes(server: Server) -> None:
    session = Engine(server).open()
    held = session.send_poll()
    session.probe()
    assert session.recv_poll() == ["6"]
    # and the next one too, for as long as it takes
    assert session.poll() == ["6"]
    assert held is session.getting
    session.send_frame("5")
    session.send("moved")
    assert session.recv_message() == "moved"
    expect_error(session.poll_response(), 3)
    session.close()


def test_what_waits_goes_over_the_websocket(server: Server) -> None:
    session = Engine(server, "count").open()
    session.send(5)
    session.upgrade()
    assert [session.recv_message() for _ in range(5)] == [0, 1, 2, 3, 4]
    session.close()


def test_probe_that_is_dropped(server: Server) -> None:
    session = Engine(server).open().probe()
    assert session.socket is not None
    session.socket.reset()
    session.socket = None
    session.send("polled")
    assert session.recv_message() == "polled"
    wait_until(lambda: session.send("x") or session.recv_message() == "x")
    assert session.send_poll().quiet(0.25)  # no noops any more
    session.send("y")
    session.recv_poll()
    session.upgrade()
    session.send("upgraded")
    assert session.recv_message() == "upgraded"
    session.close()


def test_end_between_probe_and_upgrade(server: Server) -> None:
    """The client does not poll any more, so it has to hear of the end over the WebSocket."""
    session = Engine(server, "end-when-told").open().probe()
    session.post('4"end"')
    server.wait_state(sparks=0)
    session.send_frame("5")
    assert session.recv_message() == "bye"
    assert session.recv_message() == "primus::server::close"
    session.expect_close()


# -- the end


def test_client_closes(server: Server) -> None:
    session = Engine(server).open()
    held = session.send_poll()
    session.post("1")
    assert session.recv_poll() == ["6"]
    expect_error(held.request(session.path()), 1)
    server.wait_state(sparks=0, sessions=0, counts=lambda counts: counts.get("disconnection") == 1)


def test_end_while_a_poll_waits(server: Server) -> None:
    """All of it in one answer, where the original needs three."""
    session = Engine(server, "end-when-told").open()
    session.send_poll()
    session.post('4"end"')
    assert session.recv_poll() == ['4"bye"', '4"primus::server::close"', "1"]
    expect_error(session.poll_response(), 1)


def test_end_with_reconnect(server: Server) -> None:
    session = Engine(server, "end-when-told").open()
    session.send_poll()
    session.post('4"reconnect"')
    assert session.recv_poll() == ['4"bye"', "1"]
    expect_error(session.poll_response(), 1)


@pytest.mark.parametrize("reconnect", [False, True])
def test_end_over_websocket(server: Server, reconnect: bool) -> None:
    session = Engine(server, "end-when-told").open().upgrade()
    session.send("reconnect" if reconnect else "end")
    assert session.recv_message() == "bye"
    if not reconnect:
        assert session.recv_message() == "primus::server::close"
    session.expect_close(1012 if reconnect else 1000)


def test_handler_that_raises(server: Server) -> None:
    server.expected.append("HandlerFailure: the handler was sent")
    session = Engine(server, "raise").open()
    session.send_poll()
    session.post('4"boom"')
    assert session.recv_poll() == ["1"]
    upgraded = Engine(server, "raise").open().upgrade()
    upgraded.send("boom")
    upgraded.expect_close(1011)


def test_client_that_dies_over_websocket(server: Server) -> None:
    session = Engine(server).open().upgrade()
    session.send("x")
    session.recv()
    assert session.socket is not None
    session.socket.reset()
    server.wait_state(sparks=0, sessions=0, objects=0)


# -- back-pressure


def test_writer_waits_for_a_client_that_does_not_poll(server: Server) -> None:
    session = Engine(server, "pour").open()
    session.send("go")
    session.send_poll()
    session.recv_poll()
    poured = []

    def still() -> bool:
        poured.append(server.state()["counts"].get("poured", 0))
        return len(poured) > 3 and len(set(poured[-3:])) == 1

    wait_until(still)
    assert 1 << 20 <= poured[-1] * 16384 < 5 << 20
    received = 0
    while received < poured[-1] + 50:
        packets = session.poll()
        assert {len(packet) for packet in packets if packet != "2"} <= {16387}
        assert sum(map(len, packets)) < 2 << 20
        received += len(packets)
    session.close()
    server.wait_state(sparks=0, counts=lambda counts: counts.get("pour ended") == 1)


def test_posts_wait_for_a_handler_that_does_not_read(server: Server) -> None:
    session = Engine(server, "deaf").open()
    session.send(*range(1500))  # beyond the mark of 1,024 messages
    waiting = session.send_post('4"waiting"')
    assert waiting.quiet(0.1)
    server.control("go")
    assert session.recv_post().body == b"ok"
    session.send("last")
    assert session.recv_message() == 1502
    session.close()
