"""socket.io-client 0.9.17 against our server: over WebSocket and by polling.

The scenarios are in ``socketio_clients.js``, and are played in one Node process; here each becomes a test.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.interop import listed, play, serving, slug

SCRIPT = Path(__file__).parent / "socketio_clients.js"

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


NAMES = listed(SCRIPT, {"ways": ["any"], "scenarios": ["the suite can be listed"]})


@pytest.fixture(scope="module")
def failures() -> dict[tuple[str, ...], str]:
    """What came of each scenario: nothing, or why it has failed."""
    with serving(SERVERS) as addresses:
        results = play(SCRIPT, json.dumps(addresses))
    return {(one["way"], one["scenario"]): one["failure"] for one in results}


@pytest.mark.parametrize("scenario", NAMES["scenarios"], ids=slug)
@pytest.mark.parametrize("way", NAMES["ways"])
def test_socketio_client(way: str, scenario: str, failures: dict[tuple[str, ...], str]) -> None:
    failure = failures.get((way, scenario), "was not played")
    if failure:
        pytest.fail(failure, pytrace=False)
