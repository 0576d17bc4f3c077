"""A spark over a recording connection: both ways to receive, sending, and every way to end."""

from __future__ import annotations

import gc
import json
import logging
import weakref
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit

from primus_gevent import Primus
from primus_gevent.errors import ConcurrencyError, ConnectionClosed, ParserError, ReadTimeout
from primus_gevent.spark import NOTHING
from primus_gevent.testing.virtual import VirtualTime
from tests.unit.fakes import FakeConnection, connect
from tests.unit.hub import eventually, in_hub, turn

CLOSE = '"primus::server::close"'


@pytest.fixture
def primus() -> Primus:
    return Primus(inbox_messages=8, inbox_bytes=1000)


@pytest.fixture
def spark(primus: Primus) -> Any:
    return connect(primus)


def texts(*messages: Any) -> list[str]:
    return [json.dumps(message) for message in messages]


class Reader:
    """A greenlet that reads until the end and notes what it gets."""

    def __init__(self, spark: Any, timeout: float | None = None) -> None:
        self.got: list[Any] = []
        self.spark = spark
        self.timeout = timeout
        self.greenlet = gevent.spawn(self.run)
        turn()

    def run(self) -> None:
        try:
            while True:
                self.got.append(self.spark.read(self.timeout))
        except (ConnectionClosed, ReadTimeout, gevent.Timeout) as error:
            self.got.append(type(error))


# -- reading in time


def test_what_cannot_be_decoded_gives_a_reader_no_more_time(spark: Any, virtual: VirtualTime) -> None:
    """A peer that sends rubbish faster than the timeout must not keep a reader for ever."""
    reader = Reader(spark, timeout=10)
    for _ in range(10):
        assert reader.got == []
        spark.socket.deliver("{")
        virtual.advance(1)
    assert reader.got == [ReadTimeout]


# -- what it is


def test_a_spark_tells_of_its_request(spark: Any) -> None:
    assert spark.query == {"name": "ann", "tag": ["a", "b"]}
    assert spark.headers["user-agent"] == "test"
    assert spark.address == ("10.0.0.1", 4711, False)
    assert spark.request is spark.request
    assert spark.request.query["name"] == "ann"
    assert spark.ready_state == spark.OPEN == 3
    assert "open" in repr(spark)
    assert "fake" in repr(spark)
    assert repr(NOTHING) == "NOTHING"


def test_reserved_events(spark: Any) -> None:
    assert spark.reserved("data")
    assert spark.reserved("incoming::ping")
    assert not spark.reserved("chat")


def test_emits_makes_a_function_that_emits(spark: Any) -> None:
    got: list[Any] = []
    spark.on("chat", got.append)
    spark.emits("chat")(1, 2)
    spark.emits("chat")()
    spark.emits("chat", lambda a, b: a + b)(1, 2)
    assert got == [1, None, 3]


# -- reading


def test_messages_are_read_in_order_whether_they_wait_or_are_waited_for(spark: Any) -> None:
    spark.socket.deliver(*texts(1, 2))
    reader = Reader(spark)
    assert reader.got == [1, 2]
    spark.socket.deliver(*texts(3))
    spark.socket.deliver(*texts(4, None, 6))
    assert reader.got == [1, 2, 3, 4, None, 6]


def test_iteration_ends_with_the_connection(spark: Any) -> None:
    got: list[Any] = []
    greenlet = gevent.spawn(lambda: got.extend(spark))
    turn()
    spark.socket.deliver(*texts("a"))
    spark.socket.deliver(*texts("b", "c"))
    spark.socket.drop()
    greenlet.join(5)
    assert got == ["a", "b", "c"]


@pytest.mark.parametrize("clean", [True, False])
def test_what_came_before_the_end_is_still_read(spark: Any, clean: bool) -> None:
    spark.socket.deliver(*texts(1, 2))
    spark.socket.drop(clean)
    assert [spark.read(), spark.read()] == [1, 2]
    for _ in range(2):
        with pytest.raises(ConnectionClosed) as caught:
            spark.read()
        assert caught.value.clean is clean


@pytest.mark.parametrize("timeout", [0, 0.01, -5])
def test_a_read_that_times_out_leaves_the_spark_open_and_loses_nothing(spark: Any, timeout: float) -> None:
    with pytest.raises(ReadTimeout):
        spark.read(timeout)
    assert spark._waiter is None
    spark.socket.deliver(*texts(1))
    assert spark.read(timeout) == 1
    assert spark.writable


