"""How a client in the same process gets in: the handshake is a real request, only the connection is none.

The request passes the WSGI application with all its layers, and is answered by what answers WebSockets
everywhere: `transformers.upgrade`, which checks its origin, and whether there is room. A host that comes with
the request hands over one end of a `Pipe` in place of a socket.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPMessage
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult
from werkzeug.datastructures import Headers
from werkzeug.test import Client as WerkzeugClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

from ..client import network
from ..client.address import UrlParts
from ..dispatchers import FAILURES
from ..errors import ConnectError, HandshakeError
from ..hosts import HOST_KEY, Host, Taken
from ..middleware.exchange import Exchange
from ..protocols.handshake import ClientHandshake
from ..request import RequestRecord
from ..transformers.upgrade import Upgrades
from ..transports.base import Receiver
from ..transports.websocket import WebSocketLimits
from .pipe import Pipe

if TYPE_CHECKING:
    from ..client import Socket
    from ..primus import Primus

__all__ = ["Door"]

WSGIApp = Callable[..., Iterable[bytes]]

#: Who the server sees, unless a client says otherwise.
REMOTE = {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "49152"}


class Door:
    """Lets clients of the same process into one server.

    Args:
        primus: the server.
        app: the WSGI application that leads to it.
        failed: is told what the application raises.

    Attributes:
        outage: None, ``refused`` (nothing listens) or ``silent`` (the network swallows everything).
    """

    def __init__(self, primus: Primus, app: WSGIApp, failed: Callable[[BaseException], None]) -> None:
        self.outage: str | None = None
        self._primus = primus
        self._app = app
        self._failed = failed
        self._transformer: Any = None

    def open(self) -> None:
        """Take those in who come this way, beside all others."""
        self._transformer = self._primus.transformer
        self._primus.transformer = _InProcess(self._primus, self._transformer)

    def close(self) -> None:
        """Be gone without a trace."""
        self._primus.transformer = self._transformer

    def knock(
        self, client: Socket, url: UrlParts, environ: Mapping[str, Any], browser: WerkzeugClient | None
    ) -> Pipe:
        """Connect and shake hands. Blocks while the application does; killed, it leaves nothing behind.

        Raises:
            ConnectError: or one of its kinds.
        """
        if self.outage == "refused":
            raise ConnectError(f"nothing listens at {url.scheme}://{url.netloc}", str(url))
        if self.outage == "silent":
            AsyncResult().get()  # until whoever waits for us has lost patience
        handshake = ClientHandshake()
        headers = client.network.headers(url, dict(handshake.request_headers()))
        pipe = Pipe(gevent.get_hub())
        request = {**_environ(url, headers), **environ, HOST_KEY: partial(_PipeHost, pipe)}
        answer: Any = AsyncResult()
        # In a greenlet of its own: a server knows nothing of it when a client gives up.
        gevent.spawn(self._answer, request, browser, answer)
        try:
            status, fields, body = answer.get()
            with network.explained(url):
                client.network.cookies.keep(str(url), _Fields(fields))
            if status != 101:
                raise network.unexpected(url, status, fields, body)
            try:
                handshake.check(status, fields)
            except HandshakeError as error:
                raise ConnectError(f"{url} does not open a connection: {error.reason}", str(url)) from error
        except BaseException:
            pipe.cut()
            raise
        options = client.options
        limits = WebSocketLimits(
            write_buffer=options.write_buffer,
            write_timeout=options.write_timeout,
            close_timeout=options.close_timeout,
        )
        pipe.client.bound(limits, options.max_length)
        return pipe

    def _answer(self, environ: dict[str, Any], browser: WerkzeugClient | None, answer: Any) -> None:
        try:
            if browser is None:
                chunks, status, headers = run_wsgi_app(self._app, environ, buffered=True)
            else:
                # The same cookies, but another way: its own may lead past us, to the wrapped application.
                way = copy.copy(browser)
                way.application = self._app
                chunks, status, headers = way.run_wsgi_app(environ, buffered=True)
        except FAILURES as error:
            self._failed(error)
            answer.set((500, [("Content-Type", "text/plain")], b"The application failed"))
        else:
            answer.set((int(status.split(" ", 1)[0]), list(headers.items()), b"".join(chunks)))


def _environ(url: UrlParts, headers: Mapping[str, str]) -> dict[str, Any]:
    path, _, query = url.target.partition("?")
    scheme = "https" if url.secure else "http"
    builder = EnvironBuilder(path, f"{scheme}://{url.netloc}", query, headers=Headers(list(headers.items())))
    return {**builder.get_environ(), **REMOTE}


class _Fields:
    """The header of an answer, as a jar for cookies wants it."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self.headers = HTTPMessage()
        for name, value in fields:
            self.headers[name] = value

    def info(self) -> HTTPMessage:
        return self.headers


class _PipeHost(Host):
    """The server of a request that has none."""

    name = "in-process"

    def __init__(self, pipe: Pipe, environ: dict[str, Any], start_response: Any) -> None:
        super().__init__(environ, start_response)
        self._pipe = pipe

    def switch(self, headers: list[tuple[str, str]]) -> Taken:
        write = self.start_response("101 Switching Protocols", headers)
        with suppress(TypeError):  # a middleware may keep it for itself, and it has nothing to say
            write(b"")
        return Taken(self._pipe.server, b"")


def _take(sock: Any, limits: WebSocketLimits, *, max_length: int, max_fragments: int, deflate: Any) -> Any:
    """What `Upgrades` makes of the end of a pipe: nothing but itself."""
    return sock.bound(limits, max_length)


class _InProcess:
    """A transformer that makes sparks of pipes, and leaves everything else to the real one."""

    def __init__(self, primus: Primus, real: Any) -> None:
        self._primus = primus
        self._real = real
        self._upgrades = Upgrades(primus, open_transport=_take, compresses=False)

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        if HOST_KEY in exchange.environ:
            return self._upgrades.accept(exchange, start_response, self._attach)
        answer: Iterable[bytes] = self._real(exchange, start_response)
        return answer

    def refuse(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        if HOST_KEY in exchange.environ:
            return exchange.respond(start_response)
        answer: Iterable[bytes] = self._real.refuse(exchange, start_response)
        return answer

    def _attach(
        self, end: Any, record: RequestRecord, here: bool
    ) -> tuple[Receiver, Callable[[], None] | None]:
        spark = self._primus.make_spark(end, record)
        end.spark = spark
        return spark, self._primus.connect(spark, here=here)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
