"""No message is lost, doubled or out of order, however connections are cut: polls while they wait, posts in
the middle of their bodies, and both while the session moves over to a WebSocket.

What cannot be promised is not tried: a client that resets its connection with an answer on the way to it has
lost that, because Engine.IO has no acknowledgements. These hang up with a FIN and read what there is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.support.engine import Engine, decode_payload, engine_server
from tests.support.hosts import Server, leaves_nothing

MESSAGES = 10_000  # each way


@pytest.fixture(scope="module", params=["own", "own-tls", "pywsgi", "gunicorn"])
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with engine_server(request.param) as server:
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
        self.session = Engine(server, "echo").open()
        self.sent = 0
        self.received: list[int] = []
        self.polling = False
        self.cuts = 0

    def batch(self) -> list[str]:
        """The next packets."""
        end = min(MESSAGES, self.sent + self.random.randint(1, 120))
        return [f"4{number}" for number in range(self.sent, end)]

    def take(self, packets: list[str | bytes]) -> None:
        for packet in packets:
            assert isinstance(packet, str)
            if packet == "2":
                self.session.post("3")
            elif packet != "6":
                assert packet[0] == "4", packet
                self.received.append(int(packet[1:]))

    # -- what it does

    def post(self) -> None:
        packets = self.batch()
        self.session.post(*packets)
        self.sent += len(packets)

    def cut_post(self) -> None:
        """It is sent again later: the server must not have looked at the half."""
        packets = self.batch()
        body, headers = self.session.body(packets)
        with self.server.client() as client:
            length = {**headers, "Content-Length": str(len(body) + 1)}
            cut = self.random.randrange(len(body) + 1)
            client.send_request(self.session.path(), length, method="POST", body=body[:cut])
            if self.random.random() < 0.5:
                client.reset()
        self.server.clients.remove(client)
        self.cuts += 1

    def poll(self) -> None:
        if not self.polling:
            self.session.send_poll()
            self.polling = True

    def finish_poll(self) -> None:
        self.poll()
        self.polling = False
        self.take(self.session.recv_poll())

    def cut_poll(self) -> None:
        """Hang up, and keep what was on the way."""
        self.poll()
        client = self.session.getting
        assert client is not None
        client.fin()
        data = client.rest()
        client.sock.close()
        self.server.clients.remove(client)
        self.session.getting = None
        self.polling = False
        self.cuts += 1
        head, _, body = data.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 200 "):
            assert f"content-length: {len(body)}".encode() in head.lower()
            self.take(decode_payload(body, 4))

    def step(self) -> None:
        sending = [self.post, self.post, self.cut_post] if self.sent < MESSAGES else []
        self.random.choice([*sending, self.poll, self.cut_poll, self.finish])()

    def finish(self) -> None:
        if len(self.received) < self.sent:
            self.finish_poll()

    def run_until(self, count: int) -> None:
        while len(self.received) < count:
            self.step()

    def move_over(self) -> None:
        """To a WebSocket, in the middle of everything."""
        self.session.probe()
        socket, self.session.socket = self.session.socket, None
        for _ in range(10):
            self.step()
        if self.random.random() < 0.5 and self.polling:
            self.finish_poll()  # as the official clients do
        else:
            self.cut_poll()
        self.session.socket = socket
        packets = self.batch()
        self.session.send_frame("5", *packets)
        self.sent += len(packets)

    def run_out(self) -> None:
        """Over the WebSocket to the end."""
        while self.sent < MESSAGES:
            packets = self.batch()
            self.session.send_frame(*packets)
            self.sent += len(packets)
        while len(self.received) < MESSAGES:
            self.take([self.session.recv_frame()])


@pytest.mark.parametrize("seed", [1])
def test_nothing_is_lost(server: Server, seed: int) -> None:
    chaos = Chaos(server, seed)
    chaos.run_until(MESSAGES)
    assert chaos.received == list(range(MESSAGES))
    assert chaos.cuts > 50
    chaos.session.close()


@pytest.mark.parametrize("seed", [2, 3])
def test_nothing_is_lost_during_the_upgrade(server: Server, seed: int) -> None:
    chaos = Chaos(server, seed)
    chaos.run_until(1000 * seed)
    chaos.move_over()
    chaos.run_out()
    assert chaos.received == list(range(MESSAGES))
    chaos.session.close()
