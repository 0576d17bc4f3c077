"""The Python client against our server, on every main host."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from primus_gevent.client import Socket
from primus_gevent.errors import ConnectionClosed, RemoteProtocolError
from tests.support.hosts import Server, serve
from tests.unit.hub import eventually, hub_errors

SECONDS = 10.0
PARSERS = ("json", "ejson", "msgpack", "binary", "jsonh", "orjson")


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[None]:
    with hub_errors() as errors:
        yield
    assert errors == []


def address(server: Server, service: str = "echo") -> str:
    return f"{'https' if server.kind.tls else 'http'}://127.0.0.1:{server.port}?service={service}"


@contextmanager
def connected(server: Server, service: str = "echo", **options: Any) -> Iterator[Socket]:
    """A client that is open; at the end it is closed, and says goodbye properly."""
    options = {"verify": False, **options}
    with Socket(address(server, service), **options) as client:
        yield client.wait_open(SECONDS)
    assert not client.is_open


def events_of(client: Socket, *names: str) -> list[str]:
    seen: list[str] = []
    for name in names or ("open", "close", "end", "reconnecting", "reconnect", "reconnected", "error"):
        client.on(name, lambda *_, name=name: seen.append(name))
    return seen


@pytest.mark.parametrize("service", ["echo", "listen"])
def test_echo(server: Server, service: str) -> None:
    messages = ["text", "", 0, 1.5, True, False, None, [1, [2]], {"a": {"b": "ü€😀\u2028\u2029"}}, "primus"]
    with connected(server, service) as client:
        for message in messages:
            client.write(message)
            assert client.read(SECONDS) == message


@pytest.mark.parametrize("size", [125, 126, 65535, 65536, 1_000_000])
def test_echo_of_a_size(server: Server, size: int) -> None:
    with connected(server) as client:
        message = "x" * (size - 2)
        client.write(message)
        assert client.read(SECONDS) == message


def test_a_burst_keeps_its_order(server: Server) -> None:
    with connected(server, "count") as client:
        client.write(5000)
        assert [client.read(SECONDS) for _ in range(5000)] == list(range(5000))


def test_listeners_get_a_burst_in_order(server: Server) -> None:
    got: list[Any] = []
    with connected(server, "count") as client:
        client.on("data", got.append)
        client.write(3000)
        eventually(lambda: len(got) == 3000)
    assert got == list(range(3000))


def test_what_is_written_before_it_is_open_arrives(server: Server) -> None:
    with Socket(address(server), verify=False) as client:
        for n in range(10):
            assert client.write(n)
        assert [client.read(SECONDS) for _ in range(10)] == list(range(10))


def test_the_request_that_the_server_sees(server: Server) -> None:
    options = {
        "headers": {"X-Mine": "yes", "user-agent": "test"},
        "cookies": {"session": "abc", "theme": "dark"},
    }
    with connected(server, "info", **options) as client:
        info = client.read(SECONDS)
    headers = info["headers"]
    assert info["path"].rstrip("/") == "/primus"
    assert info["query"]["service"] == "info"
    assert "_primuscb" in info["query"]
    assert (headers["x-mine"], headers["user-agent"]) == ("yes", "test")
    assert headers["cookie"] == "session=abc; theme=dark"
    assert headers["host"] == f"127.0.0.1:{server.port}"


def test_user_and_password_of_the_url(server: Server) -> None:
    url = address(server, "info").replace("://", "://ann:o%40p@")
    with Socket(url, verify=False) as client:
        assert client.read(SECONDS)["headers"]["authorization"] == "Basic YW5uOm9AcA=="
        assert "o@p" not in repr(client)


def test_id(server: Server) -> None:
    with connected(server, "info") as client:
        assert client.id(timeout=SECONDS) == client.read(SECONDS)["id"]


def test_the_server_ends(server: Server) -> None:
    with Socket(address(server, "end-data"), verify=False) as client:
        seen = events_of(client, "close", "end", "reconnecting")
        assert list(client) == [{"bye": "all"}]
        eventually(lambda: "end" in seen)
        assert seen == ["close", "end"]
        assert client.clean
        with pytest.raises(ConnectionClosed):
            client.read()


def test_the_server_ends_with_reconnect(server: Server) -> None:
    with connected(server, "end-when-told", reconnect={"min_delay": 0.01}) as client:
        seen = events_of(client)
        client.write("reconnect")
        assert client.read(SECONDS) == "bye"
        eventually(lambda: "reconnected" in seen)
        assert seen == ["close", "reconnecting", "reconnect", "open", "reconnected"]
        client.write("for good")
        assert list(client) == ["bye"]


def test_a_connection_that_is_cut_comes_back(server: Server) -> None:
    with connected(server, "abort", reconnect={"min_delay": 0.01}) as client:
        seen = events_of(client)
        client.write("now")
        eventually(lambda: "reconnected" in seen)
        assert seen == ["close", "reconnecting", "reconnect", "open", "reconnected"]
        assert client.write("again")


def test_our_end_with_a_last_message(server: Server) -> None:
    with connected(server, "deaf") as client:
        server.control("go")
        assert client.end("last") is True
        assert client.end() is False
    server.wait_state(sparks=0, counts=lambda counts: counts.get("heard") == 1)


def test_our_end_is_a_proper_goodbye(server: Server) -> None:
    client = Socket(address(server), verify=False).wait_open(SECONDS)
    connection = client.socket
    client.end()
    assert connection.close_code == 1000, "the server has answered our Close frame"
    server.wait_state(sparks=0)


def test_back_pressure_of_a_server_that_does_not_read(server: Server) -> None:
    with connected(server, "deaf") as client:
        block = "x" * 65536
        writing = gevent.spawn(lambda: [client.write(block) for _ in range(300)])
        eventually(lambda: client.socket.full)
        gevent.sleep(0)
        assert not writing.ready()
        server.control("go")
        writing.get(timeout=SECONDS)
        client.write("last")
        assert client.read(SECONDS) == 301


def test_back_pressure_of_a_client_that_does_not_read(server: Server) -> None:
    with connected(server, "pour", inbox_messages=8) as client:
        client.write("go")
        eventually(lambda: client.socket.paused)
        assert client.read(SECONDS) == "x" * 16384
        for _ in range(200):
            client.read(SECONDS)


def test_a_message_beyond_max_length_ends_the_connection(server: Server) -> None:
    with connected(server, "big", max_length=1000, strategy=False) as client:
        client.write(10_000)
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert caught.value.clean is False
        assert isinstance(caught.value.__cause__, RemoteProtocolError)
        assert caught.value.__cause__.close_code == 1009


def test_many_clients_in_one_process(server: Server) -> None:
    clients = [Socket(address(server), verify=False) for _ in range(100)]
    for n, client in enumerate(clients):
        client.write(n)
    assert [client.read(SECONDS) for client in clients] == list(range(100))
    gevent.joinall([gevent.spawn(client.end) for client in clients], timeout=SECONDS)


def test_from_a_plain_thread(server: Server) -> None:
    got: list[Any] = []

    def work() -> None:
        with Socket(address(server), verify=False) as client:
            client.write("from a thread")
            got.append(client.read(SECONDS))
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(SECONDS)
    assert got == ["from a thread"]


def test_a_hub_that_is_destroyed_takes_only_its_own_clients_along(server: Server) -> None:
    """Some programs and test suites do so between their parts."""
    got: list[Any] = []

    def work() -> None:
        for part in (1, 2):
            with Socket(address(server, "listen"), verify=False) as client:
                client.on("open", lambda part=part: client.write(part))
                got.append(client.read(SECONDS))
            gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(2 * SECONDS)
    assert got == [1, 2]


SCRIPT = """
import sys
{patch}
from primus_gevent.client import Socket

