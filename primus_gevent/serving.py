"""A server of our own for a `Primus`: making it, listening, serving until a signal."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import gevent
from greenlet import getcurrent

from .errors import OptionError
from .extensions import Extensions
from .hosts import drain as drains
from .hosts.server import PrimusServer, make_server
from .hosts.tls import tls_context
from .options import Options

__all__ = ["Serving", "server_context"]

logger = logging.getLogger("primus_gevent")

WSGIApp = Callable[..., Iterable[bytes]]


class Serving(Extensions):
    """The listening part of one server.

    Attributes:
        server: the WSGI server that `listen` made last, or the `gevent.pywsgi.WSGIServer` that serves this
            Primus, from its first request on; None under other servers, which end by themselves.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.server: Any = None
        self._earlier: list[PrimusServer] = []  # that `listen` has made before: HTTP beside HTTPS, say

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        raise NotImplementedError

    def _announce(self) -> None:
        """Emit ``initialised``, once."""
        raise NotImplementedError

    def listen(self, port: int, host: str = "", *, ssl_context: Any = None) -> PrimusServer:
        """Make a server for this Primus and begin to listen. Connections are taken as soon as the hub runs.

        May be called again, for another port: the servers begin and end together.

        Raises:
            OSError: the port is taken.
        """
        server = make_server(
            (host, port),
            self,
            ssl_context=ssl_context,
            header_timeout=self.options.handshake_timeout,
            handshake_timeout=self.options.handshake_timeout,
        )
        server.start()
        if isinstance(self.server, PrimusServer):
            self._earlier.append(self.server)
        self.server = server
        self._announce()
        return server

    def _servers(self) -> list[Any]:
        return [*self._earlier, self.server] if self.server is not None else []

    def _stop_listening(self) -> None:
        """Take no further connection."""
        for server in self._servers():
            if isinstance(server, PrimusServer):
                server.stop_listening()
            else:
                server.stop_accepting()

    def _finish(self) -> None:
        """Stop the servers that `listen` has made, as `PrimusServer.finish` does."""
        gevent.joinall([gevent.spawn(server.finish) for server in self._earlier], raise_error=True)
        self.server.finish()  # the last, because with it `serve_forever` returns

    def _stop_server(self) -> None:
        """Close the server; requests that are under way have a second to be answered."""
        for server in self._servers():
            if getcurrent() in (server.pool or ()):
                server.close()  # called in a request: to stop it would kill this greenlet
            else:
                server.stop(timeout=1)

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
            uninstall = drains.install_signals(self._stop_listening, self._finish)
        except ValueError:
            pass  # not the main thread: whoever started us stops us
        try:
            server.serve_forever()
        finally:
            uninstall()


def server_context(
    root: str | os.PathLike[str] | None,
    files: Mapping[str, str | None],
    passphrase: str | None,
    *,
    advise: bool,
) -> Any:
    """The TLS context of a server; None without certificate.

    Args:
        root: the folder of the files.
        files: any of ``cert``, ``key``, ``ca``, ``pfx``.
        passphrase: of the key, or of the bundle.
        advise: HTTPS, where there is no certificate (specification, "Getting started").

    Raises:
        OptionError: the files do not make a certificate.
    """
    folder = Path(root) if root is not None else Path()
    paths = {name: str(folder / path) for name, path in files.items() if path}
    if "cert" in paths or "pfx" in paths:
        return tls_context(**paths, passphrase=passphrase)
    if paths or passphrase:
        raise OptionError("key, ca and passphrase need cert or pfx", "cert")
    if advise:
        logger.warning(
            "this server speaks HTTP; HTTPS keeps proxies from breaking connections: give `cert` and "
            "`key`, or `iknowhttpsisbetter=True` to silence this"
        )
    return None
