"""`Primus`: a WSGI application around another one, and the owner of all sparks."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gevent
from gevent.event import Event
from greenlet import GreenletExit

from . import parsers, transformers
from .dispatchers import FAILURES, Dispatchers
from .errors import ConnectionClosed, OptionError, ParserError
from .events import SERVER_EVENTS, Emitter, Listener, is_reserved
from .heartbeat import Sweep
from .hosts import drain as drains
from .hosts.server import PrimusServer, make_server, tls_context
from .library import LibrarySettings, compile_library
from .middleware import Response, documents
from .options import Options
from .request import RequestRecord
from .spark import Spark as AnySpark
from .transports.base import Connection
from .version import __version__

__all__ = ["Primus"]

logger = logging.getLogger("primus_gevent")

DRAIN_BATCH = 100  # sparks that are ended before the others get a turn

WSGIApp = Callable[..., Iterable[bytes]]


def _not_found(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return Response(404, "Not Found")(environ, start_response)


class Primus(Emitter):
    """A real-time server and WSGI application in one.

    Args:
        app: the WSGI application (a Flask app, say) that answers what lies outside the pathname; without
            one such requests are answered 404.
        **options: see `primus_gevent.options.Options`.

    Attributes:
        options: the checked options.
        connected: how many sparks are open.
        dropped_counts: what was dropped, by name, and how often.
        Spark: the class of this server's sparks; it may be extended.
        server: the WSGI server that `listen` made.

    Raises:
        OptionError: an option is unknown or cannot be used.
    """

    Spark: type[AnySpark]

    def __init__(self, app: WSGIApp | None = None, **options: Any) -> None:
        super().__init__()
        self.options = Options.parse(options)
        self.connected = 0
        self.dropped_counts: Counter[str] = Counter()
        self.server: PrimusServer | None = None
        self.Spark = type("Spark", (AnySpark,), {"__slots__": ()})
        self._app = app or _not_found
        self._sparks: dict[str, AnySpark] = {}
        self._open_sockets = 0
        self._no_sockets: Event | None = None
        self._state: Literal["open", "draining", "destroyed"] = "open"
        self._max_connections = self.options.max_connections
        self._libraries: dict[str, str] = {}
        # What every message needs, looked up once.
        self._parser = parsers.load(self.options.parser)
        self.encode: Callable[[Any], str | bytes] = self._parser.encoder
        self.decode: Callable[[Any], Any] = self._parser.decoder
        self.inbox_messages = self.options.inbox_messages
        self.inbox_bytes = self.options.inbox_bytes
        self.trusted_proxies = self.options.trusted_proxies
        self.transformer = transformers.load(self.options.transformer)(self)
        self._dispatchers = Dispatchers()
        self.run = self._dispatchers.run
        self._sweep = Sweep(self._sparks.values, self.options.timeout, self.options.effective_ping_interval)
        self._warn_about_heartbeats()
        drains.register(self.drain)
        self._initialised = False

    # -- WSGI

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request: our own below the pathname, all others by the wrapped app."""
        path = environ.get("PATH_INFO", "")
        pathname = self.options.pathname
        if not path.startswith(pathname) or path[len(pathname) : len(pathname) + 1] not in ("", "/"):
            return self._app(environ, start_response)
        if self._state == "destroyed":
            return self._app(environ, start_response)
        self._announce()
        document = path[len(pathname) :]
        if document == "/primus.js":
            return self._serve_library(environ)(environ, start_response)
        if document == "/spec":
            return documents.spec(self.spec)(environ, start_response)
        answer: Iterable[bytes] = self.transformer(environ, start_response)
        return answer

    def init_app(self, app: Any) -> None:
        """Put this Primus in front of a Flask app: afterwards ``app`` itself serves both.

        Flask's application factories use it; run ``gunicorn -k gevent module:app``.
        """
        self._app = app.wsgi_app
        app.wsgi_app = self
        app.extensions["primus"] = self

    @property
    def spec(self) -> dict[str, Any]:
        """What ``/spec`` tells: enough to make a client. Durations in milliseconds, as on the wire."""
        options = self.options
        interval = options.effective_ping_interval
        return {
            "version": __version__,
            "pathname": options.pathname,
            "timeout": options.timeout and round(options.timeout * 1000),
            "pingInterval": interval and round(interval * 1000),
            "parser": options.parser if isinstance(options.parser, str) else "custom",
            "transformer": options.transformer,
        }

    # -- the client

    def library(self, format: Literal["script", "esm"] = "script") -> str:  # noqa: A002 - its public name
        """The JavaScript client as the text of one file, with this server's options compiled in.

        Args:
            format: ``script`` runs in a script tag, as AMD and as CommonJS module; ``esm`` is an ES module.

        Raises:
            OptionError: the parser is an object without ``library``, its half in JavaScript.
        """
        if format not in self._libraries:
            self._libraries[format] = compile_library(self._library_settings(), format=format)
        return self._libraries[format]

    def save(self, path: str | os.PathLike[str], format: Literal["script", "esm"] = "script") -> None:  # noqa: A002
        """Write `library` to a file, in UTF-8. Blocks while it writes.

        Raises:
            OSError: the file cannot be written.
        """
        Path(path).write_text(self.library(format), encoding="utf-8")

    def _library_settings(self) -> LibrarySettings:
        options = self.options
        named = isinstance(options.parser, str)
        if not named and not getattr(options.parser, "library", None):
            raise OptionError(
                "this parser has no `library`, its JavaScript half, so there is no client", "parser"
            )
        return LibrarySettings(
            version=__version__,
            pathname=options.pathname,
            global_name=options.global_name,
            transformer=options.transformer,
            parser=options.parser if named else "custom",
            parser_source=None if named else options.parser.library,
            timeout=options.timeout or None,
            ping_interval=options.effective_ping_interval or None,
        )

    def _serve_library(self, environ: dict[str, Any]) -> Response:
        wants: Literal["script", "esm"] = (
            "esm" if "format=esm" in environ.get("QUERY_STRING", "").split("&") else "script"
        )
        try:
            source = self.library(wants)
        except OptionError as error:
            return Response(404, str(error))
        return documents.library(source, environ)

    # -- sparks

    def spark(self, id: str) -> AnySpark | None:  # noqa: A002 - the specification's name
        """The open spark with that id."""
        return self._sparks.get(id)

    def __iter__(self) -> Iterator[AnySpark]:
        """The open sparks, as they are now: they may come and go meanwhile."""
        return iter(list(self._sparks.values()))

    def __len__(self) -> int:
        return len(self._sparks)

    def __bool__(self) -> bool:
        return True  # also without a spark

    def for_each(self, function: Callable[..., Any]) -> bool:
        """Call ``function(spark, id, sparks)`` for every open spark; ``False`` from it stops.

        Trailing parameters may be left out. Returns whether it went through to the end.
        """
        call = Listener(function)
        return all(call(spark, spark.id, self._sparks) is not False for spark in self if spark.writable)

    def write(self, data: Any) -> bool:
        """Send ``data`` to every spark, encoded and framed once. Never blocks.

        A spark that has more than ``write_buffer`` bytes waiting is handled by the option ``slow_consumer``.

        Returns:
            False when the message could not be encoded; that is logged, and nothing is sent.
        """
        try:
            payload = self.encode(data)
            return self._broadcast(payload)
        except Exception as error:  # noqa: BLE001
            failure = ParserError(f"Failed to encode outgoing data: {error}", data)
            failure.__cause__ = error
            logger.error("broadcast dropped: %s", failure)
            self.log("error", failure)
            return False

    def _broadcast(self, payload: str | bytes) -> bool:
        framed: dict[str, bytes] = {}
        slow = []
        for spark in self._sparks.values():
            connection = spark.socket
            if connection.full:
                slow.append(spark)
                continue
            framing = connection.framing
            if framing is None:
                connection.send(payload)
                continue
            if framing not in framed:
                framed[framing] = connection.prepare(payload)
            connection.send_prepared(framed[framing])
        for spark in slow:
            self._write_slowly(spark, payload)
        return True

    def _write_slowly(self, spark: AnySpark, payload: str | bytes) -> None:
        spark.socket.flush()
        if not spark.socket.full:
            spark.socket.send(payload)
        elif self.options.slow_consumer == "drop":
            self.dropped("slow consumer messages")
        else:
            logger.warning("%r does not read what it is sent: closed", spark)
            self.dropped("slow consumers")
            spark.hang_up(1013)  # "try again later"

    # -- what a transformer needs

    def refuses(self) -> str:
        """Why no further connection is taken; empty when one is."""
        if self._state != "open":
            return "This server is going down"
        if self._max_connections is None:
            self._max_connections = _default_max_connections()
        if self._open_sockets >= self._max_connections:
            self.dropped("connections over the limit")
            return "This server has no room"
        return ""

    def make_spark(self, connection: Connection, record: RequestRecord) -> AnySpark:
        """A new spark over ``connection``; the transformer binds the two and then calls `connect`."""
        spark = self.Spark(self, connection, self._new_id(), record, time.monotonic())
        self._open_sockets += 1
        return spark

    def _new_id(self) -> str:
        """An id that no open spark has. What the application's generator gets wrong must not cost the client
        its connection, nor another spark its place."""
        if self.options.id_generator is not None:
            try:
                made: Any = self.options.id_generator()
            except FAILURES:
                logger.exception("id_generator failed; a random id stands in")
            else:
                if isinstance(made, str) and made and made not in self._sparks:
                    return made
                logger.error(
                    "id_generator returned %r, which %s; a random id stands in",
                    made,
                    "an open spark has" if isinstance(made, str) and made else "is no text",
                )
        return secrets.token_urlsafe(16)

    def connect(self, spark: AnySpark, *, here: bool = False) -> Callable[[], None] | None:
        """Announce a new spark to the ``connection`` listeners.

        Each runs in a greenlet of its own, and up to its first blocking call before the next one starts.

        They run when the caller has returned to the hub, or blocks.

        Args:
            here: the caller's greenlet has nothing else to do: a single listener may run in it.

        Returns:
            With ``here``, what the caller has to call, if there is such a listener.
        """
        self._sparks[spark.id] = spark
        self.connected += 1
        self._sweep.start()
        logger.debug("%r connected", spark)
        if self._state != "open":  # since the handshake was let in; its answer may have had to wait
            gevent.get_hub().loop.run_callback(spark.hang_up, 1012)  # when its transport has started
        listeners = self._registered("connection")
        if here and len(listeners) == 1 and listeners[0].required < 2:
            gevent.get_hub().loop.run_callback(spark.ready)
            if self._take_once("connection", listeners[0]):
                return partial(self._listen, listeners[0], spark)
        self._start_listeners(spark, listeners, 0)
        return None

    def _start_listeners(self, spark: AnySpark, listeners: tuple[Listener, ...], index: int) -> None:
        for i in range(index, len(listeners)):
            listener = listeners[i]
            if not self._take_once("connection", listener):
                continue
            if listener.required >= 2:
                # The later ones wait for its `next` (specification, "Intercepting the `connection` events").
                gevent.spawn_raw(self._listen, listener, spark, self._next(spark, listeners, i + 1))
                gevent.get_hub().loop.run_callback(spark.announced)
                return
            gevent.spawn_raw(self._listen, listener, spark)
        gevent.get_hub().loop.run_callback(spark.ready)

    def _next(self, spark: AnySpark, listeners: tuple[Listener, ...], index: int) -> Callable[..., None]:
        called = False

        def proceed(error: Any = None) -> None:
            nonlocal called
            if called or not spark.writable:
                return
            called = True
            if error:
                spark.refuse(error)
            else:
                self._start_listeners(spark, listeners, index)

        return proceed

    def _listen(self, listener: Listener, spark: AnySpark, *args: Any) -> None:
        try:
            listener(spark, *args)
        except ConnectionClosed as error:
            # `while True: spark.read()` ends like this, but the one that ended may be another spark.
            if spark.writable:
                spark.fail(error)
        except GreenletExit:
            spark.end(reconnect=True)  # the host stops
        except FAILURES as error:
            spark.fail(error)

    def forget(self, spark: AnySpark) -> None:
        """A spark has ended; see `spark.Owner`."""
        if self._sparks.get(spark.id) is spark:
            del self._sparks[spark.id]
            self.connected -= 1

    def gone(self) -> None:
        """A connection is closed down to its socket; see `spark.Owner`."""
        self._open_sockets -= 1
        if not self._open_sockets and self._no_sockets is not None:
            self._no_sockets.set()

    def spark_ended(self, spark: AnySpark) -> None:
        """Emit ``disconnection``; see `spark.Owner`."""
        logger.debug("%r disconnected", spark)
        self._emit_safely("disconnection", spark)

    def report(self, spark: AnySpark, event: str, error: BaseException) -> None:
        """Log what went wrong with a spark, with its traceback; see `spark.Owner`."""
        if isinstance(error, ParserError):
            logger.warning("%r: %s", spark, error)
        else:
            logger.error("%r: a %s listener failed", spark, event, exc_info=error)
        self.log("error", error, spark)

    def dropped(self, what: str) -> None:
        """Count something that was dropped; see `spark.Owner`. The first of each kind is logged."""
        self.dropped_counts[what] += 1
        if self.dropped_counts[what] == 1:
            logger.warning("dropped: %s (logged once; Primus.dropped_counts goes on counting)", what)

    # -- events

    def log(self, level: str, *args: Any) -> None:
        """Emit ``log`` with these arguments."""
        self._emit_safely("log", level, *args)

    def reserved(self, event: str) -> bool:
        """Whether ``event`` is Primus's own, and so not for users to emit."""
        return is_reserved(event, SERVER_EVENTS)

    def _emit_safely(self, event: str, *args: Any) -> None:
        for listener in self._registered(event):
            if listener.once:
                self._discard(event, listener)
            try:
                listener(*args)
            except FAILURES:
                logger.exception("a %s listener failed", event)

    def _take_once(self, event: str, listener: Listener) -> bool:
        """Whether ``listener`` is to be called: a `once` listener by the first who asks, and then no more."""
        if not listener.once:
            return True
        waiting = listener in self._registered(event)
        self._discard(event, listener)
        return waiting

    def _announce(self) -> None:
        """Emit ``initialised`` once, when a request or `listen` shows that listeners are in place."""
        if not self._initialised:
            self._initialised = True
            self.run(self._emit_safely, "initialised", self.transformer, self._parser, self.options)

    def _warn_about_heartbeats(self) -> None:
        timeout, interval = self.options.timeout, self.options.effective_ping_interval
        if timeout and interval and interval >= timeout:
            logger.warning(
                "ping_interval (%s s) is not below timeout (%s s): clients that do not ping by themselves "
                "(Primus 7 and later) will be dropped",
                interval,
                timeout,
            )

    # -- listening

    @classmethod
    def create_server(
        cls,
        fn: Callable[..., Any] | None = None,
        *,
        port: int,
        host: str = "",
        app: WSGIApp | None = None,
        root: str | os.PathLike[str] | None = None,
        cert: str | None = None,
        key: str | None = None,
        ca: str | None = None,
        passphrase: str | None = None,
        iknowhttpsisbetter: bool = False,
        **options: Any,
    ) -> Primus:
        """Make a Primus, a server for it, and listen; `serve_forever` then serves.

        Args:
            fn: a ``connection`` listener.
            port: 0 takes a free one; see `address`.
            host: to listen on; empty for all addresses.
            app: the WSGI application that answers the other requests.
            root: folder of the next three.
            cert, key, ca: PEM files; with ``cert`` the server speaks HTTPS.
            passphrase: of the key.
            iknowhttpsisbetter: do not advise HTTPS.
            **options: of `Primus`.

        Raises:
            OSError: the port is taken, or a file cannot be read.
        """
        primus = cls(app, **options)
        if fn is not None:
            primus.on("connection", fn)
        folder = Path(root) if root is not None else Path()
        context = None
        if cert is not None:
            paths = [str(folder / name) if name else None for name in (cert, key, ca)]
            context = tls_context(str(paths[0]), paths[1], paths[2], passphrase)
        elif key or ca or passphrase:
            raise OptionError("key, ca and passphrase need cert", "cert")
        elif not iknowhttpsisbetter:
            logger.warning(
                "this server speaks HTTP; HTTPS keeps proxies from breaking connections: give `cert` and "
                "`key`, or `iknowhttpsisbetter=True` to silence this"
            )
        primus.listen(port, host, ssl_context=context)
        return primus

    def listen(self, port: int, host: str = "", *, ssl_context: Any = None) -> PrimusServer:
        """Make a server for this Primus and begin to listen. Connections are taken as soon as the hub runs.

        Raises:
            OSError: the port is taken.
        """
        self.server = make_server(
            (host, port),
            self,
            ssl_context=ssl_context,
            header_timeout=self.options.handshake_timeout,
            handshake_timeout=self.options.handshake_timeout,
        )
        self.server.start()
        self._announce()
        return self.server

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that `listen` got.

        Raises:
            RuntimeError: it was not called.
        """
        if self.server is None:
            raise RuntimeError("this Primus does not listen; call listen() or use create_server()")
        return str(self.server.server_host or "127.0.0.1"), int(self.server.server_port or 0)

    def serve_forever(self) -> None:
        """Serve until `destroy`, or until SIGTERM, SIGHUP or SIGINT: then drain and return. Blocks.

        Raises:
            RuntimeError: `listen` was not called.
        """
        server = self.server
        if server is None:
            raise RuntimeError("this Primus does not listen; call listen() or use create_server()")
        uninstall: Callable[[], None] = lambda: None  # noqa: E731
        try:
            uninstall = drains.install_signals(server.stop_listening, lambda: server.stop(timeout=1))
        except ValueError:
            pass  # not the main thread: whoever started us stops us
        try:
            server.serve_forever()
        finally:
            uninstall()

    # -- the end

    def drain(self, timeout: float = drains.DRAIN_SECONDS) -> bool:
        """Ask every client to come back later or elsewhere, before this process ends.

        New handshakes are answered 503; every spark is ended with reconnect (WebSocket 1012). Blocks until
        the connections are closed; safe to call repeatedly.

        Args:
            timeout: seconds to wait for them.

        Returns:
            Whether all connections were closed in time.
        """
        if self._state == "open":
            self._state = "draining"
        self._end_all(reconnect=True)
        return self._wait_for_sockets(timeout)

    def destroy(self, close: bool = True, timeout: float = 0, reconnect: bool = False) -> None:
        """End every spark, emit ``close`` and forget all listeners. Blocks until it is done.

        Args:
            close: also stop the server that `listen` made.
            timeout: seconds to wait before that.
            reconnect: let the clients come back; by default they are told that this is final.
        """
        if timeout:
            gevent.sleep(timeout)
        if self._state == "destroyed":
            return
        self._state = "destroyed"
        drains.unregister(self.drain)
        if close and self.server is not None:
            self.server.stop_listening()
        self._end_all(reconnect=reconnect)
        self._wait_for_sockets(self.options.close_timeout + 1)
        self._sweep.stop()
        self._emit_safely("close", {"close": close, "timeout": timeout, "reconnect": reconnect})
        if close and self.server is not None:
            self.server.stop(timeout=1)
        self.remove_all_listeners()
        self._dispatchers.stop()

    end = destroy

    def _end_all(self, *, reconnect: bool) -> None:
        for count, spark in enumerate(self, 1):
            spark.end(reconnect=reconnect)
            if count % DRAIN_BATCH == 0:
                gevent.sleep(0)

    def _wait_for_sockets(self, timeout: float) -> bool:
        if not self._open_sockets:
            return True
        if self._no_sockets is None:
            self._no_sockets = Event()
        self._no_sockets.clear()
        return bool(self._no_sockets.wait(timeout))

    def __repr__(self) -> str:
        name = self.options.parser if isinstance(self.options.parser, str) else "custom"
        return f"<Primus {self.options.transformer}/{name} {self._state} {self.connected} sparks>"


def _default_max_connections() -> int:
    """Nine tenths of the descriptors that this process may open: files and databases need some too."""
    import resource  # not at the top: Windows has none, and needs `max_connections` to be given

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft * 9 // 10, 1) if soft != resource.RLIM_INFINITY else 1 << 30
