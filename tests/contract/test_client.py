"""The Python client against our server: every way of every transformer, on every main host.

A server here has all transformers at once. Each way is played on our own server, and each host with a
WebSocket and with one of the ways that poll; the rest of the product is for `make soak`.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import gevent
import greenlet
import pytest

from primus_gevent.client import Socket
from primus_gevent.errors import ConnectionClosed, RemoteProtocolError
from tests.support.hosts import HOSTS, Server, leaves_nothing, serve
from tests.support.ways import TRANSFORMERS, WAYS
from tests.unit.hub import eventually, hub_errors, turn

SECONDS = 10.0
PARSERS = ("json", "ejson", "msgpack", "binary", "jsonh", "orjson")
PARSER_WAYS = (
    "websockets",
    "engine.io-upgrade",
    "engine.io-polling",
    "engine.io-websocket",
    "sockjs-websocket",
    "sockjs-xhr-streaming",
    "browserchannel-polling",
    "socket.io-polling",
)

# The way that polls, on each host but our own server, which has them all.
POLLING = {
    "own-tls": "engine.io-upgrade",
    "pywsgi": "engine.io-polling",
    "pywsgi-tls": "sockjs-xhr-polling",
    "gunicorn": "sockjs-xhr-streaming",
    "gunicorn-tls": "browserchannel-polling",
    "gunicorn-pywsgi": "browserchannel-streaming",
    "gevent-websocket": "socket.io-polling",
    "gunicorn-gevent-websocket": "engine.io-upgrade",
}


@dataclass
class World:
    """A server, and the way in which clients reach it."""

    server: Server
    way: str

    def url(self, service: str = "echo") -> str:
        scheme = "https" if self.server.kind.tls else "http"
        return f"{scheme}://127.0.0.1:{self.server.port}?service={service}"

    def make(self, service: str = "echo", **options: Any) -> Socket:
        return Socket(self.url(service), **{"verify": False, **WAYS[self.way].options, **options})

    @contextmanager
    def connected(self, service: str = "echo", **options: Any) -> Iterator[Socket]:
        """A client that is open; at the end it is closed, and says goodbye properly."""
        with self.make(service, **options) as client:
            yield client.wait_open(SECONDS)
        assert not client.is_open


def worlds() -> Iterator[Any]:
    for host, kind in HOSTS.items():
        if kind.variant:
            continue
        for way in WAYS:
            usual = host == "own" or way in ("websockets", POLLING[host])
            yield pytest.param((host, way), id=f"{host}-{way}", marks=() if usual else pytest.mark.soak)


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:

        class Started(dict[str, Server]):
            def __missing__(self, host: str) -> Server:
                # Hosts that are not ours complain of a client that leaves in a TLS handshake, as one does
                # that does not need its second connection any more.
                options = {"transformer": TRANSFORMERS, "close_timeout": 0.4}
                serving = serve(host, expected=["do_handshake"], **options)
                server = self[host] = stack.enter_context(serving)
                for way in WAYS:  # what a process imports, caches and connects on first use
                    with World(server, way).connected() as client:
                        client.write("warm up")
                        client.read(SECONDS)
                server.wait_state(sparks=0, objects=0)
                return server

        yield Started()


@pytest.fixture(params=list(worlds()))
def world(request: pytest.FixtureRequest, running: dict[str, Server]) -> Iterator[World]:
    host, way = request.param
    yield from one_world(running[host], way)


@pytest.fixture(params=list(WAYS))
def own(request: pytest.FixtureRequest, running: dict[str, Server]) -> Iterator[World]:
    """Our own server, in every way."""
    yield from one_world(running["own"], request.param)


def one_world(server: Server, way: str) -> Iterator[World]:
    before = descriptors()
    with leaves_nothing(server):
        yield World(server, way)
        eventually(lambda: descriptors() <= before)


def descriptors() -> int:
    """Sockets of this process."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:
            pass  # the one that lists
    return count


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[None]:
    with hub_errors() as errors:
        yield
    assert errors == []


def carried_by(client: Socket, way: str) -> None:
    """Wait until it is what that way ends with."""
    eventually(lambda: client.socket.name == WAYS[way].carrier)


