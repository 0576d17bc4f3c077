"""The authorization hook: its two forms, what it may say, and what becomes of the request."""

from __future__ import annotations

import http
import logging
import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, HTTPException, TooManyRequests, Unauthorized, abort
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from primus_gevent.errors import AuthorizationError, OptionError
from tests.unit.middleware.asking import ERROR_500, Answer, ask, make

BASIC = 'Basic realm="x"'
BOTH_KINDS = pytest.mark.parametrize("upgrade", [False, True])


def raises(error: BaseException) -> Any:
    def hook(request: Any) -> None:
        raise error

    return hook


def says(*error: Any) -> Any:
    return lambda request, done: done(*error)


def refused(hook: Any, *, upgrade: bool = False, **options: Any) -> Answer:
    primus = make(authorization=hook, **options)
    answer = ask(primus, upgrade=upgrade)
    assert not primus.transformer.passed
    return answer


# -- who is asked


@BOTH_KINDS
@pytest.mark.parametrize(
    "hook",
    [
        lambda request: None,
        lambda request: True,
        lambda request: {"a": "user"},
        says(),
        says(None),
        says(""),
        says(0),
        says(None, {"a": "user"}),  # as Node's callbacks do
        partial(lambda wanted, request: None, "x"),
    ],
)
def test_a_hook_lets_pass(hook: Any, upgrade: bool) -> None:
    primus = make(authorization=hook)
    for _ in range(2):
        assert ask(primus, upgrade=upgrade).body == b"passed"


@BOTH_KINDS
@pytest.mark.parametrize("answer", [("log in first", 401), ("welcome", 200), (), (1, 2, 3)])
def test_the_answer_of_a_flask_view_lets_nobody_in(answer: Any, upgrade: bool, caplog: Any) -> None:
    """It is true, like a user that a hook returns; but whoever writes it has meant to refuse."""
    refusal = refused(lambda request: answer, upgrade=upgrade)
    assert (refusal.code, refusal.body) == (500, b'{"error":"Internal Server Error"}')
    assert "AuthorizationError" in caplog.text


@BOTH_KINDS
@pytest.mark.parametrize(
    ("answer", "code", "body"),
    [
        ("log in first", 401, b'{"error":"log in first"}'),
        ({"message": "go away", "status_code": 403}, 403, b'{"error":"go away"}'),
        ({"message": "go away", "statusCode": 402}, 402, b'{"error":"go away"}'),
    ],
)
def test_the_error_of_the_other_form_refuses_too(answer: Any, code: int, body: bytes, upgrade: bool) -> None:
    """As `done(answer)` does. To take it for a user would let everybody in."""
    refusal = refused(lambda request: answer, upgrade=upgrade)
    assert (refusal.code, refusal.body) == (code, body)


@BOTH_KINDS
def test_it_is_asked_each_time(upgrade: bool) -> None:
    asked: list[str] = []
    primus = make()

    @primus.authorize
    def hook(request: Any) -> None:
        asked.append(request.path)

    for _ in range(3):
        ask(primus, "/x", upgrade=upgrade)
    assert asked == ["/primus/x"] * 3


def test_the_two_documents_and_preflights_need_no_authorization() -> None:
    primus = make(authorization=lambda request: False)
    for path in ("/primus.js", "/spec"):
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            assert ask(primus, path, REQUEST_METHOD=method).code == 200
    preflight = {
        "REQUEST_METHOD": "OPTIONS",
        "HTTP_ORIGIN": "http://a.example",
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET",
    }
    assert ask(primus, **preflight).code == 200
    for path in ("", "/", "/primus.js/", "/primus.jsx", "/x/primus.js", "/spec/", "//spec", "/SPEC"):
        assert ask(primus, path).code == 401
    for path in ("/primus.js", "/spec"):
        assert ask(primus, path, upgrade=True).code == 401  # these two layers do not run for upgrades


