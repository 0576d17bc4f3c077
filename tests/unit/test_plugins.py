"""Plugins: every form in which one may come, what it may set up, what is left after it, and its client side,
which Node runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from primus_gevent import Primus
from primus_gevent.errors import OptionError, PluginError
from tests.support import greeter
from tests.unit.fakes import connect
from tests.unit.hub import turn

JS = Path(__file__).parents[1] / "js"
CLIENT = "function (primus, options) { primus.name = 'client side'; }"


def nothing(primus: Any, options: Any) -> None: ...


# -- the forms


def named(value: object) -> str:
    """Without addresses: every process has to collect the same tests."""
    return value if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(
    "plugin",
    [
        {"server": nothing},
        {"client": CLIENT},
        {"server": nothing, "client": None, "library": None, "options": None},
        SimpleNamespace(client=CLIENT),
        greeter,
        greeter.Greeter(),
        "tests.support.greeter",
        "tests.support.greeter:greeter",
    ],
    ids=named,
)
def test_what_a_plugin_may_be(plugin: Any) -> None:
    primus = Primus()
    assert primus.use("it", plugin) is primus
    found = primus.plugin("it")
    assert found is (plugin if not isinstance(plugin, str) else found)
    assert primus.plugin("other") is None
    primus = Primus(plugin={"it": plugin})
    assert primus.plugin("it") is not None


@pytest.mark.parametrize(
    "names",
    [
        "tests.support.greeter, tests.support.greeter:greeter",
        "tests.support.greeter tests.support.greeter:greeter",
        "  tests.support.greeter,,tests.support.greeter:greeter ,",
        ["tests.support.greeter", "tests.support.greeter:greeter"],
        ("tests.support.greeter", "tests.support.greeter:greeter"),
    ],
)
def test_plugins_by_name_for_the_constructor(names: Any) -> None:
    primus = Primus(plugin=names)
    assert primus.plugin("tests.support.greeter") is greeter
    assert primus.plugin("tests.support.greeter:greeter") is greeter.greeter
    assert greeter.greeter.added[-1] == (primus, primus.options)


@pytest.mark.parametrize("none", [{}, "", [], " , "])
def test_no_plugins(none: Any) -> None:
    assert Primus(plugin=none).library() == Primus().library()
    with pytest.raises(OptionError, match="did you mean 'timeout'"):
        Primus(plugin=none, timeouts=1)


def too_many(primus: Any, options: Any, more: Any) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        (None, "neither a server nor a client"),
        ({}, "neither"),
        ({"library": "var x;"}, "neither"),
        (object(), "neither"),
        ("tests.support.greeter:empty", "neither"),
        ({"server": 1}, "server side of plugin 'it' is a function, not 1"),
        ({"server": too_many}, r"takes \(primus, options\)"),
        (greeter.Greeter, "should be an instance"),
        ("tests.support.greeter:Greeter", "should be an instance"),
        ({"client": 1}, "client of plugin 'it' is JavaScript"),
        ({"client": " \n"}, "client of plugin 'it' is JavaScript"),
        ({"client": CLIENT, "library": b"var x;"}, "library of plugin 'it' is JavaScript"),
        ({"client": "no/such/file.js"}, "client of plugin 'it' cannot be read"),
        ({"client": CLIENT, "library": Path("no/such/file")}, "library of plugin 'it' cannot be read"),
        ({"client": CLIENT, "options": "limit"}, "options of plugin 'it' are a list"),
        ({"client": CLIENT, "options": 1}, "options of plugin 'it' are a list"),
        ({"server": nothing, "clients": CLIENT}, "unknown part 'clients'; known are: server, client"),
        ("tests.support.nowhere", "'it' cannot be imported from 'tests.support.nowhere'"),
        ("tests.support.greeter:nobody", "cannot be imported"),
        (":", "cannot be imported"),
        ("..relative", "cannot be imported"),
    ],
    ids=named,
)
def test_what_is_none_is_refused_by_name(plugin: Any, why: str) -> None:
    primus = Primus()
    seen: list[Any] = []
    primus.on("plugin", seen.append)
    for add in (lambda: primus.use("it", plugin), lambda: Primus(plugin={"it": plugin})):
        with pytest.raises(PluginError, match=why) as caught:
            add()
        assert caught.value.plugin == "it"
    assert (primus.plugin("it"), seen) == (None, [])


@pytest.mark.parametrize("source", ["def broken(:", "1 / 0", "raise LookupError('no settings')"])
def test_a_module_that_fails_is_named(source: str, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "a_broken_plugin.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="plugin 'a_broken_plugin' cannot be imported"):
        Primus(plugin="a_broken_plugin")


@pytest.mark.parametrize("name", ["", None, 1])
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(PluginError, match="name of a plugin is a text"):
        Primus().use(name, {"server": nothing})
    with pytest.raises(PluginError, match="name of a plugin is a text"):
        Primus(plugin={name: {"server": nothing}})


def test_a_name_can_be_taken_once() -> None:
    primus = Primus(plugin={"it": greeter})
    with pytest.raises(PluginError, match="plugin 'it' is already in the ark") as caught:
        primus.use("it", {"server": nothing})
    assert caught.value.plugin == "it"
    assert primus.plugin("it") is greeter


def test_plugin_with_two_arguments_adds_one_too() -> None:
    primus = Primus()
    assert primus.plugin("it", {"server": nothing}) is primus
    assert primus.plugin("it") == {"server": nothing}


def test_a_function_is_a_layer_for_use_and_no_plugin_for_plugin() -> None:
    primus = Primus()
    primus.use("layer", lambda request, response: None)
    assert primus.layers[-1] == "layer"
    assert primus.plugin("layer") is None
    with pytest.raises(PluginError, match="neither a server nor a client"):
        primus.plugin("layer2", lambda request, response: None)


# -- the server side


@pytest.mark.parametrize(
    ("server", "given"),
    [
        (lambda: (), ()),
        (lambda primus: (primus,), ("primus",)),
        (lambda primus, options: (primus, options), ("primus", "options")),
        (lambda primus, options=None: (primus, options), ("primus", "options")),
        (lambda *all_: all_, ("primus", "options")),
    ],
)
def test_the_server_side_may_take_fewer_arguments(server: Callable[..., Any], given: Any) -> None:
    got: list[Any] = []
    primus = Primus()
    primus.use("it", {"server": lambda *arguments: got.append(server(*arguments[: len(given)]))})
    assert got == [tuple({"primus": primus, "options": primus.options}[name] for name in given)]
    primus.use("plain", {"server": server})


def test_events_tell_of_it() -> None:
    primus = Primus()
    seen: list[Any] = []

    @primus.on("plugin")
    def raises(name: str) -> None:
        raise ValueError("harms nobody")

    primus.on("plugin", lambda *arguments: seen.append(("plugin", *arguments)))
    primus.on("plugout", lambda *arguments: seen.append(("plugout", *arguments)))
    primus.use("it", greeter)
    assert primus.plugout("it") is True
    assert primus.plugout("it") is False
    assert seen == [("plugin", "it", greeter), ("plugout", "it", greeter)]


def test_an_earlier_plugin_of_the_constructor_hears_of_later_ones() -> None:
    seen: list[Any] = []
    watcher = {"server": lambda primus: primus.on("plugin", lambda name, plugin: seen.append((name, plugin)))}
    Primus(plugin={"watcher": watcher, "it": greeter})
    assert seen == [("watcher", watcher), ("it", greeter)]


def test_plugins_may_find_and_add_others() -> None:
    found: list[Any] = []

    def outer(primus: Primus) -> None:
        primus.use("inner", greeter)
        found.append((primus.plugin("outer"), primus.plugin("inner"), primus.plugin("later")))

    plugin = {"server": outer}
    Primus(plugin={"outer": plugin, "later": {"server": nothing}})
    assert found == [(plugin, greeter, None)]


def test_a_server_side_that_fails_is_named_and_not_kept() -> None:
    def fail(primus: Any, options: Any) -> None:
        raise KeyError("redis")

    primus = Primus()
    with pytest.raises(PluginError, match="server side of plugin 'it' failed: 'redis'") as caught:
        primus.use("it", {"server": fail})
    assert caught.value.plugin == "it"
    assert isinstance(caught.value.__cause__, KeyError)
    assert primus.plugin("it") is None
    with pytest.raises(PluginError, match="'second'"):
        Primus(plugin={"first": greeter, "second": {"server": fail}})


def test_a_server_side_that_fails_after_it_has_removed_itself_is_still_named() -> None:
    def fail(primus: Any) -> None:
        primus.plugout("it")
        raise ValueError("x")

    with pytest.raises(PluginError, match="'it' failed: x"):
        Primus().use("it", {"server": fail})


def test_a_timeout_in_the_server_side_is_the_callers_and_the_plugin_is_not_kept() -> None:
    primus = Primus()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        primus.use("it", {"server": lambda: gevent.sleep(10)})
    assert primus.plugin("it") is None


# -- extending the spark


def test_the_spark_may_get_methods_and_class_attributes() -> None:
    one, other = Primus(), Primus()
    early = connect(one)

    def server(primus: Any) -> None:
        primus.Spark.limit = 5
        primus.Spark.shout = lambda spark, text: spark.write(text.upper())
        primus.Spark.name = property(lambda spark: spark.query["name"])

    one.use("it", {"server": server})
    for spark in (early, connect(one)):
        spark.shout(spark.name)
        assert (spark.socket.sent, spark.limit) == (['"ANN"'], 5)
        spark.limit = 6
    assert one.Spark.limit == 5  # type: ignore[attr-defined]
    assert not hasattr(connect(other), "shout")


def test_the_class_may_be_replaced_by_a_subclass() -> None:
    def server(primus: Any) -> None:
        class Spark(primus.Spark):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                self.rooms: set[str] = set()

            def write(self, data: Any) -> bool:
                written: bool = super().write({"wrapped": data})
                return written

        primus.Spark = Spark

    primus = Primus(plugin={"it": {"server": server}})
    spark = connect(primus)
    spark.rooms.add("a")
    spark.write(1)
    assert spark.socket.sent == ['{"wrapped":1}']
    assert connect(primus).rooms == set()


# -- removing


def test_what_the_server_side_returned_takes_it_back() -> None:
    primus = Primus()
    before = (primus.layers, primus.listeners("connection"), primus.library(), dir(primus.Spark))

    def server(primus: Any) -> Callable[[], None]:
        primus.before("layer", lambda request, response: None)
        primus.on("connection", connection)
        primus.transform("incoming", transform)
        primus.transform("outgoing", transform)
        primus.Spark.greet = lambda spark: None

        def undo() -> None:
            primus.remove("layer")
            primus.off("connection", connection)
            assert primus.untransform("incoming", transform) is True
            assert primus.untransform("outgoing", transform) is True
            assert primus.untransform("outgoing", transform) is False
            del primus.Spark.greet

        return undo

    def connection(spark: Any) -> None: ...

    def transform(packet: Any) -> None: ...

    for _ in range(2):  # and it can come back
        primus.use("it", {"server": server, "client": CLIENT, "library": "var x;"})
        assert len(primus.incoming) == len(primus.outgoing) == 1
        assert "client side" in primus.library()
        assert primus.plugout("it") is True
        after = (primus.layers, primus.listeners("connection"), primus.library(), dir(primus.Spark))
        assert after == before
        assert (primus.incoming, primus.outgoing, primus.plugin("it")) == ((), (), None)


def test_only_a_function_without_parameters_takes_back() -> None:
    """A lambda returns whatever it calls gives back, as in the examples of the specification."""
    primus = Primus()
    seen: list[Any] = []

    def transform(packet: Any) -> None:
        seen.append(packet.data)

    primus.use("transform", {"server": lambda primus: primus.transform("outgoing", transform)})
    primus.use("listener", {"server": lambda primus: primus.on("connection", seen.append)})
    primus.use("itself", {"server": lambda primus: primus})
    for name in ("transform", "listener", "itself"):
        assert primus.plugout(name) is True
    assert seen == []


def test_a_function_that_fails_to_take_back_is_named_and_the_plugin_is_out() -> None:
    def server(primus: Any) -> Callable[[], None]:
        def undo() -> None:
            raise KeyError("x")

        return undo

    primus = Primus()
    seen: list[Any] = []
    primus.on("plugout", lambda name, plugin: seen.append(name))
    primus.use("it", {"server": server, "client": CLIENT})
    with pytest.raises(PluginError, match="plugin 'it' failed to undo") as caught:
        primus.plugout("it")
    assert caught.value.plugin == "it"
    assert (primus.plugin("it"), seen, primus.plugout("it")) == (None, ["it"], False)
    assert "client side" not in primus.library()


@pytest.mark.parametrize("direction", ["in", ""])
def test_untransform_knows_two_directions(direction: str) -> None:
    with pytest.raises(OptionError, match="incoming or outgoing"):
        Primus().untransform(direction, nothing)


def test_a_message_in_a_transform_that_is_taken_back_goes_on() -> None:
    primus = Primus()

    def slow(packet: Any) -> None:
        gevent.sleep(0)
        packet.data += "!"

    primus.transform("outgoing", slow)
    spark = connect(primus)
    writer = gevent.spawn(spark.write, "a")
    gevent.spawn(primus.untransform, "outgoing", slow)
    turn(3)
    spark.write("b")
    writer.join()
    assert spark.socket.sent == ['"a!"', '"b"']


# -- options


def test_options_of_a_plugin_stand_beside_ours() -> None:
    seen: list[Any] = []
    primus = Primus(
        plugin={"it": {"server": lambda primus, options: seen.append(options)}}, foo=1, timeout=20
    )
    (options,) = seen
    assert options is primus.options
    assert (options.foo, options["foo"], options.get("foo"), "foo" in options) == (1, 1, 1, True)
    assert (options.timeout, options["timeout"], options.get("timeout")) == (20.0, 20.0, 20.0)
    assert (options.get("bar"), options.get("bar", 2), "bar" in options) == (None, 2, False)
    with pytest.raises(AttributeError, match="bar"):
        options.bar  # noqa: B018
    with pytest.raises(KeyError, match="bar"):
        options["bar"]


@pytest.mark.parametrize("name", ["time_out", "max_lenght", "pingInterval", "global", "authorisation"])
def test_a_misspelt_option_of_ours_is_refused_beside_a_plugin(name: str) -> None:
    with pytest.raises(OptionError, match="did you mean") as caught:
        Primus(plugin={"it": {"server": nothing}}, **{name: 1})
    assert caught.value.option == name


@pytest.mark.parametrize("name", ["method", "cluster", "rooms", "time_out", "pingInterval"])
def test_what_a_plugin_says_it_has_is_not_misspelt(name: str) -> None:
    plugin = {"server": nothing, "options": [name]}
    assert Primus(plugin={"it": plugin}, **{name: 1}).options[name] == 1
    # also when another one does not tell what it has
    assert Primus(plugin={"it": plugin, "other": {"server": nothing}}, **{name: 1}).options[name] == 1


def test_what_no_plugin_has_is_refused_where_all_tell_what_they_have() -> None:
    plugins = {
        "a": {"server": nothing, "options": ["limit"]},
        "b": {"server": nothing, "options": {"size": 1}},
    }
    assert Primus(plugin=plugins, limit=1, size=2).options.size == 2
    with pytest.raises(OptionError, match="unknown option 'limits'; did you mean 'limit'"):
        Primus(plugin=plugins, limits=1)
    with pytest.raises(OptionError, match=r"unknown option 'xyzzy'; known are: .*limit, .*timeout"):
        Primus(plugin=plugins, xyzzy=1)


def test_options_may_come_with_the_plugin() -> None:
    seen: list[Any] = []
    plugin = {"server": lambda primus, options: seen.append(options)}
    primus = Primus(plugin={"first": plugin}, foo=1, timeout=20)
    primus.use("second", plugin, {"bar": 2, "timeout": 5, "extra": "mine"})
    primus.plugin("third", plugin, {"foo": 3})
    first, second, third = seen
    assert (second.foo, second.bar, second["timeout"], second.timeout) == (1, 2, 5, 5)
    assert (second["extra"], second.get("extra")) == ("mine", "mine")
    assert (third.foo, third["foo"], third.timeout) == (3, 3, 20.0)
    assert (first.foo, first.timeout, "bar" in first, primus.options.timeout) == (1, 20.0, False, 20.0)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"limits": 1}, "plugin 'it' has no option 'limits'; it has: limit"),
        (5, "mapping"),
        ({1: 2}, "mapping"),
    ],
)
def test_options_that_a_plugin_cannot_have_are_refused(options: Any, why: str) -> None:
    primus = Primus()
    with pytest.raises(PluginError, match=why):
        primus.use("it", {"server": nothing, "options": ["limit"]}, options)
    assert primus.plugin("it") is None


# -- the client side


def test_the_library_is_compiled_again_when_plugins_or_authorization_change() -> None:
    primus = Primus()
    plain = primus.library()
    assert primus.library() is plain
    primus.use("it", {"client": CLIENT})
    extended = primus.library()
    assert "client side" in extended
    assert primus.library() is extended
    assert "client side" in primus.library("esm")
    primus.plugout("it")
    assert primus.library() == plain
    primus.authorize(lambda request: None)
    assert primus.library() != plain


LIBRARY = """(function (root) {
  var Emitter = 'a name of our own client', parser = 1, transformer = 2, SETTINGS = 3, Primus = 4;
  if (typeof module === 'object' && module.exports) module.exports = 'taken over';
  else if (typeof define === 'function') define('taken over');
  else root.theLibrary = { size: 42 };
})(this)"""  # no semicolon at its end, as in many a library

USES = """// what the client side may look like
function client(primus, options) {
  primus.transform('incoming', function (packet) { packet.data += '!'; });
  primus.seen = [this === primus, options.foo, theLibrary.size, typeof local, VERSION];
};
"""

CHECK = """
const report = (Primus) => {
  const client = new Primus('http://127.0.0.1:9', { manual: true, network: false, foo: 7 });
  const result = { ark: Object.keys(Primus.prototype.ark), seen: client.seen, other: client.other,
    parses: typeof client.encoder, leaked: [typeof local, typeof VERSION], named: typeof Primus };
  console.log(JSON.stringify(result));
};
"""


def run_in_node(file: Path, program: str) -> Any:
    node = shutil.which("node")
    assert node, "Node.js is needed for the tests of the browser client"
    script = file.with_name("check" + file.suffix)
    script.write_text(program)
    result = subprocess.run([node, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("form", ["script", "esm", "amd"])
def test_the_client_side_runs_with_its_library(form: str, tmp_path: Path) -> None:
    (tmp_path / "client.js").write_text(USES)
    primus = Primus(
        plugin={
            "first": {
                "client": tmp_path / "client.js",
                # each of these declares what our own client declares too
                "library": "const local = 1, parser = 1, module = 2; var VERSION = '1.0', Emitter;\n"
                + LIBRARY,
            },
            'second "quoted"': {
                "client": "(primus, options) => { primus.other = [options.foo, typeof local]; }",
                "library": "(function () { /* stands directly behind another one */ })()",
            },
            "third": {
                "server": nothing,
                "library": "const local = 3; class EventEmitter {}  // and a comment",
            },
        }
    )
    if form == "esm":
        file = tmp_path / "primus.mjs"
        primus.save(file, "esm")
        program = f"{CHECK}\nimport('{file.as_uri()}').then((module) => report(module.default));"
    else:
        file = tmp_path / "primus.cjs"
        primus.save(file)
        load = f"report(require({json.dumps(str(file))}));"
        if form == "amd":  # a page with a module loader
            load = f"""
              const vm = require('vm'), fs = require('fs');
              const defined = [];
              const page = {{ URL, setTimeout, clearTimeout, WebSocket: function () {{}} }};
              page.define = (...all) => defined.push(all);
              page.define.amd = {{}};
              page.self = vm.createContext(page);
              vm.runInContext(fs.readFileSync({json.dumps(str(file))}, 'utf8'), page);
              if (defined.length !== 1) throw new Error('the library was taken for a module');
              report(defined[0][1]());"""
        program = CHECK + load
    assert run_in_node(file, program) == {
        "ark": ["first", 'second "quoted"'],
        "seen": [True, 7, 42, "number", "1.0"],
        "other": [7, "undefined"],
        "parses": "function",
        "leaked": ["undefined", "undefined"],
        "named": "function",
    }


def test_a_library_runs_once_and_a_client_side_once_for_each_client(tmp_path: Path) -> None:
    primus = Primus(
        plugin={
            "it": {
                "library": "let clients = 0; globalThis.runs = (globalThis.runs || 0) + 1;",
                "client": "function (primus) { primus.number = ++clients; }",
            }
        }
    )
    file = tmp_path / "primus.cjs"
    primus.save(file)
    options = "'http://127.0.0.1:9', { manual: true, network: false }"
    program = f"""const Primus = require({json.dumps(str(file))});
      const numbers = [1, 2, 3].map(() => new Primus({options}).number);
      console.log(JSON.stringify([numbers, globalThis.runs]));"""
    assert run_in_node(file, program) == [[1, 2, 3], 1]


@pytest.mark.parametrize("kind", ["text", "path", "resource"])
def test_files_may_be_given_in_three_ways(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "client.js"
    file.write_text(CLIENT + ";\n", "utf-8")

    class Resource:  # what `importlib.resources` returns for a package in an archive is no path
        def read_text(self, encoding: str) -> str:
            return file.read_text(encoding)

    given = {"text": str(file), "path": file, "resource": Resource()}[kind]
    primus = Primus(plugin={"it": {"client": given}})
    assert "client side" in primus.library()
    assert "};\n);" not in primus.library()
