"""The WebSocket transport over real sockets: reading, one flush per turn, back-pressure, every way to end."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.ssl
import pytest
from gevent import get_hub

from primus_gevent.errors import LocalProtocolError
from primus_gevent.hosts.base import TLSSocket
from primus_gevent.protocols.deflate import DeflateOptions, PerMessageDeflate
from primus_gevent.protocols.websocket import Close, Pong
from primus_gevent.transports import websocket as module
from primus_gevent.transports.flusher import Flusher
from tests.support.hosts import certificate
from tests.unit.hub import eventually, turn
from tests.unit.protocols.wire import build
from tests.unit.transports.wire import Link, Peer, tcp_pair

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def text(message: str) -> bytes:
    return build(TEXT, message.encode())


def close_frame(code: int | None = 1000, reason: str = "") -> bytes:
    return build(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


@pytest.fixture
def link() -> Iterator[Link]:
    link = Link()
    yield link
    link.close()


# -- reading


def test_messages_arrive_in_order_in_the_hub(link: Link) -> None:
    link.peer.send(text("a"), build(BINARY, b"\xff"), text("é"))
    link.peer.send(build(TEXT, b"fra", fin=False))
    link.expect("a", b"\xff", "é")
    link.peer.send(build(0, b"gment"))
    link.expect("a", b"\xff", "é", "fragment")


def test_early_bytes_come_first_even_when_the_loop_is_busy() -> None:
    server, client = tcp_pair()
    server.setblocking(False)
    peer = Peer(client)
    peer.send(text("from the socket"))
    # After this time gevent's loop looks at its watchers, although callbacks are left.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(1000):
            get_hub().loop.run_callback(int)
        link = Link(early=text("early"), sock=server, peer=peer)
        link.expect("early", "from the socket")
    finally:
        sys.setswitchinterval(interval)
    link.close()


def test_early_bytes_that_end_the_connection() -> None:
    link = Link(early=text("x") + close_frame())
    link.expect("x")
    link.expect_calls(("closed", True))
    assert link.peer.receive(1) == [Close(1000, "")]
    link.peer.sock.close()
    link.expect_calls(("closed", True), ("gone",))


def test_early_bytes_for_a_connection_that_is_gone() -> None:
    link = Link(early=text("x"))
    link.transport.abort()
    turn(2)
    assert link.receiver.messages == []
    assert link.receiver.calls == [("closed", False), ("gone",)]
    link.close()


def test_early_bytes_that_fill_the_inbox_leave_the_socket_alone() -> None:
    link = Link(early=text("x"))
    link.receiver.on_messages = lambda messages: link.transport.pause()
    link.peer.send(text("y"))
    link.expect("x")
    turn(3)
    assert link.receiver.messages == ["x"]
    link.receiver.on_messages = None
    link.transport.resume()
    link.expect("x", "y")
    link.close()


def test_whoever_watches_for_silence_sees_the_bytes(link: Link) -> None:
    link.transport.active = False
    link.peer.send(text("half")[:3])
    eventually(lambda: link.transport.active)
    assert link.receiver.messages == []


def test_pongs_are_nobodys_business(link: Link) -> None:
    link.transport.active = False
    link.peer.send(build(PONG, b"x"))
    eventually(lambda: link.transport.active)
    assert (link.receiver.messages, link.receiver.calls) == ([], [])


def test_an_error_in_the_receiver_loses_this_connection_only(link: Link, caplog: Any) -> None:
    def broken(messages: Any) -> None:
        raise ValueError("a bug")

    link.receiver.on_messages = broken
    link.peer.send(text("x"))
    link.expect_calls(("closed", False), ("gone",))
    assert "reading from" in caplog.text
    assert link.peer.receive_all() == []


# -- writing


def test_what_one_turn_writes_leaves_in_one_send(link: Link) -> None:
    for i in range(100):
        link.transport.send(str(i))
    link.transport.send(b"\x00")
    link.transport.send_prepared(link.transport.prepare("p"))
    link.transport.send_prepared(link.transport.prepare(b"q"))
    link.transport.ping(b"!")
    assert link.sock.sends == []
    assert link.transport.buffered > 0
    assert link.peer.receive(103) == [*map(str, range(100)), b"\x00", "p", b"q"]
    assert len(link.sock.sends) == 1
    assert link.transport.buffered == 0


def test_answers_leave_before_the_loop_goes_on(link: Link) -> None:
    sent: list[int] = []

    def echo(messages: Any) -> None:
        for message in messages:
            link.transport.send(message)
        assert link.sock.sends == []
        get_hub().loop.run_callback(lambda: sent.append(len(link.sock.sends)))

    link.receiver.on_messages = echo
    link.peer.send(text("a"), build(PING, b"p"), text("b"))
    assert link.peer.receive(3) == ["a", Pong(b"p"), "b"]
    assert len(link.sock.sends) == 1
    assert sent[0] == 1


def test_a_write_after_a_read_that_wrote_nothing_leaves_too(link: Link) -> None:
    link.peer.send(text("a"))
    link.expect("a")
    link.transport.send("later")
    assert link.peer.receive(1) == ["later"]


def test_a_lone_surrogate_raises_and_queues_nothing(link: Link) -> None:
    with pytest.raises(UnicodeEncodeError):
        link.transport.send("\ud800")
    link.transport.send("ok")
    assert link.peer.receive(1) == ["ok"]


def test_with_compression_everybody_frames_for_himself() -> None:
    link = Link(deflate=PerMessageDeflate(options=DeflateOptions(threshold=0)))
    assert link.transport.framing is None
    link.peer.protocol.deflate = PerMessageDeflate(client=True)
    link.transport.send("x" * 1000)
    link.transport.send(b"y" * 1000)
    assert link.peer.receive(2) == ["x" * 1000, b"y" * 1000]
    assert sum(link.sock.sends) < 200
    link.close()


def test_without_it_all_frame_alike(link: Link) -> None:
    assert link.transport.framing == "websocket"


def test_much_more_than_the_kernel_takes_arrives_whole() -> None:
    link = Link(buffers=8192)
    messages = [chr(97 + i) * 100_000 for i in range(20)]
    for message in messages:
        link.transport.send(message)
    assert link.transport.full
    for message in messages[:5]:
        turn()
        link.transport.send(message)  # behind a frame that is partly sent
    assert link.peer.receive(25) == messages + messages[:5]
    eventually(lambda: link.transport.buffered == 0)
    assert not link.transport.full
    assert link.transport._writer is None
    assert link.transport._timer is None
    link.close()


def test_single_bytes_through_a_kernel_that_takes_no_more(link: Link) -> None:
    link.sock.limit = 1
    link.transport.send("abc")
    link.transport.send("def")
    turn()
    link.transport.send("ghi")
    assert link.peer.receive(3) == ["abc", "def", "ghi"]
    assert set(link.sock.sends) == {1}


def test_a_kernel_that_is_full_from_the_start(link: Link) -> None:
    link.sock.limit = 0
    link.transport.send("abc")
    turn(3)
    assert link.transport._writer is not None
    link.sock.limit = None
    assert link.peer.receive(1) == ["abc"]


@pytest.mark.parametrize("when", ["flush", "writable"])
def test_a_send_that_fails_loses_the_connection(link: Link, when: str) -> None:
    if when == "writable":
        link.sock.limit = 1
        link.transport.send("abc")
        eventually(lambda: link.sock.sends)
    link.sock.error = BrokenPipeError()
    link.transport.send("x")
    link.expect_calls(("closed", False), ("gone",))


def test_only_the_newest_ping_is_answered_to_a_peer_that_does_not_read() -> None:
    link = Link(buffers=8192)
    link.transport.send("x" * 1_000_000)
    turn()
    assert link.transport._writer is not None
    link.peer.send(*(build(PING, b"%d" % i) for i in range(500)))
    link.peer.send(text("seen"))
    link.expect("seen")
    assert link.transport.buffered <= 1_000_010
    assert link.peer.receive(2) == ["x" * 1_000_000, Pong(b"499")]
    link.close()


# -- back-pressure towards us


def test_wait_writable_parks_above_the_high_mark_until_the_low_one() -> None:
    link = Link(buffers=8192, write_buffer=400_000)
    link.transport.send("x" * 400_000)
    assert link.transport.full
    done: list[int] = []
    waiting = [
        gevent.spawn(lambda: (link.transport.wait_writable(), done.append(link.transport.buffered)))
        for _ in range(3)
    ]
    turn(3)
    assert done == []
    assert link.peer.receive(1) == ["x" * 400_000]
    gevent.joinall(waiting, timeout=5)
    assert len(done) == 3
    assert max(done) <= 100_000
    link.close()


def test_wait_writable_returns_at_once_below_the_mark_or_when_the_kernel_takes_it(link: Link) -> None:
    link.transport.wait_writable()
    link.transport._limits.high = 10
    link.transport.send("x" * 100)
    assert link.transport.full
    link.transport.wait_writable()
    assert not link.transport.full


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_a_lost_connection_frees_who_waits_to_write(how: str) -> None:
    link = Link(buffers=8192, write_buffer=100_000)
    link.transport.send("x" * 500_000)
    waiting = gevent.spawn(link.transport.wait_writable)
    turn(2)
    assert not waiting.dead
    link.transport.abort() if how == "abort" else link.peer.reset()
    waiting.join(5)
    assert waiting.successful()
    link.transport.wait_writable()  # of a connection that is gone
    link.close()


def test_a_killed_writer_leaves_nothing_behind() -> None:
    link = Link(buffers=8192, write_buffer=100_000)
    link.transport.send("x" * 500_000)
    waiting = gevent.spawn(link.transport.wait_writable)
    turn(2)
    waiting.kill()
    assert link.peer.receive(1) == ["x" * 500_000]
    eventually(lambda: not link.transport.full)
    link.close()


def test_a_peer_that_takes_nothing_is_cut_off() -> None:
    link = Link(buffers=8192, write_timeout=0.05)
    link.transport.send("x" * 1_000_000)
    link.expect_calls(("closed", False), ("gone",))
    link.close()


def test_a_peer_that_takes_a_little_is_not() -> None:
    link = Link(buffers=8192, write_timeout=0.2)
    link.transport.send("x" * 200_000)
    timers = []

    # Every bit of progress has to begin the time anew: looked at here, not waited for.
    def progress() -> bool:
        timers.append(link.transport._timer)
        return not link.peer.read_some() or link.transport.buffered == 0

    turn()
    eventually(progress)
    assert link.receiver.calls == []
    assert len({id(timer) for timer in timers if timer is not None}) > 1
    link.close()


# -- back-pressure towards the peer


def test_a_paused_connection_is_not_read(link: Link) -> None:
    link.transport.pause()
    link.transport.pause()
    link.peer.send(text("a"))
    link.transport.send("out")
    assert link.peer.receive(1) == ["out"]
    assert link.receiver.messages == []
    assert "paused" in repr(link.transport)
    link.transport.resume()
    link.transport.resume()
    link.expect("a")


def test_a_pause_in_the_middle_of_a_read(link: Link) -> None:
    link.receiver.on_messages = lambda messages: link.transport.pause()
    link.peer.send(text("a"), text("b"))
    link.expect("a", "b")  # one read is taken whole
    link.peer.send(text("c"))
    turn(3)
    assert len(link.receiver.messages) == 2
    link.transport.resume()
    link.expect("a", "b", "c")


def test_a_paused_connection_knows_whether_its_peer_left(link: Link) -> None:
    link.transport.pause()
    link.peer.send(text("a"))
    assert link.transport.peer_left() is False
    link.peer.sock.close()
    eventually(link.transport.peer_left)
    link.transport.abort()
    assert link.transport.peer_left() is True


def test_of_a_unix_socket_nobody_knows() -> None:
    server, client = socket.socketpair()
    server.setblocking(False)
    link = Link(sock=server, peer=Peer(client))
    link.peer.send(text("a"))
    link.expect("a")
    assert link.transport.peer_left() is False
    link.close()


# -- the closing handshake


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4999, None])
def test_the_peers_close_is_answered_with_its_code(link: Link, code: int | None) -> None:
    link.peer.send(text("last"), close_frame(code, "bye" if code else ""))
    expected = Close(code or 1005, "")
    assert link.peer.receive_all() == [expected]  # and then the end of the stream
    assert link.receiver.messages == ["last"]
    assert link.receiver.calls == [("closed", True)]
    assert (link.transport.close_code, link.transport.close_reason) == (code or 1005, "bye" if code else "")
    assert "lingering" in repr(link.transport)
    link.peer.sock.close()
    link.expect_calls(("closed", True), ("gone",))
    assert "gone" in repr(link.transport)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([build(TEXT, b"x", key=None)], 1002),
        ([build(3, b"x")], 1002),
        ([build(TEXT, b"x", rsv=4)], 1002),
        ([build(PING, b"x", fin=False)], 1002),
        ([build(PING, b"x" * 126)], 1002),
        ([build(0, b"x")], 1002),
        ([build(TEXT, b"x", fin=False), build(TEXT, b"y")], 1002),
        ([close_frame(1005)], 1002),
        ([close_frame(999)], 1002),
        ([build(CLOSE, b"\x03")], 1002),
        ([build(TEXT, b"\xff")], 1007),
        ([close_frame(1000)[:-2] + b"\x00\x00"], None),
        ([build(TEXT, b"", form=64, announce=1 << 31)], 1009),
        ([build(TEXT, b"", form=64, announce=1 << 63)], 1002),
        ([build(BINARY, b"x" * 60, fin=False), build(0, b"x" * 60)], 1009),
        ([build(TEXT, b"", fin=False), *[build(0, b"", fin=False)] * 9], 1008),
        ([b"GET / HTTP/1.1\r\n\r\n"], 1002),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_a_broken_protocol_is_answered_with_its_code(
    frames: list[bytes], code: int | None, cut: bool
) -> None:
    link = Link(max_length=100, max_fragments=8)
    data = text("before") + b"".join(frames)
    if cut:
        for byte in data:
            try:
                link.peer.send(bytes([byte]))
            except OSError:
                break
            turn()
    else:
        link.peer.send(data)
    events = link.peer.receive_all()
    assert link.receiver.messages == ["before"]
    assert len(events) == 1
    if code is None:
        assert isinstance(events[0], Close)
    else:
        assert events[0].code == code
        assert link.receiver.calls[0] == ("closed", False)
    link.close()
    assert link.receiver.calls[-1] == ("gone",)


def test_what_follows_the_peers_close_is_nothing(link: Link) -> None:
    link.peer.send(close_frame(), text("after"), build(PING, b"x"), b"garbage")
    assert link.peer.receive_all() == [Close(1000, "")]
    link.peer.send(text("later"))
    turn(3)
    assert link.receiver.messages == []


@pytest.mark.parametrize("code", [1000, 1011, 1012, 1013, 3333, 4000])
def test_our_close_waits_for_the_peers(link: Link, code: int) -> None:
    link.transport.send("last")
    link.transport.close(code, "why")
    link.transport.close(1001)  # the first one counts
    assert link.receiver.calls == [("closed", True)]
    link.transport.send("too late")
    link.transport.send_prepared(b"too late")
    link.transport.ping(b"too late")
    assert link.peer.receive(2) == ["last", Close(code, "why")]
    assert "closing" in repr(link.transport)
    link.peer.send(text("crossing"), build(PING, b"crossing"), close_frame(code))
    assert link.peer.receive_all() == []
    assert link.receiver.messages == []
    assert link.transport.close_code == code
    link.peer.sock.close()
    link.expect_calls(("closed", True), ("gone",))


def test_close_without_a_code(link: Link) -> None:
    link.transport.close(None)
    assert link.peer.receive(1) == [Close(1005, "")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70000])
def test_a_code_that_may_not_be_sent_leaves_the_connection_open(link: Link, code: int) -> None:
    with pytest.raises(LocalProtocolError):
        link.transport.close(code)
    link.transport.send("still here")
    assert link.peer.receive(1) == ["still here"]
    assert link.receiver.calls == []


def test_a_peer_that_does_not_answer_our_close_is_cut_off() -> None:
    link = Link(close_timeout=0.02)
    link.transport.close()
    link.expect_calls(("closed", True), ("gone",))
    link.close()


def test_a_peer_that_neither_reads_nor_answers_is_cut_off() -> None:
    link = Link(buffers=8192, close_timeout=0.05, write_timeout=60)
    link.transport.send("x" * 1_000_000)
    turn()
    link.transport.close()
    link.expect_calls(("closed", True), ("gone",))
    link.close()


def test_a_peer_that_closes_and_stays_is_cut_off(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.02)
    link = Link()
    link.peer.send(close_frame())
    link.expect_calls(("closed", True), ("gone",))
    link.close()


def test_a_peer_that_floods_after_its_close_is_cut_off(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "LINGER_BYTES", 100_000)
    monkeypatch.setattr(module, "LINGER_SECONDS", 60)  # so that it is the bytes that count
    link = Link(close_timeout=60)
    link.peer.send(close_frame())
    link.expect_calls(("closed", True))

    def flood() -> None:
        while True:
            link.peer.send(b"x" * 50_000)

    with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
        flood()
    link.expect_calls(("closed", True), ("gone",))
    link.close()


def test_the_peer_gets_all_of_our_last_words_although_it_still_sends(link: Link) -> None:
    """Closed with unread bytes, a socket resets the connection, and the peer loses what it did not read."""
    link.peer.send(build(3, b"broken"), b"x" * 200_000)
    events = link.peer.receive_all()
    assert [event.code for event in events] == [1002]


def test_close_frees_a_paused_connection(link: Link) -> None:
    link.transport.pause()
    link.peer.send(text("unread"), close_frame(1001))
    link.transport.close()
    assert link.peer.receive_all() == [Close(1000, "")]
    assert link.transport.close_code == 1001
    link.transport.pause()  # no more
    assert not link.transport.paused


def test_closing_inside_a_batch(link: Link) -> None:
    link.receiver.on_messages = lambda messages: link.transport.close(4001)
    link.peer.send(text("a"), build(PING, b"x"), text("b"), close_frame(4001))
    assert link.peer.receive_all() == [Close(4001, "")]
    assert link.receiver.messages == ["a"]


def test_aborting_inside_a_batch(link: Link) -> None:
    link.receiver.on_messages = lambda messages: link.transport.abort()
    link.peer.send(text("a"), build(PING, b"x"), text("b"), close_frame(4001))
    assert link.peer.receive_all() == []
    assert link.receiver.messages == ["a"]
    assert link.receiver.calls == [("closed", False), ("gone",)]


# -- the other ends


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("closing", [False, True])
def test_a_peer_that_leaves_without_a_word(link: Link, how: str, closing: bool) -> None:
    link.peer.send(text("last"))
    link.expect("last")
    if closing:
        link.transport.close()
        link.peer.receive(1)
    link.peer.sock.close() if how == "fin" else link.peer.reset()
    link.expect_calls(("closed", closing), ("gone",))


def test_abort_cuts_at_once_and_for_good(link: Link) -> None:
    fd = link.sock.fileno()
    link.transport.send("lost")
    link.transport.abort()
    link.transport.abort()
    link.transport.close()
    link.transport.pause()
    link.transport.resume()
    link.transport.send("x")
    turn()
    assert link.receiver.calls == [("closed", False), ("gone",)]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert link.peer.receive_all() == []


def test_wait_gone(link: Link) -> None:
    assert link.transport.wait_gone(0.001) is False
    waiting = [gevent.spawn(link.transport.wait_gone) for _ in range(2)]
    turn()
    link.transport.abort()
    gevent.joinall(waiting, timeout=5)
    assert [greenlet.value for greenlet in waiting] == [True, True]
    assert link.transport.wait_gone() is True


@pytest.mark.parametrize("how", ["abort", "close", "fin", "early"])
def test_a_connection_that_is_gone_is_freed_at_once(how: str) -> None:
    link = Link(early=text("x") if how == "early" else b"", buffers=8192)
    link.transport.send("x" * 100_000)
    link.peer.send(build(PING, b"x"))
    turn(2)
    if how == "close":
        link.transport.close()
        link.peer.receive(2)
        link.peer.send(close_frame())
        link.peer.receive_all()
    link.peer.sock.close()
    if how == "abort":
        link.transport.abort()
    eventually(lambda: ("gone",) in link.receiver.calls)
    turn(2)
    gone = weakref.ref(link.transport)
    gc.disable()
    try:
        del link.transport
        assert gone() is None, gc.get_referrers(gone())
    finally:
        gc.enable()


def test_idle_connections_have_one_watcher_and_nothing_else(link: Link) -> None:
    link.transport.send("x")
    link.peer.receive(1)
    transport = link.transport
    assert (transport._writer, transport._timer, transport._writable, transport._gone) == (None,) * 4


# -- TLS


def tls_link(**options: Any) -> Link:
    server, client = (gevent.socket.socket(fileno=sock.detach()) for sock in tcp_pair(options.get("buffers")))
    cert, key = certificate()
    ours = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(cert, key)
    theirs = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.load_verify_locations(cert)
    accepting = gevent.spawn(ours.wrap_socket, server, server_side=True)
    peer = Peer(theirs.wrap_socket(client, server_hostname="localhost"))
    return Link(sock=TLSSocket(accepting.get(timeout=5)), peer=peer, **options)


def test_tls_messages_of_any_size_both_ways() -> None:
    link = tls_link()
    link.receiver.on_messages = lambda messages: [link.transport.send(message) for message in messages]
    messages = ["x" * size for size in (0, 1, 100, 16_384, 16_385, 65_536, 300_000)]
    sending = gevent.spawn(link.peer.send, *map(text, messages))
    assert link.peer.receive(len(messages)) == messages
    sending.join(5)
    # Several frames in one record, and a record that is read in pieces.
    link.peer.send(*(text(str(i)) for i in range(3000)))
    assert link.peer.receive(3000) == [str(i) for i in range(3000)]
    link.close()


def test_tls_to_a_slow_reader() -> None:
    link = tls_link(buffers=8192, write_buffer=100_000)
    messages = [chr(97 + i) * 100_000 for i in range(5)]
    for message in messages:
        link.transport.send(message)
    waiting = gevent.spawn(link.transport.wait_writable)
    turn(3)
    assert not waiting.dead
    assert link.transport._writer is not None
    assert link.peer.receive(5) == messages
    waiting.join(5)
    assert waiting.successful()
    link.close()


class ReadsAhead:
    """Has decrypted more than it was asked for, for which the descriptor does not become readable again."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._held = b""

    def recv(self, size: int) -> bytes:
        self._held += self._sock.recv(size) if not self._held else b""
        data, self._held = self._held[:10], self._held[10:]
        return data

    def pending(self) -> int:
        return len(self._held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_what_tls_has_decrypted_already_is_read_at_once() -> None:
    server, client = tcp_pair()
    server.setblocking(False)
    link = Link(sock=ReadsAhead(server), peer=Peer(client))
    link.peer.send(text("first message"), text("second message"))
    link.expect("first message", "second message")
    link.close()


@pytest.mark.parametrize("who", ["peer", "we"])
def test_tls_closing_handshake(who: str) -> None:
    link = tls_link()
    if who == "we":
        link.transport.close(4000)
        assert link.peer.receive(1) == [Close(4000, "")]
    link.peer.send(close_frame(4000))
    assert link.peer.receive_all() == ([Close(4000, "")] if who == "peer" else [])
    link.peer.sock.close()
    link.expect_calls(("closed", True), ("gone",))


@pytest.mark.parametrize("how", ["fin", "reset", "unwrap", "garbage"])
def test_tls_that_is_lost(how: str) -> None:
    link = tls_link()
    raw = gevent.socket.socket(fileno=os.dup(link.peer.sock.fileno()))
    unwrapping = None
    if how == "reset":
        os.close(link.peer.sock.detach())
        link.peer.sock = raw
        link.peer.reset()
    elif how == "unwrap":
        unwrapping = gevent.spawn(link.peer.sock.unwrap)
    elif how == "garbage":
        raw.sendall(b"\x17\x03\x03\x00\x20" + b"g" * 32)
    else:
        link.peer.sock.close()
        raw.close()
    link.expect_calls(("closed", False), ("gone",))
    if unwrapping is not None:
        unwrapping.kill()  # it would fail in the next test
    raw.close()
    link.close()


# -- the flusher


class Dirty:
    def __init__(self, order: list[Any], then: Any = None) -> None:
        self.order = order
        self.then = then

    def flush(self) -> None:
        self.order.append(self)
        if self.then is not None:
            then, self.then = self.then, None
            then()


def test_there_is_one_flusher_per_hub() -> None:
    assert Flusher.of(get_hub()) is Flusher.of(get_hub())
    others: list[Any] = []

    def other_thread() -> None:
        others.append((Flusher.of(get_hub()), get_hub()))
        get_hub().destroy(destroy_loop=True)

    gevent.get_hub().threadpool.spawn(other_thread).get(timeout=5)
    assert others[0][0] is not Flusher.of(get_hub())
    assert others[0][0].hub is others[0][1]


def test_a_flush_that_makes_others_dirty_is_followed_by_theirs() -> None:
    flusher, order = Flusher(get_hub()), []
    second = Dirty(order)
    first = Dirty(order, lambda: flusher.add(second))
    flusher.add(first)
    assert order == []
    turn(2)
    assert order == [first, second]


def test_everything_dirty_is_flushed_in_the_hub_in_order() -> None:
    flusher, order, where = Flusher(get_hub()), [], []
    dirty = [Dirty(order, lambda: where.append(gevent.getcurrent())) for _ in range(3)]
    for connection in dirty:
        flusher.add(connection)
    turn()
    assert order == dirty
    assert where == [get_hub()] * 3


def test_one_read_of_a_compressed_connection_inflates_little() -> None:
    """Sixty bombs arrive in one packet; the receiver pauses after the first of them that it sees."""
    link = Link(deflate=PerMessageDeflate(options=DeflateOptions(threshold=0)))
    link.peer.protocol.deflate = PerMessageDeflate(client=True, options=DeflateOptions(threshold=0))
    link.receiver.on_messages = lambda messages: link.transport.pause()
    bombs = [link.peer.protocol.binary(bytes(1 << 20)) for _ in range(60)]
    assert sum(map(len, bombs)) < 65536  # what a read without compression takes
    link.peer.send(*bombs)
    eventually(lambda: link.receiver.messages)
    eventually(lambda: link.transport.paused)
    assert len(link.receiver.messages) < 10
    link.receiver.on_messages = None
    link.transport.resume()
    eventually(lambda: len(link.receiver.messages) == 60)
    link.close()
