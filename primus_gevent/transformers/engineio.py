"""The `engine.io` transformer: Engine.IO revisions 2, 3 and 4 over polling, JSONP polling and WebSocket; and
`polling`, which is the same without WebSocket.

A session begins with a handshake, on either transport. One that begins with polling may be upgraded: its
client probes a WebSocket beside it, and moves over when that has answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

import simplejson
from gevent import get_hub

from .. import hosts
from ..checks import is_token
from ..errors import RemoteProtocolError
from ..middleware import Response
from ..middleware.exchange import Exchange
from ..middleware.origins import is_script_allowed
from ..protocols import engineio
from ..request import RequestRecord
from ..session import GONE, OPEN
from ..transport_options import TransportOptions, choices, flag, option, refuse, seconds, size_or_none
from ..transports.base import Receiver
from ..transports.polling import Poll
from ..transports.websocket import WebSocketTransport
from .engineio_session import JAVASCRIPT, EngineSession, Probe
from .requests import CUT_SECONDS, Filled, Header, Requests, query_of
from .upgrade import Upgrades

__all__ = ["EngineIO", "EngineOptions", "Polling"]

# What a client may be told (Engine.IO, "Handshake errors").
ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}
REVISIONS = {"2": 2, "3": 3, "4": 4}
FRAMING_BYTES = 65536  # what one request may have beside a message of the greatest length

_counted = re.compile(r"[0-9]+-[0-9]+").fullmatch


def _cookie(name: str, value: Any) -> Any:
    if value is not False and not (isinstance(value, str) and is_token(value)):
        refuse(name, "a name or False", value)
    return value


def _dialect(name: str, value: Any) -> Any:
    if value not in ("3a", "3b", "3c"):
        refuse(name, "'3a', '3b' or '3c'", value)
    return value


@dataclass(frozen=True)
class EngineOptions(TransportOptions):
    """The option `transport` of this transformer. Durations in seconds, sizes in bytes."""

    ping_interval: float = option(25.0, seconds)
    """Time between the pings of this side (revision 4) or of the client (2 and 3)."""
    ping_timeout: float = option(20.0, seconds)
    """Time after which a missing answer, or ping, ends the session."""
    upgrade_timeout: float = option(10.0, seconds)
    """Time that the probe of a WebSocket may take."""
    transports: Sequence[str] = option(("polling", "websocket"), choices("polling", "websocket"))
    """On which sessions may begin."""
    allow_upgrades: bool = option(True, flag)
    """Whether a session may move from polling to WebSocket."""
    cookie: str | Literal[False] = option(False, _cookie)
    """Name of a cookie that carries the session's id, for load balancers."""
    max_http_buffer_size: int | None = option(None, size_or_none)
    """Of a request's body, and of a WebSocket message. None: room for one of `max_length` in base64."""
    dialect: engineio.Dialect = option("3b", _dialect)
    """Of revision 3, until the client's bytes tell: 3b is engine.io 1.x, which Primus 2.4 uses."""


