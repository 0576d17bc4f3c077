"""No message is lost, doubled or out of order, however connections are cut, where the client counts (`seen`
and `first`, see `primus_gevent.transformers.sockjs`): receiving requests while they wait and while they bring
something, sending requests in the middle of their bodies and before their answers.

Half of the cuts are resets, which throw away what is on its way.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from tests.support.client import Client, EndOfFile
from tests.support.hosts import Server, leaves_nothing
from tests.support.sockjs import PRELUDE, SockJS, Stream, messages_of, sockjs_server

MESSAGES = 10_000  # each way


@pytest.fixture(scope="module", params=["own", "own-tls", "pywsgi", "gunicorn"])
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    transport = {"response_limit": 4096, "disconnect_delay": 6.0}
    with sockjs_server(request.param, transport=transport) as server:
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
        self.session = SockJS(server, "echo")
        self.sent = 0  # and answered
        self.received: list[int] = []
        self.receiving = False
        self.cuts = 0
        self.repeated = 0
        self.open()

    def take(self, frame: str) -> None:
        if frame != "h":
            self.received += [json.loads(message) for message in messages_of(frame)]

    @property
    def seen(self) -> str:
        return str(len(self.received))

    def hang_up(self, client: Client) -> None:
        if self.random.random() < 0.5:
            client.reset()
        else:
            client.sock.close()
        self.server.clients.remove(client)
        self.cuts += 1

    # -- sending

    def batch(self) -> str:
        end = min(MESSAGES, self.sent + self.random.randint(1, 120))
        return json.dumps([str(number) for number in range(self.sent, end)])

    def post(self) -> None:
        body = self.batch()
        response = self.session.post(body, first=str(self.sent))
        assert response.status == 204, response
        self.sent += len(json.loads(body))

    def cut_post(self) -> None:
        """The server may have taken it or not; it is sent again, and perhaps with more."""
        body = self.batch().encode()
        whole = self.random.random() < 0.5
        cut = len(body) if whole else self.random.randrange(len(body))
        with self.server.client() as client:
            headers = {"Content-Type": "text/plain", "Content-Length": str(len(body))}
            path = self.session.path("xhr_send", first=str(self.sent))
            client.send_request(path, headers, method="POST", body=body[:cut])
            self.hang_up(client)
        self.repeated += whole

    # -- receiving

    def open(self) -> None:
        self.session.open(seen="0")

    def begin(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Receive until something has come."""
        raise NotImplementedError

    def cut(self) -> None:
        """Hang up, and perhaps keep some of what was on the way."""
        raise NotImplementedError

    def drop(self) -> None:
        client = self.session.getting
        assert client is not None
        self.session.getting = None
        self.receiving = False
        self.hang_up(client)

    def step(self) -> None:
        sending = [self.post, self.post, self.cut_post] if self.sent < MESSAGES else []
        receiving = [self.finish] if len(self.received) < self.sent else []
        self.random.choice([*sending, *receiving, self.begin, self.cut])()

    def run(self) -> None:
        while len(self.received) < MESSAGES:
            self.step()


class Polling(Chaos):
    def begin(self) -> None:
        if not self.receiving:
            self.session.send_poll(seen=self.seen)
            self.receiving = True

    def finish(self) -> None:
        self.begin()
        self.receiving = False
        self.take(self.session.recv_poll())

    def cut(self) -> None:
        self.begin()
        assert self.session.getting is not None
        if self.random.random() < 0.5:
            self.session.getting.quiet(0.01)  # the answer is on its way, and nobody reads it
        self.drop()


class Streaming(Chaos):
    stream: Stream

    def open(self) -> None:
        stream = self.session.stream(seen="0")
        assert stream.chunk() == PRELUDE
        assert stream.chunk() == b"o\n"
        self.stream = stream
        self.receiving = True

    def begin(self) -> None:
        if not self.receiving:
            self.stream = self.session.stream(seen=self.seen)
            assert self.stream.chunk() == PRELUDE
            self.receiving = True

    def finish(self) -> None:
        self.begin()
        chunk = self.stream.chunk().decode()
        if not chunk:
            self.receiving = False  # the response limit
            return
        for frame in chunk.splitlines():
            self.take(frame)

    def cut(self) -> None:
        self.begin()
        client = self.session.getting
        assert client is not None
        if self.random.random() < 0.5:
            try:
                while not client.quiet(0.01):
                    for frame in self.stream.chunk().decode().splitlines():
                        self.take(frame)
            except (EndOfFile, ValueError):
                pass
        self.drop()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", [Polling, Streaming])
def test_nothing_is_lost(server: Server, kind: type[Chaos], seed: int) -> None:
    chaos = kind(server, seed)
    chaos.run()
    assert chaos.received == list(range(MESSAGES))
    assert chaos.cuts > 50
    assert chaos.repeated > 10
    chaos.session.end()
    server.wait_state(sparks=0, sessions=0)
