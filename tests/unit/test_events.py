"""Listeners: their order, their arity, and that the table may change while an event is emitted."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from primus_gevent.arity import arity
from primus_gevent.events import SERVER_EVENTS, SPARK_EVENTS, Emitter, Listener, is_reserved


def one(a: Any) -> None: ...


def two(a: Any, b: Any) -> None: ...


def optional(a: Any, b: Any = None) -> None: ...


class Callable2:
    def __call__(self, a: Any, b: Any) -> None: ...

    def method(self, a: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda: None, (0, 0)),
        (one, (1, 1)),
        (two, (2, 2)),
        (optional, (1, 2)),
        (lambda *args: None, (0, 1 << 16)),
        (lambda a, *, key=1: None, (1, 1)),
        (lambda **kwargs: None, (0, 0)),
        (Callable2(), (2, 2)),
        (Callable2().method, (1, 1)),
        (functools.partial(two, 1), (1, 1)),
        (dict.update, (0, 1 << 16)),  # a builtin without a signature
    ],
)
def test_arity(function: Any, expected: tuple[int, int]) -> None:
    assert arity(function) == expected


def test_a_listener_may_ignore_trailing_arguments() -> None:
    got: list[Any] = []
    emitter = Emitter()
    emitter.on("x", lambda: got.append("none"))
    emitter.on("x", got.append)
    emitter.on("x", lambda *args: got.append(args))
    emitter.on("x", lambda a, b=None: got.append((a, b)))
    assert emitter.emit("x", 1, 2) is True
    assert got == ["none", 1, (1, 2), (1, 2)]


def test_what_is_not_callable_is_refused() -> None:
    with pytest.raises(TypeError, match="callable"):
        Listener(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callable"):
        Emitter().on("x", "y")  # type: ignore[type-var]


async def coroutine(spark: Any) -> None: ...


async def asynchronous_generator(spark: Any) -> Any:
    yield spark


def generator(spark: Any) -> Any:
    yield spark


class Asynchronous:
    async def __call__(self, spark: Any) -> None: ...

    async def method(self, spark: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        coroutine,
        asynchronous_generator,
        generator,
        Asynchronous(),
        Asynchronous().method,
        functools.partial(coroutine),
        functools.partial(functools.partial(Asynchronous())),
    ],
)
def test_what_would_never_run_is_refused(function: Any) -> None:
    """Its call would make a coroutine that nobody waits for, and say nothing."""
    emitter = Emitter()
    for register in (emitter.on, emitter.once, lambda event, function: emitter.on(event)(function)):
        with pytest.raises(TypeError, match="would never run"):
            register("connection", function)
    assert emitter.listeners("connection") == []


def test_what_makes_generators_by_itself_may_listen() -> None:
    @functools.wraps(generator)
    def runs_it(spark: Any) -> Any:
        return list(generator(spark))

    for function in (runs_it, print, Asynchronous, functools.partial(one)):
        Listener(function)


def test_listeners_are_called_in_order_and_once_only_once() -> None:
    emitter, got = Emitter(), []
    emitter.on("x", lambda: got.append(1))
    emitter.once("x", lambda: got.append(2))

    @emitter.on("x")
    def third() -> None:
        got.append(3)

    @emitter.once("x")
    def fourth() -> None:
        got.append(4)

    assert emitter.listeners("x")[2:] == [third, fourth]
    emitter.emit("x")
    emitter.emit("x")
    assert got == [1, 2, 3, 4, 1, 3]


def test_emit_tells_whether_there_was_a_listener() -> None:
    emitter = Emitter()
    assert emitter.emit("x") is False
    assert emitter._listeners is None  # asking makes no table
    emitter.on("x", lambda: None)
    assert emitter.emit("x") is True
    assert emitter.emit("y") is False


def test_a_listener_that_raises_reaches_the_caller_and_stops_the_round() -> None:
    emitter, got = Emitter(), []

    def broken() -> None:
        raise ValueError("x")

    emitter.once("x", broken)
    emitter.on("x", lambda: got.append(1))
    with pytest.raises(ValueError, match="x"):
        emitter.emit("x")
    assert got == []
    emitter.emit("x")  # it was a `once`, and is gone although it raised
    assert got == [1]


def test_off_removes_one_or_all_and_tells_whether_it_did() -> None:
    emitter = Emitter()
    emitter.on("x", one)
    emitter.on("x", two)
    assert emitter.off("x", optional) is False
    assert emitter.off("x", one) is True
    assert emitter.off("x", one) is False
    assert emitter.listeners("x") == [two]
    assert emitter.off("x") is True
    assert emitter.off("x") is False
    assert emitter.off("never") is False
    assert emitter.listeners("x") == []


def test_a_bound_method_can_be_removed() -> None:
    thing, emitter = Callable2(), Emitter()
    emitter.on("x", thing.method)
    assert emitter.off("x", thing.method) is True


def test_remove_all_listeners() -> None:
    emitter = Emitter()
    for event in ("x", "y"):
        emitter.on(event, one)
    emitter.remove_all_listeners("x")
    assert (emitter.listeners("x"), emitter.listeners("y")) == ([], [one])
    emitter.remove_all_listeners()
    assert emitter.listeners("y") == []


def test_the_table_may_change_while_an_event_is_emitted() -> None:
    emitter, got = Emitter(), []

    def first() -> None:
        got.append("first")
        emitter.off("x", first)
        emitter.on("x", third)

    def second() -> None:
        got.append("second")
        emitter.remove_all_listeners()

    def third() -> None:
        got.append("third")

    emitter.on("x", first)
    emitter.on("x", second)
    emitter.emit("x")
    assert got == ["first", "second"]  # the round is what it was when it began
    assert emitter.listeners("x") == []


def test_a_once_listener_that_emits_the_same_event_is_not_called_again() -> None:
    emitter, got = Emitter(), []

    def again() -> None:
        got.append(1)
        emitter.emit("x")

    emitter.once("x", again)
    emitter.emit("x")
    assert got == [1]


@pytest.mark.parametrize("event", sorted(SERVER_EVENTS))
def test_the_servers_own_events(event: str) -> None:
    assert is_reserved(event, SERVER_EVENTS)
    assert is_reserved(event, SPARK_EVENTS) is (event in SPARK_EVENTS)


def test_everything_incoming_and_outgoing_is_reserved() -> None:
    for names in (SERVER_EVENTS, SPARK_EVENTS):
        assert is_reserved("incoming::data", names)
        assert is_reserved("outgoing::anything", names)
        assert not is_reserved("incoming:data", names)
        assert not is_reserved("chat", names)
    assert {"readyStateChange", "heartbeat", "error", "data", "end"} == SPARK_EVENTS
