"""Ways to a server: addresses, cookies, proxies, TLS, handshakes that go wrong."""

from __future__ import annotations

import gc
import ssl
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import gevent.ssl
import pytest
from gevent.event import Event

from primus_gevent import Primus
from primus_gevent.client import Socket, connect
from primus_gevent.client.address import Address, UrlParts
from primus_gevent.client.cookies import Cookies
from primus_gevent.client.network import find_proxy
from primus_gevent.client.options import ClientOptions
from primus_gevent.client.transports import TRANSPORTS, register
from primus_gevent.errors import (
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    OptionError,
    ProxyError,
    TLSError,
    UnexpectedResponse,
    UnknownNameError,
)
from primus_gevent.hosts.tls import tls_context
from tests.support.certificates import family
from tests.unit.client.servers import answering, proxy, raw_server, read_head
from tests.unit.hub import eventually

SECONDS = 5.0


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def echo_server(context: Any = None, **options: Any) -> Iterator[Primus]:
    primus = Primus(**options)

    @primus.on("connection")
    def echo(spark: Any) -> None:
        for message in spark:
            spark.write([spark.headers.get("cookie"), message])

    primus.listen(0, "127.0.0.1", ssl_context=context)
    try:
        yield primus
    finally:
        primus.destroy()


def why(url: str, **options: Any) -> BaseException:
    """What keeps a client from connecting, as it says itself."""
    errors: list[BaseException] = []
    client = Socket(url, **{"strategy": False, **options})
    client.on("error", errors.append)
    with pytest.raises(ConnectionClosed) as caught:
        client.wait_open(SECONDS)
    eventually(lambda: errors)
    assert caught.value.__cause__ is errors[0]
    return errors[0]


# -- addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example", ("http", "a.example", 80, "", "", "")),
        ("https://a.example:8443/x?y=z", ("https", "a.example", 8443, "", "", "y=z")),
        ("ws://A.example", ("ws", "a.example", 80, "", "", "")),
        ("wss://[::1]:99", ("wss", "::1", 99, "", "", "")),
        ("a.example:8080", ("http", "a.example", 8080, "", "", "")),
        ("localhost?next=http://b", ("http", "localhost", 80, "", "", "next=http://b")),
        ("//a.example", ("http", "a.example", 80, "", "", "")),
        ("http://b\u00fccher.example", ("http", "xn--bcher-kva.example", 80, "", "", "")),
        ("http://ann:p%40ss@a.example", ("http", "a.example", 80, "ann", "p@ss", "")),
    ],
)
def test_addresses(url: str, expected: tuple[Any, ...]) -> None:
    a = Address.parse(url)
    assert (a.scheme, a.host, a.port, a.username, a.password, a.query) == expected
    assert "p@ss" not in str(a)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a",
        "http://",
        "http://a:port",
        "http://a:99999",
        "http://[::1",
        "http://a/\r\nX: y",
        "http://a..b",
        "a b",
        1,
    ],
)
def test_what_is_no_address(url: Any) -> None:
    with pytest.raises(OptionError):
        Address.parse(url)


def test_what_is_requested() -> None:
    parts = UrlParts("wss", "::1", 99, "primus", "a=b")
    assert str(parts) == "wss://[::1]:99/primus/?a=b"
    assert UrlParts("ws", "a", 80, "/p\u00e4th", "n=\u0142&m=%20%C5%82[]").target == (
        "/p%C3%A4th/?n=%C5%82&m=%20%C5%82[]"
    )
    assert str(UrlParts("https", "a", 443, "/primus/spec", "", exact=True)) == "https://a/primus/spec"


def test_transports_of_ones_own() -> None:
    register("tests.own", "tests.unit.client.scripted:Scripted")
    try:
        assert Socket(manual=True, transformer="Tests.Own").options.transformer == "tests.own"
    finally:
        del TRANSPORTS["tests.own"]
    with pytest.raises(OptionError, match="'module:Class'"):
        register("tests.own", "somewhere")


