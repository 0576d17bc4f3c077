"""Message transforms: what they may do with a message, who waits for them, and what harms whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event
from greenlet import GreenletExit

from primus_gevent import Primus
from primus_gevent.errors import (
    ConcurrencyError,
    ConnectionClosed,
    OptionError,
    ParserError,
    PrimusError,
    TransformError,
)
from primus_gevent.testing.virtual import VirtualTime
from primus_gevent.transforms import Packet, Transform, Turns, apply
from tests.unit.fakes import connect
from tests.unit.hub import eventually, in_hub, turn

CLOSE = '"primus::server::close"'
STYLES = ["read", "data"]


@pytest.fixture
def primus() -> Primus:
    return Primus(transform_timeout=0.05)


class Receiver:
    """Receives in one of the two styles, and notes messages, errors and the end."""

    def __init__(self, spark: Any, style: str) -> None:
        self.got: list[Any] = []
        self.errors: list[Any] = []
        spark.on("error", self.errors.append)
        if style == "data":
            spark.on("data", self.take)
        else:
            gevent.spawn(self.read, spark)
        turn()

    def take(self, message: Any) -> None:
        self.got.append(message)

    def read(self, spark: Any) -> None:
        for message in spark:
            self.got.append(message)


class Gate:
    """A transform that blocks where it is told to."""

    def __init__(self, *slow: Any) -> None:
        self.slow = slow
        self.go = Event()
        self.entered: list[Any] = []

    def __call__(self, packet: Packet) -> None:
        self.entered.append(packet.data)
        if packet.data in self.slow:
            self.go.wait()


# -- what one may be


def three(packet: Any, next: Any, more: Any) -> None: ...  # noqa: A002


async def coroutine(packet: Any) -> None: ...


@pytest.mark.parametrize("bad", [None, "upper", lambda: None, three, object(), coroutine])
@pytest.mark.parametrize("direction", ["incoming", "outgoing"])
def test_what_cannot_be_one_is_refused_at_once(primus: Primus, bad: Any, direction: str) -> None:
    with pytest.raises(OptionError, match="transform"):
        primus.transform(direction, bad) if bad is not None else primus.transform(direction)(bad)
    assert (primus.incoming, primus.outgoing) == ((), ())


@pytest.mark.parametrize("direction", ["in", "", "Incoming", "both"])
def test_there_are_two_directions(primus: Primus, direction: str) -> None:
    with pytest.raises(OptionError, match="incoming or outgoing"):
        primus.transform(direction, lambda packet: None)


def test_the_same_function_counts_once_in_each_direction(primus: Primus) -> None:
    seen: list[Any] = []

    @primus.transform("incoming")
    @primus.transform("incoming")
    @primus.transform("outgoing")
    def note(packet: Packet) -> None:
        seen.append(packet.data)

    spark = connect(primus)
    spark.socket.deliver("1")
    assert spark.read() == 1
    spark.write(2)
    assert seen == [1, 2]


class Sync:
    def __call__(self, packet: Packet) -> None:
        packet.data = "changed"


class Async:
    def transform(self, packet: Packet, next: Callable[..., None]) -> None:  # noqa: A002
        packet.data = "changed"
        next()


@pytest.mark.parametrize("function", [Sync(), Async().transform, lambda packet, *rest: Sync()(packet)])
def test_the_parameters_are_counted_whatever_is_called(primus: Primus, function: Any) -> None:
    primus.transform("incoming", function)
    spark = connect(primus)
    spark.socket.deliver("1")
    assert spark.read() == "changed"


# -- what they do, in both styles of receiving


@pytest.mark.parametrize("style", STYLES)
def test_incoming_ones_change_messages_in_the_order_of_their_registration(primus: Primus, style: str) -> None:
    primus.transform("incoming", lambda packet: setattr(packet, "data", packet.data + "a"))

    @primus.transform("incoming")
    def second(packet: Packet, next: Callable[..., None]) -> None:  # noqa: A002
        packet.data += "b"
        next()

    @primus.transform("incoming")
    def third(packet: Packet) -> None:
        gevent.sleep(0)
        packet.data += "c"

    spark = connect(primus)
    receiver = Receiver(spark, style)
    spark.socket.deliver('"1"', '"2"')
    spark.socket.deliver('"3"')
    eventually(lambda: len(receiver.got) == 3)
    assert receiver.got == ["1abc", "2abc", "3abc"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("late", [False, True])
def test_next_may_refuse_swallow_or_pass(primus: Primus, style: str, late: bool) -> None:
    seen: list[Any] = []

    @primus.transform("incoming")
    def judge(packet: Packet, next: Callable[..., None]) -> None:  # noqa: A002
        answers: dict[Any, Any] = {"refuse": ("no",), "raise": (KeyError("k"),), "swallow": (None, False)}
        answer = answers.get(packet.data, ())
        if late:
            gevent.spawn(next, *answer)
        else:
            next(*answer)

    primus.transform("incoming", lambda packet: seen.append(packet.data))
    logged: list[Any] = []
    primus.on("log", lambda level, error, spark: logged.append((level, str(error), spark)))
    spark = connect(primus)
    receiver = Receiver(spark, style)
    spark.socket.deliver('"refuse"', '"a"', '"swallow"', '"raise"', '"b"')
    eventually(lambda: receiver.got == ["a", "b"])
    assert seen == ["a", "b"]  # one that is stopped reaches no later transform
    assert [str(error) for error in receiver.errors] == ["no", "'k'"]
    assert type(receiver.errors[0]) is PrimusError
    assert logged == [("error", "no", spark), ("error", "'k'", spark)]
    assert spark.writable


@pytest.mark.parametrize("style", STYLES)
def test_only_false_swallows(primus: Primus, style: str) -> None:
    answers = iter([None, 0, "", [], False, True])
    primus.transform("incoming", lambda packet: next(answers))
    spark = connect(primus)
    receiver = Receiver(spark, style)
    spark.socket.deliver(*"123456")
    turn(2)
    assert receiver.got == [1, 2, 3, 4, 6]


@pytest.mark.parametrize("style", STYLES)
def test_one_that_raises_costs_its_message_only(primus: Primus, style: str, caplog: Any) -> None:
    def fail(packet: Packet) -> None:
        if packet.data == 2:
            raise ValueError("two")

    primus.transform("incoming", fail)
    spark = connect(primus)
    receiver = Receiver(spark, style)
    spark.socket.deliver("1", "2", "3")
    eventually(lambda: receiver.got == [1, 3])
    assert [str(error) for error in receiver.errors] == ["two"]
    assert "an incoming transform failed" in caplog.text
    assert spark.writable


def test_data_listeners_get_the_raw_message_as_the_transforms_leave_it(primus: Primus) -> None:
    seen: list[Any] = []
    primus.transform("incoming", lambda packet: seen.append((packet.data, packet.raw, packet.spark)))
    spark = connect(primus)
    spark.on("data", lambda message, raw: seen.append((message, raw)))
    spark.socket.deliver("[1]")
    turn()
    assert seen == [([1], "[1]", spark), ([1], "[1]")]


@pytest.mark.parametrize("style", STYLES)
def test_protocol_messages_do_not_pass(primus: Primus, style: str) -> None:
    seen: list[Any] = []
    primus.transform("incoming", lambda packet: seen.append(packet.data))
    primus.transform("outgoing", lambda packet: seen.append(packet.data))
    spark = connect(primus)
    Receiver(spark, style)
    spark.socket.deliver('"primus::ping::1"', '"primus::id::"', '"\\u0070rimus::ping::2"')
    turn(2)
    spark.ping(5)
    spark.end()
    assert seen == []
    sent = ['"primus::pong::1"', f'"primus::id::{spark.id}"', '"primus::pong::2"', '"primus::ping::5"', CLOSE]
    assert spark.socket.sent == sent


# -- order, and who waits


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("blocking", [True, False])
def test_a_slow_one_lets_no_message_overtake(primus: Primus, style: str, blocking: bool) -> None:
    pending: list[Any] = []

    if blocking:

        @primus.transform("incoming")
        def slow(packet: Packet) -> None:
            if packet.data == 1:
                pending.append(Event())
                pending[0].wait()

    else:

        @primus.transform("incoming")
        def late(packet: Packet, next: Callable[..., None]) -> None:  # noqa: A002
            if packet.data == 1:
                pending.append(AsyncResult())
                pending[0].rawlink(lambda _: next())
            else:
                next()

    spark = connect(primus)
    receiver = Receiver(spark, style)
    spark.socket.deliver("1")
    spark.socket.deliver("2", "3")
    spark.socket.deliver('"primus::ping::1"')
    turn(2)
    assert receiver.got == []
    assert spark.socket.sent == ['"primus::pong::1"']  # heartbeats are not held up
    pending[0].set()
    eventually(lambda: receiver.got == [1, 2, 3])


def test_a_slow_one_delays_its_own_spark_only(primus: Primus) -> None:
    gate = Gate("slow")
    primus.transform("incoming", gate)
    first, second = connect(primus), connect(primus)
    one, two = Receiver(first, "data"), Receiver(second, "data")
    first.socket.deliver('"slow"')
    second.socket.deliver('"fast"')
    turn()
    assert (one.got, two.got) == ([], ["fast"])
    gate.go.set()
    turn(2)
    assert one.got == ["slow"]


def test_messages_that_wait_for_a_slow_one_stop_the_socket() -> None:
    primus = Primus(inbox_messages=4)
    gate = Gate(0)
    primus.transform("incoming", gate)
    spark = connect(primus)
    receiver = Receiver(spark, "data")
    for message in "01234":
        spark.socket.deliver(message)
    assert spark.socket.calls == ["pause"]
    gate.go.set()
    turn(2)
    assert receiver.got == [0, 1, 2, 3, 4]
    assert spark.socket.calls == ["pause", "resume"]


@pytest.mark.parametrize("style", STYLES)
def test_one_that_never_calls_next_costs_its_message(primus: Primus, style: str) -> None:
    kept: list[Any] = []

    @primus.transform("incoming")
    def forgetful(packet: Packet, next: Callable[..., None]) -> None:  # noqa: A002
        kept.append(next)
        if packet.data != "lost":
            next()

    spark = connect(primus)
    receiver = Receiver(spark, style)
    spark.socket.deliver('"lost"', '"a"')
    eventually(lambda: receiver.got == ["a"])
    (error,) = receiver.errors
    assert type(error) is TransformError
    assert error.data == "lost"
    assert "forgetful" in str(error)
    assert "0.05 s" in str(error)
    for late in kept:  # too late, and once too often
        late()
        late("an error")
    turn(2)
    assert (receiver.got, len(receiver.errors), spark.writable) == (["a"], 1, True)


def test_the_time_limit_is_that_of_next_only(virtual: VirtualTime) -> None:
    primus = Primus(transform_timeout=30)
    primus.transform("incoming", lambda packet: gevent.sleep(100))
    spark = connect(primus)
    receiver = Receiver(spark, "data")
    spark.socket.deliver("1")
    virtual.advance(99)
    assert receiver.got == []
    virtual.advance(1)
    assert receiver.got == [1]
    assert receiver.errors == []


def test_next_may_be_called_in_the_hub(primus: Primus) -> None:
    kept: list[Any] = []
    primus.transform("incoming", lambda packet, next: kept.append(next))  # noqa: A006
    spark = connect(primus)
    receiver = Receiver(spark, "read")
    spark.socket.deliver("1", "2")
    in_hub(kept[0])
    turn()
    in_hub(kept[1], "no")
    turn()
    assert receiver.got == [1]
    assert [str(error) for error in receiver.errors] == ["no"]


@pytest.mark.parametrize("given", [gevent.Timeout(1), GreenletExit("gone")])
def test_an_error_for_next_is_never_the_readers(primus: Primus, given: BaseException) -> None:
    """A transform that gives on the timeout of its own work must not time out, or end, whoever reads."""
    primus.transform("incoming", lambda packet, next: next(given) if packet.data == 1 else next())  # noqa: A006
    spark = connect(primus)
    receiver = Receiver(spark, "read")
    spark.socket.deliver("1", "2")
    turn(2)
    assert receiver.got == [2]
    assert [error.__cause__ for error in receiver.errors] == [given]


# -- transforms that are cut short, and sparks that end meanwhile


def test_a_timeout_around_read_is_the_readers_and_loses_no_message(primus: Primus) -> None:
    gate = Gate("slow")
    primus.transform("incoming", gate)
    spark = connect(primus)
    spark.socket.deliver('"slow"', '"next"')
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        spark.read()
    gate.go.set()
    assert [spark.read(timeout=0), spark.read(timeout=0)] == ["slow", "next"]
    assert gate.entered == ["slow", "slow", "next"]
    assert spark.writable


def test_a_reader_that_is_killed_in_a_transform_leaves_the_message(primus: Primus) -> None:
    gate = Gate("slow")
    primus.transform("incoming", gate)
    spark = connect(primus)
    spark.socket.deliver('"slow"', '"next"')
    victim = gevent.spawn(spark.read)
    turn()
    victim.kill()
    gate.go.set()
    receiver = Receiver(spark, "data")
    eventually(lambda: receiver.got == ["slow", "next"])


def test_what_was_left_in_a_transform_reaches_who_waits_meanwhile(primus: Primus) -> None:
    """The listeners are removed while a message of theirs is in a transform: `read` gets it."""
    gate = Gate("slow")
    primus.transform("incoming", gate)
    spark = connect(primus)
    spark.on("data", lambda message: pytest.fail("there is no listener any more"))
    spark.socket.deliver('"slow"')
    turn()
    spark.off("data")
    receiver = Receiver(spark, "read")
    gate.go.set()
    eventually(lambda: receiver.got == ["slow"])


def test_no_second_reader_and_no_listener_overtakes_one_that_is_in_a_transform(primus: Primus) -> None:
    gate = Gate(1)
    primus.transform("incoming", gate)
    spark = connect(primus)
    receiver = Receiver(spark, "read")
    spark.socket.deliver("1", "2", "3")
    turn()
    with pytest.raises(ConcurrencyError):
        spark.read()
    with pytest.raises(ConcurrencyError):
        spark.on("data", lambda message: None)
    gate.go.set()
    eventually(lambda: receiver.got == [1, 2, 3])


def test_a_dispatch_that_is_killed_in_a_transform_costs_the_message_only(primus: Primus) -> None:
    entered: list[Any] = []

    @primus.transform("incoming")
    def slow(packet: Packet) -> None:
        if packet.data == 1:
            entered.append(gevent.getcurrent())
            gevent.sleep(10)

    spark = connect(primus)
    receiver = Receiver(spark, "data")
    spark.socket.deliver("1", "2")
    turn()
    in_hub(entered[0].throw, GreenletExit)
    turn(2)
    assert receiver.got == [2]
    assert [type(error) for error in receiver.errors] == [GreenletExit]


@pytest.mark.parametrize("style", STYLES)
def test_a_client_that_leaves_while_a_transform_blocks(primus: Primus, style: str) -> None:
    gate = Gate(1)
    primus.transform("incoming", gate)
    spark = connect(primus)
    receiver = Receiver(spark, style)
    spark.on("end", lambda: receiver.got.append("end"))
    spark.socket.deliver("1", "2")
    turn()
    spark.socket.drop()
    gate.go.set()
    eventually(lambda: len(receiver.got) == 3)
    # With listeners the end comes after the last message; who reads sees it when there is nothing left.
    assert receiver.got == ([1, 2, "end"] if style == "data" else ["end", 1, 2])


@pytest.mark.parametrize("style", STYLES)
def test_an_end_of_ours_while_a_transform_blocks_forgets_what_waits(primus: Primus, style: str) -> None:
    gate = Gate(1)
    primus.transform("incoming", gate)
    spark = connect(primus)
    receiver = Receiver(spark, style)
    spark.socket.deliver("1", "2")
    turn()
    spark.end()
    gate.go.set()
    turn(3)
    assert receiver.got == [1]


def test_what_is_left_in_a_transform_after_an_end_of_ours_is_forgotten(primus: Primus) -> None:
    gate = Gate(1)
    primus.transform("incoming", gate)
    spark = connect(primus)
    spark.socket.deliver("1")
    reader = gevent.spawn(spark.read)
    turn()
    spark.end()
    reader.kill()
    with pytest.raises(ConnectionClosed):
        spark.read(timeout=0)


# -- outgoing


def test_outgoing_ones_change_swallow_and_refuse(primus: Primus) -> None:
    errors: list[Any] = []

    @primus.transform("outgoing")
    def first(packet: Packet) -> Any:
        assert packet.raw is None
        if packet.data == "secret":
            return False
        if packet.data == "bad":
            raise ValueError("bad")
        packet.data = {"for": packet.spark.query["name"], "said": packet.data}
        return None

    @primus.transform("outgoing")
    def second(packet: Packet, next: Callable[..., None]) -> None:  # noqa: A002
        packet.data["seen"] = 2
        gevent.spawn(next)

    spark = connect(primus)
    spark.on("error", errors.append)
    assert spark.write("hi") is True
    assert spark.write("secret") is True  # accepted; that nobody gets it is what the transform wants
    assert spark.write("bad") is False
    assert spark.write("ho") is True
    assert spark.socket.sent == [
        '{"for":"ann","said":"hi","seen":2}',
        '{"for":"ann","said":"ho","seen":2}',
    ]
    assert [str(error) for error in errors] == ["bad"]
    spark.end()
    assert spark.write("late") is False


def test_the_last_message_passes_the_transforms_before_the_goodbye(primus: Primus) -> None:
    def slow(packet: Packet) -> None:
        gevent.sleep(0)
        packet.data = packet.data.upper()

    primus.transform("outgoing", slow)
    spark = connect(primus)
    spark.end("bye")
    assert spark.socket.sent == ['"BYE"', CLOSE]


def test_writers_take_their_turns(primus: Primus) -> None:
    """Also one that writes again at once does not overtake who waits already."""
    gate = Gate(1)
    primus.transform("outgoing", gate)
    spark = connect(primus)

    def write(*messages: Any) -> None:
        for message in messages:
            spark.write(message)

    writers = [gevent.spawn(write, 1, 4), gevent.spawn(write, 2), gevent.spawn(write, 3)]
    turn()
    assert gate.entered == [1]
    gate.go.set()
    gevent.joinall(writers, raise_error=True)
    assert spark.socket.sent == ["1", "2", "3", "4"]


def test_a_transform_may_write_to_its_own_spark(primus: Primus) -> None:
    @primus.transform("outgoing")
    def announce(packet: Packet) -> None:
        if packet.data != "first":
            packet.spark.write("first")

    spark = connect(primus)
    with gevent.Timeout(5):
        spark.write("second")
    assert spark.socket.sent == ['"first"', '"second"']


@pytest.mark.parametrize("how", ["timeout", "kill"])
@pytest.mark.parametrize("where", ["in the transform", "before its turn"])
def test_a_writer_that_is_cut_short_holds_up_nobody(primus: Primus, how: str, where: str) -> None:
    gate = Gate(1)
    primus.transform("outgoing", gate)
    spark = connect(primus)

    def write(message: Any) -> None:
        try:
            spark.write(message)
        except gevent.Timeout:
            cut.append(message)

    cut: list[Any] = []
    first, second, third = [gevent.spawn(write, number) for number in (1, 2, 3)]
    turn()
    victim = first if where == "in the transform" else second
    error: Any = gevent.Timeout(1) if how == "timeout" else GreenletExit()
    in_hub(victim.throw, error)
    gate.go.set()
    gevent.joinall([first, second, third])
    assert len(cut) == (how == "timeout")
    with gevent.Timeout(5):
        assert spark.write(4) is True
    assert spark.socket.sent[-2:] == ["3", "4"]
    assert spark.socket.sent == sorted(spark.socket.sent)


def test_a_timeout_of_the_writers_passes_through(primus: Primus) -> None:
    gate = Gate("slow")
    primus.transform("outgoing", gate)
    errors: list[Any] = []
    spark = connect(primus)
    spark.on("error", errors.append)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        spark.write("slow")
    assert spark.write("fast") is True
    assert (spark.socket.sent, errors) == (['"fast"'], [])


def test_a_spark_that_ends_while_an_outgoing_one_blocks(primus: Primus) -> None:
    gate = Gate(1)
    primus.transform("outgoing", gate)
    spark = connect(primus)
    first, second = gevent.spawn(spark.write, 1), gevent.spawn(spark.write, 2)
    turn()
    spark.end()
    gate.go.set()
    gevent.joinall([first, second])
    assert (first.value, second.value) == (False, False)
    assert gate.entered == [1]  # the other one is not even transformed
    assert spark.socket.sent == [CLOSE]


def test_an_outgoing_one_that_never_calls_next(primus: Primus) -> None:
    errors: list[Any] = []
    primus.transform("outgoing", lambda packet, next: packet.data == 1 or next())  # noqa: A006
    spark = connect(primus)
    spark.on("error", errors.append)
    assert (spark.write(1), spark.write(2)) == (False, True)
    assert [(type(error), error.data) for error in errors] == [(TransformError, 1)]


def test_what_a_transform_makes_may_be_impossible_to_encode(primus: Primus) -> None:
    errors: list[Any] = []
    primus.transform("outgoing", lambda packet: setattr(packet, "data", object()))
    spark = connect(primus)
    spark.on("error", errors.append)
    assert spark.write(1) is False
    assert [type(error) for error in errors] == [ParserError]


# -- the pieces


def test_a_packet_knows_whether_somebody_has_looked_at_its_spark() -> None:
    packet = Packet(1, "1", "the spark")
    assert not packet.personal
    assert packet.spark == "the spark"
    assert packet.personal
    assert repr(packet) == "<Packet 1>"


def test_apply_stops_at_false() -> None:
    seen: list[Any] = []
    transforms = [
        Transform(lambda packet: seen.append(1), 1),
        Transform(lambda packet: False, 1),
        Transform(lambda packet: seen.append(2), 1),
    ]
    assert apply(transforms, Packet(0)) is False
    assert seen == [1]
    assert apply([], Packet(0)) is True


def test_turns_may_be_taken_within_turns() -> None:
    turns = Turns()
    order: list[Any] = []

    def inner() -> None:
        with turns:
            order.append("other")

    with turns:
        other = gevent.spawn(inner)
        turn()
        with turns:
            turn()
            order.append("within")
        turn()
        order.append("still mine")
    other.join()
    assert order == ["within", "still mine", "other"]


def test_a_turn_that_comes_together_with_a_kill_is_passed_on() -> None:
    turns = Turns()
    order: list[Any] = []

    def enter(name: str) -> None:
        with turns:
            order.append(name)

    with turns:
        waiting = [gevent.spawn(enter, name) for name in ("killed", "next")]
        turn()
        waiting[0].kill(block=False)  # will be thrown when the turn is its already
    gevent.joinall(waiting)
    assert order == ["next"]
    with gevent.Timeout(5):
        enter("last")
    assert order == ["next", "last"]


def test_a_turn_is_passed_on_when_what_is_done_in_it_fails() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="x"), turns:
        raise ValueError("x")
    with gevent.Timeout(5), turns:
        pass
