"""A request that waits, one that brings something, and a response that knows whether it was sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from io import BytesIO
from math import inf
from typing import Any

import gevent
import pytest
from gevent import get_hub

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.transports.polling import LATE, LEFT, WOKEN, Body, Poll, has_left, read_body
from tests.unit.hub import eventually, turn
from tests.unit.transports.wire import tcp_pair

Pair = tuple[Any, Any]


@pytest.fixture
def pair() -> Iterator[Pair]:
    server, client = tcp_pair()
    server.setblocking(False)
    with server, client:
        yield server, client


# -- waiting


def waiting(poll: Poll, timeout: float | None = None) -> Any:
    greenlet = gevent.spawn(poll.wait, timeout)
    turn(2)
    assert not greenlet.ready()
    return greenlet


def test_woken(pair: Pair) -> None:
    poll = Poll(get_hub(), pair[0])
    greenlet = waiting(poll)
    poll.wake()
    poll.wake()
    assert greenlet.get(timeout=1) == WOKEN
    assert poll.deadline == inf


def test_what_is_written_in_one_turn_goes_together() -> None:
    """It is woken at the end of the loop's iteration."""
    poll = Poll(get_hub(), None)
    packets: list[int] = []
    seen: list[list[int]] = []
    greenlet = gevent.spawn(lambda: (poll.wait(), seen.append(list(packets))))
    turn(2)
    for number in range(3):
        packets.append(number)
        poll.wake()
    greenlet.join(1)
    assert seen == [[0, 1, 2]]


def test_waits_again() -> None:
    poll = Poll(get_hub(), None)
    poll.wake()  # for nothing: nobody waits
    for _ in range(3):
        greenlet = waiting(poll)
        poll.wake()
        assert greenlet.get(timeout=1) == WOKEN


@pytest.mark.parametrize("how", ["close", "fin", "reset"])
def test_client_that_hangs_up(pair: Pair, how: str) -> None:
    server, client = pair
    poll = Poll(get_hub(), server)
    greenlet = waiting(poll)
    assert not poll.left()
    if how == "fin":
        client.shutdown(socket.SHUT_WR)
    else:
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    assert greenlet.get(timeout=5) == LEFT
    assert poll.left()


def test_next_request_that_is_sent_early(pair: Pair) -> None:
    """It is no reason to stop waiting, nor to look at it over and over."""
    server, client = pair
    poll = Poll(get_hub(), server)
    greenlet = waiting(poll)
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    eventually(lambda: not poll._watcher.active)
    client.close()
    turn(2)
    assert not greenlet.ready()
    assert poll.left()  # who is about to answer asks
    poll.wake()
    assert greenlet.get(timeout=1) == WOKEN


def test_late() -> None:
    poll = Poll(get_hub(), None)
    assert poll.wait(0.01) == LATE


def test_killed(pair: Pair) -> None:
    server, client = pair
    poll = Poll(get_hub(), server)
    greenlet = waiting(poll)
    greenlet.kill()
    client.close()
    poll.wake()
    turn(2)
    assert poll._watcher is None


def test_what_was_left_behind_does_not_end_the_wait() -> None:
    poll = Poll(get_hub(), None)
    greenlet = waiting(poll)
    get_hub().loop.run_callback(greenlet.switch, "something else")
    turn(2)
    assert not greenlet.ready()
    poll.wake()
    assert greenlet.get(timeout=1) == WOKEN


def test_cut_while_it_waits() -> None:
    poll = Poll(get_hub(), None)
    greenlet = waiting(poll)
    assert poll.cut()
    assert greenlet.get(timeout=1) == LEFT


def test_cut_while_it_sends(pair: Pair) -> None:
    server, client = pair
    poll = Poll(get_hub(), server)
    poll.answer_with(16384, 2.0)
    assert poll.deadline < inf
    assert poll.cut()
    assert client.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        server.send(b"x")
    assert poll.cut()


def test_cut_that_does_not_reach_the_connection() -> None:
    poll = Poll(get_hub(), None)
    poll.answer_with(0, 1.0)
    assert not poll.cut()
    assert not poll.left()


def test_cut_past_the_tls_session(pair: Pair) -> None:
    """gevent's own `shutdown` would take it from the greenlet that sends."""

    class Secure:
        def __init__(self, sock: Any) -> None:
            self._sock = sock

        def shutdown(self, how: int) -> None:
            raise AssertionError("not this one")

    poll = Poll(get_hub(), Secure(pair[0]))
    poll.answer_with(0, 1.0)
    assert poll.cut()
    assert pair[1].recv(1) == b""


