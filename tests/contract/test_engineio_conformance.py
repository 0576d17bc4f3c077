"""The cases of the test suite of Engine.IO, revision 4 (socketio/engine.io-protocol, test-suite.js), the
transcripts of the original, and the heartbeats of all revisions.

Its server pings every 300 ms, waits 200 ms for the answer, and echoes. Ours differs in two cases, on purpose:
a request without ``EIO`` is one of revision 3, as engine.io before 4 had it; and a POST that breaks the
protocol is answered ``ok`` before the session ends, as Node answers it (the suite allows for an error only).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engine import Engine, decode_payload, engine_server, error, expect_error
from tests.support.hosts import Server, leaves_nothing, wait_until

INTERVAL, TIMEOUT = 0.3, 0.2  # seconds
TRANSPORT = {"ping_interval": INTERVAL, "ping_timeout": TIMEOUT, "upgrade_timeout": 0.4}


@pytest.fixture(scope="module")
def echo_server() -> Iterator[Server]:
    with engine_server("own", transport=TRANSPORT, session_timeout=None, max_length=750_000) as server:
        yield server


@pytest.fixture
def server(echo_server: Server) -> Iterator[Server]:
    with leaves_nothing(echo_server):
        yield echo_server


def mirror(server: Server, **options: Any) -> Engine:
    return Engine(server, "mirror", **options)


def expect_gone(session: Engine) -> None:
    """Nobody knows the session any more."""
    wait_until(lambda: session.poll_response().status == 400)
    assert session.response is not None
    expect_error(session.response, 1)


# -- handshake


def test_handshake_by_polling(server: Server) -> None:
    session = mirror(server).open()  # which looks at the five keys
    assert session.response is not None
    assert session.response.headers["content-type"] == "text/plain; charset=UTF-8"
    assert session.handshake["pingInterval"] == 300
    assert session.handshake["pingTimeout"] == 200
    assert session.handshake["maxPayload"] >= 1_000_000
    session.close()


def test_handshake_without_revision(server: Server) -> None:
    body = server.request("/primus/?transport=polling&b64=1")[1]
    (packet,) = decode_payload(body, 3)
    assert isinstance(packet, str)
    sid = json.loads(packet[1:])["sid"]
    path = f"/primus/?transport=polling&b64=1&sid={sid}"
    assert server.request(path, method="POST", body=b"1:1")[1] == b"ok"


@pytest.mark.parametrize("query", ["EIO=abc&transport=polling", "EIO=4", "EIO=4&transport=abc"])
def test_handshake_that_is_refused(server: Server, query: str) -> None:
    assert server.request("/primus/?" + query)[0].status == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_handshake_by_another_method(server: Server, method: str) -> None:
    assert server.request("/primus/?EIO=4&transport=polling", method=method)[0].status == 400


def test_handshake_by_websocket(server: Server) -> None:
    mirror(server).open_websocket().close()


@pytest.mark.parametrize("query", ["EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc"])
def test_websocket_that_is_refused(server: Server, query: str) -> None:
    with server.client() as client:
        assert client.handshake("/primus/?" + query).status == 400
        client.expect_eof()


# -- messages


def test_message_by_polling(server: Server) -> None:
    session = mirror(server).open()
    session.post("4hello")
    assert session.poll() == ["4hello"]
    session.post("4test1", "4test2", "4test3")
    assert session.poll() == ["4test1", "4test2", "4test3"]
    session.post("4hello", b"\x01\x02\x03\x04")
    assert session.poll() == ["4hello", b"\x01\x02\x03\x04"]
    assert session.response is not None
    assert session.response.body == b"4hello\x1ebAQIDBA=="
    session.close()


def test_packet_that_is_none(server: Server) -> None:
    session = mirror(server).open()
    session.post(raw=b"abc")
    assert session.poll() == ["1"]
    expect_gone(session)


def test_two_polls_at_once(server: Server) -> None:
    session = mirror(server).open()
    session.send_poll()
    with server.client() as second:
        assert second.request(session.path()).status == 400
    assert session.recv_poll() == ["1"]
    expect_gone(session)


def test_message_by_websocket(server: Server) -> None:
    session = mirror(server).open_websocket()
    session.send_frame("4hello", b"\x01\x02\x03\x04")
    assert [session.recv_frame(), session.recv_frame()] == ["4hello", b"\x01\x02\x03\x04"]
    session.send_frame("abc")
    session.expect_close()


# -- heartbeats


def test_heartbeats_by_polling(server: Server) -> None:
    session = mirror(server).open()
    for _ in range(3):
        assert session.poll() == ["2"]
        session.post("3")
    session.close()


def test_heartbeats_by_websocket(server: Server) -> None:
    session = mirror(server).open_websocket()
    for _ in range(3):
        assert session.recv_frame() == "2"
        session.send_frame("3")
    session.close()


@pytest.mark.parametrize("says", ["nothing", "messages"])
def test_client_that_does_not_answer_pings(server: Server, says: str) -> None:
    """Messages are no answer; a poll that waits is told."""
    session = mirror(server).open()
    packets = session.poll()
    assert packets == ["2"]
    if says == "messages":
        session.post("4x")
        assert session.poll() == ["4x"]
    assert session.poll() == ["1"]
    expect_gone(session)
    session = mirror(server).open_websocket()
    assert session.recv_frame() == "2"
    session.expect_close()


def test_client_that_stays_away(server: Server) -> None:
    session = mirror(server).open()
    server.wait_state(sparks=0, sessions=0, objects=0)
    expect_gone(session)


@pytest.mark.parametrize("kind", [{"revision": 2}, {"revision": 3}])
def test_heartbeats_of_the_client(server: Server, kind: dict[str, Any]) -> None:
    """In the older revisions the client asks; whatever it sends keeps it alive."""
    session = mirror(server, **kind).open()
    binary = kind == {"revision": 3}
    for _ in range(3):
        held = session.send_poll()
        assert held.quiet(INTERVAL)
        session.post("2", binary=binary)
        assert session.recv_poll() == ["3"]
    held = session.send_poll()
    assert held.quiet(INTERVAL)
    session.post("4x", binary=binary)
    assert session.recv_poll() == ["4x"]
    assert session.poll() == ["1"]
    expect_gone(session)
    upgraded = mirror(server, **kind).open_websocket()
    upgraded.send_frame("2")
    assert upgraded.recv_frame() == "3"
    upgraded.expect_close()


def test_ping_of_a_client_of_revision_4(server: Server) -> None:
    session = mirror(server).open()
    session.post("2")
    assert session.poll() == ["1"]
    expect_gone(session)
    session = mirror(server).open_websocket()
    session.send_frame("2")
    session.expect_close()


@pytest.mark.parametrize("revision", [3, 4])
def test_handler_that_does_not_read_its_posts(server: Server, revision: int) -> None:
    """It is not the client's fault that nobody hears it: the session goes on."""
    session = Engine(server, "deaf", revision, base64=True).open()
    session.send(*range(1200))
    session.send_post("4-1")  # is not read
    started = time.monotonic()
    while time.monotonic() - started < 2 * (INTERVAL + TIMEOUT):
        if session.send_poll().quiet(INTERVAL / 2):
            session.cut_poll()
        else:
            assert session.recv_poll() == ["2"]
    server.control("go")
    assert session.recv_post().status == 200
    session.send("last")
    assert session.recv_message() == 1202
    session.close()


