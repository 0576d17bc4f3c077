"""What Autobahn talks to: a whole server that sends back every message as it came, text or binary."""

from __future__ import annotations

import json
import os
from typing import Any

from primus_gevent import Primus, Spark
from tests.support import app as support


class Verbatim:
    """No parser: the suite sends texts and bytes, and compares them."""

    @staticmethod
    def encoder(data: Any) -> Any:
        return data

    @staticmethod
    def decoder(raw: Any) -> Any:
        return raw


def create() -> Primus:
    # around the usual test app, whose control end points the harness asks
    primus = support.world.primus = Primus(
        support.app, parser=Verbatim, **json.loads(os.environ["PRIMUS_TEST_OPTIONS"])
    )

    @primus.on("connection")
    def echo(spark: Spark) -> None:
        for message in spark:
            spark.write(message)

    return primus
