"""The stack of layers: which of them run, in what order, and what each kind of function may say."""

from __future__ import annotations

import logging
import threading
from typing import Any

import gevent
import pytest
from flask import Response as FlaskResponse
from greenlet import GreenletExit
from werkzeug.exceptions import Forbidden, MethodNotAllowed, NotFound, abort
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from primus_gevent.errors import AuthorizationError, OptionError, UnknownNameError
from tests.unit.middleware.asking import ERROR_500, ask, make

BUILTIN = ["forwarded", "cors", "primus.js", "spec", "x-xss", "no-cache", "authorization"]


@pytest.fixture
def primus() -> Any:
    return make()


# -- names and places


def test_the_layers_of_primus_are_in_the_order_of_the_original(primus: Any) -> None:
    assert primus.layers == BUILTIN


@pytest.mark.parametrize(
    ("index", "place"), [(None, 7), (0, 0), (2, 2), (6, 6), (7, 7), (99, 7), (-1, 7), (-99, 7)]
)
def test_a_layer_goes_to_its_index_or_to_the_end(primus: Any, index: Any, place: int) -> None:
    """As in the original: an index that there is not means the end."""
    primus.before("mine", lambda request, response: None, index=index)
    assert primus.layers.index("mine") == place
    assert [name for name in primus.layers if name != "mine"] == BUILTIN


def test_the_index_may_be_the_third_argument(primus: Any) -> None:
    primus.before("mine", lambda request, response: None, 2)
    assert primus.layers.index("mine") == 2


@pytest.mark.parametrize("index", [None, 0])
def test_a_known_name_is_replaced_in_its_place(primus: Any, index: Any) -> None:
    primus.before("spec", lambda request, response: response.end("mine"), index=index)
    assert primus.layers == BUILTIN
    assert ask(primus, "/anything").body == b"mine"
    assert ask(primus, "/primus.js").body != b"mine"


def test_what_replaces_a_disabled_layer_runs(primus: Any) -> None:
    primus.before("mine", lambda request, response: response.end("old"))
    primus.disable("mine")
    primus.before("mine", lambda request, response: response.end("new"))
    assert ask(primus).body == b"new"


def test_layers_run_in_order_until_one_answers(primus: Any) -> None:
    order: list[str] = []
    for name in "abcd":
        primus.before(name, lambda request, response, name=name: order.append(name) or name == "c")
    assert ask(primus).code == 200
    assert order == ["a", "b", "c"]
    assert not primus.transformer.passed


def test_remove_disable_and_enable(primus: Any) -> None:
    primus.disable("spec")
    assert ask(primus, "/spec").body == b"passed"
    primus.enable("spec")
    assert ask(primus, "/spec").body != b"passed"
    primus.remove("spec")
    assert ask(primus, "/spec").body == b"passed"
    assert "spec" not in primus.layers
    for call in (primus.remove, primus.disable, primus.enable):
        with pytest.raises(UnknownNameError, match=r"spec.*cors"):
            call("spec")


def test_a_layer_may_change_the_stack_under_itself(primus: Any) -> None:
    """The request goes on with the layers that there were."""
    seen: list[str] = []

    def once(request: Any, response: Any) -> None:
        primus.remove("once")
        primus.before("late", lambda request, response: seen.append("late"))

    primus.before("once", once)
    primus.before("after", lambda request, response: seen.append("after"))
    ask(primus)
    assert seen == ["after"]
    ask(primus)
    assert seen == ["after", "after", "late"]


# -- functions


def test_as_a_decorator(primus: Any) -> None:
    @primus.before("named", index=0)
    def layer(request: Any, response: Any) -> None:
        response.headers["X-Mine"] = "yes"

    assert primus.layers[0] == "named"
    assert callable(layer)
    assert ask(primus).header("X-Mine") == "yes"


