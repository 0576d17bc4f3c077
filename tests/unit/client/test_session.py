"""The frameworks that speak HTTP, against servers that say what a test tells them: what real ones do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import gevent
import pytest
from gevent.event import Event

from primus_gevent.client import Socket
from primus_gevent.client.transports import browserchannel, engineio, sockjs
from primus_gevent.errors import (
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    OptionError,
    RemoteProtocolError,
    UnexpectedResponse,
)
from tests.unit.client.servers import raw_server, read_head
from tests.unit.hub import eventually, hub_errors

SECONDS = 10.0


@pytest.fixture(autouse=True)
def hub_stays_clean() -> Iterator[None]:
    with hub_errors() as errors:
        yield
    assert errors == []


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    sock: Any = field(repr=False)


Handler = Callable[[Request], Any]


class Site:
    """A server that answers each request as a function says: bytes, a status with bytes, or None, which keeps
    the request waiting until the client leaves."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.port = 0
        self.seen: list[Request] = []
        self.clients: list[Socket] = []
        self.connections = 0
        self.left = 0

    def serve(self, sock: Any) -> None:
        self.connections += 1
        while True:
            try:
                head = read_head(sock)
            except ConnectionError:
                self.left += 1
                return
            first, *lines = head.strip().split("\r\n")
            method, target, _ = first.split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            body = b""
            while len(body) < int(headers.get("content-length", 0)):
                body += sock.recv(65536)
            url = urlsplit(target)
            request = Request(method, url.path, dict(parse_qsl(url.query)), headers, body, sock)
            self.seen.append(request)
            try:
                answer = self.handler(request)
            except BaseException:
                self.left += 1
                raise
            if answer is None:
                self.wait(sock)
                return
            status, data = answer if isinstance(answer, tuple) else (200, answer)
            sock.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(data), data))

    def wait(self, sock: Any) -> None:
        try:
            sock.recv(1)
        finally:
            self.left += 1

    def posts(self) -> list[bytes]:
        return [request.body for request in self.seen if request.method == "POST"]


@contextmanager
def site(handler: Handler) -> Iterator[Site]:
    made = Site(handler)
    with raw_server(made.serve) as port:
        made.port = port
        yield made
        for client in made.clients:
            client.end()
        eventually(lambda: made.left == made.connections)


def client_of(server: Site, transformer: str, **options: Any) -> Socket:
    options = {"strategy": False, "close_timeout": 0.3, **options}
    client = Socket(f"http://ann:secret@127.0.0.1:{server.port}", transformer=transformer, **options)
    server.clients.append(client)
    return client


def why(client: Socket) -> BaseException:
    """Why it has no connection."""
    with pytest.raises(ConnectionClosed) as caught:
        client.wait_open(SECONDS)
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


# -- Engine.IO


def handshake(**changes: Any) -> bytes:
    told = {"sid": "a&b", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000}
    return b"0" + json.dumps({**told, **changes}).encode()


def engine(*polls: Any) -> Handler:
    """Answers GETs with these, the last one waits; POSTs are taken."""
    answers = iter(polls)
    return lambda request: b"ok" if request.method == "POST" else next(answers, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"0",
        b"0{}",
        b"0[]",
        b"0" + b"[" * 100_000,
        b"0null",
        b"4hello",
        b"2",
        b"9",
        handshake(pingInterval="x"),
        handshake(pingInterval=float("nan")),
        handshake(pingTimeout=float("inf")),
        handshake(pingInterval=-1),
        handshake(maxPayload=-5),
        handshake(maxPayload=[1]),
        handshake(upgrades=None),
        b"\xff\xfe",
        b"97:0{",
    ],
)
def test_what_is_no_handshake(body: bytes) -> None:
    with site(engine(body)) as server:
        assert isinstance(why(client_of(server, "engine.io")), RemoteProtocolError)


def test_a_server_that_goes_on_with_nonsense_is_told_goodbye() -> None:
    with site(engine(handshake(), b"4one\x1e7?")) as server:
        client = client_of(server, "polling", parser={"encoder": str, "decoder": str})
        errors: list[BaseException] = []
        client.on("error", errors.append)
        assert client.read(SECONDS) == "one"
        with pytest.raises(ConnectionClosed):
            client.read(SECONDS)
        assert [isinstance(error, RemoteProtocolError) for error in errors] == [True]
        eventually(lambda: server.posts() == [b"1"])


