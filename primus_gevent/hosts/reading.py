"""The reading side of a connection of our own server: time limits, heads, and bodies of requests.

A connection has one read watcher for as long as it lives, and its callback switches straight into the
greenlet that waits. Going through gevent's socket, and through a `BufferedReader`, would start and stop a
watcher, create an object to wait with, and try a `recv` that fails, for each request: half of what a request
costs.
"""

from __future__ import annotations

import errno
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from gevent import get_hub
from greenlet import getcurrent

from ..errors import RemoteProtocolError
from .base import is_secure
from .http import MAX_HEAD_BYTES, MAX_LINE_BYTES, chunk_size, parse_fields, split_lines

__all__ = ["Input", "Limits", "Reader"]

READABLE, WRITABLE = 1, 2  # libev's event bits
HEAD_BYTES = 4096  # for one `recv`: the larger its buffer, the more it costs, whatever comes
BODY_BYTES = 65536
MAX_CHUNK_LINE_BYTES = 4096
TIMER_SECONDS = 0.01  # the shortest timer; libuv's fires a little early, and knows no less than a millisecond
MAX_TRAILER_BYTES = 8192

_READY, _LATE, _CLOSED = object(), object(), object()  # what a waiting greenlet is woken with


class Limit:
    """One length of time that readers may take, and those that are under it.

    All get the same time, so they run out in the order in which they came, and one timer looks after all of
    them. It is not moved when one leaves: it finds out when it fires.
    """

    def __init__(self, loop: Any, seconds: float | None) -> None:
        """
        Args:
            seconds: None is no limit.
        """
        self._loop = loop
        self._seconds = seconds
        self._deadlines: dict[Reader, float] = {}
        self._timer: Any = None

    def start(self, reader: Reader) -> None:
        """From now on, until `stop`."""
        if self._seconds is None:
            return
        self._deadlines[reader] = time.monotonic() + self._seconds
        if self._timer is None:
            self._start_timer(self._seconds)

    def stop(self, reader: Reader) -> None:
        self._deadlines.pop(reader, None)

    def _start_timer(self, seconds: float) -> None:
        self._timer = self._loop.timer(seconds, ref=False)
        self._timer.start(self._expire)

    def _expire(self) -> None:
        self._timer.close()
        self._timer = None
        now = time.monotonic()
        late = []
        for reader, deadline in self._deadlines.items():
            if deadline > now:
                self._start_timer(max(deadline - now, TIMER_SECONDS))
                break
            late.append(reader)
        for reader in late:
            self._deadlines.pop(reader, None)
            reader.expire()

    def __repr__(self) -> str:
        return f"<Limit {self._seconds} s, {len(self._deadlines)} readers>"


class Limits(dict["float | None", Limit]):
    """The limits of one server by their seconds, made when they are first asked for."""

    def __init__(self, loop: Any) -> None:
        super().__init__()
        self._loop = loop

    def __missing__(self, seconds: float | None) -> Limit:
        limit = self[seconds] = Limit(self._loop, seconds)
        return limit


