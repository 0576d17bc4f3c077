"""The plain HTTP around the connections: the layers that every request passes, and answers of our own."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.http import HTTP_STATUS_CODES

__all__ = ["Response", "with_headers"]

# What belongs to one answer, and is not handed on to the next.
_OF_ONE_ANSWER = frozenset({"content-type", "content-length", "content-encoding", "transfer-encoding"})
NOT_MODIFIED = 304

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
        if self.status == NOT_MODIFIED:
            body = b""
        elif len(body) >= GZIP_BYTES:
            headers = [*headers, ("Vary", "Accept-Encoding")]
            if accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
                body = gzip.compress(body, mtime=0)
                headers.append(("Content-Encoding", "gzip"))
        if self.status != NOT_MODIFIED:
            headers = [*headers, ("Content-Length", str(len(body)))]
        start_response(f"{self.status} {HTTP_STATUS_CODES.get(self.status, 'Unknown')}", headers)
        # A body after HEAD would be read as the beginning of the next response.
        return [] if environ.get("REQUEST_METHOD") == "HEAD" or not body else [body]


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110, section 12.5.3)."""
    for item in accept_encoding.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def inherited(own: Iterable[tuple[str, str]], others: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of an answer together with ``others`` that layers have set before it was known.

    The answer's own win, because a transformer's protocol may depend on them; ``Vary`` and ``Set-Cookie`` are
    added up.
    """
    headers = list(own)
    names = {name.lower() for name, _ in headers}
    vary = [value for name, value in headers if name.lower() == "vary"]
    for name, value in others:
        lower = name.lower()
        if lower == "vary":
            vary.append(value)
        elif lower == "set-cookie":
            if (name, value) not in headers:
                headers.append((name, value))
        elif lower not in names and lower not in _OF_ONE_ANSWER:
            headers.append((name, value))
    if len(vary) > 1:
        fields = dict.fromkeys(field.strip() for value in vary for field in value.split(","))
        headers = [header for header in headers if header[0].lower() != "vary"]
        vary = [", ".join(fields)]
    if vary and not any(name.lower() == "vary" for name, _ in headers):
        headers.append(("Vary", vary[0]))
    return headers


def with_headers(start_response: Any, headers: Iterable[tuple[str, str]]) -> Callable[..., Any]:
    """A `start_response` that adds what earlier layers have set to the headers of the answer."""

    def start(status: str, own: list[tuple[str, str]], exc_info: Any = None) -> Any:
        merged = inherited(own, headers)
        return start_response(status, merged, exc_info) if exc_info else start_response(status, merged)

    return start
