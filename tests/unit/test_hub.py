"""A test that waits for ever in the hub has a time limit, too."""

from __future__ import annotations

import signal
from typing import Any

import gevent
import pytest
from gevent.event import Event


def test_a_limit_that_runs_out_while_all_wait_fails_the_test() -> None:
    def expire(*args: Any) -> None:
        pytest.fail("too long")

    before = signal.signal(signal.SIGUSR1, expire)
    try:
        gevent.spawn(signal.raise_signal, signal.SIGUSR1)
        with pytest.raises(pytest.fail.Exception, match="too long"):
            Event().wait()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_failure_in_the_hub_fails_the_test() -> None:
    gevent.get_hub().loop.run_callback(pytest.fail, "in the hub")
    with pytest.raises(pytest.fail.Exception, match="in the hub"):
        Event().wait()
