"""Connections to a server: names, proxies, TLS, and what goes wrong with each, in words.

All sockets are gevent's own, so that nothing here depends on monkey patching: while one greenlet waits for a
name, a handshake or an answer, the others run. There are no time limits here: whoever opens a connection does
so in a greenlet of its own, and kills that when time is up.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket as stdlib_socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment as bypasses  # type: ignore[attr-defined]
from weakref import WeakValueDictionary

import gevent.ssl

from ..errors import (
    ConnectError,
    ConnectTimeout,
    OptionError,
    PrimusError,
    ProxyError,
    TLSError,
    UnexpectedResponse,
)
from ..hosts.base import set_nodelay
from ..version import __version__
from . import names
from .address import Address, UrlParts
from .cookies import Cookies
from .options import ClientOptions

__all__ = [
    "MAX_REASON_BYTES",
    "Network",
    "Proxy",
    "explained",
    "find_proxy",
    "merged",
    "request_head",
    "unexpected",
]

PROXY_VARIABLES = {
    "http": ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"),
    "https": ("https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"),
}
USER_AGENT = f"primus-gevent/{__version__}"
MAX_REASON_BYTES = 16384  # of the body of an answer that says what is wrong


class Proxy(NamedTuple):
    """An HTTP proxy."""

    host: str
    port: int
    credentials: str  # the value of Proxy-Authorization, or nothing

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}"


def find_proxy(url: UrlParts, option: Any) -> Proxy | None:
    """The proxy for ``url``; None where it is to be asked directly.

    Args:
        option: the client's option `proxy`.

    Raises:
        ProxyError: it is of a kind that we cannot use.
    """
    if option is False:
        return None
    given = option
    if given is None:
        name = "https" if url.secure else "http"
        # Looked for first, because the function reads the whole environment: 50 us, for each request.
        if not any(variable in os.environ for variable in PROXY_VARIABLES[name]):
            return None
        found = getproxies_environment()
        given = found.get(name) or found.get("all")
        if not given or bypasses(f"{url.host}:{url.port}", found):
            return None
    parts = urlsplit(given if "://" in given else f"http://{given}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or port == 0:
        raise ProxyError(
            f"cannot use {parts.scheme}://{parts.hostname} as a proxy: only http:// ones", str(url)
        )
    credentials = ""
    if parts.username:
        credentials = basic(unquote(parts.username), unquote(parts.password or ""))
    return Proxy(parts.hostname, port or 80, credentials)


class Network:
    """How one client reaches its server.

    Attributes:
        options: of the client.
        cookies: that its requests carry.

    Raises:
        OptionError: the files of the options hold no certificates or no key.
        OSError: one of them cannot be read.
    """

    def __init__(self, address: Address, options: ClientOptions) -> None:
        self.options = options
        self.cookies = Cookies(address, options.cookies)
        self._context: Any = None
        if options.ca is not None or options.cert is not None:
            self._context = tls_context(options)  # now, so that a wrong file is an error of who named it

    @property
    def context(self) -> Any:
        """The TLS context."""
        if self._context is None:
            self._context = _plain_context(self.options.verify)
        return self._context

    def connect(self, url: UrlParts, proxy: Proxy | None, *, tunnel: bool = True) -> Any:
        """A connected gevent socket to the server of ``url``, with TLS if that says so.

        Blocks until it is connected; killed, it leaves nothing behind.

        Args:
            proxy: to go through.
            tunnel: whether it has to be asked for a tunnel. Plain HTTP requests do without.

        Raises:
            ConnectError: or one of its kinds.
        """
        with explained(url):
            sock = _connect_tcp(url, proxy)
            try:
                if proxy is not None and (tunnel or url.secure):
                    _open_tunnel(sock, url, proxy)
                if url.secure:
                    sock = self.context.wrap_socket(
                        sock, server_hostname=url.host, do_handshake_on_connect=False
                    )
                    sock.do_handshake()
            except BaseException:
                sock.close()
                raise
            return sock

    def headers(self, url: UrlParts, more: Mapping[str, str], *, own: bool = True) -> dict[str, str]:
        """What a request carries.

        Args:
            more: headers that the transport needs. The user's win over the common ones, and these over all.
            own: whether it goes to the user's server, and not to where that has sent us.
        """
        headers = {"Host": url.netloc, "User-Agent": USER_AGENT}
        if url.username:
            headers["Authorization"] = basic(url.username, url.password)
        cookie = self.cookies.header(str(url))
        if cookie:
            headers["Cookie"] = cookie
        return merged(merged(headers, self.options.headers if own else {}), more)


def _connect_tcp(url: UrlParts, proxy: Proxy | None) -> Any:
    address = (proxy.host, proxy.port) if proxy is not None else (url.host, url.port)
    try:
        sock = names.connect(*address)
    except OSError as error:
        if proxy is None:
            raise
        raise ProxyError(f"cannot reach the proxy {proxy}: {_said(error)}", str(url)) from error
    set_nodelay(sock)
    return sock


def _open_tunnel(sock: Any, url: UrlParts, proxy: Proxy) -> None:
    """Have the proxy connect us (RFC 9110, 9.3.6)."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    target = f"{host}:{url.port}"
    headers = {"Host": target, "User-Agent": USER_AGENT}
    if proxy.credentials:
        headers["Proxy-Authorization"] = proxy.credentials
    sock.sendall(request_head("CONNECT", target, headers))
    # Read in single bytes: behind this answer TLS begins, and nothing of that may be taken.
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        if not piece or len(head) > MAX_REASON_BYTES:
            raise ProxyError(f"the proxy {proxy} did not answer", str(url))
        head += piece
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdecimal() else None
    if status is None or not 200 <= status < 300:
        said = " ".join(words[1:]) or "something that is not HTTP"
        raise ProxyError(f"the proxy {proxy} answered {said}", str(url), status)


