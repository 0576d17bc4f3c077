"""The tables that ``scripts/matrix`` writes: how they are made, and that the committed ones are complete.

Nothing is played here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from primus_gevent.transformers import TRANSFORMERS
from tests.interop import matrix
from tests.interop.pairs import PAIRS, PARSER_PAIRS, WAYS, Outcome, Pair, Play
from tests.support.hosts import HOSTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "support.md"

Table = dict[str, dict[str, str]]  # row to column to cell

# A variant of a host differs from it where this suite does not look; TLS changes nothing that it sees.
HOST_NAMES = {name for name, kind in HOSTS.items() if not kind.variant and not kind.tls}


def result(
    pair: Pair, outcome: str = "passed", detail: str = "", transformer: str = "sockjs"
) -> matrix.Result:
    played = Play(transformer, WAYS[transformer][0], "json")
    return matrix.Result(pair, played, "connects", Outcome(outcome, detail))


def tables(text: str) -> dict[str, Table]:
    """The tables of a text by the headings above them."""
    found: dict[str, Table] = {}
    for section in text.split("\n## ")[1:]:
        title, *lines = section.splitlines()
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
        if rows:
            heads, _, *rest = rows
            found[title] = {
                name.strip("`"): dict(zip(heads[1:], cells, strict=True)) for name, *cells in rest
            }
    return found


@pytest.fixture(scope="module")
def committed() -> dict[str, Table]:
    page = PAGE.read_text("utf-8")
    text = page.partition(matrix.BEGIN)[2].partition(matrix.END)[0]
    return tables(text)


def test_the_page_has_all_tables(committed: dict[str, Table]) -> None:
    assert list(committed) == list(matrix.TABLES)


@pytest.mark.parametrize("title", matrix.TABLES)
def test_every_transformer_and_column_is_there(title: str, committed: dict[str, Table]) -> None:
    table = committed[title]
    assert table.keys() == TRANSFORMERS.keys()
    heads = [column.head for column in matrix.TABLES[title][1]()]
    for cells in table.values():
        assert list(cells) == heads


def test_every_host_is_there_and_has_played(committed: dict[str, Table]) -> None:
    for cells in committed["Transformer by host"].values():
        assert {name.strip("`") for name in cells} == HOST_NAMES
        assert "-" not in cells.values()


def test_what_the_clients_have_was_played(committed: dict[str, Table]) -> None:
    for transformer, cells in committed["Transformer by client"].items():
        for head, cell in cells.items():
            missing = "8.0.9" in head and transformer == "socket.io"  # it was taken out of Primus 3
            assert (cell == "-") == missing, (transformer, head)


def test_the_pairs_play_all_that_there_is() -> None:
    assert WAYS.keys() == TRANSFORMERS.keys()
    assert {pair.host for pair in PAIRS} - {""} == HOST_NAMES
    played = {(one.transformer, one.way) for pair in PAIRS if pair.client == "ours" for one in pair.plays}
    # `upgraded` is for parsers
    ways = {(transformer, way) for transformer, ways in WAYS.items() for way in ways if way != "upgraded"}
    assert ways <= played
    assert len(set(PAIRS + PARSER_PAIRS)) == len(PAIRS + PARSER_PAIRS)


# -- how they are made


def test_a_cell_counts_and_explains() -> None:
    pair = Pair("ours", "python", ("sockjs",))
    text = matrix.render(
        [result(pair), result(pair, "skipped", "because"), result(pair, "skipped", "because")]
    )
    cells = tables("\n" + text)["Transformer by client"]["sockjs"]
    assert cells["our client, Node"] == "1 of 3 (1)"
    assert cells["our client, Chromium"] == "-"
    assert text.endswith("1. because")


def test_a_result_is_counted_where_it_belongs() -> None:
    one = Pair("ours", "python", ("sockjs",))
    pairs = [one, one._replace(several=True), one._replace(host="own"), one._replace(server="primus8")]
    found = tables("\n" + matrix.render([result(pair) for pair in pairs]))
    assert found["Transformer by client"]["sockjs"]["our client, Node"] == "2 of 2"
    assert found["Transformer by host"]["sockjs"]["`own`"] == "1 of 1"
    assert found["Transformer by original server"]["sockjs"]["`primus@8.0.9`"] == "1 of 1"


def test_what_is_around_the_marks_stays() -> None:
    page = f"before\n{matrix.BEGIN}\nold\n{matrix.END}\nafter\n"
    assert matrix.insert(page, "new") == f"before\n{matrix.BEGIN}\n\nnew\n\n{matrix.END}\nafter\n"
    with pytest.raises(ValueError, match="marks"):
        matrix.insert("page", "new")


def test_a_run_that_broke_off_is_a_failure() -> None:
    pair = Pair("ours", "python")
    (only,) = matrix.played(pair, matrix.Run({}, "no Node"))
    assert only.outcome == Outcome("failed", "no Node")
