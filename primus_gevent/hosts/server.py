"""Our own server: `gevent.pywsgi` with a handler of its own, time limits, and TCP_NODELAY.

Plain pywsgi never gives up on a client that is slow with its TLS handshake or its headers, keeps idle
connections for ever, and sends headers and body in two calls without TCP_NODELAY, which costs a keep-alive
client 40 ms for each response (the second packet waits for the delayed acknowledgement of the first).
"""

from __future__ import annotations

import errno
import logging
import socket as stdlib_socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer
from greenlet import getcurrent

from .. import clock
from .base import set_nodelay
from .drain import DRAIN_SECONDS
from .handler import PrimusHandler
from .http import date_line
from .reading import Limits
from .tls import tls_context

__all__ = ["PrimusHandler", "PrimusServer", "make_server", "tls_context"]

logger = logging.getLogger("primus_gevent.server")
access_logger = logging.getLogger("primus_gevent.access")

# Connections that wait to be accepted: when a server comes back, all of its clients do. The kernel drops
# those beyond, which costs each a second or three. (gevent has 128; the kernel's own limit is usually 4096.)
BACKLOG = 1024

ANY_ADDRESS = ("", "0.0.0.0", "::")

HEADER_SECONDS = 10.0  # from the first byte of a request to the end of its headers
KEEPALIVE_SECONDS = 75.0  # between two requests of a connection; nginx's default
HANDSHAKE_SECONDS = 10.0  # for a TLS handshake


class PrimusServer(WSGIServer):
    """A WSGI server with TCP_NODELAY and time limits, each in seconds.

    Attributes:
        header_timeout: for a request line and its headers; the answer to a slower client is 408.
        keepalive_timeout: how long a connection may be idle between two requests.
        handshake_timeout: for a TLS handshake.
        under_way: the greenlets that answer a request now.
        answered: while somebody waits for these, what they set when they have; else None.
    """

    handler_class = PrimusHandler
    backlog = BACKLOG

    header_timeout = HEADER_SECONDS
    keepalive_timeout = KEEPALIVE_SECONDS
    handshake_timeout = HANDSHAKE_SECONDS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.limits = Limits(self.loop)
        self.under_way: set[Any] = set()
        self.answered: Event | None = None
        self._last_accepted = 0.0
        self._asks: Callable[[int], bool]
        if options.get("log", self) is None:
            self._asks = lambda level: False
        else:
            # a logger, behind gevent's adapter; anything else with `write` wants every line
            self._asks = getattr(self.log, "isEnabledFor", lambda level: True)
        self._date = b""
        self._date_second = 0

    def logs_requests(self) -> bool:
        """Whether anybody reads the access log; a line for nobody would cost as much as the response."""
        return self._asks(logging.INFO)

    def date_line(self) -> bytes:
        """The header Date; see `http.date_line`."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second, self._date = second, date_line(time.gmtime(second))
        return self._date

    def init_socket(self) -> None:
        self.answered = None
        try:
            super().init_socket()
        except OSError as error:
            # gevent takes '' for both IP versions, by way of an IPv6 socket; some machines have no IPv6
            if error.errno != errno.EAFNOSUPPORT or self.family != stdlib_socket.AF_INET6:
                raise
            self.family = stdlib_socket.AF_INET
            super().init_socket()

    def update_environ(self) -> None:
        """Tell applications the address at which we listen."""
        if isinstance(self.address, tuple):
            # gevent asks for its full name, and starts seconds late where the name server does not answer.
            host = self.address[0]
            name = stdlib_socket.gethostname() if host in ANY_ADDRESS else host
            self.environ.setdefault("SERVER_NAME", name)
        super().update_environ()

    def do_read(self) -> Any:
        accepted = super().do_read()
        if accepted:
            set_nodelay(accepted[0])
        return accepted

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """Handshake with a time limit, then serve; a failed handshake is the client's affair."""
        sock: Any = None
        try:
            # the stubs know `wrap_socket` as it was before there were contexts
            sock = self.__dict__["wrap_socket"](client_socket, **(self.ssl_args or {}))
            with gevent.Timeout(self.handshake_timeout, TimeoutError("too slow")):
                sock.do_handshake()
        except (OSError, AttributeError) as error:  # AttributeError: the client has left before we looked
            logger.debug("TLS handshake with %s failed: %s", address, error)
            if sock is not None:
                sock.close()
            return None
        try:
            return self.handle(sock, address)
        finally:
            sock.close()

    def stop_listening(self) -> None:
        """Refuse new connections and go on with those that there are; `serve_forever` does not return yet."""
        self.stop_accepting()
        listener = getattr(self, "socket", None)
        if listener is not None:
            listener.close()
        self._last_accepted = clock.monotonic()

    def finish(self) -> None:
        """Stop behind a drain that has begun with `stop_listening`. Requests that are under way get the rest
        of its time, and a second at the least."""
        self.stop(timeout=max(1.0, self._last_accepted + DRAIN_SECONDS - clock.monotonic()))

    def stop(self, timeout: float | None = None) -> None:
        """Close the server; `serve_forever` returns.

        Args:
            timeout: seconds to wait for the requests that are under way, without the caller's own.
        """
        if timeout is not None:
            self.stop_listening()
            self._wait_for_answers(timeout)
            timeout = min(timeout, self.stop_timeout)  # of a pool: the rest of its greenlets is idle
        super().stop(timeout=timeout)

    def _wait_for_answers(self, timeout: float) -> None:
        deadline = clock.monotonic() + timeout
        answered = self.answered = self.answered or Event()  # there may be two who wait
        while self.under_way - {getcurrent()} and answered.wait(max(0, deadline - clock.monotonic())):
            answered.clear()


