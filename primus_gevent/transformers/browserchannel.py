"""The `browserchannel` transformer: BrowserChannel, protocol version 8, as the Node package of that name
speaks it.

A session has two kinds of requests: a GET that waits for arrays, or streams them (the back channel), and
POSTs that bring maps, one after the other (the forward channel). Both directions are numbered and
acknowledged, so that a request that is cut off, either way, loses nothing.

The script ``bcsocket.js``, which the original serves too, is not: Primus's own client has what it needs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gevent import get_hub

from .. import hosts
from ..errors import RemoteProtocolError
from ..middleware import Response
from ..middleware.exchange import Exchange
from ..protocols import browserchannel as protocol
from ..protocols.browserchannel import BadData, Chunks, Query, Scripts
from ..request import RequestRecord
from ..session import GONE
from ..transport_options import TransportOptions, option, refuse, seconds, size_or_none
from ..transports.polling import LEFT, Body, Poll
from .browserchannel_session import ChannelSession
from .requests import Header, Requests, query_of
from .upgrade import Upgrades

__all__ = ["BrowserChannel", "ChannelOptions"]

TEST_SECONDS: Final = 2.0  # between the two pieces of the test's second phase
STREAM_BYTES: Final = 10 * 1024  # after which a back channel ends, so that its client acknowledges
METHODS: Final = "GET, POST"
FRAMING_BYTES: Final = 65536  # what one request may have beside a message of the greatest length
ESCAPED: Final = 3  # bytes that a form needs for one byte, at most

STANDARD_HEADERS: Final = [
    ("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate"),
    ("Pragma", "no-cache"),
    ("Expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
    ("X-Content-Type-Options", "nosniff"),
]
ACCEPTED: Final = ("X-Accept", "application/json; application/x-www-form-urlencoded")


def _prefixes(name: str, value: Any) -> Sequence[str]:
    fine = isinstance(value, (list, tuple)) and all(
        isinstance(item, str) and re.fullmatch("[A-Za-z0-9.-]+", item) for item in value
    )
    if not fine:
        refuse(name, "a list of prefixes of host names", value)
    return tuple(value)


@dataclass(frozen=True)
class ChannelOptions(TransportOptions):
    """The option `transport` of this transformer. Durations in seconds, sizes in bytes.

    The original's ``cors``, ``corsAllowCredentials`` and ``headers`` have no counterpart here: Primus's own
    `origins` and `credentials`, and layers, say the same for every transformer.
    """

    host_prefixes: Sequence[str] = option((), _prefixes)
    """Of these each client gets one, and asks for its back channel at ``<prefix>.<host>``."""
    keep_alive_interval: float = option(20.0, seconds)
    """Time between arrays that only keep the back channel in use; clients give up after 45 s of silence."""
    session_timeout_interval: float = option(30.0, seconds)
    """Time that a client may be without back channel; `session_timeout` wins."""
    max_http_buffer_size: int | None = option(None, size_or_none)
    """Of a request's body. None: room for one message of `max_length`, escaped. The official client puts all
    that it has into one request, up to a thousand messages."""


class BrowserChannel:
    """Answers every request below the pathname."""

    name = "browserchannel"

    def __init__(self, primus: Any, given: Mapping[str, Any]) -> None:
        self._primus = primus
        self.options = options = ChannelOptions.parse(given)
        self._max_length = primus.options.max_length
        # A message of the greatest length in base64, escaped, and some framing.
        self._max_body = options.max_http_buffer_size or ESCAPED * (self._max_length * 4 // 3) + FRAMING_BYTES
        # The client acknowledges when it comes again: it has to be sent away before writers wait for it.
        self._stream_bytes = min(STREAM_BYTES, primus.options.write_buffer)
        self.requests = Requests(
            primus,
            away_timeout=options.session_timeout_interval,
            cut_timeout=options.session_timeout_interval,
        )
        primus.watch(
            self.requests.sessions, min(options.keep_alive_interval, self.requests.limits.away_timeout)
        )
        self.refuse = Upgrades(primus).refuse

    def claims(self, exchange: Exchange) -> bool:
        """Whether a request is one of this framework's."""
        return exchange.path in ("/test", "/bind")

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request that the layers have let pass."""
        if exchange.upgrade:
            exchange.answer = Response(400, "BrowserChannel has no WebSockets")
            return self.refuse(exchange, start_response)
        query = Query.read(query_of(exchange.environ.get("QUERY_STRING", "")))
        if exchange.path == "/bind":
            return self._bind(exchange, start_response, query)
        if exchange.path == "/test":
            return self._test(exchange, start_response, query)
        if not exchange.path:  # not below the pathname, so nobody's of BrowserChannel
            return exchange.respond(start_response, Response(404, "Not Found"))
        return self._answer(exchange, start_response, b"Not found", "404 Not Found")

    # -- the test

    def _test(self, exchange: Exchange, start_response: Any, query: Query) -> Iterable[bytes]:
        if not query.is_version_8:
            return self._error(exchange, start_response, protocol.VERSION_REQUIRED)
        if query.begins_test and exchange.environ["REQUEST_METHOD"] == "GET":
            body = protocol.encode_prefixes(self._host_prefix())
            return self._answer(exchange, start_response, body, headers=[ACCEPTED])
        framing = _framing(query)
        if exchange.environ["REQUEST_METHOD"] == "HEAD":
            return self._answer(exchange, start_response, b"", content_type=framing.content_type)
        poll = Poll(get_hub(), hosts.connection(exchange.environ, start_response))
        self.requests.start_stream(exchange, start_response, _own_headers(exchange, framing.content_type))
        return _test_buffering(poll, framing)

    # -- sessions

    def _bind(self, exchange: Exchange, start_response: Any, query: Query) -> Iterable[bytes]:
        if not query.is_version_8:
            return self._error(exchange, start_response, protocol.VERSION_REQUIRED)
        session: ChannelSession | None = None
        if query.sid is not None:
            session = self.requests.sessions.get(query.sid)
            if session is None:
                return self._error(exchange, start_response, protocol.UNKNOWN_SID)
            session.acknowledge(query.aid)
        method = exchange.environ["REQUEST_METHOD"]
        if method == "POST":
            if session is None:
                return self._begin(exchange, start_response, query)
            return self._post(session, exchange, start_response, query)
        if method != "GET":
            allowed = [("Allow", METHODS)]
            status = "405 Method Not Allowed"
            return self._answer(exchange, start_response, b"Method not allowed", status, headers=allowed)
        if query.type == protocol.TERMINATE:
            if session is not None:
                Requests.in_hub(session, session.take_in, session.terminate(query.rid))
            return self._answer(exchange, start_response, b"")
        if query.type not in (protocol.XMLHTTP, protocol.HTML):
            # The original does not answer at all. Nor does it survive a back channel of no session.
            return self._error(exchange, start_response, protocol.BAD_DATA)
        if not query.is_rpc:
            return self._error(exchange, start_response, protocol.EXPECTED_RPC)
        if session is None:
            return self._error(exchange, start_response, protocol.UNKNOWN_SID)
        return self._get(session, exchange, start_response, query)

    def _begin(self, exchange: Exchange, start_response: Any, query: Query) -> Iterable[bytes]:
        """A first POST: a session, and the first chunk."""
        environ = exchange.environ
        # Unlike the original, which makes a session also for a body that it refuses: nobody knows its id.
        try:
            body = self.requests.read_free(exchange, self._max_body)
            batch = protocol.decode_post(body, environ.get("CONTENT_TYPE", ""))
        except BadData:
            return self._error(exchange, start_response, protocol.BAD_DATA)
        except RemoteProtocolError as error:
            return self.requests.refuse_body(exchange, start_response, error, STANDARD_HEADERS)
        busy = self.requests.busy(exchange, start_response)  # now: the body may have taken its time
        if busy is not None:
            return busy
        self._replace(query)
        id_ = self._primus.new_id()
        session = ChannelSession(
            self.requests.sessions,
            id_,
            self.requests.limits,
            get_hub(),
            rid=query.rid,
            host_prefix=self._host_prefix(),
            keep_alive_interval=self.options.keep_alive_interval,
            max_length=self._max_length,
        )
        spark = self._primus.make_spark(session, RequestRecord(environ, exchange.seen_request), id_)
        session.start(spark)
        self._primus.connect(spark)
        # The listeners go first, so that what they write leaves with this answer.
        Requests.in_hub(session, session.take_in, session.receive(query.rid, batch))
        if session.state == GONE:
            return self._error(exchange, start_response, protocol.FORBIDDEN, 403)
        chunk = Chunks().arrays(session.take_arrays())
        (body,) = self._answer(exchange, start_response, chunk)
        return Body(body, sent=session.delivered, lost=_nothing)

    def _replace(self, query: Query) -> None:
        """End the session that the client had before this one, of which it knows nothing any more."""
        if query.old_sid is None:
            return
        old = self.requests.sessions.get(query.old_sid)
        if old is not None:
            old.acknowledge(query.old_aid)
            old.hub.loop.run_callback(old.abort)

    def _post(
        self, session: ChannelSession, exchange: Exchange, start_response: Any, query: Query
    ) -> Iterable[bytes]:
        """The forward channel."""
        poll = Poll(session.hub, hosts.connection(exchange.environ, start_response))
        fault = False
        try:
            body = self.requests.read(session, exchange, start_response, self._max_body, poll=poll)
            batch = protocol.decode_post(body, exchange.environ.get("CONTENT_TYPE", ""))
        except BadData as error:
            batch, fault = error.batch, True
        except RemoteProtocolError as error:
            return self.requests.refuse_body(exchange, start_response, error, STANDARD_HEADERS)
        Requests.in_hub(session, session.take_in, session.receive(query.rid, batch))
        if fault:
            return self._error(exchange, start_response, protocol.BAD_DATA)
        if session.state == GONE:
            return self._error(exchange, start_response, protocol.FORBIDDEN, 403)
        return self._answer(exchange, start_response, session.status())

    def _get(
        self, session: ChannelSession, exchange: Exchange, start_response: Any, query: Query
    ) -> Iterable[bytes]:
        """The back channel."""
        earlier = session.carrier
        if isinstance(earlier, Poll):
            # One that has left, or does not take what is sent, is not waited for: nothing can get lost.
            if earlier.left() or session.sending:
                earlier.cut()
            else:
                earlier.dismiss()
        framing = _framing(query)

        def fill() -> tuple[Sequence[Any], bytes]:
            arrays = session.take_arrays()
            return arrays, framing.arrays(arrays) if arrays else b""

        return self.requests.stream(
            session,
            exchange,
            start_response,
            fill,
            headers=_own_headers(exchange, framing.content_type),
            limit=self._stream_bytes if query.streams else 1,
            prelude=framing.prelude,
            end=framing.end,
        )

    # -- answers

    def _host_prefix(self) -> str | None:
        prefixes = self.options.host_prefixes
        return random.choice(prefixes) if prefixes else None

    def _headers(
        self, exchange: Exchange, start_response: Any, content_type: str, more: Iterable[Header] = ()
    ) -> list[Header]:
        own = [*_own_headers(exchange, content_type), *more]
        return self.requests.complete(exchange, start_response, own)

    def _answer(
        self,
        exchange: Exchange,
        start_response: Any,
        body: bytes,
        status: str = "200 OK",
        *,
        content_type: str = Chunks.content_type,
        headers: Iterable[Header] = (),
    ) -> list[bytes]:
        headers = self._headers(exchange, start_response, content_type, headers)
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body] if exchange.environ["REQUEST_METHOD"] != "HEAD" else []

    def _error(
        self, exchange: Exchange, start_response: Any, message: str, status: int = 400
    ) -> Iterable[bytes]:
        return self._answer(exchange, start_response, protocol.error_page(message), f"{status} {message}")


def _own_headers(exchange: Exchange, content_type: str) -> list[Header]:
    headers = [("Content-Type", content_type), *STANDARD_HEADERS]
    # The official client asks for this with each GET. Where the answer does not say it as well, which plain
    # pywsgi leaves to us, Node puts the next request on a connection that is being closed.
    if "close" in exchange.environ.get("HTTP_CONNECTION", "").lower():
        headers.append(("Connection", "close"))
    return headers


def _framing(query: Query) -> Chunks | Scripts:
    return Scripts(query.domain) if query.type == protocol.HTML else Chunks()


def _test_buffering(poll: Poll, framing: Chunks | Scripts) -> Iterator[bytes]:
    """Two pieces, of which the client sees whether they arrive as they leave."""
    yield framing.prelude + framing.text("11111")
    if poll.wait(TEST_SECONDS) != LEFT:
        yield framing.text("2") + framing.end


def _nothing() -> None:
    """What goes out with an answer is kept until it is acknowledged."""
