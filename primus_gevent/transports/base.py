"""The contract between a transport (below) and what receives its messages (above: a spark or a session).

Neither side knows the other's class; the transformer introduces them. Calls towards the receiver are made in
the hub: they must not block and must not raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["Connection", "Raw", "Receiver"]

Raw = str | bytes


class Receiver(Protocol):
    """What a transport reports to."""

    def receive(self, messages: Sequence[Raw], /) -> None:
        """Take the messages that one read of the socket completed, in their order. Called in the hub."""

    def closed(self, clean: bool, /) -> None:
        """No message will follow; ``clean`` tells whether the peer said goodbye. Called once."""

    def gone(self) -> None:
        """The socket is closed, and nothing of the connection is left. Called once, after `closed`."""


class Connection(Protocol):
    """What a spark is given: one way to reach its client, whatever the wire format.

    Attributes:
        name: of the transport, as in ``websocket``.
        hub: the gevent hub that the connection lives in.
        active: set whenever bytes arrive; whoever watches for silence clears it.
        paused: whether reading was stopped by `pause`.
        full: more bytes wait to be sent than the high mark allows.
        framing: connections with the same value send the same bytes for the same payload, so that a
            broadcast needs `prepare` once for all of them; None where each frames for itself.
    """

    name: str
    hub: Any
    active: bool
    paused: bool
    full: bool
    framing: str | None

    def send(self, payload: Raw, /) -> None:
        """Queue one message. Never blocks; the bytes leave at the end of this loop iteration."""

    def prepare(self, payload: Raw, /) -> bytes:
        """The bytes of one message, for `send_prepared` of any connection with the same framing."""

    def send_prepared(self, data: bytes, /) -> None:
        """Queue bytes that `prepare` made."""

    def flush(self) -> None:
        """Send now what the kernel takes."""

    def wait_writable(self) -> None:
        """Park the calling greenlet until less than the low mark waits to be sent, or the end."""

    def pause(self) -> None:
        """Stop reading, so that the network pushes back; `resume` goes on."""

    def resume(self) -> None:
        """Read again."""

    def peer_left(self) -> bool:
        """Whether the peer has hung up, as far as can be told without reading."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye after what is queued; codes are those of RFC 6455, section 7.4. Never blocks."""

    def abort(self) -> None:
        """Cut the connection; what is queued is lost."""
