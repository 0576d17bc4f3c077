"""The interop suite: official clients, our client and Chromium, against our server and the official ones.

The scenarios are in ``suites/`` and are played by ``run.js``, one Node process for each pair of client and
server; here each of them becomes a test. How to run one by hand: see the README beside this file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.interop import ADVICE, slug

HERE = Path(__file__).parent

# Two pairs at a time: most of a run is waiting for heartbeats, but the scenarios have time limits.
PARALLEL = 2

PAIR_SECONDS = 110.0  # below the time limit of a test, so that the reason is told


class Pair(NamedTuple):
    client: str
    server: str
    browser: bool = False
    # With parsers what depends on them is played, with each in turn; without any, everything else with json.
    parsers: tuple[str, ...] = ()
    transformer: str = "websockets"
    # How the connections of `transformer` come about, each in turn: see run.js.
    ways: tuple[str, ...] = ("websocket",)

    def __str__(self) -> str:
        pair = f"{'chromium-' if self.browser else ''}{self.client}-to-{self.server}"
        return pair if self.transformer == "websockets" else f"{pair}-{self.transformer}"


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


# The wire is that of `websockets`; in Node the official clients speak it with another package.
FAYE_PAIRS = [Pair(client, "python", transformer="faye") for client in ("primus8", "primus24", "ours")]


def engine(*settings: object, ways: str, **more: object) -> Pair:
    return Pair(*settings, transformer="engine.io", ways=tuple(ways.split()), **more)  # type: ignore[arg-type]


# Each cell of client, server, way and parser once, since all of them would take minutes.
ENGINE_PAIRS = [
    engine("primus8", "python", ways="upgrade polling"),
    engine("primus24", "python", ways="upgrade polling"),
    engine("ours", "python", ways="upgrade websocket"),
    Pair("ours", "python", transformer="polling", ways=("polling",)),
    engine("ours", "python", browser=True, ways="upgrade"),
    engine("primus8", "python", browser=True, ways="upgrade"),
    engine("primus24", "python", browser=True, ways="upgrade"),
    engine("ours", "primus8", ways="upgrade"),
    engine("ours", "primus24", ways="upgrade"),
    engine("primus8", "primus8", ways="upgrade"),
    engine("primus24", "primus24", ways="upgrade"),
]

# `json` is what the connections are tested with: here it is only compared once per client with our server.
MORE = ("ejson", "msgpack", "binary")
# 2.4 has no msgpack of its own, and gets one as an object.
MORE_24 = (*MORE, "jsonh")

PARSER_PAIRS = [
    Pair("ours", "python", parsers=("json", *MORE_24, "orjson")),
    Pair("ours", "python", browser=True, parsers=(*MORE_24, "orjson")),
    Pair("primus8", "python", parsers=("json", *MORE)),
    Pair("primus24", "python", parsers=("json", *MORE_24)),
    # Its binary parser is another one there.
    Pair("primus8", "python", browser=True, parsers=MORE),
    Pair("ours", "primus8", parsers=MORE),
    Pair("ours", "primus24", parsers=MORE_24),
    Pair("primus8", "primus8", parsers=MORE),
    Pair("primus24", "primus24", parsers=MORE_24),
]

# Whose frames are bytes.
FAYE_PARSER_PAIRS = [
    Pair(client, "python", transformer="faye", parsers=("msgpack", "binary"))
    for client in ("primus8", "primus24")
]

ENGINE_PARSER_PAIRS = [
    engine("ours", "python", ways="websocket polling", parsers=("json", *MORE_24, "orjson")),
    engine("ours", "python", browser=True, ways="polling", parsers=(*MORE_24, "orjson")),
    engine("primus8", "python", ways="upgraded polling", parsers=("json", *MORE)),
    engine("primus24", "python", ways="upgraded polling", parsers=("json", *MORE_24)),
    engine("ours", "primus8", ways="polling", parsers=MORE),
    engine("ours", "primus24", ways="polling", parsers=MORE_24),
    engine("primus8", "primus8", ways="polling", parsers=MORE),
    engine("primus24", "primus24", ways="polling", parsers=MORE_24),
]


class Outcome(NamedTuple):
    outcome: str
    detail: str


class Run(NamedTuple):
    """What came of one pair: an outcome for each scenario, and what the runner itself had to say."""

    outcomes: dict[tuple[str, str, str], Outcome]  # by way, parser and scenario
    complaint: str


def scenarios() -> dict[str, list[str]]:
    """The names of all scenarios; without Node one that cannot pass, so that nothing is silently left out."""
    try:
        listed = subprocess.run(
            ["node", HERE / "run.js", "--list"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return {"json": ["the suite can be listed"], "parsers": []}
    names: dict[str, list[str]] = json.loads(listed.stdout)
    return names


def play(pair: Pair) -> Run:
    if not (HERE / "node_modules").is_dir():
        return Run({}, f"The npm packages of the interop suite are not installed. {ADVICE}")
    command = ["node", HERE / "run.js", "--client", pair.client, "--server", pair.server]
    command += ["--transformer", pair.transformer, "--way", ",".join(pair.ways)]
    command += ["--python", sys.executable, *(["--browser"] if pair.browser else [])]
    if pair.parsers:
        command += ["--parser", ",".join(pair.parsers)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PAIR_SECONDS, check=False)
    except OSError as error:
        return Run({}, f"Node.js cannot be run: {error}. {ADVICE}")
    except subprocess.TimeoutExpired as error:
        return Run({}, f"not done after {PAIR_SECONDS} seconds; so far: {error.stdout!r} {error.stderr!r}")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    outcomes = {
        (result["way"], result["parser"], result["scenario"]): Outcome(result["outcome"], result["detail"])
        for result in results
    }
    return Run(outcomes, done.stderr)


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[Pair, Future[Run]]]:
    """The runs of all pairs that the selected tests ask for, begun in their order."""
    chosen: list[Pair] = [
        item.callspec.params["pair"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == Path(__file__) and item.originalname in PLAYED
    ]
    with ThreadPoolExecutor(PARALLEL) as pool:
        yield {pair: pool.submit(play, pair) for pair in dict.fromkeys(chosen)}
        pool.shutdown(cancel_futures=True)


def marks(pair: Pair) -> list[pytest.MarkDecorator]:
    return [pytest.mark.browser] * pair.browser


def name(pair: Pair, way: str) -> str:
    return f"{pair}-{way}" if pair.transformer == "engine.io" else str(pair)  # the others have one way


def outcome_of(run: Run, pair: Pair, way: str, parser: str, scenario: str) -> None:
    """Let the test that calls end as the scenario did."""
    if (way, parser, scenario) not in run.outcomes:
        pytest.fail(f"{pair} did not play this scenario.\n{run.complaint or ADVICE}", pytrace=False)
    outcome, detail = run.outcomes[way, parser, scenario]
    if outcome == "skipped":
        pytest.skip(detail)
    if outcome != "passed":
        pytest.fail(detail, pytrace=False)


SCENARIOS = scenarios()


@pytest.mark.interop
@pytest.mark.parametrize("scenario", SCENARIOS["json"], ids=slug)
@pytest.mark.parametrize(
    ("pair", "way"),
    [
        pytest.param(pair, way, marks=marks(pair), id=name(pair, way))
        for pair in (*PAIRS, *FAYE_PAIRS, *ENGINE_PAIRS)
        for way in pair.ways
    ],
)
def test_scenario(pair: Pair, way: str, scenario: str, runs: dict[Pair, Future[Run]]) -> None:
    outcome_of(runs[pair].result(), pair, way, "json", scenario)


@pytest.mark.interop
@pytest.mark.parametrize("scenario", SCENARIOS["parsers"], ids=slug)
@pytest.mark.parametrize(
    ("pair", "way", "parser"),
    [
        pytest.param(pair, way, parser, marks=marks(pair), id=f"{name(pair, way)}-{parser}")
        for pair in (*PARSER_PAIRS, *FAYE_PARSER_PAIRS, *ENGINE_PARSER_PAIRS)
        for way in pair.ways
        for parser in pair.parsers
    ],
)
def test_parser(pair: Pair, way: str, parser: str, scenario: str, runs: dict[Pair, Future[Run]]) -> None:
    outcome_of(runs[pair].result(), pair, way, parser, scenario)


PLAYED = (test_scenario.__name__, test_parser.__name__)
