"""The transport for `websockets` and `faye`: one WebSocket per connection."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import gevent

from ...errors import ConnectError, HandshakeError, OptionError
from ...hosts.base import TLSSocket, duplicate
from ...protocols.handshake import ClientHandshake
from ...protocols.websocket import WebSocketProtocol
from ...transports.flusher import Flusher
from ...transports.websocket import WebSocketLimits, WebSocketTransport
from .. import network
from ..address import UrlParts
from ..answers import Answer

if TYPE_CHECKING:
    from ..link import Link
    from ..options import ClientOptions
    from ..socket import Socket

__all__ = ["WebSockets", "open_websocket"]


class WebSockets:
    """One WebSocket at the server's pathname."""

    @classmethod
    def check(cls, options: ClientOptions) -> None:
        """See `ClientTransport`."""
        for name in options.transport:
            raise OptionError(f"unknown transport option {name!r}; this transformer has none", "transport")

    def __init__(self, client: Socket, link: Link) -> None:
        self._client = client
        self._link = link
        self._opening: Any = None
        self._connection: WebSocketTransport | None = None

    def open(self) -> None:
        """See `ClientTransport`."""
        url = self._client.uri(scheme="wss" if self._client.address.secure else "ws")
        self._opening = gevent.spawn(self._open, url)

    def _open(self, url: UrlParts) -> None:
        loop = gevent.get_hub().loop
        try:
            connection, early = open_websocket(self._client, url)
        except Exception as error:  # noqa: BLE001 - whoever listens is told; the client goes on
            loop.run_callback(self._refused, error)
            return
        self._connection = connection
        loop.run_callback(self._opened, connection, early)

    def _refused(self, error: BaseException) -> None:
        self._link.error(error)
        self._link.closed(False)

    def _opened(self, connection: WebSocketTransport, early: bytes) -> None:
        # Reading begins a turn of the loop later, so that the link knows of the connection first.
        connection.start(self._link, early)
        self._link.opened(connection)

    def close(self) -> None:
        """See `ClientTransport`."""
        if self._connection is not None:
            self._connection.close()
        elif self._opening is not None:
            self._opening.kill(block=False)


def open_websocket(client: Socket, url: UrlParts) -> tuple[WebSocketTransport, bytes]:
    """Connect and shake hands. Blocks; killed, it leaves nothing behind.

    Returns:
        The connection, to be started, and what came behind the server's answer.

    Raises:
        ConnectError: or one of its kinds.
    """
    options = client.options
    proxy = network.find_proxy(url, options.proxy)
    # A WebSocket always asks a proxy for a tunnel (RFC 6455, 4.1).
    sock = client.network.connect(url, proxy)
    try:
        with network.explained(url):
            handshake, early = _shake_hands(client, url, sock)
    except BaseException:
        sock.close()
        raise
    if url.secure:
        taken: Any = TLSSocket(sock)
    else:
        # An original socket, because a method written in C is what the hot path wants.
        taken = duplicate(sock)
        sock.close()
    protocol = WebSocketProtocol(
        client=True,
        max_length=options.max_length,
        max_fragments=options.max_fragments,
        deflate=handshake.deflate,
    )
    limits = WebSocketLimits(
        write_buffer=options.write_buffer,
        write_timeout=options.write_timeout,
        close_timeout=options.close_timeout,
    )
    return WebSocketTransport(taken, protocol, limits, Flusher.of(gevent.get_hub())), early


def _shake_hands(client: Socket, url: UrlParts, sock: Any) -> tuple[ClientHandshake, bytes]:
    handshake = ClientHandshake(compression=client.options.compression)
    headers = client.network.headers(url, dict(handshake.request_headers()))
    sock.sendall(network.request_head("GET", url.target, headers))
    # Closed in any case: it has a file over the socket, which would keep that open.
    with closing(Answer(sock, "GET")) as answer:
        client.network.cookies.keep(str(url), answer)
        if answer.status != 101:
            raise answer.unexpected(url)
        try:
            handshake.check(answer.status, answer.headers.items())
        except HandshakeError as error:
            where = f"{url.scheme}://{url.netloc}"
            raise ConnectError(f"{where} does not open a WebSocket: {error.reason}", str(url)) from error
        return handshake, answer.early()
