"""The Python client loses, doubles and reorders nothing, whatever the network does.

SockJS (with our own server, which counts) and BrowserChannel repeat requests, so those are cut anywhere.
Engine.IO repeats none, and an answer that is lost takes its messages along: there the connections end between
requests, and in the middle of the upgrade.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest

from primus_gevent.client import Socket
from primus_gevent.client.transports import browserchannel
from tests.support.cutting import Network, Polite, Rude
from tests.support.hosts import Server, leaves_nothing, serve
from tests.support.ways import TRANSFORMERS, WAYS
from tests.unit.hub import hub_errors

SECONDS = 30.0
FEW, MANY = 2000, 10_000  # messages each way: usually, and under soak

# Messages under way: one request with all of them has to fit between two cuts now and then, or it is repeated
# in vain.
WINDOW = 40

# gevent's own pywsgi prints what is raised by a reset in the middle of a head, by its answer to half of one,
# and by a head that ends with `HTTP/1`.
PRINTED = ["ConnectionResetError", "BrokenPipeError", "_check_http_version"]

OTHERS = ("own-tls", "pywsgi", "gunicorn")


def plays(*more: Any) -> list[Any]:
    """Host, messages, seed: one of them each time, the others for `make soak`."""
    usual = [pytest.param("own", FEW, 1, id="own")]
    soak = [
        pytest.param(host, MANY, seed, id=f"{host}-{seed}") for host in ("own", *OTHERS) for seed in (2, 3)
    ]
    return usual + [pytest.param(*play.values, id=play.id, marks=pytest.mark.soak) for play in soak]


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:

        class Started(dict[str, Server]):
            def __missing__(self, host: str) -> Server:
                transport = {"response_limit": 4096, "disconnect_delay": 10.0}
                options = {"transformer": TRANSFORMERS, "transport": {"sockjs": transport}}
                expected = PRINTED if host == "pywsgi" else []
                serving = serve(host, expected=expected, close_timeout=0.4, **options)
                server = self[host] = stack.enter_context(serving)
                return server

        yield Started()


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[None]:
    with hub_errors() as errors:
        yield
    assert errors == []


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """BrowserChannel waits for long between two repeats, and has few of them."""
    monkeypatch.setattr(browserchannel, "PAUSE_SECONDS", 0.002)
    monkeypatch.setattr(browserchannel, "POST_REPEATS", 20)
    monkeypatch.setattr(browserchannel, "GET_REPEATS", 20)


def exchange(server: Server, network: Network, way: str, messages: int) -> str:
    """Have so many numbers echoed, in bursts; all of them have to come back in order, over one session.

    Returns:
        What carried the messages in the end.
    """
    scheme = "https" if server.kind.tls else "http"
    options = {"verify": False, "strategy": False, **WAYS[way].options}
    dice = network.random
    with Socket(f"{scheme}://127.0.0.1:{network.port}?service=echo", **options) as client:
        client.wait_open(SECONDS)
        network.awake = True
        got: list[int] = []
        errors: list[BaseException] = []
        client.on("error", errors.append)

        def write() -> None:
            sent = 0
            while sent < messages:
                burst = min(dice.randint(1, 12), messages - sent)
                for number in range(sent, sent + burst):
                    client.write({"n": number, "pad": "ü" * dice.randint(0, 60)})
                sent += burst
                while sent - len(got) > WINDOW:
                    gevent.sleep(0.001)
                gevent.sleep(0.006 * dice.random())

        writing = gevent.spawn(write)
        for _ in range(messages):
            got.append(client.read(SECONDS)["n"])  # noqa: PERF401 - the writer looks at it
        writing.get(timeout=SECONDS)
        assert got == list(range(messages))
        assert errors == []
        network.awake = False
        return str(client.socket.name)


@pytest.mark.parametrize(("host", "messages", "seed"), plays())
@pytest.mark.parametrize(
    "way",
    ["sockjs-xhr-streaming", "sockjs-xhr-polling", "browserchannel-streaming", "browserchannel-polling"],
)
def test_requests_that_are_cut(
    running: dict[str, Server], way: str, host: str, messages: int, seed: int
) -> None:
    server = running[host]
    with leaves_nothing(server):
        with Rude(server.port, seed).running() as network:
            exchange(server, network, way, messages)
        assert network.cuts >= 10


@pytest.mark.parametrize(("host", "messages", "seed"), plays())
@pytest.mark.parametrize("refuse", ["", "probe", "handshake"])
def test_an_upgrade_in_the_middle_of_everything(
    running: dict[str, Server], refuse: str, host: str, messages: int, seed: int
) -> None:
    server = running[host]
    with leaves_nothing(server):
        with Polite(server.port, seed, refuse).running() as network:
            carrier = exchange(server, network, "engine.io-upgrade", messages)
        if not server.kind.tls:
            assert network.tried == 1
            assert network.cuts > 0
            assert carrier == ("polling" if refuse else "websocket")


@pytest.mark.parametrize(("host", "messages", "seed"), plays())
@pytest.mark.parametrize("way", ["polling", "engine.io-polling", "socket.io-polling"])
def test_connections_that_end_between_requests(
    running: dict[str, Server], way: str, host: str, messages: int, seed: int
) -> None:
    server = running[host]
    with leaves_nothing(server):
        with Polite(server.port, seed).running() as network:
            exchange(server, network, way, messages)
        assert network.cuts >= 10 or server.kind.tls