def test_offering_another_protocol_makes_no_upgrade() -> None:
    """Java's HTTP client asks for HTTP/2 so; and nobody may choose by it which layers run."""
    primus = make(authorization=lambda request: False)
    offer = {"HTTP_UPGRADE": "h2c", "HTTP_CONNECTION": "Upgrade, HTTP2-Settings", "HTTP_ORIGIN": "http://a.b"}
    assert ask(primus, "/spec", **offer).code == 200
    answer = ask(primus, **offer)
    assert (answer.code, answer.header("Pragma")) == (401, "no-cache")
    assert answer.header("Access-Control-Allow-Origin") == "http://a.b"
    assert answer.header("Connection") is None


def test_a_removed_or_disabled_layer_asks_nobody() -> None:
    primus = make(authorization=lambda request: False)
    primus.disable("authorization")
    assert ask(primus).code == 200
    primus.enable("authorization")
    assert ask(primus).code == 401
    primus.remove("authorization")
    assert ask(primus).code == 200


def test_the_newest_hook_holds() -> None:
    primus = make(authorization=lambda request: False)
    primus.authorize(lambda request: None)
    assert ask(primus).code == 200


def test_the_request_is_what_middleware_is_given() -> None:
    primus = make()
    seen: list[Any] = []
    primus.before("first", lambda request, response: setattr(request, "mark", 1), index=0)

    @primus.authorize
    def hook(request: Any) -> None:
        seen.append((request.mark, request.query, request.forwarded.ip))
        request.user = "ann"

    primus.before("last", lambda request, response: seen.append(request.user))
    ask(primus, QUERY_STRING="a=1", HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert seen == [(1, {"a": "1"}, "1.2.3.4"), "ann"]
    assert vars(primus.transformer.passed[0].seen_request)["user"] == "ann"


# -- what is refused, and how


@BOTH_KINDS
@pytest.mark.parametrize(
    ("hook", "status", "body", "authenticate"),
    [
        (says("go away"), 401, '{"error":"go away"}', None),
        (says(Exception("go away")), 401, '{"error":"go away"}', None),
        (says(ValueError()), 401, '{"error":"ValueError"}', None),
        (says({"message": "go away", "statusCode": 403}), 403, '{"error":"go away"}', None),
        (says({"message": "go away", "status_code": 403}), 403, '{"error":"go away"}', None),
        (says({"message": "log in", "authenticate": BASIC}), 401, '{"error":"log in"}', BASIC),
        (
            says({"message": "no", "status_code": 403, "authenticate": BASIC}),
            403,
            '{"error":"no"}',
            None,
        ),
        (says({"code": 7}), 401, '{"error":{"code":7}}', None),
        (says({}), 401, '{"error":{}}', None),
        (says(True), 401, '{"error":true}', None),
        (says(["a", 1]), 401, '{"error":["a",1]}', None),
        (says(SimpleNamespace(message="no", status_code=410)), 410, '{"error":"no"}', None),
        (says({"message": "x", "status_code": 200}), 401, '{"error":"x"}', None),
        (says({"message": "x", "status_code": True}), 401, '{"error":"x"}', None),
        (says({"message": "x", "status_code": "403"}), 401, '{"error":"x"}', None),
        (says({"message": "x", "status_code": 600}), 401, '{"error":"x"}', None),
        (says({"message": "x", "status_code": http.HTTPStatus.GONE}), 410, '{"error":"x"}', None),
        (says(AuthorizationError("who?", authenticate=BASIC)), 401, '{"error":"who?"}', BASIC),
        (raises(AuthorizationError("who?", authenticate=BASIC)), 401, '{"error":"who?"}', BASIC),
        (raises(AuthorizationError()), 401, '{"error":"Authorization failed"}', None),
        (raises(AuthorizationError("no", 403, BASIC)), 403, '{"error":"no"}', None),
        (raises(AuthorizationError("no", http.HTTPStatus.FORBIDDEN)), 403, '{"error":"no"}', None),
        (raises(AuthorizationError("no", None)), 401, '{"error":"no"}', None),  # type: ignore[arg-type]
        (raises(Forbidden("not you")), 403, '{"error":"not you"}', None),
        (
            raises(Unauthorized("who?", www_authenticate=WWWAuthenticate("basic", {"realm": "x"}))),
            401,
            '{"error":"who?"}',
            "Basic realm=x",
        ),
        (raises(HTTPException()), 401, '{"error":"Unknown Error"}', None),
        (lambda request: abort(403, "not you"), 403, '{"error":"not you"}', None),
        (lambda request: False, 401, '{"error":"Authorization failed"}', None),
        (lambda request: AuthorizationError("who?"), 401, '{"error":"who?"}', None),
        (lambda request: Forbidden("not you"), 403, '{"error":"not you"}', None),
    ],
)
def test_a_refusal(
    hook: Any, status: int, body: str, authenticate: str | None, upgrade: bool, caplog: Any
) -> None:
    answer = refused(hook, upgrade=upgrade, origins="self")
    assert (answer.code, answer.body.decode()) == (status, body)
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Content-Length") == str(len(body))
    assert answer.header("WWW-Authenticate") == authenticate
    assert answer.header("Pragma") == (None if upgrade else "no-cache")
    assert answer.header("Connection") == ("close" if upgrade else None)
    assert caplog.records == []


def test_the_headers_of_an_http_exception_are_sent() -> None:
    answer = refused(raises(TooManyRequests("slow down", retry_after=7)))
    assert (answer.code, answer.json) == (429, {"error": "slow down"})
    assert answer.header("Retry-After") == "7"


@BOTH_KINDS
def test_a_response_is_the_answer(upgrade: bool) -> None:
    for hook in (
        lambda request: redirect("/login"),
        lambda request: abort(redirect("/login")),
        says(HTTPException(response=redirect("/login"))),
    ):
        answer = refused(hook, upgrade=upgrade)
        assert (answer.code, answer.header("Location")) == (302, "/login")
    assert refused(lambda request: Response("<b>", 451), upgrade=upgrade).body == b"<b>"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\x0b"])
def test_a_challenge_is_one_header(end: str) -> None:
    for hook in (
        says({"message": "x", "authenticate": f"Basic{end}X-Evil: 1"}),
        raises(AuthorizationError("x", authenticate=f"Basic{end}X-Evil: 1")),
    ):
        answer = refused(hook)
        assert answer.header("WWW-Authenticate") == "Basic X-Evil: 1"
        assert answer.header("X-Evil") is None
    answer = refused(says({"message": "x", "authenticate": 'Basic realm="ł é"'}))
    assert answer.header("WWW-Authenticate") == 'Basic realm=" é"'


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


circle: dict[str, Any] = {}
circle["it"] = circle


@BOTH_KINDS
@pytest.mark.parametrize(
    "error", [Unspeakable(), {("a", "key"): 1}, circle, {"message": b"\xff"}, {"a": Unspeakable()}]
)
def test_what_cannot_be_told_is_refused_all_the_same(error: Any, upgrade: bool) -> None:
    answer = refused(says(error), upgrade=upgrade)
    assert (answer.code, answer.json) == (401, {"error": "Unauthorized"})


def test_a_large_or_foreign_message() -> None:
    assert refused(says("ü\u2028\ud800" * 1000)).json == {"error": "ü\u2028\ud800" * 1000}


def test_a_refusal_is_logged_in_one_line(caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    primus = make(authorization=says("no\nERROR forged"))
    ask(primus, "/x\nERROR forged")
    record = next(record for record in caplog.records if "refused" in record.message)
    assert "\n" not in record.getMessage()


# -- what goes wrong


@BOTH_KINDS
@pytest.mark.parametrize("takes_done", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("secret"), gevent.Timeout(1, "secret"), KeyError("secret")])
def test_what_a_hook_raises_is_logged_and_not_shown(
    error: Any, takes_done: bool, upgrade: bool, caplog: Any
) -> None:
    def with_done(request: Any, done: Any) -> None:
        raise error

    answer = refused(with_done if takes_done else raises(error), upgrade=upgrade)
    assert (answer.code, answer.json) == (500, ERROR_500)
    assert "the authorization hook" in caplog.text
    assert "Traceback" in caplog.text


def test_a_hook_that_raises_behind_done() -> None:
    def hook(request: Any, done: Any) -> None:
        done()
        raise RuntimeError

    assert refused(hook).code == 500


@BOTH_KINDS
def test_a_killed_hook_says_that_the_server_goes(upgrade: bool, caplog: Any) -> None:
    entered = gevent.event.Event()

    def hook(request: Any) -> None:
        entered.set()
        gevent.sleep(60)

    primus = make(authorization=hook, origins="self")
    request = gevent.spawn(ask, primus, upgrade=upgrade)
    entered.wait(5)
    request.kill(timeout=5)
    assert request.get(timeout=5).code == 503
    assert caplog.records == []


@BOTH_KINDS
def test_done_later_and_from_elsewhere(upgrade: bool) -> None:
    def soon(request: Any, done: Any) -> None:
        gevent.spawn(done, "soon")

    def in_the_hub(request: Any, done: Any) -> None:
        gevent.get_hub().loop.run_callback(done, "soon")

    def in_a_thread(request: Any, done: Any) -> None:
        threading.Thread(target=done, args=("soon",)).start()

    for hook in (soon, in_the_hub, in_a_thread):
        assert refused(hook, upgrade=upgrade).json == {"error": "soon"}


def test_only_the_first_done_counts() -> None:
    def no(request: Any, done: Any) -> None:
        done("no")
        done()

    def yes(request: Any, done: Any) -> None:
        done()
        done("no")

    assert refused(no).code == 401
    assert ask(make(authorization=yes)).code == 200


@BOTH_KINDS
def test_a_hook_that_takes_too_long(upgrade: bool, caplog: Any) -> None:
    kept: list[Any] = []
    ended: list[str] = []

    def forgets(request: Any, done: Any) -> None:
        kept.append(done)

    def blocks(request: Any) -> None:
        try:
            gevent.sleep(60)
        finally:
            ended.append("ended")

    def blocks_with_done(request: Any, done: Any) -> None:
        done()
        gevent.sleep(60)

    def swallows(request: Any) -> None:
        try:
            gevent.sleep(60)
        except gevent.Timeout:  # it believes that it is its own
            pass

    def swallows_with_done(request: Any, done: Any) -> None:
        swallows(request)
        done()

    for hook in (forgets, blocks, blocks_with_done, swallows, swallows_with_done):
        answer = refused(hook, upgrade=upgrade, handshake_timeout=0.01)
        assert (answer.code, answer.json) == (503, {"error": "The authorization took too long"})
    assert caplog.text.count("took longer than 0.01 s") == 5
    assert ended == ["ended"]
    kept[0]()
    kept[0]("too late")


def test_no_timer_is_left_behind() -> None:
    primus = make(authorization=lambda request: None, handshake_timeout=0.01)
    ask(primus)
    gevent.sleep(0.03)  # a timer that is left would be raised here


# -- what is no hook


@pytest.mark.parametrize(
    "hook",
    [
        "name",
        5,
        lambda: None,
        lambda a, b, c: None,
        lambda request, *, keyword: None,
        lambda request, done, *, keyword: None,
    ],
)
def test_what_is_no_hook_is_refused(hook: Any) -> None:
    with pytest.raises(OptionError):
        make().authorize(hook)
    with pytest.raises(OptionError):
        make(authorization=hook)


def test_a_function_whose_call_runs_nothing_is_refused() -> None:
    """Its call returns something that is not False, so it would let everybody in."""

    async def coroutine(request: Any) -> bool:
        return False

    def generator(request: Any) -> Any:
        yield

    for hook in (coroutine, generator, partial(coroutine)):
        with pytest.raises(OptionError, match="would never run"):
            make().authorize(hook)
