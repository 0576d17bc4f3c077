"""socket.io-client 0.9.17 against our server: over WebSocket and by polling.

The scenarios are in ``socketio_clients.js``, and are played in one Node process; here each becomes a test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.interop import ADVICE, slug

HERE = Path(__file__).parent
SCRIPT = HERE / "socketio_clients.js"
SECONDS = 100.0  # below the time limit of a test, so that the reason is told

# `quick` has the heartbeats that the scenarios count on.
SERVERS = {
    "main": {"transformer": "socket.io"},
    "quick": {
        "transformer": "socket.io",
        "transport": {
            "heartbeat_interval": 0.5,
            "heartbeat_timeout": 2,
            "close_timeout": 3,
            "polling_duration": 1,
        },
    },
}

pytestmark = pytest.mark.interop


def names() -> dict[str, list[str]]:
    """What there is to play; without Node something that cannot pass, so that nothing is left out."""
    try:
        listed = subprocess.run(
            ["node", SCRIPT, "--list"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return {"ways": ["any"], "scenarios": ["the suite can be listed"]}
    found: dict[str, list[str]] = json.loads(listed.stdout)
    return found


NAMES = names()


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """The addresses of both test servers. They must have nothing to complain about."""
    command = [sys.executable, HERE / "server.py", json.dumps(list(SERVERS.values()))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        if line:
            ports = json.loads(line)["ports"]
            yield {name: f"http://127.0.0.1:{port}" for name, port in zip(SERVERS, ports, strict=True)}
        process.kill()
        complaints = process.communicate()[1]
    assert complaints == ""


@pytest.fixture(scope="module")
def failures(servers: dict[str, str]) -> dict[tuple[str, str], str]:
    """What came of each scenario: nothing, or why it has failed."""
    try:
        # it uses what Node has deprecated since
        done = subprocess.run(
            ["node", "--no-deprecation", SCRIPT, json.dumps(servers)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.fail(f"{error}\n{ADVICE}", pytrace=False)
    if done.returncode:
        pytest.fail(f"{done.stderr}\n{ADVICE}", pytrace=False)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    return {(one["way"], one["scenario"]): one["failure"] for one in results}


@pytest.mark.parametrize("scenario", NAMES["scenarios"], ids=slug)
@pytest.mark.parametrize("way", NAMES["ways"])
def test_socketio_client(way: str, scenario: str, failures: dict[tuple[str, str], str]) -> None:
    failure = failures.get((way, scenario), "was not played")
    if failure:
        pytest.fail(failure, pytrace=False)
