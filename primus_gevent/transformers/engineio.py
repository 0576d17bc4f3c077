"""The `engine.io` transformer: Engine.IO revisions 2, 3 and 4 over polling, JSONP polling and WebSocket; and
`polling`, which is the same without WebSocket.

A session begins with a handshake, on either transport. One that begins with polling may be upgraded: its
client probes a WebSocket beside it, and moves over when that has answered.
"""

from __future__ import annotations

import errno
import gzip
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal
from urllib.parse import quote, unquote_plus

import gevent
import simplejson
from gevent import get_hub
from gevent.event import Event

from .. import hosts
from ..errors import OptionError, RemoteProtocolError
from ..middleware import Response, accepts_gzip, inherited
from ..middleware.exchange import Exchange
from ..middleware.origins import is_script_allowed
from ..protocols import engineio
from ..request import RequestRecord
from ..session import GONE, OPEN, Packet, Raw, Session, SessionLimits, Sessions
from ..transports.base import Receiver
from ..transports.polling import LATE, LEFT, WOKEN, Body, Poll, read_body
from ..transports.websocket import WebSocketTransport
from .upgrade import Upgrades

__all__ = ["EngineIO", "Polling"]
logger = logging.getLogger("primus_gevent")

# What a client may be told (Engine.IO, "Handshake errors").
ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}
NOOP_SECONDS = 0.1  # between the noops that get a probing client out of its poll
CUT_SECONDS = (
    5.0  # for a client whose poll was cut off to come back, where its framework would end it at once
)
ANSWER_BYTES = 1 << 20  # packets that one poll carries; more wait for the next one
GZIP_BYTES = 1024
REVISIONS = {"2": 2, "3": 3, "4": 4}
FRAMINGS = {
    (kind, base64): f"engine.io {kind}{' base64' if base64 else ''}"
    for kind in ("3a", "3b", "3c", 2, 4)
    for base64 in (False, True)
}
FRAMING_BYTES = 65536  # what one request may have beside a message of the greatest length

JAVASCRIPT = "text/javascript; charset=UTF-8"
CLIENT_CLOSED_REQUEST = "499 Client Closed Request"  # as nginx logs it; nobody reads it


