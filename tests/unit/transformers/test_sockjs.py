"""SockJS without a server: options, sessions and their times, and requests that fail half-way."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from io import BytesIO
from math import inf
from pathlib import Path
from typing import Any

import gevent
import pytest

from primus_gevent import Primus
from primus_gevent.errors import OptionError
from primus_gevent.request import RequestRecord
from primus_gevent.testing.virtual import VirtualTime
from primus_gevent.transformers.sockjs import SEND_PATIENCE, SockJSOptions
from primus_gevent.transformers.sockjs_session import PONG_SECONDS, SockJSSession
from tests.unit.fakes import ENVIRON
from tests.unit.hub import eventually, in_hub, turn

Answer = tuple[str, dict[str, str], bytes]


class Server:
    """A Primus with SockJS, and the requests of its clients. What its sparks got is in `received`."""

    def __init__(self, **options: Any) -> None:
        self.primus = Primus(**{"transformer": "sockjs", "close_timeout": 0.05, **options})
        self.received: list[Any] = []
        self.sparks: list[Any] = []
        self.on_spark: Callable[[Any], None] = lambda spark: spark.on("data", self.received.append)

        @self.primus.on("connection")
        def connection(spark: Any) -> None:
            self.sparks.append(spark)
            self.on_spark(spark)

    @property
    def sessions(self) -> list[SockJSSession]:
        return list(self.primus.transformer.requests.sessions)

    def begin(
        self, path: str, method: str = "GET", body: bytes | None = None, **environ: Any
    ) -> tuple[Any, str, list[tuple[str, str]]]:
        """A request whose response the server has not begun to send."""
        answer: list[Any] = []
        path, _, query = path.partition("?")
        if body is not None:
            environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body), **environ}
        environ = {
            **ENVIRON,
            "PATH_INFO": "/primus" + path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            **environ,
        }
        chunks = self.primus(environ, lambda *args: answer.append(args))
        ((status, headers),) = answer
        return chunks, status, headers

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **environ: Any) -> Answer:
        chunks, status, headers = self.begin(path, method, body, **environ)
        data = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        turn(2)
        names = [name.lower() for name, _ in headers if name != "Vary"]
        assert len(set(names)) == len(names), headers
        return status, dict(headers), data

    def post(self, path: str, body: bytes = b"", **environ: Any) -> Answer:
        return self.ask(path, "POST", body, **environ)

    def open(self, query: str = "", **environ: Any) -> SockJSSession:
        assert self.post("/a/key/xhr" + query, **environ)[::2] == ("200 OK", b"o\n")
        (session,) = self.sessions
        return session

    def close(self) -> None:
        for session in self.sessions:
            session.abort()
        eventually(lambda: self.primus._open_sockets == 0)
        self.primus._sweep.stop()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


# -- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heartbeatDelay": 1}, "unknown transport option 'heartbeatDelay'; known are: heartbeat_delay"),
        ({"heartbeat_delay": 0}, "'heartbeat_delay' is a number of seconds above 0"),
        ({"disconnect_delay": "5"}, "'disconnect_delay' is a number of seconds"),
        ({"response_limit": 1.5}, "'response_limit' is a number of bytes"),
        ({"response_limit": 0}, "'response_limit' is a number of bytes"),
        ({"jsessionid": "yes"}, "'jsessionid' is True or False"),
        ({"sockjs_url": ""}, "'sockjs_url' is an address, or None"),
        ({"sockjs_url": 1}, "'sockjs_url' is an address, or None"),
        ({"websocket": 1}, "'websocket' is True or False"),
        ({"max_http_buffer_size": "1m"}, "'max_http_buffer_size' is a number of bytes"),
    ],
)
def test_option_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        Primus(transformer="sockjs", transport=options)
    assert caught.value.option == "transport"


def test_options_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs/topics/sockjs.md").read_text(encoding="utf-8")
    table = text[text.index("\n## Options\n") :]
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| [^|]+ \|$", table, re.MULTILINE)
    assert {name: ast.literal_eval(default) for name, default in rows} == asdict(SockJSOptions())


@pytest.mark.parametrize("form", [False, True])
def test_room_of_a_body(serve: Callable[..., Server], form: bool) -> None:
    """Official clients put all that waits into one."""
    path = "/a/key/jsonp_send" if form else "/a/key/xhr_send"
    kind = {"CONTENT_TYPE": "application/x-www-form-urlencoded"} if form else {}
    body = b"d=" * form + b'["' + b"1" * 99_000 + b'"]'
    for transport, status in (
        ({"max_http_buffer_size": 100_000}, 20),
        ({"max_http_buffer_size": 90_000}, 41),
    ):
        server = serve(max_length=100_000 - 1000, transport=transport)
        server.open()
        assert server.post(path, body, **kind)[0].startswith(str(status))


# -- documents and headers


def test_iframe_page(serve: Callable[..., Server]) -> None:
    server = serve(transport={"sockjs_url": "/own/sockjs.js"})
    status, headers, body = server.ask("/iframe-1.html")
    assert status == "200 OK"
    assert b'src="/own/sockjs.js"' in body
    assert "Pragma" not in headers
    status, headers, body = server.ask("/iframe.html", HTTP_IF_NONE_MATCH=f'"x", W/{headers["ETag"]}')
    assert (status, body) == ("304 Not Modified", b"")
    assert "Content-Length" not in headers
    for path in ("/iframe-xhtml", "/iframe-A.html", "/iframe.html/x"):
        assert server.ask(path)[0] == "404 Not Found"
    assert serve(transport={"sockjs_url": None}).ask("/iframe.html")[0] == "404 Not Found"


def test_pages_of_other_origins(serve: Callable[..., Server]) -> None:
    """What browsers send without an Origin is told by its Referer."""
    server = serve(origins=["http://good.example", "self"])
    good, evil = "http://good.example/page", "http://evil.example/page"
    paths = [
        ("/iframe.html", "GET", "200 OK"),
        ("/a/b1/jsonp?c=x", "GET", "200 OK"),
        ("/a/b2/htmlfile?c=x", "GET", "200 OK"),
        ("/a/b3/jsonp_send", "POST", "500 Internal Server Error"),
        ("/a/b4/eventsource", "GET", "200 OK"),
    ]
    for path, method, status in paths:
        for referer in (evil, None, "nonsense", "http://good.example.evil.example/"):
            environ = {} if referer is None else {"HTTP_REFERER": referer}
            assert (
                server.ask(path, method, b"" if method == "POST" else None, **environ)[0] == "403 Forbidden"
            )
        chunks, got, _ = server.begin(path, method, b"" if method == "POST" else None, HTTP_REFERER=good)
        assert got == status
        getattr(chunks, "close", lambda: None)()
    for number, told in enumerate(
        ({"HTTP_ORIGIN": "http://good.example"}, {"HTTP_SEC_FETCH_SITE": "same-origin"})
    ):
        chunks, got, _ = server.begin(f"/a/c{number}/eventsource", **told)
        assert got == "200 OK"
        chunks.close()
    _, headers, _ = server.ask("/iframe.html", HTTP_REFERER=good)
    assert headers["Cache-Control"].startswith("no-store")
    assert "Expires" not in headers
    assert "Referer" in headers["Vary"]


def test_preflight_of_another_origin(serve: Callable[..., Server]) -> None:
    server = serve(origins=["http://good.example"])
    asked = {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "X-A"}
    status, headers, _ = server.ask("/a/b/xhr", "OPTIONS", HTTP_ORIGIN="http://evil.example", **asked)
    assert status == "403 Forbidden"
    assert "Access-Control-Allow-Origin" not in headers
    status, headers, body = server.ask("/a/b/xhr", "OPTIONS", HTTP_ORIGIN="http://good.example", **asked)
    assert (status, body) == ("204 No Content", b"")
    assert headers["Access-Control-Allow-Origin"] == "http://good.example"
    assert headers["Access-Control-Allow-Headers"] == "X-A"
    assert "Content-Length" not in headers
    # without an Origin nothing is promised to everybody
    assert "Access-Control-Allow-Origin" not in server.ask("/info")[1]
    assert server.ask("/info", HTTP_ORIGIN="http://evil.example")[0] == "403 Forbidden"


def test_without_credentials(serve: Callable[..., Server]) -> None:
    _, headers, _ = serve(credentials=False).ask("/info", HTTP_ORIGIN="http://a.example")
    assert headers["Access-Control-Allow-Origin"] == "http://a.example"
    assert "Access-Control-Allow-Credentials" not in headers


def test_headers_that_cannot_be_echoed(serve: Callable[..., Server]) -> None:
    """A folded header, as pywsgi hands it out, where nobody has looked at it before."""
    server = serve()
    server.primus.remove("cors")
    _, headers, _ = server.ask(
        "/info", HTTP_ORIGIN="http://a\r\n b", HTTP_ACCESS_CONTROL_REQUEST_HEADERS="a\n b"
    )
    assert not {"Access-Control-Allow-Origin", "Access-Control-Allow-Headers"} & set(headers)


@pytest.mark.parametrize(
    ("cookie", "value"),
    [
        ("JSESSIONID=abc.def!", "abc.def!"),
        ("a=b; JSESSIONID=x", "x"),
        ("JSESSIONID=", "dummy"),
        ('JSESSIONID="a b;c"', "dummy"),
        ("JSESSIONID=a\r\nX-Evil: 1", "dummy"),
        ("JSESSIONID=é", "dummy"),
        ("=", "dummy"),
    ],
)
def test_session_cookie(serve: Callable[..., Server], cookie: str, value: str) -> None:
    server = serve(transport={"jsessionid": True})
    _, headers, _ = server.post("/a/b/xhr", HTTP_COOKIE=cookie)
    assert headers["Set-Cookie"] == f"JSESSIONID={value}; path=/"
    assert "Set-Cookie" not in server.ask("/info")[1]
    assert json.loads(server.ask("/info")[2])["cookie_needed"] is True


def test_session_cookie_of_one_s_own(serve: Callable[..., Server]) -> None:
    def jsessionid(request: Any, response: Any) -> None:
        response.set_cookie("route", request.query["node"], path="/primus")

    server = serve(transport={"jsessionid": jsessionid})
    _, headers, _ = server.post("/a/b/xhr?node=n1")
    assert headers["Set-Cookie"] == "route=n1; Path=/primus"
    assert headers["Content-Type"] == "application/javascript; charset=UTF-8"


def test_headers_of_a_layer(serve: Callable[..., Server]) -> None:
    server = serve()

    @server.primus.before("mark")
    def mark(request: Any, response: Any) -> None:
        response.headers["X-Mark"] = "yes"
        response.headers["Content-Type"] = "text/x-other"
        response.headers["Cache-Control"] = "private"

    for path, method in (("/info", "GET"), ("/a/key/xhr", "POST"), ("/a/key/xhr", "PUT")):
        _, headers, _ = server.ask(path, method)
        assert headers["X-Mark"] == "yes"
        assert headers.get("Content-Type") != "text/x-other"
        assert (headers["Cache-Control"] == "private") == (method == "PUT")


def test_head_has_no_body(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.ask("/nowhere", "HEAD")[::2] == ("404 Not Found", b"")
    assert server.ask("/info", "HEAD")[::2] == ("405 Method Not Allowed", b"")
    upgrade = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
    assert server.ask("/nowhere", "HEAD", **upgrade)[::2] == ("404 Not Found", b"")


def test_answers_are_compressed_where_that_is_asked_for(serve: Callable[..., Server]) -> None:
    server = serve(compression=True)
    server.open().send("x" * 5000)
    status, headers, body = server.post("/a/key/xhr", HTTP_ACCEPT_ENCODING="gzip")
    assert (status, headers["Content-Encoding"]) == ("200 OK", "gzip")
    assert len(body) < 200


# -- whose requests


def test_whose_a_request_is(serve: Callable[..., Server]) -> None:
    server = serve(
        transformer=["engine.io", "sockjs", "websockets"], transport={"sockjs": {"websocket": False}}
    )
    assert server.ask("/info")[0] == "200 OK"
    assert server.post("/a/b/xhr")[2] == b"o\n"
    assert server.ask("/a/b/xhr", "OPTIONS", HTTP_ORIGIN="null")[0] == "204 No Content"
    assert server.ask("/iframe.html")[0] == "200 OK"
    assert server.ask("/?EIO=4&transport=polling")[2][:1] == b"0"
    for path in ("", "/"):
        assert server.ask(path)[2] == b"Welcome to SockJS!\n"
    for path, method in (("?x=1", "GET"), ("", "POST"), ("/nowhere", "GET")):
        assert server.ask(path, method)[0] == "400 Bad Request"  # engine.io's, who is first
    assert server.ask("/info", HTTP_ORIGIN="test")[1]["Access-Control-Allow-Origin"] == "test"
    assert server.ask("/?EIO=4&transport=polling", HTTP_ORIGIN="test")[0] == "403 Forbidden"
    (session,) = server.primus.transformer.all[1].requests.sessions
    session.abort()
    for session in server.primus.transformer.all[0].requests.sessions:
        session.abort()
    server.primus.transformer = server.primus.transformer.all[1]


# -- requests that fail


def test_server_without_room(serve: Callable[..., Server]) -> None:
    server = serve(max_connections=1)
    server.open()
    assert server.post("/a/other/xhr")[0] == "503 Service Unavailable"
    assert len(server.sessions) == 1


def test_requests_while_the_server_drains(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open()
    server.primus._state = "draining"
    for path, body in (("/a/key/xhr_send", b'["1"]'), ("/a/key/xhr", b"")):
        if path.endswith("xhr"):
            session.send("x")
        assert server.post(path, body)[1]["Connection"] == "close"
    assert server.post("/a/new/xhr")[0] == "503 Service Unavailable"
    assert server.received == [1]


def test_response_that_cannot_begin(serve: Callable[..., Server]) -> None:
    """With an official client nobody knows what it got; ours is sent it again."""
    server = serve()
    server.open()
    recoverable = server.post("/a/ours/xhr?seen=0")
    assert recoverable[2] == b"o\n"
    for path in ("/a/key/xhr", "/a/ours/xhr"):
        (session,) = (one for one in server.sessions if one.id == path[3:-4])
        session.send("x")
        environ = {
            **ENVIRON,
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/primus" + path,
            "QUERY_STRING": "seen=0",
        }

        def start_response(*args: Any) -> None:
            raise ValueError("a server that does not like the headers")

        with pytest.raises(ValueError, match="does not like"):
            server.primus(environ, start_response)
        assert session.carrier is None
    assert [one.id for one in server.sessions] == ["ours"]
    assert server.post("/a/ours/xhr?seen=0")[2] == b'a["x"]\n'


def test_body_whose_session_ends_meanwhile(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open()

    class Slow(BytesIO):
        def read(self, *size: Any) -> bytes:
            session.abort()
            return super().read(*size)

    status, _, _ = server.ask(
        "/a/key/xhr_send", "POST", **{"CONTENT_LENGTH": "5", "wsgi.input": Slow(b'["1"]')}
    )
    assert status == "404 Not Found"
    assert server.received == []


def test_poll_of_a_session_that_is_aborted(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open()
    poll = gevent.spawn(server.post, "/a/key/xhr")
    turn(2)
    assert session.carrier is not None
    session.abort()
    assert poll.get(timeout=1)[::2] == ("200 OK", b"")


def test_poll_that_is_woken_for_nothing(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open()
    poll = gevent.spawn(server.post, "/a/key/xhr")
    turn(2)
    assert session.carrier is not None
    session.carrier.wake()
    assert poll.get(timeout=1)[2] == b"h\n"


def test_most_of_a_frame(serve: Callable[..., Server]) -> None:
    """A megabyte, or one message; the rest has a frame of its own."""
    server = serve(max_length=4 << 20, write_buffer=64 << 20)
    session = server.open()
    for size in (600_000, 600_000, 2_000_000, 10):
        session.send("x" * size)
    lengths = [len(json.loads(server.post("/a/key/xhr")[2][1:])) for _ in range(4)]
    assert lengths == [1, 1, 1, 1]
    session.send("a")
    session.send("b")
    assert server.post("/a/key/xhr")[2] == b'a["a","b"]\n'


def test_messages_that_wait_too_long(serve: Callable[..., Server], virtual: VirtualTime) -> None:
    """Official clients take the answer for the end, so it comes late."""
    server = serve(handshake_timeout=1, transport={"disconnect_delay": 1})
    session = server.open()
    server.primus._sweep.stop()
    session.pause()
    sending = gevent.spawn(server.post, "/a/key/xhr_send", b'["1"]')
    virtual.advance(SEND_PATIENCE - 1)  # many times what one wait may take
    assert not sending.ready()
    virtual.advance(1)
    status, headers, _ = sending.get(block=False)
    assert (status, headers["Retry-After"]) == ("503 Service Unavailable", "1")
    sending = gevent.spawn(server.post, "/a/key/xhr_send", b'["1"]')
    virtual.advance(SEND_PATIENCE - 1)
    session.resume()
    virtual.settle()
    assert sending.get(block=False)[0] == "204 No Content"
    assert server.received == [1]


# -- sessions


class Carrier:
    """Stands for a request that waits."""

    deadline = inf

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    def cut(self) -> bool:
        return True


class Socket:
    """A WebSocket, as a session sees it."""

    full = paused = active = False
    framing: str | None = "websocket"

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.calls: list[Any] = []
        self.left = False
        self.receiver: Any = None

    def send(self, frame: Any) -> None:
        self.sent.append(frame)

    def prepare(self, frame: Any) -> bytes:
        return b"P" + frame.encode()

    def ping(self, payload: bytes = b"") -> None:
        self.calls.append("ping")

    def peer_left(self) -> bool:
        return self.left

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.calls.append(("close", code, reason))
        self.receiver.closed(True)
        self.receiver.gone()

    def abort(self) -> None:
        self.receiver.closed(False)
        self.receiver.gone()


@pytest.fixture
def websocket(serve: Callable[..., Server]) -> Iterator[tuple[Server, SockJSSession, Socket]]:
    server = serve(transport={"heartbeat_delay": 30})
    socket = Socket()
    transformer = server.primus.transformer
    session, _ = transformer._attach(socket, RequestRecord(ENVIRON), False)
    socket.receiver = session
    turn(2)
    server.primus._sweep.stop()  # its time is not that of the test
    session._carried_since = None
    yield server, session, socket
    session.abort()
    assert len(transformer._sockets) == 0


def test_frames_over_websocket(websocket: tuple[Server, SockJSSession, Socket]) -> None:
    server, session, socket = websocket
    session.send("x\u2028")
    session.send(b"\x00")
    assert socket.sent == ["o", 'a["x\\u2028"]', 'a["primus::binary::AA=="]']
    assert session.prepare('"') == b'Pa["\\""]'
    assert session.framing == "sockjs"
    socket.framing = None
    assert session.framing is None
    assert session.name == "websocket"
    in_hub(session.receive, ['["1","2"]', "", "[]", '"3"', "4"])
    turn(2)
    assert server.received == [1, 2, 3, 4]


@pytest.mark.parametrize("broken", ['["1"', b'["1"]', "x"])
def test_broken_framing(websocket: tuple[Server, SockJSSession, Socket], broken: Any) -> None:
    server, session, socket = websocket
    in_hub(session.receive, ["1", broken, "2"])
    turn(2)
    assert server.received == [1]
    assert socket.calls == [("close", 3000, "Broken framing.")]
    assert socket.sent == ["o"]
    assert session.state == "gone"


def test_message_that_is_too_long(websocket: tuple[Server, SockJSSession, Socket]) -> None:
    server, session, socket = websocket
    session._max_length = 3
    in_hub(session.receive, ['["123"]', '["4","1234","5"]', '["6"]'])
    turn(2)
    assert server.received == [123, 4]
    assert socket.calls == [("close", 1009, "a message is longer than 3")]


@pytest.mark.parametrize(
    ("code", "reason", "frame"),
    [
        (1000, "", 'c[1000,"Normal closure"]'),
        (1012, "", 'c[1000,"Normal closure"]'),  # which the original's clients take for an error
        (1012, "again", 'c[1012,"again"]'),
        (3000, "", 'c[3000,""]'),
        (3000, 'Go "away"', 'c[3000,"Go \\"away\\""]'),
    ],
)
def test_close_over_websocket(
    websocket: tuple[Server, SockJSSession, Socket], code: int, reason: str, frame: str
) -> None:
    _, session, socket = websocket
    session.close(code, reason)
    session.close(1000)
    assert socket.sent == ["o", frame]
    assert socket.calls == [("close", 1000, "Normal closure")]


def sweep(server: Server, session: SockJSSession, now: float) -> None:
    """What the sweep does: it looks at the spark, and then ticks."""
    session.active = False
    session.tick(now)


def test_pings_over_websocket(websocket: tuple[Server, SockJSSession, Socket]) -> None:
    server, session, socket = websocket
    sweep(server, session, 100.0)
    sweep(server, session, 129.9)
    assert socket.calls == []
    for now in (130.0, 160.0, 190.0):
        sweep(server, session, now)
        assert socket.calls.pop() == "ping"
        socket.active = True  # the pong, or anything
        sweep(server, session, now + 1)
        sweep(server, session, now + PONG_SECONDS + 1)
    assert session.state == "open"


def test_no_pong_in_time(websocket: tuple[Server, SockJSSession, Socket]) -> None:
    server, session, socket = websocket
    socket.active = True
    sweep(server, session, 100.0)
    sweep(server, session, 130.0)
    assert socket.calls == ["ping"]
    sweep(server, session, 130.0 + PONG_SECONDS)
    assert session.state == "open"
    sweep(server, session, 130.1 + PONG_SECONDS)
    assert socket.sent[-1] == 'c[3000,"No response from heartbeat"]'
    assert socket.calls[-1] == ("close", 3000, "No response from heartbeat")
    assert server.sparks[0].clean is False


def test_silence_of_who_cannot_be_heard(websocket: tuple[Server, SockJSSession, Socket]) -> None:
    server, session, socket = websocket
    session.pause()
    now = 100.0
    for _ in range(100):
        now += 5
        sweep(server, session, now)
    assert session.state == "open"
    socket.left = True  # nobody will answer any more
    for _ in range(20):
        now += 5
        sweep(server, session, now)
    assert session.state == "gone"


def test_heartbeats_of_a_receiver(serve: Callable[..., Server]) -> None:
    session = serve(transport={"heartbeat_delay": 25}).open()
    carrier = Carrier()
    session.hold(carrier)
    session.tick(100.0)
    session.tick(124.9)
    assert not session.ready
    session.tick(125.0)
    assert session.ready
    assert carrier.woken == 1
    assert session.next_frame() == ((), "h")
    assert not session.ready
    session.tick(149.9)
    assert not session.ready
    session.send("x")
    session.tick(150.0)  # what is sent does not put it off
    assert [session.next_frame() for _ in range(3)] == [(['"x"'], 'a["x"]'), ((), "h"), ((), "")]
    session.tick(175.0)
    session.release(carrier)
    session.hold(carrier)  # another receiver has a time of its own
    assert not session.ready
    session.tick(176.0)
    session.tick(200.9)
    assert not session.ready
    session.release(carrier)


def test_goodbye_outlives_the_spark(serve: Callable[..., Server]) -> None:
    server = serve(transport={"disconnect_delay": 3})
    session = server.open()
    server.primus._sweep.stop()  # its clock is another one
    session.send("x")
    session.close(3000, "Go away!")
    assert server.post("/a/key/xhr")[2] == b'a["x"]\n'
    assert server.primus._open_sockets == 1
    assert server.post("/a/key/xhr")[2] == b'c[3000,"Go away!"]\n'
    assert server.primus._open_sockets == 0
    for query in ("", "?first=0", "?first=99"):
        assert server.post("/a/key/xhr_send" + query, b'["1"]')[0] == "204 No Content"
    assert server.received == []
    session.tick(100.0)
    session.tick(102.9)
    assert server.post("/a/key/xhr")[2] == b'c[3000,"Go away!"]\n'
    assert server.sessions == [session]
    session.tick(103.1)  # whoever asks does not put it off
    assert server.sessions == []


def test_goodbye_before_the_first_frame(serve: Callable[..., Server]) -> None:
    server = serve()
    chunks, _, _ = server.begin("/a/key/xhr_streaming", "POST")
    (session,) = server.sessions
    session.send("x")
    session.close(3000, "Go away!")
    assert list(chunks)[1:] == [b"o\n", b'a["x"]\n', b'c[3000,"Go away!"]\n']
    chunks.close()
    assert server.primus._open_sockets == 0


def test_goodbye_that_is_cut_off_is_still_there(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open()
    session.close(3000, "Go away!")
    chunks, _, _ = server.begin("/a/key/xhr", "POST")
    chunks.close()
    assert server.primus._open_sockets == 1
    assert server.post("/a/key/xhr")[2] == b'c[3000,"Go away!"]\n'
    assert server.primus._open_sockets == 0


def test_receiver_that_is_cut_ends_the_session(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open()
    carrier = Carrier()
    session.hold(carrier)
    session.release(carrier, cut=True)
    assert server.sessions == []
    assert server.sparks[0].clean is False


def test_receiver_that_was_replaced_ends_nothing(serve: Callable[..., Server]) -> None:
    """In the last seconds of a session several may be told why it ends."""
    session = serve().open()
    first, second = Carrier(), Carrier()
    session.hold(first)
    session.hold(second)
    session.release(first, cut=True)
    assert session.state == "open"
    session.release(second)


# -- recoverable sessions


def test_a_session_that_is_over_is_not_begun_again(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.post("/a/ours/xhr?seen=0&open=1")[0].startswith("404")
    assert server.post("/a/ours/xhr?seen=0")[2] == b"o\n"


def test_what_was_not_seen_is_sent_again(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open("?seen=0")
    for text in "abc":
        session.send(text)
    assert session.next_frame()[1] == 'a["a","b","c"]'
    session.send("d")
    assert session.acknowledge(1)
    assert session.next_frame()[1] == 'a["b","c","d"]'
    assert not session.acknowledge(0)
    assert not session.acknowledge(5)
    assert session.acknowledge(4)
    assert session.acknowledge(4)
    assert not session.ready


def test_what_was_not_seen_counts_as_unsent(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=1000)
    session = server.open("?seen=0")
    session.send("x" * 600)
    session.send("x" * 600)
    writer = gevent.spawn(session.wait_writable)
    turn()
    session.next_frame()
    turn()
    assert session.full
    assert not writer.ready()
    session.acknowledge(1)
    turn()
    assert not session.full
    session.next_frame()
    session.acknowledge(2)
    writer.get(timeout=1)


def test_writer_waits_for_what_was_not_seen(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=1000)
    session = server.open("?seen=0")
    session.send("x" * 1200)
    session.next_frame()
    writer = gevent.spawn(session.wait_writable)
    turn()
    assert not writer.ready()
    session.acknowledge(1)
    writer.get(timeout=1)


def test_streams_that_can_be_seen_end_before_writers_wait(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=1000)
    chunks, _, _ = server.begin("/a/key/xhr_streaming?seen=0", "POST")
    pieces = iter(chunks)
    assert len(next(pieces)) == 2049
    assert next(pieces) == b"o\n"
    (session,) = server.sessions
    session.send("x" * 1000)
    assert len(next(pieces)) > 1000
    assert list(pieces) == []
    chunks.close()
    assert server.sessions == [session]


def test_goodbye_after_what_was_not_seen(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open("?seen=0")
    session.send("x")
    session.close(3000, "Go away!")
    for _ in range(2):
        assert server.post("/a/key/xhr?seen=0")[2] == b'a["x"]\n'
    assert server.post("/a/key/xhr?seen=1")[2] == b'c[3000,"Go away!"]\n'


def test_numbers_of_what_comes(serve: Callable[..., Server]) -> None:
    server = serve()
    session = server.open()
    for first, texts, fine in (
        (0, ["0", "1"], True),
        (1, ["1", "2"], True),
        (4, ["4"], False),
        (0, [], True),
    ):
        in_hub(lambda first=first, texts=texts, fine=fine: check(session.take_in_from(first, texts), fine))
    turn(2)
    assert server.received == [0, 1, 2]
    assert session.received == 3


def check(got: bool, wanted: bool) -> None:
    assert got is wanted


def test_name_in_the_log_is_one_line(serve: Callable[..., Server]) -> None:
    server = serve()
    server.post("/a/x\nERROR all is lost/xhr")
    assert "\n" not in repr(server.sessions[0])
    assert "polling" in repr(server.sessions[0])


@pytest.mark.parametrize("path", ["/info", "/a/key/xhr", "/a/key/xhr_streaming", "/a/key/xhr_send"])
def test_preflight_needs_no_authorization(serve: Callable[..., Server], path: str) -> None:
    server = serve(origins=["http://good.example"])
    server.primus.authorize(lambda request: False)
    asks = {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}
    good = {"HTTP_ORIGIN": "http://good.example"}
    assert server.ask(path, "OPTIONS", **good, **asks)[0] == "204 No Content"
    assert server.ask(path, "OPTIONS", HTTP_ORIGIN="http://evil.example", **asks)[0].startswith("403")
    for method, headers in (("OPTIONS", good), ("OPTIONS", asks), ("POST", {**good, **asks})):
        assert server.ask(path, method, **headers)[0].startswith("401"), method
    assert server.ask("/unknown", "OPTIONS", **good, **asks)[0].startswith("200")  # the layer's own answer
    assert server.sparks == []
