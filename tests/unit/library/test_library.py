"""The compiler of the browser client, and the client's own tests, which Node runs."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from primus_gevent.errors import OptionError, PrimusError, UnknownNameError
from primus_gevent.library import LibrarySettings, compact, compile_library, known, parser_source

ROOT = Path(__file__).resolve().parents[3]
JS_TESTS = ROOT / "tests" / "js"
JS_SOURCES = ROOT / "primus_gevent" / "library" / "js"
FORMATS = ("script", "esm")
NODE_SECONDS = 280.0  # for one file, on a busy machine


def settings(**given: Any) -> LibrarySettings:
    return LibrarySettings(**{"version": "1.2.3", **given})


def compiled_settings(text: str) -> dict[str, Any]:
    found = re.search(r"^ *const SETTINGS = (\{.*\});$", text, re.MULTILINE)
    assert found
    value: dict[str, Any] = json.loads(found[1])
    return value


@pytest.mark.parametrize("form", FORMATS)
def test_the_options_of_the_server_are_in_it_in_milliseconds(form: Any) -> None:
    text = compile_library(settings(pathname="/real", authorization=True), format=form)
    assert compiled_settings(text) == {
        "version": "1.2.3",
        "pathname": "/real",
        "authorization": True,
        "ping": 25000,
        "pingTimeout": 45000,
    }


@pytest.mark.parametrize(
    ("timeout", "ping"),
    [
        (35.0, 25000),
        (35, 25000),
        (10.5, 500),
        (10, 5000),
        (0.001, 1),
        (None, False),
        (False, False),
        (0, False),
    ],
)
def test_the_client_pings_in_time_for_the_timeout_of_the_server(timeout: Any, ping: Any) -> None:
    value = compiled_settings(compile_library(settings(timeout=timeout)))["ping"]
    assert (value, type(value)) == (ping, type(ping))


@pytest.mark.parametrize(
    ("interval", "ping_timeout"), [(30.0, 45000), (0.5, 750), (None, 45000), (False, 45000)]
)
def test_the_client_waits_one_and_a_half_intervals_of_the_server(interval: Any, ping_timeout: int) -> None:
    assert compiled_settings(compile_library(settings(ping_interval=interval)))["pingTimeout"] == ping_timeout


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("value", ["</script>", "<!--", "\u2028\u2029", "'@sources';", "\\g<0>\\1", '"'])
def test_any_text_can_be_an_option(form: Any, value: str) -> None:
    text = compile_library(settings(pathname=value, plugins=[(value, "function () {}")]), format=form)
    assert compiled_settings(text)["pathname"] == value
    assert "</script" not in text
    assert text.isascii()


@pytest.mark.parametrize("kind", ["transformer", "parser"])
def test_an_unknown_name_lists_those_there_are(kind: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        compile_library(settings(**{kind: "../primus"}))
    assert isinstance(caught.value, PrimusError)
    assert caught.value.known == known(kind)  # type: ignore[arg-type]
    assert kind in str(caught.value)


def test_an_unknown_format() -> None:
    with pytest.raises(OptionError, match="known are: script, esm"):
        compile_library(settings(), format="amd")  # type: ignore[arg-type]


def test_names_are_those_of_the_files() -> None:
    transformers = {path.stem for path in (JS_SOURCES / "transformers").glob("*.js")}
    assert transformers == {"browserchannel", "engine.io", "polling", "socket.io", "sockjs", "websockets"}
    assert known("transformer") == sorted({*transformers, "faye"})
    parsers = {path.stem for path in (JS_SOURCES / "parsers").glob("*.js")}
    assert parsers == {"binary", "ejson", "json", "jsonh", "msgpack"}
    assert known("parser") == sorted({*parsers, "orjson"})


def test_orjson_is_json_to_a_client() -> None:
    assert compile_library(settings(parser="orjson")) == compile_library(settings(parser="json"))


def test_faye_is_websockets_to_a_client() -> None:
    faye = compile_library(settings(transformer="faye"))
    assert faye == compile_library(settings(transformer="websockets"))


@pytest.mark.parametrize("name", ["binary", "ejson", "jsonh", "msgpack"])
def test_a_parser_brings_what_it_is_built_on_and_no_other_does(name: str) -> None:
    text = compile_library(settings(parser=name))
    assert text.index("function setMember(") < text.index("const parser = ") < text.index("function Primus(")
    assert ("class Packer " in text) == (name in ("binary", "msgpack"))
    assert "setMember" not in compile_library(settings())


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("browserchannel", ["Session", "httpRequest", "toText"]),
        ("engine.io", ["Engine", "findWebSocket", "httpRequest"]),
        ("polling", ["Engine", "httpRequest"]),
        ("socket.io", ["Session", "TransportSession", "findWebSocket", "httpRequest", "toText"]),
        ("sockjs", ["Session", "TransportSession", "findWebSocket", "httpRequest", "toText"]),
        ("websockets", ["findWebSocket"]),
    ],
)
def test_a_transformer_brings_what_it_is_built_on_and_no_more(name: str, parts: list[str]) -> None:
    text = compile_library(settings(transformer=name))
    assert text.index("function transformer(") < text.index("function Primus(")
    parts_of_all = r"(Engine|Session|TransportSession|findWebSocket|httpRequest|toText)"
    assert sorted(re.findall(rf"^ *(?:class|function) {parts_of_all}\b", text, re.MULTILINE)) == parts


def test_a_parser_of_the_application_replaces_ours() -> None:
    text = compile_library(settings(parser="orjson", parser_source="{ encoder: mine, decoder: mine }"))
    assert "{ encoder: mine, decoder: mine }" in text
    assert "JSON.parse" not in text


@pytest.mark.parametrize("form", FORMATS)
def test_foreign_sources_are_taken_as_they_are(form: Any) -> None:
    library = "// theirs\n/* and\nthis */\nvar text = `\n// no comment\n`;"
    client = "function (primus) {\n  // theirs too\n}"
    text = compile_library(settings(libraries=[library], plugins=[("name", client)]), format=form)
    assert library in text
    assert client in text


def test_plugins_come_after_their_libraries_and_the_client() -> None:
    text = compile_library(settings(libraries=["LIBRARY"], plugins=[("one", "ONE"), ("two", "TWO")]))
    places = [
        text.index(part) for part in ("function Primus(", "LIBRARY", "\nONE\n", "\nTWO\n", "return Primus;")
    ]
    assert places == sorted(places)


def test_the_same_settings_give_the_same_text() -> None:
    assert compile_library(settings()) == compile_library(settings())
    assert compile_library(settings()) != compile_library(settings(version="1.2.4"))
    with pytest.raises(FrozenInstanceError):
        settings().pathname = "/other"  # type: ignore[misc]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("parser", "size", "gzipped"),
    [
        ("json", 25_000, 8_000),
        ("jsonh", 27_000, 8_000),
        ("ejson", 30_000, 9_000),
        ("binary", 34_000, 10_000),
        ("msgpack", 37_000, 11_000),
    ],
)
def test_it_is_small(form: Any, parser: str, size: int, gzipped: int) -> None:
    data = compile_library(settings(parser=parser), format=form).encode()
    assert len(data) < size
    assert len(gzip.compress(data, 9)) < gzipped


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a();\n", "a();\n"),
        ("// one\n  // two\na();\n", "a();\n"),
        ("if (a) {\n  b();\n    c();\n}\n", "if (a) {\n b();\n  c();\n}\n"),
        ("a(); // behind code\n", "a(); // behind code\n"),
        ("a('// in text');\n", "a('// in text');\n"),
        ("a(/x/);\n\n\nb();\n", "a(/x/);\nb();\n"),
        ("/* block */\na();\n", "a();\n"),
        ("/*\n * block\n * a();\n */\nb();\n", "b();\n"),
        ("/** doc\n a(); */\nb();\n", "b();\n"),
        ("a(); /* behind code */\n", "a(); /* behind code */\n"),
        ("a('x', // behind\n  '*/');\n", "a('x', // behind\n '*/');\n"),
    ],
)
def test_only_comment_lines_and_half_of_the_indentation_go(text: str, left: str) -> None:
    assert compact(text) == left


def test_our_own_comments_are_gone() -> None:
    lines = [line.strip() for line in compile_library(settings()).splitlines()]
    assert [line for line in lines[1:] if line.startswith(("//", "/*", "*"))] == []
    assert lines[0].startswith("// primus_gevent 1.2.3")


def test_what_the_compiler_reads_is_in_the_package() -> None:
    """Every file below ``library`` is wanted; one of a new kind would not be among the globs of setup.py."""
    suffixes = {path.suffix for path in JS_SOURCES.parent.rglob("*") if path.is_file()} - {".pyc"}
    assert suffixes == {".py", ".js", ".ts"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Libraries that many of the Node programs want, as `tests/js/support/library.js` looks for them; what
    else there is these add."""
    folder = tmp_path_factory.mktemp("compiled")

    def save(text: str, **given: str) -> None:
        key = json.dumps(given, sort_keys=True, separators=(",", ":"))
        folder.joinpath(f"{hashlib.sha256(key.encode()).hexdigest()}.js").write_text(text, "utf-8")

    transformers: list[dict[str, Any]] = [{}, *({"transformer": name} for name in known("transformer"))]
    parsers: list[dict[str, Any]] = [{}, *({"parser": name} for name in known("parser"))]
    for given in ({**one, **other} for one, other in itertools.product(transformers, parsers)):
        save(compile_library(settings(**given)), **given)
        for form in FORMATS:
            save(compile_library(settings(**given), format=form), **given, format=form)  # type: ignore[arg-type]
    for given in parsers:
        save(parser_source(settings(**given)), **given, part="parser")
    return folder