@dataclass(frozen=True)
class EngineOptions:
    """The option `transport` of this transformer. Durations in seconds, sizes in bytes."""

    ping_interval: float = 25.0
    """Time between the pings of this side (revision 4) or of the client (2 and 3)."""
    ping_timeout: float = 20.0
    """Time after which a missing answer, or ping, ends the session."""
    upgrade_timeout: float = 10.0
    """Time that the probe of a WebSocket may take."""
    transports: Sequence[str] = ("polling", "websocket")
    """On which sessions may begin."""
    allow_upgrades: bool = True
    """Whether a session may move from polling to WebSocket."""
    cookie: str | Literal[False] = False
    """Name of a cookie that carries the session's id, for load balancers."""
    max_http_buffer_size: int | None = None
    """Of a request's body, and of a WebSocket message. None: room for one of `max_length` in base64."""
    dialect: engineio.Dialect = "3b"
    """Of revision 3, until the client's bytes tell: 3b is engine.io 1.x, which Primus 2.4 uses."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> EngineOptions:
        """Check the mapping.

        Raises:
            OptionError: a name is unknown, or a value cannot be used.
        """
        known = [f.name for f in fields(cls)]
        for name, value in values.items():
            if name not in known:
                raise OptionError(
                    f"unknown transport option {name!r}; known are: {', '.join(known)}", "transport"
                )
            _CHECKS[name](name, value)
        return cls(**{**values, "transports": tuple(values.get("transports", cls.transports))})


def _seconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise OptionError(
            f"transport option {name!r} is a number of seconds above 0, not {value!r}", "transport"
        )


def _is(name: str, value: Any, fine: bool, what: str) -> None:
    if not fine:
        raise OptionError(f"transport option {name!r} is {what}, not {value!r}", "transport")


TRANSPORTS = ("polling", "websocket")
_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "ping_interval": _seconds,
    "ping_timeout": _seconds,
    "upgrade_timeout": _seconds,
    "transports": lambda name, value: _is(
        name,
        value,
        isinstance(value, (list, tuple)) and bool(value) and all(item in TRANSPORTS for item in value),
        "a list of 'polling' and 'websocket'",
    ),
    "allow_upgrades": lambda name, value: _is(name, value, isinstance(value, bool), "True or False"),
    "cookie": lambda name, value: _is(
        name, value, value is False or (isinstance(value, str) and value.isidentifier()), "a name or False"
    ),
    "max_http_buffer_size": lambda name, value: _is(
        name, value, value is None or (type(value) is int and value > 0), "a number of bytes"
    ),
    "dialect": lambda name, value: _is(name, value, value in ("3a", "3b", "3c"), "'3a', '3b' or '3c'"),
}


class EngineSession(Session):
    """One client of Engine.IO."""

    __slots__ = (
        "_awaits_pong",
        "_codec",
        "_engine",
        "_heard",
        "_heard_at",
        "_pinged_at",
        "jsonp",
        "post",
        "probe",
    )

    def __init__(
        self,
        engine: EngineIO,
        id: str,  # noqa: A002
        codec: engineio.Codec,
        hub: Any,
        *,
        jsonp: str | None = None,
    ) -> None:
        super().__init__(engine.sessions, id, engine.limits, hub)
        self._engine = engine
        self._codec = codec
        self.jsonp = jsonp  # its parameter `j`; None without JSONP
        self.post: Poll | None = None  # the one that brings packets right now
        self.probe: Probe | None = None
        self._heard = True  # since the last `tick`
        self._heard_at = self._pinged_at = time.monotonic()  # of revision 4: when it could last be heard
        self._awaits_pong = False

    # -- packets

    def encode(self, payload: Raw) -> Packet:
        return engineio.encode_message(payload)

    def send(self, payload: Raw) -> None:
        # What nearly every message over WebSocket is: its packet is its frame, in every revision.
        if self.transport is not None and type(payload) is str and payload.isascii():
            self.transport.send("4" + payload)
        else:
            self.push(self.encode(payload))

    def frame(self, packet: Packet) -> Raw:
        return self._codec.encode_frame(packet)

    def goodbye(self) -> Iterable[Packet]:
        return (engineio.CLOSE,)

    def close(self, code: int = 1000, reason: str = "") -> None:
        # The ws of engine.io-client 1.x knows the codes up to 1011; of 1012 and 1013 it makes an error event.
        if self._codec.revision < 4 and 1011 < code < 3000:
            code = 1000
        super().close(code, reason)

    @property
    def framing(self) -> str | None:
        if self.transport is None or self.transport.framing is None:
            return None
        codec = self._codec
        return FRAMINGS[codec.dialect or codec.revision, codec.base64_frames]

    def body(self) -> tuple[list[Packet], bytes, str]:
        """What goes out with the next answer: the packets, their body and its content type."""
        codec = self._codec
        packets = self.take(codec.fit(self.waiting, ANSWER_BYTES))
        return packets, *self.payload(packets)

    def payload(self, packets: Sequence[Packet]) -> tuple[bytes, str]:
        """The body of an answer with these packets, and its content type."""
        if self.jsonp is None:
            return self._codec.encode_payload(packets)
        text = self._codec.encode_text_payload(packets)
        return engineio.jsonp_body(self.jsonp, text), JAVASCRIPT

    def unpack(self, body: bytes, content_type: str) -> list[engineio.Packet]:
        """The packets that a request brings; raises `engineio.PayloadError`."""
        if self.jsonp is None:
            return self._codec.decode_payload(body, content_type.startswith(engineio.BINARY_TYPE))
        text = engineio.jsonp_decode(_form_field(body, "d"))
        return self._codec.decode_text_payload(text) if text else []

    @property
    def swelling(self) -> int:
        """How many bytes of a request's body one byte of a message may need."""
        twice = 2 if self._codec.dialect in ("3a", "3b") else 1  # text is encoded as UTF-8 twice
        return twice if self.jsonp is None else 3 * twice  # a form escapes every byte

    def opening(self, upgrades: Sequence[str]) -> Packet:
        """The packet that begins the session."""
        options = self._engine.options
        return self._codec.encode_open(
            self.id,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            upgrades=upgrades,
            max_payload=self._engine.max_body,
        )

    def set_base64_frames(self, wanted: bool) -> None:
        """What the client has said on the request for its WebSocket."""
        self._codec.base64_frames = wanted

    # -- what comes in; runs in the hub

    def take_in(self, packets: Sequence[engineio.Packet], error: RemoteProtocolError | None = None) -> None:
        """Act on the packets of one request, and on what was wrong behind them."""
        self._heard = self._active = True
        messages: list[Raw] = []
        for kind, data in packets:
            if kind == engineio.MESSAGE:
                messages.append(data)
                continue
            fault = self._control(kind, messages)
            if fault is not None:
                error = fault
                break
        self._deliver(messages)
        if error is not None:
            self._break_off(error)

    def receive(self, frames: Sequence[Raw], /) -> None:
        """Take the frames of one read of the WebSocket."""
        self._heard = True
        messages: list[Raw] = []
        # Text that is the same in every revision, for as long as nothing else comes.
        plain = self._codec.dialect is None
        limit = self._engine.max_length
        for frame in frames:
            if type(frame) is str and frame[:1] == "4" and (plain or frame.isascii()) and len(frame) <= limit:
                messages.append(frame[1:])
            else:
                self._receive_others(messages, frames[len(messages) :])
                return
        self.deliver(messages)

    def _receive_others(self, messages: list[Raw], frames: Sequence[Raw]) -> None:
        """Go on where a frame is no plain message."""
        for frame in frames:
            try:
                kind, data = self._codec.decode_frame(frame)
                error = None
            except RemoteProtocolError as fault:
                error = fault
            else:
                if kind == engineio.MESSAGE:
                    messages.append(data)
                    continue
                error = self._control(kind, messages)
            if error is not None:
                self._deliver(messages)
                self._break_off(error)
                return
        self._deliver(messages)

    def _deliver(self, messages: list[Raw]) -> None:
        limit = self._engine.max_length
        for count, message in enumerate(messages):
            if len(message) > limit:
                self.deliver(messages[:count])
                error = RemoteProtocolError(f"a message is longer than {limit}", close_code=1009)
                self._break_off(error)
                return
        self.deliver(messages)

    def _break_off(self, error: RemoteProtocolError) -> None:
        if self.state == OPEN:
            logger.info("%r: %s", self, error)
            self.lose(error.close_code, error.reason)

    def _control(self, kind: str, messages: list[Raw]) -> RemoteProtocolError | None:
        """Act on a packet that is no message; gives back the error if it is none of a client's."""
        if self.state != OPEN:
            return None
        if kind == engineio.PONG:
            self._awaits_pong = False  # older servers overlook a stray one
        elif kind == engineio.CLOSE:
            self._deliver(messages)
            messages.clear()
            self.finish()
        elif kind == engineio.PING:
            if self._codec.revision >= 4:
                return RemoteProtocolError("a ping of the client's in revision 4")
            self._pong()
        return None

    def _pong(self) -> None:
        """Answer a ping. To one who asks and does not take the answers, those that wait will do."""
        waiting = self.waiting
        if not (self.full or (waiting and waiting[-1] == engineio.PONG)):
            self.push(engineio.PONG)

    # -- times

    def tick(self, now: float) -> None:
        """Look after the heartbeats. Called by the sweep."""
        super().tick(now)
        if self.state != OPEN:
            return
        if self.probe is not None:
            self.probe.tick(now)
        options = self._engine.options
        if self._codec.revision < 4:
            if self._heard or self._deaf():
                self._heard, self._heard_at = False, now
            elif now - self._heard_at > options.ping_interval + options.ping_timeout:
                self._time_out()
            return
        # Also while nothing is taken from the client: it waits for the pings.
        deaf = self._deaf()
        if deaf:
            self._heard_at = now
        if self._awaits_pong and not deaf:
            if now - max(self._pinged_at, self._heard_at) > options.ping_timeout:
                self._time_out()
        elif now - self._pinged_at >= options.ping_interval:
            self._pinged_at = now
            self._awaits_pong = True
            if not self.full:
                self.push(engineio.PING)

    def _deaf(self) -> bool:
        """Whether it is we who do not listen."""
        return self.paused and not self.peer_left()

    def _time_out(self) -> None:
        logger.info("%r: ping timeout", self)
        self.lose(1000, "ping timeout")

    def _end(self, *, clean: bool) -> None:
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.drop()
        super()._end(clean=clean)


