"""What ``serve --reload`` looks at. The two processes are in ``tests/contract/test_cli.py``."""

from __future__ import annotations

import os
import time
from pathlib import Path

import gevent
import pytest

from primus_gevent.cli import reloading
from primus_gevent.cli.reloading import AGAIN, Changes, below, imported
from tests.unit.hub import eventually


def test_files_that_are_somebodys_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.py", "b/c.py", "b/text.txt", ".git/d.py", "node_modules/e.py", "b/__pycache__/f.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert sorted(below(str(tmp_path))) == [str(tmp_path / "a.py"), str(tmp_path / "b" / "c.py")]
    monkeypatch.setattr(reloading, "MAX_FILES", 1)
    assert len(list(below(str(tmp_path)))) == 1


def test_everything_imported_is_looked_at() -> None:
    assert {__file__, os.__file__} <= set(imported())


def test_a_change_below_the_folder_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reloading, "LOOK_SECONDS", 0.01)
    broken = tmp_path / "broken.py"
    broken.touch()
    changes = Changes()
    looks = 0
    waits = gevent.sleep

    def counted(seconds: float) -> None:
        nonlocal looks
        looks += 1
        waits(seconds)

    monkeypatch.setattr(gevent, "sleep", counted)
    waiting = gevent.spawn(changes.wait)
    eventually(lambda: looks >= 2)
    assert not waiting.ready()
    os.utime(broken, (1, 1))
    assert waiting.get(timeout=10) == AGAIN


def test_a_change_while_it_was_imported_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reloading, "LOOK_SECONDS", 0.01)
    changes = Changes()
    broken = tmp_path / "broken.py"
    broken.touch()
    os.utime(broken, (changes._began + 0.0001,) * 2)
    assert gevent.spawn(changes.wait).get(timeout=10) == AGAIN


def test_a_clock_that_is_wrong_does_not_start_it_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tomorrow.py"
    path.touch()
    os.utime(path, (time.time() + 86400,) * 2)
    with gevent.Timeout(0.1, False):
        Changes().wait()
        pytest.fail("nothing has changed")
