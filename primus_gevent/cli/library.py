"""``primus-gevent library``: the JavaScript client as a file."""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path

from .. import Primus
from .. import library as javascript
from ..client import ClientOptions
from ..client.address import Address
from ..client.connect import ask_spec
from ..errors import OptionError
from ..library import FORMATS, LibrarySettings, compile_library, known
from ..version import __version__
from .applications import find_primus, load_application
from .arguments import add_connection, connection_options
from .console import Console
from .errors import Failure

HELP = "the JavaScript client as a file, with its types"

DESCRIPTION = """\
Write the JavaScript client to a file, for pages and bundlers that do not load
it from the server at /primus/primus.js. A client is made for one server: it
has to know the transformer, the parser and the pathname. Give these, or have
them taken from a server (--from) or from your application (--app), which also
has the plugins."""

EPILOG = """\
examples:
  primus-gevent library -o primus.js
  primus-gevent library -o primus.js --transformer engine.io --parser msgpack
  primus-gevent library -o primus.mjs --types         and primus.d.mts beside it
  primus-gevent library -o primus.js --app chat:app   as chat.py has it
  primus-gevent library -o primus.js --from https://example.org

exit status: 0 when it was written, 1 when not, 2 after a wrong argument"""

# What a server has, for each option that says it by hand.
DEFAULTS = LibrarySettings(version=__version__)
TYPES = {".mjs": ".d.mts", ".cjs": ".d.cts"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", help="default: stdout")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="`script` for a script tag, AMD and CommonJS; `esm` is an ES module (default: script, or esm "
        "for a FILE that ends with .mjs)",
    )
    parser.add_argument(
        "--types",
        action="store_true",
        help="write the TypeScript types too, beside FILE; without FILE only them, to stdout",
    )
    by_hand = parser.add_argument_group("the server's options")
    by_hand.add_argument(
        "--transformer",
        metavar="NAME",
        help=f"{', '.join(known('transformer'))} (default: {DEFAULTS.transformer}); of several ones of a "
        "server, which",
    )
    by_hand.add_argument(
        "--parser", metavar="NAME", help=f"{', '.join(known('parser'))} (default: {DEFAULTS.parser})"
    )
    by_hand.add_argument(
        "--global-name",
        metavar="NAME",
        help=f"of the global that a script makes (default: {DEFAULTS.global_name})",
    )
    taken = parser.add_argument_group("or take them from").add_mutually_exclusive_group()
    taken.add_argument("--from", dest="url", metavar="URL", help="a server that runs: it is asked")
    taken.add_argument(
        "--app", metavar="MODULE:NAME", help="your application, as `primus-gevent serve` takes it"
    )
    add_connection(parser)


def run(given: argparse.Namespace, console: Console) -> int:
    """Compile and write.

    Raises:
        OptionError: an argument cannot be used.
        ConnectError: the server does not answer.
        Failure: the application cannot be had.
        OSError: the file cannot be written.
    """
    path = Path(given.output) if given.output else None
    format_ = given.format or ("esm" if path is not None and path.suffix == ".mjs" else "script")
    if path is None and given.types:
        console.result(types(format_).rstrip("\n"))
        return 0
    text = compiled(given, format_, console)
    if path is None:
        console.result(text.rstrip("\n"))
        return 0
    write(path, text, console)
    if given.types:
        write(path.with_suffix(TYPES.get(path.suffix, ".d.ts")), types(format_), console)
    return 0


# An assignment is what TypeScript asks of CommonJS, and refuses of an ES module.
ASSIGNED = "export = Primus;\nexport as namespace Primus;\n"
EXPORTED = """\
export default Primus;
export { Primus };
export import EventEmitter = Primus.EventEmitter;
"""


def types(format_: str) -> str:
    """The TypeScript declarations of a client."""
    text = (resources.files(javascript) / "primus.d.ts").read_text("utf-8")
    if format_ != "esm":
        return text
    before, found, after = text.partition(ASSIGNED)
    if not found:
        raise Failure("primus.d.ts does not export as expected; this is a mistake in the package")
    return before + EXPORTED + after


def write(path: Path, text: str, console: Console) -> None:
    path.write_text(text, encoding="utf-8")
    console.note(f"wrote {path} ({len(text.encode()) / 1000:.1f} kB)", "dim")


def compiled(given: argparse.Namespace, format_: str, console: Console) -> str:
    """The client in JavaScript."""
    if given.app is not None:
        return of_application(given, format_)
    settings = of_server(given, console) if given.url is not None else by_hand(given)
    return compile_library(settings, format=format_)  # type: ignore[arg-type]


def of_application(given: argparse.Namespace, format_: str) -> str:
    for name in ("pathname", "parser", "global_name"):
        if getattr(given, name):
            option = f"--{name.replace('_', '-')}"
            raise OptionError(f"{option} is the application's own: leave it out, or leave out --app", name)
    primus = find_primus(load_application(given.app))
    if not isinstance(primus, Primus):
        raise Failure(f"{given.app} has no Primus; leave out --app, and give --transformer and --parser")
    return primus.library(format_, given.transformer)  # type: ignore[arg-type]


def of_server(given: argparse.Namespace, console: Console) -> LibrarySettings:
    address = Address.parse(given.url)
    options = ClientOptions.parse(connection_options(given, address))
    spec = ask_spec(address, options)
    names = [str(name).lower() for name in spec.get("transformers") or [spec["transformer"]]]
    transformer = (given.transformer or names[0]).lower()
    if transformer not in names:
        raise OptionError(
            f"--transformer: this server has {', '.join(names)}, not {transformer}", "transformer"
        )
    parser = str(spec["parser"]).lower() if given.parser is None else given.parser.lower()
    if parser == "custom":
        raise Failure(
            f"this server has a parser of its own: take its client from {address}{options.pathname}/primus.js"
        )
    console.note("a server does not tell its plugins: if it has some, use --app, or its primus.js", "dim")
    return LibrarySettings(
        version=__version__,
        pathname=spec.get("pathname", options.pathname),
        global_name=given.global_name or DEFAULTS.global_name,
        transformer=transformer,
        parser=parser,
        timeout=seconds_of(spec.get("timeout")),
        ping_interval=seconds_of(spec.get("pingInterval")),
    )


def seconds_of(value: object) -> float | None:
    """A duration of a specification, which has milliseconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return None
    return value / 1000


def by_hand(given: argparse.Namespace) -> LibrarySettings:
    checked = ClientOptions.parse({"pathname": given.pathname} if given.pathname else {})
    return LibrarySettings(
        version=__version__,
        pathname=checked.pathname,
        global_name=given.global_name or DEFAULTS.global_name,
        transformer=(given.transformer or DEFAULTS.transformer).lower(),
        parser=(given.parser or DEFAULTS.parser).lower(),
    )
