"""A server without sockets: requests go in as environs, and come out as answers or at a transformer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from primus_gevent import Primus
from primus_gevent.middleware import Response
from primus_gevent.middleware.exchange import Exchange
from tests.unit.fakes import ENVIRON

UPGRADE = {
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}
ERROR_500 = {"error": "Internal Server Error"}


class FakeTransformer:
    """Answers what the layers let pass, and keeps it."""

    def __init__(self) -> None:
        self.passed: list[Exchange] = []

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        self.passed.append(exchange)
        return exchange.respond(start_response, Response(200, "passed"))

    def refuse(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        return exchange.respond(start_response)


class Answer:
    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def code(self) -> int:
        return int(self.status[:3])

    @property
    def json(self) -> Any:
        assert self.header("Content-Type") == "application/json"
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.headers} {self.body!r}>"


def make(**options: Any) -> Any:
    primus: Any = Primus(**options)
    primus.transformer = FakeTransformer()
    return primus


def ask(app: Any, path: str = "", *, upgrade: bool = False, **environ: Any) -> Answer:
    told: list[Any] = []
    asked = {**ENVIRON, **(UPGRADE if upgrade else {}), "PATH_INFO": f"/primus{path}", **environ}
    chunks = app(asked, lambda status, headers, exc_info=None: told.extend((status, headers)))
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    status, headers = told
    return Answer(status, headers, body)