def test_the_id_of_a_session_is_escaped() -> None:
    with site(engine(handshake(), b"2")) as server, client_of(server, "polling") as client:
        client.wait_open(SECONDS)
        eventually(lambda: server.posts() == [b"3"])
        assert {request.query.get("sid") for request in server.seen[1:]} == {"a&b"}


def test_a_silent_server_is_told_goodbye_and_left() -> None:
    with site(engine(handshake(pingInterval=50, pingTimeout=50))) as server:
        client = client_of(server, "polling")
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert isinstance(caught.value.__cause__, ConnectTimeout)
        assert "silent" in str(caught.value.__cause__)
        eventually(lambda: server.posts() == [b"1"])
        eventually(lambda: server.left == server.connections)


def test_a_session_that_is_being_made_is_ended() -> None:
    """Nobody else could: the server would wait for it until its time is up."""
    asked, answer = Event(), Event()

    def handler(request: Request) -> bytes:
        asked.set()
        answer.wait(SECONDS)
        return b"ok" if request.method == "POST" else handshake()

    with site(handler) as server:
        client = client_of(server, "polling", close_timeout=SECONDS)
        asked.wait(SECONDS)
        client.end()
        answer.set()
        eventually(lambda: server.posts() == [b"1"])
        eventually(lambda: server.left == server.connections)


def test_a_goodbye_that_nobody_hears_takes_its_time_only() -> None:
    def handler(request: Request) -> Any:
        return None if "sid" in request.query else handshake()

    with site(handler) as server:
        client = client_of(server, "polling").wait_open(SECONDS)
        client.write("never taken")
        gevent.sleep(0)
        client.end()
        eventually(lambda: server.left == server.connections)


def test_an_answer_whose_head_is_cut_off_is_no_answer() -> None:
    """http.client takes it for a whole one without a body, and a poll would go on after the lost one."""

    def handler(request: Request) -> Any:
        if "sid" not in request.query:
            return handshake()
        request.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Ty")
        request.sock.close()
        raise ConnectionError

    with site(handler) as server:
        client = client_of(server, "polling")
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert type(caught.value.__cause__) is ConnectError
        assert len(server.seen) == 2, "the answer may have had messages: it is not asked for again"


def test_a_refused_post_waits_for_what_the_get_says() -> None:
    """A server that ends a session says so there, and refuses what comes later; that may be here first."""
    refused = Event()

    def handler(request: Request) -> Any:
        if "sid" not in request.query:
            return handshake()
        if request.method == "POST":
            refused.set()
            return 400, b"{}"
        refused.wait(SECONDS)
        gevent.sleep(0.05)
        return b"4primus::server::close\x1e1"

    with site(handler) as server:
        parser = {"encoder": str, "decoder": str}
        client = client_of(server, "polling", parser=parser, strategy="disconnect").wait_open(SECONDS)
        client.write("too late")
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert caught.value.clean
        assert client.last_error is None


def test_a_post_that_is_refused_is_the_end() -> None:
    def handler(request: Request) -> Any:
        if request.method == "POST":
            return 413, b""
        return None if "sid" in request.query else handshake()

    with site(handler) as server:
        client = client_of(server, "polling").wait_open(SECONDS)
        writing = gevent.spawn(lambda: [client.write("x" * 100_000) for _ in range(40)])
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert isinstance(caught.value.__cause__, UnexpectedResponse)
        writing.get(timeout=SECONDS)  # nobody is left waiting in `write`


def test_what_one_post_takes() -> None:
    """As much as the server says; what is longer by itself goes alone."""
    with site(engine(handshake(maxPayload=50))) as server:
        client = client_of(server, "polling", parser={"encoder": str, "decoder": str})
        for size in (20, 20, 20, 80, 5, 5):
            client.write("x" * size)
        eventually(lambda: sum(len(body) for body in server.posts()) >= 150 + 6)
        assert [len(body) for body in server.posts()] == [43, 21, 81, 13]
        client.end()


