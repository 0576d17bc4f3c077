"""The end of a process: clients are told to come back (1012), and nothing waits longer than it must."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from tests.support.client import close, text
from tests.support.hosts import HOSTS, serve, wait_until

DRAINING = [name for name, kind in HOSTS.items() if kind.drains]


@pytest.mark.parametrize("host", DRAINING)
def test_sigterm(host: str) -> None:
    with serve(host) as server:
        clients = [server.spark(service) for service in ("echo", "idle", "listen")]
        server.wait_state(sparks=3)
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        for client in clients:
            client.expect_close(1012)  # no server::close before it, so they reconnect
        assert time.monotonic() - started < 2.5
        for client in clients:
            client.send(close(1012))
            client.expect_eof()
            client.sock.close()
        assert server.wait_exit() == 0
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("host", ["own", "own-tls", "gunicorn", "gunicorn-tls"])
def test_sigterm_with_a_client_that_does_not_answer(host: str) -> None:
    with serve(host, close_timeout=1.0) as server, server.spark("idle") as client:
        server.wait_state(sparks=1)
        server.signal(signal.SIGTERM)
        client.expect_close(1012)
        client.expect_eof(timeout=6)
        assert server.wait_exit() == 0


@pytest.mark.parametrize("host", ["own", "gunicorn"])
def test_sigterm_with_a_client_that_does_not_read(host: str) -> None:
    with (
        serve(host, close_timeout=1.0, write_timeout=1.0) as server,
        server.spark("pour", receive_buffer=4096) as client,
    ):
        client.send_message("go")
        server.wait_state(counts=lambda counts: counts.get("poured", 0) > 20)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0


@pytest.mark.parametrize("host", ["own", "gunicorn"])
def test_sigterm_twice(host: str) -> None:
    with serve(host) as server, server.spark() as client:
        server.wait_state(sparks=1)
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGTERM)
        client.expect_close(1012)
        client.send(close(1012))
        client.expect_eof()
        assert server.wait_exit() == 0


@pytest.mark.parametrize("host", ["own", "own-tls"])
def test_sighup_ends_our_own_server(host: str) -> None:
    with serve(host) as server, server.spark() as client:
        server.wait_state(sparks=1)
        server.signal(signal.SIGHUP)
        client.expect_close(1012)
        client.send(close(1012))
        client.expect_eof()
        assert server.wait_exit() == 0


@pytest.mark.parametrize("host", ["gunicorn", "gunicorn-pywsgi", "gunicorn-tls"])
def test_sighup_reloads_gunicorn(host: str) -> None:
    """The old worker sends its clients away, and the new one takes them."""
    with serve(host) as server:
        client = server.spark()
        server.wait_state(sparks=1)
        old = server.pid
        server.signal(signal.SIGHUP)
        client.expect_close(1012)
        client.send(close(1012))
        client.expect_eof()
        client.sock.close()
        wait_until(lambda: not os.path.exists(f"/proc/{old}"), 10, server.log)
        server.pid = server.control("state", method="GET")["pid"]
        assert server.pid != old
        with server.spark() as again:
            again.send_message("back")
            assert again.recv_message() == "back"
            again.close_properly()


def test_worker_that_has_served_enough() -> None:
    """--max-requests restarts a worker without any signal; its clients are told too."""
    with serve("gunicorn", arguments=["--max-requests", "4"]) as server:
        client = server.spark()
        for _ in range(4):
            server.request("/")
        client.expect_close(1012)
        client.send(close(1012))
        client.expect_eof()
        client.sock.close()


def test_new_clients_during_the_drain() -> None:
    """Our own server does not listen any more; a client that waits for its Close is still served."""
    with serve("own", close_timeout=3.0) as server, server.spark() as client:
        server.wait_state(sparks=1)
        server.signal(signal.SIGTERM)
        client.expect_close(1012)
        with pytest.raises(ConnectionRefusedError):
            server.client()
        client.send(text("too late") + close(1012))
        client.expect_eof()
        assert server.wait_exit() == 0


@pytest.mark.parametrize("host", ["own", "own-tls"])
def test_a_request_that_is_under_way_is_answered(host: str) -> None:
    with serve(host) as server, server.client() as client:
        client.send_request("/upload", {"Content-Length": "10"}, method="POST")
        client.send(b"12345")
        server.request("/")  # so that the server has seen the one before
        server.signal(signal.SIGTERM)

        def refuses() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", server.port)) != 0

        wait_until(refuses, 10, server.log)
        client.send(b"67890")
        assert client.recv_response().body == b"10"
        assert server.wait_exit() == 0


def test_sigint_ends_our_own_server() -> None:
    with serve("own") as server, server.spark() as client:
        server.wait_state(sparks=1)
        server.signal(signal.SIGINT)
        client.expect_close(1012)
        client.send(close(1012))
        client.expect_eof()
        assert server.wait_exit() == 0
