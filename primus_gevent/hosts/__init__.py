"""The few lines that know which WSGI server runs us, and how a connection is taken from it.

============================  ==================  ====================================================
server                        `Host.name`         connection
============================  ==================  ====================================================
`primus_gevent.hosts.server`  primus              detached; attached with TLS
`gevent.pywsgi.WSGIServer`    pywsgi              detached; attached with TLS
gunicorn -k gevent            gunicorn            detached; attached with TLS
gunicorn -k gevent_pywsgi     gunicorn-pywsgi     detached; attached with TLS
gevent-websocket              gevent-websocket    the same, but its 101 is out before we are called
============================  ==================  ====================================================
"""

from __future__ import annotations

from typing import Any

from gevent.pywsgi import Input

from primus_gevent.errors import HostError
from primus_gevent.hosts import gevent_websocket, gunicorn, pywsgi
from primus_gevent.hosts.base import Environ, Host, StartResponse, Taken, set_nodelay

__all__ = ["HOST_KEY", "Host", "Taken", "close_after", "connection", "find", "strip"]

SERVERS = (
    "gevent.pywsgi.WSGIServer, 'gunicorn -k gevent', 'gunicorn -k gevent_pywsgi', gevent-websocket, "
    "or Primus.create_server"
)

# A way of its own to hand over connections, for who calls the application without any of these servers: a
# function that makes the `Host` of a request. No client can set it, because headers are called HTTP_.
HOST_KEY = "wsgi.primus_host"

# What a server puts into the environ and a connection that outlives its request must not keep alive.
SERVER_KEYS = (
    "gunicorn.sock",
    "gunicorn.socket",
    "werkzeug.socket",
    "wsgi.early_hints",
    "wsgi.file_wrapper",
    "wsgi.input",
    HOST_KEY,
    "wsgi.websocket",
)


def find(environ: Environ, start_response: StartResponse) -> Host:
    """The server of this request, able to hand over its connection.

    Raises:
        HostError: it hands out none, or not for this request.
    """
    protocol = environ.get("SERVER_PROTOCOL")
    if protocol != "HTTP/1.1":
        # Over HTTP/2, gunicorn's socket is the one connection that all requests share.
        raise HostError(f"a connection can be taken over from HTTP/1.1 only, not from {protocol}")
    # First, and whatever the request looks like: it has been upgraded, so nobody else can end it.
    host: Host | None = gevent_websocket.find(environ, start_response)
    if host is not None:
        return host
    if environ.get("HTTP_TRANSFER_ENCODING") or environ.get("CONTENT_LENGTH", "0").strip() not in ("", "0"):
        raise HostError("an upgrade request with a body cannot be taken over")
    if HOST_KEY in environ:
        lent: Host = environ[HOST_KEY](environ, start_response)
        return lent
    for module in (pywsgi, gunicorn):
        host = module.find(environ, start_response)
        if host is not None:
            return host
    software = environ.get("SERVER_SOFTWARE", "unknown")
    raise HostError(
        f"this WSGI server ({software}) hands out no socket that gevent can use, or a middleware hides it; "
        f"use {SERVERS}"
    )


def connection(environ: Environ, start_response: StartResponse) -> Any:
    """The connection of this request, to be watched, not to be read; None where the server hides it.

    Its responses leave at once from now on (TCP_NODELAY): plain pywsgi sends them in two packets, and the
    second would wait for the acknowledgement of the first.
    """
    if environ.get("SERVER_PROTOCOL") not in ("HTTP/1.1", "HTTP/1.0"):
        return None  # all requests share it
    handler = getattr(start_response, "__self__", None)
    sock = getattr(handler, "socket", None)
    if hasattr(handler, "primus_host_name"):
        return sock  # our own server has seen to it
    if sock is None:
        sock = environ.get("gunicorn.socket")
    if sock is None:
        rfile = pywsgi.read_file(environ)
        sock = None if rfile is None else rfile.raw._sock
    if sock is None or not hasattr(sock, "fileno"):
        return None
    set_nodelay(sock)
    return sock


def close_after(start_response: StartResponse) -> None:
    """Close the connection after the answer that follows, where the server ignores ``Connection: close``.

    Also what is left of the request's body is not waited for: pywsgi would read it before it closes.
    """
    handler = getattr(start_response, "__self__", None)  # a middleware may hide it
    force_close = getattr(handler, "force_close", None)
    if force_close is not None:  # gunicorn
        force_close()
    body = getattr(handler, "wsgi_input", None)
    if isinstance(body, Input):
        body.content_length, body.chunked_input = 0, False


def strip(environ: Environ) -> Environ:
    """A copy of an environ without what ties it to its server: streams, sockets, callables."""
    return {key: value for key, value in environ.items() if key not in SERVER_KEYS}
