"""The open sparks of a server: walking through them in both styles, and writing to all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit

from primus_gevent import Primus
from primus_gevent.errors import ParserError
from tests.unit.fakes import FakeConnection, connect
from tests.unit.hub import eventually, in_hub, turn

MANY = sys.getrecursionlimit() * 3


@pytest.fixture
def primus() -> Primus:
    return Primus(transform_timeout=0.05)


def sent(*sparks: Any) -> list[list[str]]:
    """What each was sent, prepared or not."""
    return [[x[1:].decode() if isinstance(x, bytes) else x for x in spark.socket.sent] for spark in sparks]


# -- for_each


def test_the_third_argument_is_to_look_at(primus: Primus) -> None:
    spark = connect(primus)

    def look(spark: Any, id_: str, sparks: Any) -> None:
        assert sparks[id_] is spark
        with pytest.raises(TypeError):
            del sparks[id_]

    assert primus.for_each(look) is True
    assert primus.spark(spark.id) is spark


@pytest.mark.parametrize("style", ["plain", "next"])
def test_sparks_that_come_meanwhile_are_visited_too(primus: Primus, style: str) -> None:
    connect(primus)
    seen: list[Any] = []

    def visit(spark: Any) -> None:
        seen.append(spark)
        if len(seen) < 4:
            connect(primus)

    walk(primus, visit, style)
    assert seen == list(primus)
    assert len(seen) == 4


@pytest.mark.parametrize("style", ["plain", "next"])
def test_sparks_that_end_meanwhile_are_not_visited(primus: Primus, style: str) -> None:
    first, second, third = (connect(primus) for _ in range(3))
    seen: list[Any] = []

    def visit(spark: Any) -> None:
        seen.append(spark)
        second.socket.drop()

    walk(primus, visit, style)
    assert seen == [first, third]


@pytest.mark.parametrize("style", ["plain", "next"])
def test_a_spark_that_has_the_id_of_one_before_it_is_another_one(style: str) -> None:
    primus = Primus(id_generator=lambda: "ann")
    first = connect(primus)
    seen: list[Any] = []

    def visit(spark: Any) -> None:
        seen.append(spark)
        if spark is first:
            spark.end()
            connect(primus)

    walk(primus, visit, style)
    assert seen == [first, primus.spark("ann")]


def walk(primus: Primus, visit: Callable[[Any], None], style: str) -> None:
    if style == "plain":
        primus.for_each(visit)
        return
    done: list[Any] = []
    primus.for_each(lambda spark, go_on: (visit(spark), go_on()), done.append)
    assert done == [None]


def test_done_is_called_also_without_sparks(primus: Primus) -> None:
    done: list[Any] = []
    assert primus.for_each(lambda spark, go_on: None, done.append) is True
    assert done == [None]
    primus.for_each(lambda spark, go_on: None, lambda: done.append("no parameter"))
    assert done == [None, "no parameter"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("answer", "given"), [(("no",), "no"), ((None, False), None), (("no", False), "no"), (("no", True), "no")]
)
def test_next_may_stop(primus: Primus, late: bool, answer: Any, given: Any) -> None:
    sparks = [connect(primus) for _ in range(3)]
    seen: list[Any] = []
    done: list[Any] = []

    def visit(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        seen.append(spark)
        arguments = answer if len(seen) == 2 else ()
        gevent.spawn(next, *arguments) if late else next(*arguments)

    primus.for_each(visit, done.append)
    assert len(seen) == (1 if late else 2)  # it does not block
    eventually(lambda: done)
    turn(2)
    assert (seen, done) == (sparks[:2], [given])


def test_many_sparks_need_no_deep_stack(primus: Primus) -> None:
    for _ in range(MANY):
        connect_quickly(primus)
    visited: list[Any] = []
    done: list[Any] = []
    primus.for_each(lambda spark, go_on: (visited.append(spark), go_on()), done.append)
    assert (len(visited), done) == (MANY, [None])


def test_many_sparks_whose_next_is_called_elsewhere(primus: Primus) -> None:
    for _ in range(MANY):
        connect_quickly(primus)
    visited: list[Any] = []
    done: list[Any] = []

    def visit(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        visited.append(spark)
        gevent.get_hub().loop.run_callback(next)

    primus.for_each(visit, done.append)
    eventually(lambda: done)
    assert (len(visited), done) == (MANY, [None])


def connect_quickly(primus: Primus) -> None:
    """As `connect`, without the turns of the loop."""
    connection = FakeConnection()
    connection.receiver = primus.make_spark(connection, None)  # type: ignore[arg-type]
    primus.connect(connection.receiver)


def test_next_counts_once(primus: Primus) -> None:
    sparks = [connect(primus) for _ in range(3)]
    kept: list[Any] = []
    seen: list[Any] = []
    done: list[Any] = []

    def visit(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        seen.append(spark)
        kept.append(next)

    primus.for_each(visit, done.append)
    kept[0]()
    kept[0]()
    kept[0]("too late")
    assert (seen, done) == (sparks[:2], [])
    kept[1]()
    kept[2]()
    for late in kept:
        late()
        late("error")
    assert (seen, done) == (sparks, [None])


def test_a_function_may_block_after_it_has_called_next(primus: Primus) -> None:
    sparks = [connect(primus) for _ in range(2)]
    order: list[Any] = []
    go = Event()

    def visit(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        order.append(spark)
        gevent.spawn(next)
        go.wait()

    walker = gevent.spawn(primus.for_each, visit, order.append)
    turn(2)
    assert order == sparks[:1]  # one after the other, whoever calls next
    go.set()
    walker.join()
    eventually(lambda: len(order) == 3)
    assert order == [*sparks, None]


def test_what_the_function_raises_is_for_done(primus: Primus) -> None:
    connect(primus), connect(primus)
    done: list[Any] = []
    problem = ValueError("x")

    def visit(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        raise problem

    primus.for_each(visit, done.append)
    assert done == [problem]


def test_what_is_raised_after_next_is_logged(primus: Primus, caplog: Any) -> None:
    connect(primus), connect(primus)
    done: list[Any] = []

    def visit(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        next()
        raise ValueError("after next")

    primus.for_each(visit, done.append)
    assert done == [None]
    assert caplog.text.count("ValueError: after next") == 2


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("kind", [gevent.Timeout, GreenletExit])
def test_a_timeout_or_a_kill_is_the_callers_and_ends_the_walk(
    primus: Primus, kind: type[BaseException], called: bool
) -> None:
    connect(primus), connect(primus)
    visited: list[Any] = []
    done: list[Any] = []

    def visit(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        visited.append(spark)
        if called:
            next()
        raise kind()

    with pytest.raises(kind):
        primus.for_each(visit, done.append)
    assert (len(visited), [type(error) for error in done]) == (1, [kind])


def test_what_done_raises_reaches_who_called_next_and_done_is_called_once(primus: Primus) -> None:
    connect(primus)
    done: list[Any] = []
    kept: list[Any] = []

    def finish(error: Any) -> None:
        done.append(error)
        raise KeyError("done")

    with pytest.raises(KeyError, match="done"):
        primus.for_each(lambda spark, go_on: go_on(), finish)
    with pytest.raises(KeyError, match="done"):
        primus.for_each(lambda spark, go_on: go_on("no"), finish)
    primus.for_each(lambda spark, go_on: kept.append(go_on), finish)
    with pytest.raises(KeyError, match="done"):
        kept[0]()
    kept[0]()
    assert done == [None, "no", None]


@pytest.mark.parametrize("arguments", [(None, print), (print, 1), (None,)])
def test_what_is_not_callable_is_refused_at_once(primus: Primus, arguments: Any) -> None:
    with pytest.raises(TypeError):
        primus.for_each(*arguments)


# -- broadcasts through transforms


def test_a_broadcast_is_transformed_and_encoded_once(primus: Primus) -> None:
    seen: list[Any] = []

    @primus.transform("outgoing")
    def shout(packet: Any, next: Callable[..., None]) -> None:  # noqa: A002
        seen.append(packet.data)
        packet.data = packet.data.upper()
        next()

    sparks = [connect(primus) for _ in range(3)]
    assert primus.write("hi") is True
    assert seen == ["hi"]
    assert sent(*sparks) == [['"HI"']] * 3
    assert [spark.socket.prepared for spark in sparks] == [1, 0, 0]


def test_a_broadcast_to_nobody_is_not_transformed(primus: Primus) -> None:
    primus.transform("outgoing", lambda packet: pytest.fail("for nobody"))
    assert primus.write("hi") is True


def test_a_transform_that_looks_at_the_spark_makes_it_personal(primus: Primus) -> None:
    seen: list[Any] = []
    primus.transform("outgoing", lambda packet: seen.append(packet.data))

    @primus.transform("outgoing")
    def address(packet: Any) -> Any:
        packet.data = {"for": packet.spark.query["name"]}
        return packet.spark.query["name"] != "bob"

    sparks = [connect(primus, QUERY_STRING=f"name={name}") for name in ("ann", "bob", "cy")]
    assert primus.write("hi") is True
    assert sent(*sparks) == [['{"for":"ann"}'], [], ['{"for":"cy"}']]
    assert seen == ["hi"] * 3


def test_a_broadcast_that_is_swallowed_is_accepted(primus: Primus) -> None:
    primus.transform("outgoing", lambda packet: False)
    sparks = [connect(primus) for _ in range(2)]
    assert primus.write("hi") is True
    assert sent(*sparks) == [[], []]


@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize("problem", ["raise", "next", "encode"])
def test_what_goes_wrong_for_one_spark_harms_only_that(primus: Primus, bad: int, problem: str) -> None:
    sparks = [connect(primus, QUERY_STRING=f"n={number}") for number in range(3)]
    errors: list[Any] = []
    for spark in sparks:
        spark.on("error", lambda error, spark=spark: errors.append((spark, type(error))))

    @primus.transform("outgoing")
    def pick(packet: Any, next: Callable[..., None]) -> None:  # noqa: A002
        if packet.spark.query["n"] != str(bad):
            next()
        elif problem == "raise":
            raise ValueError("x")
        elif problem == "next":
            next(ValueError("x"))
        else:
            packet.data = object()
            next()

    assert primus.write("hi") is True
    assert sent(*sparks) == [[] if number == bad else ['"hi"'] for number in range(3)]
    assert errors == [(sparks[bad], ParserError if problem == "encode" else ValueError)]
    assert all(spark.writable for spark in sparks)


@pytest.mark.parametrize("kind", ["raise", "never", "encode"])
def test_what_goes_wrong_for_all_is_logged_and_reaches_nobody(primus: Primus, kind: str, caplog: Any) -> None:
    logged: list[Any] = []
    primus.on("log", lambda *arguments: logged.append(arguments))

    @primus.transform("outgoing")
    def fail(packet: Any, next: Callable[..., None]) -> None:  # noqa: A002
        if kind == "raise":
            raise ValueError("the transform is broken")
        if kind == "encode":
            packet.data = object()
            next()

    sparks = [connect(primus) for _ in range(2)]
    assert primus.write("hi") is False
    assert sent(*sparks) == [[], []]
    names = {"raise": "ValueError", "never": "TransformError", "encode": "ParserError"}
    assert [(level, type(error).__name__) for level, error in logged] == [("error", names[kind])]
    assert ("Failed to encode" in caplog.text) == (kind == "encode")
    assert ("Traceback" in caplog.text) == (kind != "encode")


def test_a_timeout_of_the_broadcasters_passes_through(primus: Primus) -> None:
    go = Event()
    primus.transform("outgoing", lambda packet: go.wait() if packet.data == "slow" else None)
    spark = connect(primus)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        primus.write("slow")
    assert primus.write("fast") is True
    assert sent(spark) == [['"fast"']]


@pytest.mark.parametrize("personal", [False, True])
def test_sparks_may_end_while_a_transform_blocks(personal: bool, caplog: Any) -> None:
    primus = Primus()
    go = Event()

    @primus.transform("outgoing")
    def slow(packet: Any) -> None:
        if personal:
            assert packet.spark
        go.wait()

    sparks = [connect(primus) for _ in range(4)]
    broadcaster = gevent.spawn(primus.write, "hi")
    turn()
    for spark in sparks[:2]:
        spark.socket.drop()
        spark.socket.full = True  # nobody is slow that is not there
    go.set()
    broadcaster.join()
    assert sent(*sparks) == [[], [], ['"hi"'], ['"hi"']]
    assert not primus.dropped_counts
    assert caplog.text == ""


def test_a_personal_message_for_a_slow_consumer(primus: Primus) -> None:
    primus.transform("outgoing", lambda packet: packet.spark and None)
    slow, other = connect(primus), connect(primus)
    slow.socket.full = True
    assert primus.write("hi") is True
    assert sent(slow, other) == [[], ['"hi"']]
    assert slow.socket.calls == ["flush", ("close", 1013)]


# -- broadcasts and who watches them


def test_who_watches_a_spark_hears_of_broadcasts(primus: Primus) -> None:
    watched, other = connect(primus), connect(primus)
    heard: list[Any] = []
    watched.on("outgoing::data", heard.append)
    primus.write("hi")
    other.write("not to it")
    turn()
    assert heard == ['"hi"']


def test_who_watches_hears_also_of_what_could_only_be_sent_after_a_flush(primus: Primus) -> None:
    spark = connect(primus)
    heard: list[Any] = []
    spark.on("outgoing::data", heard.append)
    spark.socket.full = True
    spark.socket.flush = lambda: setattr(spark.socket, "full", False)
    primus.write("hi")
    turn()
    assert (sent(spark), heard) == ([['"hi"']], ['"hi"'])


def test_who_watches_may_end_sparks_in_the_middle_of_a_broadcast(primus: Primus) -> None:
    """In the hub the listeners run at once."""
    sparks = [connect(primus) for _ in range(3)]
    for spark in sparks:
        spark.on("outgoing::data", lambda payload: sparks[0].end())
    in_hub(primus.write, "hi")
    eventually(lambda: sparks[0].socket.sent)
    assert sent(*sparks[1:]) == [['"hi"'], ['"hi"']]


def test_a_payload_is_framed_once_for_each_framing(primus: Primus) -> None:
    kinds = ["a", "b", None, "a", None, "b", "a"]
    sparks = [connect(primus, FakeConnection(kind)) for kind in kinds]
    primus.write("hi")
    assert sent(*sparks) == [['"hi"']] * len(kinds)
    assert [spark.socket.prepared for spark in sparks] == [1, 1, 0, 0, 0, 0, 0]
    assert [type(spark.socket.sent[0]) for spark in sparks] == [str if x is None else bytes for x in kinds]
