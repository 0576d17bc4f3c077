"""A framework from outside the package: WebSocket messages that travel backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from primus_gevent.middleware import Response
from primus_gevent.middleware.exchange import Exchange
from primus_gevent.request import RequestRecord
from primus_gevent.transformers.upgrade import Upgrades
from primus_gevent.transports.websocket import WebSocketTransport

LIBRARY = """
function transformer(client, relay) {
  const { Socket } = findWebSocket();
  const turned = (text) => Array.from(text).reverse().join('');
  const socket = new Socket(client.uri({ protocol: 'ws:' }) + '&toy=1');
  client.socket = socket;
  socket.onopen = () => relay('open');
  socket.onmessage = (event) => relay('data', turned(event.data));
  socket.onerror = (event) => relay('error', event);
  socket.onclose = (event) => relay('end', event);
  return { send(packet) { socket.send(turned(packet)); }, close() { socket.close(); } };
}
"""


class Turned:
    """Between a spark and its WebSocket, in both roles."""

    name = "toy"

    def __init__(self, transport: WebSocketTransport) -> None:
        self.transport = transport
        self.spark: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    @property
    def active(self) -> bool:
        return self.transport.active

    @active.setter
    def active(self, value: bool) -> None:
        self.transport.active = value

    def send(self, payload: str) -> None:
        self.transport.send(payload[::-1])

    def prepare(self, payload: str) -> bytes:
        return self.transport.prepare(payload[::-1])

    @property
    def framing(self) -> None:
        return None

    def receive(self, messages: Sequence[Any]) -> None:
        self.spark.receive([message[::-1] for message in messages])

    def closed(self, clean: bool) -> None:
        self.spark.closed(clean)

    def gone(self) -> None:
        self.spark.gone()


class Toy:
    """The transformer."""

    name = "toy"

    def __init__(self, primus: Any, given: Mapping[str, Any]) -> None:
        self.primus = primus
        self.given = given
        self.upgrades = Upgrades(primus)
        self.refuse = self.upgrades.refuse

    def claims(self, exchange: Exchange) -> bool:
        return "toy=" in exchange.environ.get("QUERY_STRING", "")

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        if exchange.upgrade:
            return self.upgrades.accept(exchange, start_response, self.attach)
        return exchange.respond(start_response, Response(200, "a toy"))

    def attach(
        self, transport: WebSocketTransport, record: RequestRecord, here: bool
    ) -> tuple[Any, Callable[[], None] | None]:
        turned = Turned(transport)
        turned.spark = self.primus.make_spark(turned, record)
        return turned, self.primus.connect(turned.spark, here=here)
