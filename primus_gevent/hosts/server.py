"""Our own server: `gevent.pywsgi` with the time limits that it lacks, and one `send` per response.

Plain pywsgi never gives up on a client that is slow with its TLS handshake or its headers, keeps idle
connections for ever, and sends headers and body in two calls without TCP_NODELAY, which costs a keep-alive
client 40 ms for each response (the second packet waits for the delayed acknowledgement of the first).
"""

from __future__ import annotations

import errno
import logging
import socket as stdlib_socket
import ssl
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pywsgi import WSGIHandler, WSGIServer

from primus_gevent.hosts.base import set_nodelay
from primus_gevent.hosts.tls import tls_context

__all__ = ["PrimusHandler", "PrimusServer", "make_server", "tls_context"]

logger = logging.getLogger("primus_gevent.server")
access_logger = logging.getLogger("primus_gevent.access")

HEADER_SECONDS = 10.0  # from the first byte of a request to the end of its headers
KEEPALIVE_SECONDS = 75.0  # between two requests of a connection; nginx's default
HANDSHAKE_SECONDS = 10.0  # for a TLS handshake

# Bodies up to this size are copied behind their headers; for larger ones a second `send` is cheaper than the
# copy.
MAX_JOINED_BYTES = 65536

REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

# How pywsgi's Input says that a client left in the middle of a body.
TRUNCATED = "unexpected end of file while"


class PrimusHandler(WSGIHandler):
    """pywsgi's handler of one connection, with time limits, and quiet about clients that leave."""

    primus_host_name = "primus"

    server: PrimusServer
    _headers_timer: gevent.Timeout | None = None
    _requests = 0
    _client_gone: OSError | None = None  # what the socket said when a response could not be sent
    _corked: bytearray | None = None  # a response that is being put together

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError) as error:
            # pywsgi does not expect that its own answer to a bad request may fail
            logger.debug("client %s left: %s", self.client_address, error)

    # -- reading

    def read_requestline(self) -> str:
        """Wait for the next request, and read its first line; empty when none comes."""
        # of the request before, on this connection; a 408 would be logged with them
        self.status = self._orig_status = self.requestline = None
        if self._requests and not self._wait_for_request():
            return ""
        self._requests += 1
        # Goes on until `read_request` stops it: the limit is for the line and the headers together.
        self._headers_timer = gevent.Timeout.start_new(self.server.header_timeout)
        line: str = super().read_requestline()
        return line

    def _wait_for_request(self) -> bool:
        return bool(gevent.with_timeout(self.server.keepalive_timeout, self.rfile.peek, 1, timeout_value=b""))

    def read_request(self, raw_requestline: str) -> Any:
        done = super().read_request(raw_requestline)
        self._stop_headers_timer()
        return done

    def MessageClass(self, *args: Any) -> Any:  # noqa: N802 - pywsgi's name
        headers = super().MessageClass(*args)
        # A body with two lengths is how a request is smuggled past a proxy (RFC 9112, 6.1).
        # pywsgi would pick one.
        if "transfer-encoding" in headers and "content-length" in headers:
            raise ValueError("both Content-Length and Transfer-Encoding")
        return headers

    def handle_one_request(self) -> Any:
        try:
            return super().handle_one_request()
        except gevent.Timeout as timeout:
            if timeout is not self._headers_timer:
                raise
            return "408", REQUEST_TIMEOUT
        finally:
            self._stop_headers_timer()

    def _stop_headers_timer(self) -> None:
        timer, self._headers_timer = self._headers_timer, None
        if timer is not None:
            timer.close()

    # -- writing

    def process_result(self) -> None:
        if isinstance(self.result, (list, tuple)):
            self._in_one_send(super().process_result)
        else:
            super().process_result()

    def finalize_headers(self) -> None:
        super().finalize_headers()
        if self.command == "HEAD":
            self.response_use_chunked = False  # nothing that could be chunked will follow

    def _write_with_headers(self, data: bytes) -> None:
        self._in_one_send(super()._write_with_headers, data)  # type: ignore[misc]  # not in the stubs

    def _write(self, data: bytes) -> None:
        # A body after HEAD would be taken for the next response (RFC 9110, 9.3.2); pywsgi sends it.
        if self.command != "HEAD":
            super()._write(data)  # type: ignore[misc]

    def _in_one_send(self, write: Callable[..., object], *args: Any) -> None:
        if self._corked is not None:
            write(*args)
            return
        self._corked = bytearray()
        try:
            write(*args)
        finally:
            data, self._corked = self._corked, None
            if data:
                self._sendall(data)

    def _sendall(self, data: bytes | bytearray) -> None:
        corked = self._corked
        if corked is not None:
            if len(corked) + len(data) <= MAX_JOINED_BYTES:
                corked += data
                return
            self._corked = None
            if corked:
                self._sendall(corked)
        try:
            super()._sendall(data)  # type: ignore[misc]
        except OSError as error:
            self._client_gone = error
            raise

    # -- errors

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        """Log with a traceback what is an error of ours; a client that leaves is none."""
        if v is self._client_gone or (isinstance(v, OSError) and str(v).startswith(TRUNCATED)):
            self.close_connection = True
            logger.debug("client %s left: %s", self.client_address, v)
        else:
            super().handle_error(t, v, tb)


class PrimusServer(WSGIServer):
    """A WSGI server with TCP_NODELAY and time limits, each in seconds.

    Attributes:
        header_timeout: for a request line and its headers; the answer to a slower client is 408.
        keepalive_timeout: how long a connection may be idle between two requests.
        handshake_timeout: for a TLS handshake.
    """

    handler_class = PrimusHandler

    header_timeout = HEADER_SECONDS
    keepalive_timeout = KEEPALIVE_SECONDS
    handshake_timeout = HANDSHAKE_SECONDS

    def init_socket(self) -> None:
        try:
            super().init_socket()
        except OSError as error:
            # gevent takes '' for both IP versions, by way of an IPv6 socket; some machines have no IPv6
            if error.errno != errno.EAFNOSUPPORT or self.family != stdlib_socket.AF_INET6:
                raise
            self.family = stdlib_socket.AF_INET
            super().init_socket()

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
