"""The line editor: keys in, lines out, and what of a line is to be seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent.cli.editing import HISTORY, Editor, columns

UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
HOME, END, DELETE = "\x1b[H", "\x1b[F", "\x1b[3~"


def typed(*keys: str) -> tuple[list[str | None], Editor]:
    editor = Editor()
    return list(editor.feed("".join(keys).encode())), editor


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["hello"], "hello"),
        (["helo", LEFT, "l"], "hello"),
        (["ello", HOME, "h"], "hello"),
        (["ello", "\x01", "h", "\x05", "!"], "hello!"),
        (["hellox", "\x7f"], "hello"),
        (["hellox", "\x08"], "hello"),
        (["xhello", HOME, DELETE], "hello"),
        (["xhello", HOME, "\x04"], "hello"),
        (["hello", LEFT, LEFT, RIGHT, RIGHT, RIGHT, END, "!"], "hello!"),
        (["one two  ", "\x17"], "one "),
        (["one two", "\x1bb", "\x1b[1;5D", "zero "], "zero one two"),
        (["one two", HOME, "\x1bf", "!"], "one! two"),
        (["one two", LEFT, LEFT, LEFT, "\x0b"], "one "),
        (["one two", LEFT, LEFT, LEFT, "\x15"], "two"),
        (["one two", "\x17", HOME, "\x19"], "twoone "),
        (["a\tb"], "a b"),
        (["é漢🦊", LEFT, "\x7f"], "é🦊"),
        (["a\x00\x1cb"], "ab"),
        (["a", "\x1b[24~", "\x1bOP", "\x1b[200~", "b"], "ab"),
        (["\x7f\x0b\x15\x17\x19", DELETE], ""),
        ([LEFT, RIGHT, HOME, END, UP, DOWN, DELETE, "\x7f", "ok"], "ok"),
    ],
)
def test_keys(keys: list[str], text: str) -> None:
    completed, editor = typed(*keys)
    assert [line for line in completed if line is not None] == []
    assert editor.text == text


def test_lines_and_the_end() -> None:
    assert typed("one\rtwo\n\r")[0] == ["one", "two", ""]
    assert typed("\x04")[0] == [None]
    assert typed("x\x04\x7f\x04")[0] == [None], "in a line it deletes"


def test_earlier_lines_come_back() -> None:
    _, editor = typed("one\r", "two\r", "two\r", "\r", "draft", UP)
    assert editor.text == "two"
    for keys, text in [(UP, "one"), (UP, "one"), (DOWN, "two"), (DOWN, "draft"), (DOWN, "draft")]:
        assert list(editor.feed(keys.encode())) == []
        assert editor.text == text
    assert list(editor.feed(f"{UP}{UP}!\r".encode())) == ["one!"]
    assert list(editor.feed(b"\x10")) == []
    assert editor.text == "one!"


def test_only_so_many_are_kept() -> None:
    _, editor = typed(*(f"{number}\r" for number in range(HISTORY + 5)))
    list(editor.feed((UP * (HISTORY + 5)).encode()))
    assert editor.text == "5"


@pytest.mark.parametrize(
    ("text", "width", "view"),
    [
        ("hello", 10, ("hello", 5)),
        ("hello", 6, ("hello", 5)),
        ("hello", 5, ("ello", 4)),
        (f"hello{LEFT * 5}", 5, ("hell", 0)),
        (f"hello{LEFT * 3}", 4, ("hel", 2)),
        ("漢字漢字", 6, ("漢字", 4)),
        ("", 5, ("", 0)),
    ],
)
def test_the_part_around_the_cursor_is_seen(text: str, width: int, view: tuple[str, int]) -> None:
    assert typed(text)[1].view(width) == view


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("漢", 2), ("e\u0301", 1), ("🦊", 2), ("\u200b", 0)])
def test_columns(text: str, width: int) -> None:
    assert columns(text) == width


PIECES = st.sampled_from(
    ["a", "漢", "é", " ", UP, DOWN, LEFT, RIGHT, HOME, END, DELETE, "\x1b", "[", "\r", "\x17"]
)


@given(st.lists(PIECES, max_size=30), st.integers(2, 12))
def test_cutting_the_input_changes_nothing(pieces: list[str], width: int) -> None:
    """Any keys, whole or byte by byte: the same lines; and the cursor is always within its line and view."""
    data = "".join(pieces).encode()
    whole, cut = Editor(), Editor()
    lines = list(whole.feed(data))
    assert [line for byte in data for line in cut.feed(bytes([byte]))] == lines
    assert (cut.text, cut.cursor) == (whole.text, whole.cursor)
    assert 0 <= whole.cursor <= len(whole.text)
    visible, column = whole.view(width)
    assert visible in whole.text
    assert 0 <= column <= columns(visible) < width