class Reader:
    """Reads one connection, for one greenlet at a time.

    To adapters that look for pywsgi's read file it looks like one: `raw`, `peek`, `close`, `closed`.
    """

    __slots__ = (
        "_data",
        "_hub",
        "_position",
        "_recv",
        "_secure",
        "_sock",
        "_used",
        "_waiting",
        "_watcher",
        "closed",
    )

    def __init__(self, sock: Any) -> None:
        """
        Args:
            sock: the gevent socket; it never blocks.
        """
        self._sock = sock
        self._secure = is_secure(sock)
        # past gevent's own `recv`, which would wait in its own way
        self._recv: Callable[[int], bytes] = sock._sslobj.read if self._secure else sock._sock.recv
        self._hub = get_hub()
        self._watcher: Any = None
        self._waiting: Any = None  # the greenlet
        self._used = False
        self._data = b""  # received, and read up to _position
        self._position = 0
        self.closed = False

    @property
    def raw(self) -> Reader:
        return self

    def peek(self) -> bytes:
        """What can be read without waiting, and is read next.

        Raises:
            BlockingIOError, ssl.SSLWantReadError: nothing.
            OSError: the client is gone.
        """
        if self._position == len(self._data):
            self._data, self._position = self._recv(BODY_BYTES), 0
        return self._data[self._position :]

    # -- waiting

    def receive(self, size: int) -> bytes:
        """Wait for more; empty at the end of the connection. The caller keeps what this returns.

        Raises:
            TimeoutError: a `Limit` is over.
            OSError: the client is gone.
        """
        # Right after a response there is nothing to be read yet. TLS may have more than the watcher knows of.
        if self._used and not self._secure:
            self._wait_readable()
        self._used = True
        while True:
            try:
                return self._recv(size)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait_readable()
            except ssl.SSLWantWriteError:
                self._wait_writable()
            except ssl.SSLEOFError:
                return b""  # without a close_notify, as most clients leave

    def _wait_readable(self) -> None:
        watcher = self._watcher
        if watcher is None:
            watcher = self._watcher = self._hub.loop.io(self._sock.fileno(), READABLE)
        if not watcher.active:
            watcher.start(self._on_readable)
        self._wait()

    def _wait_writable(self) -> None:
        """TLS has to answer before it reads on: the client changes its keys."""
        watcher = self._hub.loop.io(self._sock.fileno(), WRITABLE)
        try:
            watcher.start(self._switch, _READY)
            self._wait()
        finally:
            watcher.stop()
            watcher.close()

    def _wait(self) -> None:
        self._waiting = getcurrent()
        woken: object = None
        try:
            while woken is not _READY:
                woken = self._hub.switch()
                if woken is _LATE:
                    raise TimeoutError("the client is too slow")
                if woken is _CLOSED:
                    raise OSError(errno.EBADF, "the connection was closed")
        finally:
            self._waiting = None

    def _on_readable(self) -> None:
        greenlet = self._waiting
        if greenlet is None:
            self._watcher.stop()  # the next request, sent early: it would keep us busy
        else:
            greenlet.switch(_READY)

    def _switch(self, reason: object) -> None:
        if self._waiting is not None:
            self._waiting.switch(reason)

    def expire(self) -> None:
        """In the hub: make the wait that there is end in a TimeoutError."""
        self._switch(_LATE)

    def close(self) -> None:
        """Read no more; the socket stays open."""
        self.closed = True
        self._data, self._position = b"", 0
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()
        if self._waiting is not None:
            self._hub.loop.run_callback(self._switch, _CLOSED)

    # -- heads

    def head(self, idle: Limit, limit: Limit) -> bytes:
        """Wait for a request, and return its line and its fields, without the empty line behind them.

        Args:
            idle: until its first byte.
            limit: from its first byte on.

        Returns:
            Nothing if there is no further request.

        Raises:
            RemoteProtocolError: too long or too late, or there are lines that do not end in CRLF.
            OSError: the client is gone.
        """
        data, position = self._data, self._position
        if position == len(data):
            idle.start(self)
            try:
                data, position = self.receive(HEAD_BYTES), 0
            except TimeoutError:
                return b""
            finally:
                idle.stop(self)
            if not data:
                return b""
        end = data.find(b"\r\n\r\n", position)
        if end <= position or data[position] == 13:  # not there yet, or there is an empty line before it
            limit.start(self)
            try:
                data, position = self._complete_head(data[position:]), 0
            except TimeoutError:
                raise RemoteProtocolError("the request came too slowly", status=408) from None
            finally:
                limit.stop(self)
            if not data:
                return b""
            end = data.find(b"\r\n\r\n")
        elif end - position > MAX_HEAD_BYTES:
            raise _too_long(data, position)
        if end + 4 == len(data):
            self._data, self._position = b"", 0
        else:
            self._data, self._position = data, end + 4
        return data[position:end]

    def _complete_head(self, data: bytes) -> bytes:
        """Receive until a head is there; returns what there is then, from its first byte on."""
        self._data, self._position = b"", 0
        skipped = False
        while data:
            if not skipped and data.startswith(b"\r\n"):
                # one empty line is forgiven: old clients send it behind a body (RFC 9112, 2.2)
                data, skipped = data[2:], True
            end = data.find(b"\r\n\r\n")
            size = len(data) - 3 if end < 0 else end  # what is there may end in the middle of its end
            if size > MAX_HEAD_BYTES or (size > MAX_LINE_BYTES and b"\r\n" not in data[: MAX_LINE_BYTES + 2]):
                raise _too_long(data, 0)
            if end >= 0:
                break
            if data.count(b"\n") != data.count(b"\r\n"):
                raise RemoteProtocolError("a line that does not end in CRLF")
            more = self.receive(BODY_BYTES)
            data = data + more if more else b""
        return data

    # -- what follows a head

    def available(self) -> int:
        """Bytes that can be read without waiting."""
        return len(self._data) - self._position

    def find(self, what: bytes, most: int) -> int:
        """Where in the next `most` bytes that are available; -1 if nowhere."""
        found = self._data.find(what, self._position, self._position + most)
        return found if found < 0 else found - self._position

    def take(self, size: int) -> bytes:
        """Read up to `size` bytes of those that are available."""
        start = self._position
        self._position = end = min(start + size, len(self._data))
        data = self._data[start:end]
        if end == len(self._data):
            self._data, self._position = b"", 0
        return data

    def add(self, data: bytes) -> None:
        """Make what `receive` returned available."""
        self._data, self._position = self._data[self._position :] + data, 0

    def __repr__(self) -> str:
        state = "closed" if self.closed else "waiting" if self._waiting is not None else "open"
        return f"<Reader {state}, {self.available()} bytes of {self._sock!r}>"


