"""The house rules that can be read off the source: who imports whom, what stays pure, what nobody does.

Source is parsed, never imported, so that a module with a missing optional dependency is checked too.
Rooms that do not exist yet have their floor already; a room without a floor is an error, so that the table
stays complete.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "primus_gevent"

# A module may import from floors below its own, and on its own floor only inside its room.
FLOORS = {
    "arity": 0,
    "clock": 0,
    "errors": 0,
    "version": 0,
    "checks": 1,
    "dispatchers": 1,
    "heartbeat": 1,
    "events": 1,
    "hosts": 1,
    "parsers": 1,
    "plugins": 1,
    "protocols": 1,
    "request": 1,
    "session": 1,
    "settings": 1,
    "transforms": 1,
    "transport_options": 1,
    "inbox": 2,
    "library": 2,
    "introductions": 2,
    "middleware": 2,
    "parsing": 2,
    "options": 2,
    "sparks": 2,
    "transports": 2,
    "client": 3,
    "extensions": 3,
    "spark": 3,
    "transformers": 3,
    "serving": 4,
    "primus": 5,
    "front door": 6,
    "testing": 6,  # beside the front door, not in it: it is imported by tests only
    "demo": 7,
    "cli": 8,  # a program that uses the front door, as any other program does
    "__main__": 9,
}
FRONT_DOOR = ("__init__", "server")  # two files, one room
SANS_IO = ("parsers", "protocols")
# Nothing that waits, blocks or tells the time.
IMPURE = {
    "asyncio",
    "gevent",
    "geventwebsocket",
    "greenlet",
    "select",
    "selectors",
    "socket",
    "ssl",
    "threading",
    "time",
}


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the package by its dotted name; a package's own is the one without ``__init__``."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else "__init__"
    return "front door" if name in FRONT_DOOR else name


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that can run; what is imported for types only binds nobody."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from runtime_nodes(other)
            continue
        yield child
        yield from runtime_nodes(child)


def imported_by(module: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The dotted names of the modules that `module` imports, wherever in it the import stands."""
    names: set[str] = set()
    for node in runtime_nodes(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                package = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                base = f"{package}.{base}" if base else package
            for alias in node.names:
                name = f"{base}.{alias.name}"
                # `from . import spark` imports a module, `from .spark import Spark` a name out of one
                names.add(name if name in known else base)
    return names


def import_edges(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    known = modules(root)
    for module, path in known.items():
        for target in sorted(imported_by(module, path, known)):
            if target == PACKAGE or target.startswith(f"{PACKAGE}."):
                yield module, target


def wrong_edges(root: Path = ROOT) -> list[str]:
    return [
        f"{a} -> {b}"
        for a, b in import_edges(root)
        if room(a) != room(b) and FLOORS[room(a)] <= FLOORS[room(b)]
    ]


def impure_modules(root: Path = ROOT) -> list[str]:
    known = modules(root)
    return [
        f"{module} -> {target}"
        for module, path in known.items()
        if room(module) in SANS_IO
        for target in sorted(imported_by(module, path, known))
        if target.partition(".")[0] in IMPURE
    ]


def monkey_patches(root: Path = ROOT) -> list[str]:
    """Every use of a ``patch_*`` function; asking gevent.monkey what *is* patched is allowed."""
    wrong = []
    for module, path in modules(root).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            names = []
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom):
                names = [alias.name for alias in node.names]
            wrong += [f"{module}:{node.lineno} uses {name}" for name in names if name.startswith("patch_")]
    return wrong


def test_every_room_has_a_floor() -> None:
    rooms = {room(module) for module in modules()}
    assert "errors" in rooms, "the package was not found, so that these tests would check nothing"
    assert rooms - FLOORS.keys() == set()


def test_imports_only_go_down() -> None:
    assert wrong_edges() == []


def test_sans_io_rooms_stay_pure() -> None:
    assert impure_modules() == []


def test_nothing_monkey_patches() -> None:
    """Whether to patch is the application's choice, and both choices must work."""
    assert monkey_patches() == []


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A made-up package beside which the checks above can be shown to fail."""
    (tmp_path / PACKAGE / "protocols").mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("")
    (tmp_path / PACKAGE / "protocols" / "__init__.py").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ..spark import Spark", [f"{PACKAGE}.protocols.wire -> {PACKAGE}.spark"]),
        ("from .. import spark", [f"{PACKAGE}.protocols.wire -> {PACKAGE}.spark"]),
        ("import primus_gevent.spark", [f"{PACKAGE}.protocols.wire -> {PACKAGE}.spark"]),
        (
            "def late():\n    from primus_gevent.spark import Spark",
            [f"{PACKAGE}.protocols.wire -> {PACKAGE}.spark"],
        ),
        ("from ..events import Emitter", [f"{PACKAGE}.protocols.wire -> {PACKAGE}.events"]),
        ("from .. import Primus", [f"{PACKAGE}.protocols.wire -> {PACKAGE}"]),
        ("from ..errors import PrimusError", []),
        ("from . import frames", []),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..spark import Spark", []),
    ],
)
def test_an_import_that_goes_up_is_found(house: Path, source: str, found: list[str]) -> None:
    for name in ("spark", "events", "errors", "protocols/frames"):
        (house / PACKAGE / f"{name}.py").write_text("")
    (house / PACKAGE / "protocols" / "wire.py").write_text(source)
    assert wrong_edges(house) == found


@pytest.mark.parametrize(
    "source", ["import socket", "from gevent.event import Event", "def late():\n    import time"]
)
def test_an_impure_protocol_is_found(house: Path, source: str) -> None:
    (house / PACKAGE / "protocols" / "wire.py").write_text(source)
    assert len(impure_modules(house)) == 1


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from gevent import monkey\n\nmonkey.patch_all()", 1),
        ("from gevent.monkey import patch_socket", 1),
        ("import gevent.monkey\n\n\ndef late():\n    gevent.monkey.patch_ssl()", 1),
        ("from gevent import monkey\n\nmonkey.is_module_patched('socket')", 0),
    ],
)
def test_a_monkey_patch_is_found(house: Path, source: str, found: int) -> None:
    (house / PACKAGE / "protocols" / "wire.py").write_text(source)
    assert len(monkey_patches(house)) == found


# What `pip install` brings along (setup.py), by the names it is imported by; gevent brings greenlet's kin.
INSTALLED = {"gevent", "greenlet", "werkzeug", "simplejson", "geventwebsocket"}
# Extras: imported where somebody asks for them, inside functions or with an `except ImportError`.
OPTIONAL = {"flask", "pytest", "gunicorn", "cryptography", "msgpack", "orjson", "websockets", "redis"}


def test_only_what_is_installed_is_imported() -> None:
    """What the development tools bring along is not there after a plain `pip install`."""
    known = modules()
    allowed = INSTALLED | OPTIONAL | {PACKAGE} | set(sys.stdlib_module_names)
    foreign = [
        f"{module} -> {target}"
        for module, path in known.items()
        for target in sorted(imported_by(module, path, known))
        if target.partition(".")[0] not in allowed
    ]
    assert foreign == []