def events_of(client: Socket, *names: str) -> list[str]:
    """The public events. (Frameworks that poll report a cut request as an error too, as in JavaScript.)"""
    seen: list[str] = []
    for name in names or ("open", "close", "end", "reconnecting", "reconnect", "reconnected"):
        client.on(name, lambda *_, name=name: seen.append(name))
    return seen


# -- messages


def test_echo(world: World) -> None:
    messages = ["text", "", 0, 1.5, True, False, None, [1, [2]], {"a": {"b": "ü€😀\u2028\u2029"}}, "primus"]
    with world.connected() as client:
        for message in messages:
            client.write(message)
            assert client.read(SECONDS) == message
        carried_by(client, world.way)


def test_messages_of_every_size(world: World) -> None:
    with world.connected() as client:
        for size in (125, 126, 65535, 65536, 1_000_000):
            client.write("x" * (size - 2))
            assert client.read(SECONDS) == "x" * (size - 2)


def test_bursts_keep_their_order(world: World) -> None:
    with world.connected("count") as client:
        client.write(3000)
        assert [client.read(SECONDS) for _ in range(3000)] == list(range(3000))
    with world.connected() as client:
        for n in range(1500):
            client.write(n)
        assert [client.read(SECONDS) for _ in range(1500)] == list(range(1500))


def test_listeners_get_a_burst_in_order(own: World) -> None:
    got: list[Any] = []
    with own.connected("count") as client:
        client.on("data", got.append)
        client.write(3000)
        eventually(lambda: len(got) == 3000)
    assert got == list(range(3000))


def test_what_is_written_before_it_is_open_arrives(world: World) -> None:
    with world.make("listen") as client:
        for n in range(10):
            assert client.write(n)
        assert [client.read(SECONDS) for _ in range(10)] == list(range(10))


def test_text_that_has_no_utf8(own: World) -> None:
    """Half of a surrogate pair: JSON escapes it; a parser of one's own may not."""
    given = {"parser": {"encoder": lambda data: data, "decoder": lambda raw: raw}}
    with own.connected(**given) as client:
        errors: list[BaseException] = []
        client.on("error", errors.append)
        client.write('"a\ud800b"')
        client.write('"after"')
        answers = [client.read(SECONDS)]
        if answers[0] != '"after"':
            assert answers[0] in ('"a\ufffdb"', '"a\\ud800b"')
            answers = [client.read(SECONDS)]
        assert answers == ['"after"']


@pytest.mark.parametrize("parser", PARSERS)
def test_every_parser(parser: str) -> None:
    message: Any = [{"a": 1, "b": "ü"}, {"a": 2, "b": None}]
    with serve("own", parser=parser, transformer=TRANSFORMERS) as server:
        for way in PARSER_WAYS:
            with World(server, way).connected(parser=parser) as client:
                for n in range(20):  # before, while and after a session moves to its WebSocket
                    client.write([*message, {"a": n, "b": "€"}])
                    assert client.read(SECONDS) == [*message, {"a": n, "b": "€"}]
                carried_by(client, way)
                client.write(message)
                assert client.read(SECONDS) == message
                assert isinstance(client.id(timeout=SECONDS), str)


# -- the request


def test_the_request_that_the_server_sees(world: World) -> None:
    headers = {"X-Mine": "yes", "user-agent": "test"}
    cookies = {"session": "abc", "theme": "dark"}
    with world.connected("info", headers=headers, cookies=cookies) as client:
        info = client.read(SECONDS)
        assert client.id(timeout=SECONDS) == info["id"]
    headers = info["headers"]
    assert info["path"].startswith("/primus")
    assert info["query"]["service"] == "info"
    assert "_primuscb" in info["query"]
    assert (headers["x-mine"], headers["user-agent"]) == ("yes", "test")
    assert headers["cookie"] == "session=abc; theme=dark"
    assert headers["host"] == f"127.0.0.1:{world.server.port}"


def test_user_and_password_of_the_url(own: World) -> None:
    url = own.url("info").replace("://", "://ann:o%40p@")
    with Socket(url, verify=False, **WAYS[own.way].options) as client:
        assert client.read(SECONDS)["headers"]["authorization"] == "Basic YW5uOm9AcA=="
        assert "o@p" not in repr(client)


# -- the end, and the way back


