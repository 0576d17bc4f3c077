"""A crowd of Python clients in one process, whose server is killed, and then drained: they come back spread
over time, their messages arrive, and nothing of them is left in the end.

The times after which they were back are in the summary of the run.
"""

from __future__ import annotations

import ctypes
import gc
import math
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import gevent
import pytest

from primus_gevent.client import Socket
from primus_gevent.errors import ReadTimeout
from tests.support.leaks import frozen, leaves_nothing
from tests.support.restartable import Restartable
from tests.support.ways import WAYS, Way
from tests.unit.hub import eventually, hub_errors

SECONDS = 100.0  # for everything that a crowd does together
FILES = 6000  # an open client has one or two; a POST takes another
OPTIONS: dict[str, Any] = {"timeout": SECONDS, "reconnect": {"min_delay": 0.2, "retries": math.inf}}

# The first delay is the same for all, by the specification, so that only those after it spread them: from
# 0.4 s to 0.8 s, then from 0.8 s to 1.6 s. Their server is away until all are in that attempt.
KILLED_THROWS = 3
DRAINED_THROWS = 2

BARS = 12
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds

Show = Callable[[str], None]


@pytest.fixture(autouse=True)
def enough_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, FILES)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.fail(f"a crowd needs {FILES} files; raise the hard limit (`ulimit -Hn`), which is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Show:
    """Put a text into the summary of the run."""
    return lambda text: record_property("shown", text)


SMALL = ("engine.io-polling", "sockjs-xhr-polling", "browserchannel-streaming", "socket.io-polling")
NORMAL = [("websockets", 1000), ("engine.io-upgrade", 1000), *((name, 100) for name in SMALL)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), NORMAL)
def test_a_crowd_comes_back(name: str, count: int, show: Show) -> None:
    play(WAYS[name], count, f"{count} clients, {name}", show)


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in WAYS if (name, 1000) not in NORMAL])
def test_a_thousand_come_back(name: str, show: Show) -> None:
    play(WAYS[name], 1000, f"1000 clients, {name}", show)


def play(way: Way, count: int, title: str, show: Show) -> None:
    with Restartable(transformer=way.options["transformer"]) as server:
        for end in (server.kill, server.terminate):
            outage(way, 10, server, end)  # what is imported and cached
        with frozen(), hub_errors() as errors, leaves_nothing():
            before = sys.getallocatedblocks()
            killed = outage(way, count, server, server.kill)
            memory = resident()
            drained = outage(way, count, server, server.terminate)
            grown = resident() - memory
            left = sys.getallocatedblocks() - before
        assert errors == []
    taken = killed.blocks - before
    show(
        f"{title}: how many were back, so many seconds after their server was\n"
        f"killed and restarted, when each had tried {KILLED_THROWS - 1} times in vain:\n"
        f"{histogram(killed.back)}\n"
        f"drained and restarted, when each had tried once in vain:\n{histogram(drained.back)}\n"
        f"each took {taken / count:.0f} blocks of memory, and left {left / count:.2f}; the process had "
        f"{killed.bytes >> 20} MB, then {memory >> 20} MB, and after another crowd {grown >> 10} kB more"
    )
    spread_over_time(killed.delays)
    spread_over_time(drained.delays)
    # Tables of the interpreter's grow, a few bytes for each. The heap keeps some of what a crowd needed, and
    # the next crowd finds room there; a client that is kept takes from 6 to 26 kB.
    assert left < taken // 20 + 1000
    assert grown < 2_000_000 + 3000 * count


class Past(NamedTuple):
    """What came of an outage: the seconds after which each client was back and those before the attempts that
    succeeded; while all were there, the blocks of memory that this process had, and its bytes."""

    back: list[float]
    delays: list[float]
    blocks: int
    bytes: int


