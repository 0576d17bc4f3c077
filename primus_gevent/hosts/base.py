"""What the adapters of all WSGI servers share: the contract, and the handling of the two kinds of socket.

An adapter answers the upgrade request with a 101, takes what the server has already read, and then either

- **detaches** (plain TCP): the descriptor is duplicated, the server is made to forget its half, and the
  application returns ``[]`` at once. The connection outlives the request, and nothing of the request is kept
  for it; or
- stays **attached** (TLS, whose state lives in an object that cannot be duplicated, and odd middleware): the
  application stays inside the request until the connection has ended, and then calls `Taken.release`.

Nothing here calls ``shutdown()`` before a detach: it would act on the connection, not on the server's
descriptor.
"""

from __future__ import annotations

import os
import socket as stdlib_socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import gevent.socket
import gevent.ssl
from gevent import monkey

__all__ = ["Environ", "Headers", "Host", "StartResponse", "TLSSocket", "Taken", "set_nodelay"]

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Any]

STATUS_LINE = b"HTTP/1.1 101 Switching Protocols\r\n"
MAX_READ_BYTES = 65536


class Taken:
    """A connection that has been taken from its server.

    Attributes:
        sock: never blocks: `recv` and `send` raise `BlockingIOError`, or with TLS `ssl.SSLWantReadError` and
            `ssl.SSLWantWriteError`. On plain TCP an original `socket.socket`, also where the standard
            library is monkey-patched, because a method written in C is what the hot path wants.
        early: what the server had read beyond the request; these bytes come before those of `sock`.
        detached: the application can return ``[]`` now; closing `sock` is all that is left to do at the end.
        secure: TLS.
    """

    __slots__ = ("_release", "detached", "early", "secure", "sock")

    def __init__(
        self, sock: Any, early: bytes, *, secure: bool = False, release: Callable[[], None] | None = None
    ) -> None:
        self.sock = sock
        self.early = early
        self.secure = secure
        self.detached = release is None
        self._release = release

    def release(self) -> None:
        """End an attached connection, so that its server finds nothing to read, to write or to complain
        about.

        To be called in the greenlet of the request, after the connection has ended and before ``[]`` is
        returned. Closes the socket. Does nothing when called again, or when the connection was detached.
        """
        release, self._release = self._release, None
        if release is not None:
            release()

    def __repr__(self) -> str:
        kind = "detached" if self.detached else "attached"
        return f"<Taken {kind}{' tls' if self.secure else ''} {len(self.early)} early bytes>"


class Host:
    """One WSGI server, for one request.

    Attributes:
        name: of the server, for logs.
        upgraded: the server has answered the request with 101 before the application was called, so that it
            can be refused no more.
    """

    name = "unknown"
    upgraded = False

    def __init__(self, environ: Environ, start_response: StartResponse) -> None:
        self.environ = environ
        self.start_response = start_response

    def switch(self, headers: Headers) -> Taken:
        """Answer with 101 and these headers, and take the connection. May block until the answer is sent.

        Args:
            headers: all of them, ``Upgrade`` and ``Connection`` included; not sent if `upgraded`.

        Raises:
            OSError: the client is gone; the application is to return ``[]``.
        """
        raise NotImplementedError

    def answer(self, headers: Headers, sock: Any) -> bool:
        """Send the 101 through `start_response`, so that the server knows and logs it.

        Returns:
            Whether the server has sent it. If not, a middleware keeps the `write` callable of PEP 3333 for
            itself: the answer then went out past the server, which will try to send its own after the
                application
            has returned; it must find the connection shut down.
        """
        write = self.start_response("101 Switching Protocols", headers)
        if write is not None:
            write(b"")
            return True
        lines = [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers]
        sock.sendall(STATUS_LINE + b"".join(lines) + b"\r\n")
        return False


class TLSSocket:
    """A gevent `SSLSocket` as the transport wants it: never blocks, and says what it waits for.

    gevent's own `send` returns 0 where OpenSSL says "want write", and its `shutdown` forgets the TLS session
    without a close_notify. This one goes to the session directly.
    """

    def __init__(self, sock: Any, *, closes: bool = True) -> None:
        """
        Args:
            sock: the gevent socket.
            closes: what `close` does: close it, or only shut it down, for a server that would stumble over a
                closed one and closes it itself.
        """
        sock.settimeout(0)
        self._sock = sock
        self._closes = closes
        self._ended = False
        # the _ssl._SSLSocket; its socket is in non-blocking mode, as all of gevent's are
        self._session: Any = sock._sslobj
        self.send: Callable[[Any], int] = self._session.write

    def recv(self, size: int) -> bytes:
        """Decrypted bytes; after `shutdown` of our side undecrypted ones, fit for being thrown away."""
        if self._ended:
            raw: bytes = self._sock._sock.recv(size)
            return raw
        try:
            data: bytes = self._session.read(size)
        except ssl.SSLEOFError:
            return b""  # FIN without close_notify, as most clients leave; the frames tell a cut from an end
        return data

    def pending(self) -> int:
        """Bytes that are decrypted already, and for which the descriptor will not become readable."""
        count: int = 0 if self._ended else self._session.pending()
        return count

    def shutdown(self, how: int) -> None:
        if how != stdlib_socket.SHUT_RD:
            # Sends close_notify. Then it looks for the peer's, and takes offence if there is anything else;
            # so what it raises is of no interest, but the session cannot be relied on any more.
            self._ended = True
            with suppress(OSError, ValueError):
                self._session.shutdown()
        self._sock.shutdown(how)

    def fileno(self) -> int:
        fd: int = self._sock.fileno()
        return fd

    def close(self) -> None:
        if self._closes:
            self._sock.close()
        else:
            cut(self._sock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def __repr__(self) -> str:
        return f"<TLSSocket {self._sock!r}>"


def is_gevent(sock: object) -> bool:
    return isinstance(sock, gevent.socket.socket)


def is_secure(sock: object) -> bool:
    return isinstance(sock, gevent.ssl.SSLSocket)


def set_nodelay(sock: Any) -> None:
    """Frames leave at once; without it each waits up to 40 ms for the acknowledgement of the one before."""
    with suppress(OSError):  # not TCP: a unix socket
        sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)


def duplicate(sock: Any) -> Any:
    """A second descriptor of a connection, in an original and non-blocking `socket.socket`."""
    original = monkey.get_original("socket", "socket")
    copy = original(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
    copy.setblocking(False)
    return copy


def buffered(rfile: Any, sock: Any) -> bytes:
    """Take what a `BufferedReader` over a gevent socket holds, without waiting for more.

    The socket is non-blocking afterwards. With an empty buffer `peek` reads from the socket once; that is as
    good.

    Raises:
        OSError: the client is gone.
    """
    sock.settimeout(0)
    try:
        return bytes(rfile.peek())
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return b""
    except ssl.SSLEOFError:
        return b""  # the transport will read the end of file itself


def pending(sock: TLSSocket) -> bytes:
    """What the TLS session has decrypted already: no readiness event will ever announce it."""
    chunks = []
    while sock.pending():
        chunks.append(sock.recv(MAX_READ_BYTES))
    return b"".join(chunks)


def cut(sock: Any) -> None:
    """Shut a connection down in both directions, if the peer has not done so."""
    with suppress(OSError):
        sock.shutdown(stdlib_socket.SHUT_RDWR)


def close_all(closables: Iterable[Any]) -> None:
    """Close what may be closed already, or be dead."""
    for closable in closables:
        with suppress(OSError):
            closable.close()
