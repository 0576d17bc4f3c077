"""The program ``primus-gevent``: one module per command, each with ``HELP`` (a line), ``DESCRIPTION``,
``EPILOG``, ``configure(parser)`` and ``run(given, console)``, which returns the exit status.

What goes wrong is told in one line on stderr, by `main` alone.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from .. import MissingPackageError, OptionError, PrimusError, __version__
from .console import Console
from .errors import FAILED, INTERRUPTED, MISUSED, NOBODY_READS, Failure
from .signals import quiet_interrupts

__all__ = ["COMMANDS", "main"]

PROGRAM = "primus-gevent"

#: The commands, in the order of the help; each is a module of this folder.
COMMANDS = ("demo", "serve", "connect", "spec", "library", "load")
DEFAULT = "demo"

DESCRIPTION = """\
Real-time connections for Python web apps: try, serve, look into and script
Primus servers. Those that it connects to may be ours, or original ones on
Node.js."""

EPILOG = """\
examples:
  primus-gevent demo                      a chat at http://127.0.0.1:8080/
  primus-gevent demo --port 9000 --transformer engine.io --parser msgpack
  primus-gevent serve chat:app            your own application, in chat.py
  primus-gevent connect localhost:8080    talk to a server from the terminal
  echo hello | primus-gevent connect localhost:8080
  primus-gevent spec localhost:8080       how a server is spoken to
  primus-gevent library -o primus.js      the JavaScript client as a file
  primus-gevent load localhost:8080 --clients 50

Without a command it is `demo`. All about a command: primus-gevent COMMAND --help"""


class Parser(argparse.ArgumentParser):
    """Errors are one line; options have to be written out, so that new ones break no script."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(MISUSED, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program. Blocks until it is done, or told to stop.

    Args:
        arguments: of the command line; by default those of this process.

    Returns:
        The exit status: 0, 1 when it failed, 130 after Ctrl-C where that does not end it well.

    Raises:
        SystemExit: 2 after wrong arguments, 0 after ``--help`` and ``--version``.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, DEFAULT)
    parser, commands = make_parsers()
    if words[0] not in commands and not words[0].startswith("-"):
        parser.error(unknown_command(words[0]))
    given = parser.parse_args(words)
    if given.debug:
        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s: %(message)s")
    console = Console()
    try:
        with quiet_interrupts():
            return int(given.run(given, console))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return NOBODY_READS
    except (PrimusError, OSError) as error:
        if given.debug:
            raise
        if isinstance(error, (OptionError, MissingPackageError)):
            commands[given.command].error(str(error))
        if isinstance(error, Failure) and error.details:
            console.note(error.details.rstrip("\n"))
        console.note(f"{PROGRAM}: {one_line(error)}", "bad")
        return FAILED


def make_parsers() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the program, and those of its commands."""
    parser = Parser(prog=PROGRAM, description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    adder = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands: dict[str, Parser] = {}
    for name in COMMANDS:
        module = import_module(f".{name}", __name__)
        command = commands[name] = adder.add_parser(
            name, help=module.HELP, description=module.DESCRIPTION, epilog=module.EPILOG
        )
        module.configure(command)
        command.add_argument(
            "--debug", action="store_true", help="show log messages, and the traceback of an error"
        )
        command.set_defaults(run=module.run)
    return parser, commands


def unknown_command(word: str) -> str:
    close = difflib.get_close_matches(word, COMMANDS, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"commands are: {', '.join(COMMANDS)}"
    return f"invalid choice: {word!r}; {hint}"


def one_line(error: BaseException) -> str:
    """What happened, and why; errors say most of it by themselves."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split()) or type(error).__name__
    cause = error.__cause__
    if isinstance(cause, PrimusError) and str(cause) not in text:
        text = f"{text}: {one_line(cause)}"
    return text
