"""The two documents below the pathname: ``primus.js``, the client, and ``spec``, what a client must know."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import simplejson

from . import Response

__all__ = ["library", "spec"]


def library(source: str, environ: Mapping[str, Any]) -> Response:
    """Answer with the client; revalidated at each use, because it changes with the server's options."""
    etag, body, packed = _prepared(source)
    headers = [("ETag", etag), ("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff")]
    known = environ.get("HTTP_IF_NONE_MATCH", "")
    if known.strip() == "*" or etag[2:] in known:
        headers.append(("Vary", "Accept-Encoding"))  # all that 200 would have (RFC 9110, section 15.4.5)
        return Response(304, headers=headers, content_type="text/javascript; charset=utf-8")
    return Response(200, body, "text/javascript; charset=utf-8", headers, packed=packed)


@lru_cache(maxsize=16)
def _prepared(source: str) -> tuple[str, bytes, bytes]:
    # Compressing takes a millisecond, which is long where everything else is to wait for it.
    body = source.encode()
    # Weak, because the gzipped and the plain form share it (RFC 9110, section 8.8.1).
    return f'W/"{hashlib.sha256(body).hexdigest()[:32]}"', body, gzip.compress(body, mtime=0)


def spec(document: Mapping[str, Any]) -> Response:
    """Answer with the specification document (specification, "Connecting from the server")."""
    text = simplejson.dumps(document, separators=(",", ":"))
    return Response(200, text, "application/json", [("Cache-Control", "no-cache")])
