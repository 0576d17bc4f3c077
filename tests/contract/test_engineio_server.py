"""Engine.IO and the server around it: layers, origins and authorization of each request, limits, broadcasts
to clients that do not poll, and the end of the process."""

from __future__ import annotations

import gzip
import json
import signal
import time

import pytest

from tests.support.client import close
from tests.support.engine import Engine, engine_server, expect_error
from tests.support.hosts import serve

GUARDED = "tests.support.guarded:create"


# -- each request passes the layers


def test_origins() -> None:
    good, evil = {"Origin": "https://good.example"}, {"Origin": "https://evil.example"}
    with serve("own", transformer="engine.io", origins=["https://good.example"]) as server:
        session = Engine(server, headers=good).open()
        session.send("x")
        assert session.recv_message() == "x"
        with server.client() as client:
            for method in ("GET", "POST"):
                response = client.request(session.path(), evil, method=method)
                assert response.status == 403
                assert "access-control-allow-origin" not in response.headers
            preflight = {"Access-Control-Request-Method": "POST"}
            assert client.request(session.path(), {**evil, **preflight}, method="OPTIONS").status == 403
            response = client.request(session.path(), {**good, **preflight}, method="OPTIONS")
            assert response.status == 200
            assert response.headers["access-control-allow-origin"] == good["Origin"]
        with server.client() as client:
            assert client.handshake(session.path("websocket"), evil).status == 403
        session.send("still here")
        assert session.recv_message() == "still here"
        session.upgrade()
        session.close()


def test_authorization() -> None:
    """Of each request; one that is refused does not hurt the session."""
    with serve("own", transformer="engine.io", factory=GUARDED) as server:
        refused = Engine(server, query={"auth": "text"}).poll_response()
        assert (refused.status, refused.json()) == (401, {"error": "go away"})
        session = Engine(server, "user").open()
        assert session.recv_message()[0] == "ann"
        with server.client() as client:
            for method in ("GET", "POST"):
                response = client.request(session.path(auth="challenge"), method=method)
                assert response.status == 401
                assert response.headers["www-authenticate"] == 'Basic realm="x"'
        with server.client() as client:
            assert client.handshake(session.path("websocket", auth="text")).status == 401
        held = session.send_poll()
        assert held.quiet(0.05)
        session.close()


def test_layer_that_reads_the_body() -> None:
    """It is still there for the transformer."""
    with serve("own", transformer="engine.io", factory=GUARDED) as server:
        session = Engine(server, "echo").open()
        server.control("go")
        session.query = {"auth": "block"}
        session.send("read twice")
        session.query = {}
        assert session.recv_message() == "read twice"
        session.close()


def test_cookie() -> None:
    """For load balancers; nobody reads it here."""
    with serve("own", transformer="engine.io", transport={"cookie": "io"}) as server:
        session = Engine(server).open()
        cookie = f"io={session.sid}; Path=/; HttpOnly; SameSite=Lax"
        assert session.response is not None
        assert session.response.headers["set-cookie"] == cookie
        assert session.post_response('4"x"').headers["set-cookie"] == cookie
        session.close()


@pytest.mark.parametrize("jsonp", [None, "3"])
def test_compression(jsonp: str | None) -> None:
    with serve("own", transformer="engine.io", compression=True) as server:
        accepts = {"Accept-Encoding": "gzip, deflate"}
        session = Engine(server, "big", base64=jsonp is not None, jsonp=jsonp, headers=accepts).open()
        assert session.response is not None
        assert "content-encoding" not in session.response.headers  # not worth it
        session.send(100_000)
        session.send_poll()
        response = session.recv_poll_response()
        assert response.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in response.headers["vary"]
        assert len(response.body) < 1000
        response.body = gzip.decompress(response.body)
        assert session.unpack(response) == ['4"' + "x" * 100_000 + '"']
        session.headers = {"Accept-Encoding": "gzip;q=0"}
        session.send(100_000)
        session.send_poll()
        assert "content-encoding" not in session.recv_poll_response().headers
        session.close()


def test_polling_alone() -> None:
    with serve("own", transformer="polling", close_timeout=0.1) as server:
        session = Engine(server)
        assert '"upgrades":[]' in str(session.poll()[0])
        with server.client() as client:
            assert client.handshake("/primus/?EIO=4&transport=websocket").body == b"Transport unknown"


def test_no_upgrades() -> None:
    with serve(
        "own", transformer="engine.io", transport={"allow_upgrades": False}, close_timeout=0.1
    ) as server:
        session = Engine(server)
        (packet,) = session.poll()
        assert '"upgrades":[]' in str(packet)
        session.handshake = json.loads(str(packet)[1:])
        session.socket = server.client().upgrade(session.path("websocket"))
        session.expect_close()