def test_a_message_in_time_takes_back_the_timeout(spark: Any) -> None:
    reader = Reader(spark, 60)
    spark.socket.deliver(*texts(1))
    spark.socket.drop()
    reader.greenlet.join(5)
    assert reader.got == [1, ConnectionClosed]


def test_a_timeout_around_read_loses_no_message(spark: Any) -> None:
    got: list[Any] = []

    def run() -> None:
        for _ in range(3):
            with gevent.Timeout(0.001, False):
                got.append(spark.read())
        got.append(spark.read())

    greenlet = gevent.spawn(run)
    eventually(lambda: spark._waiter is not None)
    spark.socket.deliver(*texts("late"))
    spark.socket.deliver(*texts("later"), *texts("latest"))
    spark.socket.deliver(*texts("last"))
    greenlet.join(5)
    assert got == ["late", "later", "latest", "last"][: len(got)]
    rest = ["late", "later", "latest", "last"][len(got) :]
    assert [spark.read(0) for _ in rest] == rest


@pytest.mark.parametrize("kill_first", [True, False])
def test_a_reader_that_is_killed_with_a_message_at_hand_loses_none(spark: Any, kill_first: bool) -> None:
    reader = Reader(spark)

    def both_at_once() -> None:
        if kill_first:
            reader.greenlet.kill(block=False)
        spark.receive(texts("switched in"))
        reader.greenlet.kill(block=False)

    in_hub(both_at_once)
    reader.greenlet.join(5)
    assert spark._waiter is None
    assert reader.got == ["switched in"]  # a kill is done in the loop's next turn
    spark.socket.deliver(*texts("waits"))
    assert spark.read(0) == "waits"


def test_nothing_is_switched_to_a_greenlet_that_has_left_read(spark: Any) -> None:
    reader = Reader(spark)
    in_hub(reader.greenlet.throw, gevent.Timeout(1))
    assert reader.got == [gevent.Timeout]
    spark.socket.deliver(*texts(1))
    spark.socket.drop()
    turn(3)
    assert reader.got == [gevent.Timeout]
    assert spark.read() == 1


def test_a_wake_up_that_is_not_for_read_is_no_message(spark: Any) -> None:
    reader = Reader(spark)
    in_hub(reader.greenlet.switch, "from elsewhere")
    in_hub(reader.greenlet.switch)
    assert reader.got == []
    spark.socket.deliver(*texts(1))
    spark.socket.drop()
    reader.greenlet.join(5)
    assert reader.got == [1, ConnectionClosed]


def test_an_end_that_is_under_way_reaches_only_who_still_waits(spark: Any) -> None:
    reader = Reader(spark)

    def end_and_kill() -> None:
        spark.socket.lose()  # schedules the wake-up
        reader.greenlet.kill(block=False)

    in_hub(end_and_kill)
    reader.greenlet.join(5)
    assert reader.greenlet.dead
    assert reader.got in ([], [ConnectionClosed])


def test_end_by_another_greenlet_wakes_the_reader_without_leaving_that_greenlet(spark: Any) -> None:
    reader, order = Reader(spark), []
    spark.on("end", lambda: order.append("end event"))
    spark.end()
    order.append("after end()")
    reader.greenlet.join(5)
    turn()
    assert order == ["after end()", "end event"]
    assert reader.got == [ConnectionClosed]


def test_two_greenlets_cannot_wait_at_once(spark: Any) -> None:
    reader = Reader(spark)
    with pytest.raises(ConcurrencyError):
        spark.read()
    spark.socket.deliver(*texts(1))
    assert reader.got == [1]


def test_a_flowing_spark_cannot_be_read(spark: Any) -> None:
    spark.on("data", lambda message: None)
    with pytest.raises(ConcurrencyError):
        spark.read()
    with pytest.raises(ConcurrencyError):
        next(spark)


def test_a_spark_that_is_read_takes_no_data_listener(spark: Any) -> None:
    def listener(message: Any) -> None: ...

    reader = Reader(spark)
    with pytest.raises(ConcurrencyError):
        spark.on("data", listener)
    assert spark.listeners("data") == []
    spark.socket.deliver(*texts(1))
    assert reader.got == [1]


