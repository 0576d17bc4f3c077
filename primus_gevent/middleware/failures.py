"""What a client is told when a layer or the authorization refuses its request.

Specification, "Authorization": an error may be a text, an exception, or a mapping with ``message``,
``status_code`` and ``authenticate``; the answer is ``{"error": message}``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import simplejson
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from ..dispatchers import FAILURES
from ..errors import AuthorizationError
from . import Response

__all__ = ["as_json", "failure", "going_down", "internal_error", "is_refusal", "reason_of", "says_status"]

logger = logging.getLogger("primus_gevent")

UNAUTHORIZED = 401
SERVICE_UNAVAILABLE = 503

MAX_REASON_READ = 4096  # bytes of an answer that are looked at for a reason of 123
_NOT_OF_A_HEADER = re.compile(r"[^\x20-\x7e\x80-\xff]+")

Headers = Iterable[tuple[str, str]]


def failure(error: Any, default_status: int) -> Any:
    """The answer to a request that was refused with ``error``; a WSGI application.

    Args:
        error: text, exception (also werkzeug's, as ``abort`` raises them), mapping, or any other object.
        default_status: where the error names none.
    """
    try:
        if isinstance(error, HTTPException):
            return _of_werkzeug(error, default_status)
        status, told, authenticate = _parts(error)
        status = _usable(status, default_status)
        headers = [("WWW-Authenticate", str(authenticate))] if authenticate else []
        return _refusal(status, told, headers)
    except FAILURES:  # somebody else's class has been asked for its text
        logger.exception("an error of the type %s cannot be put into words", type(error).__name__)
        return _refusal(default_status, HTTP_STATUS_CODES[default_status])


def _parts(error: Any) -> tuple[Any, Any, Any]:
    if isinstance(error, Mapping):
        # `statusCode` is the specification's spelling; both are keys here, so both can live.
        status = error.get("status_code", error.get("statusCode"))
        return status, error.get("message") or dict(error), error.get("authenticate")
    status, authenticate = getattr(error, "status_code", None), getattr(error, "authenticate", None)
    told = getattr(error, "message", None)
    if not told:
        told = str(error) or type(error).__name__ if isinstance(error, BaseException) else error
    return status, told, authenticate


def _of_werkzeug(error: HTTPException, default_status: int) -> Any:
    if error.response is not None or (error.code or 0) in range(300, 400):
        response: Any = error.get_response()  # `abort(response)`, or a redirect
        if callable(response):
            return response
    headers = [header for header in error.get_headers() if header[0].lower() != "content-type"]
    return _refusal(_usable(error.code, default_status), error.description or error.name, headers)


def _refusal(status: int, told: Any, headers: Headers = ()) -> Response:
    # Of a message that came from outside, say: a line end would begin another header.
    clean = [
        (name, " ".join(_NOT_OF_A_HEADER.sub(" ", value).split()))
        for name, value in headers
        if status == UNAUTHORIZED or name.lower() != "www-authenticate"
    ]
    return Response(status, as_json({"error": told}), "application/json", clean)


def _usable(status: Any, default: int) -> int:
    return int(status) if _is_status(status) and 300 <= status <= 599 else default


def _is_status(status: Any) -> bool:
    return isinstance(status, int) and not isinstance(status, bool)  # `http.HTTPStatus` is an int too


def is_refusal(error: Any) -> bool:
    """Whether what a callback was given is an error. As in JavaScript, an empty mapping is one, and no number
    or text that stands for nothing."""
    return not (error is None or (isinstance(error, (bool, int, float, str)) and not error))


def says_status(error: BaseException) -> bool:
    """Whether an exception is meant for the client: it is made for that, or knows its HTTP status."""
    return isinstance(error, (AuthorizationError, HTTPException)) or _is_status(
        getattr(error, "status_code", None)
    )


def internal_error() -> Response:
    """The answer where something is broken: what it is stands in the log, and is not for the peer."""
    return _refusal(500, "Internal Server Error")


def going_down() -> Response:
    """The answer when the server stops a request that was waiting for somebody."""
    answer = _refusal(SERVICE_UNAVAILABLE, "This server is going down")
    answer.headers.append(("Connection", "close"))
    return answer


def as_json(value: Any) -> str:
    """JSON as `JSON.stringify` spaces it."""
    text: str = simplejson.dumps(value, default=str, ignore_nan=True, separators=(",", ":"))
    return text


def reason_of(answer: Any, environ: Mapping[str, Any]) -> tuple[int, str]:
    """An answer in what a Close frame has room for, where no HTTP can be sent any more.

    Returns:
        The status (500 of an answer that fails), and the message of a JSON error, or a plain text; else the
        name of the status.
    """
    told: list[Any] = ["500 ", []]

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        told[:] = status, headers

    # Neither compressed nor left out: nobody else will see it.
    plain = {**environ, "REQUEST_METHOD": "GET", "HTTP_ACCEPT_ENCODING": ""}
    body = b""
    try:
        chunks = answer(plain, start_response)
        try:
            for chunk in chunks:
                body += chunk
                if len(body) >= MAX_REASON_READ:
                    break
        finally:
            with suppress(AttributeError):
                chunks.close()
    except FAILURES:
        logger.exception("the answer of a layer failed")
    status, headers = told
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    text = (
        body.decode("utf-8", "ignore").strip() if kind.startswith(("text/plain", "application/json")) else ""
    )
    if kind.startswith("application/json"):
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            error = simplejson.loads(text)["error"]
            text = error if isinstance(error, str) else as_json(error)
    code, _, name = status.partition(" ")
    return int(code), text or name
