"""Who is not let in by the transformer `faye`, and what he is told: the tests of `websockets` once more."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from tests.contract import test_authorization, test_middleware
from tests.contract.conftest import leaves_nothing
from tests.support.hosts import Server, serve

for module in (test_authorization, test_middleware):
    for name, function in vars(module).items():
        if name.startswith("test_") and "server" in inspect.signature(function).parameters:
            globals()[name] = function


@pytest.fixture(scope="module", params=["own", "gunicorn", "gevent-websocket"])
def faye_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(
        request.param, factory="tests.support.guarded:create", transformer="faye", close_timeout=0.4
    ) as server:
        with server.spark("user") as client:
            client.recv_text()
            client.close_properly()
        server.request("/done?auth=text")
        server.wait_state(sparks=0, objects=0)
        yield server


@pytest.fixture
def server(faye_server: Server) -> Iterator[Server]:
    yield from leaves_nothing(faye_server)
