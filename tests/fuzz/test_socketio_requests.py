"""Any request to Socket.IO, to a session or beside one: an answer, never an exception, and never a session
that stays when its clients are gone. Any text on the WebSocket: a session that goes on, or ends properly.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primus_gevent import Primus
from tests.fuzz.test_engineio_requests import LENGTHS, anything, ask
from tests.unit.hub import hub_errors, in_hub, turn
from tests.unit.transformers.test_socketio import Server

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))

STATUSES = {"200", "400", "403", "404", "405", "413", "426", "499", "500", "501", "503"}

transports = st.sampled_from(["xhr-polling", "jsonp-polling", "htmlfile", "websocket", "flashsocket", ""])
paths = st.one_of(
    st.builds("/1/{}/SID".format, transports),
    st.builds("/1/{}/SID".format, transports),
    st.builds("/{}/{}/{}".format, st.sampled_from(["1", "2", "x", ""]), transports, anything),
    st.sampled_from(["", "/", "/1", "/1/", "/1//", "/1/////", "/1//SID/", "/1/xhr-polling/SID//x"]),
    anything.map("/".__add__),
)
queries = st.one_of(
    st.sampled_from(["", "t=1", "i=3", "i=x", "jsonp=1", "jsonp=٣", "disconnect", "disconnect=1", "%", "&="]),
    anything,
)
packets = st.one_of(
    st.sampled_from(
        [
            '3:::"x"',
            '3:1::"x"',
            '3:1+::"x"',
            '3::/chat:"x"',
            "3::",
            "4:::{}",
            "4:1::[",
            '5:::{"name":"message","args":["1"]}',
            "5:::{}",
            "6:::1",
            "2::",
            "1::",
            "0::",
            "0::/chat",
            "7:::1+0",
            "8::",
            "9::",
            "x",
            "3:::primus::binary::AAE=",
            "3:::primus::binary::*",
            "3:::" + "x" * 1001,
        ]
    ),
    anything,
)
bodies = st.one_of(
    st.lists(packets, max_size=5).map(
        lambda them: "".join(f"\ufffd{len(one)}\ufffd{one}" for one in them).encode()
    ),
    packets.map(str.encode),
    st.just(b"d=%223%3A%3A%3A1%22"),
    st.text(st.sampled_from("\ufffd0123456789:3+/x\U0001f600"), max_size=20).map(str.encode),
    st.binary(max_size=30),
    st.just(b"3:::" + b"x" * 200_000),
)
requests = st.fixed_dictionaries(
    {
        "REQUEST_METHOD": st.sampled_from(["GET", "GET", "POST", "POST", "OPTIONS", "HEAD", "PUT", "X"]),
        "PATH_INFO": paths,
        "QUERY_STRING": queries,
        "body": bodies,
    },
    optional={
        "CONTENT_LENGTH": st.one_of(st.sampled_from(LENGTHS), anything),
        "HTTP_ORIGIN": st.sampled_from(["http://a.example", "null", "%"]),
        "HTTP_UPGRADE": st.just("websocket"),
        "HTTP_CONNECTION": st.sampled_from(["Upgrade", "close"]),
        "wsgi.input_terminated": st.booleans(),
    },
)


@settings(max_examples=EXAMPLES)
@given(asked=st.lists(requests, min_size=1, max_size=6), compression=st.booleans())
def test_any_request_is_answered(asked: list[dict[str, Any]], compression: bool) -> None:
    primus = Primus(
        transformer="socket.io", max_length=1000, compression=compression, transport={"max_handshakes": 4}
    )
    transformer: Any = primus.transformer

    @primus.on("connection")
    def connection(spark: Any) -> None:
        spark.on("data", lambda message: None)
        spark.on("error", lambda error: None)

    with hub_errors() as errors:
        _, _, body = ask(primus, REQUEST_METHOD="GET", PATH_INFO="/primus/1/")
        sid = body.decode().split(":")[0]
        for request in asked:
            path = "/primus" + request["PATH_INFO"].replace("SID", sid)
            status, _, body = ask(primus, **{**request, "PATH_INFO": path})
            assert status in STATUSES
            assert b"Traceback" not in body
            for session in transformer.requests.sessions:
                assert session.carrier is None
            assert len(transformer.handshakes) <= 4
        for session in transformer.requests.sessions:
            session.abort()
        for id_ in list(transformer.handshakes._records):
            transformer.handshakes.pop(id_)
        turn(2)
        assert len(transformer.requests.sessions) == 0
        assert len(primus) == 0
        assert primus._open_sockets == 0
    assert errors == []
    primus._sweep.stop()


@settings(max_examples=EXAMPLES)
@given(reads=st.lists(st.lists(st.one_of(packets, st.binary(max_size=5)), max_size=6), max_size=4))
def test_any_text_on_the_websocket(reads: list[list[Any]]) -> None:
    server = Server(max_length=1000)
    with hub_errors() as errors:
        session, socket = server.open_websocket()
        server.sparks[0].on("error", lambda error: None)
        for frames in reads:
            in_hub(session.receive, frames)
            turn(2)
            acks = [frame for frame in socket.sent if frame.startswith("6::")]
            assert [*acks, "0::"] == [*socket.sent, "0::"][: len(acks) + 1]
        assert bool(socket.calls) == (session.state != "open") == ("0::" in socket.sent)
        server.close()
    assert errors == []
