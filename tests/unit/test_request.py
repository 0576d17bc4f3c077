"""What a spark remembers of its request, and where its client is."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent.request import Address, RequestRecord, client_address, parse_query


def make_environ(**more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/primus/",
        "QUERY_STRING": "foo=bar&_primuscb=1-0",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.1",
        "REMOTE_PORT": "5000",
        "wsgi.url_scheme": "http",
        "wsgi.input": object(),
        "wsgi.errors": sys.stderr,
        "HTTP_HOST": "example.com",
        "HTTP_X_TRACE": "a: b",
        **more,
    }


# -- the query string


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        ("a=1&a=2", {"a": ["1", "2"]}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("=x", {"": "x"}),
        ("a=b=c", {"a": "b=c"}),
        ("&&a=1&&", {"a": "1"}),
        ("a=1;b=2", {"a": "1;b=2"}),
        ("a=x+y%20z", {"a": "x y z"}),
        ("a=%zz&b=%", {"a": "%zz", "b": "%"}),
        ("a=%ff", {"a": "\ufffd"}),
        ("a%5B%5D=1", {"a[]": "1"}),
        ("name=%C3%A9%F0%9F%98%80", {"name": "é😀"}),
    ],
)
def test_a_query_is_read_as_node_reads_it(text: str, expected: dict[str, Any]) -> None:
    assert parse_query(text) == expected


def test_fields_beyond_the_thousandth_are_ignored() -> None:
    query = parse_query("&".join(f"k{i}={i}" for i in range(1500)))
    assert len(query) == 1000
    assert query["k999"] == "999"
    assert len(parse_query("&" * 1_000_000)) == 0


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=8))
def test_a_query_survives_the_way_through_a_url(query: dict[str, str]) -> None:
    encoded = {
        quote_plus(key, errors="replace"): quote_plus(value, errors="replace") for key, value in query.items()
    }
    text = "&".join(f"{key}={value}" for key, value in encoded.items())
    decoded = parse_query(text)
    for key, value in query.items():
        if "\ud800" <= max(key + value, default="") <= "\udfff":
            continue  # has no UTF-8, so no URL either
        assert decoded[key] == value


# -- the client's address (the table of `forwarded-for` 1.1.0, as primus 8 uses it)

DIRECT = Address("10.0.0.1", 5000, False)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("1.2.3.4", ("1.2.3.4", 0)),
        ("::1", ("::1", 0)),
        ("2001:db8::7", ("2001:db8::7", 0)),
        ("1.2.3.4,5.6.7.8", ("1.2.3.4", 0)),
        ("1.2.3.4, 5.6.7.8", ("1.2.3.4", 0)),
        ("1.2.3.4:55", ("1.2.3.4", 55)),
        ("[::1]:80", None),
        ("unknown", None),
        ("", None),
        ("1.2.3.4, unknown", None),
        ("1.2.3.4,", None),
        ("for=1.2.3.4", None),
        ("1.2.3", None),
        ("1.2.3.4:70000", ("1.2.3.4", 0)),
    ],
)
def test_x_forwarded_for(header: str, expected: tuple[str, int] | None) -> None:
    address = client_address(make_environ(HTTP_X_FORWARDED_FOR=header))
    assert address == (Address(*expected, False) if expected else DIRECT)


@pytest.mark.parametrize(
    ("names", "proto"),
    [
        (("FASTLY_CLIENT_IP", "FASTLY_CLIENT_PORT", "FASTLY_SSL"), "1"),
        (("X_FORWARDED_FOR", "X_FORWARDED_PORT", "X_FORWARDED_PROTO"), "https"),
        (("Z_FORWARDED_FOR", "Z_FORWARDED_PORT", "Z_FORWARDED_PROTO"), "https"),
        (("FORWARDED", "FORWARDED_PORT", "FORWARDED_PROTO"), "https"),
        (("X_REAL_IP", "X_REAL_PORT", "X_REAL_PROTO"), "1"),
    ],
)
def test_every_group_of_proxy_headers_is_read(names: tuple[str, str, str], proto: str) -> None:
    ip, port, secure = (f"HTTP_{name}" for name in names)
    environ = make_environ(**{ip: "1.2.3.4", port: "81, 82", secure: proto})
    assert client_address(environ) == Address("1.2.3.4", 81, True)
    environ[secure] = "HTTPS"  # it is compared exactly
    assert client_address(environ) == Address("1.2.3.4", 81, False)


def test_the_first_group_that_is_present_decides() -> None:
    environ = make_environ(HTTP_FASTLY_CLIENT_IP="1.1.1.1", HTTP_X_FORWARDED_FOR="2.2.2.2")
    assert client_address(environ).ip == "1.1.1.1"
    environ["HTTP_FASTLY_CLIENT_IP"] = "unknown"
    assert client_address(environ) == DIRECT  # and no other group is tried


def test_a_proxy_that_is_not_trusted_is_not_believed() -> None:
    environ = make_environ(HTTP_X_FORWARDED_FOR="1.2.3.4, 10.9.9.9")
    assert client_address(environ, None).ip == "1.2.3.4"
    assert client_address(environ, ["10.0.0.0/8"]).ip == "1.2.3.4"
    assert client_address(environ, ["10.0.0.1"]) == DIRECT  # the second hop is unknown
    assert client_address(environ, ["192.168.0.0/16"]) == DIRECT
    assert client_address(environ, []) == DIRECT


def test_a_mapped_ipv4_proxy_is_found_in_an_ipv4_network() -> None:
    environ = make_environ(REMOTE_ADDR="::ffff:10.0.0.1", HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert client_address(environ, ["10.0.0.0/8"]).ip == "1.2.3.4"


def test_without_any_knowledge_the_client_is_local() -> None:
    assert client_address({}) == Address("127.0.0.1", 0, False)
    assert client_address({"REMOTE_ADDR": "", "REMOTE_PORT": "x"}) == Address("127.0.0.1", 0, False)
    assert client_address(make_environ(**{"wsgi.url_scheme": "https"})).secure


def test_a_unix_socket_is_a_trusted_neighbour() -> None:
    environ = make_environ(REMOTE_ADDR="", HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert client_address(environ, ["10.0.0.0/8"]).ip == "1.2.3.4"


@given(st.text(max_size=40))
def test_no_header_can_break_the_address(header: str) -> None:
    address = client_address(make_environ(HTTP_X_FORWARDED_FOR=header, HTTP_X_FORWARDED_PORT=header))
    assert address == DIRECT or "." in address.ip or ":" in address.ip
    assert 0 <= address.port < 65536


# -- the folded environ


def test_what_was_folded_comes_back() -> None:
    environ = make_environ(**{"myapp.user": 17, "gunicorn.socket": object(), "CONTENT_LENGTH": "0"})
    record = RequestRecord(environ)
    again = record.environ()
    for key in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "HTTP_HOST", "HTTP_X_TRACE"):
        assert again[key] == environ[key]
    assert again["myapp.user"] == 17
    assert not {"wsgi.errors", "gunicorn.socket", "CONTENT_LENGTH"} & set(again)
    assert again["wsgi.input"].read() == b""
    assert record.query() == {"foo": "bar", "_primuscb": "1-0"}
    assert record.headers()["x-trace"] == record.headers()["X-Trace"] == "a: b"
    assert record.headers().get("missing") is None
    assert record.address(None) == DIRECT


def test_the_request_is_werkzeugs_with_the_specifications_query() -> None:
    request = RequestRecord(make_environ()).request()
    assert request.method == "GET"
    assert request.path == "/primus/"
    assert request.url == "http://example.com/primus/?foo=bar&_primuscb=1-0"
    assert request.args["foo"] == request.query["foo"] == "bar"
    assert request.get_data() == b""


def test_the_record_keeps_no_environ_and_no_server_alive() -> None:
    plain = RequestRecord(make_environ(HTTP_X="1"))
    assert plain._added is None  # one string is all there is


def test_a_line_end_in_the_path_forges_nothing() -> None:
    # WSGI servers decode the path, so %0A arrives as a line end.
    path = "/primus/\nq=1\nevil\n80\nHTTP/1.1\n6.6.6.6\n1\nhttps\nHTTP_X_ADMIN:yes"
    record = RequestRecord(make_environ(PATH_INFO=path))
    assert record.address(None) == DIRECT
    assert record.query() == {"foo": "bar", "_primuscb": "1-0"}
    assert "X-Admin" not in record.headers()
    assert record.environ()["PATH_INFO"] == path


def test_a_folded_header_forges_nothing() -> None:
    # As pywsgi hands it out.
    record = RequestRecord(make_environ(HTTP_X_LONG="one\r\n\ttwo\r\n three\nHTTP_X_ADMIN:yes"))
    assert record.headers()["X-Long"] == "one two three HTTP_X_ADMIN:yes"
    assert "X-Admin" not in record.headers()


@given(
    path=st.text(st.characters(max_codepoint=255), max_size=30),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    value=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30),
)
def test_nothing_of_a_request_gets_lost_or_moves(path: str, query: str, value: str) -> None:
    environ = make_environ(PATH_INFO=path, SCRIPT_NAME=quote(path), QUERY_STRING=query, HTTP_X_ANY=value)
    again = RequestRecord(environ).environ()
    kept = {k: v for k, v in environ.items() if not k.startswith("wsgi.") or k == "wsgi.url_scheme"}
    assert {key: again[key] for key in kept} == kept


def test_a_value_that_is_none_is_empty() -> None:
    record = RequestRecord(make_environ(REMOTE_ADDR=None))
    assert record.address(None).ip == "127.0.0.1"
