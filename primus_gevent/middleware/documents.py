"""The two documents below the pathname: ``primus.js``, the client, and ``spec``, what a client must know."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import simplejson

from . import Response

__all__ = ["library", "spec"]


def library(source: str, environ: Mapping[str, Any]) -> Response:
    """Answer with the client; revalidated at each use, because it changes with the server's options."""
    # Weak, because the gzipped and the plain form share it (RFC 9110, section 8.8.1).
    etag = f'W/"{hashlib.sha256(source.encode()).hexdigest()[:32]}"'
    headers = [("ETag", etag), ("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff")]
    known = environ.get("HTTP_IF_NONE_MATCH", "")
    if known.strip() == "*" or etag[2:] in known:
        return Response(304, headers=headers, content_type="text/javascript; charset=utf-8")
    return Response(200, source, "text/javascript; charset=utf-8", headers)


def spec(document: Mapping[str, Any]) -> Response:
    """Answer with the specification document (specification, "Connecting from the server")."""
    return Response(200, simplejson.dumps(document), "application/json", [("Cache-Control", "no-cache")])
