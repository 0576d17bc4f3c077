"""Types of arguments, and the options of every command that connects to a server."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..client import ClientOptions, Socket
from ..client.address import Address
from ..client.connect import ask_spec, options_for
from ..client.transports import TRANSPORTS
from ..errors import ConnectError, OptionError, UnknownNameError
from ..parsers import PARSERS

__all__ = [
    "Target",
    "add_connection",
    "add_target",
    "count",
    "find_target",
    "port_number",
    "seconds",
]

# The back-off of a client doubles; nobody waits for minutes at a terminal.
MAX_DELAY = 30.0


def port_number(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return port


def count(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def check(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"it is a whole number from {least} to {most}, not {text!r}")
        return number

    return check


def seconds(least: float = 0.0, most: float = math.inf) -> Callable[[str], float]:
    """A time; ``inf`` where there is no upper bound."""

    def check(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            bounds = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"it is a number of seconds {bounds}, not {text!r}")
        return number

    return check


def pair(separator: str, example: str) -> Callable[[str], tuple[str, str]]:
    """A name and a value."""

    def check(text: str) -> tuple[str, str]:
        name, found, value = text.partition(separator)
        if not found or not name.strip():
            raise argparse.ArgumentTypeError(f"it is written {example!r}, not {text!r}")
        return name.strip(), value.strip()

    return check


def add_target(parser: argparse.ArgumentParser) -> None:
    """The argument URL."""
    parser.add_argument(
        "url",
        metavar="URL",
        help="of the server: http, https, ws or wss; http:// may be left out. A path in it is the pathname, "
        "a query string is sent along",
    )


def add_connection(parser: argparse.ArgumentParser) -> None:
    """How a server is reached: options that all commands with a URL have."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--pathname", "--path", metavar="PATH", help="where the server's Primus is (default: /primus)"
    )
    group.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        type=pair(":", "Name: value"),
        metavar="'NAME: VALUE'",
        help="sent with every request; may be repeated",
    )
    group.add_argument(
        "--cookie",
        action="append",
        default=[],
        type=pair("=", "name=value"),
        metavar="NAME=VALUE",
        help="the same as a cookie",
    )
    group.add_argument("--ca", metavar="FILE", help="PEM file with the authorities to trust")
    group.add_argument("--cert", metavar="FILE", help="PEM file with a certificate of your own")
    group.add_argument("--key", metavar="FILE", help="PEM file with its key, if that is another file")
    group.add_argument(
        "--no-verify",
        action="store_true",
        help="trust any certificate: the server may be anybody, so for tests only",
    )
    group.add_argument(
        "--proxy",
        metavar="URL",
        help="HTTP proxy; `none` for none (default: from http_proxy, https_proxy and no_proxy)",
    )
    group.add_argument(
        "--timeout",
        type=seconds(0.001, 3600),
        default=10.0,
        metavar="SECONDS",
        help="for the server to answer at first (default: %(default)g)",
    )


def add_protocol(parser: argparse.ArgumentParser) -> None:
    """How a server is spoken to, where that is not to be asked for."""
    group = parser.add_argument_group(
        "protocol", "The server is asked for it, unless both of the first are given."
    )
    group.add_argument("--transformer", metavar="NAME", help="the server's, such as websockets or engine.io")
    group.add_argument("--parser", metavar="NAME", help=f"the server's: {', '.join(sorted(PARSERS))}")
    group.add_argument(
        "--transport",
        action="append",
        metavar="NAME",
        help="use only this one of the transformer's: websocket, polling or streaming; may be repeated",
    )
    group.add_argument("--compression", action="store_true", help="offer to compress messages on a WebSocket")


