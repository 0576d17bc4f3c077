"""Opening a WebSocket for a client, whichever transport it is for."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import gevent

from ..errors import ConnectError, HandshakeError
from ..hosts.base import TLSSocket, duplicate
from ..protocols.handshake import ClientHandshake
from ..protocols.websocket import WebSocketProtocol
from ..transports.flusher import Flusher
from ..transports.websocket import WebSocketLimits, WebSocketTransport
from . import network
from .address import UrlParts
from .answers import Answer

if TYPE_CHECKING:
    from .socket import Socket

__all__ = ["open_websocket"]


def open_websocket(
    client: Socket, url: UrlParts, *, max_length: int | None = None
) -> tuple[WebSocketTransport, bytes]:
    """Connect and shake hands. Blocks; killed, it leaves nothing behind.

    Args:
        max_length: of an incoming message, in bytes; None takes the client's option.

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
        max_length=max_length or options.max_length,
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
