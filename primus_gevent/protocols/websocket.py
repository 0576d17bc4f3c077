"""The WebSocket wire format (RFC 6455, RFC 7692) for both roles, without I/O: bytes in, events out.

`WebSocketProtocol.receive` turns what the network delivered, however it was cut, into events; the sending
methods return the bytes of one frame. Nothing here knows a socket, a clock or a greenlet, and `receive` never
raises. What ends the connection is an event too: `Close` when the peer says goodbye, `Failure` when it broke
the protocol.
"""

from __future__ import annotations

from codecs import utf_8_decode

from primus_gevent.errors import LocalProtocolError, RemoteProtocolError
from primus_gevent.protocols.deflate import PerMessageDeflate
from primus_gevent.protocols.frames import (
    BAD_DATA,
    BAD_UTF8,
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    FIN_TEXT,
    MASKED,
    MAX_CONTROL_BYTES,
    MAX_REASON_BYTES,
    NO_CODE,
    PING,
    POLICY_VIOLATION,
    PONG,
    RSV1,
    RSV2_RSV3,
    SHORT_TEXT_HEADERS,
    TEXT,
    TOO_BIG,
    WIRE_CLOSE_CODES,
    Close,
    Data,
    Event,
    Failure,
    Ping,
    Pong,
    cut_text,
    frame,
    header,
    long_length,
    masked_frame,
    parse_close,
    prepare_binary,
    prepare_text,
)
from primus_gevent.protocols.masking import mask

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "NO_CODE",
    "PING",
    "PONG",
    "TEXT",
    "Close",
    "Event",
    "Failure",
    "Ping",
    "Pong",
    "WebSocketProtocol",
    "frame",
    "prepare_binary",
    "prepare_text",
]


class _Message:
    """A data message whose end has not come: it is fragmented, or its one frame arrives in pieces.

    Only the bytes are kept, already unmasked, whatever number of fragments they came in.
    """

    __slots__ = ("compressed", "fin", "fragments", "key", "left", "opcode", "payload", "tail")

    def __init__(self, opcode: int, compressed: bool) -> None:
        self.opcode = opcode
        self.compressed = compressed
        self.payload = bytearray()
        self.fragments = 0
        self.left = 0  # bytes of the present frame that are still to come
        self.fin = False
        self.key = b""  # of the present frame, turned so that its first byte is for the next one to come
        self.tail = b""  # the last bytes of `payload` when they are the beginning of a character

    def add(self, chunk: bytes) -> None:
        """Take over bytes of the present frame, and look at once whether they can still be text.

        The text is decoded again when it is whole: keeping the decoded pieces would let a peer that sends
        single bytes make us hold an object for each.

        Raises:
            UnicodeDecodeError: they cannot.
        """
        self.left -= len(chunk)
        key = self.key
        if key:
            turn = len(chunk) & 3
            chunk = mask(chunk, key)
            if turn:
                self.key = key[turn:] + key[:turn]
        self.payload += chunk
        if self.opcode == TEXT and not self.compressed:
            if self.tail:
                chunk = self.tail + chunk
            self.tail = chunk[utf_8_decode(chunk, "strict", False)[1] :]


