"""Settings of the whole test run; fixtures live beside the tests that use them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What is quick and says most exactly what is wrong comes first; folders that are not named come before these.
SLOW_FOLDERS = ("fuzz", "contract", "conformance", "demo", "interop")

# A shared machine is slow at times: a deadline per example would fail for that and nothing else.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# In continuous integration the same examples run each time; a failure there can be had again here.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


# Under nohup, or as a background job, this process ignores signals; the servers that it starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0]
        return SLOW_FOLDERS.index(folder) + 1 if folder in SLOW_FOLDERS else 0

    items.sort(key=rank)
