"""What a client is told when a layer or the authorization refuses its request.

Specification, "Authorization": an error may be a text, an exception, or a mapping with ``message``,
``status_code`` and ``authenticate``; the answer is ``{"error": message}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import simplejson
from werkzeug.exceptions import HTTPException

from . import Response

__all__ = ["failure", "internal_error", "is_refusal", "says_status"]

UNAUTHORIZED = 401


def failure(error: Any, default_status: int) -> Response:
    """The answer to a request that was refused with ``error``.

    Args:
        error: text, exception (also werkzeug's, as ``abort`` raises them) or mapping.
        default_status: where the error names none.
    """
    status: Any
    told: Any
    if isinstance(error, HTTPException):
        status, told, authenticate = error.code, error.description, getattr(error, "www_authenticate", None)
    elif isinstance(error, Mapping):
        # `statusCode` is the specification's spelling; both are keys here, so both can live.
        status = error.get("status_code", error.get("statusCode"))
        told, authenticate = error.get("message") or dict(error), error.get("authenticate")
    elif isinstance(error, BaseException):
        status, authenticate = getattr(error, "status_code", None), getattr(error, "authenticate", None)
        told = getattr(error, "message", None) or str(error) or type(error).__name__
    else:
        status, told, authenticate = None, error, None
    if type(status) is not int or not 300 <= status <= 599:
        status = default_status
    headers = []
    if authenticate and status == UNAUTHORIZED:
        headers.append(("WWW-Authenticate", _one_line(str(authenticate))))
    return Response(status, _body(told), "application/json", headers)


def is_refusal(error: Any) -> bool:
    """Whether what a callback was given is an error: an empty mapping is one, as in JavaScript."""
    return error is not None and error is not False and error != ""


def says_status(error: BaseException) -> bool:
    """Whether an exception is meant for the client: it knows its HTTP status."""
    return isinstance(error, HTTPException) or type(getattr(error, "status_code", None)) is int


def internal_error() -> Response:
    """The answer where something is broken: what it is stands in the log, and is not for the peer."""
    return Response(500, _body("Internal Server Error"), "application/json")


def _body(told: Any) -> str:
    text: str = simplejson.dumps({"error": told}, default=str, ignore_nan=True)
    return text


def _one_line(value: str) -> str:
    # Of a message that came from outside, say: a line end would begin another header.
    return " ".join(value.split())
