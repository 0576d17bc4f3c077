"""One connection of our own server: requests in, the application, responses out.

A subclass of pywsgi's handler, so that whoever knows that one finds what he looks for: ``start_response`` is
its method, and it has ``socket``, ``rfile``, ``server`` and ``close_connection``. What it does, it does by
itself: pywsgi reads a request by means of the email package, starts no response with its head and its body
in one `send`, and has no time limits.

A response leaves in one `send`: head and body where the application returns a list, or one piece of known
length; head and first piece where it streams.
"""

from __future__ import annotations

import logging
import socket as stdlib_socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pywsgi import WSGIHandler
from greenlet import getcurrent

from ..errors import RemoteProtocolError
from .base import is_secure
from .http import Fields, RequestHead, ResponseHead, refusal, response_head
from .reading import Input, Reader

if TYPE_CHECKING:
    from .server import PrimusServer

__all__ = ["PrimusHandler"]

logger = logging.getLogger("primus_gevent.server")

# Bodies up to this size are copied behind their headers; for larger ones a second `send` is cheaper than the
# copy.
MAX_JOINED_BYTES = 65536

# Of a body that the application has left unread: what is read and thrown away, so that the connection can be
# kept. When there is more, it is cheaper for both sides to close it.
MAX_DISCARDED_BYTES = 1 << 18

