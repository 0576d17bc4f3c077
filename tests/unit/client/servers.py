"""Servers of a test's own, in its process: raw ones that say what they are told, and an HTTP proxy."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer


@contextmanager
def raw_server(handle: Callable[[Any], None], context: Any = None) -> Iterator[int]:
    """Runs ``handle(sock)`` for each connection; gives the port."""

    def serve(sock: Any, _: Any) -> None:
        try:
            handle(sock)
        except OSError:
            pass  # the client left; what it thinks of that is what is tested
        finally:
            sock.close()

    server = StreamServer(("127.0.0.1", 0), serve, **({"ssl_context": context} if context else {}))
    # what a client that does not trust us does to the handshake is not the test's concern
    server.wrap_socket_and_handle = _quiet(server.wrap_socket_and_handle)
    server.start()
    try:
        yield server.server_port
    finally:
        server.stop(timeout=1)


def _quiet(function: Any) -> Any:
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except (ssl.SSLError, OSError):
            args[0].close()
            return None

    return call


def read_head(sock: Any) -> str:
    """The head of one request."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        if not piece:
            raise ConnectionError("the client left")
        head += piece
    return head.decode("latin-1")


def answering(*answers: bytes, heads: list[str] | None = None) -> Callable[[Any], None]:
    """Answers one request after the other with these bytes, then closes."""

    def handle(sock: Any) -> None:
        for answer in answers:
            head = read_head(sock)
            if heads is not None:
                heads.append(head)
            sock.sendall(answer)

    return handle


@contextmanager
def proxy(seen: list[str], refuse: bytes = b"") -> Iterator[int]:
    """An HTTP proxy, for tunnels and for plain requests."""

    def handle(sock: Any) -> None:
        head = read_head(sock)
        seen.append(head)
        if refuse:
            sock.sendall(refuse)
            return
        method, target, _ = head.split(" ", 2)
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            there = socket.create_connection((host.strip("[]"), int(port)))
            sock.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
        else:
            netloc, _, path = target.removeprefix("http://").partition("/")
            host, _, port = netloc.rpartition(":")
            there = socket.create_connection((host, int(port)))
            there.sendall(head.replace(target, f"/{path}", 1).encode("latin-1"))
        pumps = [gevent.spawn(pump, sock, there), gevent.spawn(pump, there, sock)]
        try:
            gevent.joinall(pumps, count=1)
        finally:
            there.close()
            gevent.killall(pumps)

    with raw_server(handle) as port:
        yield port


def pump(source: Any, destination: Any) -> None:
    try:
        while data := source.recv(65536):
            destination.sendall(data)
    except OSError:
        pass
