"""Message transforms: functions of the user's that every message passes, on its way in or out.

Specification, "Transforming and intercepting messages". A transform changes ``packet.data``, or returns
``False`` to swallow the message. One with a second parameter gets ``next`` and is waited for, so that
messages keep their order whatever it waits for (in the original a slow one lets later messages overtake).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from gevent.event import AsyncResult, Event
from greenlet import getcurrent

from .arity import arity, never_runs
from .errors import OptionError, PrimusError, TransformError

__all__ = ["DIRECTIONS", "Packet", "Transform", "Turns", "apply"]

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
    """One registered function.

    Attributes:
        function: what was registered.
        call: takes the packet and blocks until the function has decided; ``False`` swallows the message.

    Args:
        function: ``fn(packet)`` or ``fn(packet, next)``.
        seconds: how long the second kind may keep a message.

    Raises:
        OptionError: it is neither.
    """

    __slots__ = ("_seconds", "call", "function")

    def __init__(self, function: Callable[..., Any], seconds: float) -> None:
        if not callable(function):
            raise OptionError(f"a transform is a function, not {function!r}", "transform")
        if never_runs(function):
            raise OptionError(
                f"a transform is a plain function, which may block; {function!r} would never run", "transform"
            )
        required, accepted = arity(function)
        if required > 2 or not accepted:
            raise OptionError(f"the transform {function!r} takes (packet) or (packet, next)", "transform")
        self.function = function
        self.call: Callable[[Packet], Any] = self._wait if required == 2 else function
        self._seconds = seconds

    def _wait(self, packet: Packet) -> Any:
        answer: Any = AsyncResult()

        def proceed(error: Any = None, go_on: Any = None) -> None:
            if answer.ready():
                return
            if error:
                answer.set_exception(_error(error))
            else:
                answer.set(go_on)

        self.function(packet, proceed)
        answer.wait(self._seconds)
        if not answer.ready():
            raise TransformError(f"{self.function!r} did not call next within {self._seconds} s", packet.data)
        return answer.get()


def _error(given: Any) -> Exception:
    """What was given to ``next``, as an error of this message.

    A timeout or a kill that ended the transform's own work must not pass for one of whoever reads or writes.
    """
    if isinstance(given, Exception):
        return given
    error = PrimusError(str(given) or repr(given))
    if isinstance(given, BaseException):
        error.__cause__ = given
    return error


class Turns:
    """Lets one greenlet at a time pass, in the order in which they came; who is inside may enter again.

    Not a lock of gevent's: those let whoever has just left in again before those who wait.
    """

    __slots__ = ("_depth", "_holder", "_waiting")

    def __init__(self) -> None:
        self._holder: Any = None  # a greenlet, or the event of one that was called and has not come yet
        self._depth = 0
        self._waiting: deque[Any] = deque()

    def __enter__(self) -> None:
        me = getcurrent()
        if self._holder is None:
            self._holder = me
        elif self._holder is me:
            self._depth += 1
        else:
            self._wait()
            self._holder = me

    def _wait(self) -> None:
        turn: Any = Event()
        self._waiting.append(turn)
        try:
            turn.wait()
        except BaseException:  # killed, or out of time
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._pass_on()
            raise

    def __exit__(self, *exc: object) -> None:
        if self._depth:
            self._depth -= 1
        else:
            self._pass_on()

    def _pass_on(self) -> None:
        self._holder = self._waiting.popleft() if self._waiting else None
        if self._holder is not None:
            self._holder.set()


def apply(transforms: Sequence[Transform], packet: Packet) -> bool:
    """Run ``transforms`` in order; tell whether the message goes on. Blocks while they do.

    Raises:
        Exception: whatever a transform raises, or gives to ``next``; the message is lost then.
    """
    for transform in transforms:  # noqa: SIM110 - a generator would cost as much as the transforms
        if transform.call(packet) is False:
            return False
    return True
