"""What a transport of the client reports to: one connection, or the attempt at one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from ..inbox import Raw
from ..transports.base import Connection

if TYPE_CHECKING:
    from .steps import Steps
    from .transports import ClientTransport

__all__ = ["Link"]


class Link:
    """One connection, or the attempt at one: what a transport reports to, in the hub.

    Once it is no longer the client's, late reports of its transport have no effect. It keeps the contract of
    `transports.base.Receiver`, so that a connection of that kind can report to it directly.
    """

    __slots__ = ("_gone", "client", "transport")

    def __init__(self, client: Steps) -> None:
        self.client = client
        self.transport: ClientTransport | None = None
        self._gone: Any = None  # an event, while there is something that can go

    @property
    def current(self) -> bool:
        """Whether this is still the client's connection."""
        return self.client._link is self

    def opened(self, connection: Connection) -> None:
        """There is a connection, which reports to this link already."""
        self._gone = Event()
        if self.current:
            self.client._opened(connection)
        else:
            connection.close()

    def receive(self, messages: Sequence[Raw]) -> None:
        """These messages have come."""
        if self.current:
            self.client.receive(messages)

    def error(self, error: BaseException) -> None:
        """Something went wrong. If that was the end, `closed` follows."""
        if self.current:
            self.client._failed(error)

    def closed(self, clean: bool) -> None:
        """No message will follow; ``clean`` tells whether the server said goodbye."""
        if self.current:
            self.client._closed_below(clean)

    def gone(self) -> None:
        """Nothing is left of the connection."""
        if self._gone is not None:
            self._gone.set()

    def close(self) -> None:
        """End whatever there is."""
        if self.transport is not None:
            self.transport.close()

    def wait_gone(self, timeout: float) -> None:
        """Park the caller until the goodbye is over."""
        if self._gone is not None:
            self._gone.wait(timeout)