class WebSocketProtocol:
    """One connection's codec, after the opening handshake.

    It enforces what the peer may do; that our side sends no data after `close` is the transport's concern.

    Attributes:
        client: whether we are the client (and so mask what we send).
        max_length: bytes that one message may have: in one frame, summed over its fragments, and inflated.
        max_fragments: frames that one message may come in.
        deflate: the negotiated compression, or None.
        close_sent: `close` was called.
        close_received: a `Close` event was returned.
        ignored_bytes: how much came after the peer's Close frame, or after a failure.
    """

    __slots__ = (
        "_buffer",
        "_ended",
        "_message",
        "_quick",
        "client",
        "close_received",
        "close_sent",
        "deflate",
        "ignored_bytes",
        "max_fragments",
        "max_length",
    )

    def __init__(
        self,
        *,
        client: bool = False,
        max_length: int = 1 << 20,
        max_fragments: int = 1024,
        deflate: PerMessageDeflate | None = None,
    ) -> None:
        self.client = client
        self.max_length = max_length
        self.max_fragments = max_fragments
        self.deflate = deflate
        self.close_sent = False
        self.close_received = False
        self.ignored_bytes = 0
        self._ended = False
        # A header or a control frame that is not whole yet, so never more than 130 bytes.
        self._buffer = b""
        self._message: _Message | None = None
        # The longest payload for the quick loop in `receive`: none for a client, whose peer does not mask.
        self._quick = -1 if client else max_length

    @property
    def partial(self) -> bool:
        """Whether the end of a frame, or of a fragmented message, is still to come."""
        return self._message is not None or bool(self._buffer)

    def receive(self, data: Data) -> list[Event]:  # noqa: C901 - a call less is a tenth of a frame's time
        """Return what these bytes, and those kept from before, complete. Never raises, whatever they are.

        `Close` and `Failure` come last in their list; bytes after them are only counted in `ignored_bytes`.
        """
        if type(data) is not bytes:
            data = bytes(data)
        if self._ended:
            self.ignored_bytes += len(data)
            return []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        events: list[Event] = []
        append = events.append
        unmask = mask
        longest = self._quick
        position = 0
        end = len(data)
        last = end - 5  # a masked frame has six bytes or more
        try:
            while position < end:
                if self._message is None:
                    # Nearly all frames are whole, masked, not compressed text of less than 64 KiB: these few
                    # lines are all that they meet. Whatever is not so, lawful or not, is looked at in _step.
                    while position < last and data[position] == FIN_TEXT:
                        size = data[position + 1] ^ MASKED
                        start = position + 6
                        if size > MAX_CONTROL_BYTES:
                            start += 2
                            if size != 126:
                                break
                            size = data[position + 2] << 8 | data[position + 3]
                            if size <= MAX_CONTROL_BYTES:
                                break
                        stop = start + size
                        if size > longest or stop > end:
                            break
                        append(str(unmask(data[start:stop], data[start - 4 : start]), "utf-8"))
                        position = stop
                    if position == end:
                        break
                position = self._step(data, position, end, events)
        except RemoteProtocolError as error:
            self._fail(error.close_code, error.reason, events)
        except UnicodeDecodeError:
            self._fail(BAD_DATA, BAD_UTF8, events)
        return events

    def text(self, payload: str) -> bytes:
        """One text frame.

        Raises:
            UnicodeEncodeError: `payload` has a lone surrogate, which UTF-8 cannot carry. (A parser that
                writes such text has to escape it; JSON can.)
        """
        data = payload.encode()
        if self.client or self.deflate is not None:
            return self._data_frame(TEXT, data)
        size = len(data)
        if size <= MAX_CONTROL_BYTES:
            return SHORT_TEXT_HEADERS[size] + data
        return header(FIN_TEXT, size) + data

    def binary(self, payload: Data) -> bytes:
        """One binary frame."""
        if type(payload) is not bytes:
            payload = bytes(payload)
        if self.client or self.deflate is not None:
            return self._data_frame(BINARY, payload)
        return header(FIN | BINARY, len(payload)) + payload

    def ping(self, payload: Data = b"") -> bytes:
        """A ping frame; LocalProtocolError when `payload` has more than 125 bytes."""
        return self._control_frame(PING, bytes(payload))

    def pong(self, payload: Data = b"") -> bytes:
        """A pong frame; LocalProtocolError when `payload` has more than 125 bytes."""
        return self._control_frame(PONG, bytes(payload))

    def close(self, code: int | None = None, reason: str = "") -> bytes:
        """A close frame, after which we may send nothing but have to go on receiving.

        Args:
            code: None for a frame without a code (1005 in the other side's report).
            reason: cut to the 123 bytes of UTF-8 that fit, between characters.

        Raises:
            LocalProtocolError: that code may not be on the wire, or there is a reason without a code.
        """
        if code is None:
            if reason:
                raise LocalProtocolError("a close reason needs a close code")
            payload = b""
        elif code in WIRE_CLOSE_CODES:
            payload = code.to_bytes(2, "big") + cut_text(reason.encode("utf-8", "replace"), MAX_REASON_BYTES)
        else:
            raise LocalProtocolError(f"close code {code} may not be sent")
        self.close_sent = True
        return self._control_frame(CLOSE, payload)

    def _fail(self, code: int, reason: str, events: list[Event]) -> None:
        self._ended = True
        self._message = None
        events.append(Failure(code, reason))

    def _step(self, data: bytes, position: int, end: int, events: list[Event]) -> int:
        """Go on with the present frame or read the next one; returns how far `data` is dealt with."""
        message = self._message
        if message is not None and message.left:
            return self._continue(message, data, position, events)
        after = self._frame(data, position, end, events)
        if after < 0:
            self._buffer = data[position:]
            return end
        if self.close_received:
            self.ignored_bytes += end - after
            return end
        return after

    def _frame(self, data: bytes, position: int, end: int, events: list[Event]) -> int:
        """Read the frame that begins at `position`: whole, or its header and what there is of its payload.

        Returns:
            Where to go on; -1 when more bytes are needed before anything can be done.

        Raises:
            RemoteProtocolError, UnicodeDecodeError: as soon as the bytes so far allow the verdict, so that it
                does not depend on how they were cut.
        """
        if end - position < 2:
            return -1
        first = data[position]
        self._check(first, data[position + 1])
        size = data[position + 1] & 0x7F
        start = position + 2
        if size > MAX_CONTROL_BYTES:
            start += 2 if size == 126 else 8
            if start > end:
                return -1
            size = long_length(data[position + 2 : start])
        opcode = first & 0x0F
        if opcode < CLOSE:
            self._check_bounds(first, size)
        key = b""
        if not self.client:
            if start + 4 > end:
                return -1
            key = data[start : start + 4]
            start += 4
        if opcode < CLOSE:
            return self._data(first, size, key, data, start, events)
        stop = start + size
        if stop > end:
            return -1
        payload = data[start:stop]
        self._control(opcode, mask(payload, key) if key else payload, events)
        return stop

    def _data(self, first: int, size: int, key: bytes, data: bytes, start: int, events: list[Event]) -> int:
        """Take the `size` bytes of a data frame that begin at `start`; returns where to go on."""
        message = self._message
        if message is None:
            stop = start + size
            if first & FIN and stop <= len(data):
                payload = data[start:stop]
                if key:
                    payload = mask(payload, key)
                events.append(self._finish(first & 0x0F, first & RSV1, payload))
                return stop
            message = self._message = _Message(first & 0x0F, bool(first & RSV1))
        message.fragments += 1
        message.fin = bool(first & FIN)
        message.left = size
        message.key = key
        return self._continue(message, data, start, events)

    def _continue(self, message: _Message, data: bytes, position: int, events: list[Event]) -> int:
        """Give `message` the bytes of its present frame that are here; returns where they end."""
        stop = min(len(data), position + message.left)
        message.add(data[position:stop])
        if message.fin and not message.left:
            self._message = None
            events.append(self._finish(message.opcode, message.compressed, message.payload))
        return stop

    def _check(self, first: int, second: int) -> None:
        """What the first two bytes of a header alone can be guilty of (RFC 6455, 5.2 to 5.5)."""
        opcode = first & 0x0F
        if first & RSV2_RSV3 or (first & RSV1 and (self.deflate is None or opcode not in (TEXT, BINARY))):
            raise RemoteProtocolError("reserved bits are set")
        if (second < MASKED) is not self.client:
            raise RemoteProtocolError("a frame is masked" if self.client else "a frame is not masked")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise RemoteProtocolError(f"opcode {opcode} is reserved")
            if not first & FIN:
                raise RemoteProtocolError("a control frame is fragmented")
            if second & 0x7F > MAX_CONTROL_BYTES:
                raise RemoteProtocolError("a control frame is longer than 125 bytes")
        elif opcode > BINARY:
            raise RemoteProtocolError(f"opcode {opcode} is reserved")
        elif (opcode == CONTINUATION) is (self._message is None):
            raise RemoteProtocolError(
                "a message begins inside another" if opcode else "no message to continue"
            )

    def _check_bounds(self, first: int, size: int) -> None:
        """Refuse what will be too long while none of it is here: to announce a gigabyte costs ten bytes."""
        limit = self.max_length
        message = self._message
        if message is None:
            compressed = bool(first & RSV1)
        else:
            compressed = message.compressed
            size += len(message.payload)
            if message.fragments >= self.max_fragments:
                # As in `ws`: not too long, but nothing that an honest peer does.
                raise RemoteProtocolError("too many fragments", close_code=POLICY_VIOLATION)
        if compressed:
            # What does not compress grows: the most that zlib makes of max_length bytes (its deflateBound).
            limit += (limit >> 3) + (limit >> 6) + 64
        if size > limit:
            raise RemoteProtocolError("the message is longer than the limit", close_code=TOO_BIG)

    def _finish(self, opcode: int, compressed: int, payload: bytes | bytearray) -> str | bytes:
        if compressed:
            assert self.deflate is not None  # _check let RSV1 pass
            payload = self.deflate.decompress(payload, self.max_length)
        return str(payload, "utf-8") if opcode == TEXT else bytes(payload)

    def _control(self, opcode: int, payload: bytes, events: list[Event]) -> None:
        if opcode == PING:
            events.append(Ping(payload))
        elif opcode == PONG:
            events.append(Pong(payload))
        else:
            events.append(parse_close(payload))
            self.close_received = self._ended = True
            self._message = None

    def _data_frame(self, opcode: int, payload: bytes) -> bytes:
        """A data frame of a client, or of a side that compresses."""
        first = FIN | opcode
        deflate = self.deflate
        if deflate is not None and len(payload) >= deflate.options.threshold:
            payload = deflate.compress(payload)
            first |= RSV1
        if self.client:
            return masked_frame(first, payload)
        return header(first, len(payload)) + payload

    def _control_frame(self, opcode: int, payload: bytes) -> bytes:
        if len(payload) > MAX_CONTROL_BYTES:
            raise LocalProtocolError("a control frame carries at most 125 bytes")
        if self.client:
            return masked_frame(FIN | opcode, payload)
        return header(FIN | opcode, len(payload)) + payload

    def __repr__(self) -> str:
        words = ["client" if self.client else "server"]
        if self.deflate is not None:
            words.append("deflate")
        if self.partial:
            words.append("partial")
        if self.close_sent:
            words.append("close sent")
        if self.close_received:
            words.append("close received")
        elif self._ended:
            words.append("failed")
        return f"<WebSocketProtocol {', '.join(words)}>"