# -- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pingTimeout": 1}, "did you mean 'ping_timeout'"),
        ({"queueSize": 1}, "did you mean 'queue_size'"),
        ({"colour": 1}, "known are"),
        ({"timeout": 0}, "or False to turn it off"),
        ({"headers": {"a b": "x"}}, "'a b' is no name of a header"),
        ({"headers": {"a": "x\r\ny"}}, "without line ends"),
        ({"headers": {"a": "ł"}}, "without line ends"),
        ({"cookies": {"a": "x;y"}}, "without ';'"),
        ({"key": "x"}, "need cert"),
        ({"compression": {"level": 99}}, "compression"),
        ({"transport": {"x": 1}}, "transport option 'x'"),
        ({"transformer": "carrier pigeon"}, "unknown transformer 'carrier pigeon'"),
        ({"parser": "xml"}, "unknown parser 'xml'"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Socket("http://localhost", **options)


def test_files_of_tls_are_read_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Socket("https://localhost", ca=str(tmp_path / "nothing"))
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(OptionError, match="no certificates"):
        Socket("https://localhost", ca=str(empty))
    with pytest.raises(OptionError, match="do not do"):
        Socket("https://localhost", cert=str(empty))


def test_clients_with_the_same_files_share_what_was_read(tmp_path: Path) -> None:
    certificates = family()
    path = tmp_path / "root.pem"
    path.write_bytes(certificates.root.pem())

    def context(**options: Any) -> Any:
        return Socket("https://localhost", manual=True, ca=str(path), **options).network.context

    first = context()
    assert context() is first
    assert context(verify=False) is not first
    path.write_bytes(certificates.root.pem() + certificates.between.pem())
    assert context() is not first  # there are others now
    forgotten = weakref.ref(first)
    del first
    gc.collect()
    assert forgotten() is None


# -- cookies


def test_given_cookies_go_to_their_server_only() -> None:
    cookies = Cookies(Address.parse("http://a.example:8080"), {"x": "1", "y": "2"})
    assert cookies.header("ws://a.example:9000/primus/") == "x=1; y=2"
    assert cookies.header("http://b.example/") == ""


def test_cookies_of_the_handshake_are_sent_again() -> None:
    with echo_server() as primus:

        @primus.before("session")
        def layer(request: Any, response: Any) -> None:
            response.set_cookie("visit", "1")

        url = f"http://127.0.0.1:{primus.address[1]}"
        with Socket(url, reconnect={"min_delay": 0.01}, cookies={"a": "b"}) as client:
            client.write(1)
            assert client.read(SECONDS) == ["a=b", 1]
            next(iter(primus)).end(reconnect=True)
            reconnected = Event()
            client.on("reconnected", reconnected.set)
            assert reconnected.wait(SECONDS)
            client.write(2)
            assert client.read(SECONDS) == ["a=b; visit=1", 2]


# -- what a handshake may come to


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            UnexpectedResponse,
            "answered 404: Not Found",
        ),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: https://b/\r\nContent-Length: 0\r\n\r\n",
            UnexpectedResponse,
            "answered 301: it is at 'https://b/'",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", UnexpectedResponse, "answered 200"),
        (
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            ConnectError,
            "does not open a WebSocket: Sec-WebSocket-Accept does not fit",
        ),
        (b"HTTP/1.1 101 X\r\n\r\n", ConnectError, "does not open a WebSocket: the answer does not upgrade"),
        (b"", ConnectError, "closed the connection without an answer"),
        (b"\x15\x03\x01", ConnectError, "did not answer in HTTP"),
    ],
)
def test_a_handshake_that_fails(answer: bytes, kind: type[Exception], message: str) -> None:
    with raw_server(answering(answer)) as port:
        error = why(f"http://127.0.0.1:{port}")
    assert type(error) is kind
    assert message in str(error)


def test_a_refused_authorization() -> None:
    def authorize(request: Any) -> bool:
        return False

    with echo_server(authorization=authorize, credentials=False) as primus:
        error = why(f"http://127.0.0.1:{primus.address[1]}", strategy=True)
    assert isinstance(error, UnexpectedResponse)
    assert (error.status, error.reason) == (401, "Authorization failed")


def test_a_slow_handshake() -> None:
    left = Event()

    def handle(sock: Any) -> None:
        read_head(sock)
        assert sock.recv(1) == b""
        left.set()

    with raw_server(handle) as port:
        client = Socket(f"http://127.0.0.1:{port}", timeout=0.02, strategy=False)
        with pytest.raises(ConnectionClosed) as caught:
            client.wait_open(SECONDS)
        assert isinstance(caught.value.__cause__, ConnectTimeout)
        assert left.wait(SECONDS), "the attempt was given up"


def test_nobody_there_and_no_such_host(hub_stays_clean: list[BaseException]) -> None:
    with raw_server(lambda sock: None) as port:
        pass
    assert str(why(f"http://127.0.0.1:{port}")) == f"nothing listens at ws://127.0.0.1:{port}"
    assert "there is no host 'no-such-host.invalid'" in str(why("http://no-such-host.invalid"))
    hub_stays_clean.clear()  # gevent's resolver tells its hub too, which knows that this is no error


