"""What a spark remembers of the request that started it, in little memory, and the typed view of it.

An idle connection should cost no more than its own bytes, so the WSGI environ (some 40 strings) is folded
into one string; headers, query and `Request` are made when somebody asks for them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from werkzeug.datastructures import EnvironHeaders
from werkzeug.wrappers import Request as WerkzeugRequest

__all__ = ["Address", "Request", "RequestRecord", "client_address", "parse_query"]

# Header groups (address, port, protocol) in the order in which they are looked at (`forwarded-for`, as used
# by the original): the first one whose address is present decides. The original moves the group that it has
# found to the front for the requests to come; so one client could choose for all others.
_FASTLY = ("HTTP_FASTLY_CLIENT_IP", "HTTP_FASTLY_CLIENT_PORT", "HTTP_FASTLY_SSL")
_X_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PROTO")
_Z_FORWARDED = ("HTTP_Z_FORWARDED_FOR", "HTTP_Z_FORWARDED_PORT", "HTTP_Z_FORWARDED_PROTO")
_FORWARDED = ("HTTP_FORWARDED", "HTTP_FORWARDED_PORT", "HTTP_FORWARDED_PROTO")
_X_REAL = ("HTTP_X_REAL_IP", "HTTP_X_REAL_PORT", "HTTP_X_REAL_PROTO")
_GROUPS = (_FASTLY, _X_FORWARDED, _Z_FORWARDED, _FORWARDED, _X_REAL)

# The same where proxies are named. A proxy passes on what it does not know, so with every header before the
# one that it sets a client could speak for it; and what proxies set is nearly always X-Forwarded-For.
_GROUPS_OF_TRUSTED = (_X_FORWARDED, _FORWARDED, _X_REAL, _FASTLY, _Z_FORWARDED)

# Kept as they are; everything else that is not a header is either the server's own business or was added by
# somebody for the handlers to see.
_KEPT = (
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "wsgi.url_scheme",
)
_SERVERS = ("wsgi.", "gunicorn.", "werkzeug.", "SERVER_", "GATEWAY_", "RAW_URI", "REQUEST_URI", "CONTENT_")
_PATHS = ("SCRIPT_NAME", "PATH_INFO")

_FOLD = re.compile(r"[\r\n]+[ \t]*")

MAX_QUERY_FIELDS = 1000  # as in Node, which ignores what comes after them
MAX_PORT_DIGITS = 5


class Address(NamedTuple):
    """Where a client is: its IP, its port (0 if unknown), and whether it reached us over TLS."""

    ip: str
    port: int
    secure: bool


class Request(WerkzeugRequest):
    """A request as middleware sees it, and the one that started a connection. Only look at it.

    What a layer or an authorization hook sets on it as an attribute is there again on `Spark.request`.

    Attributes:
        trusted_proxies: networks whose proxies `forwarded` believes; see `client_address`.
    """

    trusted_proxies: Sequence[str] | None = None

    @property
    def forwarded(self) -> Address:
        """The client's address (``req.forwarded`` in the specification); see `client_address`."""
        return client_address(self.environ, self.trusted_proxies)

    @property
    def query(self) -> dict[str, Any]:
        """The query string as a dictionary (``req.query`` in the specification)."""
        return parse_query(self.environ.get("QUERY_STRING", ""))


def parse_query(text: str) -> dict[str, Any]:
    """Parse a query string as Node does: a name that occurs twice has a list of its values."""
    query: dict[str, Any] = {}
    if text.count("&") >= MAX_QUERY_FIELDS:
        text = "&".join(text.split("&", MAX_QUERY_FIELDS)[:MAX_QUERY_FIELDS])
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in query:
            query[name] = value
        elif isinstance(query[name], list):
            query[name].append(value)
        else:
            query[name] = [query[name], value]
    return query


