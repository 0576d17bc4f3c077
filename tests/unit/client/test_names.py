"""From the name of a host to connections to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.socket
import pytest
from gevent.event import Event

from primus_gevent.client import names
from tests.unit.client.servers import raw_server
from tests.unit.hub import eventually

SECONDS = 5.0


class Resolver:
    """In the place of gevent's: answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.go = Event()
        self.port = 0

    def getaddrinfo(self, host: str, port: int, *_: Any) -> Any:
        self.asked.append((host, port))
        assert self.go.wait(SECONDS)
        if host == "nowhere.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    made = Resolver()
    monkeypatch.setattr(gevent.socket, "getaddrinfo", made.getaddrinfo)
    return made


@pytest.fixture
def port() -> Iterator[int]:
    with raw_server(lambda sock: sock.recv(1)) as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_an_address_needs_no_resolver(resolver: Resolver, port: int, host: str) -> None:
    with names.connect(host, port) as sock:
        assert sock.getpeername()[1] == port
    assert resolver.asked == []


def test_a_name_is_asked_for_once_at_a_time(resolver: Resolver, port: int) -> None:
    asking = [gevent.spawn(names.connect, "somewhere.example", port) for _ in range(5)]
    eventually(lambda: resolver.asked)
    asking[0].kill()  # who has asked goes, and the others still get the answer
    resolver.go.set()
    for greenlet in asking[1:]:
        greenlet.get(timeout=SECONDS).close()
    assert resolver.asked == [("somewhere.example", port)]
    names.connect("somewhere.example", port).close()
    assert len(resolver.asked) == 2  # it may have moved


def test_each_gets_an_error_of_its_own(resolver: Resolver) -> None:
    resolver.go.set()
    errors: list[BaseException] = []

    def ask() -> None:
        with pytest.raises(socket.gaierror, match="Name or service not known") as caught:
            names.connect("nowhere.example", 80)
        errors.append(caught.value)

    gevent.joinall([gevent.spawn(ask) for _ in range(3)], timeout=SECONDS, raise_error=True)
    assert len({id(error) for error in errors}) == 3
    assert len(resolver.asked) == 1


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
        for address in (closed.getsockname(), ("127.0.0.1", port))
    ]
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_: found)
    with closed, names.connect("two.example", port) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)


def test_a_socket_that_calls_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It happens by chance, when a client on the same machine tries again and again to reach a server that is
    not there, at a port that the kernel hands out."""
    sockets: list[Any] = []
    original = gevent.socket.socket

    def bound(*args: Any) -> Any:
        sock = original(*args)
        sock.bind(("127.0.0.1", port))
        sockets.append(sock)
        return sock

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(gevent.socket, "socket", bound)
    with pytest.raises(ConnectionRefusedError):
        names.connect("127.0.0.1", port)
    assert [sock.closed for sock in sockets] == [True]