# One for all clients with the same files and options, as long as there are any: a bundle of authorities takes
# 40 ms to read, and almost a megabyte.
_contexts: WeakValueDictionary[Any, Any] = WeakValueDictionary()


def tls_context(options: ClientOptions) -> Any:
    """The TLS context of a client, cooperative whether the process is monkey-patched or not. To be left as it
    is: others may have it too.

    Raises:
        OptionError: the files of the options hold no certificates or no key.
        OSError: one of them cannot be read.
    """
    files = [_version(path) for path in (options.ca, options.cert, options.key)]
    which = (options.verify, options.passphrase, *files)
    context = _contexts.get(which)
    if context is None:
        context = _contexts[which] = _context_with_certificate(options)
    return context


def _version(path: str | None) -> Any:
    """A file as it is now."""
    if path is None:
        return None
    known = os.stat(path)
    return path, known.st_ino, known.st_size, known.st_mtime_ns


def _context_with_certificate(options: ClientOptions) -> Any:
    context = _context(options.verify, options.ca)
    if options.cert is not None:
        try:
            context.load_cert_chain(options.cert, options.key, lambda: options.passphrase or "")
        except ssl.SSLError as error:
            raise OptionError(f"{options.cert} and its key do not do: {_said(error)}", "cert") from error
    return context


@cache
def _plain_context(verify: bool) -> Any:
    # One for all clients: reading what the system trusts takes 20 ms and a megabyte.
    return _context(verify, None)


def _context(verify: bool, ca: str | None) -> Any:
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(ca)
        except ssl.SSLError as error:
            raise OptionError(f"{ca} holds no certificates in PEM: {_said(error)}", "ca") from error
    return context


# -- requests


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The first lines of a request, up to the empty one."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def basic(username: str, password: str) -> str:
    """The value of ``Authorization`` (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def merged(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Both, and of a header that is in both the one of ``more``."""
    names = {name.lower() for name in more}
    return {**{name: value for name, value in headers.items() if name.lower() not in names}, **more}


# -- what went wrong


@contextmanager
def explained(url: UrlParts) -> Iterator[None]:
    """Make what the network, TLS or HTTP raises inside into an error that says what it means.

    Raises:
        ConnectError: or one of its kinds.
    """
    try:
        yield
    except PrimusError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _explain(error, url) from error


def _explain(error: BaseException, url: UrlParts) -> ConnectError:
    where = f"{url.scheme}://{url.netloc}"
    if isinstance(error, stdlib_socket.gaierror):
        return ConnectError(f"there is no host {url.host!r}: {_said(error)}", str(url))
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSError(
            f"the certificate of {where} does not do: {error.verify_message}. The option `ca` names "
            "authorities to trust",
            str(url),
        )
    if isinstance(error, ssl.SSLError):
        hint = ". Does it speak TLS at this port?" if error.reason in PLAIN_REASONS else ""
        return TLSError(f"no secure connection to {where}: {_said(error)}{hint}", str(url))
    if isinstance(error, ConnectionRefusedError):
        return ConnectError(f"nothing listens at {where}", str(url))
    if isinstance(error, TimeoutError):
        return ConnectTimeout(f"{where} did not answer in time", str(url))
    if isinstance(error, (http.client.RemoteDisconnected, ConnectionError, http.client.IncompleteRead)):
        return ConnectError(f"{where} closed the connection without an answer", str(url))
    if isinstance(error, http.client.HTTPException):
        return ConnectError(f"{where} did not answer in HTTP: {error!r:.200}", str(url))
    return ConnectError(f"cannot connect to {where}: {_said(error)}", str(url))


# What OpenSSL says when the other side does not speak TLS.
PLAIN_REASONS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")


def _said(error: BaseException) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


def unexpected(
    url: UrlParts, status: int, headers: Iterable[tuple[str, str]], body: bytes
) -> UnexpectedResponse:
    """The error for an HTTP answer that is not what was asked for."""
    found = {name.lower(): value for name, value in headers}
    reason = ""
    kind = found.get("content-type", "").partition(";")[0].strip().lower()
    text = body.decode("utf-8", "replace").strip()
    if kind == "application/json":
        try:
            told = json.loads(text)
            reason = str(told.get("error", "")) if isinstance(told, dict) else ""
        except ValueError:
            pass
    elif kind == "text/plain":
        reason = text.partition("\n")[0][:200]
    if not reason and "location" in found:
        reason = f"it is at {found['location'][:200]!r}"
    if not reason and status in HTTPStatus.__members__.values():
        reason = HTTPStatus(status).phrase
    where = f"{url.scheme}://{url.netloc}"
    return UnexpectedResponse(str(url), status, found, body, reason, where=where)
