"""What `demo` and `serve` have in common: where to listen, why that is not possible, and its address."""

from __future__ import annotations

import argparse
import errno
import socket
from collections.abc import Mapping
from typing import Any

from .. import Primus
from ..parsers import PARSERS
from ..transformers import TRANSFORMERS
from .arguments import port_number

__all__ = ["add_place", "add_protocol", "address", "explain"]

# A port of one's own choice is suggested when the wanted one is taken: the next free one of so many.
NEIGHBOURS = 20


def add_place(parser: argparse.ArgumentParser) -> None:
    """The options ``--host`` and ``--port``."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, which only this machine can reach; "
        "0.0.0.0 is for all)",
    )
    parser.add_argument(
        "--port", type=port_number, default=8080, help="default: %(default)s; 0 takes any free one"
    )


def add_protocol(adder: Any, defaults: Mapping[str, str]) -> None:
    """The options ``--transformer`` and ``--parser``, for a parser or a group of it."""
    for name, what, known in (
        ("transformer", "how browsers are reached", TRANSFORMERS),
        ("parser", "how messages are encoded", PARSERS),
    ):
        default = f" (default: {defaults[name]})" if name in defaults else ""
        adder.add_argument(
            f"--{name}",
            metavar="NAME",
            default=defaults.get(name),
            help=f"{what}: {', '.join(sorted(known))}{default}",
        )


def address(primus: Primus) -> str:
    """Where a browser on this machine finds it."""
    host, port = primus.address
    return url("http", host, port)


def url(scheme: str, host: str, port: int) -> str:
    """Of a server on this machine that listens on ``host``."""
    if host in ("", "0.0.0.0", "::"):  # all of them
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"


def explain(error: OSError, host: str, port: int) -> str:
    """Say why we cannot listen, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        other = free_port(host, port)
        advice = f"--port {other}" if other else "another --port"
        return f"port {port} is taken by another program; try {advice}"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this program has; choose one above 1023 with --port"
    # gevent appends the address, which we have said already
    reason = (error.strerror or str(error)).partition(": (")[0]
    return f"cannot listen on {host}, port {port}: {reason}"


def free_port(host: str, taken: int) -> int | None:
    """A free port near the one that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(taken + 1, min(taken + 1 + NEIGHBOURS, 65536)):
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    return None
