"""What the specification says, where no other test says it; and the page that lists all of it is complete.

The page is ``docs/reference/specification.md``. The lists of names below are the specification's, written
down here because it is not part of the tree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from werkzeug.exceptions import Forbidden
from werkzeug.test import Client, TestResponse

from primus_gevent import AuthorizationError, OptionError, PluginError, Primus
from primus_gevent.errors import PrimusError, TransformError, UnknownNameError
from primus_gevent.transformers import TRANSFORMERS
from tests.unit.fakes import FakeConnection, connect
from tests.unit.hub import eventually, turn

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "specification.md"

NOT_THERE = 426  # what the transformer `websockets` says to a plain request: it has passed all layers
NO_SOCKET = 501  # what it says to an upgrade without a socket: the same
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket"}
HANDSHAKE = {**UPGRADE, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}


@pytest.fixture
def primus() -> Primus:
    return Primus()


def get(primus: Primus, path: str = "/primus", **headers: str) -> TestResponse:
    return Client(primus).get(path, headers=headers)


# -- Middleware


def test_the_layers_of_primus(primus: Primus) -> None:
    assert primus.layers == ["forwarded", "cors", "primus.js", "spec", "x-xss", "no-cache", "authorization"]


def test_a_layer_that_needs_no_preparation(primus: Primus) -> None:
    seen = []

    @primus.before("mine")
    def layer(request: Any, response: Any) -> None:
        seen.append((request.method, request.path, request.query))
        response.headers["X-Mine"] = "yes"

    answer = get(primus, "/primus/x?a=1&a=2")
    assert (answer.status_code, answer.headers["X-Mine"]) == (NOT_THERE, "yes")
    assert seen == [("GET", "/primus/x", {"a": ["1", "2"]})]


def test_a_layer_that_is_made_by_a_function_of_primus_and_options(primus: Primus) -> None:
    made: list[Any] = []

    def with_options(options: Any) -> Callable[..., Any]:
        made.append(options)
        return lambda request, response: response.end("foo")

    def with_primus(primus: Any) -> Callable[..., Any]:
        made.append(primus)
        return lambda request, response: None

    primus.before("server", with_primus)
    primus.before("name", with_options, {"foo": "bar"})
    assert made == [primus, {"foo": "bar"}]
    assert get(primus).text == "foo"
    assert get(primus).status_code == 200
    assert len(made) == 2  # once, and not per request


def test_a_layer_that_is_none_of_the_known_functions(primus: Primus) -> None:
    for wrong in ("text", lambda: None, lambda options: "text"):
        with pytest.raises(OptionError, match="wrong"):
            primus.before("wrong", wrong)
    assert "wrong" not in primus.layers


@pytest.mark.parametrize("later", [False, True])
def test_a_layer_with_next_is_waited_for(primus: Primus, later: bool) -> None:
    order: list[str] = []

    @primus.before("first")
    def first(request: Any, response: Any, next: Any) -> None:  # noqa: A002
        order.append("first")
        if later:
            gevent.spawn(lambda: (order.append("then"), next()))
        else:
            next()

    @primus.before("second")
    def second(request: Any, response: Any) -> None:
        order.append("second")

    assert get(primus).status_code == NOT_THERE
    assert order == (["first", "then", "second"] if later else ["first", "second"])


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        ("no", 500, "no"),
        (ValueError("no"), 500, "no"),
        ({"message": "no", "status_code": 418}, 418, "no"),
        ({"message": "no", "statusCode": 404}, 404, "no"),
        (AuthorizationError("no", status_code=403), 403, "no"),
    ],
)
def test_a_layer_that_calls_next_with_an_error(primus: Primus, error: Any, status: int, told: str) -> None:
    primus.before("mine", lambda request, response, next: next(error))  # noqa: A006
    primus.before("later", lambda request, response: pytest.fail("it must not run"))
    for headers in ({}, HANDSHAKE):
        answer = get(primus, **headers)
        assert (answer.status_code, answer.json) == (status, {"error": told})


def test_a_layer_that_never_calls_next() -> None:
    primus = Primus(handshake_timeout=0.01)
    primus.before("mine", lambda request, response, next: None)  # noqa: A006
    assert get(primus).status_code == 500


def test_a_layer_ends_the_request_by_returning_true_or_by_end(primus: Primus) -> None:
    def returns(request: Any, response: Any) -> Any:
        response.status_code = 202
        response.set_data("returned")
        return request.path.endswith("/returns") or None

    def ends(request: Any, response: Any, next: Any) -> None:  # noqa: A002
        gevent.spawn(response.end, "ended")

    primus.before("returns", returns)
    primus.before("ends", ends)
    assert (get(primus, "/primus/returns").status_code, get(primus, "/primus/returns").text) == (
        202,
        "returned",
    )
    assert get(primus, "/primus/other").text == "ended"


def test_a_layer_that_raises_is_answered_without_a_traceback(primus: Primus, caplog: Any) -> None:
    @primus.before("mine")
    def mine(request: Any, response: Any) -> None:
        if request.args:
            raise Forbidden("not you")
        raise ValueError("a secret")

    assert get(primus).json == {"error": "Internal Server Error"}
    assert "a secret" in caplog.text
    answer = get(primus, "/primus?a")
    assert (answer.status_code, answer.json) == (403, {"error": "not you"})


def test_http_and_upgrade_tell_which_requests_a_layer_is_for(primus: Primus) -> None:
    seen: list[str] = []

    def layer(name: str, **only: bool) -> Callable[..., Any]:
        def run(request: Any, response: Any) -> None:
            seen.append(name)

        vars(run).update(only)
        return run

    primus.before("both", layer("both"))
    primus.before("http", layer("http", upgrade=False))
    primus.before("upgrade", layer("upgrade", http=False))
    assert get(primus).status_code == NOT_THERE
    assert seen == ["both", "http"]
    seen.clear()
    assert get(primus, **HANDSHAKE).status_code == NO_SOCKET
    assert seen == ["both", "upgrade"]


def test_a_layer_has_a_place(primus: Primus) -> None:
    def layer(request: Any, response: Any) -> None:
        pass

    primus.before("last", layer)
    primus.before("third", layer, 2)  # after the first two in the stack
    primus.before("first", layer, index=0)
    assert primus.layers[:4] == ["first", "forwarded", "cors", "third"]
    assert primus.layers[-1] == "last"
    primus.before("third", lambda request, response: response.end("another"))  # takes its place
    assert primus.layers[3] == "third"
    assert get(primus, "/primus/primus.js").text == "another"


def test_layers_are_removed_disabled_and_enabled(primus: Primus) -> None:
    assert get(primus, "/primus/spec").status_code == 200
    primus.disable("spec")
    assert get(primus, "/primus/spec").status_code == NOT_THERE
    assert "spec" in primus.layers
    primus.enable("spec")
    assert get(primus, "/primus/spec").status_code == 200
    primus.remove("primus.js")
    assert "primus.js" not in primus.layers
    assert get(primus, "/primus/primus.js").status_code == NOT_THERE
    primus.before("primus.js", lambda request, response: response.end("// mine"))
    assert get(primus, "/primus/primus.js").text == "// mine"
    for method in (primus.remove, primus.disable, primus.enable):
        with pytest.raises(UnknownNameError, match="no-cache"):
            method("nobody")


def test_layers_run_for_the_requests_of_primus_only() -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"app"]

    primus = Primus(app)
    primus.before("mine", lambda request, response: seen.append(request.path))
    assert get(primus, "/elsewhere").text == "app"
    assert get(primus, "/primusfoo").text == "app"
    assert seen == []


def test_the_headers_of_no_cache_and_x_xss(primus: Primus) -> None:
    answer = get(primus)
    assert answer.headers["Cache-Control"] == "no-store, no-cache, must-revalidate, max-age=0"
    assert answer.headers["Pragma"] == "no-cache"
    assert "X-XSS-Protection" not in answer.headers
    old = {"User-Agent": "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)"}
    assert get(primus, **old).headers["X-XSS-Protection"] == "0"
    assert "Pragma" not in get(primus, "/primus/primus.js", **old).headers  # it comes before


def test_the_layer_cors_carries_its_options() -> None:
    primus = Primus(
        origins="https://a.example",
        methods=["GET", "OPTIONS"],
        credentials=False,
        max_age="10 minutes",
        headers="X-A",
        exposed="X-B",
    )
    answer = get(primus, "/primus/spec", Origin="https://a.example")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Expose-Headers"] == "X-B"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    answer = Client(primus).options("/primus", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, OPTIONS"
    assert answer.headers["Access-Control-Allow-Headers"] == "X-A"
    assert get(primus, "/primus/spec", Origin="https://b.example").status_code == 403


def test_the_client_may_come_from_another_domain(primus: Primus) -> None:
    answer = get(primus, "/primus/primus.js", Origin="https://elsewhere.example")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://elsewhere.example"


# -- Authorization


@pytest.mark.parametrize(
    ("error", "status", "body", "authenticate"),
    [
        ("no", 401, {"error": "no"}, None),
        (ValueError("no"), 401, {"error": "no"}, None),
        (AuthorizationError("no"), 401, {"error": "no"}, None),
        (AuthorizationError("no", status_code=403), 403, {"error": "no"}, None),
        (AuthorizationError("no", authenticate='Basic realm="x"'), 401, {"error": "no"}, 'Basic realm="x"'),
        (AuthorizationError("no", 403, 'Basic realm="x"'), 403, {"error": "no"}, None),
        ({"message": "no", "authenticate": "Bearer"}, 401, {"error": "no"}, "Bearer"),
        ({"message": "no", "statusCode": 500}, 500, {"error": "no"}, None),
        ({"some": "thing"}, 401, {"error": {"some": "thing"}}, None),
    ],
)
def test_what_a_refused_client_is_told(
    primus: Primus, error: Any, status: int, body: Any, authenticate: str | None
) -> None:
    primus.authorize(lambda request, done: done(error))
    for headers in ({}, HANDSHAKE):
        answer = get(primus, **headers)
        assert (answer.status_code, answer.json) == (status, body)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers.get("WWW-Authenticate") == authenticate


@pytest.mark.parametrize("later", [False, True])
def test_who_is_authorized_goes_on(primus: Primus, later: bool) -> None:
    @primus.authorize
    def authorize(request: Any, done: Any) -> None:
        if later:
            gevent.spawn(done)
        else:
            done()

    assert get(primus).status_code == NOT_THERE
    assert get(primus, **HANDSHAKE).status_code == NO_SOCKET


def test_a_hook_that_blocks_raises_or_returns_false() -> None:
    def hook(request: Any) -> Any:
        gevent.sleep(0)
        name = request.query.get("name")
        if name == "raise":
            raise AuthorizationError("raised")
        if name == "abort":
            raise Forbidden("aborted")
        return name != "false"

    primus = Primus(authorization=hook, origins="self")
    assert get(primus, "/primus?name=raise").json == {"error": "raised"}
    assert get(primus, "/primus?name=abort").status_code == 403
    assert get(primus, "/primus?name=false").status_code == 401
    assert get(primus, "/primus?name=ann").status_code == NOT_THERE


def test_a_hook_that_breaks_or_takes_too_long(caplog: Any) -> None:
    primus = Primus(handshake_timeout=0.01)
    primus.authorize(lambda request: 1 / 0)
    assert (get(primus).status_code, get(primus).json) == (500, {"error": "Internal Server Error"})
    assert "ZeroDivisionError" in caplog.text
    primus.authorize(lambda request, done: None)
    assert get(primus).status_code == 503


def test_a_hook_takes_one_or_two_arguments(primus: Primus) -> None:
    for wrong in (lambda: None, lambda a, b, c: None, "text"):
        with pytest.raises(OptionError, match="authorization hook"):
            primus.authorize(wrong)  # type: ignore[type-var]


def test_the_two_documents_need_no_authorization(primus: Primus) -> None:
    primus.authorize(lambda request: False)
    assert get(primus, "/primus/spec").status_code == 200
    assert get(primus, "/primus/primus.js").status_code == 200
    assert get(primus, "/primus/other").status_code == 401


def test_the_client_of_a_server_with_authorization_knows_of_it(primus: Primus) -> None:
    before = primus.library()
    primus.authorize(lambda request: None)
    assert '"authorization":true' in primus.library().replace(" ", "")
    assert '"authorization":true' not in before.replace(" ", "")


# -- Broadcasting


def test_for_each_with_next_is_one_after_the_other(primus: Primus) -> None:
    sparks = [connect(primus) for _ in range(3)]
    seen: list[Any] = []
    proceed: list[Any] = []

    def fn(spark: Any, next: Any) -> None:  # noqa: A002
        seen.append(spark)
        proceed.append(next)

    primus.for_each(fn, seen.append)
    assert seen == sparks[:1]
    newcomer = connect(primus)
    sparks[1].end()
    for _ in range(3):
        proceed[-1]()
        proceed[-1]
    assert seen == [sparks[0], sparks[2], newcomer, None]  # who has gone is left out, and there was no error


@pytest.mark.parametrize(
    ("arguments", "error"), [(("oh",), "oh"), ((None, False), None)], ids=["error", "stop"]
)
def test_for_each_with_next_may_stop(primus: Primus, arguments: Any, error: Any) -> None:
    for _ in range(3):
        connect(primus)
    seen: list[Any] = []
    primus.for_each(lambda spark, next: (seen.append(spark.id), next(*arguments)), seen.append)  # noqa: A006
    assert seen[1:] == [error]


def test_write_is_always_true_while_a_spark_is_open(primus: Primus) -> None:
    spark = connect(primus)
    primus.transform("outgoing", lambda packet: False)
    assert spark.write("swallowed") is True
    assert spark.socket.sent == []
    spark.end()
    assert spark.write("too late") is False


# -- Events


def test_private_events_of_a_spark(primus: Primus) -> None:
    seen: list[Any] = []

    @primus.on("connection")
    def connection(spark: Any) -> None:
        for event in ("open", "data", "end"):
            for way in ("incoming", "outgoing"):
                name = f"{way}::{event}"
                spark.on(name, lambda *args, name=name: seen.append((name, *args)))
        spark.on("data", lambda data: seen.append(("data", data)))

    spark = connect(primus)
    assert seen == [("outgoing::open",), ("incoming::open",)]
    spark.socket.deliver('"hello"')
    turn(2)
    spark.write("there")
    primus.write("everybody")
    turn(2)
    assert seen[2:] == [
        ("incoming::data", '"hello"'),
        ("data", "hello"),
        ("outgoing::data", '"there"'),
        ("outgoing::data", '"everybody"'),
    ]
    del seen[:]
    spark.socket.drop()
    turn(2)
    assert seen == [("incoming::end",), ("outgoing::end",)]


def test_plugin_and_plugout_are_events(primus: Primus) -> None:
    seen: list[Any] = []
    primus.on("plugin", lambda *args: seen.append(("plugin", *args)))
    primus.on("plugout", lambda *args: seen.append(("plugout", *args)))
    plugin = {"server": lambda primus, options: None}
    primus.use("name", plugin)
    primus.plugout("name")
    assert seen == [("plugin", "name", plugin), ("plugout", "name", plugin)]


# -- Supported real-time frameworks


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_socket_of_a_server_speaks_its_framework(name: str) -> None:
    """Without a package for it, on either side."""
    ports = []

    def connection(spark: Any) -> None:
        ports.append((spark.address.port, int(spark.request.environ["REMOTE_PORT"])))
        for message in spark:
            spark.write([spark.query["name"], message])

    primus = Primus.create_server(
        connection, port=0, host="127.0.0.1", transformer=name.upper(), iknowhttpsisbetter=True
    )
    try:
        with primus.Socket(f"http://127.0.0.1:{primus.address[1]}?name=ann") as client:
            client.write("hello")
            assert client.read(timeout=10) == ["ann", "hello"]
        ((told, real),) = ports
        assert told == real  # and not 1337, where the original's BrowserChannel has nothing to tell
    finally:
        primus.destroy()


# -- Plugins


def test_a_plugin_gets_the_server_and_its_options() -> None:
    seen: list[Any] = []
    primus = Primus(
        plugin={"name": {"server": lambda *args: seen.append(args)}}, name_size=3, pathname="/live"
    )
    assert seen == [(primus, primus.options)]
    options = seen[0][1]
    assert (options.pathname, options.name_size, options["name_size"], options.get("x", 4)) == (
        "/live",
        3,
        3,
        4,
    )
    assert primus.plugin("name") is not None


def test_plugins_by_name() -> None:
    primus = Primus(plugin="tests.unit.plugin_module, tests.unit.plugin_module:other")
    assert "plugin_module says" in primus.library()
    assert "other says" in primus.library()
    assert primus.plugin("tests.unit.plugin_module").__name__ == "tests.unit.plugin_module"
    with pytest.raises(PluginError, match=r"nowhere") as caught:
        Primus(plugin="nowhere.to.be.found")
    assert caught.value.plugin == "nowhere.to.be.found"


def test_use_and_plugout(primus: Primus, tmp_path: Path) -> None:
    undone: list[str] = []
    library = tmp_path / "library.js"
    library.write_text("const LIBRARY = 'from a file';", encoding="utf-8")
    plugin = {
        "server": lambda primus, options: lambda: undone.append("undone"),
        "client": "function (primus, options) { primus.greeting = LIBRARY; }",
        "library": str(library),
    }
    assert primus.use("name", plugin) is primus
    assert primus.plugin("name") is plugin
    for text in ("from a file", "primus.greeting = LIBRARY", '"name"'):
        assert text in primus.library()
    with pytest.raises(PluginError, match="already"):
        primus.use("name", plugin)
    assert primus.plugout("name") is True
    assert undone == ["undone"]
    assert "LIBRARY" not in primus.library()
    assert primus.plugout("name") is False
    assert primus.plugin("name") is None


@pytest.mark.parametrize(
    "wrong", [{}, {"server": "text"}, {"client": ""}, {"serve": print}, {"client": 5}, {"library": "x"}]
)
def test_what_is_no_plugin(primus: Primus, wrong: Any) -> None:
    with pytest.raises(PluginError, match="name"):
        primus.use("name", wrong)
    assert primus.plugin("name") is None


def test_a_function_given_to_use_is_a_layer(primus: Primus) -> None:
    primus.use("mine", lambda request, response: response.end("layer"))
    assert get(primus).text == "layer"


def test_a_plugin_extends_the_sparks_of_its_server_only(primus: Primus) -> None:
    def server(primus: Any, options: Any) -> None:
        primus.Spark.join = lambda spark, room: f"{spark.id} in {room}"

    primus.use("rooms", {"server": server})
    spark = connect(primus)
    assert spark.join("blue") == f"{spark.id} in blue"
    assert not hasattr(connect(Primus()), "join")


# -- Transforming and intercepting messages


def spark_with_log(primus: Primus) -> tuple[Any, list[Any]]:
    """A spark, and the messages and errors that it emits."""
    seen: list[Any] = []

    @primus.on("connection")
    def connection(spark: Any) -> None:
        spark.on("data", seen.append)
        spark.on("error", seen.append)

    return connect(primus), seen


def deliver(spark: Any, *texts: str) -> None:
    for text in texts:
        spark.socket.deliver(text)
    turn(3)


def test_transforms_change_messages_in_both_directions(primus: Primus) -> None:
    @primus.transform("incoming")
    def first(packet: Any) -> None:
        packet.data += "1"

    @primus.transform("incoming")
    def second(packet: Any) -> None:
        packet.data += "2"

    primus.transform("outgoing", lambda packet: setattr(packet, "data", [packet.data, packet.raw]))
    spark, seen = spark_with_log(primus)
    deliver(spark, '"a"')
    assert seen == ["a12"]
    spark.write("x")
    primus.write("y")
    assert spark.socket.sent == ['["x",null]', b'P["y",null]']
    with pytest.raises(OptionError, match="incoming or outgoing"):
        primus.transform("sideways", first)


def test_a_transform_that_returns_false_swallows_the_message(primus: Primus) -> None:
    primus.transform("incoming", lambda packet: packet.data != "secret")
    primus.transform("incoming", lambda packet: packet.data != "none" or None)
    later: list[Any] = []
    primus.transform("incoming", lambda packet: later.append(packet.data))
    spark, seen = spark_with_log(primus)
    deliver(spark, '"secret"', '"none"', '"plain"')
    assert seen == later == ["none", "plain"]


def test_a_transform_with_next(primus: Primus) -> None:
    waiting: list[Any] = []
    primus.transform("incoming", lambda packet, next: waiting.append((packet, next)))  # noqa: A006
    spark, seen = spark_with_log(primus)
    deliver(spark, "1", "2", "3", "4")
    for answer in ((ValueError("no"),), ("told",), (None, False), ()):
        packet, proceed = eventually(lambda: waiting and waiting.pop())
        packet.data *= 10
        proceed(*answer)
        turn(3)
    assert [str(error) for error in seen[:2]] == ["no", "told"]
    assert [type(error) for error in seen[:2]] == [ValueError, PrimusError]
    assert seen[2:] == [40]
    assert spark.writable


def test_a_transform_that_never_calls_next() -> None:
    primus = Primus(transform_timeout=0.01)
    primus.transform("incoming", lambda packet, next: None)  # noqa: A006
    spark, seen = spark_with_log(primus)
    deliver(spark, "1")
    eventually(lambda: seen)
    assert isinstance(seen[0], TransformError)
    assert seen[0].data == 1


def test_transforms_do_not_see_the_messages_of_primus(primus: Primus) -> None:
    seen: list[Any] = []
    for direction in ("incoming", "outgoing"):
        primus.transform(direction, lambda packet: seen.append(packet.data))
    spark, _ = spark_with_log(primus)
    deliver(spark, '"primus::ping::1"')
    assert spark.socket.sent == ['"primus::pong::1"']
    spark.end()
    assert spark.socket.sent[1:] == ['"primus::server::close"']
    assert seen == []


def test_a_broadcast_is_personal_only_if_a_transform_looks_at_the_spark(primus: Primus) -> None:
    calls: list[Any] = []

    @primus.transform("outgoing")
    def transform(packet: Any) -> None:
        calls.append(packet.data)
        if packet.data == "personal":
            packet.data = packet.spark.query["name"]

    ann = connect(primus, FakeConnection(), QUERY_STRING="name=ann")
    bob = connect(primus, FakeConnection(), QUERY_STRING="name=bob")
    primus.write("common")
    assert calls == ["common"]
    primus.write("personal")
    assert calls == ["common", "personal", "personal"]
    assert (ann.socket.sent[1:], bob.socket.sent[1:]) == ([b'P"ann"'], [b'P"bob"'])


# -- FAQ


@pytest.mark.parametrize(("known", "warned"), [(False, 1), (True, 0)])
def test_several_processes_are_warned_of_once(known: bool, warned: int, caplog: Any) -> None:
    primus = Primus(iknowclusterwillbreakconnections=known)
    for _ in range(2):
        Client(primus).get("/primus/spec", environ_overrides={"wsgi.multiprocess": True})
    assert caplog.text.count("iknowclusterwillbreakconnections") == warned


# -- the page

OPTIONS = [
    *("authorization", "pathname", "parser", "transformer", "plugin", "timeout", "origins", "methods"),
    *("credentials", "maxAge", "headers", "exposed", "global"),
]
OPTIONS_OF_CREATE_SERVER = ["port", "root", "cert", "key", "ca", "pfx", "passphrase", "iknowhttpsisbetter"]
OPTIONS_OF_THE_CLIENT = [
    *("reconnect", "timeout", "ping", "pong", "strategy", "manual", "websockets", "network", "transport"),
    *("queueSize", "maxDelay", "minDelay", "retries"),
]
EVENTS = [
    *("outgoing::reconnect", "reconnecting", "reconnect", "reconnected", "timeout", "outgoing::open"),
    *("incoming::open", "open", "incoming::error", "error", "incoming::data", "outgoing::data", "data"),
    *("incoming::end", "outgoing::end", "end", "close", "connection", "disconnection", "initialised"),
    *("plugin", "plugout", "incoming::ping", "outgoing::ping", "incoming::pong", "outgoing::pong"),
    *("online", "offline", "log", "readyStateChange", "outgoing::url"),
]
LAYERS = ["cors", "primus.js", "spec", "authorization", "no-cache", "x-xss"]
METHODS = {
    "Client library": (
        "primus.library primus.save primus.on spark.headers spark.address spark.query spark.id "
        "spark.request spark.write spark.end spark.emits spark.on spark.pipe"
    ),
    "Connecting from the browser": "Primus.connect primus.open primus.write primus.on primus.end",
    "Connecting from the server": "primus.Socket Primus.createSocket",
    "Authorization": "primus.authorize",
    "Broadcasting": "primus.write primus.forEach primus.spark",
    "Destruction": "primus.destroy primus.end",
    "Events": "spark.reserved primus.reserved",
    "Heartbeats and latency": "primus.latency",
    "Middleware": "primus.before primus.remove primus.disable primus.enable",
    "Plugins": "primus.use primus.plugout primus.Spark primus.transform",
}
FRAMEWORKS = ["Engine.IO", "WebSockets", "Faye", "BrowserChannel", "SockJS", "Socket.IO"]
# What may be planned only; everything else has a test.
NOT_YET = {"the plugins of the project"}
# Blocks of code under each heading of the specification, as many as it has there. Two blocks are no examples:
# the address of a chat, and `npm install primus`.
EXAMPLES = {
    "Getting started": 4,
    "Client library": 7,
    "spark.write(data)": 1,
    "spark.end(data, options)": 2,
    "spark.emits(event, parser)": 1,
    "spark.on('data')": 1,
    "spark.on('end')": 1,
    "Connecting from the Browser": 1,
    "Reconnect": 1,
    "Strategy": 3,
    "primus.open()": 1,
    "primus.write(message)": 2,
    "primus.on('data')": 1,
    "primus.on('open')": 1,
    "primus.on('error')": 1,
    "primus.on('reconnect')": 1,
    "primus.on('reconnecting')": 1,
    "primus.on('end')": 1,
    "primus.end()": 1,
    "Connecting from the server": 4,
    "Authorization": 5,
    "Broadcasting": 4,
    "Destruction": 1,
    "Events": 2,
    "Engine.IO": 4,
    "WebSockets": 3,
    "Faye": 3,
    "BrowserChannel": 3,
    "SockJS": 4,
    "Socket.IO": 4,
    "Primus.before(name, fn, options, index)": 4,
    "Primus.remove(name)": 1,
    "Primus.disable(name)": 1,
    "Primus.enable(name)": 1,
    "Plugins": 4,
    "Intercepting the connection events": 1,
    "Extending the Spark / Socket": 1,
    "Transforming and intercepting messages": 3,
    "Example": 1,
    "How do I use Primus with Express 3": 1,
    "Can I send custom headers to the server": 1,
}

REFERENCE = re.compile(r'`((?:tests/[\w/.]+::\w+)|(?:(?:interop|tests/js/[\w.]+): "[^"]*"))`')


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def tables() -> dict[str, list[list[str]]]:
    """The rows under each heading of the page."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| "):
            found.setdefault(heading, []).append(cells(line))
    return {heading: rows[1:] for heading, rows in found.items()}


