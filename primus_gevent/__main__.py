"""The program ``primus-gevent``, also ``python -m primus_gevent``: serves the chat demo."""

from __future__ import annotations

import argparse
import errno
import socket
import sys
from collections.abc import Sequence

import gevent

from . import MissingPackageError, OptionError, Primus, __version__, demo
from .parsers import PARSERS
from .transformers import TRANSFORMERS

__all__ = ["main"]

DESCRIPTION = """\
Real-time connections for Python web apps.

Without anything else this starts the demo: a small chat in your browser that shows what a connection is
doing, and how it comes back when it is cut. Open the address that is printed, in two windows or more."""

EPILOG = """\
examples:
  primus-gevent                         the demo at http://127.0.0.1:8080/
  primus-gevent demo --port 9000        at another port
  primus-gevent demo --host 0.0.0.0     for the other machines of your network, too

Ctrl-C stops it. Its source, to begin from: {source}"""

# A port of one's own choice is suggested when the wanted one is taken: the next free one of so many.
NEIGHBOURS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program. Blocks until it is told to stop.

    Args:
        arguments: of the command line; by default those of this process.

    Returns:
        The exit status: 0 after a signal to stop, 1 when it cannot listen.

    Raises:
        SystemExit: 2 after wrong arguments, 0 after ``--help`` and ``--version``.
    """
    parser = make_parser()
    given = parser.parse_args(arguments)
    try:
        primus = demo.create(
            host=given.host, port=given.port, transformer=given.transformer, parser=given.parser
        )
    except (OptionError, MissingPackageError) as error:
        parser.error(str(error))
    except OSError as error:
        print(f"{parser.prog}: {explain(error, given.host, given.port)}", file=sys.stderr)
        return 1
    hub = gevent.get_hub()
    # A second Ctrl-C does not wait for the goodbyes. It is no error that gevent has to print.
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)
    # Printed by the event loop, and so when the signals are handled: whoever reads it may stop us at once.
    announcement = gevent.spawn(print, f"Demo: {address(primus)}  (Ctrl-C stops it)", flush=True)
    try:
        primus.serve_forever()
    except KeyboardInterrupt:
        return 130
    finally:
        announcement.kill()
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="primus-gevent",
        description=DESCRIPTION,
        epilog=EPILOG.format(source=demo.__file__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["demo"], default="demo", help="may be left out")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, which only this machine can reach)",
    )
    parser.add_argument(
        "--port", type=port_number, default=8080, help="default: %(default)s; 0 takes any free one"
    )
    parser.add_argument(
        "--transformer",
        metavar="NAME",
        default="websockets",
        help=f"how browsers are reached: {', '.join(sorted(TRANSFORMERS))} (default: %(default)s)",
    )
    parser.add_argument(
        "--parser",
        metavar="NAME",
        default="json",
        help=f"how messages are encoded: {', '.join(sorted(PARSERS))} (default: %(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def port_number(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return port


def address(primus: Primus) -> str:
    """Where a browser on this machine finds it."""
    host, port = primus.address
    if host in ("", "0.0.0.0", "::"):  # all of them
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


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


if __name__ == "__main__":
    sys.exit(main())