def test_the_server_ends(world: World) -> None:
    with world.make("end-data") as client:
        seen = events_of(client, "close", "end", "reconnecting")
        assert list(client) == [{"bye": "all"}]
        eventually(lambda: "end" in seen)
        assert seen == ["close", "end"]
        assert client.clean
        with pytest.raises(ConnectionClosed):
            client.read()


def test_the_server_ends_while_the_client_writes(own: World) -> None:
    """What is refused then must not hide that the server has said goodbye."""
    for _ in range(5):
        with own.make("end-when-told") as client:
            seen = events_of(client, "reconnecting", "data", "end")
            client.write("for good")
            deadline = monotonic() + SECONDS
            while "end" not in seen and monotonic() < deadline:
                client.write("too late")
                gevent.sleep(0.001)
            assert seen == ["data", "end"]


def test_the_server_ends_with_reconnect(world: World) -> None:
    with world.connected("end-when-told", reconnect={"min_delay": 0.01}) as client:
        seen = events_of(client)
        client.write("reconnect")
        assert client.read(SECONDS) == "bye"
        eventually(lambda: "reconnected" in seen)
        assert seen == ["close", "reconnecting", "reconnect", "open", "reconnected"]
        client.write("for good")
        assert list(client) == ["bye"]


def test_a_connection_that_is_cut_comes_back(world: World) -> None:
    with world.connected("abort", reconnect={"min_delay": 0.01}) as client:
        seen = events_of(client)
        client.write("now")
        eventually(lambda: "reconnected" in seen)
        assert seen == ["close", "reconnecting", "reconnect", "open", "reconnected"]
        assert client.write("again")


def test_our_end_with_a_last_message(world: World) -> None:
    with world.connected("deaf") as client:
        world.server.control("go")
        for n in range(100):
            client.write(n)
        assert client.end("last") is True
        assert client.end() is False
    world.server.wait_state(sparks=0, counts=lambda counts: counts.get("heard") == 101)


def test_our_end_waits_for_the_goodbye(own: World) -> None:
    client = own.make().wait_open(SECONDS)
    connection = client.socket
    client.end()
    assert own.server.state()["sparks"] == 0
    if own.way in ("websockets", "faye"):
        assert connection.close_code == 1000, "the server has answered our Close frame"


def test_our_end_at_any_moment_leaves_nothing(own: World) -> None:
    """Opening, open and busy, in the middle of an upgrade: no greenlet, no socket, no timer."""
    warm = own.make()
    warm.write(1)
    assert warm.read(SECONDS) == 1
    warm.end()
    before = alive()
    clients = []
    for moment in range(60):
        client = own.make()
        clients.append(client)
        client.write("x" * 70_000)
        if moment % 2:
            gevent.sleep(moment / 3000)  # any moment will do
        else:
            turn(moment)
        client.end()
        assert not client.is_open
    eventually(lambda: alive() <= before)
    assert all(len(client.timers) == 0 for client in clients)
    # Sessions that were begun were ended too, and do not wait for their time to run out.
    own.server.wait_state(sparks=0)


def alive() -> int:
    """Greenlets of this process that have something to do yet."""
    return sum(isinstance(thing, greenlet.greenlet) and not thing.dead for thing in gc.get_objects())


# -- limits


def test_back_pressure_of_a_server_that_does_not_read(world: World) -> None:
    with world.connected("deaf") as client:
        block = "x" * 65536
        writing = gevent.spawn(lambda: [client.write(block) for _ in range(300)])
        eventually(lambda: client.socket.full)
        gevent.sleep(0)
        assert not writing.ready()
        world.server.control("go")
        writing.get(timeout=SECONDS)
        client.write("last")
        assert client.read(SECONDS) == 301


def test_back_pressure_of_a_client_that_does_not_read(world: World) -> None:
    with world.connected("pour", inbox_messages=8) as client:
        client.write("go")
        eventually(lambda: client.socket.paused)
        assert client.read(SECONDS) == "x" * 16384
        for _ in range(200):
            client.read(SECONDS)


def test_a_client_that_does_not_read_makes_the_server_wait(own: World) -> None:
    def poured() -> int:
        return int(own.server.state()["counts"].get("poured", 0))

    with own.connected("pour", inbox_messages=8) as client:
        client.write("go")
        eventually(lambda: client.socket.paused)
        seen = [-1, 0]
        while seen[-1] != seen[-2]:
            gevent.sleep(0.05)  # the server's buffers and the kernel's fill up
            seen.append(poured())
        assert len(client._inbox or ()) < 3000, "what one answer may bring"
        for _ in range(seen[-1]):
            client.read(SECONDS)
        eventually(lambda: poured() > seen[-1])