def client_address(environ: Mapping[str, Any], trusted: Sequence[str] | None = None) -> Address:
    """The client's address: what a proxy says of it, or else the other end of the socket.

    One header decides: the first that is present of ``Fastly-Client-IP``, ``X-Forwarded-For``,
    ``Z-Forwarded-For``, ``Forwarded`` (a list of addresses, or RFC 7239) and ``X-Real-IP``; with ``trusted``,
    ``X-Forwarded-For`` and then ``Forwarded`` come first. When it holds something else than addresses, the
    socket decides. Port and protocol are those that stand beside the address, or else in the headers that
    belong to it (``X-Forwarded-Port`` and ``X-Forwarded-Proto``, for example).

    Args:
        trusted: networks whose proxies are believed. The client is then the last address that is in none of
            them: those before it are what it says of itself. None believes everybody, and the client is the
            first address (specification, "spark.address"); an empty list believes nobody.
    """
    end = environ.get("REMOTE_ADDR") or ""
    remote = _ip(end)
    secure = environ.get("wsgi.url_scheme") == "https"
    direct = Address(remote or "127.0.0.1", _port(environ.get("REMOTE_PORT")), secure)
    if trusted is not None and not (trusted and (_within(remote, trusted) if remote else _is_local(end))):
        return direct
    for group in _GROUPS if trusted is None else _GROUPS_OF_TRUSTED:
        if group[0] in environ:
            return _forwarded(environ, group, trusted) or direct
    return direct


def _is_local(end: str) -> bool:
    """Whether the other end is a unix socket: it has no name usually, else a path or an abstract name."""
    return not end or end[0] in "/@\0"


class _Hop(NamedTuple):
    """One element of a proxy's header; ``secure`` is None where it does not tell."""

    ip: str
    port: int
    secure: bool | None


def _forwarded(
    environ: Mapping[str, Any], group: tuple[str, str, str], trusted: Sequence[str] | None
) -> Address | None:
    value = environ[group[0]]
    parse = _standard_hops if group is _FORWARDED and "=" in value else _plain_hops
    hops = parse(value)
    index = _client_index(hops, trusted)
    if index is None:
        return None
    ip, port, secure = hops[index]  # type: ignore[misc]  # it is none of those that are None
    if not port and index == 0:
        port = _port(environ.get(group[1], "").partition(",")[0])
    if secure is None:
        proto = environ.get(group[2])
        # the original takes no header for not secure; but gunicorn knows more proxies' headers than we do
        secure = environ.get("wsgi.url_scheme") == "https" if proto is None else proto in ("1", "https")
    return Address(ip, port, secure)


def _client_index(hops: Sequence[_Hop | None], trusted: Sequence[str] | None) -> int | None:
    """Which of the hops is the client; None when that cannot be said."""
    if trusted is None:
        return 0 if all(hops) else None  # one that is no address makes all of them doubtful
    # The original compares all but the first with its `whitelist`, and ignores the header when one is missing
    # there. Where it accepts a header, this finds the same client; where it does not, somebody who has sent
    # the header himself would pass for the proxy.
    for index in range(len(hops) - 1, -1, -1):
        hop = hops[index]
        if hop is None:
            return None
        if not _within(hop.ip, trusted):
            return index
    return 0


def _plain_hops(value: str) -> list[_Hop | None]:
    return [_hop(part) for part in value.split(",")]


# One parameter of RFC 7239, section 4, and what follows it. No two parts next to each other can take the same
# character, so the time that any text costs is proportional to its length.
_PARAMETER = re.compile(
    r"""[ \t]*
    (?:
        (?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+) =
        (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<token>[^",; \t]*) )
        [ \t]*
    )?
    (?P<end>[;,]|\Z)""",
    re.VERBOSE,
)
_SCOPE = re.compile(r"[0-9A-Za-z._:-]{1,32}")
_ESCAPED = re.compile(r"\\(.)")


