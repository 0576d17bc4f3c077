"""sockjs-client 1.6 against our server, over each transport that it can use in Node and in Chromium.

The scenarios are in ``sockjs_scenarios.js``, and are played in one Node process; here each becomes a test.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.interop import listed, play, slug

SCRIPT = Path(__file__).parent / "sockjs_run.js"

pytestmark = pytest.mark.interop


NAMES = listed(SCRIPT, {"places": {"any": ["any"]}, "scenarios": ["the suite can be listed"]})


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    """What came of all scenarios; the last one is what the servers had to say."""
    return play(SCRIPT, sys.executable)


@pytest.mark.parametrize("scenario", NAMES["scenarios"], ids=slug)
@pytest.mark.parametrize(
    ("place", "transport"),
    [
        pytest.param(place, transport, marks=[pytest.mark.browser] * ("chromium" in place))
        for place, transports in NAMES["places"].items()
        for transport in transports
    ],
)
def test_sockjs_client(place: str, transport: str, scenario: str, results: list[dict[str, Any]]) -> None:
    failures = [
        one["failure"]
        for one in results[:-1]
        if (one["place"], one["transport"], one["scenario"]) == (place, transport, scenario)
    ]
    assert failures, "was not played"
    if failures[0]:
        pytest.fail(failures[0], pytrace=False)


def test_the_servers_had_nothing_to_complain_about(results: list[dict[str, Any]]) -> None:
    assert results[-1] == {"complaints": ""}
