"""gevent-websocket's `WebSocketHandler`, under pywsgi or as a gunicorn worker.

It answers 101 to every WebSocket request, on any path, before it calls the application, with a
`start_response` that does nothing. So a client can be refused by a Close frame only, and no subprotocol or
extension can be agreed on. Its `WebSocket` object stays unused: the codec is ours. The package is not
imported here; the object is found in ``wsgi.websocket``.
"""

from __future__ import annotations

from typing import Any

from gevent.pywsgi import Input

from primus_gevent.hosts.base import Environ, Headers, StartResponse, Taken, set_nodelay
from primus_gevent.hosts.pywsgi import PywsgiHost

__all__ = ["GeventWebSocketHost", "find"]


class GeventWebSocketHost(PywsgiHost):
    name = "gevent-websocket"
    upgraded = True

    def __init__(self, environ: Environ, start_response: StartResponse, websocket: Any) -> None:
        handler = websocket.handler
        super().__init__(environ, start_response, handler.rfile, handler)
        self.name = type(self).name
        self.websocket = websocket

    def switch(self, headers: Headers) -> Taken:
        websocket = self.websocket
        # The handler says goodbye with a Close frame of its own unless it believes that it has been said. The
        # three others are what its own `close` sets; they hold the socket.
        websocket.closed = True
        websocket.stream = websocket.raw_write = websocket.raw_read = None
        body = self.handler.wsgi_input if self.handler is not None else None
        if isinstance(body, Input):
            # Of a request that is to be refused for having one: pywsgi would read the rest of it.
            body.content_length, body.chunked_input = 0, False
        set_nodelay(self.rfile.raw._sock)
        return super().switch(headers)

    def answer(self, headers: Headers, sock: Any) -> bool:
        return True


def find(environ: Environ, start_response: StartResponse) -> GeventWebSocketHost | None:
    """The host, if gevent-websocket has upgraded this request."""
    websocket = environ.get("wsgi.websocket")
    handler = getattr(websocket, "handler", None)
    if handler is not None and hasattr(handler, "rfile") and hasattr(handler, "socket"):
        return GeventWebSocketHost(environ, start_response, websocket)
    return None
