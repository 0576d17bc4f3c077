"""What a peer cannot do to a server: fill its memory, hold its greenlets, or stay without a sign of life."""

from __future__ import annotations

import time

import pytest

from tests.support.client import CLOSE, TEXT, Client, EndOfFile, frame, text
from tests.support.hosts import HOSTS, Server, serve, wait_until

MIB = 1 << 20
HIGH_MARK = 1 * MIB  # of the write buffer and of the inbox, by default
BLOCK = 16384  # bytes of a message of the service `pour`

SOME = ["own", "own-tls", "gunicorn", "gevent-websocket"]  # the timers are the same code everywhere


def steady(server: Server, counter: str) -> int:
    """Wait until a counter of the server has moved and then stands still."""
    seen = [-1, 0.0]

    def still() -> bool:
        value = server.state()["counts"].get(counter, 0)
        if value != seen[0]:
            seen[:] = [value, time.monotonic()]
        return value > 0 and time.monotonic() - seen[1] > 0.3

    wait_until(still, 10, lambda: f"{counter} is at {seen[0]} and moves on")
    return int(seen[0])


def test_writer_waits_for_a_slow_reader(server: Server) -> None:
    """`spark.write` parks, and the buffer stays near its mark; when the client reads, all is there."""
    with server.spark("pour", receive_buffer=4096) as client:
        before = server.state()["rss"]
        client.send_message("go")
        poured = steady(server, "poured")
        # what the kernel holds (some MiB at most) and the mark; far from what an endless loop would write
        assert poured * BLOCK < HIGH_MARK + 8 * MIB
        assert server.state()["rss"] - before < 12 * MIB
        for _ in range(poured + 50):
            assert len(client.recv_message()) == BLOCK
    server.wait_state(sparks=0, counts=lambda counts: counts.get("pour ended") == 1)


@pytest.mark.parametrize("host", SOME)
def test_broadcast_does_not_wait_for_a_slow_reader(host: str) -> None:
    """It is closed with 1013, to come back when it is better, and the others get everything."""
    with serve(host, write_buffer=256 * 1024, close_timeout=1.0) as server:
        slow = server.spark("idle", receive_buffer=4096)
        quick = server.spark("idle")
        server.wait_state(sparks=2)
        received = 0
        for _ in range(40):
            server.control("write?size=100000&count=4")
            for _ in range(4):
                assert len(quick.recv_message()) == 100_000
                received += 1
            if server.state()["sparks"] == 1:
                break
        server.wait_state(sparks=1)
        last = read_frames(slow)
        assert last in (None, 1013)  # None: it was cut before it had read as far as the Close frame
        quick.close_properly()
        slow.sock.close()
        server.wait_state(sparks=0)


def read_frames(client: Client) -> int | None:
    """Read what is there; the code of the Close frame at the end, if there is one."""
    try:
        while (received := client.recv_frame()).opcode != CLOSE:
            pass
    except (EndOfFile, ConnectionError):
        return None
    return received.code


def test_client_waits_for_a_slow_handler(server: Server) -> None:
    """The inbox stays near its mark: TCP pushes back, and when the handler reads, nothing was lost."""
    with server.spark("deaf") as client:
        before = server.state()["rss"]
        block = text("z" * BLOCK)
        sent = 0
        client.sock.settimeout(0.5)
        try:
            while sent < 4000:
                client.send(block)
                sent += 1
        except TimeoutError:
            pass
        else:
            pytest.fail(f"the server took {sent} messages that nobody reads")
        assert sent * BLOCK < HIGH_MARK + 12 * MIB
        assert server.state()["rss"] - before < 12 * MIB


def test_nothing_is_lost_by_back_pressure(server: Server) -> None:
    with server.spark("deaf") as client:
        client.send(text("z" * 100) * 3000)  # beyond the mark of 1,024 messages
        server.control("go")
        client.send(text("last"))
        assert client.recv_message() == 3001
        client.close_properly()


def test_heartbeats_pass_a_handler_that_does_not_read(server: Server) -> None:
    with server.spark("deaf") as client:
        client.send(text("x") * 100 + text("primus::ping::7"))
        assert client.recv_message() == "primus::pong::7"
        client.close_properly()


