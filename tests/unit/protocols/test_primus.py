"""Primus's own messages: the rule of every generation for what is one, and what the server makes of each."""

from __future__ import annotations

from typing import Any

import pytest

from primus_gevent import Primus
from primus_gevent.protocols import primus as own
from tests.unit.fakes import connect
from tests.unit.hub import turn

MS = 1400000000123


def test_what_is_made() -> None:
    assert own.ping(MS) == "primus::ping::1400000000123"
    assert own.pong("1400000000123") == "primus::pong::1400000000123"
    assert own.answer_id("a$1") == "primus::id::a$1"
    assert own.SERVER_CLOSE == "primus::server::close"


@pytest.mark.parametrize(
    "text", [own.ping(MS), own.pong("x"), own.answer_id("x"), own.SERVER_CLOSE, "primus::"]
)
def test_what_begins_like_one(text: str) -> None:
    assert own.is_own(text)
    assert own.TEXT_MARK in text
    assert own.BYTES_MARK in text.encode()


@pytest.mark.parametrize(
    "message",
    ["primus:", "Primus::ping::1", " primus::ping::1", b"primus::ping::1", ["primus::"], None, 1, ""],
)
def test_what_does_not(message: Any) -> None:
    assert not own.is_own(message)


# Cases of the original, seen on its wire: the command ends at the next colon, the value begins two further.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("primus::ping::12", ("ping", "12")),
        ("primus::ping:x", ("ping", "")),
        ("primus::ping:", ("ping", "")),
        ("primus::ping::a::b", ("ping", "a::b")),
        ("primus::id::", ("id", "")),
        ("primus::server::close", ("server", "close")),
        ("primus::::", ("", "")),
        ("primus:::x", ("", "")),
        ("primus::ping", None),
        ("primus::", None),
    ],
)
def test_command_and_value(text: str, expected: Any) -> None:
    assert own.parse(text) == expected


@pytest.mark.parametrize("value", ["12", "", "ü", "NaN", "1::2", "x" * 100])
def test_a_value_comes_back_as_it_was(value: str) -> None:
    assert own.parse(own.pong(value)) == ("pong", value)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("primus::ping::12", "primus::pong::12"),
        ("primus::ping::not a number", "primus::pong::not a number"),
        ("primus::ping:x", "primus::pong::"),
        ("primus::pong::12", ""),  # the clients of 7 and 8 answer our pings
        ("primus::ping", None),
        ("primus::", None),
        ("primus::foo::bar", None),
        ("primus::server::close", None),
    ],
)
@pytest.mark.parametrize("style", ["read", "data"])
def test_the_server_answers_what_it_knows_and_delivers_the_rest(text: str, answer: Any, style: str) -> None:
    """``None`` for what is delivered as a message, an empty text for what is consumed without an answer."""
    primus = Primus()
    got: list[Any] = []
    primus.on("connection", got.extend if style == "read" else lambda spark: spark.on("data", got.append))
    spark = connect(primus)
    spark.socket.deliver(f'"{text}"')
    turn(2)
    assert got == ([text] if answer is None else [])
    assert spark.socket.sent == ([f'"{answer}"'] if answer else [])


def test_the_id_is_told() -> None:
    spark = connect(Primus())
    spark.socket.deliver('"primus::id::"')
    assert spark.socket.sent == [f'"primus::id::{spark.id}"']
