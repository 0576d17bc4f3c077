"""Primus over recording connections: its listeners, broadcast, limits, documents and its end."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
import simplejson
from gevent.event import Event
from greenlet import GreenletExit

from primus_gevent import Primus
from primus_gevent.errors import ConnectionClosed, OptionError, ParserError
from primus_gevent.events import SERVER_EVENTS
from primus_gevent.request import RequestRecord
from tests.unit.fakes import ENVIRON, FakeConnection, connect
from tests.unit.hub import eventually, in_hub, turn


@pytest.fixture
def primus() -> Primus:
    return Primus()


def ask(app: Any, path: str, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    answer: list[Any] = []
    body = b"".join(
        app(
            {**ENVIRON, "PATH_INFO": path, "QUERY_STRING": "", **environ},
            lambda status, headers, exc_info=None: answer.extend((status, dict(headers))),
        )
    )
    return answer[0], answer[1], body


# -- connection listeners


def test_listeners_start_in_order_each_up_to_its_first_blocking_call(primus: Primus) -> None:
    order, go = [], Event()

    def listener(name: str) -> Callable[[Any], None]:
        def run(spark: Any) -> None:
            order.append(f"{name} begins")
            go.wait()
            order.append(f"{name} ends")

        return run

    for name in "abc":
        primus.on("connection", listener(name))
    connect(primus)
    assert order == ["a begins", "b begins", "c begins"]
    go.set()
    turn(2)
    assert sorted(order[3:]) == ["a ends", "b ends", "c ends"]


def test_a_listener_sees_its_spark_counted(primus: Primus) -> None:
    seen: list[Any] = []
    primus.on("connection", lambda spark: seen.append((primus.connected, primus.spark(spark.id) is spark)))
    spark = connect(primus)
    assert seen == [(1, True)]
    assert (len(primus), list(primus), bool(primus)) == (1, [spark], True)
    spark.end()
    assert (len(primus), primus.connected, primus.spark(spark.id), bool(primus)) == (0, 0, None, True)


def test_next_holds_back_the_later_listeners_and_the_messages(primus: Primus) -> None:
    order, proceed = [], []

    @primus.on("connection")
    def first(spark: Any, next: Any) -> None:  # noqa: A002
        order.append("first")
        proceed.append(next)

    @primus.on("connection")
    def second(spark: Any) -> None:
        order.append("second")
        spark.on("data", order.append)

    spark = connect(primus)
    spark.socket.deliver('"one"')
    assert order == ["first"]
    proceed[0]()
    proceed[0]()  # called twice: counts once
    proceed[0]("an error that comes too late")
    turn(3)
    assert order == ["first", "second", "one"]
    assert spark.writable


def test_messages_wait_also_when_an_earlier_listener_takes_data(primus: Primus) -> None:
    got, proceed = [], []
    primus.on("connection", lambda spark: spark.on("data", got.append))
    primus.on("connection", lambda spark, next: proceed.append(next))  # noqa: A006
    spark = connect(primus)
    spark.socket.deliver("1")
    spark.socket.deliver("2")
    turn(2)
    assert got == []
    proceed[0]()
    turn(3)
    assert got == [1, 2]


def test_next_with_an_error_ends_the_connection_for_good(primus: Primus) -> None:
    seen: list[Any] = []

    @primus.on("connection")
    def first(spark: Any, next: Any) -> None:  # noqa: A002
        spark.on("error", lambda error: seen.append(("error", str(error))))
        spark.on("data", seen.append)
        next("not you")

    primus.on("connection", lambda spark: seen.append("second"))
    primus.on("log", lambda level, error, spark: seen.append((level, str(error))))
    primus.on("disconnection", lambda spark: seen.append("disconnection"))
    spark = connect(primus)
    turn(2)
    assert seen == [("error", "not you"), ("error", "not you"), "disconnection"]
    assert spark.socket.sent == ['"primus::server::close"']
    assert spark.socket.calls == [("close", 1000)]


def test_next_may_be_given_an_exception(primus: Primus) -> None:
    errors: list[Any] = []
    problem = ValueError("x")

    @primus.on("connection")
    def first(spark: Any, next: Any) -> None:  # noqa: A002
        spark.on("error", errors.append)
        next(problem)

    connect(primus)
    assert errors == [problem]


def test_next_after_the_client_left_starts_nobody(primus: Primus) -> None:
    order, proceed = [], []
    primus.on("connection", lambda spark, next: proceed.append(next))  # noqa: A006
    primus.on("connection", lambda spark: order.append("second"))
    primus.on("disconnection", lambda spark: order.append("disconnection"))
    spark = connect(primus)
    spark.socket.deliver("1")
    spark.socket.drop()
    turn()
    proceed[0]()
    turn(2)
    assert order == ["disconnection"]


@pytest.mark.parametrize("error", [ValueError("x"), gevent.Timeout(1)])
def test_a_listener_that_raises_ends_its_spark_with_1011_and_no_other(
    primus: Primus, error: BaseException, caplog: Any
) -> None:
    seen: list[Any] = []
    primus.on("log", lambda level, problem, spark: seen.append(("log", level, problem)))
    other = connect(primus)

    @primus.on("connection")
    def broken(spark: Any) -> None:
        spark.on("error", lambda problem: seen.append(("error", problem)))
        raise error

    spark = connect(primus)
    assert seen == [("log", "error", error), ("error", error)]
    assert spark.socket.calls == [("close", 1011)]
    assert spark.socket.sent == []  # so that the client comes back
    assert other.writable
    assert "a connection listener failed" in caplog.text
    assert any(record.exc_info for record in caplog.records)


def test_a_listener_that_returns_leaves_the_spark_open(primus: Primus) -> None:
    primus.on("connection", lambda spark: None)
    assert connect(primus).writable


def test_a_listener_may_read_until_its_spark_ends(primus: Primus, caplog: Any) -> None:
    got: list[Any] = []

    @primus.on("connection")
    def reads(spark: Any) -> None:
        while True:
            got.append(spark.read())

    spark = connect(primus)
    spark.socket.deliver("1")
    spark.socket.drop()
    turn(2)
    assert got == [1]
    assert "failed" not in caplog.text


def test_the_end_of_another_spark_is_an_error_like_any_other(primus: Primus) -> None:
    other = connect(primus)
    primus.on("connection", lambda spark: other.read())
    spark = connect(primus)
    other.socket.drop()
    turn(2)
    assert spark.socket.calls == [("close", 1011)]


def test_a_listener_that_is_killed_with_its_server_lets_the_client_come_back(primus: Primus) -> None:
    @primus.on("connection")
    def killed(spark: Any) -> None:
        raise GreenletExit

    assert connect(primus).socket.calls == [("close", 1012)]


def test_a_connection_listener_for_once_gets_one_of_two_at_the_same_time(primus: Primus) -> None:
    got: list[Any] = []
    primus.once("connection", got.append)
    sparks = []
    for _ in range(2):
        connection = FakeConnection()
        spark = primus.make_spark(connection, RequestRecord(ENVIRON))
        connection.receiver = spark
        primus.connect(spark)
        sparks.append(spark)
    turn(2)
    assert got == sparks[:1]
    assert primus.listeners("connection") == []


def test_a_once_listener_behind_next_runs_once(primus: Primus) -> None:
    got, proceed = [], []
    primus.on("connection", lambda spark, next: proceed.append(next))  # noqa: A006
    primus.once("connection", got.append)
    first, second = connect(primus), connect(primus)
    for proceed_ in proceed:
        proceed_()
    turn(2)
    assert got == [first]
    assert second.writable


@pytest.mark.parametrize("listener", ["plain", "next", "none"])
def test_a_connection_that_is_lost_at_once_begins_before_it_ends(primus: Primus, listener: str) -> None:
    order: list[Any] = []
    if listener == "plain":
        primus.on("connection", lambda spark: order.append(("connection", spark.read())))
    elif listener == "next":
        primus.on("connection", lambda spark, next: order.append(("connection", spark.read())))  # noqa: A006
    primus.on("disconnection", lambda spark: order.append("disconnection"))
    connection = FakeConnection()
    spark = primus.make_spark(connection, RequestRecord(ENVIRON))
    connection.receiver = spark
    primus.connect(spark)
    spark.receive(["1"])
    connection.lose()
    turn(4)
    assert order == ([] if listener == "none" else [("connection", 1)]) + ["disconnection"]


# -- a host that lends its greenlet


@pytest.mark.parametrize("count", [0, 1, 2])
def test_one_listener_runs_in_the_hosts_greenlet(primus: Primus, count: int) -> None:
    where: list[Any] = []
    for _ in range(count):
        primus.on("connection", lambda spark: where.append(gevent.getcurrent()))
    connection = FakeConnection()
    spark = primus.make_spark(connection, RequestRecord(ENVIRON))
    connection.receiver = spark
    rest = primus.connect(spark, here=True)
    assert (rest is not None) is (count == 1)
    if rest is not None:
        rest()
    turn(2)
    assert len(where) == count
    assert (gevent.getcurrent() in where) is (count == 1)
    assert spark._ready


def test_messages_flow_while_the_hosts_greenlet_is_in_the_listener(primus: Primus) -> None:
    got, go = [], Event()

    @primus.on("connection")
    def listener(spark: Any) -> None:
        spark.on("data", got.append)
        go.wait()

    connection = FakeConnection()
    spark = primus.make_spark(connection, RequestRecord(ENVIRON))
    connection.receiver = spark
    rest = primus.connect(spark, here=True)
    assert rest is not None
    host = gevent.spawn(rest)
    turn(2)
    connection.deliver("1")
    assert got == [1]
    go.set()
    host.join(5)
    assert spark.writable


def test_a_next_listener_does_not_run_in_the_hosts_greenlet(primus: Primus) -> None:
    where: list[Any] = []
    primus.on("connection", lambda spark, next: where.append(gevent.getcurrent()))  # noqa: A006
    connection = FakeConnection()
    spark = primus.make_spark(connection, RequestRecord(ENVIRON))
    connection.receiver = spark
    primus.connect(spark, here=True)
    turn()
    assert where
    assert where[0] is not gevent.getcurrent()


# -- ids


def test_ids_are_long_and_random(primus: Primus) -> None:
    ids = {connect(primus).id for _ in range(20)}
    assert len(ids) == 20
    assert all(len(id_) >= 22 for id_ in ids)


def test_an_id_generator_is_asked() -> None:
    ids = iter(["a", "b"])
    primus = Primus(id_generator=lambda: next(ids))
    assert [connect(primus).id, connect(primus).id] == ["a", "b"]
    assert primus.spark("a") is not None


@pytest.mark.parametrize("bad", ["same", "", None, 5, ["x"]])
def test_an_id_that_cannot_be_one_costs_nobody_a_place(bad: Any, caplog: Any) -> None:
    primus = Primus(id_generator=lambda: bad)
    sparks = [connect(primus) for _ in range(3)]
    assert len(primus) == primus.connected == 3
    assert len({spark.id for spark in sparks}) == 3
    sparks[0].end()
    assert set(primus) == set(sparks[1:])
    assert "id_generator returned" in caplog.text


def test_an_id_is_free_again_after_the_end() -> None:
    primus = Primus(id_generator=lambda: "same")
    connect(primus).end()
    assert connect(primus).id == "same"


def test_an_id_generator_that_raises_is_logged(caplog: Any) -> None:
    def broken() -> str:
        raise ValueError("x")

    primus = Primus(id_generator=broken)
    assert connect(primus).writable
    assert "id_generator failed" in caplog.text


# -- broadcast


def test_a_broadcast_is_encoded_and_framed_once(primus: Primus) -> None:
    encoded: list[Any] = []
    encode = primus.encode
    primus.encode = lambda data: encoded.append(data) or encode(data)  # type: ignore[func-returns-value]
    sparks = [connect(primus) for _ in range(3)]
    own = connect(primus, FakeConnection(framing=None))
    other = connect(primus, FakeConnection(framing="other"))
    assert primus.write({"a": 1}) is True
    assert encoded == [{"a": 1}]
    assert [spark.socket.sent for spark in sparks] == [[b'P{"a":1}']] * 3
    assert sum(spark.socket.prepared for spark in sparks) == 1
    assert own.socket.sent == ['{"a":1}']
    assert other.socket.prepared == 1


def test_a_broadcast_to_nobody_is_accepted(primus: Primus) -> None:
    assert primus.write("x") is True


def test_a_broadcast_that_cannot_be_encoded_reaches_nobody(primus: Primus, caplog: Any) -> None:
    seen: list[Any] = []
    primus.on("log", lambda *args: seen.append(args))
    spark = connect(primus)
    assert primus.write({1, 2}) is False
    assert spark.socket.sent == []
    assert isinstance(seen[0][1], ParserError)
    assert "broadcast dropped" in caplog.text


def test_a_slow_consumer_is_closed_with_1013_and_the_others_are_not(primus: Primus) -> None:
    slow, quick = connect(primus), connect(primus)
    slow.socket.full = True
    assert primus.write(1) is True
    assert slow.socket.calls == ["flush", ("close", 1013)]
    assert slow.socket.sent == []
    assert quick.socket.sent == [b"P1"]
    assert primus.dropped_counts["slow consumers"] == 1
    assert len(primus) == 1


def test_a_slow_consumer_may_lose_messages_instead() -> None:
    primus = Primus(slow_consumer="drop")
    slow = connect(primus)
    slow.socket.full = True
    primus.write(1)
    slow.socket.full = False
    primus.write(2)
    assert slow.socket.sent == [b"P2"]
    assert slow.writable
    assert primus.dropped_counts["slow consumer messages"] == 1


def test_a_consumer_that_only_had_to_be_flushed_is_not_slow(primus: Primus) -> None:
    spark = connect(primus)
    spark.socket.full = True

    def flush() -> None:
        spark.socket.full = False

    spark.socket.flush = flush
    primus.write(1)
    assert spark.socket.sent == ["1"]
    assert spark.writable


def test_a_slow_consumer_that_is_lost_while_it_is_flushed(primus: Primus) -> None:
    spark = connect(primus)
    spark.socket.full = True
    spark.socket.flush = spark.socket.lose
    primus.write(1)
    assert len(primus) == 0


def test_drops_are_counted_and_logged_once_each(primus: Primus, caplog: Any) -> None:
    for _ in range(3):
        primus.dropped("things")
    assert primus.dropped_counts["things"] == 3
    assert caplog.text.count("dropped: things") == 1


# -- iteration


def test_for_each_may_stop_and_may_take_fewer_arguments(primus: Primus) -> None:
    sparks = [connect(primus) for _ in range(3)]
    seen: list[Any] = []
    assert primus.for_each(seen.append) is True
    assert seen == sparks
    assert primus.for_each(lambda spark, id_, all_: seen.append((id_, len(all_)))) is True
    assert seen[3:] == [(spark.id, 3) for spark in sparks]
    count: list[Any] = []
    assert primus.for_each(lambda spark: count.append(1) or len(count) < 2) is False  # type: ignore[func-returns-value]
    assert len(count) == 2


def test_sparks_may_end_while_they_are_walked_over(primus: Primus) -> None:
    for _ in range(5):
        connect(primus)
    walked = []
    for spark in primus:
        walked.append(spark)
        for other in primus:
            other.end()
    assert len(walked) == 5
    for _ in range(2):
        connect(primus)
    seen: list[Any] = []

    def end_all(spark: Any) -> None:
        seen.append(spark)
        for other in primus:
            other.end()

    primus.for_each(end_all)
    assert len(seen) == 1  # the other one had ended when its turn came


# -- limits


def test_there_is_room_for_max_connections_and_it_comes_back_with_the_socket() -> None:
    primus = Primus(max_connections=1)
    assert primus.refuses() == ""
    spark = connect(primus)
    assert "no room" in primus.refuses()
    spark.end()
    assert "no room" in primus.refuses()  # the socket is still there
    spark.socket.drop()
    assert primus.refuses() == ""
    assert primus.dropped_counts["connections over the limit"] == 2


def test_the_default_limit_leaves_descriptors_for_others(monkeypatch: Any) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda which: (100, 100))
    primus = Primus()
    primus.refuses()
    assert primus._max_connections == 90
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    primus = Primus()
    primus.refuses()
    assert primus._max_connections is not None
    assert primus._max_connections > 1 << 20


def test_the_limit_is_found_where_no_descriptor_is_left_to_import_with(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert Primus().refuses() == ""


# -- its events


def test_reserved_events(primus: Primus) -> None:
    assert all(primus.reserved(event) for event in SERVER_EVENTS)
    assert primus.reserved("outgoing::open")
    assert not primus.reserved("data")


def test_listeners_of_the_server_that_raise_are_only_logged(primus: Primus, caplog: Any) -> None:
    seen: list[Any] = []

    def broken(*args: Any) -> None:
        raise gevent.Timeout(1)

    for event in ("disconnection", "log"):
        primus.once(event, broken)
        primus.on(event, lambda *args, event=event: seen.append(event))
    spark = connect(primus)
    spark.socket.drop()
    turn()
    primus.log("info", "x")
    assert seen == ["disconnection", "log"]
    assert caplog.text.count("listener failed") == 2


def test_initialised_comes_once_with_the_first_request(primus: Primus) -> None:
    seen: list[Any] = []
    primus.on("initialised", lambda *args: seen.append(args))
    assert seen == []
    ask(primus, "/primus/spec")
    ask(primus, "/primus/spec")
    turn()
    assert seen == [(primus.transformer, primus._parser, primus.options)]


# -- HTTP


def hello(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    return [b"wrapped"]


@pytest.mark.parametrize("path", ["/", "", "/primusfoo", "/Primus", "/primu", "/x/primus", "/primus.js"])
def test_what_lies_outside_the_pathname_is_the_wrapped_apps(path: str) -> None:
    assert ask(Primus(hello), path)[2] == b"wrapped"
    assert ask(Primus(), path)[0] == "404 Not Found"


@pytest.mark.parametrize("pathname", ["/größe", "/gr%C3%B6%c3%9fe", "gr%c3%b6ße/"])
def test_a_pathname_is_found_however_it_is_written(pathname: str) -> None:
    """PEP 3333: PATH_INFO is decoded, and each byte of it is a character."""
    primus = Primus(hello, pathname=pathname)
    assert ask(primus, "/größe/spec".encode().decode("latin-1"))[1]["Content-Type"] == "application/json"
    assert ask(primus, "/größe/spec")[2] == b"wrapped"


@pytest.mark.parametrize(
    "path", ["/primus", "/primus/", "/primus/x", "/primus/spec/", "/primus/primus.js.map"]
)
def test_what_lies_below_is_the_transformers(path: str) -> None:
    status, headers, body = ask(Primus(hello), path)
    assert status == "426 Upgrade Required"
    assert "no-store" in headers["Cache-Control"]
    assert body


def test_spec_tells_what_a_client_must_know() -> None:
    status, headers, body = ask(Primus(timeout=7, pathname="/live"), "/live/spec", QUERY_STRING="x=1")
    assert (status, headers["Content-Type"]) == ("200 OK", "application/json")
    document = simplejson.loads(body)
    assert document.pop("version")
    assert document == {
        "pathname": "/live",
        "timeout": 7000,
        "pingInterval": 6000,
        "parser": "json",
        "transformer": "websockets",
    }
    off = simplejson.loads(ask(Primus(timeout=False, ping_interval=False), "/primus/spec")[2])
    assert (off["timeout"], off["pingInterval"]) == (False, False)


class OwnParser:
    encoder = staticmethod(str)
    decoder = staticmethod(str)
    library = "module.exports = { encoder: String, decoder: String };"


def test_a_parser_of_the_users_is_custom() -> None:
    primus = Primus(parser=OwnParser)
    assert primus.spec["parser"] == "custom"
    assert "custom" in repr(primus)
    assert "json" in repr(Primus())


def test_the_library_is_compiled_once_and_served_in_two_forms(primus: Primus, tmp_path: Path) -> None:
    script, module = primus.library(), primus.library("esm")
    assert primus.library() is script
    assert script != module
    status, headers, body = ask(primus, "/primus/primus.js")
    assert status == "200 OK"
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert int(headers["Content-Length"]) == len(body)
    assert body.decode() == script
    assert ask(primus, "/primus/primus.js", QUERY_STRING="a=b&format=esm")[2].decode() == module
    assert ask(primus, "/primus/primus.js", HTTP_IF_NONE_MATCH=headers["ETag"])[0] == "304 Not Modified"
    primus.save(tmp_path / "primus.js")
    assert (tmp_path / "primus.js").read_text(encoding="utf-8") == script


def test_init_app_puts_it_in_front_of_a_flask_app() -> None:
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "flask")
    primus = Primus()
    primus.init_app(app)
    assert app.extensions["primus"] is primus
    client = app.test_client()
    assert client.get("/").data == b"flask"
    assert client.get("/primus/spec").json["pathname"] == "/primus"
    assert client.get("/primus").status_code == 426


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        ({}, False),
        ({"timeout": 5, "ping_interval": 5}, True),
        ({"timeout": False, "ping_interval": 50}, False),
    ],
)
def test_heartbeats_that_contradict_each_other_are_warned_of(
    options: dict[str, Any], warns: bool, caplog: Any
) -> None:
    Primus(**options)
    assert ("ping_interval" in caplog.text) is warns


# -- listening


def test_without_listen_there_is_no_address(primus: Primus) -> None:
    with pytest.raises(RuntimeError, match="listen"):
        _ = primus.address
    with pytest.raises(RuntimeError, match="listen"):
        primus.serve_forever()


def test_create_server_listens_and_serves_until_destroyed(caplog: Any) -> None:
    seen: list[Any] = []
    primus = Primus.create_server(seen.append, port=0, host="127.0.0.1", timeout=5)
    assert primus.listeners("connection") == [seen.append]
    assert primus.address[0] == "127.0.0.1"
    assert primus.address[1] > 0
    assert "speaks HTTP" in caplog.text
    serving = gevent.spawn(primus.serve_forever)
    turn(2)
    primus.destroy()
    serving.join(5)
    assert serving.successful()


def test_create_server_wants_a_certificate_with_its_key() -> None:
    with pytest.raises(OptionError, match="cert"):
        Primus.create_server(port=0, host="127.0.0.1", key="key.pem")
    with pytest.raises(FileNotFoundError):
        Primus.create_server(port=0, host="127.0.0.1", cert="/nowhere/cert.pem")


def test_who_knows_that_http_is_better_is_not_lectured(caplog: Any) -> None:
    primus = Primus.create_server(port=0, host="127.0.0.1", iknowhttpsisbetter=True)
    primus.destroy()
    assert "HTTPS" not in caplog.text


# -- drain and destroy


def hang_up_on_close(spark: Any) -> None:
    """The peer answers our Close: its socket goes away in the loop's next turn."""
    close = spark.socket.close

    def closes(code: int = 1000, reason: str = "") -> None:
        close(code, reason)
        gevent.get_hub().loop.run_callback(spark.socket.lose)

    spark.socket.close = closes


