"""The plain HTTP around the connections: the layers that every request passes, and answers of our own."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.http import HTTP_STATUS_CODES

__all__ = ["Response", "sendable", "with_headers"]

logger = logging.getLogger("primus_gevent")

# What belongs to one answer, and is not handed on to the next.
OF_ONE_ANSWER = frozenset({"content-type", "content-length", "content-encoding", "transfer-encoding"})
NOT_MODIFIED = 304

GZIP_BYTES = 1024  # below this, compressing costs more than it saves

# RFC 9110, section 5. A line end would begin another header, or the body; what else these leave out makes one
# server or another fail in the middle of its answer.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(r"([2-5][0-9]{2})( [\t\x20-\x7e\x80-\xff]*)?")
INTERNAL_ERROR = 500


class Response:
    """A small HTTP answer whose body is known.

    Args:
        packed: ``body`` compressed with gzip, where that is known already.
    """

    __slots__ = ("body", "headers", "packed", "status")

    def __init__(
        self,
        status: int,
        body: str | bytes = b"",
        content_type: str = "text/plain",
        headers: Iterable[tuple[str, str]] = (),
        *,
        packed: bytes | None = None,
    ) -> None:
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = [("Content-Type", content_type), *headers]
        self.packed = packed

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Answer as a WSGI application does; a HEAD request gets no body, a large one may be gzipped."""
        body = self.body
        headers = self.headers
        if self.status == NOT_MODIFIED:
            body = b""
        elif len(body) >= GZIP_BYTES:
            headers = [*headers, ("Vary", "Accept-Encoding")]
            if accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
                body = self.packed or gzip.compress(body, mtime=0)
                headers.append(("Content-Encoding", "gzip"))
        if self.status != NOT_MODIFIED:
            headers = [*headers, ("Content-Length", str(len(body)))]
        start_response(status_line(self.status), headers)
        # A body after HEAD would be read as the beginning of the next response.
        return [] if environ.get("REQUEST_METHOD") == "HEAD" or not body else [body]


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110, section 12.5.3)."""
    weights = {}
    for item in accept_encoding.lower().split(","):
        name, _, weight = item.partition(";")
        weights[name.strip()] = weight.replace(" ", "")
    # the star stands for those that are not named
    return weights.get("gzip", weights.get("*", "q=0")) not in ("q=0", "q=0.0", "q=0.00", "q=0.000")


def status_line(status: int) -> str:
    """A status with its name."""
    return f"{status} {HTTP_STATUS_CODES.get(status, 'Unknown')}"


def sendable(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the headers that can be sent; the others are logged, by name, and left out.

    What a layer sets comes from outside often enough. werkzeug refuses line ends in values, but not in names,
    and takes characters that no header can have.
    """
    kept = []
    for name, value in headers:
        if _NAME.fullmatch(name) and _VALUE.fullmatch(value):
            kept.append((name, value))
        else:
            logger.error("left out the header %.100r: its name or value cannot be sent", name)
    return kept


def sendable_status(status: str) -> str:
    """A status that can be sent in place of an application's."""
    match = _STATUS.fullmatch(status)
    if match is not None:
        return status if match[2] else status_line(int(match[1]))
    match = _STATUS.match(status)
    if match is not None and not status[3:4].isdigit():
        return status_line(int(match[1]))
    logger.error("%.100r is no status of an answer", status)
    return status_line(INTERNAL_ERROR)


def inherited(own: Iterable[tuple[str, str]], others: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of an answer together with ``others`` that layers have set before it was known.

    The answer's own win, because a transformer's protocol may depend on them; ``Vary`` and ``Set-Cookie`` are
    added up.
    """
    headers = []
    names = set()
    vary = []
    for header in own:
        name = header[0].lower()
        names.add(name)
        if name == "vary":
            vary.append(header[1])
        else:
            headers.append(header)
    for header in others:
        name = header[0].lower()
        if name == "vary":
            vary.append(header[1])
        elif name == "set-cookie":
            if header not in headers:
                headers.append(header)
        elif name not in names and name not in OF_ONE_ANSWER:
            headers.append(header)
    if vary:
        headers.append(("Vary", vary[0] if len(vary) == 1 else _united(vary)))
    return headers


def _united(lists: Iterable[str]) -> str:
    """One list of header names out of several, each name once."""
    names: dict[str, str] = {}
    for text in lists:
        for name in text.split(","):
            if name.strip():
                names.setdefault(name.strip().lower(), name.strip())
    return "*" if "*" in names else ", ".join(names.values())


def with_headers(
    start_response: Any, headers: Iterable[tuple[str, str]], *, check: bool = False
) -> Callable[..., Any]:
    """A `start_response` that adds what earlier layers have set to the headers of the answer.

    Args:
        check: the answer is not ours; what of it cannot be sent is left out.
    """

    def start(status: str, own: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if check:
            status, own = sendable_status(status), sendable(own)
        merged = inherited(own, headers)
        return start_response(status, merged, exc_info) if exc_info else start_response(status, merged)

    return start
