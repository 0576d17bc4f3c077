"""A server for the client's tests: ``python server.py OPTIONS``, options of Primus as JSON.

Prints its port, and ends when its input does. It echoes; messages `{"do": ...}` are orders, which peers.js
carries out in the same way on the original servers. With "tls" it prints the root of its certificate too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import atexit
import shutil
import tempfile

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from primus_gevent import Primus, Spark
from tests.support.certificates import Family

options = json.loads(sys.argv[1])
tls = options.pop("tls", False)
primus = Primus(**options)
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


@primus.on("connection")
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


@primus.on("disconnection")
def disconnection(spark: Spark) -> None:
    gone[spark.id].set()


settings = {}
about = {}
if tls:
    folder = Path(tempfile.mkdtemp(prefix="primus-client-tests-"))
    atexit.register(shutil.rmtree, folder)
    family = Family(folder)
    settings["keyfile"] = family.write("key.pem", family.server.key_pem())
    settings["certfile"] = family.write("chain.pem", family.server.pem(), family.between.pem())
    about["ca"] = family.root.pem().decode()
server = WSGIServer(("127.0.0.1", 0), primus, log=None, **settings)
server.start()
print(json.dumps({"port": server.server_port, **about}), flush=True)
gevent.get_hub().threadpool.apply(sys.stdin.read)
