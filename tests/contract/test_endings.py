"""Ways in which a connection ends. After each: the frames that are due, end of file, and nothing else on the
wire.

That the server's log stays clean, and that no spark, greenlet or descriptor is left, is checked by the
fixture.
"""

from __future__ import annotations

import os

import pytest

from tests.support.client import CLOSE, TEXT, Client, close, frame, text
from tests.support.hosts import Server, wait_until

SERVER_CLOSE = "primus::server::close"


def drain_to_close(client: Client, code: int | None = None) -> list[str]:
    """Read frames to the Close frame, which has to be there; returns the texts before it."""
    texts = []
    while (received := client.recv_frame()).opcode != CLOSE:
        assert received.opcode == TEXT, received
        texts.append(received.payload.decode())
    if code is not None:
        assert received.code == code, received
    return texts


def finish(client: Client) -> None:
    """Answer the server's Close, and see it leave."""
    client.send(close())
    client.expect_eof()


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_client_closes(server: Server, code: int) -> None:
    with server.spark() as client:
        client.send_message("hello")
        assert client.recv_message() == "hello"
        client.send(close(code, "so long"))
        client.expect_close(code)
        client.expect_eof()


def test_client_closes_without_a_code(server: Server) -> None:
    with server.spark() as client:
        client.send(close(None))
        assert client.expect_close().payload == b""
        client.expect_eof()


def test_client_closes_and_leaves_at_once(server: Server) -> None:
    with server.spark() as client:
        client.send(close())
    server.wait_state(sparks=0)


def test_client_sends_fin_behind_its_close(server: Server) -> None:
    with server.spark() as client:
        client.send(close())
        client.fin()
        client.expect_close(1000)
        client.expect_eof()


def test_server_ends(server: Server) -> None:
    with server.spark("end") as client:
        assert client.recv_message() == SERVER_CLOSE
        client.expect_close(1000)
        finish(client)


def test_server_ends_with_data(server: Server) -> None:
    with server.spark("end-data") as client:
        assert client.recv_message() == {"bye": "all"}
        assert client.recv_message() == SERVER_CLOSE
        client.expect_close(1000)
        finish(client)


def test_server_ends_with_reconnect(server: Server) -> None:
    """Without the text that forbids it, a client comes back."""
    with server.spark("end-reconnect") as client:
        client.expect_close()
        finish(client)


def test_server_ends_and_the_client_does_not_answer(server: Server) -> None:
    with server.spark("end") as client:
        assert client.recv_message() == SERVER_CLOSE
        client.expect_close(1000)
        client.expect_eof(timeout=8)


def test_server_ends_and_the_client_leaves(server: Server) -> None:
    with server.spark("end") as client:
        assert client.recv_message() == SERVER_CLOSE
        client.expect_close(1000)
        client.fin()
        client.expect_eof()


def test_server_aborts(server: Server) -> None:
    with server.spark("abort") as client:
        client.send_message("now")
        client.expect_eof()


def test_reset(server: Server) -> None:
    with server.spark() as client:
        client.send_message("hello")
        assert client.recv_message() == "hello"
        client.reset()
    server.wait_state(sparks=0)


def test_reset_right_after_the_handshake(server: Server) -> None:
    for _ in range(5):
        server.spark().reset()
    server.wait_state(sparks=0)


def test_reset_before_the_answer(server: Server) -> None:
    for _ in range(5):
        client = server.client()
        client.send_request("/primus?service=echo", client.handshake_headers())
        client.reset()
    server.wait_state(sparks=0)


def test_reset_in_the_middle_of_a_frame(server: Server) -> None:
    client = server.spark()
    client.send(frame(TEXT, b'"' + b"x" * 100_000 + b'"')[:50_000])
    client.reset()
    server.wait_state(sparks=0)


def test_reset_while_the_server_writes(server: Server) -> None:
    client = server.spark("pour")
    client.send_message("go")
    client.recv_frame()
    client.reset()
    server.wait_state(sparks=0, counts=lambda counts: counts.get("pour ended") == 1)


def test_fin(server: Server) -> None:
    with server.spark() as client:
        client.send_message("hello")
        assert client.recv_message() == "hello"
        client.fin()
        client.expect_eof()


def test_fin_in_the_middle_of_a_frame(server: Server) -> None:
    with server.spark() as client:
        client.send(text("hello")[:4])
        client.fin()
        client.expect_eof()


def test_fin_right_behind_messages(server: Server) -> None:
    """What was sent before the end is handled; the answers may or may not still arrive."""
    with server.spark("deaf") as client:
        client.send(text("a") * 3)
        client.fin()
        server.control("go")
        server.wait_state(counts=lambda counts: counts.get("heard") == 3, sparks=0)


def test_handler_raises(server: Server) -> None:
    tag = os.urandom(4).hex()
    server.expected.append(f"HandlerFailure: the handler was sent {tag}")
    with server.spark("raise") as client:
        client.send_message(tag)
        assert drain_to_close(client, 1011) in ([], [f'"{SERVER_CLOSE}"'])
        finish(client)
    wait_until(lambda: tag in server.log())
    log = server.log()
    assert log.count(f"HandlerFailure: the handler was sent {tag}") == 1
    # by our logger, and with the traceback that leads to the handler's own line
    before = log[: log.index(tag)]
    head = before[before.rindex("Traceback (most recent call last)") :]
    assert "in raise_" in head
    assert "ERROR primus_gevent" in before[-len(head) - 300 :]


