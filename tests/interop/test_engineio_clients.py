"""engine.io-client 1.8, 3.5 and 6.6 against our server: by polling, by WebSocket, and from one to the other.

The scenarios are in ``engineio_clients.js``, and are played in one Node process; here each becomes a test.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.interop import listed, play, serving, slug

SCRIPT = Path(__file__).parent / "engineio_clients.js"

# `quick` has the heartbeats that the scenarios count on.
SERVERS = {
    "main": {"transformer": "engine.io"},
    "quick": {"transformer": "engine.io", "transport": {"ping_interval": 0.6, "ping_timeout": 1.5}},
}

pytestmark = pytest.mark.interop


NAMES = listed(SCRIPT, {"versions": ["any"], "ways": ["any"], "scenarios": ["the suite can be listed"]})


@pytest.fixture(scope="module")
def failures() -> dict[tuple[str, ...], str]:
    """What came of each scenario: nothing, or why it has failed."""
    with serving(SERVERS) as addresses:
        results = play(SCRIPT, json.dumps(addresses))
    return {(one["version"], one["way"], one["scenario"]): one["failure"] for one in results}


@pytest.mark.parametrize("scenario", NAMES["scenarios"], ids=slug)
@pytest.mark.parametrize("way", NAMES["ways"])
@pytest.mark.parametrize("version", NAMES["versions"])
def test_engineio_client(version: str, way: str, scenario: str, failures: dict[tuple[str, ...], str]) -> None:
    failure = failures.get((version, way, scenario), "was not played")
    if failure:
        pytest.fail(failure, pytrace=False)