def test_drain_lets_everybody_come_back_and_nobody_in(primus: Primus) -> None:
    sparks = [connect(primus) for _ in range(250)]
    for spark in sparks:
        hang_up_on_close(spark)
    assert primus.drain(10) is True
    assert all(spark.socket.calls == [("close", 1012)] and not spark.socket.sent for spark in sparks)
    assert "going down" in primus.refuses()
    assert primus.drain(10) is True
    assert "draining" in repr(primus)


def test_drain_tells_when_time_is_up(primus: Primus) -> None:
    spark = connect(primus)
    assert primus.drain(0.001) is False
    spark.socket.drop()
    assert primus.drain(0.001) is True


def test_drains_at_the_same_time_end_together(primus: Primus) -> None:
    spark = connect(primus)
    drains = [gevent.spawn(primus.drain, 10) for _ in range(3)]
    turn()
    spark.socket.drop()
    gevent.joinall(drains, timeout=5)
    assert [drain.value for drain in drains] == [True] * 3


def test_a_handshake_that_was_under_way_when_the_drain_began(primus: Primus) -> None:
    order: list[str] = []
    primus.on("connection", lambda spark: order.append("connection"))
    primus.on("disconnection", lambda spark: order.append("disconnection"))
    assert primus.drain(0) is True
    spark = connect(primus)
    turn(2)
    assert spark.socket.calls == [("close", 1012)]
    assert order == ["connection", "disconnection"]


