"""What a spark remembers of its request, and where its client is."""

from __future__ import annotations

import contextlib
import sys
from io import BytesIO
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent.request import Address, Request, RequestRecord, client_address, parse_query


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
        ("[::1]:80", ("::1", 80)),  # the original takes no brackets, and no space before an IPv6 address
        ("[::1]", ("::1", 0)),
        ("::1, ::2", ("::1", 0)),
        ("[::1", None),
        ("[::1]80", None),
        ("[1.2.3.4]:80", None),
        ("unknown", None),
        ("", None),
        ("1.2.3.4, unknown", None),
        ("1.2.3.4,", None),
        ("for=1.2.3.4", None),
        ("1.2.3", None),
        ("01.2.3.4", None),
        (" 1.2.3.4 ", ("1.2.3.4", 0)),
        ("1.2.3.4:55:66", None),
        ("1.2.3.4:x", ("1.2.3.4", 0)),
        ("1.2.3.4:", ("1.2.3.4", 0)),
        ("1.2.3.4:70000", ("1.2.3.4", 0)),  # the original takes any number for a port
        ("1.2.3.4:5_5", ("1.2.3.4", 0)),
        ("1.2.3.4:\u0665\u0665", ("1.2.3.4", 0)),
        ("1.2.3.4:" + "5" * 5000, ("1.2.3.4", 0)),
        ("2001:DB8:0::7", ("2001:db8::7", 0)),
        ("::ffff:1.2.3.4", ("1.2.3.4", 0)),
        ("fe80::1%eth0", ("fe80::1%eth0", 0)),
        ("fe80::1%<script>", None),
        ("fe80::1%" + "x" * 33, None),
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


@pytest.mark.parametrize(
    ("header", "port_header", "port"),
    [
        ("1.2.3.4", "81", 81),
        ("1.2.3.4", " 81 , 82", 81),
        ("1.2.3.4:55", "81", 55),  # what stands beside the address is nearer to it
        ("1.2.3.4, 5.6.7.8:66", "81", 81),
        ("1.2.3.4, 5.6.7.8:66", None, 0),
        ("1.2.3.4", "x", 0),
        ("1.2.3.4", "", 0),
        ("1.2.3.4", "-1", 0),
        ("1.2.3.4", "65536", 0),
    ],
)
def test_the_port(header: str, port_header: str | None, port: int) -> None:
    environ = make_environ(HTTP_X_FORWARDED_FOR=header)
    if port_header is not None:
        environ["HTTP_X_FORWARDED_PORT"] = port_header
    assert client_address(environ) == Address("1.2.3.4", port, False)


