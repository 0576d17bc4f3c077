"""Taking a WebSocket: what every transformer that speaks it does between a request and an open connection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from gevent import get_hub

from .. import hosts
from ..errors import HandshakeError, HostError
from ..hosts import Host, Taken
from ..middleware import Response
from ..middleware.builtin import NO_CACHE
from ..middleware.exchange import Exchange
from ..middleware.failures import reason_of
from ..middleware.origins import is_allowed
from ..protocols.deflate import DeflateOptions, PerMessageDeflate
from ..protocols.handshake import ServerHandshake
from ..protocols.websocket import WebSocketProtocol
from ..request import RequestRecord
from ..transports.base import Raw, Receiver
from ..transports.flusher import Flusher
from ..transports.websocket import WebSocketLimits, WebSocketTransport

__all__ = ["Attach", "OpenTransport", "Upgrades", "refusal"]

logger = logging.getLogger("primus_gevent")

# Of an answer that leaves HTTP: these are the handshake's own business.
HANDSHAKE_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "transfer-encoding",
        "upgrade",
    }
)
REFUSED = 1008  # "policy violation" (RFC 6455, section 7.4.1)
SERVER_ERROR = 500
MAX_REASON_BYTES = 123  # of a Close frame (RFC 6455, section 5.5)

#: Gives a new connection to whoever will receive from it. Called with the connection, what is kept of its
#: request, and whether the request's greenlet has nothing else to do until the end; returns the receiver, and
#: what to run in that greenlet, if anything.
Attach = Callable[[WebSocketTransport, RequestRecord, bool], tuple[Receiver, Callable[[], None] | None]]


class OpenTransport(Protocol):
    """Makes the transport of a connection that has been taken; it is started by who has asked for it."""

    def __call__(
        self,
        sock: Any,
        limits: WebSocketLimits,
        *,
        max_length: int,
        max_fragments: int,
        deflate: PerMessageDeflate | None,
    ) -> WebSocketTransport: ...


def open_websocket(
    sock: Any,
    limits: WebSocketLimits,
    *,
    max_length: int,
    max_fragments: int,
    deflate: PerMessageDeflate | None,
) -> WebSocketTransport:
    """The transport of all transformers that do not bring their own."""
    protocol = WebSocketProtocol(max_length=max_length, max_fragments=max_fragments, deflate=deflate)
    return WebSocketTransport(sock, protocol, limits, Flusher.of(get_hub()))


class Upgrades:
    """Takes the WebSockets of one transformer."""

    def __init__(
        self,
        primus: Any,
        *,
        max_length: int | None = None,
        open_transport: OpenTransport = open_websocket,
        compresses: bool = True,
        farewell: Callable[[], Raw] | None = None,
    ) -> None:
        """
        Args:
            max_length: of a message on the wire, where the framework adds to what the application sends.
            open_transport: makes the transports.
            compresses: whether they can; otherwise no compression is agreed on, whatever the option says.
            farewell: gives the message that keeps a client from coming back which is refused when its server
                has let it in already.
        """
        options = primus.options
        self._primus = primus
        self._max_length = max_length or options.max_length
        self._open = open_transport
        self._farewell = farewell
        self._compression = DeflateOptions.parse(options.compression) if compresses else False
        self._limits = WebSocketLimits(
            write_buffer=options.write_buffer,
            write_timeout=options.write_timeout,
            close_timeout=options.close_timeout,
        )

    def accept(
        self, exchange: Exchange, start_response: Any, attach: Attach, *, moves: bool = False
    ) -> Iterable[bytes]:
        """Answer a request with a connection for ``attach``, or with what is wrong with it.

        Args:
            moves: the client has a session already and brings it here, so a server that is full has room.
        """
        environ = exchange.environ
        try:
            handshake = ServerHandshake.parse(environ, compression=self._compression)
        except HandshakeError as error:
            exchange.answer = refusal(error.status, error.reason, error.headers)
            return self.refuse(exchange, start_response)
        host, answer = _find_host(environ, start_response)
        if host is None:
            return exchange.respond(start_response, answer)
        if not is_allowed(environ, self._primus.options.origins):
            logger.info(
                "refused a connection from the origin %r; to let it in, add it to the option `origins`",
                environ.get("HTTP_ORIGIN"),
            )
            if host.upgraded:
                return self._close_upgraded(host, REFUSED, "This origin is not allowed", final=True)
            return exchange.respond(start_response, refusal(403, "This origin is not allowed"))
        busy = "" if moves else self._primus.refuses()
        if busy:
            if host.upgraded:
                return self._close_upgraded(host, 1013, busy)
            return exchange.respond(start_response, refusal(503, busy, [("Retry-After", "1")]))
        return self._connect(host, handshake, exchange, attach)

    def refuse(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Give an answer of HTTP, a layer's for example, to an upgrade request."""
        if "wsgi.websocket" in exchange.environ:
            host, _ = _find_host(exchange.environ, start_response)
            if host is not None and host.upgraded:
                # The reason is all that there is room for.
                status, reason = reason_of(exchange.answer, exchange.environ)
                reason = reason.encode("utf-8", "ignore")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
                return self._close_upgraded(host, REFUSED, reason, final=status < SERVER_ERROR)
        return exchange.respond(start_response)

    def _connect(
        self, host: Host, handshake: ServerHandshake, exchange: Exchange, attach: Attach
    ) -> Iterable[bytes]:
        # Before the 101: when it is out, the client may be gone, and the environ emptied.
        record = RequestRecord(exchange.environ, exchange.seen_request)
        headers = handshake.response_headers()
        headers += [header for header in exchange.headers if header[0].lower() not in HANDSHAKE_HEADERS]
        try:
            taken = host.switch(headers)
        except OSError as error:
            logger.debug("client left during its handshake: %s", error)
            return []
        transport = self._transport(taken, None if host.upgraded else handshake)
        # The listeners are scheduled first, so that they know the spark before its first bytes are looked at.
        receiver, rest = attach(transport, record, not taken.detached)
        transport.start(receiver, taken.early)
        if not taken.detached:
            # The server needs its greenlet until the end, so a single listener may have it.
            try:
                if rest is not None:
                    rest()
                transport.wait_gone()
            finally:
                transport.abort()  # the server kills its greenlets when it stops
                taken.release()
        return []

    def _close_upgraded(self, host: Host, code: int, reason: str, *, final: bool = False) -> Iterable[bytes]:
        """Refuse a client whose 101 the server has sent already: all that is left is a Close frame.

        Args:
            final: it would be refused again.
        """
        try:
            taken = host.switch([])
        except OSError:
            return []
        transport = self._transport(taken, None)
        transport.start(_Nobody(), taken.early)
        if final and self._farewell is not None:
            transport.send(self._farewell())
        transport.close(code, reason)
        if not taken.detached:
            transport.wait_gone()
            taken.release()
        return []

    def _transport(self, taken: Taken, handshake: ServerHandshake | None) -> WebSocketTransport:
        return self._open(
            taken.sock,
            self._limits,
            max_length=self._max_length,
            max_fragments=self._primus.options.max_fragments,
            deflate=handshake.deflate if handshake else None,
        )


class _Nobody:
    """Receives for a connection that has no spark."""

    def receive(self, messages: Sequence[Raw], /) -> None:
        pass

    def closed(self, clean: bool, /) -> None:
        pass

    def gone(self) -> None:
        pass


def refusal(status: int, reason: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """An answer instead of a connection, in plain text."""
    return Response(status, reason, headers=[*headers, *NO_CACHE])


def _find_host(environ: dict[str, Any], start_response: Any) -> tuple[Host | None, Response | None]:
    """The server that hands over the connection, or what to answer where there is none."""
    try:
        return hosts.find(environ, start_response), None
    except HostError as error:
        logger.error("cannot take a WebSocket: %s", error)
        return None, refusal(501, "This server cannot take over the connection")