def test_undecodable_messages_are_errors_and_the_spark_lives(spark: Any, caplog: Any) -> None:
    errors: list[Any] = []
    spark.on("error", errors.append)
    spark.primus.on("log", lambda level, error, which: errors.append((level, error, which)))
    reader = Reader(spark)
    spark.socket.deliver("{", '"ok"')
    spark.socket.deliver("]")
    spark.socket.deliver('"fine"')
    assert reader.got == ["ok", "fine"]
    (level, logged, which), error, *rest = errors
    assert (level, logged, which) == ("error", error, spark)
    assert isinstance(error, ParserError)
    assert error.data == "{"
    assert "Failed to decode incoming data" in str(error)
    assert len(rest) == 2
    assert spark.writable
    assert "Failed to decode" in caplog.text


# -- data listeners


def test_listeners_get_message_and_raw_in_order(spark: Any) -> None:
    got: list[Any] = []
    spark.on("data", got.append)
    spark.on("data", lambda message, raw: got.append((message, raw)))
    spark.socket.deliver("1")
    spark.socket.deliver('"x"', "null")
    turn()
    assert got == [1, (1, "1"), "x", ("x", '"x"'), None, (None, "null")]


def test_a_listener_that_is_added_late_gets_what_waits_first(spark: Any) -> None:
    got: list[Any] = []
    spark.socket.deliver(*texts(1, 2))
    spark.on("data", got.append)
    assert got == []  # not from inside on()
    spark.socket.deliver(*texts(3))
    turn()
    assert got == [1, 2, 3]


def test_a_listener_that_blocks_holds_back_its_own_spark_only(primus: Primus) -> None:
    first, second, go, got = connect(primus), connect(primus), Event(), []

    @first.on("data")
    def slow(message: Any) -> None:
        got.append(("begin", message))
        go.wait()
        got.append(("end", message))

    second.on("data", lambda message: got.append(("other", message)))
    first.socket.deliver(*texts(1))
    first.socket.deliver(*texts(2))
    second.socket.deliver(*texts(3))
    assert got == [("begin", 1), ("other", 3)]
    go.set()
    turn(3)
    assert got[2:] == [("end", 1), ("begin", 2), ("end", 2)]


def test_off_in_the_middle_leaves_the_rest_to_read(spark: Any) -> None:
    got: list[Any] = []

    def listener(message: Any) -> None:
        got.append(message)
        if message == 2:
            spark.off("data", listener)

    spark.on("data", listener)
    spark.socket.deliver(*texts(1, 2, 3, 4))
    assert got == [1, 2]
    assert spark.read(0) == 3
    spark.on("data", got.append)
    turn(2)
    assert got == [1, 2, 4]


@pytest.mark.parametrize("remove", ["off", "remove_all_listeners"])
def test_without_listeners_a_spark_can_be_read_again(spark: Any, remove: str) -> None:
    spark.on("data", lambda message: None)
    getattr(spark, remove)("data")
    spark.socket.deliver(*texts(1))
    assert spark.read(0) == 1


def test_once_takes_one_message_and_leaves_the_rest(spark: Any) -> None:
    got: list[Any] = []
    spark.once("data", got.append)
    spark.socket.deliver(*texts(1, 2))
    turn()
    assert got == [1]
    assert spark.read(0) == 2


@pytest.mark.parametrize("error", [ValueError("x"), gevent.Timeout(1), GreenletExit()])
def test_a_data_listener_that_raises_costs_nothing_but_an_error_event(
    primus: Primus, error: BaseException, caplog: Any
) -> None:
    spark, got, errors = connect(primus), [], []

    @spark.on("data")
    def broken(message: Any) -> None:
        raise error

    spark.on("data", got.append)
    spark.on("error", errors.append)
    spark.socket.deliver(*texts(1))
    spark.socket.deliver(*texts(2, 3))
    turn()
    assert got == [1, 2, 3]
    assert errors == [error] * 3
    assert spark.writable
    assert "a data listener failed" in caplog.text


def test_an_error_listener_that_raises_is_only_logged(spark: Any, caplog: Any) -> None:
    @spark.on("error")
    def broken(error: Any) -> None:
        raise RuntimeError("again")

    spark.socket.deliver("{")
    with pytest.raises(ReadTimeout):
        spark.read(0)
    assert "a error listener failed" in caplog.text


def test_pipe_writes_everything_and_ends_the_destination(primus: Primus) -> None:
    source, target = connect(primus), connect(primus)
    assert source.pipe(target) is target
    source.socket.deliver(*texts(1, {"a": 2}))
    assert target.socket.sent == ["1", '{"a":2}']
    source.socket.drop()
    turn()
    assert not target.writable


