"""Events of a client: their listeners run in greenlets of their own, and start in order."""

from __future__ import annotations

from collections import deque
from typing import Any

from gevent import monkey
from greenlet import getcurrent

from ..errors import ConcurrencyError
from ..inbox import Inbox
from .messages import Messages

__all__ = ["FORGET", "Announcer"]

# In the place of an event: after those before it the listeners are removed.
FORGET = ""

_thread_id = monkey.get_original("_thread", "get_ident")


class Announcer(Inbox):
    """An inbox that tells what happens, in whichever greenlet of its thread it does."""

    _KIND = "client"

    def __init__(self, messages: Messages, hub: Any) -> None:
        super().__init__(messages, hub)
        self._messages = messages
        self._thread = _thread_id()
        self._announcements: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._last_words: deque[tuple[Any, ...]] = deque()

    def announce(self, event: str, *args: Any) -> None:
        """Emit an event: in the hub its listeners have started when this returns, elsewhere they start soon,
        in order."""
        if getcurrent() is not self._hub:
            if not self._announcements:
                self._hub.loop.run_callback(self._catch_up)
            self._announcements.append((event, args))
            return
        if self._announcements:
            self._catch_up()
        self._start_listeners(event, args)

    _note = announce

    def _catch_up(self) -> None:
        while self._announcements:
            self._start_listeners(*self._announcements.popleft())

    def _start_listeners(self, event: str, args: tuple[Any, ...]) -> None:
        if event == FORGET:
            self.remove_all_listeners()
            return
        for listener in self._registered(event):
            if self._claim(event, listener):
                self._messages.run(self._call, event, listener, *args)

    def _say_last_words(self) -> None:
        while self._last_words:
            self.announce(*self._last_words.popleft())

    def _drained(self) -> None:
        self._say_last_words()

    def _fail(self, what: str, error: BaseException) -> None:
        """A message was dropped or a ``data`` listener raised: tell, and live on."""
        self._messages.report(self, what, error)
        self.announce("error", error)

    def _check_thread(self) -> None:
        if _thread_id() != self._thread:
            raise ConcurrencyError("a client belongs to the thread that made it; give each thread its own")
