"""Bytes as text, where a framework carries nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent.protocols import carried


@given(st.binary())
def test_bytes_come_back(data: bytes) -> None:
    text = carried.to_text(data)
    assert isinstance(text, str)
    assert text.isascii()
    assert carried.from_text(text) == data


@given(st.text().filter(lambda text: not text.startswith(carried.MARK)))
def test_text_is_left_alone(text: str) -> None:
    assert carried.to_text(text) == text
    assert carried.from_text(text) == text


@pytest.mark.parametrize("rest", ["?", "AAA", "AAAA\n", "é", "A" * 5])
def test_what_is_not_base64_is_text(rest: str) -> None:
    assert carried.from_text(carried.MARK + rest) == carried.MARK + rest
