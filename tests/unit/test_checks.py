"""What the options about other origins take, and what becomes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from primus_gevent import checks
from primus_gevent.errors import OptionError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("GET,HEAD", ("GET", "HEAD")),
        ("get, head ,put", ("GET", "HEAD", "PUT")),
        ("GET POST", ("GET", "POST")),
        (["get", "POST"], ("GET", "POST")),
        (("GET,HEAD", "PUT"), ("GET", "HEAD", "PUT")),
        ("GET,GET", ("GET",)),
        ("", ()),
        ([], ()),
        ("*", ("*",)),
    ],
)
def test_methods(value: Any, expected: tuple[str, ...]) -> None:
    assert checks.methods("methods", value) == expected
    assert checks.methods("methods", expected) == expected


@pytest.mark.parametrize(
    "value",
    [None, False, 5, b"GET", {"GET"}, ["GET", 1], "GET\r\nX: y", ["GET\n"], "GE:T", "G\u00c9T", "GET\tPUT"],
)
def test_methods_that_are_none(value: Any) -> None:
    with pytest.raises(OptionError, match="methods") as caught:
        checks.methods("methods", value)
    assert caught.value.option == "methods"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (False, False),
        ("", False),
        ([], False),
        (" , ", False),
        ("X-A", ("X-A",)),
        ("X-A,x-b", ("X-A", "x-b")),
        (["X-A", "X-B"], ("X-A", "X-B")),
        ("*", ("*",)),
    ],
)
def test_header_names(value: Any, expected: Any) -> None:
    assert checks.header_names("headers", value) == expected
    assert checks.header_names("headers", expected) == expected


@pytest.mark.parametrize(
    "value",
    [None, True, 0, b"X-A", {"X-A": 1}, ["X-A", None], "X-A\r\nSet-Cookie: a=b", "X-A: b", "X-\u00c4"],
)
def test_header_names_that_are_none(value: Any) -> None:
    with pytest.raises(OptionError, match="exposed") as caught:
        checks.header_names("exposed", value)
    assert caught.value.option == "exposed"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (False, False),
        (0, False),
        ("0", False),
        (60, 60),
        (1.9, 1),
        ("2592000", 2592000),
        ("30 days", 2592000),
        ("30days", 2592000),
        ("30d", 2592000),
        (" 1 Day ", 86400),
        ("12 hours", 43200),
        ("1 hr", 3600),
        ("10 minutes", 600),
        ("1.5 min", 90),
        (".5h", 1800),
        ("1 week", 604800),
        ("1 y", 31536000),
        ("45 seconds", 45),
        ("5000 ms", 5),
        ("4.1 m", 246),  # 245.99999999999997 where nobody rounds
    ],
)
def test_max_age(value: Any, seconds: Any) -> None:
    result = checks.max_age("max_age", value)
    assert (result, type(result)) == (seconds, type(seconds))
    assert checks.max_age("max_age", result) == result


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -1,
        "-1",
        "",
        "soon",
        "1 month",
        "30 days 2",
        "1e3",
        "30 days\r\nX: y",
        "٣ days",
        b"1 day",
        math.inf,
        math.nan,
        "inf",
        [30],
        1j,
        "9" * 101,
        "1.2.3 s",
    ],
)
def test_max_age_that_is_none(value: Any) -> None:
    with pytest.raises(OptionError, match="max_age") as caught:
        checks.max_age("max_age", value)
    assert caught.value.option == "max_age"


def test_a_flag_is_true_or_false() -> None:
    assert checks.flag("credentials", True) is True
    assert checks.flag("credentials", False) is False
    for value in (1, 0, None, "true", ""):
        with pytest.raises(OptionError, match="credentials"):
            checks.flag("credentials", value)


def test_the_defaults_are_in_their_final_form() -> None:
    assert checks.methods("methods", "GET,HEAD,PUT,POST,DELETE,OPTIONS") == checks.DEFAULT_METHODS
    assert checks.max_age("max_age", "30 days") == checks.DEFAULT_MAX_AGE
