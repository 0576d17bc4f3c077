"""Servers for the client's tests, all in one process: ``python server.py``.

Reads a line of JSON for each: ``{"id": ..., "options": {...}}``, the options of Primus; prints ``{"id": ...,
"port": ...}`` when it listens. ``{"stop": port}`` takes one away, and the end of the input all. They echo;
messages `{"do": ...}` are orders, which peers.js carries out in the same way on the original servers. With
"tls" in its options a server tells the root of its certificate too, as "ca".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import atexit
import functools
import shutil
import tempfile

from gevent import get_hub
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from primus_gevent import Primus, Spark
from tests.support.certificates import Family

gone: dict[str, Event] = {}
last: dict[str, Any] = {}


def burst(spark: Spark, order: dict[str, Any]) -> None:
    for number in range(order["count"]):
        spark.write({"n": number})


def wait_gone(spark: Spark, order: dict[str, Any]) -> None:
    gone[order["id"]].wait(5)
    spark.write({"last": last.get(order["id"])})


ORDERS = {
    "burst": burst,
    "end": lambda spark, order: spark.end(*order.get("with", ())),
    "reconnect": lambda spark, order: spark.end(reconnect=True),
    "kill": lambda spark, order: spark.abort(),
    "id": lambda spark, order: spark.write(spark.id),
    "headers": lambda spark, order: spark.write({k.lower(): v for k, v in spark.headers.items()}),
    "query": lambda spark, order: spark.write(dict(spark.query)),
    "gone": wait_gone,
}


def connection(spark: Spark) -> None:
    gone[spark.id] = Event()

    @spark.on("data")
    def data(message: Any, *_: Any) -> None:
        last[spark.id] = message
        order = ORDERS.get(message.get("do")) if isinstance(message, dict) else None
        if order is None:
            spark.write(message)
        else:
            order(spark, message)


def disconnection(spark: Spark) -> None:
    gone[spark.id].set()


@functools.cache
def certificate() -> tuple[dict[str, str], str]:
    """The files of the server's certificate, as options of a WSGIServer; and the root, as text."""
    folder = Path(tempfile.mkdtemp(prefix="primus-client-tests-"))
    atexit.register(shutil.rmtree, folder)
    family = Family(folder)
    files = {
        "keyfile": family.write("key.pem", family.server.key_pem()),
        "certfile": family.write("chain.pem", family.server.pem(), family.between.pem()),
    }
    return files, family.root.pem().decode()


def start(options: dict[str, Any]) -> dict[str, Any]:
    """Serve one more Primus, and tell where."""
    files, root = certificate() if options.pop("tls", False) else ({}, None)
    primus = Primus(**options)
    primus.on("connection", connection)
    primus.on("disconnection", disconnection)
    server = WSGIServer(("127.0.0.1", 0), primus, log=None, **files)
    server.start()
    servers[server.server_port] = server
    return {"port": server.server_port, "ca": root}


servers: dict[int, WSGIServer] = {}
while line := get_hub().threadpool.apply(sys.stdin.readline):
    given = json.loads(line)
    if "stop" in given:
        # What is left of its sessions hears no more, as if the process had ended.
        servers.pop(given["stop"]).close()
    else:
        print(json.dumps({"id": given["id"], **start(given["options"])}), flush=True)
