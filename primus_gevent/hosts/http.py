"""HTTP/1.1 messages as our own server reads and writes them: heads, fields, sizes of chunks. No I/O.

Requests are read strictly. Where RFC 9112 leaves a choice, the one is taken that no proxy in front of us can
read in another way: that is how requests are smuggled past proxies. So a line ends in CRLF and in nothing
else, one space separates the parts of the request line, no field is folded or has a space before its colon,
and a body has one length.

What a client sends again and again, names of fields, is looked at once: `_KEYS` and `_KINDS` remember those
that were found to be valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote

from ..errors import RemoteProtocolError

__all__ = [
    "MAX_HEAD_BYTES",
    "MAX_LINE_BYTES",
    "Fields",
    "RequestHead",
    "ResponseHead",
    "chunk_size",
    "date_line",
    "parse_fields",
    "refusal",
    "response_head",
    "split_lines",
]

MAX_LINE_BYTES = 8192  # of a request line, as pywsgi, Apache and nginx have it
MAX_FIELDS = 100  # as http.client and gunicorn
MAX_HEAD_BYTES = 65536  # request line and fields together
VERSION_BYTES = len("  HTTP/1.1")

# What is remembered of one client: its GET and its POST differ, and each is the same again and again.
MAX_KNOWN = 2
MAX_KNOWN_BYTES = 2048

# All of C0 and DEL, but for the tab and what ends a line
_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])

_NOT_IN_TARGET = _CONTROLS + b"\t\r\n"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(r"HTTP/([0-9])\.([0-9])")
_ABSOLUTE = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)
# RFC 3986, 3.2.2, without user information; percent signs are not looked behind
_HOST = re.compile(r"(?:\[[0-9A-Fa-fvV:.~_-]+\]|[!$%&'()*+,;=._~0-9A-Za-z-]*)(?::[0-9]*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")

_METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"})
_NO_BODY = frozenset({204, 304})

MAX_NAMES = 1024  # that are remembered
MAX_NAME = 64  # characters of a name that is remembered

# By the name of a request's field, as it was sent: its key in the environ; empty for one that is left out.
_KEYS: dict[str, str] = {}
# By the name of a response's field, as the application spells it: what it is to us; empty if nothing.
_KINDS: dict[str, str] = {}

_FRAMING = frozenset({"connection", "content-length", "date", "transfer-encoding"})
_ONCE = frozenset({"CONTENT_LENGTH", "HTTP_HOST"})


class Fields:
    """All of a request but its method and its target: the version, and the fields.

    A client sends the same ones with request after request, so they are worth remembering.

    Attributes:
        modern: the client speaks HTTP/1.1, not 1.0.
        environ: the fields as CGI has them, and ``SERVER_PROTOCOL``.
        length: bytes of the body; 0 if there is none.
        chunked: the body comes in chunks.
        keeps_alive: the client wants to go on with this connection.
        expects_continue: it waits for a 100 before it sends the body.
    """

    __slots__ = ("chunked", "environ", "expects_continue", "keeps_alive", "length", "modern")

    def __init__(self, data: bytes) -> None:
        """
        Args:
            data: from the version on.

        Raises:
            RemoteProtocolError: it cannot be answered; ``status`` says how to tell the client.
        """
        version, *lines = split_lines(data)
        self.modern = version == "HTTP/1.1" or _is_modern(version)
        self.environ = environ = parse_fields(lines)
        self.length = 0
        self.chunked = self.expects_continue = False
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            self._read_framing(environ)
        self.keeps_alive = _keeps_alive(environ.get("HTTP_CONNECTION"), modern=self.modern)
        host = environ.get("HTTP_HOST")
        if host is not None and not _HOST.fullmatch(host):
            raise RemoteProtocolError(f"not a host: {host!r}")
        if self.modern:
            if host is None:
                raise RemoteProtocolError("no Host")  # RFC 9112, 3.2
            if "HTTP_EXPECT" in environ:
                self.expects_continue = _expects_continue(environ["HTTP_EXPECT"])
        # a higher minor version is answered as the highest one that we know (RFC 9110, 2.5)
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if self.modern else "HTTP/1.0"

    def _read_framing(self, environ: dict[str, str]) -> None:
        """How long the body is (RFC 9112, section 6)."""
        coding = environ.get("HTTP_TRANSFER_ENCODING")
        length = environ.get("CONTENT_LENGTH")
        if coding is not None:
            if length is not None:
                raise RemoteProtocolError("both Content-Length and Transfer-Encoding")
            if not self.modern:
                raise RemoteProtocolError("Transfer-Encoding in HTTP/1.0")
            if coding.lower() != "chunked":
                codings = [name.strip(" \t") for name in coding.lower().split(",")]
                known = codings[-1] == "chunked" and "chunked" not in codings[:-1]
                raise RemoteProtocolError(f"not a transfer coding: {coding!r}", status=501 if known else 400)
            self.chunked = True
        elif length is not None:
            # `isdigit` alone takes other scripts' digits, and `int` takes signs, spaces and underscores
            if not (length.isdigit() and length.isascii() and len(length) <= 18):
                raise RemoteProtocolError(f"not a Content-Length: {length!r}")
            self.length = int(length)


class RequestHead:
    """A request line and the fields below it.

    Attributes:
        method: in the client's spelling; methods are case-sensitive.
        target: as it was sent.
        path, query: of the target; the path without its percent signs.
        host: what stands for the field Host, if the target says so.
        fields: the rest.
    """

    __slots__ = ("fields", "host", "method", "path", "query", "target")

    def __init__(self, data: bytes, known: dict[bytes, Fields] | None = None) -> None:
        """
        Args:
            data: without the empty line at the end.
            known: what this client has sent before; kept up to date.

        Raises:
            RemoteProtocolError: it cannot be answered; ``status`` says how to tell the client.
        """
        method, _, rest = data.partition(b" ")
        target, space, rest = rest.partition(b" ")
        if not space or len(target.translate(None, _NOT_IN_TARGET)) != len(target):
            raise RemoteProtocolError(f"not a request line: {_first_line(data)!r}")
        if len(method) + len(target) > MAX_LINE_BYTES - VERSION_BYTES:
            raise RemoteProtocolError("the request line is too long", status=414)
        self.method = method.decode("latin-1")
        if self.method not in _METHODS and not _TOKEN.fullmatch(self.method):
            raise RemoteProtocolError(f"not a method: {self.method!r}")
        self.target = path = target.decode("latin-1")
        self.fields = (known and known.get(rest)) or _learn_fields(rest, known)
        self.host: str | None = None
        if not path.startswith("/"):
            path = self._other_form(path)
        if "#" in path:
            raise RemoteProtocolError("a fragment in the request target")
        path, _, self.query = path.partition("?")
        self.path = unquote(path, "latin-1") if "%" in path else path

    @property
    def line(self) -> str:
        """The request line, for a log."""
        return f"{self.method} {self.target} {self.fields.environ['SERVER_PROTOCOL']}"

    def _other_form(self, target: str) -> str:
        """The path of a target that does not begin with one (RFC 9112, 3.2.2 to 3.2.4)."""
        if target == "*" and self.method == "OPTIONS":
            return target
        if self.method == "CONNECT":
            raise RemoteProtocolError("CONNECT: this is no proxy", status=501)
        found = _ABSOLUTE.fullmatch(target)
        if found is None or not found[1] or not _HOST.fullmatch(found[1]):
            raise RemoteProtocolError(f"not a request target: {target!r}")
        self.host = found[1]
        return found[2] if found[2].startswith("/") else f"/{found[2]}"


def _first_line(data: bytes) -> str:
    return data.partition(b"\r\n")[0].decode("latin-1")


def _learn_fields(data: bytes, known: dict[bytes, Fields] | None) -> Fields:
    fields = Fields(data)
    if known is not None and len(data) <= MAX_KNOWN_BYTES:
        if len(known) >= MAX_KNOWN:
            known.clear()
        known[data] = fields
    return fields


def _is_modern(version: str) -> bool:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise RemoteProtocolError(f"not a version of HTTP: {version!r}")
    if found[1] != "1":
        raise RemoteProtocolError(f"{version} is not spoken here", status=505)
    return found[2] != "0"


def split_lines(data: bytes) -> list[str]:
    """The lines of a head.

    Raises:
        RemoteProtocolError: it is not made of lines and text.
    """
    lines = data.decode("latin-1").split("\r\n")
    ends = len(lines) - 1
    # Deleting and counting is much faster than any regular expression.
    if (
        data.count(b"\n") != ends
        or data.count(b"\r") != ends
        or len(data.translate(None, _CONTROLS)) != len(data)
    ):
        raise RemoteProtocolError("control characters, or lines that do not end in CRLF")
    return lines


def parse_fields(lines: list[str]) -> dict[str, str]:
    """Fields as CGI has them. Those with an underscore in their names are left out: in an environ they would
    look like other ones.

    Raises:
        RemoteProtocolError: one of them is no field, or there are too many.
    """
    if len(lines) > MAX_FIELDS:
        raise RemoteProtocolError(f"more than {MAX_FIELDS} header fields", status=431)
    environ: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise RemoteProtocolError(f"not a header field: {line!r}")
        key = _KEYS.get(name)
        if key is None:
            key = _learn_key(name)
        # not a bare strip(): it would take more than what HTTP calls white space
        value = value.strip(" \t")
        if key in environ:
            _repeat(environ, key, value)
        elif key:
            environ[key] = value
    return environ


def _learn_key(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise RemoteProtocolError(f"not the name of a header field: {name!r}")
    if "_" in name:
        key = ""
    else:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
    _remember(_KEYS, name, key)
    return key


def _remember(names: dict[str, str], name: str, meaning: str) -> None:
    if len(name) <= MAX_NAME:
        if len(names) >= MAX_NAMES:
            names.clear()  # somebody makes them up; those that are in use come back at once
        names[name] = meaning


def _repeat(environ: dict[str, str], key: str, value: str) -> None:
    """A field that is there a second time."""
    if key in _ONCE:
        raise RemoteProtocolError(f"two of {key.removeprefix('HTTP_').title().replace('_', '-')}")
    if key == "HTTP_COOKIE":
        environ[key] += "; " + value
    elif key != "CONTENT_TYPE":  # the first one counts, as in pywsgi
        environ[key] += "," + value


def _keeps_alive(connection: str | None, *, modern: bool) -> bool:
    if connection is None:
        return modern
    tokens = connection.lower()
    if "," in tokens or tokens not in ("close", "keep-alive", "upgrade"):
        wanted = {token.strip(" \t") for token in tokens.split(",")}
    else:
        wanted = {tokens}
    return "close" not in wanted and (modern or "keep-alive" in wanted)


def _expects_continue(expect: str) -> bool:
    if expect.lower() != "100-continue":
        raise RemoteProtocolError(f"not an expectation: {expect!r}", status=417)
    return True


def chunk_size(line: bytes) -> int:
    """The size in the first line of a chunk; extensions are read over.

    Raises:
        RemoteProtocolError: there is none.
    """
    found = _CHUNK.fullmatch(line)
    if found is None:
        raise RemoteProtocolError(f"not the size of a chunk: {line[:40]!r}")
    return int(found[1], 16)


class ResponseHead:
    """The status and the fields of a response, as the application has given them.

    Attributes:
        code: of the status.
        data: both of them on the wire, without the end of the last line.
        length: Content-Length.
        connection: in lower case.
        dated: there is a Date.
        has_body: responses with this status have one.
    """

    __slots__ = ("code", "connection", "data", "dated", "has_body", "length")

    def __init__(self, status: str, headers: Iterable[tuple[str, str]]) -> None:
        """
        Raises:
            ValueError, TypeError: the application has made a mistake; in particular, there is a line break
                in a value, by which somebody might send headers of his own.
        """
        self.code = _status_code(status)
        self.has_body = self.code >= 200 and self.code not in _NO_BODY
        self.length: int | None = None
        self.connection: str | None = None
        self.dated = False
        text = f"HTTP/1.1 {status}"
        lines = 0
        for name, value in headers:
            kind = _KINDS.get(name)
            if kind is None:
                kind = _learn_kind(name)
            if not isinstance(value, str):
                raise TypeError(f"the value of a header must be a str, not {value!r}")
            # Transfer-Encoding is the server's affair; PEP 3333 forbids it to applications.
            if not kind or self._note(kind, value):
                text = f"{text}\n{name}: {value}"
                lines += 1
        if text.count("\n") != lines or "\r" in text or "\0" in text:
            raise ValueError(f"a line break in a header or in the status: {text!r}")
        self.data = text.replace("\n", "\r\n").encode("latin-1")

    def _note(self, kind: str, value: str) -> bool:
        """Note what a field says that matters to the server; false if it is not to be sent."""
        if kind == "content-length":
            if self.length is not None or not (value.isdigit() and value.isascii()):
                raise ValueError(f"two Content-Lengths, or a wrong one: {value!r}")
            self.length = int(value)
            if self.length and self.code == 204:
                raise ValueError("a Content-Length where there is no content (204)")
        elif kind == "connection":
            self.connection = (
                value.lower() if self.connection is None else f"{self.connection},{value.lower()}"
            )
        elif kind == "date":
            self.dated = True
        return kind != "transfer-encoding"

    @property
    def closes(self) -> bool:
        """The application wants this to be the last response of the connection."""
        return self.connection is not None and "close" in re.split("[ \t,]+", self.connection)


@lru_cache(maxsize=256)
def response_head(status: str, *headers: tuple[str, str]) -> ResponseHead:
    """`ResponseHead`, remembered: most responses of an application have one of a few heads."""
    return ResponseHead(status, headers)


def _status_code(status: str) -> int:
    if not isinstance(status, str):
        raise TypeError(f"the status must be a str, not {status!r}")
    code = status[:3]
    if not (len(code) == 3 and code.isdigit() and code.isascii() and status[3:4] in ("", " ")):
        raise ValueError(f"not a status: {status!r}")
    return int(code)


def _learn_kind(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of a header must be a str, not {name!r}")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"not the name of a header: {name!r}")
    lower = name.lower()
    kind = lower if lower in _FRAMING else ""
    _remember(_KINDS, name, kind)
    return kind


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_line(parts: tuple[int, ...]) -> bytes:
    """The field Date, with the end of the line before it.

    Args:
        parts: of UTC, as of `time.gmtime`.
    """
    year, month, day, hour, minute, second, weekday = parts[:7]
    text = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} GMT"
    return b"\r\nDate: " + text.encode("ascii")


def refusal(status: int) -> bytes:
    """A whole response to what is no request, the last one of its connection."""
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    return line.encode("ascii") + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