def test_a_function_alone_gives_the_layer_its_name(primus: Any) -> None:
    """The original takes `before(fn)` too. A decorator without a name must not be taken for a name."""

    @primus.before
    def gate(request: Any, response: Any) -> bool:
        return True

    assert primus.layers[-1] == "gate"
    assert callable(gate)
    assert not ask(primus).body
    with pytest.raises(OptionError, match="needs a name"):
        primus.before(lambda request, response: None)


@pytest.mark.parametrize("upgrade", [True, False])
def test_flags_keep_a_layer_away_from_a_kind_of_request(primus: Any, upgrade: bool) -> None:
    seen: list[str] = []

    def layer(request: Any, response: Any) -> None:
        seen.append("ran")

    setattr(layer, "upgrade" if upgrade else "http", False)
    primus.before("mine", layer)
    ask(primus, upgrade=upgrade)
    assert seen == []
    ask(primus, upgrade=not upgrade)
    assert seen == ["ran"]


def test_a_decorated_function_gets_its_flags_afterwards(primus: Any) -> None:
    @primus.before("mine")
    def layer(request: Any, response: Any) -> bool:
        return True

    layer.upgrade = False
    assert ask(primus, upgrade=True).body == b"passed"
    assert ask(primus).body == b""


def test_a_function_with_fewer_parameters_makes_the_layer(primus: Any) -> None:
    given: list[Any] = []

    def bare() -> Any:
        given.append("bare")
        return lambda request, response: response.headers.add("X-Made", "bare")

    def of_the_server(primus: Any) -> Any:
        given.append(primus)
        return lambda request, response, next: next()  # noqa: A006

    def of_options(options: Any) -> Any:
        given.append(options)
        layer = lambda request, response: True  # noqa: E731
        layer.http = False
        return layer

    def of_both(primus: Any, *, options: Any) -> Any:
        given.append((primus, options))
        return lambda request, response: None

    primus.before("a", bare)
    primus.before("b", of_the_server, {"not": "for it"})
    primus.before("c", of_options, {"x": 1})
    primus.before("d", of_both, ["a list"])
    primus.before("e", of_options)
    assert given == ["bare", primus, {"x": 1}, (primus, ["a list"]), {}]
    assert ask(primus).all("X-Made") == ["bare"]
    assert ask(primus, upgrade=True).body == b""
    assert len(given) == 5


@pytest.mark.parametrize(
    "function",
    [
        None,
        "name",
        5,
        lambda: None,
        lambda: lambda request: None,
        lambda primus: "no function",
        lambda request, response, next, more: None,  # noqa: A006
        lambda request, response, *, keyword: None,
    ],
)
def test_what_is_no_layer_is_refused_by_name(primus: Any, function: Any) -> None:
    with pytest.raises(OptionError, match="bad"):
        primus.before("bad", function)("none was given")
    assert "bad" not in primus.layers


@pytest.mark.parametrize("name", ["", None, 5, b"bytes"])
def test_a_layer_needs_a_name(primus: Any, name: Any) -> None:
    with pytest.raises(OptionError, match="needs a name"):
        primus.before(name, lambda request, response: None)


def test_a_function_whose_call_runs_nothing_is_refused(primus: Any) -> None:
    async def coroutine(request: Any, response: Any) -> None: ...
    def generator(request: Any, response: Any) -> Any:
        yield

    class Callable:
        async def __call__(self, request: Any, response: Any) -> None: ...

    for function in (coroutine, generator, Callable(), lambda: coroutine):
        with pytest.raises(OptionError, match="would never run"):
            primus.before("mine", function)


# -- without `next`


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize("result", [None, False, 0, "", [], {}])
def test_a_layer_that_returns_nothing_lets_pass(primus: Any, result: Any, upgrade: bool) -> None:
    primus.before("mine", lambda request, response: result)
    assert ask(primus, upgrade=upgrade).body == b"passed"


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize("result", ["Forbidden", ("no", 403), 1, {"error": "no"}, b"no", object()])
def test_what_a_flask_view_might_return_does_not_let_pass(
    primus: Any, result: Any, upgrade: bool, caplog: Any
) -> None:
    primus.before("mine", lambda request, response: result)
    answer = ask(primus, upgrade=upgrade)
    assert (answer.code, answer.json) == (500, ERROR_500)
    assert "'mine' returned" in caplog.text


