"""BrowserChannel's sessions over real sockets: what is bounded, what pushes back, what is gone afterwards."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from tests.support.browserchannel import Channel, channel_server, expect_error, form
from tests.support.hosts import Server, leaves_nothing, wait_until

MARK = "primus::binary::"


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with channel_server("own", write_buffer=100_000) as server:
        yield server


@pytest.fixture
def server(own_server: Server) -> Iterator[Server]:
    with leaves_nothing(own_server):
        yield own_server


def connected(channel: Channel) -> Channel:
    """Ask for the back channel, and wait until the server has it."""
    channel.send_back()
    wait_until(lambda: channel.post()[0] == 1)
    return channel


# -- abandoned sessions


def test_a_thousand_abandoned_sessions_are_gone() -> None:
    with (
        channel_server("own", transport={"session_timeout_interval": 2}) as server,
        leaves_nothing(server),
        server.client() as client,
    ):
        body = form(['"unheard"'], 0)
        headers = {"Content-Length": str(len(body))}
        path = "/primus/bind?VER=8&RID=1&CVER=7&service="
        for number in range(1000):
            service = ("idle", "echo", "deaf", "end-data")[number % 4]
            client.send_request(path + service, headers, method="POST", body=body)
            sid = json.loads(client.recv_response().body.split(b"\n")[1])[0][1][1]
            if number % 10 == 1:
                with server.client() as back:
                    back.send_request(f"/primus/bind?VER=8&RID=rpc&TYPE=xmlhttp&CI=0&AID=0&SID={sid}")
                    back.recv_response(head_only=True)
                server.clients.remove(back)
        assert server.state()["counts"]["connection"] >= 1000
        server.control("go")
        server.wait_state(sparks=0, connected=0, sessions=0, objects=0)


# -- binary messages


def test_binary(server: Server) -> None:
    """Bytes are base64 behind a mark, between our own ends."""
    channel = Channel(server, "binary").open()
    for data in (b"", b"\x00\xff", bytes(range(256)) * 300):
        text = MARK + base64.b64encode(data).decode()
        channel.post(body=form([text], channel.first))
        channel.first += 1
        assert channel.recv() == text
    channel.post("text")
    assert channel.recv_message() == "text"
    channel.close()


# -- back-pressure


def test_writer_waits_for_acknowledgements(server: Server) -> None:
    """Not for the network only: what the client may lack is kept, so it counts."""
    channel = Channel(server, "pour").open()
    channel.post("now")
    assert server.wait_state(counts=lambda counts: counts.get("poured", 0) >= 5)["counts"]["poured"] < 10
    response = channel.back_response(streams=False)
    assert len(response.body) > 80_000
    # it was sent, but may be lost
    again = channel.back_response(streams=False)
    assert again.body.startswith(response.body.split(b"\n")[1][:50_000], again.body.index(b"\n") + 1)
    before = server.state()["counts"]["poured"]
    assert before < 10
    assert len(channel.take_messages(20)) == 20
    assert server.state()["counts"]["poured"] > before
    channel.close()
    server.wait_state(counts=lambda counts: counts.get("pour ended") == 1)


@pytest.mark.parametrize("streams", [True, False])
def test_everything_comes_through_a_small_buffer(streams: bool) -> None:
    with channel_server("own", write_buffer=2000) as server, leaves_nothing(server):
        channel = Channel(server, "count").open(2000)
        received = []
        while len(received) < 2000:
            channel.send_back(streams=streams)
            while channel.arrays():
                pass
            received += channel.waiting
            channel.waiting.clear()
        assert received == [str(number) for number in range(2000)]
        channel.close()


def test_posts_wait_for_a_handler_that_does_not_read(server: Server) -> None:
    channel = Channel(server, "deaf").open()
    channel.post(*range(1100))
    channel.send_post("held", rid=2000)
    assert channel.posting is not None
    assert channel.posting.quiet(0.1)
    server.control("go")
    assert channel.recv_post().status == 200
    server.wait_state(counts=lambda counts: counts.get("heard") == 1100)
    channel.rid = 1002
    channel.close()


def test_held_post_whose_client_hangs_up_and_sends_it_again(server: Server) -> None:
    channel = Channel(server, "deaf").open()
    channel.post(*range(1100))
    for _ in range(2):
        client = channel.send_post("held", rid=1002, first=1100)
        assert client.quiet(0.1)
        client.reset()
        channel.posting = None
        server.clients.remove(client)
    channel.send_post("held", "last", rid=1002, first=1100)
    server.control("go")
    assert channel.recv_post().status == 200
    channel.send_back()
    assert channel.recv_message() == 1102
    channel.terminate(rid=1003)


def test_session_that_ends_while_a_post_is_held(server: Server) -> None:
    channel = Channel(server, "deaf").open()
    channel.post(*range(1100))
    channel.send_post("held", rid=1002, first=1100)
    channel.terminate(rid=5)
    expect_error(channel.recv_post(), "Forbidden")
    server.control("go")


def test_slow_consumer_of_a_broadcast(server: Server) -> None:
    """It is told to come again, and what it did not take is dropped."""
    slow, quick = Channel(server, "idle").open(), connected(Channel(server, "idle").open())
    for _ in range(4):
        server.control("write?size=60000")
        assert len(quick.recv_message()) == 60000
        quick.post()  # which acknowledges
    server.wait_state(sparks=1)
    server.wait_state(sessions=1)
    slow.expect_unknown()
    quick.close()


# -- a server that goes down


def test_drain() -> None:
    """A client is told to come again, in the middle of a stream."""
    with channel_server("own", close_timeout=2) as server:
        channel = connected(Channel(server, "idle").open())
        server.process.terminate()
        assert channel.held is not None
        assert channel.arrays() == [[1, ["stop"]]]
        channel.held.expect_end()
        server.wait_exit()