# How long and how much is read from a client that is still sending when its connection is closed. If it is
# closed at once, what arrives is answered with a reset, and the client may lose the response.
LINGER_SECONDS = 1.0
LINGER_BYTES = 1 << 20

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class PrimusHandler(WSGIHandler):
    """The handler of one connection; see the module."""

    primus_host_name = "primus"

    server: PrimusServer
    rfile: Reader  # type: ignore[assignment]  # with all that anybody asks of pywsgi's
    wsgi_input: Input  # type: ignore[assignment]
    socket: Any  # None once an adapter has taken the connection
    result: Any
    environ: Any
    _orig_status: str | None
    request: RequestHead | None = None
    response: ResponseHead | None = None

    _requests = 0
    _modern = True  # the request is of HTTP/1.1, not 1.0
    _to_send: int | None = None  # bytes of a response with Content-Length that are still to come
    _unread = False  # the client may be sending what nobody will read
    _client_gone: OSError | None = None  # what the socket said when a response could not be sent

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        super().__init__(sock, address, server, Reader(sock))  # type: ignore[call-arg]  # not in the stubs
        # past gevent's `sendall`, which is for what does not fit into the socket
        self._remote = (str(address[0]), str(address[1])) if isinstance(address, tuple) else None
        self._known: dict[bytes, Fields] = {}
        self._send_at_once: Callable[[bytes], int] | None = None if is_secure(sock) else sock._sock.send

    def handle(self) -> None:
        """Serve the connection to its end."""
        try:
            while self.handle_one_request():
                pass
        except (ConnectionError, ssl.SSLError) as error:
            logger.debug("client %s left: %s", self.client_address, error)
        finally:
            self._close()

    def _close(self) -> None:
        self.rfile.close()
        sock = self.socket
        # so that nothing is kept by whoever keeps the handler, `start_response` for example
        for name in ("socket", "rfile", "wsgi_input", "environ", "_send_at_once"):
            self.__dict__.pop(name, None)
        if sock is None:
            return  # an adapter has taken the connection
        with suppress(OSError):
            if self._unread:
                _linger(sock)
            else:
                sock._sock.recv(16384)
        sock.close()

    def handle_one_request(self) -> bool:  # type: ignore[override]
        """Wait for a request, and answer it; returns whether the connection goes on."""
        server = self.server
        self.status = self._orig_status = self.requestline = None  # of the request before
        try:
            limit = server.limits[server.header_timeout]
            idle = server.limits[server.keepalive_timeout] if self._requests else limit
            data = self.rfile.head(idle, limit)
            if not data:
                return False
            self.request = request = RequestHead(data, self._known)
        except RemoteProtocolError as error:
            self._refuse(error)
            return False
        except OSError:
            return False  # reset while nothing was under way
        self._requests += 1
        self.command = request.method
        self.close_connection = server.answered is not None or not request.fields.keeps_alive
        self._modern = request.fields.modern
        self.environ = self.get_environ()
        self.application = server.application
        me = getcurrent()
        server.under_way.add(me)
        try:
            self.handle_one_response()
        finally:
            server.under_way.discard(me)
            if server.answered is not None:
                server.answered.set()
        # an idle connection keeps nothing of its last request
        self.environ = self.request = self.response = self.application = None
        return not self.close_connection and not self.rfile.closed

    def _refuse(self, error: RemoteProtocolError) -> None:
        """Answer what is no request."""
        self.time_start = self.time_finish = time.time()
        self.response_length = 0
        self._orig_status = str(error.status)
        if error.status != 408:
            self.log_error("Invalid request (from %s): %s", self.client_address, error.reason)
        self._unread = True
        try:
            self._send(refusal(error.status))
        finally:
            self.log_request()

    # -- the request

    def get_environ(self) -> dict[str, Any]:
        """The environ of the request that has just been read."""
        request = self.request
        assert request is not None
        fields = request.fields
        environ: dict[str, Any] = self.server.get_environ()
        environ.update(fields.environ)
        environ["REQUEST_METHOD"] = request.method
        environ["PATH_INFO"] = request.path
        environ["QUERY_STRING"] = request.query
        if request.host is not None:
            environ["HTTP_HOST"] = request.host
        if self._remote is not None:
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = self._remote
        self.wsgi_input = environ["wsgi.input"] = Input(
            self.rfile,
            fields.length,
            fields.chunked,
            self._say_continue if fields.expects_continue else None,
        )
        environ["wsgi.input_terminated"] = True
        return environ

    def _say_continue(self) -> None:
        self.socket.sendall(CONTINUE)

    # -- the application

    def handle_one_response(self) -> None:
        """Run the application; whatever it does, the connection is in order afterwards, or will be closed."""
        self.time_start = time.time()
        self.response = self.result = self._to_send = None
        self.headers_sent = self.response_use_chunked = False
        self.response_length = 0
        try:
            self.run_application()
            if not self.wsgi_input.finished:
                self._discard_body()
        except RemoteProtocolError as error:
            if error is self.wsgi_input.error:
                self.log_error("Invalid request (from %s): %s", self.client_address, error.reason)
                self._fail(error.status)
            else:
                self.handle_error(*sys.exc_info())
        except OSError as error:
            if error.errno in self.ignored_socket_errors:
                self.close_connection = True
            else:
                self.handle_error(*sys.exc_info())
        except BaseException:  # noqa: BLE001 - as in pywsgi: the server outlives every application
            self.handle_error(*sys.exc_info())
        finally:
            self.time_finish = time.time()
            self.log_request()

    def process_result(self) -> None:
        """Send what the application has returned."""
        result = self.result
        if isinstance(result, (list, tuple)) and not self.headers_sent:
            body = result[0] if len(result) == 1 else b"".join(result)
            if body or self.response is not None:
                self._send_whole(body)
        else:
            for data in result:
                if data:
                    self.write(data)
            if not self.headers_sent and self.response is not None:
                self._send_whole(b"")
        self._end_response()

    def _end_response(self) -> None:
        if not self.headers_sent:
            # The application did not answer: it has dealt with the socket in its own way.
            self.close_connection = True
        elif self.response_use_chunked:
            self._send(LAST_CHUNK)
        elif self._to_send:
            logger.error(
                "a response to %r is %d bytes shorter than it says", self.environ["PATH_INFO"], self._to_send
            )
            self.close_connection = True

    def _discard_body(self) -> None:
        """Read what the application has left of the body, or give the connection up."""
        if not (self.close_connection or self.wsgi_input.beyond(MAX_DISCARDED_BYTES)):
            limit = self.server.limits[self.server.header_timeout]
            limit.start(self.rfile)
            try:
                if self.wsgi_input.discard(MAX_DISCARDED_BYTES):
                    return
            except (OSError, RemoteProtocolError) as error:
                logger.debug("client %s: %s", self.client_address, error)
            finally:
                limit.stop(self.rfile)
        self._unread = self.close_connection = True

    # -- the response

    def start_response(
        self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """As PEP 3333 has it.

        Raises:
            ValueError, TypeError: the status or a header cannot be sent.
            AssertionError: it is the second call, and not for an error.
        """
        if exc_info:
            try:
                if self.headers_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a cycle through this frame otherwise
        elif self.response is not None:
            raise AssertionError("start_response was called before")
        try:
            self.response = response = response_head(status, *headers)
        except TypeError:  # perhaps only because they cannot be remembered
            self.response = response = ResponseHead(status, headers)
        self.code = response.code
        self._orig_status = status
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body, behind the head if it is the first one; blocks until it is sent."""
        if self.headers_sent:
            if data:
                self._send(self._framed(data))
            return
        if self.response is None:
            raise AssertionError("the application did not call start_response")
        if data and not self.response.has_body:
            raise AssertionError(f"a response with status {self.code} has no body")
        head = self._head(None)
        self._send_joined(head, self._framed(data) if data else b"")

    def _send_whole(self, body: bytes) -> None:
        """Send a response of which all is known."""
        response = self.response
        if response is None:
            raise AssertionError("the application did not call start_response")
        if body and not response.has_body:
            raise AssertionError(f"a response with status {self.code} has no body")
        head = self._head(len(body))
        if self.command == "HEAD":
            # a body after HEAD would be taken for the next response (RFC 9110, 9.3.2)
            self._send_joined(head, b"")
        elif response.length is None or response.length == len(body):
            self._to_send = None
            self._send_joined(head, body)
        else:
            self._send_joined(head, self._framed(body))

    def _head(self, length: int | None) -> bytes:
        """The head of the response as it is sent; decides what becomes of the connection.

        Args:
            length: of the body, if it is known.
        """
        response = self.response
        assert response is not None
        added = b""
        if response.length is not None:
            self._to_send = response.length if response.has_body and self.command != "HEAD" else None
        elif response.has_body:
            added = self._framing(length)
        if not response.dated:
            added += self.server.date_line()
        if not self.wsgi_input.finished:
            self.close_connection |= self.wsgi_input.beyond(MAX_DISCARDED_BYTES)
            self.wsgi_input.no_continue()
        if response.connection is not None:
            # behind a 101 there is no further request, whatever the application says
            self.close_connection |= response.closes or response.code == 101
        elif self.close_connection:
            added += b"\r\nConnection: close"
        elif not self._modern:
            added += b"\r\nConnection: keep-alive"
        return b"%b%b\r\n\r\n" % (response.data, added)

    def _framing(self, length: int | None) -> bytes:
        """The field that says where the body ends."""
        if self.command == "HEAD":
            return b"\r\nContent-Length: %d" % length if length else b""
        if length is not None:
            return b"\r\nContent-Length: %d" % length
        if not self._modern:
            self.close_connection = True  # the body ends with the connection
            return b""
        self.response_use_chunked = True
        return b"\r\nTransfer-Encoding: chunked"

    def _framed(self, data: bytes) -> bytes:
        """A piece of the body as it is sent."""
        if self.command == "HEAD":
            return b""
        if self.response_use_chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        if self._to_send is not None:
            if len(data) > self._to_send:
                logger.error("a response to %r is longer than it says; cut off", self.environ["PATH_INFO"])
                data = data[: self._to_send]
            self._to_send -= len(data)
        return data

    def _send_joined(self, head: bytes, body: bytes) -> None:
        """Send the head, and what there is of the body."""
        if len(body) <= MAX_JOINED_BYTES:
            head += body  # raises what the application gets for a body that is not of bytes
            body = b""
        self.headers_sent = True
        self._send(head)
        if body:
            self._send(body)

    def _send(self, data: bytes) -> None:
        size = len(data)
        sent = 0
        try:
            if self._send_at_once is not None:
                with suppress(BlockingIOError):
                    sent = self._send_at_once(data)
            if sent < size:
                self.socket.sendall(memoryview(data)[sent:])
        except OSError as error:
            self._client_gone = error
            raise
        self.response_length += size

    # -- errors and the log

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        """Log with a traceback what is an error of ours; a client that leaves is none."""
        if v is self._client_gone or v is self.wsgi_input.error:
            self.close_connection = True
            logger.debug("client %s left: %s", self.client_address, v)
            return
        self._log_error(t, v, tb)  # type: ignore[attr-defined]  # not in the stubs
        self._fail(500)

    def _fail(self, status: int) -> None:
        """Answer with this status, if nothing has been sent yet, and close the connection."""
        self.close_connection = self._unread = True
        if not self.headers_sent and not self.rfile.closed:
            self._orig_status = str(status)
            with suppress(OSError):
                self._send(refusal(status))

    def log_request(self) -> None:
        if self.server.logs_requests():
            self.requestline = self.request.line if self.request is not None else ""
            super().log_request()


def _linger(sock: Any) -> None:
    """Let the client read the response before it learns that nobody reads what it sends (RFC 9112, 9.6)."""
    sock.shutdown(stdlib_socket.SHUT_WR)
    left = LINGER_BYTES
    with gevent.Timeout(LINGER_SECONDS, False):  # type: ignore[arg-type]  # False: without an error
        while left > 0 and (data := sock.recv(65536)):
            left -= len(data)
