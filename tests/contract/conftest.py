"""One server process per host for the whole suite; every test must leave it as it found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import hosts
from tests.support.hosts import HOSTS, Server, serve

# One of each kind. Tests marked `few_hosts` are about the codec, which no host can change; the others play
# them in `make soak`.
FEW_HOSTS = {"own", "pywsgi-tls", "gunicorn", "gevent-websocket"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/contract/" not in item.path.as_posix():
            continue
        item.add_marker(pytest.mark.contract)
        if item.get_closest_marker("few_hosts") and isinstance(item, pytest.Function):
            given = {value for value in item.callspec.params.values() if isinstance(value, str)}
            if not given & FEW_HOSTS:
                item.add_marker(pytest.mark.soak)


ENDINGS = "test_endings"  # the module whose tests run on every host, and not only on the main ones


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "shared_server" in metafunc.fixturenames:
        everywhere = metafunc.module.__name__.endswith(ENDINGS)
        names = [name for name, kind in HOSTS.items() if everywhere or not kind.variant]
        metafunc.parametrize("shared_server", names, indirect=True, scope="session")
    if "guarded_server" in metafunc.fixturenames:
        # and those behind a middleware, where a server cannot be told to close its connection
        names = [name for name, kind in HOSTS.items() if not kind.variant or name.endswith("-hidden")]
        metafunc.parametrize("guarded_server", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def shared_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    # The one option that differs from its default (5 s) is what two tests of each host wait for.
    with serve(request.param, close_timeout=0.4) as server:
        # what a process imports, caches and connects on first use belongs to the baseline
        with server.spark() as client:
            client.send_message("warm up")
            client.recv_text()
            client.close_properly()
        server.wait_state(sparks=0, objects=0)
        yield server


@pytest.fixture(scope="session")
def guarded_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    factory = HOSTS[request.param].factory.replace("support.app", "support.guarded")
    with serve(request.param, factory=factory, close_timeout=0.4) as server:
        with server.spark("user") as client:
            client.recv_text()
            client.close_properly()
        server.request("/done?auth=text")
        server.wait_state(sparks=0, objects=0)
        yield server


@pytest.fixture
def guarded(guarded_server: Server) -> Iterator[Server]:
    """A server of each host, with the middleware and authorization of `tests.support.guarded`."""
    yield from leaves_nothing(guarded_server)


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server of each host, with the default options (but one)."""
    yield from leaves_nothing(shared_server)


def leaves_nothing(server: Server) -> Iterator[Server]:
    """`tests.support.hosts.leaves_nothing` for a fixture to yield from."""
    with hosts.leaves_nothing(server):
        yield server
