"""Starts one of the servers that are not gunicorn, in a process of its own; prints ``listening on <port>``.

usage: python -m tests.support.launch HOST FACTORY [--patch] [--tls CERTIFICATE KEY]
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("host", choices=["own", "pywsgi", "gevent-websocket"])
    parser.add_argument("factory")
    parser.add_argument("--patch", action="store_true")
    parser.add_argument("--options", default="{}", help="of our own server, as JSON")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    arguments = parser.parse_args()
    if arguments.patch:
        from gevent import monkey

        monkey.patch_all()
    module, _, name = arguments.factory.partition(":")
    app = getattr(importlib.import_module(module), name)()
    tls = dict(zip(("certfile", "keyfile"), arguments.tls, strict=True)) if arguments.tls else {}
    serve = {"own": own, "pywsgi": pywsgi, "gevent-websocket": gevent_websocket}[arguments.host]
    serve(app, tls, json.loads(arguments.options))


def announce(server: Any) -> None:
    print(f"listening on {server.address[1]}", flush=True)


def own(app: Any, tls: dict[str, str], options: dict[str, Any]) -> None:
    from primus_gevent.hosts import drain
    from primus_gevent.hosts.server import make_server, tls_context

    if hasattr(app, "serve_forever"):  # a Primus
        announce(app.listen(0, "127.0.0.1", ssl_context=tls_context(*tls.values()) if tls else None))
        app.serve_forever()
        return
    server = make_server(("127.0.0.1", 0), app, log=sys.stderr, error_log=sys.stderr, **tls, **options)
    server.start()
    drain.install_signals(server.stop_listening, server.stop)
    announce(server)
    server.serve_forever()


def pywsgi(app: Any, tls: dict[str, str], options: dict[str, Any]) -> None:
    from gevent.pywsgi import WSGIServer

    server = WSGIServer(("127.0.0.1", 0), app, **tls)
    server.start()
    announce(server)
    server.serve_forever()


def gevent_websocket(app: Any, tls: dict[str, str], options: dict[str, Any]) -> None:
    from gevent.pywsgi import WSGIServer
    from geventwebsocket.handler import WebSocketHandler

    server = WSGIServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, **tls)
    server.start()
    announce(server)
    server.serve_forever()


if __name__ == "__main__":
    main()
