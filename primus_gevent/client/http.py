"""Requests over HTTP, for `/spec` and for transports that poll: kept-alive connections, answers in pieces.

The parser is the standard library's `http.client`, over gevent's sockets: it needs no monkey patching, an
answer's pieces come as the network brings them, and a request ends when its greenlet is killed or its
response is aborted. (geventhttpclient, which was looked at, has a C parser, but gives a body out only whole
or in pieces of a fixed size, cannot cancel a request, and wants Python 3.11 and two more packages.)
"""

from __future__ import annotations

import http.client
import socket as stdlib_socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent

from ..errors import ConnectError, ConnectTimeout, RemoteProtocolError
from .address import Address, UrlParts
from .answers import Answer
from .network import Network, Proxy, explained, find_proxy, merged, request_head

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["HTTPClient", "Response"]

MAX_IDLE = 4  # connections per server that are kept for the next request
# For so long; servers keep them for longer (gunicorn 2 s, Node 5 s), and a request must not cross their end.
IDLE_SECONDS = 1.0
MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
PIECE_BYTES = 65536
# What may be sent again when a kept connection turns out to be dead (RFC 9110, 9.2.2).
IDEMPOTENT = ("GET", "HEAD", "OPTIONS")


class Response:
    """An answer whose head has come; to be read to its end, or closed.

    Attributes:
        url: what was requested, after redirects.
        status: of the answer.
        headers: its headers, names in any case.
    """

    def __init__(self, client: HTTPClient, url: UrlParts, key: Key, sock: Any, answer: Answer) -> None:
        self.url = url
        self.status: int = answer.status
        self.headers = answer.headers
        self._client = client
        self._key = key
        self._sock = sock
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        """The body, in pieces as they come. Blocks for each.

        Raises:
            ConnectError: the connection was lost before the end.
        """
        answer = self._answer
        with self._reading():
            while not answer.complete:
                piece = answer.read1(PIECE_BYTES)
                if not piece:
                    # `read1` is silent about an end that comes too early; chunks have one of their own
                    if answer.length:
                        raise http.client.IncompleteRead(b"", answer.length)
                    break
                yield piece

    def read(self, limit: int) -> bytes:
        """The whole body. Blocks until it is there.

        Raises:
            RemoteProtocolError: it has more than ``limit`` bytes; they are not read.
            ConnectError: the connection was lost before the end.
        """
        body = bytearray()
        for piece in self:
            body += piece
            if len(body) > limit:
                self.close()
                raise RemoteProtocolError(f"the answer of {self.url} has more than {limit} bytes", status=502)
        return bytes(body)

    def error(self) -> ConnectError:
        """That this answer is not the one that was asked for. Blocks while it reads the reason."""
        with self._reading():
            return self._answer.unexpected(self.url)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with explained(self.url):
                yield
        except BaseException:
            self.close()
            raise
        self._finish()

    def _finish(self) -> None:
        """Keep the connection for the next request, if the whole answer was read."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        done = self._answer.complete and not self._answer.will_close
        self._answer.close()
        if done:
            self._client._keep(self._key, sock)
        else:
            sock.close()

    def abort(self) -> None:
        """Cut the connection: a greenlet that waits in `read` or for a piece gets a `ConnectError`."""
        if self._sock is not None:
            # Past gevent's TLS socket, whose shutdown takes the session away from under who waits.
            with suppress(OSError):
                self._sock._sock.shutdown(stdlib_socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection; what was not read is lost."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._answer.close()
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Response {self.status} of {self.url}>"


#: Which connections may serve the same request: scheme, host and port, and the proxy.
Key = tuple[str, str, int, "Proxy | None"]


class HTTPClient:
    """Makes requests, and keeps the connections of one hub alive between them."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._idle: dict[Key, list[tuple[Any, float]]] = {}  # with the time since when
        self._closed = False

    def request(
        self,
        method: str,
        url: UrlParts,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
        follow: bool = False,
        repeat: bool = True,
    ) -> Response:
        """Make a request and wait for the head of its answer.

        Blocks; a greenlet that is killed meanwhile leaves nothing behind.

        Args:
            body: with its length as ``Content-Length``.
            headers: win over those of the options.
            timeout: seconds to wait for the head; None waits for ever.
            follow: redirects, of a GET, and not from HTTPS to HTTP. Only the first server gets user, password
                and the headers of the options.
            repeat: what changes nothing at the server, when a kept connection ends in the middle of it. Not
                where an answer can bring what no other one will.

        Raises:
            ConnectTimeout: not in time.
            ConnectError: or one of its kinds.
        """
        error = ConnectTimeout(f"{url.scheme}://{url.netloc} did not answer within {timeout} s", str(url))
        with gevent.Timeout(timeout, error):
            own = True
            for _ in range(MAX_REDIRECTS):
                response = self._request(method, url, body, headers or {}, own, repeat)
                location = response.headers.get("location")
                if not (follow and method == "GET" and location and response.status in REDIRECTS):
                    return response
                response.close()
                before, url = url, _redirected(url, location)
                own = own and (url.host, url.port) == (before.host, before.port)
            raise ConnectError(f"{url} redirects again and again", str(url))

    def _request(
        self,
        method: str,
        url: UrlParts,
        body: bytes | None,
        headers: Mapping[str, str],
        own: bool,
        repeat: bool,
    ) -> Response:
        proxy = find_proxy(url, self._network.options.proxy)
        key = (url.scheme, url.host, url.port, proxy)
        target = url.target
        more = dict(headers)
        if body is not None or method in ("POST", "PUT"):
            more["Content-Length"] = str(len(body or b""))
        if proxy is not None and not url.secure:
            target = f"{url.scheme}://{url.netloc}{target}"  # RFC 9112, 3.2.2
            if proxy.credentials:
                more = merged({"Proxy-Authorization": proxy.credentials}, more)
        data = request_head(method, target, self._network.headers(url, more, own=own)) + (body or b"")
        while True:
            sock = self._reuse(key)
            kept = sock is not None
            if sock is None:
                sock = self._network.connect(url, proxy, tunnel=False)
            try:
                with explained(url):
                    answer = self._exchange(sock, method, data)
            except BaseException as error:
                sock.close()
                # The server may close a connection just when we use it again.
                if repeat and kept and isinstance(error.__cause__, ConnectionError) and method in IDEMPOTENT:
                    continue
                raise
            self._network.cookies.keep(str(url), answer)
            response = Response(self, url, key, sock, answer)
            if answer.complete:  # there is no body
                response._finish()
            return response

    def _exchange(self, sock: Any, method: str, data: bytes) -> Answer:
        try:
            sock.sendall(data)
        except ConnectionError:
            # A server may answer before it has read everything, and close: the answer says why.
            with suppress(OSError, http.client.HTTPException):
                return Answer(sock, method)
            raise
        return Answer(sock, method)

    # -- connections that are kept

    def _keep(self, key: Key, sock: Any) -> None:
        idle = self._idle.setdefault(key, [])
        if len(idle) < MAX_IDLE and not self._closed:
            idle.append((sock, monotonic()))
        else:
            sock.close()

    def _reuse(self, key: Key) -> Any:
        """One that is kept and still alive, or None."""
        idle = self._idle.get(key, [])
        while idle:
            sock, since = idle.pop()
            if monotonic() - since < IDLE_SECONDS and _is_alive(sock):
                return sock
            sock.close()
        return None

    def close(self) -> None:
        """Close the connections that are kept, and keep none any more."""
        self._closed = True
        for idle in self._idle.values():
            while idle:
                idle.pop()[0].close()


def _is_alive(sock: Any) -> bool:
    """Whether a connection is silent: what a server says without being asked is its goodbye."""
    try:
        sock._sock.recv(1, stdlib_socket.MSG_PEEK)  # gevent's sockets never block below
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _redirected(url: UrlParts, location: str) -> UrlParts:
    address = Address.parse(location) if "//" in location.partition("?")[0] else None
    if address is None:
        path, _, query = location.partition("?")
        if not path.startswith("/"):
            path = url.pathname.rpartition("/")[0] + "/" + path
        return UrlParts(url.scheme, url.host, url.port, path, query, url.username, url.password, exact=True)
    if url.secure and not address.secure:
        raise ConnectError(f"{url} redirects to {address}, which is not secure", str(url))
    same = (address.host, address.port) == (url.host, url.port)
    login = (url.username, url.password) if same else ("", "")
    return UrlParts(
        address.scheme, address.host, address.port, address.path, address.query, *login, exact=True
    )
