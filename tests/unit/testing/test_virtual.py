"""Virtual time: what waits for a timer of gevent's waits until a test lets time pass, and no longer."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event
from gevent.queue import Empty, Queue

from primus_gevent import clock
from primus_gevent.testing.virtual import EPSILON, Restless, VirtualLoop, VirtualTime
from tests.unit.hub import eventually, in_hub

DAY = 86400.0


def test_whoever_sleeps_wakes_when_time_has_passed(virtual: VirtualTime) -> None:
    woken: list[Any] = []

    def sleep(seconds: float) -> None:
        gevent.sleep(seconds)
        woken.append((seconds, virtual.seconds))

    for seconds in (3, DAY, 1, 2):
        gevent.spawn(sleep, seconds)
    virtual.settle()
    assert woken == []
    virtual.advance(0.999)
    assert woken == []
    virtual.advance(1.5)
    assert woken == [(1, 1), (2, 2)]
    began = time.monotonic()
    virtual.advance(DAY)
    assert woken == [(1, 1), (2, 2), (3, 3), (DAY, DAY)]
    assert time.monotonic() - began < DAY / 1000


def test_everything_of_gevents_that_has_a_limit(virtual: VirtualTime) -> None:
    queue: Any = Queue()
    busy = gevent.spawn(gevent.sleep, DAY)
    over: list[str] = []

    def limited(name: str, wait: Any) -> None:
        try:
            wait()
        except (gevent.Timeout, Empty, TimeoutError):
            pass
        over.append(f"{name} {virtual.seconds:g}")

    def timeout() -> None:
        with gevent.Timeout(1.5):
            gevent.sleep(DAY)

    waits: dict[str, Any] = {
        "timeout": timeout,
        "event": lambda: Event().wait(2),
        "queue": lambda: queue.get(timeout=2.5),
        "result": lambda: AsyncResult().get(timeout=3),
        "join": lambda: busy.join(timeout=3.5),
        "wait": lambda: gevent.wait([busy], timeout=4),
    }
    for name, wait in waits.items():
        gevent.spawn(limited, name, wait)
    gevent.spawn_later(1, over.append, "later 1")
    virtual.advance(10)
    expected = ["later 1", "timeout 1.5", "event 2", "queue 2.5", "result 3", "join 3.5", "wait 4"]
    assert over == expected
    busy.kill()


def test_a_timeout_that_is_not_needed_never_fires(virtual: VirtualTime) -> None:
    got: list[Any] = []
    queue: Any = Queue()

    def work() -> None:
        with gevent.Timeout(5):
            got.append(queue.get())
        gevent.sleep(60)
        got.append("slept")

    gevent.spawn(work)
    virtual.advance(4)
    queue.put(1)
    virtual.advance(100)
    assert got == [1, "slept"]


def test_timers_of_the_same_moment_fire_in_order_and_one_by_one(virtual: VirtualTime) -> None:
    seen: list[Any] = []

    def note(name: str) -> None:
        seen.append(name)
        gevent.get_hub().loop.run_callback(seen.append, f"after {name}")

    for name in "abc":
        virtual.hub.loop.timer(1).start(note, name)
    virtual.advance(1)
    assert seen == ["a", "after a", "b", "after b", "c", "after c"]


def test_sums_of_floats_are_not_exact(virtual: VirtualTime) -> None:
    seen: list[float] = []

    def tick() -> None:
        for _ in range(10):
            gevent.sleep(0.1)
            seen.append(virtual.seconds)

    gevent.spawn(tick)
    virtual.advance(1.0)
    assert len(seen) == 10
    assert seen[-1] == pytest.approx(1.0, abs=10 * EPSILON)


# -- a timer


def test_a_timer_keeps_the_contract_of_gevents(virtual: VirtualTime) -> None:
    seen: list[Any] = []
    timer = virtual.hub.loop.timer(2.0, ref=False, priority=-1)
    assert (timer.active, timer.pending, timer.ref, timer.priority) == (False, False, False, -1)
    assert timer.loop is virtual.hub.loop
    timer.start(seen.append, 1, update=True)
    assert timer.active
    assert timer.callback == seen.append
    virtual.advance(1)
    timer.start(seen.append, 2)  # anew
    virtual.advance(1.5)
    assert seen == []
    virtual.advance(1)
    assert seen == [2]
    assert not timer.active
    timer.start(seen.append, 3)
    timer.stop()
    virtual.advance(5)
    with timer:
        timer.start(seen.append, 4)
    virtual.advance(5)
    assert seen == [2]
    with pytest.raises(TypeError, match="calls something"):
        timer.start("nothing")


def test_a_timer_that_repeats(virtual: VirtualTime) -> None:
    seen: list[float] = []
    timer = virtual.hub.loop.timer(1.0, 0.5)
    timer.start(lambda: seen.append(virtual.seconds))
    virtual.advance(2.2)
    assert seen == [1.0, 1.5, 2.0]
    timer.again(lambda: seen.append(-virtual.seconds))
    virtual.advance(0.6)
    assert seen[3:] == [pytest.approx(-2.7)]
    timer.close()
    virtual.advance(5)
    assert len(seen) == 4
    once = virtual.hub.loop.timer(1.0)
    once.start(seen.append, 0)
    once.again(seen.append, 0)  # it has no interval
    assert not once.active


def test_a_timer_of_no_time_fires_before_time_passes(virtual: VirtualTime) -> None:
    seen: list[str] = []
    virtual.hub.loop.timer(0).start(seen.append, "zero")
    virtual.hub.loop.timer(-1).start(seen.append, "minus")
    virtual.settle()
    assert seen == ["zero", "minus"]
    assert virtual.seconds == 0


def test_what_a_timer_calls_may_stop_the_next_one(virtual: VirtualTime) -> None:
    seen: list[int] = []
    second = virtual.hub.loop.timer(1)
    virtual.hub.loop.timer(1).start(lambda: (seen.append(1), second.stop()))
    second.start(seen.append, 2)
    virtual.advance(1)
    assert seen == [1]


def test_what_a_timer_raises_is_the_hubs(virtual: VirtualTime, hub_stays_clean: list[Any]) -> None:
    def fail() -> None:
        raise ValueError("in a timer")

    virtual.hub.loop.timer(1).start(fail)
    virtual.advance(1)
    assert [str(error) for error in hub_stays_clean] == ["in a timer"]
    hub_stays_clean.clear()


# -- coming to rest


def test_settling_runs_everything_that_needs_no_time(virtual: VirtualTime) -> None:
    left: list[int] = []

    def go_on(steps: int) -> None:
        gevent.sleep(0)
        if steps:
            gevent.spawn(go_on, steps - 1)
        else:
            left.append(steps)

    gevent.spawn(go_on, 100)
    virtual.settle()
    assert left == [0]


def test_who_never_rests_is_found_out(virtual: VirtualTime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("primus_gevent.testing.virtual.MAX_TURNS", 50)

    def spin() -> None:
        while True:
            gevent.sleep(0)

    greenlet = gevent.spawn(spin)
    with pytest.raises(Restless, match="after 50 turns"):
        virtual.settle()
    greenlet.kill()


# -- the test's own waiting


def test_time_passes_when_the_test_itself_waits(virtual: VirtualTime) -> None:
    seen: list[str] = []
    virtual.hub.loop.timer(0.01).start(seen.append, "soon")
    virtual.hub.loop.timer(DAY).start(seen.append, "much later")
    gevent.sleep(0.03)
    assert seen == ["soon"]
    assert virtual.seconds == pytest.approx(0.03, abs=0.005)


def test_no_time_passes_while_the_test_computes(virtual: VirtualTime) -> None:
    seen: list[str] = []
    virtual.hub.loop.timer(0.001).start(seen.append, "soon")
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        pass
    virtual.settle()
    assert seen == []


def test_a_real_pause_lets_no_virtual_time_pass(virtual: VirtualTime) -> None:
    seen: list[str] = []
    virtual.hub.loop.timer(0.001).start(seen.append, "soon")
    virtual.pause(0.02)
    assert (seen, virtual.seconds) == ([], 0)


# -- beginning and end


def test_afterwards_what_waits_waits_really() -> None:
    virtual = VirtualTime.of(gevent.get_hub())
    virtual.start()
    seen: list[Any] = []
    loop = virtual.hub.loop
    sleeper = gevent.spawn(gevent.sleep, 5.01)
    stopped, again, started_late = loop.timer(0.01), loop.timer(0.005), loop.timer(0.005)
    stopped.start(seen.append, "stopped")
    again.start(seen.append, "again")
    repeating = loop.timer(0.001, 0.001)
    repeating.start(lambda: seen.append("tick"))
    repeating.stop()
    repeating.start(lambda: (seen.append("tick"), seen.count("tick") == 3 and repeating.close()))
    virtual.advance(0.0)
    with virtual.held():
        virtual.seconds = 5.0
    virtual.stop()
    stopped.stop()
    again.start(seen.append, "anew")
    started_late.start(seen.append, "late")
    assert not isinstance(virtual.hub.loop, VirtualLoop)
    assert (
        loop.timer(1).__class__ is virtual.hub.loop.timer(1).__class__
    )  # who has kept the loop gets real ones
    sleeper.join(5)
    assert sleeper.dead
    eventually(lambda: len(seen) >= 5)
    assert sorted(seen) == ["anew", "late", "tick", "tick", "tick"]


def test_two_users_share_it() -> None:
    hub = gevent.get_hub()
    one = VirtualTime.of(hub)
    one.start()
    two = VirtualTime.of(hub)
    assert two is one
    two.start()
    one.advance(5)
    two.stop()
    assert isinstance(hub.loop, VirtualLoop)
    assert "5.000 s" in repr(one)
    one.stop()
    assert not isinstance(hub.loop, VirtualLoop)
    assert VirtualTime.of(hub) is not one


def test_the_clock_of_the_package_is_virtual_in_this_thread_only(virtual: VirtualTime) -> None:
    before = clock.monotonic(), clock.now()
    virtual.advance(DAY)
    assert (clock.monotonic() - before[0], clock.now() - before[1]) == (
        pytest.approx(DAY),
        pytest.approx(DAY),
    )
    with virtual.held():
        there = gevent.get_hub().threadpool.spawn(lambda: (clock.monotonic(), clock.now()))
        while not there.ready():
            virtual.pause(0.001)
    assert there.get()[0] == pytest.approx(time.monotonic(), abs=60)
    assert there.get()[1] == pytest.approx(time.time(), abs=60)


def test_afterwards_the_clock_is_the_systems() -> None:
    virtual = VirtualTime.of(gevent.get_hub())
    virtual.start()
    assert clock.monotonic is not time.monotonic
    virtual.stop()
    assert clock.monotonic is time.monotonic
    assert clock.now is time.time


def test_the_loop_is_the_same_in_all_but_its_timers(virtual: VirtualTime) -> None:
    loop, real = gevent.get_hub().loop, virtual.loop
    assert isinstance(loop, VirtualLoop)
    assert loop.now() == pytest.approx(real.now(), abs=60)
    loop.error_handler = real.error_handler
    assert repr(real) in repr(loop)
    seen: list[int] = []
    in_hub(seen.append, 1)
    assert seen == [1]
