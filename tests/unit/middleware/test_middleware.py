"""Our own HTTP answers, and whose pages may connect."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from primus_gevent.middleware import Response, accepts_gzip, inherited, sendable, sendable_status
from primus_gevent.middleware.origins import is_allowed


def answer(response: Response, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    got: list[Any] = []
    body = b"".join(response({"REQUEST_METHOD": "GET", **environ}, lambda *args: got.extend(args)))
    return got[0], dict(got[1]), body


def test_a_response_tells_its_length() -> None:
    status, headers, body = answer(Response(404, "nö", headers=[("X-A", "b")]))
    assert status == "404 Not Found"
    assert headers == {"Content-Type": "text/plain", "X-A": "b", "Content-Length": "3"}
    assert body == "nö".encode()


def test_head_has_the_length_and_no_body() -> None:
    _, headers, body = answer(Response(200, "hello"), REQUEST_METHOD="HEAD")
    assert (headers["Content-Length"], body) == ("5", b"")


def test_only_a_large_body_is_gzipped_and_only_for_who_wants_it() -> None:
    text = "hello " * 1000
    _, headers, body = answer(Response(200, text), HTTP_ACCEPT_ENCODING="br, gzip")
    assert gzip.decompress(body).decode() == text
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Vary"] == "Accept-Encoding"
    assert headers["Content-Length"] == str(len(body))
    _, headers, body = answer(Response(200, text))
    assert body.decode() == text
    assert headers["Vary"] == "Accept-Encoding"
    _, headers, _ = answer(Response(200, "small"), HTTP_ACCEPT_ENCODING="gzip")
    assert "Content-Encoding" not in headers


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("*, gzip;q=0", False),
        ("*;q=0, gzip", True),
        ("br", False),
        ("", False),
        ("xgzip", False),
    ],
)
def test_accept_encoding(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


# -- origins


def allowed(origin: str | None, origins: Any, host: str = "example.com", scheme: str = "http") -> bool:
    environ = {"HTTP_HOST": host, "wsgi.url_scheme": scheme}
    if origin is not None:
        environ["HTTP_ORIGIN"] = origin
    return is_allowed(environ, origins)


@pytest.mark.parametrize("origins", ["*", ("http://a.example",), ("self",), lambda origin: False])
def test_who_has_no_origin_is_no_page(origins: Any) -> None:
    assert allowed(None, origins)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "%"])
def test_the_star_lets_everybody_in(origin: str) -> None:
    assert allowed(origin, "*")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://a.example", True),
        ("HTTP://A.Example", True),
        ("http://a.example/", True),
        ("https://a.example", False),
        ("http://a.example:8080", False),
        ("http://b.a.example", False),
        ("http://a.example.evil", False),
        ("null", False),
        ("", False),
        ("self", False),
    ],
)
def test_a_list_is_compared_whole(origin: str, expected: bool) -> None:
    assert allowed(origin, ("http://a.example",)) is expected


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "expected"),
    [
        ("http://example.com", "example.com", "http", True),
        ("http://example.com", "example.com:80", "http", True),
        ("https://example.com", "example.com", "http", True),  # a proxy may end TLS before us
        ("https://example.com", "example.com:443", "http", True),
        ("http://example.com:8080", "example.com:8080", "http", True),
        ("http://EXAMPLE.com", "example.COM", "http", True),
        ("http://[::1]:8080", "[::1]:8080", "http", True),
        ("http://example.com:8080", "example.com", "http", False),
        ("http://evil.com", "example.com", "http", False),
        ("http://example.com.evil.com", "example.com", "http", False),
        ("null", "example.com", "http", False),
        ("self", "example.com", "http", False),
        ("http://", "", "http", False),
        ("http://[", "example.com", "http", False),
        ("http://example.com:99999", "example.com", "http", False),
        ("http://example.com", "example.com:x", "http", False),
    ],
)
def test_self_is_the_same_host(origin: str, host: str, scheme: str, expected: bool) -> None:
    assert allowed(origin, ("self",), host, scheme) is expected
    assert allowed(origin, ("http://other.example", "self"), host, scheme) is expected


def test_a_function_decides() -> None:
    seen: list[str] = []
    assert allowed("http://a", lambda origin: seen.append(origin) or 1) is True  # type: ignore[func-returns-value]
    assert seen == ["http://a"]
    assert allowed("http://a", lambda origin: None) is False


# -- headers of layers and of the answer


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        ([], [], []),
        ([("A", "1")], [("a", "2"), ("B", "3")], [("A", "1"), ("B", "3")]),
        ([], [("Link", "1"), ("Link", "2")], [("Link", "1"), ("Link", "2")]),
        ([("Set-Cookie", "a")], [("Set-Cookie", "a"), ("Set-Cookie", "b")], "own, Set-Cookie b"),
        ([], [("Content-Length", "9"), ("Content-Type", "x"), ("Content-Encoding", "gzip")], []),
        ([("Vary", "A")], [("vary", "a, B"), ("Vary", "b,, C")], [("Vary", "A, B, C")]),
        ([("Vary", "A")], [("Vary", "*")], [("Vary", "*")]),
        ([("Vary", "A")], [], [("Vary", "A")]),
        ([], [("Vary", "A")], [("Vary", "A")]),
    ],
)
def test_headers_are_united(own: Any, others: Any, expected: Any) -> None:
    if isinstance(expected, str):
        expected = [*own, ("Set-Cookie", "b")]
    assert inherited(own, others) == expected


def test_headers_that_cannot_be_sent_are_named_in_the_log(caplog: Any) -> None:
    good = [("X-A", "é\t"), ("x_b!", "")]
    bad = [("X:", "v"), ("", "v"), ("X\n", "v"), ("X", "v\n"), ("X", "v\r"), ("X", "\x7f"), ("X", "ł")]
    assert sendable([*good, *bad]) == good
    assert caplog.text.count("left out the header") == len(bad)
    assert "ł" not in caplog.text  # a value may be a secret


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        ("200 OK", "200 OK"),
        ("404 ", "404 "),
        ("404", "404 Not Found"),
        ("404\r\nX: y", "404 Not Found"),
        ("404 a\nb", "404 Not Found"),
        ("4040", "500 Internal Server Error"),
        ("101 Switching Protocols", "500 Internal Server Error"),
        ("600 x", "500 Internal Server Error"),
        ("", "500 Internal Server Error"),
    ],
)
def test_statuses(status: str, sent: str) -> None:
    assert sendable_status(status) == sent
