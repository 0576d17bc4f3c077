"""Raw requests, good and bad, and what becomes of each. The parser's tests and those of the server share
them.

What is not said to be otherwise is a request for ``/seen``, whose answer says what the application saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest


@dataclass(frozen=True)
class Good:
    """A request that reaches the application.

    Attributes:
        environ: entries that the application has to see; None: it must not see that.
        body: what it reads.
        keeps_alive: the connection goes on.
        like_pywsgi: plain pywsgi shows the application the same.
    """

    raw: bytes
    environ: dict[str, str | None] = field(default_factory=dict)
    body: bytes = b""
    keeps_alive: bool = True
    like_pywsgi: bool = True


@dataclass(frozen=True)
class Bad:
    """One that is refused with `status`; `in_body`: by the time the application reads the body."""

    raw: bytes
    status: int = 400
    in_body: bool = False


def get(*fields: bytes, line: bytes = b"GET /seen HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"Host: localhost", *fields, b"", b""]) + body


def post(*fields: bytes, body: bytes = b"", line: bytes = b"POST /seen HTTP/1.1") -> bytes:
    return get(*fields, line=line, body=body)


def chunked(body: bytes, *fields: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


def bare(line: bytes) -> bytes:
    """Without Host."""
    return line + b"\r\n\r\n"


GOOD = {
    "plain": Good(get(), {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": ""}),
    "query": Good(get(line=b"GET /seen?a=b&c?d=%20 HTTP/1.1"), {"QUERY_STRING": "a=b&c?d=%20"}),
    "escaped path": Good(get(line=b"GET /seen/%41%c3%a4 HTTP/1.1"), {"PATH_INFO": "/seen/A\xc3\xa4"}),
    "wrongly escaped path": Good(get(line=b"GET /seen/%zz%4 HTTP/1.1"), {"PATH_INFO": "/seen/%zz%4"}),
    "raw bytes in the path": Good(get(line=b"GET /seen/\xc3\xa4 HTTP/1.1"), {"PATH_INFO": "/seen/\xc3\xa4"}),
    "two slashes": Good(get(line=b"GET /seen//x HTTP/1.1"), {"PATH_INFO": "/seen//x"}),
    "another method": Good(get(line=b"M-SEARCH /seen HTTP/1.1"), {"REQUEST_METHOD": "M-SEARCH"}),
    "method in lower case": Good(get(line=b"get /seen HTTP/1.1"), {"REQUEST_METHOD": "get"}),
    "HTTP/1.0": Good(bare(b"GET /seen HTTP/1.0"), {"SERVER_PROTOCOL": "HTTP/1.0"}, keeps_alive=False),
    "HTTP/1.0 kept": Good(b"GET /seen HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", {"HTTP_HOST": None}),
    "HTTP/1.0 expects": Good(
        b"POST /seen HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        body=b"ab",
        keeps_alive=False,
        like_pywsgi=False,  # sends a 100
    ),
    "HTTP/1.2": Good(get(line=b"GET /seen HTTP/1.2"), {"SERVER_PROTOCOL": "HTTP/1.1"}, like_pywsgi=False),
    "close": Good(get(b"Connection: Close"), keeps_alive=False),
    "close in a list": Good(get(b"Connection: x ,\tclose"), keeps_alive=False, like_pywsgi=False),
    "close in the second field": Good(
        get(b"Connection: x", b"Connection: close"), keeps_alive=False, like_pywsgi=False
    ),
    "empty line before": Good(b"\r\n" + get(), like_pywsgi=False),
    "absolute form": Good(
        get(line=b"GET http://other.example:81/seen?x HTTP/1.1"),
        {"PATH_INFO": "/seen", "QUERY_STRING": "x", "HTTP_HOST": "other.example:81"},
        like_pywsgi=False,
    ),
    "absolute form in capitals": Good(
        get(line=b"GET HTTPS://[::1]/seen HTTP/1.1"),
        {"PATH_INFO": "/seen", "HTTP_HOST": "[::1]"},
        like_pywsgi=False,
    ),
    "absolute form without a path": Good(
        get(line=b"GET http://localhost?x HTTP/1.1"),
        {"PATH_INFO": "/", "QUERY_STRING": "x"},
        like_pywsgi=False,
    ),
    "asterisk": Good(get(line=b"OPTIONS * HTTP/1.1"), {"PATH_INFO": "*"}),
    "empty host": Good(b"GET /seen HTTP/1.1\r\nHost:\r\n\r\n", {"HTTP_HOST": ""}),
    "IPv6 host": Good(b"GET /seen HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", {"HTTP_HOST": "[::1]:80"}),
    "white space around a value": Good(get(b"X: \t a  b \t"), {"HTTP_X": "a  b"}),
    "no white space": Good(get(b"X:y"), {"HTTP_X": "y"}),
    "a colon in a value": Good(get(b"X: a:b"), {"HTTP_X": "a:b"}),
    "empty value": Good(get(b"X:"), {"HTTP_X": ""}),
    "bytes in a value": Good(get(b"X: \xe4\x85\xa0"), {"HTTP_X": "\xe4\x85\xa0"}, like_pywsgi=False),
    "odd name": Good(get(b"x!#$%&'*+.^`|~9: y"), {"HTTP_X!#$%&'*+.^`|~9": "y"}),
    "name in other letters": Good(get(b"x-fOO: y"), {"HTTP_X_FOO": "y"}),
    "underscore": Good(get(b"X_Foo: y", b"Content_Length: 5"), {"HTTP_X_FOO": None, "CONTENT_LENGTH": None}),
    "underscore beside": Good(get(b"X-Foo: a", b"X_Foo: b"), {"HTTP_X_FOO": "a"}),
    "repeated": Good(get(b"X: a", b"x: b"), {"HTTP_X": "a,b"}),
    "cookies": Good(get(b"Cookie: a=b", b"Cookie: c=d"), {"HTTP_COOKIE": "a=b; c=d"}),
    "a hundred fields": Good(
        get(*[b"X%d: y" % number for number in range(99)]), {"HTTP_X98": "y"}, like_pywsgi=False
    ),
    "long value": Good(get(b"X: " + b"y" * 30_000), {"HTTP_X": "y" * 30_000}),
    "length": Good(
        post(b"Content-Type: a/b", b"Content-Length: 5", body=b"hello"),
        {"CONTENT_LENGTH": "5", "CONTENT_TYPE": "a/b", "HTTP_CONTENT_LENGTH": None},
        b"hello",
    ),
    "length with zeros": Good(post(b"Content-Length: 005", body=b"hello"), body=b"hello"),
    "no body": Good(post(b"Content-Length: 0"), {"CONTENT_LENGTH": "0"}),
    "body of GET": Good(get(b"Content-Length: 5", body=b"hello"), body=b"hello"),
    "long body": Good(post(b"Content-Length: 100000", body=b"x" * 100_000), body=b"x" * 100_000),
    "chunks": Good(
        chunked(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
        {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": None},
        b"hello!",
    ),
    "chunks in capitals": Good(
        post(b"Transfer-Encoding: CHUNKED", body=b"A\r\nhellohello\r\n0\r\n\r\n"), body=b"hellohello"
    ),
    "chunk with zeros": Good(chunked(b"0005\r\nhello\r\n000\r\n\r\n"), body=b"hello"),
    "chunk with an extension": Good(chunked(b'5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n'), body=b"hello"),
    "space before an extension": Good(
        chunked(b"5 \t; a\r\nhello\r\n0\r\n\r\n"), body=b"hello", like_pywsgi=False
    ),
    "trailers": Good(chunked(b"0\r\nX: y\r\nContent-Length: 9\r\n\r\n"), {"HTTP_X": None}),
    "line ends in a chunk": Good(chunked(b"4\r\n\r\n\r\n\r\n0\r\n\r\n"), body=b"\r\n\r\n"),
}

BAD = {
    # the line
    "HTTP/0.9": Bad(bare(b"GET /seen")),
    "nothing but a word": Bad(bare(b"garbage")),
    "TLS": Bad(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "HTTP/2": Bad(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/3": Bad(get(line=b"GET /seen HTTP/3.0"), 505),
    "HTTP/0.9 in words": Bad(get(line=b"GET /seen HTTP/0.9"), 505),
    "version in lower case": Bad(get(line=b"GET /seen http/1.1")),
    "version with zeros": Bad(get(line=b"GET /seen HTTP/01.1")),
    "version with three parts": Bad(get(line=b"GET /seen HTTP/1.1.1")),
    "version without a part": Bad(get(line=b"GET /seen HTTP/1")),
    "another protocol": Bad(get(line=b"GET /seen HTCPCP/1.0")),
    "two spaces": Bad(get(line=b"GET  /seen HTTP/1.1")),
    "space at the end": Bad(get(line=b"GET /seen HTTP/1.1 ")),
    "space at the beginning": Bad(get(line=b" GET /seen HTTP/1.1")),
    "space in the target": Bad(get(line=b"GET /se en HTTP/1.1")),
    "tabs": Bad(get(line=b"GET\t/seen\tHTTP/1.1")),
    "tab in the target": Bad(get(line=b"GET /se\ten HTTP/1.1")),
    "two empty lines before": Bad(b"\r\n\r\n" + get()),
    "method with a parenthesis": Bad(get(line=b"G(T /seen HTTP/1.1")),
    "method with bytes": Bad(get(line=b"G\xc4T /seen HTTP/1.1")),
    "CONNECT": Bad(get(line=b"CONNECT localhost:80 HTTP/1.1"), 501),
    "relative target": Bad(get(line=b"GET seen HTTP/1.1")),
    "asterisk of GET": Bad(get(line=b"GET * HTTP/1.1")),
    "another scheme": Bad(get(line=b"GET ftp://localhost/seen HTTP/1.1")),
    "absolute form without host": Bad(get(line=b"GET http:///seen HTTP/1.1")),
    "absolute form with a user": Bad(get(line=b"GET http://user@localhost/seen HTTP/1.1")),
    "fragment": Bad(get(line=b"GET /seen#x HTTP/1.1")),
    "NUL in the target": Bad(get(line=b"GET /seen\0 HTTP/1.1")),
    "line break in the target": Bad(b"GET /seen\r\nX: y HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "line too long": Bad(get(line=b"GET /" + b"x" * 8192 + b" HTTP/1.1"), 414),
    "line without end": Bad(b"GET /" + b"x" * 100_000, 414),
    # lines
    "LF only": Bad(b"GET /seen HTTP/1.1\nHost: localhost\n\n"),
    "one LF": Bad(get(b"X: y\nZ: z")),
    "one CR": Bad(get(b"X: y\rZ: z")),
    "CR at the end": Bad(get(b"X: y\r")),
    "NUL in a value": Bad(get(b"X: \0")),
    "DEL in a value": Bad(get(b"X: \x7f")),
    "control character in a value": Bad(get(b"X: \x1b[2J")),
    # fields
    "folded": Bad(get(b"X: y", b" z")),
    "folded with a tab": Bad(get(b"X: y", b"\tz")),
    "folded at once": Bad(b"GET /seen HTTP/1.1\r\n Host: localhost\r\n\r\n"),
    "space before the colon": Bad(get(b"X : y")),
    "space in a length's name": Bad(post(b"Content-Length : 5", body=b"hello")),
    "no colon": Bad(get(b"X")),
    "known name without a colon": Bad(get(b"Host")),
    "no name": Bad(get(b": y")),
    "parenthesis in a name": Bad(get(b"X(y: z")),
    "bytes in a name": Bad(get(b"X\xe4: z")),
    "no Host": Bad(bare(b"GET /seen HTTP/1.1")),
    "two Hosts": Bad(get(b"Host: localhost")),
    "two hosts in one": Bad(b"GET /seen HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    "path in Host": Bad(b"GET /seen HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "user in Host": Bad(b"GET /seen HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    "port of Host": Bad(b"GET /seen HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    "too many fields": Bad(get(*[b"X: y"] * 100), 431),
    "fields too long": Bad(get(b"X: " + b"y" * 70_000), 431),
    "fields without end": Bad(b"GET /seen HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, 431),
    "another expectation": Bad(get(b"Expect: 200-ok"), 417),
    # lengths
    "two lengths": Bad(post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello")),
    "twice the same length": Bad(post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    "two lengths in one": Bad(post(b"Content-Length: 5, 5", body=b"hello")),
    "length with a sign": Bad(post(b"Content-Length: +5", body=b"hello")),
    "negative length": Bad(post(b"Content-Length: -1")),
    "length in hexadecimal": Bad(post(b"Content-Length: 0x5", body=b"hello")),
    "length with an underscore": Bad(post(b"Content-Length: 1_0", body=b"hellohello")),
    "length with a superscript": Bad(post(b"Content-Length: \xb2", body=b"he")),
    "length with a no-break space": Bad(post(b"Content-Length: 5\xa0", body=b"hello")),
    "empty length": Bad(post(b"Content-Length:")),
    "huge length": Bad(post(b"Content-Length: " + b"9" * 30)),
    "length and chunks": Bad(chunked(b"0\r\n\r\n", b"Content-Length: 5")),
    "chunks and length": Bad(post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    # codings
    "chunked twice": Bad(post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    "chunked in two fields": Bad(chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked")),
    "chunked is not the last": Bad(post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n")),
    "another coding before": Bad(post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "identity": Bad(post(b"Transfer-Encoding: identity")),
    "no coding": Bad(post(b"Transfer-Encoding:", body=b"0\r\n\r\n")),
    "nearly chunked": Bad(post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "chunked with a parameter": Bad(post(b"Transfer-Encoding: chunked;x", body=b"0\r\n\r\n")),
    "chunked and a no-break space": Bad(post(b"Transfer-Encoding: chunked\xa0", body=b"0\r\n\r\n")),
    "chunked in quotes": Bad(post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n")),
    "chunked in HTTP/1.0": Bad(
        get(b"Transfer-Encoding: chunked", line=b"POST /seen HTTP/1.0", body=b"0\r\n\r\n")
    ),
    # chunks
    "chunk in hexadecimal notation": Bad(chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk with a sign": Bad(chunked(b"+5\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "negative chunk": Bad(chunked(b"-5\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk with a space": Bad(chunked(b" 5\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk with a space behind": Bad(chunked(b"5 \r\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk without size": Bad(chunked(b"\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk with an underscore": Bad(chunked(b"0_5\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk of letters": Bad(chunked(b"xyz\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "huge chunk": Bad(chunked(b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk's line ends in LF": Bad(chunked(b"5\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk ends in LF": Bad(chunked(b"5\r\nhello\n0\r\n\r\n"), in_body=True),
    "chunk too long": Bad(chunked(b"4\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "chunk too short": Bad(chunked(b"6\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "CR in an extension": Bad(chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "NUL in an extension": Bad(chunked(b"5;\0\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "extension too long": Bad(chunked(b"5;" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n"), in_body=True),
    "trailer without colon": Bad(chunked(b"0\r\nX\r\n\r\n"), in_body=True),
    "trailer with a CR": Bad(chunked(b"0\r\nX: a\rb\r\n\r\n"), in_body=True),
    "folded trailer": Bad(chunked(b"0\r\nX: a\r\n b\r\n\r\n"), in_body=True),
    "trailers too long": Bad(chunked(b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n"), 431, in_body=True),
}


def table(rows: dict[str, Good] | dict[str, Bad]) -> list[object]:
    """The rows as parameters of a test."""
    return [pytest.param(row, id=name) for name, row in rows.items()]
