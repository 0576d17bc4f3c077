"""``primus-gevent spec``: what a server tells about itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any

from ..client import ClientOptions
from ..client.address import Address
from ..client.connect import ask_spec
from ..errors import ConnectError
from .arguments import add_connection, add_target, connection_options, understood
from .console import Console
from .text import as_json, duration

HELP = "how a server is spoken to"

DESCRIPTION = """\
Ask a Primus server for its specification: version, transformer, parser,
heartbeats. That is the document at /primus/spec, which clients begin with."""

EPILOG = """\
examples:
  primus-gevent spec localhost:8080
  primus-gevent spec https://example.org/realtime     with another pathname
  primus-gevent spec localhost:8080 --json | jq .parser

exit status: 0 when there is a Primus server, 1 when there is none, 2 after a
wrong argument"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("--json", action="store_true", help="the document as it is, on one line")
    add_connection(parser)


def run(given: argparse.Namespace, console: Console) -> int:
    """Ask and print. Blocks.

    Raises:
        ConnectError: there is no Primus server.
        OptionError: an argument cannot be used.
    """
    address = Address.parse(given.url)
    options = ClientOptions.parse(connection_options(given, address))
    began = monotonic()
    spec = ask_spec(address, options)
    took = monotonic() - began
    if given.json:
        console.result(as_json(spec))
        return 0
    console.result(f"Primus {spec.get('version', '')} at {address}{spec.get('pathname', options.pathname)}")
    for name, value in described(spec):
        console.result(f"  {name:<14} {value}")
    console.result(f"  {'answered in':<14} {duration(took)}")
    try:
        understood(spec, {})
    except ConnectError as error:
        console.note(f"warning: {error}", "warn")
    return 0


# Those that we know the meaning of, in the order in which they are told.
NAMES = {
    "transformer": "transformer",
    "transformers": "transformers",
    "parser": "parser",
    "timeout": "timeout",
    "pingInterval": "pings every",
}
DURATIONS = ("timeout", "pingInterval")
TOLD = ("version", "pathname")


def described(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values for people."""
    for name, label in NAMES.items():
        if name in spec:
            yield label, value_of(name, spec[name])
    for name, value in spec.items():
        if name not in NAMES and name not in TOLD:
            yield name, value_of(name, value)


def value_of(name: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if name in DURATIONS and isinstance(value, (int, float)):
        return duration(value / 1000)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else as_json(value)
