"""What the frameworks that speak HTTP have in common on the client's side: a session of several requests.

Two greenlets make the requests, one at a time each: the reader opens the session and fetches what the server
has, the writer posts what was written. They are straight-line code that may raise. Whatever they find out
they hand to the hub (`ClientSession._later`), where all state changes, as that of the client does. Some
frameworks move to a WebSocket, which then carries everything.

Mirror of `primus_gevent.session`, which is the server's side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
from gevent.event import Event

from ..errors import ConnectError, PrimusError, RemoteProtocolError, UnexpectedResponse
from .address import UrlParts, query_of
from .http import HTTPClient, Response
from .timers import Timers
from .websocket import open_websocket

if TYPE_CHECKING:
    from ..inbox import Raw
    from .link import Link
    from .socket import Socket

__all__ = ["ClientSession", "blamed"]

#: Of one answer, unless the option `max_length` asks for more: several messages, escaped and framed.
MAX_ANSWER_BYTES = 64 << 20

# What the longest message may become by that: JSON has six bytes for some characters.
ESCAPED = 6

# In one POST: servers take more, ours 1 MiB; and what BrowserChannel's own client sends.
MAX_BODY_BYTES = 1_000_000
MAX_MESSAGES = 1000
FRAMING_BYTES = 16  # around a message in a body

# Of what is no message: handshakes and the like.
SMALL_BYTES = 65536

# A POST was refused: for so long we wait for what the GET brings. A server that ends a session says so there,
# and refuses what comes afterwards; the refusal may be here first.
LAST_WORDS_SECONDS = 1.0


class Written(NamedTuple):
    """Something that waits to be posted, and what it counts towards `write_buffer` (bytes)."""

    packet: Any
    size: int


class ClientSession:
    """One session; a `transports.ClientTransport`, and the connection that it reports once it is open.

    A framework's subclass says what is on the wire: `_run` opens and reads, `_encode` and `_deliver` write,
    `_goodbye` ends. What of these runs in a greenlet, and may block, says so.

    Attributes:
        name: of what carries the messages, ``websocket`` for example.
        id: of the session, where that is the id of the spark too; else None.
        transport: the WebSocket that carries everything, once there is one.
        max_answer: bytes of one answer, or of one frame of the WebSocket. The messages in it are bounded by
            the option `max_length`.
    """

    name = "polling"
    framing = None
    frame_of_one = False  # a frame of the WebSocket holds one message, not an array of them

    def __init__(self, client: Socket, link: Link) -> None:
        self.hub = gevent.get_hub()
        self.id: str | None = None
        self.transport: Any = None
        self.max_answer = max(MAX_ANSWER_BYTES, ESCAPED * client.options.max_length)
        self._client = client
        self._link = link
        self._options: Any = type(self).parse(client.options.transport)
        self._http = HTTPClient(client.network)
        self._url: Any = None
        self._requests = 0
        self._timers = Timers(client.clock)
        self._active = True
        self._paused = False
        self._begun = False  # the server may be making a session for us
        self._made = False  # it has
        self._opened = False
        self._over = False
        self._destroyed = False
        self._reader: Any = None
        self._writer: Any = None
        self._queue: deque[Written] = deque()
        self._size = 0  # bytes in the queue, and in the POST that is under way
        self._held = False  # no POST is begun: a WebSocket is about to take over, or one has failed
        self._flowing = Event()
        self._flowing.set()
        self._writable = Event()

    # -- what a framework says

    @classmethod
    def parse(cls, transport: Mapping[str, Any]) -> Any:
        """The option `transport`, checked.

        Raises:
            OptionError: it has what this framework does not know, or cannot use.
        """
        raise NotImplementedError

    @classmethod
    def check(cls, options: Any) -> None:
        """See `ClientTransport`."""
        cls.parse(options.transport)

    def _run(self) -> None:
        """Open the session, and fetch until it ends. In the reader, may block; what it raises is the end."""
        raise NotImplementedError

    def _encode(self, payload: Raw) -> Any:
        """What a message is in the queue."""
        raise NotImplementedError

    def _frame(self, packet: Any) -> Raw:
        """What something from the queue is on the WebSocket."""
        raise NotImplementedError

    def _receive_frame(self, frame: Raw) -> None:
        """Take what has come over the WebSocket. In the hub; what it raises is the end."""
        raise NotImplementedError

    def _batch(self) -> int:
        """How many from the front of the queue, which has some, the next POST takes. One that is too long by
        itself has to go alone."""
        count = total = 0
        for written in self._queue:
            total += _at_most(written.packet) + FRAMING_BYTES
            if count and (total > MAX_BODY_BYTES or count == MAX_MESSAGES):
                break
            count += 1
        return count

    def _deliver(self, packets: Sequence[Any]) -> None:
        """Post them. In the writer, blocks until the server has them."""
        raise NotImplementedError

    def _goodbye(self) -> None:
        """Tell the server, which is asked by HTTP, that this is the end. In a greenlet, may block."""

    def _last_frames(self) -> Sequence[Raw]:
        """The same for one that is spoken to over the WebSocket, besides closing that."""
        return ()

    # -- the transport: opening and closing

    def open(self) -> None:
        """See `ClientTransport`."""
        self._url = self._client.uri(scheme="https" if self._client.address.secure else "http")
        self._reader = gevent.spawn(self._guarded, self._run)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, after what was written has left. Never blocks; may be called repeatedly."""
        if self._over:
            return
        self._over = True
        self._link.closed(True)
        self._part(code, reason)

    def _part(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, if anybody is there; then nothing is left."""
        self._timers.clear()
        self.resume()
        self._writable.set()
        if self.transport is not None:
            for frame in self._last_frames():
                self.transport.send(frame)
            self.transport.close(code, reason)
        elif self._opened or self._begun:
            gevent.spawn(self._leave)
        else:
            self._destroy()

    def _leave(self) -> None:
        # Who is not there needs no goodbye.
        try:
            with (
                suppress(_TooLate, PrimusError),
                gevent.Timeout(self._client.options.close_timeout, _TooLate),
            ):
                self._last_requests()
        finally:
            self._later(self._destroy)

    def _last_requests(self) -> None:
        """Let what was written leave, and say goodbye. In a greenlet, may block; what it raises is ignored.

        The reader goes on meanwhile, since servers may end a session with the request that waits.
        """
        if self._opened:
            if self._writer is not None:
                self._writer.join()
            exists = not self._queue
        else:  # a session that is being made is waited for: nobody else could end it
            self._reader.join()
            exists = self._made
        if exists:
            self._goodbye()

    def abort(self) -> None:
        """End without a goodbye; what is queued is lost."""
        self._finish(clean=False)

    # -- the connection: what the client sends

    def send(self, payload: Raw) -> None:
        """Queue one message. Never blocks."""
        if not self._over:
            self._put(self._encode(payload))

    def _put(self, packet: Any) -> None:
        if self.transport is not None:
            self.transport.send(self._frame(packet))
            return
        size = len(packet)
        self._size += size
        self._queue.append(Written(packet, size))
        self._start_writer()

    def _start_writer(self) -> None:
        # It begins a turn of the loop later: whatever else is written until then leaves with it.
        if self._queue and self._writer is None and not self._held and self._opened:
            self._writer = gevent.spawn(self._guarded, self._write)

    def _write(self) -> None:
        done = False
        try:
            while self._queue and not self._held:
                taken = [self._queue.popleft() for _ in range(self._batch())]
                self._deliver([written.packet for written in taken])
                self._size -= sum(written.size for written in taken)
                if self._size <= self._client.options.write_buffer // 4:
                    self._writable.set()
            done = True
        except UnexpectedResponse:
            if not self._over and self._reader is not None:
                self._reader.join(LAST_WORDS_SECONDS)
            raise
        finally:
            self._writer = None
            if not done:  # nothing that comes later may arrive without what is lost here
                self._held = True

    @property
    def full(self) -> bool:
        """Whether more waits to be sent than the option `write_buffer` allows."""
        if self.transport is not None:
            return bool(self.transport.full)
        return self._size > self._client.options.write_buffer and not self._over

    def wait_writable(self) -> None:
        """Park the caller until less waits to be sent, or the end."""
        while self.full:
            if self.transport is not None:
                self.transport.wait_writable()
                return
            self._writable.clear()
            self._writable.wait()

    def flush(self) -> None:
        """Send now what can be sent now."""
        if self.transport is not None:
            self.transport.flush()

    # -- the connection: what comes

    @property
    def active(self) -> bool:
        """Whether anything has come since somebody has last looked."""
        return self._active if self.transport is None else bool(self.transport.active)

    @active.setter
    def active(self, value: bool) -> None:
        self._active = value
        if self.transport is not None:
            self.transport.active = value

    @property
    def paused(self) -> bool:
        """Whether nothing is fetched."""
        return self._paused

    def pause(self) -> None:
        """Fetch nothing more; see `_wait_wanted`."""
        self._paused = True
        if self.transport is not None:
            self.transport.pause()

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._flowing.set()
        if self.transport is not None:
            self.transport.resume()

    def peer_left(self) -> bool:
        """Whether the server has hung up, as far as can be told without reading."""
        return self.transport is not None and bool(self.transport.peer_left())

    @property
    def failure(self) -> Any:
        """How the server broke the rules of WebSocket."""
        return None if self.transport is None else self.transport.failure

    # -- for the greenlets

    def _later(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call ``fn`` in the hub, after what was handed to it before."""
        self.hub.loop.run_callback(fn, *args)

    def _guarded(self, fn: Callable[[], None]) -> None:
        """What a greenlet is made with: an error of the request is one of the session."""
        try:
            fn()
        except Exception as error:  # noqa: BLE001 - whoever listens is told
            self._later(self._fail, error)
        except gevent.GreenletExit:  # if not by us, then by somebody who ends all greenlets
            self._later(self._fail, ConnectError(f"a greenlet of {self!r} was killed", str(self._url)))

    def _address(self, path: str = "", more: Mapping[str, Any] | None = None) -> UrlParts:
        """The URL of something below the pathname. Primus's query is on every request, and a number, which
        keeps caches away."""
        parameters = {name: str(value) for name, value in (more or {}).items()}
        url: UrlParts = replace(self._url)
        url.query = query_of(url.query, {**parameters, "t": str(self._requests)})
        self._requests += 1
        if path:
            url.pathname, url.exact = f"/{url.pathname.strip('/')}/{path}", True
        return url

    def _request(
        self,
        method: str,
        path: str = "",
        more: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        *,
        url: UrlParts | None = None,
    ) -> Response:
        """Make a request, and wait for the head of its answer.

        Raises:
            UnexpectedResponse: its status is none of success.
            ConnectError: or another one of its kinds.
        """
        headers = {} if content_type is None else {"Content-Type": content_type}
        # Not repeated below: the answer to a GET can bring messages, and is lost with its connection.
        url = url or self._address(path, more)
        response = self._http.request(method, url, body, headers, repeat=False)
        if not 200 <= response.status < 300:
            raise response.error()
        return response

    def _fetch(self, *args: Any, **kwargs: Any) -> bytes:
        """The whole body that answers a request; see `_request`."""
        return self._request(*args, **kwargs).read(self.max_answer)

    def _wait_wanted(self) -> None:
        """Park the reader while the client takes nothing. What it has handed to the hub is there before it
        looks."""
        gevent.sleep(0)
        while self._paused and not self._held:
            self._flowing.clear()
            self._flowing.wait()

    def _connect(self, path: str = "", more: Mapping[str, Any] | None = None) -> Any:
        """Open a WebSocket. Blocks.

        Returns:
            The `transports.websocket.WebSocketTransport`, to be started, and what came behind the handshake.

        Raises:
            ConnectError: or one of its kinds.
        """
        url = self._address(path, more)
        url.scheme = "wss" if self._client.address.secure else "ws"
        limit = 2 * self._client.options.max_length + SMALL_BYTES if self.frame_of_one else self.max_answer
        return open_websocket(self._client, url, max_length=limit)

    # -- steps of the session, in the hub

    def _adopt(self, transport: Any, early: bytes = b"", *, started: bool = False) -> None:
        """Let this WebSocket carry everything from now on."""
        if self._over:
            transport.abort()
            return
        self.transport = transport
        self.name = "websocket"
        if started:
            transport.hand_over(self)
        else:
            transport.start(self, early)
        if self._paused:
            transport.pause()
        while self._queue:
            transport.send(self._frame(self._queue.popleft().packet))
        self._size = 0
        self._writable.set()

    def _gives_up(self) -> bool:
        """Let go of a WebSocket over which the session has not come about. In the reader, blocks for a turn.

        Returns:
            False: it has, at the last moment; or nobody wants it any more.
        """
        self._later(self._disown)
        gevent.sleep(0)
        return not (self._opened or self._over)

    def _disown(self) -> None:
        if self._opened or self._over:
            return
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.hand_over(NOBODY)
            transport.abort()

    def _ready(self) -> None:
        """The session is open."""
        if self._over:
            return
        self._opened = True
        connection: Any = self  # what can be set in `Connection` is told here
        self._link.opened(connection)
        self._start_writer()  # heartbeats may have come before

    def _take(self, messages: Sequence[Raw]) -> None:
        """Hand messages to the client."""
        if self._over or not messages:
            return
        self._active = True
        limit = self._client.options.max_length
        for message in messages:
            if _length(message, limit) > limit:
                self._fail(
                    RemoteProtocolError(f"a message has more than {limit} bytes", status=413, close_code=1009)
                )
                return
        self._link.receive(messages)

    def _fail(self, error: BaseException, code: int | None = None) -> None:
        """Something went wrong, which is the end.

        Args:
            code: with which to say goodbye to a server that may hear it; None if it cannot.
        """
        if self._over:
            return
        self._over = True
        self._link.error(error)
        self._link.closed(False)
        self._queue.clear()
        if isinstance(error, RemoteProtocolError):
            code = error.close_code  # it is there, and does not know
        if code is not None:
            self._part(code)
        else:
            self._destroy()

    def _finish(self, clean: bool = True) -> None:
        """The server has ended it."""
        if self._over:
            return
        self._over = True
        self._link.closed(clean)
        self._destroy()

    def _destroy(self) -> None:
        """Nothing is left under way."""
        if self._destroyed:
            return
        self._destroyed = self._over = True
        self._timers.clear()
        self._queue.clear()
        self._size = 0
        for greenlet in (self._reader, self._writer):
            if greenlet is not None:
                greenlet.kill(block=False)
        self._http.close()
        self._writable.set()
        if self.transport is not None:
            self.transport.abort()
        self._link.gone()

    # -- the WebSocket as receiver reports; see `transports.base.Receiver`

    def receive(self, messages: Sequence[Raw]) -> None:
        """Frames have come."""
        try:
            for frame in messages:
                if self._over:
                    return
                self._receive_frame(frame)
        except Exception as error:  # noqa: BLE001 - what a server says may be nonsense
            self._fail(blamed(error))

    def closed(self, clean: bool) -> None:
        """The WebSocket has ended, and the session with it."""
        if self._opened:
            self._finish(clean)

    def gone(self) -> None:
        """Nothing is left of the WebSocket."""
        if self._opened or self._over:
            self._destroy()

    def __repr__(self) -> str:
        state = "over" if self._over else "open" if self._opened else "opening"
        return f"<{type(self).__name__} {self.name} {state}>"


class _TooLate(Exception):
    """The goodbye has taken its time."""


class _Nobody:
    """Whom a WebSocket reports to that nobody wants any more; see `transports.base.Receiver`."""

    def receive(self, messages: Sequence[Raw]) -> None: ...

    def closed(self, clean: bool) -> None: ...

    def gone(self) -> None: ...


NOBODY = _Nobody()


def blamed(error: Exception) -> PrimusError:
    """The error of a server whose words led to this one."""
    if isinstance(error, PrimusError):
        return error
    blamed = RemoteProtocolError(f"the server talks nonsense: {error!r:.200}")
    blamed.__cause__ = error
    return blamed


def _at_most(packet: Any) -> int:
    """Bytes of a packet, or a few more."""
    return len(packet) if isinstance(packet, bytes) or packet.isascii() else 4 * len(packet)


def _length(message: Raw, limit: int) -> int:
    """Bytes, where it matters: text has one to four for each character."""
    if isinstance(message, bytes) or len(message) > limit or message.isascii():
        return len(message)
    return len(message.encode("utf-8", "surrogatepass")) if len(message) * 4 > limit else len(message)
