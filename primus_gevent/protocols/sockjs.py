"""SockJS, as sockjs 0.3.24 speaks it: frames, what messages are in them, and how each transport carries them.

Pure text in, pure text or bytes out. Sessions, requests and times belong to `transformers.sockjs`.

Here a *packet* is one message quoted for the wire. Messages are quoted when they are sent and not when they
leave: several of them become one frame by joining.

Three things are unlike the original's:

- An element of a client's array that is no string (``[1, {"a": 2}]``) is the message of its JSON text, ``1``
  and ``{"a": 2}``. The original hands the value to Primus, which can only make ``[object Object]`` of it.
- Bodies that are not UTF-8 are broken JSON. The original puts U+FFFD into the message.
- ``<`` leaves as ``\\u003c`` in htmlfile, where the original lets a message with ``</script>`` end its script
  and run the next one; line separators (of the reason of a close frame) are escaped in scripts, where old
  browsers take them for the end of a line.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, Final

from primus_gevent.errors import RemoteProtocolError

__all__ = [
    "ARRAY_BYTES",
    "BROKEN_FRAMING",
    "BROKEN_JSON",
    "CHUNKING_TEST",
    "EVENTSOURCE",
    "GREETING",
    "HEARTBEAT",
    "JAVASCRIPT",
    "MAX_MESSAGES",
    "OPEN",
    "PAYLOAD_EXPECTED",
    "STILL_OPEN",
    "XHR",
    "XHR_STREAMING",
    "Framing",
    "array_frame",
    "callback_error",
    "close_frame",
    "decode_body",
    "decode_form",
    "decode_frame",
    "htmlfile",
    "iframe_page",
    "info_document",
    "jsonp",
    "quote",
]

OPEN: Final = "o"
HEARTBEAT: Final = "h"

BROKEN_JSON: Final = "Broken JSON encoding."
PAYLOAD_EXPECTED: Final = "Payload expected."
BROKEN_FRAMING: Final = "Broken framing."

#: What an array of messages has beside them: ``a[]``. Each has a comma more.
ARRAY_BYTES: Final = 3

GREETING: Final = b"Welcome to SockJS!\n"

JAVASCRIPT: Final = "application/javascript; charset=UTF-8"
PRELUDE_BYTES: Final = 2048  # Internet Explorer shows a page nothing of an answer before so many
MAX_JSONP_CALLBACK: Final = 32

#: The answer to ``chunking_test``: pieces, and the seconds before each.
CHUNKING_TEST: Final = (
    (0.0, b"h\n"),
    (0.001, b" " * PRELUDE_BYTES + b"h\n"),
    (0.005, b"h\n"),
    (0.025, b"h\n"),
    (0.125, b"h\n"),
    (0.625, b"h\n"),
    (3.125, b"h\n"),
)

# -- from the server

# Beyond what JSON asks for: what browsers have been seen to drop or to change. Python has characters where
# JavaScript has UTF-16 units, so those beyond U+FFFF (two surrogates there) are in it too.
_ESCAPED: Final = re.compile(
    "[\u200c-\u200f\u2028-\u202f\u2060-\u206f\ud800-\udfff\ufff0-\uffff\U00010000-\U0010ffff]+"
)
_LONE: Final = re.compile("[\ud800-\udfff]+")  # these have no UTF-8


def _escape(match: re.Match[str]) -> str:
    # Several at once, in C: a message may have nothing else in it.
    return encode_basestring_ascii(match[0])[1:-1]


def quote(message: str) -> str:
    """The packet of a message: always text that has a UTF-8 form, also where the message has none."""
    quoted = encode_basestring(message)
    return quoted if message.isascii() else _ESCAPED.sub(_escape, quoted)


def array_frame(packets: Iterable[str]) -> str:
    """The frame of some packets; there must be one at least."""
    return "a[" + ",".join(packets) + "]"


def close_frame(code: int, reason: str) -> str:
    """The frame that ends a session."""
    return f"c[{code},{_json_text(reason)}]"


def _json_text(text: str) -> str:
    """A string in plain JSON, as ``JSON.stringify`` writes it."""
    quoted = encode_basestring(text)
    return quoted if text.isascii() else _LONE.sub(_escape, quoted)


#: For a second request that wants to receive.
STILL_OPEN: Final = close_frame(2010, "Another connection still open")

# -- from the client

MAX_MESSAGES: Final = 65_536  # in one body or WebSocket message
MAX_FIELDS: Final = 64  # of a form, in which ours may be


def _number(_: str) -> None:
    """Stands in for every number: only its text is of use, and a long one would take long to convert."""


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_decoder: Final = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_no_json)
_scan: Final = _decoder.scan_once  # type: ignore[attr-defined]  # its stub lacks it
_SPACE: Final = " \t\n\r"
_past_space: Final = re.compile(f"[{_SPACE}]*").match


def _parse(text: str) -> Any:
    """Raises ValueError or RecursionError."""
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (StopIteration, ValueError):
        pass  # white space in front, or an error: `decode` tells which
    return _decoder.decode(text)


def decode_body(body: bytes, *, nested: bool = False) -> list[str]:
    """The messages in the body of ``xhr_send``, or in that of ``jsonp_send`` where it is no form.

    Args:
        nested: JSON that is a string is parsed again, as the original does for ``jsonp_send``.

    Raises:
        RemoteProtocolError: with status 500, and the reason that SockJS's clients know; 413 for more than
            `MAX_MESSAGES`.
    """
    try:
        return _decode(body.decode(), nested=nested)
    except UnicodeDecodeError:
        raise RemoteProtocolError(BROKEN_JSON, status=500) from None


def decode_form(body: bytes) -> list[str]:
    """The messages in the form that ``jsonp_send`` brings: the field ``d``, the first one if there are more.

    Raises:
        RemoteProtocolError: as `decode_body`.
    """
    for pair in body.split(b"&", MAX_FIELDS):
        name, _, value = pair.partition(b"=")
        if name == b"d":
            try:
                return _decode(_unquote(value))
            except UnicodeError:
                raise RemoteProtocolError(BROKEN_JSON, status=500) from None
    raise RemoteProtocolError(PAYLOAD_EXPECTED, status=500)


def _unquote(value: bytes) -> str:
    """A field of a form, decoded. Raises UnicodeError, also where a percent sign stands alone."""
    # The standard library takes seconds for what a hostile body may have in it; this codec is C.
    escaped = value.replace(b"+", b" ").replace(b"\\", b"\\\\").replace(b"%", b"\\x")
    return escaped.decode("unicode_escape").encode("latin-1").decode()


def _decode(text: str, *, nested: bool = False) -> list[str]:
    if not text:
        raise RemoteProtocolError(PAYLOAD_EXPECTED, status=500)
    try:
        value = _parse(text)
        if nested and type(value) is str:
            text, value = value, _parse(value)
    except (ValueError, RecursionError):
        raise RemoteProtocolError(BROKEN_JSON, status=500) from None
    if type(value) is not list:
        raise RemoteProtocolError(PAYLOAD_EXPECTED, status=500)
    return _all_text(value, text)


def decode_frame(text: str) -> list[str]:
    """The messages in a text message of a WebSocket: an array of them, or a single one.

    Raises:
        RemoteProtocolError: with close code 3000; 1009 for more than `MAX_MESSAGES`.
    """
    if not text:
        return []
    try:
        value = _parse(text)
    except (ValueError, RecursionError):
        raise RemoteProtocolError(BROKEN_FRAMING, close_code=3000) from None
    if type(value) is list:
        return _all_text(value, text)
    return [value if type(value) is str else text.strip(_SPACE)]


def _all_text(items: list[Any], text: str) -> list[str]:
    """The elements of an array; ``text`` is its JSON."""
    if len(items) > MAX_MESSAGES:
        raise RemoteProtocolError("Too many messages at once", status=413, close_code=1009)
    for item in items:
        if type(item) is not str:
            return _spelled(text)
    return items


def _spelled(text: str) -> list[str]:
    """The elements of a valid array, those that are no strings by their JSON text."""
    messages = []
    end = text.index("[")
    while text[end] != "]":
        at = _past_space(text, end + 1).end()  # type: ignore[union-attr]  # it matches everywhere
        value, end = _scan(text, at)
        messages.append(value if type(value) is str else text[at:end])
        end = _past_space(text, end).end()  # type: ignore[union-attr]
    return messages


# -- transports


class Framing:
    """How one transport carries frames in the body of its answer.

    Attributes:
        name: of the transport.
        content_type: of the answer.
        prelude: what comes before the first frame.
        streams: whether more than one frame may follow.
    """

    __slots__ = ("content_type", "name", "prelude", "streams")

    def __init__(self, name: str, content_type: str, prelude: bytes = b"", *, streams: bool) -> None:
        self.name = name
        self.content_type = content_type
        self.prelude = prelude
        self.streams = streams

    def encode(self, frame: str) -> bytes:
        """A frame as it stands in the body."""
        return frame.encode() + b"\n"


class _EventSource(Framing):
    __slots__ = ()

    def encode(self, frame: str) -> bytes:
        # JSON leaves none of the characters that would end a line.
        return b"data: " + frame.replace("%", "%25").encode() + b"\r\n\r\n"


class _HtmlFile(Framing):
    __slots__ = ()

    def encode(self, frame: str) -> bytes:
        quoted = _script_literal(frame).replace("<", "\\u003c")
        return b"<script>\np(" + quoted.encode() + b");\n</script>\r\n"


class _Jsonp(Framing):
    __slots__ = ("_head",)

    def __init__(self, callback: str) -> None:
        super().__init__("jsonp", JAVASCRIPT, streams=False)
        # Without the comment a callback could make the answer begin like a file of another kind.
        self._head = f"/**/{callback}(".encode()

    def encode(self, frame: str) -> bytes:
        return self._head + _script_literal(frame).encode() + b");\r\n"


def _script_literal(frame: str) -> str:
    """A frame as a string in JavaScript, where older browsers end it with a line separator."""
    quoted = encode_basestring(frame)
    return quoted if frame.isascii() else quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


XHR: Final = Framing("xhr", JAVASCRIPT, streams=False)
XHR_STREAMING: Final = Framing(
    "xhr_streaming", JAVASCRIPT, HEARTBEAT.encode() * PRELUDE_BYTES + b"\n", streams=True
)
EVENTSOURCE: Final = _EventSource("eventsource", "text/event-stream", b"\r\n", streams=True)

_HTMLFILE_PAGE: Final = """\
<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.%s;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"""
HTMLFILE_BYTES: Final = 1027  # of the page, beside the callback's: browsers wait for a kilobyte


def htmlfile(callback: str) -> Framing:
    """The framing of an iframe whose scripts are run as they come; see `callback_error`."""
    page = (_HTMLFILE_PAGE % callback).encode()
    prelude = page.ljust(HTMLFILE_BYTES + len(callback) - 4) + b"\r\n\r\n"
    return _HtmlFile("htmlfile", "text/html; charset=UTF-8", prelude, streams=True)


def jsonp(callback: str) -> Framing:
    """The framing of a script that calls a function with the frame; see `callback_error`."""
    return _Jsonp(callback)


_not_in_callback: Final = re.compile(r"[^a-zA-Z0-9_.-]").search


def callback_error(callback: str | None, *, short: bool) -> str:
    """What is wrong with the name of a function that a request has given; empty where nothing is.

    Args:
        callback: None where there is none.
        short: whether it may have no more than 32 characters, as for jsonp.
    """
    if callback is None:
        return '"callback" parameter required'
    if _not_in_callback(callback) or (short and len(callback) > MAX_JSONP_CALLBACK):
        return 'invalid "callback" parameter'
    return ""


# -- documents

_IFRAME_PAGE: Final = """\
<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="%s"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"""


def iframe_page(sockjs_url: str) -> tuple[bytes, str]:
    """The page that clients of other origins put into an iframe, and its ETag.

    Args:
        sockjs_url: where the page gets the client from.
    """
    page = (_IFRAME_PAGE % html.escape(sockjs_url)).encode()
    return page, f'"{hashlib.md5(page, usedforsecurity=False).hexdigest()}"'


def info_document(*, websocket: bool, cookie_needed: bool, entropy: int, resume: bool = False) -> bytes:
    """What ``info`` answers.

    Args:
        websocket: whether a client should try it.
        cookie_needed: whether requests need their cookies, for a load balancer.
        entropy: 32 random bits, others each time: old browsers have no good ones.
        resume: tell a client of ours, which has asked, that it may count messages.
    """
    document = {
        "websocket": websocket,
        "origins": ["*:*"],  # says nothing, but has always been there
        "cookie_needed": cookie_needed,
        "entropy": entropy,
    }
    if resume:
        document["resume"] = True
    return json.dumps(document, separators=(",", ":")).encode()