@pytest.mark.parametrize("which", ["_reader", "_writer"])
def test_somebody_kills_our_greenlets(which: str) -> None:
    """Some programs end all greenlets that they find."""

    def handler(request: Request) -> Any:
        return None if "sid" in request.query else handshake()

    with site(handler) as server:
        client = client_of(server, "polling").wait_open(SECONDS)
        client.write("x")
        session: Any = client.socket
        eventually(lambda: len(server.seen) == 3)
        getattr(session, which).kill()
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert "killed" in str(caught.value.__cause__)
        eventually(lambda: server.left == server.connections)


def test_a_probe_that_is_not_answered_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engineio, "PROBE_SECONDS", 0.05)
    polls = iter([handshake(upgrades=["websocket"])])

    def handler(request: Request) -> Any:
        if request.method == "POST":
            return b"ok"
        return None if "upgrade" in request.headers else next(polls, None)

    with site(handler) as server, client_of(server, "engine.io") as client:
        client.wait_open(SECONDS)
        eventually(lambda: any("upgrade" in request.headers for request in server.seen))
        eventually(lambda: server.left == 1)
        client.write("on we go")
        eventually(lambda: server.posts() == [b'4"on we go"'])
        assert client.socket.name == "polling"


# -- SockJS


INFO = b'{"websocket": false, "resume": false}'


def only(**transports: Any) -> Handler:
    """A SockJS that has these: by the end of their paths, what they answer."""

    def handler(request: Request) -> Any:
        name = request.path.rsplit("/", 1)[-1]
        answer = {"info": INFO, **transports}.get(name, (404, b""))
        return answer(request) if callable(answer) else answer

    return handler


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"1", b'{"base_url": 5}', b"[" * 100_000])
def test_what_is_no_sockjs(body: bytes) -> None:
    with site(only(info=body, xhr=(404, b""))) as server:
        assert isinstance(why(client_of(server, "sockjs")), ConnectError)


def test_the_next_transport_is_tried() -> None:
    with site(only(xhr=b"o\n")) as server:
        client = client_of(server, "sockjs").wait_open(SECONDS)
        assert client.socket.name == "xhr-polling"
        paths = [request.path.split("/")[-1] for request in server.seen]
        assert paths[:3] == ["info", "xhr_streaming", "xhr"]
        sessions = {request.path.split("/")[3] for request in server.seen[1:3]}
        assert len(sessions) == 2, "each has a session of its own"


def test_a_close_that_is_meant_is_not_tried_again() -> None:
    with site(only(xhr_streaming=b'c[3000,"go away"]\n', xhr=b"o\n")) as server:
        error = why(client_of(server, "sockjs"))
        assert "3000 go away" in str(error)
        assert len(server.seen) == 2


def test_a_close_that_is_not_meant_is() -> None:
    with site(only(xhr_streaming=b'c[2010,"Another connection still open"]\n', xhr=b"o\n")) as server:
        assert client_of(server, "sockjs").wait_open(SECONDS).socket.name == "xhr-polling"


def test_no_transport_is_left() -> None:
    with site(only()) as server:
        error = why(client_of(server, "sockjs"))
        assert isinstance(error, UnexpectedResponse)
        assert error.status == 404
    with site(only()) as server:
        error = why(client_of(server, "sockjs", transport={"transports": ["websocket"]}))
        assert "none of those that may be used" in str(error)


def test_a_stream_that_does_not_open_is_given_up() -> None:
    with site(only(xhr_streaming=None, xhr=b"o\n")) as server:
        client = client_of(server, "sockjs", transport={"timeout": 0.1}).wait_open(SECONDS)
        assert client.socket.name == "xhr-polling"
        assert server.left >= 1


def test_another_base_url_does_not_get_the_password() -> None:
    with site(only(xhr_streaming=b"o\n", xhr=None)) as other:
        info = json.dumps({"websocket": False, "base_url": f"http://127.0.0.1:{other.port}/else"}).encode()
        with site(only(info=info)) as server:
            client_of(server, "sockjs").wait_open(SECONDS)
            assert "authorization" in server.seen[0].headers
            assert other.seen[0].path.startswith("/else/")
            assert "authorization" not in other.seen[0].headers


def test_a_session_that_is_opened_twice_is_lost() -> None:
    with site(only(xhr_streaming=b'o\na["1"]\no\n')) as server:
        client = client_of(server, "sockjs")
        assert client.read(SECONDS) == 1
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert isinstance(caught.value.__cause__, RemoteProtocolError)


