"""Our own server: time limits that pywsgi lacks, one packet per response, and a quiet log."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest

from primus_gevent.hosts.server import PrimusServer, make_server
from tests.support.certificates import PASSPHRASE, family
from tests.support.client import Client
from tests.support.hosts import Server, serve, wait_until
from tests.support.plain import app as plain_app
from tests.unit.hosts.requests import BAD, GOOD, Bad, Good, get, post, table

PLAIN = "tests.support.plain:create"
VALIDATED = "tests.support.plain:create_validated"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    limits = {"header_timeout": 0.5, "keepalive_timeout": 0.7}
    with serve("own", factory=PLAIN, server_options=limits) as server:
        yield server


@pytest.fixture(scope="module")
def pywsgi() -> Iterator[Server]:
    with serve("pywsgi", factory=PLAIN) as server:
        yield server


@pytest.fixture(scope="module", params=["own", "own-tls"])
def validated(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, factory=VALIDATED) as server:
        yield server


@pytest.fixture(scope="module")
def secure() -> Iterator[Server]:
    with serve("own-tls", factory=PLAIN, server_options={"handshake_timeout": 0.5}) as server:
        yield server


def test_headers_take_too_long(server: Server) -> None:
    with server.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost:")
        started = time.monotonic()
        assert client.recv_response().status == 408
        assert 0.3 < time.monotonic() - started < 3
        client.expect_eof()
    wait_until(lambda: " 408 " in server.log())


def test_headers_drip(server: Server) -> None:
    """The limit is for all of them, not for each byte."""
    with server.client() as client:
        started = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\n")
        while client.quiet(0.1) and time.monotonic() - started < 5:
            client.send(b"X: y\r\n")
        assert time.monotonic() - started < 3
        assert client.recv_response().status == 408


def test_body_is_not_under_the_limit_of_headers(server: Server) -> None:
    with server.client() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
        assert client.quiet(0.8)
        client.send(b"cd")
        assert client.recv_response().body == b"abcd"


def test_idle_connection_is_closed(server: Server) -> None:
    with server.client() as client:
        assert client.request("/one").status == 200
        started = time.monotonic()
        client.expect_eof()
        assert 0.4 < time.monotonic() - started < 3


def test_slow_request_on_a_kept_connection(server: Server) -> None:
    with server.client() as client:
        assert client.request("/one").status == 200
        client.send(b"GET ")
        assert client.recv_response().status == 408


@pytest.mark.parametrize("path", ["/one", "/list", "/length", "/empty"])
def test_response_is_one_packet(server: Server, path: str) -> None:
    """Headers and body are there with the first `recv`."""
    with server.client() as client:
        client.send_request(path)
        assert client.quiet(0) in (True, False)
        data = client.sock.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        expected = {"/one": b"one", "/list": b"1234", "/length": b"known", "/empty": b""}[path]
        assert body == expected


def test_large_and_chunked_responses(server: Server) -> None:
    with server.client() as client:
        assert client.request("/large").body == b"x" * 1_000_000
        chunked = client.request("/chunks")
        assert chunked.headers["transfer-encoding"] == "chunked"
        assert chunked.body == b"abc"
        assert client.request("/one").body == b"one"


@pytest.mark.parametrize("path", ["/one", "/list", "/length", "/chunks", "/large"])
def test_head_has_no_body(server: Server, path: str) -> None:
    with server.client() as client:
        assert client.request(path, method="HEAD").status == 200
        assert client.request("/one").body == b"one"


# -- requests


def seen(client: Client) -> dict[str, str]:
    """What the application saw of a request, and under ``body`` what it read."""
    response = client.recv_response()
    assert response.status == 200, response
    answer = response.json()
    assert answer["environ"]["wsgi.url_scheme"] in ("http", "https")
    return {**answer["environ"], "body": answer["body"], "connection": response.headers.get("connection", "")}


@pytest.mark.parametrize("row", table(GOOD))
def test_good_request(server: Server, row: Good) -> None:
    with server.client() as client:
        client.send(row.raw)
        answer = seen(client)
        assert answer["body"] == row.body.decode("latin-1")
        for name, value in row.environ.items():
            assert answer.get(name) == value, name
        if row.keeps_alive:
            assert answer["connection"] in ("", "keep-alive")
            assert client.request("/one").body == b"one"
        else:
            assert answer["connection"] == "close"
            client.expect_eof()


# What the two servers call themselves, and who asks.
OF_THE_SERVER = ("SERVER_SOFTWARE", "SERVER_PORT", "SERVER_NAME", "REMOTE_PORT", "connection")


@pytest.mark.parametrize("row", table({name: row for name, row in GOOD.items() if row.like_pywsgi}))
def test_application_sees_what_it_sees_on_pywsgi(server: Server, pywsgi: Server, row: Good) -> None:
    answers = []
    for each in (server, pywsgi):
        with each.client() as client:
            client.send(row.raw)
            answer = seen(client)
            answers.append({name: value for name, value in answer.items() if name not in OF_THE_SERVER})
    assert answers[0] == answers[1]


@pytest.mark.parametrize("row", table(BAD))
def test_bad_request(server: Server, row: Bad) -> None:
    """One answer, the end of the connection, and nobody has served it."""
    with server.client() as client:
        client.send(row.raw)
        response = client.recv_response()
        assert response.status == row.status
        assert response.headers["connection"] == "close"
        assert response.body == b""
        client.expect_eof()


def test_bad_request_behind_a_good_one(server: Server) -> None:
    with server.client() as client:
        client.send(get(line=b"GET /one HTTP/1.1") + get(b"X : y") + get(line=b"GET /one HTTP/1.1"))
        assert client.recv_response().body == b"one"
        assert client.recv_response().status == 400
        client.expect_eof()


def test_broken_body_that_the_application_does_not_mind(server: Server) -> None:
    """What comes behind it must not be taken for a request."""
    with server.client() as client:
        client.send(
            post(b"Transfer-Encoding: chunked", line=b"POST /swallow HTTP/1.1", body=b"x\r\n")
            + get(line=b"GET /one HTTP/1.1")
        )
        assert client.recv_response().body == b"swallowed "
        client.expect_eof()


def test_pipelined_requests(server: Server) -> None:
    with server.client() as client:
        first = post(b"Content-Length: 5", line=b"POST /echo HTTP/1.1", body=b"hello")
        second = post(
            b"Transfer-Encoding: chunked", line=b"POST /echo HTTP/1.1", body=b"2\r\nab\r\n0\r\n\r\n"
        )
        client.send((first + second + get(line=b"HEAD /one HTTP/1.1") + get(line=b"GET /one HTTP/1.1")) * 20)
        for _ in range(20):
            assert client.recv_response().body == b"hello"
            assert client.recv_response().body == b"ab"
            assert client.recv_response(head_only=True).headers["content-length"] == "3"
            assert client.recv_response().body == b"one"


def test_expect_continue(server: Server) -> None:
    with server.client() as client:
        client.send(post(b"Content-Length: 5", b"Expect: 100-continue", line=b"POST /echo HTTP/1.1"))
        assert client.take_until(b"\r\n\r\n", time.monotonic() + 10) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert client.recv_response().body == b"hello"
        assert client.request("/one").body == b"one"


def test_body_comes_without_waiting_for_continue(server: Server) -> None:
    with server.client() as client:
        client.send(
            post(b"Content-Length: 5", b"Expect: 100-continue", line=b"POST /echo HTTP/1.1", body=b"hello")
        )
        assert client.recv_response().body == b"hello"


def test_answer_without_asking_for_the_body(server: Server) -> None:
    """Nobody knows whether its client will send it, so there is no further request (RFC 9110, 10.1.1)."""
    with server.client() as client:
        client.send(post(b"Content-Length: 5", b"Expect: 100-continue", line=b"POST /unread HTTP/1.1"))
        response = client.recv_response()
        assert (response.status, response.body) == (200, b"unread")
        assert response.headers["connection"] == "close"
        client.expect_eof()


def test_small_body_is_left_unread(server: Server) -> None:
    with server.client() as client:
        for body in (b"x" * 100, b"x" * 200_000):
            client.send(
                post(b"Content-Length: %d" % len(body), line=b"POST /unread HTTP/1.1", body=body)
                + post(b"Transfer-Encoding: chunked", line=b"POST /unread HTTP/1.1")
                + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            )
            assert client.recv_response().body == b"unread"
            assert client.recv_response().body == b"unread"
        assert client.request("/one").body == b"one"


def test_large_body_is_left_unread(server: Server) -> None:
    """It is not received to the end, and its client learns why."""
    with server.client() as client:
        client.send(post(b"Content-Length: 1000000000", line=b"POST /unread HTTP/1.1", body=b"x" * 300_000))
        response = client.recv_response()
        assert (response.body, response.headers["connection"]) == (b"unread", "close")
        client.expect_eof()


def test_body_that_never_comes_is_left_unread(server: Server) -> None:
    with server.client() as client:
        client.send(post(b"Content-Length: 5", line=b"POST /unread HTTP/1.1"))
        assert client.recv_response().body == b"unread"
        started = time.monotonic()
        client.expect_eof()
        assert 0.3 < time.monotonic() - started < 5


def test_connection_without_a_request(server: Server) -> None:
    """Browsers open some in advance; a 408 would be an answer to nothing."""
    with server.client() as client:
        started = time.monotonic()
        client.expect_eof()
        assert 0.3 < time.monotonic() - started < 3


# -- responses


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/one", 200, b"one"),
        ("/chunks", 200, b"abc"),
        ("/no-chunks", 200, b""),
        ("/length", 200, b"known"),
        ("/write", 200, b"abc"),
        ("/exc-info", 503, b"sorry"),
        ("/own-chunks", 200, b"ab"),
        ("/no-content", 204, b""),
        ("/not-modified", 304, b""),
        ("/closing", 200, b"ab"),
        ("/too-long", 200, b"ab"),
        ("/too-long-stream", 200, b"ab"),
    ],
)
def test_response(server: Server, path: str, status: int, body: bytes, version: str) -> None:
    with server.client() as client:
        client.send_request(path, {"Connection": "keep-alive"}, version=version)
        response = client.recv_response()
        assert (response.status, response.body) == (status, body)
        assert response.headers["date"].endswith(" GMT")
        assert "x-first" not in response.headers
        if version == "1.1":
            assert "connection" not in response.headers
        elif path in ("/chunks", "/write", "/own-chunks", "/closing"):
            # only its end says where such a body ends
            assert response.headers["connection"] == "close"
            client.expect_eof()
            return
        else:
            assert response.headers["connection"] == "keep-alive"
        assert client.request("/one").body == b"one"


def test_date_of_the_application(server: Server) -> None:
    with server.client() as client:
        client.send_request("/dated")
        head = client.take_until(b"\r\n\r\n", time.monotonic() + 10)
        assert head.lower().count(b"\r\ndate:") == 1
        assert b"Sun, 06 Nov 1994 08:49:37 GMT" in head


def test_application_closes(server: Server) -> None:
    with server.client() as client:
        assert client.request("/close").headers["connection"] == "close"
        client.expect_eof()


@pytest.mark.parametrize("path", ["/chunks", "/too-short", "/not-modified", "/empty", "/write", "/exc-info"])
def test_head(server: Server, path: str) -> None:
    with server.client() as client:
        client.request(path, method="HEAD")
        assert client.request("/one").body == b"one"


def test_response_that_is_too_short(server: Server) -> None:
    """Its client must not wait for the rest, nor take the next response for it."""
    with server.client() as client:
        client.send_request("/too-short")
        head = client.take_until(b"\r\n\r\n", time.monotonic() + 10)
        assert b"Content-Length: 5" in head
        assert client.rest() == b"abc"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/twice", "start_response was called before"),
        ("/unstarted", "did not call start_response"),
        ("/no-content-but-body", "has no body"),
        ("/line-break", "a line break in a header"),
        ("/text", "can't concat str to bytes"),
        ("/fails-at-once", "in the middle of a response"),
    ],
)
def test_mistake_of_the_application(server: Server, path: str, error: str) -> None:
    server.expected.append(error)
    with server.client() as client:
        response = client.request(path)
        assert (response.status, response.body) == (500, b"")
        client.expect_eof()
    wait_until(lambda: error in server.log())


@pytest.mark.parametrize(
    ("path", "error"),
    [("/closing-error", "in the middle of a response"), ("/exc-info-late", "seen too late")],
)
def test_error_in_the_middle_of_a_response(server: Server, path: str, error: str) -> None:
    """It ends, but not as a whole response would."""
    server.expected.append(error)
    with server.client() as client:
        client.send_request(path)
        data = client.rest()
        assert data.startswith(b"HTTP/1.1 200")
        assert data.endswith(b"\r\n\r\n1\r\na\r\n")


def test_results_are_closed(server: Server) -> None:
    server.expected.append("in the middle of a response")
    with server.client() as client:
        before: list[str] = client.request("/closed").json()
        assert client.request("/closing").body == b"ab"
        client.send_request("/closing-error")
        client.rest()
    with server.client() as client:
        assert client.request("/closed").json() == [*before, "whole", "broken"]


def test_no_answer_at_all(server: Server) -> None:
    with server.client() as client:
        client.send_request("/nothing")
        client.expect_eof()


def test_validator(validated: Server) -> None:
    """`wsgiref.validate` finds nothing to complain about."""
    with validated.client() as client:
        for path in ("/one", "/list", "/chunks", "/length", "/empty", "/large", "/write", "/exc-info"):
            client.request(path)
            client.request(path, method="HEAD")
        for body, framing in (
            (b"hello", b"Content-Length: 5"),
            (b"5\r\nhello\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
        ):
            client.send(post(framing, line=b"POST /echo HTTP/1.1", body=body))
            assert client.recv_response().body == b"hello"
        client.send(get(b"Upgrade: websocket", b"Connection: Upgrade", line=b"GET /seen HTTP/1.1"))
        assert seen(client)["body"] == ""
    assert "AssertionError" not in validated.log()


# -- in this process


@pytest.fixture
def local(tmp_path: Path) -> Iterator[PrimusServer]:
    """A server on a unix socket."""
    listener = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    server = make_server(listener, plain_app, log=logging.getLogger("tests.access"))
    server.start()
    yield server
    server.stop()
    listener.close()


def ask(server: PrimusServer, raw: bytes) -> bytes:
    """Everything that the server sends until it closes."""
    sock = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with sock, gevent.Timeout(10):
        sock.connect(server.address)
        sock.sendall(raw)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_unix_socket(local: PrimusServer) -> None:
    answer = ask(local, get(b"Connection: close"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"REMOTE_ADDR" not in answer


def test_log_is_written_for_readers_only(local: PrimusServer, caplog: pytest.LogCaptureFixture) -> None:
    line = get(b"Connection: close", line=b"GET /one?x=%20 HTTP/1.1")
    with caplog.at_level(logging.WARNING, "tests.access"):
        assert not local.logs_requests()
        ask(local, line)
    assert caplog.messages == []
    with caplog.at_level(logging.INFO, "tests.access"):
        assert local.logs_requests()
        ask(local, line)
        ask(local, b"garbage\r\n\r\n")
    lines = [record.message for record in caplog.records if record.name == "tests.access"]
    assert '"GET /one?x=%20 HTTP/1.1" 200 ' in lines[0]
    assert '"" 400 ' in lines[1]


def test_no_log_at_all() -> None:
    server = make_server(("127.0.0.1", 0), plain_app, log=None)
    assert not server.logs_requests()
    assert make_server(("127.0.0.1", 0), plain_app, log=sys.stderr).logs_requests()


class Held:
    """An application whose requests wait until they may be answered, or until its server has stopped."""

    def __init__(self, stop: float | None = None) -> None:
        self.server = make_server(("127.0.0.1", 0), self, log=None)
        self.stop = stop
        self.asked = gevent.event.Event()
        self.go = gevent.event.Event()

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.asked.set()
        if self.stop is not None:
            self.server.stop(timeout=self.stop)
        else:
            assert self.go.wait(10)
        start_response("200 OK", [])
        return [b"answered"]

    def ask(self) -> gevent.Greenlet[..., bytes]:
        def read() -> bytes:
            with gevent.socket.create_connection(self.server.address) as sock:
                sock.sendall(get() + get())
                return b"".join(iter(lambda: sock.recv(65536), b""))

        self.server.start()
        asking = gevent.spawn(read)
        assert self.asked.wait(10)
        return asking


def test_stop_waits_for_answers() -> None:
    held = Held()
    asking = held.ask()
    stopping = [gevent.spawn(held.server.stop, 60) for _ in range(2)]
    gevent.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        gevent.socket.create_connection(held.server.address)
    assert not any(greenlet.ready() for greenlet in stopping)
    held.go.set()
    gevent.joinall(stopping, timeout=10, raise_error=True)
    assert all(greenlet.ready() for greenlet in stopping)
    assert asking.get(timeout=10).count(b"answered") == 2  # the second one was sent before
    assert asking.value.count(b"Connection: close") == 1


def test_stop_does_not_wait_for_ever() -> None:
    held = Held()
    asking = held.ask()
    with gevent.Timeout(10):
        held.server.stop(timeout=0.01)
    held.go.set()
    assert b"answered" in asking.get(timeout=10)


def test_stop_in_a_request_does_not_wait_for_it() -> None:
    held = Held(stop=60)
    assert b"answered" in held.ask().get(timeout=10)


# -- clients


def test_a_storm_of_connections_is_not_dropped() -> None:
    """All clients of a server come back at once, when it does, and before it has accepted the first one."""
    server = make_server(("127.0.0.1", 0), plain_app, log=None)
    server.start()  # accepts nothing while we do not let its hub run
    with ExitStack() as storm:
        storm.callback(server.stop, timeout=1)
        for _ in range(400):
            # after a second the kernel would try again
            client = socket.create_connection(("127.0.0.1", server.server_port), timeout=0.9)
            storm.enter_context(client)


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_no_name_server_is_asked_at_the_start(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def fail(name: str) -> str:
        raise AssertionError(f"somebody asks for the name of {name!r}")

    monkeypatch.setattr("gevent.pywsgi.socket.getfqdn", fail)
    server = make_server((host, 0), plain_app, log=None)
    server.start()
    try:
        assert server.environ["SERVER_NAME"] == (host or socket.gethostname())
    finally:
        server.stop(timeout=1)


def test_client_leaves_in_the_middle_of_everything(server: Server) -> None:
    for request in (
        b"",
        b"GET",
        b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab",
        b"garbage\r\n\r\n",
    ):
        for reset in (False, True):
            client = server.client()
            client.send(request)
            if reset:
                client.reset()
            else:
                client.sock.close()
    with server.client() as client:
        assert client.request("/one").status == 200
    wait_until(lambda: server.sockets() == 1)
    assert server.tracebacks() == []


def test_error_of_the_application_is_an_error(server: Server) -> None:
    """Also one that looks like a client that left."""
    server.expected.append("ConnectionResetError: the database left")
    with server.client() as client:
        assert client.request("/database").status == 500
    wait_until(lambda: "the database left" in server.log())


def test_tls(secure: Server) -> None:
    with secure.client() as client:
        assert client.request("/one").body == b"one"
        assert client.request("/large").body == b"x" * 1_000_000


def test_tls_handshake_takes_too_long(secure: Server) -> None:
    with socket.create_connection(secure.address, timeout=5) as sock:
        started = time.monotonic()
        assert sock.recv(1) == b""
        assert 0.3 < time.monotonic() - started < 3
    wait_until(lambda: secure.sockets() == 1)


def test_tls_handshake_fails(secure: Server) -> None:
    """Quietly: it is the client's affair."""
    for hello in (b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\x00\x05hello"):
        with socket.create_connection(secure.address, timeout=5) as sock:
            sock.sendall(hello)
    for _ in range(3):
        Client(secure.address).reset()
    context = ssl.create_default_context()  # does not trust a self-signed certificate
    with (
        socket.create_connection(secure.address, timeout=5) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(sock, server_hostname="localhost")
    with secure.client() as client:
        assert client.request("/one").status == 200
    wait_until(lambda: secure.sockets() == 1)
    assert secure.tracebacks() == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["bundle", "files"])
def test_tls_with_the_whole_chain(kind: str, version: ssl.TLSVersion) -> None:
    """A client that knows the root only believes it, and is asked for no certificate."""
    ours = family()
    options: dict[str, Any] = {"password": PASSPHRASE}
    if kind == "bundle":
        options["pfx"] = ours.bundle("server.pfx", PASSPHRASE, ours.root, ours.between)
    else:
        options["certfile"] = ours.write("server.pem", ours.server.pem())
        options["keyfile"] = ours.write("server.key", ours.server.key_pem(PASSPHRASE))
        options["ca_certs"] = ours.write("between.pem", ours.between.pem())
    context = ssl.create_default_context(cafile=ours.write("root.pem", ours.root.pem()))
    context.minimum_version = context.maximum_version = version
    with (
        serve("own", factory=PLAIN, server_options=options) as server,
        socket.create_connection(server.address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(b"GET /one HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\none")
