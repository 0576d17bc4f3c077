"""The four services that SockJS's test suite asks for, each a `Primus` of its own, one around the other; and
around the application of `tests.support.app`.

``/echo`` sends every message back as it came, ``/disabled_websocket_echo`` and ``/cookie_needed_echo`` are
the same with other options, and ``/close`` closes every connection at once.
"""

from __future__ import annotations

from typing import Any

from primus_gevent import Primus
from tests.support.app import app, options, services, world

SERVICES: dict[str, dict[str, Any]] = {
    "/close": {},
    "/cookie_needed_echo": {"jsessionid": True},
    "/disabled_websocket_echo": {"websocket": False},
    "/echo": {},
}


def close(spark: Any) -> None:
    spark.socket.close(3000, "Go away!")


def create() -> Any:
    wsgi: Any = app
    given = options()
    transport = given.pop("transport", {})
    for pathname, own in SERVICES.items():
        primus = Primus(
            wsgi, pathname=pathname, transformer="sockjs", transport={**transport, **own}, **given
        )
        primus.on("connection", close if pathname == "/close" else services["mirror"])
        wsgi = world.primus = primus
    return wsgi
