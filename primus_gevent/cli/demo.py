"""``primus-gevent demo``: serves the chat."""

from __future__ import annotations

import argparse

import gevent

from .. import demo
from .console import Console
from .errors import Failure
from .listening import add_place, add_protocol, address, explain

HELP = "a small chat in your browser, to see what a connection does"

DESCRIPTION = """\
A small chat in your browser that shows what a connection is doing, and how it
comes back when it is cut. Open the address that is printed, in two windows or
more."""

EPILOG = f"""\
examples:
  primus-gevent demo                      the demo at http://127.0.0.1:8080/
  primus-gevent demo --port 9000          at another port
  primus-gevent demo --host 0.0.0.0       for the other machines of your network
  primus-gevent demo --transformer engine.io --parser msgpack

Ctrl-C stops it. Its source, to begin from:
  {demo.__file__}"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_protocol(parser, {"transformer": "websockets", "parser": "json"})


def run(given: argparse.Namespace, console: Console) -> int:
    """Serve until a signal. Blocks.

    Raises:
        OptionError: an option cannot be used.
        Failure: it cannot listen.
    """
    try:
        primus = demo.create(
            host=given.host, port=given.port, transformer=given.transformer, parser=given.parser
        )
    except OSError as error:
        raise Failure(explain(error, given.host, given.port)) from error
    # Printed by the event loop, and so when the signals are handled: whoever reads it may stop us at once.
    announcement = gevent.spawn(console.result, f"Demo: {address(primus)}  (Ctrl-C stops it)")
    try:
        primus.serve_forever()
    finally:
        announcement.kill()
    return 0
