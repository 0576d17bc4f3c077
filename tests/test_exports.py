"""Public means listed in ``__all__``, importable from there, and documented in ``docs/reference``."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import primus_gevent

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
# Modules whose names a user imports from there; the rest of the package is private.
PUBLIC_MODULES = ("primus_gevent", "primus_gevent.errors", "primus_gevent.testing")
EXPORTS = [(module, name) for module in PUBLIC_MODULES for name in importlib.import_module(module).__all__]


@pytest.mark.parametrize(("module", "name"), EXPORTS)
def test_what_is_listed_can_be_imported(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) is not None


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_nothing_is_listed_twice(module: str) -> None:
    names = importlib.import_module(module).__all__
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("module", "name"), EXPORTS)
def test_what_is_listed_is_documented(module: str, name: str) -> None:
    pages = list(REFERENCE.rglob("*.md"))
    assert pages, "docs/reference has no page"
    word = re.compile(rf"`(?:[\w.]+\.)?{re.escape(name)}\b")
    assert any(word.search(page.read_text(encoding="utf-8")) for page in pages), (
        f"{name} is in no page of docs/reference"
    )


@pytest.mark.parametrize(("module", "name"), EXPORTS)
def test_what_is_listed_has_a_docstring(module: str, name: str) -> None:
    exported = getattr(importlib.import_module(module), name)
    if isinstance(exported, type) or callable(exported):
        assert (exported.__doc__ or "").strip()


def test_the_version_is_one_of_the_package_index() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?", primus_gevent.__version__)
