"""Back-off and strategies, as `tests/js/recovery.test.js` has them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from primus_gevent.client.options import ClientOptions
from primus_gevent.errors import OptionError
from tests.unit.client.scripted import FAILED, World
from tests.unit.hub import turn


def delays(attempts: int, dice: float = 0.0, **reconnect: Any) -> tuple[list[float], dict[str, Any], World]:
    """Lose an open connection and fail so many attempts: the delays that were chosen, and the last outage."""
    world = World(dice)
    client = world.connected(reconnect=reconnect)
    chosen: list[float] = []
    last: dict[str, Any] = {}

    def note(outage: Any) -> None:
        chosen.append(round(outage.timeout, 6))
        last.update(vars(outage), scheduled=outage.scheduled)

    client.on("reconnecting", note)
    world.transport.drop()
    for n in range(1, attempts):
        world.clock.advance(chosen[n - 1])
        world.transport.drop(FAILED)
    return chosen, last, world


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        pytest.param(0.0, [0.5, 1, 2, 4, 8], id="lower bound: what the specification says"),
        pytest.param(0.999999999, [0.5, 2, 4, 8, 16], id="upper bound: twice that, except for the first"),
        pytest.param(0.25, [0.5, 1.25, 2.5, 5, 10], id="between"),
    ],
)
def test_delays_grow_and_are_randomised(dice: float, expected: list[float]) -> None:
    assert delays(5, dice)[0] == pytest.approx(expected)


def test_the_delay_passes_before_the_attempt() -> None:
    _, _, world = delays(1)
    world.clock.advance(0.499)
    assert len(world.transports) == 1
    world.clock.advance(0.001)
    assert len(world.transports) == 2


def test_the_options_and_what_a_listener_is_told() -> None:
    chosen, last, _ = delays(4, min_delay=0.1, max_delay=0.7, factor=3, retries=7)
    assert chosen == pytest.approx([0.1, 0.3, 0.7, 0.7])
    assert {name: last[name] for name in ("attempt", "retries", "min_delay", "max_delay", "factor")} == {
        "attempt": 4,
        "retries": 7,
        "min_delay": 0.1,
        "max_delay": 0.7,
        "factor": 3,
    }
    assert (last["timeout"], last["scheduled"], last["backoff"]) == (0.7, 0.7, True)


def test_defaults() -> None:
    _, last, _ = delays(1)
    names = ("min_delay", "max_delay", "retries", "factor", "reconnect_timeout")
    assert [last[name] for name in names] == [0.5, math.inf, 10, 2, 30]


def test_a_maximum_below_the_minimum_wins() -> None:
    assert delays(2, min_delay=0.5, max_delay=0.2)[0] == [0.2, 0.2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_delay": "soon"}, "at least 0, not 'soon'"),
        ({"max_delay": -1}, "at least 0, not -1"),
        ({"max_delay": math.nan}, "at least 0, not nan"),
        ({"retries": 1.5}, "whole number"),
        ({"retries": True}, "whole number"),
        ({"factor": 0.5}, "at least 1"),
        ({"reconnect_timeout": 0}, "or False to turn it off"),
        ({"minDelay": 1}, "did you mean 'min_delay'"),
        ({"min": 1}, "did you mean 'min_delay'"),
        ({"reconnect timeout": 1}, "did you mean 'reconnect_timeout'"),
        ({"jitter": 1}, "known are"),
        (False, "strategy=False never reconnects"),
    ],
)
def test_nonsense_is_refused(given: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ClientOptions.parse({"reconnect": given})


def test_retries_of_0_never_reconnect() -> None:
    world = World()
    client = world.connected(reconnect={"retries": 0})
    world.transport.drop()
    assert "end" in client.events
    assert "reconnecting" not in client.events


def test_without_a_limit_delays_go_on_beyond_what_a_number_holds() -> None:
    chosen, _, world = delays(1100, retries=math.inf, max_delay=3600)
    assert chosen[-1] == 3600
    assert len(world.transports) == 1100


def test_a_connection_that_opened_starts_the_count_again() -> None:
    chosen, _, world = delays(3)
    world.clock.advance(chosen[2])
    world.transport.accept()
    world.transport.drop()
    assert chosen[3] == 0.5


def test_a_second_reason_while_waiting_changes_nothing() -> None:
    world = World()
    client = world.connected()
    transport = world.transport
    transport.drop()
    transport.drop()
    transport.error(FAILED)
    assert client.events.count("reconnecting") == 1
    assert "error" not in client.events
    world.clock.advance(0.5)
    assert len(world.transports) == 2


@pytest.mark.parametrize("event", ["reconnecting", "reconnect scheduled", "reconnect"])
def test_end_in_a_listener(event: str) -> None:
    world = World()
    client = world.connected()
    client.on(event, lambda _: client.end())
    world.transport.drop()
    world.clock.advance(600)
    assert len(world.transports) == 1
    assert client.events.count("end") == 1
    assert world.clock.running == []


@pytest.mark.parametrize("event", ["reconnecting", "reconnect"])
def test_open_in_a_listener(event: str) -> None:
    world = World()
    client = world.connected()
    client.once(event, lambda _: client.open() and None)
    world.transport.drop()
    world.clock.advance(0.6)
    assert len(world.transports) == 2
    world.transport.accept()
    assert client.is_open
    world.clock.advance(9)
    assert len(world.transports) == 2, "and no attempt is left over"


# -- strategy


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, "disconnect online timeout"),
        (None, "disconnect online timeout"),
        (False, ""),
        ([], ""),
        ("", ""),
        ("dIsconNect", "disconnect"),
        ("online,  TIMEOUT , disconnect", "online timeout disconnect"),
        ("online timeout", "online timeout"),
        (["Online", "timeout", " Disconnect"], "online timeout disconnect"),
    ],
)
def test_strategies_are_normalised(given: Any, expected: str) -> None:
    assert ClientOptions.parse({"strategy": given}).strategy == tuple(expected.split())


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(OptionError, match="'sometimes' is none"):
        ClientOptions.parse({"strategy": "online, sometimes"})


def test_false_does_not_reconnect_at_all() -> None:
    world = World()
    client = world.connected(strategy=False)
    world.transport.drop()
    world.clock.advance(600)
    turn()
    assert len(world.transports) == 1
    assert client.ready_state == client.CLOSED
