"""Starts the program of the package in a process of its own, as a user would."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0  # to start or to stop; far more than it takes


@dataclass
class Demo:
    process: subprocess.Popen[str]
    url: str

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.url.rstrip("/").rpartition(":")[2])

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> tuple[int, str, str]:
        """The exit status, and what was printed after the address, on stdout and stderr."""
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err


@contextmanager
def running_demo(*arguments: str) -> Iterator[Demo]:
    """The demo at a free port, from the line with its address on."""
    command = [sys.executable, "-W", "error", "-m", "primus_gevent", "demo", "--port", "0", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            readable, _, _ = select.select([process.stdout], [], [], SECONDS)
            line = process.stdout.readline() if readable else ""
            found = re.fullmatch(r"Demo: (http://\S+/)  \(Ctrl-C stops it\)\n", line)
            if found is None:
                process.kill()
                raise AssertionError(f"the demo did not start: {line!r} {process.communicate()}")
            yield Demo(process, found[1])
        finally:
            process.kill()