with Socket(sys.argv[1], verify=False) as client:
    client.write("hello")
    print(client.read(10))
    client.write("bye")
"""


@pytest.mark.parametrize("patch", [True, False], ids=["patched", "unpatched"])
def test_a_program(server: Server, patch: bool) -> None:
    """Warnings are errors, and the last message leaves although the program ends right after it."""
    lines = "from gevent import monkey; monkey.patch_all()" if patch else ""
    command = [sys.executable, "-W", "error", "-c", SCRIPT.format(patch=lines), address(server)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_heartbeats() -> None:
    with serve("own", timeout=0.6, ping_interval=False) as server:
        url = f"http://127.0.0.1:{server.port}"
        with Socket(url, ping=0.2, pong=5.0) as client, Socket(url, ping=False, ping_timeout=False) as mute:
            seen = events_of(client, "close", "incoming::pong")
            lost = events_of(mute, "close")
            eventually(lambda: lost)
            eventually(lambda: seen.count("incoming::pong") >= 5)
            assert "close" not in seen
            assert 0 <= client.latency < 5


def test_pings_of_the_server() -> None:
    with (
        serve("own", timeout=1.0, ping_interval=0.2) as server,
        Socket(f"http://127.0.0.1:{server.port}", ping_timeout=5.0) as client,
    ):
        seen = events_of(client, "close", "outgoing::pong")
        eventually(lambda: seen.count("outgoing::pong") >= 7)
        assert "close" not in seen


@pytest.mark.parametrize("parser", PARSERS)
def test_every_parser(parser: str) -> None:
    with serve("own", parser=parser) as server, connected(server, parser=parser) as client:
        message: Any = [{"a": 1, "b": "ü"}, {"a": 2, "b": None}]
        for _ in range(3):
            client.write(message)
            assert client.read(SECONDS) == message
        assert isinstance(client.id(timeout=SECONDS), str)


def test_compression() -> None:
    with serve("own", compression=True) as server:
        with connected(server, compression={"threshold": 0}) as client:
            for message in ("x" * 100_000, "small", {"a": list(range(1000))}):
                client.write(message)
                assert client.read(SECONDS) == message
            assert "deflate" in repr(client.socket._protocol)
        with connected(server) as plain:
            plain.write("x")
            assert plain.read(SECONDS) == "x"