TABLES = tables()
EXAMPLE_ROWS = TABLES.pop("Examples of the specification")
ROWS = [(heading, *row) for heading, rows in TABLES.items() for row in rows]


def functions(path: Path) -> set[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def exists(reference: str) -> bool:
    """Whether that test is in the tree."""
    where, quoted, name = reference.partition(': "')
    if not quoted:
        path, _, name = reference.partition("::")
        return name.startswith("test_") and (ROOT / path).is_file() and name in functions(ROOT / path)
    name = name.removesuffix('"')
    if where == "interop":
        kind, files = "scenario", [*(ROOT / "tests/interop").glob("*.js")]
        files += (ROOT / "tests/interop/suites").glob("*.js")
    else:
        kind, files = "test", [ROOT / where]
    call = re.compile(rf"\b{kind}\(\s*(['`])((?:\\.|(?!\1).)*)\1")
    return any(
        name == found[2]
        for file in files
        if file.is_file()
        for found in call.finditer(file.read_text(encoding="utf-8"))
    )


def test_the_page_has_all_its_tables() -> None:
    assert set(METHODS) <= set(TABLES)
    assert len(ROWS) > 150
    assert {len(row) for row in ROWS} == {4}
    assert {len(row) for row in EXAMPLE_ROWS} == {4}


@pytest.mark.parametrize(
    ("what", "proof"),
    [(f"{row[0]}: {row[1]}", row[3]) for row in ROWS]
    + [(f"example: {row[0]}: {row[1]} ({row[2]})", row[3]) for row in EXAMPLE_ROWS],
)
def test_every_row_has_a_test(what: str, proof: str) -> None:
    if proof == "not yet":
        assert any(name in what for name in NOT_YET) or any(
            name in " ".join(row) for row in ROWS if f"{row[0]}: {row[1]}" == what for name in NOT_YET
        )
        return
    references = REFERENCE.findall(proof)
    assert references, proof
    assert REFERENCE.sub("", proof).strip(", ") == ""
    for reference in references:
        assert exists(reference), reference


def test_the_search_for_tests_finds_no_others() -> None:
    assert exists("tests/unit/test_specification.py::test_the_search_for_tests_finds_no_others")
    assert exists('interop: "connects"')
    for wrong in (
        "tests/unit/test_specification.py::test_the_search",
        "tests/unit/test_specification.py::exists",
        "tests/unit/nowhere.py::test_x",
        'interop: "connect"',
        'tests/js/nowhere.test.js: "x"',
        'tests/js/messages.test.js: "plug"',
    ):
        assert not exists(wrong), wrong


def named(heading: str) -> list[str]:
    """What stands in backquotes in the first column."""
    return [name for row in TABLES[heading] for name in re.findall(r"`([^`]+)`", row[0])]


def test_every_option_has_a_row() -> None:
    assert set(OPTIONS) <= set(named("Getting started"))
    assert set(OPTIONS_OF_CREATE_SERVER) <= set(named("Getting started"))
    assert set(OPTIONS_OF_THE_CLIENT) <= set(named("Connecting from the browser"))
    assert "iknowclusterwillbreakconnections" in named("Example and FAQ")


def test_every_event_has_a_row() -> None:
    assert [name for name in EVENTS if name not in named("Events")] == []
    assert named("Events").count("close") == 2  # one of the client, one of the server


@pytest.mark.parametrize(("heading", "methods"), METHODS.items())
def test_every_method_has_a_row(heading: str, methods: str) -> None:
    for method in methods.split():
        assert any(re.match(rf"{re.escape(method)}\b", name) for name in named(heading)), method


def test_every_layer_and_framework_has_a_row() -> None:
    assert set(LAYERS) <= set(named("Middleware"))
    frameworks = " ".join(row[0] for row in TABLES["Supported real-time frameworks"])
    assert [name for name in FRAMEWORKS if name not in frameworks] == []


def test_every_example_has_a_row() -> None:
    counted: dict[str, int] = {}
    for heading, example, _, _ in EXAMPLE_ROWS:
        several = re.match(r"(\d+) blocks", example)
        counted[heading] = counted.get(heading, 0) + (int(several[1]) if several else 1)
    assert counted == EXAMPLES


def test_every_example_of_ours_is_linked() -> None:
    linked = {name for row in EXAMPLE_ROWS for name in re.findall(r"examples/([\w.]+)", row[2])}
    others = {"flask_session.py", "latency.py", "own_transformer.py"}  # not of the specification's examples
    there = {path.name for kind in ("*.py", "*.js") for path in (ROOT / "examples").glob(kind)}
    assert linked | others == there
