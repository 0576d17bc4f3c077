"""The Python client through real outages, in every way in which it connects: killed, stopped and restarted
servers, cut connections, a network that swallows everything, refusals, handshakes that do not end.

After each test the process holds what it held before: no greenlet, descriptor or timer is left.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from primus_gevent.client import Socket
from primus_gevent.errors import ConnectError, ConnectionClosed, UnexpectedResponse
from tests.support.cable import Cable
from tests.support.leaks import frozen, leaves_nothing
from tests.support.netns import Network, NoNetwork
from tests.support.restartable import Restartable
from tests.support.ways import WAYS, Way
from tests.unit.client.servers import raw_server, read_head
from tests.unit.hub import eventually, hub_errors

SECONDS = 20.0
RECONNECT: dict[str, Any] = {
    "min_delay": 0.02,
    "max_delay": 0.2,
    "retries": math.inf,
    "reconnect_timeout": 2.0,
}
QUICK: dict[str, Any] = {"reconnect": RECONNECT, "close_timeout": 0.5}

# Those who can notice an outage by nothing else do so by their heartbeats.
BEATING: dict[str, Any] = {**QUICK, "ping": 0.1, "pong": 1.0}

_tags = itertools.count()


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[None]:
    with hub_errors() as errors:
        yield
    assert errors == []


@pytest.fixture(autouse=True, scope="module")
def what_was_there() -> Iterator[None]:
    for way in WAYS.values():  # what is imported and cached
        with serve(way) as server, connect(way, server.url) as client:
            settle(way, client)
    with frozen():
        yield


@pytest.fixture(autouse=True)
def nothing_is_left(hub_stays_clean: None, what_was_there: None) -> Iterator[None]:
    with leaves_nothing():
        yield


@pytest.fixture(params=[name for name in WAYS if name != "faye"])
def way(request: pytest.FixtureRequest, nothing_is_left: None) -> Way:
    return WAYS[request.param]


@pytest.fixture
def server(way: Way) -> Iterator[Restartable]:
    with serve(way) as running:
        yield running


def serve(way: Way, **options: Any) -> Restartable:
    return Restartable(transformer=way.options["transformer"], **options)


def connect(way: Way, url: str, **options: Any) -> Socket:
    return Socket(url, **{**way.options, **options})


def settle(way: Way, client: Socket) -> None:
    """Wait until it is open, and has found its way."""
    eventually(lambda: client.is_open and client.socket.name == way.carrier)


def resumes(way: Way) -> bool:
    """Whether the session survives that its connections are cut."""
    return way.carrier != "websocket" and way.options["transformer"] in ("sockjs", "browserchannel")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    try:
        made = Network()
    except NoNetwork as error:
        if os.environ.get("CI"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    with made:
        yield made


@contextmanager
def silence(network: Network) -> Iterator[None]:
    network.silence()
    try:
        yield
    finally:
        network.heal()


def tag() -> str:
    """The server knows by it what it has heard from one client."""
    return f"?tag={next(_tags)}"


def record(client: Any) -> list[str]:
    """Every public event of a client, in the order in which they come."""
    seen: list[str] = []
    for name in ("open", "close", "end", "reconnected", "reconnect failed", "offline", "online", "error"):
        client.on(name, lambda *_, name=name: seen.append(name))
    return seen


def ends_and_beginnings(seen: list[str]) -> list[str]:
    """Without how the end was noticed: by an error of a request, which some ways have, or by silence."""
    return [event for event in seen if event not in ("error", "offline", "online")]


def attempts(client: Any, count: int) -> Callable[[], bool]:
    """Whether the client is in its so manieth attempt to reconnect."""
    return lambda: client.recovery.outage is not None and client.recovery.outage.attempt >= count


def causes(error: BaseException) -> list[BaseException]:
    """Those of this package."""
    found = []
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, ConnectError):
            found.append(cause)
        cause = cause.__cause__
    return found


class Conversation:
    """Messages of a client to an echo: numbers, so that lost, doubled and exchanged ones can be told."""

    def __init__(self, client: Socket) -> None:
        self.client = client
        self.written = 0

    def write(self, count: int) -> None:
        for number in range(self.written, self.written + count):
            assert self.client.write(number)
        self.written += count

    def read(self, count: int) -> None:
        """The last ``count`` that were written come back, and nothing else."""
        expected = list(range(self.written - count, self.written))
        assert [self.client.read(SECONDS) for _ in expected] == expected

    def heard(self, expected: list[int]) -> None:
        """The server has these from us, each once; and nothing else is on its way to us."""
        self.client.write("heard?")
        assert self.client.read(SECONDS) == expected


# -- the server


def test_a_killed_server_that_comes_back(way: Way, server: Restartable) -> None:
    with connect(way, server.url + tag(), **BEATING) as client:
        talk = Conversation(client)
        talk.write(3)
        talk.read(3)
        settle(way, client)
        seen = record(client)
        server.kill()
        eventually(lambda: "close" in seen)
        assert not client.clean
        talk.write(20)
        eventually(attempts(client, 3))
        assert isinstance(client.last_error, ConnectError)
        talk.write(20)
        server.start()
        talk.read(40)
        eventually(lambda: "reconnected" in seen)
        assert ends_and_beginnings(seen) == ["close", "open", "reconnected"]
        talk.heard(list(range(3, 43)))


def test_a_killed_server_that_does_not_come_back(way: Way, server: Restartable) -> None:
    with connect(way, server.url, **{**BEATING, "reconnect": {**RECONNECT, "retries": 3}}) as client:
        settle(way, client)
        seen = record(client)
        server.kill()
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        eventually(lambda: "reconnect failed" in seen)
        assert ends_and_beginnings(seen) == ["close", "end", "reconnect failed"]
        reasons = [str(error) for error in causes(caught.value)]
        assert reasons[0] == "Unable to recover"
        assert reasons[-1].startswith("nothing listens at ")


def test_a_server_that_drains_and_comes_back(way: Way, server: Restartable) -> None:
    with connect(way, server.url + tag(), **BEATING) as client:
        talk = Conversation(client)
        settle(way, client)
        seen = record(client)
        server.terminate()
        eventually(lambda: "close" in seen)
        talk.write(20)
        server.start()
        talk.read(20)
        eventually(lambda: "reconnected" in seen)
        assert ends_and_beginnings(seen) == ["close", "open", "reconnected"]
        talk.heard(list(range(20)))


def test_a_server_that_stands_still(way: Way, server: Restartable) -> None:
    """The connection stays, and new ones are even taken by the kernel; but nobody answers."""
    with connect(
        way, server.url + tag(), **{**BEATING, "reconnect": {**RECONNECT, "reconnect_timeout": 0.3}}
    ) as client:
        talk = Conversation(client)
        settle(way, client)
        seen = record(client)
        server.stop()
        eventually(lambda: "close" in seen)
        talk.write(20)
        eventually(attempts(client, 3))
        assert seen == ["offline", "close"]
        assert not client.online
        server.resume()
        talk.read(20)
        eventually(lambda: "reconnected" in seen)
        assert seen == ["offline", "close", "online", "open", "reconnected"]
        talk.heard(list(range(20)))


def test_a_server_that_is_not_there_yet(way: Way, server: Restartable) -> None:
    server.kill()
    with connect(way, server.url + tag(), **QUICK) as client:
        talk = Conversation(client)
        seen = record(client)
        talk.write(20)
        eventually(attempts(client, 3))
        server.start()
        talk.read(20)
        assert seen == ["error", "open", "reconnected"]
        talk.heard(list(range(20)))


def test_a_server_that_says_goodbye_for_good(way: Way, server: Restartable) -> None:
    with connect(way, server.url, **QUICK) as client:
        settle(way, client)
        seen = record(client)
        client.write("end")
        assert list(client) == []
        eventually(lambda: "end" in seen)
        assert seen == ["close", "end"]
        assert client.clean


def test_a_server_that_says_goodbye_and_asks_us_back(way: Way, server: Restartable) -> None:
    with connect(way, server.url + tag(), **QUICK) as client:
        talk = Conversation(client)
        settle(way, client)
        seen = record(client)
        client.write("reconnect")
        eventually(lambda: "reconnected" in seen)
        talk.write(20)
        talk.read(20)
        assert seen == ["close", "open", "reconnected"]
        talk.heard(list(range(20)))


# -- the network


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_cut_connection(way: Way, server: Restartable, reset: bool) -> None:
    with Cable(server.port) as cable, connect(way, cable.url + tag(), **QUICK) as client:
        talk = Conversation(client)
        settle(way, client)
        seen = record(client)
        cable.reset = reset
        before = cable.connections
        cable.cut()
        eventually(lambda: cable.connections > before)
        if not resumes(way):
            eventually(lambda: "reconnected" in seen)
        talk.write(20)
        talk.read(20)
        assert ends_and_beginnings(seen) == ([] if resumes(way) else ["close", "open", "reconnected"])
        talk.heard(list(range(20)))


SILENT: dict[str, Any] = {**BEATING, "reconnect": {**RECONNECT, "reconnect_timeout": 0.5}}


def test_a_network_that_swallows_everything(way: Way, network: Network) -> None:
    transformer = way.options["transformer"]
    with (
        network.serve(transformer=transformer) as server,
        connect(way, server.url + tag(), **SILENT) as client,
    ):
        talk = Conversation(client)
        settle(way, client)
        seen = record(client)
        with silence(network):
            eventually(lambda: "close" in seen)
            assert not client.online
            talk.write(20)
            eventually(attempts(client, 3))
            assert seen == ["offline", "close"]
        talk.read(20)
        eventually(lambda: "reconnected" in seen)
        assert client.online
        assert seen == ["offline", "close", "online", "open", "reconnected"]
        talk.heard(list(range(20)))


def test_a_network_that_swallows_what_nobody_waits_for(way: Way, network: Network) -> None:
    """What is written before the client notices may be lost, but it does not come twice."""
    transformer = way.options["transformer"]
    with (
        network.serve(transformer=transformer) as server,
        connect(way, server.url + tag(), **SILENT) as client,
    ):
        settle(way, client)
        seen = record(client)
        with silence(network):
            for number in range(5):
                client.write(number)
            eventually(lambda: "close" in seen)
            client.write("after")
            eventually(attempts(client, 2))
        assert client.read(SECONDS) == "after"
        client.write("heard?")
        heard = client.read(SECONDS)
        early = [message for message in heard if message != "after"]
        assert early == list(range(len(early)))
        assert heard.count("after") == 1


def test_a_network_that_swallows_everything_for_a_moment(way: Way, network: Network) -> None:
    """The kernel sends again what nobody has acknowledged, and the client does not even notice."""
    transformer = way.options["transformer"]
    options = {**BEATING, "pong": 20.0}
    with (
        network.serve(transformer=transformer) as server,
        connect(way, server.url + tag(), **options) as client,
    ):
        talk = Conversation(client)
        settle(way, client)
        seen = record(client)
        with silence(network):
            talk.write(20)
            gevent.sleep(0.3)
        talk.read(20)
        assert seen == []
        talk.heard(list(range(20)))


def test_a_network_that_is_silent_from_the_start(way: Way, network: Network) -> None:
    transformer = way.options["transformer"]
    options = {**SILENT, "timeout": 0.5}
    with network.serve(transformer=transformer) as server:
        with silence(network):
            client = connect(way, server.url + tag(), **options)
            talk = Conversation(client)
            seen = record(client)
            talk.write(20)
            eventually(attempts(client, 2))
        with client:
            talk.read(20)
            eventually(lambda: "reconnected" in seen)
            assert seen == ["open", "reconnected"]
            talk.heard(list(range(20)))


# -- handshakes


def test_a_handshake_that_is_too_slow_at_first(way: Way, server: Restartable) -> None:
    server.stop()
    options = {**QUICK, "timeout": 0.1, "reconnect": {**RECONNECT, "reconnect_timeout": 0.3}}
    with connect(way, server.url + tag(), **options) as client:
        talk = Conversation(client)
        talk.write(20)
        timeouts: list[int] = []
        client.on("reconnect timeout", lambda *_: timeouts.append(1))
        eventually(lambda: len(timeouts) >= 2)
        server.resume()
        talk.read(20)
        talk.heard(list(range(20)))


def test_a_slow_network_is_not_too_slow(way: Way, server: Restartable) -> None:
    with Cable(server.port) as cable:
        cable.delay = 0.05
        with connect(way, cable.url + tag(), **QUICK) as client:
            talk = Conversation(client)
            seen = record(client)
            talk.write(20)
            talk.read(20)
            settle(way, client)
            assert seen == ["open"]
            talk.heard(list(range(20)))


def test_a_network_that_is_too_slow_at_first(way: Way, server: Restartable) -> None:
    """An attempt is given up in the middle of the handshake, whatever that has come to."""
    with Cable(server.port) as cable:
        cable.delay = 0.3
        reconnect = {**RECONNECT, "reconnect_timeout": 0.5}
        with connect(way, cable.url + tag(), **{**QUICK, "timeout": 0.5, "reconnect": reconnect}) as client:
            talk = Conversation(client)
            talk.write(20)
            eventually(attempts(client, 2))
            cable.delay = 0.0
            talk.read(20)
            talk.heard(list(range(20)))


def nothing(sock: Any) -> None:
    sock.recv(65536)
    while sock.recv(65536):
        pass


def only_a_head(sock: Any) -> None:
    read_head(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    nothing(sock)


def half_a_head(sock: Any) -> None:
    read_head(sock)
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgr")
    nothing(sock)


@pytest.mark.parametrize("behave", [nothing, only_a_head, half_a_head])
def test_a_server_that_does_not_go_on(way: Way, behave: Callable[[Any], None]) -> None:
    """Attempts are given up, and leave nothing behind while others are made."""
    open_now = 0

    def handle(sock: Any) -> None:
        nonlocal open_now
        open_now += 1
        try:
            behave(sock)
        finally:
            open_now -= 1

    reconnect = {**RECONNECT, "reconnect_timeout": 0.1, "retries": 4}
    with raw_server(handle) as port:
        options = {**QUICK, "timeout": 0.1, "reconnect": reconnect}
        with connect(way, f"http://127.0.0.1:{port}", **options) as client:
            seen = record(client)
            with pytest.raises(ConnectionClosed):
                client.read(SECONDS)
            eventually(lambda: "reconnect failed" in seen)
            eventually(lambda: open_now == 0)  # what our attempts have opened was closed


# -- refusals


def test_a_refused_authorization_is_final(way: Way) -> None:
    with serve(way, global_name="Closed") as server:
        client = connect(way, server.url, **QUICK)
        errors: list[Any] = []
        client.on("error", errors.append)
        with pytest.raises(ConnectionClosed) as caught:
            client.wait_open(SECONDS)
        (error,) = errors
        assert caught.value.__cause__ is error
        assert isinstance(error, UnexpectedResponse)
        assert (error.status, error.reason) == (401, "Authorization failed")


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_refusal_of_something_in_front_of_the_server_is_final(way: Way, status: str) -> None:
    requests = 0

    def refuse(sock: Any) -> None:
        nonlocal requests
        requests += 1
        read_head(sock)
        sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlost".encode())

    with raw_server(refuse) as port:
        client = connect(way, f"http://127.0.0.1:{port}", **QUICK)
        with pytest.raises(ConnectionClosed) as caught:
            client.wait_open(SECONDS)
        assert isinstance(caught.value.__cause__, UnexpectedResponse)
        assert caught.value.__cause__.status == int(status[:3])
        gevent.sleep(0.1)
        assert requests == 1


def test_an_authorization_that_is_refused_when_we_come_back(way: Way, server: Restartable) -> None:
    """Whoever was let in once goes on trying: it may be the server that is not itself yet."""
    with connect(way, server.url, **{**BEATING, "reconnect": {**RECONNECT, "retries": 3}}) as client:
        settle(way, client)
        server.kill()
        server.start(global_name="Closed")
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert [type(error) for error in causes(caught.value)] == [ConnectError, UnexpectedResponse]
