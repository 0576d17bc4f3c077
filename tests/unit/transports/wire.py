"""Both ends of a real connection: our transport at one, a peer that can do anything at the other."""

from __future__ import annotations

import socket
import struct
from typing import Any

import gevent
import gevent.socket
from gevent import get_hub

from primus_gevent.protocols.websocket import WebSocketProtocol
from primus_gevent.transports.flusher import Flusher
from primus_gevent.transports.websocket import WebSocketLimits, WebSocketTransport
from tests.unit.hub import LIMIT, eventually


class CountingSocket:
    """A socket that counts, and can be made to fail or to take little."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.sends: list[int] = []
        self.limit: int | None = None  # bytes that one `send` takes; 0 would block
        self.error: Exception | None = None

    def send(self, data: Any) -> int:
        if self.error is not None:
            raise self.error
        if self.limit == 0:
            raise BlockingIOError
        size = self._sock.send(data if self.limit is None else bytes(data[: self.limit]))
        self.sends.append(size)
        return size

    def __getattr__(self, name: str) -> Any:
        if name == "pending":
            raise AttributeError(name)  # or it would pass for TLS
        return getattr(self._sock, name)


class Recorder:
    """The receiver: what it was told, in order."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.messages: list[Any] = []
        self.on_messages: Any = None

    def receive(self, messages: Any) -> None:
        assert gevent.getcurrent() is get_hub()
        assert "closed" not in [name for name, *_ in self.calls]
        self.messages.extend(messages)
        if self.on_messages is not None:
            self.on_messages(messages)

    def closed(self, clean: bool) -> None:
        self.calls.append(("closed", clean))

    def gone(self) -> None:
        self.calls.append(("gone",))


class Peer:
    """The client's end: raw bytes out, events in."""

    def __init__(self, sock: Any) -> None:
        is_gevents = isinstance(sock, gevent.socket.socket)
        self.sock = sock if is_gevents else gevent.socket.socket(fileno=sock.detach())
        self.sock.settimeout(LIMIT)
        self.protocol = WebSocketProtocol(client=True, max_length=1 << 30)
        self.events: list[Any] = []
        self.ended = False

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def receive(self, count: int) -> list[Any]:
        """The next ``count`` events."""
        while len(self.events) < count and self.read_some():
            pass
        events, self.events = self.events[:count], self.events[count:]
        return events

    def read_some(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        self.events.extend(self.protocol.receive(data))
        return bool(data)

    def receive_all(self) -> list[Any]:
        """Everything up to the end of the stream."""
        while self.read_some():
            pass
        return self.events

    def reset(self) -> None:
        """Hang up with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def tcp_pair(buffers: int | None = None) -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listener:
        if buffers:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client = socket.socket()
        if buffers:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    if buffers:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
    for sock in (server, client):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server, client


class Link:
    """A started transport with its receiver and its peer."""

    def __init__(
        self,
        *,
        early: bytes = b"",
        buffers: int | None = None,
        deflate: Any = None,
        max_length: int = 1 << 20,
        max_fragments: int = 1024,
        sock: Any = None,
        peer: Any = None,
        **limits: Any,
    ) -> None:
        if sock is None:
            server, client = tcp_pair(buffers)
            server.setblocking(False)
            sock = CountingSocket(server)
            peer = Peer(client)
        self.sock = sock
        self.peer = peer
        self.receiver = Recorder()
        protocol = WebSocketProtocol(deflate=deflate, max_length=max_length, max_fragments=max_fragments)
        self.transport = WebSocketTransport(sock, protocol, WebSocketLimits(**limits), Flusher.of(get_hub()))
        self.transport.start(self.receiver, early)

    def expect(self, *messages: Any) -> None:
        """Wait until exactly these messages have arrived, in all."""
        eventually(lambda: len(self.receiver.messages) >= len(messages))
        assert self.receiver.messages == list(messages)

    def expect_calls(self, *calls: Any) -> None:
        eventually(lambda: len(self.receiver.calls) >= len(calls))
        assert self.receiver.calls == list(calls)

    def close(self) -> None:
        self.transport.abort()
        self.peer.sock.close()
