"""A WebSocket whose messages the package gevent-websocket reads and frames, on the transport of all ours.

Its `WebSocket` reads as a greenlet does: it asks a stream for some bytes, and waits until they are there.
Here the stream is a buffer, and the waiting is a switch back into whoever has brought the last bytes; so the
same code becomes a protocol without I/O, bytes in and events out. The socket, and with it every wait, time
limit and high mark, is `WebSocketTransport`'s. A connection keeps a greenlet only while it has a part of a
message.

What the package leaves open is closed in `_WebSocket`, before it matters: lengths and numbers of fragments
are looked at when a header is there and its payload is not, masks are demanded, and undone at the speed of C,
a text that cannot be UTF-8 ends with its fragment, and a Close frame is answered by the transport, which
alone writes.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Any

from gevent import monkey
from geventwebsocket.exceptions import ProtocolError
from geventwebsocket.websocket import Header, WebSocket
from greenlet import GreenletExit, getcurrent, greenlet

from ..errors import RemoteProtocolError
from ..protocols.frames import BAD_DATA, BAD_UTF8, POLICY_VIOLATION, TOO_BIG, Data, parse_close
from ..protocols.masking import mask
from ..protocols.websocket import BINARY, CLOSE, CONTINUATION, PONG, TEXT, Event, Ping, WebSocketProtocol
from .base import Raw
from .websocket import WebSocketTransport

__all__ = ["GeventWebSocketProtocol", "GeventWebSocketTransport"]

PROTOCOL_ERROR = 1002
# One would do, if messages were always whole. After a flood of halves some are kept, and the others end.
MAX_IDLE = 16

decoder_of = getincrementaldecoder("utf-8")
# really of the thread, also where `threading` is monkey-patched: greenlets belong to a thread
local = monkey.get_original("threading", "local")()


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame, without a mask."""
    return bytes(Header.encode_header(True, opcode, b"", len(payload), 0) + payload)


class GeventWebSocketTransport(WebSocketTransport):
    """One connection of the transformer `faye`."""

    __slots__ = ()

    _protocol: GeventWebSocketProtocol

    def prepare(self, payload: Raw) -> bytes:
        """The frame of one message, for `send_prepared` of every connection with the same `framing`."""
        return frame(TEXT, payload.encode()) if isinstance(payload, str) else frame(BINARY, payload)

    def _destroy(self) -> None:
        super()._destroy()
        self._protocol.stop()


class GeventWebSocketProtocol(WebSocketProtocol):
    """The protocol of a server's connection: the package reads all frames, and makes those of messages.
    Control frames, and what may be in them, are the base class's.
    """

    __slots__ = ("_arrived", "_reader", "_websocket")

    def __init__(self, *, max_length: int = 1 << 20, max_fragments: int = 1024) -> None:
        super().__init__(max_length=max_length, max_fragments=max_fragments)
        self._arrived = _Arrived()
        self._websocket = _WebSocket(self._arrived, max_length, max_fragments)
        self._reader: greenlet | None = None  # while a part of a message waits for the rest

    @property
    def partial(self) -> bool:
        """Whether the end of a frame, or of a fragmented message, is still to come."""
        return self._reader is not None

    def receive(self, data: Data) -> list[Event]:
        """Return what these bytes, and those kept from before, complete. Never raises, whatever they are."""
        if self._ended:
            self.ignored_bytes += len(data)
            return []
        self._arrived.data += data
        reader = self._reader
        if reader is None:
            reader = self._reader = idle_readers().pop() if idle_readers() else greenlet(read_for)
        # It comes back to here when it wants more, or has read everything.
        reader.parent = getcurrent()
        reader.switch(self)
        events = self._websocket.events
        self._websocket.events = []
        return events

    def read(self) -> None:
        """Read until the bytes end with a message; in a greenlet that `receive` has switched to."""
        arrived, websocket = self._arrived, self._websocket
        try:
            while arrived.data and not websocket.ended:
                message = websocket.read_message()
                if message is not None:
                    # `receive` begins a new list each time that it returns
                    websocket.events.append(message if type(message) is str else bytes(message))
        except RemoteProtocolError as error:
            self._fail(error.close_code, error.reason, websocket.events)
        except UnicodeError:
            self._fail(BAD_DATA, BAD_UTF8, websocket.events)
        except ProtocolError as error:
            self._fail(PROTOCOL_ERROR, str(error), websocket.events)
        except Rest:
            pass
        finally:
            self._reader = None
        if websocket.ended:
            self._ended = self.close_received = True
        if self._ended:
            self.ignored_bytes += len(arrived.data)
            arrived.data.clear()

    def stop(self) -> None:
        """Nothing more will be received. The greenlet that waits for the end of a message is let go: it and
        the protocol refer to each other, in a way that garbage collection does not see.
        """
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.parent = getcurrent()
            reader.throw(GreenletExit)

    def text(self, payload: str) -> bytes:
        """One text frame; UnicodeEncodeError when `payload` has a lone surrogate."""
        return frame(TEXT, payload.encode())

    def binary(self, payload: Data) -> bytes:
        """One binary frame."""
        return frame(BINARY, bytes(payload))


