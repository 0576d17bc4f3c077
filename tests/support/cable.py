"""A cable between a client and a server that a test can cut: a TCP proxy in the test's own process."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer
from typing_extensions import Self

__all__ = ["Cable"]

PIECE_BYTES = 65536


class Cable:
    """Carries connections to ``port`` until the end of the block.

    Attributes:
        url: of this end.
        delay: seconds that each piece takes, in either direction.
        connections: how many there were.
        reset: whether cuts are resets, which throw away what is on its way, or the end of the stream.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._pairs: set[_Pair] = set()
        self._server = StreamServer(("127.0.0.1", 0), self._carry)
        self._server.start()
        self.delay = 0.0
        self.connections = 0
        self.reset = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def cut(self) -> None:
        """Cut all connections."""
        for pair in tuple(self._pairs):
            pair.cut()

    def _carry(self, client: Any, _: Any) -> None:
        self.connections += 1
        server = socket.socket()
        try:
            server.connect(("127.0.0.1", self._port))
        except OSError:
            server.close()
            client.close()
            return
        pair = _Pair(self, client, server)
        self._pairs.add(pair)
        try:
            gevent.joinall(
                [gevent.spawn(pair.carry, client, server), gevent.spawn(pair.carry, server, client)]
            )
        finally:
            self._pairs.discard(pair)
            client.close()
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stop(timeout=0)


class _Pair:
    def __init__(self, cable: Cable, client: Any, server: Any) -> None:
        self.cable = cable
        self.client = client
        self.server = server
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def carry(self, source: Any, target: Any) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                gevent.sleep(self.cable.delay)
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        for sock in (self.client, self.server):
            with suppress(OSError):
                if self.cable.reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.close()
                else:
                    sock.shutdown(socket.SHUT_RDWR)
