"""Heartbeats in both directions, as `tests/js/heartbeat.test.js` has them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.scripted import World, visible


@pytest.fixture
def world() -> World:
    return World()


def now_ms(world: World) -> int:
    return int(world.clock.now() * 1000)


# -- our pings


def test_every_25_s_answered_within_10_s(world: World) -> None:
    client = world.connected()
    for n in (1, 2, 3):
        client.events.clear()
        world.clock.advance(25)
        asked = now_ms(world)
        assert world.transport.sent[n - 1 :] == [f'"primus::ping::{asked}"']
        assert client.events == [f'outgoing::data "primus::ping::{asked}"', f"outgoing::ping {asked}"]
        client.events.clear()
        world.clock.advance(0.04)
        world.transport.message(f'"primus::pong::{asked}"')
        assert client.events == [f'incoming::data "primus::pong::{asked}"', f"incoming::pong {asked}"]
        assert client.latency == pytest.approx(0.04, abs=0.0011)


def test_no_answer_offline_and_the_reconnect_process(world: World) -> None:
    client = world.connected()
    old = world.transport
    world.clock.advance(25)
    client.events.clear()
    world.clock.advance(9.99)
    assert client.events == []
    world.clock.advance(0.01)
    assert visible(client.events) == [
        *("offline", "readyStateChange end", "close", "reconnecting", "reconnect scheduled")
    ]
    assert client.online is False
    assert old.closed, "the dead connection is not kept"
    client.events.clear()
    old.message('"late"')
    assert client.events == []
    world.clock.advance(0.5)
    client.events.clear()
    world.transport.accept()
    assert visible(client.events) == ["online", "readyStateChange open", "open", "reconnected"]
    assert client.online is True


def test_no_answer_after_the_close_message_is_the_end(world: World) -> None:
    client = world.connected()
    world.transport.message('"primus::server::close"')
    client.events.clear()
    world.clock.advance(35)
    assert visible(client.events) == ["offline", "readyStateChange end", "close", "end"]


def test_end_in_an_offline_listener(world: World) -> None:
    client = world.connected()
    client.on("offline", client.end)
    world.clock.advance(600)
    assert visible(client.events) == ["offline", "readyStateChange end", "close", "end"]


def test_traffic_does_not_postpone_them(world: World) -> None:
    """The server counts on them."""
    world.connected()
    world.clock.advance(20)
    world.transport.message('"hello"')
    world.clock.advance(5)
    assert world.transport.sent == [f'"primus::ping::{now_ms(world)}"']


def test_options(world: World) -> None:
    client = world.connected(ping=1, pong=2)
    world.clock.advance(1)
    assert len(world.transport.sent) == 1
    world.clock.advance(1.99)
    assert "offline" not in client.events
    world.clock.advance(0.01)
    assert "offline" in client.events


def test_ping_false_sends_none(world: World) -> None:
    client = world.connected(ping=False)
    world.clock.advance(6000)
    assert (world.transport.sent, client.events) == ([], [])


def test_a_pong_that_is_no_number_leaves_the_latency_alone(world: World) -> None:
    client = world.connected()
    before = client.latency
    world.transport.message('"primus::pong::x"')
    assert client.latency == before


def test_end_stops_them(world: World) -> None:
    client = world.connected()
    client.end()
    world.clock.advance(600)
    assert world.transport.sent == []
    assert world.clock.running == []


def test_who_does_not_read_does_not_blame_the_server(world: World) -> None:
    """The answer may be behind what the inbox has no room for."""
    client = world.connected(listen=False, inbox_messages=2)
    world.transport.message("1", "2")
    assert client.socket.paused
    world.clock.advance(25 + 10 + 100)
    assert "offline" not in client.events
    assert [client.read(0), client.read(0)] == [1, 2]
    assert not client.socket.paused
    world.clock.advance(10)
    assert "offline" in client.events


def test_a_server_that_left_while_we_did_not_read_is_noticed(world: World) -> None:
    client = world.connected(listen=False, inbox_messages=1)
    world.transport.message("1")
    client.socket.left = True
    world.clock.advance(35)
    assert "offline" in client.events


def test_they_are_not_piled_up_for_a_server_that_does_not_take_them(world: World) -> None:
    client = world.connected()
    client.socket.full = True
    world.transport.message('"primus::ping::1"')
    assert world.transport.sent == []
    assert client.dropped_counts == {"heartbeats": 1}


# -- pings of the server


def test_are_answered_with_the_same_text(world: World) -> None:
    client = world.connected()
    world.transport.message('"primus::ping::1400000000123"')
    assert client.events[1:] == [
        "incoming::ping 1400000000123",
        'outgoing::data "primus::pong::1400000000123"',
        "outgoing::pong 1400000000123",
    ]
    world.transport.message('"primus::ping:x"', '"primus::ping::not a number"')
    assert world.transport.sent == [
        '"primus::pong::1400000000123"',
        '"primus::pong::"',
        '"primus::pong::not a number"',
    ]


def test_the_first_one_stops_ours_and_is_expected_again_from_then_on(world: World) -> None:
    client = world.connected()
    world.clock.advance(25)
    assert len(world.transport.sent) == 1, "ours"
    world.clock.advance(5)
    world.transport.message('"primus::ping::1"')
    world.clock.advance(30)
    world.transport.message('"primus::ping::2"')
    world.clock.advance(44.9)
    assert world.transport.sent[1:] == ['"primus::pong::1"', '"primus::pong::2"']
    assert "offline" not in client.events
    client.events.clear()
    world.clock.advance(0.1)
    assert visible(client.events)[:3] == ["offline", "readyStateChange end", "close"]


def test_a_late_pong_does_not_bring_ours_back(world: World) -> None:
    world.connected()
    world.clock.advance(25)
    world.transport.message('"primus::ping::1"', '"primus::pong::1400000000000"')
    world.clock.advance(40)
    assert len(world.transport.sent) == 2


@pytest.mark.parametrize("event", ["incoming::ping", "outgoing::pong"])
def test_end_in_a_listener(world: World, event: str) -> None:
    client = world.connected()
    client.on(event, lambda _: client.end())
    world.transport.message('"primus::ping::1"')
    world.clock.advance(600)
    assert "end" in client.events
    assert world.clock.running == []
    assert not client.buffer, "no pong waits for the next connection"


def test_another_server_may_answer_after_a_reconnect(world: World) -> None:
    world.connected()
    world.transport.message('"primus::ping::1"')
    world.transport.drop()
    world.clock.advance(0.5)
    world.transport.accept()
    world.clock.advance(25)
    assert world.transport.sent == [f'"primus::ping::{now_ms(world)}"']


def test_ping_timeout_without_ping_expects_them_from_the_start(world: World) -> None:
    client = world.connected(ping_timeout=45)
    world.clock.advance(44.9)
    assert (world.transport.sent, client.events) == ([], [])
    world.clock.advance(0.1)
    assert "offline" in client.events


def test_ping_timeout_without_pings_of_ours_expects_them_too(world: World) -> None:
    """What `connect` gives a client of Primus 7 and later."""
    client = world.connected(ping=False, ping_timeout=45)
    world.clock.advance(45)
    assert "offline" in client.events


def test_ping_timeout_with_ping_waits_for_the_first(world: World) -> None:
    client = world.connected(ping=20, ping_timeout=1)
    world.clock.advance(20)
    assert len(world.transport.sent) == 1
    world.transport.message('"primus::ping::1"')
    world.clock.advance(1)
    assert "offline" in client.events


def test_ping_timeout_false_watches_nothing(world: World) -> None:
    client = world.connected(ping_timeout=False)
    world.transport.message('"primus::ping::1"')
    world.clock.advance(6000)
    assert "offline" not in client.events


@pytest.mark.parametrize("parser", ["json", "ejson", "msgpack", "binary", "jsonh", "orjson"])
def test_every_parser_carries_them(parser: str, world: World) -> None:
    client: Any = world.connected(parser=parser)
    world.clock.advance(25)
    (sent,) = world.transport.sent
    assert client.parser.decoder(sent) == f"primus::ping::{now_ms(world)}"
    world.transport.message(client.parser.encoder("primus::ping::7"))
    assert client.parser.decoder(world.transport.sent[1]) == "primus::pong::7"
