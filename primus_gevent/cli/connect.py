"""``primus-gevent connect``: a conversation with a server, at a terminal or in a pipe."""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

import gevent
from gevent.event import AsyncResult, Event

from ..client import Outage, Socket
from ..errors import ConnectionClosed, UnexpectedResponse
from .arguments import MAX_DELAY, add_connection, add_protocol, add_target, count, find_target, seconds
from .console import Console, Style
from .errors import FAILED, OK
from .prompt import Prompt
from .signals import interrupts
from .text import as_json, duration, plural

HELP = "talk to a server: lines in, messages out"

DESCRIPTION = """\
Talk to a Primus server: each line that you type, or that comes through a
pipe, is a message to it, and its messages are printed. These go to stdout;
what becomes of the connection goes to stderr. A connection that is lost is
brought back.

The server is asked how it is spoken to. It may be ours, or an original one on
Node.js."""

EPILOG = """\
examples:
  primus-gevent connect localhost:8080
  primus-gevent connect wss://example.org/live -H 'Authorization: Bearer abc'
  primus-gevent connect localhost:8080 --json    and type {"hello": "you"}
  echo hello | primus-gevent connect localhost:8080 --count 1
  primus-gevent connect localhost:8080 --json --wait inf </dev/null | jq .

at a terminal:
  Ctrl-D or Ctrl-C leaves. Arrow keys move in the line, and bring lines back
  that were sent.

in a pipe:
  All lines are sent. It then leaves when nothing has come for --wait seconds;
  with --count N as soon as N messages have come, and with exit status 1 if
  they do not. Empty lines are not sent.

exit status:
  0    all went well, also when the server said goodbye after all was sent
  1    no connection, or it was lost for good; something was not sent, or fewer
       than --count messages came
  2    a wrong argument
  130  after Ctrl-C in a pipe; 128 + its number after another signal"""

WAIT = 2.0
WAIT_FOR_COUNT = 10.0
LAST_WORDS_SECONDS = 1.0  # for listeners to say why there is no connection


