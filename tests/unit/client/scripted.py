"""A client without a network: clock, dice and transport belong to the test. Nothing here waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gevent

from primus_gevent.client import Socket
from primus_gevent.client.transports import TRANSPORTS
from tests.unit.hub import in_hub, turn

TRANSPORTS["scripted"] = (__name__, "Scripted")

START = 1400000000.0

# Events that carry a name or value worth comparing; the others are recorded by their name alone.
WITH_VALUE = {
    *("readyStateChange", "outgoing::data", "incoming::data", "outgoing::ping", "outgoing::pong"),
    *("incoming::ping", "incoming::pong", "incoming::id"),
}
OPENING = ["outgoing::open", "readyStateChange opening", "outgoing::end", "outgoing::url"]
FAST = {"reconnect": {"min_delay": 0.02, "max_delay": 0.1, "retries": 2}}
FAILED = OSError("connection failed")


class FakeTimer:
    def __init__(self, at: float, fn: Callable[[], Any]) -> None:
        self.at = at
        self.fn = fn
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeClock:
    """Time passes when the test says so."""

    def __init__(self, dice: float) -> None:
        self.time = START
        self.dice = dice
        self.timers: list[FakeTimer] = []

    def now(self) -> float:
        return self.time

    def random(self) -> float:
        return self.dice

    def call_later(self, seconds: float, fn: Callable[[], Any]) -> FakeTimer:
        timer = FakeTimer(self.time + seconds, fn)
        self.timers.append(timer)
        return timer

    @property
    def running(self) -> list[FakeTimer]:
        return [timer for timer in self.timers if not timer.closed]

    def advance(self, seconds: float) -> None:
        """Let so much time pass, with everything that is due in it, in the hub."""
        end = self.time + seconds
        while due := [timer for timer in self.running if timer.at <= end + 1e-9]:
            timer = min(due, key=lambda timer: timer.at)
            timer.closed = True
            self.time = max(self.time, timer.at)
            in_hub(timer.fn)
        self.time = end
        turn()


class FakeConnection:
    """Keeps the contract of `transports.base.Connection`, as far as a client asks for it."""

    name = "scripted"

    def __init__(self, link: Any) -> None:
        self.hub = gevent.get_hub()
        self.link = link
        self.sent: list[Any] = []
        self.broken: str | None = None
        self.closed = False
        self.paused = False
        self.full = False
        self.left = False

    def send(self, payload: Any) -> None:
        if self.broken:
            raise OSError(self.broken)
        if not self.closed:
            self.sent.append(payload)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.link.closed(True)
            self.link.gone()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def peer_left(self) -> bool:
        return self.left

    def wait_writable(self) -> None:
        while self.full:
            gevent.sleep(0)


class Scripted:
    """A transport; the test plays the network and the server."""

    @classmethod
    def check(cls, options: Any) -> None:
        pass

    def __init__(self, client: Any, link: Any) -> None:
        self.client = client
        self.link = link
        self.closed = False
        self.url: Any = None
        self.connection = FakeConnection(link)
        if client.world.refuse:
            raise ValueError(client.world.refuse)
        client.world.transports.append(self)

    def open(self) -> None:
        self.url = self.client.uri()

    def close(self) -> None:
        self.closed = True
        self.connection.close()

    @property
    def sent(self) -> list[Any]:
        return self.connection.sent

    def accept(self) -> None:
        in_hub(self.link.opened, self.connection)
        turn()

    def message(self, *raw: Any) -> None:
        """What one read of the network brings."""
        in_hub(self.link.receive, list(raw))
        turn()

    def error(self, error: BaseException) -> None:
        in_hub(self.link.error, error)
        turn()

    def drop(self, error: BaseException | None = None) -> None:
        """The connection is gone: alone, or after an error as when connecting fails."""

        def fail() -> None:
            if error is not None:
                self.link.error(error)
            self.connection.closed = True
            self.link.closed(False)
            self.link.gone()

        in_hub(fail)
        turn()


class World:
    """Where clients live that are made here."""

    def __init__(self, dice: float = 0.5) -> None:
        self.clock = FakeClock(dice)
        self.transports: list[Scripted] = []
        self.refuse: str | None = None

    @property
    def transport(self) -> Scripted:
        return self.transports[-1]

    def make(self, *, listen: bool = True, **options: Any) -> Any:
        """A client that has not begun; in `events` what it emits, in that order, listeners or not.

        Args:
            listen: whether there is a ``data`` listener.
        """
        client = _Recorded.in_world(self)("http://server.example", transformer="scripted", **options)
        if listen:
            client.on("data", lambda message: None)
        client.on("incoming::data", lambda raw: None)
        client.on("outgoing::data", lambda raw: None)
        turn()
        return client

    def client(self, **options: Any) -> Any:
        """One that has asked its transport for a connection."""
        client = self.make(**options)
        self.clock.advance(0)
        return client

    def connected(self, **options: Any) -> Any:
        """One that is connected, with nothing in `events` yet."""
        client = self.client(**options)
        self.transport.accept()
        client.events.clear()
        return client


class _Recorded(Socket):
    world: World

    @classmethod
    def in_world(cls, world: World) -> type[_Recorded]:
        return type("Socket", (cls,), {"world": world, "make_clock": staticmethod(lambda hub: world.clock)})

    def __init__(self, *args: Any, **options: Any) -> None:
        self.events: list[str] = []
        super().__init__(*args, **options)

    def announce(self, event: str, *args: Any) -> None:
        if event:
            self.events.append(f"{event} {args[0]}" if event in WITH_VALUE else event)
        super().announce(event, *args)

    _note = announce

    def _emit_data(self, message: Any, raw: Any) -> None:
        self.events.append(f"data {message}")
        super()._emit_data(message, raw)


def visible(events: list[str]) -> list[str]:
    """Without the private events."""
    return [event for event in events if not event.startswith(("incoming::", "outgoing::"))]


def texts(*messages: Any) -> list[str]:
    return [json.dumps(message, separators=(",", ":")) for message in messages]
