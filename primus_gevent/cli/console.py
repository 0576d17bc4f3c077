"""What the program tells people: messages and results on stdout, everything about them on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal, Protocol

from gevent.lock import RLock

from .streams import Input, Output
from .text import no_surprises

__all__ = ["ERASE_LINE", "Console", "Footer"]

Style = Literal["dim", "bad", "good", "warn", "bold"]

CODES: Mapping[Style, str] = {"dim": "2", "bad": "31", "good": "32", "warn": "33", "bold": "1"}

ERASE_LINE = "\r\x1b[K"


class Footer(Protocol):
    """What stays below all that is written to a terminal: a prompt, or a progress bar."""

    def draw(self) -> str:
        """Its one line, without an end."""


class Console:
    """stdin, stdout and stderr, and what a terminal can do.

    Attributes:
        input, out, err: the three.
        plain: the terminal is too simple to move its cursor (or TERM says so).
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.input = Input(sys.stdin)
        self.out = Output(sys.stdout)
        self.err = Output(sys.stderr)
        self.plain = environ.get("TERM", "dumb") in ("", "dumb")
        # https://no-color.org
        self._colours = not self.plain and not environ.get("NO_COLOR")
        self._lock = RLock()
        self._footer: Footer | None = None

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal where something can be redrawn."""
        return self.err.is_terminal and not self.plain

    def styled(self, text: str, style: Style | None, stream: Output | None = None) -> str:
        """``text``, in colour where ``stream`` (stderr by default) shows colours."""
        if style is None or not self._colours or not (stream or self.err).is_terminal:
            return text
        return f"\x1b[{CODES[style]}m{text}\x1b[0m"

    def result(self, text: str, style: Style | None = None) -> None:
        """Lines for stdout: what was asked for.

        Raises:
            BrokenPipeError: nobody reads them any more.
        """
        if self.out.is_terminal:
            text = no_surprises(text)
        self._write(self.out, self.styled(text, style, self.out))

    def note(self, text: str, style: Style | None = None) -> None:
        """A line for stderr: what happens."""
        if self.err.is_terminal:
            text = no_surprises(text)
        self._write(self.err, self.styled(text, style))

    def _write(self, stream: Output, text: str) -> None:
        with self._lock:
            if self._footer is not None and stream.is_terminal:
                if stream is self.err:
                    stream.write(f"{ERASE_LINE}{text}\n{self._footer.draw()}")
                    return
                self.err.write(ERASE_LINE)
                stream.write(f"{text}\n")
                self.err.write(self._footer.draw())
                return
            stream.write(f"{text}\n")

    # -- the footer

    def show_footer(self, footer: Footer) -> None:
        """Keep ``footer`` below everything, from now on; for a `live` console."""
        with self._lock:
            self._footer = footer
            self.err.write(footer.draw())

    def refresh(self) -> None:
        """Draw the footer again: it has changed."""
        with self._lock:
            if self._footer is not None:
                self.err.write(f"{ERASE_LINE}{self._footer.draw()}")

    def leave_footer(self) -> None:
        """Let it stand as it is, and go on below it."""
        with self._lock:
            if self._footer is not None:
                self._footer = None
                self.err.write("\n")

    def remove_footer(self) -> None:
        """Erase it."""
        with self._lock:
            if self._footer is not None:
                self._footer = None
                self.err.write(ERASE_LINE)
