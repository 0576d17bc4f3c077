"""``primus-gevent load``: a small load test."""

from __future__ import annotations

import argparse
import gc
import logging
import math
from collections import Counter, deque
from collections.abc import Iterator
from time import monotonic
from typing import Any

import gevent
from gevent.event import AsyncResult
from gevent.pool import Pool

from ..client import Socket
from ..errors import ConnectionClosed, PrimusError, ReadTimeout
from .arguments import Target, add_connection, add_protocol, add_target, count, find_target, seconds
from .console import Console
from .errors import FAILED, OK, Failure
from .measure import PERCENTILES, Latencies
from .signals import interrupts
from .text import as_json, bar, duration, plural, rate

HELP = "a small load test: throughput and latency of an echo"

DESCRIPTION = """\
A small load test: connect a number of clients, send messages, wait for each to
come back, and tell how long that took. For a server that sends back what it
gets; with --message, for one that answers each message with one.

It is small: one process on one processor, and its own work is in the figures.
It finds out whether a server copes with what you expect, not what a server
can do at most. Load only servers that are yours."""

EPILOG = """\
examples:
  primus-gevent load localhost:8080
  primus-gevent load localhost:8080 --clients 1000 --messages 100000
  primus-gevent load localhost:8080 --duration 30 --in-flight 8 --size 1000
  primus-gevent load localhost:8080 --json >before.json

exit status: 0 when every message was answered, 1 when something failed, 2
after a wrong argument; 130 after Ctrl-C, with the figures until then"""

MAX_CLIENTS = 10_000
MAX_MESSAGES = 10_000_000
MAX_SIZE = 1 << 20
MAX_IN_FLIGHT = 1000
MAX_SECONDS = 3600.0

CONNECTING = 50  # at a time
SPARE_FILES = 64  # descriptors that are not for clients
REDRAW_SECONDS = 0.1
BAR_COLUMNS = 30
PARTS = 10  # lines of progress, where there is no terminal


