"""What a spark remembers of the request that started it, in little memory, and the typed view of it.

An idle connection should cost no more than its own bytes, so the WSGI environ (some 40 strings) is folded
into one string; headers, query and `Request` are made when somebody asks for them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from werkzeug.datastructures import EnvironHeaders
from werkzeug.wrappers import Request as WerkzeugRequest

__all__ = ["Address", "Request", "RequestRecord", "client_address", "parse_query"]

# Header groups in the order in which they are looked at (`forwarded-for`, as used by the original): the first
# one that is present decides.
_FORWARDED = (
    ("HTTP_FASTLY_CLIENT_IP", "HTTP_FASTLY_CLIENT_PORT", "HTTP_FASTLY_SSL"),
    ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PROTO"),
    ("HTTP_Z_FORWARDED_FOR", "HTTP_Z_FORWARDED_PORT", "HTTP_Z_FORWARDED_PROTO"),
    ("HTTP_FORWARDED", "HTTP_FORWARDED_PORT", "HTTP_FORWARDED_PROTO"),
    ("HTTP_X_REAL_IP", "HTTP_X_REAL_PORT", "HTTP_X_REAL_PROTO"),
)

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


class Address(NamedTuple):
    """Where a client is: its IP, its port (0 if unknown), and whether it reached us over TLS."""

    ip: str
    port: int
    secure: bool


class Request(WerkzeugRequest):
    """The request that started a connection. It is answered already; only look at it."""

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

    Args:
        trusted: networks whose proxies are believed; None believes everybody (specification,
            "spark.address").
    """
    remote = environ.get("REMOTE_ADDR") or ""  # pywsgi has none for a unix socket
    port = _port(environ.get("REMOTE_PORT"))
    secure = environ.get("wsgi.url_scheme") == "https"
    direct = Address(remote or "127.0.0.1", port, secure)
    if trusted is not None and remote and not _within(remote, trusted):
        return direct
    for ip_key, port_key, proto_key in _FORWARDED:
        if ip_key in environ:
            return _forwarded(environ, ip_key, port_key, proto_key, trusted) or direct
    return direct


def _forwarded(
    environ: Mapping[str, Any], ip_key: str, port_key: str, proto_key: str, trusted: Sequence[str] | None
) -> Address | None:
    hops = [_hop(part) for part in environ[ip_key].split(",")]
    if not all(hops):
        return None  # one that is no address makes all of them doubtful
    client, port = hops[0]  # type: ignore[misc]
    if trusted is not None and not all(_within(hop[0], trusted) for hop in hops[1:] if hop):
        return None
    port = _port(environ.get(port_key, "").split(",")[0].strip()) or port
    proto = environ.get(proto_key, "")
    return Address(client, port, proto in ("1", "https") or environ.get("wsgi.url_scheme") == "https")


def _hop(text: str) -> tuple[str, int] | None:
    text = text.strip()
    port = 0
    if text.count(":") == 1:
        text, _, digits = text.partition(":")
        port = _port(digits)
    try:
        return str(ipaddress.ip_address(text)), port
    except ValueError:
        return None


def _port(value: Any) -> int:
    try:
        port = int(value)
    except (TypeError, ValueError):
        return 0
    return port if 0 < port < 65536 else 0


def _within(ip: str, networks: Sequence[str]) -> bool:
    try:
        address = ipaddress.ip_address(ip)
        # What a server that listens on IPv6 as well calls an IPv4 client.
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
    except ValueError:
        return False


def _one_line(key: str, value: Any) -> str:
    """Keep a value from looking like two: the client decides on what stands in its path and headers."""
    text = str(value)
    if key in _PATHS:  # decoded by the server, so %0A has become a line end
        return text.replace("%", "%25").replace("\n", "%0A")
    if "\n" in text:  # pywsgi hands out a folded header as it came; RFC 9112, 5.2 wants a space
        return _FOLD.sub(" ", text)
    return text


class RequestRecord:
    """A WSGI environ, folded: one string, and a dictionary only if somebody added keys to it."""

    __slots__ = ("_added", "_folded")

    def __init__(self, environ: Mapping[str, Any]) -> None:
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

    def request(self) -> Request:
        """The request as a werkzeug object."""
        return Request(self.environ())
