"""A session of Socket.IO 0.9: its packets, heartbeats and acknowledgements; and handshakes that wait for one.

A client names its session on every transport, and may come with another one when the first does not work: the
newest one carries everything, whatever it is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from gevent import get_hub

from .. import clock
from ..errors import RemoteProtocolError
from ..protocols import socketio
from ..protocols.carried import MARK, from_text, to_text
from ..request import RequestRecord
from ..session import OPEN, Carrier, Packet, Raw, Session, SessionLimits, Sessions
from ..transports.websocket import WebSocketTransport

__all__ = ["HANDSHAKE_SIZE", "HTMLFILE", "WEBSOCKET", "Handshakes", "Nobody", "SocketIOSession"]

logger = logging.getLogger("primus_gevent")

HANDSHAKE_SIZE: Final = 4096  # characters of its request, several times what browsers send
ANSWER_BYTES: Final = 1 << 20  # packets that one answer carries; more wait for the next one

WEBSOCKET: Final = "websocket"
HTMLFILE: Final = "htmlfile"

HEAD: Final = socketio.MESSAGE_HEAD
CARRIED_HEAD: Final = HEAD + MARK  # of bytes
HEARTBEAT_TIMEOUT: Final = "heartbeat timeout"

# The packets that bring something for the application, and so are acknowledged.
ACKNOWLEDGED: Final = frozenset((socketio.MESSAGE, socketio.JSON, socketio.EVENT))


class SocketIOSession(Session):
    """One client.

    Args:
        sessions: among which its requests find it.
        id: of the handshake.
        heartbeats: seconds between two, and for the answer to one; None for none.
        max_length: of a message.
    """

    __slots__ = ("_awaits_beat", "_beat_at", "_deaf_at", "_heard", "_heartbeats", "_max_length", "_name")

    def __init__(
        self,
        sessions: Sessions,
        id: str,  # noqa: A002
        limits: SessionLimits,
        hub: Any,
        *,
        heartbeats: tuple[float, float] | None,
        max_length: int,
    ) -> None:
        super().__init__(sessions, id, limits, hub)
        self._name = ""  # of the transport that it uses
        self._heartbeats = heartbeats
        self._max_length = max_length
        self._heard = False  # whether the client must have got the first packet of all
        self._deaf_at = 0.0  # when nobody here listened
        self._beat_at = clock.monotonic()  # when the last heartbeat was sent, or answered
        self._awaits_beat = False
        self.push(socketio.CONNECTED)

    @property
    def name(self) -> str:
        return self._name or super().name

    # -- packets

    def encode(self, payload: Raw) -> Packet:
        return socketio.encode_message(to_text(payload))

    def send(self, payload: Raw) -> None:
        # What nearly every message over WebSocket is.
        if self.transport is not None and type(payload) is str and payload.isascii() and payload:
            self.transport.send("3:::" + payload)
        else:
            self.push(self.encode(payload))

    @property
    def framing(self) -> str | None:
        if self.transport is None or self.transport.framing is None:
            return None
        return "socket.io"

    def goodbye(self) -> Iterable[Packet]:
        return (socketio.DISCONNECTED,)

    def next_packets(self) -> list[Any]:
        """What goes out with the next answer, or with the next piece of a stream."""
        carrier: Any = self.carrier
        if self.transport is not None or carrier.dismissed:
            return []  # it goes out with somebody else's
        return self.take(socketio.fit(self.waiting, ANSWER_BYTES))  # type: ignore[arg-type]  # ours are text

    # -- the transport; the newest one counts

    def carried_by(self, name: str) -> None:
        """The client comes with a request of this transport, and expects its packets there."""
        transport, self.transport = self.transport, None
        if transport is not None:
            # What has been sent there is lost if it did not arrive; nobody could tell.
            transport.hand_over(Nobody())
            transport.close()
        if name == self._name and name != WEBSOCKET:
            self._heard = True  # it has come for more
        elif not self._heard and socketio.CONNECTED not in self.waiting:
            # It tries one after the other, and waits for this before it takes one.
            self.put_back([socketio.CONNECTED])
        self._name = name
        self._beat_at = clock.monotonic()
        self._awaits_beat = False

    def move_to(self, transport: WebSocketTransport) -> None:
        """The client comes with a WebSocket."""
        self.carried_by(WEBSOCKET)
        self.adopt(transport)

    def put_back(self, packets: Sequence[Packet]) -> None:
        if self.transport is None:
            super().put_back(packets)
        else:  # late is better than never
            for packet in packets:
                self.push(packet)

    def release(self, carrier: Carrier, *, cut: bool = False) -> None:
        ends = cut and self._name == HTMLFILE and self.carrier is carrier
        super().release(carrier, cut=cut)
        if ends and self.state == OPEN:
            # A stream is to its browser what a WebSocket is to others: there is no next one.
            self.abort()

    # -- what comes in; runs in the hub

    def receive(self, packets: Sequence[Raw], /) -> None:
        """Take the packets of one read of the WebSocket, or of one request."""
        self._heard = self._active = True
        messages: list[Raw] = []
        longest = self._max_length + len(HEAD)
        for packet in packets:
            # What nearly all of them are, for as long as nothing else comes.
            if (
                type(packet) is str
                and packet[:4] == "3:::"
                and len(packet) <= longest
                and not packet.startswith(CARRIED_HEAD)
            ):
                messages.append(packet[4:])
            else:
                self._receive_others(messages, packets[len(messages) :])
                return
        self.deliver(messages)

    def _receive_others(self, messages: list[Raw], packets: Sequence[Raw]) -> None:
        """Go on where a packet is no plain message."""
        for text in packets:
            if self.state != OPEN:
                return
            if not isinstance(text, str):
                continue  # a binary frame: there are none in this protocol
            packet = socketio.decode(text)
            if packet.type == socketio.HEARTBEAT:
                self._awaits_beat = False
                self._beat_at = clock.monotonic()
            elif packet.type == socketio.DISCONNECT and not packet.endpoint:
                self.deliver(messages)
                self.take_leave()
                return
            elif packet.type in ACKNOWLEDGED:
                error = self._take(packet, messages)
                if error is not None:
                    self.deliver(messages)
                    self._break_off(error)
                    return
        self.deliver(messages)

    def _take(self, packet: socketio.Packet, messages: list[Raw]) -> RemoteProtocolError | None:
        """Take a packet for the application; gives back what is wrong with it."""
        if packet.id and not packet.data_ack:
            if self.full:
                return RemoteProtocolError("the acknowledgements are not fetched", close_code=1008)
            self.push(socketio.encode(socketio.ACK, packet.id, endpoint=packet.endpoint))
        if packet.endpoint:
            return None  # nobody is there
        message = _message(packet)
        if message is None:
            return None
        if len(message) > self._max_length:
            return RemoteProtocolError(f"a message is longer than {self._max_length}", close_code=1009)
        messages.append(message)
        return None

    def take_leave(self) -> None:
        """The client has said that it wants no more. What carries packets is told so, too."""
        if self.state != OPEN:
            return
        if self.transport is not None:
            self.transport.send(socketio.DISCONNECTED)
            self.finish()
        elif self.carrier is not None:
            self._begin_close(clean=True)
        else:
            self.finish()

    def _break_off(self, error: RemoteProtocolError) -> None:
        if self.state == OPEN:
            logger.info("%r: %s", self, error)
            self.lose(error.close_code, error.reason)

    # -- times

    def tick(self, now: float) -> None:
        """Look after the heartbeats, which there are where nothing else tells of a silent client."""
        super().tick(now)
        if self._heartbeats is None or self.state != OPEN:
            return
        if self.transport is None and (self.carrier is None or self._name != HTMLFILE):
            return
        interval, timeout = self._heartbeats
        deaf = self.paused and not self.peer_left()
        if deaf:
            # It is we who do not listen; and the client waits for heartbeats all the same.
            self._deaf_at = now
        if self._awaits_beat and not deaf:
            if now - max(self._beat_at, self._deaf_at) > timeout:
                logger.info("%r: %s", self, HEARTBEAT_TIMEOUT)
                self.lose(1000, HEARTBEAT_TIMEOUT)
        elif now - self._beat_at >= interval:
            self._beat_at = now
            self._awaits_beat = True
            if not self.full:
                self.push(socketio.HEARTBEAT_PACKET)

    # -- the end

    def close(self, code: int = 1000, reason: str = "") -> None:
        # The ws of Node clients of this age knows the codes up to 1011, and fails on others.
        if 1011 < code < 3000:
            code = 1000
        if self.transport is not None and self.state == OPEN:
            self.transport.send(socketio.DISCONNECTED)
        super().close(code, reason)

    def lose(self, code: int = 1002, reason: str = "") -> None:
        if self.transport is not None and self.state == OPEN:
            self.transport.send(socketio.DISCONNECTED)
        super().lose(code, reason)


def _message(packet: socketio.Packet) -> Raw | None:
    """What Primus gets of a packet; None for nothing.

    The original hands values to Primus as they are, and its decoder leaves all alone but text. As JSON they
    come out of the JSON parser as what they are, too.
    """
    if packet.type == socketio.MESSAGE:
        return from_text(packet.data)
    try:
        if packet.type == socketio.JSON:
            value = socketio.decode_json(packet.data)
            return from_text(value) if isinstance(value, str) else packet.data
        name, args = socketio.decode_event(packet.data)
        if name != "message" or not isinstance(args, list) or not args:
            return None  # an event that nobody listens to
        value = args[0]
        return from_text(value) if isinstance(value, str) else json.dumps(value)
    except (ValueError, RecursionError):
        return None


class Nobody:
    """Receives from a WebSocket that is of no use any more."""

    def receive(self, messages: Sequence[Raw], /) -> None:
        pass

    def closed(self, clean: bool, /) -> None:
        pass

    def gone(self) -> None:
        pass


class Handshakes:
    """The handshakes that no transport has used yet. The oldest one has to go when they are too many, or too
    large: its client is told to begin again.

    Args:
        seconds: that each is kept.
        limit: how many there may be, with `HANDSHAKE_SIZE` characters each on average.
        dropped: counts what was dropped.
    """

    def __init__(self, seconds: float, limit: int, dropped: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._limit = limit
        self._dropped = dropped
        self._records: dict[str, tuple[RequestRecord, float]] = {}  # oldest first
        self._size = 0  # characters of all
        self._timer: Any = None

    def add(self, id: str, record: RequestRecord) -> None:  # noqa: A002
        """Keep one."""
        room = self._limit * HANDSHAKE_SIZE - record.size
        while self._records and (len(self._records) >= self._limit or self._size > room):
            self._remove(next(iter(self._records)))
            self._dropped("handshakes over the limit")
        self._size += record.size
        self._records[id] = (record, clock.monotonic() + self._seconds)
        if self._timer is None:
            self._start(self._seconds)

    def pop(self, id: str) -> RequestRecord | None:  # noqa: A002
        """The request of a handshake, which is used up by that; None where there is none."""
        record = self._remove(id) if id in self._records else None
        if not self._records:
            self._stop()
        return record

    def _remove(self, id: str) -> RequestRecord:  # noqa: A002
        record, _ = self._records.pop(id)
        self._size -= record.size
        return record

    def __contains__(self, id: str) -> bool:  # noqa: A002
        return id in self._records

    def __len__(self) -> int:
        return len(self._records)

    def _start(self, seconds: float) -> None:
        # Not the sweep's business: that one runs for as long as there are sparks.
        self._timer = get_hub().loop.timer(seconds)
        self._timer.start(self._expire)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _expire(self) -> None:
        self._stop()
        now = clock.monotonic()
        while self._records:
            id_, (_, end) = next(iter(self._records.items()))
            if end > now:
                self._start(end - now + self._seconds / 20)  # and some of the next ones with it
                return
            self._remove(id_)