def test_destroy_ends_everything_in_order_and_only_once(primus: Primus) -> None:
    order: list[Any] = []
    spark = connect(primus)
    hang_up_on_close(spark)
    primus.on("disconnection", lambda spark: order.append("disconnection"))
    primus.on("close", order.append)
    primus.destroy()
    assert order == ["disconnection", {"close": True, "timeout": 0, "reconnect": False}]
    assert spark.socket.sent == ['"primus::server::close"']
    assert spark.socket.calls == [("close", 1000)]
    assert primus.listeners("close") == []
    primus.destroy()
    primus.end()
    assert len(order) == 2
    assert primus.drain(1) is True
    assert "destroyed" in repr(primus)
    assert "going down" in primus.refuses()


def test_destroy_with_reconnect_after_a_while(primus: Primus) -> None:
    spark = connect(primus)
    hang_up_on_close(spark)
    primus.destroy(timeout=0.001, reconnect=True)
    assert spark.socket.calls == [("close", 1012)]
    assert spark.socket.sent == []


def test_destroyed_it_answers_nothing_below_its_pathname_any_more() -> None:
    primus = Primus(hello)
    primus.destroy()
    assert ask(primus, "/primus")[2] == b"wrapped"
    assert ask(primus, "/primus/spec")[2] == b"wrapped"


