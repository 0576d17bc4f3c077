"""Serves the applications of the test server with any WSGI server that the package supports.

Each application has a listener of its own, and all are in one process; with gunicorn in one worker, which
tells them apart by the port.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

__all__ = ["HOSTS", "serve"]

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent

Application = Callable[..., Any]
Factory = Callable[[Any], Application]  # makes the application of one set of options

# Names of `tests.support.hosts.HOSTS`, as those of `STARTED` are.
WORKERS = ("gunicorn", "gunicorn-pywsgi", "gunicorn-gevent-websocket")

ENVIRONMENT = "PRIMUS_INTEROP_APPLICATIONS"  # for the worker: the options of each application by its port


def announce(ports: Sequence[int]) -> None:
    print(json.dumps({"ports": ports}), flush=True)


def serve(
    host: str, make: Factory, options: Sequence[Any], tell: Callable[[Sequence[int]], None] = announce
) -> None:
    """Serve an application for each of ``options`` until the process is killed; print their ports, or tell
    them in another way."""
    if host in WORKERS:
        gunicorn(host, options)
        return
    servers = [STARTED[host](wanted.get("port", 0), make(wanted)) for wanted in options]
    for server in servers:
        server.start()
    tell([server.server_port for server in servers])
    gevent.get_hub().join()


# -- in this process


def pywsgi(port: int, app: Application) -> WSGIServer:
    return WSGIServer(("127.0.0.1", port), app, log=None)


def own(port: int, app: Application) -> WSGIServer:
    from primus_gevent.hosts.server import make_server

    return make_server(("127.0.0.1", port), app, log=None)


def gevent_websocket(port: int, app: Application) -> WSGIServer:
    from geventwebsocket.handler import WebSocketHandler

    return WSGIServer(("127.0.0.1", port), app, log=None, handler_class=WebSocketHandler)


STARTED = {"pywsgi": pywsgi, "own": own, "gevent-websocket": gevent_websocket}

HOSTS = (*STARTED, *WORKERS)

# -- as a worker of gunicorn


def gunicorn(host: str, options: Sequence[Any]) -> None:
    """Become gunicorn. Its listeners are there before it is: who connects meanwhile waits."""
    from tests.support.hosts import HOSTS as KINDS
    from tests.support.hosts import gunicorn_command

    listeners = [
        socket.create_server(("127.0.0.1", wanted.get("port", 0)), backlog=256) for wanted in options
    ]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.set_inheritable(True)
    binds = [f"fd://{listener.fileno()}" for listener in listeners]
    kind = dataclasses.replace(KINDS[host], factory="server:dispatched")
    command = gunicorn_command(kind, ["--log-level", "warning"], binds)
    applications = json.dumps(dict(zip(ports, options, strict=True)))
    paths = os.pathsep.join([str(HERE), str(ROOT)])
    announce(ports)
    os.execve(command[0], command, {**os.environ, ENVIRONMENT: applications, "PYTHONPATH": paths})


def dispatcher(make: Factory, quiet: Callable[[Sequence[Any]], None]) -> Application:
    """One application for all listeners of a worker."""
    options = json.loads(os.environ[ENVIRONMENT])
    quiet(list(options.values()))
    applications = {port: make(wanted) for port, wanted in options.items()}

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        return applications[environ["SERVER_PORT"]](environ, start_response)

    return application
