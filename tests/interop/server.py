"""The test server on primus_gevent: ``python server.py '{"port": 0, "timeout": 1.5}' [HOST]``.

server.js is the same server on the official Primus; the README lists options, services and control end
points. A list of options makes as many servers in this process, on any kind of host (`serving.HOSTS`; plain
pywsgi if none is named). Prints one line of JSON with their ports. Options are in seconds and bytes, named as
server.js has them.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from extensions import AUTHORIZATION, PLUGIN, label, transforms
from flask import Flask, Response, abort, request
from gevent import Timeout
from gevent.event import Event
from serving import dispatcher, serve
from values import describe, revive

from primus_gevent import Primus, Spark

KEPT = 100  # messages and log entries that the state of a tag shows


HIDDEN = ("sparks", "gates", "changed")


class Tag:
    """What all connections of one scenario have done so far."""

    def __init__(self) -> None:
        self.connections = self.disconnections = self.ends = self.heartbeats = self.received = 0
        self.asked = self.held = 0  # requests that the authorization hook saw, connections at the gate
        self.errors: list[str] = []
        self.messages: list[Any] = []  # as values.py describes them
        self.log: list[str] = []
        self.ids: list[str] = []
        self.sparks: dict[str, Spark] = {}
        self.gates: list[Callable[[Any], None]] = []  # functions that let a held connection on
        self.changed = Event()  # replaced each time it is set

    def note(self, event: str) -> None:
        self.log = [*self.log, event][-KEPT:]

    def touch(self) -> None:
        """Wake the requests that wait for this tag."""
        self.changed.set()
        self.changed = Event()

    def state(self) -> dict[str, Any]:
        shown = {name: value for name, value in vars(self).items() if name not in HIDDEN}
        return {**shown, "open": len(self.sparks)}

    def has(self, field: str, least: int) -> bool:
        value = self.state()[field]
        return (len(value) if isinstance(value, list) else value) >= least


def burst(spark: Spark, count: int) -> None:
    for number in range(count):
        spark.write(number)


def meta(spark: Spark, _: Any) -> None:
    spark.write(
        {
            "id": spark.id,
            "query": dict(spark.query),
            "url": f"{spark.request.path}?{spark.request.query_string.decode()}",
            "headers": {name.lower(): value for name, value in spark.headers.items()},
            "address": {"ip": spark.address.ip, "port": spark.address.port},
        }
    )


def raw(spark: Spark, text: str) -> None:
    spark.socket.send(text)
    spark.write("after")


SERVICES: dict[str, Callable[[Spark, Any], object]] = {
    "echo": lambda spark, data: spark.write(data),
    "stringify": lambda spark, data: spark.write(json.dumps(data)),
    "parse": lambda spark, data: spark.write(json.loads(data)),
    "amplify": lambda spark, data: spark.write("x" * data),
    "burst": burst,
    "meta": meta,
    "end": lambda spark, data: spark.end(),
    "end_data": lambda spark, data: spark.end(data),
    "end_reconnect": lambda spark, data: spark.end(reconnect=True),
    "kill": lambda spark, data: spark.abort(),
    "raw": raw,
    "close": lambda spark, data: None,  # ended at once, see `connection`
    "silent": lambda spark, data: None,
}

# The names of server.js, and ours.
OPTIONS = {
    "transformer": "transformer",
    "parser": "parser",
    "timeout": "timeout",
    "pingInterval": "ping_interval",
    "maxLength": "max_length",
}


# After how many seconds of silence the session of a client is over, in the options of each framework.
PATIENCE: dict[str, Callable[[float], dict[str, float]]] = {
    "engine.io": lambda seconds: {"ping_interval": seconds, "ping_timeout": seconds},
    "polling": lambda seconds: {"ping_interval": seconds, "ping_timeout": seconds},
    "sockjs": lambda seconds: {"disconnect_delay": seconds},
    "browserchannel": lambda seconds: {"session_timeout_interval": seconds},
    "socket.io": lambda seconds: {"close_timeout": seconds},
}


class TestServer:
    """A Flask application with the control end points, wrapped by the Primus under test."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, options: Mapping[str, Any]) -> None:
        app = Flask(__name__)
        self.port = options.get("port", 0)
        self.tags: defaultdict[str, Tag] = defaultdict(Tag)
        given = {ours: options[name] for name, ours in OPTIONS.items() if name in options}
        if "transport" in options:
            given["transport"] = options["transport"]
        if "patience" in options:
            given["transport"] = PATIENCE[given["transformer"]](options["patience"])
        if options.get("extended"):
            given["plugin"] = {"shout": PLUGIN}
        # Else we are warned that every page could send its visitor's cookies. In a browser clients that make
        # requests insist on that, though.
        if "authorization" in options and given.get("transformer") in ("websockets", "faye"):
            given["credentials"] = False
        self.primus = Primus(app, **given)
        self.max_length = options.get("maxLength", 1024 * 1024)
        if "authorization" in options:
            self.primus.authorize(AUTHORIZATION[options["authorization"]](self.asked))
        if options.get("extended"):
            transforms(self.primus)
            self.primus.on("connection", self.gate)
        self.primus.on("connection", self.connection)
        self.primus.on("disconnection", self.disconnection)
        app.add_url_rule("/control/<name>", view_func=self.control, methods=["GET", "POST"])

    def asked(self, tag: str) -> None:
        """The authorization hook was asked about a request."""
        self.tags[tag].asked += 1
        self.tags[tag].touch()

    def gate(self, spark: Spark, next: Callable[..., None]) -> None:  # noqa: A002 - the specification's name
        """A connection listener that holds its connection until /control/gate says how it goes on."""
        if "gate" not in spark.query:
            next()
            return
        tag = self.tags[label(spark).tag]

        @spark.on("error")
        def error(reason: Exception, *_: Any) -> None:
            tag.errors.append(str(reason))
            tag.touch()

        tag.held += 1
        tag.gates.append(next)
        tag.touch()

    def connection(self, spark: Spark) -> None:
        service, name = label(spark)
        tag = self.tags[name]
        answer = SERVICES[service]
        tag.connections += 1
        tag.ids.append(spark.id)
        tag.sparks[spark.id] = spark
        tag.note("connection")

        @spark.on("data")
        def data(message: Any, *_: Any) -> None:
            tag.received += 1
            tag.messages = [*tag.messages, describe(message)][-KEPT:]
            tag.note("data")
            answer(spark, message)
            tag.touch()

        @spark.on("heartbeat")
        def heartbeat(*_: Any) -> None:
            tag.heartbeats += 1
            tag.touch()

        @spark.on("error")
        def error(reason: Exception, *_: Any) -> None:
            tag.errors.append(str(reason))
            tag.touch()

        @spark.on("end")
        def end(*_: Any) -> None:
            tag.ends += 1
            tag.note("end")
            tag.touch()

        tag.touch()
        if service == "close":
            spark.end()

    def disconnection(self, spark: Spark) -> None:
        tag = self.tags[label(spark).tag]
        tag.disconnections += 1
        tag.sparks.pop(spark.id, None)  # not there if it was refused at the gate
        tag.note("disconnection")
        tag.touch()

    def control(self, name: str) -> Response:
        act = getattr(self, f"control_{name}", None) or abort(404)
        given = request.get_json(force=True) if request.method == "POST" else request.args
        response = Response(json.dumps(act(given)), mimetype="application/json")
        response.headers["Access-Control-Allow-Origin"] = "*"  # a browser asks from the page's own port
        response.headers["Cache-Control"] = "no-store"
        # A server that is stopped and started leaves no half-dead connection in a client's pool.
        response.headers["Connection"] = "close"
        return response

    def control_about(self, _: Mapping[str, str]) -> dict[str, Any]:
        return {
            "server": "python",
            "serverPings": True,
            "answersPings": True,
            "maxLength": self.max_length,
        }

    def control_connected(self, _: Mapping[str, str]) -> dict[str, Any]:
        return {"connected": self.primus.connected}

    def control_state(self, query: Mapping[str, str]) -> dict[str, Any]:
        return self.tags[query["tag"]].state()

    def control_wait(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The state as soon as ``field`` is at least ``least``, or when ``limit`` seconds have passed."""
        tag = self.tags[query["tag"]]
        with Timeout(float(query["limit"]), False):
            while not tag.has(query["field"], int(query["least"])):
                tag.changed.wait()
        return tag.state()

    def control_broadcast(self, query: Mapping[str, str]) -> dict[str, Any]:
        self.primus.write(revive(json.loads(query["data"])))
        return {}

    def control_end(self, query: Mapping[str, str]) -> dict[str, Any]:
        return self.each(query, lambda spark: spark.end())

    def control_kill(self, query: Mapping[str, str]) -> dict[str, Any]:
        return self.each(query, lambda spark: spark.abort())

    def control_send(self, query: Mapping[str, Any]) -> dict[str, Any]:
        return self.each(query, lambda spark: [spark.write(revive(value)) for value in query["values"]])

    def control_send_raw(self, query: Mapping[str, Any]) -> dict[str, Any]:
        frame = bytes.fromhex(query["hex"]) if "hex" in query else query["text"]
        return self.each(query, lambda spark: spark.socket.send(frame))

    def control_gate(self, query: Mapping[str, Any]) -> dict[str, Any]:
        tag = self.tags[query["tag"]]
        gates, tag.gates = tag.gates, []
        for proceed in gates:
            proceed(query.get("error"))
        return {}

    def each(self, query: Mapping[str, str], act: Callable[[Spark], object]) -> dict[str, Any]:
        sparks = list(self.tags[query["tag"]].sparks.values())
        for spark in sparks:
            act(spark)
        return {"sparks": len(sparks)}


def expected(record: logging.LogRecord) -> bool:
    """Keep out of the log what the scenarios provoke; whatever else is said there fails the run."""
    said = record.getMessage()
    error = str(record.exc_info[1]) if record.exc_info else ""
    if "Failed to decode incoming data" in said or "`credentials=False`" in said:
        return False
    return not error.startswith("failed: server ")  # of a transform of ours that was told to fail


def make(options: Mapping[str, Any]) -> Primus:
    """The WSGI application for these options."""
    return TestServer(options).primus


def quiet(options: Sequence[Mapping[str, Any]]) -> None:
    """Log only what nobody has provoked."""
    log = logging.getLogger("primus_gevent")
    log.addFilter(expected)
    if any(wanted.keys() & {"patience", "transport", "lossy"} for wanted in options):
        # to those who miss their heartbeats, or do not come back
        log.addFilter(lambda record: "undelivered" not in record.getMessage())


def dispatched() -> Callable[..., Any]:
    """The application of a worker of gunicorn."""
    return dispatcher(make, quiet)


def main() -> None:
    given = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    options = given if isinstance(given, list) else [given]
    quiet(options)
    serve(sys.argv[2] if len(sys.argv) > 2 else "pywsgi", make, options)


if __name__ == "__main__":
    main()
