"""The `websockets` transformer: RFC 6455 at the pathname, one connection per request."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from gevent import get_hub

from .. import hosts
from ..errors import HandshakeError, HostError, OptionError
from ..hosts import Host, Taken
from ..middleware import Response
from ..middleware.origins import is_allowed
from ..protocols.deflate import DeflateOptions
from ..protocols.handshake import ServerHandshake
from ..protocols.websocket import WebSocketProtocol
from ..request import RequestRecord
from ..transports.base import Raw
from ..transports.flusher import Flusher
from ..transports.websocket import WebSocketLimits, WebSocketTransport

__all__ = ["WebSockets"]

logger = logging.getLogger("primus_gevent")

# As the original has it: an answer to a handshake must never be taken from a cache.
NO_CACHE = (
    ("Cache-Control", "no-store, no-cache, must-revalidate, max-age=0"),
    ("Pragma", "no-cache"),
)


class WebSockets:
    """Answers every request below the pathname: with a connection, or with what is wrong with it."""

    name = "websockets"

    def __init__(self, primus: Any) -> None:
        options = primus.options
        if options.transport:
            raise OptionError("the transformer 'websockets' has no options of its own", "transport")
        self._primus = primus
        self._compression = _compression(options.compression)
        self._limits = WebSocketLimits(
            write_buffer=options.write_buffer,
            write_timeout=options.write_timeout,
            close_timeout=options.close_timeout,
        )

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            handshake = ServerHandshake.parse(environ, compression=self._compression)
        except HandshakeError as error:
            return _refuse(error.status, error.reason, error.headers)(environ, start_response)
        try:
            host = hosts.find(environ, start_response)
        except HostError as error:
            logger.error("cannot take a WebSocket: %s", error)
            return _refuse(501, "This server cannot take over the connection")(environ, start_response)
        if not is_allowed(environ, self._primus.options.origins):
            logger.info(
                "refused a connection from the origin %r; to let it in, add it to the option `origins`",
                environ.get("HTTP_ORIGIN"),
            )
            if host.upgraded:
                return self._close_upgraded(host, 1008, "This origin is not allowed")
            return _refuse(403, "This origin is not allowed")(environ, start_response)
        busy = self._primus.refuses()
        if busy:
            if host.upgraded:
                return self._close_upgraded(host, 1013, busy)
            return _refuse(503, busy, [("Retry-After", "1")])(environ, start_response)
        return self._connect(host, handshake, environ)

    def _connect(self, host: Host, handshake: ServerHandshake, environ: dict[str, Any]) -> Iterable[bytes]:
        # Before the 101: when it is out, the client may be gone, and the environ emptied.
        record = RequestRecord(environ)
        try:
            taken = host.switch(handshake.response_headers())
        except OSError as error:
            logger.debug("client left during its handshake: %s", error)
            return []
        transport = self._transport(taken, None if host.upgraded else handshake)
        spark = self._primus.make_spark(transport, record)
        # The listeners are scheduled first, so that they know the spark before its first bytes are looked at.
        rest = self._primus.connect(spark, here=not taken.detached)
        transport.start(spark, taken.early)
        if not taken.detached:
            # The server needs its greenlet until the end, so a single listener may have it.
            try:
                if rest is not None:
                    rest()
                transport.wait_gone()
            finally:
                spark.abort()  # the server kills its greenlets when it stops
                taken.release()
        return []

    def _close_upgraded(self, host: Host, code: int, reason: str) -> Iterable[bytes]:
        """Refuse a client whose 101 the server has sent already: all that is left is a Close frame."""
        try:
            taken = host.switch([])
        except OSError:
            return []
        transport = self._transport(taken, None)
        transport.start(_Nobody(), taken.early)
        transport.close(code, reason)
        if not taken.detached:
            transport.wait_gone()
            taken.release()
        return []

    def _transport(self, taken: Taken, handshake: ServerHandshake | None) -> WebSocketTransport:
        options = self._primus.options
        protocol = WebSocketProtocol(
            max_length=options.max_length,
            max_fragments=options.max_fragments,
            deflate=handshake.deflate if handshake else None,
        )
        return WebSocketTransport(taken.sock, protocol, self._limits, Flusher.of(get_hub()))


class _Nobody:
    """Receives for a connection that has no spark."""

    def receive(self, messages: Sequence[Raw], /) -> None:
        pass

    def closed(self, clean: bool, /) -> None:
        pass

    def gone(self) -> None:
        pass


def _refuse(status: int, reason: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    return Response(status, reason, headers=[*headers, *NO_CACHE])


def _compression(option: Any) -> bool | DeflateOptions:
    if isinstance(option, bool):
        return option
    try:
        deflate = DeflateOptions(**option)
        zlib.compressobj(deflate.level, memLevel=deflate.mem_level)  # it knows best what it takes
        if deflate.threshold < 0:
            raise ValueError("threshold is below 0")
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"option 'compression' takes level, mem_level and threshold: {error}", "compression"
        ) from None
    return deflate