class Target:
    """A server and the options to connect to it.

    Attributes:
        url: of it, as it was given.
        options: of `Socket`.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url
        self.options = dict(options)
        self._checked = ClientOptions.parse(options)

    def __str__(self) -> str:
        """Where and how, for people."""
        options = self._checked
        where = f"{Address.parse(self.url)}{options.pathname}"
        return f"{where} ({options.transformer}, {options.parser})"

    def socket(self, **more: Any) -> Socket:
        """A client, which begins to connect.

        Raises:
            OptionError: an option cannot be used.
            OSError: a file of the TLS options cannot be read.
        """
        return Socket(self.url, **{**self.options, **more})


def find_target(given: argparse.Namespace) -> Target:
    """Find out how the server is spoken to: ask it, as far as the arguments do not tell. Blocks.

    Raises:
        OptionError: an argument cannot be used.
        ConnectError: it does not answer, not as a Primus server, or speaks what we do not.
        OSError: a file cannot be read.
    """
    address = Address.parse(given.url)
    options = connection_options(given, address)
    for name in ("transformer", "parser"):
        if getattr(given, name):
            options[name] = getattr(given, name).lower()
    if given.compression:
        options["compression"] = True
    for name, known in (("transformer", TRANSPORTS), ("parser", PARSERS)):
        if name in options and options[name] not in known:
            raise UnknownNameError(name, options[name], known)
    if not {"transformer", "parser"} <= options.keys():
        spec = ask_spec(address, ClientOptions.parse(options))
        options = {**understood(spec, options), **options}
    if given.transport:
        options["transport"] = transport_options(options["transformer"], given.transport)
    return Target(given.url, options)


def connection_options(given: argparse.Namespace, address: Address) -> dict[str, Any]:
    """The options of a client that `add_connection` has asked for.

    Raises:
        OSError: a file cannot be read.
    """
    options: dict[str, Any] = {
        "headers": dict(given.header),
        "cookies": dict(given.cookie),
        "verify": not given.no_verify,
        "timeout": given.timeout,
    }
    for name in ("ca", "cert", "key"):
        if getattr(given, name):
            options[name] = getattr(given, name)
            Path(options[name]).open("rb").close()  # OpenSSL would not say which one it cannot read
    if given.proxy:
        options["proxy"] = False if given.proxy.lower() == "none" else given.proxy
    pathname = given.pathname or address.path.strip("/")
    if pathname:
        options["pathname"] = pathname
    return options


def understood(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a specification asks a client for.

    Raises:
        ConnectError: we cannot do that.
    """
    try:
        return options_for(spec, given)
    except UnknownNameError as error:
        raise ConnectError(
            f"the {error.option} of this server is {error.name}, which this program does not speak; it "
            f"speaks {', '.join(error.known)}"
        ) from None
    except OptionError:
        raise ConnectError(
            "the server has a parser of its own; if it encodes as one of those that there are here, name "
            f"that with --parser: {', '.join(sorted(PARSERS))}"
        ) from None


# The words of --transport, as each transformer has them.
WEBSOCKET, POLLING, STREAMING = "websocket", "polling", "streaming"
HTTP = {"polling": "xhr-polling", "streaming": "xhr-streaming"}


def transport_options(transformer: str, wanted: Sequence[str]) -> dict[str, Any]:
    """The option `transport` of a client that is to use only some of what its transformer can do.

    Raises:
        OptionError: it can do none of that.
    """
    names = [name for word in wanted for name in word.lower().replace(",", " ").split()]
    plain = [name.removeprefix("xhr-") for name in names]
    possible = POSSIBLE.get(transformer, ())
    for name, word in zip(plain, names, strict=True):
        if name not in possible:
            known = f"has {', '.join(possible)}" if possible else "has nothing to choose"
            raise OptionError(f"--transport {word}: the transformer {transformer} {known}", "transport")
    if transformer == "engine.io":
        return {"transports": plain, "upgrade": len(set(plain)) > 1}
    if transformer in ("sockjs", "socket.io"):
        return {"transports": [HTTP.get(name, name) for name in plain]}
    if transformer == "browserchannel":
        return {"streaming": STREAMING in plain}
    return {}


POSSIBLE: Mapping[str, Sequence[str]] = {
    "websockets": (WEBSOCKET,),
    "faye": (WEBSOCKET,),
    "uws": (WEBSOCKET,),
    "polling": (POLLING,),
    "engine.io": (POLLING, WEBSOCKET),
    "sockjs": (WEBSOCKET, STREAMING, POLLING),
    "socket.io": (WEBSOCKET, POLLING),
    "browserchannel": (STREAMING, POLLING),
}
