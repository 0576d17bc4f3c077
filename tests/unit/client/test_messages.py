"""Messages: the queue, transforms, Primus's own texts, and both ways to receive; as
`tests/js/messages.test.js` has them, and reading as it is for a spark."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest

from primus_gevent.errors import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectTimeout,
    OptionError,
    PluginError,
    ReadTimeout,
)
from tests.unit.client.scripted import FAILED, World, texts, visible
from tests.unit.hub import eventually, turn


@pytest.fixture
def world() -> World:
    return World()


def error_of(fn: Any) -> BaseException | None:
    """What it raises, in a greenlet of whose error nobody else is to hear."""
    try:
        fn()
    except Exception as error:  # noqa: BLE001
        return error
    return None


class Listening:
    """A connected client, with what it received and complained about."""

    def __init__(self, world: World, **options: Any) -> None:
        self.client = world.connected(listen=False, **options)
        self.transport = world.transport
        self.sent = world.transport.sent
        self.errors: list[str] = []
        self.received: list[Any] = []
        self.client.on("error", lambda error: self.errors.append(str(error)))
        self.client.on("data", lambda message, raw: self.received.append((message, raw)))
        turn()

    @property
    def data(self) -> list[Any]:
        return [message for message, _ in self.received]


@pytest.fixture
def made(world: World) -> Listening:
    return Listening(world)


# -- encoding


def test_data_listeners_get_the_message_and_what_came_over_the_wire(made: Listening) -> None:
    for raw in ("null", "0", '""', '{"a":[1,"\\u00e9"]}'):
        made.transport.message(raw)
    assert made.received == [
        *((None, "null"), (0, "0"), ("", '""'), ({"a": [1, "é"]}, '{"a":[1,"\\u00e9"]}')),
    ]


def test_line_separators_leave_escaped(made: Listening) -> None:
    made.client.write("a\u2028b\u2029c\u2028")
    assert made.sent == ['"a\\u2028b\\u2029c\\u2028"']


def test_a_message_that_cannot_be_encoded_is_an_error_and_the_connection_lives(made: Listening) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert made.client.write(circle) is False
    assert made.client.write("next") is True
    turn()
    assert len(made.errors) == 1
    assert "Failed to encode" in made.errors[0]
    assert made.sent == ['"next"']


def test_so_is_one_that_cannot_be_decoded(made: Listening) -> None:
    made.transport.message("{")
    made.transport.message('"next"')
    assert "Failed to decode" in made.errors[0]
    assert made.data == ["next"]
    assert made.client.is_open


def test_a_connection_that_raises_while_sending(made: Listening) -> None:
    made.client.socket.broken = "no buffer space"
    made.client.write("x")
    turn()
    assert "no buffer space" in made.errors[0]
    assert made.client.is_open


def test_a_parser_of_the_application(world: World) -> None:
    def encoder(data: Any) -> str:
        if data == "bad":
            raise ValueError("cannot")
        return f"x{data}"

    def decoder(raw: Any, fn: Any) -> None:
        fn("unreadable" if raw == "bad" else None, raw[1:])

    made = Listening(world, parser={"encoder": encoder, "decoder": decoder})
    made.client.write("one")
    made.client.write("bad")
    made.transport.message("xtwo", "bad", "xprimus::ping::5")
    assert made.sent == ["xone", "xprimus::pong::5"]
    assert made.received == [("two", "xtwo")]
    assert "cannot" in made.errors[0]
    assert "unreadable" in made.errors[1]


def late_parser() -> Any:
    """One that calls back later, so that nothing can be decoded in the hub."""

    def encoder(data: Any, fn: Any) -> None:
        gevent.spawn(fn, None, json.dumps(data))

    def decoder(raw: Any, fn: Any) -> None:
        gevent.spawn(fn, None, json.loads(raw))

    return {"encoder": encoder, "decoder": decoder}


def test_a_parser_that_calls_back_later(world: World) -> None:
    made = Listening(world, parser=late_parser())
    assert made.client.write("one")
    made.transport.message('"two"', '"primus::ping::5"')
    eventually(lambda: len(made.sent) == 2)
    assert made.sent == ['"one"', '"primus::pong::5"']
    assert made.data == ["two"]


def test_a_parser_that_calls_back_later_and_the_final_end(world: World) -> None:
    made = Listening(world, parser=late_parser())
    made.transport.message('"bye"', '"primus::server::close"')
    made.transport.drop()
    eventually(lambda: "end" in made.client.events)
    world.clock.advance(600)
    assert len(world.transports) == 1
    assert made.data == ["bye"]


def test_bytes_pass_as_they_are(world: World) -> None:
    made = Listening(world, parser={"encoder": bytes, "decoder": lambda raw: raw})
    made.client.write(b"\x01\x02")
    made.transport.message(b"\x03")
    assert made.sent == [b"\x01\x02"]
    assert made.data == [b"\x03"]


def test_a_write_waits_while_the_server_takes_nothing(made: Listening) -> None:
    made.client.socket.full = True
    writing = gevent.spawn(made.client.write, "x")
    turn(3)
    assert not writing.ready()
    made.client.socket.full = False
    assert writing.get(timeout=5) is True


# -- the queue


@pytest.mark.parametrize(("size", "kept"), [(None, [1, 2, 3, 4]), (2, [3, 4]), (0, [])])
def test_the_queue(world: World, size: int | None, kept: list[int]) -> None:
    client = world.client(**({} if size is None else {"queue_size": size}))
    for n in (1, 2, 3, 4):
        assert client.write(n) is True
    world.transport.accept()
    assert world.transport.sent == texts(*kept)


def test_the_queue_holds_messages_as_they_were_transformed_and_encodes_them_when_they_are_sent(
    world: World,
) -> None:
    client = world.client()

    @client.transform("outgoing")
    def wrap(packet: Any) -> None:
        packet.data = {"wrapped": packet.data}

    message = {"n": 1}
    client.write(message)
    message["n"] = 2
    world.transport.accept()
    assert world.transport.sent == ['{"wrapped":{"n":2}}']


def test_a_connection_lost_while_the_queue_is_flushed_keeps_the_rest(world: World) -> None:
    client = world.client()
    for n in (1, 2, 3):
        client.write(n)
    first = world.transport
    first.connection.full = True  # the first message fills it
    first.accept()
    assert first.sent == ["1"]
    first.drop()
    first.connection.full = False
    turn(3)
    world.clock.advance(0.5)
    world.transport.accept()
    assert world.transport.sent == ["2", "3"]


def test_a_write_while_the_queue_is_flushed_goes_behind_it(world: World) -> None:
    client = world.client()
    for n in (1, 2):
        client.write(n)
    world.transport.connection.full = True
    world.transport.accept()
    writing = gevent.spawn(client.write, 3)
    turn(3)
    assert world.transport.sent == ["1"]
    world.transport.connection.full = False
    assert writing.get(timeout=5) is True
    assert world.transport.sent == ["1", "2", "3"]


def test_what_an_offline_listener_writes_waits_in_order(world: World) -> None:
    """The dead connection is gone by then, though the state has not changed yet."""
    client = world.connected()
    client.on("offline", lambda: [client.write(n) for n in (1, 2, 3)])
    world.clock.advance(35)
    world.clock.advance(0.5)
    world.transport.accept()
    assert world.transport.sent == texts(1, 2, 3)


# -- transforms


def test_transforms_in_the_order_of_their_registration_in_both_directions(made: Listening) -> None:
    for letter in "ab":

        @made.client.transform("outgoing")
        def small(packet: Any, letter: str = letter) -> None:
            packet.data += letter

        @made.client.transform("incoming")
        def capital(packet: Any, letter: str = letter.upper()) -> None:
            packet.data += letter

    made.client.write("x")
    made.transport.message('"y"')
    assert made.sent == ['"xab"']
    assert made.received == [("yAB", '"y"')]


def test_only_false_drops_the_message(made: Listening) -> None:
    later: list[Any] = []
    made.client.transform("incoming", lambda packet: packet.data)
    made.client.transform("incoming", lambda packet: later.append(packet.data))
    made.client.transform("outgoing", lambda packet: False)
    made.transport.message("0", "null", '""', "false")
    assert made.client.write("x") is True
    assert made.data == later == [0, None, ""]
    assert made.sent == []


def test_a_transform_that_raises_loses_its_message_only(made: Listening) -> None:
    @made.client.transform("outgoing")
    def one(packet: Any) -> None:
        if packet.data == 1:
            raise ValueError("one")

    assert [made.client.write(n) for n in (1, 2)] == [False, True]
    turn()
    assert (made.errors, made.sent) == (["one"], ["2"])


def test_transforms_do_not_see_the_messages_of_primus(made: Listening) -> None:
    seen: list[Any] = []
    made.client.transform("incoming", seen.append)
    made.client.transform("outgoing", seen.append)
    made.transport.message('"primus::ping::7"')
    made.client.id(lambda _: None)
    assert (len(made.sent), seen) == (2, [])


def test_untransform(made: Listening) -> None:
    def swallow(packet: Any) -> bool:
        return False

    made.client.transform("outgoing", swallow)
    assert made.client.untransform("outgoing", swallow) is True
    assert made.client.untransform("outgoing", swallow) is False
    made.client.write(1)
    assert made.sent == ["1"]
    with pytest.raises(OptionError, match="incoming or outgoing"):
        made.client.untransform("sideways", swallow)


def test_another_direction_is_refused(made: Listening) -> None:
    with pytest.raises(OptionError, match="incoming or outgoing"):
        made.client.transform("sideways", lambda packet: None)
    with pytest.raises(OptionError, match="a function"):
        made.client.transform("incoming", "fn")


def test_a_transform_that_waits_keeps_the_order(made: Listening) -> None:
    waiting: list[Any] = []
    made.client.transform("outgoing", lambda packet, proceed: waiting.append(proceed))
    writing = [gevent.spawn(made.client.write, n) for n in (1, 2)]
    turn(3)
    assert len(waiting) == 1
    made.transport.message('"primus::ping::7"')
    assert made.sent == ['"primus::pong::7"'], "those of Primus do not wait"
    waiting[0]()
    eventually(lambda: len(waiting) == 2)
    waiting[1]()
    gevent.joinall(writing, timeout=5)
    assert made.sent[1:] == ["1", "2"]


# -- messages of Primus


def test_id(made: Listening) -> None:
    ids: list[str] = []
    made.client.id(ids.append)
    assert made.sent == ['"primus::id::"']
    made.transport.message('"primus::id::4f2a$0"')
    turn(2)
    made.transport.message('"primus::id::again"')
    turn(2)
    assert ids == ["4f2a$0"]
    assert made.data == []


def test_id_waits_for_the_answer(made: Listening) -> None:
    asking = gevent.spawn(made.client.id, timeout=5)
    turn()
    made.transport.message('"primus::id::abc"')
    assert asking.get(timeout=5) == "abc"
    with pytest.raises(ReadTimeout):
        made.client.id(timeout=0)
    assert made.client.listeners("incoming::id") == made.client.listeners("end") == []
    asking = gevent.spawn(error_of, made.client.id)
    turn()
    made.client.end()
    assert isinstance(asking.get(timeout=5), ConnectionClosed)
    with pytest.raises(ConnectionClosed):
        made.client.id()
    assert not made.client.buffer, "no question is left for the next connection"


def test_id_is_asked_for_again_when_the_answer_is_lost(world: World) -> None:
    client = world.connected()
    ids: list[str] = []
    client.id(ids.append)
    waiting = gevent.spawn(client.id, timeout=5)
    turn()
    lost = world.transport
    assert lost.sent == ['"primus::id::"'] * 2
    lost.drop()
    world.clock.advance(1)
    assert world.transport is not lost
    world.transport.accept()
    turn()
    assert world.transport.sent == ['"primus::id::"'], "once for all"
    world.transport.message('"primus::id::new"')
    assert waiting.get(timeout=5) == "new"
    assert ids == ["new"]
    world.transport.drop()
    world.clock.advance(1)
    world.transport.accept()
    turn()
    assert world.transport.sent == [], "nobody waits any more"


def test_id_of_a_connection_that_knows_it_and_before_it_is_open(world: World) -> None:
    client = world.connected()
    client.socket.id = "own"
    assert client.id() == "own"
    assert world.transport.sent == []
    other = world.client()
    other.id(lambda _: None)
    world.transport.accept()
    assert world.transport.sent == ['"primus::id::"']


@pytest.mark.parametrize(
    "text",
    [
        *("primus::", "primus::ping", "primus::pingx", "primus::foo::bar", "primus:ping::1"),
        "Primus::ping::1",
    ],
)
def test_what_only_looks_like_it_is_data(made: Listening, text: str) -> None:
    made.transport.message(json.dumps(text))
    assert made.data == [text]
    assert made.sent == []


def test_server_with_another_value_is_swallowed(world: World, made: Listening) -> None:
    made.transport.message('"primus::server::restart"')
    assert made.data == []
    made.transport.drop()
    assert "reconnecting" in made.client.events


# -- listening


def test_a_data_listener_that_raises_is_reported_and_nothing_else_changes(made: Listening) -> None:
    after: list[Any] = []
    made.client.on("data", lambda message: 1 / 0)
    made.client.on("data", after.append)
    made.transport.message("1", "2")
    turn()
    assert (made.data, after) == ([1, 2], [1, 2])
    assert made.errors == ["division by zero"] * 2
    assert made.client.is_open


def test_a_data_listener_may_block_and_the_end_waits_for_it(world: World) -> None:
    client = world.connected(listen=False)
    seen: list[Any] = []

    def slow(message: Any) -> None:
        gevent.sleep(0.01)
        seen.append(message)

    client.on("data", slow)
    client.on("end", lambda: seen.append("end"))
    turn()
    world.transport.message("1", "2", '"primus::server::close"')
    world.transport.drop()
    assert seen == []
    assert visible(client.events)[-1] == "close"
    eventually(lambda: "end" in seen)
    assert seen == [1, 2, "end"]


def test_what_came_before_the_first_listener_waits_for_it(world: World) -> None:
    client = world.connected(listen=False)
    world.transport.message("1", "2")
    seen: list[Any] = []
    client.on("data", seen.append)
    turn()
    assert seen == [1, 2]


def test_emits(made: Listening) -> None:
    seen: list[Any] = []
    made.client.on("custom", lambda *args: seen.append(args))
    made.client.emits("custom")("first", "second")
    made.client.emits("custom", lambda a, b: a + b)(1, 2)
    assert seen == [("first",), (3,)]


def test_pipe(world: World, made: Listening) -> None:
    class Destination(list[Any]):
        def write(self, message: Any) -> None:
            self.append(message)

        def end(self) -> None:
            self.append("ended")

    destination = Destination()
    assert made.client.pipe(destination) is destination
    made.transport.message("1")
    made.client.end()
    turn()
    assert destination == [1, "ended"]


# -- reading


def test_read_waits_and_goes_on_over_a_reconnect(world: World) -> None:
    client = world.connected(listen=False)
    got: list[Any] = []
    reading = gevent.spawn(lambda: got.extend(client))
    turn()
    world.transport.message("1")
    world.transport.drop()
    world.clock.advance(0.5)
    world.transport.accept()
    world.transport.message("2", "3")
    turn()
    assert got == [1, 2, 3]
    assert not reading.ready()
    world.transport.message('"primus::server::close"')
    world.transport.drop()
    reading.get(timeout=5)
    assert got == [1, 2, 3]
    with pytest.raises(ConnectionClosed) as caught:
        client.read()
    assert caught.value.clean is False


def test_what_came_before_the_end_can_still_be_read(world: World) -> None:
    client = world.connected(listen=False)
    world.transport.message("1", '"primus::server::close"')
    world.transport.drop()
    assert client.read() == 1
    with pytest.raises(ConnectionClosed):
        client.read()


def test_what_is_unread_at_our_own_end_is_dropped(world: World) -> None:
    client = world.connected(listen=False)
    world.transport.message("1")
    client.end()
    with pytest.raises(ConnectionClosed) as caught:
        client.read()
    assert caught.value.clean is True
    assert client.dropped_counts == {"unread messages": 1}


def test_read_gives_up_in_time_and_one_may_read_at_a_time(world: World) -> None:
    client = world.connected(listen=False)
    with pytest.raises(ReadTimeout):
        client.read(0)
    with pytest.raises(ReadTimeout):
        client.read(0.001)
    reading = gevent.spawn(client.read)
    turn()
    with pytest.raises(ConcurrencyError, match="client"):
        client.read()
    with pytest.raises(ConcurrencyError, match="client"):
        client.on("data", print)
    reading.kill()
    client.on("data", lambda message: None)
    with pytest.raises(ConcurrencyError, match="data listeners"):
        client.read()


def test_who_reads_is_told_why_there_is_no_connection(world: World) -> None:
    client = world.client(listen=False, strategy=False)
    reading = gevent.spawn(error_of, client.read)
    turn()
    world.transport.drop(FAILED)
    error = reading.get(timeout=5)
    assert isinstance(error, ConnectionClosed)
    assert error.__cause__ is FAILED


def test_after_open_there_may_be_messages_again(world: World) -> None:
    client = world.connected(listen=False)
    client.end()
    client.open()
    turn()
    world.transport.accept()
    world.transport.message("1")
    assert client.read(0) == 1


def test_an_unread_inbox_stops_the_connection_also_the_next(world: World) -> None:
    client = world.connected(listen=False, inbox_messages=4)
    world.transport.message("1", "2", "3", "4")
    assert client.socket.paused
    world.transport.drop()
    world.clock.advance(0.5)
    world.transport.accept()
    assert client.socket.paused, "there is still no room"
    assert [client.read(0) for _ in range(3)] == [1, 2, 3]
    assert not client.socket.paused


# -- waiting to be open


def test_wait_open(world: World) -> None:
    client = world.client()
    waiting = gevent.spawn(client.wait_open)
    turn()
    assert not waiting.ready()
    world.transport.accept()
    assert waiting.get(timeout=5) is client
    assert client.wait_open(0) is client
    world.transport.drop()
    with pytest.raises(ConnectTimeout, match=r"no connection to http://server\.example"):
        client.wait_open(0)
    waiting = gevent.spawn(error_of, client.wait_open)
    turn()
    client.end()
    assert isinstance(waiting.get(timeout=5), ConnectionClosed)


def test_wait_end(world: World) -> None:
    client = world.connected()
    waiting = gevent.spawn(client.wait_end)
    turn()
    world.transport.drop()
    assert client.wait_end(0) is False
    client.end()
    assert waiting.get(timeout=5) is True
    client.open()
    assert client.wait_end(0) is False


def test_nobody_waits_for_a_client_that_was_destroyed_before_it_began(world: World) -> None:
    client = world.make(manual=True, listen=False)
    waiting = [gevent.spawn(error_of, wait) for wait in (client.read, client.wait_open, client.wait_end)]
    turn()
    client.destroy()
    gevent.joinall(waiting, timeout=5, raise_error=True)
    assert [type(one.value) for one in waiting] == [ConnectionClosed, ConnectionClosed, type(None)]


# -- plugins, threads


def test_the_client_side_of_plugins(world: World) -> None:
    def add(client: Any, options: Any) -> None:
        client.greet = lambda: client.write(options.get("greeting", "hello"))

    plugin = {"python_client": add}
    client = world.connected(plugin={"greeter": plugin, "server only": {"server": print}}, greeting="hi")
    client.greet()
    assert world.transport.sent == ['"hi"']
    assert client.plugin("greeter") is plugin
    assert client.plugin("other") is None
    assert list(client.ark) == ["greeter", "server only"]


def test_a_plugin_that_fails_is_named(world: World) -> None:
    with pytest.raises(PluginError, match="'broken' failed: division"):
        world.make(plugin={"broken": {"python_client": lambda client: 1 / 0}})


def test_a_client_belongs_to_its_thread(made: Listening) -> None:
    def elsewhere(action: Any, *args: Any) -> None:
        with pytest.raises(ConcurrencyError, match="belongs to the thread"):
            action(*args)

    pool = gevent.get_hub().threadpool
    for action, args in ((made.client.write, (1,)), (made.client.end, ()), (made.client.open, ())):
        pool.apply(elsewhere, (action, *args))
    assert made.client.is_open