@pytest.mark.parametrize(
    "frame", [b"a[1]\n", b"a{\n", b"a[" + b"[" * 100_000 + b"\n", b"m5\n", b"c\n", b"c[]\n"]
)
def test_nonsense_ends_a_session(frame: bytes) -> None:
    with site(only(xhr_streaming=b"o\n" + frame)) as server:
        client = client_of(server, "sockjs")
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert isinstance(caught.value.__cause__, RemoteProtocolError)


def test_requests_are_repeated_where_the_server_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockjs, "REPEAT_SECONDS", 0.001)
    gets = iter([b"o\n", (503, b""), b'a["1","2"]\n', (503, b""), b'a["3"]\n'])
    posts = iter([(503, b""), (204, b""), (204, b"")])
    info = b'{"websocket": false, "resume": true}'
    handler = only(info=info, xhr=lambda _: next(gets, None), xhr_send=lambda _: next(posts))
    with site(handler) as server:
        client = client_of(server, "sockjs", transport={"transports": ["xhr-polling"]})
        assert [client.read(SECONDS) for _ in range(3)] == [1, 2, 3]
        client.write("x")
        eventually(lambda: len(server.posts()) >= 8)
        client.end()
    asked = [request.query.get("seen") for request in server.seen if request.path.endswith("/xhr")]
    assert asked == ["0", "0", "0", "2", "2", "3"]
    sent = [
        (request.query.get("first"), request.body) for request in server.seen if "xhr_send" in request.path
    ]
    assert sent == [("0", b'["\\"x\\""]'), ("0", b'["\\"x\\""]'), ("1", b"[]")]


def test_a_refusal_is_not_repeated() -> None:
    gets = iter([b"o\n", (404, b"")])
    info = b'{"websocket": false, "resume": true}'
    with site(only(info=info, xhr=lambda _: next(gets))) as server:
        client = client_of(server, "sockjs", transport={"transports": ["xhr-polling"]})
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert isinstance(caught.value.__cause__, UnexpectedResponse)


# -- BrowserChannel


def chunk(*arrays: Any) -> bytes:
    text = json.dumps(list(arrays))
    return f"{len(text)}\n{text}".encode()


def channel(gets: Any, posts: Any) -> Handler:
    """The rest of a BrowserChannel: what back channels and maps are answered with."""

    def handler(request: Request) -> Any:
        if request.path.endswith("/test"):
            return b"[null,null]"
        if request.query.get("TYPE") == "terminate":
            return b""
        if request.method == "POST":
            return chunk([0, ["c", "id", None, 8]]) if "SID" not in request.query else next(posts)
        return next(gets, None)

    return handler


POLLING: dict[str, Any] = {"transport": {"streaming": False}}
TAKEN = b"7\n[1,0,0]"


def test_what_comes_with_the_session_is_not_lost() -> None:
    def handler(request: Request) -> Any:
        if request.method == "POST":
            return chunk([0, ["c", "id", None, 8]], [1, "1"]) + chunk([2, "2"])
        return b"[null,null]" if request.path.endswith("/test") else None

    with site(handler) as server, client_of(server, "browserchannel", **POLLING) as client:
        assert [client.read(SECONDS), client.read(SECONDS)] == [1, 2]
        eventually(lambda: server.seen[-1].query.get("AID") == "2")


def test_arrays_that_come_again_are_taken_once() -> None:
    gets = iter([chunk([1, "1"], [2, "2"]), chunk([2, "2"], [3, "3"])])
    with site(channel(gets, iter(()))) as server, client_of(server, "browserchannel", **POLLING) as client:
        assert [client.read(SECONDS) for _ in range(3)] == [1, 2, 3]

        def acknowledged() -> list[str]:
            return [request.query["AID"] for request in server.seen if request.query.get("RID") == "rpc"]

        eventually(lambda: acknowledged() == ["0", "2", "3"])


