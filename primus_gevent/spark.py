"""A spark: one connection as the user sees it.

How its messages come is in `primus_gevent.inbox`; here is what it is, how it sends and how it ends.

Knows nothing of sockets, frames or WSGI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from .errors import ConnectionClosed, ParserError, PrimusError
from .events import SPARK_EVENTS, is_reserved
from .inbox import NOTHING, Inbox
from .inbox import Owner as InboxOwner
from .protocols import primus as own
from .transforms import Packet, Transform, Turns, apply

if TYPE_CHECKING:
    from typing_extensions import Self

    from .request import Address, Request, RequestRecord
    from .transports.base import Connection, Raw

__all__ = ["NOTHING", "Owner", "Spark"]

OPEN: Final = 3


class Owner(InboxOwner, Protocol):
    """What a spark needs of its server; `Primus` is one."""

    trusted_proxies: Sequence[str] | None
    encode: Callable[[Any], Raw]
    outgoing: Sequence[Transform]

    def forget(self, spark: Spark) -> None:
        """The spark has ended: it is counted no more."""

    def gone(self) -> None:
        """A connection is closed down to its socket."""

    def spark_ended(self, spark: Spark) -> None:
        """Emit ``disconnection``. Called in a greenlet."""


class Spark(Inbox):
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

    _KIND = "spark"

    __slots__ = (
        "_announced",
        "_ended",
        "_from_below",
        "_record",
        "clean",
        "id",
        "pinged_at",
        "pings_itself",
        "primus",
        "seen_at",
        "socket",
    )

    def __init__(
        self,
        primus: Any,
        connection: Connection,
        id: str,  # noqa: A002 - its public name
        record: RequestRecord,
        now: float,
    ) -> None:
        super().__init__(primus, connection.hub)
        self.primus = primus
        self.socket: Any = connection
        self.id = id
        self.clean = True
        self._record = record
        self._announced = False  # true once those that wait for no other one have started
        self._ended = False  # true once the events of the end were emitted
        self._from_below = False  # true when it was the transport that ended
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
        return self.OPEN if self._more else self.CLOSED

    @property
    def writable(self) -> bool:
        """Whether `write` would accept a message."""
        return self._more

    def reserved(self, event: str) -> bool:
        """Whether ``event`` is Primus's own, and so not for users to emit."""
        return is_reserved(event, SPARK_EVENTS)

    # -- receiving; the rest is in `Inbox`

    def closed(self, clean: bool) -> None:
        """The connection has ended from below; see `transports.base.Receiver`."""
        if self._more:
            self._from_below = True
            self._finish(clean=clean)

    def gone(self) -> None:
        """The socket is closed; see `transports.base.Receiver`."""
        self.primus.gone()

    def _pause(self) -> None:
        self.socket.pause()

    def _resume(self) -> None:
        self.socket.resume()

    def _closed_error(self) -> ConnectionClosed:
        return ConnectionClosed(f"spark {self.id} has ended", clean=self.clean)

    def _keeps(self) -> bool:
        return self._more or self._from_below

    # -- protocol messages (specification, "Heartbeats and latency"; Primus 7 and 8 ping from the server)

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
        if not self._more:
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
            if not self._more:
                return False  # ended while it was another one's turn
            packet = Packet(data, spark=self)
            try:
                passed = apply(self.primus.outgoing, packet)
            except Exception as error:  # noqa: BLE001
                self.not_sent(error)
                return False
            if not self.writable:
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
        if not self._more:
            return False
        if data is not NOTHING:
            self.write(data)
        if not reconnect:
            self._send_own(own.SERVER_CLOSE)
        # 1012 is "service restart": come back (IANA's registry of RFC 6455 close codes).
        return self.hang_up(1012 if reconnect else 1000)

    def abort(self) -> None:
        """Cut the connection without a goodbye; an official client reconnects."""
        if self._more:
            self._finish(clean=False)
        self.socket.abort()

    def hang_up(self, code: int) -> bool:
        """End the connection with an RFC 6455 close code and no message, so that the client comes back.

        Returns:
            False when the spark had ended before.
        """
        if not self._more:  # it was lost while the last message waited to be sent
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

    def _finish(self, *, clean: bool) -> None:
        self._more = False
        self.clean = clean
        self.primus.forget(self)
        self._stop_waiting()
        if self._announced and not self._dispatching:
            self._dispatching = True
            self.primus.run(self._dispatch)

    # -- event style: listeners run in a dispatch greenlet, one at a time, in order

    def announced(self) -> None:
        """The first `connection` listeners have started: whoever wants the end has seen the beginning.

        Those that another listener's ``next`` holds back are not waited for. Called in the hub.
        """
        self._announced = True
        if not self._more and not self._dispatching:
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

    def _drained(self) -> None:
        """After the last message of a spark that has ended comes its end."""
        if self._more or self._ended:
            return
        self._ended = True
        if self._from_below:
            self._emit_safely("incoming::end")
        self._emit_safely("readyStateChange")
        self._emit_safely("outgoing::end")
        self.primus.spark_ended(self)
        self._emit_safely("end")

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
        state = "open" if self._more else "closed"
        return f"<Spark {self.id} {state} {self.socket.name}>"
