"""How a new spark meets the ``connection`` listeners: order, ``next``, what waits meanwhile, what goes wrong.

What the listeners may do once they run is in `test_primus`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event
from greenlet import GreenletExit

from primus_gevent import Primus
from primus_gevent.errors import PrimusError
from tests.unit.fakes import FakeConnection, connect
from tests.unit.hub import eventually, in_hub, turn

CLOSE = '"primus::server::close"'


@pytest.fixture
def primus() -> Primus:
    return Primus()


class Held:
    """A listener that takes ``next`` and keeps it."""

    def __init__(self) -> None:
        self.nexts: list[Callable[..., None]] = []

    def __call__(self, spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        self.nexts.append(next)


def noting(order: list[Any], name: Any) -> Callable[[Any], None]:
    def listener(spark: Any) -> None:
        order.append(name)

    return listener


# -- order


def test_those_before_run_at_once_and_those_behind_wait(primus: Primus) -> None:
    order: list[Any] = []
    first, second = Held(), Held()
    primus.on("connection", noting(order, 1))
    primus.on("connection", first)
    primus.on("connection", noting(order, 2))
    primus.on("connection", second)
    primus.on("connection", noting(order, 3))
    connect(primus)
    assert (order, len(second.nexts)) == ([1], 0)
    first.nexts[0]()
    turn()
    assert (order, len(second.nexts)) == ([1, 2], 1)
    second.nexts[0]()
    turn()
    assert order == [1, 2, 3]


@pytest.mark.parametrize("how", ["at once", "in a greenlet", "in the hub", "after blocking"])
def test_next_may_be_called_anywhere(primus: Primus, how: str) -> None:
    order: list[Any] = []

    @primus.on("connection")
    def first(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        order.append("first")
        if how == "at once":
            next()
        elif how == "in a greenlet":
            gevent.spawn(next)
        elif how == "in the hub":
            gevent.get_hub().loop.run_callback(next)
        else:
            gevent.sleep(0)
            next()

    primus.on("connection", noting(order, "second"))
    spark = connect(primus)
    eventually(lambda: len(order) == 2)
    assert order == ["first", "second"]
    assert spark.writable


def test_each_connection_waits_for_its_own_next(primus: Primus) -> None:
    order: list[Any] = []
    held = Held()
    primus.on("connection", held)
    primus.on("connection", order.append)
    one, two = connect(primus), connect(primus)
    held.nexts[1]()
    turn()
    assert order == [two]
    held.nexts[0]()
    turn()
    assert order == [two, one]


def test_the_listeners_are_those_of_the_beginning(primus: Primus) -> None:
    """As with every event: who is removed or added meanwhile is so for the next connection."""
    order: list[Any] = []
    held = Held()
    removed, added = noting(order, "removed"), noting(order, "added")
    primus.on("connection", held)
    primus.on("connection", removed)
    connect(primus)
    primus.off("connection", removed)
    primus.on("connection", added)
    held.nexts[0]()
    turn()
    assert order == ["removed"]
    connect(primus)
    held.nexts[1]()
    turn()
    assert order == ["removed", "added"]


def test_a_once_listener_that_takes_next_holds_one_connection(primus: Primus) -> None:
    order: list[Any] = []
    held = Held()
    primus.once("connection", held)
    primus.on("connection", order.append)
    one, two = connect(primus), connect(primus)
    assert order == [two]
    held.nexts[0]()
    turn()
    assert order == [two, one]
    assert primus.listeners("connection")[0] is not held


def test_a_once_listener_behind_next_is_taken_by_the_first_that_comes_to_it(primus: Primus) -> None:
    order: list[Any] = []
    held = Held()
    primus.on("connection", held)
    primus.once("connection", order.append)
    one, two = connect(primus), connect(primus)
    for proceed in reversed(held.nexts):
        proceed()
        turn()
    assert order == [two]
    assert one.writable
    assert primus.listeners("connection") == [held]


# -- what counts as taking next


class Bound:
    def __init__(self) -> None:
        self.order: list[Any] = []

    def takes_next(self, spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        self.order.append("held")

    def optional(self, spark: Any, more: Any = None) -> None:
        self.order.append(more)

    def star(self, *arguments: Any) -> None:
        self.order.append(len(arguments))


@pytest.mark.parametrize(
    ("name", "order"),
    [("takes_next", ["held"]), ("optional", [None, "behind"]), ("star", [1, "behind"])],
)
def test_only_a_second_parameter_that_is_required_is_next(primus: Primus, name: str, order: Any) -> None:
    bound = Bound()
    primus.on("connection", getattr(bound, name))
    primus.on("connection", noting(bound.order, "behind"))
    connect(primus)
    assert bound.order == order


# -- messages that come early


def test_early_messages_reach_listeners_that_are_added_behind_next(primus: Primus) -> None:
    got: list[Any] = []
    held = Held()
    primus.on("connection", held)
    primus.on("connection", lambda spark: spark.on("data", got.append))
    spark = connect(primus)
    spark.socket.deliver("1", '"primus::ping::1"')
    spark.socket.deliver("2")
    assert spark.socket.sent == ['"primus::pong::1"']  # heartbeats do not wait
    held.nexts[0]()
    spark.socket.deliver("3")
    turn(3)
    assert got == [1, 2, 3]


def test_early_messages_wait_for_who_reads_behind_next(primus: Primus) -> None:
    got: list[Any] = []
    held = Held()
    primus.on("connection", held)
    primus.on("connection", got.extend)
    spark = connect(primus)
    spark.socket.deliver("1", "2")
    held.nexts[0]()
    turn()
    spark.socket.deliver("3")
    spark.socket.drop()
    eventually(lambda: got == [1, 2, 3])


def test_early_messages_are_transformed_when_they_are_taken(primus: Primus) -> None:
    got: list[Any] = []
    held = Held()

    @primus.transform("incoming")
    def know(packet: Any) -> None:
        packet.data = (packet.spark.name, packet.data)

    primus.on("connection", held)
    primus.on("connection", lambda spark: spark.on("data", got.append))
    spark = connect(primus)
    spark.socket.deliver("1")
    turn()
    spark.name = "ann"
    held.nexts[0]()
    turn(3)
    assert got == [("ann", 1)]


def test_who_holds_the_others_back_may_talk_with_the_client_itself(primus: Primus) -> None:
    got: list[Any] = []

    @primus.on("connection")
    def login(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        spark.write("who are you?")
        spark.name = spark.read()
        next()

    @primus.on("connection")
    def chat(spark: Any) -> None:
        got.extend((spark.name, message) for message in spark)

    spark = connect(primus)
    spark.socket.deliver('"ann"', '"hello"')
    turn()
    spark.socket.drop()
    assert eventually(lambda: got) == [("ann", "hello")]
    assert spark.socket.sent == ['"who are you?"']


def test_early_messages_stop_the_socket_when_they_are_too_many() -> None:
    primus = Primus(inbox_messages=2)
    got: list[Any] = []
    held = Held()
    primus.on("connection", held)
    primus.on("connection", lambda spark: spark.on("data", got.append))
    spark = connect(primus)
    spark.socket.deliver("1", "2")
    assert spark.socket.paused
    held.nexts[0]()
    turn(3)
    assert (got, spark.socket.paused) == ([1, 2], False)


def test_open_comes_when_all_have_started(primus: Primus) -> None:
    order: list[Any] = []
    held = Held()
    primus.on("connection", lambda spark: spark.on("outgoing::open", lambda: order.append("outgoing::open")))
    primus.on("connection", lambda spark: spark.on("incoming::open", lambda: order.append("incoming::open")))
    primus.on("connection", held)
    primus.on("connection", noting(order, "last"))
    connect(primus)
    assert order == []
    held.nexts[0]()
    turn(2)
    assert order == ["last", "outgoing::open", "incoming::open"]


# -- errors


class Refusals:
    """Everybody who hears of a refusal."""

    def __init__(self, primus: Primus) -> None:
        self.heard: list[Any] = []
        primus.on("log", lambda level, error, spark: self.heard.append(("log", level, error, spark)))
        primus.on("disconnection", lambda spark: self.heard.append("disconnection"))

    def listen(self, spark: Any) -> None:
        spark.on("error", lambda error: self.heard.append(("error", error)))
        spark.on("end", lambda: self.heard.append("end"))


@pytest.mark.parametrize("how", ["at once", "later", "in the hub"])
@pytest.mark.parametrize("given", ["not you", ValueError("not you"), {"reason": "not you"}])
def test_an_error_ends_the_connection_and_is_heard_of(primus: Primus, how: str, given: Any) -> None:
    refusals = Refusals(primus)

    @primus.on("connection")
    def refuse(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        refusals.listen(spark)
        if how == "at once":
            next(given)
        elif how == "later":
            gevent.spawn(next, given)
        else:
            answer = AsyncResult()
            answer.rawlink(lambda _: next(given))
            answer.set()

    primus.on("connection", lambda spark: refusals.heard.append("let in"))
    spark = connect(primus)
    eventually(lambda: len(refusals.heard) == 4)
    (_, level, error, about), (_, same), *rest = refusals.heard
    assert (level, about, rest) == ("error", spark, ["disconnection", "end"])
    assert same is error
    assert error is given if isinstance(given, Exception) else type(error) is PrimusError
    assert "not you" in str(error)
    assert spark.socket.sent == [CLOSE]
    assert spark.socket.calls == [("close", 1000)]


def test_who_hears_of_an_error_may_block_wherever_next_is_called(primus: Primus, caplog: Any) -> None:
    held = Held()
    heard: list[Any] = []

    def listener(*arguments: Any) -> None:
        gevent.sleep(0)
        heard.append(arguments)

    primus.on("log", listener)
    primus.on("connection", lambda spark: spark.on("error", listener))
    primus.on("connection", held)
    connect(primus)
    in_hub(held.nexts[0], "no")
    eventually(lambda: len(heard) == 2)
    assert caplog.text == ""


@pytest.mark.parametrize("nothing", [None, False, "", 0])
def test_what_is_no_error_in_javascript_is_none(primus: Primus, nothing: Any) -> None:
    primus.on("connection", lambda spark, go_on: go_on(nothing))
    assert connect(primus).writable


def test_next_counts_once(primus: Primus) -> None:
    order: list[Any] = []
    held = Held()
    primus.on("connection", held)
    primus.on("connection", noting(order, "behind"))
    spark = connect(primus)
    for arguments in ((), (), ("an error",), ()):
        held.nexts[0](*arguments)
    turn(2)
    assert (order, spark.writable) == (["behind"], True)


@pytest.mark.parametrize("arguments", [(), ("an error",)])
@pytest.mark.parametrize("end", ["client", "server", "abort"])
def test_next_after_the_end_is_too_late(primus: Primus, arguments: Any, end: str) -> None:
    refusals = Refusals(primus)
    held = Held()
    primus.on("connection", refusals.listen)
    primus.on("connection", held)
    primus.on("connection", lambda spark: refusals.heard.append("let in"))
    spark = connect(primus)
    {"client": spark.socket.drop, "server": spark.end, "abort": spark.abort}[end]()
    turn(2)
    held.nexts[0](*arguments)
    turn(2)
    assert refusals.heard == ["disconnection", "end"]


def test_next_after_destroy_starts_nobody(primus: Primus) -> None:
    order: list[Any] = []
    held = Held()
    primus.on("connection", held)
    primus.on("connection", noting(order, "behind"))
    spark = connect(primus)
    spark.socket.drop()
    primus.destroy()
    held.nexts[0]()
    turn(2)
    assert order == []


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("error", [ValueError("x"), gevent.Timeout(1)])
def test_one_that_raises_ends_its_spark_whether_it_has_called_next_or_not(
    primus: Primus, error: BaseException, called: bool
) -> None:
    refusals = Refusals(primus)

    @primus.on("connection")
    def broken(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        refusals.listen(spark)
        if called:
            next()
        raise error

    primus.on("connection", lambda spark: refusals.heard.append("behind"))
    spark = connect(primus)
    turn(3)
    # Nobody meets a spark whose end has been already.
    assert refusals.heard == [("log", "error", error, spark), ("error", error), "disconnection", "end"]
    assert spark.socket.calls == [("close", 1011)]


def test_a_client_that_leaves_right_behind_next_is_not_introduced_any_more(primus: Primus) -> None:
    order: list[Any] = []
    held, second = Held(), Held()
    primus.on("disconnection", lambda spark: order.append("disconnection"))
    primus.on("connection", held)
    primus.on("connection", noting(order, "behind"))
    primus.on("connection", second)
    spark = connect(primus)

    def at_once() -> None:
        held.nexts[0]()
        spark.socket.lose()

    in_hub(at_once)
    turn(2)
    assert (order, second.nexts) == (["disconnection"], [])


def test_one_that_is_killed_lets_the_client_come_back(primus: Primus) -> None:
    running: list[Any] = []

    @primus.on("connection")
    def slow(spark: Any, next: Callable[..., None]) -> None:  # noqa: A002
        running.append(gevent.getcurrent())
        Event().wait()

    spark = connect(primus)
    in_hub(running[0].throw, GreenletExit)
    assert (spark.socket.sent, spark.socket.calls) == ([], [("close", 1012)])


def test_one_that_raises_behind_next_does_so_like_any_other(primus: Primus) -> None:
    held = Held()
    primus.on("connection", held)

    @primus.on("connection")
    def broken(spark: Any) -> None:
        raise ValueError("x")

    spark = connect(primus)
    held.nexts[0]()
    turn(2)
    assert spark.socket.calls == [("close", 1011)]


# -- in the host's greenlet


@pytest.mark.parametrize("once", [False, True])
def test_a_single_one_may_run_in_the_callers_greenlet(primus: Primus, once: bool) -> None:
    seen: list[Any] = []
    (primus.once if once else primus.on)("connection", lambda spark: seen.append(gevent.getcurrent()))
    connection = FakeConnection()
    spark = connection.receiver = primus.make_spark(connection, None)  # type: ignore[arg-type]
    run = primus.connect(spark, here=True)
    assert callable(run)
    run()
    assert seen == [gevent.getcurrent()]
    turn()
    assert spark.writable
    assert len(primus.listeners("connection")) == (0 if once else 1)


def test_without_one_nothing_waits(primus: Primus) -> None:
    connection = FakeConnection()
    spark = connection.receiver = primus.make_spark(connection, None)  # type: ignore[arg-type]
    assert primus.connect(spark, here=True) is None
    got: list[Any] = []
    turn()
    spark.on("data", got.append)
    connection.deliver("1")
    turn()
    assert got == [1]
