"""A session of SockJS: over one WebSocket, or over requests of which each carries frames for a while.

With the official clients a message is gone once it is written to a response, and a response that the client
cuts off ends the session: there is nothing in the protocol by which it could tell what it has got. A session
of our own clients may be *recoverable*: each of its receiving requests says how many messages have been seen,
and what has not been seen is kept, and sent again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..errors import RemoteProtocolError
from ..protocols import sockjs
from ..protocols.carried import from_text, to_text
from ..session import OPEN, Carrier, Packet, Raw, Session, SessionLimits, Sessions

__all__ = ["PONG_SECONDS", "SockJSSession"]

logger = logging.getLogger("primus_gevent")

PONG_SECONDS: Final = 10.0  # for a client to answer the ping frame of a WebSocket
ANSWER_BYTES: Final = 1 << 20  # packets in one frame of a response; more wait for the next one

NORMAL_CLOSURE: Final = "Normal closure"
OWN_CODES: Final = 3000  # from here on they are the application's (RFC 6455, section 7.4.2)
NOTHING: Final[deque[str]] = deque()  # of all who keep nothing: an empty one has 760 bytes
NO_RESPONSE: Final = "No response from heartbeat"


class SockJSSession(Session):
    """One client. Its packets are messages, quoted.

    Args:
        sessions: among which its requests find it.
        id: by which they do: made by the client, so it is a key and nothing more.
        heartbeat_delay: seconds between two signs of life.
        max_length: of a message.
        recoverable: see above.

    Attributes:
        received: how many messages have come.
    """

    __slots__ = (
        "_beat",
        "_carried_since",
        "_goodbye",
        "_goodbye_sent",
        "_heard",
        "_heartbeat_delay",
        "_kept",
        "_kept_bytes",
        "_max_length",
        "_name",
        "_pinged_at",
        "_seen",
        "_unopened",
        "_waits_for_pong",
        "received",
        "recoverable",
    )

    def __init__(
        self,
        sessions: Sessions,
        id: str,  # noqa: A002
        limits: SessionLimits,
        hub: Any,
        *,
        heartbeat_delay: float,
        max_length: int,
        recoverable: bool = False,
    ) -> None:
        super().__init__(sessions, id, limits, hub)
        self._name = "websocket"
        self.received = 0
        self.recoverable = recoverable
        self._max_length = max_length
        self._unopened = True
        self._goodbye = ""  # the frame that says why it is over
        self._goodbye_sent = False
        # of a recoverable one: what was sent and not seen yet, and how many were seen before that
        self._kept: deque[str] = deque() if recoverable else NOTHING
        self._kept_bytes = 0
        self._seen = 0
        # heartbeats
        self._heartbeat_delay = heartbeat_delay
        self._carried_since: float | None = None  # set by the first `tick` that finds something that carries
        self._beat = False
        self._pinged_at = 0.0
        self._waits_for_pong = False
        self._heard = False

    @property
    def name(self) -> str:
        return self._name

    def carried_by(self, name: str) -> None:
        """The client uses this transport from now on."""
        self._name = name

    # -- packets

    def encode(self, payload: Raw) -> Packet:
        return sockjs.quote(to_text(payload))

    def frame(self, packet: Packet) -> Raw:
        return f"a[{packet}]"  # type: ignore[str-bytes-safe]  # ours are text

    def send(self, payload: Raw) -> None:
        # What an echo over WebSocket spends its time with.
        if self.transport is not None and type(payload) is str:
            self.transport.send("a[" + sockjs.quote(payload) + "]")
        else:
            self.push(self.encode(payload))

    @property
    def framing(self) -> str | None:
        if self.transport is None or self.transport.framing is None:
            return None
        return "sockjs"

    def open_websocket(self, transport: Any) -> None:
        """Be carried by this from the beginning to the end."""
        self.adopt(transport)
        transport.send(sockjs.OPEN)

    # -- what requests carry

    @property
    def ready(self) -> bool:
        return self._unopened or self._beat or super().ready

    @property
    def full(self) -> bool:
        # What was sent and not seen counts as not sent.
        if self.transport is not None:
            return bool(self.transport.full)
        return self._size + self._kept_bytes > self._limits.high

    def next_frame(self) -> tuple[Sequence[Packet], str]:
        """The packets of the next frame, and the frame; it is empty when there is nothing to say.

        After the frame that ends the session there is another one only for another request.
        """
        if self._unopened:
            self._unopened = False
            return (), sockjs.OPEN
        if self.waiting:
            packets: Sequence[Any] = self.take(self._fit())
            return packets, sockjs.array_frame(packets)
        if self.state != OPEN:
            self._goodbye_sent = True
            return (), self._goodbye
        if self._beat:
            self._beat = False
            return (), sockjs.HEARTBEAT
        return (), ""

    def _fit(self) -> int | None:
        """How many packets go into one frame; None for all."""
        if self._size <= ANSWER_BYTES:
            return None
        size = 0
        for count, packet in enumerate(self.waiting):
            size += len(packet)
            if size > ANSWER_BYTES:
                return max(count, 1)
        return None

    def take(self, count: int | None = None) -> list[Packet]:
        packets = super().take(count)
        if self.recoverable:
            self._kept.extend(packets)  # type: ignore[arg-type]  # ours are text
            self._kept_bytes += sum(map(len, packets))
        return packets

    def put_back(self, packets: Sequence[Packet]) -> None:
        if not self.recoverable:  # otherwise they are kept, and the client says which it needs
            super().put_back(packets)

    def acknowledge(self, seen: int) -> bool:
        """The client of a recoverable session has got so many messages, and asks for the others.

        Returns:
            False where that cannot be: more than were sent, or fewer than it has said before.
        """
        count = seen - self._seen
        if not 0 <= count <= len(self._kept):
            return False
        self._seen = seen
        for _ in range(count):
            self._kept.popleft()
        self._outbox.extendleft(reversed(self._kept))
        self._size += sum(map(len, self._kept))
        self._kept.clear()
        self._kept_bytes = 0
        if self._size <= self._limits.low:
            self._set_writable()
        return True

    def hold(self, carrier: Carrier) -> None:
        away_since = self._away_since
        super().hold(carrier)
        if self.state != OPEN:
            self._away_since = away_since  # it may hear again and again why it is over, but not for ever
        self._carried_since = None
        self._beat = False

    def release(self, carrier: Carrier, *, cut: bool = False) -> None:
        ends = cut and not self.recoverable and self.carrier is carrier
        super().release(carrier, cut=cut)
        if ends and self.state == OPEN:
            # It is how official clients say goodbye: they say nothing.
            self.abort()

    def delivered(self) -> None:
        """What was taken last has been sent. The goodbye stays, for all who ask in the next seconds."""
        if self._goodbye_sent and self._receiver is not None and not self._outbox:
            receiver, self._receiver = self._receiver, None
            receiver.gone()

    # -- what comes in; runs in the hub

    def receive(self, frames: Sequence[Raw], /) -> None:
        """Take the messages of one read of the WebSocket."""
        messages: list[str] = []
        for frame in frames:
            try:
                if type(frame) is not str:
                    # The original takes bytes for text. No client sends any.
                    raise RemoteProtocolError(sockjs.BROKEN_FRAMING, close_code=3000)
                messages += sockjs.decode_frame(frame)
            except RemoteProtocolError as error:
                self.take_in(messages)
                self._break_off(error)
                return
        self.take_in(messages)

    def take_in(self, texts: Sequence[str]) -> None:
        """Take messages, as they are on the wire."""
        self._active = True
        self.received += len(texts)
        limit = self._max_length
        messages: list[Raw] = []
        for text in texts:
            message = from_text(text) if text[:8] == "primus::" else text
            if len(message) > limit:
                self.deliver(messages)
                self._break_off(RemoteProtocolError(f"a message is longer than {limit}", close_code=1009))
                return
            messages.append(message)
        self.deliver(messages)

    def take_in_from(self, first: int, texts: Sequence[str]) -> bool:
        """The same for a client that counts its messages, and sends some of them twice.

        Args:
            first: the number of the first one; that of the first one of all is 0.

        Returns:
            False where messages before it are missing; none is taken then.
        """
        if first > self.received:
            return False
        self.take_in(texts[self.received - first :])
        return True

    def take_leave(self) -> None:
        """The client has said that it wants no more: only ours can."""
        if self.state == OPEN:
            self.finish()

    def _break_off(self, error: RemoteProtocolError) -> None:
        if self.state == OPEN:
            logger.info("%r: %s", self, error)
            self.lose(error.close_code, error.reason)

    # -- times

    @property
    def active(self) -> bool:
        return Session.active.fget(self)  # type: ignore[attr-defined,no-any-return]

    @active.setter
    def active(self, value: bool) -> None:
        if not value and self.active:
            self._heard = True
        Session.active.fset(self, value)  # type: ignore[attr-defined]

    def tick(self, now: float) -> None:
        """Look after the heartbeats. Called by the sweep."""
        super().tick(now)
        if self.state != OPEN:
            return
        if self.transport is not None:
            self._tick_websocket(now)
        elif self.carrier is not None:
            if self._carried_since is None:
                self._carried_since = now
            elif now - self._carried_since >= self._heartbeat_delay:
                self._carried_since = now
                self._beat = True
                self.carrier.wake()

    def _tick_websocket(self, now: float) -> None:
        if self._carried_since is None:
            self._carried_since = self._pinged_at = now
        if self._waits_for_pong:
            # Whatever has come since is as good as the pong, which the transport keeps to itself.
            if self._heard or self.active or (self.paused and not self.peer_left()):
                self._waits_for_pong = False
            elif now - self._pinged_at > PONG_SECONDS:
                logger.info("%r: %s", self, NO_RESPONSE)
                self.transport.send(sockjs.close_frame(3000, NO_RESPONSE))
                self.lose(3000, NO_RESPONSE)
                return
        if now - self._pinged_at >= self._heartbeat_delay:
            self._pinged_at = now
            self._waits_for_pong = True
            self._heard = False
            self.transport.ping()

    # -- the end

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.state != OPEN:
            return
        if code < OWN_CODES and not reason:
            # Of Primus itself, such as "come back". The original has none, and its client takes any but 1000
            # for an error.
            code, reason = 1000, NORMAL_CLOSURE
        frame = sockjs.close_frame(code, reason)
        if self.transport is not None:
            self.transport.send(frame)
            self.transport.close(1000, NORMAL_CLOSURE)
        else:
            self._goodbye = frame
            super().close(code, reason)

    def lose(self, code: int = 1002, reason: str = "") -> None:
        if self.state == OPEN:
            self._goodbye = sockjs.close_frame(code, reason)
        super().lose(code, reason)

    def goodbye(self) -> Iterable[Packet]:
        return ()  # it is no packet, and waits for as many requests as there are

    def __repr__(self) -> str:
        # The id is whatever the client likes: no line of a log of its own.
        return f"<SockJSSession {self.id!r} {self.state} {self.name} {len(self.waiting)} waiting>"
