"""Percent-encoding: what the standard library makes of it, in a bounded time."""

from __future__ import annotations

from urllib.parse import quote_plus
from urllib.parse import unquote_plus as slow

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from primus_gevent.protocols.forms import MAX_FIELDS, MAX_LONE_SIGNS, field_of, unquote_plus


@given(st.text(alphabet=st.sampled_from("%+\\xX0aAfFgé€\n 1")) | st.text(st.characters(codec="utf-8")))
@example("%")
@example("%%41")
@example("%4")
@example("\\x41\\")
@example("%5Cx41%5c")
@example("%ff%C3%A9%E2%82")
def test_as_the_standard_library(text: str) -> None:
    assert unquote_plus(text) == slow(text)


@given(st.text(st.characters(codec="utf-8")))
def test_round_trip(text: str) -> None:
    assert unquote_plus(quote_plus(text)) == text


@pytest.mark.parametrize("piece", ["%", "%4", "%41", "%zz", "+", "%%41", "\\"])
def test_megabytes(piece: str) -> None:
    text = piece * (3_000_000 // len(piece))
    assert len(unquote_plus(text)) <= len(text)


def test_what_is_no_escape_is_left_alone() -> None:
    text = "%zz" * MAX_LONE_SIGNS + "%41"
    assert unquote_plus(text).endswith("%zzA")
    assert unquote_plus(text + "%") == text + "%"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("d=a", "a"),
        ("x=1&d=%41+b&y", "A b"),
        ("d=a&d=b", "b"),
        ("d", ""),
        ("", ""),
        ("dd=1", ""),
        ("d=a=b", "a=b"),
        ("&" * (MAX_FIELDS - 1) + "d=a", "a"),
        ("&" * MAX_FIELDS + "d=a", ""),
        ("d=a" + "&" * 3_000_000, "a"),
    ],
)
def test_field(form: str, value: str) -> None:
    assert field_of(form, "d") == value
