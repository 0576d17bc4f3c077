"""Standard input and output that never keep the event loop from its work.

A full pipe, a stopped terminal or a user who thinks would block every greenlet, heartbeats included. So we
wait until the descriptor is ready, and then move no more than it can take. The descriptors stay blocking:
they are shared with the shell and with whoever is behind the pipe.
"""

from __future__ import annotations

import codecs
import os
import select
import stat
from collections.abc import Iterator
from typing import IO, Any

from gevent.socket import wait_read, wait_write

from ..errors import PrimusError

__all__ = ["Input", "Output"]

# POSIX: a pipe that poll() calls writable takes this many bytes without blocking.
PIECE_BYTES = getattr(select, "PIPE_BUF", 512)
READ_BYTES = 65536
MAX_LINE_BYTES = 16 << 20


class Output:
    """Text to a stream of this process, such as `sys.stdout`."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._fd = descriptor(stream)
        self._waits = self._fd is not None and can_wait(self._fd)
        self.is_terminal = self._fd is not None and os.isatty(self._fd)

    def write(self, text: str) -> None:
        """Write and flush. Parks the caller until all of it was taken.

        Raises:
            BrokenPipeError: nobody reads it any more.
            OSError: it cannot be written, because the disk is full for example.
        """
        if self._fd is None or not self._waits:
            self._stream.write(text)
            self._stream.flush()
            return
        data = memoryview(text.encode(self._encoding, "backslashreplace"))
        while data:
            wait_write(self._fd)
            try:
                data = data[os.write(self._fd, data[:PIECE_BYTES]) :]
            except BlockingIOError:
                continue  # somebody else has made it non-blocking, and was quicker


class Input:
    """What comes in on a stream of this process, such as `sys.stdin`."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._fd = descriptor(stream) if stream is not None else None
        self._waits = self._fd is not None and can_wait(self._fd)
        self.is_terminal = self._fd is not None and os.isatty(self._fd)

    @property
    def fd(self) -> int | None:
        """Its descriptor, if it is open."""
        return self._fd

    def read(self) -> bytes:
        """What is there. Parks the caller until there is something; empty at the end."""
        if self._fd is None:
            return b""
        while True:
            if self._waits:
                wait_read(self._fd)
            try:
                return os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:  # a terminal that has gone
                return b""

    def lines(self) -> Iterator[str]:
        """Its lines without their ends; also the last one, if it has none.

        Raises:
            PrimusError: a line is no UTF-8, or longer than `MAX_LINE_BYTES`.
        """
        number, rest = 0, bytearray()
        while data := self.read():
            rest += data
            if b"\n" in data:
                *whole, last = bytes(rest).split(b"\n")
                for line in whole:
                    number += 1
                    yield decoded(line, number)
                rest = bytearray(last)
            elif len(rest) > MAX_LINE_BYTES:
                raise PrimusError(f"line {number + 1} of the input is longer than {MAX_LINE_BYTES} bytes")
        if rest:
            yield decoded(bytes(rest), number + 1)


def decoded(line: bytes, number: int) -> str:
    try:
        return codecs.decode(line, "utf-8").removesuffix("\r")
    except UnicodeDecodeError:
        raise PrimusError(f"line {number} of the input is not UTF-8 text") from None


def descriptor(stream: IO[Any]) -> int | None:
    """Of a stream; None where there is none, as in tests."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def can_wait(fd: int) -> bool:
    """Whether the event loop can wait for it. Files are always ready, and the loop refuses them."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)
