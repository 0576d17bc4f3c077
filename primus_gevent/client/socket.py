"""The client as its user sees it, as the specification describes it for the browser's.

Where the specification is silent, the order and arguments of the events are those of our JavaScript client
(`library/js/primus.js`), with its names in Python's spelling and its durations in seconds.

Its parts, each upon the one before: `inbox` (what comes), `announcing` (events), `sending` (what goes),
`steps` (the connection), and here what its user asks of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from gevent import get_hub
from gevent.event import AsyncResult
from greenlet import getcurrent

from .. import plugins
from ..errors import ConnectTimeout, PluginError, ReadTimeout
from ..events import is_reserved
from ..inbox import NOTHING
from .address import DEFAULT_URL, Address
from .announcing import FORGET
from .options import ClientOptions
from .sending import CLOSED, OPEN, OPENING
from .steps import Steps

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CLIENT_EVENTS", "Socket"]

#: Events that only the client itself may emit, of both generations; plus ``incoming::*`` and ``outgoing::*``.
CLIENT_EVENTS = frozenset(
    {"readyStateChange", "reconnecting", "reconnected", "reconnect", "reconnect scheduled"}
    | {"reconnect timeout", "reconnect failed", "offline", "online", "timeout", "error", "close", "open"}
    | {"data", "end", "destroy"}
)


class Socket(Steps):
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

    #: Options of a class that was made for one server; see `bound`.
    defaults: ClassVar[Mapping[str, Any]] = {}

    @staticmethod
    def default_url() -> str:
        """The address where none is given."""
        return DEFAULT_URL

    def __init__(self, url: str | None = None, /, **options: Any) -> None:
        hub = get_hub()
        checked = ClientOptions.parse({**self.defaults, **options})
        super().__init__(checked, Address.parse(self.default_url() if url is None else url), hub)
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
        self._last_words.append((FORGET,))
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

    def __repr__(self) -> str:
        state = {OPENING: "opening", CLOSED: "closed", OPEN: "open"}[self.ready_state]
        if self.recovery.outage is not None:
            state = f"{state}, {self.recovery.outage!r}"
        elif not self._more:
            state = "ended"
        return f"<Socket {self.address} {self.options.transformer} {state}>"
