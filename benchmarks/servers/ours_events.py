"""primus_gevent with a ``data`` listener: echoes, or sends what it gets to everybody.

usage: python ours_events.py TRANSFORMER echo|broadcast
"""

from __future__ import annotations

import sys
from typing import Any

from common import announce

from primus_gevent import Primus, Spark


def echo(spark: Spark) -> None:
    @spark.on("data")
    def data(message: Any) -> None:
        spark.write(message)


def broadcast(spark: Spark) -> None:
    @spark.on("data")
    def data(message: Any) -> None:
        primus.write(message)


transformer, mode = sys.argv[1:]
primus = Primus.create_server(
    {"echo": echo, "broadcast": broadcast}[mode], host="127.0.0.1", port=0, transformer=transformer
)
announce(primus.address[1])
primus.serve_forever()
