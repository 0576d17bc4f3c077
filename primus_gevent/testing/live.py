"""A server for real: a port of this machine, and a thread that serves it whatever the test does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import gevent
from gevent import monkey
from gevent.event import Event

from ..hosts.server import make_server

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..primus import Primus
    from .door import WSGIApp

__all__ = ["LiveServer"]

T = TypeVar("T")

START_SECONDS = 10.0
CALL_SECONDS = 30.0

# Of the operating system, also where `threading` is monkey-patched: the test may block as it likes.
_start_thread = monkey.get_original("_thread", "start_new_thread")
_make_lock = monkey.get_original("_thread", "allocate_lock")


class _Outcome:
    """What another thread has to say."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self._lock = _make_lock()
        self._lock.acquire()

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self.value = function(*args)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self.error = error
        self._lock.release()

    def get(self, seconds: float) -> Any:
        if not self._lock.acquire(timeout=seconds):
            raise TimeoutError(f"the server has not answered within {seconds:g} s")
        if self.error is not None:
            raise self.error
        return self.value


class LiveServer:
    """Serves an application at a free port of 127.0.0.1, in a thread with a hub of its own.

    So a test may run a browser, Node or anything else that blocks. The Primus belongs to that thread from
    then on: `call` what concerns its sparks. It is destroyed at the end.

    Args:
        primus: not served elsewhere.
        app: the WSGI application in front of it, if there is further middleware.

    Attributes:
        primus: the server's.
        port: that it has got.
        url: its address, for clients.
    """

    def __init__(self, primus: Primus, app: WSGIApp | None = None) -> None:
        self.primus = primus
        self.port = 0
        self._app = primus if app is None else app
        self._hub: Any = None
        self._stop: Any = None
        self._ended = _Outcome()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Serve; ``with`` does it. Blocks until the server listens.

        Raises:
            OSError: there is no port.
        """
        started = _Outcome()
        _start_thread(self._ended.run, (self._serve, (started,)))
        self.port = started.get(START_SECONDS)
        return self

    def stop(self) -> None:
        """Destroy the Primus, and end the thread; ``with`` does it. Blocks until that is done."""
        if self._hub is not None:
            self._hub.loop.run_callback_threadsafe(self._stop.set)
            self._hub = None
            self._ended.get(CALL_SECONDS)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a greenlet of the server's thread, ``server.call(primus.write, "hello")`` for
        example. Blocks this thread until it has returned, for 30 s at most.

        Raises:
            TimeoutError: it has not.
            RuntimeError: the server does not run.
            Exception: what it has raised.
        """
        if self._hub is None:
            raise RuntimeError("this server does not run: use it as `with LiveServer(primus) as server`")
        outcome = _Outcome()
        self._hub.loop.run_callback_threadsafe(gevent.spawn, outcome.run, function, args)
        value: T = outcome.get(CALL_SECONDS)
        return value

    def _serve(self, started: _Outcome) -> None:
        self._hub = hub = gevent.get_hub()
        self._stop = Event()
        started.run(self._listen, ())
        if started.error is None:
            self._stop.wait()
            self.primus.destroy()
        hub.destroy(destroy_loop=True)

    def _listen(self) -> int:
        if self._app is self.primus:
            server = self.primus.listen(0, "127.0.0.1")
        else:
            server = self.primus.server = make_server(("127.0.0.1", 0), self._app)
            server.start()
        return int(server.server_port or 0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
