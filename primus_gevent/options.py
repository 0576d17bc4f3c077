"""Every option of a Primus server: its default, its unit and its check.

Durations are in seconds, sizes in bytes. An unknown name is refused with the nearest known one, because
an option that is silently ignored is a bug that nobody finds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from . import checks, settings
from .errors import OptionError

__all__ = ["DEFAULT_MAX_LENGTH", "Options"]

DEFAULT_MAX_LENGTH = 1 << 20
DEFAULT_TIMEOUT = 35.0

#: JavaScript spellings of the specification, so that the error can name ours.
_RENAMED = {
    "global": "global_name",
    "idGenerator": "id_generator",
    "maxAge": "max_age",
    "maxLength": "max_length",
    "pingInterval": "ping_interval",
}


@dataclass(frozen=True)
class Options:
    """The options of one Primus server, checked. Made by `Options.parse`."""

    pathname: str = "/primus"
    """The URL namespace that Primus owns."""
    parser: Any = "json"
    """Name of a parser, or an object or mapping with ``encoder(data)`` and ``decoder(raw)``."""
    transformer: str | tuple[str, ...] = "websockets"
    """Name of the real-time framework; or a list, for several on the same pathname."""
    timeout: float | Literal[False] = DEFAULT_TIMEOUT
    """Seconds without incoming data after which a spark is ended; ``False`` turns this off."""
    ping_interval: float | Literal[False] | None = None
    """Seconds between pings to clients that send none (Primus 7 and later); ``False`` turns them off.

    ``None`` means six sevenths of ``timeout``: 30 s for the default of 35 s."""
    origins: str | Sequence[str] | Callable[[str], bool] = "*"
    """Origins that may connect: ``'*'``, ``'self'`` (same host), a list or comma separated string,
    or a function of the origin."""
    methods: Sequence[str] = checks.DEFAULT_METHODS
    """HTTP methods that pages of other origins may use (CORS)."""
    credentials: bool = True
    """Whether pages of other origins may send cookies and authorization (CORS)."""
    max_age: float | str | Literal[False] = checks.DEFAULT_MAX_AGE
    """Seconds that a browser may remember the answer to a CORS preflight; also a text such as ``30 days``."""
    headers: str | Sequence[str] | Literal[False] = False
    """Headers that pages of other origins may send (CORS); ``False`` allows those that they ask for."""
    exposed: str | Sequence[str] | Literal[False] = False
    """Headers of answers that pages of other origins may read (CORS)."""
    authorization: Callable[..., Any] | None = None
    """Hook that decides about each request; see `Primus.authorize`."""
    plugin: Mapping[str, Any] | Sequence[str] = field(default_factory=dict)
    """Plugins: a mapping of names, or names to import as a list or a comma or space separated string."""
    global_name: str = "Primus"
    """Name of the client's class, and of the global it defines (``global`` in the specification)."""
    max_length: int = DEFAULT_MAX_LENGTH
    """Largest incoming message in bytes, also after decompression."""
    compression: bool | Mapping[str, Any] = False
    """Offer permessage-deflate (RFC 7692); a mapping sets its parameters."""
    id_generator: Callable[[], str] | None = None
    """Makes the ids of sparks; the default has 128 random bits."""
    trusted_proxies: Sequence[str] | None = None
    """Networks whose ``X-Forwarded-*`` headers are believed; ``None`` believes everybody, as the
    specification does."""
    transport: Mapping[str, Any] = field(default_factory=dict)
    """Options of the transformer's own; of several, a mapping from their names to these."""
    max_connections: int | None = None
    """Sparks at a time; a further handshake is answered 503. ``None`` means nine tenths of the
    descriptors that the process may open."""
    max_fragments: int = 1024
    """Fragments of one incoming WebSocket message."""
    inbox_messages: int = 1024
    """Unread messages per spark at which its socket is no longer read."""
    inbox_bytes: int = 1 << 20
    """The same in bytes."""
    write_buffer: int = 1 << 20
    """Unsent bytes per spark at which `Spark.write` parks its caller."""
    slow_consumer: Literal["close", "drop"] = "close"
    """What `Primus.write` does with a spark that is over its write buffer."""
    handshake_timeout: float = 10.0
    """Seconds that the opening handshake, a middleware layer with ``next`` and the authorization may take."""
    transform_timeout: float = 30.0
    """Seconds that a message transform with ``next`` may keep a message before it is dropped."""
    write_timeout: float = 10.0
    """Seconds that a peer may take nothing of what waits for it before it is cut off."""
    close_timeout: float = 5.0
    """Seconds that the closing handshake may take."""
    session_timeout: float | None = None
    """Seconds that a client of a polling transport may be without a request that waits. ``None`` means its
    framework's own time."""
    iknowclusterwillbreakconnections: bool = False
    """Do not warn when several processes serve, as several workers of gunicorn do."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Options of plugins: what stands beside the others and is none of them."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Options:
        """Check ``values`` and fill in the defaults.

        With plugins, a name that is none of ours may be one of theirs: who loads them calls `check_extra`.

        Raises:
            OptionError: a name is unknown or a value cannot be used; the message says which and why.
        """
        known = _known()
        checked = {name: _CHECKS[name](name, value) for name, value in values.items() if name in known}
        extra = {name: value for name, value in values.items() if name not in known}
        if not checked.get("plugin"):
            for name in extra:
                raise settings.unknown(name, known, _RENAMED)
        return cls(**checked, extra=extra)

    def check_extra(self, declared: Sequence[Sequence[str]]) -> None:
        """Check the names of `extra`, which are options of plugins.

        Args:
            declared: the names that each plugin says it has. One that says nothing may have any, except what
                looks like a misspelt option of ours.

        Raises:
            OptionError: one of them is unknown.
        """
        theirs = {name for names in declared for name in names}
        for name in self.extra:
            if name not in theirs and (all(declared) or _misspelt(name)):
                raise settings.unknown(name, [*_known(), *theirs], _RENAMED)

    def for_plugin(self, given: Mapping[str, Any]) -> Options:
        """A copy in which ``given`` comes first, also where a name is one of ours; it is not checked."""
        ours = {name: value for name, value in given.items() if name in _known()}
        return replace(self, **ours, extra={**self.extra, **given})

    def get(self, name: str, default: Any = None) -> Any:
        """An option by its name, also one of a plugin's; ``default`` where there is none."""
        return self[name] if name in self else default  # noqa: SIM401 - this is that `get`

    def __getitem__(self, name: str) -> Any:
        if name in self.extra:
            return self.extra[name]
        if name in self:
            return getattr(self, name)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self.extra or (name in self.__dataclass_fields__ and name != "extra")

    if not TYPE_CHECKING:  # it would hide every misspelt name from the type checker

        def __getattr__(self, name: str) -> Any:
            """An option of a plugin's: the server side of a plugin reads all of them from one object."""
            if name.startswith("__") or name not in self.extra:
                raise AttributeError(f"there is no option {name!r}")
            return self.extra[name]

    @property
    def effective_ping_interval(self) -> float | Literal[False]:
        """The ping interval in seconds, derived from ``timeout`` where it was not given."""
        if self.ping_interval is not None:
            return self.ping_interval
        # The original's two defaults, 35 and 30 s, fix the ratio: whoever shortens the timeout keeps
        # newer clients alive without knowing of this option.
        return (self.timeout or DEFAULT_TIMEOUT) * 6 / 7


