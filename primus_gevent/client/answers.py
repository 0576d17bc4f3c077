"""The answer to an HTTP request, as the standard library reads it, from a socket of gevent's."""

from __future__ import annotations

import http.client
import ssl
from typing import Any

from ..errors import UnexpectedResponse
from . import network
from .address import UrlParts

__all__ = ["Answer"]


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
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    def early(self) -> bytes:
        """What has been read behind the head of an answer that ends HTTP (101); closes the answer, and leaves
        the socket without waiting."""
        self._connection.settimeout(0)
        try:
            data: bytes = self.fp.peek()
        except (BlockingIOError, ssl.SSLWantReadError):
            data = b""
        self.close()
        return data

    def unexpected(self, url: UrlParts) -> UnexpectedResponse:
        """The error for an answer that is not the one that was wanted. Blocks while it reads the reason."""
        body = self.read(network.MAX_REASON_BYTES)
        return network.unexpected(url, self.status, self.headers.items(), body)
