"""The sessions of SockJS over real sockets: what Primus makes of them, and all that may go wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.client import BINARY, PING, PONG, TEXT, frame
from tests.support.hosts import Server, leaves_nothing, wait_until
from tests.support.sockjs import (
    NOT_FOUND,
    PRELUDE,
    STILL_OPEN,
    SockJS,
    Stream,
    html_frames,
    jsonp_frame,
    messages_of,
    sockjs_server,
    sse_frames,
)

HEARTBEAT = 0.4  # seconds
DELAY = 0.5
NORMAL = 'c[1000,"Normal closure"]'
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    transport = {"heartbeat_delay": HEARTBEAT, "disconnect_delay": DELAY}
    with sockjs_server("own", transport=transport) as server:
        yield server


@pytest.fixture
def server(own_server: Server) -> Iterator[Server]:
    with leaves_nothing(own_server):
        yield own_server


@pytest.fixture(scope="module")
def any_patient_server() -> Iterator[Server]:
    with sockjs_server("own", transport={"disconnect_delay": 6.0}) as server:
        yield server


@pytest.fixture
def patient(any_patient_server: Server) -> Iterator[Server]:
    """For what takes longer than `DELAY`."""
    with leaves_nothing(any_patient_server):
        yield any_patient_server


def next_frame(stream: Stream) -> str:
    """Of an xhr stream, without heartbeats."""
    while (chunk := stream.chunk().decode()) == "h\n":
        pass
    return chunk.removesuffix("\n")


def open_stream(client: SockJS, **extra: str) -> Stream:
    stream = client.stream(**extra)
    assert stream.chunk() == PRELUDE
    assert stream.chunk() == b"o\n"
    return stream


def poll_message(client: SockJS) -> Any:
    while (frame := client.poll()) == "h":
        pass
    (text,) = messages_of(frame)
    return json.loads(text)


# -- what an application sees


@pytest.mark.parametrize(
    "transport", ["xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp", "websocket"]
)
def test_request_that_opens_the_session(server: Server, transport: str) -> None:
    """All of its headers and its query, where the original hides most of both."""
    headers = {"User-Agent": "ours", "Cookie": "a=b", "X-Anything": "goes", "Authorization": "Basic eA=="}
    client = SockJS(server, "info", query={"name": "ann"}, headers=headers)
    if transport == "websocket":
        (text,) = client.open_websocket().recv_messages()
    else:
        query = {"c": "callback"} if transport in ("htmlfile", "jsonp") else {}
        if transport in ("xhr", "jsonp"):
            assert client.poll_response(transport, **query).status == 200
        else:
            stream = client.stream(transport, **query)
            stream.chunk()
            stream.chunk()
        if transport == "xhr":
            (text,) = messages_of(client.poll())
        elif transport == "jsonp":
            (text,) = messages_of(jsonp_frame(client.poll_response("jsonp", **query).body))
        elif transport == "xhr_streaming":
            (text,) = messages_of(stream.chunk().decode())
        else:
            (read,) = (sse_frames if transport == "eventsource" else html_frames)(stream.chunk())
            (text,) = messages_of(read)
    seen = json.loads(text)
    assert seen["headers"] == {
        **seen["headers"],
        **{name.lower(): value for name, value in headers.items()},
    }
    assert seen["query"]["name"] == "ann"
    assert seen["query"]["service"] == "info"
    assert seen["socket"] == {
        "xhr": "xhr-polling",
        "xhr_streaming": "xhr-streaming",
        "jsonp": "jsonp-polling",
    }.get(transport, transport)
    assert seen["id"] != client.key
    client.drop()


@pytest.mark.parametrize(
    "message", ["text", "", 0, None, [1, [2]], {"a": 'quote " \\n \n \u2028 ü€😀'}, "\ud800 alone"]
)
def test_echo(server: Server, message: Any) -> None:
    text = json.dumps(message)
    polling = SockJS(server, "echo").open()
    polling.send(text)
    assert poll_message(polling) == message
    polling.drop()
    socket = SockJS(server, "echo").open_websocket()
    socket.send_messages(text, text)
    for _ in range(2):
        assert json.loads(socket.recv_messages()[0]) == message
    socket.drop()


def carried(data: bytes) -> str:
    return "primus::binary::" + base64.b64encode(data).decode()


def test_bytes_are_carried_as_text(server: Server) -> None:
    polling = SockJS(server, "mirror").open()
    polling.send(carried(b"\x00\xff"), "text", "primus::binary::*no base64*")
    assert messages_of(polling.poll()) == [carried(b"\x00\xff"), "text", "primus::binary::*no base64*"]
    polling.drop()
    socket = SockJS(server, "mirror").open_websocket()
    socket.send_messages(carried(b"\x00\xff"))
    assert socket.recv_messages() == [carried(b"\x00\xff")]
    socket.drop()


def test_raw_websocket_has_bytes(server: Server) -> None:
    client = server.client().upgrade("/primus/websocket?service=binary")
    client.send(frame(BINARY, b"\x00\xff"))
    received = client.recv_frame()
    assert (received.opcode, received.payload) == (BINARY, b"\x00\xff")
    client.send(frame(TEXT, b'{"a":1}'))
    assert client.recv_message() == {"a": 1}
    client.close_properly()


def test_heartbeats_of_primus(server: Server) -> None:
    polling = SockJS(server, "idle").open()
    polling.send(json.dumps("primus::ping::123"))
    assert messages_of(polling.poll()) == [json.dumps("primus::pong::123")]
    polling.drop()


def test_value_that_is_no_string(server: Server) -> None:
    """The original would make `[object Object]` of it."""
    polling = SockJS(server, "echo").open()
    assert polling.post('[{"a": 1}]').status == 204
    assert poll_message(polling) == {"a": 1}
    polling.drop()
    socket = SockJS(server, "echo").open_websocket()
    socket.send_text('{"a": 1}')
    assert socket.recv_messages() == ['{"a":1}']
    socket.drop()


# -- ends


@pytest.mark.parametrize(
    ("service", "frames"),
    [
        ("end", ['a["\\"primus::server::close\\""]', NORMAL]),
        ("end-data", ['a["{\\"bye\\":\\"all\\"}","\\"primus::server::close\\""]', NORMAL]),
        ("end-reconnect", [NORMAL]),
    ],
)
def test_end_of_the_server(server: Server, service: str, frames: list[str]) -> None:
    polling = SockJS(server, service).open()
    assert [polling.poll() for _ in frames] == frames
    assert polling.poll() == frames[-1]
    server.wait_state(sparks=0, objects=0)
    polling.drop()
    stream = open_stream(SockJS(server, service))
    assert [next_frame(stream) for _ in frames] == frames
    stream.expect_end()
    socket = SockJS(server, service).open_websocket().socket
    assert socket is not None
    texts = [part for text in frames for part in split(text)]
    assert [socket.recv_text() for _ in texts] == texts
    socket.expect_close(1000)
    socket.fin()


def split(text: str) -> list[str]:
    """A WebSocket carries every message by itself."""
    if text[0] != "a":
        return [text]
    return [f"a[{json.dumps(message)}]" for message in messages_of(text)]


def test_code_and_reason_of_the_application(server: Server) -> None:
    polling = SockJS(server, "close-code").open()
    polling.send("4711")
    assert polling.poll() == 'c[4711,"as you wish"]'
    polling.drop()


def test_abort(server: Server) -> None:
    polling = SockJS(server, "abort").open()
    polling.send_poll()
    polling.send('"now"')
    assert polling.recv_response().body == b""
    assert polling.poll() == "o"  # a new session: the client takes that for the end of its own
    polling.drop()
    stream = open_stream(client := SockJS(server, "abort"))
    client.send('"now"')
    assert stream.rest() in (b"", b"h\n")
    client.drop()
    socket = SockJS(server, "abort").open_websocket()
    socket.send_messages('"now"')
    assert socket.socket is not None
    socket.socket.expect_eof()


def test_client_that_hangs_up_has_said_goodbye(server: Server) -> None:
    client = SockJS(server, "idle").open()
    held = client.send_poll()
    assert held.quiet(0.1)
    server.wait_state(sparks=1)
    client.drop()
    server.wait_state(sparks=0, sessions=0)
    first = SockJS(server, "idle")
    stream = open_stream(first)
    first.drop()
    assert SockJS(server, "idle", key=first.key).poll() == "o"
    assert stream.response.status == 200


def test_client_that_does_not_come_again(server: Server) -> None:
    client = SockJS(server, "idle").open()
    server.wait_state(sparks=1)
    server.wait_state(sparks=0, sessions=0, objects=0)
    assert client.post('["x"]').body == NOT_FOUND
    client.drop()


@pytest.mark.parametrize("query", [{}, {"seen": "0"}])
def test_a_thousand_that_are_abandoned(server: Server, query: dict[str, str]) -> None:
    connection = server.client()
    for number in range(1000):
        client = SockJS(server, "idle", key=f"abandoned{number}")
        connection.send_request(client.path("xhr", **query), {"Content-Length": "0"}, method="POST")
        assert connection.recv_response().body == b"o\n"
    server.wait_state(sparks=0, sessions=0, objects=0)


def test_goodbye_is_forgotten_after_a_while(server: Server) -> None:
    client = SockJS(server, "end-reconnect").open()
    for _ in range(3):
        assert client.poll() == NORMAL
    assert client.post('["x"]').status == 204  # and nobody hears it
    wait_until(lambda: client.post('["x"]').status == 404)
    assert client.poll() == "o"
    client.drop()


def test_goodbye_is_forgotten_though_somebody_asks_for_it(server: Server) -> None:
    client = SockJS(server, "end-reconnect").open()
    frames = []
    wait_until(lambda: frames.append(client.poll()) or frames[-1] == "o")
    assert frames[0] == NORMAL
    client.drop()


def test_goodbye_of_our_own_clients(server: Server) -> None:
    client = SockJS(server, "echo").open(seen="0")
    client.send_poll(seen="0")
    client.send('"last"', first="0", end="1")
    assert client.recv_response().body in (b"", b'a["\\"last\\""]\n')
    server.wait_state(sparks=0, sessions=0)
    client.drop()


# -- heartbeats


def test_heartbeats(server: Server) -> None:
    client = SockJS(server, "idle").open()
    assert client.poll() == "h"
    assert client.poll() == "h"
    client.drop()
    stream = open_stream(client := SockJS(server, "idle"))
    assert [stream.chunk(), stream.chunk()] == [b"h\n", b"h\n"]
    client.drop()
    stream = (client := SockJS(server, "idle")).stream("eventsource")
    assert [stream.chunk() for _ in range(3)] == [b"\r\n", b"data: o\r\n\r\n", b"data: h\r\n\r\n"]
    client.drop()


def test_heartbeats_are_not_put_off_by_messages(server: Server) -> None:
    stream = open_stream(client := SockJS(server, "echo"))
    frames: list[bytes] = []
    while b"h\n" not in frames:
        client.send('"x"')
        frames.append(stream.chunk())
    assert frames.count(b'a["\\"x\\""]\n') > 1
    client.drop()


def test_heartbeats_over_websocket(server: Server) -> None:
    client = SockJS(server, "echo").open_websocket()
    assert client.socket is not None
    for _ in range(3):
        ping = client.socket.recv_frame()
        assert ping.opcode == PING
        client.socket.send(frame(PONG, ping.payload))
    client.send_messages('"x"')
    assert client.recv_messages() == ['"x"']
    client.drop()


# -- receivers, one at a time


def test_second_receiver(server: Server) -> None:
    first = SockJS(server, "echo").open()
    held = first.send_poll()
    assert held.quiet(0.05)
    second = SockJS(server, "echo", key=first.key)
    assert second.poll() == STILL_OPEN
    assert second.poll_response("xhr_streaming").body == PRELUDE + (STILL_OPEN + "\n").encode()
    assert jsonp_frame(second.poll_response("jsonp", c="callback").body) == STILL_OPEN
    first.send('"x"')
    assert first.recv_poll() == 'a["\\"x\\""]'
    for client in (first, second):
        client.drop()


def test_second_receiver_of_one_that_counts(server: Server) -> None:
    """Its first connection may be dead without anybody having been told."""
    first = SockJS(server, "echo").open(seen="0")
    held = first.send_poll(seen="0")
    assert held.quiet(0.05)
    second = SockJS(server, "echo", key=first.key)
    taken = second.send_poll(seen="0")
    assert first.recv_poll() == "h"  # an answer has to be a frame
    assert taken.quiet(0.05)
    first.send('"x"')
    assert second.recv_poll() == 'a["\\"x\\""]'
    for client in (first, second):
        client.drop()


def test_receiver_after_one_that_was_cut(server: Server) -> None:
    first = SockJS(server, "echo").open(seen="0")
    for _ in range(20):
        held = first.send_poll(seen="0")
        held.reset()
        first.getting = None
    first.send('"x"', '"y"')
    assert first.poll(seen="0") == 'a["\\"x\\"","\\"y\\""]'
    assert first.poll(seen="0") == 'a["\\"x\\"","\\"y\\""]'
    assert first.poll(seen="1") == 'a["\\"y\\""]'
    first.send('"z"')
    wait_until(lambda: first.poll(seen="1") == 'a["\\"y\\"","\\"z\\""]')
    first.drop()
    server.wait_state(sparks=0, sessions=0)


@pytest.mark.parametrize("seen", ["2", "0", "-1", "x", "", "9" * 30, "１"])
def test_number_that_cannot_have_been_seen(server: Server, seen: str) -> None:
    client = SockJS(server, "echo").open(seen="0")
    client.send('"x"')
    assert client.poll(seen="0") == 'a["\\"x\\""]'
    client.send('"y"')
    assert client.poll(seen="1") == 'a["\\"y\\""]'
    if seen == "2":
        seen = "3"
    response = client.poll_response(seen=seen)
    assert response.status == 400
    assert client.poll(seen="1") == 'a["\\"y\\""]'
    client.drop()


def test_recoverable_session_without_numbers(server: Server) -> None:
    client = SockJS(server, "echo").open(seen="0")
    assert client.poll_response().status == 400
    assert client.poll_response("eventsource").status == 400
    assert client.poll_response("jsonp", c="callback").status == 400
    client.drop()


def test_session_that_began_without_numbers(server: Server) -> None:
    """It goes on without."""
    client = SockJS(server, "echo").open()
    client.send('"x"')
    assert client.poll(seen="0") == 'a["\\"x\\""]'
    client.send('"y"')
    assert client.poll(seen="0") == 'a["\\"y\\""]'
    client.drop()


# -- senders


def test_messages_that_come_twice(server: Server) -> None:
    client = SockJS(server, "mirror").open()
    client.send("0", "1", first="0")
    client.send("0", "1", first="0")
    client.send("1", "2", first="1")
    client.send("0", first="0")
    client.send(first="3")
    for first in ("4", "-1", "x", "9" * 30, ""):
        response = client.post('["4"]', first=first)
        assert response.status == 400, first
    client.send("3", first="3")
    assert messages_of(client.poll()) == ["0", "1", "2", "3"]
    client.drop()


def test_largest_message(patient: Server) -> None:
    message = json.dumps("x" * ((1 << 20) - 2))
    client = SockJS(patient, "echo").open()
    client.send(message)
    assert client.poll() == f"a[{json.dumps(message)}]"
    client.send(json.dumps("x" * ((1 << 20) - 1)))
    assert client.poll() == 'c[1009,"a message is longer than 1048576"]'
    client.drop()


def test_largest_message_in_escapes(patient: Server) -> None:
    """Nothing but quotation marks, and nothing but emojis, which clients escape."""
    marks = json.dumps('"' * ((1 << 19) - 1))
    faces = json.dumps("😀" * ((1 << 18) - 1), ensure_ascii=False)
    for text in (marks, faces):
        client = SockJS(patient, "echo").open()
        client.send(text)
        assert json.loads(poll_message_text(client)) == json.loads(text)
        client.drop()
        client = SockJS(patient, "echo")
        form = "d=" + "".join(f"%{byte:02x}" for byte in json.dumps([text]).encode())
        assert client.poll_response("jsonp", c="c").status == 200
        assert client.post(form, "jsonp_send", FORM).body == b"ok"
        assert messages_of(jsonp_frame(client.poll_response("jsonp", c="c").body, "c")) != []
        client.drop()
        socket = SockJS(patient, "echo").open_websocket()
        socket.send_messages(text)
        assert json.loads(socket.recv_messages()[0]) == json.loads(text)
        socket.drop()


def poll_message_text(client: SockJS) -> str:
    while (frame := client.poll()) == "h":
        pass
    (text,) = messages_of(frame)
    return text


def test_body_that_is_too_large(server: Server) -> None:
    client = SockJS(server, "echo").open()
    for headers in ({"Content-Length": "99999999"}, {"Transfer-Encoding": "chunked"}):
        with server.client() as connection:
            connection.send_request(client.path("xhr_send"), headers, method="POST")
            if "Transfer-Encoding" in headers:
                for _ in range(60):
                    connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
            assert connection.recv_response().status == 413
    client.send('"x"')
    assert poll_message(client) == "x"
    client.drop()


def test_long_message_over_websocket(server: Server) -> None:
    socket = SockJS(server, "echo").open_websocket()
    socket.send_messages("x" * ((1 << 20) + 1))
    assert socket.socket is not None
    socket.socket.expect_close(1009)
    socket.drop()


def test_binary_message_over_websocket(server: Server) -> None:
    socket = SockJS(server, "mirror").open_websocket()
    assert socket.socket is not None
    socket.socket.send(frame(TEXT, b'["a"]') + frame(BINARY, b'["b"]'))
    assert socket.recv_messages() == ["a"]
    assert socket.socket.expect_close(3000).reason == "Broken framing."
    socket.drop()


def test_nesting_that_is_too_deep(server: Server) -> None:
    client = SockJS(server, "mirror").open()
    response = client.post("[" * 1_000_000)
    assert (response.status, response.body) == (500, b"Broken JSON encoding.")
    client.send("x")
    assert messages_of(client.poll()) == ["x"]
    client.drop()


# -- back-pressure


def test_handler_that_does_not_read(server: Server) -> None:
    client = SockJS(server, "deaf").open()
    client.send(*map(str, range(1500)))
    connection = server.client()
    body = b'["\\"last\\""]'
    headers = {"Content-Type": "text/plain", "Content-Length": str(len(body))}
    connection.send_request(client.path("xhr_send"), headers, method="POST", body=body)
    assert connection.quiet(0.1)
    for _ in range(3):
        assert client.poll() == "h"  # meanwhile it is kept
    server.control("go")
    assert connection.recv_response().status == 204
    while (frame := client.poll()) == "h":
        pass
    assert messages_of(frame) == ["1501"]
    client.drop()


@pytest.mark.parametrize(("seen", "limit"), [({}, 2), ({"seen": "0"}, 1)])
def test_client_that_does_not_come_for_its_messages(server: Server, seen: dict[str, str], limit: int) -> None:
    """`pour` has to wait, with a megabyte unsent; and what was sent but not seen counts as unsent."""
    client = SockJS(server, "pour").open(**seen)
    client.send('"go"')
    count = len(messages_of(client.poll(**seen)))

    def poured() -> int:
        return int(server.state()["counts"].get("poured", 0))

    assert count == 63  # and the 64th would be over the megabyte
    wait_until(lambda: poured() >= count * limit)
    assert poured() <= 64 * limit
    client.drop()
    server.wait_state(sparks=0)
    assert poured() <= 64 * limit + 1


def test_stream_ends_though_nothing_was_seen(server: Server) -> None:
    """Or the writer would wait for a client that waits for the writer."""
    client = SockJS(server, "pour")
    stream = open_stream(client, seen="0")
    client.send('"go"')
    seen = 0
    for _ in range(5):
        body = stream.rest().decode()
        for text in body.splitlines():
            seen += len(messages_of(text)) if text[0] == "a" else 0
        stream = client.stream(seen=str(seen))
        assert stream.chunk() == PRELUDE
    assert seen > 5 * 8
    client.drop()


# -- other services on the pathname


@pytest.mark.parametrize("kind", ["own", "pywsgi", "gunicorn"])
def test_end_of_a_stream_over_http_1_0(kind: str) -> None:
    with sockjs_server(kind) as server:
        client = server.client()
        path = SockJS(server, "end-reconnect").path("xhr_streaming")
        client.send(f"POST {path} HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n".encode())
        assert client.rest().endswith(b"h\no\n" + NORMAL.encode() + b"\n")


def test_primus_documents(server: Server) -> None:
    assert server.request("/primus/spec")[0].status == 200
    assert server.request("/")[1] == b"wrapped app"


def test_upgrade_that_is_not_for_sockjs(server: Server) -> None:
    for path in ("/primus", "/primus/a/b/xhr", "/primus/info"):
        with server.client() as client:
            response = client.handshake(path)
            assert (response.status, response.body) == (404, NOT_FOUND)
            client.expect_eof()