def _too_long(data: bytes, position: int) -> RemoteProtocolError:
    if b"\r\n" not in data[position : position + MAX_LINE_BYTES + 2]:
        return RemoteProtocolError("the request line is too long", status=414)
    return RemoteProtocolError("the header fields are too long", status=431)


class Input:
    """A body, as ``wsgi.input``. It ends where the body ends, also when that comes in chunks.

    Attributes:
        rfile: what it is read from.
        error: what its client has done, once that was raised. It may be a `RemoteProtocolError`: broken
            chunks; or an OSError: the client has left in the middle.
    """

    __slots__ = ("_begun", "_left", "_more", "_say_continue", "error", "rfile")

    def __init__(
        self, rfile: Reader, length: int, chunked: bool, say_continue: Callable[[], None] | None
    ) -> None:
        """
        Args:
            length: of a body that does not come in chunks.
            say_continue: to be called before the first wait: the client waits for it.
        """
        self.rfile = rfile
        self.error: Exception | None = None
        self._left = length  # bytes of the body, or of the chunk
        self._more = chunked  # further chunks follow
        self._begun = False  # with the first chunk
        self._say_continue = say_continue

    @property
    def raw(self) -> Reader:
        """Where code that knows pywsgi's read file looks for the socket, on an upgrade request."""
        return self.rfile

    @property
    def finished(self) -> bool:
        """All of it has been read."""
        return not self._left and not self._more

    def beyond(self, most: int) -> bool:
        """Whether the rest is too much for `discard`, as far as that is known."""
        return not self.finished and (
            self._say_continue is not None or self._left > most or self.error is not None
        )

    def no_continue(self) -> None:
        """The response has begun: too late to ask for the body."""
        self._say_continue = None

    # -- what PEP 3333 asks for

    def read(self, size: int | None = -1) -> bytes:
        """Wait for so many bytes, or for the rest.

        Raises:
            RemoteProtocolError: the body is broken.
            OSError: the client has left.
        """
        if size is None or size < 0:
            size = sys.maxsize
        if not self._more and self.rfile.available() >= self._left:  # nearly always
            size = min(size, self._left)
            self._left -= size
            return self.rfile.take(size)
        parts = []
        while size and (there := self._wait()):
            part = self._take(min(there, size))
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def readline(self, size: int | None = -1) -> bytes:
        """Wait for the end of a line, or for so many bytes. Raises what `read` does."""
        if size is None or size < 0:
            size = sys.maxsize
        parts = []
        while size and (there := self._wait()):
            there = min(there, size)
            end = self.rfile.find(b"\n", there)
            parts.append(self._take(there if end < 0 else end + 1))
            size -= len(parts[-1])
            if end >= 0:
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Wait for the rest, or for lines with `hint` bytes in all. Raises what `read` does."""
        lines = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def discard(self, most: int) -> bool:
        """Read what is left and throw it away; false if it was more than that."""
        while most > 0 and (there := self._wait()):
            most -= len(self._take(there))
        return self.finished

    # -- chunks

    def _wait(self) -> int:
        """Wait until something can be read, and return how much of it is the body's; 0 at its end."""
        if self.error is not None:
            raise self.error
        try:
            if not self._left and self._more:
                self._begin_chunk()
            if self._left and not self.rfile.available():
                self._receive()
        except (OSError, RemoteProtocolError) as error:
            self.error = error
            raise
        return min(self._left, self.rfile.available())

    def _receive(self) -> None:
        if self._say_continue is not None:
            self._say_continue()
            self._say_continue = None
        data = self.rfile.receive(BODY_BYTES)
        if not data:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the client has left in the middle of a body")
        self.rfile.add(data)

    def _take(self, size: int) -> bytes:
        self._left -= size
        return self.rfile.take(size)

    def _begin_chunk(self) -> None:
        if self._begun and self._line():
            raise RemoteProtocolError("a chunk is longer than it says")
        self._begun = True
        self._left = chunk_size(self._line())
        if not self._left:
            self._read_trailers()
            self._more = False

    def _line(self) -> bytes:
        """A line between the chunks, without its end."""
        while (end := self.rfile.find(b"\n", MAX_CHUNK_LINE_BYTES)) < 0:
            if self.rfile.available() >= MAX_CHUNK_LINE_BYTES:
                raise RemoteProtocolError("a line between chunks is too long")
            self._receive()
        line = self.rfile.take(end + 1)
        if not line.endswith(b"\r\n"):
            raise RemoteProtocolError("a line between chunks does not end in CRLF")
        return line[:-2]

    def _read_trailers(self) -> None:
        """Fields behind the body: they have to be in order, and that is all."""
        lines = []
        size = 0
        while line := self._line():
            size += len(line)
            if size > MAX_TRAILER_BYTES:
                raise RemoteProtocolError("too much behind the last chunk", status=431)
            lines.append(line)
        if lines:
            parse_fields(split_lines(b"\r\n".join(lines)))
