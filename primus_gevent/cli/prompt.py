"""A prompt at a terminal, below what is written meanwhile."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent

from .console import Console
from .editing import Editor, columns
from .text import no_surprises

__all__ = ["Prompt"]

LEAST_COLUMNS = 10  # for the line, however long what stands before it is


class Prompt:
    """The last line of a terminal: what state things are in, and what the user types.

    Args:
        state: what stands before the line.
    """

    def __init__(self, console: Console, state: Callable[[], str]) -> None:
        self._console = console
        self._state = state
        self._editor = Editor()

    def draw(self) -> str:
        width = shutil.get_terminal_size().columns
        before = f"{self._state()}> "
        if columns(before) > width - LEAST_COLUMNS:
            before = "> "
        visible, cursor = self._editor.view(max(width - columns(before), 2))
        behind = columns(visible) - cursor
        shown = self._console.styled(before, "dim") + no_surprises(visible)
        return f"{shown}\x1b[{behind}D" if behind else shown

    def lines(self) -> Iterator[str]:
        """What the user enters, until Ctrl-D. Each line stays to be seen."""
        with self._keys():
            self._console.show_footer(self)
            try:
                while data := self._console.input.read():
                    for line in self._editor.feed(data):
                        if line is None:
                            return
                        if line:
                            self._console.note(f"> {line}", "bold")
                            yield line
                    self._console.refresh()
            finally:
                self._console.remove_footer()

    @contextmanager
    def _keys(self) -> Iterator[None]:
        """Get keys one by one, unseen; signals of the keyboard stay."""
        import termios
        import tty

        fd = self._console.input.fd
        assert fd is not None
        before = termios.tcgetattr(fd)

        def enter() -> None:
            tty.setcbreak(fd, termios.TCSADRAIN)
            self._console.refresh()

        def continued(*_: Any) -> None:
            # After Ctrl-Z and `fg`: the shell has set the terminal as it likes it.
            gevent.get_hub().loop.run_callback(gevent.spawn, enter)

        handler = handle_continue(continued)
        enter()
        try:
            yield
        finally:
            handle_continue(handler)
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def handle_continue(handler: Any) -> Any:
    """Set the handler of SIGCONT, and return the one before."""
    try:
        return signal.signal(signal.SIGCONT, handler)
    except ValueError:  # not the main thread
        return None
