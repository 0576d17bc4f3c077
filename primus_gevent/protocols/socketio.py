r"""The packets of Socket.IO 0.9 (its protocol version 1), without I/O.

A packet is text, ``<type>:[<id>[+]]:[<endpoint>][:<data>]``, and travels as it is: alone in a WebSocket
message, alone or with others in the body of an HTTP request (`encode_payload`), or in a script (`jsonp_body`,
`htmlfile_chunk`). What nearly every packet is, ``3:::`` and a message, needs no function of this module: look
at the four characters, and cut them off.

`decode` finds what the original's regular expression, ``([^:]+):([0-9]+)?(\+)?:([^:]+)?:?([\s\S]*)?``, finds
wherever in the text, because it is not anchored. But it takes time in proportion to the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols.engineio_payloads import utf16_units, well_formed

__all__ = [
    "ACK",
    "CONNECT",
    "CONNECTED",
    "DISCONNECT",
    "DISCONNECTED",
    "ERROR",
    "EVENT",
    "HEARTBEAT",
    "HEARTBEAT_PACKET",
    "HTMLFILE_PRELUDE",
    "JSON",
    "MAX_PACKETS",
    "MESSAGE",
    "MESSAGE_HEAD",
    "NOOP",
    "NOOP_PACKET",
    "NOT_HANDSHAKEN",
    "VERSION",
    "Packet",
    "decode",
    "decode_ack",
    "decode_error",
    "decode_event",
    "decode_json",
    "encode",
    "encode_ack",
    "encode_error",
    "encode_event",
    "encode_json",
    "encode_message",
    "fit",
    "handshake",
    "htmlfile_chunk",
    "jsonp_body",
    "jsonp_decode",
    "jsonp_error",
    "split_payload",
]

#: The first segment of every URL.
VERSION: Final = "1"

# The types of packets.
DISCONNECT: Final = "0"
CONNECT: Final = "1"
HEARTBEAT: Final = "2"
MESSAGE: Final = "3"
JSON: Final = "4"
EVENT: Final = "5"
ACK: Final = "6"
ERROR: Final = "7"
NOOP: Final = "8"

#: What stands in front of a message that has neither id nor endpoint.
MESSAGE_HEAD: Final = "3:::"

# Packets that are always the same.
DISCONNECTED: Final = "0::"
CONNECTED: Final = "1::"
HEARTBEAT_PACKET: Final = "2::"
NOOP_PACKET: Final = "8::"
#: To whoever names a session that there is not: "client not handshaken", and the advice to reconnect.
NOT_HANDSHAKEN: Final = "7:::1+0"

# Packets in one body. The original has no such limit; here a packet of three bytes is an object of sixty.
MAX_PACKETS: Final = 65_536

# By their numbers.
REASONS: Final = ("transport not supported", "client not handshaken", "unauthorized")
ADVICE: Final = ("reconnect",)

_TYPES: Final = frozenset("012345678")

# Up to the second colon: the first piece that a colon ends and an id, or nothing, follows. It begins where
# the text or a colon does, as the original's match does, so a search looks at each character a few times.
_HEAD: Final = re.compile(r"(?:\A|:)([^:]+):([0-9]*)(\+?):")
_ACK: Final = re.compile("([0-9]+)\\+?([^\n\r\u2028\u2029]*)")  # JavaScript's dot
_MARK: Final = "\ufffd"
_LENGTH: Final = re.compile(rb"((?:[0-9]\0){0,15})\xfd\xff")  # in UTF-16; nobody needs more digits

# JSON allows the first two in a string and older JavaScript does not; the others have no UTF-8.
_UNSAFE_IN_SCRIPT: Final = re.compile("[\u2028\u2029\ud800-\udfff]")

#: What a response of the transport htmlfile begins with: 256 bytes, for browsers that wait for so many.
HTMLFILE_PRELUDE: Final = (
    b"<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>" + b" " * 173
)


class Packet(NamedTuple):
    """A packet that came in.

    Attributes:
        type: one of the digits above; None for whatever is no packet, which is to be ignored.
        data: as it stands in the packet: `decode_json` and its like know more.
        endpoint: the namespace that it is for; empty for the connection itself.
        id: to be acknowledged with; digits, empty where nobody waits for that.
        data_ack: with an id: that the application is to acknowledge it, with data of its own.
    """

    type: str | None
    data: str = ""
    endpoint: str = ""
    id: str = ""
    data_ack: bool = False


NO_PACKET: Final = Packet(None)


# -- one packet


def encode(kind: str, data: str = "", *, endpoint: str = "", id: str = "", data_ack: bool = False) -> str:  # noqa: A002
    """A packet. The arguments are those of `Packet`."""
    packet = f"{kind}:{id}{'+' if data_ack else ''}:{endpoint}"
    return f"{packet}:{data}" if data else packet


def encode_message(text: str) -> str:
    """The packet of a message.

    A lone surrogate becomes U+FFFD, as in Node; nothing that comes later can fail.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = well_formed(text)
    return MESSAGE_HEAD + text if text else "3::"