@pytest.mark.parametrize("host", SOME)
def test_dead_peer(host: str) -> None:
    """A client that says nothing is ended after `timeout`, one that pings stays."""
    with serve(host, timeout=1.0, ping_interval=False, close_timeout=0.5) as server:
        started = time.monotonic()
        silent, alive = server.spark("idle"), server.spark("idle")
        ended: float | None = None
        while ended is None and time.monotonic() - started < 6:
            alive.send(text("primus::ping::1"))
            assert alive.recv_message() == "primus::pong::1"
            if not silent.quiet(0.3):
                ended = time.monotonic() - started
        assert ended is not None
        assert 0.9 < ended < 4
        silent.expect_close()
        silent.expect_eof()
        silent.sock.close()
        server.wait_state(sparks=1)
        alive.close_properly()


@pytest.mark.parametrize("host", SOME)
def test_client_of_the_newer_kind_is_pinged(host: str) -> None:
    with (
        serve(host, timeout=2.0, ping_interval=0.4, close_timeout=0.5) as server,
        server.spark("idle") as client,
    ):
        for _ in range(3):
            ping = client.recv_message(timeout=3)
            assert ping.startswith("primus::ping::")
            client.send_message(ping.replace("ping", "pong"))
        client.close_properly()


@pytest.mark.parametrize("host", SOME)
def test_reader_that_stops_for_ever(host: str) -> None:
    """A peer that takes nothing for `write_timeout` is cut, and the writer that waited goes on."""
    with (
        serve(host, write_timeout=1.0, close_timeout=0.5) as server,
        server.spark("pour", receive_buffer=4096) as client,
    ):
        client.send_message("go")
        server.wait_state(sparks=0, counts=lambda counts: counts.get("pour ended") == 1)


def test_three_hundred_connections(server: Server) -> None:
    """They open, live and close; what they leave is checked by the fixture."""
    clients = [server.spark("idle") for _ in range(300)]
    state = server.wait_state(sparks=300)
    assert state["connected"] == 300
    if not server.kind.tls and "writeless" not in server.kind.factory:
        # detached: no greenlet of the server is kept for a connection
        assert state["greenlets"] < 50
    for client in clients[::2]:
        client.send(text("primus::ping::1"))
    for client in clients[::2]:
        assert client.recv_message() == "primus::pong::1"
    for number, client in enumerate(clients):
        if number % 3 == 0:
            client.reset()
        elif number % 3 == 1:
            client.sock.close()
        else:
            client.close_properly()
            client.sock.close()
    state = server.wait_state(sparks=0, objects=0, counts=lambda counts: counts.get("disconnection") == 300)
    assert state["counts"]["connection"] == 300


def test_announced_length(server: Server) -> None:
    """Is refused on the header; nothing is allocated and nothing more is waited for."""
    for size in (b"\x00\x00\x00\x00\x80\x00\x00\x00", b"\x7f\xff\xff\xff\xff\xff\xff\xff"):
        with server.spark() as client:
            client.send(b"\x81\xff" + size + b"\x00\x00\x00\x00")
            client.expect_close(1009)
            client.fin()
            client.expect_eof()


def test_endless_fragments(server: Server) -> None:
    with server.spark() as client:
        client.send(frame(TEXT, b"x", fin=False) + frame(0, b"x", fin=False) * 2000)
        received = client.expect_close()
        assert received.code in (1008, 1009)
        client.fin()
        client.expect_eof()


@pytest.mark.few_hosts
def test_ping_flood(server: Server) -> None:
    """Pongs for a peer that does not read are bounded too."""
    before = server.state()["rss"]
    with server.spark("idle", receive_buffer=4096) as client:
        client.sock.settimeout(2.0)
        try:
            for _ in range(400):
                client.send(frame(9, b"p" * 125) * 1000)
        except (TimeoutError, ConnectionError, OSError):
            pass
        assert server.state()["rss"] - before < 12 * MIB


def test_names_of_the_matrix() -> None:
    assert set(SOME) <= set(HOSTS)
