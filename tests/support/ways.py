"""The ways of the Python client: over each transformer each transport, by itself or after another one."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["TRANSFORMERS", "WAYS", "Way"]

#: Those that one server can have beside one another; `faye` is `websockets` by another name, and `polling` a
#: part of `engine.io`.
TRANSFORMERS = ["websockets", "engine.io", "sockjs", "browserchannel", "socket.io"]


class Way(NamedTuple):
    """Options that make a client go this way only, and what carries the messages in the end."""

    options: dict[str, Any]
    carrier: str


def way(transformer: str, carrier: str, **options: Any) -> Way:
    return Way({"transformer": transformer, **options}, carrier)


def only(transport: str) -> dict[str, Any]:
    # It would take a slow machine for one that cannot do it.
    return {"transports": [transport], "timeout": 8.0}


WAYS = {
    "websockets": way("websockets", "websocket"),
    "faye": way("faye", "websocket"),
    "engine.io-upgrade": way("engine.io", "websocket"),
    "engine.io-polling": way("engine.io", "polling", websockets=False),
    "engine.io-websocket": way("engine.io", "websocket", transport={"transports": ["websocket"]}),
    "polling": way("polling", "polling"),
    "sockjs-websocket": way("sockjs", "websocket", transport=only("websocket")),
    "sockjs-xhr-streaming": way("sockjs", "xhr-streaming", transport=only("xhr-streaming")),
    "sockjs-xhr-polling": way("sockjs", "xhr-polling", transport=only("xhr-polling")),
    "browserchannel-streaming": way("browserchannel", "streaming"),
    "browserchannel-polling": way("browserchannel", "long-polling", transport={"streaming": False}),
    "socket.io-websocket": way("socket.io", "websocket"),
    "socket.io-polling": way("socket.io", "xhr-polling", websockets=False),
}
