"""A server, its clients, and the time and the network between them, in one greenlet's hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlencode

import gevent
from werkzeug.test import Client as WerkzeugClient

from .client import Client, WorldClock
from .door import Door, WSGIApp
from .failures import Failures
from .virtual import VirtualTime

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..primus import Primus

__all__ = ["Browser", "Task", "Unfinished", "World"]

T = TypeVar("T")

LIMIT_SECONDS = 300.0  # virtual ones, that one call may take
PATIENCE_SECONDS = 0.05  # real ones
STEP_SECONDS = 0.001  # real ones, between two looks at something real


class Unfinished(AssertionError):
    """What a test waits for has not happened."""


class Task:
    """A function in a greenlet of its own; `World.start` makes them.

    Attributes:
        value: what it has returned.
        error: what it has raised instead.
        greenlet: its own.
    """

    def __init__(
        self,
        failed: Callable[[BaseException], None],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.awaited = True  # whoever has made it will raise its error
        self._failed = failed
        self.greenlet = gevent.spawn(self._run, function, args, kwargs)

    def _run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            self.value = function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            self.error = error
            if not self.awaited and not isinstance(error, gevent.GreenletExit):
                self._failed(error)

    def ready(self) -> bool:
        """Whether it has returned, or failed."""
        return bool(self.greenlet.dead)


class Browser(WerkzeugClient):
    """A client for HTTP requests, with a jar for cookies: werkzeug's own, in the time of its world.

    A request that waits, for a message or in `gevent.sleep`, lets virtual time pass until it is answered.
    """

    def __init__(self, world: World, app: WSGIApp) -> None:
        super().__init__(app)
        self._world = world

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """See `werkzeug.test.Client.open`. The whole answer is read, unless ``buffered`` is False.

        Raises:
            Unfinished: there is none within 300 virtual seconds.
        """
        kwargs.setdefault("buffered", True)
        return self._world.run(super().open, *args, **kwargs)


class World:
    """Tests a Primus in this process: real requests, real sparks and real clients, without any socket.

    ::

        with World(primus) as world:
            ann = world.connect()
            ann.write("hello")
            assert ann.read() == "hello"
            world.advance(60)  # heartbeats and time limits, in no time

    After each call the world has come to rest: everything has run that can run without time passing. Time is
    virtual and passes by `advance`, or when a call would have to wait. What the test's own greenlet waits for
    without the world, it waits for really, and virtual time passes with it. In greenlets that the world runs
    its calls wait in virtual time, as everything does there.

    What goes wrong in a handler, a listener, a middleware layer, or any greenlet that the application has
    spawned is raised by the call that has caused it.

    Args:
        primus: the server; it may be used by one world after the other.
        app: the WSGI application in front of it, if there is further middleware; ``primus`` itself otherwise.
        base_url: under which the clients find it.
        raise_errors: False only collects errors in `errors`; those of greenlets are printed as ever.
        dice: for the random delays of reconnecting clients, from 0 to 1.
        patience: real seconds that a call waits for files, threads and the network before it lets virtual
            time pass.

    Attributes:
        primus: the server.
        clients: all that were made here.
        errors: what went wrong in the application.
    """

    _all: ClassVar[list[World]] = []  # that are open: all of them hear of what goes wrong

    def __init__(
        self,
        primus: Primus,
        app: WSGIApp | None = None,
        *,
        base_url: str = "http://localhost",
        raise_errors: bool = True,
        dice: float = 0.5,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.primus = primus
        self.dice = dice
        self.patience = patience
        self.base_url = base_url
        self.raise_errors = raise_errors
        self.clients: list[Client] = []
        self.is_open = False
        self._app = primus if app is None else app
        hub: Any = gevent.get_hub()
        self._failures = Failures(hub, quiet=raise_errors)
        self.errors = self._failures.found
        self.door = Door(primus, self._app, self._failures.add)
        self._hub = hub
        self._time = VirtualTime.of(hub)
        self._began = 0.0
        self._Client: type[Client] | None = None  # made with the first of them, when the server is set up
        self._awaited = 0

    # -- beginning and end

    def open(self) -> Self:
        """Begin; ``with`` does it. Time is virtual from now on."""
        if self.is_open:
            raise RuntimeError("this world is open already")
        self._time = VirtualTime.of(self._hub)
        self._time.start()
        self._began = self._time.seconds
        self._awaited = self._active()
        self._failures.start()
        self.door.open()
        # If the server has sparks, its sweep sleeps really.
        self.primus._sweep.stop()
        if self.primus.connected:
            self.primus._sweep.start()
        self.is_open = True
        self._all.append(self)
        return self

    def close(self) -> None:
        """End all clients, and leave everything as it was; the server stays. ``with`` does it.

        Raises:
            Exception: what went wrong in the application and was not raised yet.
        """
        if not self.is_open:
            return
        raises, self.raise_errors = self.raise_errors, False  # or the first failure would leave the rest open
        try:
            for client in self.clients:
                client.silence(False)
                client.destroy()
            if not self.primus.connected:
                # Both begin anew with the next spark, and that may come in another thread.
                self.primus._sweep.stop()
                self.primus._dispatchers.dismiss()
            self._time.settle()
        finally:
            self.is_open = False
            self._all.remove(self)
            self.door.close()
            self._failures.stop()
            self._time.stop()
            self.raise_errors = raises
        self._raise()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is None:
            self.close()
            return
        self.raise_errors = False  # they would hide why the test has failed
        self.close()

    # -- clients

    def client(
        self,
        query: str | Mapping[str, Any] = "",
        *,
        url: str | None = None,
        browser: WerkzeugClient | None = None,
        environ: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Client:
        """A client of the server, which begins to connect with the next call, as `primus.Socket` does.

        Args:
            query: of its address: a text, or a mapping.
            url: its address, instead of ``base_url``.
            browser: whose cookies its handshake carries: a client of werkzeug or Flask, or one of `browser`.
                What the answer sets goes there too.
            environ: keys for the WSGI environ of its handshake, ``REMOTE_ADDR`` for example.
            **options: of `primus_gevent.client.ClientOptions`, ``headers`` for example. Those that are not
                given are as of `Primus.Socket`: they fit this server.

        Raises:
            OptionError: one of them cannot be used.
        """
        self._check_open()
        if browser is not None and "cookies" in options:
            raise TypeError("a browser brings its own cookies: set them there")
        address = url or self.base_url
        text = query if isinstance(query, str) else urlencode(query, doseq=True)
        if text:
            address = f"{address}{'&' if '?' in address else '?'}{text.lstrip('?')}"
        if self._Client is None:
            # `Client` first: its methods call those of `Socket`.
            members = {"world": self, "make_clock": staticmethod(self._make_clock)}
            self._Client = type("Client", (Client, self.primus.Socket), members)
        client = self._Client(address, browser=browser, environ=environ, **options)
        self.clients.append(client)
        return client

    def _make_clock(self, hub: Any) -> WorldClock:
        return WorldClock(hub, lambda: self.dice)

    def connect(self, query: str | Mapping[str, Any] = "", **options: Any) -> Client:
        """A client that is connected; see `client`. Lets time pass where the server's hooks do.

        What goes wrong with the first attempt is raised, and there will be no second one. How a client
        behaves that tries again is to be seen with `client`.

        Raises:
            UnexpectedResponse: the server refuses it; ``status``, ``reason``, ``headers`` and ``body`` tell.
            ConnectError: it finds no server (see `outage`), or not in time.
            OptionError: an option cannot be used.
        """
        client = self.client(query, **options)
        if client.options.manual:
            client.open()
        self._pass_until(lambda: client.is_open or client.last_error is not None, client)
        if not client.is_open:
            error = client.last_error
            assert error is not None
            client.destroy()
            raise error
        return client

    def browser(self) -> Browser:
        """A client for HTTP requests to the application, with cookies of its own."""
        self._check_open()
        return Browser(self, self._app)

    # -- time

    @property
    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._time.seconds - self._began

    def settle(self) -> None:
        """Run everything that can run without time passing. All other calls do it too.

        Raises:
            Restless: it has no end.
            Exception: what went wrong in the application.
        """
        self._check_open()
        if self.is_busy:
            gevent.sleep(0)
            return
        self._time.settle()
        self._raise()

    def advance(self, seconds: float) -> None:
        """Let so much time pass; whatever is due in it happens, in order.

        Raises:
            ValueError: time does not go backwards.
            Exception: what went wrong in the application; time stands where that happened.
        """
        self._check_open()
        if seconds < 0:
            raise ValueError(f"time does not go backwards, by {seconds} s")
        if self.is_busy:
            gevent.sleep(seconds)
            return
        end = self._time.seconds + seconds
        while self._time.step(end):
            self._raise()
        self._raise()

    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        """Call a function in a greenlet of its own, and settle.

        Returns:
            A task, which may go on. What it raises later is raised by the call that has caused it.

        Raises:
            Exception: what it has raised so far, or what went wrong in the application.
        """
        task = Task(self._failures.add, function, args, kwargs)
        self.settle()
        self._raise(task)
        task.awaited = False
        return task

    def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function that may wait, and let time pass until it has returned.

        Returns:
            What it has returned.

        Raises:
            Unfinished: it has not within 300 virtual seconds; it is killed.
            Exception: what it has raised, or what went wrong in the application.
        """
        self._check_open()
        if self.is_busy:
            return function(*args, **kwargs)
        task = Task(self._failures.add, function, args, kwargs)
        try:
            self._pass_until(task.ready, function, task)
        except BaseException:
            task.greenlet.kill(block=False)
            self._time.settle()
            raise
        value: T = task.value
        return value

    def _pass_until(self, ready: Callable[[], bool], what: Any, task: Task | None = None) -> None:
        end = self._time.seconds + LIMIT_SECONDS
        if self.is_busy:
            while not ready():
                gevent.sleep(STEP_SECONDS)
            return
        with self._time.held():
            self._time.settle()
            self._raise(task)
            while not ready():
                self._let_others_work(ready)
                if not ready() and not self._time.step(end):
                    raise Unfinished(f"{what!r} is not done within {LIMIT_SECONDS:g} virtual seconds")
                self._raise(task)

    def wait(self, condition: Callable[[], T], timeout: float = 5.0) -> T:
        """Wait really, with virtual time standing still: for a thread, a file, or another process.

        Args:
            condition: is called again and again.
            timeout: real seconds.

        Returns:
            What it has returned, once that is true.

        Raises:
            Unfinished: it was not in time.
        """
        self._check_open()
        deadline = time.monotonic() + timeout
        with self._time.held():
            while True:
                self.settle()
                value = condition()
                if value:
                    return value
                if time.monotonic() >= deadline:
                    raise Unfinished(f"{condition!r} was not true within {timeout:g} s; it is {value!r}")
                self._time.pause(STEP_SECONDS)

    @property
    def is_busy(self) -> bool:
        """Whether a call of another greenlet is under way, so that whoever asks runs because of it."""
        return self._time.is_held_elsewhere

    def _active(self) -> int:
        """How many descriptors and threads gevent waits for."""
        pool = self._hub._threadpool  # by `threadpool` there would be one
        return int(self._time.loop.activecnt) + (0 if pool is None else len(pool))

    def _let_others_work(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.patience
        while self._active() > self._awaited and not ready() and time.monotonic() < deadline:
            self._time.pause(STEP_SECONDS)
            self._time.settle()

    def _raise(self, task: Task | None = None) -> None:
        # What has gone wrong in the application comes first: whatever the caller got follows from it.
        error = self._failures.next() if self.raise_errors else None
        if error is not None:
            for world in self._all:
                world._failures.forget(error)
            raise error
        if task is not None and task.error is not None:
            raise task.error

    def _check_open(self) -> None:
        if not self.is_open:
            raise RuntimeError("this world is not open: use it as `with World(primus) as world`")

    # -- the network

    @contextmanager
    def outage(self, kind: Literal["refused", "silent"] = "refused") -> Iterator[None]:
        """The server is out of reach for all clients inside the block.

        Args:
            kind: ``refused``: connections are cut, and nothing listens, as when its process has died.
                ``silent``: the network swallows everything, and only time limits find out.
        """
        self._check_open()
        if kind not in ("refused", "silent"):
            raise ValueError(f"an outage is 'refused' or 'silent', not {kind!r}")
        pipes = [client._pipe for client in self.clients if client._pipe is not None]
        self.door.outage = kind
        for pipe in pipes:
            pipe.cut() if kind == "refused" else pipe.set_silent(True)
        self.settle()
        try:
            yield
        finally:
            self.door.outage = None
            for pipe in pipes:
                pipe.set_silent(False)
            if self.is_open:
                self.settle()

    def __repr__(self) -> str:
        state = f"{self.time:.3f} s" if self.is_open else "closed"
        return f"<World {state} {len(self.clients)} clients, {self.primus!r}>"
