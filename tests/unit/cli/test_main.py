"""The program as a whole: its help, wrong arguments, errors, and what the docs say of it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

import primus_gevent
from primus_gevent import cli
from primus_gevent.cli import COMMANDS, make_parsers
from tests.unit.cli.running import Runner, serving

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "command-line.md"
PAGE_COLUMNS = 80


def options_of(command: str) -> set[str]:
    """All options of a command, as they are written."""
    parser = make_parsers()[1][command]
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    return {option for action in actions for option in action.option_strings}


# -- help


def test_help_leads_to_every_command(run: Runner) -> None:
    result = run("--help")
    assert (result.status, result.err) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^    {command} +\w", result.out, re.MULTILINE)
        assert f"primus-gevent {command}" in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(PAGE_COLUMNS))
    result = run(command, "--help")
    assert (result.status, result.err) == (0, "")
    assert f"\nexamples:\n  primus-gevent {command}" in result.out
    lines = [line for line in result.out.splitlines() if not line.startswith("  /")]  # but for a path
    assert max(map(len, lines)) <= PAGE_COLUMNS, "it fits a terminal"
    if command != "demo":  # which knows no success
        assert "exit status" in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_can_be_typed(command: str) -> None:
    """Every option in an example exists, and what must be there is."""
    import shlex
    from importlib import import_module

    program, _ = make_parsers()
    epilog = import_module(f"primus_gevent.cli.{command}").EPILOG.replace("\\\n", "")
    examples = re.findall(
        r"^  (?:.*\| )?primus-gevent (.*?)(?:   +\S.*| \| .*| <.*| >.*)?$", epilog, re.MULTILINE
    )
    assert len(examples) >= 3
    for example in examples:
        given = program.parse_args(shlex.split(example))
        assert given.command == command, example


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented(command: str) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    own = documented(text, f"## `{command}`")
    shared: set[str] = set()
    for heading in ("## Connection options", "## Protocol options"):
        if f"(#{heading[3:].lower().replace(' ', '-')})" in section(text, f"## `{command}`"):
            shared |= documented(text, heading)
    assert own | shared == options_of(command) - {"--debug"}


def section(text: str, heading: str) -> str:
    start = text.index(f"\n{heading}\n")
    end = text.find("\n## ", start + 1)
    return text[start : end if end > 0 else None]


def documented(text: str, heading: str) -> set[str]:
    """The options in the first cells of a section's tables."""
    cells = re.findall(r"^\| (`.*?) \|", section(text, heading), re.MULTILINE)
    return {option for cell in cells for option in re.findall(r"`(-[\w-]+)", cell)}


# -- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["conect"], "primus-gevent: invalid choice: 'conect'; did you mean 'connect'?; see "),
        (["x"], "commands are: demo, serve, connect, spec, library, load"),
        (["connect"], "primus-gevent connect: the following arguments are required: URL; see "),
        (["connect", "localhost", "--jsn"], "unrecognized arguments: --jsn"),
        (["connect", "localhost", "--js"], "unrecognized arguments: --js"),
        (["connect", "localhost", "--count", "0"], "it is a whole number from 1 to "),
        (["connect", "localhost", "--wait", "nan"], "it is a number of seconds of at least 0, not 'nan'"),
        (["connect", "localhost", "-H", "nothing"], "it is written 'Name: value', not 'nothing'"),
        (["connect", "localhost", "-H", "a b: c"], "'a b' is no name of a header"),
        (["connect", "localhost", "--cookie", "=x"], "it is written 'name=value', not '=x'"),
        (["connect", "ftp://x"], "the scheme is one of http, https, ws, wss, not 'ftp'"),
        (["connect", "x", "--parser", "morse"], "unknown parser 'morse'; known are: binary, "),
        (["connect", "x", "--parser", "json", "--transformer", "pigeon"], "unknown transformer 'pigeon'"),
        (["connect", "x", "--key", __file__], "key and passphrase need cert"),
        (["spec", "http://"], "is no URL of a server"),
        (["load", "x", "--clients", "1000000"], "it is a whole number from 1 to 10000, not '1000000'"),
        (["load", "x", "--duration", "1e9"], "from 0.01 to 3600, not '1e9'"),
        (["library", "--format", "amd"], "invalid choice: 'amd'"),
        (["library", "--app", "a:b", "--from", "c"], "not allowed with argument"),
        (["serve", "chat.py"], "'chat.py' is a file; give its module: chat:app"),
        (["serve"], "the following arguments are required: MODULE:NAME"),
    ],
)
def test_wrong_arguments(arguments: list[str], complaint: str, run: Runner) -> None:
    result = run(*arguments)
    assert (result.status, result.out) == (2, "")
    assert complaint in result.err
    assert result.err.startswith("primus-gevent")
    assert result.err.count("\n") == 1, "one line"


# -- what goes wrong later


@pytest.mark.parametrize("command", ["connect", "spec", "load"])
def test_nobody_there(command: str, run: Runner) -> None:
    result = run(command, "127.0.0.1:1")
    assert (result.status, result.out) == (1, "")
    assert result.err == "primus-gevent: nothing listens at http://127.0.0.1:1\n"


def test_a_file_that_is_not_there(run: Runner, tmp_path: Path) -> None:
    result = run("spec", "https://127.0.0.1:1", "--ca", str(tmp_path / "none.pem"))
    assert result.status == 1
    assert "none.pem" in result.err
    assert result.err.count("\n") == 1


def test_debug_shows_where_it_happened() -> None:
    with pytest.raises(primus_gevent.ConnectError, match="nothing listens"):
        cli.main(["spec", "127.0.0.1:1", "--debug"])


def test_a_reader_that_has_left_ends_it_quietly(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("primus_gevent.cli.console.Console.result", broken)
    with serving() as (_, url):
        result = run("spec", url)
    assert (result.status, result.err) == (141, "")


def test_an_interrupt_is_no_traceback(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("primus_gevent.cli.spec.ask_spec", interrupted)
    result = run("spec", "127.0.0.1:1")
    assert (result.status, result.out, result.err) == (130, "", "")


def test_the_cause_is_told_where_the_error_does_not() -> None:
    error = primus_gevent.ConnectionClosed("it has ended")
    error.__cause__ = primus_gevent.ConnectError("nothing listens\nthere")
    assert cli.one_line(error) == "it has ended: nothing listens there"
    assert cli.one_line(OSError()) == "OSError"
