"""A server for real, in a thread: whoever asks it may block the test's own."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from typing import Any

import gevent
import pytest

from primus_gevent import Primus, connect
from primus_gevent.testing import LiveServer

SECONDS = 10.0

PROGRAM = """
from gevent import monkey
{patch}
import subprocess, sys
from primus_gevent import Primus
from primus_gevent.testing import LiveServer, World

def echo(spark):
    for message in spark:
        spark.write(message)

primus = Primus()
primus.on("connection", echo)
with World(primus) as world:
    ann = world.connect()
    ann.write("in-process")
    assert ann.read() == "in-process"
    world.advance(1000)
    assert ann.events == ["open"]
ask = "from primus_gevent import connect; c = connect(sys.argv[1]); c.write('hi'); print(c.read(10)); c.end()"
with LiveServer(primus) as server:
    command = [sys.executable, "-c", "import sys; " + ask, server.url]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout.strip(), done.stderr)
"""


def echo(spark: Any) -> None:
    for message in spark:
        spark.write(message)


def test_clients_may_block() -> None:
    primus = Primus()
    primus.on("connection", echo)
    with LiveServer(primus) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{server.url}/primus/spec", timeout=SECONDS) as answer:
            assert answer.status == 200
        with connect(server.url) as client:
            client.write("hello")
            assert client.read(SECONDS) == "hello"
            assert server.call(primus.write, "for all") is True
            assert client.read(SECONDS) == "for all"
            assert server.call(lambda: (gevent.sleep(0.01), primus.connected)[1]) == 1
    assert "destroyed" in repr(primus)
    server.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        server.call(len, "x")


def test_what_is_called_may_raise() -> None:
    with LiveServer(Primus()) as server, pytest.raises(ZeroDivisionError):
        server.call(lambda: 1 // 0)


def test_middleware_in_front_of_it() -> None:
    def hello(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"hello"]

    with (
        LiveServer(Primus(), hello) as server,
        urllib.request.urlopen(server.url, timeout=SECONDS) as answer,
    ):
        assert answer.read() == b"hello"


def test_a_server_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no port")

    primus = Primus()
    monkeypatch.setattr(primus, "listen", full)
    with pytest.raises(OSError, match="no port"):
        LiveServer(primus).start()


@pytest.mark.parametrize("patch", ["", "monkey.patch_all()"])
def test_monkey_patched_or_not(patch: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(patch=patch)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("hi", "")
