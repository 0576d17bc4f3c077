"""The pages about the test kit say what it does, and show what is run: here, as a user's tests are."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from primus_gevent import Primus, Socket, testing
from primus_gevent.testing import fixtures
from tests.unit.test_docs import DOCS, blocks, names, rows, section

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "testing"
HOWTO = DOCS / "howto" / "test.md"
REFERENCE = (DOCS / "reference" / "testing.md").read_text(encoding="utf-8")


def test_the_example_passes_as_a_users_tests_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(EXAMPLE), str(EXAMPLE)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^8 passed", done.stdout, re.MULTILINE), done.stdout


def test_what_the_howto_shows_is_what_is_run() -> None:
    sources = [path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.py")]
    first, *others = blocks(HOWTO, "python")
    for code in others:
        assert any(code.strip() in source for source in sources), code
    primus = Primus()
    primus.on("connection", lambda spark: spark.pipe(spark))
    scope: dict[str, Any] = {"primus": primus}
    exec(first, scope)
    scope["test_echo"]()


def public(kind: type, base: type = object) -> set[str]:
    made = inspect.getsource(inspect.unwrap(vars(kind)["__init__"]))
    attributes = set(re.findall(r"self\.(\w+)(?:: [^=]+)? = ", made)) | set(vars(kind))
    return {name for name in attributes if not name.startswith("_") and not hasattr(base, name)}


@pytest.mark.parametrize(
    ("kind", "base", "internal"),
    [
        (testing.World, object, {"door"}),
        (testing.Client, Socket, {"connected_by"}),
        (testing.LiveServer, object, set()),
    ],
)
def test_everything_public_is_in_the_reference(kind: type, base: type, internal: set[str]) -> None:
    text = section(REFERENCE, f"## `{kind.__name__}`")
    cells = [cell for row in rows(text) for name in names(row[0]) for cell in re.findall(r"^\w+", name)]
    assert public(kind, base) - internal - set(cells) == set()
    for name in set(cells) - {"query", "url", "browser", "environ"}:
        found = inspect.signature(kind).parameters.keys() | public(kind) | set(dir(kind)) | {"world", "app"}
        assert name in found, name


def test_signatures_in_the_reference() -> None:
    for shown, function in (
        (r"World\((.*?)\)`", testing.World),
        (r"`connect\((.*?)\)`", testing.World.client),
        (r"`read\((.*?)\)`", testing.Client.read),
        (r"`wait\((.*?)\)`", testing.World.wait),
    ):
        written = re.search(shown, REFERENCE)
        assert written is not None, shown
        given = dict(re.findall(r"(\w+)=([^,]+)", written[1]))
        assert given
        for name, default in given.items():
            assert repr(inspect.signature(function).parameters[name].default) == default.replace('"', "'"), (
                name
            )


def test_names_fixtures_and_errors_are_all_there() -> None:
    for name in testing.__all__:
        assert f"`{name}`" in REFERENCE, name
    assert {row[0].strip("`") for row in rows(section(REFERENCE, "## Fixtures"))} == set(fixtures.__all__)
    for name, bases, _ in rows(section(REFERENCE, "## Errors")):
        kind = getattr(testing, names(name)[0])
        assert {base.__name__ for base in kind.__mro__} >= set(names(bases))
