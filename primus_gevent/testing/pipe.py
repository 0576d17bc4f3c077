"""A connection without a socket: two ends, between which messages travel in memory.

Each end keeps the contract of `transports.base.Connection`, and does what a WebSocket over TCP does: what is
sent waits in the sender while the network has no room, and in the network while the other side does not read.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from gevent.event import Event

from ..protocols.frames import Failure
from ..protocols.websocket import WebSocketProtocol
from ..transports.base import Raw, Receiver
from ..transports.websocket import READ_BYTES, WebSocketLimits

__all__ = ["NETWORK_BYTES", "End", "Pipe"]

#: What the network takes in one direction before the sender has to wait; a few times less than TCP does.
NETWORK_BYTES = 65536

TOO_BIG = 1009
NO_CODE = 1005

OPEN, CLOSING, LINGERING, GONE = "open", "closing", "lingering", "gone"


class _Message(NamedTuple):
    payload: Raw
    size: int


class _Goodbye(NamedTuple):
    """A Close frame."""

    code: int | None
    reason: str
    size: int = 0


class _EndOfStream(NamedTuple):
    size: int = 0


Item = _Message | _Goodbye | _EndOfStream


class Pipe:
    """Two ends, and the network between them.

    Attributes:
        server: the end of the spark.
        client: the other one.
        silent: the network swallows everything, without telling anybody. What it has taken comes when it is
            itself again, as with TCP.
    """

    def __init__(self, hub: Any) -> None:
        self.silent = False
        self.server = End(hub, self)
        self.client = End(hub, self)
        self.server.peer, self.client.peer = self.client, self.server

    def cut(self) -> None:
        """The network breaks: both sides are told, and what is on its way is lost."""
        for end in (self.server, self.client):
            end.lose()

    def set_silent(self, silent: bool) -> None:
        """Swallow everything from now on, or no more."""
        self.silent = silent
        for end in (self.server, self.client):
            end.schedule()


class End:
    """One end of a pipe; `start` makes it read.

    Attributes:
        peer: the other end.
        spark: at the server's end, what was made for it.
        close_code, close_reason: what the other side's goodbye said; None when there was none, 1005 when it
            had no code.
        failure: how the other side broke the protocol.
    """

    name = "websocket"  # as an application sees it
    framing: str | None = "in-process"

    def __init__(self, hub: Any, pipe: Pipe) -> None:
        self.hub = hub
        self.pipe = pipe
        self.peer: End = self
        self.spark: Any = None
        self.active = True
        self.paused = False
        self.full = False
        self.close_code: int | None = None
        self.close_reason = ""
        self.failure: Failure | None = None
        self._limits = WebSocketLimits()
        self._max_length = 0
        self._receiver: Receiver | None = None
        self._state = OPEN
        self._out: deque[Item] = deque()
        self._size = 0  # bytes in it
        self._came: deque[Item] = deque()  # what the network has for us
        self._came_size = 0
        self._scheduled = False
        self._timer: Any = None
        self._writable: Any = None
        self._gone: Any = Event()

    def bound(self, limits: WebSocketLimits, max_length: int) -> End:
        """Keep these limits; returns itself."""
        self._limits, self._max_length = limits, max_length
        return self

    def start(self, receiver: Receiver, early: bytes = b"") -> None:
        """Begin to read for ``receiver``, which is told if it is too late for that."""
        self._receiver = receiver
        if self._state == GONE:
            self.hub.loop.run_callback(self._tell_gone, OPEN)
        self.schedule()

    # -- sending

    def send(self, payload: Raw) -> None:
        """See `Connection`.

        Raises:
            UnicodeEncodeError: the text has a lone surrogate; nothing was queued.
        """
        if isinstance(payload, str):
            size = len(payload.encode())
        else:
            payload = memoryview(payload).tobytes()  # as some parsers make it
            size = len(payload)
        if self._state == OPEN:
            self._append(_Message(payload, size))

    def prepare(self, payload: Raw) -> bytes:
        """See `Connection`."""
        return b"t" + payload.encode() if isinstance(payload, str) else b"b" + payload

    def send_prepared(self, data: bytes) -> None:
        """See `Connection`."""
        self.send(data[1:].decode() if data[:1] == b"t" else data[1:])

    def ping(self, payload: bytes = b"") -> None:
        """A WebSocket's ping, which nobody hears of: the other end would answer by itself."""

    def _append(self, item: Item) -> None:
        self._out.append(item)
        self._size += item.size
        if self._size > self._limits.high:
            self.full = True
        self.schedule()

    def flush(self) -> None:
        """See `Connection`."""
        moved = False
        peer = self.peer
        while self._out and peer._came_size < NETWORK_BYTES:
            item = self._out.popleft()
            self._size -= item.size
            peer._came.append(item)
            peer._came_size += item.size
            moved = True
        if moved:
            peer.schedule()
        if self.full and self._size <= self._limits.low:
            self._set_writable()
        if self._state == OPEN and self._out:
            if moved or self._timer is None:
                self._set_timer(self._limits.write_timeout)
        elif self._state == OPEN:
            self._set_timer(None)

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self._size

    def wait_writable(self) -> None:
        """See `Connection`."""
        self.flush()
        if self.full and self._state != GONE:
            if self._writable is None:
                self._writable = Event()
            self._writable.wait()

    def _set_writable(self) -> None:
        self.full = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # -- receiving, in the hub

    def schedule(self) -> None:
        """Send and receive at the end of this turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self.hub.loop.run_callback(self._run)

    def _run(self) -> None:
        self._scheduled = False
        if self._state != GONE and self._out:
            self.flush()
        while self._came and self._receiver is not None and self._reads():
            self._receive()
            if self.peer._out:
                self.peer.flush()  # there is room for more

    def _reads(self) -> bool:
        return not (self.paused or self.pipe.silent or self._state == GONE)

    def _receive(self) -> None:
        """As much as one read of a socket brings."""
        messages: list[Raw] = []
        size = 0
        while self._came and size < READ_BYTES:
            item = self._came[0]
            if isinstance(item, _Message) and not self._is_too_long(item):
                messages.append(item.payload)
                size += item.size
                self._drop_first()
                continue
            if not messages:
                self._drop_first()
                self._take(item)
            break
        if messages:
            self.active = True
            if self._state == OPEN:
                assert self._receiver is not None
                self._receiver.receive(messages)

    def _drop_first(self) -> None:
        self._came_size -= self._came.popleft().size

    def _is_too_long(self, item: _Message) -> bool:
        return bool(self._max_length) and item.size > self._max_length

    def _take(self, item: Item) -> None:
        if isinstance(item, _EndOfStream):
            self._destroy()
        elif isinstance(item, _Goodbye):
            self.active = True
            self.close_code = NO_CODE if item.code is None else item.code
            self.close_reason = item.reason
            if self._state == OPEN:
                self._answer(item, clean=True)
            else:
                self._destroy()  # both have said it
        elif self._state == OPEN:
            self.failure = Failure(TOO_BIG, "the message is longer than the limit")
            self._answer(_Goodbye(TOO_BIG, self.failure.reason), clean=False)

    def _answer(self, goodbye: _Goodbye, *, clean: bool) -> None:
        """Say the last word; the other side then hangs up."""
        self._state = LINGERING
        self._out.append(goodbye)
        self.schedule()
        self._set_timer(self._limits.close_timeout)
        assert self._receiver is not None
        self._receiver.closed(clean)

    def pause(self) -> None:
        """See `Connection`."""
        if self._state == OPEN:
            self.paused = True

    def resume(self) -> None:
        """See `Connection`."""
        if self.paused:
            self.paused = False
            self.schedule()

    def peer_left(self) -> bool:
        """See `Connection`."""
        return self._state == GONE or (
            not self.pipe.silent and any(isinstance(item, _EndOfStream) for item in self._came)
        )

    # -- the end

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """See `Connection`.

        Raises:
            LocalProtocolError: that code may not be sent (RFC 6455, section 7.4).
        """
        if self._state != OPEN:
            return
        WebSocketProtocol().close(code, reason)  # it knows which codes there are
        self._append(_Goodbye(code, reason))
        self._state = CLOSING
        self.resume()
        self._set_timer(self._limits.close_timeout)
        if self._receiver is not None:
            self._receiver.closed(True)

    def abort(self) -> None:
        """See `Connection`."""
        self._destroy()

    def lose(self) -> None:
        """The network breaks; what it has for us is lost."""
        self._came.clear()
        self._came_size = 0
        self._destroy()

    def wait_gone(self, timeout: float | None = None) -> bool:
        """Park the caller until nothing is left of the connection; tell whether that is so."""
        return bool(self._gone.wait(timeout))

    def _destroy(self) -> None:
        if self._state == GONE:
            return
        before, self._state = self._state, GONE
        self._set_timer(None)
        self._out.clear()
        self._size = 0
        self._set_writable()
        self.peer._came.append(_EndOfStream())
        self.peer.schedule()
        self._gone.set()
        self._tell_gone(before)

    def _tell_gone(self, before: str) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            if before == OPEN:
                receiver.closed(False)
            receiver.gone()

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        if seconds is not None:
            self._timer = self.hub.loop.timer(seconds)
            self._timer.start(self._destroy)

    def __repr__(self) -> str:
        return f"<End {self._state}{' paused' if self.paused else ''} {self._size} bytes waiting>"