def test_a_name_is_resolved_without_holding_up_others(
    monkeypatch: pytest.MonkeyPatch, hub_stays_clean: list[BaseException]
) -> None:
    """gevent asks in a thread of its own; here that takes its time."""
    pool = gevent.get_hub().threadpool
    busy = [pool.spawn(gevent.monkey.get_original("time", "sleep"), 0.2) for _ in range(pool.maxsize)]
    client = Socket("http://no-such-host.invalid", strategy=False)
    ticks = 0
    while not client.last_error:
        gevent.sleep(0.001)
        ticks += 1
    assert ticks > 20
    gevent.joinall(busy)
    hub_stays_clean.clear()


# -- proxies


def proxied(port: int, **options: Any) -> Any:
    parsed = ClientOptions.parse(options)
    return find_proxy(UrlParts("wss" if port == 443 else "ws", "a.example", port, "x", ""), parsed.proxy)


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxied(80) is None
    monkeypatch.setenv("http_proxy", "http://ann:p%40@p.example:3128")
    assert str(proxied(80)) == "http://p.example:3128"
    assert proxied(80).credentials == "Basic YW5uOnBA"
    assert proxied(443) is None
    assert proxied(80, proxy=False) is None
    assert str(proxied(80, proxy="other.example")) == "http://other.example:80"
    monkeypatch.setenv("https_proxy", "s.example:1")
    assert str(proxied(443)) == "http://s.example:1"
    monkeypatch.setenv("no_proxy", "b.example, .a.example, a.example:80")
    assert proxied(80) is None
    monkeypatch.setenv("no_proxy", "b.example")
    assert proxied(80) is not None
    monkeypatch.setenv("http_proxy", "socks5://p.example")
    with pytest.raises(ProxyError, match="only http"):
        proxied(80)


@pytest.mark.parametrize(
    ("variable", "ports"),
    [
        ("http_proxy", [80]),
        ("HTTP_PROXY", [80]),
        ("https_proxy", [443]),
        ("HTTPS_PROXY", [443]),
        ("all_proxy", [80, 443]),
        ("ALL_PROXY", [80, 443]),
    ],
)
def test_variables_of_proxies(monkeypatch: pytest.MonkeyPatch, variable: str, ports: list[int]) -> None:
    monkeypatch.setenv(variable, "http://p.example:3128")
    assert [port for port in (80, 443) if proxied(port) is not None] == ports


