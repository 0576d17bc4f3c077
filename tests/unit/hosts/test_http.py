"""Heads of requests and of responses, as bytes; what comes of whole connections is in the contract suite."""

from __future__ import annotations

from typing import Any

import pytest

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.hosts import http
from primus_gevent.hosts.http import (
    MAX_KNOWN,
    MAX_NAMES,
    Fields,
    RequestHead,
    ResponseHead,
    chunk_size,
    date_line,
    refusal,
    response_head,
)
from tests.unit.hosts.requests import BAD, GOOD, Bad, Good, get, post, table

IN_HEAD = {name: row for name, row in BAD.items() if not row.in_body and b"\r\n\r\n" in row.raw}


def head_of(raw: bytes) -> bytes:
    return raw.removeprefix(b"\r\n").partition(b"\r\n\r\n")[0]


# -- requests


@pytest.mark.parametrize("row", table(GOOD))
def test_good_request(row: Good) -> None:
    request = RequestHead(head_of(row.raw))
    seen = {
        **request.fields.environ,
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
    }
    if request.host is not None:
        seen["HTTP_HOST"] = request.host
    for name, value in row.environ.items():
        assert seen.get(name) == value, name
    assert request.fields.keeps_alive == row.keeps_alive
    assert request.fields.chunked or request.fields.length == len(row.body)


# What `Reader` refuses by its size is whole here, and still refused.
@pytest.mark.parametrize("row", table({name: row for name, row in IN_HEAD.items() if "too long" not in name}))
def test_bad_request(row: Bad) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        RequestHead(head_of(row.raw) if not row.raw.startswith(b"\r\n\r\n") else row.raw[2:])
    assert caught.value.status == row.status


