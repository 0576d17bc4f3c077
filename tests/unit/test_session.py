"""What outlives a request: packets, the request that carries them, and times."""

from __future__ import annotations

from math import inf
from typing import Any

import gevent
import pytest
from gevent import get_hub

from primus_gevent.session import CLOSING, GONE, OPEN, Session, SessionLimits, Sessions
from tests.unit.hub import turn

LIMITS = SessionLimits(write_buffer=100, away_timeout=10.0, cut_timeout=2.0, close_timeout=1.0)


class Letters(Session):
    """A framework with letters for packets."""

    __slots__ = ()

    def encode(self, payload: Any) -> Any:
        return "m" + payload

    def goodbye(self) -> Any:
        return ("bye",)


class Spark:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def receive(self, messages: Any) -> None:
        self.calls.append(list(messages))

    def closed(self, clean: bool) -> None:
        self.calls.append(("closed", clean))

    def gone(self) -> None:
        self.calls.append("gone")


class Carrier:
    def __init__(self, *, reachable: bool = True) -> None:
        self.deadline = inf
        self.woken = 0
        self.cuts = 0
        self.reachable = reachable

    def wake(self) -> None:
        self.woken += 1

    def cut(self) -> bool:
        self.cuts += 1
        return self.reachable


class Socket:
    """A WebSocket, as a session sees it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.calls: list[Any] = []
        self.active = self.full = False
        self.paused = False
        self.receiver: Any = None

    def send(self, packet: Any) -> None:
        self.sent.append(packet)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def peer_left(self) -> bool:
        return True

    def flush(self) -> None:
        self.calls.append("flush")

    def wait_writable(self) -> None:
        self.calls.append("wait")

    def prepare(self, packet: Any) -> bytes:
        return b"P" + packet.encode()

    def send_prepared(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.calls.append(("close", code, reason))
        self.receiver.closed(True)

    def abort(self) -> None:
        self.calls.append("abort")


@pytest.fixture
def dropped() -> list[str]:
    return []


@pytest.fixture
def sessions(dropped: list[str]) -> Sessions:
    return Sessions(dropped.append)


@pytest.fixture
def session(sessions: Sessions) -> Letters:
    session = Letters(sessions, "id", LIMITS, get_hub())
    session.start(Spark())
    return session


def spark_of(session: Session) -> Spark:
    spark: Spark = session._receiver
    return spark


def adopt(session: Session) -> Socket:
    socket = Socket()
    socket.receiver = session
    session.adopt(socket)
    return socket


# -- the outbox


def test_packets_wait_in_their_order(session: Letters) -> None:
    assert not session.ready
    session.send("a")
    session.push("b")
    assert session.ready
    assert list(session.waiting) == ["ma", "b"]
    assert session.take(1) == ["ma"]
    assert session.take(5) == ["b"]
    assert session.take() == []
    assert not session.ready


def test_what_did_not_arrive_comes_first(session: Letters) -> None:
    session.send("a")
    session.send("b")
    taken = session.take()
    session.send("c")
    session.put_back(taken)
    assert session.take() == ["ma", "mb", "mc"]


def test_a_carrier_is_woken(session: Letters) -> None:
    carrier = Carrier()
    session.hold(carrier)
    session.send("a")
    session.close()
    assert carrier.woken >= 2
    session.release(carrier)
    session.push("b")
    assert session.carrier is None


def test_writer_waits_until_enough_has_been_taken(session: Letters) -> None:
    for _ in range(11):
        session.send("x" * 9)
    assert session.full
    writer = gevent.spawn(session.wait_writable)
    turn(2)
    session.take(2)
    turn(2)
    assert not session.full
    assert not writer.ready()  # not before the low mark
    taken = session.take()
    session.put_back(taken)  # which did not arrive
    session.send("x" * 30)
    turn(2)
    assert not writer.ready()
    session.take()
    writer.join(1)
    assert writer.ready()


@pytest.mark.parametrize("end", ["close", "abort", "lose"])
def test_writer_does_not_wait_for_the_end(session: Letters, end: str) -> None:
    session.send("x" * 200)
    writer = gevent.spawn(session.wait_writable)
    turn(2)
    getattr(session, end)()
    writer.join(1)
    assert writer.ready()
    session.abort()


# -- receiving


def test_messages_reach_the_spark_while_it_is_open(session: Letters) -> None:
    spark = spark_of(session)
    session.deliver(["a", "b"])
    session.deliver([])
    session.close()
    session.deliver(["late"])
    assert spark.calls == [["a", "b"], ("closed", True)]


def test_a_request_that_brings_messages_waits(session: Letters) -> None:
    waiter = Carrier()
    session.pause()
    assert session.paused
    session.await_resume(waiter)
    session.resume()
    assert (session.paused, waiter.woken) == (False, 1)
    session.forget(waiter)
    session.pause()
    session.resume()
    assert waiter.woken == 1


def test_the_end_wakes_who_waits(session: Letters) -> None:
    waiter = Carrier()
    session.pause()
    session.await_resume(waiter)
    session.close()
    assert waiter.woken == 1
    assert not session.paused


# -- the end


def test_goodbye_comes_last_and_is_the_end_when_it_has_arrived(sessions: Sessions, session: Letters) -> None:
    spark = spark_of(session)
    session.send("a")
    session.close()
    assert session.state == CLOSING
    session.close()
    session.lose()
    assert spark.calls == [("closed", True)]
    carrier = Carrier()
    session.hold(carrier)
    assert session.take() == ["ma", "bye"]
    session.release(carrier)
    session.delivered()
    assert session.state == GONE
    assert spark.calls == [("closed", True), "gone"]
    assert len(sessions) == 0


def test_goodbye_that_did_not_arrive_is_fetched_again(session: Letters) -> None:
    carrier = Carrier()
    session.close()
    session.hold(carrier)
    taken = session.take()
    session.put_back(taken)
    session.release(carrier, cut=True)
    session.delivered()
    assert session.state == CLOSING
    assert session.take() == ["bye"]


def test_nothing_is_kept_of_an_aborted_session(
    sessions: Sessions, session: Letters, dropped: list[str]
) -> None:
    spark = spark_of(session)
    session.send("a")
    session.abort()
    session.abort()
    session.push("b")
    session.put_back(["c"])
    assert (session.state, list(session.waiting), len(sessions)) == (GONE, [], 0)
    assert spark.calls == [("closed", False), "gone"]
    assert dropped == ["undelivered packets"]


def test_client_that_breaks_the_rules_is_told(session: Letters) -> None:
    spark = spark_of(session)
    session.lose()
    assert session.take() == ["bye"]
    assert spark.calls == [("closed", False)]


# -- times


def test_client_that_stays_away(session: Letters) -> None:
    session.tick(100.0)
    session.tick(110.0)
    assert session.state == OPEN
    session.tick(110.1)
    assert session.state == GONE


def test_client_that_comes_in_time(session: Letters) -> None:
    carrier = Carrier()
    session.tick(100.0)
    session.hold(carrier)
    session.tick(109.0)
    session.tick(200.0)  # it is there
    session.release(carrier)
    session.tick(201.0)
    session.tick(211.0)
    assert session.state == OPEN


def test_client_that_was_cut_off_is_given_less_time(session: Letters) -> None:
    carrier = Carrier()
    session.hold(carrier)
    session.release(carrier, cut=True)
    session.tick(100.0)
    session.tick(102.0)
    assert session.state == OPEN
    session.tick(102.1)
    assert session.state == GONE


def test_goodbye_that_nobody_fetches(session: Letters) -> None:
    session.tick(100.0)
    session.close()
    session.tick(109.9)
    assert session.state == CLOSING  # its time begins with the end
    session.tick(111.0)
    assert session.state == GONE


def test_carrier_that_does_not_come_to_its_end(session: Letters) -> None:
    carrier = Carrier()
    session.hold(carrier)
    session.tick(1e9)
    assert not session.sending
    carrier.deadline = 100.0
    assert session.sending
    session.tick(100.0)
    assert carrier.cuts == 0
    session.tick(100.1)
    assert (carrier.cuts, session.state) == (1, OPEN)


def test_carrier_that_is_out_of_reach(session: Letters) -> None:
    carrier = Carrier(reachable=False)
    session.hold(carrier)
    carrier.deadline = 100.0
    session.close()
    session.tick(101.0)
    assert session.state == GONE


def test_who_waits_for_the_end_of_a_request(session: Letters) -> None:
    calls: list[int] = []
    session.when_free(lambda: calls.append(1))
    session.when_free(lambda: calls.append(2))
    carrier = Carrier()
    session.hold(carrier)
    assert calls == []
    session.release(carrier)
    turn()
    assert calls == [1, 2]
    session.release(carrier)
    turn()
    assert calls == [1, 2]


# -- a WebSocket


def test_a_websocket_takes_over(session: Letters) -> None:
    assert session.name == "polling"
    session.send("a")
    carrier = Carrier()
    session.hold(carrier)
    session.pause()
    socket = adopt(session)
    assert (socket.sent, socket.paused, session.name) == (["ma"], True, "websocket")
    assert carrier.woken
    session.resume()
    session.send("b")
    session.send_prepared(session.prepare("c"))
    assert socket.sent == ["ma", "mb", b"Pmc"]
    session.flush()
    session.active = True
    assert (socket.calls, socket.active, session.active) == (["flush"], True, True)
    assert session.peer_left()
    session.tick(0)
    session.tick(1e9)
    assert session.state == OPEN


def test_writer_that_waits_while_a_websocket_takes_over(session: Letters) -> None:
    session.send("x" * 200)
    writer = gevent.spawn(session.wait_writable)
    turn(2)
    adopt(session)
    writer.join(1)
    assert writer.ready()
    session.transport.full = True
    session.wait_writable()
    assert session.transport.calls == ["wait"]


def test_a_closing_session_says_the_rest_over_the_websocket(session: Letters) -> None:
    spark = spark_of(session)
    session.send("last words")
    session.close(1012)
    socket = adopt(session)
    assert socket.sent == ["mlast words"]  # the frame says goodbye
    assert socket.calls == [("close", 1012, "")]
    session.gone()
    assert spark.calls == [("closed", True), "gone"]


def test_ends_over_a_websocket(sessions: Sessions) -> None:
    for end, call, clean in [
        ("close", ("close", 1000, ""), True),
        ("finish", ("close", 1000, ""), True),
        ("lose", ("close", 1002, ""), False),
        ("abort", "abort", None),
    ]:
        session = Letters(sessions, "id", LIMITS, get_hub())
        spark = Spark()
        session.start(spark)
        socket = adopt(session)
        getattr(session, end)()
        assert socket.calls == [call]
        if clean is not None:
            assert spark.calls == [("closed", clean)]
        session.closed(True)
        session.gone()
        assert spark.calls[1:] == ["gone"]
    assert len(sessions) == 0


# -- the registry


def test_registry(sessions: Sessions, session: Letters) -> None:
    assert sessions.get("id") is session
    assert sessions.get("other") is None
    assert list(sessions) == [session]
    assert repr(session) == "<Letters id open polling 0 waiting>"


def test_an_id_that_is_given_again(sessions: Sessions, session: Letters) -> None:
    """By an application with ids of its own, while the old session waits to say goodbye."""
    spark = spark_of(session)
    session.close()
    fresh = Letters(sessions, "id", LIMITS, get_hub())
    fresh.start(Spark())
    assert session.state == GONE
    assert spark.calls[-1] == "gone"
    assert sessions.get("id") is fresh
    session.abort()
    assert sessions.get("id") is fresh


def test_abstract() -> None:
    session = Session(Sessions(print), "id", LIMITS, get_hub())
    with pytest.raises(NotImplementedError):
        session.encode("x")
    assert tuple(session.goodbye()) == ()
    assert session.frame("x") == "x"
    assert session.framing is None
    assert not session.peer_left()
