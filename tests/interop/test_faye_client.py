"""faye-websocket's own client against our transformer `faye`: the pair that the specification names.

The scenarios are in ``faye_client.js``, and are played in one Node process for each server; here each becomes
a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts import serve
from tests.support.interop import listed, play, slug

SCRIPT = Path(__file__).with_name("faye_client.js")

HOSTS = ("own", "own-tls", "gunicorn", "gevent-websocket")

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module", params=HOSTS)
def failures(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What came of each scenario: nothing, or why it has failed."""
    with serve(request.param, transformer="faye") as server:
        base = f"{'wss' if server.kind.tls else 'ws'}://127.0.0.1:{server.port}"
        results = play(SCRIPT, base)
        yield {one["scenario"]: one["failure"] for one in results}
        server.wait_state(sparks=0, objects=0)


@pytest.mark.parametrize("scenario", listed(SCRIPT, ["the suite can be listed"]), ids=slug)
def test_faye_client(scenario: str, failures: dict[str, str]) -> None:
    failure = failures.get(scenario, "was not played")
    if failure:
        pytest.fail(failure, pytrace=False)
