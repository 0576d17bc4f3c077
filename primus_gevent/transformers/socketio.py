"""The `socket.io` transformer: Socket.IO 0.9 (socket.io before 1.0), as Primus 2.4 uses it, over WebSocket,
xhr-polling, jsonp-polling and htmlfile.

A handshake makes a session id; the spark comes with the first request of a transport that names it, and has
the query, headers and address of the handshake. An application gets messages, JSON packets, and events called
``message``, as it does from the original. Packets with an id are acknowledged at once; with ``+``, where the
application would have to, they are not. Endpoints (namespaces) other than the connection itself have nobody
who answers.

What we do otherwise than socket.io 0.9.19:

- There is no flashsocket, nor its policy server, and no client script.
- WebSockets keep to RFC 6455: pings are answered with pongs and Close frames with Close frames, and the
  server sends one at its own end, too. (The original encodes pongs wrongly, and closes TCP only.)
- A second poll ends the first one with a noop; the original leaves it without an answer for ever.
- A client that hangs up its poll is noticed: the packets go back to the outbox. The original loses one.
- At the end a polling client can still fetch what waits for it, and ``0::``. The original drops it.
- A POST is answered when its packets have reached the spark, so it pushes back while that takes none; one
  that is too large is answered 413, and one that nobody takes for too long 503. A POST that comes first
  connects, and its ``1::`` waits for the poll. A broken JSONP body is dropped; the original crashes.
- A packet may be of `max_length`, which in the original under Primus is infinite, and a body has 65,536
  packets.
- What the original leaves without an answer is refused: an unknown or disabled transport (400), a plain
  request to the WebSocket's address (426), other methods (405). OPTIONS is answered, and makes no session.
- The client gets its packets on whichever transport it names last, ``1::`` included while it has not been
  heard: so a client whose WebSocket swallows everything can go on with polling, as it tries to.
- JSONP and htmlfile answers are scripts for all browsers (U+2028), and cannot be closed from inside.
- Where the option `origins` names some, JSONP and htmlfile requests, which have no ``Origin``, are told by
  their ``Referer``.
- Without heartbeats the handshake announces 23 days instead of nothing, which official clients take for 0 s.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, Final
from urllib.parse import quote

from gevent import get_hub

from ..errors import RemoteProtocolError
from ..middleware import Response
from ..middleware.exchange import Exchange
from ..middleware.origins import is_script_allowed
from ..protocols import socketio
from ..protocols.forms import field_of
from ..request import RequestRecord
from ..session import GONE, OPEN, Packet
from ..transport_options import TransportOptions, choices, flag, option, refuse, seconds, size_or_none
from ..transports.base import Receiver
from ..transports.websocket import WebSocketTransport
from .requests import Filled, Header, Requests, query_of
from .socketio_session import HTMLFILE, WEBSOCKET, Handshakes, Nobody, SocketIOSession
from .upgrade import Upgrades

__all__ = ["SocketIO", "SocketIOOptions"]

logger = logging.getLogger("primus_gevent")

XHR: Final = "xhr-polling"
JSONP: Final = "jsonp-polling"
# In the order in which clients try them.
TRANSPORTS: Final = (WEBSOCKET, HTMLFILE, XHR, JSONP)
# Browsers send no Origin with what a script tag or a frame asks for.
SCRIPTED: Final = (HTMLFILE, JSONP)

PLAIN: Final = ("Content-Type", "text/plain")
TEXT: Final = ("Content-Type", "text/plain; charset=UTF-8")
HTML: Final = ("Content-Type", "text/html; charset=UTF-8")
JAVASCRIPT: Final = "text/javascript; charset=UTF-8"
NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")
NO_XSS_FILTER: Final = ("X-XSS-Protection", "0")

METHODS: Final = "GET, POST, OPTIONS"
UNSUPPORTED: Final = "Transport not supported"
WELCOME: Final = b"Welcome to socket.io."
ENDLESS: Final = 1 << 62  # bytes of a stream
NO_HEARTBEAT_SECONDS: Final = 2_000_000  # nearly the longest time that a client's setTimeout takes

FRAMING_BYTES: Final = 65536  # what a body may have beside a message of the greatest length
# A message in base64 takes a third more; and the official client puts all that waits into one request.
SWELLING: Final = 3
FORM_SWELLING: Final = 6  # a form escapes every byte, and the string in it quotation marks


def _count(name: str, value: Any) -> int:
    if type(value) is not int or value <= 0:
        refuse(name, "a number above 0", value)
    return value


@dataclass(frozen=True)
class SocketIOOptions(TransportOptions):
    """The option `transport` of this transformer. Durations in seconds."""

    heartbeats: bool = option(True, flag)
    """Whether clients on WebSocket and htmlfile are asked for signs of life."""
    heartbeat_interval: float = option(25.0, seconds)
    """Time after which they are asked (again)."""
    heartbeat_timeout: float = option(60.0, seconds)
    """Time for the answer; and that a client waits for anything to come."""
    close_timeout: float = option(60.0, seconds)
    """Time that a polling client may be away."""
    polling_duration: float = option(20.0, seconds)
    """Time that a poll is held."""
    transports: Sequence[str] = option(TRANSPORTS, choices(*TRANSPORTS))
    """Those that are offered, in the order in which a client tries them."""
    handshake_lifetime: float = option(30.0, seconds)
    """Time for the first transport to come after a handshake."""
    max_handshakes: int = option(10_000, _count)
    """How many handshakes may wait for their first transport; with more, the oldest ones are dropped."""
    max_http_buffer_size: int | None = option(None, size_or_none)
    """Bytes of a request's body, and of a WebSocket message. None: room for one of `max_length`. The official
    client puts all that waits into one request."""


class SocketIO:
    """Answers every request below the pathname."""

    name = "socket.io"

    def __init__(self, primus: Any, given: Mapping[str, Any]) -> None:
        self._primus = primus
        self.options = options = SocketIOOptions.parse(given)
        self._origins = primus.options.origins
        self._max_length = primus.options.max_length
        # Of a frame: a message of the greatest length in base64, and some framing.
        one = self._max_length * 4 // 3 + FRAMING_BYTES
        self._max_body = options.max_http_buffer_size or self._max_length * SWELLING + FRAMING_BYTES
        self._max_form = options.max_http_buffer_size or one * FORM_SWELLING
        self.requests = Requests(
            primus, away_timeout=options.close_timeout, cut_timeout=options.close_timeout
        )
        times = (options.heartbeat_interval, options.heartbeat_timeout, options.close_timeout)
        primus.watch(self.requests.sessions, min(times))
        self.handshakes = Handshakes(options.handshake_lifetime, options.max_handshakes, primus.dropped)
        self._heartbeats = (
            (options.heartbeat_interval, options.heartbeat_timeout) if options.heartbeats else None
        )
        self._upgrader = Upgrades(primus, max_length=options.max_http_buffer_size or one)
        self.refuse = self._upgrader.refuse

    def claims(self, exchange: Exchange) -> bool:
        """Whether a request is one of this framework's."""
        version, transport, _ = _route(exchange.path)
        return version == socketio.VERSION and transport in ("", *TRANSPORTS)

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request that the layers have let pass."""
        version, transport, id_ = _route(exchange.path)
        if version != socketio.VERSION:
            return self._pass_by(version, exchange, start_response)
        query = query_of(exchange.environ.get("QUERY_STRING", ""))
        method = exchange.environ["REQUEST_METHOD"]
        if exchange.upgrade:
            if transport != WEBSOCKET or WEBSOCKET not in self.options.transports:
                return self._refuse(exchange, start_response, 400, UNSUPPORTED)
            return self._connect(id_, exchange, start_response)
        if id_ and "disconnect" in query:
            return self._disconnect(id_, exchange, start_response)
        if method == "OPTIONS":
            headers = [("Allow", METHODS), ("Access-Control-Allow-Headers", "Content-Type")]
            return self.requests.answer(exchange, start_response, b"", headers)
        if method not in ("GET", "POST"):
            return self._refuse(exchange, start_response, 405, "", [("Allow", METHODS)])
        if not id_:
            return self._handshake(query, exchange, start_response)
        return self._carry(transport, id_, query, exchange, start_response)

    def _carry(
        self, transport: str, id_: str, query: Mapping[str, str], exchange: Exchange, start_response: Any
    ) -> Iterable[bytes]:
        """Answer a request of a session, which begins with the first one."""
        if transport not in self.options.transports:
            return self._refuse(exchange, start_response, 400, UNSUPPORTED)
        if transport == WEBSOCKET:
            return self._connect(id_, exchange, start_response)  # which is told that it is no upgrade
        if transport in SCRIPTED and not is_script_allowed(exchange.environ, self._origins):
            return self._refuse(exchange, start_response, 403, "This origin is not allowed")
        session: SocketIOSession | None = self.requests.sessions.get(id_)
        if session is None and id_ in self.handshakes:
            busy = self.requests.busy(exchange, start_response)
            if busy is not None:
                return busy
            session, spark = self._new(id_)
            self._primus.connect(spark)
        if exchange.environ["REQUEST_METHOD"] == "POST":
            return self._post(session, transport, exchange, start_response)
        return self._get(session, transport, query, exchange, start_response)

    def _pass_by(self, version: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer what is below the pathname, and no request of this protocol."""
        if exchange.upgrade:
            return self._refuse(exchange, start_response, 400, "Bad request")
        if not version:
            return self.requests.answer(exchange, start_response, WELCOME, [])
        if version.isdigit():
            text = b"Protocol version not supported."
            return self.requests.answer(exchange, start_response, text, [], 500)
        return self._refuse(exchange, start_response, 404, "Not Found")

    def _refuse(
        self,
        exchange: Exchange,
        start_response: Any,
        status: int,
        reason: str,
        headers: Iterable[Header] = (),
    ) -> Iterable[bytes]:
        exchange.answer = Response(status, reason, headers=headers)
        if exchange.upgrade:
            return self.refuse(exchange, start_response)
        return exchange.respond(start_response)

    # -- beginning

    def _handshake(
        self, query: Mapping[str, str], exchange: Exchange, start_response: Any
    ) -> Iterable[bytes]:
        index = _index(query, "jsonp")
        script: list[Header] = [("Content-Type", "application/javascript"), NOSNIFF]
        if index and not is_script_allowed(exchange.environ, self._origins):
            body = socketio.jsonp_error(index, "handshake bad origin")
            return self.requests.answer(exchange, start_response, body, script)
        busy = self.requests.busy(exchange, start_response)
        if busy is not None:
            return busy
        id_ = self._primus.new_id()
        if id_ in self.handshakes or self.requests.sessions.get(id_) is not None:
            id_ = secrets.token_urlsafe(16)  # the application's generator knows of sparks only
        self.handshakes.add(id_, RequestRecord(exchange.environ, exchange.seen_request))
        options = self.options
        text = socketio.handshake(
            quote(id_, safe=""),
            heartbeat_timeout=ceil(options.heartbeat_timeout) if options.heartbeats else NO_HEARTBEAT_SECONDS,
            close_timeout=ceil(options.close_timeout),
            transports=options.transports,
        )
        if index:
            return self.requests.answer(exchange, start_response, socketio.jsonp_body(index, text), script)
        return self.requests.answer(exchange, start_response, text.encode(), [PLAIN])

    def _new(self, id_: str) -> tuple[SocketIOSession, Any]:
        """The session of a handshake, and its spark."""
        record = self.handshakes.pop(id_)
        session = SocketIOSession(
            self.requests.sessions,
            id_,
            self.requests.limits,
            get_hub(),
            heartbeats=self._heartbeats,
            max_length=self._max_length,
        )
        spark = self._primus.make_spark(session, record, id_)
        session.start(spark)
        return session, spark

    # -- WebSocket

    def _connect(self, id_: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        session = self.requests.sessions.get(id_)
        if session is not None and exchange.upgrade:
            self.requests.supersede(session)  # the poll's answer must not come after what follows here
        attach = partial(self._attach, id_)
        return self._upgrader.accept(exchange, start_response, attach, moves=session is not None)

    def _attach(
        self, id_: str, transport: WebSocketTransport, record: RequestRecord, here: bool
    ) -> tuple[Receiver, Callable[[], None] | None]:
        session = self.requests.sessions.get(id_)
        if session is not None and session.state == OPEN:
            session.move_to(transport)
            return session, None
        if id_ in self.handshakes:
            session, spark = self._new(id_)
            session.move_to(transport)
            return session, self._primus.connect(spark, here=here)
        # Whoever is not known hears so over the WebSocket.
        transport.send(socketio.NOT_HANDSHAKEN)
        get_hub().loop.run_callback(transport.close)  # when it has started
        return Nobody(), None

    # -- requests that receive

    def _get(
        self,
        session: SocketIOSession | None,
        transport: str,
        query: Mapping[str, str],
        exchange: Exchange,
        start_response: Any,
    ) -> Iterable[bytes]:
        index = _index(query, "i") or "0"
        headers = _headers(transport)
        if session is not None and session.carrier is not None and not self.requests.supersede(session):
            # Somebody takes no bytes; this one may come again.
            body = _body(transport, index, [socketio.NOOP_PACKET])
            return self.requests.answer(exchange, start_response, body, headers)
        closes = session is not None and session.state != OPEN and session.transport is not None
        if session is None or session.state == GONE or closes:
            body = _body(transport, index, [socketio.NOT_HANDSHAKEN])
            if transport == HTMLFILE:
                body = socketio.HTMLFILE_PRELUDE + body
            return self.requests.answer(exchange, start_response, body, headers)
        session.carried_by(transport)
        if transport == HTMLFILE:
            return self._stream(session, exchange, start_response, headers)

        def fill() -> Filled:
            packets = session.next_packets()
            told = packets or [socketio.NOOP_PACKET if session.state != GONE else socketio.NOT_HANDSHAKEN]
            return packets, _body(transport, index, told), headers

        return self.requests.poll(
            session, exchange, start_response, fill, timeout=self.options.polling_duration
        )

    def _stream(
        self, session: SocketIOSession, exchange: Exchange, start_response: Any, headers: list[Header]
    ) -> Iterable[bytes]:
        def fill() -> tuple[Sequence[Packet], bytes]:
            packets = session.next_packets()
            return packets, _body(HTMLFILE, "", packets)

        return self.requests.stream(
            session,
            exchange,
            start_response,
            fill,
            headers=headers,
            limit=ENDLESS,
            prelude=socketio.HTMLFILE_PRELUDE,
        )

    # -- requests that send

    def _post(
        self, session: SocketIOSession | None, transport: str, exchange: Exchange, start_response: Any
    ) -> Iterable[bytes]:
        headers = [TEXT]
        if transport == JSONP or "HTTP_ORIGIN" in exchange.environ:
            headers.append(NO_XSS_FILTER)
        form = transport == JSONP
        limit = self._max_form if form else self._max_body
        try:
            if session is None:
                self.requests.read_free(exchange, limit)
            else:
                body = self.requests.read(session, exchange, start_response, limit)
                text = body.decode("utf-8", "replace")
                if form:
                    text = socketio.jsonp_decode(field_of(text, "d"))
                self.requests.in_hub(session, session.receive, socketio.split_payload(text))
        except RemoteProtocolError as error:
            return self.requests.refuse_body(exchange, start_response, error)
        except ValueError as error:
            logger.debug("%r: %s", session, error)  # as with other packets that are none
        # Also to who is not known any more, as in the original: the next poll tells.
        return self.requests.answer(exchange, start_response, b"1", headers)

    def _disconnect(self, id_: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """The client leaves, perhaps because its page does."""
        session = self.requests.sessions.get(id_)
        if session is not None:
            self.requests.in_hub(session, session.take_leave)
        else:
            self.handshakes.pop(id_)
        return self.requests.answer(exchange, start_response, b"", [])


def _route(path: str) -> tuple[str, str, str]:
    """Version, transport and session id in what follows the pathname; empty where they are missing."""
    pieces = path.removesuffix("/").split("/", 3)
    if len(pieces) > 3 and not pieces[3].isascii():
        # an id of the application's making, which WSGI has decoded wrongly
        pieces[3] = pieces[3].encode("latin-1", "replace").decode("utf-8", "replace")
    _, version, transport, id_ = pieces + [""] * (4 - len(pieces))
    return version, transport, id_


def _index(query: Mapping[str, str], name: str) -> str:
    """The number of a JSONP callback; empty where there is none."""
    value = query.get(name, "")
    return value if value.isascii() and value.isdigit() else ""


def _headers(transport: str) -> list[Header]:
    """Those of an answer with packets."""
    if transport == JSONP:
        return [("Content-Type", JAVASCRIPT), NOSNIFF, NO_XSS_FILTER]
    return [HTML if transport == HTMLFILE else TEXT]


def _body(transport: str, index: str, packets: Sequence[Any]) -> bytes:
    if transport == HTMLFILE:
        return b"".join(map(socketio.htmlfile_chunk, packets))
    text = socketio.encode_payload(packets)
    return socketio.jsonp_body(index, text) if transport == JSONP else text.encode()
