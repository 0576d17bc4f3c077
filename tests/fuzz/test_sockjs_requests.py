"""Any request, to a session or beside one: an answer of SockJS's, never an exception, and never a session
that stays when its clients are gone."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primus_gevent import Primus
from tests.unit.fakes import ENVIRON
from tests.unit.hub import eventually, hub_errors, turn

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))

STATUSES = {"200", "204", "304", "400", "403", "404", "405", "413", "426", "499", "500", "501", "503"}
CONTENT_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=UTF-8",
    "T",
    "",
]
LENGTHS = ["0", "5", "-1", "99999", "9" * 400, "1e3", "٣"]
TRANSPORTS = [
    "xhr",
    "xhr_streaming",
    "xhr_send",
    "eventsource",
    "htmlfile",
    "jsonp",
    "jsonp_send",
    "websocket",
]

anything = st.text(st.characters(max_codepoint=255), max_size=12)
paths = st.one_of(
    st.sampled_from(TRANSPORTS).map(lambda name: f"/0/key/{name}"),
    st.sampled_from(TRANSPORTS).map(lambda name: f"/0/key/{name}"),
    st.sampled_from(TRANSPORTS).map(lambda name: f"/0/other/{name}/"),
    st.sampled_from(["", "/", "/info", "/iframe.html", "/iframe-.html", "/websocket", "/chunking_test"]),
    st.lists(anything, max_size=4).map(lambda parts: "/" + "/".join(parts)),
)
names = st.one_of(
    st.sampled_from(["c", "callback", "seen", "first", "end", "open", "t", "service"]), anything
)
values = st.one_of(
    st.sampled_from(["cb", "_jp.a", "0", "1", "2", "3", "-1", "9" * 30, "", "%", "%ff", "+", "é", "x" * 40]),
    anything,
)
queries = st.lists(st.tuples(names, values), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
bodies = st.one_of(
    st.sampled_from(
        [
            b"",
            b"[]",
            b'["1"]',
            b'["1","2","x"]',
            b'["1',
            b"{}",
            b"[1,null]",
            b"d=[]",
            b'd=["1"]',
            b"d=%",
            b'"[]"',
            b'["primus::binary::AA=="]',
            b'["' + b"x" * 2000 + b'"]',
        ]
    ),
    st.binary(max_size=40),
)
requests = st.fixed_dictionaries(
    {
        "REQUEST_METHOD": st.sampled_from(
            ["GET", "GET", "POST", "POST", "POST", "OPTIONS", "HEAD", "PUT", "X"]
        ),
        "path": paths,
        "QUERY_STRING": st.one_of(queries, st.just("c=cb"), anything),
        "body": bodies,
    },
    optional={
        "CONTENT_TYPE": st.one_of(st.sampled_from(CONTENT_TYPES), anything),
        "CONTENT_LENGTH": st.one_of(st.sampled_from(LENGTHS), anything),
        "HTTP_ORIGIN": st.sampled_from(["http://a.example", "null", "%", "http://b\nc"]),
        "HTTP_REFERER": st.sampled_from(["http://a.example/x", "[", ""]),
        "HTTP_COOKIE": st.one_of(st.sampled_from(["JSESSIONID=abc", "JSESSIONID=a\nb", "=", ";;"]), anything),
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD": st.just("POST"),
        "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": st.one_of(st.just("a, b"), anything),
        "HTTP_IF_NONE_MATCH": anything,
        "HTTP_ACCEPT_ENCODING": st.sampled_from(["gzip", "*", "identity"]),
        "HTTP_UPGRADE": st.just("websocket"),
        "HTTP_CONNECTION": st.sampled_from(["Upgrade", "close"]),
        "HTTP_SEC_WEBSOCKET_VERSION": st.sampled_from(["8", "13", "7", "x"]),
        "wsgi.input_terminated": st.booleans(),
    },
)


def ask(primus: Primus, *, path: str, **values: Any) -> tuple[str, list[tuple[str, str]], bytes]:
    """Send one request; one that waits is cut off, which counts as 499 if nothing has come by then."""
    answer: list[Any] = []
    received: list[bytes] = []
    environ = {**ENVIRON, "PATH_INFO": "/primus" + path, **values}
    body = environ.pop("body", b"")
    environ.setdefault("CONTENT_LENGTH", str(len(body)))
    environ["wsgi.input"] = BytesIO(body)

    def run() -> None:
        try:
            chunks = primus(environ, lambda status, headers: answer.append((status, headers)))
            try:
                for chunk in chunks:
                    received.append(chunk)  # noqa: PERF402 - what has come before it is cut off counts
            finally:
                getattr(chunks, "close", lambda: None)()
        except BrokenPipeError:
            assert answer[-1][0].startswith("499")

    greenlet = gevent.spawn(run)
    turn(4)
    if not greenlet.ready():
        greenlet.kill()
    else:
        greenlet.get()
    if not answer:
        return "499", [], b""
    ((status, headers),) = answer
    return status.split()[0], headers, b"".join(received)


def expect_fine(primus: Primus, request: dict[str, Any]) -> None:
    status, headers, body = ask(primus, **request)
    assert status in STATUSES
    assert b"Traceback" not in body
    for name, value in headers:
        assert "\n" not in name + value
        assert "\r" not in name + value
    given = [name.lower() for name, _ in headers if name.lower() not in ("vary", "set-cookie")]
    assert len(set(given)) == len(given), headers
    named = {name.lower(): value for name, value in headers}
    if status in ("204", "304", "405") or request["REQUEST_METHOD"] == "HEAD":
        assert body == b""
    elif "content-length" in named:
        assert int(named["content-length"]) == len(body)
    if status in ("204", "304"):
        assert "content-length" not in named


@settings(max_examples=EXAMPLES)
@given(
    first=st.sampled_from(["", "seen=0"]),
    asked=st.lists(requests, min_size=1, max_size=6),
    options=st.fixed_dictionaries(
        {},
        optional={
            "compression": st.just(True),
            "origins": st.just(["http://a.example"]),
            "credentials": st.just(False),
        },
    ),
    transport=st.fixed_dictionaries(
        {},
        optional={
            "jsessionid": st.just(True),
            "websocket": st.just(False),
            "response_limit": st.just(10),
            "sockjs_url": st.none(),
        },
    ),
)
def test_any_request_is_answered(
    first: str, asked: list[dict[str, Any]], options: dict[str, Any], transport: dict[str, Any]
) -> None:
    primus = Primus(transformer="sockjs", max_length=100, transport=transport, **options)

    @primus.on("connection")
    def connection(spark: Any) -> None:
        spark.on("data", spark.write)
        spark.on("error", lambda error: None)

    with hub_errors() as errors:
        ask(primus, path="/0/key/xhr", REQUEST_METHOD="POST", QUERY_STRING=first)
        for request in asked:
            expect_fine(primus, request)
        sessions = primus.transformer.requests.sessions
        for session in sessions:
            assert session.carrier is None
            session.abort()
        assert len(sessions) == 0
        turn(2)
        assert len(primus) == 0
        assert primus._open_sockets == 0
    assert errors == []
    primus._sweep.stop()


@settings(max_examples=EXAMPLES)
@given(sent=st.lists(st.tuples(st.sampled_from(["", "first=0", "first=1", "first=3"]), bodies), max_size=6))
def test_bodies_in_a_session(sent: list[tuple[str, bytes]]) -> None:
    """A session takes what it counts, goes on, or is closed and says so."""
    primus = Primus(transformer="sockjs", max_length=1000, close_timeout=0.01)
    taken: list[Any] = []
    primus.on("connection", lambda spark: spark.on("incoming::data", taken.append))
    with hub_errors() as errors:
        ask(primus, path="/0/key/xhr", REQUEST_METHOD="POST")
        (session,) = primus.transformer.requests.sessions
        for query, body in sent:
            status, _, answer = ask(
                primus, path="/0/key/xhr_send", REQUEST_METHOD="POST", QUERY_STRING=query, body=body
            )
            assert status in ("204", "400", "500")
            assert (status == "204") == (answer == b"")
        turn(2)
        if session.state == "open":
            assert len(taken) == session.received
        else:
            assert ask(primus, path="/0/key/xhr", REQUEST_METHOD="POST")[2].startswith(b"c[1009,")
        session.abort()
        eventually(lambda: not primus._open_sockets)
    assert errors == []
    primus._sweep.stop()
