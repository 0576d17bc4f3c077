"""What goes: messages that are transformed, encoded and sent, or wait for the connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, overload

from ..errors import OptionError, ParserError
from ..transforms import DIRECTIONS, Packet, Transform, Turns, apply
from .announcing import Announcer
from .messages import Messages
from .options import ClientOptions

__all__ = ["CLOSED", "OPEN", "OPENING", "Sender"]

F = TypeVar("F", bound=Callable[..., Any])

OPENING, CLOSED, OPEN = 1, 2, 3


class Sender(Announcer):
    """The outgoing half of a client. Its connection comes and goes."""

    def __init__(self, options: ClientOptions, hub: Any) -> None:
        super().__init__(Messages(options), hub)
        self.options = options
        self.ready_state = CLOSED
        self.socket: Any = None
        self.buffer: deque[Any] = deque()
        self._turns = Turns()
        self._destroyed = False

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self.ready_state == OPEN

    @property
    def writable(self) -> bool:
        """Whether `write` would accept a message: to send it now, or when there is a connection."""
        return not self._destroyed

    # -- transforms; specification, "Transforming and intercepting messages"

    @overload
    def transform(self, direction: str) -> Callable[[F], F]: ...
    @overload
    def transform(self, direction: str, fn: F) -> F: ...
    def transform(self, direction: str, fn: Any = None) -> Any:
        """Let every message pass ``fn(packet)`` on its way; without ``fn`` this is a decorator.

        It changes ``packet.data``, or returns ``False`` to swallow the message; it may block. ``fn(packet,
        next)`` is waited for until it calls ``next()``, ``next(error)`` or ``next(None, False)``. What it
        raises is an ``error`` event, and the message is dropped.

        Args:
            direction: ``incoming`` or ``outgoing``.

        Raises:
            OptionError: another direction.
        """
        if direction not in DIRECTIONS:
            raise OptionError(f"a message is {' or '.join(DIRECTIONS)}, not {direction!r}", "transform")

        def add(function: Any) -> Any:
            transform = Transform(function, self.options.transform_timeout)
            setattr(self._messages, direction, (*getattr(self._messages, direction), transform))
            return function

        return add if fn is None else add(fn)

    def untransform(self, direction: str, fn: Callable[..., Any]) -> bool:
        """Take back a `transform`; tell whether it was there. Messages that are in it already go on.

        Raises:
            OptionError: another direction.
        """
        if direction not in DIRECTIONS:
            raise OptionError(f"a message is {' or '.join(DIRECTIONS)}, not {direction!r}", "transform")
        before = getattr(self._messages, direction)
        rest = tuple(transform for transform in before if transform.function != fn)
        setattr(self._messages, direction, rest)
        return len(rest) < len(before)

    # -- sending

    def write(self, data: Any) -> bool:
        """Send one message, or keep it until there is a connection.

        Parks the caller while more than the option `write_buffer` waits for the server to take it, or while
        an outgoing transform does.

        Returns:
            True when it was accepted, also when a transform has swallowed it; False after `destroy`, or when
            it could not be transformed or encoded, which is an ``error`` event.
        """
        if self._destroyed:
            return False
        self._check_thread()
        if self._messages.outgoing:
            return self._write_transformed(data)
        return self._send(data)

    def _write_transformed(self, data: Any) -> bool:
        # A transform may block, and messages leave in the order in which they were written.
        with self._turns:
            packet = Packet(data, spark=self)
            try:
                passed = apply(self._messages.outgoing, packet)
            except Exception as error:  # noqa: BLE001
                self._fail("an outgoing transform", error)
                return False
            return self._send(packet.data) if passed else True

    def _send(self, data: Any) -> bool:
        """Without the transforms: Primus's own messages come here directly."""
        if self.buffer and self._carries:
            # An `open` listener may write before the queue was sent: it goes first.
            self._flush()
        if not self._carries:
            self._enqueue(data)
            return True
        return self._encode_and_send(data)

    @property
    def _carries(self) -> bool:
        # A connection that was dropped for its silence is gone before the state says so.
        return self.ready_state == OPEN and self.socket is not None

    def _enqueue(self, data: Any) -> None:
        limit = self.options.queue_size
        while self.buffer and len(self.buffer) >= limit:
            self.buffer.popleft()
            self._messages.dropped("queued messages")
        if limit > 0:
            self.buffer.append(data)

    def _flush(self) -> None:
        with self._turns:
            while self.buffer and self._carries:
                self._encode_and_send(self.buffer.popleft())

    def _encode_and_send(self, data: Any) -> bool:
        try:
            payload = self._messages.encode(data)
            socket = self.socket
            if socket is None:  # a parser that waits, and meanwhile the connection was lost
                self.buffer.appendleft(data)
                return True
            socket.send(payload)
        except Exception as error:  # noqa: BLE001
            failure = ParserError(f"Failed to encode outgoing data: {error}", data)
            failure.__cause__ = error
            self._fail("parser", failure)
            return False
        if self.watched:
            self._note("outgoing::data", payload)
        if socket.full:
            socket.wait_writable()
        return True

    def send_own(self, message: str) -> None:
        """Send a message of Primus's own; it is of no use later. Never blocks."""
        socket = self.socket
        if not self._carries:
            return
        if socket.full:
            self._messages.dropped("heartbeats")
            return
        self._messages.run(self._send_own, socket, message)  # a parser may wait

    def _send_own(self, socket: Any, message: str) -> None:
        try:
            payload = self._messages.encode(message)
            if self.socket is socket:
                socket.send(payload)
        except Exception as error:  # noqa: BLE001 - not every parser can carry such a text
            failure = ParserError(f"Failed to encode {message[:32]!r}: {error}", message)
            failure.__cause__ = error
            self._fail("parser", failure)
            return
        if self.watched:
            self._note("outgoing::data", payload)

    # -- what `Inbox` wants to know

    def _pause(self) -> None:
        if self.socket is not None:
            self.socket.pause()

    def _resume(self) -> None:
        if self.socket is not None:
            self.socket.resume()
