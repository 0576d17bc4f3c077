"""How Engine.IO lays packets into the body of an HTTP request or answer, and what the text in it is made of.

Only the layout is here: pieces in, pieces out. What a piece means, and which layout a peer speaks, is
`engineio`'s business.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from typing import Final, Literal

from primus_gevent.errors import RemoteProtocolError

__all__ = [
    "BINARY_ENTRY",
    "SEPARATOR",
    "TEXT_ENTRY",
    "binary_entry",
    "decode_base64",
    "encode_base64",
    "jsonp_body",
    "jsonp_decode",
    "split_entries",
    "split_lengths",
    "split_separated",
    "utf8_text",
    "utf16_units",
    "well_formed",
]

# A length has at most so many digits. Nobody needs more, and without a limit a body of digits would be read
# as one number.
_HEADERS: Final = {
    "utf-8": (re.compile(rb"([0-9]{1,15}):"), 1),
    "utf-16-le": (re.compile(rb"((?:[0-9]\0){1,15}):\0"), 2),
}
_ENTRY_HEADER: Final = re.compile(rb"([\x00\x01])([\x00-\x09]{1,15})\xff")

SEPARATOR: Final = "\x1e"

TEXT_ENTRY: Final = 0
BINARY_ENTRY: Final = 1

# In the binary form a digit is its value.
_DIGITS: Final = bytes(range(10))
_ASCII_DIGITS: Final = b"0123456789"
_TO_ASCII: Final = bytes.maketrans(_DIGITS, _ASCII_DIGITS)
_FROM_ASCII: Final = bytes.maketrans(_ASCII_DIGITS, _DIGITS)

# Node reads both alphabets and passes over everything else.
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_NOT_BASE64: Final = bytes(set(range(256)) - set(_BASE64 + b"-_"))

# JSON allows the first two in a string and older JavaScript does not; the others have no UTF-8.
_UNSAFE_IN_SCRIPT: Final = re.compile("[\u2028\u2029\ud800-\udfff]")
_NOT_A_DIGIT: Final = re.compile("[^0-9]")
_ESCAPED_LINE_FEED: Final = re.compile(r"(\\)?\\n")


# The three that split a body deliver at most `limit` pieces, and raise RemoteProtocolError where they come to
# something else than a piece, or to one too many. Their time is in proportion to the body, whatever is in it.


def split_lengths(data: bytes, encoding: Literal["utf-8", "utf-16-le"], limit: int) -> Iterator[str]:
    """The pieces of ``<length>:<piece><length>:<piece>...``, whose lengths count units of `encoding`.

    Revision 2 and the newest clients of revision 3 count UTF-16 units, older ones bytes of UTF-8. Empty
    pieces are left out (but count): ``0:`` is the body that has none.
    """
    pattern, width = _HEADERS[encoding]
    header = pattern.match
    at, end = 0, len(data)
    if not end:
        raise RemoteProtocolError("the payload is empty")
    while at < end:
        limit -= 1
        if limit < 0:
            raise _too_many()
        found = header(data, at)
        if found is None:
            raise RemoteProtocolError("a packet in the payload has no length")
        start = found.end()
        at = start + width * int(found[1][::width])
        if at > end:
            raise RemoteProtocolError("a packet is said to be longer than the payload")
        if at == start:
            continue
        if width == 1:
            yield utf8_text(data[start:at])
        else:
            # a length can cut a pair of surrogates in two
            yield data[start:at].decode("utf-16-le", "replace")


def split_entries(data: bytes, limit: int) -> Iterator[tuple[int, bytes]]:
    """The entries of revision 3's binary form: TEXT_ENTRY or BINARY_ENTRY, and the bytes.

    The last entry may be shorter than announced: that is how the original reads it.
    """
    header = _ENTRY_HEADER.match
    at, end = 0, len(data)
    while at < end:
        limit -= 1
        if limit < 0:
            raise _too_many()
        found = header(data, at)
        if found is None:
            raise RemoteProtocolError("a packet in the binary payload has no length")
        start = found.end()
        kind = data[at]
        at = start + int(found[2].translate(_TO_ASCII))
        yield kind, data[start:at]


def split_separated(text: str, limit: int) -> Iterator[str]:
    """The pieces between revision 4's separators; empty ones too, which are nobody's packets."""
    pieces = text.split(SEPARATOR, limit)
    rest = pieces[limit:]
    yield from pieces[:limit]
    if rest:
        raise _too_many()


def _too_many() -> RemoteProtocolError:
    return RemoteProtocolError("too many packets in one payload", status=413, close_code=1009)


def binary_entry(kind: int, data: bytes) -> bytes:
    """One entry of revision 3's binary form."""
    return b"%c%b\xff%b" % (kind, (b"%d" % len(data)).translate(_FROM_ASCII), data)


def utf16_units(text: str) -> int:
    """The length that JavaScript has for `text`."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def well_formed(text: str) -> str:
    """`text` with its surrogates in pairs joined and the others replaced by U+FFFD, as Node writes them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def utf8_text(data: bytes) -> str:
    """Text that the peer encoded itself; halves of surrogate pairs, which it may have let pass, are U+FFFD.

    Raises:
        RemoteProtocolError: it is no UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        return well_formed(data.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        raise RemoteProtocolError("a packet is not valid UTF-8", close_code=1007) from None


def encode_base64(data: bytes) -> str:
    """Standard base64, padded."""
    return b2a_base64(data, newline=False).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Base64 as Node reads it: in either alphabet, up to the first ``=``, without what is in neither."""
    data = text.partition("=")[0].encode("ascii", "ignore").translate(_URL_SAFE, _NOT_BASE64)
    rest = len(data) & 3
    if rest == 1:  # six bits make no byte
        data = data[:-1]
    elif rest:
        data += b"=" * (4 - rest)
    return a2b_base64(data)


def jsonp_body(index: str, payload: str) -> bytes:
    """The script that hands a payload to the callback `index`, the query parameter ``j``, of a page.

    Only digits of `index` are used, so that nothing of the peer's choosing is in front of the string.
    """
    text = json.dumps(payload, ensure_ascii=False)
    text = _UNSAFE_IN_SCRIPT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return f"___eio[{_NOT_A_DIGIT.sub('', index)}]({text});".encode()


def jsonp_decode(field: str) -> str:
    """The payload in the form field ``d``, in which the client has protected its line feeds.

    A browser sends a line feed in a form as CR LF, so the client writes backslash + n for it, and doubles the
    backslash where the payload has these two characters itself. (A backslash in front of a line feed comes
    out wrong, here as in the original: what the client writes for it is the same. No JSON has that.)
    """
    if "\\n" not in field:
        return field
    text = _ESCAPED_LINE_FEED.sub(lambda found: found[0] if found[1] else "\n", field)
    return text.replace("\\\\n", "\\n")
