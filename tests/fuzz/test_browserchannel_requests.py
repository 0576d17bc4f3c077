"""Any request, to a session or beside one: an answer of BrowserChannel's, never an exception, and never a
session that stays when its clients are gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from typing import Any

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primus_gevent import Primus
from primus_gevent.transformers import browserchannel
from tests.unit.fakes import ENVIRON
from tests.unit.hub import hub_errors, turn

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))

STATUSES = {"200", "400", "403", "404", "405", "413", "426", "499", "501", "503"}
MESSAGES = (
    b"Version 8 required",
    b"Unknown SID",
    b"Bad data",
    b"Expected RPC",
    b"BrowserChannel has no WebSockets",
    b"was cut off",
)
SERVICES: dict[str, Callable[[Any], Any]] = {
    "listen": lambda spark: None,
    "write": lambda spark: spark.write("x"),
    "end": lambda spark: spark.end("x"),
    "abort": lambda spark: spark.abort(),
}
CONTENT_TYPES = ["application/json", "application/x-www-form-urlencoded", "application/json;x"]
LENGTHS = ["0", "5", "-1", "99999", "9" * 400, "1e3", "٣"]

anything = st.text(st.characters(max_codepoint=255), max_size=12)
names = st.one_of(
    st.sampled_from(["VER", "RID", "SID", "AID", "CI", "TYPE", "MODE", "DOMAIN", "OSID", "OAID"]), anything
)
values = st.one_of(
    st.sampled_from(
        [
            "8",
            "7",
            "rpc",
            "xmlhttp",
            "html",
            "terminate",
            "init",
            "SID",
            "SID",
            "0",
            "1",
            "2",
            "-1",
            "9" * 15,
            "",
        ]
    ),
    anything,
)
queries = st.one_of(
    st.just("VER=8&SID=SID&RID=rpc&TYPE=xmlhttp&CI=0&AID=0"),
    st.sampled_from(["1", "2", "3", "4", "9", "x"]).map("VER=8&SID=SID&AID=1&RID={}".format),
    st.sampled_from(["xmlhttp", "html", "terminate", ""]).map(
        "VER=8&SID=SID&RID=rpc&CI=1&AID=0&TYPE={}".format
    ),
    st.lists(st.tuples(names, values), max_size=6).map(
        lambda pairs: "&".join(["VER=8", *(f"{name}={value}" for name, value in pairs)])
    ),
    anything,
)
bodies = st.one_of(
    st.builds(
        lambda count, first, rest: "&".join([f"count={count}", f"ofs={first}", *rest]).encode(),
        st.sampled_from(["0", "1", "2", "3", "x", "999999999"]),
        st.sampled_from(["0", "1", "2", "5", "x"]),
        st.lists(
            st.sampled_from(
                ["req0__S=1", 'req0__S="x"', "req1__S=x", "req1_JSON={", "req2_JSON=[1]", "req0_type=_badmap"]
            ),
            max_size=4,
        ),
    ),
    st.sampled_from([b'{"ofs":0,"data":["1",2]}', b'{"ofs":1,"data":[{}]}', b'{"data":null}', b"[" * 90]),
    st.binary(max_size=40),
    st.just(b"count=1&ofs=0&req0__S=" + b"x" * 3000),
)
requests = st.fixed_dictionaries(
    {
        "REQUEST_METHOD": st.sampled_from(
            ["GET", "GET", "POST", "POST", "POST", "OPTIONS", "HEAD", "PUT", "X"]
        ),
        "PATH_INFO": st.sampled_from(
            ["/primus/bind"] * 6 + ["/primus/test", "/primus/", "/primus", "/primus/bcsocket.js", "/primus/x"]
        ),
        "QUERY_STRING": queries,
        "body": bodies,
    },
    optional={
        "CONTENT_TYPE": st.one_of(st.sampled_from(CONTENT_TYPES), anything),
        "CONTENT_LENGTH": st.one_of(st.sampled_from(LENGTHS), anything),
        "HTTP_ORIGIN": st.sampled_from(["http://a.example", "null", "%"]),
        "HTTP_ACCEPT_ENCODING": st.sampled_from(["gzip", "*", "identity"]),
        "HTTP_UPGRADE": st.just("websocket"),
        "HTTP_CONNECTION": st.sampled_from(["Upgrade", "close"]),
        "wsgi.input_terminated": st.booleans(),
    },
)


def ask(primus: Primus, **given: Any) -> tuple[str, dict[str, str], bytes]:
    """Send one request; one that waits is cut off, which counts as 499."""
    answer: list[Any] = []
    pieces: list[bytes] = []
    environ = {**ENVIRON, **given}
    body = environ.pop("body", b"")
    environ.setdefault("CONTENT_LENGTH", str(len(body)))
    environ["wsgi.input"] = BytesIO(body)

    def run() -> None:
        chunks = primus(environ, lambda status, headers: answer.append((status, headers)))
        try:
            pieces.extend(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()

    greenlet = gevent.spawn(run)
    turn(6)
    waits = not greenlet.ready()
    greenlet.kill()
    greenlet.get()
    if waits and not answer:
        return "499", {}, b""
    ((status, headers),) = answer
    return "499" if waits else status.split()[0], dict(headers), b"".join(pieces)


@settings(max_examples=EXAMPLES)
@given(
    first=st.sampled_from([b"count=0", b"count=1&ofs=0&req0__S=1"]),
    asked=st.lists(requests, min_size=1, max_size=8),
    service=st.sampled_from(list(SERVICES)),
)
def test_any_request_is_answered(first: bytes, asked: list[dict[str, Any]], service: str) -> None:
    primus = Primus(transformer="browserchannel", max_length=1000, write_buffer=2000)

    @primus.on("connection")
    def connection(spark: Any) -> None:
        spark.on("data", lambda message: SERVICES[service](spark))
        spark.on("error", lambda error: None)

    sessions = primus.transformer.requests.sessions
    seconds, browserchannel.TEST_SECONDS = browserchannel.TEST_SECONDS, 0.0  # type: ignore[misc]
    try:
        with hub_errors() as errors:
            opening = {"PATH_INFO": "/primus/bind", "QUERY_STRING": "VER=8&RID=1", "REQUEST_METHOD": "POST"}
            assert ask(primus, **opening, body=first)[0] in ("200", "403")
            name = next((session.id for session in sessions), "nobody")
            for request in asked:
                request["QUERY_STRING"] = request["QUERY_STRING"].replace("SID=SID", f"SID={name}")
                status, headers, body = ask(primus, **request)
                assert status in STATUSES
                if status == "400":
                    assert request["REQUEST_METHOD"] == "HEAD" or any(text in body for text in MESSAGES)
                if status != "499" and "Content-Length" in headers and request["REQUEST_METHOD"] != "HEAD":
                    assert int(headers["Content-Length"]) == len(body)
                assert b"Traceback" not in body
                assert b"<script>alert" not in body
                for session in sessions:
                    assert session.carrier is None
            for session in sessions:
                session.abort()
            turn(3)
            assert len(sessions) == len(primus) == 0
            assert primus._open_sockets == 0
        assert errors == []
    finally:
        browserchannel.TEST_SECONDS = seconds  # type: ignore[misc]
        primus._sweep.stop()


@settings(max_examples=EXAMPLES)
@given(sent=st.lists(st.tuples(bodies, st.integers(1, 6)), min_size=1, max_size=8))
def test_bodies_in_a_session(sent: list[tuple[bytes, int]]) -> None:
    """A session goes on, or is unknown from then on; what it keeps is bounded."""
    primus = Primus(transformer="browserchannel", max_length=1000)
    received: list[Any] = []

    @primus.on("connection")
    def connection(spark: Any) -> None:
        spark.on("incoming::data", received.append)
        spark.on("data", lambda message: None)
        spark.on("error", lambda error: None)

    with hub_errors() as errors:
        opening = {"PATH_INFO": "/primus/bind", "REQUEST_METHOD": "POST"}
        assert ask(primus, **opening, QUERY_STRING="VER=8&RID=1", body=b"count=0")[0] == "200"
        sessions = primus.transformer.requests.sessions
        (session,) = sessions
        for body, rid in sent:
            alive = session.state == "open"
            query = f"VER=8&SID={session.id}&RID={rid}&AID=0"
            status, _, answer = ask(primus, **opening, QUERY_STRING=query, body=body)
            if not alive:
                assert (status, b"Unknown SID" in answer) == ("400", True)
            elif session.state == "open":
                assert status == "200" or (status, b"Bad data" in answer) == ("400", True)
            else:
                assert status in ("403", "400")
        assert all(len(message) <= 1000 for message in received)
        session.abort()
        turn(3)
        assert primus._open_sockets == len(sessions) == 0
    assert errors == []
    primus._sweep.stop()
