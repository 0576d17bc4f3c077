"""Which web pages may connect (RFC 6455, section 10.2): a browser always says where a script comes from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from greenlet import GreenletExit

from ..dispatchers import FAILURES

__all__ = ["is_allowed", "is_script_allowed"]

logger = logging.getLogger("primus_gevent")

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def is_allowed(environ: Mapping[str, Any], origins: Any) -> bool:
    """Whether the ``Origin`` of this request is one of ``origins`` (see the option of that name).

    A request without one does not come from a page, and is allowed.
    """
    origin = environ.get("HTTP_ORIGIN")
    if origins == "*" or origin is None:
        return True
    if callable(origins):
        return _is_approved(origins, origin)
    origin = origin.strip().lower().rstrip("/")
    if origin == "self":
        return False  # in the list that is our word for something else, and no origin
    return origin in origins or ("self" in origins and _is_same_host(origin, environ))


def is_script_allowed(environ: Mapping[str, Any], origins: Any) -> bool:
    """The same for a request of a script tag (JSONP), which has no ``Origin``: its ``Referer`` has to tell.

    Where origins are limited, one that tells nothing is refused: any page can hold its referrer back.
    """
    if origins == "*" or "HTTP_ORIGIN" in environ:
        return is_allowed(environ, origins)
    if environ.get("HTTP_SEC_FETCH_SITE") == "same-origin":
        return True
    try:
        page = urlsplit(environ.get("HTTP_REFERER", ""))
    except ValueError:
        return False
    return bool(page.scheme and page.netloc) and is_allowed(
        {**environ, "HTTP_ORIGIN": f"{page.scheme}://{page.netloc}"}, origins
    )


def _is_approved(function: Callable[[str], Any], origin: str) -> bool:
    """What a function of the application's says. One that fails lets nobody in."""
    try:
        return bool(function(origin))
    except GreenletExit:
        raise  # the server stops
    except FAILURES:
        logger.exception("the function %r of the option `origins` failed", function)
        return False


def _is_same_host(origin: str, environ: Mapping[str, Any]) -> bool:
    try:
        parts = urlsplit(origin)
        mine = urlsplit(f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST', '')}")
        if not parts.hostname or parts.hostname != mine.hostname:
            return False
        # Behind a proxy that ends TLS our scheme is not the browser's, so the default ports are equals.
        return (parts.port or DEFAULT_PORTS.get(parts.scheme)) == (
            mine.port or DEFAULT_PORTS.get(parts.scheme)
        )
    except ValueError:
        return False