def configure(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument(
        "--clients",
        type=count(1, MAX_CLIENTS),
        default=100,
        metavar="N",
        help=f"connections, {MAX_CLIENTS} at most (default: %(default)s)",
    )
    parser.add_argument(
        "--messages",
        type=count(1, MAX_MESSAGES),
        metavar="N",
        help=f"of all clients together, {MAX_MESSAGES} at most (default: 10000, or what --duration allows)",
    )
    parser.add_argument(
        "--duration",
        type=seconds(0.01, MAX_SECONDS),
        metavar="SECONDS",
        help=f"send for so long, {MAX_SECONDS:g} at most",
    )
    parser.add_argument(
        "--size",
        type=count(1, MAX_SIZE),
        default=32,
        metavar="CHARACTERS",
        help=f"of a message, {MAX_SIZE} at most (default: %(default)s); it is as long as its number at least",
    )
    parser.add_argument(
        "--in-flight",
        type=count(1, MAX_IN_FLIGHT),
        default=1,
        metavar="N",
        help=f"messages of a client that wait for an answer, {MAX_IN_FLIGHT} at most (default: %(default)s)",
    )
    parser.add_argument(
        "--answer-timeout",
        type=seconds(0.01, MAX_SECONDS),
        default=10.0,
        metavar="SECONDS",
        help="without an answer for so long, a client gives up (default: %(default)g)",
    )
    parser.add_argument(
        "--message",
        metavar="TEXT",
        help="send this (as its value, if it is JSON), and take any message for the answer",
    )
    parser.add_argument("--json", action="store_true", help="the figures as a line of JSON")
    add_protocol(parser)
    add_connection(parser)


def run(given: argparse.Namespace, console: Console) -> int:
    """Connect, send, report. Blocks.

    Raises:
        OptionError: an argument cannot be used.
        ConnectError: the server does not answer when it is asked.
        Failure: this process may not open so many connections.
    """
    logging.getLogger("primus_gevent").addHandler(logging.NullHandler())
    make_room(given.clients)
    target = find_target(given)
    load = Load(target, given)
    about = f"{plural(given.clients, 'client')} to {target}, {given.in_flight} in flight each"
    console.note(about, "dim")
    stopped: Any = AsyncResult()

    def stop(status: int) -> None:
        stopped.set(status)
        load.stop()

    with interrupts(stop), Progress(console, load):
        load.run()
    if given.json:
        console.result(as_json(load.figures()))
    else:
        for line in load.report():
            console.result(line)
    if stopped.ready():
        return int(stopped.get())
    return FAILED if load.errors else OK


def make_room(clients: int) -> None:
    """See to it that so many descriptors can be open.

    Raises:
        Failure: they cannot.
    """
    import resource  # not at the top: Windows has none

    # A client that polls has two.
    wanted = clients * 2 + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if limit < clients + SPARE_FILES:
        most = max(limit - SPARE_FILES, 0)
        raise Failure(
            f"this process may have {limit} files open, which is enough for {plural(most, 'client')}; raise "
            "that with `ulimit -n`"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class Load:
    """One load test.

    Attributes:
        connected: how many clients have a connection, or had one.
        answered: how many messages were answered.
        errors: what went wrong, and how often.
        other: messages that were the answer to nothing.
    """

    def __init__(self, target: Target, given: argparse.Namespace) -> None:
        self.target = target
        self.clients: int = given.clients
        self.duration: float | None = given.duration
        unlimited = MAX_MESSAGES if given.duration else 10_000
        self.messages: int = given.messages or unlimited
        self.size: int = given.size
        self.in_flight: int = given.in_flight
        self.patience: float = given.answer_timeout
        self.message = None if given.message is None else value_of(given.message)
        self.connected = 0
        self.answered = 0
        self.errors: Counter[str] = Counter()
        self.other = 0
        self.opening = Latencies()
        self.latencies = Latencies()
        self.connect_seconds = 0.0
        self.seconds = 0.0
        self.phase = "connecting"
        self._sent = 0
        self._began = 0.0
        self._until = math.inf
        self._stopped = False
        self._work: Pool | None = None

    # -- the two halves

    def run(self) -> None:
        """Connect, then send until all is answered. Blocks."""
        began = monotonic()
        sockets = [found for found in self._each(self._connect, range(self.clients), CONNECTING) if found]
        self.connect_seconds = monotonic() - began
        self.phase = "sending"
        # What was allocated for the clients is not looked through again in the middle of the figures.
        gc.collect()
        gc.freeze()
        self._began = monotonic()
        self._until = self._began + self.duration if self.duration else math.inf
        try:
            if sockets:
                self._each(self._converse, sockets, len(sockets))
        finally:
            self.seconds = monotonic() - self._began
            gc.unfreeze()
            self.phase = "closing"
            gevent.joinall([gevent.spawn(socket.end) for socket in sockets])

    def stop(self) -> None:
        """Break off; the figures until now stand. Called in the hub."""
        self._stopped = True
        if self._work is not None:
            self._work.kill(block=False)

    def _each(self, function: Any, items: Any, at_once: int) -> list[Any]:
        pool = self._work = Pool(at_once)
        # `spawn` waits for a place, and gets one at the latest when those before have been killed.
        work = lambda item: None if self._stopped else function(item)  # noqa: E731
        greenlets = [pool.spawn(work, item) for item in items]
        gevent.joinall(greenlets)
        self._work = None
        values = (greenlet.value for greenlet in greenlets)
        return [value for value in values if not isinstance(value, gevent.GreenletExit)]

    def _connect(self, _: int) -> Socket | None:
        socket: Socket | None = None
        try:
            socket = self.target.socket(strategy=False)
            began = monotonic()
            socket.wait_open()
        except (PrimusError, OSError) as error:
            self.errors[f"not connected: {error.__cause__ or error}"] += 1
            return None
        except gevent.GreenletExit:
            if socket is not None:
                socket.end()
            raise
        self.opening.add(monotonic() - began)
        self.connected += 1
        return socket

    def _converse(self, socket: Socket) -> None:
        """Keep `in_flight` messages under way, until there are enough of all clients."""
        waiting: deque[tuple[Any, float]] = deque()
        try:
            while self._may_send() and len(waiting) < self.in_flight:
                self._send(socket, waiting)
            while waiting:
                if self._answer(socket.read(self.patience), waiting) and self._may_send():
                    self._send(socket, waiting)
        except ReadTimeout:
            self.errors[f"no answer within {duration(self.patience)}"] += len(waiting)
        except ConnectionClosed as error:
            self.errors[f"connection lost: {error.__cause__ or 'closed by the server'}"] += max(
                len(waiting), 1
            )

    def _may_send(self) -> bool:
        return self._sent < self.messages and monotonic() < self._until

    def _send(self, socket: Socket, waiting: deque[tuple[Any, float]]) -> None:
        self._sent += 1
        message = self.message
        if message is None:
            message = f"load {self._sent}".ljust(self.size, ".")
        waiting.append((message, monotonic()))
        socket.write(message)

    def _answer(self, message: Any, waiting: deque[tuple[Any, float]]) -> bool:
        """Whether it is the answer to a message of this client; they come in order."""
        now = monotonic()
        if self.message is None and message != waiting[0][0]:
            self.other += 1
            # Broadcasts must not keep alive who gets no answer.
            if now - waiting[0][1] > self.patience:
                raise ReadTimeout
            return False
        self.latencies.add(now - waiting.popleft()[1])
        self.answered += 1
        return True

    # -- what is told of it

    @property
    def share(self) -> float:
        """How much of the present half is done, from 0 to 1."""
        if self.phase == "connecting":
            return (self.connected + self.errors.total()) / self.clients
        by_count = self.answered / self.messages
        if self.duration is None:
            return by_count
        return max(by_count, min((monotonic() - self._began) / self.duration, 1.0))

    def status(self) -> str:
        if self.phase == "connecting":
            return f"{self.connected}/{self.clients}"
        took = monotonic() - self._began
        return f"{self.answered}, {rate(self.answered / took if took else 0)}"

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds if self.seconds else 0.0

    def report(self) -> Iterator[str]:
        took = f"in {duration(self.connect_seconds)}"
        yield f"connected  {self.connected} of {self.clients} {took}"
        if self.opening.count:
            yield f"           {percentiles(self.opening)}"
        took = f"in {duration(self.seconds)}"
        yield f"answered   {plural(self.answered, 'message')} {took}: {rate(self.per_second)}"
        if self.latencies.count:
            yield f"latency    {percentiles(self.latencies)}"
            yield from self.latencies.lines()
        if self.other:
            yield f"other      {plural(self.other, 'message')} that answered nothing"
        for what, often in self.errors.most_common():
            yield f"failed     {often}: {what}"
        if self.latencies.count == 0 and self.connected:
            yield "           Does this server send back what it gets? If it answers otherwise: --message"

    def figures(self) -> dict[str, Any]:
        """The report for machines: durations in milliseconds unless named otherwise."""
        return {
            "clients": self.clients,
            "connected": self.connected,
            "connect_seconds": round(self.connect_seconds, 6),
            "connect_ms": self.opening.summary(),
            "in_flight": self.in_flight,
            "size": self.size if self.message is None else None,
            "messages": self.answered,
            "seconds": round(self.seconds, 6),
            "per_second": round(self.per_second, 3),
            "latency_ms": self.latencies.summary(),
            "histogram_ms": [[round(bound * 1000, 6), often] for bound, often in self.latencies.rows()],
            "other": self.other,
            "errors": dict(self.errors),
        }


def percentiles(latencies: Latencies) -> str:
    figures = [f"p{percent} {duration(latencies.percentile(percent))}" for percent in PERCENTILES]
    return "  ".join([*figures, f"max {duration(latencies.most)}"])


def value_of(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


class Progress:
    """A bar at a terminal, and some lines elsewhere, while a block runs."""

    def __init__(self, console: Console, load: Load) -> None:
        self._console = console
        self._load = load
        self._greenlet: Any = None

    def draw(self) -> str:
        load = self._load
        return f"{load.phase:<10} [{bar(load.share, BAR_COLUMNS)}] {load.status()}"

    def __enter__(self) -> None:
        if self._console.live:
            self._console.show_footer(self)
        self._greenlet = gevent.spawn(self._redraw if self._console.live else self._tell)

    def __exit__(self, *exc: object) -> None:
        self._greenlet.kill()
        self._console.remove_footer()

    def _redraw(self) -> None:
        while True:
            gevent.sleep(REDRAW_SECONDS)
            self._console.refresh()

    def _tell(self) -> None:
        told = 0
        while True:
            gevent.sleep(REDRAW_SECONDS)
            load = self._load
            part = int(load.share * PARTS) if load.phase == "sending" else 0
            if part > told:
                told = part
                self._console.note(f"{part * 100 // PARTS:3} %  {load.status()}", "dim")
