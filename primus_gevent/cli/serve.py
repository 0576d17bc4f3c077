"""``primus-gevent serve``: serves an application of the user's."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from typing import Any

import gevent

from .. import OptionError, Primus
from ..hosts import drain as drains
from ..hosts.server import access_logger, make_server
from ..serving import server_context
from .applications import find_primus, is_flask, load_application
from .console import Console
from .errors import Failure
from .listening import add_place, add_protocol, explain, url
from .reloading import Changes, supervise, supervised

HELP = "your application, on the package's own server"

DESCRIPTION = """\
Serve an application: a Primus, a Flask app, any WSGI app, or what a factory
of yours makes. Clients are told to come back before it stops, on Ctrl-C,
SIGTERM and SIGHUP.

An app that has no Primus is served as it is. With --transformer, --parser or
--pathname, one is put in front of it; a Flask app finds that as
app.extensions["primus"]."""

EPILOG = """\
examples:
  primus-gevent serve chat:primus            a Primus in chat.py
  primus-gevent serve chat                   looks for primus, app, application
  primus-gevent serve shop:app --port 8000   a Flask app
  primus-gevent serve 'shop:create_app()'    what a factory makes
  primus-gevent serve chat:primus --reload   while you write it
  primus-gevent serve chat:primus --host 0.0.0.0 --port 443 \\
      --cert fullchain.pem --key privkey.pem

Nothing is monkey-patched. If your code needs that:
  python -m gevent.monkey --module primus_gevent serve ...
For several processes: gunicorn -k gevent chat:primus

exit status: 0 after a signal to stop, 1 when it cannot be served, 2 after a
wrong argument"""

OWN = ("transformer", "parser", "pathname")  # options of a Primus that can be given here


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("app", metavar="MODULE:NAME", help="the application, or MODULE:FACTORY()")
    add_place(parser)
    parser.add_argument(
        "--reload", action="store_true", help="start again when a Python file has changed; not for production"
    )
    parser.add_argument("--access-log", action="store_true", help="a line on stderr for each request")
    tls = parser.add_argument_group("HTTPS")
    tls.add_argument("--cert", metavar="FILE", help="PEM file with the certificate and its chain")
    tls.add_argument("--key", metavar="FILE", help="PEM file with its key, if that is another file")
    tls.add_argument("--ca", metavar="FILE", help="PEM file with the rest of the chain")
    tls.add_argument("--pfx", metavar="FILE", help="PKCS#12 file with all of it")
    tls.add_argument(
        "--passphrase-file", metavar="FILE", help="file whose first line is the passphrase of the key"
    )
    front = parser.add_argument_group("for an app without a Primus")
    add_protocol(front, {})
    front.add_argument("--pathname", "--path", metavar="PATH", help="such as /primus")


def run(given: argparse.Namespace, console: Console) -> int:
    """Serve until a signal. Blocks.

    Raises:
        OptionError: an argument cannot be used.
        Failure: the application cannot be had, or we cannot listen.
        OSError: a file cannot be read.
    """
    if given.reload and not supervised():
        return supervise()
    changes = Changes() if given.reload else None
    try:
        return serve(given, console, changes)
    except Failure as error:
        if changes is None:
            raise
        if error.details:
            console.note(error.details.rstrip("\n"))
        console.note(f"{error}; waiting for a change", "bad")
        return changes.wait()


def serve(given: argparse.Namespace, console: Console, changes: Changes | None) -> int:
    application = load_application(given.app)
    wanted = {name: getattr(given, name) for name in OWN if getattr(given, name)}
    if wanted:
        application = put_in_front(application, wanted, given.app)
    primus = find_primus(application)
    if primus is not None and primus.server is not None:
        raise Failure(f"{given.app} listens by itself already; run its module with python instead")
    if given.access_log:
        log_requests()
    context = server_context(
        None,
        {"cert": given.cert, "key": given.key, "ca": given.ca, "pfx": given.pfx},
        first_line(given.passphrase_file),
        advise=False,
    )
    try:
        server, serve_forever = listen(application, given.host, given.port, context)
    except OSError as error:
        raise Failure(explain(error, given.host, given.port)) from error
    where = url("https" if context else "http", server.server_host or "", server.server_port)
    # Printed by the event loop, and so when the signals are handled: whoever reads it may stop us at once.
    announcement = gevent.spawn(console.result, f"{given.app}: {where}{about(primus)}  (Ctrl-C stops it)")
    if changes is not None:
        changes.watch()
    try:
        serve_forever()
    finally:
        announcement.kill()
        if changes is not None:
            changes.stop()
    return changes.status if changes is not None else 0


def put_in_front(application: Any, options: dict[str, Any], name: str) -> Any:
    """The application with a Primus in front of it.

    Raises:
        OptionError: it has one already, whose options are its own; or they cannot be used.
    """
    if find_primus(application) is not None:
        given = ", ".join(f"--{option}" for option in options)
        raise OptionError(f"{name} has a Primus with options of its own; leave out {given}")
    if not is_flask(application):
        return Primus(application, **options)
    Primus(**options).init_app(application)
    return application


def listen(application: Any, host: str, port: int, context: Any) -> tuple[Any, Callable[[], None]]:
    """A server that listens, and what serves until a signal.

    Raises:
        OSError: it cannot listen.
    """
    if isinstance(application, Primus):
        return application.listen(port, host, ssl_context=context), application.serve_forever
    # A Primus may be anywhere in it, behind other middleware too: it drains all the same.
    server = make_server((host, port), application, ssl_context=context)
    server.start()

    def serve_forever() -> None:
        uninstall: Callable[[], None] = lambda: None  # noqa: E731
        try:
            uninstall = drains.install_signals(server.stop_listening, server.finish)
        except ValueError:
            pass  # not the main thread
        try:
            server.serve_forever()
        finally:
            uninstall()

    return server, serve_forever


def about(primus: Primus | None) -> str:
    if primus is None:
        return ""
    spec = primus.spec
    return f"  Primus at {spec['pathname']} ({' + '.join(primus.transformers)}, {spec['parser']})"


def first_line(path: str | None) -> str | None:
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:
        return file.readline().rstrip("\r\n")


def log_requests() -> None:
    if not any(isinstance(handler, logging.StreamHandler) for handler in access_logger.handlers):
        access_logger.addHandler(logging.StreamHandler(sys.stderr))
    access_logger.setLevel(logging.INFO)
    access_logger.propagate = False