def test_pipe_to_something_that_only_writes(spark: Any) -> None:
    class Sink:
        def __init__(self) -> None:
            self.got: list[Any] = []
            self.write = self.got.append

    sink = spark.pipe(Sink())
    spark.socket.deliver(*texts(1))
    spark.socket.drop()
    turn()
    assert sink.got == [1]


# -- Primus's own messages


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("primus::ping::12", "primus::pong::12"),
        ("primus::ping:x", "primus::pong::"),
        ("primus::ping::", "primus::pong::"),
        ("primus::ping::é", "primus::pong::é"),
        ("primus::pong::12", None),
        ("primus::id::", "primus::id::{id}"),
    ],
)
@pytest.mark.parametrize("style", ["nobody", "read", "data"])
def test_protocol_messages_are_answered_whoever_receives(
    spark: Any, text: str, answer: str | None, style: str
) -> None:
    got: list[Any] = []
    if style == "data":
        spark.on("data", got.append)
    elif style == "read":
        got = Reader(spark).got
    spark.socket.deliver(json.dumps(text, ensure_ascii=False))
    spark.socket.deliver(json.dumps(text, ensure_ascii=False), '"x"')
    expected = [] if answer is None else [json.dumps(answer.format(id=spark.id), ensure_ascii=False)] * 2
    assert spark.socket.sent == expected
    if style == "nobody":
        got.append(spark.read(0))
    assert got == ["x"]


@pytest.mark.parametrize(
    "text",
    [
        "primus::ping",
        "primus::",
        "primus::foo::bar",
        "primus::server::close",
        "primus:ping::1",
        "x primus::ping::1",
    ],
)
def test_what_only_looks_like_one_is_a_message(spark: Any, text: str) -> None:
    spark.socket.deliver(json.dumps(text))
    assert spark.read(0) == text
    assert spark.socket.sent == []


def test_a_protocol_message_in_disguise_is_found_when_it_is_decoded(spark: Any) -> None:
    spark.socket.deliver(r'"\u0070rimus::ping::7"', " " * 40 + '"primus::ping::8"')
    with pytest.raises(ReadTimeout):
        spark.read(0)
    assert spark.socket.sent == ['"primus::pong::7"', '"primus::pong::8"']


def test_messages_that_mention_primus_are_messages(spark: Any) -> None:
    spark.socket.deliver('["primus::ping::1"]', '{"primus::ping::1":2}', '"primus::', b"primus::ping::1")
    assert spark.read(0) == ["primus::ping::1"]
    assert spark.read(0) == {"primus::ping::1": 2}


def test_a_peer_that_pings_and_never_reads_gets_no_more_answers(spark: Any) -> None:
    spark.socket.full = True
    spark.socket.deliver('"primus::ping::1"', '"primus::id::"')
    assert spark.socket.sent == []
    assert spark.primus.dropped_counts["heartbeats"] == 2


def test_heartbeats_are_events(spark: Any) -> None:
    seen: list[Any] = []
    for event in ("incoming::ping", "outgoing::pong", "incoming::pong", "outgoing::ping", "heartbeat"):
        spark.on(event, lambda *args, event=event: seen.append((event, *args)))
    spark.socket.deliver('"primus::ping::1"')
    spark.socket.deliver('"primus::pong::2"')
    spark.ping(3)
    turn()
    assert seen == [
        ("incoming::ping", "1"),
        ("outgoing::pong", "1"),
        ("heartbeat",),
        ("incoming::pong", "2"),
        ("heartbeat",),
        ("outgoing::ping", 3),
    ]
    assert spark.socket.sent == ['"primus::pong::1"', '"primus::ping::3"']


def test_a_heartbeat_listener_that_raises_harms_nothing(spark: Any, caplog: Any) -> None:
    @spark.on("heartbeat")
    def broken() -> None:
        raise ValueError("x")

    spark.socket.deliver('"primus::ping::1"')
    assert spark.socket.sent == ['"primus::pong::1"']
    assert "a heartbeat listener failed" in caplog.text


# -- parsers of the user's


class Picky:
    """Knows numbers only, as some formats do; cannot carry Primus's own texts."""

    @staticmethod
    def encoder(data: Any) -> str:
        if not isinstance(data, int):
            raise TypeError("only numbers")
        return str(data)

    @staticmethod
    def decoder(raw: Any) -> Any:
        return json.loads(raw)


