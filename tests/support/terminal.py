"""The program in a process of its own, at a terminal: a pty whose other end is the test."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

__all__ = ["SECONDS", "Terminal", "command"]

ROOT = Path(__file__).parents[2]
SECONDS = 30.0  # for anything; far more than it takes
SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

# A session's first terminal is the one that it takes: only then do Ctrl-C and Ctrl-Z make signals.
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def command(*arguments: str, prefix: Sequence[str] = ("-m",)) -> list[str]:
    """The program with these arguments.

    Args:
        prefix: arguments of Python, which run a module.
    """
    return [sys.executable, "-W", "error", *prefix, "primus_gevent", *arguments]


class Terminal:
    """One run of the program; all three streams are the terminal.

    Attributes:
        shown: everything that was written to it, without escape sequences; a line that is drawn again is
            there again.
    """

    def __init__(self, *arguments: str, columns: int = 100, cwd: Path = ROOT, **environ: str) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.modes: Any = termios.tcgetattr(self._slave)
        self.raw = ""
        self._seen = 0
        inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", TAKE_TERMINAL, *command(*arguments)],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=cwd,
            env={**inherited, "TERM": "xterm", "PYTHONPATH": str(ROOT), **environ},
            start_new_session=True,
        )

    @property
    def shown(self) -> str:
        return SEQUENCE.sub("", self.raw.replace("\r\x1b[K", "\n")).replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait for what matches, behind the last match."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = re.compile(pattern, re.MULTILINE).search(self.shown, self._seen)
            if found:
                self._seen = found.end()
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"no {pattern!r} in {self.shown[self._seen :]!r}")

    def _read(self, limit: float) -> bool:
        if not select.select([self._master], [], [], limit)[0]:
            return False
        self.raw += os.read(self._master, 65536).decode(errors="replace")
        return True

    def wait(self) -> int:
        """The exit status."""
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on: {self.shown!r}"
            self._read(0.05)
        while self._read(0.0):
            pass
        return self.process.returncode

    @property
    def modes_now(self) -> Any:
        """What `termios.tcgetattr` says; `modes` is what it said at first."""
        return termios.tcgetattr(self._slave)

    def suspend(self) -> None:
        """What Ctrl-Z, a shell and its `fg` do."""
        self.process.send_signal(signal.SIGSTOP)
        termios.tcsetattr(self._slave, termios.TCSANOW, self.modes)
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)
