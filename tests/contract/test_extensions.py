"""Plugins, message transforms and held `connection` listeners on real connections: what the fakes of the
unit tests could hide, such as what is left behind when a client leaves in the middle of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.client import PONG, Client, close, frame, text
from tests.support.hosts import Server, leaves_nothing, serve

FACTORY = "tests.support.extended:create"
PING = 0x9
BLOCKED = {"incoming": "block"}


@pytest.fixture(scope="module", params=["own", "gunicorn"])
def shared(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, factory=FACTORY, close_timeout=0.4, transform_timeout=0.3) as server:
        with server.spark() as client:
            client.send_message("warm up")
            client.recv_text()
            client.close_properly()
        server.wait_state(sparks=0, objects=0)
        yield server


@pytest.fixture
def extended(shared: Server) -> Iterator[Server]:
    """After the test there are as many sparks, greenlets and sockets as before."""
    with leaves_nothing(shared):
        yield shared


def connect(server: Server, **query: str) -> Client:
    words = "&".join(f"{name}={value.replace(' ', '%20')}" for name, value in query.items())
    return server.client().upgrade(f"/primus?{words}")


def broadcast(server: Server, message: Any) -> Any:
    body = json.dumps(message).encode()
    response, answer = server.request(
        "/control/broadcast", {"Content-Type": "application/json"}, method="POST", body=body
    )
    assert response.status == 200
    return json.loads(answer)


# -- transforms


@pytest.mark.parametrize("service", ["echo", "listen"])
def test_messages_stay_in_order_behind_a_transform_that_blocks(extended: Server, service: str) -> None:
    with connect(extended, service=service) as client:
        client.send(text(BLOCKED) + text({"incoming": "swallow"}) + b"".join(map(text, range(50))))
        extended.wait_state(counts=lambda counts: counts.get("blocked") == 1)
        # The connection is alive meanwhile.
        client.send(frame(PING, b"x") + text("primus::ping::7"))
        assert client.recv_frame().opcode == PONG
        assert client.recv_message() == "primus::pong::7"
        extended.control("go")
        assert client.recv_message() == BLOCKED
        assert [client.recv_message() for _ in range(50)] == list(range(50))
        client.close_properly()


def test_what_a_transform_refuses_is_an_error_of_the_spark(extended: Server) -> None:
    extended.expected += ["the transform was sent this", "the transform refuses", "did not call next"]
    with connect(extended, service="errors") as client:
        for message in ({"incoming": "raise"}, {"next": "refuse"}, {"next": "never"}, "last"):
            client.send_message(message)
        assert client.recv_message() == {"error": "the transform was sent this"}
        assert client.recv_message() == {"error": "the transform refuses"}
        assert "did not call next within 0.3 s" in client.recv_message()["error"]
        assert client.recv_message() == "last"
        client.close_properly()


@pytest.mark.parametrize("service", ["echo", "listen"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_while_a_transform_blocks_leaves_nothing(
    extended: Server, service: str, how: str
) -> None:
    clients = [connect(extended, service=service) for _ in range(10)]
    for client in clients:
        client.send(text(BLOCKED) + text("next"))
    extended.wait_state(counts=lambda counts: counts.get("blocked") == 10)
    for client in clients:
        if how == "close":
            client.send(close())
        else:
            client.reset()
    extended.wait_state(sparks=0)
    extended.control("go")
    extended.wait_state(
        objects=0, counts=lambda counts: counts["blocked"] == 0 and counts["disconnection"] == 10
    )


def test_a_broadcast_that_fails_for_one_reaches_the_others(extended: Server) -> None:
    extended.expected += ["does not like bad ones"]
    names = ["ann", "bad", "bob", "silent", "cy"]
    clients = [connect(extended, service="idle", name=name) for name in names]
    extended.wait_state(sparks=len(names))
    assert broadcast(extended, {"personal": 1}) is True
    assert broadcast(extended, "for all") is True
    for name, client in zip(names, clients, strict=True):
        if name not in ("bad", "silent"):
            assert client.recv_message() == {"personal": 1, "to": name}
        assert client.recv_message() == "for all"
        client.close_properly()


def test_sparks_are_visited_one_after_the_other(extended: Server) -> None:
    clients = [connect(extended, service="idle") for _ in range(100)]
    extended.wait_state(sparks=100)
    assert extended.control("visit") == [1, None, 100]
    assert [client.recv_message() for client in clients] == [{"visit": number + 1} for number in range(100)]


# -- connection listeners


@pytest.mark.parametrize("service", ["echo", "listen"])
def test_messages_wait_for_a_listener_that_holds_the_others_back(extended: Server, service: str) -> None:
    with connect(extended, service=service, hold="go") as client:
        client.send(b"".join(map(text, range(50))) + text("primus::id::"))
        extended.wait_state(counts=lambda counts: counts.get("held") == 1)
        assert client.recv_message().startswith("primus::id::")
        extended.control("go")
        assert [client.recv_message() for _ in range(50)] == list(range(50))
        client.close_properly()


def test_next_with_an_error_is_final_for_the_client(extended: Server) -> None:
    with connect(extended, hold="refuse") as client:
        assert client.recv_message() == "primus::server::close"
        client.expect_close(1000)
    extended.wait_state(counts=lambda counts: counts.get("disconnection") == 1 and "connection" not in counts)


def test_a_listener_that_raises_lets_the_client_come_back(extended: Server) -> None:
    extended.expected += ["the listener was sent here"]
    with connect(extended, hold="raise") as client:
        client.expect_close(1011)


@pytest.mark.parametrize("hold", ["go", "for ever"])
def test_a_client_that_leaves_while_it_is_held_leaves_nothing(extended: Server, hold: str) -> None:
    clients = [connect(extended, hold=hold) for _ in range(10)]
    extended.wait_state(sparks=10, counts=lambda counts: counts.get("held") == 10)
    for client in clients:
        client.send(text(1) + close())
    extended.wait_state(sparks=0, counts=lambda counts: counts.get("disconnection") == 10)
    extended.control("go")
    if hold == "go":
        extended.wait_state(counts=lambda counts: counts.get("held") == 0)
    extended.wait_state(objects=0, counts=lambda counts: "connection" not in counts)


# -- plugins


def test_a_plugin_that_is_removed_is_gone_from_server_and_library(extended: Server) -> None:
    def library(etag: str | None = None) -> tuple[int, str, bytes]:
        headers = {"If-None-Match": etag} if etag else {}
        response, body = extended.request("/primus/primus.js", headers)
        return response.status, response.headers["ETag"], body

    status, etag, body = library()
    assert (status, body.count(b"by the plugin")) == (200, 1)
    assert library(etag)[0] == 304
    with connect(extended, service="shout") as client:
        client.send_message("hello")
        assert client.recv_message() == "HELLO"
        try:
            assert extended.control("plugout") is True
            assert extended.control("plugout") is False
            status, without, body = library(etag)  # a page that knows the old one gets the new one
            assert (status, body.count(b"by the plugin")) == (200, 0)
            extended.expected += ["'Spark' object has no attribute 'shout'"]
            client.send_message("hello")
            client.expect_close(1011)
        finally:
            extended.control("use")
    assert library(without)[:2] == (200, etag)