@pytest.mark.parametrize("style", ["nobody", "read", "data"])
def test_a_parser_that_cannot_carry_primus_texts_costs_no_connection(style: str) -> None:
    spark, got, errors = connect(Primus(parser=Picky)), [], []
    spark.on("error", errors.append)
    if style == "data":
        spark.on("data", got.append)
    elif style == "read":
        got = Reader(spark).got
    spark.socket.deliver('"primus::ping::1"')
    spark.socket.deliver(r'"\u0070rimus::ping::1"', "1")
    if style == "nobody":
        got.append(spark.read(0))
    turn()
    assert got == [1]
    assert len(errors) == 2
    assert isinstance(errors[0], ParserError)
    assert spark.end() is True
    turn()
    assert ("close", 1000) in spark.socket.calls


def test_a_parser_that_returns_neither_text_nor_bytes_is_an_error() -> None:
    class Odd:
        encoder = staticmethod(lambda data: {"not": "encoded"})
        decoder = staticmethod(json.loads)

    spark, errors = connect(Primus(parser=Odd)), []
    spark.on("error", errors.append)
    assert spark.write(1) is False
    assert isinstance(errors[0], ParserError)
    assert spark.writable


def test_a_parser_may_block_in_read_and_in_write() -> None:
    class Slow:
        @staticmethod
        def encoder(data: Any) -> str:
            turn()
            return json.dumps(data)

        @staticmethod
        def decoder(raw: Any) -> Any:
            turn()
            return json.loads(raw)

    spark, got = connect(Primus(parser=Slow)), []
    spark.on("data", got.append)
    spark.socket.deliver("1", "2")
    assert spark.write(3) is True
    eventually(lambda: len(got) == 2)
    assert (got, spark.socket.sent) == ([1, 2], ["3"])


# -- back-pressure


def test_the_inbox_stops_the_socket_at_its_high_mark_and_starts_it_at_the_low_one(spark: Any) -> None:
    spark.socket.deliver(*texts(*range(7)))
    assert not spark.socket.paused
    spark.socket.deliver(*texts(7, 8, 9))
    assert spark.socket.paused
    for expected in range(7):
        assert spark.read(0) == expected
        assert spark.socket.paused
    assert spark.read(0) == 7
    assert not spark.socket.paused  # 2 of 8 are left: a quarter
    assert spark.socket.calls == ["pause", "resume"]


def test_the_inbox_counts_bytes_too(spark: Any) -> None:
    spark.socket.deliver(json.dumps("x" * 500))
    assert not spark.socket.paused
    spark.socket.deliver(json.dumps("x" * 500))
    assert spark.socket.paused
    spark.read(0)
    assert spark.socket.paused  # 502 of 1,000 bytes
    spark.read(0)
    assert not spark.socket.paused
    assert spark._inbox_bytes == 0


def test_one_message_over_the_mark_is_read_like_any_other(spark: Any) -> None:
    reader = Reader(spark)
    for _ in range(3):
        spark.socket.deliver(json.dumps("x" * 5000), "1")
    assert len(reader.got) == 6
    assert not spark.socket.paused


def test_a_listener_that_blocks_stops_the_socket_until_it_is_done(spark: Any) -> None:
    go, got = Event(), []

    @spark.on("data")
    def slow(message: Any) -> None:
        go.wait()
        got.append(message)

    for i in range(20):
        spark.socket.deliver(*texts(i))
    assert spark.socket.paused
    go.set()
    eventually(lambda: len(got) == 20)
    assert got == list(range(20))
    assert not spark.socket.paused


