"""The application of `tests.support.app` with a plugin, message transforms and a `connection` listener that
takes ``next``. What they do to a connection stands in its query, and to a message in the message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
from flask import jsonify, request

from primus_gevent import Primus
from tests.support.app import HandlerFailure, app, configure, options, service, world


def hold(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
    """Runs before the service of the connection."""
    how = spark.query.get("hold")
    if how == "refuse":
        next("not you")
    elif how == "raise":
        raise HandlerFailure("the listener was sent here")
    elif how == "go":
        world.counts["held"] += 1
        world.go.wait(30)
        world.counts["held"] -= 1
        gevent.get_hub().loop.run_callback(next)
    elif how == "for ever":
        world.counts["held"] += 1
    else:
        next()


def incoming(packet: Any) -> Any:
    """Blocks, swallows and fails where the message says so."""
    how = packet.data.get("incoming") if isinstance(packet.data, dict) else None
    if how == "block":
        world.counts["blocked"] += 1
        world.go.wait(30)
        world.counts["blocked"] -= 1
    elif how == "swallow":
        return False
    elif how == "raise":
        raise HandlerFailure("the transform was sent this")
    return None


def incoming_next(packet: Any, next: Callable[..., None]) -> None:  # noqa: A002
    how = packet.data.get("next") if isinstance(packet.data, dict) else None
    if how == "refuse":
        gevent.spawn(next, ValueError("the transform refuses"))
    elif how != "never":
        gevent.spawn(next)


def outgoing(packet: Any) -> Any:
    """Makes broadcasts personal that ask for it."""
    if isinstance(packet.data, dict) and "personal" in packet.data:
        name = packet.spark.query.get("name")
        if name == "bad":
            raise HandlerFailure("the transform does not like bad ones")
        if name == "silent":
            return False
        packet.data = {**packet.data, "to": name}
    return None


def extend(primus: Any, given: Any) -> Callable[[], None]:
    def shout(spark: Any, text: str) -> None:
        spark.write(text.upper())

    primus.Spark.shout = shout
    primus.transform("incoming", incoming)
    primus.transform("incoming", incoming_next)
    primus.transform("outgoing", outgoing)

    def undo() -> None:
        del primus.Spark.shout
        for direction, function in (
            ("incoming", incoming),
            ("incoming", incoming_next),
            ("outgoing", outgoing),
        ):
            primus.untransform(direction, function)

    return undo


PLUGIN = {
    "server": extend,
    "client": "function (primus, options) { primus.extended = EXTENDED; }",
    "library": "const EXTENDED = 'by the plugin';",
    "options": ["extended_limit"],
}


@service
def shout(spark: Any) -> None:
    for message in spark:
        spark.shout(message)


@service
def errors(spark: Any) -> None:
    """As `listen`, and tells the client of errors."""
    spark.on("error", lambda error: spark.write({"error": str(error)}))
    spark.on("data", spark.write)


@app.post("/control/broadcast")
def broadcast() -> Any:
    return jsonify(world.primus.write(request.get_json()))


@app.post("/control/visit")
def visit() -> Any:
    """Write to every spark, one after the other, through greenlets; tell how many there were."""
    count, done = [0], gevent.event.AsyncResult()

    def one(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        count[0] += 1
        spark.write({"visit": count[0]})
        gevent.spawn(next)

    world.primus.for_each(one, done.set)
    return jsonify([count[0], done.get(timeout=30), count[0]])


@app.post("/control/plugout")
def plugout() -> Any:
    return jsonify(world.primus.plugout("extended"))


@app.post("/control/use")
def use() -> Any:
    world.primus.use("extended", PLUGIN)
    return jsonify(True)


def create() -> Any:
    primus = Primus(app, plugin={"extended": PLUGIN}, extended_limit=5, **options())
    primus.on("connection", hold)
    return configure(primus)