def make_server(
    listener: Any,
    app: Any,
    *,
    header_timeout: float = HEADER_SECONDS,
    keepalive_timeout: float = KEEPALIVE_SECONDS,
    handshake_timeout: float = HANDSHAKE_SECONDS,
    log: Any = access_logger,
    error_log: Any = logger,
    spawn: Any = "default",
    ssl_context: ssl.SSLContext | None = None,
    certfile: str | None = None,
    keyfile: str | None = None,
    ca_certs: str | None = None,
    password: str | None = None,
    pfx: str | None = None,
) -> PrimusServer:
    """A server, not started yet.

    Args:
        listener: ``(host, port)``, or a socket that listens.
        app: the WSGI application.
        header_timeout, keepalive_timeout, handshake_timeout: see `PrimusServer`.
        log: for the access log: a `logging.Logger` (level INFO), anything with `write`, or None.
        error_log: the same for ``wsgi.errors`` and requests that cannot be read (level ERROR).
        spawn: as of `gevent.baseserver.BaseServer`.
        ssl_context: serve TLS with it; it has to be gevent's class if the process is not monkey-patched.
        certfile, keyfile, ca_certs, password, pfx: serve TLS with the context that `tls_context` makes of
            them; most names are gevent's.

    Raises:
        OSError: a file for TLS cannot be read.
        OptionError: the files for TLS do not make a certificate.
    """
    if ssl_context is None and (certfile is not None or pfx is not None):
        ssl_context = tls_context(certfile, keyfile, ca_certs, password, pfx=pfx)
    tls: dict[str, Any] = {}
    if ssl_context is not None:
        # the handshake is done, with a limit, in `wrap_socket_and_handle`
        tls = {"ssl_context": ssl_context, "do_handshake_on_connect": False}
    server = PrimusServer(listener, app, spawn=spawn, log=log, error_log=error_log, **tls)
    server.header_timeout = header_timeout
    server.keepalive_timeout = keepalive_timeout
    server.handshake_timeout = handshake_timeout
    return server
