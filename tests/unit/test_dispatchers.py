"""Greenlets that are lent out: used again, and never lost or mistaken for each other."""

from __future__ import annotations

import contextvars
import gc
import weakref
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit, getcurrent, greenlet

from primus_gevent.dispatchers import MAX_IDLE, Dispatchers
from tests.unit.hub import in_hub, turn


def test_in_the_hub_a_task_runs_at_once() -> None:
    dispatchers, order = Dispatchers(), []

    def both() -> None:
        dispatchers.run(order.append, "task")
        order.append("hub")

    in_hub(both)
    assert order == ["task", "hub"]


def test_in_a_greenlet_a_task_runs_soon_and_in_order() -> None:
    dispatchers, order = Dispatchers(), []
    dispatchers.run(order.append, 1)
    dispatchers.run(order.append, 2)
    order.append("here")
    turn()
    assert order == ["here", 1, 2]


def test_a_task_may_block_and_the_next_one_gets_another_greenlet() -> None:
    dispatchers, go, order = Dispatchers(), Event(), []

    def blocks() -> None:
        order.append("begins")
        go.wait()
        order.append("ends")

    in_hub(dispatchers.run, blocks)
    in_hub(dispatchers.run, order.append, "other")
    go.set()
    turn(2)
    assert order == ["begins", "other", "ends"]


def test_greenlets_are_used_again() -> None:
    dispatchers, seen = Dispatchers(), []
    for _ in range(5):
        in_hub(dispatchers.run, lambda: seen.append(getcurrent()))
    assert len(set(map(id, seen))) == 1


def test_few_idle_greenlets_are_kept() -> None:
    dispatchers, go = Dispatchers(), Event()
    for _ in range(MAX_IDLE + 20):
        dispatchers.run(go.wait)
    turn()
    go.set()
    turn(2)
    assert len(dispatchers._idle) == MAX_IDLE


def test_an_idle_greenlet_keeps_nothing_of_its_last_task_alive() -> None:
    class Thing:
        def use(self, other: Any) -> None: ...

    dispatchers, thing, argument = Dispatchers(), Thing(), Thing()
    seen = [weakref.ref(thing), weakref.ref(argument)]
    in_hub(dispatchers.run, thing.use, argument)
    del thing, argument
    assert [ref() for ref in seen] == [None, None]


@pytest.mark.parametrize("error", [ValueError("x"), gevent.Timeout(1), GreenletExit()])
def test_what_a_task_raises_is_logged_and_the_greenlet_lives(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    dispatchers, seen = Dispatchers(), []

    def raises() -> None:
        seen.append(getcurrent())
        raise error

    in_hub(dispatchers.run, raises)
    assert "failed" in caplog.text
    in_hub(dispatchers.run, lambda: seen.append(getcurrent()))
    assert seen[0] is seen[1]


def test_a_timeout_that_a_task_left_behind_harms_no_later_one() -> None:
    dispatchers, done = Dispatchers(), []
    left = []

    def leaves() -> None:
        left.append(getcurrent())

    in_hub(dispatchers.run, leaves)
    in_hub(left[0].throw, gevent.Timeout(1))
    in_hub(left[0].throw, ValueError("stale"))
    in_hub(left[0].switch)
    in_hub(left[0].switch, ("a", "b"))
    in_hub(left[0].switch, ("a", "b", "c"))
    assert not left[0].dead
    in_hub(dispatchers.run, lambda: done.append(getcurrent()))
    assert done == left  # the very greenlet, and it did its task


def test_a_killed_idle_greenlet_is_not_lent_out_again() -> None:
    dispatchers, done = Dispatchers(), []
    in_hub(dispatchers.run, lambda: done.append(getcurrent()))
    in_hub(done[0].throw, GreenletExit)
    assert done[0].dead
    assert dispatchers._idle == []
    in_hub(dispatchers.run, lambda: done.append(getcurrent()))
    assert len(done) == 2


def test_context_variables_do_not_travel_from_task_to_task() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    dispatchers, seen = Dispatchers(), []

    def task(name: str) -> None:
        seen.append((who.get(), getcurrent()))
        who.set(name)

    in_hub(dispatchers.run, task, "ann")
    in_hub(dispatchers.run, task, "bob")
    assert [name for name, _ in seen] == ["nobody", "nobody"]
    assert seen[0][1] is seen[1][1]


def test_stopped_it_keeps_no_greenlet_and_still_runs() -> None:
    def count() -> int:
        gc.collect()
        return sum(isinstance(thing, Dispatchers) for thing in gc.get_objects())

    before = count()
    dispatchers, done = Dispatchers(), []
    in_hub(dispatchers.run, lambda: done.append(getcurrent()))
    dispatchers.stop()
    turn(2)
    assert done[0].dead
    in_hub(dispatchers.run, lambda: done.append(getcurrent()))
    assert done[1].dead
    gone = weakref.ref(done[1])
    done.clear()
    del dispatchers
    assert count() <= before  # those of other tests may go meanwhile
    assert gone() is None


def test_the_greenlets_are_children_of_the_hub() -> None:
    dispatchers, seen = Dispatchers(), []
    dispatchers.run(lambda: seen.append(getcurrent().parent))
    turn()
    assert seen == [gevent.get_hub()]
    assert isinstance(gevent.get_hub(), greenlet)
