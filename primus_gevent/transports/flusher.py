"""One flush per connection and loop iteration, and one callback for all connections that need it."""

from __future__ import annotations

from typing import Any, Protocol

from gevent import monkey

__all__ = ["Flusher"]


class _Flushable(Protocol):
    def flush(self) -> None: ...


# Really of the thread, also where `threading` is monkey-patched: a loop belongs to a thread.
_local = monkey.get_original("threading", "local")()


class Flusher:
    """Collects what has something to send; it leaves before the loop waits for events again."""

    __slots__ = ("_dirty", "hub", "loop")

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.loop = hub.loop
        self._dirty: list[_Flushable] = []

    @classmethod
    def of(cls, hub: Any) -> Flusher:
        """The flusher of ``hub``, made when it is first asked for."""
        flusher: Flusher | None = getattr(_local, "flusher", None)
        if flusher is None or flusher.hub is not hub or flusher.loop is not hub.loop:
            flusher = _local.flusher = cls(hub)
        return flusher

    def add(self, connection: _Flushable) -> None:
        """Have ``connection.flush()`` called at the end of this loop iteration, in the hub."""
        if not self._dirty:
            self.loop.run_callback(self._run)
        self._dirty.append(connection)

    def _run(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()