def encode_json(value: Any) -> str:
    """The data of a packet of type JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encode_event(name: str, args: Sequence[Any] = ()) -> str:
    """The data of a packet of type EVENT."""
    return encode_json({"name": name, "args": list(args)} if args else {"name": name})


def encode_ack(id: str, args: Sequence[Any] = ()) -> str:  # noqa: A002
    """The data of a packet of type ACK, for the packet with that id."""
    return f"{id}+{encode_json(list(args))}" if args else id


def encode_error(reason: str = "", advice: str = "") -> str:
    """The data of a packet of type ERROR.

    Args:
        reason: one of `REASONS`, or empty.
        advice: one of `ADVICE`, or empty.

    Raises:
        ValueError: it has no number.
    """
    told = str(REASONS.index(reason)) if reason else ""
    return f"{told}+{ADVICE.index(advice)}" if advice else told


def decode(text: str) -> Packet:
    """The packet in a text, as the original reads it."""
    found = _HEAD.search(text)
    if found is None:
        return NO_PACKET
    kind, id_, plus = found.groups()
    endpoint, _, data = text[found.end() :].partition(":")
    return Packet(kind if kind in _TYPES else None, data, endpoint, id_, bool(id_ and plus))


def decode_json(data: str) -> Any:
    """The value in a packet of type JSON.

    Raises:
        ValueError: it is no JSON, or too deep.
    """
    try:
        return json.loads(data, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def decode_event(data: str) -> tuple[Any, Any]:
    """Name and arguments of an event; None and ``[]`` where they are missing, or the JSON is bad."""
    try:
        told = decode_json(data)
    except ValueError:
        return None, []
    if not isinstance(told, dict):
        return None, []
    args = told.get("args")
    return told.get("name"), args if args or isinstance(args, dict) else []


def decode_ack(data: str) -> tuple[str, Any] | None:
    """The id that is acknowledged, and with which arguments; None where there is no id."""
    found = _ACK.match(data)
    if found is None:
        return None
    try:
        return found[1], decode_json(found[2])
    except ValueError:  # or there are none
        return found[1], []


def decode_error(data: str) -> tuple[str, str]:
    """Reason and advice of an error; empty where they are not known."""
    reason, _, rest = data.partition("+")
    advice = rest.partition("+")[0]
    return _named(REASONS, reason), _named(ADVICE, advice)


def _named(names: Sequence[str], number: str) -> str:
    return next((name for index, name in enumerate(names) if str(index) == number), "")


# -- several packets


def encode_payload(packets: Sequence[str]) -> str:
    """The body for these packets. Lengths are in UTF-16 units, as JavaScript counts them."""
    if len(packets) == 1:
        return packets[0]
    return "".join([f"{_MARK}{utf16_units(packet)}{_MARK}{packet}" for packet in packets])


def split_payload(text: str, *, max_packets: int = MAX_PACKETS) -> list[str]:
    """The packets in a body, each for `decode`; what is broken ends them, as in the original.

    Raises:
        RemoteProtocolError: there are too many.
    """
    if text[:1] != _MARK:
        return [text]
    packets: list[str] = []
    data = text.encode("utf-16-le", "surrogatepass")  # lengths count these units
    at, end = 2, len(data)
    while at < end:
        found = _LENGTH.match(data, at)
        if found is None and _MARK not in data[at:].decode("utf-16-le", "ignore"):
            break
        if len(packets) == max_packets:
            raise RemoteProtocolError("too many packets in one payload", status=413, close_code=1009)
        if found is None:  # nobody knows where the next one begins
            packets.append("")
            break
        start = found.end()
        at = min(start + 2 * int(found[1][::2] or b"0"), end)
        packets.append(data[start:at].decode("utf-16-le", "replace"))  # a length can cut a pair in two
        at += 2  # the next mark; the original does not look whether it is one
    return packets


def fit(packets: Iterable[str], max_bytes: int) -> int:
    """How many packets, from the first on, make a body of at most about `max_bytes`.

    It is never 0 while there is a packet: one that is too long by itself has to go alone.
    """
    count = total = 0
    for packet in packets:
        # the marks around a length are of three bytes each
        total += 16 + (len(packet) if packet.isascii() else 4 * len(packet))
        if total > max_bytes and count:
            break
        count += 1
    return count


# -- beyond packets: the handshake, and bodies that are scripts


def handshake(
    sid: str, *, heartbeat_timeout: int | None, close_timeout: int | None, transports: Sequence[str]
) -> str:
    """The answer to a handshake request. Times are whole seconds; None leaves a field empty."""
    times = ["" if seconds is None else str(seconds) for seconds in (heartbeat_timeout, close_timeout)]
    return ":".join([sid, *times, ",".join(transports)])


def jsonp_body(index: str, text: str) -> bytes:
    """The script that hands a payload, or a handshake, to the callback ``index``, which has digits only.

    Unlike the original it is JavaScript for every browser: U+2028 and U+2029 are escaped.
    """
    return f"io.j[{index}]({_literal(text)});".encode()


def jsonp_error(index: str, reason: str) -> bytes:
    """The script that tells a callback that there was no handshake."""
    return f"io.j[{index}](new Error({_literal(reason)}));".encode()


def jsonp_decode(field: str) -> str:
    """The payload in the form field ``d``, which is a JSON string.

    Raises:
        ValueError: it is none.
    """
    text = decode_json(field)
    if not isinstance(text, str):
        raise ValueError("a JSONP payload is a JSON string")
    return well_formed(text)


def htmlfile_chunk(text: str) -> bytes:
    """The script that hands a payload to the page around a document of the transport htmlfile."""
    # No closing tag, and no comment either, behind which a browser would look for one in vain.
    literal = _literal(text).replace("/", "\\/").replace("<!--", "\\u003c!--")
    return f"<script>_({literal});</script>".encode()


def _literal(text: str) -> str:
    literal = json.dumps(text, ensure_ascii=False)
    return _UNSAFE_IN_SCRIPT.sub(lambda found: f"\\u{ord(found[0]):04x}", literal)
