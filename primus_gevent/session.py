"""What outlives a request: one client of a framework that needs several requests for one connection.

A session stands between a spark and whatever carries its packets at the moment: a request that waits for
them (a poll), a WebSocket, or nothing, while the client is on its way with its next request. It keeps encoded
packets until they are sent, allows one receiver at a time, and ends when its client stays away.

Knows nothing of HTTP, of sockets and of clocks: times are handed to it, in seconds of one monotonic clock. A
framework makes a subclass, which knows its packets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import Any, Final, Protocol

from gevent.event import Event

__all__ = ["CLOSING", "GONE", "OPEN", "Carrier", "Packet", "Session", "SessionLimits", "Sessions", "Waiter"]

Packet = str | bytes
Raw = str | bytes

OPEN: Final = "open"
CLOSING: Final = "closing"  # the goodbye waits to be fetched
GONE: Final = "gone"


class Carrier(Protocol):
    """A request that waits to carry packets to the client, and then sends some.

    Attributes:
        deadline: until when it may be sending (s, of the clock of `Session.tick`); infinite while it waits.
    """

    deadline: float

    def wake(self) -> None:
        """There are packets, or the session is over. May be called again and again, from any greenlet."""

    def cut(self) -> bool:
        """Break its connection, so that it comes to its end; False where that is out of reach."""


class Waiter(Protocol):
    """A request that brings packets, and waits until they are wanted."""

    def wake(self) -> None:
        """They are, or never will be."""


class SessionLimits:
    """The bounds that all sessions of one server share: bytes and seconds."""

    __slots__ = ("away_timeout", "close_timeout", "cut_timeout", "high", "low")

    def __init__(
        self, *, write_buffer: int, away_timeout: float, cut_timeout: float, close_timeout: float
    ) -> None:
        """
        Args:
            write_buffer: unsent bytes at which a writer has to wait.
            away_timeout: how long a client may be without a request that waits for packets.
            cut_timeout: the same, after its last one was cut off by the client.
            close_timeout: how long the goodbye may wait to be fetched.
        """
        self.high = write_buffer
        self.low = write_buffer // 4
        self.away_timeout = away_timeout
        self.cut_timeout = cut_timeout
        self.close_timeout = close_timeout


class Session:
    """One client; keeps the contract of `transports.base.Connection` towards its spark.

    Attributes:
        id: that its requests name.
        state: `OPEN`, `CLOSING` or `GONE`.
        transport: the WebSocket that carries everything, once there is one.
        carrier: the request that waits for packets, or sends some, right now.
    """

    __slots__ = (
        "__weakref__",
        "_active",
        "_away_since",
        "_close_code",
        "_cut",
        "_limits",
        "_outbox",
        "_paused",
        "_receiver",
        "_resumed",
        "_sessions",
        "_size",
        "_when_free",
        "_writable",
        "carrier",
        "hub",
        "id",
        "state",
        "transport",
    )

    def __init__(self, sessions: Sessions, id: str, limits: SessionLimits, hub: Any) -> None:  # noqa: A002
        self.id = id
        self.hub = hub
        self.state = OPEN
        self.transport: Any = None
        self.carrier: Carrier | None = None
        self._sessions = sessions
        self._limits = limits
        self._receiver: Any = None  # the spark
        self._outbox: deque[Packet] = deque()
        self._size = 0  # bytes in the outbox
        self._writable: Event | None = None
        self._active = True
        self._paused = False
        self._resumed: list[Waiter] | None = None
        self._when_free: list[Callable[[], object]] | None = None
        self._close_code = 1000
        self._cut = False  # the client has hung up its last request
        self._away_since: float | None = None  # set by the first `tick` that finds nothing to carry packets

    # -- what a framework's subclass says

    def encode(self, payload: Raw) -> Packet:
        """The packet of one message."""
        raise NotImplementedError

    def frame(self, packet: Packet) -> Raw:
        """What a packet is in a WebSocket frame."""
        return packet

    def goodbye(self) -> Iterable[Packet]:
        """What tells a polling client that this is the end; after it nothing is sent."""
        return ()

    # -- the contract of a connection, for the spark

    def start(self, receiver: Any) -> None:
        """Belong to a spark from now on, and to those who are found by their ids."""
        self._receiver = receiver
        self._sessions.add(self)

    @property
    def name(self) -> str:
        """Of the transport, for people."""
        return "polling" if self.transport is None else "websocket"

    @property
    def active(self) -> bool:
        """Whether anything has come since the sweep has last looked."""
        return self._active if self.transport is None else self.transport.active

    @active.setter
    def active(self, value: bool) -> None:
        self._active = value
        if self.transport is not None:
            self.transport.active = value

    @property
    def paused(self) -> bool:
        """Whether nothing more is taken from the client."""
        return self._paused if self.transport is None else self.transport.paused

    @property
    def full(self) -> bool:
        """Whether more bytes wait to be sent than the high mark allows."""
        return self._size > self._limits.high if self.transport is None else self.transport.full

    @property
    def framing(self) -> str | None:
        """Over WebSocket, what `prepare` made can be shared by all sessions that encode alike."""
        return None

    def send(self, payload: Raw) -> None:
        """Queue one message."""
        self.push(self.encode(payload))

    def prepare(self, payload: Raw) -> bytes:
        """The bytes of one message on a WebSocket."""
        prepared: bytes = self.transport.prepare(self.frame(self.encode(payload)))
        return prepared

    def send_prepared(self, data: bytes) -> None:
        """Queue what `prepare` made, for this session or another one."""
        self.transport.send_prepared(data)

    def push(self, packet: Packet) -> None:
        """Queue one packet, also the last ones of a session that is closing."""
        if self.transport is not None:
            self.transport.send(self.frame(packet))
        elif self.state != GONE:
            self._outbox.append(packet)
            self._size += len(packet)
            if self.carrier is not None:
                self.carrier.wake()

    def flush(self) -> None:
        """Send now what can be sent now."""
        if self.transport is not None:
            self.transport.flush()

    def wait_writable(self) -> None:
        """Park the caller until no more than the low mark waits to be sent, or the end."""
        while self.full and self.state == OPEN:
            if self.transport is not None:
                self.transport.wait_writable()
                return
            if self._writable is None:
                self._writable = Event()
            self._writable.wait()

    def pause(self) -> None:
        """Take nothing more from the client: a request that brings messages waits; see `await_resume`."""
        self._paused = True
        if self.transport is not None:
            self.transport.pause()

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        if self.transport is not None:
            self.transport.resume()
        for waiter in self._resumed or ():
            waiter.wake()

    def await_resume(self, waiter: Waiter) -> None:
        """Have this request woken by `resume`, until `forget` is told."""
        if self._resumed is None:
            self._resumed = []
        self._resumed.append(waiter)

    def forget(self, waiter: Waiter) -> None:
        """This one does not wait any more."""
        if self._resumed is not None:
            self._resumed.remove(waiter)
            self._resumed = self._resumed or None

    def peer_left(self) -> bool:
        """Whether the peer has hung up, as far as can be told without reading."""
        return self.transport is not None and self.transport.peer_left()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye after what is queued. Never blocks."""
        if self.state != OPEN:
            return
        if self.transport is not None:
            self.transport.close(code, reason)
            return
        self._close_code = code
        self._begin_close(clean=True)

    def abort(self) -> None:
        """End without a goodbye; what is queued is lost."""
        if self.transport is not None:
            self.transport.abort()
        else:
            self._end(clean=False)

    # -- the receiving side; all of it runs in the hub

    def deliver(self, messages: Sequence[Raw]) -> None:
        """Hand the messages of one request or one read to the spark."""
        if self.state == OPEN and messages:
            self._receiver.receive(messages)

    def lose(self, code: int = 1002, reason: str = "") -> None:
        """The client has broken the rules, or is silent: it is told so, and nothing it says counts any more.

        Args:
            code: for a WebSocket, as for `close`.
            reason: the same.
        """
        if self.state != OPEN:
            return
        if self.transport is not None:
            self.closed(False)
            self.transport.close(code, reason)
        else:
            self._close_code = code
            self._begin_close(clean=False)

    def finish(self) -> None:
        """The client has said goodbye, and waits for nothing."""
        if self.transport is not None:
            self.transport.close()
        else:
            self._end(clean=True)

    # -- the WebSocket as receiver reports; see `transports.base.Receiver`

    def closed(self, clean: bool) -> None:
        """The WebSocket has ended, and the session with it."""
        if self.state == OPEN:
            self.state = CLOSING
            self._receiver.closed(clean)

    def gone(self) -> None:
        """Nothing is left of the WebSocket."""
        self._end(clean=False)

    def adopt(self, transport: Any) -> None:
        """Send everything over this WebSocket from now on, what waits first.

        Not while `sending`: what does not arrive would come too late. A session that is closing says the rest
        over it, and closes it.
        """
        waiting = self.take()
        self.transport = transport
        goodbye = () if self.state == OPEN else tuple(self.goodbye())
        for packet in waiting:
            if packet not in goodbye:
                self.push(packet)
        if self._paused:
            transport.pause()
        self._set_writable()
        if self.carrier is not None:
            self.carrier.wake()
        if self.state != OPEN:
            transport.close(self._close_code)

    # -- requests that carry packets

    @property
    def ready(self) -> bool:
        """Whether a request that comes for packets can be answered at once."""
        return bool(self._outbox) or self.state != OPEN

    @property
    def waiting(self) -> Sequence[Packet]:
        """What is in the outbox."""
        return self._outbox

    def take(self, count: int | None = None) -> list[Packet]:
        """Take packets out of the outbox, in order; all, or the first ``count``."""
        outbox = self._outbox
        if count is None or count >= len(outbox):
            packets = list(outbox)
            outbox.clear()
            self._size = 0
        else:
            packets = [outbox.popleft() for _ in range(count)]
            self._size -= sum(map(len, packets))
        if self._size <= self._limits.low:
            self._set_writable()
        return packets

    def put_back(self, packets: Sequence[Packet]) -> None:
        """These did not reach the client: they are the first ones again."""
        if self.state != GONE:
            self._outbox.extendleft(reversed(packets))
            self._size += sum(map(len, packets))

    def hold(self, carrier: Carrier) -> None:
        """A request begins to wait for packets."""
        self.carrier = carrier
        self._active = True
        self._away_since = None
        self._cut = False

    def release(self, carrier: Carrier, *, cut: bool = False) -> None:
        """It is over; with ``cut`` because its client has hung up. Another one may have taken its place."""
        if self.carrier is carrier:
            self.carrier = None
            self._cut = cut
        self.free()

    @property
    def sending(self) -> bool:
        """Whether packets are on their way of which nobody knows yet if they arrive."""
        return self.carrier is not None and self.carrier.deadline != inf

    def when_free(self, function: Callable[[], object]) -> None:
        """Call this in the hub when one of the session's requests has ended."""
        if self._when_free is None:
            self._when_free = []
        self._when_free.append(function)

    def free(self) -> None:
        """A request has ended."""
        functions, self._when_free = self._when_free, None
        for function in functions or ():
            self.hub.loop.run_callback(function)

    def delivered(self) -> None:
        """What was taken last has been sent."""
        if self.state == CLOSING and not self._outbox and self.transport is None:
            self._end(clean=True)

    # -- the end

    def tick(self, now: float) -> None:
        """Look whether the client has stayed away for too long. Called by the sweep."""
        if self.transport is not None:
            return
        if self.carrier is not None:
            if now > self.carrier.deadline and not self.carrier.cut():
                self.abort()
        elif self._away_since is None:
            self._away_since = now
        elif now - self._away_since > self._patience():
            self.abort()

    def _patience(self) -> float:
        limits = self._limits
        if self.state != OPEN:
            return limits.close_timeout
        return limits.cut_timeout if self._cut else limits.away_timeout

    def _begin_close(self, *, clean: bool) -> None:
        for packet in self.goodbye():
            self.push(packet)
        self.state = CLOSING
        self._away_since = None
        self._set_writable()
        self.resume()
        if self.carrier is not None:
            self.carrier.wake()
        self._receiver.closed(clean)

    def _end(self, *, clean: bool) -> None:
        if self.state == GONE:
            return
        was_open = self.state == OPEN
        self.state = GONE
        self._sessions.discard(self)
        if self._outbox:
            self._sessions.dropped("undelivered packets")
            self._outbox.clear()
            self._size = 0
        self._set_writable()
        self.resume()
        if self.carrier is not None:
            self.carrier.wake()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            if was_open:
                receiver.closed(clean)
            receiver.gone()

    def _set_writable(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state} {self.name} {len(self._outbox)} waiting>"


class Sessions:
    """The sessions of one server, by the ids that their requests name.

    Args:
        dropped: counts what was dropped.
    """

    def __init__(self, dropped: Callable[[str], None]) -> None:
        self.dropped = dropped
        self._by_id: dict[str, Any] = {}

    def get(self, id: str) -> Any:  # noqa: A002
        """The session of that id, or None."""
        return self._by_id.get(id)

    def add(self, session: Session) -> None:
        """Let requests find a session. One that waits to say goodbye under the same id has waited enough."""
        old = self._by_id.get(session.id)
        if old is not None:
            old.abort()
        self._by_id[session.id] = session

    def discard(self, session: Session) -> None:
        """It is over."""
        if self._by_id.get(session.id) is session:
            del self._by_id[session.id]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)
