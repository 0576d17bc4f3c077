"""Making a client for a server of which nothing but the address is known: it tells the rest at `/spec`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .. import parsers
from ..errors import ConnectError, OptionError, RemoteProtocolError, UnexpectedResponse, UnknownNameError
from . import transports
from .address import Address, UrlParts
from .http import HTTPClient
from .network import Network
from .options import ClientOptions
from .socket import Socket

__all__ = ["ask_spec", "connect", "heartbeats", "options_for"]

MAX_SPEC_BYTES = 65536
MARGIN = 10.0  # seconds that we ping before the server's timer runs out: what a default client of 2.4 does


def connect(url: str, **options: Any) -> Socket:
    """Ask a Primus server, ours or an original, how it is spoken to, and make a client for it.

    Blocks until the server has told. The client then connects as any other: see `Socket`.

    Args:
        url: of the server; a path in it is its `pathname`.
        **options: of `ClientOptions`. What is given is not asked for.

    Raises:
        OptionError: an option cannot be used; or the server has a parser of its own, which has to be given.
        UnknownNameError: there is no such transformer or parser here; ``known`` lists those that there are.
        ConnectError: the server does not answer, or not as a Primus server.
    """
    address = Address.parse(url)
    pathname = address.path.strip("/")
    if pathname and "pathname" not in options:
        options["pathname"] = pathname
    return Socket(url, **{**options_for(ask_spec(address, ClientOptions.parse(options)), options), **options})


def ask_spec(address: Address, options: ClientOptions) -> dict[str, Any]:
    """The document at `/spec`. Blocks.

    Raises:
        ConnectError: there is none.
    """
    scheme = "https" if address.secure else "http"
    url = UrlParts(
        scheme,
        address.host,
        address.port,
        f"{options.pathname}/spec",
        address.query,
        address.username,
        address.password,
        exact=True,  # the original knows it without a slash at its end only
    )
    client = HTTPClient(Network(address, options))
    try:
        response = client.request("GET", url, timeout=options.timeout or None, follow=True)
        if response.status != 200:
            raise response.error()
        body = response.read(MAX_SPEC_BYTES)
    except UnexpectedResponse as error:
        if error.status == 404:
            hint = "; the option `pathname` is that of the server"
            raise ConnectError(f"there is no Primus server at {url}: {error}{hint}", str(url)) from error
        raise
    except RemoteProtocolError as error:
        raise ConnectError(f"there is no Primus server at {url}: {error}", str(url)) from error
    finally:
        client.close()
    try:
        spec = json.loads(body)
        if isinstance(spec["transformer"], str) and isinstance(spec["parser"], str):
            return dict(spec)
    except (ValueError, LookupError, TypeError):
        pass
    raise ConnectError(f"there is no Primus server at {url}: it answered {body[:60]!r}", str(url))


def options_for(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a client that fit a server's specification.

    Args:
        given: options that are not to be found out.

    Raises:
        OptionError: the server has a parser of its own.
        UnknownNameError: we know none of its transformers, or not its parser.
    """
    options: dict[str, Any] = {"pathname": spec.get("pathname", "/primus")}
    if "transformer" not in given:
        names = [str(name).lower() for name in spec.get("transformers") or [spec["transformer"]]]
        found = next((name for name in names if name in transports.TRANSPORTS), None)
        if found is None:
            raise UnknownNameError("transformer", " or ".join(names), transports.TRANSPORTS)
        options["transformer"] = found
    if "parser" not in given:
        name = spec["parser"].lower()
        if name == "custom":
            raise OptionError("the server has a parser of its own: give it as the option 'parser'", "parser")
        if name not in parsers.PARSERS:
            raise UnknownNameError("parser", name, parsers.PARSERS)
        options["parser"] = name
    if not {"ping", "ping_timeout"} & given.keys():
        options.update(heartbeats(spec))
    return options


def heartbeats(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The options `ping` and `ping_timeout` for a server.

    Args:
        spec: ``timeout`` is of a server that waits for pings, ``pingInterval`` of one that sends them. Ours
            has both, and waits for whichever comes first.
    """
    timeout, interval = (_seconds(spec.get(name)) for name in ("timeout", "pingInterval"))
    options: dict[str, Any] = {}
    if interval:
        options["ping_timeout"] = interval * 1.5
    if timeout:
        options["ping"] = timeout - MARGIN if timeout > MARGIN else timeout / 2
    elif "timeout" in spec or "pingInterval" in spec:
        options["ping"] = False
        options.setdefault("ping_timeout", False)
    return options


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return None
    return value / 1000
