"""What ``serve`` is given: modules of all kinds, and what is said of those that do not do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from primus_gevent import OptionError, Primus
from primus_gevent.cli.applications import find_primus, load_application
from primus_gevent.cli.errors import Failure
from tests.unit.cli.running import Runner

numbers = itertools.count()

GOOD = """
from flask import Flask, request
from primus_gevent import Primus
primus = Primus(pathname="/one")
flask = Flask(__name__)
bound = Flask(__name__)
Primus(pathname="/two").init_app(bound)
class Box: inner = primus
class Callable:
    def __call__(self, environ, start_response): return []
instance = Callable()
def plain(environ, start_response): return []
def make(pathname="/made", *, parser="json"): return Primus(pathname=pathname, parser=parser)
listening = Primus()
"""

BAD = """
number = 5
def no_application(): return 5
def factory(): return lambda environ, start_response: []
def three(a, b, c): return []
def fails(): raise KeyError("deep inside")
def leaves(): raise SystemExit("no database")
class Class: pass
"""

Write = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module into the folder that we are in, and returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> str:
        name = f"application_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


@pytest.mark.parametrize(
    ("expression", "pathname"),
    [
        (":primus", "/one"),
        ("", "/one"),
        (":bound", "/two"),
        (":Box.inner", "/one"),
        (":make()", "/made"),
        (":make('/given', parser='ejson')", "/given"),
        (":flask", None),
        (":instance", None),
        (":plain", None),
    ],
)
def test_applications(expression: str, pathname: str | None, module: Write) -> None:
    application = load_application(f"{module(GOOD)}{expression}")
    primus = find_primus(application)
    assert (primus and primus.options.pathname) == pathname
    if "parser" in expression:
        assert isinstance(application, Primus)
        assert application.options.parser == "ejson"


@pytest.mark.parametrize(
    ("source", "expression", "complaint"),
    [
        (BAD, "", "has none of primus, app, application; name one: MODULE:no_application()"),
        ("number = 5", "", "has none of primus, app, application; write module:name"),
        (BAD, ":app", "has no 'app'; it has no_application(), factory(), fails(), leaves()"),
        (GOOD, ":app", "it has primus, flask, bound, plain, make(), listening"),
        (BAD, ":factory.x", "has no 'factory.x'"),
        (BAD, ":number", "is no application but 5"),
        (BAD, ":no_application()", "is no application but 5"),
        (BAD, ":factory", "is no application, but may make one: write MODULE:factory()"),
        (BAD, ":Class", "is no application, but may make one: write MODULE:Class()"),
        (BAD, ":three", "is no WSGI application: it does not take (environ, start_response)"),
        (BAD, ":fails()", "MODULE:fails() failed: KeyError: 'deep inside'"),
        (BAD, ":leaves()", "MODULE:leaves() failed: SystemExit: no database"),
        (BAD, ":fails(1)", "MODULE:fails(1) failed: TypeError: "),
        ("import nothing_of_that_name", "", "cannot be imported: ModuleNotFoundError: No module named"),
        ("x = (", "", "cannot be imported: SyntaxError: "),
        ("1 / 0", "", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_what_does_not_do(source: str, expression: str, complaint: str, module: Write) -> None:
    name = module(source)
    with pytest.raises(Failure) as caught:
        load_application(f"{name}{expression}")
    assert complaint.replace("MODULE", name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_traceback_is_the_users(module: Write, run: Runner) -> None:
    name = module("def inner():\n    raise KeyError('deep')\n\ninner()\n")
    result = run("serve", name)
    assert (result.status, result.out) == (1, "")
    lines = result.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.split(",")[0].strip() for line in lines if line.startswith("  File")] == [
        f'File "{Path.cwd() / name}.py"'
    ] * 2
    assert lines[-1] == f"primus-gevent: {name} cannot be imported: KeyError: 'deep'"


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("no_such_module:app", "there is no module 'no_such_module': neither installed, nor here in "),
        ("no_such_package.sub:app", "there is no package 'no_such_package', so"),
    ],
)
def test_no_module(where: str, complaint: str, module: Write) -> None:
    with pytest.raises(Failure, match=complaint):
        load_application(where)


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("chat.py", "'chat.py' is a file; give its module: chat:app"),
        ("./web/chat.py:live", "is a file; give its module: web.chat:live"),
        ("a b:app", "'a b' is no name of a module"),
        ("chat:", "what in chat"),
        ("chat:1 + 1", "'1 \\+ 1' is no name and no call"),
        ("chat:make(", "is no name and no call"),
        ("chat:make(open('x'))", "arguments are plain values"),
        ("chat:make(**{})", "arguments are plain values"),
        ("chat:f()()", "is no name and no call"),
    ],
)
def test_it_is_written_otherwise(where: str, complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint):
        load_application(where)


# -- a Primus in front


def test_options_are_for_apps_without_one(module: Write, run: Runner) -> None:
    name = module(GOOD)
    result = run("serve", name, "--path", "x", "--parser", "json")
    assert result.status == 2
    assert "has a Primus with options of its own; leave out --parser, --pathname" in result.err


def test_one_is_put_in_front(module: Write) -> None:
    from primus_gevent.cli.serve import put_in_front

    name = module(GOOD)
    flask = load_application(f"{name}:flask")
    assert put_in_front(flask, {"pathname": "/live"}, "it") is flask
    assert flask.extensions["primus"].options.pathname == "/live"
    plain: Any = put_in_front(load_application(f"{name}:plain"), {"parser": "ejson"}, "it")
    assert isinstance(plain, Primus)
    assert plain.options.parser == "ejson"


def test_a_primus_that_listens_already(module: Write, run: Runner) -> None:
    name = module(f"{GOOD}\nlistening.listen(0, '127.0.0.1')\n")
    result = run("serve", f"{name}:listening")
    assert result.status == 1
    assert "listens by itself already; run its module with python" in result.err
    load_application(f"{name}:listening").destroy()
