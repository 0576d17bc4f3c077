"""A spark: one connection as the user sees it.

Two floors meet here. `receive` and `closed` are called by the transport in the hub; they only file messages
and wake whoever waits. Everything of the user's (listeners, parsers) runs in a greenlet: in the one that
calls `read`, or, with ``data`` listeners, in one that is lent to the spark while it has messages.

Knows nothing of sockets, frames or WSGI.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from gevent import get_hub
from greenlet import getcurrent

from .dispatchers import FAILURES
from .errors import ConcurrencyError, ConnectionClosed, ParserError, PrimusError, ReadTimeout
from .events import SPARK_EVENTS, Emitter, Listener, is_reserved
from .protocols import primus as own
from .transforms import Packet, Transform, Turns, apply

if TYPE_CHECKING:
    from typing_extensions import Self

    from .request import Address, Request, RequestRecord
    from .transports.base import Connection, Raw

__all__ = ["NOTHING", "Owner", "Spark"]

logger = logging.getLogger("primus_gevent")


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"


#: "No data", for `Spark.end`, because None is a message like any other.
NOTHING: Final = _Nothing()

_CLOSED: Final = _Nothing()  # what a waiting `read` is woken with when no message will come
_TIMEOUT: Final = _Nothing()
_DROPPED: Final = _Nothing()

OPEN: Final = 3

TEXT_MARK: Final = own.TEXT_MARK
BYTES_MARK: Final = own.BYTES_MARK

# While anybody listens to these, every message tells.
WATCHED: Final = ("incoming::data", "outgoing::data")


class Owner(Protocol):
    """What a spark needs of its server; `Primus` is one."""

    inbox_messages: int
    inbox_bytes: int
    trusted_proxies: Sequence[str] | None
    encode: Callable[[Any], Raw]
    decode: Callable[[Raw], Any]
    incoming: Sequence[Transform]
    outgoing: Sequence[Transform]

    def run(self, task: Callable[..., None], *args: Any) -> None:
        """Run ``task``, which must not raise, in a greenlet: at once if called in the hub."""

    def forget(self, spark: Spark) -> None:
        """The spark has ended: it is counted no more."""

    def gone(self) -> None:
        """A connection is closed down to its socket."""

    def spark_ended(self, spark: Spark) -> None:
        """Emit ``disconnection``. Called in a greenlet."""

    def report(self, spark: Spark, what: str, error: BaseException) -> None:
        """Log that ``what`` failed, and emit it as ``log``. Called in a greenlet."""

    def dropped(self, what: str) -> None:
        """Count something that was dropped."""


class Spark(Emitter):
    """One connection. Made by Primus; a subclass of its own per Primus, which plugins may extend.

    Attributes:
        id: names this connection, and only this one: it changes with every reconnect.
        primus: the server.
        socket: the transformer's own connection, for example ``spark.socket.close(4000, "reason")``.
        clean: after the end, whether one of the two sides said goodbye.
        watched: whether somebody listens to the raw messages, `incoming::data` and `outgoing::data`.
    """

    OPENING = 1
    CLOSED = 2
    OPEN = OPEN

    # An instance dictionary appears only when somebody sets an attribute of their own.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_announced",
        "_dispatching",
        "_ended",
        "_flowing",
        "_from_below",
        "_inbox",
        "_inbox_bytes",
        "_ready",
        "_record",
        "_state",
        "_transforming",
        "_waiter",
        "_warned",
        "clean",
        "id",
        "pinged_at",
        "pings_itself",
        "primus",
        "seen_at",
        "socket",
        "watched",
    )

    def __init__(
        self,
        primus: Any,
        connection: Connection,
        id: str,  # noqa: A002 - its public name
        record: RequestRecord,
        now: float,
    ) -> None:
        super().__init__()
        self.primus = primus
        self.socket: Any = connection
        self.id = id
        self.clean = True
        self._record = record
        self._state = self.OPEN
        self._announced = False  # true once those that wait for no other one have started
        self._ready = False  # true once every `connection` listener has started
        self._flowing = False  # true with `data` listeners
        self._dispatching = False
        self._ended = False  # true once the events of the end were emitted
        self._inbox: deque[Raw] | None = None  # made with the first message that has to wait
        self._inbox_bytes = 0
        self._waiter: Any = None  # the greenlet that is parked in `read`
        self._transforming = False  # true while one is in `read`, and in a transform there
        self._warned = False
        self._from_below = False  # true when it was the transport that ended
        self.watched = False
        # For the sweep (`primus_gevent.heartbeat`): seconds of its clock.
        self.seen_at = now
        self.pinged_at = now
        self.pings_itself = False

    # -- what it is

    @property
    def headers(self) -> Any:
        """Headers of the request that started the connection; names are case-insensitive."""
        return self._record.headers()

    @property
    def query(self) -> dict[str, Any]:
        """The query string; a name that occurs twice has a list of its values, as in Node."""
        return self._record.query()

    @property
    def address(self) -> Address:
        """``ip``, ``port`` and ``secure`` of the client, as its proxy tells them."""
        return self._record.address(self.primus.trusted_proxies)

    @property
    def request(self) -> Request:
        """The request that started the connection, as a werkzeug object; it is answered already.

        Made on first use and kept.
        """
        request: Request | None = self.__dict__.get("_request")
        if request is None:
            request = self.__dict__["_request"] = self._record.request(self.primus.trusted_proxies)
        return request

    @property
    def ready_state(self) -> int:
        """`OPEN` (3) or `CLOSED` (2)."""
        return self._state

    @property
    def writable(self) -> bool:
        """Whether `write` would accept a message."""
        return self._state == self.OPEN

    def reserved(self, event: str) -> bool:
        """Whether ``event`` is Primus's own, and so not for users to emit."""
        return is_reserved(event, SPARK_EVENTS)

    def emits(self, event: str, parser: Callable[..., Any] | None = None) -> Callable[..., None]:
        """A function that emits ``event`` with its first argument, or with what ``parser`` makes of all."""

        def emit(*args: Any) -> None:
            self.emit(event, parser(*args) if parser is not None else (args[0] if args else None))

        return emit

    # -- receiving, the user's side

    def read(self, timeout: float | None = None) -> Any:
        """Wait for the next message and return it decoded.

        Messages that came before the client left are still returned. One that cannot be decoded is dropped:
        it is an ``error`` event, not an exception here.

        Args:
            timeout: seconds to wait; None waits for ever, 0 only looks.

        Raises:
            ReadTimeout: nothing came in time; the spark stays open.
            ConnectionClosed: the spark has ended; ``clean`` tells how.
            ConcurrencyError: another greenlet is already inside `read`, or ``data`` listeners take the
                messages.
        """
        if self._flowing:
            raise ConcurrencyError("this spark has data listeners: they get its messages, read() does not")
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            raw: Any = (
                self._take() if self._inbox else self._park() if deadline is None else self._wait(deadline)
            )
            message = self._decode(raw)
            if message is _DROPPED:
                continue
            if not self.primus.incoming:
                return message
            packet = self._read_transformed(message, raw)
            if packet is not None:
                return packet.data

    def __iter__(self) -> Iterator[Any]:
        """Yield messages until the connection ends, in whichever way."""
        return self

    def __next__(self) -> Any:
        try:
            return self.read()
        except ConnectionClosed:
            raise StopIteration from None

    def pipe(self, destination: Any) -> Any:
        """Write every message to ``destination``, and end it with this spark if it has ``end``.

        Returns at once, with ``destination``, as in Node; the messages flow in the spark's dispatch greenlet.
        """
        write = destination.write

        def forward(message: Any) -> None:  # without the raw message, which `data` carries too
            write(message)

        self.on("data", forward)
        end = getattr(destination, "end", None)
        if callable(end):
            self.on("end", Listener(end))
        return destination

    def _take(self) -> Raw:
        inbox = self._inbox
        assert inbox is not None
        raw = inbox.popleft()
        self._inbox_bytes -= len(raw)
        if self.socket.paused and self._below_low_mark(len(inbox)):
            self.socket.resume()
        return raw

    def _below_low_mark(self, messages: int) -> bool:
        primus = self.primus
        return bool(messages <= primus.inbox_messages // 4 and self._inbox_bytes <= primus.inbox_bytes // 4)

    def _wait(self, deadline: float) -> Any:
        timer = self.socket.hub.loop.timer(max(deadline - time.monotonic(), 0))
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
            raise ConcurrencyError("another greenlet is already waiting in read() of this spark")
        if self._state == OPEN:
            self._waiter = getcurrent()
            try:
                raw = self.socket.hub.switch()
                while self._waiter is not None:
                    # Whoever of ours switches back has cleared it: this was something that the reader left
                    # behind elsewhere, a waiter or a callback.
                    raw = self.socket.hub.switch()
            except BaseException:
                self._waiter = None  # killed, or out of time: nobody waits any more
                raise
            if raw is not _CLOSED:
                return raw
        raise ConnectionClosed(f"spark {self.id} has ended", clean=self.clean)

    def _wake(self, value: Any) -> None:
        """Switch to who waits in `read`, if anybody still does. Called in the hub."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter.switch(value)

    def _decode(self, raw: Raw) -> Any:
        try:
            message = self.primus.decode(raw)
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
            return packet if apply(self.primus.incoming, packet) else None
        except caught as error:
            self._fail("an incoming transform", error)
            return None

    def _read_transformed(self, message: Any, raw: Raw) -> Packet | None:
        """`_transform` for who reads; out of time, or killed, they leave the message for the next `read`."""
        if self._transforming:
            self._put_back(raw)
            raise ConcurrencyError("another greenlet is already in read() of this spark, in a transform")
        self._transforming = True
        try:
            return self._transform(message, raw)
        except BaseException:
            self._put_back(raw)
            raise
        finally:
            self._transforming = False

    def _put_back(self, raw: Raw) -> None:
        if self._state != OPEN and not self._from_below:
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
            if self._state != OPEN:
                return  # a listener has hung up
        waiter = self._waiter
        if waiter is not None and len(messages) == 1:
            raw = messages[0]
            if (TEXT_MARK if type(raw) is str else BYTES_MARK) in raw[:32] and self._answered(raw):  # type: ignore[operator]
                return
            # Straight into the greenlet that waits: this returns when it parks again.
            self._waiter = None
            waiter.switch(raw)
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
        if len(inbox) >= self.primus.inbox_messages or self._inbox_bytes >= self.primus.inbox_bytes:
            self._stop_reading()
        if self._waiter is not None:
            self._hand_over()
        elif self._flowing and self._ready and not self._dispatching:
            self._dispatching = True
            self.primus.run(self._dispatch)

    def _stop_reading(self) -> None:
        self.socket.pause()
        if self._waiter is None and not self._flowing and not self._warned:
            self._warned = True
            logger.warning(
                "%r: %d messages wait and nobody reads them, so its socket is not read any more; "
                "add a data listener, or read() or iterate",
                self,
                len(self._inbox or ()),
            )

    def closed(self, clean: bool) -> None:
        """The connection has ended from below; see `transports.base.Receiver`."""
        if self._state == self.OPEN:
            self._from_below = True
            self._finish(clean=clean)

    def gone(self) -> None:
        """The socket is closed; see `transports.base.Receiver`."""
        self.primus.gone()

    # -- protocol messages (specification, "Heartbeats and latency"; Primus 7 and 8 ping from the server)

    def _answered(self, raw: Raw) -> bool:
        """Handle ``raw`` if it is one of Primus's own messages; tells whether it was.

        Asked only for what has the mark near its beginning: decoding is the reader's work.
        """
        try:
            message = self.primus.decode(raw)
        except Exception:  # noqa: BLE001
            return False  # whoever reads it will find the same, and report it
        return own.is_own(message) and self._consumed(message)

    def _consumed(self, message: str) -> bool:
        """Act on a message of Primus's own; False for one that only looks like it, and is data."""
        command, value = own.parse(message) or ("", "")
        if command == "ping":
            self.pings_itself = True
            self._note("incoming::ping", value)
            self._send_protocol(own.pong(value))
            self._note("outgoing::pong", value)
            self._note("heartbeat")
        elif command == "pong":
            self._note("incoming::pong", value)
            self._note("heartbeat")
        elif command == "id":
            self._send_protocol(own.answer_id(self.id))
        else:
            return False  # unknown ones are messages like any other
        return True

    def _send_protocol(self, message: str) -> None:
        if self.socket.full:
            # A peer that asks and never reads the answers: the next one will do.
            self.primus.dropped("heartbeats")
            return
        self._send_own(message)

    def _send_own(self, message: str) -> None:
        try:
            payload = self.primus.encode(message)
            self.socket.send(payload)
        except Exception as error:  # noqa: BLE001
            # Not every parser can carry such a text. This may be the hub: the listeners hear of it elsewhere.
            failure = ParserError(f"Failed to encode {message[:32]!r}: {error}", message)
            failure.__cause__ = error
            self.primus.run(self._fail, "parser", failure)
            return
        if self.watched:
            self.sending(payload)

    def _note(self, event: str, *args: Any) -> None:
        """Emit an event from the hub, if anybody listens."""
        if self._registered(event):
            self.primus.run(self._emit_safely, event, *args)

    def ping(self, now_ms: int) -> None:
        """Ask a client that does not ping by itself for a sign of life. Called by the sweep."""
        self._send_protocol(own.ping(now_ms))
        self._note("outgoing::ping", now_ms)

    # -- sending

    def write(self, data: Any) -> bool:
        """Send one message; parks the caller while more than ``write_buffer`` bytes wait for the client.

        Returns:
            True when it was accepted, also when an outgoing transform has swallowed it; False when the spark
            has ended, or when the message could not be transformed or encoded, which is an ``error`` event
            and leaves the spark open.
        """
        if self._state != OPEN:
            return False
        if self.primus.outgoing:
            return self._write_transformed(data)
        return self._write(data)

    def _write(self, data: Any) -> bool:
        try:
            payload = self.primus.encode(data)
            self.socket.send(payload)
        except Exception as error:  # noqa: BLE001
            failure = ParserError(f"Failed to encode outgoing data: {error}", data)
            failure.__cause__ = error
            self.not_sent(failure)
            return False
        if self.watched:
            self.sending(payload)
        if self.socket.full:
            self.socket.wait_writable()
        return True

    def _write_transformed(self, data: Any) -> bool:
        # A transform may block, and messages leave in the order in which they were written.
        turns = self.__dict__.get("_turns")
        if turns is None:
            turns = self.__dict__["_turns"] = Turns()
        with turns:
            if self._state != OPEN:
                return False  # ended while it was another one's turn
            packet = Packet(data, spark=self)
            try:
                passed = apply(self.primus.outgoing, packet)
            except Exception as error:  # noqa: BLE001
                self.not_sent(error)
                return False
            if self._state != OPEN:
                return False  # ended while the transforms were waiting
            return self._write(packet.data) if passed else True

    def sending(self, payload: Raw) -> None:
        """Tell who watches that this is on its way to the transport."""
        self._note("outgoing::data", payload)

    def not_sent(self, error: BaseException) -> None:
        """A message was dropped on its way out: tell, and live on."""
        self._fail("parser" if isinstance(error, ParserError) else "an outgoing transform", error)

    def end(self, data: Any = NOTHING, reconnect: bool = False) -> bool:
        """End the connection, after writing ``data`` if there is any.

        Args:
            data: a last message; None is a message too.
            reconnect: let the client come back; by default it is told that this is final.

        Returns:
            False when the spark had ended before.
        """
        if self._state != self.OPEN:
            return False
        if data is not NOTHING:
            self.write(data)
        if not reconnect:
            self._send_own(own.SERVER_CLOSE)
        # 1012 is "service restart": come back (IANA's registry of RFC 6455 close codes).
        return self.hang_up(1012 if reconnect else 1000)

    def abort(self) -> None:
        """Cut the connection without a goodbye; an official client reconnects."""
        if self._state == self.OPEN:
            self._finish(clean=False)
        self.socket.abort()

    def hang_up(self, code: int) -> bool:
        """End the connection with an RFC 6455 close code and no message, so that the client comes back.

        Returns:
            False when the spark had ended before.
        """
        if self._state != self.OPEN:  # it was lost while the last message waited to be sent
            return False
        self._forget_inbox()
        self._finish(clean=True)
        self.socket.close(code)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    # -- the end

    def _forget_inbox(self) -> None:
        """We hung up ourselves: what the client said before it knew is not for anybody."""
        if self._inbox:
            self.primus.dropped("unread messages")
            self._inbox.clear()
            self._inbox_bytes = 0

    def _finish(self, *, clean: bool) -> None:
        self._state = self.CLOSED
        self.clean = clean
        self.primus.forget(self)
        if self._waiter is not None:
            # Not from here: `end` may be called by any greenlet, and must not switch away from it.
            get_hub().loop.run_callback(self._wake, _CLOSED)
        if self._announced and not self._dispatching:
            self._dispatching = True
            self.primus.run(self._dispatch)

    # -- event style: listeners run in a dispatch greenlet, one at a time, in order

    def announced(self) -> None:
        """The first `connection` listeners have started: whoever wants the end has seen the beginning.

        Those that another listener's ``next`` holds back are not waited for. Called in the hub.
        """
        self._announced = True
        if self._state != self.OPEN and not self._dispatching:
            self._dispatching = True
            self.primus.run(self._dispatch)

    def ready(self) -> None:
        """Every `connection` listener has started: messages may flow now. Called in the hub."""
        self._ready = True
        self._note("outgoing::open")
        self._note("incoming::open")
        if not self._announced:
            self.announced()
        self._start_flow()

    def _start_flow(self) -> None:
        if self._flowing and self._ready and self._inbox and not self._dispatching:
            self._dispatching = True
            self.primus.run(self._dispatch)

    def _add(self, event: str, function: Callable[..., Any], once: bool) -> None:
        if event == "data" and (self._waiter is not None or self._transforming):
            raise ConcurrencyError("a greenlet is in read() of this spark; it gets the messages")
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

    def _dispatch(self) -> None:
        """Emit what waits; after the last message of a spark that has ended, its end. Never raises."""
        try:
            while self._inbox and self._flowing:
                raw = self._take()
                message = self._decode(raw)
                if message is _DROPPED:
                    continue
                if self.primus.incoming:
                    packet = self._transform(message, raw, FAILURES)
                    if packet is None:
                        continue
                    if not self._registered("data"):
                        self._put_back(raw)  # the listeners were removed meanwhile: it is for `read`
                        break
                    message, raw = packet.data, packet.raw
                self._emit_data(message, raw)
            if self._state != self.OPEN and not self._ended:
                self._ended = True
                if self._from_below:
                    self._emit_safely("incoming::end")
                self._emit_safely("readyStateChange")
                self._emit_safely("outgoing::end")
                self.primus.spark_ended(self)
                self._emit_safely("end")
        finally:
            self._dispatching = False

    def _emit_data(self, message: Any, raw: Raw) -> None:
        for listener in self._registered("data"):
            if listener.once:
                self._discard("data", listener)
            try:
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
            self.primus.report(self, f"a {event} listener", error)

    def _fail(self, what: str, error: BaseException) -> None:
        """A message was dropped or a ``data`` listener raised: tell, and live on."""
        self.primus.report(self, what, error)
        self._emit_safely("error", error)

    def fail(self, error: BaseException) -> None:
        """A `connection` listener raised: tell, and end the connection (WebSocket close 1011)."""
        self.primus.report(self, "a connection listener", error)
        self._emit_safely("error", error)
        self.hang_up(1011)

    def refuse(self, error: object) -> None:
        """A `connection` listener called ``next(error)``: tell, and end the connection for good."""
        if not isinstance(error, BaseException):
            error = PrimusError(str(error))
        self.primus.log("error", error, self)
        self._emit_safely("error", error)
        self.end()

    def __repr__(self) -> str:
        state = "open" if self._state == self.OPEN else "closed"
        return f"<Spark {self.id} {state} {self.socket.name}>"
