"""BCSocket, the official client of BrowserChannel, against our server: streaming, and through a proxy that
hands answers on when they are whole.

The scenarios are in ``browserchannel_clients.js``, and are played in one Node process; here each becomes a
test.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.interop import listed, play, serving, slug

SCRIPT = Path(__file__).parent / "browserchannel_clients.js"

# `quick` has the noops that the scenarios count on.
SERVERS = {
    "main": {"transformer": "browserchannel"},
    "quick": {
        "transformer": "browserchannel",
        "transport": {"keep_alive_interval": 0.4, "session_timeout_interval": 1.5},
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
def test_browserchannel_client(way: str, scenario: str, failures: dict[tuple[str, ...], str]) -> None:
    failure = failures.get((way, scenario), "was not played")
    if failure:
        pytest.fail(failure, pytrace=False)
