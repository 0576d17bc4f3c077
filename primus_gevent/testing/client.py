"""A client in a world: the real `Socket`, with another network, and calls that let time pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import gevent
from greenlet import getcurrent
from werkzeug.test import Client as WerkzeugClient

from ..client import CLIENT_EVENTS, Socket
from ..client.timers import HubClock
from ..errors import ReadTimeout
from ..inbox import NOTHING

if TYPE_CHECKING:
    from ..client.address import UrlParts
    from ..client.link import Link
    from ..spark import Spark
    from .pipe import Pipe
    from .world import World

__all__ = ["Client", "NothingCame"]

#: The default of `Client.read`: by itself, as a default is. Where a test does not ask, there is no limit.
NO_TIME = float(0)

# Every change of the state has an event of its own name too, and every planned attempt has two.
UNTOLD = frozenset({"readyStateChange", "reconnect scheduled"})


class NothingCame(ReadTimeout, AssertionError):
    """There is no message for a client, and none will come unless time passes or somebody does something.

    It is a `ReadTimeout`, as of every client, and an `AssertionError`, because it usually means that a test
    has failed.
    """


class WorldClock(HubClock):
    """The clock of a client in a world; its dice are those of the world."""

    __slots__ = ("_dice",)

    def __init__(self, hub: Any, dice: Callable[[], float]) -> None:
        super().__init__(hub)
        self._dice = dice

    def random(self) -> float:
        return self._dice()


class Client(Socket):
    """A client in a `World`; `World.connect` and `World.client` make them.

    It has all that a `primus_gevent.Socket` has. In a test its methods differ in one point: where those of a
    `Socket` wait, these let the time of the world pass until what they wait for has happened, and return
    without any real waiting. `read` lets none pass unless it is told to. What goes wrong in a handler
    meanwhile is raised (see `World`).

    In a listener, or in a greenlet that the test has spawned, they wait as usual.

    Attributes:
        events: what has happened, by the names of the events, in order, whether anybody listens or not;
            ``data`` only where there are listeners for it. Without ``readyStateChange``, and without
            ``reconnect scheduled``, which is ``reconnecting``.
        close_code, close_reason: what the server said at the end of the last connection that has ended
            (RFC 6455, 7.4); None before that, and when the connection was lost.
    """

    world: ClassVar[World]

    def __init__(
        self,
        url: str | None = None,
        /,
        *,
        browser: WerkzeugClient | None = None,
        environ: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.events: list[str] = []
        self.browser = browser
        self.environ = dict(environ or {})
        self._pipe: Pipe | None = None
        self._last_pipe: Pipe | None = None
        super().__init__(url, **options)
        self._make_transport = InProcess

    # -- what a test sees

    @property
    def spark(self) -> Spark:
        """The server's side of this connection, or of the last one there was.

        Raises:
            AssertionError: there was none yet.
        """
        spark: Spark | None = None if self._pipe is None else self._pipe.server.spark
        assert spark is not None, f"{self!r} has never been connected"
        return spark

    @property
    def close_code(self) -> int | None:
        ended = self._ended_pipe
        return None if ended is None else ended.client.close_code

    @property
    def close_reason(self) -> str:
        ended = self._ended_pipe
        return "" if ended is None else ended.client.close_reason

    @property
    def _ended_pipe(self) -> Pipe | None:
        return self._last_pipe if self.is_open else self._pipe

    def connected_by(self, pipe: Pipe) -> None:
        """There is a connection. Called by the transport."""
        self._last_pipe, self._pipe = self._pipe, pipe

    def announce(self, event: str, *args: Any) -> None:
        """See `Socket`."""
        self._record(event)
        super().announce(event, *args)

    _note = announce

    def _emit_data(self, message: Any, raw: Any) -> None:
        self._record("data")
        super()._emit_data(message, raw)

    def _record(self, event: str) -> None:
        if event in CLIENT_EVENTS and event not in UNTOLD:
            self.events.append(event)

    # -- the network

    def cut(self) -> None:
        """Break the connection, without a goodbye: both sides find out, and this one reconnects as its
        options say."""
        assert self._pipe is not None, f"{self!r} has never been connected"
        self._pipe.cut()
        self.world.settle()

    def silence(self, silent: bool = True) -> None:
        """Have the network swallow everything in both directions, so that only heartbeats find out.

        With False it is itself again, and what it has taken arrives. A new connection is not concerned.
        """
        if self._pipe is not None:
            self._pipe.set_silent(silent)
        self.world.settle()

    # -- what waits elsewhere lets time pass here

    def _let_pass(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._waits_itself():
            return function(*args)
        return self.world.run(function, *args)

    def _waits_itself(self) -> bool:
        return not self.world.is_open or self.world.is_busy or getcurrent() is gevent.get_hub()

    def write(self, data: Any) -> bool:
        """Send one message, and run everything that follows from it.

        Returns also where a `Socket` would wait because the server does not read; ``client.socket.full``
        tells. See `Socket.write`.
        """
        if self._waits_itself():
            return super().write(data)
        done = self.world.start(super().write, data)
        return bool(done.value) if done.ready() else True

    def read(self, timeout: float | None = NO_TIME) -> Any:
        """The next message, decoded; see `Socket.read`.

        Args:
            timeout: virtual seconds that may pass until it comes, none by default. None: as many as
                `World.run` allows.

        Raises:
            NothingCame: none has come.
            ConnectionClosed: the client has ended, and there is none left.
            ConcurrencyError: ``data`` listeners take the messages.
        """
        if self._waits_itself():
            return super().read(None if timeout is NO_TIME else timeout)
        try:
            return self.world.run(super().read, timeout)
        except ReadTimeout as error:
            self._nothing_came(timeout, error)

    def _nothing_came(self, timeout: float | None, error: ReadTimeout) -> NoReturn:
        within = f" within {timeout:g} s" if timeout else ""
        spark = None if self._pipe is None else self._pipe.server.spark
        raise NothingCame(
            f"no message has come to {self!r}{within}. What happened: {', '.join(self.events) or 'nothing'}; "
            f"the other side is {spark!r}"
        ) from error

    def read_all(self) -> list[Any]:
        """All messages that have come and were not read; no time passes. An empty list if there are none."""
        return list(self)

    def __iter__(self) -> Iterator[Any]:
        """The messages that have come; in a test that is all until time passes."""
        return self

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except NothingCame:
            raise StopIteration from None

    def wait_open(self, timeout: float | None = None) -> Any:
        """See `Socket.wait_open`; ``timeout`` are virtual seconds."""
        return self._let_pass(super().wait_open, timeout)

    def wait_end(self, timeout: float | None = None) -> bool:
        """See `Socket.wait_end`; ``timeout`` are virtual seconds."""
        return bool(self._let_pass(super().wait_end, timeout))

    def id(self, fn: Callable[[str], Any] | None = None, timeout: float | None = None) -> str | None:
        """See `Socket.id`; ``timeout`` are virtual seconds."""
        found: str | None = self._let_pass(super().id, fn, timeout)
        return found

    def end(self, data: Any = NOTHING) -> bool:
        """See `Socket.end`."""
        return bool(self._let_pass(super().end, data))

    def destroy(self) -> bool:
        """See `Socket.destroy`."""
        return bool(self._let_pass(super().destroy))


class InProcess:
    """A transport without a network; see `client.transports.ClientTransport`."""

    @classmethod
    def check(cls, options: Any) -> None:
        """Everything that the transformer's own transport takes is fine."""

    def __init__(self, client: Client, link: Link) -> None:
        self._client = client
        self._link = link
        self._opening: Any = None
        self._pipe: Pipe | None = None

    def open(self) -> None:
        url = self._client.uri(scheme="wss" if self._client.address.secure else "ws")
        self._opening = gevent.spawn(self._open, url)

    def _open(self, url: UrlParts) -> None:
        client = self._client
        loop = gevent.get_hub().loop
        try:
            self._pipe = client.world.door.knock(client, url, client.environ, client.browser)
        except Exception as error:  # noqa: BLE001 - whoever listens is told; the client goes on
            loop.run_callback(self._refused, error)
            return
        loop.run_callback(self._opened, self._pipe)

    def _refused(self, error: BaseException) -> None:
        self._link.error(error)
        self._link.closed(False)

    def _opened(self, pipe: Pipe) -> None:
        self._client.connected_by(pipe)
        pipe.client.start(self._link)
        self._link.opened(pipe.client)

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.client.close()
        elif self._opening is not None:
            self._opening.kill(block=False)