def test_a_post_is_repeated_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browserchannel, "PAUSE_SECONDS", 0.001)
    posts = iter([(500, b""), (500, b""), TAKEN, TAKEN])
    with site(channel(iter(()), posts)) as server, client_of(server, "browserchannel", **POLLING) as client:
        client.write(1)
        eventually(lambda: len(server.posts()) == 4)
        client.write(2)
        eventually(lambda: len(server.posts()) == 5)
    sent = [(int(request.query["RID"]), request.body) for request in server.seen if request.method == "POST"]
    first = sent[1][0]
    assert [rid - first for rid, _ in sent] == [-1, 0, 0, 0, 1]
    assert sent[1][1] == b"count=1&ofs=0&req0__S=1"
    assert sent[4][1] == b"count=1&ofs=1&req0__S=2"


def test_fail_fast() -> None:
    with site(channel(iter(()), iter([(500, b"")]))) as server:
        transport = {"streaming": False, "fail_fast": True}
        client = client_of(server, "browserchannel", transport=transport).wait_open(SECONDS)
        client.write(1)
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert isinstance(caught.value.__cause__, UnexpectedResponse)
        assert len(server.posts()) == 2


def test_a_session_that_the_server_does_not_know() -> None:
    with site(channel(iter([(400, b"Unknown SID")]), iter(()))) as server:
        client = client_of(server, "browserchannel", **POLLING)
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert "does not know the session" in str(caught.value.__cause__)


def test_bad_data_is_asked_for_again_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browserchannel, "PAUSE_SECONDS", 0.001)
    gets = iter([b"oops\n", b"", b"9\n[[1", chunk([1, "1"]), *[b"2\nxx"] * 10])
    with site(channel(gets, iter(()))) as server:
        client = client_of(server, "browserchannel", **POLLING)
        assert client.read(SECONDS) == 1
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert isinstance(caught.value.__cause__, RemoteProtocolError)
        asked = [request for request in server.seen if request.query.get("RID") == "rpc"]
        assert len(asked) == 4 + 1 + browserchannel.GET_REPEATS


@pytest.mark.parametrize(
    ("limit", "status"), [("LOST_GET_SECONDS", b"7\n[0,0,0]"), ("DEAD_GET_SECONDS", b"8\n[1,99,0]")]
)
def test_a_get_that_is_lost_or_dead_is_given_up(
    monkeypatch: pytest.MonkeyPatch, limit: str, status: bytes
) -> None:
    """It may be waiting for its head: then there is no answer yet that could be closed."""
    monkeypatch.setattr(browserchannel, limit, 0.0)
    with site(channel(iter(()), iter([status] * 3))) as server:
        client = client_of(server, "browserchannel", **POLLING).wait_open(SECONDS)

        def gets() -> int:
            return sum(request.query.get("RID") == "rpc" for request in server.seen)

        eventually(lambda: gets() == 1)
        client.write(1)
        eventually(lambda: gets() == 2)
        assert client.is_open
        client.end()


def test_a_stop_is_the_end() -> None:
    gets = iter([chunk([1, "1"], [2, ["stop"]])])
    with site(channel(gets, iter(()))) as server:
        client = client_of(server, "browserchannel", **POLLING)
        seen: list[Any] = []
        client.on("error", seen.append)
        assert client.read(SECONDS) == 1
        with pytest.raises(ConnectionClosed) as caught:
            client.read(SECONDS)
        assert caught.value.clean
        assert seen == []
        eventually(lambda: any(request.query.get("TYPE") == "terminate" for request in server.seen))


def test_the_host_for_gets() -> None:
    """`[prefix, blocked]`: browsers count connections by host. (A proxy is asked: no name has to be.)"""

    def handler(request: Request) -> Any:
        if request.path.endswith("/test"):
            return b'["one", null]'
        return chunk([0, ["c", "id", "two", 8]]) if request.method == "POST" else None

    with site(handler) as server:
        options = {"proxy": f"http://127.0.0.1:{server.port}", "close_timeout": 0.1}
        client = client_of(server, "browserchannel", **{**POLLING, **options}).wait_open(SECONDS)
        eventually(lambda: len(server.seen) == 3)
        client.end()
    hosts = [request.headers["host"].partition(".127")[0] for request in server.seen]
    assert [host.partition(":")[0] for host in hosts] == ["127.0.0.1", "127.0.0.1", "two", "127.0.0.1"]


# -- Socket.IO 0.9


