"""The support tables of ``docs/reference/support.md``, made of what came of the interop suite.

``scripts/matrix`` runs it. It plays all pairs, for some minutes, and writes between the two marks of that
page. A pair with a failure is played once more, by itself: a machine that is busy fails scenarios that wait.
The page is left as it is, and the end is 1, when a scenario has failed again.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.interop.pairs import PAIRS, PARSER_PAIRS, WAYS, Outcome, Pair, Play, Run, play

__all__ = ["BEGIN", "END", "Column", "Result", "main", "render"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "support.md"
BEGIN = "<!-- made by scripts/matrix: do not edit -->"
END = "<!-- end of what scripts/matrix has made -->"

PARALLEL = 2  # pairs at a time, as in test_interop.py

CLIENTS = {"ours": "our client", "primus8": "`primus@8.0.9`", "primus24": "`primus@2.4.12`"}


class Result(NamedTuple):
    """What came of one scenario."""

    pair: Pair
    played: Play
    scenario: str
    outcome: Outcome


class Column(NamedTuple):
    """One column of a table: its head, and which pairs are counted in it."""

    head: str
    takes: Callable[[Pair], bool]


def by_client() -> list[Column]:
    """All clients against our server, on plain pywsgi."""

    def column(client: str, browser: bool) -> Column:
        return Column(
            f"{CLIENTS[client]}, {'Chromium' if browser else 'Node'}",
            lambda pair: (
                (pair.client, pair.browser, pair.server, pair.host) == (client, browser, "python", "")
            ),
        )

    return [column(client, browser) for client in CLIENTS for browser in (False, True)]


def by_server() -> list[Column]:
    """Our client against the original servers."""

    def column(server: str) -> Column:
        return Column(CLIENTS[server], lambda pair: (pair.client, pair.server) == ("ours", server))

    return [column(server) for server in CLIENTS if server != "ours"]


def by_host() -> list[Column]:
    """Our client against our server on each host."""

    def column(host: str) -> Column:
        return Column(f"`{host}`", lambda pair: pair.host == host)

    return [column(pair.host) for pair in PAIRS if pair.host]


BY_CLIENT = """\
Clients against this server. Counted are the scenarios of all ways in which a transformer carries a
connection, with all parsers, against a server of its own and one that runs all transformers at once."""

BY_SERVER = "Our JavaScript client in Node against the servers of the npm packages."

BY_HOST = """\
Our JavaScript client in Node against this server: a short list of scenarios, over every way of a
transformer."""

TABLES = {
    "Transformer by client": (BY_CLIENT, by_client),
    "Transformer by original server": (BY_SERVER, by_server),
    "Transformer by host": (BY_HOST, by_host),
}


def render(results: Iterable[Result]) -> str:
    """All tables, with their footnotes."""
    found = list(results)
    notes: dict[str, int] = {}
    parts = []
    for title, (text, columns) in TABLES.items():
        parts += [f"## {title}", text, table(found, columns(), notes)]
    parts.append("Passed of all; not played were, and why:")
    parts.append("\n".join(f"{number}. {reason}" for reason, number in notes.items()))
    return "\n\n".join(parts)


def table(results: Sequence[Result], columns: Sequence[Column], notes: dict[str, int]) -> str:
    """One table; what is new in `notes` gets the next number."""
    heads = [column.head for column in columns]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for transformer in WAYS:
        cells = [
            cell(
                [one for one in results if one.played.transformer == transformer and column.takes(one.pair)],
                notes,
            )
            for column in columns
        ]
        lines.append(f"| `{transformer}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(results: Sequence[Result], notes: dict[str, int]) -> str:
    """How many of these have passed, and the numbers of the reasons why others were not played."""
    if not results:
        return "-"
    outcomes: Mapping[str, list[str]] = defaultdict(list)
    for one in results:
        outcomes[one.outcome.outcome].append(one.outcome.detail)
    numbers = sorted({notes.setdefault(reason, len(notes) + 1) for reason in outcomes["skipped"]})
    footnotes = f" ({', '.join(map(str, numbers))})" if numbers else ""
    return f"{len(outcomes['passed'])} of {len(results)}{footnotes}"


def played(pair: Pair, run: Run) -> list[Result]:
    """The results of one pair; none that was not played is left out."""
    if run.complaint and not run.outcomes:
        return [Result(pair, pair.plays[0], "the run", Outcome("failed", run.complaint))]
    return [Result(pair, one, scenario, outcome) for (one, scenario), outcome in run.outcomes.items()]


def insert(page: str, text: str) -> str:
    """The page with `text` between the marks."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page does not have the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def report_failures(results: Iterable[Result]) -> list[Result]:
    """Those that have failed; what is wrong is printed."""
    failures = [one for one in results if one.outcome.outcome == "failed"]
    for one in failures:
        print(f"{one.pair} {one.played}: {one.scenario}: {one.outcome.detail[:500]}", file=sys.stderr)
    return failures


def main() -> int:
    pairs = [*PAIRS, *PARSER_PAIRS]
    results: list[Result] = []
    with ThreadPoolExecutor(PARALLEL) as pool:
        for number, (pair, run) in enumerate(zip(pairs, pool.map(play, pairs), strict=True), 1):
            results += played(pair, run)
            print(f"{number} of {len(pairs)}: {pair} {' '.join(pair.transformers)}", file=sys.stderr)
    again = dict.fromkeys(one.pair for one in report_failures(results))
    results = [one for one in results if one.pair not in again]
    for pair in again:
        results += played(pair, play(pair))
    failures = report_failures([one for one in results if one.pair in again])
    if failures:
        print(f"{len(failures)} scenarios have failed: the tables are left as they are", file=sys.stderr)
        return 1
    PAGE.write_text(insert(PAGE.read_text("utf-8"), render(results)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