def test_line_at_the_limit() -> None:
    line = b"GET /" + b"x" * (8192 - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"
    assert len(line) == 8192
    RequestHead(head_of(get(line=line)))
    with pytest.raises(RemoteProtocolError) as caught:
        RequestHead(head_of(get(line=line.replace(b"/", b"/x", 1))))
    assert caught.value.status == 414


def test_expects_continue() -> None:
    fields = [b"Expect: 100-Continue", b"Content-Length: 2"]
    assert RequestHead(head_of(post(*fields))).fields.expects_continue
    assert not RequestHead(head_of(post(*fields, line=b"POST / HTTP/1.0"))).fields.expects_continue


def test_line_for_the_log() -> None:
    assert RequestHead(head_of(get(line=b"GET /a%20b?c HTTP/1.1"))).line == "GET /a%20b?c HTTP/1.1"


def test_what_a_client_repeats_is_read_once() -> None:
    known: dict[bytes, Fields] = {}
    first = RequestHead(head_of(get(b"X: y", line=b"GET /a HTTP/1.1")), known)
    second = RequestHead(head_of(get(b"X: y", line=b"POST /b HTTP/1.1")), known)
    assert second.fields is first.fields
    assert (second.method, second.path) == ("POST", "/b")
    assert RequestHead(head_of(get(b"X: z")), known).fields.environ["HTTP_X"] == "z"
    for number in range(10):
        RequestHead(head_of(get(b"X: %d" % number)), known)
    assert len(known) <= MAX_KNOWN


def test_absolute_form_leaves_what_is_known_alone() -> None:
    known: dict[bytes, Fields] = {}
    assert RequestHead(head_of(get(line=b"GET http://other/ HTTP/1.1")), known).host == "other"
    assert RequestHead(head_of(get()), known).host is None
    assert RequestHead(head_of(get()), known).fields.environ["HTTP_HOST"] == "localhost"


def test_version_is_part_of_what_is_known() -> None:
    known: dict[bytes, Fields] = {}
    assert RequestHead(head_of(get()), known).fields.keeps_alive
    assert not RequestHead(head_of(get(line=b"GET / HTTP/1.0")), known).fields.keeps_alive


def test_long_heads_are_not_remembered() -> None:
    known: dict[bytes, Fields] = {}
    RequestHead(head_of(get(b"X: " + b"y" * 5000)), known)
    assert known == {}


def test_names_that_somebody_makes_up() -> None:
    """They cost their own request, and no memory."""
    for number in range(2 * MAX_NAMES):
        RequestHead(head_of(get(b"X-%d: y" % number)))
        assert len(http._KEYS) <= MAX_NAMES
    RequestHead(head_of(get(b"X" * 1000 + b": y")))
    assert max(map(len, http._KEYS)) <= http.MAX_NAME
    assert RequestHead(head_of(get(b"X-0: z"))).fields.environ["HTTP_X_0"] == "z"


# -- chunks


@pytest.mark.parametrize(("line", "size"), [(b"0", 0), (b"1A", 26), (b"00a", 10), (b"5;x=y", 5), (b"5 ;", 5)])
def test_chunk_size(line: bytes, size: int) -> None:
    assert chunk_size(line) == size


@pytest.mark.parametrize(
    "line", [b"", b";x", b"g", b"5x", b"5 ", b" 5", b"0x5", b"-5", b"1_0", b"5\r", b"5;\r"]
)
def test_no_chunk_size(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        chunk_size(line)


# -- responses


def test_response() -> None:
    head = ResponseHead("200 OK", [("Content-Type", "text/plain"), ("X", "\xe4")])
    assert head.data == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX: \xe4"
    assert (head.code, head.length, head.connection, head.dated) == (200, None, None, False)
    assert head.has_body


def test_fields_that_the_server_looks_at() -> None:
    head = ResponseHead("200 OK", [("content-length", "5"), ("CONNECTION", "Close"), ("date", "today")])
    assert (head.length, head.closes, head.dated) == (5, True, True)
    assert head.data == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nCONNECTION: Close\r\ndate: today"


@pytest.mark.parametrize(
    ("values", "closes"),
    [
        ([], False),
        (["keep-alive"], False),
        (["close"], True),
        (["x, Close"], True),
        (["x", "close"], True),
        (["closed"], False),
        (["Upgrade"], False),
    ],
)
def test_connection_of_a_response(values: list[str], closes: bool) -> None:
    assert ResponseHead("200 OK", [("Connection", value) for value in values]).closes is closes


def test_transfer_encoding_is_left_out() -> None:
    """PEP 3333 keeps it from applications; sent, it would tell clients to expect chunks."""
    assert ResponseHead("200 OK", [("Transfer-Encoding", "chunked")]).data == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("status", ["200", "200 OK", "299 Anything at all", "200 "])
def test_status(status: str) -> None:
    assert ResponseHead(status, []).code in (200, 299)


@pytest.mark.parametrize(
    "status",
    ["", "OK", "20 OK", "2000 OK", "200OK", "2\xb20", "200 O\r\nK", "200 O\nK", "200 \0", b"200 OK", 200],
)
def test_wrong_status(status: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        ResponseHead(status, [])


@pytest.mark.parametrize(
    "header",
    [
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\0b"),
        ("X", "\u20ac"),
        ("X\r\nY", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("", "a"),
        ("X", 5),
        ("X", b"a"),
        ("X", None),
        (b"X", "a"),
        ("Content-Length", "-1"),
        ("Content-Length", "\xb2"),
        ("Content-Length", "1 "),
        ("X",),
        None,
    ],
)
def test_wrong_header(header: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        ResponseHead("200 OK", [header])


def test_two_lengths() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        ResponseHead("200 OK", [("Content-Length", "1"), ("content-length", "1")])


@pytest.mark.parametrize(
    ("status", "has_body"), [("101 X", False), ("204 X", False), ("304 X", False), ("404 X", True)]
)
def test_status_without_a_body(status: str, has_body: bool) -> None:
    assert ResponseHead(status, []).has_body is has_body


def test_length_where_there_is_no_content() -> None:
    ResponseHead("204 No Content", [("Content-Length", "0")])
    ResponseHead("304 Not Modified", [("Content-Length", "5")])  # of what is not sent (RFC 9110, 8.6)
    with pytest.raises(ValueError, match="204"):
        ResponseHead("204 No Content", [("Content-Length", "5")])


def test_heads_are_remembered() -> None:
    headers = [("Content-Type", "text/plain")]
    assert response_head("200 OK", *headers) is response_head("200 OK", *list(headers))
    assert response_head("201 OK", *headers) is not response_head("200 OK", *headers)
    with pytest.raises(ValueError, match="line break"):
        response_head("200 OK", ("X", "\n"))


def test_date() -> None:
    # RFC 9110, 5.6.7
    assert date_line((1994, 11, 6, 8, 49, 37, 6, 310, 0)) == b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT"


def test_refusal() -> None:
    assert refusal(400) == b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    for row in BAD.values():
        assert refusal(row.status).startswith(b"HTTP/1.1 %d " % row.status)
