"""The HTTP client against servers that answer well, badly, slowly or not at all."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.ssl
import pytest
from gevent.event import Event

from primus_gevent.client.address import Address, UrlParts
from primus_gevent.client.http import HTTPClient
from primus_gevent.client.network import Network
from primus_gevent.client.options import ClientOptions
from primus_gevent.errors import ConnectError, ConnectTimeout, RemoteProtocolError, UnexpectedResponse
from tests.support.certificates import family
from tests.unit.client.servers import answering, raw_server, read_head
from tests.unit.hub import eventually, turn

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def parts(port: int, path: str = "/x", scheme: str = "http", **more: Any) -> UrlParts:
    return UrlParts(scheme, "127.0.0.1", port, path, "", exact=True, **more)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPClient]:
    made = client_with()
    yield made
    made.close()


def client_with(**options: Any) -> HTTPClient:
    address = Address.parse("http://127.0.0.1")
    return HTTPClient(Network(address, ClientOptions.parse({"proxy": False, **options})))


def error_of(fn: Any) -> BaseException | None:
    try:
        fn()
    except Exception as error:  # noqa: BLE001
        return error
    return None


def test_a_request(client: HTTPClient) -> None:
    heads: list[str] = []
    with raw_server(answering(OK, heads=heads)) as port:
        response = client.request("GET", parts(port), headers={"X-A": "b"})
        assert (response.status, response.read(100)) == (200, b"hello")
    assert heads[0].startswith("GET /x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "\r\nX-A: b\r\n" in heads[0]
    assert "Content-Length" not in heads[0]


def test_a_body(client: HTTPClient) -> None:
    bodies: list[bytes] = []

    def handle(sock: Any) -> None:
        for _ in range(2):
            size = int(read_head(sock).lower().split("content-length: ")[1].split("\r\n")[0])
            bodies.append(sock.recv(size) if size else b"")
            sock.sendall(OK)

    with raw_server(handle) as port:
        client.request("POST", parts(port), b"data").read(100)
        client.request("POST", parts(port)).read(100)
    assert bodies == [b"data", b""]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK, id="length"),
        pytest.param(CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", id="chunks"),
        pytest.param(CHUNKED + b"5;x=y\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", id="trailer"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, id="continue"),
    ],
)
def test_connections_are_kept(client: HTTPClient, answer: bytes) -> None:
    connections: list[int] = []

    def handle(sock: Any) -> None:
        connections.append(1)
        answering(answer, answer, answer)(sock)

    with raw_server(handle) as port:
        for _ in range(3):
            assert client.request("GET", parts(port)).read(100) == b"hello"
    assert len(connections) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", id="1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", id="close"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhello", id="until the end"),
    ],
)
def test_connections_that_end_are_not_kept(client: HTTPClient, answer: bytes) -> None:
    with raw_server(answering(answer)) as port:
        for _ in range(2):
            assert client.request("GET", parts(port)).read(100) == b"hello"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_body_keeps_the_connection(client: HTTPClient, status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\n\r\n"
    with raw_server(answering(answer, answer)) as port:
        for _ in range(2):
            assert client.request("GET", parts(port)).read(100) == b""


def test_pieces_come_when_they_come(client: HTTPClient) -> None:
    more = Event()

    def handle(sock: Any) -> None:
        read_head(sock)
        sock.sendall(CHUNKED + b"3\r\none\r\n")
        more.wait(5)
        sock.sendall(b"3\r\ntwo\r\n0\r\n\r\n")

    with raw_server(handle) as port:
        pieces = iter(client.request("GET", parts(port)))
        assert next(pieces) == b"one"
        more.set()
        assert list(pieces) == [b"two"]


def test_a_dead_kept_connection_is_not_used(client: HTTPClient) -> None:
    """The server closes it between two requests, or just when the second comes."""

    def close_at_the_second(sock: Any) -> None:
        answering(OK)(sock)
        read_head(sock)

    with raw_server(answering(OK)) as port:
        assert client.request("GET", parts(port)).read(100) == b"hello"
        turn(5)
        assert client.request("POST", parts(port)).read(100) == b"hello"
    with raw_server(close_at_the_second) as port:
        assert client.request("GET", parts(port)).read(100) == b"hello"
        assert client.request("GET", parts(port)).read(100) == b"hello", "once more, on a new connection"
        with pytest.raises(ConnectError, match="without an answer"):
            client.request("POST", parts(port))  # which may have been acted upon


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(b"", "closed the connection without an answer", id="nothing"),
        pytest.param(b"SSH-2.0-x\r\n", "did not answer in HTTP", id="something else"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "closed the connection", id="short"
        ),
        pytest.param(CHUNKED + b"9\r\nhello", "closed the connection", id="short chunk"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n", "closed the connection", id="no last chunk"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "did not answer in HTTP", id="heads"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000, "did not answer in HTTP", id="long line"),
    ],
)
def test_what_a_bad_answer_is(client: HTTPClient, answer: bytes, message: str) -> None:
    with raw_server(answering(answer)) as port, pytest.raises(ConnectError, match=message) as caught:
        client.request("GET", parts(port)).read(100)
    assert caught.value.url == str(parts(port))
    assert caught.value.__cause__ is not None


def test_a_body_beyond_the_limit_is_not_read(client: HTTPClient) -> None:
    def handle(sock: Any) -> None:
        read_head(sock)
        sock.sendall(CHUNKED)
        while True:
            sock.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")

    with raw_server(handle) as port, pytest.raises(RemoteProtocolError, match="more than 2000 bytes"):
        client.request("GET", parts(port)).read(2000)


def test_out_of_time(client: HTTPClient) -> None:
    late = pytest.raises(ConnectTimeout, match=r"did not answer within 0\.01 s")
    with raw_server(lambda sock: sock.recv(1000) and sock.recv(1000)) as port, late:
        client.request("GET", parts(port), timeout=0.01)


def test_nobody_there(client: HTTPClient) -> None:
    with raw_server(answering(OK)) as port:
        pass
    with pytest.raises(ConnectError, match=f"nothing listens at http://127.0.0.1:{port}"):
        client.request("GET", parts(port))


def test_no_such_host(client: HTTPClient, hub_stays_clean: list[BaseException]) -> None:
    url = UrlParts("http", "no-such-host.invalid", 80, "/", "")
    with pytest.raises(ConnectError, match=r"there is no host 'no-such-host\.invalid'"):
        client.request("GET", url)
    hub_stays_clean.clear()  # gevent's resolver tells its hub too, which knows that this is no error


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("how", "in_body"), [("abort", True), ("kill", True), ("kill", False)])
def test_a_request_can_be_given_up(tls: bool, in_body: bool, how: str) -> None:
    left = Event()
    reached = Event()

    def handle(sock: Any) -> None:
        read_head(sock)
        if in_body:
            sock.sendall(CHUNKED + b"1\r\nx\r\n")
        reached.set()
        try:
            assert sock.recv(1) == b""
        finally:
            left.set()

    made: list[Any] = []
    certificates = family()
    context = None
    if tls:
        context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = certificates.write("both.pem", certificates.server.pem(), certificates.server.key_pem())
        context.load_cert_chain(path)
    with raw_server(handle, context) as port:
        client = client_with(verify=False)

        def work() -> None:
            response = client.request("GET", parts(port, scheme="https" if tls else "http"))
            made.append(response)
            response.read(100)

        working = gevent.spawn(error_of, work)
        assert reached.wait(5)
        if in_body:
            eventually(lambda: made)
        turn(3)
        if how == "kill":
            working.kill()
        else:
            made[0].abort()
            assert isinstance(working.get(timeout=5), ConnectError)
        assert left.wait(5), "the server was told"
        assert client._idle.get(("https" if tls else "http", "127.0.0.1", port, None), []) == []


# -- redirects


def moved(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def test_redirects_are_followed_on_demand(client: HTTPClient) -> None:
    heads: list[str] = []
    with raw_server(answering(moved("/there?a=b"), OK, heads=heads)) as port:
        with client.request("GET", parts(port), follow=True) as response:
            pass
        assert (response.status, str(response.url)) == (200, f"http://127.0.0.1:{port}/there?a=b")
    assert heads[1].startswith("GET /there?a=b HTTP/1.1")
    with raw_server(answering(moved("/there"))) as port:
        assert client.request("GET", parts(port)).status == 302


def test_another_server_gets_no_credentials() -> None:
    client = client_with(headers={"X-Token": "secret"}, cookies={"a": "b"})
    heads: list[str] = []
    there_heads: list[str] = []
    with (
        raw_server(answering(OK, heads=there_heads)) as there,
        raw_server(answering(moved(f"http://localhost:{there}/"), heads=heads)) as port,
    ):
        client.request("GET", parts(port, username="ann", password="x"), follow=True).read(100)
    client.close()
    for text in ("Authorization", "X-Token", "Cookie"):
        assert text in heads[0]
        assert text not in there_heads[0]


def test_a_circle_of_redirects_ends(client: HTTPClient) -> None:
    circle = pytest.raises(ConnectError, match="again and again")
    with raw_server(answering(*[moved("/x")] * 9)) as port, circle:
        client.request("GET", parts(port), follow=True)


def test_a_post_is_not_redirected(client: HTTPClient) -> None:
    with raw_server(answering(moved("/x", 307))) as port:
        assert client.request("POST", parts(port), b"x", follow=True).status == 307


# -- cookies and errors


def test_cookies_are_kept_and_sent(client: HTTPClient) -> None:
    heads: list[str] = []
    first = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/other\r\nContent-Length: 0\r\n\r\n"
    with raw_server(answering(first, OK, heads=heads)) as port:
        client.request("GET", parts(port)).read(9)
        client.request("GET", parts(port)).read(9)
    assert "Cookie" not in heads[0]
    assert "\r\nCookie: a=1\r\n" in heads[1]


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("application/json", b'{"error": "log in"}', "log in"),
        ("application/json; charset=utf-8", b'{"error": {"a": 1}}', "{'a': 1}"),
        ("application/json", b"[1]", "Unauthorized"),
        ("application/json", b"{", "Unauthorized"),
        ("text/plain", b"go away\nnow", "go away"),
        ("text/html", b"<h1>no</h1>", "Unauthorized"),
    ],
)
def test_the_reason_of_an_unexpected_answer(client: HTTPClient, kind: str, body: bytes, reason: str) -> None:
    head = f"HTTP/1.1 401 Unauthorized\r\nContent-Type: {kind}\r\nWWW-Authenticate: Basic\r\n"
    with raw_server(answering(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)) as port:
        error = client.request("GET", parts(port)).error()
    assert isinstance(error, UnexpectedResponse)
    assert (error.status, error.reason, error.body) == (401, reason, body)
    assert error.headers["www-authenticate"] == "Basic"
    assert str(error) == f"http://127.0.0.1:{port} answered 401: {reason}"
