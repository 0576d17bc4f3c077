"""Time that passes when a test says so: for everything in one hub that waits for a timer of gevent's.

While a `VirtualTime` runs, the hub's loop stands behind a `VirtualLoop`, which is the same in all but its
timers. So `gevent.sleep`, `gevent.Timeout`, ``spawn_later``, every ``wait(timeout)`` and all that Primus
waits for is in virtual time; what waits for a descriptor, a thread or a signal is not. What Primus measures
is too (`primus_gevent.clock`); `time.time` and `time.monotonic` of the application are not.

Time stands still while something is asked of a `VirtualTime`, except for what `step` says. When the test
waits by itself instead, for a real socket say, time passes as it always does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

import gevent
from gevent import monkey
from greenlet import getcurrent

from .. import clock

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Restless", "VirtualLoop", "VirtualTime", "VirtualTimer"]

MAX_TURNS = 50_000  # of the loop, without any time passing: somebody goes round in circles
SHORTEST = 0.001  # seconds of a real timer; libuv warns of less
EPSILON = 1e-9  # seconds; sums of floats are not exact

# Really of the thread, also where `threading` is monkey-patched: a hub belongs to a thread.
_thread_id = monkey.get_original("_thread", "get_ident")


class Restless(AssertionError):
    """Greenlets go on and on although no time passes, so that there is no end to wait for."""


class VirtualTimer:
    """What `VirtualLoop.timer` makes; keeps the contract of gevent's own timers."""

    def __init__(
        self, virtual: VirtualTime, after: float, repeat: float, ref: bool, priority: int | None
    ) -> None:
        self.ref = ref
        self.priority = priority
        self.pending = False
        self.callback: Callable[..., Any] | None = None
        self.args: tuple[Any, ...] = ()
        self._virtual = virtual
        self._after = after
        self._repeat = repeat
        self._due: float | None = None
        self._real: Any = None  # once virtual time is over

    @property
    def loop(self) -> Any:
        """The loop that it was made by."""
        return self._virtual.hub.loop

    @property
    def active(self) -> bool:
        """Whether it will fire."""
        return self._due is not None

    @property
    def at(self) -> float:
        """When it fires, in virtual seconds; infinite if it does not."""
        return float("inf") if self._due is None else self._due

    def start(self, callback: Callable[..., Any], *args: Any, update: bool | None = None) -> None:
        """Call ``callback(*args)`` in the hub when it is time."""
        if not callable(callback):
            raise TypeError(f"a timer calls something, not {callback!r}")
        self.callback, self.args = callback, args
        self._set(self._after)

    def again(self, callback: Callable[..., Any], *args: Any, update: bool = True) -> None:
        """Begin its interval anew."""
        self.callback, self.args = callback, args
        if self._repeat:
            self._set(self._repeat)
        else:
            self.stop()

    def stop(self) -> None:
        """Do not fire."""
        self._due = None
        if self._real is not None:
            self._real.stop()

    def close(self) -> None:
        """The same, for good."""
        self.stop()
        self.callback, self.args = None, ()
        if self._real is not None:
            self._real.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _set(self, seconds: float) -> None:
        self._due = self._virtual.seconds + max(seconds, 0.0)
        self._virtual.add(self)

    def go_real(self, loop: Any) -> None:
        """Virtual time is over: what is left of the wait is a real one."""
        if self._due is not None:
            if self._real is not None:
                self._real.close()
            remaining = max(self._due - self._virtual.seconds, SHORTEST)
            self._real = loop.timer(remaining, self._repeat, ref=self.ref)
            self._real.start(self.fire, update=True)

    def fire(self) -> None:
        """Its time has come. Called in the hub."""
        if self._due is None:
            return  # it was stopped meanwhile
        callback, args = self.callback, self.args
        if not self._repeat:
            self._due = None
        elif self._real is None:
            self._set(self._repeat)
        assert callback is not None
        try:
            callback(*args)
        except BaseException:  # noqa: BLE001 - as the loop does with what its watchers raise
            self._virtual.hub.handle_error(self, *sys.exc_info())

    def __repr__(self) -> str:
        state = f"at {self._due:.3f}" if self._due is not None else "stopped"
        return f"<VirtualTimer {state} {self.callback!r}>"


class VirtualLoop:
    """A loop of gevent's, with other timers."""

    def __init__(self, virtual: VirtualTime, loop: Any) -> None:
        vars(self).update(_virtual=virtual, _loop=loop)

    def timer(self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None) -> Any:
        """A timer, in virtual time for as long as that runs."""
        if self._virtual.running:
            return VirtualTimer(self._virtual, after, repeat, ref, priority)
        return self._loop.timer(after, repeat, ref, priority)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._loop, name, value)  # `error_handler`, by the hub

    def __repr__(self) -> str:
        return f"<VirtualLoop of {self._loop!r}>"