def idle_readers() -> list[greenlet]:
    """Greenlets of this thread that can read for any connection."""
    try:
        idle: list[greenlet] = local.idle
    except AttributeError:
        idle = local.idle = []
    return idle


def read_for(protocol: GeventWebSocketProtocol) -> None:
    """What such a greenlet does: read for one connection after the other, since to make one takes longer than
    to read a message."""
    while True:
        protocol.read()
        del protocol
        if len(idle_readers()) >= MAX_IDLE:
            return
        idle_readers().append(getcurrent())
        protocol = greenlet.switch(getcurrent().parent)  # type: ignore[arg-type]


class Rest(Exception):
    """Nothing of a message is here."""


class _Arrived:
    """The stream that the package reads from: what has arrived and is not read yet."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def read(self, size: int) -> bytes:
        """So many bytes; until they are there, those who bring them go on."""
        data = self.data
        while len(data) < size:
            greenlet.switch(getcurrent().parent)  # type: ignore[arg-type]
        piece = bytes(data[:size])
        del data[:size]
        return piece

    def write(self, data: bytes) -> None:
        """For the constructor of `WebSocket`; all that is written goes through the transport."""
        raise NotImplementedError


class _WebSocket(WebSocket):  # type: ignore[misc]
    """gevent-websocket's reader, with the limits that it lacks.

    `read_message` returns a message, or None after a Close frame; control frames are added to `events`. It
    raises `RemoteProtocolError` by our checks, `ProtocolError` and `UnicodeError` by the package's.
    """

    __slots__ = ("_decoder", "_fragments", "_is_whole", "_length", "_limits", "ended", "events", "inside")

    def __init__(self, stream: _Arrived, max_length: int, max_fragments: int) -> None:
        super().__init__(None, stream, None)
        self._limits = max_length, max_fragments
        self._length = self._fragments = 0  # of the message, its present frame included
        self._is_whole = False  # the present frame is the last of its message
        self._decoder: Any = None  # of a text that comes in fragments
        self.inside = False  # a fragmented message has begun
        self.ended = False  # by a Close frame
        self.events: list[Event] = []

    def __del__(self) -> None:
        pass  # the package's would say goodbye on a connection that is gone

    def read_frame(self) -> tuple[Any, bytes]:
        """The next frame. The package's own reads any length, and needs no mask."""
        if not self.inside and not self.stream.data:
            raise Rest  # after a control frame
        header = Header.decode_header(self.stream)
        self._check(header)
        payload = self.stream.read(header.length)
        return header, mask(payload, header.mask) if payload else payload

    def _check(self, header: Any) -> None:
        """Refuse a frame of which only the header is here."""
        opcode = header.opcode
        if header.flags:
            raise RemoteProtocolError("reserved bits are set")
        if not header.mask:
            raise RemoteProtocolError("a frame is not masked")
        if opcode > PONG or BINARY < opcode < CLOSE:
            raise RemoteProtocolError(f"opcode {opcode} is reserved")
        if opcode >= CLOSE:
            return
        if (opcode == CONTINUATION) is not self.inside:
            raise RemoteProtocolError(
                "a message begins inside another" if opcode else "no message to continue"
            )
        if opcode:
            self._length = self._fragments = 0
            self._decoder = None
        self._length += header.length
        self._fragments += 1
        max_length, max_fragments = self._limits
        if self._fragments > max_fragments:
            raise RemoteProtocolError("too many fragments", close_code=POLICY_VIOLATION)
        if self._length > max_length:
            raise RemoteProtocolError("the message is longer than the limit", close_code=TOO_BIG)
        self._is_whole = header.fin
        self.inside = not header.fin

    def validate_utf8(self, payload: bytes) -> None:
        """Look at a fragment of a text. The package's validator is written in Python, and runs twice."""
        if self._is_whole:
            return  # all of the text is about to be decoded
        if self._decoder is None:
            self._decoder = decoder_of()
        self._decoder.decode(payload)

    def _decode_bytes(self, bytestring: bytearray) -> str:
        return str(bytestring, "utf-8")

    def handle_ping(self, header: Any, payload: bytes) -> None:
        self.events.append(Ping(payload))

    def handle_close(self, header: Any, payload: bytes) -> None:
        self.events.append(parse_close(payload))
        self.ended = True
