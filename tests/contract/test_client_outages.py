"""The Python client through real outages: killed, stopped and restarted servers, refusals, silence."""

from __future__ import annotations

import gc
import resource
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from primus_gevent.client import Socket
from primus_gevent.errors import ConnectError, ConnectionClosed, UnexpectedResponse
from tests.support.restartable import Restartable
from tests.unit.hub import eventually, hub_errors

SECONDS = 15.0
QUICK: dict[str, Any] = {"min_delay": 0.02, "max_delay": 0.2, "retries": 1000, "reconnect_timeout": 0.3}


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[None]:
    with hub_errors() as errors:
        yield
    assert errors == []


@pytest.fixture
def server() -> Iterator[Restartable]:
    with Restartable(credentials=False) as running:
        yield running


def record(client: Any) -> list[str]:
    """Every public event of a client, in the order in which they come."""
    seen: list[str] = []
    for name in ("open", "close", "end", "reconnected", "reconnect failed", "offline", "online", "error"):
        client.on(name, lambda *_, name=name: seen.append(name))
    return seen


def test_a_killed_server_that_comes_back(server: Restartable) -> None:
    with Socket(server.url, reconnect=QUICK) as client:
        client.write("before")
        assert client.read(SECONDS) == "before"
        seen = record(client)
        server.kill()
        eventually(lambda: "close" in seen)
        assert not client.clean
        client.write("while it was gone")
        gevent.sleep(0)
        eventually(lambda: client.recovery.outage is not None and client.recovery.outage.attempt >= 3)
        assert isinstance(client.last_error, ConnectError)
        server.start()
        assert client.read(SECONDS) == "while it was gone"
        eventually(lambda: "reconnected" in seen)
        assert seen == ["close", "open", "reconnected"]


def test_a_killed_server_that_does_not_come_back(server: Restartable) -> None:
    with Socket(server.url, reconnect={**QUICK, "retries": 3}) as client:
        client.wait_open(SECONDS)
        seen = record(client)
        server.kill()
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        eventually(lambda: "reconnect failed" in seen)
        assert seen == ["close", "end", "reconnect failed"]
        reasons = [str(error) for error in causes(caught.value)]
        assert reasons == ["Unable to recover", f"nothing listens at {server.url.replace('http', 'ws')}"]


def causes(error: BaseException) -> list[BaseException]:
    """Those of this package."""
    found = []
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, ConnectError):
            found.append(cause)
        cause = cause.__cause__
    return found


def test_a_silent_network(server: Restartable) -> None:
    """The connection stays, and new ones are even taken by the kernel; but nobody answers."""
    with Socket(server.url, ping=0.1, pong=0.3, reconnect=QUICK) as client:
        client.wait_open(SECONDS)
        seen = record(client)
        server.stop()
        eventually(lambda: client.recovery.outage is not None and client.recovery.outage.attempt >= 3)
        assert seen == ["offline", "close"]
        assert not client.online
        server.resume()
        client.write("again")
        assert client.read(SECONDS) == "again"
        eventually(lambda: "reconnected" in seen)
        assert seen == ["offline", "close", "online", "open", "reconnected"]


def test_a_cut_connection(server: Restartable) -> None:
    with Socket(server.url, reconnect=QUICK) as client:
        client.wait_open(SECONDS)
        seen = record(client)
        client.write("abort")
        eventually(lambda: "reconnected" in seen)
        client.write("again")
        assert client.read(SECONDS) == "again"
        assert seen == ["close", "open", "reconnected"]


def test_a_server_that_is_not_there_yet(server: Restartable) -> None:
    server.kill()
    with Socket(server.url, reconnect=QUICK) as client:
        seen = record(client)
        client.write("early")
        eventually(lambda: client.recovery.outage is not None and client.recovery.outage.attempt >= 3)
        server.start()
        assert client.read(SECONDS) == "early"
        assert seen == ["error", "open", "reconnected"]


def test_a_slow_handshake(server: Restartable) -> None:
    server.stop()
    with Socket(server.url, timeout=0.1, reconnect=QUICK) as client:
        client.write("early")
        timeouts: list[int] = []
        client.on("reconnect timeout", lambda *_: timeouts.append(1))
        eventually(lambda: len(timeouts) >= 2)
        server.resume()
        assert client.read(SECONDS) == "early"


def test_a_refused_authorization_is_final() -> None:
    with Restartable(credentials=False, global_name="Closed") as server:
        client = Socket(server.url, reconnect=QUICK)
        errors: list[Any] = []
        client.on("error", errors.append)
        with pytest.raises(ConnectionClosed) as caught:
            client.wait_open(SECONDS)
        (error,) = errors
        assert caught.value.__cause__ is error
        assert isinstance(error, UnexpectedResponse)
        assert (error.status, error.reason) == (401, "Authorization failed")


def test_an_authorization_that_is_refused_when_we_come_back(server: Restartable) -> None:
    """Whoever was let in once goes on trying: it may be the server that is not itself yet."""
    with Socket(server.url, reconnect={**QUICK, "retries": 3}) as client:
        client.wait_open(SECONDS)
        server.kill()
        server.start(global_name="Closed")
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert [type(error) for error in causes(caught.value)] == [ConnectError, UnexpectedResponse]


@pytest.mark.slow
def test_a_thousand_clients_come_back_spread_over_time(capsys: pytest.CaptureFixture[str]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    gc.collect()
    before = len(gc.get_objects())
    back, clients = thousand(1000)
    histogram = Counter(int(seconds * 5) for seconds in back)
    with capsys.disabled():
        print(f"\n{len(back)} clients were back, seconds after the server was:")
        for fifth in range(max(histogram) + 1):
            print(f"  {fifth / 5:4.1f} s {histogram[fifth]:4d} {'#' * (histogram[fifth] // 8)}")
    assert len(histogram) >= 3, "not all at once"
    assert max(histogram.values()) < len(back) * 0.8
    gc.collect()
    assert [client for client in clients if client() is not None] == []
    assert len(gc.get_objects()) < before + 10 * len(back)  # imports, caches


def thousand(count: int) -> tuple[list[float], list[weakref.ref[Socket]]]:
    """So many clients through an outage of their server: when each was back, in seconds, and the clients."""
    loop = gevent.get_hub().loop
    options: dict[str, Any] = {"timeout": 60.0, "reconnect": {"min_delay": 0.2, "retries": 50}}
    back: list[float] = []
    with Restartable(credentials=False) as server:
        clients = [Socket(server.url, **options) for _ in range(count)]
        for n, client in enumerate(clients):
            client.on("reconnected", lambda _: back.append(loop.now()))
            client.write(n)
        assert [client.read(60) for client in clients] == list(range(count))
        server.kill()
        # long enough for the dice to be thrown: the first delay is the same for all
        eventually(
            lambda: all(c.recovery.outage and c.recovery.outage.attempt >= 3 for c in clients), limit=30
        )
        loop.update_now()
        start = loop.now()
        server.start()
        for n, client in enumerate(clients):
            client.write(n)
        assert [client.read(60) for client in clients] == list(range(count))
        eventually(lambda: len(back) == count, limit=60)
        gevent.joinall([gevent.spawn(client.end) for client in clients], timeout=60)
        assert not any(client.is_open for client in clients)
    return [moment - start for moment in back], [weakref.ref(client) for client in clients]
