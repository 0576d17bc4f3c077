"""No message is lost, doubled or out of order, however connections are cut.

BrowserChannel has acknowledgements both ways, so nothing is spared here: requests are cut in the middle of
their bodies, answers are thrown away with a reset before they are read or when half of them is, requests that
may have arrived are sent again with what has come meanwhile, and back channels overtake each other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.support.browserchannel import Channel, channel_server
from tests.support.client import Client, EndOfFile
from tests.support.hosts import Server, leaves_nothing

MESSAGES = 10_000  # each way


@pytest.fixture(scope="module", params=["own", "own-tls", "pywsgi", "gunicorn"])
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with channel_server(request.param) as server:
        yield server


@pytest.fixture
def server(any_server: Server) -> Iterator[Server]:
    with leaves_nothing(any_server):
        yield any_server


class Chaos:
    """A client that sends numbers to an echo, and does its worst."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.channel = Channel(server).open()
        self.sent = 0  # messages that the server is known to have
        self.tried = 0  # those of the request that is under way
        self.received: list[str] = []
        self.cuts: dict[str, int] = {}

    # -- the forward channel

    def batch(self) -> list[int]:
        """What the next request carries: all that the one before it had, if that may have been lost."""
        self.tried = min(MESSAGES, self.tried + self.random.randint(0, 60))
        return list(range(self.sent, self.tried))

    def aid(self) -> str:
        """What a client says that it has seen, which may be old."""
        aid = self.channel.aid
        return str(aid if self.random.random() < 0.7 else max(-1, aid - self.random.randint(0, 50)))

    def post(self) -> None:
        channel = self.channel
        connected, last_sent, _ = channel.post(
            *self.batch(), rid=channel.rid, first=self.sent, AID=self.aid()
        )
        assert connected in (0, 1)
        assert last_sent >= channel.aid
        self.sent = self.tried
        channel.rid += 1

    def cut_post(self) -> None:
        """The server gets part of it, or all of it, and its answer is never read."""
        channel = self.channel
        client = channel.send_post(
            *self.batch(), rid=channel.rid, first=self.sent, AID=self.aid(), cut=self.random.choice([0, 0.5])
        )
        self.leave(client)
        channel.posting = None
        self.count("posts")

    # -- the back channel

    def open(self) -> None:
        self.channel.send_back(streams=self.random.random() < 0.6, AID=self.aid())

    def read(self) -> None:
        """Take a chunk; what has come is taken for seen."""
        if len(self.received) >= self.sent:
            return  # there may be nothing to wait for
        if self.channel.held is None:
            self.open()
        self.channel.arrays()
        self.collect()

    def cut_back(self) -> None:
        """Read a few bytes of it, or none."""
        channel = self.channel
        if channel.held is None:
            self.open()
        assert channel.held is not None
        client = channel.held.client
        try:
            if self.random.random() < 0.5 and len(self.received) < self.sent:
                client.take(self.random.randint(1, 600), time.monotonic() + 0.05)
        except (EndOfFile, TimeoutError):
            pass
        self.leave(client)
        channel.getting = channel.held = None
        self.count("backs")

    def overtake(self) -> None:
        """Ask again on another connection, and read on the old one what there is."""
        channel = self.channel
        old, channel.getting = channel.held, None
        self.open()
        if old is None:
            return
        if self.random.random() < 0.5:
            try:
                while arrays := old.arrays(timeout=0.05):
                    channel.note(arrays)
            except TimeoutError:
                pass  # it was the old one that has come later, and has ended the new one
            self.collect()
        self.leave(old.client)
        self.count("overtaken")

    # -- all of it

    def collect(self) -> None:
        self.received += self.channel.waiting
        self.channel.waiting.clear()

    def leave(self, client: Client) -> None:
        if self.random.random() < 0.5:
            client.reset()
        else:
            client.sock.close()
        self.server.clients.remove(client)

    def count(self, what: str) -> None:
        self.cuts[what] = self.cuts.get(what, 0) + 1

    def run(self) -> None:
        while len(self.received) < MESSAGES:
            steps = [self.read, self.read, self.cut_back, self.overtake]
            if self.sent < MESSAGES:
                steps += [self.post, self.post, self.cut_post]
            self.random.choice(steps)()


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost(server: Server, seed: int) -> None:
    chaos = Chaos(server, seed)
    chaos.run()
    assert chaos.received == [str(number) for number in range(MESSAGES)]
    assert all(chaos.cuts[what] > 20 for what in ("posts", "backs", "overtaken")), chaos.cuts
    assert chaos.channel.ids == list(range(MESSAGES + 1))
    chaos.channel.close()
