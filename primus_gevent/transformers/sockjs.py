"""The `sockjs` transformer: SockJS as sockjs 0.3.24 serves it, with every transport of its clients.

What we do otherwise than the original, besides what `protocols.sockjs` tells:

- Sessions belong to their server; in the original all services of a process share one set of them.
- A binary WebSocket message ends the session as broken framing; the original reads it as text.
- ``websocket=False`` answers 404 without the original's permission to keep that for a year.
- ``response_limit`` counts bytes, where the original counts UTF-16 units.
- Where the option `origins` names some, iframe, htmlfile, JSONP and EventSource requests without ``Origin``
  are told by their ``Referer``, and the iframe page is not cached. The original looks at no origin anywhere.
- Polls have a Content-Length.

And one thing is ours alone, for our own clients, so that no message is lost or doubled when a connection
is cut. (An official client ends its session by cutting one, so nothing can be done for these.)

- A session whose first receiving request (``xhr``, ``xhr_streaming``) says ``seen=0`` is *recoverable*. Each
  of its receiving requests has to say with ``seen=`` how many messages the client has got. Those that it has
  not got are sent again. A request that is cut off ends nothing, if the client is back within
  `disconnect_delay`. With ``open=1`` the request makes no session: if that is over, the answer is 404.
- A sending request (``xhr_send``) may say with ``first=`` which number, counted from 0 over the session, the
  first message in its body has. Messages that have come before are left out, and a gap is answered 400.
  ``end=1`` ends the session after them.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

import gevent
from gevent import get_hub

from .. import hosts
from ..errors import RemoteProtocolError
from ..middleware import inherited, status_line
from ..middleware.exchange import Exchange
from ..middleware.origins import is_script_allowed
from ..protocols import sockjs
from ..protocols.sockjs import Framing
from ..request import RequestRecord
from ..session import OPEN, Packet, Sessions
from ..transport_options import TransportOptions, flag, option, refuse, seconds, size, size_or_none
from ..transports.base import Receiver
from ..transports.websocket import WebSocketTransport
from .requests import Filled, Header, Requests, query_of
from .sockjs_session import PONG_SECONDS, SockJSSession
from .upgrade import Upgrades

__all__ = ["SockJS", "SockJSOptions"]

TEXT: Final = ("Content-Type", "text/plain; charset=UTF-8")
NOT_FOUND: Final = b"404 Error: Page not found\n"
NEVER_CACHED: Final = (
    "Cache-Control",
    "no-store, no-cache, no-transform, must-revalidate, max-age=0",
)
YEAR: Final = 31536000  # seconds

# How much a body may be longer than the message in it: escapes take three times the bytes of what they stand
# for (a quoted quotation mark, an emoji), and a form three times that again.
SWELLING: Final = 3
FORM_SWELLING: Final = 9
FRAMING_BYTES: Final = 65536

SEND_PATIENCE: Final = 45.0  # seconds that messages wait at least for a spark that reads none

METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "greeting": ("GET",),
    "iframe": ("GET",),
    "info": ("OPTIONS", "GET"),
    "chunking_test": ("POST", "OPTIONS"),
    "raw": ("GET",),
    "websocket": ("GET",),
    "xhr": ("POST", "OPTIONS"),
    "xhr_streaming": ("POST", "OPTIONS"),
    "xhr_send": ("POST", "OPTIONS"),
    "eventsource": ("GET",),
    "htmlfile": ("GET",),
    "jsonp": ("GET",),
    "jsonp_send": ("POST",),
}
WEBSOCKETS: Final = ("raw", "websocket")
STATIC: Final = {"": "greeting", "/info": "info", "/chunking_test": "chunking_test", "/websocket": "raw"}
_iframe_path: Final = re.compile(r"/iframe[0-9-.a-z_]*\.html").fullmatch
_session_path: Final = re.compile(
    r"/[^/.]+/([^/.]+)/(websocket|xhr|xhr_streaming|xhr_send|eventsource|htmlfile|jsonp|jsonp_send)"
).fullmatch

FRAMINGS: Final = {
    "xhr": sockjs.XHR,
    "xhr_streaming": sockjs.XHR_STREAMING,
    "eventsource": sockjs.EVENTSOURCE,
}
# Browsers send no Origin with what a script tag or a frame asks for. EventSource does to another origin, but
# whatever makes a session by GET can be asked for by a tag: with the visitor's cookies, and under an id that
# the page's author has chosen, who could then send messages in the visitor's name.
SCRIPTED: Final = ("iframe", "htmlfile", "jsonp", "jsonp_send", "eventsource")
# What a script tag of another page could run, and listen to what is in it: `data: a["..."]` has a label.
SCRIPT_LIKE: Final = ("jsonp", "eventsource")
RECOVERABLE: Final = ("xhr", "xhr_streaming")

# As clients call them.
NAMES: Final = {"xhr": "xhr-polling", "xhr_streaming": "xhr-streaming", "jsonp": "jsonp-polling"}

# The two versions that were in use before RFC 6455 differ from it in the name of the header Origin.
DRAFT: Final = "8"

BODY_TYPES: Final = ("", "text/plain", "t", "application/json", "application/xml", "text/xml")
FORM_TYPE: Final = "application/x-www-form-urlencoded"

_number: Final = re.compile(r"[0-9]{1,15}").fullmatch
_COOKIE_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")  # RFC 6265, 4.1.1
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _jsessionid(name: str, value: Any) -> Any:
    return value if callable(value) else flag(name, value)


def _url(name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        refuse(name, "an address, or None", value)
    return value


@dataclass(frozen=True)
class SockJSOptions(TransportOptions):
    """The option `transport` of this transformer. Durations in seconds, sizes in bytes."""

    heartbeat_delay: float = option(25.0, seconds)
    """Time between the signs of life that a client gets, whatever else it gets."""
    disconnect_delay: float = option(5.0, seconds)
    """Time that a client may be without a receiving request; and that its session says why it is over."""
    response_limit: int = option(131072, size)
    """Of a stream, after which it ends and the client asks for another one."""
    jsessionid: bool | Callable[[Any, Any], object] = option(False, _jsessionid)
    """Whether answers set a cookie JSESSIONID, for load balancers; or what is called with request and
    response, to set another one."""
    sockjs_url: str | None = option(
        "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js", _url
    )
    """Where the page for iframes finds the client. None: there is no such page."""
    websocket: bool = option(True, flag)
    """Whether there are WebSockets."""
    max_http_buffer_size: int | None = option(None, size_or_none)
    """Of a request's body, and of a WebSocket message. None: room for one of `max_length`, all escapes.
    The official client puts all that waits into one request."""


class SockJS:
    """Answers every request below the pathname."""

    name = "sockjs"

    def __init__(self, primus: Any, given: Mapping[str, Any]) -> None:
        self._primus = primus
        self.options = options = SockJSOptions.parse(given)
        self._origins = primus.options.origins
        self._max_length = primus.options.max_length
        self._max_body = options.max_http_buffer_size or self._max_length * SWELLING + FRAMING_BYTES
        self._max_form = options.max_http_buffer_size or self._max_length * FORM_SWELLING + FRAMING_BYTES
        self.requests = Requests(
            primus,
            away_timeout=options.disconnect_delay,
            cut_timeout=options.disconnect_delay,
            close_timeout=options.disconnect_delay,
        )
        # Those of WebSockets: no request can name them.
        self._sockets = Sessions(primus.dropped)
        # The waits for a client are kept less exactly, or all sessions would be looked at often.
        primus.watch(self.requests.sessions, min(options.heartbeat_delay, 4 * options.disconnect_delay))
        primus.watch(self._sockets, min(options.heartbeat_delay, 4 * PONG_SECONDS))
        # What counts as not sent until it is seen must not keep a stream from ending.
        self._stream_limit = min(options.response_limit, self.requests.limits.high)
        self._upgrader = Upgrades(primus, max_length=self._max_body)
        self._raw_upgrader = Upgrades(primus)
        self.refuse = self._upgrader.refuse
        self._iframe = sockjs.iframe_page(options.sockjs_url) if options.sockjs_url else None
        self._handlers = {
            "greeting": self._greet,
            "iframe": self._send_iframe,
            "info": self._inform,
            "chunking_test": self._test_chunking,
            "raw": self._connect,
            "websocket": self._connect,
            "xhr_send": self._take,
            "jsonp_send": self._take,
            **dict.fromkeys(("xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"), self._receive),
        }

    def claims(self, exchange: Exchange) -> bool:
        """Whether a request is one of this framework's. At the pathname itself others' have a query."""
        environ = exchange.environ
        name = _route(exchange.path)[0]
        if name == "greeting":
            return environ["REQUEST_METHOD"] == "GET" and not (
                exchange.upgrade or environ.get("QUERY_STRING")
            )
        return name != ""

    def answers_preflight(self, exchange: Exchange) -> bool:
        """Whether the protocol says what a browser gets that asks before a request of another origin."""
        return "OPTIONS" in METHODS.get(_route(exchange.path)[0], ())

    def takes_any_origin(self, exchange: Exchange) -> bool:
        """Whether an origin is echoed that is none by its form. SockJS's own test suite sends `test`."""
        return _route(exchange.path)[0] != ""

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request that the layers have let pass."""
        name, key = _route(exchange.path)
        if name in WEBSOCKETS:
            known = self.options.websocket
        elif name == "iframe":
            known = self._iframe is not None and not exchange.upgrade
        else:
            known = name != "" and not exchange.upgrade
        if not known:
            return self._reply(exchange, start_response, 404, [TEXT], NOT_FOUND)
        methods = METHODS[name]
        method = exchange.environ["REQUEST_METHOD"]
        if method not in methods:
            return self._reply(exchange, start_response, 405, [("Allow", ", ".join(methods))])
        if method == "OPTIONS":
            return self._allow(exchange, start_response, name)
        if name in SCRIPTED and not is_script_allowed(exchange.environ, self._origins):
            return self._reply(exchange, start_response, 403, [TEXT], b"This origin is not allowed\n")
        return self._handlers[name](name, key, exchange, start_response)

    # -- documents

    def _greet(self, name: str, key: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        return self._reply(exchange, start_response, 200, [TEXT], sockjs.GREETING)

    def _inform(self, name: str, key: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        body = sockjs.info_document(
            websocket=self.options.websocket,
            cookie_needed=bool(self.options.jsessionid),
            entropy=secrets.randbits(32),
            resume="resume=1" in exchange.environ.get("QUERY_STRING", "").split("&"),
        )
        json_type = ("Content-Type", "application/json; charset=UTF-8")
        headers = [json_type, NEVER_CACHED, *self._cors(exchange.environ)]
        return self._reply(exchange, start_response, 200, headers, body)

    def _send_iframe(self, name: str, key: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        assert self._iframe is not None
        page, etag = self._iframe
        headers = [("ETag", etag)]
        if self._origins == "*":
            headers += _cached_for_a_year()
        else:
            # A page that may not use it must not find it in the cache either.
            headers += [NEVER_CACHED, ("Vary", "Referer, Origin, Sec-Fetch-Site")]
        known = [tag.strip() for tag in exchange.environ.get("HTTP_IF_NONE_MATCH", "").split(",")]
        if etag in known or f"W/{etag}" in known:
            return self._reply(exchange, start_response, 304, headers)
        headers.insert(0, ("Content-Type", "text/html; charset=UTF-8"))
        return self._reply(exchange, start_response, 200, headers, page)

    def _test_chunking(self, name: str, key: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        headers = self._cors(exchange.environ)
        try:
            self.requests.read_free(exchange, self._max_body)
        except RemoteProtocolError as error:
            return self.requests.refuse_body(exchange, start_response, error, headers)
        if _content_type(exchange) not in BODY_TYPES:
            return self._fail(exchange, start_response, sockjs.PAYLOAD_EXPECTED, headers)
        headers.append(("Content-Type", sockjs.JAVASCRIPT))
        self.requests.start_stream(exchange, start_response, headers)
        return _in_time(sockjs.CHUNKING_TEST)

    def _allow(self, exchange: Exchange, start_response: Any, name: str) -> Iterable[bytes]:
        """Answer a preflight request; what is asked for has been found to come from an allowed origin."""
        headers = [
            *self._cors(exchange.environ),
            ("Access-Control-Allow-Methods", "OPTIONS, GET" if name == "info" else "OPTIONS, POST"),
            ("Access-Control-Max-Age", str(YEAR)),
            *_cached_for_a_year(),
            *self._cookie(exchange),
        ]
        return self._reply(exchange, start_response, 204, headers)

    # -- WebSocket

    def _connect(self, name: str, key: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        environ = exchange.environ
        if not exchange.upgrade:
            return self._reply(exchange, start_response, 400, [], b"Not a valid websocket request")
        if environ.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip() == DRAFT:
            environ["HTTP_SEC_WEBSOCKET_VERSION"] = "13"
            if "HTTP_ORIGIN" not in environ and "HTTP_SEC_WEBSOCKET_ORIGIN" in environ:
                environ["HTTP_ORIGIN"] = environ["HTTP_SEC_WEBSOCKET_ORIGIN"]
        if name == "raw":
            return self._raw_upgrader.accept(exchange, start_response, self._attach_raw)
        return self._upgrader.accept(exchange, start_response, self._attach)

    def _attach(
        self, transport: WebSocketTransport, record: RequestRecord, here: bool
    ) -> tuple[Receiver, Callable[[], None] | None]:
        id_ = self._primus.new_id()
        session = self._new_session(self._sockets, id_)
        spark = self._primus.make_spark(session, record, id_)
        session.start(spark)
        session.open_websocket(transport)
        return session, self._primus.connect(spark, here=here)

    def _attach_raw(
        self, transport: WebSocketTransport, record: RequestRecord, here: bool
    ) -> tuple[Receiver, Callable[[], None] | None]:
        """Messages without frames: the spark has the connection for itself."""
        spark = self._primus.make_spark(transport, record)
        return spark, self._primus.connect(spark, here=here)

    def _new_session(self, sessions: Sessions, key: str, *, recoverable: bool = False) -> SockJSSession:
        return SockJSSession(
            sessions,
            key,
            self.requests.limits,
            get_hub(),
            heartbeat_delay=self.options.heartbeat_delay,
            max_length=self._max_length,
            recoverable=recoverable,
        )

    # -- requests that receive

    def _receive(self, name: str, key: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        query = query_of(exchange.environ.get("QUERY_STRING", ""))
        headers = self._of_session(name, exchange)
        framing = FRAMINGS.get(name)
        if framing is None:
            callback = query.get("c", query.get("callback"))
            error = sockjs.callback_error(callback, short=name == "jsonp")
            if error:
                return self._fail(exchange, start_response, error, headers)
            framing = (sockjs.jsonp if name == "jsonp" else sockjs.htmlfile)(str(callback))
        plain = [TEXT, *headers]
        headers.append(("Content-Type", framing.content_type))
        if name in SCRIPT_LIKE:
            headers.append(("X-Content-Type-Options", "nosniff"))
        seen = query.get("seen") if name in RECOVERABLE else None
        if seen is not None and _number(seen) is None:
            return self._reply(exchange, start_response, 400, plain, b"seen is a number\n")

        sessions = self.requests.sessions
        session: SockJSSession | None
        while (session := sessions.get(key)) is not None and session.state == OPEN and session.carrier:
            # A client that has left may be back before that was seen: this waits for it, and the session may
            # be over then. One that counts is believed that its earlier connection is dead.
            counts = session.recoverable and seen is not None
            if not (self.requests.supersede if counts else self.requests.is_free)(session):
                body = framing.prelude + framing.encode(sockjs.STILL_OPEN)
                return self.requests.answer(exchange, start_response, body, headers)
        if session is None and seen is not None and query.get("open"):
            # The session of such a client is over, and it wants no other one.
            return self._reply(exchange, start_response, 404, plain, NOT_FOUND)
        if session is None:
            busy = self.requests.busy(exchange, start_response)
            if busy is not None:
                return busy
            session = self._new_session(sessions, key, recoverable=seen is not None)
            spark = self._primus.make_spark(session, RequestRecord(exchange.environ, exchange.seen_request))
            session.start(spark)
            self._primus.connect(spark)
        if session.recoverable and (seen is None or not session.acknowledge(int(seen))):
            return self._reply(exchange, start_response, 400, plain, b"seen is out of range\n")
        session.carried_by(NAMES.get(name, name))
        if framing.streams:
            return self._stream(session, framing, exchange, start_response, headers)
        return self._poll(session, framing, exchange, start_response, headers)

    def _poll(
        self,
        session: SockJSSession,
        framing: Framing,
        exchange: Exchange,
        start_response: Any,
        headers: list[Header],
    ) -> Iterable[bytes]:
        def fill() -> Filled:
            packets, frame = session.next_frame()
            if not frame and session.state == OPEN:
                frame = sockjs.HEARTBEAT  # woken for nothing; an answer has to be a frame
            return packets, framing.encode(frame) if frame else b"", headers

        return self.requests.poll(session, exchange, start_response, fill)

    def _stream(
        self,
        session: SockJSSession,
        framing: Framing,
        exchange: Exchange,
        start_response: Any,
        headers: list[Header],
    ) -> Iterable[bytes]:
        over = False

        def fill() -> tuple[Sequence[Packet], bytes]:
            nonlocal over
            if over:
                return (), b""
            packets, frame = session.next_frame()
            over = not packets and session.state != OPEN and frame != sockjs.OPEN
            return packets, framing.encode(frame) if frame else b""

        limit = self._stream_limit if session.recoverable else self.options.response_limit
        return self.requests.stream(
            session,
            exchange,
            start_response,
            fill,
            headers=headers,
            limit=limit,
            prelude=framing.prelude,
        )

    # -- requests that send

    def _take(self, name: str, key: str, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        headers = self._of_session(name, exchange)
        session: SockJSSession | None = self.requests.sessions.get(key)
        form = name == "jsonp_send" and _content_type(exchange) == FORM_TYPE
        limit = self._max_form if form else self._max_body
        try:
            body = self._read(session, exchange, start_response, limit)
        except RemoteProtocolError as error:
            return self.requests.refuse_body(exchange, start_response, error, headers)
        try:
            texts = self._texts(name, form, exchange, body)
        except RemoteProtocolError as error:
            return self._reply(exchange, start_response, error.status, headers, error.reason.encode())
        session = self.requests.sessions.get(key)  # it may have ended while the body came
        if session is None:
            return self._reply(exchange, start_response, 404, [TEXT, *headers], NOT_FOUND)
        if not self._hand_over(session, exchange, texts):
            return self._reply(exchange, start_response, 400, [TEXT, *headers], b"first is out of range\n")
        if name == "jsonp_send":
            return self._reply(exchange, start_response, 200, [TEXT, *headers], b"ok")
        return self._reply(exchange, start_response, 204, [TEXT, *headers])

    def _read(
        self, session: SockJSSession | None, exchange: Exchange, start_response: Any, limit: int
    ) -> bytes:
        """The body of a request. Raises as `Requests.read`."""
        if session is None:
            return self.requests.read_free(exchange, limit)
        # An official client takes a 503 for the end: it is the last resort.
        return self.requests.read(session, exchange, start_response, limit, patience=SEND_PATIENCE)

    def _texts(self, name: str, form: bool, exchange: Exchange, body: bytes) -> list[str]:
        if form:
            return sockjs.decode_form(body)
        allowed = BODY_TYPES if name == "xhr_send" else BODY_TYPES[:2]
        if _content_type(exchange) not in allowed:
            raise RemoteProtocolError(sockjs.PAYLOAD_EXPECTED, status=500)
        return sockjs.decode_body(body, nested=name == "jsonp_send")

    def _hand_over(self, session: SockJSSession, exchange: Exchange, texts: list[str]) -> bool:
        """Give messages to the session; False where their numbers cannot be."""
        query = query_of(exchange.environ.get("QUERY_STRING", ""))
        first = query.get("first")
        if first is not None and _number(first) is None:
            return False
        fine = True

        def take_in() -> None:
            nonlocal fine
            if first is None:
                session.take_in(texts)
            else:
                fine = session.take_in_from(int(first), texts)
            if fine and query.get("end") == "1":
                session.take_leave()

        if session.state == OPEN:
            self.requests.in_hub(session, take_in)
        return fine

    # -- answers

    def _of_session(self, name: str, exchange: Exchange) -> list[Header]:
        """The headers of an answer that concerns a session, also where it is an error."""
        cors = self._cors(exchange.environ) if name.startswith("xhr") or name == "eventsource" else []
        return [NEVER_CACHED, *cors, *self._cookie(exchange)]

    def _cors(self, environ: Mapping[str, Any]) -> list[Header]:
        """The layer `cors` has said most of this, in its own way, unless it was taken out."""
        headers = [("Vary", "Origin")]
        origin = environ.get("HTTP_ORIGIN")
        if origin is None:
            if self._origins == "*":
                headers.append(("Access-Control-Allow-Origin", "*"))
        elif not _CONTROL.search(origin):
            headers.append(("Access-Control-Allow-Origin", origin))
            if self._primus.options.credentials:
                headers.append(("Access-Control-Allow-Credentials", "true"))
        asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        if asked and not _CONTROL.search(asked):
            headers.append(("Access-Control-Allow-Headers", asked))
        return headers

    def _cookie(self, exchange: Exchange) -> list[Header]:
        jsessionid = self.options.jsessionid
        if jsessionid is False:
            return []
        if callable(jsessionid):
            jsessionid(exchange.request, exchange.response)  # its headers are part of every answer
            return []
        return [("Set-Cookie", f"JSESSIONID={_session_cookie(exchange)}; path=/")]

    def _fail(
        self, exchange: Exchange, start_response: Any, reason: str, headers: list[Header]
    ) -> Iterable[bytes]:
        return self._reply(exchange, start_response, 500, headers, reason.encode())

    def _reply(
        self, exchange: Exchange, start_response: Any, status: int, own: list[Header], body: bytes = b""
    ) -> Iterable[bytes]:
        """Answer with this, and the headers of layers that do not contradict."""
        if exchange.upgrade:
            exchange.answer = partial(_answer, status, own, body)
            return self.refuse(exchange, start_response)
        headers = inherited(own, exchange.headers)
        if self._primus.draining:
            hosts.close_after(start_response)
            headers.append(("Connection", "close"))
        if any(name == "Expires" for name, _ in own):
            headers = [header for header in headers if header[0].lower() != "pragma"]
        return _answer(status, headers, body, exchange.environ, start_response)


def _route(path: str) -> tuple[str, str]:
    """What a path below the pathname asks for (empty: nothing of SockJS's), and the key of the session."""
    path = path.removesuffix("/")
    name = STATIC.get(path)
    if name is not None:
        return name, ""
    match = _session_path(path)
    if match is not None:
        return match[2], match[1]
    return "iframe" if _iframe_path(path) else "", ""


def _content_type(exchange: Exchange) -> str:
    """That of a request's body, without parameters, in lower case."""
    given: str = exchange.environ.get("CONTENT_TYPE") or ""
    return given.partition(";")[0].strip().lower()


def _session_cookie(exchange: Exchange) -> str:
    try:
        morsel = SimpleCookie(exchange.environ.get("HTTP_COOKIE", "")).get("JSESSIONID")
    except CookieError:
        morsel = None
    if morsel is None or not morsel.value or _COOKIE_VALUE.fullmatch(morsel.value) is None:
        return "dummy"
    return morsel.value


def _cached_for_a_year() -> list[Header]:
    expires = formatdate(time.time() + YEAR, usegmt=True)
    return [("Cache-Control", f"public, max-age={YEAR}"), ("Expires", expires)]


def _in_time(pieces: Iterable[tuple[float, bytes]]) -> Iterator[bytes]:
    for wait, piece in pieces:
        if wait:
            gevent.sleep(wait)
        yield piece


def _answer(
    status: int, headers: list[Header], body: bytes, environ: Mapping[str, Any], start_response: Any
) -> list[bytes]:
    """A WSGI application, without the headers of a body where there can be none."""
    if status not in (204, 304):
        headers = [*headers, ("Content-Length", str(len(body)))]
    start_response(status_line(status), headers)
    return [body] if body and environ["REQUEST_METHOD"] != "HEAD" else []
