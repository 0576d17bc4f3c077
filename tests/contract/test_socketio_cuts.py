"""No message is lost, doubled or out of order over xhr-polling, however connections are cut: polls while they
wait, when a second one takes their place, and posts in the middle of their bodies.

What cannot be promised is not tried: a client that resets its connection with an answer on the way to it
has lost that, because Socket.IO 0.9 counts nothing. These hang up with a FIN and read what there is.
"""

from __future__ import annotations

import random
import select
from collections.abc import Iterator

import pytest

from tests.support.client import SECONDS, Client
from tests.support.hosts import Server, leaves_nothing
from tests.support.socketio import SocketIO, decode_payload, socketio_server

MESSAGES = 10_000  # each way


@pytest.fixture(scope="module", params=["own", "own-tls", "pywsgi", "gunicorn"])
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with socketio_server(request.param) as server:
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
        self.session = SocketIO(server).open()
        self.sent = 0
        self.received: list[int] = []
        self.polling = False
        self.cuts = 0

    def batch(self) -> list[str]:
        """The next packets."""
        end = min(MESSAGES, self.sent + self.random.randint(1, 120))
        return [f"3:::{number}" for number in range(self.sent, end)]

    def take(self, packets: list[str]) -> None:
        for packet in packets:
            if packet != "8::":
                assert packet.startswith("3:::"), packet
                self.received.append(int(packet[4:]))

    # -- what it does

    def post(self) -> None:
        packets = self.batch()
        self.session.post(*packets)
        self.sent += len(packets)

    def cut_post(self) -> None:
        """It is sent again later: the server must not have looked at the half."""
        body = self.session.body(*self.batch())
        with self.server.client() as client:
            headers = {"Content-Length": str(len(body) + 1)}
            cut = self.random.randrange(len(body) + 1)
            client.send_request(self.session.path(), headers, method="POST", body=body[:cut])
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

    def take_rest(self, client: Client) -> None:
        """Of a connection that is given up, with what was on the way."""
        client.fin()
        head, _, body = client.rest().partition(b"\r\n\r\n")
        client.sock.close()
        self.server.clients.remove(client)
        if head.startswith(b"HTTP/1.1 200 "):
            assert f"content-length: {len(body)}".encode() in head.lower()
            self.take(decode_payload(body.decode()))

    def cut_poll(self) -> None:
        """Hang up, and keep what was on the way."""
        self.poll()
        client, self.session.getting = self.session.getting, None
        assert client is not None
        self.polling = False
        self.cuts += 1
        self.take_rest(client)

    def supersede(self) -> None:
        """Send a second poll beside the first one: the one that comes to the server last stays."""
        self.poll()
        first = self.session.getting
        self.session.getting = second = self.server.client()
        second.request("/primus")  # what TLS says after its handshake would make it readable
        self.session.send_poll()
        assert first is not None
        readable, _, _ = select.select([first.sock, second.sock], [], [], SECONDS)
        ends, stays = (first, second) if first.sock in readable else (second, first)
        self.session.getting = stays
        response = ends.recv_response()
        assert response.status == 200
        self.take(decode_payload(response.body.decode()))
        ends.sock.close()
        self.server.clients.remove(ends)

    def step(self) -> None:
        sending = [self.post, self.post, self.cut_post] if self.sent < MESSAGES else []
        self.random.choice([*sending, self.poll, self.cut_poll, self.supersede, self.finish])()

    def finish(self) -> None:
        if len(self.received) < self.sent:
            self.finish_poll()

    def run(self) -> None:
        while len(self.received) < MESSAGES:
            self.step()
        if self.polling:
            self.session.cut_poll()
        assert self.cuts > 20


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost(server: Server, seed: int) -> None:
    chaos = Chaos(server, seed)
    chaos.run()
    assert chaos.received == list(range(MESSAGES))
    chaos.session.close()
