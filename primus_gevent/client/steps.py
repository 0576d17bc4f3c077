"""How a client comes to a connection, loses it and has it back: single steps that never wait.

A step that the hub takes (the transport reports, a timer fires) starts the listeners of its events at once,
and each runs to its first blocking call before the step goes on: a listener may end or reopen the client, and
the step looks whether it did. A step that a greenlet takes (it calls `open` or `end`) changes the state at
once too, and its listeners start when the hub runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from gevent.event import Event
from greenlet import getcurrent

from ..errors import (
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    PrimusError,
    RemoteProtocolError,
    UnexpectedResponse,
)
from ..protocols import primus as own
from ..transports.base import Connection
from . import transports
from .address import Address, UrlParts, query_of
from .heartbeat import Heartbeat
from .link import Link
from .network import Network
from .options import ClientOptions
from .recovery import Outage, Recovery
from .sending import CLOSED, OPEN, OPENING, Sender
from .timers import Clock, HubClock, Timers

__all__ = ["Steps"]

# With an answer like these the server has decided: asking again in a second changes nothing.
REFUSALS = (401, 403)


class Steps(Sender):
    """The states of a client, and what leads from one to the other."""

    make_clock: ClassVar[Callable[[Any], Clock]] = HubClock

    def __init__(self, options: ClientOptions, address: Address, hub: Any) -> None:
        super().__init__(options, hub)
        self.address = address
        self.clock: Clock = type(self).make_clock(hub)
        self.timers = Timers(self.clock)
        self.recovery = Recovery(self)
        self.heartbeat = Heartbeat(self)
        self.network = Network(address, options)
        self.online = True
        self.latency = 0.0
        self.clean = True
        self.last_error: BaseException | None = None
        self._ready = True
        # Somebody wants a connection: true from `open` to the end.
        self._wanted = not options.manual
        # The server said that the next end of the transport is final.
        self._final = False
        self._hung_up = False
        self._link: Link | None = None
        self._started = 0.0
        self._urls = 0
        self._questions: set[Any] = set()  # who waits for an id
        self._asked: Link | None = None  # the connection over which it was asked for; None: the queue asks
        self._settled: Any = Event()  # set while it is open, and after its end
        self._ended: Any = Event()  # set after its end
        self._make_transport = transports.load(options.transformer)
        self._make_transport.check(options)

    def _change_state(self, state: int, name: str) -> None:
        if self.ready_state != state:
            self.ready_state = state
            if state == CLOSED:
                self.socket = None
            if state != OPEN and self._more:
                self._settled.clear()
            self.announce("readyStateChange", name)

    # -- to a connection, and away from it; a listener may end or reopen the client at every event

    def uri(self, **changes: Any) -> UrlParts:
        """What a transport requests: listeners of ``outgoing::url`` edit the parts first. ``_primuscb`` keeps
        caches away, and comes after them.

        Args:
            **changes: parts that the transport wants otherwise.
        """
        address = self.address
        parts = UrlParts(
            address.scheme,
            address.host,
            address.port,
            self.options.pathname,
            address.query,
            address.username,
            address.password,
        )
        for name, value in changes.items():
            setattr(parts, name, value)
        self.announce("outgoing::url", parts)
        number = f"{int(self.clock.now() * 1000)}-{self._urls}"
        self._urls += 1
        parts.query = query_of(parts.query, {"_primuscb": number})
        return parts

    def reopen(self) -> None:
        """Try again to connect. Called by the recovery."""
        self.announce("outgoing::open")
        self._connect()

    def _connect(self) -> None:
        self._change_state(OPENING, "opening")
        # What is left of an earlier connection.
        self._drop()
        if self._link is not None or not self._wanted:
            return  # a listener ended or reopened the client
        self._final = False
        self._started = self.clock.now()
        link = self._link = Link(self)
        if getcurrent() is self._hub:
            self._start(link)
        else:
            self._hub.loop.run_callback(self._start, link)

    def _start(self, link: Link) -> None:
        if self._announcements:
            self._catch_up()
        if not link.current:
            return
        try:
            link.transport = self._make_transport(self, link)
            link.transport.open()
        except Exception as error:  # noqa: BLE001 - told to whoever listens
            link.error(error)
            link.closed(False)
            return
        if self._link is not link:  # a listener of `outgoing::url` ended the client
            link.close()

    def _drop(self) -> None:
        """Let go of the transport, which then has no say any more."""
        link, self._link = self._link, None
        self.socket = None
        if link is not None:
            link.close()
        self.announce("outgoing::end")

    def let_go(self) -> None:
        """Let go of the transport without a word to the public, except that the state changes."""
        self._drop()
        self._change_state(CLOSED, "end")

    def _opened(self, connection: Connection) -> None:
        link = self._link
        self.socket = connection
        self.last_error = None
        self.latency = max(self.clock.now() - self._started, 0.0)
        self.timers.clear("connect")
        outage = self.recovery.succeed()
        if self._choked:
            connection.pause()
        self.announce("incoming::open")
        if not self.online and self._link is link:
            self.online = True
            self.announce("online")
        if self._link is not link:
            return
        self._change_state(OPEN, "open")
        if self._link is not link:
            return
        self._settled.set()
        self.announce("open")
        if outage is not None and self._link is link:
            self.announce("reconnected", outage)
        if self._link is link:
            self.heartbeat.start()
            if self._questions and self._asked is not None:
                self._ask_id()  # the answer was lost with the connection before
            self._asked = link
            if self.buffer:
                self._messages.run(self._flush)

    def _failed(self, error: BaseException) -> None:
        """An error of an open connection says nothing about its end: the transport reports that too."""
        link = self._link
        self.last_error = error
        self.announce("incoming::error", error)
        if self._link is not link or self.recovery.waiting:
            return
        if self.recovery.attempting:
            self.recovery.schedule()
            return
        connecting = self.ready_state == OPENING
        self.announce("error", error)
        if connecting and self._link is link:
            self._never_opened(error)

    def _closed_below(self, clean: bool) -> None:
        link = self._link
        before = self.ready_state
        self.clean = clean
        if before == OPEN and not clean:
            self._note_loss()
        self.announce("incoming::end")
        if self._link is not link:
            return
        if self._final:
            self._end()
            return
        self._change_state(CLOSED, "end")
        if self._link is not link or not self._wanted or self.recovery.waiting:
            return
        if self.recovery.attempting:
            self.recovery.schedule()
        elif before == OPENING:
            self._never_opened(None)
        elif before == OPEN:
            self._reconnect_or_end(link)

    def _note_loss(self) -> None:
        """Keep why an open connection has ended without a goodbye; that the server broke the protocol, with
        a message beyond `max_length` for example, is an ``error`` too."""
        failure = getattr(self.socket, "failure", None)
        if failure is not None:
            self.last_error = RemoteProtocolError(failure.reason, close_code=failure.code)
            self.announce("error", self.last_error)
        elif self.last_error is None:  # otherwise it was told: no heartbeat, or an error of the transport
            self.last_error = ConnectError(f"the connection to {self.address} was lost", str(self.address))

    def _reconnect_or_end(self, link: Link | None) -> None:
        """Specification, `disconnect`: reconnect after an unintentional disconnect."""
        self.timers.clear()
        self.announce("close")
        if self._link is not link or not self._wanted:
            return
        if "disconnect" in self.options.strategy:
            self.recovery.schedule()
            return
        self._wanted = False
        self._drop()
        self._finish()

    def _never_opened(self, error: BaseException | None) -> None:
        """Specification, `timeout`: reconnect when the initial connection could not be made.

        It advises against that with authorization, because its client cannot tell a refusal from a failure.
        Ours can, and does not insist.
        """
        self.timers.clear("connect")
        refused = isinstance(error, UnexpectedResponse) and error.status in REFUSALS
        if "timeout" in self.options.strategy and not refused:
            self.recovery.schedule()
        else:
            self._end()

    def _timed_out(self) -> None:
        link = self._link
        message = f"no connection to {self.address} within {self.options.timeout} s"
        self.last_error = ConnectTimeout(message, str(self.address))
        self.announce("timeout")
        if self._link is not link:
            return
        if "timeout" in self.options.strategy:
            self.let_go()
        self._never_opened(None)

    def lost(self) -> None:
        """A heartbeat was not answered. The connection may still look alive: it is dropped here, so that
        nothing late arrives from it."""
        self.last_error = ConnectError(f"{self.address} does not answer any more", str(self.address))
        self._drop()
        if self.online:
            self.online = False
            self.announce("offline")
        # Unless a listener ended it.
        if self.ready_state == OPEN:
            self._closed_below(clean=False)

    def give_up(self, error: PrimusError, outage: Outage) -> None:
        """All attempts to reconnect were in vain. Called by the recovery."""
        self._wanted = False
        self.last_error = error
        self.let_go()
        self._finish(("reconnect failed", error, outage))

    def _end(self) -> None:
        """For good: by us, by the server's last word, or for want of a reason to try again."""
        established = self.ready_state != CLOSED
        self._wanted = self._final = False
        self.recovery.reset()
        self.timers.clear()
        if established:
            self._change_state(CLOSED, "end")
            self._drop()
            self.announce("close")
        else:
            # There is nothing to close, only a plan: to open, or to reconnect.
            link, self._link = self._link, None
            if link is not None:
                link.close()
        self._finish()

    def _finish(self, *more: tuple[Any, ...]) -> None:
        """No message will come. The last events wait for `data` listeners that still have some to take."""
        self._stop()
        self._last_words.extendleft(reversed((("end",), *more)))
        self._start_flow()
        if not self._dispatching:
            self._say_last_words()

    def _stop(self) -> None:
        """Nobody is to wait any more: not to read, not for a connection, not for the end."""
        self._more = False
        self._settled.set()
        self._ended.set()
        self._stop_waiting()

    # -- what the server says to us, and what `Inbox` wants to know

    def _ask_id(self) -> None:
        self._asked = self._link if self._carries else None
        self._send(own.ASK_ID)

    def _keeps(self) -> bool:
        return not self._hung_up

    def _closed_error(self) -> ConnectionClosed:
        error = ConnectionClosed(f"the client of {self.address} has ended", clean=self.clean)
        error.__cause__ = self.last_error
        return error

    def _consumed(self, message: str) -> bool:
        command, value = own.parse(message) or ("", "")
        if command == "ping":
            self.announce("incoming::ping", value)
            self.heartbeat.answer(value)
        elif command == "pong":
            self.heartbeat.pong(value)
            self.announce("incoming::pong", value)
        elif command == "server":
            if value == "close":
                self._take_final()
        elif command == "id":
            self.announce("incoming::id", value)
        else:
            return False  # unknown ones are messages like any other, as in every generation
        return True

    def _take_final(self) -> None:
        """The server said that the next end is final."""
        self._final = True
        # With a parser that calls back later it is read behind that end: then nothing more is to be planned.
        if self.recovery.waiting:
            self._end()
