"""A session of Engine.IO: packets of three revisions, their heartbeats, and the probe of a WebSocket."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import clock
from ..errors import RemoteProtocolError
from ..protocols import engineio
from ..session import GONE, OPEN, Packet, Raw, Session
from ..transports.polling import Poll
from ..transports.websocket import WebSocketTransport
from .requests import query_of

if TYPE_CHECKING:
    from .engineio import EngineIO

__all__ = ["JAVASCRIPT", "EngineSession", "Probe"]

logger = logging.getLogger("primus_gevent")

NOOP_SECONDS = 0.1  # between the noops that get a probing client out of its poll
ANSWER_BYTES = 1 << 20  # packets that one poll carries; more wait for the next one
FRAMINGS = {
    (kind, base64): f"engine.io {kind}{' base64' if base64 else ''}"
    for kind in ("3a", "3b", "3c", 2, 4)
    for base64 in (False, True)
}
JAVASCRIPT = "text/javascript; charset=UTF-8"


class EngineSession(Session):
    """One client of Engine.IO."""

    __slots__ = (
        "_awaits_pong",
        "_codec",
        "_engine",
        "_heard",
        "_heard_at",
        "_pinged_at",
        "jsonp",
        "post",
        "probe",
    )

    def __init__(
        self,
        engine: EngineIO,
        id: str,  # noqa: A002
        codec: engineio.Codec,
        hub: Any,
        *,
        jsonp: str | None = None,
    ) -> None:
        super().__init__(engine.requests.sessions, id, engine.requests.limits, hub)
        self._engine = engine
        self._codec = codec
        self.jsonp = jsonp  # its parameter `j`; None without JSONP
        self.post: Poll | None = None  # the one that brings packets right now
        self.probe: Probe | None = None
        self._heard = True  # since the last `tick`
        self._heard_at = self._pinged_at = clock.monotonic()  # of revision 4: when it could last be heard
        self._awaits_pong = False

    # -- packets

    def encode(self, payload: Raw) -> Packet:
        return engineio.encode_message(payload)

    def send(self, payload: Raw) -> None:
        # What nearly every message over WebSocket is: its packet is its frame, in every revision.
        if self.transport is not None and type(payload) is str and payload.isascii():
            self.transport.send("4" + payload)
        else:
            self.push(self.encode(payload))

    def frame(self, packet: Packet) -> Raw:
        return self._codec.encode_frame(packet)

    def goodbye(self) -> Iterable[Packet]:
        return (engineio.CLOSE,)

    def close(self, code: int = 1000, reason: str = "") -> None:
        # The ws of engine.io-client 1.x knows the codes up to 1011; of 1012 and 1013 it makes an error event.
        if self._codec.revision < 4 and 1011 < code < 3000:
            code = 1000
        super().close(code, reason)

    @property
    def framing(self) -> str | None:
        if self.transport is None or self.transport.framing is None:
            return None
        codec = self._codec
        return FRAMINGS[codec.dialect or codec.revision, codec.base64_frames]

    def body(self) -> tuple[list[Packet], bytes, str]:
        """What goes out with the next answer: the packets, their body and its content type."""
        codec = self._codec
        packets = self.take(codec.fit(self.waiting, ANSWER_BYTES))
        return packets, *self.payload(packets)

    def payload(self, packets: Sequence[Packet]) -> tuple[bytes, str]:
        """The body of an answer with these packets, and its content type."""
        if self.jsonp is None:
            return self._codec.encode_payload(packets)
        text = self._codec.encode_text_payload(packets)
        return engineio.jsonp_body(self.jsonp, text), JAVASCRIPT

    def unpack(self, body: bytes, content_type: str) -> list[engineio.Packet]:
        """The packets that a request brings; raises `engineio.PayloadError`."""
        if self.jsonp is None:
            return self._codec.decode_payload(body, content_type.startswith(engineio.BINARY_TYPE))
        text = engineio.jsonp_decode(query_of(body.decode("utf-8", "replace")).get("d", ""))
        return self._codec.decode_text_payload(text) if text else []

    @property
    def swelling(self) -> int:
        """How many bytes of a request's body one byte of a message may need."""
        twice = 2 if self._codec.dialect in ("3a", "3b") else 1  # text is encoded as UTF-8 twice
        return twice if self.jsonp is None else 3 * twice  # a form escapes every byte

    def opening(self, upgrades: Sequence[str]) -> Packet:
        """The packet that begins the session."""
        options = self._engine.options
        return self._codec.encode_open(
            self.id,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            upgrades=upgrades,
            max_payload=self._engine.max_body,
        )

    def set_base64_frames(self, wanted: bool) -> None:
        """What the client has said on the request for its WebSocket."""
        self._codec.base64_frames = wanted

    # -- what comes in; runs in the hub

    def take_in(self, packets: Sequence[engineio.Packet], error: RemoteProtocolError | None = None) -> None:
        """Act on the packets of one request, and on what was wrong behind them."""
        self._heard = self._active = True
        messages: list[Raw] = []
        for kind, data in packets:
            if kind == engineio.MESSAGE:
                messages.append(data)
                continue
            fault = self._control(kind, messages)
            if fault is not None:
                error = fault
                break
        self._deliver(messages)
        if error is not None:
            self._break_off(error)

    def receive(self, frames: Sequence[Raw], /) -> None:
        """Take the frames of one read of the WebSocket."""
        self._heard = True
        messages: list[Raw] = []
        # Text that is the same in every revision, for as long as nothing else comes.
        plain = self._codec.dialect is None
        limit = self._engine.max_length
        for frame in frames:
            if type(frame) is str and frame[:1] == "4" and (plain or frame.isascii()) and len(frame) <= limit:
                messages.append(frame[1:])
            else:
                self._receive_others(messages, frames[len(messages) :])
                return
        self.deliver(messages)

    def _receive_others(self, messages: list[Raw], frames: Sequence[Raw]) -> None:
        """Go on where a frame is no plain message."""
        for frame in frames:
            try:
                kind, data = self._codec.decode_frame(frame)
                error = None
            except RemoteProtocolError as fault:
                error = fault
            else:
                if kind == engineio.MESSAGE:
                    messages.append(data)
                    continue
                error = self._control(kind, messages)
            if error is not None:
                self._deliver(messages)
                self._break_off(error)
                return
        self._deliver(messages)

    def _deliver(self, messages: list[Raw]) -> None:
        limit = self._engine.max_length
        for count, message in enumerate(messages):
            if len(message) > limit:
                self.deliver(messages[:count])
                error = RemoteProtocolError(f"a message is longer than {limit}", close_code=1009)
                self._break_off(error)
                return
        self.deliver(messages)

    def _break_off(self, error: RemoteProtocolError) -> None:
        if self.state == OPEN:
            logger.info("%r: %s", self, error)
            self.lose(error.close_code, error.reason)

    def _control(self, kind: str, messages: list[Raw]) -> RemoteProtocolError | None:
        """Act on a packet that is no message; gives back the error if it is none of a client's."""
        if self.state != OPEN:
            return None
        if kind == engineio.PONG:
            self._awaits_pong = False  # older servers overlook a stray one
        elif kind == engineio.CLOSE:
            self._deliver(messages)
            messages.clear()
            self.finish()
        elif kind == engineio.PING:
            if self._codec.revision >= 4:
                return RemoteProtocolError("a ping of the client's in revision 4")
            self._pong()
        return None

    def _pong(self) -> None:
        """Answer a ping. To one who asks and does not take the answers, those that wait will do."""
        waiting = self.waiting
        if not (self.full or (waiting and waiting[-1] == engineio.PONG)):
            self.push(engineio.PONG)

    # -- times

    def tick(self, now: float) -> None:
        """Look after the heartbeats. Called by the sweep."""
        super().tick(now)
        if self.state != OPEN:
            return
        if self.probe is not None:
            self.probe.tick(now)
        options = self._engine.options
        if self._codec.revision < 4:
            if self._heard or self._deaf():
                self._heard, self._heard_at = False, now
            elif now - self._heard_at > options.ping_interval + options.ping_timeout:
                self._time_out()
            return
        # Also while nothing is taken from the client: it waits for the pings.
        deaf = self._deaf()
        if deaf:
            self._heard_at = now
        if self._awaits_pong and not deaf:
            if now - max(self._pinged_at, self._heard_at) > options.ping_timeout:
                self._time_out()
        elif now - self._pinged_at >= options.ping_interval:
            self._pinged_at = now
            self._awaits_pong = True
            if not self.full:
                self.push(engineio.PING)

    def _deaf(self) -> bool:
        """Whether it is we who do not listen."""
        return self.paused and not self.peer_left()

    def _time_out(self) -> None:
        logger.info("%r: ping timeout", self)
        self.lose(1000, "ping timeout")

    def _end(self, *, clean: bool) -> None:
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.drop()
        super()._end(clean=clean)


