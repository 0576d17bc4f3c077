"""A `Reader` over a list of bytes in place of a socket, and what a server would read from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.hosts.http import Fields, RequestHead
from primus_gevent.hosts.reading import Input, Limit, Reader


class Peer:
    """Both sockets: gevent's, and the one inside. Each `recv` returns one of the pieces, then end of file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._sock = self
        self.pieces = [piece for piece in pieces if piece]

    def recv(self, size: int) -> bytes:
        if not self.pieces:
            return b""
        data = self.pieces.pop(0)
        if len(data) > size:
            self.pieces.insert(0, data[size:])
        return data[:size]


class ScriptedReader(Reader):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__(Peer(pieces))

    def _wait_readable(self) -> None:
        """There always is something."""


def no_limit() -> Limit:
    return Limit(gevent.get_hub().loop, None)


def body_of(*pieces: bytes, length: int = 0, chunked: bool = False) -> Input:
    return Input(ScriptedReader(pieces), length, chunked, None)


def outcome(pieces: Iterable[bytes]) -> list[Any]:
    """What a server reads: for each request its parts and its body; at last how it ended.

    Where in a broken request an error is found may depend on how it was cut, so errors are all the same.
    """
    reader = ScriptedReader(pieces)
    known: dict[bytes, Fields] = {}
    seen: list[Any] = []
    while True:
        try:
            data = reader.head(no_limit(), no_limit())
            if not data:
                return [*seen, "end"]
            request = RequestHead(data, known)
        except RemoteProtocolError:
            return [*seen, "refused"]
        fields = request.fields
        body = Input(reader, fields.length, fields.chunked, None)
        seen.append((request.method, request.target, request.host, fields.environ, fields.keeps_alive))
        try:
            seen.append(body.read())
        except RemoteProtocolError:
            return [*seen, "broken body"]
        except ConnectionAbortedError:
            return [*seen, "cut off"]
        if not fields.keeps_alive:
            return [*seen, "closed"]
