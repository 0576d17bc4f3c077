"""What goes to stdout and stderr, where there is a terminal and where there is none."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator, Mapping

import gevent
import pytest

from primus_gevent.cli.console import Console


class Terminal:
    """stdout and stderr of the consoles that it makes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._master, slave = pty.openpty()
        self._stream = os.fdopen(slave, "w")
        self._monkeypatch = monkeypatch

    def console(self, environ: Mapping[str, str]) -> Console:
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", self._stream)
            patch.setattr(sys, "stderr", self._stream)
            return Console(environ)

    def shown(self, length: int) -> str:
        """What was written to it; waits for so many bytes."""
        found = b""
        while len(found) < length:
            gevent.socket.wait_read(self._master, timeout=10)
            found += os.read(self._master, 65536)
        return found.decode().replace("\r\n", "\n")

    def close(self) -> None:
        self._stream.close()
        os.close(self._master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal(monkeypatch)
    yield made
    made.close()


class Footer:
    def __init__(self) -> None:
        self.text = "[1]"

    def draw(self) -> str:
        return self.text


def test_no_terminal_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console({"TERM": "xterm"})
    console.note("what happens \x1b", "bad")
    console.result("what was asked for")
    assert capsys.readouterr() == ("what was asked for\n", "what happens \x1b\n")
    assert not console.live
    console.leave_footer()
    console.remove_footer()
    console.refresh()
    assert capsys.readouterr() == ("", "")


def test_colours_at_a_terminal(terminal: Terminal) -> None:
    terminal.console({"TERM": "xterm"}).note("red", "bad")
    assert terminal.shown(14) == "\x1b[31mred\x1b[0m\n"


@pytest.mark.parametrize(
    "environ", [{"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}], ids=["NO_COLOR", "dumb", "unknown"]
)
def test_colours_are_not_for_everybody(environ: dict[str, str], terminal: Terminal) -> None:
    console = terminal.console(environ)
    console.note("red", "bad")
    assert terminal.shown(5) == "red\n"
    assert console.live == ("NO_COLOR" in environ)


def test_messages_do_not_move_the_cursor(terminal: Terminal) -> None:
    console = terminal.console({"TERM": "xterm"})
    console.result("\x1b[2Jbad\x07")
    assert terminal.shown(16) == "\\x1b[2Jbad\\x07\n"


def test_the_footer_stays_below(terminal: Terminal) -> None:
    console, footer = terminal.console({"TERM": "xterm"}), Footer()
    console.show_footer(footer)
    assert terminal.shown(3) == "[1]"
    console.note("a note")
    footer.text = "[2]"
    console.refresh()
    console.result("a result")
    console.remove_footer()
    console.note("behind")
    wanted = "\r\x1b[Ka note\n[1]\r\x1b[K[2]\r\x1b[Ka result\n[2]\r\x1b[Kbehind\n"
    assert terminal.shown(len(wanted) + 3) == wanted


def test_a_footer_can_be_left(terminal: Terminal) -> None:
    console = terminal.console({"TERM": "xterm"})
    console.show_footer(Footer())
    console.leave_footer()
    console.refresh()
    assert terminal.shown(5) == "[1]\n"