class Probe:
    """A WebSocket that a client tries, beside the session that it may take over. A receiver of its frames."""

    __slots__ = ("_deadline", "_ended", "_noops", "_session", "_transport")

    def __init__(self, session: EngineSession, transport: WebSocketTransport, seconds: float) -> None:
        self._session = session
        self._transport = transport
        self._deadline = clock.monotonic() + seconds
        self._noops: Any = None
        self._ended = False

    def receive(self, frames: Sequence[Raw], /) -> None:
        """Expect ``2probe``, and then ``5``."""
        for count, frame in enumerate(frames, 1):
            if frame == engineio.PROBE:
                self._transport.send(engineio.PROBE_ANSWER)
                self._start_noops()
            elif frame == engineio.UPGRADE and self._noops is not None:
                self._take_over(frames[count:])
                return
            else:
                self.drop()  # the session goes on with polling
                return

    def _start_noops(self) -> None:
        if self._noops is None:
            self._noops = self._session.hub.loop.timer(0, NOOP_SECONDS)
            self._noops.start(self._send_noop)

    def _send_noop(self) -> None:
        """The client may not move over while its poll waits. One that is woken for nothing answers a noop."""
        if self._session.carrier is not None:
            self._session.carrier.wake()

    def _take_over(self, rest: Sequence[Raw]) -> None:
        """Give the WebSocket to the session, and these frames too."""
        session, transport = self._session, self._transport
        if self._ended:
            return
        if session.sending:
            # What this poll carries comes first, and again if it does not arrive.
            transport.pause()
            session.when_free(partial(self._take_over, rest))
            return
        self._stop()
        if session.state == GONE:
            transport.close()
            return
        transport.hand_over(session)
        transport.resume()
        session.adopt(transport)
        if rest:
            session.receive(rest)

    def tick(self, now: float) -> None:
        """Give up after a while."""
        if now > self._deadline:
            self.drop()

    def drop(self) -> None:
        """Close the WebSocket; the session is not touched."""
        self._ended = True
        self._stop()
        self._transport.close()

    def closed(self, clean: bool, /) -> None:
        """The client has given up."""
        self._ended = True
        self._stop()

    def gone(self) -> None:
        """Nothing is left of it."""

    def _stop(self) -> None:
        if self._session.probe is self:
            self._session.probe = None
        if self._noops is not None:
            self._noops.close()
            self._noops = None