def test_true_answers_with_the_response(primus: Any) -> None:
    def layer(request: Any, response: Any) -> bool:
        response.status_code = 402
        response.set_data("pay")
        response.set_cookie("a", "b")
        return True

    primus.before("mine", layer)
    answer = ask(primus)
    assert (answer.status, answer.body) == ("402 PAYMENT REQUIRED", b"pay")
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert answer.header("Content-Length") == "3"
    assert answer.header("Set-Cookie") == "a=b; Path=/"
    assert answer.header("Pragma") == "no-cache"


@pytest.mark.parametrize("make_response", [Response, FlaskResponse])
def test_a_response_of_its_own(primus: Any, make_response: Any) -> None:
    def layer(request: Any, response: Any) -> Any:
        response.headers["X-Kept"] = "yes"
        return make_response("<b>", 418, {"Cache-Control": "public"}, mimetype="text/html")

    primus.before("mine", layer)
    answer = ask(primus)
    assert (answer.code, answer.body) == (418, b"<b>")
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert (answer.header("Cache-Control"), answer.header("X-Kept")) == ("public", "yes")


def test_a_redirect(primus: Any) -> None:
    primus.before("mine", lambda request, response: redirect("/elsewhere"))
    for upgrade in (False, True):
        answer = ask(primus, upgrade=upgrade)
        assert (answer.code, answer.header("Location")) == (302, "/elsewhere")


def test_a_stream_is_not_collected(primus: Any) -> None:
    closed: list[str] = []

    def endless() -> Any:
        try:
            while True:
                yield b"x"
        finally:
            closed.append("closed")

    primus.before(
        "returns", lambda request, response: Response(endless()) if "own" in request.query else None
    )

    def fills(request: Any, response: Any) -> bool:
        response.response = endless()
        return True

    primus.before("fills", fills)
    for query in ("own", ""):
        told: list[Any] = []
        chunks = primus(
            {"PATH_INFO": "/primus", "REQUEST_METHOD": "GET", "QUERY_STRING": query},
            lambda *args, told=told: told.extend(args),
        )
        stream = iter(chunks)
        assert [next(stream) for _ in range(3)] == [b"x"] * 3
        assert dict(told[1])["Content-Type"].startswith("text/plain")
        chunks.close()
    assert closed == ["closed", "closed"]


def test_head_has_no_body(primus: Any) -> None:
    primus.before("mine", lambda request, response: response.end("text"))
    answer = ask(primus, REQUEST_METHOD="HEAD")
    assert (answer.body, answer.header("Content-Length")) == (b"", "4")


def test_the_head_of_a_stream_has_no_chunks_at_all() -> None:
    """pywsgi ends an answer without length by a last chunk, unless it is a list."""
    closed: list[str] = []

    def layer(request: Any, response: Any) -> Any:
        streamed = Response(iter([b"x"]))
        streamed.call_on_close(lambda: closed.append("closed"))
        return streamed

    primus = make()
    primus.before("mine", layer)
    environ = {"PATH_INFO": "/primus", "REQUEST_METHOD": "HEAD"}
    assert primus(environ, lambda *_: None) == []
    assert closed == ["closed"]


@pytest.mark.parametrize("status", [204, 304])
def test_what_has_no_body_has_no_type_either(primus: Any, status: int) -> None:
    def layer(request: Any, response: Any) -> bool:
        response.status_code = status
        return True

    primus.before("mine", layer)
    answer = ask(primus)
    assert (answer.code, answer.body) == (status, b"")
    assert answer.header("Content-Type") is None
    assert answer.header("Content-Length") in (None, "0")


