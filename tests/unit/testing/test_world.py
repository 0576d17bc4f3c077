"""A world: a server and its clients, without sockets and without waiting. All the rest is the real thing."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from flask import Flask, request, session
from gevent.lock import Semaphore

from primus_gevent import (
    AuthorizationError,
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    OptionError,
    ParserError,
    Primus,
    ReadTimeout,
    UnexpectedResponse,
)
from primus_gevent.parsers import PARSERS
from primus_gevent.testing import Client, NothingCame, Restless, Unfinished, World
from primus_gevent.testing.pipe import NETWORK_BYTES
from primus_gevent.transformers import TRANSFORMERS
from tests.unit.fakes import connect
from tests.unit.hub import turn

HOUR = 3600.0


def echo(spark: Any) -> None:
    for message in spark:
        spark.write(message)


@pytest.fixture
def primus() -> Primus:
    made = Primus()
    made.on("connection", echo)
    return made


@pytest.fixture
def world(primus: Primus) -> Iterator[World]:
    with World(primus) as made:
        yield made


# -- messages


def test_messages_go_there_and_back_at_once(world: World) -> None:
    ann, bob = world.connect(), world.connect()
    for message in ("hello", {"n": [1, None, "ü"]}, None, 0):
        assert ann.write(message) is True
        assert ann.read() == message
    assert bob.read_all() == []
    assert world.primus.write("all")
    assert (ann.read(), bob.read()) == ("all", "all")
    assert world.time == 0


@pytest.mark.parametrize("parser", sorted(set(PARSERS)))
def test_every_parser(parser: str) -> None:
    primus = Primus(parser=parser)
    primus.on("connection", echo)
    with World(primus) as world:
        ann = world.connect()
        ann.write([{"n": 1}])
        assert ann.read() == [{"n": 1}]


@pytest.mark.parametrize("transformer", [*TRANSFORMERS, ("websockets", "sockjs")])
def test_every_transformer(transformer: Any) -> None:
    """Whatever it speaks to others; afterwards it speaks that again."""
    primus = Primus(transformer=transformer)
    primus.on("connection", echo)
    before = primus.transformer
    with World(primus) as world:
        ann = world.connect()
        ann.write("hello")
        assert ann.read() == "hello"
        assert world.browser().get("/primus/primus.js").status_code == 200
        assert primus.transformer.name == before.name
    assert primus.transformer is before


def test_what_nobody_has_read(world: World) -> None:
    ann = world.connect()
    for n in range(3):
        ann.write(n)
    assert ann.read_all() == [0, 1, 2]
    ann.write("more")
    assert list(ann) == ["more"]
    assert ann.read_all() == []


def test_that_nothing_has_come_is_told_in_full(world: World) -> None:
    ann = world.connect()
    with pytest.raises(
        NothingCame, match=r"open>\. What happened: open; the other side is <Spark .* open"
    ) as info:
        ann.read()
    assert isinstance(info.value, (ReadTimeout, AssertionError))
    with pytest.raises(ReadTimeout, match="within 7 s"):
        ann.read(7)
    assert world.time == 7


def test_read_lets_time_pass_until_something_comes(primus: Primus) -> None:
    @primus.on("connection")
    def greet(spark: Any) -> None:
        gevent.sleep(20)
        spark.write("late")

    with World(primus) as world:
        ann = world.connect()
        with pytest.raises(NothingCame):
            ann.read(19)
        assert ann.read(timeout=10) == "late"
        assert world.time == 20


def test_read_without_limit_has_one_nevertheless(world: World) -> None:
    ann = world.connect()
    with pytest.raises(Unfinished, match="300 virtual seconds"):
        ann.read(None)
    ann.write("there")  # the reader is gone
    assert ann.read() == "there"


def test_listeners_get_messages_too(world: World) -> None:
    ann, got = world.connect(), []

    @ann.on("data")
    def listen(message: Any) -> None:
        got.append(message)
        if message == "ping":
            ann.write("pong")  # in a listener nothing has to settle: it is part of what does

    ann.write("ping")
    assert got == ["ping", "pong"]
    assert ann.events == ["open", "data", "data"]
    with pytest.raises(ConcurrencyError):
        ann.read()


def test_a_greenlet_of_the_test_waits_as_usual(world: World) -> None:
    ann, got = world.connect(), []
    reader = gevent.spawn(lambda: got.append(world.primus and ann.read(5)))
    world.settle()
    ann.write("x")
    assert got == ["x"]
    assert reader.dead


def test_greenlets_read_and_iterate_without_limit(world: World) -> None:
    ann, got = world.connect(), []

    def listen() -> None:
        got.append(ann.read())
        got.extend(ann)
        got.append("end")

    gevent.spawn(listen)
    world.advance(HOUR)
    assert got == []
    for n in range(3):
        ann.write(n)
    assert got == [0, 1, 2]
    ann.spark.end()
    world.settle()
    assert got == [0, 1, 2, "end"]


def test_transforms_and_plugins_of_both_sides() -> None:
    def client_side(client: Any, options: Any) -> None:
        client.transform("outgoing", lambda packet: setattr(packet, "data", [packet.data, "client"]))

    primus = Primus(plugin={"both": {"python_client": client_side}})
    primus.on("connection", echo)

    @primus.transform("incoming")
    def incoming(packet: Any) -> None:
        gevent.sleep(1)  # it may wait, and time has to pass
        packet.data.append("server")

    with World(primus) as world:
        ann = world.connect()
        assert ann.write("x") is True
        assert ann.read_all() == []
        assert ann.read(1) == ["x", "client", "server"]


def test_a_transform_that_swallows(primus: Primus) -> None:
    primus.transform("incoming", lambda packet: packet.data != "secret")
    with World(primus) as world:
        ann = world.connect()
        ann.write("secret")
        ann.write("public")
        assert ann.read_all() == ["public"]


# -- back-pressure


def test_a_spark_that_does_not_read_makes_its_client_wait() -> None:
    primus = Primus(inbox_bytes=1000)
    gate = Semaphore(0)

    @primus.on("connection")
    def slow(spark: Any) -> None:
        gate.acquire()
        for message in spark:
            spark.write(len(message))

    with World(primus) as world:
        ann = world.connect(write_buffer=10_000)
        big = "x" * NETWORK_BYTES
        assert ann.write(big) is True
        assert not ann.socket.full
        ann.write(big)
        ann.write(big)
        assert ann.socket.full  # a `Socket` would wait in this write
        assert ann.spark.socket.paused
        world.advance(5)
        assert ann.is_open
        gate.release()
        assert ann.read_all() == [NETWORK_BYTES] * 3
        assert not ann.socket.full


def test_a_server_that_takes_nothing_for_too_long_loses_its_client() -> None:
    primus = Primus(inbox_bytes=1000, timeout=False)
    primus.on("connection", lambda spark: gevent.sleep(HOUR))
    with World(primus) as world:
        ann = world.connect(write_buffer=10_000, write_timeout=10)
        ann.write("x" * NETWORK_BYTES)
        ann.write("x" * NETWORK_BYTES)
        world.advance(11)
        assert "close" not in ann.events  # the network has taken it
        ann.write("x" * NETWORK_BYTES)
        world.advance(11)
        assert ann.events[:2] == ["open", "close"]


def test_a_client_that_does_not_read_is_closed_as_a_slow_consumer() -> None:
    primus = Primus(write_buffer=10_000)
    with World(primus) as world:
        ann = world.connect(inbox_messages=1)
        bob = world.connect()
        for n in range(5):
            primus.write(f"{n}".ljust(NETWORK_BYTES))
            world.settle()
            assert bob.read().strip() == f"{n}"
        assert primus.connected == 1
        assert primus.dropped_counts["slow consumers"] == 1
        ann.read_all()
        assert ann.close_code == 1013


# -- the handshake


def test_a_spark_knows_the_request(world: World) -> None:
    ann = world.connect(
        {"name": "Ann", "tag": ["a", "b"]},
        headers={"X-Asked": "yes"},
        cookies={"colour": "blue"},
        environ={"REMOTE_ADDR": "203.0.113.7", "wsgi.url_scheme": "https"},
    )
    spark = ann.spark
    assert (spark.query["name"], spark.query["tag"]) == ("Ann", ["a", "b"])
    assert spark.headers["x-asked"] == "yes"
    assert dict(spark.request.cookies) == {"colour": "blue"}
    assert spark.address == ("203.0.113.7", 49152, True)
    assert spark.headers["Host"] == "localhost"
    assert ann.id() == spark.id
    assert spark.socket.name == "websocket"
    assert world.connect("?name=Bob").spark.query["name"] == "Bob"
    assert world.connect(url="http://ann:secret@example.org:8080/?a=1", query="b=2").spark.query["a"] == "1"


def test_layers_see_it_and_can_refuse(primus: Primus) -> None:
    seen: list[Any] = []

    @primus.before("doorman")
    def doorman(request: Any, response: Any) -> Any:
        seen.append(request.headers.get("Upgrade"))
        request.guest = request.args.get("name")
        response.set_cookie("seen", "1")
        if not request.guest:
            response.status_code = 418
            return response.end("no name")
        return None

    with World(primus) as world:
        ann = world.connect("name=Ann")
        assert ann.spark.request.guest == "Ann"
        assert ann.network.cookies.header("http://localhost/") == "seen=1"
        with pytest.raises(UnexpectedResponse, match="no name") as info:
            world.connect()
        assert (info.value.status, info.value.body) == (418, b"no name")
    assert seen == ["websocket", "websocket"]


@pytest.mark.parametrize("blocks", [0, 3])
def test_authorization(primus: Primus, blocks: float) -> None:
    @primus.authorize
    def authorize(request: Any) -> None:
        gevent.sleep(blocks)
        if request.authorization is None:
            raise AuthorizationError("who are you?", 401, 'Basic realm="x"')
        if request.authorization.username != "ann":
            raise AuthorizationError("go away", 403)

    with World(primus) as world:
        for url, status, reason in (
            ("http://localhost", 401, "who are you?"),
            ("http://bob:x@localhost", 403, "go away"),
        ):
            with pytest.raises(UnexpectedResponse) as info:
                world.connect(url=url)
            assert (info.value.status, info.value.reason) == (status, reason)
        assert world.clients[0].events == ["error", "close", "end", "destroy"]
        ann = world.connect(url="http://ann:x@localhost")
        assert world.time == 3 * blocks
        ann.write("hello")
        assert ann.read() == "hello"
        assert primus.connected == 1


def test_a_hook_that_takes_too_long() -> None:
    primus = Primus(handshake_timeout=4, authorization=lambda request: gevent.sleep(HOUR))
    with World(primus) as world:
        with pytest.raises(UnexpectedResponse) as info:
            world.connect(timeout=60)
        assert (info.value.status, world.time) == (503, 4)


def test_origins(primus: Primus) -> None:
    primus = Primus(origins=["https://good.example", "self"])
    with World(primus) as world:
        for origin in ("https://good.example", "http://localhost"):
            assert world.connect(headers={"Origin": origin}).is_open
        with pytest.raises(UnexpectedResponse) as info:
            world.connect(headers={"Origin": "https://evil.example"}, strategy=False)
        assert info.value.status == 403


def test_no_room_and_no_server() -> None:
    primus = Primus(max_connections=1)
    with World(primus) as world:
        world.connect()
        with pytest.raises(UnexpectedResponse) as info:
            world.connect(strategy=False)
        assert info.value.status == 503
        world.clients[0].end()
        world.connect()
        world.run(primus.destroy)
        with pytest.raises(UnexpectedResponse) as info:
            world.connect(strategy=False)
        assert info.value.status == 404


def test_listeners_of_connection_and_disconnection(primus: Primus) -> None:
    seen: list[Any] = []
    primus.on("connection", lambda spark: seen.append("came"))
    primus.on("disconnection", lambda spark: seen.append("went"))
    with World(primus) as world:
        with world.connect() as ann:
            assert (seen, primus.connected, len(primus.connections)) == (["came"], 1, 1)
        assert (seen, primus.connected) == (["came", "went"], 0)
        assert ann.spark.clean
        assert primus.refuses() == ""


def test_a_client_that_gives_up_while_the_hook_blocks(primus: Primus) -> None:
    entered: list[int] = []

    @primus.authorize
    def authorize(request: Any) -> None:
        entered.append(1)
        gevent.sleep(8)
        entered.append(2)

    with World(primus) as world:
        ann = world.client(timeout=5, strategy=False)
        world.advance(6)
        assert ann.events == ["timeout", "close", "end"]
        with pytest.raises(ConnectionClosed) as info:
            ann.wait_open()
        assert isinstance(info.value.__cause__, ConnectTimeout)
        world.advance(20)
        assert entered == [1, 2]  # a server does not know that somebody has given up
        assert (primus.connected, primus._open_sockets) == (0, 0)


def test_middleware_in_front_of_it(primus: Primus) -> None:
    def tagged(environ: Any, start_response: Any) -> Any:
        environ["HTTP_X_TAG"] = "tagged"
        return primus(environ, start_response)

    def failing(environ: Any, start_response: Any) -> Any:
        raise LookupError("in front")

    with World(primus, tagged) as world:
        assert world.connect().spark.headers["X-Tag"] == "tagged"
    with World(primus, failing) as world, pytest.raises(LookupError, match="in front"):
        world.connect()
    with World(primus, failing, raise_errors=False) as world:
        with pytest.raises(UnexpectedResponse, match="500"):
            world.connect(strategy=False)
        assert [str(error) for error in world.errors] == ["in front"]


# -- HTTP


@pytest.fixture
def flask_app() -> Flask:
    app = Flask(__name__)
    app.secret_key = "not so secret"

    @app.post("/login")
    def login() -> str:
        session["name"] = request.form["name"]
        return "welcome"

    @app.get("/slow")
    def slow() -> str:
        gevent.sleep(40)
        return "done"

    return app


@pytest.fixture(params=["wrapped", "init_app"])
def guarded(request: pytest.FixtureRequest, flask_app: Flask) -> Primus:
    """A Primus that lets in who has logged in to the Flask app."""
    primus = Primus(flask_app if request.param == "wrapped" else None, origins=["self"])
    if request.param == "init_app":
        primus.init_app(flask_app)

    @primus.authorize
    def authorize(handshake: Any) -> None:
        with flask_app.request_context(handshake.environ):
            if "name" not in session:
                raise AuthorizationError("log in first")
            handshake.name = session["name"]

    primus.on("connection", lambda spark: spark.write(f"hello {spark.request.name}"))
    return primus


@pytest.mark.parametrize("kind", ["flask", "world"])
def test_a_login_of_flask_is_good_for_a_connection(guarded: Primus, flask_app: Flask, kind: str) -> None:
    with World(guarded) as world:
        with pytest.raises(UnexpectedResponse, match="log in first"):
            world.connect()
        ann, bob = (flask_app.test_client() if kind == "flask" else world.browser() for _ in range(2))
        ann.post("/login", data={"name": "Ann"})
        bob.post("/login", data={"name": "Bob"})
        assert world.connect(browser=ann).read() == "hello Ann"
        first = world.connect(browser=bob)
        assert first.read() == "hello Bob"
        first.cut()
        assert first.read(5) == "hello Bob"  # each handshake asks the jar anew
        bob.delete_cookie("session")
        with pytest.raises(UnexpectedResponse):
            world.connect(browser=bob)
        with pytest.raises(TypeError, match="brings its own cookies"):
            world.connect(browser=ann, cookies={"a": "b"})


def test_a_session_that_was_made_without_a_login(guarded: Primus, flask_app: Flask) -> None:
    browser = flask_app.test_client()
    with browser.session_transaction() as made:
        made["name"] = "Cleo"
    with World(guarded) as world:
        assert world.connect(browser=browser).read() == "hello Cleo"


def test_cookies_of_an_answer_are_the_browsers(primus: Primus) -> None:
    primus.before(
        "tag", lambda request, response: response.set_cookie("tag", request.cookies.get("tag", "") + "x")
    )
    with World(primus) as world:
        browser = world.browser()
        world.connect(browser=browser)
        world.connect(browser=browser)
        assert browser.get_cookie("tag").value == "xx"  # type: ignore[union-attr]


def test_requests_of_a_browser_let_time_pass(flask_app: Flask) -> None:
    with World(Primus(flask_app)) as world:
        assert world.browser().get("/slow").text == "done"
        assert world.time == 40
        assert world.browser().get("/primus/spec").json["pathname"] == "/primus"
        assert world.browser().get("/nothing").status_code == 404


# -- time


def test_heartbeats_of_the_client_keep_a_connection_for_hours(world: World) -> None:
    ann, pongs = world.connect(), []
    ann.on("incoming::pong", pongs.append)
    began = time.monotonic()
    world.advance(HOUR)
    assert ann.events == ["open"]
    assert len(pongs) == HOUR // ann.options.ping
    assert ann.spark.pings_itself
    assert time.monotonic() - began < HOUR / 10


def test_many_clients_at_once() -> None:
    primus = Primus()
    primus.on("connection", echo)
    with World(primus) as world:
        clients = [world.client(ping=20 + n % 10) for n in range(200)]
        world.settle()
        assert primus.connected == 200
        primus.write("all")
        assert {tuple(client.read_all()) for client in clients} == {("all",)}
        with world.outage():
            assert primus.connected == 0
        world.advance(1)
        assert primus.connected == 200
        world.advance(HOUR / 4)
        assert all(client.events.count("open") == 2 for client in clients)


def test_heartbeats_of_the_server(primus: Primus) -> None:
    with World(Primus(timeout=35, ping_interval=30)) as world:
        ann, pings = world.connect(ping=False), []
        ann.on("incoming::ping", lambda text: pings.append(world.time))
        world.advance(100)
        assert pings == [30, 60, 90]
        assert ann.events == ["open"]


def test_a_client_that_says_nothing_is_ended_by_the_server(primus: Primus) -> None:
    ended: list[float] = []
    with World(Primus(timeout=35, ping_interval=False)) as world:
        world.primus.on("disconnection", lambda spark: ended.append(world.time))
        ann = world.connect(ping=False, ping_timeout=False)
        world.advance(34)
        assert ended == []
        world.advance(3)
        assert len(ended) == 1
        assert 35 <= ended[0] <= 37
        assert ann.close_code == 1012
        assert ann.events == ["open", "close", "reconnecting", "reconnect", "open", "reconnected"]


def test_a_silent_network_is_found_out_by_the_clients_heartbeat(world: World) -> None:
    ann = world.connect()
    ann.silence()
    world.advance(ann.options.ping + ann.options.pong - 0.1)
    assert ann.events == ["open"]
    world.advance(1)
    assert ann.events == [
        "open",
        "offline",
        "close",
        "reconnecting",
        "reconnect",
        "online",
        "open",
        "reconnected",
    ]
    assert world.primus.connected == 2  # the server does not know of the loss yet
    world.advance(40)
    assert world.primus.connected == 1


def test_a_silence_that_ends_in_time(world: World) -> None:
    ann = world.connect()
    ann.silence()
    ann.write("hello")
    world.advance(20)
    assert ann.read_all() == []
    ann.silence(False)
    assert ann.read() == "hello"
    world.advance(100)
    assert ann.events == ["open"]


def test_a_connection_that_is_cut_comes_back(world: World) -> None:
    ann, ids = world.connect(), []
    ids.append(ann.spark.id)
    ann.cut()
    assert not ann.is_open
    assert world.primus.connected == 0
    ann.write("kept")
    world.advance(0.4)
    assert ann.events == ["open", "close", "reconnecting"]
    world.advance(0.2)
    assert ann.events[3:] == ["reconnect", "open", "reconnected"]
    assert ann.spark.id not in ids
    assert ann.read() == "kept"


def test_the_delays_of_a_reconnecting_client_are_those_of_the_dice() -> None:
    with World(Primus(), dice=0.0) as world:
        ann, attempts = world.connect(reconnect={"retries": 4}), []
        ann.on("reconnect", lambda: attempts.append(world.time))
        with world.outage():
            world.advance(HOUR)
            assert attempts == [0.5, 1.5, 3.5, 7.5]
            assert ann.events[-2:] == ["end", "reconnect failed"]
            assert isinstance(ann.last_error, ConnectError)
        world.dice = 0.99
        bob = world.connect()
        with world.outage():
            world.advance(1)
            assert bob.recovery.outage.timeout == pytest.approx(1.99)  # type: ignore[union-attr]


def test_an_outage_refuses_and_then_is_over(world: World) -> None:
    ann = world.connect()
    with world.outage():
        assert world.primus.connected == 0
        with pytest.raises(ConnectError, match="nothing listens"):
            world.connect(strategy=False)
        world.advance(2)
        assert not ann.is_open
    world.advance(10)
    assert ann.is_open
    with pytest.raises(ValueError, match="'refused' or 'silent'"), world.outage("odd"):  # type: ignore[arg-type]
        pass


def test_a_silent_outage_lets_limits_run_out(world: World) -> None:
    ann = world.connect(ping=25, pong=10, reconnect={"reconnect_timeout": 5})
    with world.outage("silent"):
        with pytest.raises(ConnectTimeout, match="within 10"):
            world.connect(strategy=False, timeout=10)
        world.advance(60)
        assert "offline" in ann.events
        assert "reconnect timeout" in ann.events
    world.advance(100)
    assert (ann.is_open, ann.online, world.primus.connected) == (True, True, 1)


def test_limits_of_readers_on_both_sides(primus: Primus) -> None:
    seen: list[Any] = []

    @primus.on("connection")
    def impatient(spark: Any) -> None:
        try:
            spark.read(timeout=10)
        except ReadTimeout:
            seen.append(("timeout", world.time))
            spark.end("too slow")

    primus.off("connection", echo)
    with World(primus) as world:
        ann = world.connect()
        world.advance(9.9)
        assert seen == []
        assert ann.read(1) == "too slow"
        assert seen == [("timeout", pytest.approx(10))]
        assert ann.events == ["open", "close", "end"]
        assert (ann.close_code, ann.wait_end(1)) == (1000, True)
        with pytest.raises(ConnectionClosed):
            ann.read()


def test_a_message_that_is_dropped_gives_a_reader_no_more_time() -> None:
    primus, seen = Primus(), []

    @primus.on("connection")
    def impatient(spark: Any) -> None:
        with pytest.raises(ReadTimeout):
            spark.read(timeout=10)
        seen.append(world.time)

    with World(primus, raise_errors=False) as world:
        ann = world.connect()
        world.advance(6)
        ann.socket.send("{")  # no JSON
        world.advance(6)
        assert seen == [pytest.approx(10)]
        assert [type(error) for error in world.errors] == [ParserError]


def test_whatever_the_application_waits_for_is_virtual(primus: Primus) -> None:
    ticks: list[float] = []

    def clock() -> None:
        while True:
            gevent.sleep(60)
            ticks.append(world.time)
            primus.write("tick")

    with World(primus) as world:
        ann = world.connect()
        greenlet = gevent.spawn(clock)
        world.advance(10 * 60)
        assert ticks == [60.0 * n for n in range(1, 11)]
        assert ann.read_all() == ["tick"] * 10
        greenlet.kill()


def test_the_end_of_a_server_in_virtual_time(primus: Primus) -> None:
    with World(primus) as world:
        ann, bob = world.connect(), world.connect()
        assert world.run(primus.drain) is True
        assert (ann.close_code, bob.close_code) == (1012, 1012)
        assert "reconnecting" in ann.events
        world.run(primus.destroy, timeout=30)
        assert world.time == 30
        assert primus.connected == 0


def test_run_returns_what_a_function_does(world: World) -> None:
    def work(a: int, *, b: int) -> int:
        gevent.sleep(a)
        return a + b

    assert world.run(work, 5, b=2) == 7
    assert world.time == 5
    task = world.start(work, 5, b=2)
    assert not task.ready()
    world.advance(5)
    assert (task.ready(), task.value) == (True, 7)
    with pytest.raises(ZeroDivisionError):
        world.run(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        world.start(lambda: 1 // 0)

    def fail_later() -> None:
        gevent.sleep(5)
        raise LookupError("later")

    failing = world.start(fail_later)
    with pytest.raises(LookupError):
        world.advance(6)
    assert (failing.ready(), str(failing.error)) == (True, "later")
    stopped = world.start(fail_later)
    stopped.greenlet.kill()
    world.advance(6)
    with pytest.raises(Unfinished, match="300"):
        world.run(gevent.sleep, 301)


def test_users_with_greenlets_of_their_own(world: World) -> None:
    """What the world runs may use the world: there it waits."""
    told: list[Any] = []

    def user(name: str, pause: float) -> None:
        client = world.connect(f"name={name}")
        for n in range(3):
            world.advance(pause)
            client.write(f"{name} {n}")
            told.append((world.time // 1, client.read()))
        world.settle()
        assert world.run(lambda: 1) == 1
        assert world.browser().get("/").status_code == 404
        client.end()

    for name, pause in (("ann", 10), ("bob", 16)):
        world.start(user, name, pause)
    world.advance(29)
    assert told == [(10, "ann 0"), (16, "bob 0"), (20, "ann 1")]
    world.advance(29)
    assert told[3:] == [(30, "ann 2"), (32, "bob 1"), (48, "bob 2")]
    assert world.primus.connected == 0


def test_waiting_for_something_real(world: World) -> None:
    pool = gevent.get_hub().threadpool
    done = pool.spawn(time.sleep, 0.02)
    assert world.wait(lambda: done.ready() and "ready") == "ready"
    ann = world.connect()
    ann.write("x")
    assert world.wait(ann.read_all) == ["x"]
    assert world.time == 0
    with pytest.raises(Unfinished, match=r"not true within 0.01 s; it is 0"):
        world.wait(lambda: 0, timeout=0.01)


@pytest.mark.parametrize("means", ["thread", "descriptor"])
def test_a_call_waits_for_something_real_before_time_passes(primus: Primus, means: str) -> None:
    def write_later(descriptor: int) -> None:
        time.sleep(0.01)
        os.write(descriptor, b"x")

    def answer(spark: Any) -> None:
        for message in spark:
            if means == "thread":
                gevent.get_hub().threadpool.apply(time.sleep, (0.01,))
            else:
                reader, writer = os.pipe()
                gevent.get_hub().threadpool.spawn(write_later, writer)
                gevent.socket.wait_read(reader)
                os.close(reader)
                os.close(writer)
            spark.write(message)

    primus = Primus()
    primus.on("connection", answer)
    with World(primus, patience=5) as world:
        ann = world.connect()
        ann.write("slow")
        assert ann.read(timeout=10) == "slow"
        assert world.time == 0


# -- what goes wrong


def failures() -> dict[str, Callable[[Primus], None]]:
    def fail(*_: Any) -> None:
        raise LookupError("of the application")

    def fail_on_data(spark: Any) -> None:
        spark.on("data", fail)

    def spawn(spark: Any) -> None:
        spark.on("data", lambda message: gevent.spawn(fail))

    def unsendable(spark: Any) -> None:
        spark.on("data", lambda message: spark.write(object()))

    return {
        "listener": lambda primus: primus.on("connection", lambda spark: fail(spark.read())),
        "data": lambda primus: primus.on("connection", fail_on_data),
        "transform": lambda primus: primus.transform("incoming", fail) and fail_on_data,
        "outgoing": lambda primus: (primus.on("connection", echo), primus.transform("outgoing", fail)),
        "greenlet": lambda primus: primus.on("connection", spawn),
        "message": lambda primus: primus.on("connection", unsendable),
        "disconnection": lambda primus: (
            primus.on("disconnection", fail),
            primus.on("connection", lambda spark: spark.read() and spark.end()),
        ),
    }


@pytest.mark.parametrize("where", [name for name in failures() if name != "transform"])
def test_what_goes_wrong_in_the_application_is_raised_where_it_was_caused(where: str) -> None:
    primus = Primus()
    failures()[where](primus)
    with World(primus) as world:
        ann = world.connect()
        with pytest.raises((LookupError, ParserError), match=r"of the application|Failed to encode"):
            ann.write("x")
        assert len(world.errors) == 1
        world.advance(1)  # once is enough


def test_an_error_can_be_waited_for_by_time(primus: Primus) -> None:
    def late(spark: Any) -> None:
        gevent.sleep(5)
        raise LookupError("late")

    primus.on("connection", late)
    with World(primus) as world:
        world.connect()
        world.advance(4)
        with pytest.raises(LookupError, match="late"):
            world.advance(4)
        assert world.time == 5


def test_an_error_of_a_hook_or_a_layer_comes_before_the_answer_to_it() -> None:
    def hook(request: Any) -> None:
        raise LookupError("in the hook")

    with World(Primus(authorization=hook)) as world, pytest.raises(LookupError, match="in the hook"):
        world.connect()
    with World(Primus(authorization=hook), raise_errors=False) as world:
        with pytest.raises(UnexpectedResponse, match="500"):
            world.connect(strategy=False)
        assert len(world.errors) == 1


def test_an_assertion_in_a_listener_of_the_test_is_raised_too(world: World) -> None:
    ann = world.connect()

    @ann.on("data")
    def check(message: Any) -> None:
        assert message == "right"

    ann.write("right")
    with pytest.raises(AssertionError):
        ann.write("wrong")


def test_errors_may_be_collected_instead(
    primus: Primus, hub_stays_clean: list[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    primus.on("connection", lambda spark: gevent.spawn(int, "x"))
    with World(primus, raise_errors=False) as world:
        ann = world.connect()
        ann.write("fine")
        assert ann.read() == "fine"
        assert [type(error) for error in world.errors] == [ValueError]
    assert hub_stays_clean == world.errors  # where it would be printed, as ever
    hub_stays_clean.clear()


def test_an_error_that_nobody_has_seen_is_raised_at_the_end(primus: Primus) -> None:
    def fail(spark: Any) -> None:
        raise LookupError("at the end")

    primus.on("disconnection", fail)
    with pytest.raises(LookupError, match="at the end"), World(primus) as world:
        _ = [world.connect() for _ in range(3)]
    assert len(world.errors) == 3
    assert (primus.connected, world.is_open) == (0, False)


def test_a_test_that_fails_is_not_hidden_by_what_follows(primus: Primus) -> None:
    primus.on("disconnection", lambda spark: 1 // 0)
    with pytest.raises(pytest.fail.Exception, match="have failed"), World(primus) as world:
        pytest.fail(f"I have failed, {world.connect()!r}")
    assert not world.is_open


def test_a_logger_that_the_application_has_silenced_is_heard(primus: Primus) -> None:
    logger = logging.getLogger("primus_gevent")
    logger.disabled, level, handlers = True, logger.level, list(logger.handlers)
    logger.setLevel(logging.CRITICAL)
    try:
        primus.on("connection", lambda spark: 1 // 0)
        with World(primus) as world, pytest.raises(ZeroDivisionError):
            world.connect()
        assert logger.disabled
        assert logger.level == logging.CRITICAL
        assert logger.handlers == handlers
    finally:
        logger.disabled = False
        logger.setLevel(level)


def test_an_application_that_never_rests(primus: Primus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("primus_gevent.testing.virtual.MAX_TURNS", 100)
    stop: list[int] = []

    def spin(spark: Any) -> None:
        while not stop:
            gevent.sleep(0)

    primus.on("connection", spin)
    with World(primus) as world:
        with pytest.raises(Restless):
            world.connect()
        stop.append(1)


def test_errors_of_another_thread_are_not_ours(world: World) -> None:
    def log() -> None:
        logging.getLogger("primus_gevent").error("in another thread", exc_info=LookupError("x"))

    done = gevent.get_hub().threadpool.spawn(log)
    world.wait(done.ready)
    assert world.errors == []


# -- beginning and end


def test_a_world_leaves_everything_as_it_was(primus: Primus) -> None:
    hub = gevent.get_hub()
    loop, handler, transformer = hub.loop, hub.handle_error, primus.transformer
    handlers = list(logging.getLogger("primus_gevent").handlers)
    for _ in range(2):  # one world after the other
        with World(primus) as world:
            ann = world.connect()
            ann.write("x")
            assert ann.read() == "x"
        assert not ann.is_open
        assert (primus.connected, primus._open_sockets) == (0, 0)
    assert (hub.loop, hub.handle_error, primus.transformer) == (loop, handler, transformer)
    assert logging.getLogger("primus_gevent").handlers == handlers
    assert "closed" in repr(world)
    world.close()


def test_without_being_opened_it_does_nothing(primus: Primus) -> None:
    world = World(primus)
    for call in (world.connect, world.client, world.browser, world.settle, lambda: world.advance(1)):
        with pytest.raises(RuntimeError, match="not open"):
            call()
    with world, pytest.raises(RuntimeError, match="open already"):
        world.open()
    with world, pytest.raises(ValueError, match="backwards"):
        world.advance(-1)


def test_a_server_with_other_connections(primus: Primus) -> None:
    """They live in the time of the world too, from its beginning."""
    before = connect(primus)
    before.socket.active = False
    turn(2)
    ended: list[float] = []
    before.on("end", lambda: ended.append(world.time))
    with World(primus) as world:
        world.advance(60)
        assert ended == [pytest.approx(35, abs=2)]


def test_two_servers_share_their_time() -> None:
    def fail(spark: Any) -> None:
        raise LookupError("once")

    one, two = Primus(), Primus()
    one.on("connection", echo)
    two.on("connection", fail)
    with World(one) as here, World(two) as there:
        ann = here.connect()
        here.advance(100)
        assert there.time == 100
        with pytest.raises(LookupError):
            there.connect()
        ann.write("untouched")  # and nothing is raised twice
        assert ann.read() == "untouched"


def test_options_are_those_of_the_server_unless_others_are_given() -> None:
    primus = Primus(parser="msgpack", pathname="/realtime", timeout=20)
    with World(primus) as world:
        ann = world.connect(ping=3)
        assert isinstance(ann, Client)
        assert isinstance(ann, primus.Socket)
        assert (ann.options.parser, ann.options.pathname, ann.options.ping) == ("msgpack", "/realtime", 3)
        with pytest.raises(OptionError):
            world.connect(pign=3)
        with pytest.raises(AssertionError, match="never been connected"):
            _ = world.client(manual=True).spark


def test_a_client_opens_and_ends_as_the_test_says(world: World) -> None:
    ann = world.client(manual=True)
    world.advance(1)
    assert (ann.events, ann.close_code, ann.close_reason) == ([], None, "")
    ann.open()
    assert ann.wait_open(1) is ann
    assert ann.end("bye") is True
    assert ann.end() is False
    assert ann.spark.clean
    ann.open()
    world.settle()
    assert ann.is_open
    assert ann.destroy() is True
    assert ann.write("x") is False
    assert ann.events == ["open", "close", "end", "open", "close", "end", "destroy"]


def test_clients_of_a_framework_that_polls() -> None:
    """Their requests are real ones, in the time of the world."""
    primus = Primus(transformer="engine.io", transport={"ping_interval": 25, "ping_timeout": 20})
    primus.on("connection", echo)
    ended: list[float] = []
    with World(primus) as world:
        primus.on("disconnection", lambda spark: ended.append(world.time))
        browser = world.browser()
        address = "/primus/?EIO=4&transport=polling"
        address += "&sid=" + json.loads(browser.get(address).text[1:])["sid"]
        poll = world.start(browser.get, address)
        assert browser.post(address, data='4"hello"').status_code == 200
        assert (poll.ready(), poll.value.text) == (True, '4"hello"')
        assert browser.get(address).text == "2"
        assert world.time == 25
        ping = world.start(browser.get, address)
        world.advance(100)
        assert ping.ready()
        assert ended == [pytest.approx(45, abs=3)]


def test_the_same_run_twice_is_the_same(primus: Primus) -> None:
    def story() -> list[Any]:
        with World(primus) as world:
            ann, bob = world.connect(), world.connect(ping=7)
            times: list[Any] = []
            for client in (ann, bob):
                client.on("incoming::pong", lambda text: times.append(world.time))
                client.on("reconnect", lambda: times.append(-world.time))
            world.advance(50)
            with world.outage():
                world.advance(33.3)
            world.advance(77)
            return [*times, *ann.events, *bob.events]

    assert story() == story()
