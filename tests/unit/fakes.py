"""A connection that only records, and sparks over it: no socket, no frames."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import gevent

from primus_gevent import Primus
from primus_gevent.request import RequestRecord
from tests.unit.hub import in_hub, turn

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/primus",
    "QUERY_STRING": "name=ann&tag=a&tag=b",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "10.0.0.1",
    "REMOTE_PORT": "4711",
    "HTTP_HOST": "localhost",
    "HTTP_USER_AGENT": "test",
    "wsgi.url_scheme": "http",
}


# Whose sparks a test has opened, and left open.
swept: WeakSet[Primus] = WeakSet()


def stop_sweeps() -> None:
    """No spark of a test that is over is pinged in the next one, where time may pass by the hour."""
    while swept:
        swept.pop()._sweep.stop()


class FakeConnection:
    """Keeps the contract of `transports.base.Connection`, and remembers what it was asked for."""

    name = "fake"

    def __init__(self, framing: str | None = "fake") -> None:
        self.hub = gevent.get_hub()
        self.active = True
        self.paused = False
        self.full = False
        self.framing = framing
        self.sent: list[Any] = []
        self.calls: list[Any] = []
        self.prepared = 0
        self.state = "open"
        self.has_left = False
        self.receiver: Any = None

    def send(self, payload: Any) -> None:
        if not isinstance(payload, (str, bytes)):
            raise TypeError("neither str nor bytes")
        if self.state == "open":
            self.sent.append(payload)

    def prepare(self, payload: Any) -> bytes:
        self.prepared += 1
        return b"P" + (payload.encode() if isinstance(payload, str) else payload)

    def send_prepared(self, data: bytes) -> None:
        if self.state == "open":
            self.sent.append(data)

    def flush(self) -> None:
        self.calls.append("flush")

    def wait_writable(self) -> None:
        self.calls.append("wait_writable")

    def pause(self) -> None:
        self.calls.append("pause")
        self.paused = True

    def resume(self) -> None:
        self.calls.append("resume")
        self.paused = False

    def peer_left(self) -> bool:
        return self.has_left

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.state != "open":
            return
        self.calls.append(("close", code))
        self.state = "closing"
        self.receiver.closed(True)

    def abort(self) -> None:
        self.calls.append("abort")
        self.lose()

    # -- what the network does

    def deliver(self, *messages: Any) -> None:
        """Messages of one read of the socket."""
        in_hub(self.receiver.receive, list(messages))

    def lose(self, clean: bool = False) -> None:
        state, self.state = self.state, "gone"
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            if state == "open":
                receiver.closed(clean)
            receiver.gone()

    def drop(self, clean: bool = False) -> None:
        """The peer hangs up."""
        in_hub(self.lose, clean)


def connect(primus: Primus, connection: FakeConnection | None = None, **environ: Any) -> Any:
    """A spark whose `connection` listeners have run to their first blocking call."""
    connection = connection or FakeConnection()
    spark = primus.make_spark(connection, RequestRecord({**ENVIRON, **environ}))
    connection.receiver = spark
    swept.add(primus)
    primus.connect(spark)
    turn(2)
    return spark