def test_only_the_first_end_counts(primus: Any) -> None:
    def layer(request: Any, response: Any) -> None:
        response.end("first")
        response.end("second")

    primus.before("mine", layer)
    assert ask(primus).body == b"first"


def test_headers_without_an_answer_are_for_whoever_answers(primus: Any) -> None:
    def layer(request: Any, response: Any) -> None:
        response.headers["X-Mine"] = "yes"
        response.headers.add("Vary", "Cookie")
        response.headers["Cache-Control"] = "private"
        response.set_data("no answer, and so no length of one")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")

    primus.before("mine", layer)
    answer = ask(primus)
    assert (answer.body, answer.header("X-Mine")) == (b"passed", "yes")
    assert answer.header("Content-Length") == "6"
    assert answer.header("Vary") == "Origin, Cookie"
    assert answer.header("Cache-Control") == "private"
    assert answer.all("Set-Cookie") == ["a=1; Path=/", "b=2; Path=/"]


def test_a_layer_before_those_of_primus_does_not_double_their_headers(primus: Any) -> None:
    def first(request: Any, response: Any) -> None:
        response.headers["Cache-Control"] = "public"
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Vary"] = "Cookie"

    primus.before("first", first, index=0)
    answer = ask(primus, HTTP_ORIGIN="http://a.example")
    assert answer.header("Cache-Control") == "no-store, no-cache, must-revalidate, max-age=0"
    assert answer.header("Access-Control-Allow-Origin") == "http://a.example"
    assert answer.header("Vary") == "Cookie, Origin"


# -- what goes wrong


class OwnError(Exception):
    status_code = 409


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize(
    "error", [RuntimeError("secret"), gevent.Timeout(1), KeyError("secret"), AssertionError()]
)
def test_what_a_layer_raises_is_logged_and_not_shown(
    primus: Any, error: Any, upgrade: bool, form: str, caplog: Any
) -> None:
    def sync(request: Any, response: Any) -> None:
        raise error

    def asynchronous(request: Any, response: Any, next: Any) -> None:  # noqa: A002
        raise error

    primus.before("broken", sync if form == "sync" else asynchronous)
    answer = ask(primus, upgrade=upgrade)
    assert (answer.status, answer.json) == ("500 Internal Server Error", ERROR_500)
    assert "broken" in caplog.text
    assert "Traceback" in caplog.text
    assert not primus.transformer.passed


@pytest.mark.parametrize("upgrade", [False, True])
def test_a_killed_layer_says_that_the_server_goes(primus: Any, upgrade: bool, caplog: Any) -> None:
    """Servers kill their greenlets when they stop; that is nobody's error."""
    entered = gevent.event.Event()

    def waits(request: Any, response: Any) -> None:
        entered.set()
        gevent.sleep(60)

    primus.before("waits", waits)
    request = gevent.spawn(ask, primus, upgrade=upgrade)
    entered.wait(5)
    request.kill(timeout=5)
    answer = request.get(timeout=5)
    assert (answer.code, answer.header("Connection")) == (503, "close")
    assert caplog.records == []
    primus.before("waits", lambda request, response: (_ for _ in ()).throw(GreenletExit))
    assert ask(primus, upgrade=upgrade).code == 503


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (NotFound("nothing here"), 404, {"error": "nothing here"}),
        (Forbidden(), 403, {"error": Forbidden.description}),
        (AuthorizationError("who?"), 401, {"error": "who?"}),
        (OwnError("taken"), 409, {"error": "taken"}),
    ],
)
@pytest.mark.parametrize("returned", [False, True])
def test_errors_that_are_for_the_client(
    primus: Any, error: Any, status: int, body: Any, returned: bool, caplog: Any
) -> None:
    def layer(request: Any, response: Any) -> Any:
        if returned:
            return error
        raise error

    primus.before("mine", layer)
    for upgrade in (False, True):
        answer = ask(primus, upgrade=upgrade)
        assert (answer.code, answer.json) == (status, body)
    assert caplog.records == []


