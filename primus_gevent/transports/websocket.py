"""A WebSocket over a non-blocking socket: the only code that touches that socket after the handshake.

Reading is one persistent watcher; its callback runs in the hub, feeds the codec and hands complete messages
to the receiver. Writing only appends: everything that one loop iteration wrote to a connection leaves in one
`send`. Nothing here blocks, except `wait_writable` and `wait_gone`, which park their caller.

Life of a connection: OPEN; CLOSING after our Close frame, until the peer's; LINGERING once nothing is left to
say, until the peer has closed its side; GONE.
"""

from __future__ import annotations

import logging
import socket as stdlib_socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gevent.event import Event

from ..protocols.websocket import (
    Close,
    Failure,
    Ping,
    WebSocketProtocol,
    prepare_binary,
    prepare_text,
)
from .base import Raw, Receiver
from .flusher import Flusher

__all__ = ["WebSocketLimits", "WebSocketTransport"]

logger = logging.getLogger("primus_gevent")

READ_BYTES = 65536
# A kilobyte may inflate to a message of a megabyte, and the inbox can push back between two reads only.
DEFLATED_READ_BYTES = 4096
TCP_INFO = getattr(stdlib_socket, "TCP_INFO", None)  # Linux; elsewhere the end waits until it is read
TCP_ESTABLISHED = 1
LINGER_SECONDS = 1.0
LINGER_BYTES = 1 << 20

OPEN, CLOSING, LINGERING, GONE = range(4)
READABLE, WRITABLE = 1, 2  # libev's event bits

# ssl's two are OSErrors too, so these go before any `except OSError`.
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WebSocketLimits:
    """The bounds that all connections of one server share: bytes and seconds."""

    __slots__ = ("close_timeout", "high", "low", "write_timeout")

    def __init__(
        self, *, write_buffer: int = 1 << 20, write_timeout: float = 10.0, close_timeout: float = 5.0
    ) -> None:
        self.high = write_buffer
        self.low = write_buffer // 4
        self.write_timeout = write_timeout
        self.close_timeout = close_timeout


