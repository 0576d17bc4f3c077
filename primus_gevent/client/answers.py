"""The answer to an HTTP request, as the standard library reads it, from a socket of gevent's."""

from __future__ import annotations

import http.client
from typing import Any

from ..errors import UnexpectedResponse
from ..hosts.base import buffered
from . import network
from .address import UrlParts

__all__ = ["Answer"]


class _Head:
    """The lines of a head. http.client takes the end of the connection for the end of the head, and what was
    cut off with it for nothing: the length of the body, for example."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._first = True  # which has an error of its own: it is no HTTP

    def close(self) -> None:
        """The file goes back to the answer, which closes it."""

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(limit)
        first, self._first = self._first, False
        if not first and not line.endswith(b"\n") and len(line) < limit:
            raise http.client.RemoteDisconnected("the connection ended in the middle of a head")
        return line


class Answer(http.client.HTTPResponse):
    """An answer whose head has come. Its body is read with `read`, or in pieces as they come with `read1`.

    The parser never touches a socket but through ``makefile``, and that of a gevent socket waits in the hub.

    Args:
        sock: connected; stays the caller's to close.
        method: of the request.

    Raises:
        http.client.HTTPException: it is no HTTP.
        OSError: the connection is lost.
    """

    def __init__(self, sock: Any, method: str) -> None:
        super().__init__(sock, method=method)
        self._connection = sock
        self._verb = method
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        whole: Any = self.fp
        head: Any = _Head(whole)
        self.fp = head
        try:
            self.begin()
        finally:
            self.fp = whole

    @property
    def complete(self) -> bool:
        """Whether the whole body was read, or there is none."""
        # http.client tells of it by itself only for chunks, and for `read` without a limit
        return self.isclosed() or self._verb == "HEAD" or (not self.chunked and self.length == 0)

    def early(self) -> bytes:
        """What has been read behind the head of an answer that ends HTTP (101). The socket does not wait any
        more afterwards."""
        return buffered(self.fp, self._connection)

    def unexpected(self, url: UrlParts) -> UnexpectedResponse:
        """The error for an answer that is not the one that was wanted. Blocks while it reads the reason."""
        body = self.read(network.MAX_REASON_BYTES)
        return network.unexpected(url, self.status, self.headers.items(), body)
