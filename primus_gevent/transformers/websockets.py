"""The `websockets` transformer: RFC 6455 at the pathname, one connection per request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ..middleware.exchange import Exchange
from ..protocols.primus import SERVER_CLOSE
from ..request import RequestRecord
from ..transport_options import TransportOptions
from ..transports.base import Receiver
from ..transports.websocket import WebSocketTransport
from .upgrade import Upgrades

__all__ = ["WebSockets"]


class WebSockets:
    """Answers every request below the pathname: with a connection, or with what is wrong with it."""

    name = "websockets"

    def __init__(self, primus: Any, given: Mapping[str, Any]) -> None:
        TransportOptions.parse(given)
        self._primus = primus
        self._upgrades = Upgrades(primus, farewell=partial(primus.encode, SERVER_CLOSE))
        self.refuse = self._upgrades.refuse

    def claims(self, exchange: Exchange) -> bool:
        """Whether a request is one of this framework's. Engine.IO's WebSockets have the same path."""
        here = exchange.upgrade and exchange.path in ("", "/")
        return here and "transport=" not in exchange.environ.get("QUERY_STRING", "")

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request that the layers have let pass."""
        return self._upgrades.accept(exchange, start_response, self._attach)

    def _attach(
        self, transport: WebSocketTransport, record: RequestRecord, here: bool
    ) -> tuple[Receiver, Callable[[], None] | None]:
        spark = self._primus.make_spark(transport, record)
        return spark, self._primus.connect(spark, here=here)