def node(compiled: Path, *arguments: str) -> None:
    program = shutil.which("node")
    assert program, "Node.js is needed for the tests of the browser client"
    assert (JS_TESTS / "node_modules").is_dir(), "run `npm ci` in tests/js first (make test does)"
    result = subprocess.run(
        [program, *arguments],
        cwd=JS_TESTS,
        env={**os.environ, "PYTHON": sys.executable, "PRIMUS_TEST_COMPILED": str(compiled)},
        capture_output=True,
        text=True,
        timeout=NODE_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    # A file that registers no test would pass too.
    passed = re.search(r"^(?:#|ℹ) pass (\d+)$", result.stdout, re.MULTILINE)
    assert passed, result.stdout
    assert int(passed[1]) > 0


def marked(path: Path) -> Any:
    return pytest.param(path.name, marks=[pytest.mark.browser] if "chromium" in path.name else [])


@pytest.mark.timeout(NODE_SECONDS + 20)
@pytest.mark.parametrize("file", [marked(path) for path in sorted(JS_TESTS.glob("*.test.js"))])
def test_in_node(file: str, compiled: Path) -> None:
    # The packages under test leave timers behind that would keep the process; its tests are over by then.
    node(compiled, "--test", "--test-force-exit", file)


def test_a_client_of_a_server_without_credentials_sends_none() -> None:
    assert "credentials" not in compiled_settings(compile_library(settings()))
    assert compiled_settings(compile_library(settings(credentials=False)))["credentials"] is False
