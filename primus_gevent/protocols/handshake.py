"""The WebSocket opening handshake (RFC 6455, section 4) as pure functions of headers, for both roles.

The server side reads a WSGI environ, which it treats as a mapping and nothing more; the client side makes and
checks lists of headers. What the parameters of `permessage-deflate` mean is the concern of `deflate`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from primus_gevent.errors import HandshakeError
from primus_gevent.protocols import deflate
from primus_gevent.protocols.deflate import DeflateOptions, Parameters, PerMessageDeflate

__all__ = ["ClientHandshake", "ServerHandshake", "accept_key", "parse_extensions"]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
VERSION = "13"

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110, 5.6.2
_TOKEN = re.compile(TOKEN)
# One parameter of an extension: name, name=token or name="token" (RFC 6455, 9.1).
_PARAMETER = re.compile(rf'[ \t]*({TOKEN})[ \t]*(?:=[ \t]*(?:({TOKEN})|"({TOKEN})")[ \t]*)?')


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept that proves that a server has read this Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + GUID).digest()).decode("ascii")


def parse_tokens(value: str) -> list[str]:
    """The members of a comma-separated header, in order and without empty ones."""
    return [token for token in (part.strip(" \t") for part in value.split(",")) if token]


def parse_extensions(value: str) -> list[tuple[str, Parameters]]:
    """Read Sec-WebSocket-Extensions.

    Raises:
        ValueError: it is not as RFC 6455, 9.1 has it.
    """
    extensions: list[tuple[str, Parameters]] = []
    # A quoted value has to be a token too, so neither separator can be inside quotes.
    for member in parse_tokens(value):
        words: Parameters = []
        for part in member.split(";"):
            match = _PARAMETER.fullmatch(part)
            if match is None:
                raise ValueError(f"not an extension: {member[:100]!r}")
            words.append((match[1], match[2] or match[3]))
        name, extra = words[0]
        if extra is not None:
            raise ValueError(f"not an extension: {member[:100]!r}")
        extensions.append((name, words[1:]))
    return extensions


class ServerHandshake:
    """An acceptable WebSocket request, and the answer to it.

    Attributes:
        key: the client's Sec-WebSocket-Key.
        subprotocols: what the client offers, in its order; the answer names none unless asked to.
        deflate: the negotiated compression, for `WebSocketProtocol`; None without one.
    """

    __slots__ = ("_extensions", "deflate", "key", "subprotocols")

    def __init__(
        self,
        key: str,
        subprotocols: tuple[str, ...] = (),
        deflate: PerMessageDeflate | None = None,
        extensions: str = "",
    ) -> None:
        self.key = key
        self.subprotocols = subprotocols
        self.deflate = deflate
        self._extensions = extensions

    @classmethod
    def parse(
        cls, environ: Mapping[str, Any], *, compression: bool | DeflateOptions = False
    ) -> ServerHandshake:
        """Check a request and negotiate.

        Args:
            environ: of the WSGI request; nothing is read from its streams.
            compression: whether to take an offer of permessage-deflate, and how to compress.

        Raises:
            HandshakeError: the request is to be answered with its `status` and `headers`.
        """
        _check_request(environ)
        key = str(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")).strip(" \t")
        if not _is_key(key):
            raise HandshakeError("Sec-WebSocket-Key is not 16 bytes of base64", status=400)
        subprotocols = tuple(parse_tokens(str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", ""))))
        if any(_TOKEN.fullmatch(name) is None for name in subprotocols):
            raise HandshakeError("Sec-WebSocket-Protocol is not a list of tokens", status=400)
        try:
            offered = parse_extensions(str(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")))
        except ValueError as error:
            raise HandshakeError(f"Sec-WebSocket-Extensions: {error}", status=400) from None
        if compression:
            options = compression if isinstance(compression, DeflateOptions) else None
            offers = [parameters for name, parameters in offered if name == deflate.EXTENSION]
            agreed = deflate.negotiate(offers, options)
            if agreed is not None:
                return cls(key, subprotocols, *agreed)
        return cls(key, subprotocols)

    def response_headers(self, subprotocol: str | None = None) -> list[tuple[str, str]]:
        """The headers of the answer with status 101.

        Args:
            subprotocol: the one to speak; a client hangs up on one that it did not offer.
        """
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_key(self.key)),
        ]
        if subprotocol is not None:
            headers.append(("Sec-WebSocket-Protocol", subprotocol))
        if self._extensions:
            headers.append(("Sec-WebSocket-Extensions", self._extensions))
        return headers

    def __repr__(self) -> str:
        return f"<ServerHandshake {self._extensions or 'no extensions'}, offered {list(self.subprotocols)}>"


def _check_request(environ: Mapping[str, Any]) -> None:
    """All but the key: is this a request for a WebSocket of our version (RFC 6455, 4.2.1)?"""
    method = environ.get("REQUEST_METHOD")
    if method != "GET":
        raise HandshakeError(
            f"a WebSocket begins with GET, not {method}", status=405, headers=[("Allow", "GET")]
        )
    upgrade = {token.lower() for token in parse_tokens(str(environ.get("HTTP_UPGRADE", "")))}
    if "websocket" not in upgrade:
        raise HandshakeError(
            "this address speaks WebSocket only",
            status=426,
            headers=[("Upgrade", "websocket"), ("Connection", "Upgrade")],
        )
    # HTTP/1.0 cannot upgrade, and HTTP/2 opens WebSockets in another way (RFC 8441).
    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        raise HandshakeError("a WebSocket needs HTTP/1.1", status=400)
    connection = {token.lower() for token in parse_tokens(str(environ.get("HTTP_CONNECTION", "")))}
    if "upgrade" not in connection:
        raise HandshakeError("Connection does not name Upgrade", status=400)
    # Nobody could say where it ends and the first frame begins: servers leave the reading of it to us.
    if environ.get("HTTP_TRANSFER_ENCODING") or environ.get("CONTENT_LENGTH", "0").strip() not in ("", "0"):
        raise HandshakeError("a WebSocket handshake has no body", status=400)
    if str(environ.get("HTTP_SEC_WEBSOCKET_VERSION", "")).strip(" \t") != VERSION:
        raise HandshakeError(
            f"only version {VERSION} of WebSocket is spoken here",
            status=426,
            headers=[
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", VERSION),
            ],
        )


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key.encode("ascii"), validate=True)) == 16
    except (binascii.Error, UnicodeEncodeError):
        return False


class ClientHandshake:
    """The client's side: the headers of the request, then a verdict on the answer.

    Attributes:
        deflate: the negotiated compression after `check`; None without one.
        subprotocol: the one that the server chose, after `check`.
    """

    __slots__ = ("_offer", "_options", "deflate", "key", "subprotocol", "subprotocols")

    def __init__(
        self,
        *,
        compression: bool | DeflateOptions = False,
        offer: str | None = None,
        subprotocols: Sequence[str] = (),
        key: str | None = None,
    ) -> None:
        """Choose a key.

        Args:
            compression: whether to offer permessage-deflate, and how to compress.
            offer: the offer, when it is not to be the plain one; `deflate.offer` spells it.
            key: Sec-WebSocket-Key; random by default.
        """
        self.key = key if key is not None else base64.b64encode(os.urandom(16)).decode("ascii")
        self.subprotocols = tuple(subprotocols)
        self.subprotocol: str | None = None
        self.deflate: PerMessageDeflate | None = None
        self._offer = (offer or deflate.offer()) if compression else ""
        self._options = compression if isinstance(compression, DeflateOptions) else None

    def request_headers(self) -> list[tuple[str, str]]:
        """What the request needs besides Host, and Origin where a browser would send it."""
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self.key),
            ("Sec-WebSocket-Version", VERSION),
        ]
        if self.subprotocols:
            headers.append(("Sec-WebSocket-Protocol", ", ".join(self.subprotocols)))
        if self._offer:
            headers.append(("Sec-WebSocket-Extensions", self._offer))
        return headers

    def check(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Check the server's answer (RFC 6455, 4.1) and take over what it chose.

        Raises:
            HandshakeError: with the answer's own status; there is no WebSocket.
        """
        found: dict[str, list[str]] = {}
        for name, value in headers:
            found.setdefault(name.lower(), []).append(value.strip(" \t"))
        joined = {name: ", ".join(values) for name, values in found.items()}

        def refuse(reason: str) -> HandshakeError:
            return HandshakeError(reason, status=status)

        if status != 101:
            raise refuse(f"the server answered {status}")
        if joined.get("upgrade", "").lower() != "websocket":
            raise refuse("the answer does not upgrade to websocket")
        if "upgrade" not in {token.lower() for token in parse_tokens(joined.get("connection", ""))}:
            raise refuse("Connection does not name Upgrade")
        if joined.get("sec-websocket-accept") != accept_key(self.key):
            raise refuse("Sec-WebSocket-Accept does not fit the key")
        subprotocol = joined.get("sec-websocket-protocol")
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise refuse(f"the server chose a subprotocol that was not offered: {subprotocol[:100]!r}")
        self.subprotocol = subprotocol
        try:
            self._take_extensions(joined.get("sec-websocket-extensions", ""))
        except ValueError as error:
            raise refuse(str(error)) from None

    def _take_extensions(self, value: str) -> None:
        extensions = parse_extensions(value)
        if not extensions:
            return
        if len(extensions) > 1 or extensions[0][0] != deflate.EXTENSION or not self._offer:
            raise ValueError(f"the server chose extensions that were not offered: {value[:100]!r}")
        offered = parse_extensions(self._offer)[0][1]
        self.deflate = deflate.accept(extensions[0][1], offered, self._options)
        if self.deflate is None:
            raise ValueError(f"the server chose parameters that were not offered: {value[:100]!r}")
