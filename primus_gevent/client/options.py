"""Every option of a client: its default, its unit and its check. Durations are in seconds, sizes in bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from .. import checks, settings
from ..errors import OptionError
from ..options import DEFAULT_MAX_LENGTH
from ..protocols.deflate import DeflateOptions

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["STRATEGIES", "ClientOptions", "ReconnectOptions"]

STRATEGIES = ("disconnect", "online", "timeout")

#: Spellings of the specification and of other libraries, so that the error can name ours.
_RENAMED = {
    "pingTimeout": "ping_timeout",
    "queueSize": "queue_size",
    "maxLength": "max_length",
    "cafile": "ca",
    "certfile": "cert",
    "keyfile": "key",
    "extra_headers": "headers",
    "additional_headers": "headers",
}
_RECONNECT_RENAMED = {
    "minDelay": "min_delay",
    "maxDelay": "max_delay",
    "min": "min_delay",
    "max": "max_delay",
    "reconnect timeout": "reconnect_timeout",
}


@dataclass(frozen=True)
class ReconnectOptions:
    """The option `reconnect`: a randomised exponential back-off (specification, "Reconnect")."""

    min_delay: float = 0.5
    """Seconds before the first attempt."""
    max_delay: float = math.inf
    """Seconds that no delay exceeds."""
    retries: float = 10
    """Attempts; ``math.inf`` never gives up."""
    factor: float = 2.0
    """Growth of the delay."""
    reconnect_timeout: float | Literal[False] = 30.0
    """Seconds for each attempt."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check the mapping.

        Raises:
            OptionError: a name is unknown, or a value cannot be used.
        """
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise settings.unknown(name, known, _RECONNECT_RENAMED)
        return cls(**{name: _RECONNECT_CHECKS[name](name, value) for name, value in values.items()})


@dataclass(frozen=True)
class ClientOptions:
    """The options of one client, checked. Made by `ClientOptions.parse`."""

    pathname: str = "/primus"
    """The server's option of that name."""
    transformer: str = "websockets"
    """The server's, or one of its."""
    parser: Any = "json"
    """The server's: a name, or an object or mapping with ``encoder(data)`` and ``decoder(raw)``."""
    plugin: Mapping[str, Any] | Sequence[str] = field(default_factory=dict)
    """Plugins whose ``python_client`` is to be called: a mapping of names, or names to import."""
    reconnect: ReconnectOptions = field(default_factory=ReconnectOptions)
    """The back-off: a mapping with `min_delay`, `max_delay`, `retries`, `factor`, `reconnect_timeout`."""
    timeout: float | Literal[False] = 10.0
    """Seconds for the first connection."""
    ping: float | Literal[False] = 25.0
    """Seconds between our pings; ``False`` sends none."""
    pong: float | Literal[False] = 10.0
    """Seconds that the server has to answer a ping."""
    ping_timeout: float | Literal[False] = 45.0
    """Seconds between two pings of a server that pings by itself, as Primus 7 and later do. Given without
    ``ping``, it also turns our pings off."""
    strategy: tuple[str, ...] = STRATEGIES
    """When to reconnect: a list or text of ``disconnect``, ``online``, ``timeout``; ``False`` for never."""
    manual: bool = False
    """Do not connect before `Socket.open`."""
    queue_size: float = math.inf
    """Messages that wait for the connection; the oldest are dropped first."""
    websockets: bool = True
    """``False``: stay with HTTP, where the transformer has it."""
    transport: Mapping[str, Any] = field(default_factory=dict)
    """Options of the transformer's own."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request."""
    cookies: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request to this server, as are those that its answers set."""
    ca: str | None = None
    """PEM file with the authorities to trust, instead of the system's."""
    cert: str | None = None
    """PEM file with our own certificate."""
    key: str | None = None
    """PEM file with its key, if that is another file."""
    passphrase: str | None = None
    """Of the key."""
    verify: bool = True
    """Whether the server has to prove that it is who the URL says."""
    proxy: str | Literal[False] | None = None
    """URL of an HTTP proxy; ``None`` asks the environment (`http_proxy`, `https_proxy`, `no_proxy`), and
    ``False`` uses none."""
    compression: bool | DeflateOptions = False
    """Offer permessage-deflate (RFC 7692); a mapping sets its parameters."""
    max_length: int = DEFAULT_MAX_LENGTH
    """Largest incoming message in bytes, also after decompression."""
    max_fragments: int = 1024
    """Fragments of one incoming WebSocket message."""
    inbox_messages: int = 1024
    """Unread messages at which the connection is no longer read."""
    inbox_bytes: int = 1 << 20
    """The same in bytes."""
    write_buffer: int = 1 << 20
    """Unsent bytes at which `Socket.write` parks its caller."""
    write_timeout: float = 10.0
    """Seconds that the server may take nothing of what waits for it before the connection is cut."""
    close_timeout: float = 5.0
    """Seconds that the closing handshake may take."""
    transform_timeout: float = 30.0
    """Seconds that a message transform with ``next`` may keep a message before it is dropped."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Options of plugins: what stands beside the others and is none of them."""
    expect_pings: bool = field(default=False, repr=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check ``values`` and fill in the defaults.

        Raises:
            OptionError: a name is unknown or a value cannot be used; the message says which and why.
        """
        known = list(_CHECKS)
        checked = {name: _CHECKS[name](name, value) for name, value in values.items() if name in known}
        extra = {name: value for name, value in values.items() if name not in known}
        for name in extra:
            # With plugins, it may be an option of one of them.
            if not checked.get("plugin") or settings.misspelt(name, known, _RENAMED, settings.MISSPELT):
                raise settings.unknown(name, known, _RENAMED)
        if (checked.get("key") or checked.get("passphrase")) and not checked.get("cert"):
            raise OptionError("key and passphrase need cert", "cert")
        # Only servers of Primus 7 and later make anybody set it: they ping, and take our pings for data.
        if checked.get("ping_timeout") and "ping" not in checked:
            checked["ping"] = False
        expect = bool(checked.get("ping_timeout")) and not checked["ping"]
        return cls(**checked, extra=extra, expect_pings=expect)

    def get(self, name: str, default: Any = None) -> Any:
        """An option by its name, also one of a plugin's; ``default`` where there is none."""
        return self.extra.get(name, getattr(self, name, default))


def _reconnect(name: str, value: Any) -> ReconnectOptions:
    if isinstance(value, ReconnectOptions):
        return value
    if not isinstance(value, Mapping):
        raise OptionError(
            f"option {name!r} is a mapping, not {value!r}; strategy=False never reconnects", name
        )
    return ReconnectOptions.parse(value)


def _number(minimum: float) -> settings.Check:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= minimum:
            raise OptionError(f"option {name!r} is a number of at least {minimum:g}, not {value!r}", name)
        return value

    return check


def _count(name: str, value: Any) -> float:
    if value == math.inf:
        return math.inf
    return settings.at_least(0)(name, value)  # type: ignore[no-any-return]


def _strategy(name: str, value: Any) -> tuple[str, ...]:
    if value is True or value is None:
        return STRATEGIES
    if value is False:
        return ()
    words = [value] if isinstance(value, str) else settings.texts(name, value)
    names = [word for words in words for word in words.lower().replace(",", " ").split()]
    for word in names:
        if word not in STRATEGIES:
            raise OptionError(
                f"option {name!r} is a list or a text of {', '.join(STRATEGIES)}, or False; {word!r} is none",
                name,
            )
    return tuple(dict.fromkeys(names))


def _headers(name: str, value: Any) -> dict[str, str]:
    headers: Mapping[Any, Any] = settings.mapping(name, value)
    for header, content in headers.items():
        if not isinstance(header, str) or not checks.is_token(header):
            raise OptionError(f"option {name!r}: {header!r} is no name of a header", name)
        if not isinstance(content, str) or not _is_latin(content):
            raise OptionError(f"option {name!r}: {header} is a text without line ends, not {content!r}", name)
    return dict(headers)


def _cookies(name: str, value: Any) -> dict[str, str]:
    cookies: Mapping[Any, Any] = settings.mapping(name, value)
    for cookie, content in cookies.items():
        if not isinstance(cookie, str) or not checks.is_token(cookie):
            raise OptionError(f"option {name!r}: {cookie!r} is no name of a cookie", name)
        if not isinstance(content, str) or not _is_latin(content) or ";" in content:
            raise OptionError(f"option {name!r}: {cookie} is a text without ';', not {content!r}", name)
    return dict(cookies)


def _is_latin(text: str) -> bool:
    return all(char == "\t" or (" " <= char <= "\xff" and char != "\x7f") for char in text)


def _proxy(name: str, value: Any) -> Any:
    if value is None or value is False:
        return value
    return settings.text(name, value)


def _compression(name: str, value: Any) -> bool | DeflateOptions:
    if isinstance(value, DeflateOptions):
        return value
    return DeflateOptions.parse(settings.compression(name, value))


def _transformer(name: str, value: Any) -> str:
    return settings.text(name, value).lower()


_RECONNECT_CHECKS: dict[str, settings.Check] = {
    "min_delay": _number(0),
    "max_delay": _number(0),
    "retries": _count,
    "factor": _number(1),
    "reconnect_timeout": settings.duration_or_off,
}

_CHECKS: dict[str, settings.Check] = {
    "pathname": settings.pathname,
    "transformer": _transformer,
    "parser": settings.parser,
    "plugin": settings.plugin,
    "reconnect": _reconnect,
    "timeout": settings.duration_or_off,
    "ping": settings.duration_or_off,
    "pong": settings.duration_or_off,
    "ping_timeout": settings.duration_or_off,
    "strategy": _strategy,
    "manual": checks.flag,
    "queue_size": _count,
    "websockets": checks.flag,
    "transport": settings.mapping,
    "headers": _headers,
    "cookies": _cookies,
    "ca": settings.optional(settings.text),
    "cert": settings.optional(settings.text),
    "key": settings.optional(settings.text),
    "passphrase": settings.optional(settings.text),
    "verify": checks.flag,
    "proxy": _proxy,
    "compression": _compression,
    "max_length": settings.at_least(1),
    "max_fragments": settings.at_least(1),
    "inbox_messages": settings.at_least(1),
    "inbox_bytes": settings.at_least(1),
    "write_buffer": settings.at_least(1),
    "write_timeout": settings.duration,
    "close_timeout": settings.duration,
    "transform_timeout": settings.duration,
}
