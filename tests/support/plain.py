"""A plain WSGI application with one route per kind of response, for tests of our own server.

A path that is none of them is answered with what the application saw of the request, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

Environ = dict[str, Any]

BODIES: dict[str, Any] = {
    "/one": [b"one"],
    "/list": [b"1", b"2", b"34"],
    "/empty": [],
    "/large": [b"x" * 1_000_000],
    "/unread": [b"unread"],
}
closed: list[str] = []  # what was closed by the server


def chunks(*parts: bytes) -> Iterator[bytes]:
    yield from parts


class Closing:
    """An iterable that notes when it is closed."""

    def __init__(self, name: str, parts: Iterable[bytes]) -> None:
        self.name = name
        self.parts = iter(parts)

    def __iter__(self) -> Iterator[bytes]:
        return self.parts

    def close(self) -> None:
        closed.append(self.name)


def fails_after(*parts: bytes) -> Iterator[bytes]:
    yield from parts
    raise LookupError("in the middle of a response")


def seen(environ: Environ) -> bytes:
    body = environ["wsgi.input"].read(-1)
    strings = {name: value for name, value in environ.items() if isinstance(value, str)}
    return json.dumps({"environ": strings, "body": body.decode("latin-1")}).encode()


def use_write(environ: Environ, start_response: Callable[..., Any]) -> Any:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"a")
    write(b"")
    write(b"b")
    return [b"c"]


def use_exc_info(environ: Environ, start_response: Callable[..., Any]) -> Any:
    """Another answer in place of the first one, of which nothing has been sent."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
    try:
        raise LookupError("seen in time")
    except LookupError:
        start_response("503 Sorry", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]


def use_exc_info_late(environ: Environ, start_response: Callable[..., Any]) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"a"
    try:
        raise LookupError("seen too late")
    except LookupError:
        start_response("500 Sorry", [("Content-Type", "text/plain")], sys.exc_info())
    yield b"never sent"


def start_twice(environ: Environ, start_response: Callable[..., Any]) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"twice"]


def swallow(environ: Environ, start_response: Callable[..., Any]) -> Any:
    """Take what comes of the body, and let no error of it be known."""
    data = b""
    with contextlib.suppress(Exception):
        data = environ["wsgi.input"].read(-1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"swallowed ", data]


SPECIAL: dict[str, Callable[..., Any]] = {
    "/write": use_write,
    "/exc-info": use_exc_info,
    "/exc-info-late": use_exc_info_late,
    "/twice": start_twice,
    "/swallow": swallow,
    "/unstarted": lambda environ, start_response: [b"but a body"],
    "/nothing": lambda environ, start_response: [],
}

# path: status, headers, body
ANSWERS: dict[str, tuple[str, list[tuple[str, str]], Callable[[], Any]]] = {
    "/length": ("200 OK", [("Content-Length", "5")], lambda: chunks(b"known")),
    "/chunks": ("200 OK", [], lambda: chunks(b"a", b"b", b"c")),
    "/no-chunks": ("200 OK", [], lambda: chunks(b"", b"")),
    "/too-short": ("200 OK", [("Content-Length", "5")], lambda: [b"abc"]),
    "/too-long": ("200 OK", [("Content-Length", "2")], lambda: [b"abc"]),
    "/too-long-stream": ("200 OK", [("Content-Length", "2")], lambda: chunks(b"a", b"bc", b"d")),
    "/close": ("200 OK", [("Connection", "close")], lambda: [b"last"]),
    "/own-chunks": ("200 OK", [("Transfer-Encoding", "chunked")], lambda: chunks(b"a", b"b")),
    "/dated": ("200 OK", [("Date", "Sun, 06 Nov 1994 08:49:37 GMT")], lambda: [b"old"]),
    "/no-content": ("204 No Content", [], list),
    "/not-modified": ("304 Not Modified", [("Content-Length", "5")], list),
    "/no-content-but-body": ("204 No Content", [], lambda: [b"body"]),
    "/line-break": ("200 OK", [("X", "a\r\nY: b")], lambda: [b"body"]),
    "/text": ("200 OK", [], lambda: ["not bytes"]),
    "/closing": ("200 OK", [], lambda: Closing("whole", [b"a", b"b"])),
    "/closing-error": ("200 OK", [], lambda: Closing("broken", fails_after(b"a"))),
    "/fails-at-once": ("200 OK", [], fails_after),
}


def app(environ: Environ, start_response: Callable[..., Any]) -> Any:
    path = environ["PATH_INFO"]
    if path in SPECIAL:
        return SPECIAL[path](environ, start_response)
    headers = [("Content-Type", "application/octet-stream")]
    if path == "/database":
        raise ConnectionResetError("the database left")
    if path in ANSWERS:
        status, further, body = ANSWERS[path]
        start_response(status, further if status.startswith(("204", "304")) else headers + further)
        return body()
    if path == "/echo":
        result: Any = [environ["wsgi.input"].read(-1)]
    elif path == "/closed":
        result = [json.dumps(closed).encode()]
    else:
        result = BODIES.get(path) if path in BODIES else [seen(environ)]
    start_response("200 OK", headers)
    return result


def create() -> Any:
    return app


def create_validated() -> Any:
    """With PEP 3333's own checks between the server and the application."""
    return validator(app)
