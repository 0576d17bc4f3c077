"""Our own server: time limits that pywsgi lacks, one packet per response, and a quiet log."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.certificates import PASSPHRASE, family
from tests.support.client import Client
from tests.support.hosts import Server, serve, wait_until

PLAIN = "tests.support.plain:create"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    limits = {"header_timeout": 0.5, "keepalive_timeout": 0.7}
    with serve("own", factory=PLAIN, server_options=limits) as server:
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


def test_two_lengths_of_one_body(server: Server) -> None:
    with server.client() as client:
        client.send(
            b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        assert client.recv_response().status == 400
        client.expect_eof()


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
