"""The interop suite: official clients, our client and Chromium, against our server and the official ones.

The scenarios are in ``suite.js`` and are played by ``run.js``, one Node process for each pair of client and
server; here each of them becomes a test. How to run one by hand: see the README beside this file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent

# Two pairs at a time: most of a run is waiting for heartbeats, but the scenarios have time limits.
PARALLEL = 2

PAIR_SECONDS = 110.0  # below the time limit of a test, so that the reason is told

ADVICE = "`make test` installs what is missing; by hand: Node.js 18 or newer, and `npm ci` in tests/interop."


class Pair(NamedTuple):
    client: str
    server: str
    browser: bool = False

    def __str__(self) -> str:
        return f"{'chromium-' if self.browser else ''}{self.client}-to-{self.server}"


PAIRS = [
    Pair("primus8", "python"),
    Pair("primus24", "python"),
    Pair("ours", "python"),
    Pair("ours", "python", browser=True),
    Pair("primus8", "python", browser=True),
    Pair("primus24", "python", browser=True),
    Pair("ours", "primus8"),
    Pair("ours", "primus24"),
    # The originals among themselves: what the suite asks for is what they do.
    Pair("primus8", "primus8"),
    Pair("primus24", "primus24"),
]


class Outcome(NamedTuple):
    outcome: str
    detail: str


class Run(NamedTuple):
    """What came of one pair: an outcome for each scenario, and what the runner itself had to say."""

    outcomes: dict[str, Outcome]
    complaint: str


def scenarios() -> list[str]:
    """The names of all scenarios; without Node one that cannot pass, so that nothing is silently left out."""
    try:
        listed = subprocess.run(
            ["node", HERE / "run.js", "--list"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return ["the suite can be listed"]
    names: list[str] = json.loads(listed.stdout)
    return names


def play(pair: Pair) -> Run:
    if not (HERE / "node_modules").is_dir():
        return Run({}, f"The npm packages of the interop suite are not installed. {ADVICE}")
    command = ["node", HERE / "run.js", "--client", pair.client, "--server", pair.server]
    command += ["--python", sys.executable, *(["--browser"] if pair.browser else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PAIR_SECONDS, check=False)
    except OSError as error:
        return Run({}, f"Node.js cannot be run: {error}. {ADVICE}")
    except subprocess.TimeoutExpired as error:
        return Run({}, f"not done after {PAIR_SECONDS} seconds; so far: {error.stdout!r} {error.stderr!r}")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    outcomes = {result["scenario"]: Outcome(result["outcome"], result["detail"]) for result in results}
    return Run(outcomes, done.stderr)


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[Pair, Future[Run]]]:
    """The runs of all pairs that the selected tests ask for, begun in their order."""
    chosen: list[Pair] = [
        item.callspec.params["pair"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_scenario.__name__
    ]
    with ThreadPoolExecutor(PARALLEL) as pool:
        yield {pair: pool.submit(play, pair) for pair in dict.fromkeys(chosen)}
        pool.shutdown(cancel_futures=True)


def slug(value: object) -> str:
    return re.sub(r"\W+", "-", str(value)).strip("-").lower()


@pytest.mark.interop
@pytest.mark.parametrize("scenario", scenarios(), ids=slug)
@pytest.mark.parametrize(
    "pair", [pytest.param(pair, marks=[pytest.mark.browser] * pair.browser, id=str(pair)) for pair in PAIRS]
)
def test_scenario(pair: Pair, scenario: str, runs: dict[Pair, Future[Run]]) -> None:
    run = runs[pair].result()
    if scenario not in run.outcomes:
        pytest.fail(f"{pair} did not play this scenario.\n{run.complaint or ADVICE}", pytrace=False)
    outcome, detail = run.outcomes[scenario]
    if outcome == "skipped":
        pytest.skip(detail)
    if outcome != "passed":
        pytest.fail(detail, pytrace=False)
