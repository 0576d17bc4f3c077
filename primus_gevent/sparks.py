"""All open sparks of one server: found by id, walked through, and written to at once.

Knows sparks by what they can do, not by their class.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

from .errors import ParserError
from .events import Listener
from .transforms import Packet, Transform, apply

__all__ = ["Sparks"]

logger = logging.getLogger("primus_gevent")

Raw = str | bytes
Encode = Callable[[Any], Raw]


class Sparks:
    """The open sparks by id, in the order in which they came.

    Args:
        drop_slow: what happens to one whose client does not read what it is sent: a broadcast message is
            dropped for it (True), or it is closed.
        dropped: counts what was dropped.
    """

    def __init__(self, *, drop_slow: bool, dropped: Callable[[str], None]) -> None:
        self.by_id: dict[str, Any] = {}
        self._drop_slow = drop_slow
        self._dropped = dropped

    def __iter__(self) -> Iterator[Any]:
        """The sparks as they are now: they may come and go meanwhile."""
        return iter(list(self.by_id.values()))

    def __len__(self) -> int:
        return len(self.by_id)

    # -- walking; specification, "Broadcasting"

    def _walk(self) -> Iterator[Any]:
        """The open sparks, also those that come meanwhile, without those that end meanwhile."""
        seen: set[Any] = set()  # not their ids: an application may give an id to the next one
        while fresh := [spark for spark in self.by_id.values() if spark not in seen]:
            seen.update(fresh)
            for spark in fresh:
                if spark.writable:
                    yield spark

    def for_each(self, function: Callable[..., Any]) -> bool:
        """Call ``function(spark, id, sparks)`` for each; ``False`` from it stops. Tell if it went through."""
        call = Listener(function)
        sparks = MappingProxyType(self.by_id)
        return all(call(spark, spark.id, sparks) is not False for spark in self._walk())

    def for_each_next(self, function: Callable[..., Any], done: Callable[..., Any]) -> None:
        """Call ``function(spark, next)`` for one spark after the other, and ``done(error)`` at the end.

        Goes on in whichever greenlet calls ``next``; nothing is parked meanwhile.
        """
        Round(self._walk(), function, done).go_on()

    # -- broadcasting

    def write(self, data: Any, encode: Encode, transforms: Sequence[Transform]) -> None:
        """Send a message to all, encoded and framed once. Does not wait for any client.

        A transform that asks for ``packet.spark`` runs once for each spark, and what is raised then concerns
        only that one. Where transforms block, broadcasts of several greenlets may overtake one another: to
        wait for each other would be to let one slow message hold up all.

        Raises:
            ParserError: it cannot be encoded; nothing was sent.
            Exception: whatever a transform raises, for all sparks alike; nothing was sent.
        """
        if transforms:
            self._write_transformed(data, encode, transforms)
        else:
            self._send(self, _encoded(data, encode))

    def _write_transformed(self, data: Any, encode: Encode, transforms: Sequence[Transform]) -> None:
        sparks = iter(self)
        first = next(sparks, None)
        if first is None:
            return
        packet = Packet(data, spark=first)
        try:
            passed = apply(transforms, packet)
            if not packet.personal:
                if passed:
                    self._send(self, _encoded(packet.data, encode))
                return
            self._send_to(first, packet, passed, encode)
        except Exception as error:
            if not packet.personal:
                raise
            first.not_sent(error)
        # A transform has looked at the spark, so each gets a message of its own.
        for spark in sparks:
            if not spark.writable:
                continue
            packet = Packet(data, spark=spark)
            try:
                self._send_to(spark, packet, apply(transforms, packet), encode)
            except Exception as error:  # noqa: BLE001
                spark.not_sent(error)

    def _send_to(self, spark: Any, packet: Packet, passed: bool, encode: Encode) -> None:
        if passed and spark.writable:  # it may have ended while the transforms were waiting
            self._send((spark,), _encoded(packet.data, encode))

    def _send(self, sparks: Iterable[Any], payload: Raw) -> None:
        frames: dict[str, bytes] = {}
        framing = frame = None
        slow = []
        for spark in sparks:
            connection = spark.socket
            if connection.full:
                slow.append(spark)
                continue
            if spark.watched:
                spark.sending(payload)
            if connection.framing is None:
                connection.send(payload)
                continue
            if connection.framing != framing:
                framing = connection.framing
                if framing not in frames:
                    frames[framing] = connection.prepare(payload)
                frame = frames[framing]
            connection.send_prepared(frame)
        for spark in slow:
            self._send_slowly(spark, payload)

    def _send_slowly(self, spark: Any, payload: Raw) -> None:
        spark.socket.flush()
        if not spark.socket.full:
            if spark.watched:
                spark.sending(payload)
            spark.socket.send(payload)
        elif self._drop_slow:
            self._dropped("slow consumer messages")
        else:
            logger.warning("%r does not read what it is sent: closed", spark)
            self._dropped("slow consumers")
            spark.hang_up(1013)  # "try again later"


def _encoded(data: Any, encode: Encode) -> Raw:
    try:
        return encode(data)
    except Exception as error:
        raise ParserError(f"Failed to encode outgoing data: {error}", data) from error


class Round:
    """One `for_each` with ``done``.

    Args:
        walk: the sparks.
        function: ``fn(spark, next)``.
        done: ``fn(error)``; called once.
    """

    def __init__(self, walk: Iterator[Any], function: Callable[..., Any], done: Callable[..., Any]) -> None:
        self._walk: Iterator[Any] | None = walk
        self._function = Listener(function)
        self._done = Listener(done)
        self._running = False
        self._called: tuple[Any, bool] | None = None  # what `next` was called with, until that is acted on

    def go_on(self, error: Any = None, stop: bool = False) -> None:
        """Visit sparks for as long as they call ``next`` at once."""
        self._called = error, stop
        if self._running:
            return
        # A loop and not a recursion, because there may be many of them.
        self._running = True
        try:
            while self._called is not None and self._walk is not None:
                (error, stop), self._called = self._called, None
                spark = None if stop else next(self._walk, None)
                if spark is None:
                    self._finish(error)
                else:
                    self._visit(spark)
        finally:
            self._running = False

    def _visit(self, spark: Any) -> None:
        called = False

        def call_next(error: Any = None, go_on: Any = None) -> None:
            nonlocal called
            if not called:
                called = True
                self.go_on(error or None, bool(error) or go_on is False)

        try:
            self._function(spark, call_next)
        except Exception as error:
            if called:
                logger.exception("%r failed after it had called next", self._function.function)
            call_next(error)
        except BaseException as error:  # a timeout or a kill of the greenlet that we happen to run in
            self._finish(error)
            raise

    def _finish(self, error: Any) -> None:
        if self._walk is not None:
            self._walk = None
            self._done(error)
