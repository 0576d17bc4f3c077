"""Message transforms: functions of the user's that every message passes, on its way in or out.

Specification, "Transforming and intercepting messages". A transform changes ``packet.data``, or returns
``False`` to swallow the message. One with a second parameter gets ``next`` and is waited for, so that
messages keep their order whatever it waits for (in the original a slow one lets later messages overtake).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gevent.event import AsyncResult

from .arity import arity
from .errors import PrimusError, TransformError

__all__ = ["DIRECTIONS", "Packet", "Transform", "apply"]

DIRECTIONS = ("incoming", "outgoing")


class Packet:
    """One message on its way.

    Attributes:
        data: the message; what a transform puts here goes on.
        raw: what it was decoded from; None for an outgoing one.
    """

    __slots__ = ("_spark", "data", "personal", "raw")

    def __init__(self, data: Any, raw: Any = None, spark: Any = None) -> None:
        self.data = data
        self.raw = raw
        self._spark = spark
        self.personal = False

    @property
    def spark(self) -> Any:
        """The connection it came from or goes to.

        A broadcast passes the transforms once for all sparks, unless one of them looks at this.
        """
        self.personal = True
        return self._spark

    def __repr__(self) -> str:
        return f"<Packet {self.data!r}>"


class Transform:
    """One registered function."""

    __slots__ = ("_seconds", "_takes_next", "function")

    def __init__(self, function: Callable[..., Any], seconds: float) -> None:
        """
        Args:
            function: ``fn(packet)`` or ``fn(packet, next)``.
            seconds: how long the second kind may keep a message.
        """
        if not callable(function):
            raise TypeError(f"a transform must be callable, not {function!r}")
        self.function = function
        self._takes_next = arity(function)[0] >= 2
        self._seconds = seconds

    def __call__(self, packet: Packet) -> Any:
        return self._wait(packet) if self._takes_next else self.function(packet)

    def _wait(self, packet: Packet) -> Any:
        answer: Any = AsyncResult()

        def proceed(error: Any = None, go_on: Any = None) -> None:
            if answer.ready():
                return
            if error:
                answer.set_exception(error if isinstance(error, BaseException) else PrimusError(str(error)))
            else:
                answer.set(go_on)

        self.function(packet, proceed)
        answer.wait(self._seconds)
        if not answer.ready():
            raise TransformError(f"{self.function!r} did not call next within {self._seconds} s", packet.data)
        return answer.get()


def apply(transforms: Sequence[Transform], packet: Packet) -> bool:
    """Run ``transforms`` in order; tell whether the message goes on. Blocks while they do.

    Raises:
        Exception: whatever a transform raises, or gives to ``next``; the message is lost then.
    """
    return all(transform(packet) is not False for transform in transforms)
