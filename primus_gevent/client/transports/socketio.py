"""The transport for `socket.io`: version 0.9, over a WebSocket or by polling.

(Its other transports, htmlfile and jsonp-polling, are for browsers that cannot do better.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gevent
from gevent.event import AsyncResult

from ...errors import ConnectError, ConnectTimeout, PrimusError, RemoteProtocolError
from ...inbox import Raw
from ...protocols import socketio
from ...protocols.carried import from_text, to_text
from ...transport_options import TransportOptions, choices, option, seconds
from ..session import ClientSession

if TYPE_CHECKING:
    from ..link import Link
    from ..socket import Socket

__all__ = ["SocketIO"]

TRANSPORTS = ("websocket", "xhr-polling")


@dataclass(frozen=True)
class SocketIOOptions(TransportOptions):
    """What `transport` can have for `socket.io`."""

    transports: Sequence[str] = option(TRANSPORTS, choices(*TRANSPORTS))
    """Those that may be used; the WebSocket is tried first."""
    connect_timeout: float = option(10.0, seconds)
    """Seconds for each of them to open."""


class SocketIO(ClientSession):
    """A session of Socket.IO 0.9."""

    frame_of_one = True

    def __init__(self, client: Socket, link: Link) -> None:
        super().__init__(client, link)
        self.name = ""
        # Seconds that nothing may come: beats on a WebSocket, and answers to polls. None: for ever.
        self._silence: dict[str, float | None] = {}
        self._opening: Any = AsyncResult()

    @classmethod
    def parse(cls, transport: Any) -> SocketIOOptions:
        return SocketIOOptions.parse(transport)

    # -- opening

    def _run(self) -> None:
        offered = self._shake_hands()
        usable = TRANSPORTS if self._client.options.websockets else TRANSPORTS[1:]
        names = [name for name in usable if name in self._options.transports and name in offered]
        failure: BaseException | None = None
        for name in names:
            self.name = name
            try:
                with self._in_time(name):
                    if name == "websocket":
                        self._open_websocket()
                    else:
                        self._begun = self._made = True
                        self._poll()
                        if not self._opened and not self._over:
                            raise ConnectError(f"{self._url} did not open the session", str(self._url))
            except PrimusError as error:
                failure = error
                if self._gives_up():
                    continue
            if self.transport is None:
                self._poll_on()
            return
        why = failure or f"it offers {', '.join(offered)}"
        raise ConnectError(
            f"no transport of Socket.IO reaches {self._url}: {why}", str(self._url)
        ) from failure

    def _in_time(self, name: str) -> Any:
        limit = self._options.connect_timeout
        return gevent.Timeout(
            limit, ConnectTimeout(f"no answer over {name} within {limit:g} s", str(self._url))
        )

    def _shake_hands(self) -> list[str]:
        """The transports that the server offers."""
        text = self._fetch("GET", f"{socketio.VERSION}/").decode("utf-8", "replace")
        try:
            session, heartbeat, close, transports = text.split(":")
            # (`int`, since text could be "nan".)
            self._silence = {
                "websocket": int(heartbeat) if heartbeat else None,
                "xhr-polling": int(close) if close else None,
            }
        except ValueError:
            raise RemoteProtocolError(f"a broken handshake: {text[:80]!r}") from None
        self.id = session
        return transports.split(",")

    @property
    def _path(self) -> str:
        return f"{socketio.VERSION}/{self.name}/{quote(self.id or '', safe='')}"

    def _open_websocket(self) -> None:
        self._opening = AsyncResult()
        self._later(self._adopt, *self._connect(self._path))
        self._opening.get()

    # -- what comes

    def _poll(self) -> None:
        body = self._fetch("GET", self._path).decode("utf-8", "replace")
        self._later(self.receive, socketio.split_payload(body))
        gevent.sleep(0)  # now it was read in the hub

    def _poll_on(self) -> None:
        try:
            while not self._over or self._queue:
                self._wait_wanted()
                self._poll()
        except ConnectError:
            # Official clients report no error when a connection that was open is lost.
            self._later(self._finish, False)

    def _receive_frame(self, frame: Raw) -> None:
        if not isinstance(frame, str):
            raise RemoteProtocolError("a binary frame", close_code=1003)
        self._heard()
        packet = socketio.decode(frame)
        kind = packet.type
        if kind is None:
            raise RemoteProtocolError(f"an unknown packet: {frame[:80]!r}")
        if packet.endpoint:
            return  # of another namespace
        if packet.id and not packet.data_ack and kind in (socketio.MESSAGE, socketio.JSON, socketio.EVENT):
            self._put(f"{socketio.ACK}:::{packet.id}")  # asked of us, not of the application
        if kind in (socketio.MESSAGE, socketio.JSON):  # the latter is what the parser expects
            self._take((from_text(packet.data),))
        elif kind == socketio.CONNECT:
            if not self._opened:
                self._ready()
                self._opening.set(True)
        elif kind == socketio.HEARTBEAT:
            self._put(socketio.HEARTBEAT_PACKET)
        elif kind == socketio.DISCONNECT:
            self._finish()
        elif kind == socketio.ERROR:
            reason, _ = socketio.decode_error(packet.data)
            self._fail(ConnectError(f"{self._url} refuses: {reason or packet.data}", str(self._url)))

    def _heard(self) -> None:
        limit = self._silence.get(self.name)
        if limit is not None:
            self._timers.set("silence", limit, self._silent)

    def _silent(self) -> None:
        if self._paused:  # it may have spoken; nobody listened
            self._heard()
        else:
            self._finish(clean=False)

    def closed(self, clean: bool) -> None:
        if self._opened or self._over:
            super().closed(clean)
        else:
            self._opening.set_exception(
                ConnectError(f"{self._url} closed the WebSocket before it was open", str(self._url))
            )

    # -- what goes

    def _encode(self, payload: Raw) -> str:
        return socketio.encode_message(to_text(payload))

    def _frame(self, packet: str) -> Raw:
        return packet

    def _deliver(self, packets: Sequence[str]) -> None:
        self._fetch(
            "POST", self._path, None, socketio.encode_payload(packets).encode(), "text/plain;charset=UTF-8"
        )

    # (The request `?disconnect=1` has no effect on official servers while no poll waits.)
    def _goodbye(self) -> None:
        self._deliver([socketio.DISCONNECTED])

    def _last_frames(self) -> Sequence[Raw]:
        return (socketio.DISCONNECTED,)
