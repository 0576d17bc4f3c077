"""The transformer `faye`: what the suite asks of `websockets`, asked of the other reader of that wire.

Its tests are those of three other modules, with servers of another transformer. What is further down is about
what differs, or could.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from tests.contract import test_bounds, test_endings, test_messages
from tests.contract.conftest import leaves_nothing
from tests.support.hosts import Server, serve

HOSTS = (
    "own",
    "own-tls",
    "pywsgi",
    "gunicorn",
    "gunicorn-pywsgi",
    "gevent-websocket",
    "gunicorn-gevent-websocket",
)

for module in (test_messages, test_endings, test_bounds):
    for name, function in vars(module).items():
        if name.startswith("test_") and "server" in inspect.signature(function).parameters:
            globals()[name] = function


@pytest.fixture(scope="session", params=HOSTS)
def faye_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, transformer="faye", close_timeout=0.4) as server:
        with server.spark() as client:
            client.send_message("warm up")
            client.recv_text()
            client.close_properly()
        server.wait_state(sparks=0, objects=0)
        yield server


@pytest.fixture
def server(faye_server: Server) -> Iterator[Server]:
    yield from leaves_nothing(faye_server)
