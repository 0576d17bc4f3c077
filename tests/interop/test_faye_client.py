"""faye-websocket's own client against our transformer `faye`: the pair that the specification names.

The scenarios are in ``faye_client.js``, and are played in one Node process for each server; here each becomes
a test.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts import serve
from tests.support.interop import ADVICE, slug

SCRIPT = Path(__file__).with_name("faye_client.js")
SECONDS = 60.0  # below the time limit of a test, so that the reason is told

HOSTS = ("own", "own-tls", "gunicorn", "gevent-websocket")

pytestmark = pytest.mark.interop


def names() -> list[str]:
    """What there is to play; without Node something that cannot pass, so that nothing is left out."""
    try:
        listed = subprocess.run(
            ["node", SCRIPT, "--list"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return ["the suite can be listed"]
    found: list[str] = json.loads(listed.stdout)
    return found


@pytest.fixture(scope="module", params=HOSTS)
def failures(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What came of each scenario: nothing, or why it has failed."""
    with serve(request.param, transformer="faye") as server:
        base = f"{'wss' if server.kind.tls else 'ws'}://127.0.0.1:{server.port}"
        try:
            done = subprocess.run(
                ["node", "--no-deprecation", SCRIPT, base],
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
        yield {one["scenario"]: one["failure"] for one in results}
        server.wait_state(sparks=0, objects=0)


@pytest.mark.parametrize("scenario", names(), ids=slug)
def test_faye_client(scenario: str, failures: dict[str, str]) -> None:
    failure = failures.get(scenario, "was not played")
    if failure:
        pytest.fail(failure, pytrace=False)
