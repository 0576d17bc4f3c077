"""The `websockets` transformer: RFC 6455 at the pathname, one connection per request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..errors import OptionError
from ..middleware.exchange import Exchange
from ..request import RequestRecord
from ..transports.base import Receiver
from ..transports.websocket import WebSocketTransport
from .upgrade import Upgrades

__all__ = ["WebSockets"]


class WebSockets:
    """Answers every request below the pathname: with a connection, or with what is wrong with it."""

    name = "websockets"

    def __init__(self, primus: Any) -> None:
        if primus.options.transport:
            raise OptionError("the transformer 'websockets' has no options of its own", "transport")
        self._primus = primus
        self._upgrades = Upgrades(primus)
        self.refuse = self._upgrades.refuse

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request that the layers have let pass."""
        return self._upgrades.accept(exchange, start_response, self._attach)

    def _attach(
        self, transport: WebSocketTransport, record: RequestRecord, here: bool
    ) -> tuple[Receiver, Callable[[], None] | None]:
        spark = self._primus.make_spark(transport, record)
        return spark, self._primus.connect(spark, here=here)
