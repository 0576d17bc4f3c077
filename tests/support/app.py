"""The application behind the contract suite: a Flask app, wrapped in a `Primus` whose connections ask for a
service.

A client names the service in its query (``/primus?service=echo``). The plain routes under ``/control`` let a
test look into the process, and push the services from outside.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent
from flask import Flask, Response, jsonify, request
from gevent.event import Event
from greenlet import greenlet

from primus_gevent import Primus

logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")


class HandlerFailure(RuntimeError):
    """What the service `raise` raises."""


class World:
    """All that the services of one process share."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.codes: list[Any] = []
        self.go = Event()
        self.primus: Any = None


world = World()
services: dict[str, Callable[[Any], object]] = {}


def service(function: Callable[[Any], object]) -> Callable[[Any], object]:
    services[function.__name__.rstrip("_").replace("_", "-")] = function
    return function


@service
def echo(spark: Any) -> None:
    for message in spark:
        spark.write(message)


@service
def binary(spark: Any) -> None:
    """Sends bytes back as bytes, which the JSON parser would turn into JSON."""
    for message in spark:
        if isinstance(message, bytes):
            spark.socket.send(message)
        else:
            spark.write(message)


@service
def mirror(spark: Any) -> None:
    """Sends back what came, past the parser."""
    spark.on("incoming::data", spark.socket.send)
    spark.on("data", lambda message: None)
    spark.on("error", lambda error: None)


@service
def listen(spark: Any) -> None:
    spark.on("data", spark.write)


@service
def idle(spark: Any) -> None:
    """Returns at once; the spark stays open."""


@service
def info(spark: Any) -> None:
    spark.write(
        {
            "id": spark.id,
            "query": dict(spark.query),
            "headers": {name.lower(): value for name, value in dict(spark.headers).items()},
            "ip": spark.address.ip,
            "port": spark.address.port,
            "path": spark.request.path,
            "socket": spark.socket.name,
        }
    )


@service
def end(spark: Any) -> None:
    spark.end()


@service
def end_data(spark: Any) -> None:
    spark.end({"bye": "all"})


@service
def end_reconnect(spark: Any) -> None:
    spark.end(reconnect=True)


@service
def end_after_message(spark: Any) -> None:
    spark.read(timeout=10)
    spark.write("last")
    spark.end()


@service
def end_when_told(spark: Any) -> None:
    """A last message and the end, or the end without a goodbye."""
    spark.end("bye", reconnect=spark.read(timeout=10) == "reconnect")


@service
def abort(spark: Any) -> None:
    spark.read(timeout=10)
    spark.abort()


@service
def raise_(spark: Any) -> None:
    message = spark.read(timeout=10)
    raise HandlerFailure(f"the handler was sent {message}")


@service
def raise_in_listener(spark: Any) -> None:
    def on_data(message: Any) -> None:
        if message == "boom":
            raise HandlerFailure("the listener was sent boom")
        spark.write(message)

    spark.on("data", on_data)


@service
def close_code(spark: Any) -> None:
    code = spark.read(timeout=10)
    spark.socket.close(code, "as you wish")


@service
def count(spark: Any) -> None:
    """For each number, so many messages, in order."""
    for number in spark:
        for index in range(number):
            spark.write(index)


@service
def big(spark: Any) -> None:
    """For each number, a message of so many characters."""
    for number in spark:
        spark.write("x" * number)


@service
def broadcast(spark: Any) -> None:
    for message in spark:
        world.primus.write(message)


@service
def pour(spark: Any) -> None:
    """Writes 16 KiB messages for as long as anybody is there; blocks where the client does not read."""
    spark.read(timeout=10)
    block = "x" * 16384
    while spark.write(block):
        world.counts["poured"] += 1
    world.counts["pour ended"] += 1


@service
def deaf(spark: Any) -> None:
    """Reads nothing until it is told to; then counts what it reads."""
    world.go.wait(60)
    for _message in spark:
        world.counts["heard"] += 1
        if _message == "last":
            spark.write(world.counts["heard"])


@service
def user(spark: Any) -> None:
    """What the authorization hook has set on the request."""
    spark.write([spark.request.user, spark.request.environ.get("layer.mark")])


app = Flask(__name__)


@app.get("/")
def index() -> str:
    return "wrapped app"


@app.get("/primusfoo")
def neighbour() -> str:
    return "not of primus"


@app.post("/upload")
def upload() -> str:
    return str(len(request.get_data()))


@app.get("/fail")
def fail() -> str:
    raise HandlerFailure("a route fails")


def is_alive(candidate: greenlet) -> bool:
    # The sweep ends by itself, up to a second after the last spark.
    return not candidate.dead and candidate is not world.primus._sweep._greenlet


def count_sessions(transformer: Any) -> int:
    requests = getattr(transformer, "requests", None)
    return 0 if requests is None else len(requests.sessions)


@app.get("/control/state")
def state() -> Response:
    if not gc.get_freeze_count():
        gc.freeze()  # what is there by now is no leak, and takes long to look through
    gc.collect()
    primus = world.primus
    greenlets = sum(isinstance(thing, gevent.Greenlet) and is_alive(thing) for thing in gc.get_objects())
    return jsonify(
        pid=os.getpid(),
        sparks=len(primus),
        connected=primus.connected,
        sessions=sum(count_sessions(one) for one in getattr(primus.transformer, "all", [primus.transformer])),
        handshakes=len(getattr(primus.transformer, "handshakes", ())),
        objects=sum(isinstance(thing, primus.Spark) for thing in gc.get_objects()),
        greenlets=greenlets,
        rss=int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize(),
        counts=dict(world.counts),
    )


@app.post("/control/go")
def go() -> str:
    """Let `deaf` services listen."""
    world.go.set()
    return ""


@app.post("/control/reset")
def reset() -> str:
    world.go.clear()
    world.counts.clear()
    return ""


@app.post("/control/destroy")
def destroy() -> str:
    """End every spark for good; the server goes on with this app alone."""
    world.primus.destroy(close=False)
    return ""


@app.post("/control/write")
def write() -> Response:
    """Broadcast `count` messages of `size` characters."""
    block = "y" * int(request.args["size"])
    for _ in range(int(request.args.get("count", 1))):
        world.primus.write(block)
        gevent.sleep(0)
    return jsonify(sparks=len(world.primus))


def configure(primus: Any) -> Any:
    """Give a Primus the services of this module."""
    world.primus = primus

    @primus.on("connection")
    def connection(spark: Any) -> None:
        world.counts["connection"] += 1
        services[spark.query.get("service", "echo")](spark)

    @primus.on("disconnection")
    def disconnection(spark: Any) -> None:
        world.counts["disconnection"] += 1

    return primus


def options() -> dict[str, Any]:
    """Those that the test gave to `serve`."""
    given: dict[str, Any] = json.loads(os.environ.get("PRIMUS_TEST_OPTIONS", "{}"))
    return given


def create() -> Any:
    """The usual case: a Primus around the Flask app."""
    return configure(Primus(app, **options()))


def create_initialised() -> Any:
    """`init_app`: the server runs the Flask app, into which a Primus has put itself."""
    primus = configure(Primus(**options()))
    primus.init_app(app)
    return app


def create_hidden() -> Any:
    """A middleware that passes its own `start_response` on, and so hides the server behind it."""
    primus = create()

    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def own(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("X-Middleware", "yes")], exc_info)

        return primus(environ, own)

    return middleware


def create_writeless() -> Any:
    """The same, and it forgets to return the `write` callable, against PEP 3333."""
    primus = create()

    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def own(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start_response(status, headers, exc_info)

        return primus(environ, own)

    return middleware
