"""All open sparks of one server: found by id, walked through, and written to at once.

Knows sparks by what they can do, not by their class.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .dispatchers import FAILURES
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
        seen: set[str] = set()
        while fresh := [spark for id_, spark in self.by_id.items() if id_ not in seen]:
            for spark in fresh:
                seen.add(spark.id)
                if spark.writable:
                    yield spark

    def for_each(self, function: Callable[..., Any]) -> bool:
        """Call ``function(spark, id, sparks)`` for each; ``False`` from it stops. Tell if it went through."""
        call = Listener(function)
        return all(call(spark, spark.id, self.by_id) is not False for spark in self._walk())

    def for_each_next(self, function: Callable[..., Any], done: Callable[..., Any]) -> None:
        """Call ``function(spark, next)`` for one spark after the other, and ``done(error)`` at the end.

        Goes on in whichever greenlet calls ``next``; nothing is parked meanwhile.
        """
        finish = Listener(done)
        walk = self._walk()
        running = False
        todo: list[tuple[Any, Any]] = []  # what `next` was called with, while `function` is still running

        def proceed(error: Any, go_on: Any) -> None:
            # A loop and not a recursion: `next` is often called at once, and there may be many sparks.
            nonlocal running
            todo.append((error, go_on))
            if running:
                return
            running = True
            try:
                while todo:
                    error, go_on = todo.pop()
                    spark = None if error or go_on is False else next(walk, None)
                    if spark is None:
                        walk.close()  # type: ignore[attr-defined]
                        finish(error or None)
                        return
                    step(spark)
            finally:
                running = False

        def step(spark: Any) -> None:
            called = False

            def call_next(error: Any = None, go_on: Any = None) -> None:
                nonlocal called
                if not called:
                    called = True
                    proceed(error, go_on)

            try:
                function(spark, call_next)
            except FAILURES as error:
                call_next(error)

        proceed(None, None)

    # -- broadcasting

    def write(self, data: Any, encode: Encode, transforms: Sequence[Transform]) -> None:
        """Send a message to all, encoded and framed once. Does not wait for any client.

        A transform that asks for ``packet.spark`` runs once for each spark, and what it raises concerns only
        that one.

        Raises:
            Exception: whatever the encoder or a transform raises; then nothing was sent.
        """
        if transforms:
            self._write_transformed(data, encode, transforms)
        else:
            self._send(self.by_id.values(), encode(data))

    def _write_transformed(self, data: Any, encode: Encode, transforms: Sequence[Transform]) -> None:
        sparks = [spark for spark in self if spark.writable]
        if not sparks:
            return
        packet = Packet(data, spark=sparks[0])
        try:
            passed = apply(transforms, packet)
        except Exception as error:
            if not packet.personal:
                raise
            sparks[0].not_sent(error)
            passed = False
        if not packet.personal:
            if passed:
                self._send(self, encode(packet.data))
            return
        # A transform has looked at the spark, so each gets a message of its own.
        if passed:
            self._send(sparks[:1], encode(packet.data))
        for spark in sparks[1:]:
            packet = Packet(data, spark=spark)
            try:
                if apply(transforms, packet):
                    self._send([spark], encode(packet.data))
            except Exception as error:  # noqa: BLE001
                spark.not_sent(error)

    def _send(self, sparks: Any, payload: Raw) -> None:
        framed: dict[str, bytes] = {}
        slow = []
        for spark in sparks:
            connection = spark.socket
            if connection.full:
                slow.append(spark)
                continue
            if spark.watched:
                spark.sending(payload)
            framing = connection.framing
            if framing is None:
                connection.send(payload)
                continue
            if framing not in framed:
                framed[framing] = connection.prepare(payload)
            connection.send_prepared(framed[framing])
        for spark in slow:
            self._send_slowly(spark, payload)

    def _send_slowly(self, spark: Any, payload: Raw) -> None:
        spark.socket.flush()
        if not spark.socket.full:
            spark.socket.send(payload)
        elif self._drop_slow:
            self._dropped("slow consumer messages")
        else:
            logger.warning("%r does not read what it is sent: closed", spark)
            self._dropped("slow consumers")
            spark.hang_up(1013)  # "try again later"