def test_that_nobody_reads_is_logged_once(spark: Any, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        for i in range(20):
            spark.socket.deliver(*texts(i))
    assert caplog.text.count("nobody reads them") == 1


def test_write_parks_while_too_much_waits(spark: Any) -> None:
    assert spark.write(1) is True
    assert spark.socket.calls == []
    spark.socket.full = True
    assert spark.write(2) is True
    assert spark.socket.calls == ["wait_writable"]
    assert spark.socket.sent == ["1", "2"]


# -- write


def test_write_tells_whether_it_was_accepted(spark: Any) -> None:
    assert spark.writable
    assert spark.write(None) is True
    spark.socket.drop()
    assert spark.write(1) is False
    assert not spark.writable
    assert spark.socket.sent == ["null"]


def test_what_cannot_be_encoded_is_an_error_event(spark: Any) -> None:
    errors: list[Any] = []
    spark.on("error", errors.append)
    loop: list[Any] = []
    loop.append(loop)
    for message in (object(), {1, 2}, loop, {(1, 2): 3}):
        assert spark.write(message) is False
    assert [error.data for error in errors][1:3] == [{1, 2}, loop]
    assert all(isinstance(error, ParserError) and error.__cause__ is not None for error in errors)
    assert spark.write("still here") is True


def test_a_timeout_of_the_user_passes_through_write(spark: Any) -> None:
    def park() -> None:
        Event().wait()

    spark.socket.full = True
    spark.socket.wait_writable = park
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        spark.write(1)
    assert spark.writable


# -- the end


def order_of_end(spark: Any) -> list[Any]:
    order: list[Any] = []
    spark.on("data", lambda message: order.append(("data", message)))
    spark.on("readyStateChange", lambda *args: order.append(("readyStateChange", *args)))
    spark.on("end", lambda *args: order.append(("end", *args)))
    spark.primus.on("disconnection", lambda which: order.append(("disconnection", which)))
    return order


THE_END = ["readyStateChange", "disconnection", "end"]


@pytest.mark.parametrize("clean", [True, False])
def test_the_events_of_an_end_come_once_in_order_after_the_last_message(spark: Any, clean: bool) -> None:
    order = order_of_end(spark)
    spark.socket.deliver(*texts(1))
    spark.socket.drop(clean)
    spark.end()
    spark.abort()
    turn(2)
    assert order == [("data", 1), ("readyStateChange",), ("disconnection", spark), ("end",)]
    assert spark.clean is clean
    assert spark.ready_state == spark.CLOSED == 2
    assert "closed" in repr(spark)


def test_an_end_while_a_listener_blocks_comes_after_all_messages(spark: Any) -> None:
    order, go = order_of_end(spark), Event()
    spark.on("data", lambda message: go.wait())
    spark.socket.deliver(*texts(1, 2))
    spark.socket.drop()
    assert order == [("data", 1)]
    go.set()
    turn(3)
    assert [name for name, *_ in order] == ["data", "data", *THE_END]


def test_end_says_that_it_is_final_and_drops_what_was_not_read(spark: Any) -> None:
    order = order_of_end(spark)
    spark.off("data")
    spark.socket.deliver(*texts(1, 2))
    assert spark.end("bye") is True
    assert spark.end("again") is False
    turn()
    assert spark.socket.sent == ['"bye"', CLOSE]
    assert spark.socket.calls == [("close", 1000)]
    assert spark.primus.dropped_counts["unread messages"] == 1
    assert [name for name, *_ in order] == THE_END
    with pytest.raises(ConnectionClosed):
        spark.read()


def test_end_with_reconnect_says_nothing_but_come_back(spark: Any) -> None:
    assert spark.end(reconnect=True) is True
    assert spark.socket.sent == []
    assert spark.socket.calls == [("close", 1012)]


def test_none_is_a_last_message_too(spark: Any) -> None:
    spark.end(None)
    assert spark.socket.sent == ["null", CLOSE]


def test_abort_says_nothing(spark: Any) -> None:
    order = order_of_end(spark)
    spark.abort()
    spark.abort()
    turn()
    assert spark.socket.calls == ["abort", "abort"]
    assert spark.clean is False
    assert [name for name, *_ in order] == THE_END


def test_end_inside_a_data_listener(spark: Any) -> None:
    order = order_of_end(spark)
    spark.on("data", lambda message: spark.end())
    spark.socket.deliver(*texts(1, 2, 3))
    turn()
    assert [name for name, *_ in order] == ["data", *THE_END]


def test_a_last_message_that_has_to_wait_while_somebody_else_ends(spark: Any) -> None:
    go = Event()
    spark.socket.full = True
    spark.socket.wait_writable = go.wait
    results: list[Any] = []
    greenlet = gevent.spawn(lambda: results.append(spark.end("bye")))
    turn()
    spark.abort()
    go.set()
    greenlet.join(5)
    assert results == [False]
    assert spark.primus.connected == 0


def test_a_context_manager_ends_it(spark: Any) -> None:
    with spark as same:
        assert same is spark
    assert spark.socket.sent == [CLOSE]


def test_the_transformers_own_close_ends_the_spark(spark: Any) -> None:
    spark.socket.close(4000, "own reason")
    assert spark.ready_state == spark.CLOSED
    assert spark.clean is True
    assert spark.socket.calls == [("close", 4000)]


@pytest.mark.parametrize("error", [ValueError("x"), gevent.Timeout(1)])
def test_a_listener_of_the_end_that_raises_keeps_nobody_from_it(spark: Any, error: BaseException) -> None:
    order = order_of_end(spark)

    def broken(*args: Any) -> None:
        raise error

    for emitter, event in ((spark, "readyStateChange"), (spark, "end"), (spark.primus, "disconnection")):
        listeners = emitter.listeners(event)
        emitter.remove_all_listeners(event)
        emitter.on(event, broken)
        for listener in listeners:
            emitter.on(event, listener)
    spark.socket.drop()
    turn()
    assert [name for name, *_ in order] == THE_END


def test_the_end_is_emitted_also_when_its_listeners_block(spark: Any) -> None:
    order, go = order_of_end(spark), Event()
    spark.on("readyStateChange", go.wait)
    spark.socket.drop()
    assert [name for name, *_ in order] == THE_END[:1]
    go.set()
    turn(2)
    assert [name for name, *_ in order] == THE_END


def test_once_listeners_of_the_end_are_called_once(spark: Any) -> None:
    ends: list[int] = []
    spark.once("end", lambda: ends.append(1))
    spark.socket.drop()
    turn()
    assert ends == [1]
    assert spark.listeners("end") == []


def test_listeners_for_data_that_come_after_the_end_still_get_what_waits(spark: Any) -> None:
    got: list[Any] = []
    spark.socket.deliver(*texts(1, 2))
    spark.socket.drop()
    turn()
    spark.on("data", got.append)
    turn(2)
    assert got == [1, 2]


# -- memory


@pytest.mark.parametrize("style", ["silent", "read", "data", "ended", "aborted", "heartbeat"])
def test_a_spark_that_is_gone_is_freed_at_once(style: str) -> None:
    primus = Primus()
    spark = connect(primus)
    spark.socket.deliver('"primus::ping::1"')
    if style == "data":
        spark.on("data", lambda message: None)
        spark.on("end", lambda: None)
        spark.socket.deliver("1", "2")
    if style == "heartbeat":
        spark.on("heartbeat", lambda: None)
        spark.socket.deliver('"primus::ping::1"')
    reader = Reader(spark, 60) if style == "read" else None
    if style == "read":
        spark.socket.deliver("1")
    if style == "ended":
        spark.end()
    if style == "aborted":
        spark.abort()
    connection = spark.socket
    connection.drop()
    turn(3)
    if reader is not None:
        reader.greenlet.join(5)
        del reader
    connection.receiver = None
    primus._sweep.stop()
    turn(2)
    gone = weakref.ref(spark)
    gc.disable()
    try:
        del spark
        assert gone() is None, gc.get_referrers(gone())
    finally:
        gc.enable()


def test_a_plain_spark_needs_no_dictionary_and_no_inbox(spark: Any) -> None:
    assert spark._inbox is None
    assert spark._listeners is None
    spark.anything = 1  # but it may have attributes of the application's
    assert spark.anything == 1


def test_users_may_extend_the_class(primus: Primus) -> None:
    primus.Spark.greet = lambda self: self.write("hello")  # type: ignore[attr-defined]
    spark = connect(primus, FakeConnection())
    spark.greet()
    assert spark.socket.sent == ['"hello"']
    assert not hasattr(connect(Primus()), "greet")


# -- watching


def test_a_once_listener_that_was_called_leaves_no_trace(spark: Any) -> None:
    """Whoever emitted: a spark that seems to flow would throw its messages away."""
    got: list[Any] = []
    spark.once("data", got.append)
    spark.once("incoming::data", got.append)
    spark.emit("data", "by hand")
    spark.socket.deliver("1")
    assert got == ["by hand", "1"]
    assert not spark.watched
    assert spark.read(timeout=0) == 1


@pytest.mark.parametrize("style", ["read", "data"])
def test_who_watches_may_hang_up_before_the_message_is_taken(spark: Any, style: str) -> None:
    got: list[Any] = []
    reader = None
    if style == "read":
        reader = Reader(spark)
        got = reader.got
    else:
        spark.on("data", got.append)
    spark.on("incoming::data", lambda raw: spark.end())
    turn()
    spark.socket.deliver("1", "2")
    turn(2)
    assert got == ([ConnectionClosed] if style == "read" else [])