class Probe:
    """A WebSocket that a client tries, beside the session that it may take over. A receiver of its frames."""

    __slots__ = ("_deadline", "_ended", "_noops", "_session", "_transport")

    def __init__(self, session: EngineSession, transport: WebSocketTransport, seconds: float) -> None:
        self._session = session
        self._transport = transport
        self._deadline = time.monotonic() + seconds
        self._noops: Any = None
        self._ended = False

    def receive(self, frames: Sequence[Raw], /) -> None:
        """Expect ``2probe``, and then ``5``."""
        for count, frame in enumerate(frames, 1):
            if frame == engineio.PROBE:
                self._transport.send(engineio.PROBE_ANSWER)
                self._start_noops()
            elif frame == engineio.UPGRADE and self._noops is not None:
                self._take_over(frames[count:])
                return
            else:
                self.drop()  # the session goes on with polling
                return

    def _start_noops(self) -> None:
        if self._noops is None:
            self._noops = self._session.hub.loop.timer(0, NOOP_SECONDS)
            self._noops.start(self._send_noop)

    def _send_noop(self) -> None:
        """The client may not move over while its poll waits. One that is woken for nothing answers a noop."""
        if self._session.carrier is not None:
            self._session.carrier.wake()

    def _take_over(self, rest: Sequence[Raw]) -> None:
        """Give the WebSocket to the session, and these frames too."""
        session, transport = self._session, self._transport
        if self._ended:
            return
        if session.sending:
            # What this poll carries comes first, and again if it does not arrive.
            transport.pause()
            session.when_free(partial(self._take_over, rest))
            return
        self._stop()
        if session.state == GONE:
            transport.close()
            return
        transport.hand_over(session)
        transport.resume()
        session.adopt(transport)
        if rest:
            session.receive(rest)

    def tick(self, now: float) -> None:
        """Give up after a while."""
        if now > self._deadline:
            self.drop()

    def drop(self) -> None:
        """Close the WebSocket; the session is not touched."""
        self._ended = True
        self._stop()
        self._transport.close()

    def closed(self, clean: bool, /) -> None:
        """The client has given up."""
        self._ended = True
        self._stop()

    def gone(self) -> None:
        """Nothing is left of it."""

    def _stop(self) -> None:
        if self._session.probe is self:
            self._session.probe = None
        if self._noops is not None:
            self._noops.close()
            self._noops = None


