"""Plain HTTP beside the connections: routes of Primus, of the wrapped application, and refusals."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.support.hosts import HOSTS, Server, serve


def test_wrapped_application(server: Server) -> None:
    assert server.request("/")[1] == b"wrapped app"
    assert server.request("/nowhere")[0].status == 404


def test_neighbour_of_the_pathname(server: Server) -> None:
    """A longer word that starts like the pathname belongs to the wrapped application."""
    assert server.request("/primusfoo")[1] == b"not of primus"


def test_library(server: Server) -> None:
    response, body = server.request("/primus/primus.js")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert int(response.headers["Content-Length"]) == len(body)
    assert b"Primus" in body
    again, empty = server.request("/primus/primus.js", {"If-None-Match": response.headers["ETag"]})
    assert (again.status, empty) == (304, b"")
    packed, data = server.request("/primus/primus.js", {"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(data) == body
    module, source = server.request("/primus/primus.js?format=esm")
    assert module.status == 200
    assert b"export" in source


def test_library_and_keep_alive(server: Server) -> None:
    """Whatever the answer is, the next one on the connection is in its place."""
    with server.client() as client:
        tag = client.request("/primus/primus.js").headers["etag"]
        assert client.request("/primus/primus.js", {"If-None-Match": tag}).status == 304
        assert client.request("/primus/primus.js", method="HEAD").status == 200
        assert client.request("/").body == b"wrapped app"


def test_spec(server: Server) -> None:
    response, body = server.request("/primus/spec")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("application/json")
    spec = json.loads(body)
    assert (spec["pathname"], spec["parser"], spec["transformer"]) == ("/primus", "json", "websockets")
    assert spec["timeout"] == 35000


@pytest.mark.parametrize("path", ["/primus", "/primus/", "/primus?service=echo"])
def test_plain_request(server: Server, path: str) -> None:
    response, body = server.request(path)
    assert response.status == 426
    assert response.headers["Upgrade"].lower() == "websocket"
    assert body
    with server.client() as client:
        assert client.request(path).status == 426
        assert client.request("/").body == b"wrapped app"  # an answer, and no more


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Sec-WebSocket-Key": None}, 400, id="no key"),
        pytest.param({"Sec-WebSocket-Key": "short"}, 400, id="bad key"),
        pytest.param({"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, 400, id="long key"),
        pytest.param({"Sec-WebSocket-Version": "8"}, 426, id="old version"),
        pytest.param({"Sec-WebSocket-Version": None}, 426, id="no version"),
        pytest.param({"Content-Length": "5"}, 400, id="body"),
        pytest.param({"Transfer-Encoding": "chunked"}, 400, id="chunked body"),
    ],
)
def test_bad_handshake(server: Server, headers: dict[str, str | None], status: int) -> None:
    if server.kind.upgraded and ("Sec-WebSocket-Key" in headers or None in headers.values()):
        pytest.skip("gevent-websocket answers these itself")
    with server.client() as client:
        response = client.handshake("/primus", headers)
        if server.kind.upgraded:
            assert response.status == 101  # of the others it takes no notice
            client.expect_refusal()
            client.expect_eof()
            return
        assert response.status == status, response
        if status == 426:
            assert response.headers["sec-websocket-version"] == "13"
        else:
            assert response.body, "a reason"


def test_handshake_of_http_1_0(server: Server) -> None:
    if server.kind.upgraded:
        pytest.skip("gevent-websocket answers bad handshakes itself")
    with server.client() as client:
        client.send_request("/primus", client.handshake_headers(), version="1.0")
        assert client.recv_response().status in (400, 426, 505)


def test_handshake_by_post(server: Server) -> None:
    with server.client() as client:
        client.send_request("/primus", client.handshake_headers(), method="POST")
        assert client.recv_response().status in (400, 405, 411, 426)


def test_failing_route_is_not_ours(server: Server) -> None:
    server.expected.append("HandlerFailure: a route fails")
    response, body = server.request("/fail")
    assert response.status == 500
    assert b"HandlerFailure" not in body


def test_unread_upload(server: Server) -> None:
    response, body = server.request("/upload", method="POST", body=b"x" * 200_000)
    assert (response.status, body) == (200, b"200000")


@pytest.mark.parametrize("host", ["own", "gunicorn", "gunicorn-pywsgi", "gevent-websocket"])
def test_refused_origin(host: str) -> None:
    with serve(host, origins=["https://good.example"]) as server:
        with server.client() as client:
            response = client.handshake("/primus", {"Origin": "https://evil.example"})
            if HOSTS[host].upgraded:
                # its 101 is out before anybody can look at the origin, and so is its own Close
                assert response.status == 101
                client.expect_refusal()
                client.expect_eof()
            else:
                assert response.status == 403
        with server.client() as client:
            client.upgrade("/primus", {"Origin": "https://good.example"})
            client.send_message("hello")
            assert client.recv_message() == "hello"
            client.close_properly()
        assert server.wait_state(sparks=0)["counts"] == {"connection": 1, "disconnection": 1}