def test_abort_with_a_response(primus: Any) -> None:
    primus.before("mine", lambda request, response: abort(Response("<b>", 451, mimetype="text/html")))
    answer = ask(primus)
    assert (answer.code, answer.body) == (451, b"<b>")
    primus.before("mine", lambda request, response: abort(redirect("/login")))
    assert ask(primus).header("Location") == "/login"


def test_the_headers_of_an_http_exception_are_sent(primus: Any) -> None:
    def layer(request: Any, response: Any) -> Any:
        raise MethodNotAllowed(["GET", "HEAD"])

    primus.before("mine", layer)
    answer = ask(primus)
    assert (answer.code, answer.header("Allow")) == (405, "GET, HEAD")
    assert answer.header("Content-Type") == "application/json"


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A\r\nX-Evil", "1"),
        ("X-A\nX-Evil", "1"),
        ("X A", "1"),
        ("", "1"),
        ("X-Ą", "1"),
        ("X-A", "Łódź"),
        ("X-A", "nul \0"),
    ],
)
def test_a_header_that_cannot_be_sent_is_left_out(
    primus: Any, name: str, value: str, upgrade: bool, caplog: Any
) -> None:
    """A server would answer 500, or send it as it is."""
    answers: list[Any] = [None, lambda: True, lambda: Response("own", headers=[(name, value)])]
    for answer_with in answers:

        def layer(request: Any, response: Any, answer_with: Any = answer_with) -> Any:
            response.headers[name] = value
            response.headers["X-Good"] = "é"
            return answer_with and answer_with()

        primus.before("mine", layer)
        answer = ask(primus, upgrade=upgrade)
        assert answer.code == 200
        assert answer.header("X-Good") == "é"
        assert all(key.isascii() and key.isprintable() for key, _ in answer.headers)
        assert name not in dict(answer.headers)
    assert "left out the header" in caplog.text


def test_line_ends_in_a_value_are_an_error_of_the_layer(primus: Any) -> None:
    def layer(request: Any, response: Any) -> None:
        response.headers["X-A"] = "1\r\nX-Evil: 1"

    primus.before("mine", layer)
    answer = ask(primus)
    assert (answer.code, answer.json) == (500, ERROR_500)
    assert answer.header("X-Evil") is None


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        ("200 OK\r\nX-Evil: 1", "200 OK"),
        ("403 nö", "403 nö"),
        ("403 ł", "403 Forbidden"),
        ("299", "299 UNKNOWN"),
        ("nonsense", "500 Internal Server Error"),
        (101, "500 Internal Server Error"),
        (99, "500 Internal Server Error"),
        (2000, "500 Internal Server Error"),
    ],
)
def test_a_status_that_cannot_be_sent_is_replaced(primus: Any, status: Any, sent: str) -> None:
    def layer(request: Any, response: Any) -> bool:
        response.status = status
        return True

    primus.before("mine", layer)
    for upgrade in (False, True):
        assert ask(primus, upgrade=upgrade).status == sent


# -- with `next`


def asynchronous(primus: Any, function: Any) -> Any:
    primus.before("mine", lambda request, response, next: function(response, next))  # noqa: A006
    return ask(primus)


def test_next_lets_pass(primus: Any) -> None:
    assert asynchronous(primus, lambda response, next: next()).body == b"passed"  # noqa: A006
    assert asynchronous(primus, lambda response, next: next(None)).body == b"passed"  # noqa: A006
    assert asynchronous(primus, lambda response, next: next(None, "more")).body == b"passed"  # noqa: A006


