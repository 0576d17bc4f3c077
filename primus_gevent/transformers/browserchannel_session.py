"""The session of a client of BrowserChannel."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from ..protocols import browserchannel as protocol
from ..protocols import carried
from ..session import CLOSING, GONE, OPEN, Carrier, Packet, Raw, Session, SessionLimits, Sessions

__all__ = ["ChannelSession"]

logger = logging.getLogger("primus_gevent")

ANSWER_SIZE = 1 << 20  # characters that one chunk carries; more wait for the next one


class ChannelSession(Session):
    """One client of BrowserChannel.

    Its packets are the data of arrays. They are kept until the client acknowledges them, not until they are
    sent; so nothing is ever put back, and what counts towards the write buffer is what the client may lack.

    Args:
        rid: the number of the request that begins it, if it has one.
        host_prefix: that the client puts in front of the host for its back channel.
        keep_alive_interval: seconds between arrays that only keep the back channel in use.
        max_length: of one message.
    """

    __slots__ = ("_arrays", "_forward", "_keep_alive_interval", "_max_length", "_opened_at")

    name = "browserchannel"

    def __init__(
        self,
        sessions: Sessions,
        id: str,  # noqa: A002
        limits: SessionLimits,
        hub: Any,
        *,
        rid: int | None,
        host_prefix: str | None,
        keep_alive_interval: float,
        max_length: int,
    ) -> None:
        super().__init__(sessions, id, limits, hub)
        self._keep_alive_interval = keep_alive_interval
        self._max_length = max_length
        self._arrays = protocol.Arrays()
        self._forward = protocol.ForwardChannel(rid, max_size=max_length)
        self._opened_at: float | None = None  # set by the first `tick` that finds a back channel
        self.push(protocol.encode_opening(id, host_prefix))

    # -- arrays

    def encode(self, payload: Raw) -> Packet:
        return protocol.encode_message(carried.to_text(payload))

    def goodbye(self) -> Iterable[Packet]:
        return (protocol.STOP,)

    def push(self, packet: Packet) -> None:
        if self.state != GONE:
            assert isinstance(packet, str)
            self._arrays.add(packet)
            self._size = self._arrays.size
            if self.carrier is not None:
                self.carrier.wake()

    @property
    def ready(self) -> bool:
        return self._arrays.waiting > 0 or self.state != OPEN

    def take_arrays(self) -> list[protocol.Array]:
        """Those that go out with the next chunk; they are kept all the same."""
        return self._arrays.take(ANSWER_SIZE)

    def put_back(self, packets: Sequence[Any]) -> None:
        """They did not reach the client, and will go again with the next back channel."""

    def acknowledge(self, aid: int | None) -> None:
        """The client has seen the arrays up to this one."""
        self._arrays.acknowledge(aid)
        self._size = self._arrays.size
        if self._size <= self._limits.low:
            self._set_writable()

    def hold(self, carrier: Carrier) -> None:
        away_since = self._away_since
        super().hold(carrier)
        if self.state == CLOSING:
            self._away_since = away_since  # it may come again and again, but not for ever
        self._arrays.rewind()
        self._opened_at = None

    def status(self) -> bytes:
        """What is answered to a request that has brought maps."""
        arrays = self._arrays
        return protocol.encode_status(
            connected=self.carrier is not None, last_sent=arrays.last_sent, outstanding=arrays.outstanding
        )

    # -- maps

    def receive(self, rid: int | None, batch: protocol.Batch) -> list[Raw]:
        """Take what a request has brought; gives back the messages that are due now, for `take_in`."""
        return [carried.from_text(text) for text in self._forward.receive(rid, batch)]

    def terminate(self, rid: int | None) -> list[Raw]:
        """The client says goodbye, for when everything before that has come; as `receive`."""
        return [carried.from_text(text) for text in self._forward.terminate(rid)]

    def take_in(self, messages: Sequence[Raw]) -> None:
        """Hand over what is due, and end the session where that is due. Runs in the hub."""
        self._active = True
        for count, message in enumerate(messages):
            if len(message) > self._max_length:
                self.deliver(messages[:count])
                logger.info("%r: a message is longer than %d", self, self._max_length)
                self.abort()
                return
        self.deliver(messages)
        if self._forward.broken:
            logger.info("%r: a message that is no JSON, or a gap in front of too many", self)
            self.abort()
        elif self._forward.ended:
            self.finish()

    # -- times, and the end

    def tick(self, now: float) -> None:
        super().tick(now)
        if self.carrier is None or self.state != OPEN:
            return
        if self._opened_at is None:
            self._opened_at = now
        elif now - self._opened_at >= self._keep_alive_interval:
            self._opened_at = now
            if not self.full:
                self.push(protocol.NOOP)

    def delivered(self) -> None:
        """The goodbye is sent: that is the end for the spark.

        The session stays for a while. If the answer was lost on its way the client comes again, and nothing
        would be worse than "Unknown SID": it would reconnect.
        """
        if self.state == CLOSING and not self._arrays.waiting:
            receiver, self._receiver = self._receiver, None
            if receiver is not None:
                receiver.gone()

    def _end(self, *, clean: bool) -> None:
        if self.state != GONE and self._arrays.waiting:
            self._sessions.dropped("undelivered packets")
        super()._end(clean=clean)
        self._arrays.clear()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state} {self._arrays!r}>"