@pytest.mark.parametrize(
    ("scheme", "proto", "secure"),
    [
        ("http", "https", True),
        ("http", "1", True),
        ("http", "https,http", False),
        ("http", None, False),
        ("https", "http", False),  # the proxy speaks TLS with us, the client does not with the proxy
        ("https", "", False),
        ("https", None, True),  # gunicorn knows more headers than these, and says it here
    ],
)
def test_whether_the_client_is_secure(scheme: str, proto: str | None, secure: bool) -> None:
    environ = make_environ(HTTP_X_FORWARDED_FOR="1.2.3.4", **{"wsgi.url_scheme": scheme})
    if proto is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = proto
    assert client_address(environ) == Address("1.2.3.4", 0, secure)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("for=1.2.3.4", ("1.2.3.4", 0, False)),
        ("For=1.2.3.4;Proto=https;by=10.0.0.1", ("1.2.3.4", 0, True)),
        ("proto=HTTPS; for=1.2.3.4", ("1.2.3.4", 0, True)),
        ("for=1.2.3.4;proto=http", ("1.2.3.4", 0, False)),
        ('for="[2001:db8::1]:4711";proto=https', ("2001:db8::1", 4711, True)),
        ('for="[2001:db8::1]"', ("2001:db8::1", 0, False)),
        ('for="1.2.3.4:81"', ("1.2.3.4", 81, False)),
        ("for=1.2.3.4:81", ("1.2.3.4", 81, False)),  # not without quotes, says the RFC, but it is seen
        (r'for="1.2\.3.4"', ("1.2.3.4", 0, False)),
        ("for=1.2.3.4, for=5.6.7.8;proto=https", ("1.2.3.4", 0, False)),
        ("for=1.2.3.4;proto=https,for=5.6.7.8", ("1.2.3.4", 0, True)),
        ('for=1.2.3.4;host="a, b;for=6.6.6.6"', ("1.2.3.4", 0, False)),
        (", ,for=1.2.3.4;;,", ("1.2.3.4", 0, False)),
        ("for=unknown", None),
        ("for=_hidden, for=1.2.3.4", None),
        ("for=1.2.3.4, for=_hidden", None),
        ("proto=https", None),
        ("for=1.2.3.4;for=5.6.7.8", None),
        ("for=1.2.3.4;proto=http;proto=https", None),
        ("proto=http;proto=https;for=1.2.3.4", None),
        ('for="1.2.3.4', None),
        ('for="1.2.3.4"x', None),
        ("for=1.2.3.4;=", None),
        ("for=1.2.3.4 5.6.7.8", None),
        ("for=2001:db8::1", ("2001:db8::1", 0, False)),
        ("for=", None),
        ("=", None),
        ("1.2.3.4", ("1.2.3.4", 0, False)),  # the original's form
        ("1.2.3.4, 5.6.7.8", ("1.2.3.4", 0, False)),
    ],
)
def test_forwarded_as_in_rfc_7239(header: str, expected: tuple[str, int, bool] | None) -> None:
    assert client_address(make_environ(HTTP_FORWARDED=header)) == (Address(*expected) if expected else DIRECT)


def test_forwarded_fills_in_what_it_does_not_say_from_the_headers_beside_it() -> None:
    environ = make_environ(
        HTTP_FORWARDED="for=1.2.3.4", HTTP_FORWARDED_PORT="81", HTTP_FORWARDED_PROTO="https"
    )
    assert client_address(environ) == Address("1.2.3.4", 81, True)
    environ["HTTP_FORWARDED"] = 'for="1.2.3.4:82";proto=http'
    assert client_address(environ) == Address("1.2.3.4", 82, False)


