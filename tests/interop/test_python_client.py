"""Our Python client against the official servers, primus@8.0.9 and primus@2.4.12, and the faye package of 8.

The servers are those of the interop suite, see the README beside this file; here the scenarios are in Python.
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

import pytest

from primus_gevent import connect
from primus_gevent.client import Socket
from primus_gevent.errors import ConnectionClosed, UnexpectedResponse
from tests.support.interop import ADVICE
from tests.unit.hub import eventually, hub_errors

HERE = Path(__file__).parent
SECONDS = 10.0

PARSERS = {
    "primus8": ("json", "ejson", "msgpack", "binary"),
    "primus24": ("json", "ejson", "binary", "msgpack"),
}

pytestmark = pytest.mark.interop


class Official:
    """The official servers of one generation: one process, a server for each of some options."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        options: list[dict[str, Any]] = [{"parser": parser} for parser in PARSERS[kind]]
        options.append({"timeout": 1.0, "pingInterval": 0.3})
        options.append({"authorization": "callback"})
        if kind == "primus8":
            options.append({"transformer": "faye"})
        command = ["node", "--no-deprecation", str(HERE / "server.js"), kind, json.dumps(options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            pytest.fail(f"the {kind} server did not start. {ADVICE}", pytrace=False)
        ports = iter(json.loads(line)["ports"])
        self.ports = dict(zip(PARSERS[kind], ports, strict=False))
        self.ports.update(zip(("heartbeats", "authorization", "faye"), ports, strict=False))
        self._tags = itertools.count()

    def tag(self) -> str:
        """A name for the connections of one test."""
        return f"python{next(self._tags)}"

    def url(self, name: str = "json", service: str = "echo", tag: str = "t", **query: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}?{urlencode({'service': service, 'tag': tag, **query})}"

    def control(self, action: str, name: str = "json", **query: Any) -> Any:
        url = f"http://127.0.0.1:{self.ports[name]}/control/{action}?{urlencode(query)}"
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return json.load(answer)

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module", params=["primus8", "primus24"])
def official(request: pytest.FixtureRequest) -> Iterator[Official]:
    if not (HERE / "node_modules").is_dir():
        pytest.fail(f"The npm packages of the interop suite are not installed. {ADVICE}", pytrace=False)
    running = Official(request.param)
    yield running
    running.close()


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[None]:
    with hub_errors() as errors:
        yield
    assert errors == []


def record(client: Socket) -> list[str]:
    seen: list[str] = []
    for name in ("open", "close", "end", "reconnecting", "reconnected", "offline", "error"):
        client.on(name, lambda *_, name=name: seen.append(name))
    return seen


def test_connect_finds_everything_out(official: Official) -> None:
    with connect(official.url()) as client:
        assert (client.options.transformer, client.options.parser) == ("websockets", "json")
        if official.kind == "primus8":
            assert (client.options.ping, client.options.ping_timeout) == (False, 45)
        else:
            assert client.options.ping == 25
        client.write({"a": [1, None, "ü€😀\u2028"]})
        assert client.read(SECONDS) == {"a": [1, None, "ü€😀\u2028"]}


def test_echo_of_every_json_type(official: Official) -> None:
    messages = ["text", "", 0, -1.5, True, False, None, [], {}, [1, [2]], {"a": {"b": "\u2029"}}, "primus"]
    with connect(official.url()) as client:
        for message in messages:
            client.write(message)
            assert client.read(SECONDS) == message


def test_long_messages_and_bursts_in_order(official: Official) -> None:
    with connect(official.url(service="amplify")) as client:
        client.write(900_000)
        assert client.read(SECONDS) == "x" * 900_000
    with connect(official.url(service="burst")) as client:
        client.write(2000)
        assert [client.read(SECONDS) for _ in range(2000)] == list(range(2000))


def test_what_the_server_knows_of_the_request(official: Official) -> None:
    headers = {"X-Mine": "yes", "Cookie": "a=b"}
    with connect(official.url(service="meta", more="1"), headers=headers) as client:
        client.write("?")
        meta = client.read(SECONDS)
        assert meta["query"]["more"] == "1"
        assert "_primuscb" in meta["query"]
        assert (meta["headers"]["x-mine"], meta["headers"]["cookie"]) == ("yes", "a=b")
        assert meta["url"].startswith("/primus/?")
        assert client.id(timeout=SECONDS) == meta["id"]


def test_the_server_ends_for_good(official: Official) -> None:
    with connect(official.url(service="end_data")) as client:
        seen = record(client)
        client.write("bye")
        assert list(client) == ["bye"]
        eventually(lambda: "end" in seen)
        assert [name for name in seen if name != "open"] == ["close", "end"]
        with pytest.raises(ConnectionClosed):
            client.read()


@pytest.mark.parametrize("service", ["end_reconnect", "kill"])
def test_the_client_comes_back(official: Official, service: str) -> None:
    tag = official.tag()
    with connect(official.url(service=service, tag=tag), reconnect={"min_delay": 0.02}) as client:
        client.wait_open(SECONDS)
        seen = record(client)
        client.write("go")
        eventually(lambda: "reconnected" in seen)
        assert seen == ["close", "reconnecting", "open", "reconnected"]
        assert client.id(timeout=SECONDS) == official.control("state", tag=tag)["ids"][-1]
        assert official.control("state", tag=tag)["connections"] == 2


def test_our_end(official: Official) -> None:
    tag = official.tag()
    with connect(official.url(tag=tag)) as client:
        client.wait_open(SECONDS)
        client.end("last")
    state = official.control("wait", tag=tag, field="ends", least=1, limit=SECONDS)
    assert (state["open"], state["log"]) == (0, ["connection", "data", "disconnection", "end"])


def test_a_broadcast_reaches_every_client(official: Official) -> None:
    clients = [connect(official.url()).wait_open(SECONDS) for _ in range(5)]
    official.control("broadcast", data='{"all": 1}')
    assert [client.read(SECONDS) for client in clients] == [{"all": 1}] * 5
    for client in clients:
        client.end()


def test_heartbeats_keep_the_connection(official: Official) -> None:
    """Of a 2.4 server in our direction, of an 8 server in its own."""
    with connect(official.url("heartbeats")) as client:
        kept: list[str] = []
        lost = record(client)
        ours = official.kind == "primus24"
        event = "incoming::pong" if ours else "outgoing::pong"
        client.on(event, kept.append)
        eventually(lambda: len(kept) >= (3 if ours else 6))
        assert [name for name in lost if name != "open"] == []


def test_a_server_that_does_not_hear_from_us_lets_go(official: Official) -> None:
    """Without heartbeats: the test before would pass without them otherwise."""
    options: dict[str, Any] = {"ping": False, "ping_timeout": False}
    with Socket(official.url("heartbeats"), **options, reconnect={"min_delay": 0.02}) as client:
        seen = record(client)
        client.heartbeat.answer = lambda text: None  # type: ignore[method-assign]
        eventually(lambda: "reconnected" in seen)
        assert seen[:3] == ["open", "close", "reconnecting"]


def test_a_refused_authorization(official: Official) -> None:
    client = Socket(official.url("authorization", token="none"))
    with pytest.raises(ConnectionClosed) as caught:
        client.wait_open(SECONDS)
    error = caught.value.__cause__
    assert isinstance(error, UnexpectedResponse)
    assert (error.status, error.reason) == (401, "Authentication required")
    assert error.headers["www-authenticate"] == 'Basic realm="myscheme"'
    with Socket(official.url("authorization", token="good")) as allowed:
        allowed.write(1)
        assert allowed.read(SECONDS) == 1
    with Socket(official.url("authorization"), headers={"Authorization": "Bearer good"}) as allowed:
        allowed.write(1)
        assert allowed.read(SECONDS) == 1


VALUES: dict[str, list[Any]] = {
    "json": [{"a": [1.5, "ü", None]}],
    "ejson": [{"a": b"\x00\xff"}, {"a": [1.5, "ü", None, True]}],
    "msgpack": [b"\x00\xff", {"a": [1.5, "ü", None, True, 2**31]}],
    "binary": [b"\x00\xff", {"a": [1.5, "ü", None, True]}],
}


@pytest.mark.parametrize("parser", list(VALUES))
def test_every_parser(official: Official, parser: str) -> None:
    # 2.4 knows no msgpack by name, and calls what it is given "custom"
    given = {"parser": parser} if (official.kind, parser) == ("primus24", "msgpack") else {}
    with connect(official.url(parser), **given) as client:
        assert client.options.parser == parser
        for value in VALUES[parser]:
            client.write(value)
            assert client.read(SECONDS) == value
        assert isinstance(client.id(timeout=SECONDS), str)


def test_faye() -> None:
    running = Official("primus8")
    try:
        with connect(running.url("faye")) as client:
            assert client.options.transformer == "faye"
            client.write("x" * 100_000)
            assert client.read(SECONDS) == "x" * 100_000
            client.end("bye")
    finally:
        running.close()