class EngineIO:
    """Answers every request below the pathname."""

    name = "engine.io"

    def __init__(self, primus: Any, given: Mapping[str, Any]) -> None:
        self._primus = primus
        self.options = options = EngineOptions.parse(given)
        self.max_length = primus.options.max_length
        # A message of the greatest length in base64, and some framing.
        self.max_body = options.max_http_buffer_size or self.max_length * 4 // 3 + FRAMING_BYTES
        self.requests = Requests(
            primus,
            away_timeout=options.ping_interval + options.ping_timeout,
            cut_timeout=min(CUT_SECONDS, options.ping_timeout),
        )
        times = (
            options.ping_interval,
            options.ping_timeout,
            options.upgrade_timeout,
            4 * self.requests.limits.cut_timeout,  # less exactly, or all would be looked at often
        )
        primus.watch(self.requests.sessions, min(times))
        self._upgrader = Upgrades(primus, max_length=self.max_body)
        self.refuse = self._upgrader.refuse

    def claims(self, exchange: Exchange) -> bool:
        """Whether a request is one of this framework's."""
        return exchange.path in ("", "/") and "transport=" in exchange.environ.get("QUERY_STRING", "")

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request that the layers have let pass."""
        query = query_of(exchange.environ.get("QUERY_STRING", ""))
        transport = query.get("transport")
        if transport not in self.options.transports:
            return self._error(exchange, start_response, 0)
        id_ = query.get("sid")
        if not id_:  # an empty one is none, as in Node
            return self._handshake(exchange, start_response, query, str(transport))
        session = self.requests.sessions.get(id_)
        if session is None:
            return self._error(exchange, start_response, 1)
        if exchange.upgrade:
            if transport != "websocket":
                return self._error(exchange, start_response, 3)
            attach = partial(self._probe, session, query)
            return self._upgrader.accept(exchange, start_response, attach, moves=True)
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
        busy = self.requests.busy(exchange, start_response)
        if busy is not None:
            return busy
        record = RequestRecord(environ, exchange.seen_request)
        session, spark = self._new(query, record, jsonp=query.get("j"))
        self._primus.connect(spark)
        body, content_type = session.payload([session.opening(self._upgrades())])
        return self.requests.answer(exchange, start_response, body, self._headers(session, content_type))

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
        dialect = self.options.dialect
        if revision == 2 and _is_newer(query):
            revision, dialect = 3, "3a"
        base64 = bool(query.get("b64")) or jsonp is not None
        codec = engineio.codec(revision, base64=base64, dialect=dialect)
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
        if not self.requests.is_free(session):
            session.lose()  # two polls at once: nobody knows what reaches which
            return self._error(exchange, start_response, 3)
        if session.state == GONE:
            return self._error(exchange, start_response, 1)

        def fill() -> Filled:
            packets, body, content_type = session.body()
            if not packets:
                body, content_type = session.payload([engineio.NOOP])
            return packets, body, self._headers(session, content_type)

        return self.requests.poll(session, exchange, start_response, fill)

    def _post(self, session: EngineSession, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        environ = exchange.environ
        requests = self.requests
        if not requests.is_free(session, "post"):
            session.lose()  # two at once: nobody knows which one is first
            return self._error(exchange, start_response, 3)
        session.post = post = Poll(session.hub, hosts.connection(environ, start_response))
        try:
            limit = self.options.max_http_buffer_size or self.max_body * session.swelling
            body = requests.read(session, exchange, start_response, limit, poll=post)
        except RemoteProtocolError as error:
            return requests.refuse_body(exchange, start_response, error)
        finally:
            session.post = None
            session.free()
        fault: RemoteProtocolError | None = None
        try:
            packets = session.unpack(body, environ.get("CONTENT_TYPE", ""))
        except engineio.PayloadError as error:
            packets, fault = error.packets, error
        requests.in_hub(session, session.take_in, packets, fault)
        return requests.answer(exchange, start_response, b"ok", self._headers(session, "text/html"))

    # -- answers

    def _headers(self, session: EngineSession, content_type: str) -> list[Header]:
        headers = [("Content-Type", content_type)]
        if content_type is JAVASCRIPT:
            headers.append(("X-Content-Type-Options", "nosniff"))
        if self.options.cookie:
            value = quote(session.id, safe="")
            headers.append(("Set-Cookie", f"{self.options.cookie}={value}; Path=/; HttpOnly; SameSite=Lax"))
        return headers

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


def _is_newer(query: Mapping[str, str]) -> bool:
    """Whether it is engine.io-client 1.0 to 1.3, which says EIO=2 as 0.7 to 0.9 do, but speaks revision 3.

    Its polling requests have a counter in what keeps caches away, and it says where it takes no binary.
    """
    return "b64" in query or _counted(query.get("t", "")) is not None


class Polling(EngineIO):
    """Engine.IO without WebSocket."""

    name = "polling"

    def __init__(self, primus: Any, given: Mapping[str, Any]) -> None:
        EngineOptions.parse(given)  # one that has no effect has to be right, too
        super().__init__(primus, {**given, "transports": ("polling",)})
