"""The transport for `websockets` and `faye`: one WebSocket per connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent

from ...errors import OptionError
from ...transports.websocket import WebSocketTransport
from ..address import UrlParts
from ..websocket import open_websocket

if TYPE_CHECKING:
    from ..link import Link
    from ..options import ClientOptions
    from ..socket import Socket

__all__ = ["WebSockets"]


class WebSockets:
    """One WebSocket at the server's pathname."""

    @classmethod
    def check(cls, options: ClientOptions) -> None:
        """See `ClientTransport`."""
        for name in options.transport:
            raise OptionError(f"unknown transport option {name!r}; this transformer has none", "transport")

    def __init__(self, client: Socket, link: Link) -> None:
        self._client = client
        self._link = link
        self._opening: Any = None
        self._connection: WebSocketTransport | None = None

    def open(self) -> None:
        """See `ClientTransport`."""
        url = self._client.uri(scheme="wss" if self._client.address.secure else "ws")
        self._opening = gevent.spawn(self._open, url)

    def _open(self, url: UrlParts) -> None:
        loop = gevent.get_hub().loop
        try:
            connection, early = open_websocket(self._client, url)
        except Exception as error:  # noqa: BLE001 - whoever listens is told; the client goes on
            loop.run_callback(self._refused, error)
            return
        self._connection = connection
        loop.run_callback(self._opened, connection, early)

    def _refused(self, error: BaseException) -> None:
        self._link.error(error)
        self._link.closed(False)

    def _opened(self, connection: WebSocketTransport, early: bytes) -> None:
        # Reading begins a turn of the loop later, so that the link knows of the connection first.
        connection.start(self._link, early)
        self._link.opened(connection)

    def close(self) -> None:
        """See `ClientTransport`."""
        if self._connection is not None:
            self._connection.close()
        elif self._opening is not None:
            self._opening.kill(block=False)