class EngineIO:
    """Answers every request below the pathname."""

    name = "engine.io"

    def __init__(self, primus: Any) -> None:
        given = primus.options
        self._primus = primus
        self.options = options = EngineOptions.parse(given.transport)
        self.max_length = given.max_length
        # A message of the greatest length in base64, and some framing.
        self.max_body = options.max_http_buffer_size or given.max_length * 4 // 3 + FRAMING_BYTES
        self._body_seconds = given.handshake_timeout
        self._write_seconds = given.write_timeout
        self._compression = bool(given.compression)
        patience = given.session_timeout
        self.limits = SessionLimits(
            write_buffer=given.write_buffer,
            away_timeout=patience or options.ping_interval + options.ping_timeout,
            cut_timeout=patience or min(CUT_SECONDS, options.ping_timeout),
            close_timeout=given.close_timeout,
        )
        self.sessions = Sessions(primus.dropped)
        times = (
            options.ping_interval,
            options.ping_timeout,
            options.upgrade_timeout,
            4 * self.limits.cut_timeout,  # kept less exactly, or every session would be looked at often
        )
        primus.watch(self.sessions, min(times))
        self._upgrader = Upgrades(primus, max_length=self.max_body)
        self.refuse = self._upgrader.refuse

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request that the layers have let pass."""
        query = _query(exchange.environ.get("QUERY_STRING", ""))
        transport = query.get("transport")
        if transport not in self.options.transports:
            return self._error(exchange, start_response, 0)
        id_ = query.get("sid")
        if id_ is None:
            return self._handshake(exchange, start_response, query, str(transport))
        session = self.sessions.get(id_)
        if session is None:
            return self._error(exchange, start_response, 1)
        if exchange.upgrade:
            if transport != "websocket":
                return self._error(exchange, start_response, 3)
            return self._upgrader.accept(exchange, start_response, partial(self._probe, session, query))
        if transport != "polling" or session.transport is not None:
            return self._error(exchange, start_response, 3)
        method = exchange.environ["REQUEST_METHOD"]
        if method == "GET":
            return self._get(session, exchange, start_response)
        if method == "POST":
            return self._post(session, exchange, start_response)
        if method == "OPTIONS":
            headers = [("Access-Control-Allow-Headers", "Content-Type")]
            return exchange.respond(start_response, Response(200, headers=headers))
        return self._error(exchange, start_response, 2)

    # -- beginning

    def _handshake(
        self, exchange: Exchange, start_response: Any, query: Mapping[str, str], transport: str
    ) -> Iterable[bytes]:
        environ = exchange.environ
        if environ["REQUEST_METHOD"] != "GET":
            return self._error(exchange, start_response, 2)
        if exchange.upgrade != (transport == "websocket"):
            return self._error(exchange, start_response, 3)
        if query.get("EIO", "3") not in REVISIONS:
            return self._error(exchange, start_response, 5)
        if transport == "websocket":
            return self._upgrader.accept(exchange, start_response, partial(self._begin, query))
        if "j" in query and not is_script_allowed(environ, self._primus.options.origins):
            return self._error(exchange, start_response, 4)
        busy = self._primus.refuses()
        if busy:
            return exchange.respond(start_response, Response(503, busy, headers=[("Retry-After", "1")]))
        record = RequestRecord(environ, exchange.seen_request)
        session, spark = self._new(query, record, jsonp=query.get("j"))
        self._primus.connect(spark)
        body, content_type = session.payload([session.opening(self._upgrades())])
        return self._answer(session, exchange, start_response, body, content_type)

    def _begin(
        self, query: Mapping[str, str], transport: WebSocketTransport, record: RequestRecord, here: bool
    ) -> tuple[Receiver, Callable[[], None] | None]:
        """A session that begins on a WebSocket."""
        session, spark = self._new(query, record)
        session.adopt(transport)
        session.push(session.opening(()))
        return session, self._primus.connect(spark, here=here)

    def _new(
        self, query: Mapping[str, str], record: RequestRecord, *, jsonp: str | None = None
    ) -> tuple[EngineSession, Any]:
        revision = REVISIONS[query.get("EIO", "3")]  # whoever says nothing is old
        codec = engineio.codec(
            revision, base64=bool(query.get("b64")) or jsonp is not None, dialect=self.options.dialect
        )
        id_ = self._primus.new_id()
        session = EngineSession(self, id_, codec, get_hub(), jsonp=jsonp)
        spark = self._primus.make_spark(session, record, id_)
        session.start(spark)
        return session, spark

    def _upgrades(self) -> list[str]:
        allowed = self.options.allow_upgrades and "websocket" in self.options.transports
        return ["websocket"] if allowed else []

    def _probe(
        self,
        session: EngineSession,
        query: Mapping[str, str],
        transport: WebSocketTransport,
        record: RequestRecord,
        here: bool,
    ) -> tuple[Receiver, None]:
        """A WebSocket for a session that there is. One that is not wanted is closed, as Node does it."""
        probe = Probe(session, transport, self.options.upgrade_timeout)
        wanted = (
            session.state == OPEN
            and session.transport is None
            and session.probe is None
            and bool(self._upgrades())
        )
        if wanted:
            session.probe = probe
            session.set_base64_frames(bool(query.get("b64")))
        else:
            get_hub().loop.run_callback(transport.close)  # when it has started
        return probe, None

    # -- requests of a session

    def _get(self, session: EngineSession, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        if not self._is_free(session, "carrier"):
            session.lose()  # two polls at once: nobody knows what reaches which
            return self._error(exchange, start_response, 3)
        if session.state == GONE:
            return self._error(exchange, start_response, 1)
        poll = Poll(session.hub, hosts.connection(exchange.environ, start_response))
        session.hold(poll)
        packets: Sequence[Packet] = ()

        def sent() -> None:
            session.release()
            session.delivered()

        def lost() -> None:
            session.put_back(packets)
            session.release(cut=True)

        try:
            if (not session.ready and poll.wait() is LEFT) or poll.left():
                raise hung_up(start_response)
            packets, body, content_type = session.body()
            if not packets:
                body, content_type = session.payload([engineio.NOOP])
            poll.answer_with(len(body), self._write_seconds)
            return self._answer(
                session,
                exchange,
                start_response,
                body,
                content_type,
                lambda data: Body(data, sent=sent, lost=lost),
            )
        except BaseException:
            lost()
            raise

    def _is_free(self, session: EngineSession, place: Literal["carrier", "post"]) -> bool:
        """Whether no earlier request of this kind is under way.

        A client that was cut off may be back before its end was seen here: that one is waited for.
        """
        deadline = time.monotonic() + CUT_SECONDS
        while (earlier := getattr(session, place)) is not None:
            if not earlier.left():
                return False
            earlier.cut()
            event = Event()
            session.when_free(event.set)
            if not event.wait(max(0, deadline - time.monotonic())):
                return False
        return True

    def _post(self, session: EngineSession, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        environ = exchange.environ
        if not self._is_free(session, "post"):
            session.lose()  # two at once: nobody knows which one is first
            return self._error(exchange, start_response, 3)
        session.post = post = Poll(session.hub, hosts.connection(environ, start_response))
        try:
            if session.paused:
                self._wait_resumed(session, post, start_response)
            limit = self.options.max_http_buffer_size or self.max_body * session.swelling
            body = read_body(environ, limit, self._body_seconds)
        except RemoteProtocolError as error:
            if post.left():
                raise hung_up(start_response) from None
            return self._refuse_body(exchange, start_response, error)
        finally:
            session.post = None
            session.free()
        fault: RemoteProtocolError | None = None
        try:
            packets = session.unpack(body, environ.get("CONTENT_TYPE", ""))
        except engineio.PayloadError as error:
            packets, fault = error.packets, error
        # The spark is reached in the hub only. The answer waits for that: a server to which the next request
        # has come already reads it without a look at the hub, and the session could not push back.
        session.hub.loop.run_callback(session.take_in, packets, fault)
        gevent.sleep(0)
        return self._answer(session, exchange, start_response, b"ok", "text/html")

    def _wait_resumed(self, session: EngineSession, post: Poll, start_response: Any) -> None:
        """Wait until the spark wants messages again; meanwhile the body stays where it is."""
        deadline = time.monotonic() + max(self.limits.away_timeout, self._body_seconds)
        session.when_resumed(post)
        try:
            outcome = WOKEN
            while session.paused and outcome is WOKEN:
                outcome = post.wait(max(0, deadline - time.monotonic()))
        finally:
            session.when_resumed(None)
        if outcome is LEFT:
            raise hung_up(start_response)
        if outcome is LATE:
            raise RemoteProtocolError("Nobody reads the messages that came before", status=503)

    def _refuse_body(
        self, exchange: Exchange, start_response: Any, error: RemoteProtocolError
    ) -> Iterable[bytes]:
        """Answer a request whose body was not read; the session goes on."""
        hosts.close_after(start_response)
        headers = [("Connection", "close")]
        if error.status == 503:
            headers.append(("Retry-After", "1"))
        return exchange.respond(start_response, Response(error.status, error.reason, headers=headers))

    # -- answers

    def _answer(
        self,
        session: EngineSession,
        exchange: Exchange,
        start_response: Any,
        body: bytes,
        content_type: str,
        wrap: Callable[[bytes], Iterable[bytes]] | None = None,
    ) -> Iterable[bytes]:
        headers = [("Content-Type", content_type), *exchange.headers]
        if exchange.seen_request is not None:  # by a layer, which may have set this header too
            headers = inherited(headers[:1], headers[1:])
        if content_type is JAVASCRIPT:
            headers.append(("X-Content-Type-Options", "nosniff"))
        if self._compression and len(body) >= GZIP_BYTES:
            headers.append(("Vary", "Accept-Encoding"))
            if accepts_gzip(exchange.environ.get("HTTP_ACCEPT_ENCODING", "")):
                body = gzip.compress(body, compresslevel=1, mtime=0)
                headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        if self.options.cookie:
            value = quote(session.id, safe="")
            headers.append(("Set-Cookie", f"{self.options.cookie}={value}; Path=/; HttpOnly; SameSite=Lax"))
        if self._primus.draining:
            hosts.close_after(start_response)
            headers.append(("Connection", "close"))
        start_response("200 OK", headers)
        return wrap(body) if wrap is not None else [body]

    def _error(self, exchange: Exchange, start_response: Any, code: int) -> Iterable[bytes]:
        status = 403 if code == 4 else 400
        if exchange.upgrade:
            # a server that has upgraded already can only say it in a Close frame
            content_type = "text/plain" if "wsgi.websocket" in exchange.environ else "text/html"
            answer = Response(status, ERRORS[code], content_type)
            return self.refuse_with(exchange, start_response, answer)
        body = simplejson.dumps({"code": code, "message": ERRORS[code]}, separators=(",", ":"))
        return exchange.respond(start_response, Response(status, body, "application/json"))

    def refuse_with(self, exchange: Exchange, start_response: Any, answer: Response) -> Iterable[bytes]:
        """Answer an upgrade request with something else than a connection."""
        exchange.answer = answer
        return self._upgrader.refuse(exchange, start_response)


class Polling(EngineIO):
    """Engine.IO without WebSocket."""

    name = "polling"

    def __init__(self, primus: Any) -> None:
        super().__init__(primus)
        self.options = EngineOptions.parse({**primus.options.transport, "transports": ("polling",)})


def hung_up(start_response: Any) -> OSError:
    """What to raise in the request of a client that has left: no server complains about it."""
    start_response(CLIENT_CLOSED_REQUEST, [])
    return BrokenPipeError(errno.EPIPE, "the client has hung up")


def _query(text: str) -> dict[str, str]:
    """The fields of a query string; the last one of a name counts."""
    query = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        query[name] = unquote_plus(value) if "%" in value or "+" in value else value
    return query


def _form_field(body: bytes, name: str) -> str:
    """One field of a form; empty where it is missing."""
    return _query(body.decode("utf-8", "replace")).get(name, "")
