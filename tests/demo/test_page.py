"""The demo page in headless Chromium: a chat on two screens, a killed connection, and no network."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.demo import running_demo

PLAY = Path(__file__).with_name("play.js")


@pytest.mark.browser
@pytest.mark.interop
def test_the_page_in_a_browser() -> None:
    with running_demo() as demo:
        done = subprocess.run(
            ["node", PLAY, demo.url], capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert demo.stop() == (0, "", "")
