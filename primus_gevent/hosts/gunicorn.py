"""``gunicorn -k gevent``, and the hook that lets a gunicorn worker drain before it exits.

gunicorn's `Response` is ``start_response.__self__``, the socket is in the environ, and what was read beyond
the request is in the `Unreader` under ``wsgi.input``. After the application has returned, gunicorn goes on
with the next request of the connection unless told not to; it closes only its own descriptor.

In ``gunicorn.conf.py``::

    from primus_gevent.hosts.gunicorn import post_worker_init
"""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

from primus_gevent.hosts import drain
from primus_gevent.hosts.base import (
    Environ,
    Headers,
    Host,
    StartResponse,
    Taken,
    TLSSocket,
    cut,
    duplicate,
    is_gevent,
    is_secure,
    pending,
    set_nodelay,
)

__all__ = ["GunicornHost", "find", "post_worker_init"]

NOTIFY_SECONDS = 1.0  # how often a worker must tell its master that it lives; as in gunicorn's own loop


class _EndOfFile:
    """In place of the socket under a request parser: the next request is the end of the connection."""

    def recv(self, size: int) -> bytes:
        return b""


class GunicornHost(Host):
    name = "gunicorn"

    def __init__(self, environ: Environ, start_response: StartResponse, sock: Any) -> None:
        super().__init__(environ, start_response)
        self.sock = sock
        response = getattr(start_response, "__self__", None)
        # None where a middleware hides it
        self.response = response if hasattr(response, "force_close") else None
        reader = getattr(environ.get("wsgi.input"), "reader", None)
        self.unreader = getattr(reader, "unreader", None)

    def switch(self, headers: Headers) -> Taken:
        sock = self.sock
        set_nodelay(sock)
        sent = self.answer(headers, sock)
        early = self.take_read_ahead()
        if is_secure(sock):
            secure = TLSSocket(sock, closes=False)
            return Taken(secure, early + pending(secure), secure=True, release=lambda: self.end(secure))
        copy = duplicate(sock)
        if sent and self.can_forget():
            self.forget()
            return Taken(copy, early)
        # Nothing keeps gunicorn from using the connection but finding it shut down.
        return Taken(copy, early, release=lambda: self.end(copy))

    def answer(self, headers: Headers, sock: Any) -> bool:
        if self.response is None:
            return super().answer(headers, sock)
        write = self.start_response("101 Switching Protocols", headers)
        # Up to gunicorn 23 a 101 has a chunked body, whose end is written when the application has returned.
        self.response.chunked = False
        write(b"")
        return True

    def take_read_ahead(self) -> bytes:
        unreader = self.unreader
        if unreader is None:
            # A middleware has replaced wsgi.input. A client that obeys RFC 6455 (4.1: it waits for the 101)
            # has sent nothing yet, so nothing is lost.
            return b""
        if hasattr(unreader, "take_buffered"):  # since gunicorn 24
            return bytes(unreader.take_buffered())
        data: bytes = unreader.buf.getvalue()
        unreader.buf.seek(0)
        unreader.buf.truncate()
        return data

    def can_forget(self) -> bool:
        """Whether gunicorn can be kept from the connection while it lives."""
        if self.response is not None:
            return True
        response_class = sys.modules["gunicorn.http.wsgi"].Response
        return self.unreader is not None and hasattr(response_class, "_response_omits_body")

    def forget(self) -> None:
        """Make this request the last of its connection, for gunicorn."""
        if self.response is not None:
            self.response.force_close()
        if self.unreader is not None:
            # does the same where a middleware hides the Response
            self.unreader.sock = _EndOfFile()

    def end(self, taken: Any) -> None:
        """Release an attached connection; gunicorn closes its own socket right after the response.

        Should gunicorn still read or send, it gets end of file or EPIPE from a socket that is shut down, and
        ignores both. From one that is closed it gets EBADF, and logs a traceback.
        """
        cut(taken)
        taken.close()
        cut(self.sock)
        self.forget()


def find(environ: Environ, start_response: StartResponse) -> GunicornHost | None:
    """The host, if a gevent worker of gunicorn is the server of this request."""
    sock = environ.get("gunicorn.socket")
    if is_gevent(sock):
        return GunicornHost(environ, start_response, sock)
    return None


def post_worker_init(worker: Any) -> None:
    """Drain every Primus of this worker when it is told to exit (hook of ``gunicorn.conf.py``).

    gunicorn tells an application nothing about SIGTERM, and SIGHUP reaches a worker as SIGTERM; detached
    connections are not in the worker's pool, so it would exit under them. So the drain starts with the
    signal, and the worker's `run`, which closes the listeners and waits for plain requests, is followed by
    waiting for the drain. It covers the exits without a signal too (``--max-requests``).
    """
    run = worker.run
    # The master kills a worker when graceful_timeout is over.
    seconds = 0.8 * float(worker.cfg.graceful_timeout)
    drain.install_signals(signals=[signal.SIGTERM], timeout=seconds)

    def run_and_drain() -> None:
        run()
        # not in a `finally`: SIGINT and SIGQUIT are a quick exit, and arrive here as SystemExit
        finished = drain.start(timeout=seconds)
        deadline = time.monotonic() + seconds
        while not finished.wait(NOTIFY_SECONDS) and time.monotonic() < deadline:
            worker.notify()

    worker.run = run_and_drain