def configure(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print every message as a line of JSON, texts too; send lines that are JSON as their values",
    )
    parser.add_argument(
        "--count",
        type=count(1, 10**12),
        metavar="N",
        help="leave when N messages have come (in a pipe: and all lines were sent)",
    )
    parser.add_argument(
        "--wait",
        type=seconds(),
        metavar="SECONDS",
        help="leave when nothing comes for so long after the last line of a pipe; `inf` stays (default: "
        f"{WAIT:g}, or {WAIT_FOR_COUNT:g} with --count)",
    )
    parser.add_argument(
        "--retries",
        type=count(0, 10**6),
        default=10,
        metavar="N",
        help="attempts to bring a lost connection back (default: %(default)s)",
    )
    parser.add_argument(
        "--ping",
        type=seconds(0.05, 3600),
        metavar="SECONDS",
        help="between two heartbeats of ours, which measure the latency (default: as the server wants it)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="on stderr only what went wrong")
    add_protocol(parser)
    add_connection(parser)


def run(given: argparse.Namespace, console: Console) -> int:
    """Talk until one of the two has enough. Blocks.

    Raises:
        OptionError: an argument cannot be used.
        ConnectError: the server does not answer when it is asked.
        BrokenPipeError: nobody reads stdout any more.
        OSError: a file of the TLS options cannot be read.
    """
    # What is logged, we say ourselves.
    logging.getLogger("primus_gevent").addHandler(logging.NullHandler())
    target = find_target(given)
    if not given.quiet:
        console.note(f"* connecting to {target}", "dim")
    reconnect = {"max_delay": MAX_DELAY, "retries": given.retries}
    options: dict[str, Any] = {"reconnect": reconnect}
    if not given.retries:
        options["strategy"] = False
    if given.ping is not None:
        options["ping"] = given.ping
    return Conversation(target.socket(**options), given, console).run()


class Conversation:
    """One client, what is typed for it, and what it gets.

    Args:
        client: that has not begun to connect yet.
        given: the arguments.
    """

    def __init__(self, client: Socket, given: argparse.Namespace, console: Console) -> None:
        self.client = client
        self.console = console
        self.json: bool = given.json
        self.quiet: bool = given.quiet
        self.count: int | None = given.count
        self.interactive = console.input.is_terminal
        wait = given.wait
        self.wait: float = (WAIT_FOR_COUNT if self.count else WAIT) if wait is None else wait
        self.received = 0
        self.sent_all = self.interactive
        self._outcome: Any = AsyncResult()
        self._arrived: Any = Event()
        self._last = monotonic()  # when something came, or the last line left
        self._status = "connecting"
        self._opened = 0
        self._outage: Outage | None = None
        self._over: Any = Event()
        self._prompt: Prompt | None = None
        if self.interactive and console.live:
            self._prompt = Prompt(console, lambda: f"[{self._status}] ")
        self._listen()

    def run(self) -> int:
        """Go on until the end of it; returns the exit status."""
        with interrupts(self._interrupted):
            greenlets = [gevent.spawn(self._guarded, part) for part in (self._receive, self._send)]
            try:
                status: int = self._outcome.get()
            finally:
                gevent.killall(greenlets)
                self._status = "leaving"
                self.client.remove_all_listeners()
                self.client.end()
        return status

    def _finish(self, status: int) -> None:
        if not self._outcome.ready():
            self._outcome.set(status)

    def _interrupted(self, status: int) -> None:
        # At a terminal, Ctrl-C is a way to leave as good as another.
        self._finish(OK if self.interactive and status == 130 else status)

    def _guarded(self, part: Callable[[], None]) -> None:
        """Run a part; what goes wrong in it ends all."""
        try:
            part()
        except Exception as error:  # noqa: BLE001 - raised again in the main greenlet
            if not self._outcome.ready():
                self._outcome.set_exception(error)

    # -- what comes

    def _receive(self) -> None:
        while True:
            try:
                message = self.client.read()
            except ConnectionClosed as error:
                self._finish(self._ended(error))
                return
            self._show(message)
            self.received += 1
            self._last = monotonic()
            self._arrived.set()
            if self.received == self.count and self.sent_all:
                self._finish(OK)
                return

    def _show(self, message: Any) -> None:
        text = message if isinstance(message, str) and not self.json else as_json(message)
        if self.interactive and self.console.out.is_terminal:
            text = f"< {text}"
        self.console.result(text)

    def _ended(self, error: ConnectionClosed) -> int:
        """The client has ended by itself: the exit status for that."""
        # Behind its other events, which tell why.
        self._over.wait(LAST_WORDS_SECONDS)
        outage = self._outage
        if outage is not None:
            cause = error.__cause__ and error.__cause__.__cause__
            why = f": {cause}" if cause else ""
            self._bad(
                f"gave up after {plural(outage.attempt, 'attempt')} in {duration(outage.duration)}{why}"
            )
        if not self._opened or not self.client.clean or self.client.last_error is not None:
            return FAILED
        if not self.sent_all:
            self._bad("the server has ended the connection before all lines were sent")
            return FAILED
        if self.interactive:
            return OK
        return self._complete()

    def _complete(self) -> int:
        """Nothing more will come, or is waited for."""
        if self.count is not None and self.received < self.count:
            self._bad(f"only {plural(self.received, 'message')} of {self.count} came")
            return FAILED
        return OK

    # -- what goes

    def _send(self) -> None:
        lines: Iterable[str] = self._prompt.lines() if self._prompt else self.console.input.lines()
        for line in lines:
            if line and not self._send_line(line):
                return
        if self.interactive:
            self._finish(OK)
            return
        # An empty pipe too: without a connection, nothing that was asked for has happened.
        if self._wait_open():
            self._wait_for_answers()

    def _send_line(self, line: str) -> bool:
        """Send one; whether there is still somebody to send to."""
        if not self.interactive and not self._wait_open():
            return False
        self.client.write(self._value(line))
        return True

    def _wait_open(self) -> bool:
        """Keep the lines of a pipe where they are while there is no connection."""
        try:
            self.client.wait_open()
        except ConnectionClosed:
            return False  # what is to be said of it, `_receive` says
        return True

    def _value(self, line: str) -> Any:
        if not self.json:
            return line
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            return line

    def _wait_for_answers(self) -> None:
        self.sent_all = True
        self._last = monotonic()
        while self.count is None or self.received < self.count:
            self._arrived.clear()
            left = self._last + self.wait - monotonic()
            if left <= 0:
                break
            self._arrived.wait(None if left == math.inf else left)
        if not self.client.is_open:
            self._bad("there is no connection any more, so that answers may be missing")
            self._finish(FAILED)
            return
        self._finish(self._complete())

    # -- what becomes of the connection

    def _listen(self) -> None:
        client = self.client
        client.on("open", self._on_open)
        client.on("close", self._on_close)
        client.on("error", self._on_error)
        client.on("reconnecting", self._on_reconnecting)
        client.on("reconnect", lambda outage: self._state("connecting"))
        client.on("reconnect timeout", lambda error, outage: self._note(f"* {error}", "warn"))
        client.on("end", self._over.set)
        client.on("timeout", lambda: self._bad(str(client.last_error)))
        client.on("offline", lambda: self._note("* offline", "warn"))
        client.on("online", lambda: self._note("* online", "good"))
        client.on("incoming::pong", lambda text: self._state(self._latency()))

    def _on_open(self) -> None:
        self._opened += 1
        self._outage = None
        again = " again" if self._opened > 1 else ""
        self._note(f"* open{again}, latency {duration(self.client.latency)}{self._hint()}", "good")
        self._state(self._latency())

    def _latency(self) -> str:
        return f"open {duration(self.client.latency)}"

    def _hint(self) -> str:
        return "; Ctrl-D leaves" if self.interactive and self._opened == 1 else ""

    def _on_close(self) -> None:
        client = self.client
        self._state("closed")
        if not self._opened:
            return  # the error of that has been told
        if client.clean:
            self._note("* closed by the server", "warn")
        elif client.last_error is not None:
            self._bad(str(client.last_error))
        else:
            self._bad("the connection was lost")

    def _on_error(self, error: BaseException) -> None:
        self._bad(str(error))
        if isinstance(error, UnexpectedResponse) and error.status in (401, 403):
            self._note("* the server has refused us; -H and --cookie can say who you are", "dim")

    def _on_reconnecting(self, outage: Outage) -> None:
        self._outage = outage
        attempt = f"attempt {outage.attempt} of {outage.retries:g}"
        # Of the first attempt the reason has been told: the connection was lost.
        failed = outage.attempt > 1 and self.client.last_error
        why = f": {self.client.last_error}" if failed else ""
        self._note(f"* reconnecting in {duration(outage.timeout)} ({attempt}){why}", "warn")
        self._state(f"reconnecting {outage.attempt}/{outage.retries:g}")

    def _state(self, status: str) -> None:
        self._status = status
        if self._prompt is not None and not self._outcome.ready():
            self.console.refresh()

    def _note(self, text: str, style: Style | None = None) -> None:
        if not self.quiet:
            self.console.note(text, style)

    def _bad(self, text: str) -> None:
        self.console.note(f"! {text}", "bad")
