"""No unit test may leave an error in the hub, where it would only be printed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.hub import hub_errors


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[list[BaseException]]:
    with hub_errors() as errors:
        yield errors
    assert errors == []
