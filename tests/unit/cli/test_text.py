"""Words and figures as people read them."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import pytest

from primus_gevent.cli.text import as_json, bar, duration, no_surprises, plural, rate


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 ms"),
        (0.00042, "0.42 ms"),
        (0.000996, "1 ms"),
        (0.0012, "1.2 ms"),
        (0.00996, "10 ms"),
        (0.035, "35 ms"),
        (0.5, "500 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.2, "1.2 s"),
        (90.0, "90 s"),
        (math.inf, "ever"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts() -> None:
    assert rate(1234.5) == "1234/s"
    assert (plural(1, "client"), plural(2, "client"), plural(0, "client")) == (
        "1 client",
        "2 clients",
        "0 clients",
    )


@pytest.mark.parametrize(
    ("share", "drawn"), [(-1, "    "), (0, "    "), (0.5, "##  "), (1, "####"), (9, "####")]
)
def test_bars(share: float, drawn: str) -> None:
    assert bar(share, 4) == drawn


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("Zoë 🦊 漢字", "Zoë 🦊 漢字"),
        ("👨‍👩‍👧 family", "👨‍👩‍👧 family"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("over\rwritten", "over\\x0dwritten"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("\x07\x00", "\\x07\\x00"),
    ],
)
def test_nothing_moves_the_cursor(text: str, shown: str) -> None:
    assert no_surprises(text) == shown


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("é\n", '"é\\n"'),
        ({"a": [1, None, True]}, '{"a": [1, null, true]}'),
        (b"\x00\x01", '{"base64": "AAE="}'),
        (datetime(2026, 1, 2, tzinfo=timezone.utc), '"2026-01-02T00:00:00+00:00"'),
        ({"s": {1}}, '{"s": [1]}'),
        (2**70, "1180591620717411303424"),
        ({(1, 2): 3}, '"{(1, 2): 3}"'),
        (object, "\"<class 'object'>\""),
    ],
)
def test_every_message_has_a_line_of_json(message: Any, text: str) -> None:
    assert as_json(message) == text


def test_a_circle_has_one_too() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert as_json(circle) == '"[[...]]"'