@pytest.mark.parametrize("revision", [3, 4])
def test_handler_that_does_not_read_its_websocket(server: Server, revision: int) -> None:
    session = Engine(server, "deaf", revision).open_websocket()
    session.send(*range(1200))
    for _ in range(3):
        if revision == 4:
            assert session.recv_frame() == "2"  # the client would miss them
        else:
            assert session.socket is not None
            assert session.socket.quiet(INTERVAL)
    server.control("go")
    session.send("last")
    assert session.recv_message() == 1201
    session.close()


# -- close


def test_close_by_polling(server: Server) -> None:
    session = mirror(server).open()
    session.send_poll()
    session.post("1")
    assert session.recv_poll() == ["6"]
    expect_error(session.poll_response(), 1)


def test_close_by_websocket(server: Server) -> None:
    session = mirror(server).open_websocket()
    session.send_frame("1")
    session.expect_close()


# -- upgrade


def test_upgrade(server: Server) -> None:
    session = mirror(server).open()
    session.probe()
    assert session.poll() == ["6"]
    session.send_frame("5", "4hello")
    assert session.recv_frame() == "4hello"
    expect_error(session.poll_response(), 3)
    session.close()


def test_messages_during_the_upgrade(server: Server) -> None:
    session = mirror(server).open()
    session.probe()
    assert session.poll() == ["6"]
    session.send_frame("5")
    session.send_frame("4hello")
    assert session.recv_frame() == "4hello"
    session.close()


def test_websocket_beside_another(server: Server) -> None:
    session = mirror(server).open_websocket()
    with server.client() as second:
        second.upgrade(session.path("websocket"))
        second.expect_close()
        second.fin()
        second.expect_eof()
    session.send_frame("4hello")
    assert session.recv() == "4hello"
    session.close()


@pytest.mark.parametrize("probed", [False, True])
def test_probe_that_does_not_come_to_an_end(server: Server, probed: bool) -> None:
    """Its WebSocket is closed after `upgrade_timeout`; the session goes on with polling."""
    session = mirror(server).open()
    if probed:
        session.probe()
    else:
        session.socket = server.client().upgrade(session.path("websocket"))
    assert session.socket is not None
    while session.socket.quiet(0.02):
        if "2" in session.poll():  # or a noop
            session.post("3")
    session.expect_close()
    session.socket = None
    session.post("3", "4hello")
    assert session.recv() == "4hello"
    session.close()


# -- transcripts of the original; ours needs fewer answers, because what is written together is sent together


def test_transcript_of_revision_3(server: Server) -> None:
    session = Engine(server, "end-when-told", revision=3, base64=True).open()
    session.send_poll()
    session.send("end")
    session.recv_poll()
    assert session.response is not None
    assert session.response.body == b'6:4"bye"24:4"primus::server::close"1:1'
    with server.client() as client:
        assert client.request(session.path()).json() == error(1)


def test_end_after_the_probe_is_dropped(server: Server) -> None:
    session = Engine(server, "end-when-told").open().probe()
    session.poll()
    session.post('4"end"')
    assert session.poll()[-1] == "1"
    session.expect_close()
