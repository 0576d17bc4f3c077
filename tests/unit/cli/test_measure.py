"""Latencies: percentiles and histogram against those of a sorted list."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent.cli.measure import MOST_ROWS, PERCENTILES, PRECISION, Latencies


def latencies(*seconds: float) -> Latencies:
    found = Latencies()
    for value in seconds:
        found.add(value)
    return found


@given(st.lists(st.floats(1e-6, 1000.0), min_size=1, max_size=200))
def test_percentiles_are_close_to_the_exact_ones(values: list[float]) -> None:
    found = latencies(*values)
    ordered = sorted(values)
    for percent in PERCENTILES:
        exact = ordered[math.ceil(len(ordered) * percent / 100) - 1]
        assert exact * (1 - PRECISION) <= found.percentile(percent) <= exact * (1 + PRECISION) * (1 + 1e-9)
    assert found.percentile(100) == max(values)
    assert (found.count, found.least, found.most) == (len(values), min(values), max(values))


@given(st.lists(st.floats(0.0, 5000.0), min_size=1, max_size=200))
def test_the_histogram_has_everyone_once(values: list[float]) -> None:
    found = latencies(*values)
    rows = list(found.rows())
    assert sum(count for _, count in rows) == len(values)
    assert len(rows) <= MOST_ROWS
    bounds = [bound for bound, _ in rows]
    assert bounds == sorted(bounds)
    assert bounds[-1] >= max(values)


def test_the_histogram_is_drawn() -> None:
    random.seed(7)
    found = latencies(*[0.0011] * 30, *[0.0025] * 60, *[0.0101])
    assert list(found.lines()) == [
        "  <=   1.5 ms  30  ####################",
        "  <=     2 ms   0",
        "  <=     3 ms  60  ########################################",
        "  <=     5 ms   0",
        "  <=     7 ms   0",
        "  <=    10 ms   0",
        "  <=    15 ms   1  #",
    ]


def test_a_row_of_few_is_not_empty() -> None:
    assert list(latencies(*[0.0011] * 500, 0.0029).lines())[-1] == "  <=     3 ms    1  ."


def test_the_summary_is_in_milliseconds() -> None:
    summary = latencies(0.001, 0.003).summary()
    assert summary["mean"] == 2
    assert (summary["min"], summary["max"], summary["p99"]) == (1, 3, 3)


@pytest.mark.parametrize("percent", PERCENTILES)
def test_without_any(percent: int) -> None:
    nothing = Latencies()
    assert nothing.percentile(percent) == 0
    assert list(nothing.lines()) == []
    assert set(nothing.summary().values()) == {0}