@pytest.mark.parametrize("text", ["for= ", ' ="', "a=b;", ' "', "\\", 'a="\\', ",", "a", "for=1.2.3.4,"])
def test_a_long_header_costs_no_more_than_its_length(text: str) -> None:
    """It ends within the time limit of the tests; quadratic work on a megabyte would not."""
    for tail in ("", '"', "x", "="):
        client_address(make_environ(HTTP_FORWARDED="for=1.2.3.4;" + text * (200_000 // len(text)) + tail))


def test_the_first_group_that_is_present_decides() -> None:
    environ = make_environ(HTTP_FASTLY_CLIENT_IP="1.1.1.1", HTTP_X_FORWARDED_FOR="2.2.2.2")
    assert client_address(environ).ip == "1.1.1.1"
    environ["HTTP_FASTLY_CLIENT_IP"] = "unknown"
    assert client_address(environ) == DIRECT  # and no other group is tried


def test_one_request_does_not_change_the_order_for_the_next() -> None:
    """As it does in the original."""
    assert client_address(make_environ(HTTP_X_REAL_IP="1.1.1.1")).ip == "1.1.1.1"
    environ = make_environ(HTTP_X_REAL_IP="1.1.1.1", HTTP_X_FORWARDED_FOR="2.2.2.2")
    assert client_address(environ).ip == "2.2.2.2"


# -- proxies that are named


@pytest.mark.parametrize(
    ("header", "trusted", "ip"),
    [
        ("1.2.3.4", ["10.0.0.1"], "1.2.3.4"),
        ("1.2.3.4, 10.9.9.9", None, "1.2.3.4"),
        ("1.2.3.4, 10.9.9.9", ["10.0.0.0/8"], "1.2.3.4"),
        ("1.2.3.4, 10.9.9.9", ["10.0.0.1"], "10.9.9.9"),  # nobody vouches for what the second hop says
        ("6.6.6.6, 1.2.3.4", ["10.0.0.0/8"], "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.9.9.9, 10.8.8.8", ["10.0.0.0/8"], "1.2.3.4"),
        ("unknown, 1.2.3.4", ["10.0.0.0/8"], "1.2.3.4"),  # or everybody could pass for the proxy
        (",, 1.2.3.4, 10.9.9.9", ["10.0.0.0/8"], "1.2.3.4"),
        ("1.2.3.4, unknown", ["10.0.0.0/8"], "10.0.0.1"),
        ("unknown, 10.9.9.9", ["10.0.0.0/8"], "10.0.0.1"),
        ("10.7.7.7, 10.9.9.9", ["10.0.0.0/8"], "10.7.7.7"),  # the client is in the network of the proxies
        ("1.2.3.4", ["192.168.0.0/16"], "10.0.0.1"),
        ("1.2.3.4", [], "10.0.0.1"),
        ("::1, 2001:db8::5", ["10.0.0.0/8", "2001:db8::/32"], "::1"),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy(header: str, trusted: list[str] | None, ip: str) -> None:
    assert client_address(make_environ(HTTP_X_FORWARDED_FOR=header), trusted).ip == ip


def test_a_port_belongs_to_its_own_hop() -> None:
    environ = make_environ(HTTP_X_FORWARDED_FOR="6.6.6.6, 1.2.3.4:55, 10.9.9.9", HTTP_X_FORWARDED_PORT="81")
    assert client_address(environ, ["10.0.0.0/8"]) == Address("1.2.3.4", 55, False)
    environ["HTTP_X_FORWARDED_FOR"] = "6.6.6.6, 1.2.3.4, 10.9.9.9"
    assert client_address(environ, ["10.0.0.0/8"]) == Address("1.2.3.4", 0, False)


def test_forwarded_is_read_from_the_end_too() -> None:
    header = 'for=6.6.6.6;proto=https, for="1.2.3.4:55";proto=http, for=10.9.9.9;proto=https'
    environ = make_environ(HTTP_FORWARDED=header)
    assert client_address(environ, ["10.0.0.0/8"]) == Address("1.2.3.4", 55, False)


@pytest.mark.parametrize("name", ["FASTLY_CLIENT_IP", "Z_FORWARDED_FOR", "FORWARDED", "X_REAL_IP"])
def test_no_other_header_speaks_for_a_proxy_that_sets_x_forwarded_for(name: str) -> None:
    """A proxy passes on what it does not know."""
    environ = make_environ(HTTP_X_FORWARDED_FOR="1.2.3.4", **{f"HTTP_{name}": "6.6.6.6"})
    assert client_address(environ, ["10.0.0.1"]).ip == "1.2.3.4"


@pytest.mark.parametrize("name", ["FASTLY_CLIENT_IP", "Z_FORWARDED_FOR", "FORWARDED", "X_REAL_IP"])
def test_a_trusted_proxy_may_use_any_header(name: str) -> None:
    environ = make_environ(**{f"HTTP_{name}": "1.2.3.4"})
    assert client_address(environ, ["10.0.0.1"]).ip == "1.2.3.4"


def test_a_mapped_ipv4_proxy_is_found_in_an_ipv4_network() -> None:
    environ = make_environ(REMOTE_ADDR="::ffff:10.0.0.1", HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert client_address(environ, ["10.0.0.0/8"]).ip == "1.2.3.4"
    del environ["HTTP_X_FORWARDED_FOR"]
    assert client_address(environ).ip == "10.0.0.1"  # the same client on any socket


def test_without_any_knowledge_the_client_is_local() -> None:
    assert client_address({}) == Address("127.0.0.1", 0, False)
    assert client_address({"REMOTE_ADDR": "", "REMOTE_PORT": "x"}) == Address("127.0.0.1", 0, False)
    assert client_address(make_environ(**{"wsgi.url_scheme": "https"})).secure


@pytest.mark.parametrize("remote", [None, "", "/run/nginx.sock", "@nginx", "\0nginx"])
def test_a_unix_socket_is_a_trusted_neighbour(remote: str | None) -> None:
    environ = make_environ(HTTP_X_FORWARDED_FOR="1.2.3.4")
    del environ["REMOTE_ADDR"], environ["REMOTE_PORT"]  # pywsgi gives none
    if remote is not None:
        environ["REMOTE_ADDR"] = remote  # gunicorn gives an empty one, or the name of the other end
    assert client_address(environ, ["10.0.0.0/8"]).ip == "1.2.3.4"
    assert client_address(environ, []) == Address("127.0.0.1", 0, False)
    del environ["HTTP_X_FORWARDED_FOR"]
    assert client_address(environ, ["10.0.0.0/8"]) == Address("127.0.0.1", 0, False)


def test_an_end_without_an_address_is_no_neighbour() -> None:
    environ = make_environ(REMOTE_ADDR="unknown", HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert client_address(environ, ["10.0.0.0/8"]) == Address("127.0.0.1", 5000, False)


@pytest.mark.parametrize("port", ["5000", 5000])
def test_the_port_of_the_socket_is_a_text_or_a_number(port: Any) -> None:
    assert client_address(make_environ(REMOTE_PORT=port)) == DIRECT


@given(st.text(alphabet='for=proto;," \\1.2:[]%', max_size=60), st.booleans())
def test_no_forwarded_header_can_break_the_address(header: str, trusting: bool) -> None:
    address = client_address(make_environ(HTTP_FORWARDED=header), None if trusting else ["10.0.0.0/8"])
    assert "." in address.ip or ":" in address.ip
    assert 0 <= address.port < 65536


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


# -- what middleware sets on a request


def test_forwarded_is_the_specifications_name_for_the_address() -> None:
    request = Request(make_environ(HTTP_X_FORWARDED_FOR="6.6.6.6, 1.2.3.4"), populate_request=False)
    assert request.forwarded == Address("6.6.6.6", 0, False)
    request.trusted_proxies = ["10.0.0.0/8"]
    assert request.forwarded == Address("1.2.3.4", 0, False)
    request.trusted_proxies = []
    assert request.forwarded == DIRECT
    assert Request.trusted_proxies is None


def test_what_middleware_sets_is_there_again() -> None:
    environ = make_environ(HTTP_X_FORWARDED_FOR="1.2.3.4")
    seen = Request(environ, populate_request=False)
    user = object()
    seen.user = user  # type: ignore[attr-defined]
    seen._private = None  # type: ignore[attr-defined]
    seen.trusted_proxies = []
    record = RequestRecord(environ, seen)
    again: Any = record.request()
    assert again is not seen
    assert again.user is user
    assert again._private is None
    assert again.path == "/primus/"
    again.user = "other"
    assert record.request().user is user  # type: ignore[attr-defined]
    assert again.forwarded.ip == "1.2.3.4"
    assert record.request([]).forwarded == DIRECT


def test_a_request_that_was_only_looked_at_costs_nothing() -> None:
    environ = make_environ(
        CONTENT_TYPE="application/json",
        CONTENT_LENGTH="2",
        HTTP_AUTHORIZATION="Basic YTpi",
        HTTP_COOKIE="a=b",
    )
    environ["wsgi.input"] = BytesIO(b"{}")
    seen = Request(environ, populate_request=False)
    assert seen.json == {}
    for name in dir(Request):
        if not name.startswith("__"):
            with contextlib.suppress(Exception):  # some do not like what they find
                value = getattr(seen, name)
                if name.startswith("get_"):
                    value()
    assert {"args", "cookies", "form"} <= set(vars(seen))
    assert RequestRecord(environ, seen)._attributes is None
    assert RequestRecord(environ)._attributes is None
    assert RequestRecord(environ, Request(environ, populate_request=False))._attributes is None


def test_a_request_of_a_subclass_keeps_what_was_set_too() -> None:
    class Mine(Request):
        note = "of the class"

    environ = make_environ()
    seen = Mine(environ, populate_request=False)
    seen.user = "anna"  # type: ignore[attr-defined]
    assert RequestRecord(environ, seen).request().user == "anna"  # type: ignore[attr-defined]


def test_no_request_holds_itself() -> None:
    """A cycle would keep it until the garbage collector comes round."""
    request = RequestRecord(make_environ()).request()
    assert not any(value is request for value in request.environ.values())
