"""`Primus`: a WSGI application around another one, and the owner of all sparks."""

from __future__ import annotations

import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

import gevent
from gevent.event import Event

try:
    import resource  # at once: where there are no descriptors left, nothing can be imported any more
except ImportError:  # Windows has none, and needs `max_connections` to be given
    resource = None  # type: ignore[assignment]

from . import clock, parsing, transformers
from .client.address import Address, hostport
from .client.connect import heartbeats
from .client.socket import Socket
from .dispatchers import FAILURES, Dispatchers
from .errors import OptionError, ParserError, UnknownNameError
from .events import SERVER_EVENTS, is_reserved
from .heartbeat import Sweep
from .hosts import connection
from .hosts import drain as drains
from .hosts.pywsgi import server_of
from .introductions import introduce
from .library import LibrarySettings, compile_library
from .middleware import Response, documents
from .middleware.exchange import Exchange
from .options import Options
from .request import RequestRecord
from .serving import Serving, server_context
from .spark import Spark as AnySpark
from .sparks import Sparks
from .transports.base import Connection
from .version import __version__

__all__ = ["Primus"]

logger = logging.getLogger("primus_gevent")

DRAIN_BATCH = 100  # sparks that are ended before the others get a turn

WSGIApp = Callable[..., Iterable[bytes]]


