"""Tests of an application: its Primus with real clients in one process, without sockets and without waiting.

    from primus_gevent.testing import World

    def test_chat():
        with World(primus) as world:
            ann, bob = world.connect("name=Ann"), world.connect("name=Bob")
            ann.write({"text": "hello"})
            assert bob.read() == {"from": "Ann", "text": "hello"}

See `World`, and for pytest `primus_gevent.testing.fixtures`.
"""

from __future__ import annotations

from .client import Client, NothingCame
from .live import LiveServer
from .virtual import Restless
from .world import Browser, Task, Unfinished, World

__all__ = ["Browser", "Client", "LiveServer", "NothingCame", "Restless", "Task", "Unfinished", "World"]
