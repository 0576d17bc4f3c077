"""Any request, to a session or beside one: an answer of Engine.IO's, never an exception, and never a session
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

STATUSES = {"200", "400", "403", "405", "413", "426", "499", "501", "503"}
CONTENT_TYPES = ["application/octet-stream", "text/plain", "application/x-www-form-urlencoded"]
LENGTHS = ["0", "5", "-1", "99999", "9" * 400, "1e3", "٣"]

anything = st.text(st.characters(max_codepoint=255), max_size=12)
names = st.one_of(st.sampled_from(["EIO", "transport", "sid", "j", "b64", "t", "service"]), anything)
values = st.one_of(
    st.sampled_from(
        ["polling", "websocket", "2", "3", "4", "SID", "SID", "", "0", "1", "%", "%ff", "+", "a&b", "é"]
    ),
    anything,
)
queries = st.one_of(
    st.just("EIO=4&transport=polling&sid=SID"),
    st.just("EIO=4&transport=polling&sid=SID"),
    st.lists(st.tuples(names, values), max_size=6).map(lambda pairs: "&".join(f"{n}={v}" for n, v in pairs)),
    anything,
)
packets = st.one_of(
    st.sampled_from(
        ["4x", '4"x"', "2", "3", "1", "5", "6", "0", "2probe", "bAQID", "b4AQID", "b", "", "7", "4"]
    ),
    anything,
)
bodies = st.one_of(
    st.lists(packets, max_size=5).map(lambda pieces: "\x1e".join(pieces).encode()),
    st.lists(packets, max_size=5).map(lambda pieces: "".join(f"{len(p)}:{p}" for p in pieces).encode()),
    st.lists(packets, max_size=3).map(lambda pieces: b"d=" + "\x1e".join(pieces).encode()),
    st.binary(max_size=40),
    st.just(b"4" + b"x" * 3000),
)
requests = st.fixed_dictionaries(
    {
        "REQUEST_METHOD": st.sampled_from(["GET", "GET", "POST", "POST", "OPTIONS", "HEAD", "PUT", "X"]),
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
handshakes = st.sampled_from(
    [
        "EIO=4&transport=polling",
        "EIO=3&transport=polling",
        "EIO=3&transport=polling&b64=1",
        "EIO=2&transport=polling",
        "EIO=4&transport=polling&j=0&b64=1",
    ]
)


def ask(primus: Primus, **values: Any) -> tuple[str, dict[str, str], bytes]:
    """Send one request; a poll that waits is cut off, which counts as 499."""
    answer: list[Any] = []
    environ = {**ENVIRON, "PATH_INFO": "/primus/", **values}
    body = environ.pop("body", b"")
    environ.setdefault("CONTENT_LENGTH", str(len(body)))
    environ["wsgi.input"] = BytesIO(body)

    def run() -> bytes:
        try:
            chunks = primus(environ, lambda status, headers: answer.append((status, headers)))
            try:
                return b"".join(chunks)
            finally:
                getattr(chunks, "close", lambda: None)()
        except BrokenPipeError:
            assert answer[-1][0].startswith("499")
            return b""

    greenlet = gevent.spawn(run)
    turn(4)
    if not greenlet.ready():
        greenlet.kill()
        return "499", {}, b""
    data = greenlet.get()
    ((status, headers),) = answer
    return status.split()[0], dict(headers), data


@settings(max_examples=EXAMPLES)
@given(handshake=handshakes, asked=st.lists(requests, min_size=1, max_size=6), compression=st.booleans())
def test_any_request_is_answered(handshake: str, asked: list[dict[str, Any]], compression: bool) -> None:
    primus = Primus(transformer="engine.io", max_length=1000, compression=compression)
    received: list[Any] = []

    @primus.on("connection")
    def connection(spark: Any) -> None:
        spark.on("data", received.append)
        spark.on("error", lambda error: None)

    with hub_errors() as errors:
        status, _, body = ask(primus, REQUEST_METHOD="GET", QUERY_STRING=handshake)
        assert status == "200"
        (session,) = primus.transformer.requests.sessions
        for request in asked:
            request["QUERY_STRING"] = request["QUERY_STRING"].replace("SID", session.id)
            status, headers, body = ask(primus, **request)
            assert status in STATUSES
            if status == "400" and headers["Content-Type"] == "application/json":
                assert body.startswith(b'{"code":') or request["REQUEST_METHOD"] == "HEAD"
            if status == "200":
                assert int(headers.get("Content-Length", 0)) == len(body)
            assert b"Traceback" not in body
            assert session.carrier is None
            assert session.post is None
        for session in primus.transformer.requests.sessions:
            session.abort()
        assert len(primus.transformer.requests.sessions) == 0
        turn(2)
        assert len(primus) == 0
        assert primus._open_sockets == 0
    assert errors == []
    primus._sweep.stop()


@settings(max_examples=EXAMPLES)
@given(handshake=handshakes, sent=st.lists(bodies, min_size=1, max_size=6))
def test_bodies_in_a_session(handshake: str, sent: list[bytes]) -> None:
    """A session goes on, or is closed and says so; what it has taken is bounded."""
    primus = Primus(transformer="engine.io", max_length=1000, close_timeout=0.01, transport={"cookie": "io"})
    with hub_errors() as errors:
        ask(primus, REQUEST_METHOD="GET", QUERY_STRING=handshake)
        (session,) = primus.transformer.requests.sessions
        query = f"{handshake}&sid={session.id}"
        for body in sent:
            known = primus.transformer.requests.sessions.get(session.id) is not None
            status, _, answer = ask(primus, REQUEST_METHOD="POST", QUERY_STRING=query, body=body)
            assert (status, answer) == (("200", b"ok") if known else ("400", answer))
        status, _, answer = ask(primus, REQUEST_METHOD="GET", QUERY_STRING=query)
        if session.state == "open":
            assert status in ("200", "499")
        else:
            assert session.state == "gone"
        session.abort()
        eventually(lambda: not primus._open_sockets)
    assert errors == []
    primus._sweep.stop()
