"""The plain HTTP around the connections: answers of our own, and who may ask."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

__all__ = ["Response"]

GZIP_BYTES = 1024  # below this, compressing costs more than it saves


class Response:
    """A small HTTP answer whose body is known."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: str | bytes = b"",
        content_type: str = "text/plain",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = [("Content-Type", content_type), *headers]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Answer as a WSGI application does; a HEAD request gets no body, a large one may be gzipped."""
        body = self.body
        headers = self.headers
        if self.status == HTTPStatus.NOT_MODIFIED:
            body = b""
        elif len(body) >= GZIP_BYTES:
            headers = [*headers, ("Vary", "Accept-Encoding")]
            if accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
                body = gzip.compress(body, mtime=0)
                headers.append(("Content-Encoding", "gzip"))
        if self.status != HTTPStatus.NOT_MODIFIED:
            headers = [*headers, ("Content-Length", str(len(body)))]
        start_response(f"{self.status} {HTTPStatus(self.status).phrase}", headers)
        # A body after HEAD would be read as the beginning of the next response.
        return [] if environ.get("REQUEST_METHOD") == "HEAD" or not body else [body]


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110, section 12.5.3)."""
    for item in accept_encoding.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
