"""Heartbeats of a client, in both directions.

Specification (2.x to 6.x): the client pings, the server answers. Since Primus 7 the server pings and the
client answers. We begin with our own pings, unless the options say that the server is expected to ping. Its
first ping turns the connection round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocols import primus as own

if TYPE_CHECKING:
    from .steps import Steps

__all__ = ["Heartbeat"]


class Heartbeat:
    """Of one client. All of it runs in the hub."""

    def __init__(self, client: Steps) -> None:
        self._client = client
        self._server_pings = False

    def start(self) -> None:
        """A connection has opened; another server than before may be at its end."""
        self._server_pings = self._client.options.expect_pings
        if self._server_pings:
            self._watch()
        else:
            self._schedule()

    def _schedule(self) -> None:
        # A fixed interval, whatever the traffic: the server's timer too is refreshed by it.
        self._client.timers.set("ping", self._client.options.ping, self._ping)

    def _ping(self) -> None:
        client = self._client
        now_ms = int(client.clock.now() * 1000)
        client.timers.set("pong", client.options.pong, lambda: self._silent("pong", client.options.pong))
        client.send_own(own.ping(now_ms))
        client.announce("outgoing::ping", now_ms)

    def pong(self, text: str) -> None:
        """The server has answered."""
        client = self._client
        client.timers.clear("pong")
        try:
            client.latency = max(client.clock.now() - int(text) / 1000, 0.0)
        except ValueError:
            pass
        if not self._server_pings and client.is_open:
            self._schedule()

    def answer(self, text: str) -> None:
        """The server asks; it gets its own text back, whatever that is."""
        client = self._client
        # A listener may have ended the client: a pong would wait for the next connection.
        if not client.is_open:
            return
        self._server_pings = True
        client.timers.clear("ping", "pong")
        self._watch()
        client.send_own(own.pong(text))
        client.announce("outgoing::pong", text)

    def _watch(self) -> None:
        limit = self._client.options.ping_timeout
        self._client.timers.set("ping_timeout", limit, lambda: self._silent("ping_timeout", limit))

    def _silent(self, name: str, limit: float) -> None:
        """Nothing came in time; but it may be we who do not read, because too much is unread."""
        client = self._client
        socket = client.socket
        if socket is not None and socket.paused and not socket.peer_left():
            client.timers.set(name, limit, lambda: self._silent(name, limit))
        else:
            client.lost()
