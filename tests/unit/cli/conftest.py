"""Fixtures for tests of commands."""

from __future__ import annotations

import pytest

from tests.unit.cli.running import Runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(capsys, monkeypatch)
