"""Latencies: counted in constant memory, told as percentiles and as a histogram."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .text import bar, duration

__all__ = ["PERCENTILES", "Latencies"]

PERCENTILES = (50, 90, 99)

PRECISION = 0.01  # of a percentile: values that are not farther apart than that are counted as one
SHORTEST = 1e-6  # seconds; the clock tells no less
ROWS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # in each decade
MOST_ROWS = 20
BAR_COLUMNS = 40


class Latencies:
    """Times in seconds.

    Attributes:
        count: how many.
        total: the sum of them.
        least, most: exact, where the others are within `PRECISION`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = 0.0
        self._steps: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total += seconds
        self.least = min(self.least, seconds)
        self.most = max(self.most, seconds)
        self._steps[math.ceil(math.log(max(seconds, SHORTEST) / SHORTEST) / STEP)] += 1

    def percentile(self, percent: float) -> float:
        """The time that so many percent did not exceed; 0 without any."""
        wanted = math.ceil(self.count * percent / 100)
        for step in sorted(self._steps):
            wanted -= self._steps[step]
            if wanted <= 0:
                return min(max(value(step), self.least), self.most)
        return 0.0

    def rows(self) -> Iterator[tuple[float, int]]:
        """The histogram: upper bounds (s), and how many there are up to each and above the one before.
        Where there are too many, the first row has what is below, too."""
        if not self.count:
            return
        bounds = []
        for bound in edges():
            if bound >= self.least:
                bounds.append(bound)
            if bound >= self.most:
                break
        bounds = bounds[-MOST_ROWS:]
        counts: Counter[float] = Counter()
        for step, count in self._steps.items():
            middle = min(max(value(step), self.least), self.most)
            counts[next(bound for bound in bounds if middle <= bound)] += count
        for bound in bounds:
            yield bound, counts[bound]

    def lines(self) -> Iterator[str]:
        """The histogram for people."""
        rows = list(self.rows())
        highest = max((count for _, count in rows), default=1)
        width = max((len(str(count)) for _, count in rows), default=1)
        for bound, count in rows:
            drawn = bar(count / highest, BAR_COLUMNS).rstrip() or ("." if count else "")
            yield f"  <= {duration(bound):>8}  {count:>{width}}  {drawn}".rstrip()

    def summary(self) -> dict[str, Any]:
        """In milliseconds, for machines."""
        figures = {f"p{percent}": self.percentile(percent) for percent in PERCENTILES}
        figures |= {"min": self.least if self.count else 0.0, "max": self.most}
        figures["mean"] = self.total / self.count if self.count else 0.0
        return {name: round(seconds * 1000, 3) for name, seconds in figures.items()}


STEP = math.log1p(PRECISION)


def value(step: int) -> float:
    """The longest time that is counted as this step."""
    return SHORTEST * math.exp(step * STEP)


def edges() -> Iterator[float]:
    """1, 1.5, 2, 3, 5, 7, 10, 15 ... microseconds, in seconds; without end."""
    decade = -6
    while True:
        for first in ROWS:
            yield first * 10.0**decade
        decade += 1
