"""The packets of Engine.IO, revisions 2, 3 and 4, without I/O; `codec` makes one side's half of a session.

A packet that is to be sent is *encoded* once, by `encode_message` or as one of the constants below, into a
form that is the same for every revision: text is the type's digit and the data, bytes are the data of a
binary message. So it can wait in an outbox, or in a thousand, before it is known how it will leave: as a
WebSocket frame (`Codec.encode_frame`, which for nearly all text is the encoded packet itself) or with others
in an HTTP body (`Codec.encode_payload`).

Revision 3 has three dialects under one number. They are the same for ASCII text:

===== ================== ====================================== ==================================
name  engine.io          text in a body                         text in a WebSocket frame
===== ================== ====================================== ==================================
3a    1.0 - 1.3          its UTF-8, each byte as a character    its UTF-8, each byte as a character
3b    1.4 - 1.8          its UTF-8, each byte as a character    plain
3c    2 and 3            plain, lengths in UTF-16 units         plain
===== ================== ====================================== ==================================

A peer of 3a or 3b that takes binary is sent the binary form of a body, whatever is in it (it would not read
another one); in that form text is the same in all dialects.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final, Literal, TypeVar

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols.engineio_payloads import (
    BINARY_ENTRY,
    SEPARATOR,
    TEXT_ENTRY,
    binary_entry,
    decode_base64,
    encode_base64,
    jsonp_body,
    jsonp_decode,
    split_entries,
    split_lengths,
    split_separated,
    utf8_text,
    utf16_units,
    well_formed,
)

__all__ = [
    "BINARY_TYPE",
    "CLOSE",
    "MAX_PACKETS",
    "MESSAGE",
    "NOOP",
    "OPEN",
    "PING",
    "PONG",
    "PROBE",
    "PROBE_ANSWER",
    "TEXT_TYPE",
    "UPGRADE",
    "Codec",
    "Dialect",
    "Encoded",
    "Packet",
    "PayloadError",
    "codec",
    "encode_message",
    "jsonp_body",
    "jsonp_decode",
]

# The types of packets. All but OPEN and MESSAGE are sent without data, and so are encoded packets as well.
OPEN: Final = "0"
CLOSE: Final = "1"
PING: Final = "2"
PONG: Final = "3"
MESSAGE: Final = "4"
UPGRADE: Final = "5"
NOOP: Final = "6"

#: The first frame on a WebSocket that is to replace polling, and what answers it, as encoded packets.
PROBE: Final = "2probe"
PROBE_ANSWER: Final = "3probe"

#: The content types of a body.
TEXT_TYPE: Final = "text/plain; charset=UTF-8"
BINARY_TYPE: Final = "application/octet-stream"

# Packets in one body. The original has no such limit; here a packet of two bytes is an object of a hundred.
MAX_PACKETS: Final = 65_536

#: A packet that came in: its type, and its data: text, bytes of a binary message, or "" where there is none.
Packet = tuple[str, str | bytes]
#: A packet that is ready to go out, see above.
Encoded = str | bytes
Dialect = Literal["3a", "3b", "3c"]

_TYPES: Final = frozenset("0123456")
_MESSAGE_BYTE: Final = b"\x04"

_Piece = TypeVar("_Piece")


class PayloadError(RemoteProtocolError):
    """A body is broken. ``packets`` are those in front of the fault, which the original still delivers."""

    def __init__(
        self, reason: str, packets: list[Packet], *, status: int = 400, close_code: int = 1002
    ) -> None:
        super().__init__(reason, status=status, close_code=close_code)
        self.packets = packets


def encode_message(payload: Encoded) -> Encoded:
    """The encoded packet of a message, for peers of any revision.

    A lone surrogate becomes U+FFFD, as in Node; nothing that comes later can fail.
    """
    if not isinstance(payload, str):
        return payload
    if not payload.isascii():
        try:
            payload.encode()
        except UnicodeEncodeError:
            payload = well_formed(payload)
    return MESSAGE + payload


class Codec(ABC):
    """What one revision makes of packets, for one session; made by `codec`.

    Attributes:
        revision: 2, 3 or 4.
        base64: the peer cannot take binary bodies (its query parameter ``b64``, or JSONP).
        base64_frames: the same for WebSocket frames. A client that upgrades says it anew for the WebSocket,
            so whoever accepts that sets this; until then it is what `base64` is.
        dialect: of revision 3, None in others. It changes when what the peer sends shows another one.
    """

    __slots__ = ("base64", "base64_frames", "dialect")

    revision: ClassVar[int]

    def __init__(self, base64: bool, dialect: Dialect | None = None) -> None:
        self.base64 = base64
        self.base64_frames = base64
        self.dialect = dialect

    def __repr__(self) -> str:
        flag = " base64" if self.base64 else ""
        return f"<Codec of Engine.IO {self.dialect or self.revision}{flag}>"

    # --- out -----------------------------------------------------------------------------------------------

    def encode_open(
        self,
        sid: str,
        *,
        ping_interval: float,
        ping_timeout: float,
        upgrades: Sequence[str] = (),
        max_payload: int | None = None,
    ) -> str:
        """The encoded packet that begins a session.

        Args:
            sid: the session's id.
            ping_interval: seconds; on the wire they are milliseconds, like those of `ping_timeout`.
            ping_timeout: seconds.
            upgrades: the transports that the client may change to.
            max_payload: bytes that the client may put into one body; only revision 4 can tell it.
        """
        handshake: dict[str, Any] = {
            "sid": sid,
            "upgrades": list(upgrades),
            "pingInterval": round(ping_interval * 1000),
            "pingTimeout": round(ping_timeout * 1000),
        }
        if max_payload is not None and self.revision >= 4:
            handshake["maxPayload"] = max_payload
        return OPEN + json.dumps(handshake, separators=(",", ":"))

    @abstractmethod
    def encode_frame(self, packet: Encoded) -> Encoded:
        """What a WebSocket frame holds for a packet: str for a text frame, bytes for a binary one.

        Text that stays as it is comes back as the same object, so what was made of it can be used again.
        """

    def encode_payload(self, packets: Sequence[Encoded]) -> tuple[bytes, str]:
        """The body of an HTTP request or answer, and its content type."""
        return self.encode_text_payload(packets).encode(), TEXT_TYPE

    @abstractmethod
    def encode_text_payload(self, packets: Sequence[Encoded]) -> str:
        """The text form of a body, in which bytes are base64: what JSONP sends in its script."""

    @abstractmethod
    def packet_length(self, packet: Encoded) -> int:
        """How many bytes a packet takes in a body, at most; of text that is ASCII this costs nothing."""

    def payload_length(self, packets: Iterable[Encoded]) -> int:
        """How many bytes the body of `packets` takes, at most; a few too many are counted, none too few."""
        return sum(map(self.packet_length, packets))

    def fit(self, packets: Iterable[Encoded], max_bytes: int) -> int:
        """How many packets, from the first on, make a body of at most `max_bytes`.

        It is never 0 while there is a packet: one that is too long by itself has to go alone.
        """
        count = total = 0
        for packet in packets:
            total += self.packet_length(packet)
            if total > max_bytes and count:
                break
            count += 1
        return count

    # --- in ------------------------------------------------------------------------------------------------

    @abstractmethod
    def decode_frame(self, raw: str | bytes) -> Packet:
        """The packet in a WebSocket frame, text or binary.

        Raises:
            RemoteProtocolError: there is none; the original closes the session then.
        """

    def decode_payload(
        self, body: bytes, binary: bool = False, *, max_packets: int = MAX_PACKETS
    ) -> list[Packet]:
        """The packets in an HTTP body.

        Args:
            body: all of it; bytes that are no UTF-8 are U+FFFD each, as in Node.
            binary: whether its content type is ``application/octet-stream``.
            max_packets: more than so many are an error.

        Raises:
            PayloadError: the body is broken, or has too many packets; the packets in front are in the error.
        """
        return self.decode_text_payload(body.decode("utf-8", "replace"), max_packets=max_packets)

    @abstractmethod
    def decode_text_payload(self, text: str, *, max_packets: int = MAX_PACKETS) -> list[Packet]:
        """The packets in a body that is text already, as `jsonp_decode` returns it; see `decode_payload`."""

    def _packet(self, piece: str) -> Packet:
        """The packet that a piece of text is; raises RemoteProtocolError."""
        kind = piece[:1]
        if kind in _TYPES:
            return kind, piece[1:]
        raise _unknown_type(kind)


class _Revision2(Codec):
    __slots__ = ()

    revision = 2

    def encode_frame(self, packet: Encoded) -> str:
        # This revision has no binary messages. Bytes are sent as the text they may be, as in the original.
        return packet if isinstance(packet, str) else MESSAGE + packet.decode("utf-8", "replace")

    def encode_text_payload(self, packets: Sequence[Encoded]) -> str:
        return "".join([_entry(self.encode_frame(packet)) for packet in packets]) or "0:"

    def packet_length(self, packet: Encoded) -> int:
        return _entry_length(_utf8_length(self.encode_frame(packet)))

    def decode_frame(self, raw: str | bytes) -> Packet:
        if isinstance(raw, str):
            return self._packet(raw)
        raise RemoteProtocolError("a binary frame in revision 2", close_code=1003)

    def decode_text_payload(self, text: str, *, max_packets: int = MAX_PACKETS) -> list[Packet]:
        return _collect(_split_units(text, max_packets), self._packet)


class _Revision3(Codec):
    """Revision 3, which learns its peer's dialect.

    What a peer has encoded twice are characters below 256 that make up valid UTF-8, which other text nearly
    never is. So the first text beyond ASCII tells, and text that cannot be encoded twice tells for ever.
    """

    __slots__ = ("_plain_frames", "_plain_payloads")

    revision = 3

    def __init__(self, base64: bool, dialect: Dialect, plain_frames: bool) -> None:
        super().__init__(base64, dialect)
        self._plain_frames = plain_frames  # frames are known to be plain: it is not 3a
        self._plain_payloads = False  # bodies are known to be plain: it is 3c

    def encode_frame(self, packet: Encoded) -> Encoded:
        if isinstance(packet, str):
            if self.dialect != "3a" or packet.isascii():
                return packet
            return packet.encode().decode("latin-1")
        if self.base64_frames:
            return "b4" + encode_base64(packet)
        return _MESSAGE_BYTE + packet

    def encode_payload(self, packets: Sequence[Encoded]) -> tuple[bytes, str]:
        if self.base64 or (self.dialect == "3c" and all(isinstance(packet, str) for packet in packets)):
            return self.encode_text_payload(packets).encode(), TEXT_TYPE
        entries = [
            binary_entry(TEXT_ENTRY, packet.encode())
            if isinstance(packet, str)
            else binary_entry(BINARY_ENTRY, _MESSAGE_BYTE + packet)
            for packet in packets
        ]
        return b"".join(entries), BINARY_TYPE

    def encode_text_payload(self, packets: Sequence[Encoded]) -> str:
        texts = [packet if isinstance(packet, str) else "b4" + encode_base64(packet) for packet in packets]
        if self.dialect != "3c":
            texts = [text if text.isascii() else text.encode().decode("latin-1") for text in texts]
        return "".join(map(_entry, texts)) or "0:"

    def packet_length(self, packet: Encoded) -> int:
        if not isinstance(packet, str):
            size = 2 + _base64_length(packet) if self.base64 else 1 + len(packet)
        elif packet.isascii():
            size = len(packet)
        elif self.base64 and self.dialect != "3c":
            size = _utf8_length(packet.encode().decode("latin-1"))
        else:
            size = _utf8_length(packet)
        # the binary form's header is a byte longer, and what comes next may turn the body into that form
        return _entry_length(size) + (not self.base64)

    def decode_frame(self, raw: str | bytes) -> Packet:
        if isinstance(raw, str):
            if not (self._plain_frames or raw.isascii()):
                raw = self._frame_text(raw)
            return self._packet(raw)
        return self._binary_packet(raw)

    def decode_payload(
        self, body: bytes, binary: bool = False, *, max_packets: int = MAX_PACKETS
    ) -> list[Packet]:
        if not binary:
            return super().decode_payload(body, max_packets=max_packets)
        packets = _collect(split_entries(body, max_packets), self._entry_packet)
        if self.dialect == "3c" and not self._plain_payloads and packets and _all_text(packets):
            # 3c would have used the text form.
            self.dialect = "3b"
        return packets

    def decode_text_payload(self, text: str, *, max_packets: int = MAX_PACKETS) -> list[Packet]:
        if not text.isascii() and self._is_encoded_twice(text):
            return _collect(split_lengths(text.encode("latin-1"), "utf-8", max_packets), self._packet)
        return _collect(_split_units(text, max_packets), self._packet)

    def _packet(self, piece: str) -> Packet:
        kind = piece[:1]
        if kind in _TYPES:
            return kind, piece[1:]
        if kind == "b":
            kind = piece[1:2]
            if kind in _TYPES:
                return kind, decode_base64(piece[2:])
        raise _unknown_type(kind)

    def _binary_packet(self, data: bytes) -> Packet:
        if data and data[0] <= 6:
            return str(data[0]), data[1:]
        raise _unknown_type(data[:1])

    def _entry_packet(self, entry: tuple[int, bytes]) -> Packet:
        kind, data = entry
        return self._binary_packet(data) if kind else self._packet(utf8_text(data))

    def _frame_text(self, text: str) -> str:
        """The text of a frame that is not ASCII, from a peer that may be one of 3a."""
        try:
            plain = utf8_text(text.encode("latin-1"))
        except (UnicodeEncodeError, RemoteProtocolError):
            self._plain_frames = True
            if self.dialect == "3a":
                self.dialect = "3b"
            return text
        self.dialect = "3a"
        return plain

    def _is_encoded_twice(self, text: str) -> bool:
        """Whether a body in its text form, which is not ASCII, is one of 3a or 3b.

        That they take binary tells nothing: engine.io-client 1.8 in a browser does, and sends such text.
        """
        if not self._plain_payloads:
            try:
                utf8_text(text.encode("latin-1"))
            except (UnicodeEncodeError, RemoteProtocolError):
                pass
            else:
                if self.dialect == "3c":
                    self.dialect = "3b"
                return True
        self._plain_payloads = self._plain_frames = True
        self.dialect = "3c"
        return False


class _Revision4(Codec):
    __slots__ = ()

    revision = 4

    def encode_frame(self, packet: Encoded) -> Encoded:
        if self.base64_frames and not isinstance(packet, str):
            return "b" + encode_base64(packet)
        return packet

    def encode_text_payload(self, packets: Sequence[Encoded]) -> str:
        # A separator inside a message is not escaped: the protocol has no means for that. (JSON has.)
        return SEPARATOR.join(
            [packet if isinstance(packet, str) else "b" + encode_base64(packet) for packet in packets]
        )

    def packet_length(self, packet: Encoded) -> int:
        return 1 + (_utf8_length(packet) if isinstance(packet, str) else 1 + _base64_length(packet))

    def decode_frame(self, raw: str | bytes) -> Packet:
        return self._packet(raw) if isinstance(raw, str) else (MESSAGE, raw)

    def decode_payload(
        self, body: bytes, binary: bool = False, *, max_packets: int = MAX_PACKETS
    ) -> list[Packet]:
        if binary:
            raise PayloadError("a binary payload in revision 4", [])
        return super().decode_payload(body, max_packets=max_packets)

    def decode_text_payload(self, text: str, *, max_packets: int = MAX_PACKETS) -> list[Packet]:
        return _collect(split_separated(text, max_packets), self._packet)

    def _packet(self, piece: str) -> Packet:
        kind = piece[:1]
        if kind in _TYPES:
            return kind, piece[1:]
        if kind == "b":
            return MESSAGE, decode_base64(piece[1:])
        raise _unknown_type(kind)


def codec(
    revision: int, *, base64: bool = False, dialect: Dialect = "3b", plain_frames: bool = False
) -> Codec:
    """Make the codec of one session.

    Args:
        revision: 2, 3 or 4; anything else is a ValueError.
        base64: whether the peer has asked for base64 (``b64``) or for JSONP.
        dialect: which of revision 3 to assume until the peer shows one. The default is that of Primus 2.4.
        plain_frames: that it is not 3a is known. No server that a client of ours meets speaks that.
    """
    if revision == 4:
        return _Revision4(base64)
    if revision == 3:
        return _Revision3(base64, dialect, plain_frames)
    if revision == 2:
        return _Revision2(base64)
    raise ValueError(f"Engine.IO has no revision {revision!r} here; known are: 2, 3, 4")


def _unknown_type(kind: str | bytes) -> RemoteProtocolError:
    return RemoteProtocolError(f"a packet of unknown type {kind!r}")


def _collect(pieces: Iterable[_Piece], decode: Callable[[_Piece], Packet]) -> list[Packet]:
    """The packets of all pieces; raises PayloadError at the first fault, be it in a piece or between two."""
    packets: list[Packet] = []
    add = packets.append
    try:
        for piece in pieces:
            add(decode(piece))
    except RemoteProtocolError as error:
        raise PayloadError(error.reason, packets, status=error.status, close_code=error.close_code) from None
    return packets


def _split_units(text: str, limit: int) -> Iterator[str]:
    """The pieces of a body whose lengths count UTF-16 units."""
    if text.isascii():
        return split_lengths(text.encode(), "utf-8", limit)
    return split_lengths(text.encode("utf-16-le", "surrogatepass"), "utf-16-le", limit)


def _entry(text: str) -> str:
    return f"{utf16_units(text)}:{text}"


def _all_text(packets: Iterable[Packet]) -> bool:
    return all(isinstance(data, str) for _, data in packets)


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _base64_length(data: bytes) -> int:
    return (len(data) + 2) // 3 * 4


def _entry_length(size: int) -> int:
    """How many bytes `size` bytes take with their length in front."""
    return len(str(size)) + 1 + size
