"""Which pages of other origins may read our answers: the Access-Control headers (specification, "cors").

The same answers as access-control 1.0.1, which does this for the original, except where a comment says
"Unlike the original". Upgrades do not come here: a browser asks nobody before it opens a WebSocket, so a
transformer checks the origin of those itself (see `origins`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from . import Response
from .origins import is_allowed

__all__ = ["AccessControl", "is_preflight"]

Header = tuple[str, str]

FORBIDDEN = 403
OK = 200

# What Node's `url.parse` takes for a scheme, in lower case.
_SCHEME = re.compile(r"[a-z0-9.+-]+:")
# Only a folded line has them, and no browser folds one. pywsgi hands such lines out as they came.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")


class AccessControl:
    """Answers for one configuration; `checks` brings the options into the form that is expected here.

    Args:
        origins: ``'*'``, a function, or a list (see `origins.is_allowed`).
        methods: in capitals; empty means any.
        credentials: whether pages may send cookies along.
        max_age: seconds for which a browser may remember the answer to a preflight request; False: up to it.
        headers: that pages may send; False lets them send any.
        exposed: headers that pages may read, beyond those that they always may.
    """

    def __init__(
        self,
        *,
        origins: Any,
        methods: Sequence[str],
        credentials: bool,
        max_age: int | Literal[False],
        headers: Sequence[str] | Literal[False],
        exposed: Sequence[str] | Literal[False],
    ) -> None:
        self._origins = origins
        self._methods = frozenset(methods)
        # A browser that sends credentials takes its own origin only, not '*'.
        self._depends = origins != "*" or credentials
        self._simple: list[Header] = []
        self._preflight: list[Header] = []
        self._echoes_headers = not headers
        if credentials:
            self._simple.append(("Access-Control-Allow-Credentials", "true"))
        if max_age:
            self._preflight.append(("Access-Control-Max-Age", str(max_age)))
        if methods:
            self._preflight.append(("Access-Control-Allow-Methods", ", ".join(methods)))
        if headers:
            self._preflight.append(("Access-Control-Allow-Headers", ", ".join(headers)))
        self._exposed = [("Access-Control-Expose-Headers", ", ".join(exposed))] if exposed else []

    def decide(
        self, environ: Mapping[str, Any], takes_any_form: Callable[[], bool] = lambda: False
    ) -> tuple[list[Header], Response | None]:
        """What this request's answer has to carry, or the answer, where the request ends here.

        Never both: an answer from here is complete. Blocks as long as a function in ``origins`` does.

        Args:
            environ: of a request that is no upgrade.
            takes_any_form: asked where an origin has not the form of one: whether its form does not matter.

        Returns:
            Headers for the answer, whoever gives it, and None; or no headers and the whole answer: 403, or
            the 200 of a preflight request.
        """
        # Unlike the original, which says this only in answers that allow an origin: a cache would hand a 403,
        # or the answer to a request without Origin, to pages of all origins.
        vary = [("Vary", "Origin")] if self._depends else []
        origin = environ.get("HTTP_ORIGIN")
        if origin is None:
            # Unlike the original: what holds for everybody is said to everybody. A cache would hand an answer
            # without these headers to the page that asks next, and its browser would throw it away.
            return vary or [("Access-Control-Allow-Origin", "*"), *self._exposed], None
        method = environ.get("REQUEST_METHOD", "")
        if not self._is_valid(origin, method, environ, takes_any_form):
            return [], _forbidden(origin, method, vary)
        carried = [("Access-Control-Allow-Origin", origin if self._depends else "*"), *self._simple, *vary]
        if is_preflight(environ):
            asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
            if _CONTROL.search(asked):
                return [], _forbidden(origin, method, vary)
            return [], self._allow_preflight(carried, asked)
        return carried + self._exposed, None

    def _is_valid(
        self, origin: str, method: str, environ: Mapping[str, Any], takes_any_form: Callable[[], bool]
    ) -> bool:
        if _CONTROL.search(origin):
            return False
        lowered = origin.strip().lower()
        has_form = "%" not in lowered and (lowered == "null" or _SCHEME.match(lowered) is not None)
        if not has_form and not takes_any_form():
            return False
        if self._methods and method not in self._methods:
            return False
        return is_allowed(environ, self._origins)

    def _allow_preflight(self, carried: list[Header], asked: str) -> Response:
        headers = carried + self._preflight
        if self._echoes_headers and asked:
            headers.append(("Access-Control-Allow-Headers", asked))
        answer = Response(OK)
        answer.headers = headers  # there is nothing that could have a type
        return answer


def is_preflight(environ: Mapping[str, Any]) -> bool:
    """Whether a browser asks what a page of another origin may do, before it does it."""
    return (
        environ.get("REQUEST_METHOD") == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and bool(environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD"))
    )


def _forbidden(origin: str, method: str, headers: list[Header]) -> Response:
    origin = _CONTROL.sub(" ", origin)
    text = f"Invalid HTTP Access Control (CORS) request:\n  Origin: {origin}\n  Method: {method}"
    return Response(FORBIDDEN, text, headers=headers)
