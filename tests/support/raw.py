"""An application for the host adapters alone: takes the connection over and echoes bytes, without any
WebSocket.

``/end``, ``/raise`` and ``/gone`` instead of ``/`` make the server's side end first, right after the 101 or
by an error.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub

from primus_gevent import hosts
from primus_gevent.errors import HostError

Environ = dict[str, Any]
WAIT = (BlockingIOError, ssl.SSLWantReadError)
open_connections: set[hosts.Taken] = set()


def echo(taken: hosts.Taken) -> None:
    """Echo until the client is gone, or says quit."""
    sock = taken.sock
    watcher = get_hub().loop.io(sock.fileno(), 1)
    kind = "detached" if taken.detached else "attached"
    try:
        sock.send(f"<{kind} {'tls' if taken.secure else 'tcp'}>".encode() + taken.early)
        while True:
            try:
                data = sock.recv(65536)
            except WAIT:
                get_hub().wait(watcher)
                continue
            if not data or b"quit" in data:
                break
            sock.send(data)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    finally:
        watcher.stop()
        watcher.close()
        open_connections.discard(taken)
        if taken.detached:
            sock.close()


def app(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    path = environ["PATH_INFO"]
    if path == "/control/state":
        return state(start_response)
    if environ.get("HTTP_UPGRADE") != "websocket":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"hello"]
    try:
        host = hosts.find(environ, start_response)
    except HostError as error:
        body = str(error).encode()
        start_response("501 Not Implemented", [("Content-Length", str(len(body)))])
        return [body]
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("X-Host", host.name)]
    with contextlib.suppress(OSError):
        taken = host.switch(headers)
        open_connections.add(taken)
        if taken.detached:
            gevent.spawn(echo, taken)
        else:
            echo(taken)
            taken.release()
    return []


def state(start_response: Callable[..., Any]) -> list[bytes]:
    gc.collect()
    greenlets = sum(isinstance(thing, gevent.Greenlet) and not thing.dead for thing in gc.get_objects())
    connections = len(open_connections)
    known = {"pid": os.getpid(), "sparks": connections, "connected": connections, "counts": {}}
    taken = sum(isinstance(thing, hosts.Taken) for thing in gc.get_objects())
    body = json.dumps({**known, "greenlets": greenlets, "objects": taken}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def create() -> Any:
    return app


def create_initialised() -> Any:
    return app


def create_hidden() -> Any:
    def middleware(environ: Environ, start_response: Callable[..., Any]) -> Any:
        return app(environ, lambda status, headers, exc_info=None: start_response(status, headers, exc_info))

    return middleware


def create_writeless() -> Any:
    def middleware(environ: Environ, start_response: Callable[..., Any]) -> Any:
        def own(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start_response(status, headers, exc_info)

        return app(environ, own)

    return middleware
