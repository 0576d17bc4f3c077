"""``library``: what it writes is what the package compiles, by whichever way the options come."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from primus_gevent import Primus
from primus_gevent.cli.library import types
from tests.unit.cli.running import Runner, serving

ROOT = Path(__file__).parents[3]
TSC = ROOT / "tests" / "js" / "node_modules" / ".bin" / "tsc"


def test_to_stdout(run: Runner) -> None:
    result = run("library")
    assert (result.status, result.err) == (0, "")
    assert result.out == Primus().library()


def test_by_hand(run: Runner, tmp_path: Path) -> None:
    path = tmp_path / "client.js"
    words = ["--transformer", "Engine.IO", "--parser", "ejson", "--path", "live", "--global-name", "Live"]
    result = run("library", "-o", str(path), *words)
    assert (result.status, result.out) == (0, "")
    assert result.err.startswith(f"wrote {path} (")
    primus = Primus(transformer="engine.io", parser="ejson", pathname="/live", global_name="Live")
    assert path.read_text("utf-8") == primus.library()


@pytest.mark.parametrize(
    ("file", "words", "format_", "declarations"),
    [
        ("p.js", [], "script", "p.d.ts"),
        ("p.mjs", [], "esm", "p.d.mts"),
        ("p.cjs", [], "script", "p.d.cts"),
        ("p.js", ["--format", "esm"], "esm", "p.d.ts"),
    ],
)
def test_formats_and_types(
    file: str, words: list[str], format_: str, declarations: str, run: Runner, tmp_path: Path
) -> None:
    assert run("library", "-o", str(tmp_path / file), "--types", *words).status == 0
    assert (tmp_path / file).read_text("utf-8") == Primus().library(format_)  # type: ignore[arg-type]
    assert (tmp_path / declarations).read_text("utf-8") == types(format_)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([file, declarations])


def test_only_the_types(run: Runner) -> None:
    assert run("library", "--types").out == types("script")
    assert "export default Primus;" in run("library", "--types", "--format", "esm").out


@pytest.mark.slow
def test_typescript_takes_them(run: Runner, tmp_path: Path) -> None:
    """An ES module's declarations differ from those of a script: each is refused where the other belongs."""
    if not TSC.exists():
        pytest.fail("TypeScript is not installed: `make npm`", pytrace=False)
    for file in ("p.mjs", "q.cjs"):
        assert run("library", "-o", str(tmp_path / file), "--types").status == 0
    (tmp_path / "a.mts").write_text(
        "import Primus, { EventEmitter, Primus as Same } from './p.mjs';\n"
        "const primus: Primus<string> = new Same('http://localhost');\n"
        "const parser: Primus.Parser = Primus.parser;\n"
        "new EventEmitter().on('x', () => primus.write(parser));\n"
    )
    (tmp_path / "b.cts").write_text(
        "import Primus = require('./q.cjs');\nconst primus: Primus = Primus.connect('http://localhost');\n"
    )
    node = shutil.which("node") or "node"
    done = subprocess.run(
        [
            node,
            TSC,
            "--noEmit",
            "--strict",
            "--skipDefaultLibCheck",
            "--module",
            "nodenext",
            "a.mts",
            "b.cts",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 0)


def test_of_a_server(run: Runner) -> None:
    with serving(
        transformer=["sockjs", "engine.io"], parser="binary", pathname="/x", timeout=20, ping_interval=5
    ) as (
        primus,
        url,
    ):
        result = run("library", "--from", f"{url}/x")
        assert (result.status, result.out) == (0, primus.library())
        assert "plugins" in result.err
        assert run(
            "library", "--from", url, "--path", "x", "--transformer", "engine.io"
        ).out == primus.library(transformer="engine.io")
        result = run("library", "--from", f"{url}/x", "--transformer", "polling")
        assert result.status == 2
        assert "this server has sockjs, engine.io, not polling" in result.err


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the folder that we are in."""
    (tmp_path / "chat_for_library.py").write_text(
        "from primus_gevent import Primus\n"
        "primus = Primus(transformer='engine.io', plugin={'p': {'client': '() => 42'}})\n"
        "def plain(environ, start_response): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "chat_for_library"


def test_of_an_application(chat: str, run: Runner) -> None:
    result = run("library", "--app", chat)
    assert result.status == 0
    assert "() => 42" in result.out
    assert "EIO" in result.out, "it is that of Engine.IO"
    result = run("library", "--app", f"{chat}:plain")
    assert (result.status, result.out) == (1, "")
    assert "has no Primus" in result.err
    result = run("library", "--app", chat, "--parser", "json")
    assert result.status == 2
    assert "--parser is the application's own" in result.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--transformer", "pigeon"], "unknown transformer 'pigeon'; known are: browserchannel, "),
        (["--parser", "morse"], "unknown parser 'morse'; known are: binary, "),
        (["--path", "/"], "option 'pathname' must not be the root"),
    ],
)
def test_what_there_is_not(words: list[str], complaint: str, run: Runner) -> None:
    result = run("library", *words)
    assert (result.status, result.out) == (2, "")
    assert complaint in result.err


def test_a_file_that_cannot_be_written(run: Runner, tmp_path: Path) -> None:
    path = tmp_path / "no" / "primus.js"
    result = run("library", "-o", str(path))
    assert (result.status, result.err) == (1, f"primus-gevent: {path}: No such file or directory\n")