@pytest.mark.parametrize("tls", [False, True])
def test_through_a_proxy(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = family()
    path = certificates.write(
        "chain.pem", certificates.server.pem(), certificates.between.pem(), certificates.server.key_pem()
    )
    ca = certificates.write("root.pem", certificates.root.pem())
    seen: list[str] = []
    with echo_server(tls_context(path) if tls else None) as primus, proxy(seen) as port:
        monkeypatch.setenv("http_proxy", f"http://ann:x@127.0.0.1:{port}")
        monkeypatch.setenv("https_proxy", f"http://ann:x@127.0.0.1:{port}")
        url = f"{'https' if tls else 'http'}://localhost:{primus.address[1]}"
        with connect(url, ca=ca) as client:
            client.write("hello")
            assert client.read(SECONDS)[1] == "hello"
    asked, upgraded = seen
    assert asked.startswith("CONNECT localhost:" if tls else f"GET {url}/primus/spec HTTP/1.1")
    assert upgraded.startswith("CONNECT localhost:")
    assert "Proxy-Authorization: Basic YW5uOng=" in asked
    assert "Proxy-Authorization: Basic YW5uOng=" in upgraded


def test_a_proxy_that_refuses() -> None:
    with proxy([], refuse=b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as port:
        error = why("http://a.example", proxy=f"http://127.0.0.1:{port}")
    assert isinstance(error, ProxyError)
    assert error.status == 407
    assert "answered 407 Proxy Authentication Required" in str(error)


def test_a_proxy_that_is_not_there() -> None:
    with raw_server(lambda sock: None) as port:
        pass
    error = why("http://a.example", proxy=f"http://127.0.0.1:{port}")
    assert isinstance(error, ProxyError)
    assert f"cannot reach the proxy http://127.0.0.1:{port}" in str(error)


# -- TLS


@pytest.fixture(scope="module")
def secure() -> Iterator[Any]:
    certificates = family()
    path = certificates.write(
        "chain.pem", certificates.server.pem(), certificates.between.pem(), certificates.server.key_pem()
    )
    with echo_server(tls_context(path)) as primus:
        yield primus


def test_a_certificate_that_is_trusted(secure: Any) -> None:
    ca = family().write("root.pem", family().root.pem())
    with Socket(f"https://localhost:{secure.address[1]}", ca=ca) as client:
        client.write("x" * 300_000)
        assert client.read(SECONDS)[1] == "x" * 300_000


def test_one_that_is_not(secure: Any) -> None:
    error = why(f"https://localhost:{secure.address[1]}")
    assert isinstance(error, TLSError)
    assert "unable to get local issuer certificate" in str(error) or "self-signed" in str(error)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


def test_one_for_another_name(secure: Any) -> None:
    ca = family().write("root.pem", family().root.pem())
    error = why(f"https://127.0.0.1:{secure.address[1]}", ca=ca)
    assert isinstance(error, TLSError)
    assert "127.0.0.1" in str(error)


def test_verify_false_takes_any(secure: Any) -> None:
    with Socket(f"https://127.0.0.1:{secure.address[1]}", verify=False) as client:
        assert client.wait_open(SECONDS).is_open


def test_a_server_without_tls() -> None:
    with echo_server() as primus:
        error = why(f"https://127.0.0.1:{primus.address[1]}", verify=False)
    assert isinstance(error, TLSError)
    assert "Does it speak TLS at this port?" in str(error)


def test_a_certificate_of_ours() -> None:
    certificates = family()
    path = certificates.write(
        "chain.pem", certificates.server.pem(), certificates.between.pem(), certificates.server.key_pem()
    )
    ca = certificates.write("root.pem", certificates.root.pem())
    ours = certificates.write("ours.pem", certificates.server.pem(), certificates.between.pem())
    key = certificates.write("ours.key", certificates.server.key_pem("secret"))
    context = tls_context(path, ca=ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with echo_server(context) as primus:
        url = f"https://localhost:{primus.address[1]}"
        with Socket(url, ca=ca, cert=ours, key=key, passphrase="secret") as client:
            client.write(1)
            assert client.read(SECONDS)[1] == 1
        assert isinstance(why(url, ca=ca), ConnectError)
    with pytest.raises(OptionError, match="do not do"):
        Socket(url, ca=ca, cert=ours, key=key, passphrase="wrong")


# -- connect: what the server tells of itself


def test_connect_asks_the_server() -> None:
    with echo_server(
        parser="msgpack", pathname="/realtime", timeout=20.0, transformer=["sockjs", "faye"]
    ) as primus:
        url = f"http://127.0.0.1:{primus.address[1]}"
        with connect(f"{url}/realtime?a=b") as client:
            options = client.options
            assert (options.transformer, options.parser) in (("faye", "msgpack"), ("sockjs", "msgpack"))
            assert (options.pathname, options.ping) == ("/realtime", 10)
            assert options.ping_timeout == pytest.approx(20 * 6 / 7 * 1.5, abs=0.01)
        with connect(url, pathname="/realtime", ping=3, parser="json", manual=True) as client:
            assert (client.options.ping, client.options.parser) == (3, "json")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"timeout": 35000}, {"ping": 25}),
        ({"timeout": 4000}, {"ping": 2}),
        ({"timeout": False}, {"ping": False, "ping_timeout": False}),
        ({"pingInterval": 30000}, {"ping": False, "ping_timeout": 45}),
        ({"pingInterval": False}, {"ping": False, "ping_timeout": False}),
        ({"timeout": 35000, "pingInterval": 30000}, {"ping": 25, "ping_timeout": 45}),
        ({"timeout": False, "pingInterval": 30000}, {"ping": False, "ping_timeout": 45}),
        ({}, {}),
    ],
)
def test_heartbeats_that_fit_the_server(spec: dict[str, Any], expected: dict[str, Any]) -> None:
    from primus_gevent.client.connect import heartbeats

    assert heartbeats(spec) == expected


def document(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (document(b"Not Found", b"404 Not Found"), ConnectError, "there is no Primus server at"),
        (document(b"<html>"), ConnectError, "it answered b'<html>'"),
        (document(b"[]"), ConnectError, "it answered"),
        (document(b'{"transformer": 1, "parser": "json"}'), ConnectError, "it answered"),
        (document(b" " * 70000), ConnectError, "more than 65536 bytes"),
        (document(b"", b"500 Oops"), UnexpectedResponse, "answered 500"),
        (document(b'{"transformer": "pigeon", "parser": "json"}'), UnknownNameError, "transformer 'pigeon'"),
        (document(b'{"transformer": "websockets", "parser": "xml"}'), UnknownNameError, "parser 'xml'"),
        (document(b'{"transformer": "websockets", "parser": "custom"}'), OptionError, "a parser of its own"),
    ],
)
def test_what_is_no_server_of_ours(answer: bytes, kind: type[Exception], message: str) -> None:
    with raw_server(answering(answer)) as port, pytest.raises(kind, match=message):
        connect(f"http://127.0.0.1:{port}")