def outage(way: Way, count: int, server: Restartable, end: Callable[[], None]) -> Past:
    """A crowd comes, loses its server, gets it back and leaves."""
    loop = gevent.get_hub().loop
    quiet = loop.activecnt
    crowd = Crowd(way, count, server)
    try:
        crowd.talk("before")
        end()
        crowd.miss(KILLED_THROWS if end == server.kill else DRAINED_THROWS)
        crowd.write("meanwhile")
        server.start()
        started = monotonic()
        crowd.read("meanwhile")
        eventually(lambda: len(crowd.back) >= count, limit=SECONDS)
        crowd.talk("after")
        assert crowd.sparks() == count
        blocks, memory = sys.getallocatedblocks(), resident()
    finally:
        crowd.leave()  # also if it has failed: the next crowd is measured, too
    # Attempts that were given up may say goodbye to their sessions for some seconds yet.
    eventually(lambda: loop.activecnt <= quiet)
    return Past([moment - started for moment in crowd.back], crowd.delays, blocks, memory)


class Crowd:
    """Clients, all of which are connected."""

    def __init__(self, way: Way, count: int, server: Restartable) -> None:
        self.back: list[float] = []
        self.delays: list[float] = []  # seconds, before the attempts that succeeded
        options = {**OPTIONS, **way.options}
        if options["transformer"] == "browserchannel":
            # Its sessions are given up after half a minute of attempts: heartbeats notice before. Those of a
            # thousand every second would be too much for one core.
            options |= {"ping": count / 100, "pong": count / 20}
        self.clients = [Socket(server.url, **options) for _ in range(count)]
        for client in self.clients:
            client.on("reconnected", self._is_back)
        for client in self.clients:
            client.wait_open(SECONDS)
        eventually(lambda: all(client.socket.name == way.carrier for client in self.clients), limit=SECONDS)

    def _is_back(self, outage: Any) -> None:
        self.back.append(monotonic())
        self.delays.append(outage.timeout)

    def write(self, word: str) -> None:
        for number, client in enumerate(self.clients):
            client.write([word, number])

    def read(self, word: str) -> None:
        """The echo; and nothing else is there."""
        for number, client in enumerate(self.clients):
            assert client.read(SECONDS) == [word, number]
            with pytest.raises(ReadTimeout):
                client.read(0)

    def talk(self, word: str) -> None:
        self.write(word)
        self.read(word)

    def sparks(self) -> Any:
        self.clients[0].write("sparks?")
        return self.clients[0].read(SECONDS)

    def miss(self, attempts: int) -> None:
        """Wait until all miss their server, and are in that attempt to reach it."""

        def missing(client: Socket) -> bool:
            return client.recovery.outage is not None and client.recovery.outage.attempt >= attempts

        eventually(lambda: all(map(missing, self.clients)), limit=SECONDS)

    def leave(self) -> None:
        """Say goodbye, and forget them."""
        gevent.joinall([gevent.spawn(client.end) for client in self.clients], raise_error=True)
        assert not any(client.is_open for client in self.clients)
        self.clients.clear()


def spread_over_time(delays: list[float]) -> None:
    """That the attempts were; when they succeed is a matter of the machine too, which may be busy."""
    bars = Counter(int(seconds / 0.1) for seconds in delays)
    assert len(bars) >= 4
    assert max(bars.values()) < len(delays) * 0.6


def counted(times: list[float]) -> tuple[float, Counter[int]]:
    """The width of a bar in seconds, and how many there are in each."""
    width = next((width for width in WIDTHS if max(times) < BARS * width), max(times) / BARS)
    return width, Counter(int(seconds / width) for seconds in times)


def histogram(back: list[float]) -> str:
    width, bars = counted(back)
    scale = 50 / max(bars.values())
    return "\n".join(
        f"{bar * width:6.1f} s {bars[bar]:5d} {'#' * math.ceil(bars[bar] * scale)}"
        for bar in range(max(bars) + 1)
    )


def resident() -> int:
    """Bytes of memory that this process has, without what it could give back at once."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
