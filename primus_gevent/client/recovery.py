"""Reconnecting: a randomised exponential back-off, and an object per outage that tells listeners of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConnectError, ConnectTimeout

if TYPE_CHECKING:
    from .options import ReconnectOptions
    from .steps import Steps

__all__ = ["Outage", "Recovery"]


class Outage:
    """One time without connection, with all its attempts: the argument of ``reconnecting`` and its kin.

    Attributes:
        min_delay, max_delay, factor, retries, reconnect_timeout: the option `reconnect`.
        attempt: how many there were, with the one that is planned or under way.
        backoff: true while a delay runs.
        timeout: seconds of the delay that was chosen last.
        start: when it began, in seconds since the epoch.
        duration: seconds that it took; 0 until it is over.
    """

    def __init__(self, options: ReconnectOptions, start: float) -> None:
        self.min_delay = options.min_delay
        self.max_delay = options.max_delay
        self.factor = options.factor
        self.retries = options.retries
        self.reconnect_timeout = options.reconnect_timeout
        self.attempt = 0
        self.backoff = False
        self.timeout = 0.0
        self.start = start
        self.duration = 0.0

    @property
    def scheduled(self) -> float:
        """The same as `timeout`, by the name that Primus 5 and later give it."""
        return self.timeout

    def delay(self, dice: float) -> float:
        """Seconds before the present attempt.

        Grows as the specification says (0.5, 1, 2, ...), so it is the formula of Primus 5 and later: the one
        of 2.4 skips a step and waits twice as long.

        Args:
            dice: from 0 to 1.
        """
        if self.attempt <= 1:
            return min(self.min_delay, self.max_delay)
        try:
            grown = (dice + 1) * self.min_delay * self.factor ** (self.attempt - 1)
        except OverflowError:
            return self.max_delay
        return min(grown, self.max_delay)

    def __repr__(self) -> str:
        state = f"next in {self.timeout:.3g} s" if self.backoff else "trying"
        return f"<Outage attempt {self.attempt} of {self.retries:g}, {state}>"


class Recovery:
    """The way back of one client. All of it runs in the hub."""

    def __init__(self, client: Steps) -> None:
        self._client = client
        self.outage: Outage | None = None

    @property
    def waiting(self) -> bool:
        """A delay is running. A further reason to reconnect changes nothing then."""
        return self.outage is not None and self.outage.backoff

    @property
    def attempting(self) -> bool:
        """The transport is trying right now."""
        return self.outage is not None and not self.outage.backoff

    def schedule(self) -> None:
        """Plan the next attempt, or give up."""
        client = self._client
        outage = self.outage
        if outage is None:
            outage = self.outage = Outage(client.options.reconnect, client.clock.now())
        if outage.attempt >= outage.retries:
            self._give_up(outage)
            return
        outage.attempt += 1
        outage.backoff = True
        outage.timeout = outage.delay(client.clock.random())
        client.announce("reconnecting", outage)
        client.announce("reconnect scheduled", outage)
        # A listener may have ended or reopened the client.
        if self.outage is outage and outage.backoff:
            client.timers.set("recovery", outage.timeout, lambda: self._attempt(outage))

    def _attempt(self, outage: Outage) -> None:
        client = self._client
        outage.backoff = False
        client.timers.set("recovery", outage.reconnect_timeout, lambda: self._expire(outage))
        client.announce("reconnect", outage)
        if self.outage is outage and self.attempting:
            client.announce("outgoing::reconnect")
            client.reopen()

    def _expire(self, outage: Outage) -> None:
        client = self._client
        client.let_go()
        error = ConnectTimeout("Failed to reconnect in a timely manner", str(client.address))
        client.last_error = error
        client.announce("reconnect timeout", error, outage)
        if self.outage is outage:
            self.schedule()

    def _give_up(self, outage: Outage) -> None:
        """Retries are used up. Specification: ``end`` is final."""
        client = self._client
        self.reset()
        outage.duration = client.clock.now() - outage.start
        error = ConnectError("Unable to recover", str(client.address))
        error.__cause__ = client.last_error
        client.give_up(error, outage)

    def succeed(self) -> Outage | None:
        """The connection is back: hands out the outage, or None when there was none."""
        outage = self.outage
        if outage is not None:
            outage.duration = self._client.clock.now() - outage.start
            outage.backoff = False
        self.reset()
        return outage

    def reset(self) -> None:
        """There is no outage."""
        self.outage = None
        self._client.timers.clear("recovery")
