"""The transports for `engine.io` and `polling`: HTTP, which moves to a WebSocket when one can be had.

They speak revision 4, and 3 when the server's first answer is of that kind: servers before 4 do not look at
what we say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gevent
from gevent.event import AsyncResult

from ...errors import ConnectError, ConnectTimeout, PrimusError, RemoteProtocolError
from ...inbox import Raw
from ...protocols import engineio
from ...transport_options import TransportOptions, choices, flag, option
from ..session import ClientSession, blamed

if TYPE_CHECKING:
    from ..link import Link
    from ..socket import Socket

__all__ = ["EngineIO", "Polling"]

# In one POST, where the server does not say; engine.io before 6.2 takes more.
MAX_PAYLOAD_BYTES = 1_000_000

# The pingTimeout of engine.io 1.x, unless configured; 3.x waits 5 or 20 seconds.
OLD_PING_TIMEOUT = 60.0

# For the answer to the probe of a WebSocket; polling goes on meanwhile.
PROBE_SECONDS = 20.0

# What a handshake may ask for: milliseconds, and bytes.
LARGEST = 1e15

LEGACY_BODY = re.compile(rb"\d+:0")


@dataclass(frozen=True)
class PollingOptions(TransportOptions):
    """What `transport` can have for `polling`: nothing."""


@dataclass(frozen=True)
class EngineOptions(TransportOptions):
    """What `transport` can have for `engine.io`."""

    transports: Sequence[str] = option(("polling", "websocket"), choices("polling", "websocket"))
    """Which may be used; the first one begins."""
    upgrade: bool = option(True, flag)
    """Whether polling moves to a WebSocket."""
    force_base64: bool = option(False, flag)
    """Whether binary messages are base64 on a WebSocket too, for the sake of something on the way."""


class Polling(ClientSession):
    """Engine.IO by polling: one GET waits for what the server has, one POST at a time takes what we have."""

    frame_of_one = True

    def __init__(self, client: Socket, link: Link) -> None:
        super().__init__(client, link)
        self._codec = engineio.codec(4, base64=True)
        self._patience = 0.0  # seconds that the server may be silent
        self._limit = MAX_PAYLOAD_BYTES
        self._upgrades: Sequence[str] = ()

    @classmethod
    def parse(cls, transport: Any) -> TransportOptions:
        return PollingOptions.parse(transport)

    def _parameters(self, transport: str = "polling") -> dict[str, str]:
        known = {"EIO": "4", "transport": transport}
        if transport == "polling" or getattr(self._options, "force_base64", False):
            known["b64"] = "1"  # servers of revision 3 would send bodies of bytes
        if self.id is not None:
            known["sid"] = quote(self.id, safe="")
        return known

    # -- what comes

    def _run(self) -> None:
        self._begun = True
        body = self._fetch("GET", more=self._parameters())
        if LEGACY_BODY.match(body):
            self._codec = engineio.codec(3, base64=True, plain_frames=True)
        self._later(self._read, body)
        self._poll()

    def _poll(self) -> None:
        """Fetch until the end, or until a WebSocket is about to take over."""
        while True:
            self._wait_wanted()
            if self._held or (self._over and not self._queue):
                return
            self._later(self._read, self._fetch("GET", more=self._parameters()))

    def _read(self, body: bytes) -> None:
        self._heard()
        try:
            packets, failure = self._codec.decode_payload(body), None
        except engineio.PayloadError as error:
            packets, failure = error.packets, error
        messages: list[Raw] = []
        try:
            for kind, data in packets:
                if kind == engineio.MESSAGE and self.id is not None:
                    messages.append(data)
                    continue
                self._take(messages)
                messages = []
                self._control(kind, data)
            self._take(messages)
            if failure is not None:
                raise failure
        except Exception as error:  # noqa: BLE001 - what a server says may be nonsense
            self._fail(blamed(error))

    def _control(self, kind: str, data: Raw) -> None:
        if self._over and self.id is not None:
            return
        # The open packet comes first, and no other comes before it.
        if (self.id is None) != (kind == engineio.OPEN):
            raise RemoteProtocolError(f"an unexpected packet: {(kind + str(data))[:80]!r}")
        if kind == engineio.OPEN:
            self._shake_hands(data)
        elif kind == engineio.CLOSE:
            self._finish()
        elif kind == engineio.PING:
            self._put(engineio.PONG + str(data))

    def _shake_hands(self, data: Raw) -> None:
        try:
            told = json.loads(data)
            self.id, self._made = str(told["sid"]), True
            interval, timeout, limit = (
                _number(value)
                for value in (
                    told["pingInterval"] / 1000,
                    told["pingTimeout"] / 1000,
                    told.get("maxPayload") or MAX_PAYLOAD_BYTES,
                )
            )
            self._limit = int(limit)
            self._upgrades = list(told["upgrades"])
        except (ValueError, LookupError, TypeError):
            raise RemoteProtocolError(f"a broken handshake: {data[:80]!r}") from None
        if self.transport is not None:
            # No framing tells the revision here; since engine.io 6.2 the handshake does.
            revision = 4 if "maxPayload" in told else 3
            self._codec = engineio.codec(
                revision, base64=getattr(self._options, "force_base64", False), plain_frames=True
            )
        if self._codec.revision == 3:
            self._codec.dialect = "3b" if timeout >= OLD_PING_TIMEOUT else "3c"
        if self._over:  # we are only here to say goodbye
            return
        if self._codec.revision == 3:
            self._ping(interval)
        self._patience = interval + timeout
        self._heard()
        self._ready()

    # -- heartbeats: the server's in revision 4, ours in 3

    def _heard(self) -> None:
        if self._patience and not self._over:
            self._timers.set("silence", self._patience, self._silent)

    def _silent(self) -> None:
        if self._paused:  # it may have spoken; nobody listened
            self._heard()
            return
        self._fail(ConnectTimeout(f"the server was silent for {self._patience:g} s", str(self._url)), 1001)

    def _ping(self, interval: float) -> None:
        def send() -> None:
            self._put(engineio.PING)
            self._timers.set("ping", interval, send)

        self._timers.set("ping", interval, send)

    # -- what goes

    def _encode(self, payload: Raw) -> engineio.Encoded:
        return engineio.encode_message(payload)

    def _batch(self) -> int:
        return self._codec.fit((written.packet for written in self._queue), self._limit)

    def _deliver(self, packets: Sequence[engineio.Encoded]) -> None:
        body, content_type = self._codec.encode_payload(packets)
        self._fetch("POST", more=self._parameters(), body=body, content_type=content_type)

    def _goodbye(self) -> None:
        self._deliver([engineio.CLOSE])


class EngineIO(Polling):
    """Engine.IO with WebSockets: from the start, or when polling is open and a probe was answered."""

    def __init__(self, client: Socket, link: Link) -> None:
        super().__init__(client, link)
        possible = self._options.transports if client.options.websockets else ("polling",)
        self._direct = possible[0] == "websocket"
        self._upgradable = "websocket" in possible and self._options.upgrade
        self._prober: Any = None

    @classmethod
    def parse(cls, transport: Any) -> EngineOptions:
        return EngineOptions.parse(transport)

    def _run(self) -> None:
        if self._direct:
            self._later(self._adopt, *self._connect(more=self._parameters("websocket")))
        else:
            super()._run()

    def closed(self, clean: bool) -> None:
        if self._opened:
            super().closed(clean)
        else:
            self._fail(ConnectError(f"{self._url} closed the WebSocket", str(self._url)))

    # -- from polling to WebSocket

    def _ready(self) -> None:
        super()._ready()
        if not self._over and self.transport is None and self._upgradable and "websocket" in self._upgrades:
            self._prober = gevent.spawn(self._probe)

    def _probe(self) -> None:
        """Try a WebSocket, and move to it. If there is none, polling goes on."""
        probe = None
        try:
            with gevent.Timeout(PROBE_SECONDS, ConnectTimeout("the probe was not answered", str(self._url))):
                connection, early = self._connect(more=self._parameters("websocket"))
                probe = Probe(connection)
                connection.start(probe, early)
                connection.send(engineio.PROBE)
                probe.answer.get()
                # Both requests have to be over: nobody could tell what is older, their packets or those of
                # the WebSocket. The server answers the GET with nothing, if it has nothing.
                self._hold()
                for greenlet in (self._reader, self._writer):
                    if greenlet is not None:
                        greenlet.join()
            self._later(self._move, probe)
            probe = None
        except PrimusError:
            self._later(self._stay)
        finally:
            if probe is not None:
                probe.connection.abort()

    def _hold(self) -> None:
        self._held = True
        self._flowing.set()  # the reader may be waiting for the application

    def _move(self, probe: Probe) -> None:
        if self._over or probe.lost:
            probe.connection.abort()
            self._stay()
            return
        self._codec.base64_frames = self._options.force_base64
        probe.connection.send(engineio.UPGRADE)
        self._adopt(probe.connection, started=True)

    def _stay(self) -> None:
        if self._held and not self._over:
            self._held = False
            self._start_writer()
            if self._reader.dead:
                self._reader = gevent.spawn(self._guarded, self._poll)

    # -- on the WebSocket

    def _frame(self, packet: engineio.Encoded) -> Raw:
        return self._codec.encode_frame(packet)

    def _receive_frame(self, frame: Raw) -> None:
        self._heard()
        kind, data = self._codec.decode_frame(frame)
        if kind == engineio.MESSAGE and self.id is not None:
            self._take((data,))
        else:
            self._control(kind, data)

    # -- the end

    def _destroy(self) -> None:
        if self._prober is not None:
            self._prober.kill(block=False)
        super()._destroy()

    def _last_requests(self) -> None:
        if self._prober is not None:
            self._prober.kill()
        self._held = False
        self._start_writer()  # what was kept for the WebSocket
        super()._last_requests()


def _number(value: float) -> float:
    """Of a handshake, where it can be used."""
    if not 0 < value < LARGEST:
        raise ValueError(value)
    return value


class Probe:
    """What a WebSocket reports to until the session moves to it; see `transports.base.Receiver`."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.answer: Any = AsyncResult()
        self.lost = False

    def receive(self, messages: Sequence[Raw]) -> None:
        """The answer has come, or something else."""
        if list(messages) == [engineio.PROBE_ANSWER]:
            self.answer.set(True)
        else:
            self.answer.set_exception(RemoteProtocolError(f"no answer to a probe: {messages[0][:80]!r}"))

    def closed(self, clean: bool) -> None:
        """It is over."""
        self.lost = True
        self.answer.set_exception(ConnectError("the WebSocket was closed"))

    def gone(self) -> None:
        """Nothing is left."""