def test_websocket_alone() -> None:
    with serve("own", transformer="engine.io", transport={"transports": ["websocket"]}) as server:
        expect_error(Engine(server).poll_response(), 0)
        Engine(server).open_websocket().close()


def test_no_room() -> None:
    with serve("own", transformer="engine.io", max_connections=2) as server:
        sessions = [Engine(server).open(), Engine(server).open_websocket()]
        response = Engine(server).poll_response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        with server.client() as client:
            assert client.handshake("/primus/?EIO=4&transport=websocket").status == 503
        sessions[0].upgrade()  # who is in already takes no room by moving
        for session in sessions:
            session.send("x")
            assert session.recv_message() == "x"
            session.close()
        Engine(server).open().close()


# -- clients that do not come


def test_abandoned_handshakes() -> None:
    """A thousand of them are gone after their time, and leave nothing."""
    with engine_server("own", session_timeout=1.0) as server:
        before = server.baseline()
        with server.client() as client:
            for _ in range(1000):
                assert client.request("/primus/?EIO=4&transport=polling&service=idle").status == 200
            assert server.state()["sessions"] > 500
        server.wait_state(sparks=0, sessions=0, objects=0, counts=lambda c: c.get("disconnection") == 1002)
        server.wait_baseline(before)


def test_client_that_does_not_take_its_answer() -> None:
    """It is cut off, and then its session is over."""
    times = {"session_timeout": 0.5, "write_timeout": 0.3, "close_timeout": 0.3}
    with serve("own", transformer="engine.io", **times) as server:
        session = Engine(server, "big").open()
        session.send(
            9_000_000
        )  # which may take 0.3 s and 9 MB / 16 KiB seconds, so the session has to be ended
        slow = server.client(receive_buffer=4096)
        slow.send_request(session.path())
        slow.take(100, time.monotonic() + 10)
        server.request("/")
        expect_error(session.poll_response(), 3)  # two polls at once
        slow.sock.close()
        server.wait_state(sparks=0, sessions=0, objects=0)


@pytest.mark.parametrize("slow_consumer", ["close", "drop"])
def test_broadcast_to_a_client_that_does_not_poll(slow_consumer: str) -> None:
    with serve("own", transformer="engine.io", write_buffer=200_000, slow_consumer=slow_consumer) as server:
        slow, quick = Engine(server, "idle").open(), Engine(server, "idle").open()
        for number in range(8):
            server.control("write?size=50000&count=1")
            while len(quick.waiting) <= number:
                quick.waiting += quick.poll()
        assert quick.waiting == ['4"' + "y" * 50_000 + '"'] * 8
        packets = slow.poll()
        assert packets[:4] == quick.waiting[:4]
        if slow_consumer == "close":
            assert packets[-1] == "1"
            expect_error(slow.poll_response(), 1)
        else:
            assert 4 <= len(packets) < 8
            slow.close()
        quick.close()


# -- the end of the process


@pytest.mark.parametrize("host", ["own", "own-tls", "gunicorn", "gunicorn-pywsgi"])
def test_sigterm(host: str) -> None:
    """Clients that poll are told to come back, with their connections closed; so are those on a WebSocket."""
    with engine_server(host) as server:
        held, away, upgraded = Engine(server).open(), Engine(server).open(), Engine(server).open().upgrade()
        upgraded.send("x")
        assert upgraded.recv_message() == "x"
        connection = held.send_poll()
        later = away.send_post('4"x"')
        assert later.recv_response().status == 200
        server.request("/")
        server.signal(signal.SIGTERM)
        assert held.recv_poll() == ["1"]
        assert held.response is not None
        assert held.response.headers["connection"].lower() == "close"
        assert connection is not held.getting  # it has seen the end
        assert upgraded.socket is not None
        upgraded.socket.expect_close(1012)
        upgraded.socket.send(close(1012))
        upgraded.socket.expect_eof()
        server.close_clients()
        assert server.wait_exit() == 0


def test_destroy_tells_clients_that_do_not_poll() -> None:
    """They come for it within `close_timeout`."""
    with engine_server("own", close_timeout=3.0) as server:
        session = Engine(server).open()
        with server.client() as client:
            client.send_request("/control/destroy", method="POST")
            server.wait_state(sparks=0)
            assert session.poll() == ['4"primus::server::close"', "1"]
            assert client.recv_response().status == 200