def _not_found(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return Response(404, "Not Found")(environ, start_response)


class Primus(Serving):
    """A real-time server and WSGI application in one.

    Args:
        app: the WSGI application (a Flask app, say) that answers what lies outside the pathname; without
            one such requests are answered 404.
        **options: see `primus_gevent.options.Options`.

    Attributes:
        dropped_counts: what was dropped, by name, and how often.
        Spark: the class of this server's sparks; it may be extended.
        Socket: a class of clients for this server.

    Raises:
        OptionError: an option is unknown or cannot be used.
        PluginError: a plugin cannot be added.
    """

    Spark: type[AnySpark]

    def __init__(self, app: WSGIApp | None = None, **options: Any) -> None:
        super().__init__(Options.parse(options))
        self.dropped_counts: Counter[str] = Counter()
        self.Spark = type("Spark", (AnySpark,), {"__slots__": ()})
        self._app = app or _not_found
        # As WSGI has it: decoded, and each byte as a character.
        self._pathname = unquote(self.options.pathname, "latin-1")
        self._open_sockets = 0
        self._no_sockets: Event | None = None
        self._state: Literal["open", "draining", "ending", "destroyed"] = "open"
        self._max_connections = self.options.max_connections
        self._libraries: dict[tuple[str, str], tuple[LibrarySettings, str]] = {}
        # What every message needs, looked up once.
        self._parser = parsing.load(self.options.parser)
        self.encode: Callable[[Any], str | bytes] = self._parser.encoder
        self.decode: Callable[[Any], Any] = self._parser.decoder
        self.inbox_messages = self.options.inbox_messages
        self.inbox_bytes = self.options.inbox_bytes
        self._sparks = Sparks(drop_slow=self.options.slow_consumer == "drop", dropped=self.dropped)
        self._dispatchers = Dispatchers()
        self.run = self._dispatchers.run
        self._sweep = Sweep(
            self._sparks.by_id.values, self.options.timeout, self.options.effective_ping_interval
        )
        self.transformer = transformers.make(self, self.options.transformer, self.options.transport)
        self._warn_about_heartbeats()
        drains.register(self.drain)
        self._initialised = False
        self._extend()

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
        pfx: str | None = None,
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
            root: folder of the next four.
            cert, key, ca: PEM files; with ``cert`` the server speaks HTTPS.
            pfx: certificate and key in one PKCS#12 file, instead of these; needs ``primus-gevent[pfx]``.
            passphrase: of the key, or of ``pfx``.
            iknowhttpsisbetter: do not advise HTTPS.
            **options: of `Primus`.

        Raises:
            OptionError: an option, or the files do not make a certificate.
            OSError: the port is taken, or a file cannot be read.
        """
        files = {"cert": cert, "key": key, "ca": ca, "pfx": pfx}
        context = server_context(root, files, passphrase, advise=not iknowhttpsisbetter)
        primus = cls(app, **options)
        if fn is not None:
            primus.on("connection", fn)
        primus.listen(port, host, ssl_context=context)
        return primus

    @classmethod
    def create_socket(cls, url: str | None = None, **options: Any) -> type[Socket]:
        """A class of clients for a server whose options are known, in another process for example.

        ::

            Socket = Primus.create_socket(transformer="websockets", parser="msgpack")
            client = Socket("http://localhost:8080")

        Args:
            url: of the server, where its clients are given none.
            **options: of `client.ClientOptions`; each client may be given others.

        Raises:
            OptionError: one of them cannot be used.
        """
        if url is not None:
            Address.parse(url)
        return Socket.bound(options, None if url is None else lambda: url)

    @cached_property
    def Socket(self) -> type[Socket]:  # noqa: N802 - its name in the specification
        """A class of clients with the options, the parser and the plugins of this server, made when this is
        first used; by default they connect to this server itself, if it listens."""
        options = self.options
        found = {name: value for name, value in self.spec.items() if name not in ("transformer", "parser")}
        return Socket.bound(
            {
                **heartbeats(found),
                "pathname": options.pathname,
                "transformer": self.transformers[0],
                "parser": options.parser,
                "plugin": {plugin.name: plugin.given for plugin in self._ark},
                "max_length": options.max_length,
                "compression": options.compression,
                # Specification, "Strategy": with authorization nobody is to insist.
                **({"strategy": ("disconnect", "online")} if self.authorization is not None else {}),
            },
            self._own_url,
        )

    def _own_url(self) -> str:
        host, port = self.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
        scheme = "https" if getattr(self.server, "ssl_enabled", False) else "http"
        return f"{scheme}://{hostport(scheme, host, port)}"

    # -- WSGI

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request: our own below the pathname, all others by the wrapped app."""
        path = environ.get("PATH_INFO", "")
        pathname = self._pathname
        if not path.startswith(pathname) or path[len(pathname) : len(pathname) + 1] not in ("", "/"):
            return self._app(environ, start_response)
        if self._state == "destroyed":
            return self._app(environ, start_response)
        if not self._initialised:
            self._first_request(environ, start_response)
        exchange = Exchange(environ, path[len(pathname) :])
        if not exchange.upgrade:
            connection(environ, start_response)  # whoever answers: without delay
        self._stack.run(exchange)
        answer: Iterable[bytes]
        if exchange.answer is None:
            answer = self.transformer(exchange, start_response)
        elif exchange.upgrade:
            answer = self.transformer.refuse(exchange, start_response)
        else:
            answer = exchange.respond(start_response)
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
            "parser": self._parser_name,
            "transformer": self.transformers[0],
            **({"transformers": self.transformers} if len(self.transformers) > 1 else {}),
        }

    @property
    def _parser_name(self) -> str:
        name = self.options.parser
        return getattr(self._parser, "wire_name", name) if isinstance(name, str) else "custom"

    # -- the client

    @property
    def transformers(self) -> tuple[str, ...]:
        """The names of the frameworks that this server speaks."""
        names = self.options.transformer
        return (names,) if isinstance(names, str) else names

    def library(
        self,
        format: Literal["script", "esm"] = "script",  # noqa: A002 - its public name
        transformer: str | None = None,
    ) -> str:
        """The JavaScript client as the text of one file, with this server's options, parser and plugins.

        Compiled again when one of them has changed since the last call.

        Args:
            format: ``script`` runs in a script tag, as AMD and as CommonJS module; ``esm`` is an ES module.
            transformer: which of several; the first one if it is left out.

        Raises:
            OptionError: the parser is an object without ``library``, its half in JavaScript.
            UnknownNameError: this server has no such transformer.
        """
        name = transformer.lower() if transformer is not None else self.transformers[0]
        if name not in self.transformers:
            raise UnknownNameError("transformer", name, self.transformers)
        settings = self._library_settings(name)
        compiled = self._libraries.get((format, name))
        if compiled is None or compiled[0] != settings:
            compiled = self._libraries[format, name] = (settings, compile_library(settings, format=format))
        return compiled[1]

    def save(
        self,
        path: str | os.PathLike[str],
        format: Literal["script", "esm"] = "script",  # noqa: A002 - its public name
        transformer: str | None = None,
    ) -> None:
        """Write `library` to a file, in UTF-8. Blocks while it writes.

        Raises:
            OSError: the file cannot be written.
        """
        Path(path).write_text(self.library(format, transformer), encoding="utf-8")

    def _library_settings(self, transformer: str) -> LibrarySettings:
        options = self.options
        named = isinstance(options.parser, str)
        source = None if named else getattr(self._parser, "library", None)
        if not named and not source:
            raise OptionError(
                "this parser has no `library`, its JavaScript half, so there is no client", "parser"
            )
        return LibrarySettings(
            version=__version__,
            pathname=options.pathname,
            global_name=options.global_name,
            transformer=transformer,
            parser=options.parser if named else "custom",
            parser_source=source,
            timeout=options.timeout or None,
            ping_interval=options.effective_ping_interval or None,
            authorization=self.authorization is not None,
            credentials=options.credentials,
            plugins=tuple((plugin.name, plugin.client) for plugin in self._ark if plugin.client),
            libraries=tuple(plugin.library for plugin in self._ark if plugin.library),
        )

    def library_response(self, environ: Mapping[str, Any]) -> Response:
        """The answer to a request for ``primus.js``; ``?format=esm`` asks for the ES module, and
        ``?transformer=`` for the client of one of several frameworks."""
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        try:
            source = self.library(
                "esm" if query.get("format") == "esm" else "script", query.get("transformer")
            )
        except OptionError as error:
            return Response(404, str(error))
        return documents.library(source, environ)

    # -- sparks

    def spark(self, id: str) -> AnySpark | None:  # noqa: A002 - the specification's name
        """The open spark with that id."""
        return self._sparks.by_id.get(id)

    @property
    def connections(self) -> Mapping[str, AnySpark]:
        """The open sparks by their ids; to look at."""
        return MappingProxyType(self._sparks.by_id)

    @property
    def connected(self) -> int:
        """How many sparks are open."""
        return len(self._sparks)

    def __iter__(self) -> Iterator[AnySpark]:
        """The open sparks, as they are now: they may come and go meanwhile."""
        return iter(self._sparks)

    def __len__(self) -> int:
        return len(self._sparks)

    def __bool__(self) -> bool:
        return True  # also without a spark

    def for_each(self, fn: Callable[..., Any], done: Callable[..., Any] | None = None) -> bool:
        """Call ``fn`` for every open spark, also for those that come meanwhile.

        Without ``done``: ``fn(spark, id, sparks)``, whose trailing parameters may be left out; ``False`` from
        it stops. Returns whether it went through to the end.

        With ``done``: ``fn(spark, next)`` for one spark after the other, the next one when it has called
        ``next()``; ``next(error)`` and ``next(None, False)`` stop. Then ``done(error)``, with None if there
        was none. Does not block: it goes on where ``next`` is called. Returns True.
        """
        if done is None:
            return self._sparks.for_each(fn)
        self._sparks.for_each_next(fn, done)
        return True

    def write(self, data: Any) -> bool:
        """Send ``data`` to every spark, encoded and framed once. Blocks only where a transform does.

        A spark that has more than ``write_buffer`` bytes waiting is handled by the option ``slow_consumer``.

        Returns:
            False when the message could not be transformed or encoded; that is logged, and nothing is sent.
        """
        try:
            self._sparks.write(data, self.encode, self.outgoing)
        except Exception as error:
            # The traceback of a transform is of use; that of a parser is its own.
            logger.error("broadcast dropped: %s", error, exc_info=not isinstance(error, ParserError))
            self.log("error", error)
            return False
        return True

    # -- what a transformer needs

    @property
    def draining(self) -> bool:
        """Whether this server is going down, so that clients should not keep their connections to it."""
        return self._state != "open"

    def watch(self, sessions: Collection[Any], shortest: float) -> None:
        """Call ``tick(now)`` of these now and then; ``shortest`` is the shortest time (s) they look for."""
        self._sweep.watch(sessions, shortest)

    def start_sweep(self) -> None:
        """Some of those that are to be watched have come. A spark that connects says so by itself."""
        self._sweep.start()

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

    def make_spark(
        self,
        connection: Connection,
        record: RequestRecord,
        id: str | None = None,  # noqa: A002
    ) -> AnySpark:
        """A new spark over ``connection``; the transformer binds the two and then calls `connect`.

        Args:
            id: that `new_id` made, where the framework's client knows it too.
        """
        spark = self.Spark(self, connection, id or self.new_id(), record, clock.monotonic())
        self._open_sockets += 1
        return spark

    def new_id(self) -> str:
        """An id that no open spark has. What the application's generator gets wrong must not cost the client
        its connection, nor another spark its place."""
        if self.options.id_generator is not None:
            try:
                made: Any = self.options.id_generator()
            except FAILURES:
                logger.exception("id_generator failed; a random id stands in")
            else:
                if isinstance(made, str) and made and made not in self._sparks.by_id:
                    return made
                logger.error(
                    "id_generator returned %r, which %s; a random id stands in",
                    made,
                    "an open spark has" if isinstance(made, str) and made else "is no text",
                )
        return secrets.token_urlsafe(16)

    def connect(self, spark: AnySpark, *, here: bool = False) -> Callable[[], None] | None:
        """Count a new spark, and announce it to the ``connection`` listeners; see `introduce`."""
        self._sparks.by_id[spark.id] = spark
        self._sweep.start()
        logger.debug("%r connected", spark)
        if self._state != "open":  # since the handshake was let in; its answer may have had to wait
            gevent.get_hub().loop.run_callback(spark.hang_up, 1012)  # when its transport has started
        return introduce(self, spark, here=here)

    def forget(self, spark: AnySpark) -> None:
        """A spark has ended; see `spark.Owner`."""
        if self._sparks.by_id.get(spark.id) is spark:
            del self._sparks.by_id[spark.id]

    def gone(self) -> None:
        """A connection is closed down to its socket; see `spark.Owner`."""
        self._open_sockets -= 1
        if not self._open_sockets and self._no_sockets is not None:
            self._no_sockets.set()

    def spark_ended(self, spark: AnySpark) -> None:
        """Emit ``disconnection``; see `spark.Owner`."""
        logger.debug("%r disconnected", spark)
        self._emit_safely("disconnection", spark)

    def report(self, spark: AnySpark, what: str, error: BaseException) -> None:
        """Log what went wrong with a spark, with its traceback; see `spark.Owner`."""
        if isinstance(error, ParserError):
            logger.warning("%r: %s", spark, error)
        else:
            logger.error("%r: %s failed", spark, what, exc_info=error)
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

    def _first_request(self, environ: Mapping[str, Any], start_response: Any) -> None:
        self._announce()
        if self.server is None:
            self.server = server_of(start_response)
        # Specification, "Can I use cluster?"
        if environ.get("wsgi.multiprocess") and not self.options.iknowclusterwillbreakconnections:
            logger.warning(
                "several processes serve: a broadcast reaches the sparks of its own process only, and "
                "polling needs a load balancer that sends a client to the same process again (sticky "
                "sessions); the option `iknowclusterwillbreakconnections=True` silences this"
            )

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

        Afterwards the wrapped application answers below the pathname too. A `close` listener with two
        parameters gets ``options, next``, and is waited for.

        Args:
            close: also stop the server; see `server`.
            timeout: seconds to wait before that.
            reconnect: let the clients come back; by default they are told that this is final. Closes the
                server too, or they would come back to this one.
        """
        close = close or reconnect
        if timeout:
            gevent.sleep(timeout)
        if self._state in ("ending", "destroyed"):
            return
        self._state = "ending"  # polling clients still come for their goodbye
        drains.unregister(self.drain)
        if close:
            self._stop_listening()
        self._end_all(reconnect=reconnect)
        self._wait_for_sockets(self.options.close_timeout + 1)
        self._state = "destroyed"
        self._sweep.stop()
        self._emit_and_wait("close", {"close": close, "timeout": timeout, "reconnect": reconnect})
        if close:
            self._stop_server()
        self.remove_all_listeners()
        self._dispatchers.stop()

    end = destroy

    def _emit_and_wait(self, event: str, argument: Any) -> None:
        for listener in self._registered(event):
            if not self._claim(event, listener):
                continue
            done = Event()
            try:
                listener(argument, lambda *_, done=done: done.set())
            except FAILURES:
                logger.exception("a %s listener failed", event)
                continue
            if listener.required >= 2 and not done.wait(self.options.close_timeout):
                logger.error("a %s listener did not call next within %s s", event, self.options.close_timeout)

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
        names = "+".join(self.transformers)
        return f"<Primus {names}/{self._parser_name} {self._state} {self.connected} sparks>"


def _default_max_connections() -> int:
    """Nine tenths of the descriptors that this process may open: files and databases need some too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft * 9 // 10, 1) if soft != resource.RLIM_INFINITY else 1 << 30