def test_next_from_elsewhere_and_later(primus: Any) -> None:
    def later(response: Any, next: Any) -> Any:  # noqa: A002
        return gevent.spawn(next)  # what is returned is of no interest here

    assert asynchronous(primus, later).body == b"passed"

    def in_the_hub(response: Any, next: Any) -> None:  # noqa: A002
        gevent.get_hub().loop.run_callback(next)

    assert asynchronous(primus, in_the_hub).body == b"passed"

    def in_a_thread(response: Any, next: Any) -> None:  # noqa: A002
        threading.Thread(target=next, args=("from a thread",)).start()

    assert asynchronous(primus, in_a_thread).json == {"error": "from a thread"}


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        ("no", 500, {"error": "no"}),
        (ValueError("wrong"), 500, {"error": "wrong"}),
        (ValueError(), 500, {"error": "ValueError"}),
        (OwnError("taken"), 409, {"error": "taken"}),
        (Forbidden("not you"), 403, {"error": "not you"}),
        ({"message": "busy", "status_code": 503}, 503, {"error": "busy"}),
        ({"message": "busy", "statusCode": 503}, 503, {"error": "busy"}),
        ({}, 500, {"error": {}}),
        (True, 500, {"error": True}),
        (7, 500, {"error": 7}),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_next_with_an_error_answers(primus: Any, error: Any, status: int, body: Any, later: bool) -> None:
    def layer(response: Any, next: Any) -> None:  # noqa: A002
        gevent.spawn(next, error) if later else next(error)

    answer = asynchronous(primus, layer)
    assert (answer.code, answer.json) == (status, body)


@pytest.mark.parametrize("falsy", [None, False, 0, 0.0, ""])
def test_what_is_no_error_in_javascript_is_none_here(primus: Any, falsy: Any) -> None:
    assert asynchronous(primus, lambda response, next: next(falsy)).body == b"passed"  # noqa: A006


def test_only_the_first_next_counts(primus: Any) -> None:
    def refused(response: Any, next: Any) -> None:  # noqa: A002
        next("no")
        next()
        response.end("too late")

    assert asynchronous(primus, refused).json == {"error": "no"}

    def passed(response: Any, next: Any) -> None:  # noqa: A002
        next()
        next("too late")

    assert asynchronous(primus, passed).body == b"passed"


def test_an_ended_response_is_the_answer_whatever_next_says(primus: Any) -> None:
    def end_first(response: Any, next: Any) -> None:  # noqa: A002
        response.end("ended")
        next()
        next("too late")

    assert asynchronous(primus, end_first).body == b"ended"

    def end_last(response: Any, next: Any) -> None:  # noqa: A002
        next()
        response.end("ended")

    assert asynchronous(primus, end_last).body == b"ended"
    assert not primus.transformer.passed


def test_an_answer_that_comes_later(primus: Any) -> None:
    def later(response: Any, next: Any) -> None:  # noqa: A002
        def end() -> None:
            response.status_code = 403
            response.end("later")
            next()
            response.end("too late")

        gevent.spawn(end)

    answer = asynchronous(primus, later)
    assert (answer.code, answer.body) == (403, b"later")


def test_an_answer_instead_of_next(primus: Any) -> None:
    assert asynchronous(primus, lambda response, next: Response("own", 403)).body == b"own"  # noqa: A006

    def fill(response: Any, next: Any) -> bool:  # noqa: A002
        response.set_data("filled")
        return True

    assert asynchronous(primus, fill).body == b"filled"


def test_a_layer_that_never_says_anything(caplog: Any) -> None:
    primus = make(handshake_timeout=0.01)
    kept: list[Any] = []

    def silent(response: Any, next: Any) -> None:  # noqa: A002
        kept.extend((response, next))

    answer = asynchronous(primus, silent)
    assert (answer.code, answer.json) == (500, ERROR_500)
    assert "neither called next nor answered" in caplog.text
    response, proceed = kept
    proceed()
    proceed("too late")
    response.end("too late")
    assert not primus.transformer.passed


def test_an_error_without_status_is_in_the_log(primus: Any, caplog: Any) -> None:
    caplog.set_level(logging.ERROR)
    asynchronous(primus, lambda response, next: next(ValueError("what happened")))  # noqa: A006
    assert "ValueError: what happened" in caplog.text