def legacy(*polls: Any, handshake: Any = b"id:60:60:xhr-polling") -> Handler:
    answers = iter(polls)

    def handler(request: Request) -> Any:
        if request.path == "/primus/1/":
            return handshake
        return b"1" if request.method == "POST" else next(answers, None)

    return handler


@pytest.mark.parametrize("text", [b"", b"x", b"a:b:c:d", b"id:nan:60:xhr-polling", b"id:60:60"])
def test_what_is_no_handshake_of_socketio(text: bytes) -> None:
    with site(legacy(handshake=text)) as server:
        assert isinstance(why(client_of(server, "socket.io")), RemoteProtocolError)


def test_nothing_is_offered() -> None:
    with site(legacy(handshake=b"id:60:60:htmlfile,jsonp-polling")) as server:
        assert "it offers htmlfile, jsonp-polling" in str(why(client_of(server, "socket.io")))


def test_acknowledgements_namespaces_and_beats() -> None:
    packets = ["2:::", '3:7::"one"', '3::/x:"other"']
    several = "".join(f"\ufffd{len(packet)}\ufffd{packet}" for packet in packets)
    answers = [b"1::", several.encode(), b'4:8+::"two"', b"8::", b"0::"]
    with site(legacy(*answers)) as server:
        client = client_of(server, "socket.io")
        assert list(client) == ["one", "two"]
        assert client.clean
        assert b"".join(server.posts()).replace("\ufffd".encode(), b"").find(b"6:::7") >= 0
        assert any(b"2::" in body for body in server.posts())


def test_an_error_packet_is_the_end() -> None:
    with site(legacy(b"7:::2+0")) as server:
        assert "unauthorized" in str(why(client_of(server, "socket.io")))


def test_a_poll_that_breaks_is_the_end_without_an_error() -> None:
    with site(legacy(b"1::", (500, b""))) as server:
        client = client_of(server, "socket.io")
        errors: list[Any] = []
        client.on("error", errors.append)
        with pytest.raises(ConnectionClosed):
            client.read(SECONDS)
        assert errors == []


# -- all of them


@pytest.mark.parametrize("transformer", ["engine.io", "polling", "sockjs", "browserchannel", "socket.io"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_final(transformer: str, status: int) -> None:
    with site(lambda _: (status, b'{"error": "not you"}')) as server:
        client = client_of(server, transformer, strategy="disconnect, online, timeout")
        error = why(client)
        assert isinstance(error, UnexpectedResponse)
        assert error.status == status
        assert len(server.seen) == 1


@pytest.mark.parametrize("transformer", ["engine.io", "polling", "sockjs", "browserchannel", "socket.io"])
def test_another_failure_is_tried_again(transformer: str) -> None:
    with site(lambda _: (500, b"")) as server:
        options = {"strategy": "timeout", "reconnect": {"min_delay": 0.001, "retries": 2}}
        error = why(client_of(server, transformer, **options))
        assert str(error) == "Unable to recover"
        assert isinstance(error.__cause__, UnexpectedResponse)
        assert len(server.seen) == 3


@pytest.mark.parametrize("transformer", ["engine.io", "polling", "sockjs", "browserchannel", "socket.io"])
def test_a_server_that_does_not_answer_leaves_nothing(transformer: str) -> None:
    with site(lambda _: None) as server:
        client = client_of(server, transformer, timeout=0.05)
        assert isinstance(why(client), ConnectTimeout)
        eventually(lambda: server.left == server.connections == 1)


@pytest.mark.parametrize(
    ("transformer", "transport"),
    [
        ("engine.io", {"transports": ["xhr"]}),
        ("engine.io", {"transports": []}),
        ("engine.io", {"upgrade": 1}),
        ("engine.io", {"forceBase64": True}),
        ("polling", {"upgrade": True}),
        ("sockjs", {"transports": "websocket"}),
        ("sockjs", {"timeout": 0}),
        ("browserchannel", {"streaming": "no"}),
        ("browserchannel", {"app_version": 1}),
        ("socket.io", {"connect_timeout": -1}),
        ("websockets", {"anything": 1}),
    ],
)
def test_options_of_a_transport(transformer: str, transport: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        Socket(transformer=transformer, transport=transport, manual=True)
    assert caught.value.option == "transport"
