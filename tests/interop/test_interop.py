"""The interop suite: official clients, our client and Chromium, against our server and the official ones.

The scenarios are in ``suites/`` and are played by ``run.js``, one Node process for each of the pairs in
``pairs.py``; here each of them becomes a test. How to run one by hand: see the README beside this file.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.interop import ADVICE, slug

from .pairs import HERE, PAIRS, PARSER_PAIRS, WAYS, Pair, Play, Run, play, scenarios

# Two pairs at a time: most of a run is waiting for heartbeats, but the scenarios have time limits.
PARALLEL = 2

SCENARIOS = scenarios()


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[Pair, Future[Run]]]:
    """The runs of all pairs that the selected tests ask for, begun in their order."""
    chosen: list[Pair] = [
        item.callspec.params["pair"]
        for item in request.session.items
        if item.path == Path(__file__) and isinstance(item, pytest.Function) and "pair" in item.fixturenames
    ]
    with ThreadPoolExecutor(PARALLEL) as pool:
        yield {pair: pool.submit(play, pair) for pair in dict.fromkeys(chosen)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.interop
@pytest.mark.timeout(300)  # the first test of a pair waits for all its scenarios
@pytest.mark.parametrize(
    ("pair", "played", "scenario"),
    [
        pytest.param(
            pair,
            played,
            scenario,
            marks=[pytest.mark.browser] * pair.browser + [pytest.mark.soak] * pair.can_wait,
            id=f"{pair}-{played}-{slug(scenario)}",
        )
        for pair in (*PAIRS, *PARSER_PAIRS)
        for played in pair.plays
        for scenario in SCENARIOS[pair.suites]
    ],
)
def test_scenario(pair: Pair, played: Play, scenario: str, runs: dict[Pair, Future[Run]]) -> None:
    run = runs[pair].result()
    if (played, scenario) not in run.outcomes:
        pytest.fail(f"{pair} did not play this scenario.\n{run.complaint or ADVICE}", pytrace=False)
    outcome, detail = run.outcomes[played, scenario]
    if outcome == "skipped":
        pytest.skip(detail)
    if outcome != "passed":
        pytest.fail(detail, pytrace=False)


@pytest.mark.interop
def test_ways_are_those_of_the_runner() -> None:
    script = f"console.log(JSON.stringify(require({json.dumps(str(HERE / 'frameworks.js'))}).WAYS))"
    told = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, timeout=30)
    ways = {transformer: tuple(ways) for transformer, ways in json.loads(told.stdout).items()}
    assert ways == WAYS
