"""Starting again when a Python file has changed: a process that serves, and one that starts it anew.

The one that serves looks for changes itself, because it knows what it has imported. It drains before it
ends, so that the clients come back to the new one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from types import FrameType

import gevent

__all__ = ["AGAIN", "Changes", "supervise", "supervised"]

AGAIN = 75  # exit status of the process that serves, when it is to be started again (EX_TEMPFAIL)
LOOK_SECONDS = 0.5
MARK = "PRIMUS_GEVENT_RELOADS"  # in the environment of the process that serves
MAX_FILES = 10_000
SKIPPED = ("node_modules", "__pycache__", "site-packages")


def supervised() -> bool:
    """Whether this is the process that serves."""
    return MARK in os.environ


def supervise() -> int:
    """Run this same program as another process, again and again; returns its last exit status. Blocks."""
    # What Python was started with, options and `-m` included.
    command = [sys.executable, *sys.orig_argv[1:]]
    child: subprocess.Popen[bytes] | None = None

    def pass_on(signum: int, frame: FrameType | None) -> None:
        if child is not None:
            child.send_signal(signum)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    # Ctrl-C reaches the process that serves by itself; this one waits for it.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        while True:
            child = subprocess.Popen(command, env={**os.environ, MARK: "1"})
            status = child.wait()
            if status != AGAIN:
                return status if status >= 0 else 128 - status
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Changes:
    """The files of this process, and whether one of them has changed.

    Attributes:
        status: the exit status that this process is to have.
    """

    def __init__(self) -> None:
        self.status = 0
        self._began = time.time()
        self._seen: dict[str, float] = {}
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def watch(self) -> None:
        """From now on, end this process as SIGTERM does when something has changed."""
        self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()

    def wait(self) -> int:
        """Block until something has changed, also in a file that could not be imported.

        A time to come is that of a file server whose clock is wrong, and says nothing.
        """
        if self._look() or any(self._began < seen <= time.time() for seen in self._seen.values()):
            return AGAIN  # what has changed since it was imported may have been mended already
        while not self._look():
            gevent.sleep(LOOK_SECONDS)
        return AGAIN

    def _look(self) -> bool:
        return self._changed([*imported(), *below(os.getcwd())])

    def _watch(self) -> None:
        while not self._changed(imported()):
            gevent.sleep(LOOK_SECONDS)
        self.status = AGAIN
        os.kill(os.getpid(), signal.SIGTERM)

    def _changed(self, paths: Iterable[str]) -> bool:
        for path in paths:
            try:
                changed = os.stat(path).st_mtime
            except OSError:
                continue  # editors may take it away for a moment
            if self._seen.setdefault(path, changed) != changed:
                return True
        return False


def imported() -> list[str]:
    """The files of all modules, packages of others included."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return [file for file in files if isinstance(file, str)]


def below(folder: str) -> Iterator[str]:
    """The Python files below a folder, as far as they are somebody's own."""
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in SKIPPED]
        for name in files:
            if name.endswith(".py"):
                yield os.path.join(place, name)
                count += 1
                if count >= MAX_FILES:
                    return
