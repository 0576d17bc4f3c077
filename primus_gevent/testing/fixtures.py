"""Fixtures for pytest. In the ``conftest.py`` of the tests' root::

    pytest_plugins = ["primus_gevent.testing.fixtures"]

There is no entry point that would do this for everybody: it would import gevent into every run of pytest
where this package happens to be installed, and before a ``conftest.py`` can monkey-patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .live import LiveServer
from .world import World

__all__ = ["primus_server", "primus_world"]


@pytest.fixture
def primus_world() -> Iterator[Callable[..., World]]:
    """Makes a `World` of a Primus, with the arguments of that class; it is closed after the test."""
    with ExitStack() as stack:

        def make(primus: Any, *args: Any, **options: Any) -> World:
            return stack.enter_context(World(primus, *args, **options))

        yield make


@pytest.fixture
def primus_server() -> Iterator[Callable[..., LiveServer]]:
    """Serves a Primus for real; see `LiveServer`, whose arguments it takes. It is stopped after the test."""
    with ExitStack() as stack:

        def serve(primus: Any, *args: Any, **options: Any) -> LiveServer:
            return stack.enter_context(LiveServer(primus, *args, **options))

        yield serve
