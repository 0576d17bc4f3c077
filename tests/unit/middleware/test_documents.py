"""The client and the spec as documents: revalidated, compressed once, spaced as the original does."""

from __future__ import annotations

import gzip
from typing import Any

from primus_gevent.middleware import Response, documents


def answer(response: Response, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    got: list[Any] = []
    body = b"".join(response({"REQUEST_METHOD": "GET", **environ}, lambda *args: got.extend(args)))
    return got[0], dict(got[1]), body


def test_the_library_is_revalidated() -> None:
    _, headers, body = answer(documents.library("code", {}))
    assert (body, headers["Cache-Control"], headers["X-Content-Type-Options"]) == (
        b"code",
        "no-cache",
        "nosniff",
    )
    etag = headers["ETag"]
    for known in (etag, etag[2:], f'"x", {etag}', "*"):
        status, again, body = answer(documents.library("code", {"HTTP_IF_NONE_MATCH": known}))
        assert (status, body) == ("304 Not Modified", b"")
        assert again["ETag"] == etag
        assert "Content-Length" not in again
    assert answer(documents.library("other", {"HTTP_IF_NONE_MATCH": etag}))[0] == "200 OK"


def test_a_cache_is_told_the_same_by_304() -> None:
    """RFC 9110, 15.4.5: or it would take the gzipped body for everybody's."""
    source = "a client " * 1000
    _, first, _ = answer(documents.library(source, {}))
    _, again, _ = answer(documents.library(source, {"HTTP_IF_NONE_MATCH": first["ETag"]}))
    assert first["Vary"] == "Accept-Encoding"
    assert {name: again[name] for name in ("Cache-Control", "ETag", "Vary")} == {
        name: first[name] for name in ("Cache-Control", "ETag", "Vary")
    }


def test_the_spec_is_json() -> None:
    status, headers, body = answer(documents.spec({"a": False}))
    assert (status, headers["Content-Type"], body) == ("200 OK", "application/json", b'{"a":false}')


def test_the_library_is_compressed_once(monkeypatch: Any) -> None:
    source = "a client that no other test has " * 100
    first = answer(documents.library(source, {}), HTTP_ACCEPT_ENCODING="gzip")
    monkeypatch.setattr(gzip, "compress", None)
    again = answer(documents.library(source, {}), HTTP_ACCEPT_ENCODING="gzip")
    assert again == first
    assert gzip.decompress(again[2]).decode() == source
    assert again[1]["ETag"] == answer(documents.library(source, {}))[1]["ETag"]