def _standard_hops(value: str) -> list[_Hop | None]:
    hops: list[_Hop | None] = []
    element: dict[str, str] = {}
    position = 0
    while match := _PARAMETER.match(value, position):
        position = match.end()
        if match["name"]:
            name, quoted = match["name"].lower(), match["quoted"]
            if name in element:
                element["for"] = ""  # the RFC allows one of each: somebody has patched this together
            else:
                element[name] = match["token"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        if match["end"] != ";":
            if element:  # empty elements of a list are to be ignored (RFC 9110, section 5.6.1.2)
                hops.append(_hop_of(element))
                element = {}
            if not match["end"]:
                return hops or [None]
    return [None]


def _hop_of(element: Mapping[str, str]) -> _Hop | None:
    hop = _hop(element.get("for", ""))
    if hop is None or "proto" not in element:
        return hop
    return hop._replace(secure=element["proto"].lower() == "https")


def _hop(text: str) -> _Hop | None:
    """An address, with or without a port; that of IPv6 stands in brackets then."""
    text = text.strip()
    port = ""
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in text or (port and not port.startswith(":")):
            return None
        port = port[1:]
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    ip = _ip(text)
    return _Hop(ip, _port(port), None) if ip else None


def _ip(text: str) -> str:
    """An address in its usual form; empty when it is none.

    An IPv4 client is one also where the server listens on IPv6 and calls it ``::ffff:1.2.3.4``.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    scope = getattr(address, "scope_id", None)
    if scope is not None and not _SCOPE.fullmatch(scope):
        return ""  # Python takes any text for the name of an interface
    return str(getattr(address, "ipv4_mapped", None) or address)


def _port(value: Any) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_PORT_DIGITS):
        return 0
    port = int(text)
    return port if port < 65536 else 0


def _within(ip: str, networks: Sequence[str]) -> bool:
    address = ipaddress.ip_address(ip)
    return any(address in _network(network) for network in networks)


@lru_cache(maxsize=256)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _one_line(key: str, value: Any) -> str:
    """Keep a value from looking like two: the client decides on what stands in its path and headers."""
    text = str(value)
    if key in _PATHS:  # decoded by the server, so %0A has become a line end
        return text.replace("%", "%25").replace("\n", "%0A")
    if "\n" in text:  # pywsgi hands out a folded header as it came; RFC 9112, 5.2 wants a space
        return _FOLD.sub(" ", text)
    return text


# What a werkzeug request has in its dictionary without anybody's doing; the rest of what is its own (cached
# properties) can be told by its type.
_OWN_ATTRIBUTES = frozenset(
    {*vars(Request({}, populate_request=False)), "_cached_data", "_cached_json", "_parsed_content_type"}
)


def _attributes_of(request: Request) -> dict[str, Any] | None:
    """What somebody has set on a request; None instead of an empty dictionary."""
    kind = type(request)
    return {
        name: value
        for name, value in vars(request).items()
        if name not in _OWN_ATTRIBUTES and not hasattr(kind, name)
    } or None


class RequestRecord:
    """A WSGI environ, folded: one string, and a dictionary only if somebody added keys to it.

    Args:
        environ: of the request.
        request: the object that middleware has seen, if any: what it has set on it is kept.
    """

    __slots__ = ("_added", "_attributes", "_folded")

    def __init__(self, environ: Mapping[str, Any], request: Request | None = None) -> None:
        lines = [_one_line(key, environ.get(key) or "") for key in _KEPT]
        added = None
        for key, value in environ.items():
            if key.startswith("HTTP_"):
                lines.append(f"{key}:{_one_line(key, value)}")
            elif key not in _KEPT and not key.startswith(_SERVERS):
                added = added or {}
                added[key] = value
        self._folded = "\n".join(lines)
        self._added: dict[str, Any] | None = added
        self._attributes = _attributes_of(request) if request is not None else None

    @property
    def size(self) -> int:
        """Characters of the request line and the headers."""
        return len(self._folded)

    def environ(self) -> dict[str, Any]:
        """A new WSGI environ with what was kept, and an empty body."""
        lines = self._folded.split("\n")
        environ: dict[str, Any] = dict(zip(_KEPT, lines, strict=False))
        for key in _PATHS:
            environ[key] = environ[key].replace("%0A", "\n").replace("%25", "%")
        for line in lines[len(_KEPT) :]:
            key, _, value = line.partition(":")
            environ[key] = value
        environ["wsgi.input"] = BytesIO()
        environ["wsgi.version"] = (1, 0)
        environ.update(self._added or {})
        return environ

    def query(self) -> dict[str, Any]:
        """The parsed query string."""
        return parse_query(self._folded.split("\n", 4)[3])

    def headers(self) -> EnvironHeaders:
        """The headers; names are case-insensitive."""
        return EnvironHeaders(self.environ())

    def address(self, trusted: Sequence[str] | None) -> Address:
        """The client's address; see `client_address`."""
        return client_address(self.environ(), trusted)

    def request(self, trusted: Sequence[str] | None = None) -> Request:
        """The request as a werkzeug object, with what middleware had set on it.

        Args:
            trusted: see `client_address`.
        """
        request = Request(self.environ(), populate_request=False)
        if trusted is not None:
            request.trusted_proxies = trusted
        vars(request).update(self._attributes or {})
        return request
