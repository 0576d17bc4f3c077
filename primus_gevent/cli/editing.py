"""A line that is being typed: what keys do to it, and the part of it that fits a terminal. No I/O.

`readline` would block the process while a user thinks, and knows nothing of messages that come meanwhile.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator

__all__ = ["Editor", "columns"]

HISTORY = 500  # lines
MAX_CHARACTERS = 1 << 20  # of a line

# ECMA-48, 5.4: parameters, then one final byte; SS3 of the keypad has none.
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|[^\[O])")
BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")


class Editor:
    """One line and those before it. Keys are those of readline's emacs mode.

    Attributes:
        text: what has been typed.
        cursor: position in it, in characters.
    """

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self._history: deque[str] = deque(maxlen=HISTORY)
        self._place = 0  # in the history; its length is the line that is being typed
        self._draft = ""  # what that was, while another one is shown
        self._killed = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""  # the beginning of an escape sequence

    def feed(self, data: bytes) -> Iterator[str | None]:
        """Take what a terminal has sent.

        Yields:
            Each line that was completed, and None for Ctrl-D on an empty line.
        """
        typed = self._pending + self._decoder.decode(data)
        self._pending = ""
        position = 0
        while position < len(typed):
            char = typed[position]
            if char == "\x1b":
                sequence = SEQUENCE.match(typed, position)
                if sequence is None:
                    if BEGUN.match(typed, position):
                        self._pending = typed[position:]
                        return
                    position += 1
                    continue
                position = sequence.end()
                self._press(SEQUENCES.get(sequence[0]))
                continue
            position += 1
            if char in "\r\n":
                yield self._complete()
            elif char == "\x04" and not self.text:
                yield None
            elif char in KEYS:
                self._press(KEYS[char])
            elif char >= " " or char == "\t":
                self._insert(" " if char == "\t" else char)

    def view(self, width: int) -> tuple[str, int]:
        """The part of the line around the cursor that fits ``width`` columns, and its place in that."""
        start = end = self.cursor
        used = 0
        # What is left of the cursor comes first: it is what has just been typed.
        while start > 0 and used + columns(self.text[start - 1]) < width:
            start -= 1
            used += columns(self.text[start])
        cursor = used
        while end < len(self.text) and used + columns(self.text[end]) < width:
            used += columns(self.text[end])
            end += 1
        return self.text[start:end], cursor

    # -- what keys do

    def _press(self, action: Callable[[Editor], None] | None) -> None:
        if action is not None:
            action(self)

    def _insert(self, text: str) -> None:
        if len(self.text) < MAX_CHARACTERS:
            self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
            self.cursor += len(text)

    def _complete(self) -> str:
        line = self.text
        if line and (not self._history or self._history[-1] != line):
            self._history.append(line)
        self._place = len(self._history)
        self._set("")
        return line

    def _set(self, text: str) -> None:
        self.text, self.cursor = text, len(text)

    def left(self) -> None:
        self.cursor = max(self.cursor - 1, 0)

    def right(self) -> None:
        self.cursor = min(self.cursor + 1, len(self.text))

    def home(self) -> None:
        self.cursor = 0

    def end(self) -> None:
        self.cursor = len(self.text)

    def word_left(self) -> None:
        before = self.text[: self.cursor].rstrip()
        self.cursor = before.rfind(" ") + 1

    def word_right(self) -> None:
        rest = self.text[self.cursor :]
        skipped = len(rest) - len(rest.lstrip())
        found = rest.find(" ", skipped)
        self.cursor = len(self.text) if found < 0 else self.cursor + found

    def backspace(self) -> None:
        if self.cursor:
            self.text = self.text[: self.cursor - 1] + self.text[self.cursor :]
            self.cursor -= 1

    def delete(self) -> None:
        self.text = self.text[: self.cursor] + self.text[self.cursor + 1 :]

    def kill_to_end(self) -> None:
        self._kill(self.cursor, len(self.text))

    def kill_to_start(self) -> None:
        self._kill(0, self.cursor)

    def kill_word(self) -> None:
        end = self.cursor
        self.word_left()
        self._kill(self.cursor, end)

    def _kill(self, start: int, end: int) -> None:
        if end > start:
            self._killed = self.text[start:end]
            self.text = self.text[:start] + self.text[end:]
            self.cursor = start

    def yank(self) -> None:
        self._insert(self._killed)

    def earlier(self) -> None:
        if self._place:
            if self._place == len(self._history):
                self._draft = self.text
            self._place -= 1
            self._set(self._history[self._place])

    def later(self) -> None:
        if self._place < len(self._history):
            self._place += 1
            at_end = self._place == len(self._history)
            self._set(self._draft if at_end else self._history[self._place])


KEYS: dict[str, Callable[[Editor], None]] = {
    "\x01": Editor.home,  # Ctrl-A
    "\x02": Editor.left,
    "\x04": Editor.delete,
    "\x05": Editor.end,
    "\x06": Editor.right,
    "\x08": Editor.backspace,
    "\x0b": Editor.kill_to_end,
    "\x0e": Editor.later,
    "\x10": Editor.earlier,
    "\x15": Editor.kill_to_start,
    "\x17": Editor.kill_word,
    "\x19": Editor.yank,
    "\x7f": Editor.backspace,
}

SEQUENCES: dict[str, Callable[[Editor], None]] = {
    **{f"\x1b{kind}A": Editor.earlier for kind in "[O"},
    **{f"\x1b{kind}B": Editor.later for kind in "[O"},
    **{f"\x1b{kind}C": Editor.right for kind in "[O"},
    **{f"\x1b{kind}D": Editor.left for kind in "[O"},
    **{f"\x1b{kind}H": Editor.home for kind in "[O"},
    **{f"\x1b{kind}F": Editor.end for kind in "[O"},
    **dict.fromkeys(("\x1b[1~", "\x1b[7~"), Editor.home),
    **dict.fromkeys(("\x1b[4~", "\x1b[8~"), Editor.end),
    "\x1b[3~": Editor.delete,
    **dict.fromkeys(("\x1b[1;5D", "\x1b[1;3D", "\x1bb"), Editor.word_left),
    **dict.fromkeys(("\x1b[1;5C", "\x1b[1;3C", "\x1bf"), Editor.word_right),
    "\x1b\x7f": Editor.kill_word,
}


def columns(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
