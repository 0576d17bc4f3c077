"""A plain WSGI application with one route per kind of response, for tests of our own server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

BODIES: dict[str, Any] = {
    "/one": [b"one"],
    "/list": [b"1", b"2", b"34"],
    "/empty": [],
    "/large": [b"x" * 1_000_000],
}


def chunks(*parts: bytes) -> Iterator[bytes]:
    yield from parts


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "application/octet-stream")]
    if path == "/database":
        raise ConnectionResetError("the database left")
    if path == "/echo":
        body: Any = [environ["wsgi.input"].read()]
    elif path == "/chunks":
        body = chunks(b"a", b"b", b"c")
    elif path == "/length":
        body = chunks(b"known")
        headers.append(("Content-Length", "5"))
    else:
        body = BODIES[path]
    start_response("200 OK", headers)
    return body


def create() -> Any:
    return app
