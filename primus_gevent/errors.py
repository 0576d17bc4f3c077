"""Every exception of the package. All of them descend from `PrimusError`, so one ``except`` is enough.

::

    PrimusError
    ├── OptionError              an option is unknown, has the wrong type, or contradicts another one
    │   └── UnknownNameError     no transformer, parser or layer of that name; lists the known ones
    ├── MissingPackageError      an optional package is not installed; names the pip command
    ├── PluginError              a plugin cannot be added; names the plugin
    ├── HostError                this WSGI server hands out no socket, or not for this request
    ├── ParserError              a message could not be encoded or decoded; it was dropped, the spark lives
    ├── TransformError           a message transform took too long; the message was dropped, the spark lives
    ├── AuthorizationError       raised by an authorization hook to refuse a request
    ├── ConnectionClosed         the spark, or the client, has ended; ``clean`` tells how
    ├── ReadTimeout              nothing came in time; the spark stays open (also a TimeoutError)
    ├── ConcurrencyError         two greenlets wait in `Spark.read` at once, or a flowing spark is read
    ├── ConnectError             a client could not connect; ``url`` (also a ConnectionError)
    │   ├── ConnectTimeout       not in time (also a TimeoutError)
    │   ├── TLSError             the server's certificate does not do, or there is no TLS
    │   ├── ProxyError           the HTTP proxy refused
    │   └── UnexpectedResponse   another HTTP answer than wanted; ``status``, ``headers``, ``body``
    ├── LocalProtocolError       our side asked the codec for something the protocol forbids
    └── RemoteProtocolError      the peer broke the protocol
        └── HandshakeError       the opening handshake cannot be accepted; carries the HTTP answer
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "AuthorizationError",
    "ConcurrencyError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionClosed",
    "HandshakeError",
    "HostError",
    "LocalProtocolError",
    "MissingPackageError",
    "OptionError",
    "ParserError",
    "PluginError",
    "PrimusError",
    "ProxyError",
    "ReadTimeout",
    "RemoteProtocolError",
    "TLSError",
    "TransformError",
    "UnexpectedResponse",
    "UnknownNameError",
]


class PrimusError(Exception):
    """Root of all errors that this package raises."""


class OptionError(PrimusError, ValueError):
    """An option is unknown, has a wrong value, or contradicts another; ``option`` is its name."""

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class UnknownNameError(OptionError):
    """There is no transformer, parser or middleware layer of that name; ``known`` lists those that exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.known = sorted(known)
        super().__init__(f"unknown {kind} {name!r}; known are: {', '.join(self.known)}", kind)
        self.name = name


class MissingPackageError(PrimusError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(f"{feature} needs the package {package!r}: pip install 'primus-gevent[{extra}]'")
        self.extra = extra


class PluginError(PrimusError):
    """A plugin cannot be added; ``plugin`` is its name."""

    def __init__(self, message: str, plugin: str) -> None:
        super().__init__(message)
        self.plugin = plugin


class HostError(PrimusError):
    """The WSGI server that runs us hands out no socket, or not for this request."""


class ParserError(PrimusError):
    """A message could not be encoded or decoded. The message is dropped; the spark stays open.

    ``data`` is what could not be converted: the raw text or bytes of an incoming message, or the
    value of an outgoing one. The parser's own error is the ``__cause__``.
    """

    def __init__(self, message: str, data: object = None) -> None:
        super().__init__(message)
        self.data = data


class TransformError(PrimusError):
    """A message transform did not call ``next`` in time. The message is dropped; the spark stays open.

    ``data`` is the message, as far as it had been transformed.
    """

    def __init__(self, message: str, data: object = None) -> None:
        super().__init__(message)
        self.data = data


class AuthorizationError(PrimusError):
    """Raised by an authorization hook to refuse a request (specification, "Authorization").

    Args:
        message: shown to the client as ``{"error": message}``.
        status_code: HTTP status of the answer.
        authenticate: value of ``WWW-Authenticate``, sent with status 401 only.
    """

    def __init__(
        self, message: str = "Authorization failed", status_code: int = 401, authenticate: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.authenticate = authenticate


class ConnectionClosed(PrimusError):
    """The spark has ended, or the client for good. ``clean`` is true when one of the two sides said goodbye.

    If a client never came to a connection, or not back to one, the last reason for that is the ``__cause__``.
    """

    def __init__(self, message: str = "the connection has ended", *, clean: bool = True) -> None:
        super().__init__(message)
        self.clean = clean


class ReadTimeout(PrimusError, TimeoutError):
    """No message came within the time given to `Spark.read`; the spark stays open."""


class ConcurrencyError(PrimusError, RuntimeError):
    """Two greenlets wait in `Spark.read` of one spark, or a spark with ``data`` listeners is read."""


class ConnectError(PrimusError, ConnectionError):
    """A client could not connect to ``url``; what the network said is the ``__cause__``."""

    def __init__(self, message: str, url: str = "") -> None:
        super().__init__(message)
        self.url = url


class ConnectTimeout(ConnectError, TimeoutError):
    """There was no connection within the time for it."""


class TLSError(ConnectError):
    """There is no secure connection: the server's certificate does not do, or it does not speak TLS."""


class ProxyError(ConnectError):
    """The HTTP proxy refused to connect us; ``status`` is its answer, None if it gave none."""

    def __init__(self, message: str, url: str = "", status: int | None = None) -> None:
        super().__init__(message, url)
        self.status = status


class UnexpectedResponse(ConnectError):
    """The server's HTTP answer is not the one that was asked for, 401 for example (specification,
    "Authorization").

    Attributes:
        status: of the answer.
        headers: its headers, with names in lower case.
        body: its first bytes.
        reason: what the server said in words: the ``error`` of a JSON body, or the body if it is plain text.
    """

    def __init__(
        self, url: str, status: int, headers: Mapping[str, str], body: bytes, reason: str, *, where: str = ""
    ) -> None:
        said = f": {reason}" if reason else ""
        super().__init__(f"{where or url} answered {status}{said}", url)
        self.status = status
        self.headers = dict(headers)
        self.body = body
        self.reason = reason


class LocalProtocolError(PrimusError):
    """Our side asked for something that the wire format forbids, such as a close code of 1005."""


class RemoteProtocolError(PrimusError):
    """The peer broke the protocol; ``status`` or ``close_code`` is how to answer it."""

    def __init__(self, reason: str, *, status: int = 400, close_code: int = 1002) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status  # while the peer still speaks HTTP
        self.close_code = close_code  # once it has upgraded (RFC 6455, section 7.4.1)


class HandshakeError(RemoteProtocolError):
    """The opening handshake cannot be accepted; ``status`` and ``headers`` are the HTTP answer."""

    def __init__(self, reason: str, *, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(reason, status=status)
        self.headers = list(headers)
