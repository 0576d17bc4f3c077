"""Compiles the browser client: joins the files of ``js/`` and puts the server's options into them.

The client is written in real JavaScript files; nothing here knows what is in them, except which files make
up the core, in which order. A transformer or parser is one file of its folder under ``js/``, found by name.
What several of them are built on is in files of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ..errors import OptionError, UnknownNameError

__all__ = ["LibrarySettings", "compact", "compile_library", "known"]

Format = Literal["script", "esm"]

FORMATS = ("script", "esm")

# In this order: classes are not hoisted as functions are.
CORE = ("emitter", "line", "timers", "address", "recovery", "heartbeat", "primus")

# What a transformer is built on, besides its own file.
TRANSFORMER_PARTS = {
    "browserchannel": ("bytes", "carried", "http", "session"),
    "engine.io": ("bytes", "http", "sockets", "upgrade", "engine"),
    "polling": ("bytes", "http", "engine"),
    "socket.io": ("bytes", "carried", "http", "sockets", "upgrade", "session", "transports"),
    "sockjs": ("bytes", "carried", "http", "sockets", "upgrade", "session", "transports"),
    "websockets": ("sockets",),
}

# What a parser is built on, besides its own file.
PARSER_PARTS = {
    "binary": ("members", "pack"),
    "ejson": ("members",),
    "jsonh": ("members",),
    "msgpack": ("members", "pack"),
}

# Those that differ from another one on the server only.
TRANSFORMER_ALIASES = {"faye": "websockets"}
PARSER_ALIASES = {"orjson": "json"}

# Text of transformers that are not ours, by their names; see `transformers.register`.
OUTSIDE: dict[str, str] = {}

# The client pings this much before the server's timer runs out; what a default client of 2.4 does.
PING_MARGIN = 10.0

# Without a ping interval of our server: for a client that reaches a Primus 7 or 8, whose default this is.
DEFAULT_PING_TIMEOUT = 45.0

BANNER = "// primus_gevent {version}: the client of a Primus server. https://github.com/primus/primus#readme"


@dataclass(frozen=True)
class LibrarySettings:
    """What the server decides for its clients.

    Attributes:
        version: version of the server, `Primus.prototype.version` in the client.
        pathname: path that the server owns, with its leading slash.
        global_name: name of the global in a plain script.
        transformer: name of a file in ``js/transformers`` or an alias of one, in lower case.
        parser: name of a file in ``js/parsers`` or an alias of one, in lower case; not looked at with a
            ``parser_source``.
        parser_source: JavaScript expression ``{encoder, decoder}`` of a parser that is not ours.
        timeout: seconds after which the server ends a silent spark; ``None`` or ``False``: never, and the
            client does not ping.
        ping_interval: seconds between the pings of the server, ``None`` or ``False`` when it sends none.
        credentials: whether pages of other origins send cookies; else their requests would be refused.
        authorization: whether the server refuses some; its clients then do not retry a first connection
            that fails, because they cannot tell a refusal from a dead server.
        plugins: (name, JavaScript function expression) of the client side of each plugin.
        libraries: JavaScript that plugins need, put before them in the same scope.
    """

    version: str
    pathname: str = "/primus"
    global_name: str = "Primus"
    transformer: str = "websockets"
    parser: str = "json"
    parser_source: str | None = None
    timeout: float | None = 35.0
    ping_interval: float | None = 30.0
    authorization: bool = False
    credentials: bool = True
    plugins: Sequence[tuple[str, str]] = ()
    libraries: Sequence[str] = ()


def compile_library(settings: LibrarySettings, *, format: Format = "script") -> str:  # noqa: A002 - its public name
    """The client as the text of one JavaScript file, for a ``script`` tag, AMD and CommonJS, or as ES module.

    Raises:
        UnknownNameError: there is no client for that transformer or parser; ``known`` lists those there are.
        OptionError: the format is neither ``script`` nor ``esm``.
    """
    if format not in FORMATS:
        raise OptionError(f"unknown library format {format!r}; known are: {', '.join(FORMATS)}", "format")
    sources = [
        transformer_source(settings.transformer),
        parser_source(settings),
        *(source(f"{name}.js") for name in CORE),
        *settings.libraries,
        *(f"Primus.prototype.ark[{embed(name)}] = (\n{client}\n);" for name, client in settings.plugins),
    ]
    parts = {
        "name": embed(settings.global_name),
        "settings": embed(client_settings(settings)),
        "sources;": "\n\n".join(part.strip("\n") for part in sources),
    }
    wrapper = source(f"wrapper.{format}.js")
    # One pass, so that nothing inside the parts is taken for a placeholder.
    body = re.sub(r"'@(name|settings|sources)'(;?)", lambda match: _part(parts, match), wrapper)
    return f"{BANNER.format(version=settings.version)}\n{body.strip()}\n"


def _part(parts: dict[str, str], match: re.Match[str]) -> str:
    name, semicolon = match.groups()
    return parts[name + semicolon] if name == "sources" else parts[name] + semicolon


def client_settings(settings: LibrarySettings) -> dict[str, Any]:
    """What the client gets to know, with its durations in milliseconds."""
    interval = settings.ping_interval
    # A client of Primus 8 waits for one and a half intervals; the same here.
    ping_timeout = interval * 1.5 if interval else DEFAULT_PING_TIMEOUT
    told = {
        "version": settings.version,
        "pathname": settings.pathname,
        "authorization": settings.authorization,
        "ping": ping_interval(settings.timeout),
        "pingTimeout": round(ping_timeout * 1000),
    }
    if not settings.credentials:
        told["credentials"] = False
    return told


def ping_interval(timeout: float | None) -> int | Literal[False]:
    """Milliseconds between the pings of the client, for a server that waits ``timeout`` seconds."""
    if not timeout:
        return False
    seconds = timeout - PING_MARGIN if timeout > PING_MARGIN else timeout / 2
    return max(1, round(seconds * 1000))


def transformer_source(name: str) -> str:
    """Text that defines ``transformer``, and what that needs."""
    name = TRANSFORMER_ALIASES.get(name, name)
    own = named_source("transformer", name)
    return "".join(source(f"{part}.js") for part in TRANSFORMER_PARTS.get(name, ())) + own


def parser_source(settings: LibrarySettings) -> str:
    """Text that defines ``parser``, and what that needs."""
    if settings.parser_source is not None:
        return f"const parser = (\n{settings.parser_source}\n);\n"
    name = PARSER_ALIASES.get(settings.parser, settings.parser)
    own = named_source("parser", name)
    return "".join(source(f"{part}.js") for part in PARSER_PARTS.get(name, ())) + own


def known(kind: Literal["transformer", "parser"]) -> list[str]:
    """The names of the transformers or parsers that the client is written for."""
    folder = files(__name__) / "js" / f"{kind}s"
    names = {entry.name[: -len(".js")] for entry in folder.iterdir() if entry.name.endswith(".js")}
    if kind == "parser":
        return sorted(names.union(PARSER_ALIASES))
    return sorted(names.union(TRANSFORMER_ALIASES, OUTSIDE))


def named_source(kind: Literal["transformer", "parser"], name: str) -> str:
    if name not in known(kind):
        raise UnknownNameError(kind, name, known(kind))
    if kind == "transformer" and name in OUTSIDE:
        return OUTSIDE[name]
    return source(f"{kind}s/{name}.js")


@cache
def source(path: str) -> str:
    """A file of ``js/`` as it is compiled."""
    return compact((files(__name__) / "js" / path).read_text("utf-8"))


def compact(text: str) -> str:
    """Drop the lines that are nothing but a comment, the blank ones, and half of the indentation.

    Not a parser of JavaScript: it knows lines that begin with ``//``, and blocks whose opening begins a line
    and whose end is at the end of one. Comments behind code stay. Only for our own files, which hold
    no text of several lines that could look like a comment, or whose indentation would matter.
    """
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        content = line.strip()
        if inside or content.startswith("/*"):
            inside = not content.endswith("*/")
        elif content and not content.startswith("//"):
            indentation = len(line) - len(line.lstrip())
            kept.append(" " * (indentation // 2) + content)
    return "\n".join(kept) + "\n"


def embed(value: Any) -> str:
    """``value`` as a JavaScript literal that can also stand inside a script element of a page."""
    text = json.dumps(value)  # ASCII only: U+2028 and U+2029 are escaped with the rest
    return text.replace("<", "\\u003c")