def test_listener_raises_and_the_spark_lives(server: Server) -> None:
    server.expected.append("HandlerFailure: the listener was sent boom")
    with server.spark("raise-in-listener") as client:
        client.send(text("boom") + text("still here"))
        assert client.recv_message() == "still here"
        client.close_properly()


@pytest.mark.few_hosts
@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        pytest.param(b"\xff" * 64, 1002, id="all bits"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1002, id="a request"),
        pytest.param(frame(TEXT, b'"unmasked"', mask=None), 1002, id="unmasked"),
        pytest.param(frame(TEXT, b'"rsv"', rsv=4), 1002, id="rsv"),
        pytest.param(frame(0x3, b"x"), 1002, id="unknown opcode"),
        pytest.param(frame(TEXT, b"\xff\xfe"), 1007, id="not utf-8"),
        pytest.param(frame(TEXT, b"x" * 2_000_000)[:14], 1009, id="too long"),
        pytest.param(close(1005), 1002, id="forbidden close code"),
    ],
)
def test_garbage(server: Server, garbage: bytes, code: int) -> None:
    with server.spark() as client:
        client.send(garbage)
        client.expect_close(code)
        client.fin()
        client.expect_eof()


@pytest.mark.few_hosts
def test_message_that_is_no_json_is_dropped(server: Server) -> None:
    with server.spark() as client:
        client.send(frame(TEXT, b"{not json") + text("next"))
        assert client.recv_message() == "next"
        client.close_properly()


def test_flood_behind_the_end(server: Server) -> None:
    """Unread bytes in the server's buffer must turn neither into an HTTP request nor into a RST."""
    with server.spark("end-after-message") as client:
        client.send(text("go") + text("x" * 1000) * 256)
        assert client.recv_message() == "last"
        assert client.recv_message() == SERVER_CLOSE
        client.expect_close(1000)
        finish(client)


@pytest.mark.few_hosts
def test_flood_that_goes_on(server: Server) -> None:
    """A client that floods and never reads does not hold the server."""
    with server.spark("end-after-message") as client:
        client.send(text("go"))
        client.sock.settimeout(8)
        try:
            while True:
                client.send(text("x" * 10_000))
        except (ConnectionError, TimeoutError, OSError):
            pass
    server.wait_state(sparks=0)


def test_bytes_after_close(server: Server) -> None:
    with server.spark() as client:
        client.send(close(1000) + text("too late") + b"\xff" * 64 + b"GET / HTTP/1.1\r\n\r\n")
        client.expect_close(1000)
        client.expect_eof()


def test_many_bytes_after_close(server: Server) -> None:
    with server.spark() as client:
        client.send(close(1000) + text("x" * 50_000) * 4)
        client.expect_close(1000)
        client.expect_eof()


def test_frames_in_the_packet_of_the_handshake(server: Server) -> None:
    with server.spark(early=text("one") + text("two") + text("three")[:5]) as client:
        client.send(text("three")[5:])
        assert [client.recv_message() for _ in range(3)] == ["one", "two", "three"]
        client.close_properly()


def test_many_frames_in_the_packet_of_the_handshake(server: Server) -> None:
    """More than any server's read buffer, so that a part is read by the server and a part is not."""
    messages = [f"{number} {'x' * 500}" for number in range(100)]
    with server.spark(early=b"".join(map(text, messages))) as client:
        assert [client.recv_message() for _ in messages] == messages
        client.close_properly()


def test_close_in_the_packet_of_the_handshake(server: Server) -> None:
    with server.spark(early=text("one") + close()) as client:
        texts = drain_to_close(client, 1000)
        assert texts in ([], ['"one"'])
        client.expect_eof()


def test_fin_in_the_packet_of_the_handshake(server: Server) -> None:
    with server.client() as client:
        client.send_request("/primus?service=idle", client.handshake_headers())
        client.fin()
        if not server.kind.tls:
            assert client.recv_response().status == 101
            client.expect_eof()
    server.wait_state(sparks=0)


def test_requests_before_the_upgrade(server: Server) -> None:
    with server.client() as client:
        for _ in range(3):
            assert client.request("/").body == b"wrapped app"
        client.upgrade("/primus?service=echo")
        client.send_message("hello")
        assert client.recv_message() == "hello"
        client.close_properly()


def test_post_before_the_upgrade(server: Server) -> None:
    with server.client() as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
        assert client.recv_response().body == b"5"
        client.upgrade(early=text("early"))
        assert client.recv_message() == "early"
        client.close_properly()


def test_connection_is_cut_while_the_handler_reads(server: Server) -> None:
    """The loop of a handler ends, and it is counted as a disconnection."""
    clients = [server.spark() for _ in range(3)]
    server.wait_state(sparks=3)
    for client in clients:
        client.sock.close()
    server.wait_state(sparks=0, counts=lambda counts: counts.get("disconnection") == 3)