def _misspelt(name: str) -> bool:
    return settings.misspelt(name, _known(), _RENAMED, settings.MISSPELT) is not None


def _known() -> list[str]:
    return [f.name for f in fields(Options) if f.name != "extra"]


def _global_name(name: str, value: Any) -> str:
    text = settings.text(name, value)
    if not text.replace("$", "_").isidentifier():  # but for that, the two languages agree
        raise OptionError(f"option {name!r} is a JavaScript identifier, not {value!r}", name)
    return text


def _origins(name: str, value: Any) -> Any:
    if callable(value):
        return value
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, Sequence) or not value or not all(isinstance(v, str) for v in value):
        raise OptionError(f"option {name!r} is '*', 'self', a list of origins or a function", name)
    # Browsers send an origin in lower case and without a path.
    return "*" if "*" in value else tuple(v.lower().rstrip("/") for v in value)


def _networks(name: str, value: Any) -> tuple[str, ...]:
    networks = settings.texts(name, value)
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise OptionError(f"option {name!r} is a list of addresses and networks: {error}", name) from None
    return networks


def _transformer(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return settings.text(name, value).lower()
    names = tuple(item.lower() for item in settings.texts(name, value))
    if not names or len(set(names)) < len(names):
        raise OptionError(f"option {name!r} is a name, or a list of different names, not {value!r}", name)
    return names if len(names) > 1 else names[0]


_CHECKS: dict[str, settings.Check] = {
    "pathname": settings.pathname,
    "parser": settings.parser,
    "transformer": _transformer,
    "timeout": settings.duration_or_off,
    "ping_interval": settings.optional(settings.duration_or_off),
    "origins": _origins,
    "global_name": _global_name,
    "methods": checks.methods,
    "credentials": checks.flag,
    "max_age": checks.max_age,
    "headers": checks.header_names,
    "exposed": checks.header_names,
    "authorization": settings.optional(settings.function),
    "plugin": settings.plugin,
    "iknowclusterwillbreakconnections": checks.flag,
    "max_length": settings.at_least(1),
    "compression": settings.compression,
    "id_generator": settings.optional(settings.function),
    "trusted_proxies": settings.optional(_networks),
    "transport": settings.mapping,
    "max_connections": settings.optional(settings.at_least(1)),
    "max_fragments": settings.at_least(1),
    "inbox_messages": settings.at_least(1),
    "inbox_bytes": settings.at_least(1),
    "write_buffer": settings.at_least(1),
    "slow_consumer": settings.one_of("close", "drop"),
    "handshake_timeout": settings.duration,
    "transform_timeout": settings.duration,
    "write_timeout": settings.duration,
    "close_timeout": settings.duration,
    "session_timeout": settings.optional(settings.duration),
}