def test_a_message_beyond_max_length_ends_the_connection(world: World) -> None:
    with world.connected("big", max_length=1000, strategy=False) as client:
        client.write(10_000)
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert caught.value.clean is False
        assert isinstance(caught.value.__cause__, RemoteProtocolError)
        assert caught.value.__cause__.close_code == 1009


# -- hubs, threads and processes


def test_many_clients_in_one_process(own: World) -> None:
    clients = [own.make() for _ in range(50)]
    for n, client in enumerate(clients):
        client.write(n)
    assert [client.read(SECONDS) for client in clients] == list(range(50))
    gevent.joinall([gevent.spawn(client.end) for client in clients], timeout=SECONDS)


def test_from_a_plain_thread(own: World) -> None:
    got: list[Any] = []

    def work() -> None:
        with own.make() as client:
            client.write("from a thread")
            got.append(client.read(SECONDS))
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(SECONDS)
    assert got == ["from a thread"]


def test_a_hub_that_is_destroyed_takes_only_its_own_clients_along(own: World) -> None:
    """Some programs and test suites do so between their parts."""
    got: list[Any] = []

    def work() -> None:
        for part in (1, 2):
            with own.make("listen") as client:
                client.on("open", lambda part=part: client.write(part))
                got.append(client.read(SECONDS))
            gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(2 * SECONDS)
    assert got == [1, 2]


SCRIPT = """
import json
import sys
{patch}
from primus_gevent.client import Socket

with Socket(sys.argv[1], verify=False, **json.loads(sys.argv[2])) as client:
    client.write("hello")
    print(client.read(10))
    client.write("bye")
"""


@pytest.mark.parametrize("patch", [True, False], ids=["patched", "unpatched"])
@pytest.mark.parametrize(
    "way", ["websockets", "engine.io-upgrade", "sockjs-xhr-streaming", "browserchannel-polling"]
)
def test_a_program(running: dict[str, Server], way: str, patch: bool) -> None:
    """Warnings are errors, and the last message leaves although the program ends right after it."""
    import json

    world = World(running["own"], way)
    lines = "from gevent import monkey; monkey.patch_all()" if patch else ""
    script = SCRIPT.format(patch=lines)
    command = [sys.executable, "-W", "error", "-c", script, world.url(), json.dumps(WAYS[way].options)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


# -- heartbeats of Primus, and what only WebSockets have


@pytest.mark.parametrize("way", ["websockets", "engine.io-polling", "sockjs-xhr-streaming"])
def test_heartbeats(way: str) -> None:
    with serve("own", timeout=0.6, ping_interval=False, transformer=TRANSFORMERS) as server:
        world = World(server, way)
        with world.make(ping=0.2, pong=5.0) as client, world.make(ping=False, ping_timeout=False) as mute:
            seen = events_of(client, "close", "incoming::pong")
            lost = events_of(mute, "close")
            eventually(lambda: lost)
            eventually(lambda: seen.count("incoming::pong") >= 5)
            assert "close" not in seen
            assert 0 <= client.latency < 5


@pytest.mark.parametrize("way", ["websockets", "engine.io-polling", "browserchannel-streaming"])
def test_pings_of_the_server(way: str) -> None:
    with (
        serve("own", timeout=1.0, ping_interval=0.2, transformer=TRANSFORMERS) as server,
        World(server, way).make(ping_timeout=5.0) as client,
    ):
        seen = events_of(client, "close", "outgoing::pong")
        eventually(lambda: seen.count("outgoing::pong") >= 7)
        assert "close" not in seen


def test_compression() -> None:
    with serve("own", compression=True) as server:
        world = World(server, "websockets")
        with world.connected(compression={"threshold": 0}) as client:
            for message in ("x" * 100_000, "small", {"a": list(range(1000))}):
                client.write(message)
                assert client.read(SECONDS) == message
            assert "deflate" in repr(client.socket._protocol)
        with world.connected() as plain:
            plain.write("x")
            assert plain.read(SECONDS) == "x"
