"""Raw gevent-websocket: what a gevent program has without Primus: no parser, no heartbeat, no bounds.

usage: python gevent_websocket_raw.py echo|broadcast
"""

from __future__ import annotations

import sys
from typing import Any

from common import announce
from gevent.pywsgi import WSGIServer
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.handler import WebSocketHandler

receivers: set[Any] = set()


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    socket = environ["wsgi.websocket"]
    while (message := socket.receive()) is not None:
        socket.send(message)
    return []


def broadcast(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    socket = environ["wsgi.websocket"]
    receivers.add(socket)
    try:
        while (message := socket.receive()) is not None:
            for receiver in list(receivers):
                try:
                    receiver.send(message)
                except WebSocketError:
                    receivers.discard(receiver)
    finally:
        receivers.discard(socket)
    return []


server = WSGIServer(
    ("127.0.0.1", 0),
    {"echo": echo, "broadcast": broadcast}[sys.argv[1]],
    handler_class=WebSocketHandler,
    backlog=1024,
    log=None,
    error_log=None,  # it logs a traceback for every client that leaves
)
server.start()
announce(server.server_port)
server.serve_forever()
