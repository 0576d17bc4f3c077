"""No unit test may leave an error in the hub, where it would only be printed; and time need not be real."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from primus_gevent.testing.virtual import VirtualTime
from tests.unit.fakes import stop_sweeps
from tests.unit.hub import hub_errors


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[list[BaseException]]:
    with hub_errors() as errors:
        yield errors
        stop_sweeps()
    assert errors == []


@pytest.fixture
def virtual(hub_stays_clean: list[BaseException]) -> Iterator[VirtualTime]:
    """Time that passes when the test says so, for all timers and for Primus."""
    time = VirtualTime.of(gevent.get_hub())
    time.start()
    yield time
    time.stop()
