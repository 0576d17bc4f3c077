"""Addresses: what the user gives, and what is requested from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from ..errors import OptionError

__all__ = ["DEFAULT_URL", "Address", "UrlParts", "hostport", "query_of"]

DEFAULT_URL = "http://127.0.0.1"  # as the specification's client has it outside a browser
PLAIN = "!$%&'()*+,-./:;=?@[]_~"
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True)
class Address:
    """A server: the parts of a URL that a user gives.

    Attributes:
        scheme: ``http``, ``https``, ``ws`` or ``wss``.
        host: name or address, an IPv6 address without its brackets.
        port: given, or the usual one of the scheme.
        username, password: decoded; empty if there are none.
        query: without its question mark.
        path: what stood there: who connects takes the option ``pathname`` instead, but `/spec` may be asked
            for below it.
    """

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    query: str = ""
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a URL; without a scheme it is ``http``.

        Raises:
            OptionError: it is none that a client could connect to.
        """
        if not isinstance(url, str):
            raise OptionError(f"the address of a server is a URL as text, not {url!r}", "url")
        text = url.strip()
        if "//" not in text.partition("?")[0]:
            text = f"http://{text}"
        elif text.startswith("//"):
            text = f"http:{text}"
        try:
            parts = urlsplit(text)
            scheme = parts.scheme.lower()
            port = parts.port
        except ValueError as error:
            raise OptionError(f"{url!r} is no URL: {error}", "url") from None
        if scheme not in PORTS:
            raise OptionError(
                f"cannot connect to {url!r}: the scheme is one of {', '.join(PORTS)}, not {scheme!r}", "url"
            )
        # what would end the request line, or begin another header
        if not parts.hostname or any(ord(char) <= 32 or ord(char) == 127 for char in text):
            raise OptionError(f"{url!r} is no URL of a server", "url")
        try:
            host = parts.hostname.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise OptionError(f"{url!r} is no URL of a server: {error}", "url") from None
        return cls(
            scheme,
            host,
            PORTS[scheme] if port is None else port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            parts.query,
            parts.path,
        )

    @property
    def secure(self) -> bool:
        """Whether it is to be reached with TLS."""
        return self.scheme in ("https", "wss")

    def __str__(self) -> str:
        """The URL, without password: it is for people and logs."""
        return f"{self.scheme}://{hostport(self.scheme, self.host, self.port)}"


@dataclass
class UrlParts:
    """What a transport will request. Listeners of ``outgoing::url`` edit it."""

    scheme: str
    host: str
    port: int
    pathname: str
    query: str
    username: str = ""
    password: str = ""
    exact: bool = False
    """Whether the path stands as it is; otherwise it ends with a slash, as all clients have it."""

    @property
    def secure(self) -> bool:
        """Whether it is to be reached with TLS."""
        return self.scheme in ("https", "wss")

    @property
    def target(self) -> str:
        """Path and query, as they stand in a request."""
        path = "/" + self.pathname.lstrip("/") if self.exact else "/" + self.pathname.strip("/") + "/"
        # As `URL` does in JavaScript: what is no ASCII is escaped, and what is escaped stays.
        path, query = quote(path, safe=PLAIN), quote(self.query, safe=PLAIN)
        return f"{path}?{query}" if query else path

    @property
    def netloc(self) -> str:
        """Host and port, as in the header ``Host``."""
        return hostport(self.scheme, self.host, self.port)

    def __str__(self) -> str:
        """The URL, without user and password: those are a header."""
        return f"{self.scheme}://{self.netloc}{self.target}"


def hostport(scheme: str, host: str, port: int) -> str:
    """As in a URL: brackets around an IPv6 address, and no port that goes without saying."""
    name = f"[{host}]" if ":" in host else host
    return name if port == PORTS.get(scheme) else f"{name}:{port}"


def query_of(given: str, more: Mapping[str, str]) -> str:
    """``given`` with further parameters behind it; their values are plain."""
    pieces = [given.lstrip("?")] if given.lstrip("?") else []
    return "&".join([*pieces, *(f"{name}={value}" for name, value in more.items())])
