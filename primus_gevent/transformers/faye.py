"""The `faye` transformer: WebSockets at the pathname as `websockets` has them, read by the package
gevent-websocket.

The original's runs on `faye-websocket`, a second WebSocket package for Node beside `ws`. On the wire both are
RFC 6455, and so are both of ours: their clients are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from gevent import get_hub

from ..protocols.deflate import PerMessageDeflate
from ..protocols.primus import SERVER_CLOSE
from ..transport_options import TransportOptions
from ..transports.flusher import Flusher
from ..transports.gevent_websocket import GeventWebSocketProtocol, GeventWebSocketTransport
from ..transports.websocket import WebSocketLimits
from .upgrade import Upgrades
from .websockets import WebSockets

__all__ = ["Faye"]

logger = logging.getLogger("primus_gevent")


class Faye(WebSockets):
    """Answers every request below the pathname: with a connection, or with what is wrong with it."""

    name = "faye"

    def __init__(self, primus: Any, given: Mapping[str, Any]) -> None:
        TransportOptions.parse(given)
        if primus.options.compression:
            logger.warning(
                "the transformer 'faye' does not compress WebSockets; 'websockets' does, for the same clients"
            )
        self._primus = primus
        farewell = partial(primus.encode, SERVER_CLOSE)
        self._upgrades = Upgrades(
            primus, open_transport=open_gevent_websocket, compresses=False, farewell=farewell
        )
        self.refuse = self._upgrades.refuse


def open_gevent_websocket(
    sock: Any,
    limits: WebSocketLimits,
    *,
    max_length: int,
    max_fragments: int,
    deflate: PerMessageDeflate | None = None,
) -> GeventWebSocketTransport:
    """A transport of this transformer. ``deflate`` is None: nothing else was agreed on."""
    protocol = GeventWebSocketProtocol(max_length=max_length, max_fragments=max_fragments)
    return GeventWebSocketTransport(sock, protocol, limits, Flusher.of(get_hub()))