class WebSocketTransport:
    """One WebSocket connection; keeps the contract of `transports.base.Connection`."""

    __slots__ = (
        "__weakref__",
        "_decrypted",
        "_discarded",
        "_flusher",
        "_gone",
        "_limits",
        "_out",
        "_pending",
        "_pong",
        "_protocol",
        "_reader",
        "_receiver",
        "_size",
        "_sock",
        "_state",
        "_timer",
        "_writable",
        "_writer",
        "active",
        "close_code",
        "close_reason",
        "failure",
        "framing",
        "full",
        "hub",
        "paused",
    )

    name = "websocket"

    def __init__(
        self, sock: Any, protocol: WebSocketProtocol, limits: WebSocketLimits, flusher: Flusher
    ) -> None:
        self._sock = sock
        self._protocol = protocol
        self._limits = limits
        self._flusher = flusher
        self._receiver: Receiver | None = None
        self._state = OPEN
        self._decrypted: Callable[[], int] | None = getattr(sock, "pending", None)  # TLS only
        self._out: list[bytes | memoryview] = []
        self._size = 0  # bytes in _out
        self._pending = False  # a flush will come: the flusher has us, or a read callback is under way
        self._pong: bytes | None = None  # payload of the newest ping, kept while the peer does not read
        self._discarded = 0  # bytes read while LINGERING
        self._reader: Any = flusher.loop.io(sock.fileno(), READABLE)
        self._writer: Any = None
        self._timer: Any = None
        self._writable: Event | None = None
        self._gone: Event | None = None
        self.hub = flusher.hub
        self.active = True
        self.paused = False
        self.full = False
        self.framing = "websocket" if protocol.deflate is None and not protocol.client else None
        self.close_code: int | None = None  # what the peer's Close frame said; 1005: it had no code
        self.close_reason = ""
        self.failure: Failure | None = None  # how the peer broke the protocol

    def start(self, receiver: Receiver, early: bytes = b"") -> None:
        """Begin to read for ``receiver``; ``early`` is what came in the handshake's packets."""
        self._receiver = receiver
        self._flusher.loop.run_callback(self._start_with, early)

    def _start_with(self, early: bytes) -> None:
        # In the hub like everything else, and after what was scheduled before. A busy loop lets watchers fire
        # before it has run all callbacks, so this one starts only now.
        if early and self._state != GONE:
            self._on_data(early)
        if self._state != GONE and not self.paused and not self._reader.active:
            self._reader.start(self._on_readable)

    def hand_over(self, receiver: Receiver) -> None:
        """Report to another receiver from now on. Does nothing once the connection has ended."""
        if self._receiver is not None:
            self._receiver = receiver

    # -- reading; all of it runs in the hub

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES if self._protocol.deflate is None else DEFLATED_READ_BYTES)
            if self._decrypted is not None:
                # Bytes that TLS has decrypted already make no descriptor readable.
                while self._decrypted():
                    data += self._sock.recv(READ_BYTES)
        except WOULD_BLOCK:
            return
        except OSError as error:
            self._lost(error)
            return
        if data:
            self._on_data(data)
        else:
            self._lost(None)

    def _on_data(self, data: bytes) -> None:
        state = self._state
        if state >= LINGERING:
            self._discard(data)
            return
        self.active = True
        pending = self._pending
        self._pending = True  # what is written meanwhile leaves below, not through the flusher
        try:
            events = self._protocol.receive(data)
            for event in events:
                if type(event) is not str and type(event) is not bytes:
                    self._take_mixed(events)
                    break
            else:
                # In CLOSING nobody waits any more for what the peer said before it read our Close frame.
                if events and state == OPEN:
                    self._receiver.receive(events)  # type: ignore[union-attr, arg-type]
        except Exception:
            # A bug of ours: this connection is lost, the others and the loop are not.
            logger.exception("reading from %r failed", self)
            self.abort()
        self._pending = pending
        if self._out:
            self.flush()

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > LINGER_BYTES:
            self._destroy()

    def _take_mixed(self, events: list[Any]) -> None:
        """Handle a batch with control frames in it, in the order in which they came."""
        messages: list[Raw] = []
        for event in events:
            if isinstance(event, (str, bytes)):
                messages.append(event)
                continue
            if messages and self._state == OPEN:
                self._receiver.receive(messages)  # type: ignore[union-attr]
                messages = []
            if self._state == GONE:
                return
            if isinstance(event, Ping):
                self._answer_ping(event.payload)
            elif isinstance(event, Close):
                self._peer_closed(event)
            elif isinstance(event, Failure):
                self._fail(event)
        if messages and self._state == OPEN:
            self._receiver.receive(messages)  # type: ignore[union-attr]

    def _answer_ping(self, payload: bytes) -> None:
        if self._state != OPEN:
            return
        if self._writer is None:
            self._append(self._protocol.pong(payload))
        else:
            # The peer does not read: only its newest ping is worth an answer (RFC 6455, 5.5.3).
            self._pong = payload

    def _peer_closed(self, event: Close) -> None:
        self.close_code, self.close_reason = event.code, event.reason
        if not self._protocol.close_sent:
            self._append(self._protocol.close(None if event.code == 1005 else event.code))
        self._begin_linger(clean=True)

    def _fail(self, event: Failure) -> None:
        logger.debug("%r: the peer broke the protocol: %s", self, event.reason)
        self.failure = event
        if not self._protocol.close_sent:
            self._append(self._protocol.close(event.code, event.reason))
        self._begin_linger(clean=False)

    def _lost(self, error: OSError | None) -> None:
        if error is not None:
            logger.debug("%r: lost: %s", self, error)
        self._destroy()

    # -- writing

    def send(self, payload: Raw) -> None:
        """Queue one message: ``str`` as a text frame, ``bytes`` as a binary one. Never blocks.

        Raises:
            UnicodeEncodeError: the text has a lone surrogate; nothing was queued.
        """
        if self._state == OPEN:
            protocol = self._protocol
            data = protocol.text(payload) if type(payload) is str else protocol.binary(payload)  # type: ignore[arg-type]
            self._append(data)

    def prepare(self, payload: Raw) -> bytes:
        """The frame of one message, for `send_prepared` of every connection with the same `framing`."""
        return prepare_text(payload) if isinstance(payload, str) else prepare_binary(payload)

    def send_prepared(self, data: bytes) -> None:
        """Queue a frame that `prepare` made."""
        if self._state == OPEN:
            self._append(data)

    def ping(self, payload: bytes = b"") -> None:
        """Queue a WebSocket ping frame (not Primus's own heartbeat)."""
        if self._state == OPEN:
            self._append(self._protocol.ping(payload))

    def _append(self, data: bytes) -> None:
        self._out.append(data)
        self._size += len(data)
        if self._size > self._limits.high:
            self.full = True
        if not self._pending:
            self._pending = True
            self._flusher.add(self)

    def flush(self) -> None:
        """Send what is queued, as far as the kernel takes it. Never blocks, never raises."""
        self._pending = False
        out = self._out
        if not out or self._writer is not None:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        size = len(data)
        try:
            sent = self._sock.send(data)
        except WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self._lost(error)
            return
        if sent == size:
            out.clear()
            self._size = 0
            if self._state != OPEN or self.full or self._pong is not None:
                self._drained()
            return
        self._size = size - sent
        self._out = [memoryview(data)[sent:]]
        self._writer = self._flusher.loop.io(self._sock.fileno(), WRITABLE)
        self._writer.start(self._on_writable)
        if self._timer is None:
            self._start_timer(self._limits.write_timeout)

    def _on_writable(self) -> None:
        while self._out:
            if len(self._out) > 2:  # the head is partly sent; the rest can travel in one piece
                self._out[1:] = [b"".join(self._out[1:])]
            head = self._out[0]
            try:
                sent = self._sock.send(head)
            except WOULD_BLOCK:
                return
            except OSError as error:
                self._lost(error)
                return
            if not sent:
                return
            self._size -= sent
            if self._state == OPEN:
                self._start_timer(self._limits.write_timeout)
            if sent < len(head):
                self._out[0] = memoryview(head)[sent:]
                if self._size <= self._limits.low:
                    self._set_writable()
                return
            del self._out[0]
        self._stop_writer()
        self._drained()

    def _drained(self) -> None:
        """Everything queued has been handed to the kernel."""
        self._set_writable()
        if self._state == OPEN:
            self._stop_timer()
            if self._pong is not None:
                payload, self._pong = self._pong, None
                self._append(self._protocol.pong(payload))
        elif self._state == LINGERING:
            # The other side now sees the end of the stream after our last frame.
            self._start_timer(LINGER_SECONDS)
            with suppress(OSError):
                self._sock.shutdown(stdlib_socket.SHUT_WR)

    def _set_writable(self) -> None:
        self.full = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def wait_writable(self) -> None:
        """Park the caller until no more than the low mark waits to be sent, or the connection has ended."""
        self.flush()
        if not self.full or self._state == GONE:
            return
        if self._writable is None:
            self._writable = Event()
        self._writable.wait()

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self._size

    # -- back-pressure towards the peer

    def pause(self) -> None:
        """Stop reading; the peer's writes fill the kernel's buffers and then wait."""
        if not self.paused and self._state == OPEN:
            self.paused = True
            self._reader.stop()

    def resume(self) -> None:
        """Read again."""
        if self.paused:
            self.paused = False
            if self._state != GONE:
                self._reader.start(self._on_readable)

    def peer_left(self) -> bool:
        """Whether the kernel has seen the peer's FIN or RST: what a paused connection does not read."""
        if TCP_INFO is None or self._state == GONE:
            return self._state == GONE
        try:
            state: int = self._sock.getsockopt(stdlib_socket.IPPROTO_TCP, TCP_INFO, 1)[0]
        except OSError:
            return False  # a unix socket
        return state != TCP_ESTABLISHED

    # -- the end

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send what is queued and a Close frame, and give the peer ``close_timeout`` seconds to answer.

        Never blocks. Does nothing on a connection that is closing already.

        Raises:
            LocalProtocolError: that code may not be sent (RFC 6455, section 7.4).
        """
        if self._state != OPEN:
            return
        frame = self._protocol.close(code, reason)
        self._append(frame)
        self._state = CLOSING
        self.resume()
        self._start_timer(self._limits.close_timeout)
        self._receiver.closed(True)  # type: ignore[union-attr]

    def abort(self) -> None:
        """Cut the connection without a goodbye; what is queued is lost."""
        self._destroy()

    def wait_gone(self, timeout: float | None = None) -> bool:
        """Park the caller until the socket is closed, or for ``timeout`` seconds; tell which."""
        if self._state == GONE:
            return True
        if self._gone is None:
            self._gone = Event()
        return bool(self._gone.wait(timeout))

    def _begin_linger(self, *, clean: bool) -> None:
        """Nothing is left to say, but to close at once would make unread bytes reset the connection, and
        the peer might lose our last frame."""
        was_open = self._state == OPEN
        self._state = LINGERING
        self.resume()
        self._start_timer(self._limits.close_timeout)
        if not self._out:
            self._drained()
        if was_open:
            self._receiver.closed(clean)  # type: ignore[union-attr]

    def _destroy(self) -> None:
        if self._state == GONE:
            return
        was_open = self._state == OPEN
        self._state = GONE
        self._reader.stop()
        self._reader.close()
        self._reader = None
        self._stop_writer()
        self._stop_timer()
        self._out.clear()
        self._size = 0
        with suppress(OSError):
            self._sock.close()
        self._set_writable()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            if was_open:
                receiver.closed(False)
            receiver.gone()
        if self._gone is not None:
            self._gone.set()

    # -- timers: one at a time, whatever the connection waits for

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self._flusher.loop.timer(seconds)
        self._timer.start(self._on_timer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _stop_writer(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    def _on_timer(self) -> None:
        if self._state == OPEN:
            logger.info("%r: the peer took nothing for %s s", self, self._limits.write_timeout)
        self._destroy()

    def __repr__(self) -> str:
        state = ("open", "closing", "lingering", "gone")[self._state]
        return f"<WebSocketTransport {state}{' paused' if self.paused else ''} {self._size} bytes waiting>"
