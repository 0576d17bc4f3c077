"""Long polling: a request that waits for packets, and one that brings some. One response each."""

from __future__ import annotations

import socket as stdlib_socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from math import inf
from typing import Any, Final

import gevent
from greenlet import getcurrent

from .. import clock
from ..errors import RemoteProtocolError

__all__ = ["LATE", "LEFT", "MIN_BYTES_PER_SECOND", "WOKEN", "Body", "Poll", "has_left", "read_body"]

READABLE = 1  # libev's event bit
READ_BYTES = 65536
TCP_INFO = getattr(stdlib_socket, "TCP_INFO", None)
TCP_ESTABLISHED = 1

# What a body, either way, takes at most beside the time that its first byte may take.
MIN_BYTES_PER_SECOND: Final = 16384

# How a wait ends.
WOKEN: Final = "woken"
LEFT: Final = "left"  # the client has hung up
LATE: Final = "late"


class Poll:
    """One request that waits. Made in its greenlet, which `wait` parks.

    Args:
        hub: of this thread.
        sock: the connection of the request, to notice that its client hangs up; None where it is hidden.

    Attributes:
        deadline: until when its answer may be on its way (s, monotonic); infinite before that.
        dismissed: another request has taken its place.
    """

    __slots__ = ("_greenlet", "_hub", "_sock", "_waking", "_watcher", "deadline", "dismissed")

    def __init__(self, hub: Any, sock: Any) -> None:
        self._hub = hub
        self._sock = sock
        self._greenlet: Any = None
        self._waking = False
        self._watcher: Any = None
        self.deadline = inf
        self.dismissed = False

    def wait(self, timeout: float | None = None) -> str:
        """Park until `wake`, until the client hangs up, or for so many seconds; tells which."""
        hub = self._hub
        timer = None
        if self._sock is not None:
            self._watcher = hub.loop.io(self._sock.fileno(), READABLE)
            self._watcher.start(self._on_readable)
        if timeout is not None:
            timer = hub.loop.timer(timeout)
            timer.start(self._switch, LATE)
        self._greenlet = getcurrent()
        try:
            outcome: str = hub.switch()
            while self._greenlet is not None:
                # Whoever of ours switches back has cleared it: this was something that was left behind.
                outcome = hub.switch()
        finally:
            self._greenlet = None
            if self._watcher is not None:
                self._watcher.stop()
                self._watcher.close()
                self._watcher = None
            if timer is not None:
                timer.close()
        return outcome

    def wake(self) -> None:
        """Let `wait` return at the end of this loop iteration: what is written until then goes with it."""
        if self._greenlet is not None and not self._waking:
            self._waking = True
            self._hub.loop.run_callback(self._wake)

    def _wake(self) -> None:
        self._waking = False
        self._switch(WOKEN)

    def dismiss(self) -> None:
        """Another request takes its place: it carries nothing any more."""
        self.dismissed = True
        self.wake()

    def left(self) -> bool:
        """Whether the client has hung up, though `wait` may not have seen it yet."""
        return has_left(self._sock)

    def answer_with(self, size: int, seconds: float) -> None:
        """The answer is ready, with so many bytes; its first ones may take so many seconds."""
        self.deadline = clock.monotonic() + seconds + size / MIN_BYTES_PER_SECOND

    def cut(self) -> bool:
        """Make `wait` return as if the client had left, or the sending fail; False if that cannot be done."""
        if self._greenlet is not None:
            self._hub.loop.run_callback(self._switch, LEFT)
        elif self._sock is None:
            return False
        else:
            # The socket below gevent's: that one would drop its TLS session under the greenlet that sends.
            with suppress(OSError):
                getattr(self._sock, "_sock", self._sock).shutdown(stdlib_socket.SHUT_RDWR)
        return True

    def _on_readable(self) -> None:
        if has_left(self._sock):
            self._switch(LEFT)
        elif self._watcher is not None:
            self._watcher.stop()  # the next request, sent early: it would keep us busy

    def _switch(self, outcome: str) -> None:
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.switch(outcome)


