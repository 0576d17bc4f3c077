"""What a spark and a Python client have in common: messages come to them, and are read or listened to.

Two floors meet here. `Inbox.receive` is called by the transport in the hub; it only files messages and wakes
whoever waits. Everything of the user's (listeners, parsers) runs in a greenlet: in the one that calls `read`,
or, with ``data`` listeners, in one that is lent while there are messages.

Knows nothing of sockets, frames or who the peer is.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from gevent import get_hub
from greenlet import getcurrent

from . import clock
from .dispatchers import FAILURES
from .errors import ConcurrencyError, ConnectionClosed, ParserError, ReadTimeout
from .events import Emitter, Listener
from .protocols import primus as own
from .transforms import Packet, Transform, apply

__all__ = ["NOTHING", "Inbox", "Owner"]

logger = logging.getLogger("primus_gevent")

Raw = str | bytes


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"


#: "No data", for `Spark.end`, because None is a message like any other.
NOTHING: Final = _Nothing()

_CLOSED: Final = _Nothing()  # what a waiting `read` is woken with when no message will come
_TIMEOUT: Final = _Nothing()
_DROPPED: Final = _Nothing()

TEXT_MARK: Final = own.TEXT_MARK
BYTES_MARK: Final = own.BYTES_MARK

# While anybody listens to these, every message tells.
WATCHED: Final = ("incoming::data", "outgoing::data")


class Owner(Protocol):
    """What decides about the messages of an inbox: a server about those of its sparks, or a client."""

    inbox_messages: int
    inbox_bytes: int
    decode: Callable[[Raw], Any]

    @property
    def incoming(self) -> Sequence[Transform]:
        """The incoming transforms, in order."""

    def run(self, task: Callable[..., None], *args: Any) -> None:
        """Run ``task``, which must not raise, in a greenlet: at once if called in the hub."""

    def report(self, inbox: Any, what: str, error: BaseException) -> None:
        """Log that ``what`` failed. Called in a greenlet."""

    def dropped(self, what: str) -> None:
        """Count something that was dropped."""


class Inbox(Emitter):
    """Messages that wait, and both ways to get them.

    Attributes:
        watched: whether somebody listens to the raw messages, `incoming::data` and `outgoing::data`.
    """

    _KIND = "connection"  # what it calls itself in messages to people

    # An instance dictionary appears only when somebody sets an attribute of their own.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_choked",
        "_dispatching",
        "_flowing",
        "_hub",
        "_inbox",
        "_inbox_bytes",
        "_more",
        "_owner",
        "_ready",
        "_transforming",
        "_waiter",
        "_warned",
        "watched",
    )

    def __init__(self, owner: Owner, hub: Any) -> None:
        super().__init__()
        self._owner = owner
        self._hub = hub
        self._more = True  # messages may still come
        self._ready = False  # listeners may get them
        self._choked = False  # too many wait, and the transport was told to stop reading
        self._flowing = False  # true with `data` listeners
        self._dispatching = False
        self._inbox: deque[Raw] | None = None  # made with the first message that has to wait
        self._inbox_bytes = 0
        self._waiter: Any = None  # the greenlet that is parked in `read`
        self._transforming = False  # true while one is in `read`, and in a transform there
        self._warned = False
        self.watched = False

    # -- what is below and above

    def _consumed(self, message: str) -> bool:
        """Act on a message of Primus's own; False for one that only looks like it, and is data."""
        raise NotImplementedError

    def _pause(self) -> None:
        """Have the transport stop reading."""
        raise NotImplementedError

    def _resume(self) -> None:
        """Have it read again."""
        raise NotImplementedError

    def _closed_error(self) -> ConnectionClosed:
        """What `read` raises when no message will come any more."""
        raise NotImplementedError

    def _drained(self) -> None:
        """Whatever could be dispatched was. Called in a greenlet; must not raise."""

    def _keeps(self) -> bool:
        """Whether messages that nobody has read yet are still for somebody."""
        return self._more

    # -- receiving, the user's side

    def read(self, timeout: float | None = None) -> Any:
        """Wait for the next message and return it decoded.

        Messages that came before the peer left are still returned. One that cannot be decoded is dropped:
        it is an ``error`` event, not an exception here.

        Args:
            timeout: seconds to wait; None waits for ever, 0 only looks.

        Raises:
            ReadTimeout: nothing came in time; the connection stays open.
            ConnectionClosed: it has ended; ``clean`` tells how.
            ConcurrencyError: another greenlet is already inside `read`, or ``data`` listeners take the
                messages.
        """
        if self._flowing:
            raise ConcurrencyError(
                f"this {self._KIND} has data listeners: they get its messages, read() does not"
            )
        deadline = None if timeout is None else clock.monotonic() + timeout
        while True:
            raw: Any = (
                self._take() if self._inbox else self._park() if deadline is None else self._wait(deadline)
            )
            message = self._decode(raw)
            if message is _DROPPED:
                continue
            if not self._owner.incoming:
                return message
            packet = self._read_transformed(message, raw)
            if packet is not None:
                return packet.data

    def __iter__(self) -> Iterator[Any]:
        """Yield messages until the end, in whichever way it comes."""
        return self

    def __next__(self) -> Any:
        try:
            return self.read()
        except ConnectionClosed:
            raise StopIteration from None

    def pipe(self, destination: Any) -> Any:
        """Write every message to ``destination``, and end it with this one if it has ``end``.

        Returns at once, with ``destination``, as in Node; the messages flow in a dispatch greenlet.
        """
        write = destination.write

        def forward(message: Any) -> None:  # without the raw message, which `data` carries too
            write(message)

        self.on("data", forward)
        end = getattr(destination, "end", None)
        if callable(end):
            self.on("end", Listener(end))
        return destination

    def emits(self, event: str, parser: Callable[..., Any] | None = None) -> Callable[..., None]:
        """A function that emits ``event`` with its first argument, or with what ``parser`` makes of all."""

        def emit(*args: Any) -> None:
            self.emit(event, parser(*args) if parser is not None else (args[0] if args else None))

        return emit

    def _take(self) -> Raw:
        inbox = self._inbox
        assert inbox is not None
        raw = inbox.popleft()
        self._inbox_bytes -= len(raw)
        if self._choked and self._below_low_mark(len(inbox)):
            self._choked = False
            self._resume()
        return raw

    def _below_low_mark(self, messages: int) -> bool:
        owner = self._owner
        return bool(messages <= owner.inbox_messages // 4 and self._inbox_bytes <= owner.inbox_bytes // 4)

    def _wait(self, deadline: float) -> Any:
        timer = self._hub.loop.timer(max(deadline - clock.monotonic(), 0))
        timer.start(self._wake, _TIMEOUT)
        try:
            raw = self._park()
        finally:
            timer.close()
        if raw is _TIMEOUT:
            raise ReadTimeout("no message came in time")
        return raw

    def _park(self) -> Any:
        if self._waiter is not None:
            raise ConcurrencyError(f"another greenlet is already waiting in read() of this {self._KIND}")
        if self._more:
            self._waiter = getcurrent()
            try:
                raw = self._hub.switch()
                while self._waiter is not None:
                    # Whoever of ours switches back has cleared it: this was something that the reader left
                    # behind elsewhere, a waiter or a callback.
                    raw = self._hub.switch()
            except BaseException:
                self._waiter = None  # killed, or out of time: nobody waits any more
                raise
            if raw is not _CLOSED:
                return raw
        raise self._closed_error()

    def _wake(self, value: Any) -> None:
        """Switch to who waits in `read`, if anybody still does. Called in the hub."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter.switch(value)

    def _decode(self, raw: Raw) -> Any:
        try:
            message = self._owner.decode(raw)
        except Exception as error:  # noqa: BLE001
            failure = ParserError(f"Failed to decode incoming data: {error}", raw)
            failure.__cause__ = error
            self._fail("parser", failure)
            return _DROPPED
        if type(message) is str and message[:8] == "primus::" and self._consumed(message):
            return _DROPPED
        return message

    def _transform(
        self, message: Any, raw: Raw, caught: tuple[type[BaseException], ...] = (Exception,)
    ) -> Packet | None:
        """Pass a message through the incoming transforms; None when one of them swallowed or broke it.

        Args:
            caught: what concerns the message only. In the user's greenlet a timeout or a kill is the user's.
        """
        packet = Packet(message, raw, self)
        try:
            return packet if apply(self._owner.incoming, packet) else None
        except caught as error:
            self._fail("an incoming transform", error)
            return None

    def _read_transformed(self, message: Any, raw: Raw) -> Packet | None:
        """`_transform` for who reads; out of time, or killed, they leave the message for the next `read`."""
        if self._transforming:
            self._put_back(raw)
            raise ConcurrencyError(
                f"another greenlet is already in read() of this {self._KIND}, in a transform"
            )
        self._transforming = True
        try:
            return self._transform(message, raw)
        except BaseException:
            self._put_back(raw)
            raise
        finally:
            self._transforming = False

    def _put_back(self, raw: Raw) -> None:
        if not self._keeps():
            return  # see `_forget_inbox`
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.appendleft(raw)
        self._inbox_bytes += len(raw)
        if self._waiter is not None:
            get_hub().loop.run_callback(self._hand_over)

    def _hand_over(self) -> None:
        """Give who waits in `read` what is there. Called in the hub."""
        if self._waiter is not None and self._inbox:
            self._wake(self._take())

    # -- receiving, the transport's side; all of it runs in the hub

    def receive(self, messages: Sequence[Raw]) -> None:
        """Take what one read of the socket brought; see `transports.base.Receiver`."""
        if self.watched:
            for raw in messages:
                self._note("incoming::data", raw)
            if not self._more:
                return  # a listener has hung up
        if len(messages) == 1:
            # The usual case, straight into a greenlet: this returns when it parks.
            raw = messages[0]
            waiter = self._waiter
            if waiter is not None:
                if (TEXT_MARK if type(raw) is str else BYTES_MARK) in raw[:32] and self._answered(raw):  # type: ignore[operator]
                    return
                self._waiter = None
                waiter.switch(raw)
                return
            if self._flowing and self._ready and not self._dispatching and not self._inbox:
                if (TEXT_MARK if type(raw) is str else BYTES_MARK) in raw[:32] and self._answered(raw):  # type: ignore[operator]
                    return
                self._dispatching = True
                self._owner.run(self._dispatch, raw)
                return
        self._file(messages)

    def _file(self, messages: Sequence[Raw]) -> None:
        inbox = self._inbox
        if inbox is None:
            inbox = self._inbox = deque()
        size = 0
        for raw in messages:
            if (TEXT_MARK if type(raw) is str else BYTES_MARK) in raw[:32] and self._answered(raw):  # type: ignore[operator]
                continue
            inbox.append(raw)
            size += len(raw)
        self._inbox_bytes += size
        if not inbox:
            return
        if len(inbox) >= self._owner.inbox_messages or self._inbox_bytes >= self._owner.inbox_bytes:
            self._stop_reading()
        if self._waiter is not None:
            self._hand_over()
        elif self._flowing and self._ready and not self._dispatching:
            self._dispatching = True
            self._owner.run(self._dispatch)

    def _stop_reading(self) -> None:
        self._choked = True
        self._pause()
        if self._waiter is None and not self._flowing and not self._warned:
            self._warned = True
            logger.warning(
                "%r: %d messages wait and nobody reads them, so its socket is not read any more; "
                "add a data listener, or read() or iterate",
                self,
                len(self._inbox or ()),
            )

    def _answered(self, raw: Raw) -> bool:
        """Handle ``raw`` if it is one of Primus's own messages; tells whether it was.

        Asked only for what has the mark near its beginning: decoding is the reader's work.
        """
        try:
            message = self._owner.decode(raw)
        except Exception:  # noqa: BLE001
            return False  # whoever reads it will find the same, and report it
        return own.is_own(message) and self._consumed(message)

    def _note(self, event: str, *args: Any) -> None:
        """Emit an event from the hub, if anybody listens."""
        if self._registered(event):
            self._owner.run(self._emit_safely, event, *args)

    # -- the end

    def _forget_inbox(self) -> None:
        """We hung up ourselves: what the peer said before it knew is not for anybody."""
        if self._inbox:
            self._owner.dropped("unread messages")
            self._inbox.clear()
            self._inbox_bytes = 0

    def _stop_waiting(self) -> None:
        """No message will come: tell who waits in `read`."""
        if self._waiter is not None:
            # Not from here: `end` may be called by any greenlet, and must not switch away from it.
            get_hub().loop.run_callback(self._wake, _CLOSED)

    # -- event style: listeners run in a dispatch greenlet, one at a time, in order

    def _start_flow(self) -> None:
        if self._flowing and self._ready and self._inbox and not self._dispatching:
            self._dispatching = True
            self._owner.run(self._dispatch)

    def _add(self, event: str, function: Callable[..., Any], once: bool) -> None:
        if event == "data" and (self._waiter is not None or self._transforming):
            raise ConcurrencyError(f"a greenlet is in read() of this {self._KIND}; it gets the messages")
        super()._add(event, function, once)
        if event == "data":
            self._flowing = True
            get_hub().loop.run_callback(self._start_flow)
        elif event in WATCHED:
            self.watched = True

    def off(self, event: str, function: Callable[..., Any] | None = None) -> bool:
        """Remove a listener, or all of ``event``; tell whether anything was removed."""
        removed = super().off(event, function)
        self._removed()
        return removed

    def remove_all_listeners(self, event: str | None = None) -> None:
        """Remove the listeners of ``event``, or of all events."""
        super().remove_all_listeners(event)
        self._removed()

    def _discard(self, event: str, listener: Listener) -> None:
        super()._discard(event, listener)
        self._removed()

    def _removed(self) -> None:
        self._flowing = bool(self._registered("data"))
        self.watched = any(self._registered(event) for event in WATCHED)

    def _dispatch(self, raw: Raw | None = None) -> None:
        """Emit this message and what waits; then whatever has waited for that. Never raises."""
        try:
            if raw is not None:
                self._dispatch_one(raw)
            while self._inbox and self._flowing:
                self._dispatch_one(self._take())
            self._drained()
        finally:
            self._dispatching = False

    def _dispatch_one(self, raw: Raw) -> None:
        message = self._decode(raw)
        if message is _DROPPED:
            return
        if self._owner.incoming:
            packet = self._transform(message, raw, FAILURES)
            if packet is None:
                return
            if not self._registered("data"):
                self._put_back(raw)  # the listeners were removed meanwhile: it is for `read`
                return
            message, raw = packet.data, packet.raw
        self._emit_data(message, raw)

    def _emit_data(self, message: Any, raw: Raw) -> None:
        for listener in self._registered("data"):
            if listener.once:
                self._discard("data", listener)
            try:
                # What `Listener` does for any number of arguments.
                if listener.accepted == 1:
                    listener.function(message)
                else:
                    listener(message, raw)
            except FAILURES as error:
                self._fail("a data listener", error)

    def _emit_safely(self, event: str, *args: Any) -> None:
        for listener in self._registered(event):
            if listener.once:
                self._discard(event, listener)
            self._call(event, listener, *args)

    def _call(self, event: str, listener: Listener, *args: Any) -> None:
        try:
            listener(*args)
        except FAILURES as error:
            self._owner.report(self, f"a {event} listener", error)

    def _fail(self, what: str, error: BaseException) -> None:
        """A message was dropped or a ``data`` listener raised: tell, and live on."""
        self._owner.report(self, what, error)
        self._emit_safely("error", error)
