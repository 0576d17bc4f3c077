"""The client: state, events, queue and transforms, as the specification describes them for the browser's.

Where the specification is silent, the order and arguments of the events are those of our JavaScript client
(`library/js/primus.js`), with its names in Python's spelling and its durations in seconds.

State only changes in single steps that never wait. A step that the hub takes (the transport reports, a timer
fires) starts the listeners of its events at once, and each runs to its first blocking call before the step
goes on: a listener may end or reopen the client, and the step looks whether it did. A step that a greenlet
takes (it calls `open` or `end`) changes the state at once too, and its listeners start when the hub runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from gevent import get_hub, monkey
from gevent.event import AsyncResult, Event
from greenlet import getcurrent

from .. import plugins
from ..errors import (
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    OptionError,
    ParserError,
    PluginError,
    PrimusError,
    ReadTimeout,
    RemoteProtocolError,
    UnexpectedResponse,
)
from ..events import is_reserved
from ..inbox import NOTHING, Inbox
from ..protocols import primus as own
from ..transforms import DIRECTIONS, Packet, Transform, Turns, apply
from ..transports.base import Connection
from . import transports
from .address import DEFAULT_URL, Address, UrlParts, query_of
from .heartbeat import Heartbeat
from .link import Link
from .messages import Messages
from .network import Network
from .options import ClientOptions
from .recovery import Outage, Recovery
from .timers import Clock, HubClock, Timers

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CLIENT_EVENTS", "Socket"]

F = TypeVar("F", bound=Callable[..., Any])

#: Events that only the client itself may emit, of both generations; plus ``incoming::*`` and ``outgoing::*``.
CLIENT_EVENTS = frozenset(
    {"readyStateChange", "reconnecting", "reconnected", "reconnect", "reconnect scheduled"}
    | {"reconnect timeout", "reconnect failed", "offline", "online", "timeout", "error", "close", "open"}
    | {"data", "end", "destroy"}
)

OPENING, CLOSED, OPEN = 1, 2, 3

# With an answer like these the server has decided: asking again in a second changes nothing.
REFUSALS = (401, 403)

# In the place of an event: after those before it the listeners are removed.
_FORGET = ""

_thread_id = monkey.get_original("_thread", "get_ident")


class Socket(Inbox):
    """A client of a Primus server. It lives in the gevent hub of the thread that makes it.

    It begins to connect as soon as that hub runs, so there is time to attach listeners first. Its heartbeats
    and reconnects need the hub to run too: a thread that computes for long, without a blocking call of
    gevent's, loses its connection.

    Args:
        url: scheme (``http``, ``https``, ``ws``, ``wss``), host, and maybe port, user and password, query.
            The path is the option `pathname`.
        **options: see `primus_gevent.client.options.ClientOptions`.

    Attributes:
        options: the checked options.
        address: the server.
        ready_state: `OPENING` (1), `CLOSED` (2) or `OPEN` (3).
        online: false from ``offline`` (a heartbeat was not answered) to ``online``.
        latency: seconds; of opening the connection at first, then of the last of our pings.
        socket: the transport's own connection while there is one, for example
            ``client.socket.close(4000, "reason")``.
        clean: after the end of a connection, whether one of the two sides said goodbye.
        last_error: why there was no connection, the last time that there was none.
        buffer: messages that wait for the connection.
        network: how it reaches the server, with its cookies.

    Raises:
        OptionError: an option is unknown or cannot be used, or ``url`` is no address of a server.
        OSError: a file of the TLS options cannot be read.
        UnknownNameError: there is no such transformer or parser.
        PluginError: a plugin cannot be used.
    """

    OPENING = OPENING
    CLOSED = CLOSED
    OPEN = OPEN

    _KIND = "client"

    #: Options of a class that was made for one server; see `bound`.
    defaults: ClassVar[Mapping[str, Any]] = {}

    @staticmethod
    def default_url() -> str:
        """The address where none is given."""
        return DEFAULT_URL

    make_clock: ClassVar[Callable[[Any], Clock]] = HubClock

    def __init__(self, url: str | None = None, /, **options: Any) -> None:
        hub = get_hub()
        self.options = ClientOptions.parse({**self.defaults, **options})
        self._messages = Messages(self.options)
        super().__init__(self._messages, hub)
        self.address = Address.parse(self.default_url() if url is None else url)
        self.clock: Clock = type(self).make_clock(hub)
        self.timers = Timers(self.clock)
        self.recovery = Recovery(self)
        self.heartbeat = Heartbeat(self)
        self.network = Network(self.address, self.options)
        self.ready_state = CLOSED
        self.online = True
        self.latency = 0.0
        self.socket: Any = None
        self.clean = True
        self.last_error: BaseException | None = None
        self.buffer: deque[Any] = deque()
        self._thread = _thread_id()
        self._ready = True
        # Somebody wants a connection: true from `open` to the end.
        self._wanted = not self.options.manual
        # The server said that the next end of the transport is final.
        self._final = False
        self._hung_up = False
        self._destroyed = False
        self._link: Link | None = None
        self._started = 0.0
        self._urls = 0
        self._turns = Turns()
        self._questions: set[Any] = set()  # who waits for an id
        self._asked: Link | None = None  # the connection over which it was asked for; None: the queue asks
        self._announcements: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._last_words: deque[tuple[Any, ...]] = deque()
        self._settled: Any = Event()  # set while it is open, and after its end
        self._ended: Any = Event()  # set after its end
        self._make_transport = transports.load(self.options.transformer)
        self._make_transport.check(self.options)
        self.ark: dict[str, Any] = {}
        self._use_plugins(self.options.plugin)
        if self._wanted:
            self.timers.set("open", 0.0, self.open)

    @classmethod
    def bound(cls, options: Mapping[str, Any], default_url: Callable[[], str] | None = None) -> type[Self]:
        """A class whose clients have these options and this address, where they are given no others.

        Raises:
            OptionError: one of them cannot be used.
        """
        ClientOptions.parse({**cls.defaults, **options})
        members: dict[str, Any] = {"defaults": {**cls.defaults, **options}}
        if default_url is not None:
            members["default_url"] = staticmethod(default_url)
        return type("Socket", (cls,), members)

    # -- what it is

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self.ready_state == OPEN

    @property
    def writable(self) -> bool:
        """Whether `write` would accept a message: to send it now, or when there is a connection."""
        return not self._destroyed

    @property
    def dropped_counts(self) -> Mapping[str, int]:
        """What was dropped, by name, and how often."""
        return self._messages.dropped_counts

    @property
    def parser(self) -> Any:
        """What encodes and decodes: with ``encoder(data)`` and ``decoder(raw)``."""
        return self._messages.parser

    def reserved(self, event: str) -> bool:
        """Whether ``event`` is Primus's own, and so not for users to emit."""
        return is_reserved(event, CLIENT_EVENTS)

    def id(self, fn: Callable[[str], Any] | None = None, timeout: float | None = None) -> str | None:
        """The id of our spark, which changes with every connection.

        Args:
            fn: is called with it, and this returns at once with None; without ``fn`` this waits for it.
            timeout: seconds to wait; None waits for ever.

        Raises:
            ReadTimeout: the server has not told it in time.
            ConnectionClosed: there is no connection any more.
        """
        self._check_thread()
        if fn is None and not self._more:
            raise self._closed_error()
        answer: Any = AsyncResult()
        known = getattr(self.socket, "id", None)
        if known:
            answer.set(known)
        else:
            self._questions.add(answer)
            answer.rawlink(self._questions.discard)
            self.once("incoming::id", answer.set)
            self._ask_id()
        if fn is not None:
            answer.rawlink(lambda result: self._messages.run(fn, result.value))
            return None
        if not known:
            self._await(answer, timeout)
        found: str = answer.get()
        return found

    def _await(self, answer: Any, timeout: float | None) -> None:
        failed = lambda *_: answer.set_exception(self._closed_error())  # noqa: E731
        self.once("end", failed)
        try:
            answer.wait(timeout)
            if not answer.ready():
                raise ReadTimeout("the server did not answer in time")
        finally:
            self._questions.discard(answer)
            self.off("end", failed)
            self.off("incoming::id", answer.set)

    def _ask_id(self) -> None:
        self._asked = self._link if self._carries else None
        self._send(own.ASK_ID)

    # -- plugins; specification, "Plugins"

    def _use_plugins(self, given: Mapping[str, Any] | Sequence[str]) -> None:
        named = given if isinstance(given, Mapping) else {name: name for name in given}
        for name, plugin in named.items():
            loaded = plugins.load(name, plugin)
            self.ark[name] = loaded.given
            if loaded.python_client is None:
                continue
            try:
                loaded.python_client(self, self.options)
            except Exception as error:
                raise PluginError(
                    f"the Python client side of plugin {name!r} failed: {error}", name
                ) from error

    def plugin(self, name: str) -> Any:
        """What was given as the plugin of that name, or None."""
        return self.ark.get(name)

    # -- transforms; specification, "Transforming and intercepting messages"

    @overload
    def transform(self, direction: str) -> Callable[[F], F]: ...
    @overload
    def transform(self, direction: str, fn: F) -> F: ...
    def transform(self, direction: str, fn: Any = None) -> Any:
        """Let every message pass ``fn(packet)`` on its way; without ``fn`` this is a decorator.

        It changes ``packet.data``, or returns ``False`` to swallow the message; it may block. ``fn(packet,
        next)`` is waited for until it calls ``next()``, ``next(error)`` or ``next(None, False)``. What it
        raises is an ``error`` event, and the message is dropped.

        Args:
            direction: ``incoming`` or ``outgoing``.

        Raises:
            OptionError: another direction.
        """
        if direction not in DIRECTIONS:
            raise OptionError(f"a message is {' or '.join(DIRECTIONS)}, not {direction!r}", "transform")

        def add(function: Any) -> Any:
            transform = Transform(function, self.options.transform_timeout)
            setattr(self._messages, direction, (*getattr(self._messages, direction), transform))
            return function

        return add if fn is None else add(fn)

    def untransform(self, direction: str, fn: Callable[..., Any]) -> bool:
        """Take back a `transform`; tell whether it was there. Messages that are in it already go on.

        Raises:
            OptionError: another direction.
        """
        if direction not in DIRECTIONS:
            raise OptionError(f"a message is {' or '.join(DIRECTIONS)}, not {direction!r}", "transform")
        before = getattr(self._messages, direction)
        rest = tuple(transform for transform in before if transform.function != fn)
        setattr(self._messages, direction, rest)
        return len(rest) < len(before)

    # -- opening and ending, the user's side

    def open(self) -> Self:
        """Connect; only with the option `manual`, or after the end. Returns at once: see `wait_open`."""
        self._check_thread()
        if self._destroyed:
            return self
        self._wanted = self._more = True
        self._hung_up = False
        self._ended.clear()
        self.recovery.reset()
        self.timers.clear()
        self.timers.set("connect", self.options.timeout, self._timed_out)
        self.announce("outgoing::open")
        self._connect()
        return self

    def wait_open(self, timeout: float | None = None) -> Self:
        """Park the caller until there is a connection.

        Args:
            timeout: seconds to wait; None waits for ever, or for the end.

        Raises:
            ConnectTimeout: there was none in time; the client goes on trying.
            ConnectionClosed: it has ended; the reason is the ``__cause__``.
        """
        self._check_thread()
        deadline = None if timeout is None else monotonic() + timeout
        while not self.is_open:
            if not self._more:
                raise self._closed_error()
            if not self._settled.wait(None if deadline is None else max(deadline - monotonic(), 0)):
                error = ConnectTimeout(
                    f"no connection to {self.address} within {timeout} s", str(self.address)
                )
                raise error from self.last_error
        return self

    def wait_end(self, timeout: float | None = None) -> bool:
        """Park the caller until the client has ended for good: what a program that only listens does.

        Args:
            timeout: seconds to wait; None waits for ever.

        Returns:
            Whether it has ended.
        """
        self._check_thread()
        return bool(self._ended.wait(timeout))

    def end(self, data: Any = NOTHING) -> bool:
        """Close for good, after writing ``data`` if there is any; only `open` brings a connection again.

        Parks the caller until what was written has left and the connection is closed, for the option
        `close_timeout` at most. What is unread is dropped.

        Returns:
            False when it had ended before.
        """
        self._check_thread()
        if not self._wanted:
            return False
        if data is not NOTHING:
            self.write(data)
        link = self._link
        self.clean = self._hung_up = True
        self._forget_inbox()
        self._end()
        if link is not None and getcurrent() is not self._hub:
            link.wait_gone(self.options.close_timeout + 1)
        return True

    def destroy(self) -> bool:
        """`end`, then remove all listeners. Nothing opens it again.

        Returns:
            False when that was done before.
        """
        self._check_thread()
        if self._destroyed:
            return False
        self._destroyed = True
        # Behind "end", which waits for a `data` listener that is still busy.
        self._last_words.append(("destroy",))
        self._last_words.append((_FORGET,))
        if not self.end():
            self._stop()  # it may never have begun
            if not self._dispatching:
                self._say_last_words()
        self.buffer.clear()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    # -- sending

    def write(self, data: Any) -> bool:
        """Send one message, or keep it until there is a connection.

        Parks the caller while more than the option `write_buffer` waits for the server to take it, or while
        an outgoing transform does.

        Returns:
            True when it was accepted, also when a transform has swallowed it; False after `destroy`, or when
            it could not be transformed or encoded, which is an ``error`` event.
        """
        if self._destroyed:
            return False
        self._check_thread()
        if self._messages.outgoing:
            return self._write_transformed(data)
        return self._send(data)

    def _write_transformed(self, data: Any) -> bool:
        # A transform may block, and messages leave in the order in which they were written.
        with self._turns:
            packet = Packet(data, spark=self)
            try:
                passed = apply(self._messages.outgoing, packet)
            except Exception as error:  # noqa: BLE001
                self._fail("an outgoing transform", error)
                return False
            return self._send(packet.data) if passed else True

    def _send(self, data: Any) -> bool:
        """Without the transforms: Primus's own messages come here directly."""
        if self.buffer and self._carries:
            # An `open` listener may write before the queue was sent: it goes first.
            self._flush()
        if not self._carries:
            self._enqueue(data)
            return True
        return self._encode_and_send(data)

    @property
    def _carries(self) -> bool:
        # A connection that was dropped for its silence is gone before the state says so.
        return self.ready_state == OPEN and self.socket is not None

    def _enqueue(self, data: Any) -> None:
        limit = self.options.queue_size
        while self.buffer and len(self.buffer) >= limit:
            self.buffer.popleft()
            self._messages.dropped("queued messages")
        if limit > 0:
            self.buffer.append(data)

    def _flush(self) -> None:
        with self._turns:
            while self.buffer and self._carries:
                self._encode_and_send(self.buffer.popleft())

    def _encode_and_send(self, data: Any) -> bool:
        try:
            payload = self._messages.encode(data)
            socket = self.socket
            if socket is None:  # a parser that waits, and meanwhile the connection was lost
                self.buffer.appendleft(data)
                return True
            socket.send(payload)
        except Exception as error:  # noqa: BLE001
            failure = ParserError(f"Failed to encode outgoing data: {error}", data)
            failure.__cause__ = error
            self._fail("parser", failure)
            return False
        if self.watched:
            self._note("outgoing::data", payload)
        if socket.full:
            socket.wait_writable()
        return True

    def send_own(self, message: str) -> None:
        """Send a message of Primus's own; it is of no use later. Never blocks."""
        socket = self.socket
        if not self._carries:
            return
        if socket.full:
            self._messages.dropped("heartbeats")
            return
        self._messages.run(self._send_own, socket, message)  # a parser may wait

    def _send_own(self, socket: Any, message: str) -> None:
        try:
            payload = self._messages.encode(message)
            if self.socket is socket:
                socket.send(payload)
        except Exception as error:  # noqa: BLE001 - not every parser can carry such a text
            failure = ParserError(f"Failed to encode {message[:32]!r}: {error}", message)
            failure.__cause__ = error
            self._fail("parser", failure)
            return
        if self.watched:
            self._note("outgoing::data", payload)

    # -- what `Inbox` wants to know

    def _pause(self) -> None:
        if self.socket is not None:
            self.socket.pause()

    def _resume(self) -> None:
        if self.socket is not None:
            self.socket.resume()

    def _keeps(self) -> bool:
        return not self._hung_up

    def _closed_error(self) -> ConnectionClosed:
        error = ConnectionClosed(f"the client of {self.address} has ended", clean=self.clean)
        error.__cause__ = self.last_error
        return error

    def _drained(self) -> None:
        self._say_last_words()

    def _consumed(self, message: str) -> bool:
        command, value = own.parse(message) or ("", "")
        if command == "ping":
            self.announce("incoming::ping", value)
            self.heartbeat.answer(value)
        elif command == "pong":
            self.heartbeat.pong(value)
            self.announce("incoming::pong", value)
        elif command == "server":
            if value == "close":
                self._take_final()
        elif command == "id":
            self.announce("incoming::id", value)
        else:
            return False  # unknown ones are messages like any other, as in every generation
        return True

    def _take_final(self) -> None:
        """The server said that the next end is final."""
        self._final = True
        # With a parser that calls back later it is read behind that end: then nothing more is to be planned.
        if self.recovery.waiting:
            self._end()

    def _fail(self, what: str, error: BaseException) -> None:
        """A message was dropped or a ``data`` listener raised: tell, and live on."""
        self._messages.report(self, what, error)
        self.announce("error", error)

    # -- events

    def announce(self, event: str, *args: Any) -> None:
        """Emit an event: in the hub its listeners have started when this returns, elsewhere they start soon,
        in order."""
        if getcurrent() is not self._hub:
            if not self._announcements:
                self._hub.loop.run_callback(self._catch_up)
            self._announcements.append((event, args))
            return
        if self._announcements:
            self._catch_up()
        self._start_listeners(event, args)

    _note = announce

    def _catch_up(self) -> None:
        while self._announcements:
            self._start_listeners(*self._announcements.popleft())

    def _start_listeners(self, event: str, args: tuple[Any, ...]) -> None:
        if event == _FORGET:
            self.remove_all_listeners()
            return
        for listener in self._registered(event):
            if self._claim(event, listener):
                self._messages.run(self._call, event, listener, *args)

    def _say_last_words(self) -> None:
        while self._last_words:
            self.announce(*self._last_words.popleft())

    def _change_state(self, state: int, name: str) -> None:
        if self.ready_state != state:
            self.ready_state = state
            if state == CLOSED:
                self.socket = None
            if state != OPEN and self._more:
                self._settled.clear()
            self.announce("readyStateChange", name)

    # -- steps of the connection; a listener may end or reopen the client at every event

    def uri(self, **changes: Any) -> UrlParts:
        """What a transport requests: listeners of ``outgoing::url`` edit the parts first. ``_primuscb`` keeps
        caches away, and comes after them.

        Args:
            **changes: parts that the transport wants otherwise.
        """
        address = self.address
        parts = UrlParts(
            address.scheme,
            address.host,
            address.port,
            self.options.pathname,
            address.query,
            address.username,
            address.password,
        )
        for name, value in changes.items():
            setattr(parts, name, value)
        self.announce("outgoing::url", parts)
        number = f"{int(self.clock.now() * 1000)}-{self._urls}"
        self._urls += 1
        parts.query = query_of(parts.query, {"_primuscb": number})
        return parts

    def reopen(self) -> None:
        """Try again to connect. Called by the recovery."""
        self.announce("outgoing::open")
        self._connect()

    def _connect(self) -> None:
        self._change_state(OPENING, "opening")
        # What is left of an earlier connection.
        self._drop()
        if self._link is not None or not self._wanted:
            return  # a listener ended or reopened the client
        self._final = False
        self._started = self.clock.now()
        link = self._link = Link(self)
        if getcurrent() is self._hub:
            self._start(link)
        else:
            self._hub.loop.run_callback(self._start, link)

    def _start(self, link: Link) -> None:
        if self._announcements:
            self._catch_up()
        if not link.current:
            return
        try:
            link.transport = self._make_transport(self, link)
            link.transport.open()
        except Exception as error:  # noqa: BLE001 - told to whoever listens
            link.error(error)
            link.closed(False)
            return
        if self._link is not link:  # a listener of `outgoing::url` ended the client
            link.close()

    def _drop(self) -> None:
        """Let go of the transport, which then has no say any more."""
        link, self._link = self._link, None
        self.socket = None
        if link is not None:
            link.close()
        self.announce("outgoing::end")

    def let_go(self) -> None:
        """Let go of the transport without a word to the public, except that the state changes."""
        self._drop()
        self._change_state(CLOSED, "end")

    def _opened(self, connection: Connection) -> None:
        link = self._link
        self.socket = connection
        self.last_error = None
        self.latency = max(self.clock.now() - self._started, 0.0)
        self.timers.clear("connect")
        outage = self.recovery.succeed()
        if self._choked:
            connection.pause()
        self.announce("incoming::open")
        if not self.online and self._link is link:
            self.online = True
            self.announce("online")
        if self._link is not link:
            return
        self._change_state(OPEN, "open")
        if self._link is not link:
            return
        self._settled.set()
        self.announce("open")
        if outage is not None and self._link is link:
            self.announce("reconnected", outage)
        if self._link is link:
            self.heartbeat.start()
            if self._questions and self._asked is not None:
                self._ask_id()  # the answer was lost with the connection before
            self._asked = link
            if self.buffer:
                self._messages.run(self._flush)

    def _failed(self, error: BaseException) -> None:
        """An error of an open connection says nothing about its end: the transport reports that too."""
        link = self._link
        self.last_error = error
        self.announce("incoming::error", error)
        if self._link is not link or self.recovery.waiting:
            return
        if self.recovery.attempting:
            self.recovery.schedule()
            return
        connecting = self.ready_state == OPENING
        self.announce("error", error)
        if connecting and self._link is link:
            self._never_opened(error)

    def _closed_below(self, clean: bool) -> None:
        link = self._link
        before = self.ready_state
        self.clean = clean
        if before == OPEN and not clean:
            self._note_loss()
        self.announce("incoming::end")
        if self._link is not link:
            return
        if self._final:
            self._end()
            return
        self._change_state(CLOSED, "end")
        if self._link is not link or not self._wanted or self.recovery.waiting:
            return
        if self.recovery.attempting:
            self.recovery.schedule()
        elif before == OPENING:
            self._never_opened(None)
        elif before == OPEN:
            self._reconnect_or_end(link)

    def _note_loss(self) -> None:
        """Keep why an open connection has ended without a goodbye; that the server broke the protocol, with
        a message beyond `max_length` for example, is an ``error`` too."""
        failure = getattr(self.socket, "failure", None)
        if failure is not None:
            self.last_error = RemoteProtocolError(failure.reason, close_code=failure.code)
            self.announce("error", self.last_error)
        elif self.last_error is None:  # otherwise it was told: no heartbeat, or an error of the transport
            self.last_error = ConnectError(f"the connection to {self.address} was lost", str(self.address))

    def _reconnect_or_end(self, link: Link | None) -> None:
        """Specification, `disconnect`: reconnect after an unintentional disconnect."""
        self.timers.clear()
        self.announce("close")
        if self._link is not link or not self._wanted:
            return
        if "disconnect" in self.options.strategy:
            self.recovery.schedule()
            return
        self._wanted = False
        self._drop()
        self._finish()

    def _never_opened(self, error: BaseException | None) -> None:
        """Specification, `timeout`: reconnect when the initial connection could not be made.

        It advises against that with authorization, because its client cannot tell a refusal from a failure.
        Ours can, and does not insist.
        """
        self.timers.clear("connect")
        refused = isinstance(error, UnexpectedResponse) and error.status in REFUSALS
        if "timeout" in self.options.strategy and not refused:
            self.recovery.schedule()
        else:
            self._end()

    def _timed_out(self) -> None:
        link = self._link
        message = f"no connection to {self.address} within {self.options.timeout} s"
        self.last_error = ConnectTimeout(message, str(self.address))
        self.announce("timeout")
        if self._link is not link:
            return
        if "timeout" in self.options.strategy:
            self.let_go()
        self._never_opened(None)

    def lost(self) -> None:
        """A heartbeat was not answered. The connection may still look alive: it is dropped here, so that
        nothing late arrives from it."""
        self.last_error = ConnectError(f"{self.address} does not answer any more", str(self.address))
        self._drop()
        if self.online:
            self.online = False
            self.announce("offline")
        # Unless a listener ended it.
        if self.ready_state == OPEN:
            self._closed_below(clean=False)

    def give_up(self, error: PrimusError, outage: Outage) -> None:
        """All attempts to reconnect were in vain. Called by the recovery."""
        self._wanted = False
        self.last_error = error
        self.let_go()
        self._finish(("reconnect failed", error, outage))

    def _end(self) -> None:
        """For good: by us, by the server's last word, or for want of a reason to try again."""
        established = self.ready_state != CLOSED
        self._wanted = self._final = False
        self.recovery.reset()
        self.timers.clear()
        if established:
            self._change_state(CLOSED, "end")
            self._drop()
            self.announce("close")
        else:
            # There is nothing to close, only a plan: to open, or to reconnect.
            link, self._link = self._link, None
            if link is not None:
                link.close()
        self._finish()

    def _finish(self, *more: tuple[Any, ...]) -> None:
        """No message will come. The last events wait for `data` listeners that still have some to take."""
        self._stop()
        self._last_words.extendleft(reversed((("end",), *more)))
        self._start_flow()
        if not self._dispatching:
            self._say_last_words()

    def _stop(self) -> None:
        """Nobody is to wait any more: not to read, not for a connection, not for the end."""
        self._more = False
        self._settled.set()
        self._ended.set()
        self._stop_waiting()

    def _check_thread(self) -> None:
        if _thread_id() != self._thread:
            raise ConcurrencyError("a client belongs to the thread that made it; give each thread its own")

    def __repr__(self) -> str:
        state = {OPENING: "opening", CLOSED: "closed", OPEN: "open"}[self.ready_state]
        if self.recovery.outage is not None:
            state = f"{state}, {self.recovery.outage!r}"
        elif not self._more:
            state = "ended"
        return f"<Socket {self.address} {self.options.transformer} {state}>"
