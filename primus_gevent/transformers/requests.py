"""The requests of a session: those that wait for packets, and those that bring messages.

What every framework whose sessions consist of HTTP requests does alike; their looks are its own matter.
"""

from __future__ import annotations

import errno
import gzip
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import gevent
from gevent.event import Event

from .. import clock, hosts
from ..errors import RemoteProtocolError
from ..middleware import Response, accepts_gzip, inherited, status_line
from ..middleware.exchange import Exchange
from ..protocols.forms import unquote_plus
from ..session import Packet, Session, SessionLimits, Sessions
from ..transports.polling import LATE, LEFT, WOKEN, Body, Poll, read_body
from ..transports.streaming import Fill, Stream

__all__ = ["CUT_SECONDS", "Filled", "Header", "Requests", "hung_up", "query_of"]

Header = tuple[str, str]
#: What goes out with the answer to a poll: packets, their body, and the headers that say what it is.
Filled = tuple[Sequence[Packet], bytes, list[Header]]

CUT_SECONDS: Final = 5.0  # for a client whose request was cut off to come back
GZIP_BYTES = 1024
CLIENT_CLOSED_REQUEST = "499 Client Closed Request"  # as nginx logs it; nobody reads it


class Requests:
    """Those of one transformer.

    Args:
        away_timeout: seconds that a client may be without a request that waits, unless the option
            `session_timeout` says it.
        cut_timeout: the same after its last one was cut off.
        close_timeout: seconds that the goodbye may wait to be fetched; without it the option of that name.

    Attributes:
        sessions: those of this transformer.
        limits: theirs.
        write_seconds: that the first bytes of an answer may take.
    """

    def __init__(
        self, primus: Any, *, away_timeout: float, cut_timeout: float, close_timeout: float | None = None
    ) -> None:
        given = primus.options
        patience = given.session_timeout
        self._primus = primus
        self._body_seconds = given.handshake_timeout
        self._compression = bool(given.compression)
        self.write_seconds = given.write_timeout
        self.sessions = Sessions(primus.dropped)
        self.limits = SessionLimits(
            write_buffer=given.write_buffer,
            away_timeout=patience or away_timeout,
            cut_timeout=patience or cut_timeout,
            close_timeout=close_timeout or given.close_timeout,
        )

    # -- requests that wait for packets

    def poll(
        self,
        session: Session,
        exchange: Exchange,
        start_response: Any,
        fill: Callable[[], Filled],
        *,
        timeout: float | None = None,
    ) -> Iterable[bytes]:
        """Answer with packets as soon as there are some; blocks until then. Nobody else may be waiting.

        What does not reach the client goes back to the outbox.

        Args:
            fill: takes packets out of the outbox. Also called when there are none, because the session has
                ended, is carried by a WebSocket now, or another request has taken the place of this one.
            timeout: seconds after which it is called in any case.

        Raises:
            OSError: the client has hung up.
        """
        poll = Poll(session.hub, hosts.connection(exchange.environ, start_response))
        session.hold(poll)
        packets: Sequence[Packet] = ()

        def sent() -> None:
            session.release(poll)
            session.delivered()

        def lost() -> None:
            session.put_back(packets)
            session.release(poll, cut=True)

        try:
            if (not session.ready and poll.wait(timeout) is LEFT) or poll.left():
                raise hung_up(start_response)
            packets, body, headers = fill()
            poll.answer_with(len(body), self.write_seconds)
            chunks = self.answer(exchange, start_response, body, headers)
            return Body(chunks[0], sent=sent, lost=lost)
        except BaseException:
            lost()
            raise

    def stream(
        self,
        session: Session,
        exchange: Exchange,
        start_response: Any,
        fill: Fill,
        *,
        headers: list[Header],
        limit: int,
        prelude: bytes = b"",
        end: bytes = b"",
    ) -> Iterable[bytes]:
        """Answer with a response in pieces; see `Stream`. Nobody else may be waiting."""
        poll = Poll(session.hub, hosts.connection(exchange.environ, start_response))
        session.hold(poll)
        try:
            self.start_stream(exchange, start_response, headers)
        except BaseException:
            session.release(poll, cut=True)
            raise
        return Stream(
            session, poll, fill, prelude=prelude, limit=limit, write_seconds=self.write_seconds, end=end
        )

    def supersede(self, session: Session) -> bool:
        """End the request that waits for packets, for another one; blocks until it is over.

        Returns:
            Whether it is; a client that takes no bytes can keep it for longer than anybody should wait.
        """
        deadline = clock.monotonic() + CUT_SECONDS
        while (earlier := session.carrier) is not None:
            assert isinstance(earlier, Poll)
            if earlier.left():
                earlier.cut()
            else:
                earlier.dismiss()
            if not self._wait_free(session, deadline):
                return False
        return True

    def is_free(self, session: Session, place: str = "carrier") -> bool:
        """Whether no earlier request is under way in this place of the session; may block.

        A client that was cut off may be back before its end was seen here: that one is waited for.
        """
        deadline = clock.monotonic() + CUT_SECONDS
        while (earlier := getattr(session, place)) is not None:
            if not earlier.left():
                return False
            earlier.cut()
            if not self._wait_free(session, deadline):
                return False
        return True

    @staticmethod
    def _wait_free(session: Session, deadline: float) -> bool:
        event = Event()
        session.when_free(event.set)
        return bool(event.wait(max(0, deadline - clock.monotonic())))

    # -- requests that bring messages

    def read(
        self,
        session: Session,
        exchange: Exchange,
        start_response: Any,
        limit: int,
        *,
        poll: Poll | None = None,
        patience: float = 0.0,
    ) -> bytes:
        """The body of a request. Blocks until it is there, and before that until the spark takes messages.

        Args:
            limit: bytes that it may have.
            poll: of the request, where one has been made.
            patience: seconds for which it waits for the spark, if that is more than a client may be away and
                a body may take.

        Raises:
            RemoteProtocolError: see `read_body`; 503: the spark has not taken any for too long. The answer is
                `refuse_body`.
            OSError: the client has hung up.
        """
        if poll is None and session.paused:
            poll = Poll(session.hub, hosts.connection(exchange.environ, start_response))
        try:
            if session.paused and poll is not None:
                self._wait_resumed(session, poll, start_response, patience)
            return read_body(exchange.environ, limit, self._body_seconds)
        except RemoteProtocolError:
            if poll is not None and poll.left():
                raise hung_up(start_response) from None
            raise

    def read_free(self, exchange: Exchange, limit: int) -> bytes:
        """The body of a request that has no session (yet). Raises as `read`."""
        return read_body(exchange.environ, limit, self._body_seconds)

    def _wait_resumed(self, session: Session, poll: Poll, start_response: Any, patience: float) -> None:
        """Wait until the spark wants messages again; meanwhile the body stays where it is."""
        deadline = clock.monotonic() + max(self.limits.away_timeout, self._body_seconds, patience)
        session.await_resume(poll)
        try:
            outcome = WOKEN
            while session.paused and outcome is WOKEN:
                outcome = poll.wait(max(0, deadline - clock.monotonic()))
        finally:
            session.forget(poll)
        if outcome is LEFT:
            raise hung_up(start_response)
        if outcome is LATE:
            raise RemoteProtocolError("Nobody reads the messages that came before", status=503)

    @staticmethod
    def in_hub(session: Session, function: Callable[..., object], *args: Any) -> None:
        """Call this in the hub, where sparks are reached, and go on when that has been done.

        The answer waits for it: a server to which the next request has come already reads it without a look
        at the hub, and the session could not push back.
        """
        session.hub.loop.run_callback(function, *args)
        gevent.sleep(0)

    # -- answers

    def answer(
        self, exchange: Exchange, start_response: Any, body: bytes, headers: list[Header], status: int = 200
    ) -> list[bytes]:
        """Answer with a body, gzipped where the client takes it and the option `compression` allows it."""
        headers = self.complete(exchange, start_response, headers)
        if self._compression and len(body) >= GZIP_BYTES:
            headers = inherited(headers, [("Vary", "Accept-Encoding")])
            if accepts_gzip(exchange.environ.get("HTTP_ACCEPT_ENCODING", "")):
                body = gzip.compress(body, compresslevel=1, mtime=0)
                headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        start_response(status_line(status), headers)
        return [body]

    def complete(self, exchange: Exchange, start_response: Any, own: list[Header]) -> list[Header]:
        """The headers of an answer: the framework's own, and those of the layers that it does not set."""
        others = exchange.headers
        if exchange.seen_request is None and len(own) == 1 and own[0][0] == "Content-Type":
            headers = [*own, *others]  # our own layers set no such header
        else:
            headers = inherited(own, others)
        if self._primus.draining:
            hosts.close_after(start_response)
            headers.append(("Connection", "close"))
        return headers

    def start_stream(self, exchange: Exchange, start_response: Any, own: list[Header]) -> None:
        """Begin an answer in pieces."""
        # nginx would keep the pieces until there are enough of them.
        headers = self.complete(exchange, start_response, [*own, ("X-Accel-Buffering", "no")])
        if exchange.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
            # Nothing else tells such a client where it ends, and pywsgi would keep the connection.
            hosts.close_after(start_response)
            if not any(name == "Connection" for name, _ in headers):
                headers.append(("Connection", "close"))
        start_response(status_line(200), headers)

    def refuse_body(
        self,
        exchange: Exchange,
        start_response: Any,
        error: RemoteProtocolError,
        headers: Iterable[Header] = (),
    ) -> Iterable[bytes]:
        """Answer a request whose body was not read; the session goes on."""
        hosts.close_after(start_response)
        headers = [*headers, ("Connection", "close")]
        if error.status == 503:
            headers.append(("Retry-After", "1"))
        return exchange.respond(start_response, Response(error.status, error.reason, headers=headers))

    def busy(self, exchange: Exchange, start_response: Any) -> Iterable[bytes] | None:
        """The answer to a client that there is no room for; None where there is."""
        reason = self._primus.refuses()
        if not reason:
            return None
        return exchange.respond(start_response, Response(503, reason, headers=[("Retry-After", "1")]))


def hung_up(start_response: Any) -> OSError:
    """What to raise in the request of a client that has left: no server complains about it."""
    start_response(CLIENT_CLOSED_REQUEST, [])
    return BrokenPipeError(errno.EPIPE, "the client has hung up")


def query_of(text: str) -> dict[str, str]:
    """The fields of a query string, or of a form; the last one of a name counts."""
    query = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        query[name] = unquote_plus(value)
    return query
