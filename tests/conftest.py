"""Settings of the whole test run; fixtures live beside the tests that use them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from gevent.hub import Hub
from hypothesis import HealthCheck, settings

# What takes longest comes first: the processes that share the run should end together.
SLOW_FIRST = (
    "conformance",
    "interop/test_interop.py",
    "unit/library",
    "interop",
    "contract",
    "unit/test_examples.py",
    "demo",
    "fuzz",
)

# A shared machine is slow at times: a deadline per example would fail for that and nothing else.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# In continuous integration the same examples run each time; a failure there can be had again here.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


# Under nohup, or as a background job, this process ignores signals; the servers that it starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A test whose time limit runs out while all greenlets wait fails in the hub, which has to hand it on.
Hub.SYSTEM_ERROR = (*Hub.SYSTEM_ERROR, pytest.fail.Exception)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(here).as_posix()
        places = (place for place, name in enumerate(SLOW_FIRST) if path.startswith(name))
        return next(places, len(SLOW_FIRST))

    items.sort(key=rank)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests want to be seen in the output of every run: `record_property("shown", text)`."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    shown = [str(text) for report in calls for name, text in report.user_properties if name == "shown"]
    if shown:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n\n".join(shown))