def test_has_left_on_a_unix_socket() -> None:
    """Where the kernel tells no TCP state, it is read, and left where it is."""
    server, client = socket.socketpair()
    server.setblocking(False)
    with server, client:
        assert not has_left(server)
        client.send(b"x")
        assert not has_left(server)
        assert server.recv(1) == b"x"
        client.close()
        assert has_left(server)
    assert has_left(server)
    assert not has_left(None)


# -- bodies


class Stream:
    """`wsgi.input` that gives what it is told to, piece by piece."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)
        self.asked: list[int] = []

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, BaseException):
            raise piece
        if callable(piece):
            piece = piece()
        assert len(piece) <= size
        return bytes(piece)


def body(stream: Any, limit: int = 10, **environ: Any) -> bytes:
    if "length" in environ:
        environ["CONTENT_LENGTH"] = environ.pop("length")
    return read_body({"wsgi.input": stream, **environ}, limit, 5.0)


@pytest.mark.parametrize("pieces", [(b"hello",), (b"he", b"llo"), (b"h", b"ell", b"o")])
def test_body_with_a_length(pieces: tuple[bytes, ...]) -> None:
    stream = Stream(*pieces)
    assert body(stream, length="5") == b"hello"
    assert sum(stream.asked) <= 5 * len(pieces)


def test_body_without_a_length() -> None:
    assert body(Stream(b"he", b"llo"), **{"wsgi.input_terminated": True}) == b"hello"
    assert body(Stream(b"0123456789"), **{"wsgi.input_terminated": True}) == b"0123456789"


@pytest.mark.parametrize(
    "environ", [{}, {"length": ""}, {"length": "abc"}, {"length": "-1"}, {"length": "٣"}]
)
def test_no_body(environ: dict[str, Any]) -> None:
    """A stream that does not end must not be read."""
    stream = Stream(AssertionError("it was read"))
    assert body(stream, **environ) == b""
    assert stream.asked == []


@pytest.mark.parametrize("length", ["11", "9" * 18, "9" * 5000])
def test_body_that_is_announced_too_long(length: str) -> None:
    stream = Stream()
    with pytest.raises(RemoteProtocolError) as caught:
        body(stream, length=length)
    assert caught.value.status == 413
    assert stream.asked == []


def test_body_that_turns_out_too_long() -> None:
    stream = Stream(b"01234", b"567890")
    with pytest.raises(RemoteProtocolError) as caught:
        body(stream, **{"wsgi.input_terminated": True})
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "pieces", [(), (b"he",), (OSError("reset"),), (b"he", ssl.SSLEOFError("eof")), (ValueError("bad chunk"),)]
)
def test_body_that_is_cut_off(pieces: Any) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        body(Stream(*pieces), length="5")
    assert caught.value.status == 400


def test_body_that_takes_too_long() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_body({"wsgi.input": Stream(lambda: gevent.sleep(30)), "CONTENT_LENGTH": "5"}, 10, 0.01)
    assert caught.value.status == 408


def test_timeout_of_somebody_else() -> None:
    with gevent.Timeout(0.01) as outer, pytest.raises(gevent.Timeout) as caught:
        body(Stream(lambda: gevent.sleep(30)), length="5")
    assert caught.value is outer


def test_long_body_may_take_longer() -> None:
    """A megabyte over a slow line is no attack."""
    slow = Stream(lambda: gevent.sleep(0.05) or b"x" * 16384)
    assert len(read_body({"wsgi.input": slow, "CONTENT_LENGTH": "16384"}, 1 << 20, 0.001)) == 16384


def test_body_that_a_layer_has_read() -> None:
    assert body(BytesIO(b"hello"), length="5") == b"hello"
    stream = BytesIO(b"hello")
    stream.read()
    with pytest.raises(RemoteProtocolError):
        body(stream, length="5")


def test_body_that_came_with_the_request() -> None:
    """No clock is started for it."""

    class Reader:
        def available(self) -> int:
            return 5

    stream: Any = Stream(b"hello")
    stream.rfile = Reader()
    environ = {"wsgi.input": stream, "CONTENT_LENGTH": "5"}
    assert read_body(environ, 10, -1e9) == b"hello"


# -- responses


def test_response_that_was_sent() -> None:
    calls: list[str] = []
    response = Body(b"data", sent=lambda: calls.append("sent"), lost=lambda: calls.append("lost"))
    assert next(iter(response)) == b"data"
    assert calls == []  # the server has it, and may fail to send it
    assert list(response) == []
    assert list(response) == []
    response.close()
    assert calls == ["sent"]


def test_response_that_was_not_sent() -> None:
    calls: list[str] = []
    for taken in (0, 1):
        response = Body(b"data", sent=lambda: calls.append("sent"), lost=lambda: calls.append("lost"))
        for _ in range(taken):
            next(response)
        response.close()
        response.close()
    assert calls == ["lost", "lost"]
