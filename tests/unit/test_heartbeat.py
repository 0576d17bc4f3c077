"""The sweep: who is ended for silence, who is pinged, and who is left alone. Time is given, not awaited."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import gevent
import pytest

from primus_gevent import Primus, clock
from primus_gevent.heartbeat import MAX_STEP_SECONDS, MIN_STEP_SECONDS, Sweep
from primus_gevent.testing.virtual import VirtualTime
from tests.unit.fakes import connect
from tests.unit.hub import eventually, turn


class World:
    """One spark, and a sweep that looks at it at given seconds after its start."""

    def __init__(self, **options: Any) -> None:
        self.primus = Primus(**options)
        self.primus._sweep.start = lambda: None  # type: ignore[method-assign]
        self.spark = connect(self.primus)
        self.spark.socket.active = False
        self.start = self.spark.seen_at

    def look(self, *seconds: float) -> None:
        for second in seconds:
            self.primus._sweep._look(self.spark, self.start + second, int(second * 1000))

    @property
    def sent(self) -> list[str]:
        return self.spark.socket.sent


def test_a_silent_spark_is_ended_so_that_its_client_comes_back() -> None:
    world = World(timeout=10, ping_interval=False)
    world.look(1, 9, 10)
    assert world.spark.writable
    world.look(10.5)
    assert world.spark.socket.calls == [("close", 1012)]
    assert world.sent == []


def test_any_byte_begins_the_time_anew() -> None:
    world = World(timeout=10, ping_interval=False)
    world.look(8)
    world.spark.socket.active = True
    world.look(9, 19)
    assert world.spark.writable
    assert world.spark.socket.active is False
    world.look(19.5)
    assert not world.spark.writable


def test_what_we_do_not_read_is_not_held_against_the_client() -> None:
    world = World(timeout=10, ping_interval=False)
    world.spark.socket.paused = True
    world.look(5, 50, 500)
    assert world.spark.writable
    world.spark.socket.has_left = True
    world.look(505, 509.9)
    assert world.spark.writable  # what it sent may still be read, for a while
    world.look(511)
    assert not world.spark.writable


def test_a_newer_client_is_pinged_from_the_interval_on() -> None:
    world = World(timeout=35, ping_interval=30)
    world.look(10, 29)
    assert world.sent == []
    world.look(30)
    assert world.sent == ['"primus::ping::30000"']
    world.spark.socket.deliver('"primus::pong::30000"')
    world.spark.socket.active = True
    world.look(31, 45, 59)
    assert len(world.sent) == 1
    world.look(60)
    assert len(world.sent) == 2


def test_a_client_that_pings_by_itself_is_never_pinged() -> None:
    world = World(timeout=35, ping_interval=30)
    world.spark.socket.deliver('"primus::ping::1"')
    assert world.sent == ['"primus::pong::1"']
    world.spark.socket.active = True
    world.look(25, 30, 60)
    assert len(world.sent) == 1


def test_who_is_ended_is_not_pinged() -> None:
    world = World(timeout=10, ping_interval=5)
    world.look(11)
    assert world.sent == []
    assert not world.spark.writable


@pytest.mark.parametrize(("options", "pings"), [({"timeout": False}, 1), ({"ping_interval": False}, 0)])
def test_either_half_can_be_turned_off(options: dict[str, Any], pings: int) -> None:
    world = World(**{"timeout": 100, "ping_interval": 60, **options})
    world.look(99)
    assert len(world.sent) == pings
    world.look(101)
    assert world.spark.writable is (options.get("timeout") is False)


@pytest.mark.parametrize(
    ("timeout", "interval", "step"),
    [
        (35, 30, 1.0),
        (2, 1, 0.05),
        (0.1, False, MIN_STEP_SECONDS),
        (False, 4, 0.2),
        (1000, False, MAX_STEP_SECONDS),
    ],
)
def test_it_looks_often_enough_and_no_more(timeout: Any, interval: Any, step: float) -> None:
    assert Sweep(list, timeout, interval)._step == pytest.approx(step)


def test_with_both_halves_off_it_never_runs() -> None:
    sweep = Sweep(list, False, False)
    sweep.start()
    assert sweep._greenlet is None
    sweep.stop()


def test_it_runs_while_there_are_sparks_and_again_with_the_next_one(virtual: VirtualTime) -> None:
    primus = Primus(timeout=35, ping_interval=False)
    sweep = primus._sweep
    spark = connect(primus)
    first = sweep._greenlet
    assert first
    connect(primus)
    assert sweep._greenlet is first  # one for all
    spark.socket.active = False
    virtual.advance(34.9)
    assert primus.connected == 2
    virtual.advance(1.2)
    assert primus.connected == 1  # the other one has been heard, once
    virtual.advance(1)
    assert (primus.connected, first.dead) == (0, False)
    virtual.advance(1)
    assert first.dead
    connect(primus)
    assert sweep._greenlet is not first
    sweep.stop()
    sweep.stop()
    turn()
    assert sweep._greenlet is None


def test_it_pings_over_and_over(virtual: VirtualTime) -> None:
    primus = Primus(timeout=False, ping_interval=30)
    spark = connect(primus)
    began_ms = clock.now() * 1000
    virtual.advance(100)
    after = [int(text.strip('"').partition("ping::")[2]) - began_ms for text in spark.socket.sent]
    assert after == [pytest.approx(30_000, abs=1), pytest.approx(60_000, abs=1), pytest.approx(90_000, abs=1)]
    primus._sweep.stop()


def test_it_keeps_no_spark_alive_while_it_sleeps() -> None:
    primus = Primus(timeout=60)
    spark = connect(primus)
    connection = spark.socket
    turn(3)  # it has looked, and sleeps
    assert primus._sweep._greenlet
    gone = weakref.ref(spark)
    connection.drop()
    connection.receiver = None
    turn(2)
    gc.disable()
    try:
        del spark
        assert gone() is None
    finally:
        gc.enable()
    primus._sweep.stop()


def test_a_parser_that_cannot_ping_does_not_end_the_sweep(virtual: VirtualTime) -> None:
    class NumbersOnly:
        @staticmethod
        def encoder(data: Any) -> str:
            return f"{data:d}"

        decoder = staticmethod(int)

    primus = Primus(parser=NumbersOnly, timeout=False, ping_interval=30)
    errors: list[Any] = []
    primus.on("log", lambda level, error, spark: errors.append(spark))
    sparks = {connect(primus), connect(primus)}
    virtual.advance(60)
    assert len(errors) == 4
    assert set(errors) == sparks
    assert primus._sweep._greenlet
    primus._sweep.stop()


def test_a_process_that_stood_still_hears_its_clients_before_it_judges_them() -> None:
    primus = Primus(timeout=0.4, ping_interval=False)
    alive, silent = connect(primus), connect(primus)
    alive.socket.active = silent.socket.active = False
    turn()  # the sweep has begun

    def arrives() -> None:
        alive.socket.active = True

    time.sleep(1.2)  # nothing runs
    # What came meanwhile is read after the timers that have run out.
    timer = gevent.get_hub().loop.timer(0.001)
    timer.start(arrives)
    eventually(lambda: not silent.writable)
    assert alive.writable
    timer.stop()
    timer.close()
    primus.destroy()
