"""Our Python client against the official servers, primus@8.0.9 and primus@2.4.12, in every way in which it
connects to them.

The servers are those of the interop suite, see the README beside this file; here the scenarios are in Python.
The client is told the address only, and which of a transformer's transports to use.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import gevent
import pytest

from primus_gevent import connect
from primus_gevent.client import Socket
from primus_gevent.errors import ConnectionClosed, UnexpectedResponse
from tests.support.interop import ADVICE
from tests.support.ways import WAYS
from tests.unit.hub import eventually, hub_errors

HERE = Path(__file__).parent
SECONDS = 10.0

KINDS = ("primus8", "primus24")
BINARY = ("json", "ejson", "msgpack", "binary")
# Official ends send no bytes over frameworks that have text only.
TEXT = ("json", "ejson")
PARSERS = {
    "websockets": BINARY,
    "faye": BINARY,
    "engine.io": BINARY,
    "sockjs": TEXT,
    "browserchannel": TEXT,
    "socket.io": TEXT,
}
AUTHORIZED = ("websockets", "engine.io", "sockjs", "browserchannel", "socket.io")

# `polling` is ours; Primus 8 has no Socket.IO.
COMBINATIONS = [
    (kind, way)
    for kind in KINDS
    for way in WAYS
    if way != "polling" and not (kind == "primus8" and way.startswith("socket.io"))
]

# The official server of Socket.IO 0.9 loses what it sends between two polls, also its goodbye.
LOSSY = ("primus24", "socket.io-polling")

pytestmark = pytest.mark.interop


def transformer_of(way: str) -> str:
    return str(WAYS[way].options["transformer"])


class Official:
    """The official servers of one generation: one process, a server for each of some options."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        ways = dict.fromkeys(transformer_of(way) for server, way in COMBINATIONS if server == kind)
        wanted: dict[str, dict[str, Any]] = {}
        for transformer in ways:
            for parser in PARSERS[transformer]:
                wanted[f"{transformer}/{parser}"] = {"transformer": transformer, "parser": parser}
            if transformer in AUTHORIZED:
                name = f"{transformer}/authorization"
                wanted[name] = {"transformer": transformer, "authorization": "callback"}
        wanted["websockets/heartbeats"] = {"timeout": 1.0, "pingInterval": 0.3}
        wanted["engine.io/heartbeats"] = {"transformer": "engine.io", "patience": 0.4}
        options = list(wanted.values())
        command = ["node", "--no-deprecation", str(HERE / "server.js"), kind, json.dumps(options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            pytest.fail(f"the {kind} server did not start. {ADVICE}", pytrace=False)
        self.ports = dict(zip(wanted, json.loads(line)["ports"], strict=True))
        self._tags = itertools.count()

    def tag(self) -> str:
        """A name for the connections of one test."""
        return f"python{next(self._tags)}"

    def control(self, action: str, name: str, **query: Any) -> Any:
        url = f"http://127.0.0.1:{self.ports[name]}/control/{action}?{urlencode(query)}"
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return json.load(answer)

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Place:
    """Servers of one generation, and the way in which clients reach them."""

    def __init__(self, official: Official, way: str) -> None:
        self.official = official
        self.way = way
        self.transformer = transformer_of(way)
        self.tag = official.tag()
        self.options = {name: value for name, value in WAYS[way].options.items() if name != "transformer"}
        # SockJS of Primus 2.4 shows its server no query.
        self.queryless = (official.kind, self.transformer) == ("primus24", "sockjs")

    def arguments(self, server: str, service: str, query: dict[str, str]) -> tuple[str, dict[str, Any]]:
        port = self.official.ports[f"{self.transformer}/{server}"]
        url = f"http://127.0.0.1:{port}?{urlencode({'service': service, 'tag': self.tag, **query})}"
        options: dict[str, Any] = {**self.options, "reconnect": {"min_delay": 0.02}}
        if self.queryless:
            options["headers"] = {"Host": f"{service}.{self.tag}.localhost"}
        return url, options

    def connect(self, service: str = "echo", server: str = "json", **options: Any) -> Socket:
        """A client that has found out the rest by itself."""
        query = options.pop("query", {})
        url, own = self.arguments(server, service, query)
        headers = {**own.pop("headers", {}), **options.pop("headers", {})}
        return connect(url, headers=headers, **own, **options)

    def control(self, action: str, server: str = "json", **query: Any) -> Any:
        return self.official.control(action, f"{self.transformer}/{server}", tag=self.tag, **query)


@pytest.fixture(scope="module", params=KINDS)
def official(request: pytest.FixtureRequest, officials: dict[str, Official]) -> Official:
    return officials[request.param]


@pytest.fixture(scope="module")
def officials() -> Iterator[dict[str, Official]]:
    if not (HERE / "node_modules").is_dir():
        pytest.fail(f"The npm packages of the interop suite are not installed. {ADVICE}", pytrace=False)

    class Started(dict[str, Official]):
        def __missing__(self, kind: str) -> Official:
            self[kind] = Official(kind)
            return self[kind]

    running = Started()
    yield running
    for official in running.values():
        official.close()


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def place(request: pytest.FixtureRequest, officials: dict[str, Official]) -> Place:
    kind, way = request.param
    return Place(officials[kind], way)


@pytest.fixture(params=[each for each in COMBINATIONS if each != LOSSY], ids="-".join)
def lossless(request: pytest.FixtureRequest, officials: dict[str, Official]) -> Place:
    kind, way = request.param
    return Place(officials[kind], way)


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[None]:
    with hub_errors() as errors:
        yield
    assert errors == []


def record(client: Socket) -> list[str]:
    """The public events. (Frameworks that poll report a cut request as an error too, as in JavaScript.)"""
    seen: list[str] = []
    for name in ("open", "close", "end", "reconnecting", "reconnected", "offline"):
        client.on(name, lambda *_, name=name: seen.append(name))
    return seen


def test_connect_finds_everything_out(place: Place) -> None:
    with place.connect() as client:
        assert (client.options.transformer, client.options.parser) == (place.transformer, "json")
        if place.official.kind == "primus8":
            assert (client.options.ping, client.options.ping_timeout) == (False, 45)
        else:
            assert client.options.ping == 25
        client.write({"a": [1, None, "ü€😀\u2028"]})
        assert client.read(SECONDS) == {"a": [1, None, "ü€😀\u2028"]}
        eventually(lambda: client.socket.name == WAYS[place.way].carrier)


def test_echo_of_every_json_type(place: Place) -> None:
    messages = ["text", "", 0, -1.5, True, False, None, [], {}, [1, [2]], {"a": {"b": "\u2029"}}, "primus"]
    with place.connect() as client:
        for message in messages:
            client.write(message)
            assert client.read(SECONDS) == message


def test_what_is_not_ascii(place: Place) -> None:
    """Before, while and after a session moves to its WebSocket; dialects of Engine.IO 3 differ in that."""
    texts = ["é", "Ã©", "ü€", "😀", "\u0080\u00ff", "日本語", "a\x00b", "\u2028\x1e", "Ã©" * 1000]
    with place.connect() as client:
        for _ in range(3):
            for text in texts:
                client.write(text)
                assert client.read(SECONDS) == text
            for text in texts:  # several in a body
                client.write(text)
            assert [client.read(SECONDS) for _ in texts] == texts


def test_long_messages_and_bursts_in_order(place: Place) -> None:
    with place.connect("amplify") as client:
        client.write(900_000)
        assert client.read(SECONDS) == "x" * 900_000
    with place.connect() as client:
        client.write("x" * 900_000)
        assert client.read(SECONDS) == "x" * 900_000
    with place.connect("burst") as client:
        client.write(2000)
        assert [client.read(SECONDS) for _ in range(2000)] == list(range(2000))


def test_bursts_of_ours(lossless: Place) -> None:
    # The WebSockets of Socket.IO 0.9 take one frame within the other: many are too deep for its stack.
    burst = 100 if lossless.transformer == "socket.io" else 2000
    with lossless.connect() as client:
        for n in range(burst):
            client.write(n)
        assert [client.read(SECONDS) for _ in range(burst)] == list(range(burst))


def test_traffic_both_ways_while_a_session_moves(lossless: Place) -> None:
    with lossless.connect() as client:
        reading = gevent.spawn(lambda: [client.read(SECONDS) for _ in range(1500)])
        for n in range(1500):
            client.write(n)
            if n % 10 == 0:
                gevent.sleep(0.001)
        assert reading.get(timeout=SECONDS) == list(range(1500))


def test_what_the_server_knows_of_the_request(place: Place) -> None:
    headers = {"X-Mine": "yes", "Cookie": "a=b"}
    with place.connect("meta", query={"more": "1"}, headers=headers) as client:
        client.write("?")
        meta = client.read(SECONDS)
        if not place.queryless:
            assert meta["query"]["more"] == "1"
            assert "_primuscb" in meta["query"]
        if place.transformer != "sockjs":  # it hands on a few headers only
            assert (meta["headers"]["x-mine"], meta["headers"]["cookie"]) == ("yes", "a=b")
        if meta.get("url"):
            assert meta["url"].startswith("/primus")
        assert client.id(timeout=SECONDS) == meta["id"]


def test_the_server_ends_for_good(lossless: Place) -> None:
    with lossless.connect("end_data") as client:
        seen = record(client)
        client.write("bye")
        with gevent.Timeout(SECONDS):
            assert list(client) == ["bye"]
        eventually(lambda: "end" in seen)
        assert [name for name in seen if name != "open"] == ["close", "end"]
        with pytest.raises(ConnectionClosed):
            client.read()


@pytest.mark.parametrize("service", ["end_reconnect", "kill"])
def test_the_client_comes_back(lossless: Place, service: str) -> None:
    place = lossless
    with place.connect(service) as client:
        client.wait_open(SECONDS)
        seen = record(client)
        client.write("go")
        eventually(lambda: "reconnected" in seen)
        assert seen == ["close", "reconnecting", "open", "reconnected"]
        assert client.id(timeout=SECONDS) == place.control("state")["ids"][-1]
        assert place.control("state")["connections"] == 2


def test_our_end(place: Place) -> None:
    with place.connect() as client:
        client.wait_open(SECONDS)
        client.end("last")
    state = place.control("wait", field="ends", least=1, limit=SECONDS)
    assert (state["open"], state["log"]) == (0, ["connection", "data", "disconnection", "end"])


def test_a_broadcast_reaches_every_client(lossless: Place) -> None:
    place = lossless
    clients = [place.connect().wait_open(SECONDS) for _ in range(5)]
    place.control("broadcast", data='{"all": 1}')
    assert [client.read(SECONDS) for client in clients] == [{"all": 1}] * 5
    for client in clients:
        client.end()


@pytest.mark.parametrize("way", ["websockets"])
def test_heartbeats_keep_the_connection(official: Official, way: str) -> None:
    """Of a 2.4 server in our direction, of an 8 server in its own."""
    with Place(official, way).connect(server="heartbeats") as client:
        kept: list[str] = []
        lost = record(client)
        ours = official.kind == "primus24"
        event = "incoming::pong" if ours else "outgoing::pong"
        client.on(event, kept.append)
        eventually(lambda: len(kept) >= (3 if ours else 6))
        assert [name for name in lost if name != "open"] == []


@pytest.mark.parametrize("way", ["engine.io-upgrade", "engine.io-polling", "engine.io-websocket"])
def test_heartbeats_of_the_framework(official: Official, way: str) -> None:
    """A server that is silent, or hears nothing, for 0.8 seconds takes the session for lost; so do we."""
    with Place(official, way).connect(server="heartbeats", ping=False, ping_timeout=False) as client:
        client.wait_open(SECONDS)
        lost = record(client)
        gevent.sleep(2.5)  # a few of them
        client.write("still here")
        assert client.read(SECONDS) == "still here"
        assert lost == []


def test_a_server_that_does_not_hear_from_us_lets_go(official: Official) -> None:
    """Without heartbeats: the test before would pass without them otherwise."""
    url, options = Place(official, "websockets").arguments("heartbeats", "echo", {})
    with Socket(url, ping=False, ping_timeout=False, **options) as client:
        seen = record(client)
        client.heartbeat.answer = lambda text: None  # type: ignore[method-assign]
        eventually(lambda: "reconnected" in seen)
        assert seen[:3] == ["open", "close", "reconnecting"]


def test_a_refused_authorization(place: Place) -> None:
    if place.queryless or place.transformer not in AUTHORIZED:
        return  # nothing to tell it by, or no server for it here
    url, options = place.arguments("authorization", "echo", {"token": "none"})
    client = Socket(url, transformer=place.transformer, **options)
    with pytest.raises(ConnectionClosed) as caught:
        client.wait_open(SECONDS)
    error = caught.value.__cause__
    assert isinstance(error, UnexpectedResponse)
    assert (error.status, error.reason) == (401, "Authentication required")
    assert error.headers["www-authenticate"] == 'Basic realm="myscheme"'
    if place.official.kind == "primus24" and place.way in ("engine.io-upgrade", "engine.io-polling"):
        return  # on a Node of today Primus 2.4 with a hook cannot hold a poll; see suites/extensions.js
    url, options = place.arguments("authorization", "echo", {"token": "good"})
    with Socket(url, transformer=place.transformer, **options) as allowed:
        allowed.write(1)
        assert allowed.read(SECONDS) == 1
    url, options = place.arguments("authorization", "echo", {})
    options["headers"] = {"Authorization": "Bearer good"}
    with Socket(url, transformer=place.transformer, **options) as allowed:
        allowed.write(1)
        assert allowed.read(SECONDS) == 1


VALUES: dict[str, list[Any]] = {
    "json": [{"a": [1.5, "ü", None]}],
    "ejson": [{"a": b"\x00\xff"}, {"a": [1.5, "ü", None, True]}],
    "msgpack": [b"\x00\xff", {"a": [1.5, "ü", None, True, 2**31]}],
    "binary": [b"\x00\xff", {"a": [1.5, "ü", None, True]}],
}


@pytest.mark.parametrize("parser", list(VALUES))
def test_every_parser(place: Place, parser: str) -> None:
    if parser not in PARSERS[place.transformer]:
        return
    # 2.4 knows no msgpack by name, and calls what it is given "custom"
    given = {"parser": parser} if (place.official.kind, parser) == ("primus24", "msgpack") else {}
    with place.connect(server=parser, **given) as client:
        assert client.options.parser == parser
        for _ in range(10):  # also when a session has moved to its WebSocket
            for value in VALUES[parser]:
                client.write(value)
                assert client.read(SECONDS) == value
        eventually(lambda: client.socket.name == WAYS[place.way].carrier)
        for value in VALUES[parser]:
            client.write(value)
            assert client.read(SECONDS) == value
        assert isinstance(client.id(timeout=SECONDS), str)