def test_a_destroyed_primus_is_freed() -> None:
    def make() -> weakref.ref[Primus]:
        primus = Primus()
        spark = connect(primus)
        spark.on("data", lambda message: None)
        hang_up_on_close(spark)
        spark.socket.deliver("1")
        primus.destroy()
        return weakref.ref(primus)

    gone = make()
    turn(3)
    gc.collect()
    assert gone() is None


def test_a_primus_that_was_never_used_is_freed() -> None:
    gone = weakref.ref(Primus())
    gc.collect()
    assert gone() is None  # the registry of drains does not hold it


def test_making_one_starts_nothing_that_a_fork_would_lose() -> None:
    """As with ``gunicorn --preload``: made before the fork, used after it."""
    primus = Primus()
    assert primus._sweep._greenlet is None
    assert primus._dispatchers._idle == []
    assert primus._max_connections is None


def test_logs_say_who_came_and_went(primus: Primus, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG, logger="primus_gevent"):
        spark = connect(primus)
        spark.socket.drop()
        turn()
    assert f"{spark.id} open fake> connected" in caplog.text
    assert "disconnected" in caplog.text


def test_a_read_in_a_listener_after_the_end_does_not_count_as_its_failure(
    primus: Primus, caplog: Any
) -> None:
    @primus.on("connection")
    def reads_twice(spark: Any) -> None:
        for _ in range(2):
            try:
                spark.read()
            except ConnectionClosed:
                continue

    spark = connect(primus)
    in_hub(spark.socket.lose)
    eventually(lambda: not primus.connected)
    assert "failed" not in caplog.text


def test_a_parser_without_javascript_has_no_client() -> None:
    class Upper:
        encoder = staticmethod(str.upper)
        decoder = staticmethod(str.lower)

    primus = Primus(parser=Upper)
    with pytest.raises(OptionError, match="no `library`"):
        primus.library()
    answers: list[str] = []
    body = primus({"PATH_INFO": "/primus/primus.js"}, lambda status, headers: answers.append(status))
    assert answers == ["404 Not Found"]
    assert b"library" in b"".join(body)

    Upper.library = "{ encoder: (data, fn) => fn(null, data), decoder: (data, fn) => fn(null, data) }"  # type: ignore[attr-defined]
    assert Upper.library in Primus(parser=Upper).library()  # type: ignore[attr-defined]