class VirtualTime:
    """The virtual time of one hub.

    Attributes:
        hub: whose timers it has.
        seconds: since it began.
        running: false before `start` and after `stop`.
    """

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.loop = hub.loop
        self.seconds = 0.0
        self.running = False
        self._began = time.monotonic(), time.time()
        self._users = 0
        self._held = 0  # how many calls are under way during which time stands still
        self._holder: Any = None  # the greenlet of the first of them
        self._timers: list[tuple[float, int, VirtualTimer]] = []
        self._order = count()
        self._alarm: Any = None  # a real timer, for when the test itself waits

    @classmethod
    def of(cls, hub: Any) -> VirtualTime:
        """That of the hub: the one that runs, or a new one."""
        known: VirtualTime | None = getattr(hub.loop, "_virtual", None)
        return cls(hub) if known is None else known

    # -- while it runs

    def start(self) -> None:
        """Begin, unless it runs already: there may be several users."""
        self._users += 1
        if self.running:
            return
        gevent.sleep(0)  # the hub has to be in its own loop, before there is another one
        self.running = True
        self.hub.loop = VirtualLoop(self, self.loop)
        _register(self)

    def stop(self) -> None:
        """End, when nobody else uses it. What still waits goes on in real time."""
        self._users -= 1
        if self._users:
            return
        self._disarm()
        self.running = False
        self.hub.loop = self.loop
        _unregister(self)
        timers, self._timers = self._timers, []
        for at, _, timer in timers:
            if timer.at == at:  # otherwise it was stopped, or set anew
                timer.go_real(self.loop)

    def monotonic(self) -> float:
        """For `primus_gevent.clock`."""
        return self._began[0] + self.seconds

    def now(self) -> float:
        """For `primus_gevent.clock`."""
        return self._began[1] + self.seconds

    def add(self, timer: VirtualTimer) -> None:
        """Take a timer that was started."""
        if not self.running:  # it was made before the end, and is started after it
            timer.go_real(self.loop)
            return
        heappush(self._timers, (timer.at, next(self._order), timer))
        if not self._held:
            self._arm()

    # -- what a test asks for; never in the hub

    @contextmanager
    def held(self) -> Iterator[None]:
        """No time passes inside, except by `step`."""
        self._disarm()
        if not self._held:
            self._holder = getcurrent()
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                self._holder = None
                self._arm()

    @property
    def is_held_elsewhere(self) -> bool:
        """Whether another greenlet asks something of it right now: who calls runs because of that."""
        return self._held > 0 and getcurrent() is not self._holder

    def settle(self) -> None:
        """Run everything that can run without time passing.

        Raises:
            Restless: that has no end.
        """
        with self.held():
            for _ in range(MAX_TURNS):
                gevent.sleep(0)
                if self.loop._callbacks:  # scheduled meanwhile; gevent tells it in no other way
                    continue
                timer = self._take_due()
                if timer is None:
                    return
                self.loop.run_callback(timer.fire)
        raise Restless(f"after {MAX_TURNS} turns of the loop greenlets still go on, without any time passing")

    def step(self, end: float) -> bool:
        """Settle, then let time pass up to the next timer, and settle again.

        Args:
            end: in virtual seconds; if there is no timer before that, so much time passes.

        Returns:
            Whether there was a timer before ``end``.
        """
        with self.held():
            self.settle()
            at = self._next()
            found = at is not None and at <= end + EPSILON
            self.seconds = max(self.seconds, at if found and at is not None else end)
            self.settle()
            return found

    def advance(self, seconds: float) -> None:
        """Let so much time pass; what is due in it happens, in order, and each time everything settles.

        Raises:
            Restless: see `settle`.
        """
        end = self.seconds + seconds
        while self.step(end):
            pass

    def pause(self, seconds: float) -> None:
        """Wait really, with virtual time standing still: for threads, and for other processes."""
        with self.held(), self.loop.timer(seconds) as timer:
            self.hub.wait(timer)

    # -- timers, in the order of their times

    def _next(self) -> float | None:
        while self._timers:
            at, _, timer = self._timers[0]
            if timer.at == at:
                return at
            heappop(self._timers)  # it was stopped, or set anew
        return None

    def _take_due(self) -> VirtualTimer | None:
        at = self._next()
        if at is None or at > self.seconds + EPSILON:
            return None
        return heappop(self._timers)[2]

    # -- when the test waits by itself, time passes as it always does

    def _arm(self) -> None:
        self._disarm()
        at = self._next() if self.running else None
        if at is not None:
            self._alarm = self.loop.timer(max(at - self.seconds, SHORTEST))
            self._alarm.start(self._ring, at, update=True)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None

    def _ring(self, at: float) -> None:
        self.seconds = max(self.seconds, at)
        timer = self._take_due()
        if timer is not None:
            timer.fire()
        if not self._held:
            self._arm()

    def __repr__(self) -> str:
        return f"<VirtualTime {self.seconds:.3f} s, {len(self._timers)} timers>"


# -- `primus_gevent.clock`, in those threads that have virtual time

_running: dict[int, VirtualTime] = {}


def _register(virtual: VirtualTime) -> None:
    _running[_thread_id()] = virtual
    clock.monotonic, clock.now = _monotonic, _now


def _unregister(virtual: VirtualTime) -> None:
    _running.pop(_thread_id(), None)
    if not _running:
        clock.monotonic, clock.now = time.monotonic, time.time


def _monotonic() -> float:
    virtual = _running.get(_thread_id())
    return time.monotonic() if virtual is None else virtual.monotonic()


def _now() -> float:
    virtual = _running.get(_thread_id())
    return time.time() if virtual is None else virtual.now()
