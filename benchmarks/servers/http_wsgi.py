"""A WSGI application that answers what a polling transport answers, on one of three servers.

usage: python http_wsgi.py ours|pywsgi|gunicorn
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

MESSAGE = b"4hello world, this is a message"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", "2")])
        return [b"ok"]
    headers = [("Content-Type", "text/plain; charset=UTF-8"), ("Content-Length", str(len(MESSAGE)))]
    start_response("200 OK", headers)
    return [MESSAGE]


def announce(port: int) -> None:
    print(f"port {port}", flush=True)


def ours() -> None:
    from primus_gevent.hosts.server import make_server

    server = make_server(("127.0.0.1", 0), app)
    server.start()
    announce(server.address[1])
    server.serve_forever()


def pywsgi() -> None:
    from gevent.pywsgi import WSGIServer

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    announce(server.address[1])
    server.serve_forever()


def gunicorn() -> None:
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings = {"bind": "127.0.0.1:0", "worker_class": "gevent", "workers": 1, "loglevel": "critical"}
            for name, value in settings.items():
                self.cfg.set(name, value)
            if "control_socket_disable" in self.cfg.settings:  # it is in the home directory; new in 27
                self.cfg.set("control_socket_disable", True)
            self.cfg.set("post_worker_init", lambda worker: announce(worker.sockets[0].getsockname()[1]))

        def load(self) -> Any:
            return app

    Application().run()


if __name__ == "__main__":
    {"ours": ours, "pywsgi": pywsgi, "gunicorn": gunicorn}[sys.argv[1]]()