def has_left(sock: Any) -> bool:
    """Whether the peer of a connection has hung up. A half-closed one counts, as in Node; None does not."""
    if sock is None:
        return False
    sock = getattr(sock, "_sock", sock)  # gevent's wrapper would wait
    if TCP_INFO is not None:
        with suppress(OSError):  # not TCP, or gone
            state: int = sock.getsockopt(stdlib_socket.IPPROTO_TCP, TCP_INFO, 1)[0]
            return state != TCP_ESTABLISHED
    try:
        return not sock.recv(1, stdlib_socket.MSG_PEEK | stdlib_socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def read_body(environ: dict[str, Any], limit: int, seconds: float) -> bytes:
    """The body of a request, with and without Content-Length. Blocks until it is there.

    Args:
        limit: bytes that it may have.
        seconds: that it may take, beside those that its length takes at `MIN_BYTES_PER_SECOND`.

    Raises:
        RemoteProtocolError: it is longer (413), late (408) or cut off (400).
    """
    announced = environ.get("CONTENT_LENGTH") or ""
    if announced.isdigit() and announced.isascii():
        if len(announced) > 18 or int(announced) > limit:
            raise RemoteProtocolError("The body is too large", status=413)
        size = int(announced)
        wanted = size
    elif environ.get("wsgi.input_terminated"):
        size, wanted = -1, limit + 1
    else:
        return b""
    stream = environ["wsgi.input"]
    if 0 <= size <= _at_hand(stream):
        data = stream.read(size)
        if len(data) == size:
            return bytes(data)
        raise RemoteProtocolError("The body was cut off", status=400)
    timeout = gevent.Timeout(seconds + wanted / MIN_BYTES_PER_SECOND)
    try:
        with timeout:
            data = _read(stream, wanted)
    except gevent.Timeout as late:
        if late is not timeout:
            raise
        raise RemoteProtocolError("The body took too long", status=408) from None
    except Exception as error:
        # OSError of a cut connection, and whatever the server makes of broken chunks
        raise RemoteProtocolError(f"The body was cut off: {error}", status=400) from error
    if size < 0 and len(data) > limit:
        raise RemoteProtocolError("The body is too large", status=413)
    if size >= 0 and len(data) < size:
        raise RemoteProtocolError("The body was cut off", status=400)
    return data


def _at_hand(stream: Any) -> int:
    """Bytes that can be read without waiting, as far as the server tells: nearly always the whole body."""
    if type(stream) is BytesIO:  # a layer has read it
        return len(stream.getbuffer())
    available = getattr(getattr(stream, "rfile", None), "available", None)  # our own server's
    return 0 if available is None else int(available())


def _read(stream: Any, wanted: int) -> bytes:
    data: bytes = stream.read(wanted)
    if len(data) == wanted or not data:
        return data
    chunks = [data]  # a chunked body comes in pieces
    size = len(data)
    while size < wanted:
        data = stream.read(wanted - size)
        if not data:
            break
        chunks.append(data)
        size += len(data)
    return b"".join(chunks)


class Body:
    """The one piece of a response, which tells afterwards whether the server has sent it.

    A WSGI server asks for the next piece when it has sent this one, and calls `close` in any case.
    """

    __slots__ = ("_data", "_done", "_lost", "_sent")

    def __init__(self, data: bytes, *, sent: Callable[[], None], lost: Callable[[], None]) -> None:
        self._data: bytes | None = data
        self._sent = sent
        self._lost = lost
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._data is None:
            if not self._done:
                self._done = True
                self._sent()
            raise StopIteration
        data, self._data = self._data, None
        return data

    def close(self) -> None:
        """The server is done with the response."""
        if not self._done:
            self._done = True
            self._lost()
