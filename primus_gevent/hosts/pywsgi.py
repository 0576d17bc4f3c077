"""`gevent.pywsgi` and what is built on it: its own server, ours, and ``gunicorn -k gevent_pywsgi``.

On an upgrade request pywsgi hands its own read file out as ``wsgi.input``, otherwise an `Input` around it;
behind both is the gevent socket of the connection. The handler is ``start_response.__self__`` unless a
middleware hides it.

After the application has returned, the handler would go on with the next request of the connection, and at
the end read up to 16 KiB off it "to prevent a reset": the client's first frames. It does neither when its
file is closed and it has no socket; closing the gevent socket has the same effect where the handler is
hidden.
"""

from __future__ import annotations

from typing import Any

from gevent.pywsgi import WSGIHandler, WSGIServer

from primus_gevent.hosts.base import (
    Environ,
    Headers,
    Host,
    StartResponse,
    Taken,
    TLSSocket,
    buffered,
    close_all,
    cut,
    duplicate,
    is_gevent,
    is_secure,
    pending,
    set_nodelay,
)

__all__ = ["PywsgiHost", "find", "read_file", "server_of"]


class PywsgiHost(Host):
    name = "pywsgi"

    def __init__(
        self, environ: Environ, start_response: StartResponse, rfile: Any, handler: WSGIHandler | None
    ) -> None:
        super().__init__(environ, start_response)
        self.rfile = rfile
        self.handler = handler
        if "gunicorn.sock" in environ:
            self.name = "gunicorn-pywsgi"
        elif handler is not None:
            self.name = getattr(handler, "primus_host_name", self.name)

    def switch(self, headers: Headers) -> Taken:
        sock = self.rfile.raw._sock
        set_nodelay(sock)
        sent = self.answer(headers, sock)
        early = buffered(self.rfile, sock)
        if is_secure(sock):
            secure = TLSSocket(sock)
            return Taken(secure, early + pending(secure), secure=True, release=lambda: self.end(secure, sock))
        if not sent:
            copy = duplicate(sock)
            return Taken(copy, early, release=lambda: self.end(copy, sock, shut_only=True))
        copy = duplicate(sock)
        self.forget(sock)
        return Taken(copy, early)

    def forget(self, sock: Any) -> None:
        """Leave the handler without a socket, and with nothing to read."""
        if self.handler is not None:
            self.handler.socket = None  # type: ignore[assignment]
            self.handler.close_connection = True
        close_all([self.rfile, sock])

    def end(self, taken: Any, sock: Any, *, shut_only: bool = False) -> None:
        """Release an attached connection.

        Args:
            shut_only: the handler will still send a response: it gets EPIPE, which it ignores, from a socket
                that is shut down, but EBADF, which it logs with a traceback, from one that is closed.
        """
        cut(taken)
        close_all([taken])
        if shut_only:
            cut(sock)  # `taken` may have been closed before
            close_all([self.rfile])
            sock.settimeout(None)
        else:
            self.forget(sock)


def read_file(environ: Environ) -> Any:
    """The `BufferedReader` that pywsgi reads a request from, over a gevent socket; None if there is none."""
    wsgi_input = environ.get("wsgi.input")
    rfile = getattr(wsgi_input, "rfile", wsgi_input)
    if is_gevent(getattr(getattr(rfile, "raw", None), "_sock", None)):
        return rfile
    return None


def server_of(start_response: StartResponse) -> WSGIServer | None:
    """The pywsgi server of this request; None for another one, and for gunicorn's, which is not ours."""
    handler = getattr(start_response, "__self__", None)
    server = handler.server if isinstance(handler, WSGIHandler) else None
    if not isinstance(server, WSGIServer) or type(server).__module__.startswith("gunicorn."):
        return None
    return server


def find(environ: Environ, start_response: StartResponse) -> PywsgiHost | None:
    """The host, if pywsgi is the server of this request."""
    handler = getattr(start_response, "__self__", None)
    if isinstance(handler, WSGIHandler):
        return PywsgiHost(environ, start_response, handler.rfile, handler)
    rfile = read_file(environ)
    if rfile is not None:
        return PywsgiHost(environ, start_response, rfile, None)
    return None
