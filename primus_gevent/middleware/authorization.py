"""The layer `authorization`: asks a hook of the user's whether a request may go on (specification,
"Authorization"). It is asked for each request and upgrade that reaches it, as in the original.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.event import AsyncResult
from greenlet import GreenletExit
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from ..arity import arity
from ..dispatchers import FAILURES
from ..errors import AuthorizationError, OptionError
from .exchange import Exchange
from .failures import SERVICE_UNAVAILABLE, UNAUTHORIZED, failure, internal_error, is_refusal, says_status
from .functions import check_function, takes

__all__ = ["Authorization"]

logger = logging.getLogger("primus_gevent")

# What a blocking hook refuses with by returning it. A text is meant as the error of the callback form: taken
# for a user who may come in, it would let everybody in.
REFUSALS = (Response, AuthorizationError, HTTPException, str)
# A mapping may be a user, too: these make it an error.
ERROR_KEYS = frozenset({"message", "status_code", "statusCode"})


class Authorization:
    """A hook, ready to be a layer.

    Args:
        hook: ``fn(request, done)``, which calls ``done(error=None)`` now or later; or ``fn(request)``, which
            may block, and refuses by raising `AuthorizationError` or an `HTTPException` of werkzeug's, or by
            returning one of them, ``False``, what ``done`` would be given (a text, or a mapping with a
            ``message``), or a werkzeug ``Response``, which is then the answer.
        seconds: that the hook may take.

    Raises:
        OptionError: the hook takes neither one nor two arguments.
    """

    def __init__(self, hook: Callable[..., Any], seconds: float) -> None:
        check_function("the authorization hook", hook, "authorization")
        self._takes_done = arity(hook)[0] >= 2
        if not takes(hook, 2 if self._takes_done else 1):
            raise OptionError(
                f"the authorization hook {hook!r} takes (request, done) or, to block, (request)",
                "authorization",
            )
        self._hook = hook
        self._seconds = seconds

    def __call__(self, exchange: Exchange) -> None:
        """Let the request pass, or answer it.

        Raises:
            GreenletExit: the server stops its greenlets.
        """
        limit = gevent.Timeout(self._seconds)
        try:
            with limit:
                error = self._call_back(exchange) if self._takes_done else self._block(exchange)
                late = not limit.pending
            if late:  # and the hook has taken the timeout for one of its own
                self._took_too_long(exchange)
            elif isinstance(error, Response):
                exchange.answer = error
            elif is_refusal(error):
                self._refuse(exchange, error)
        except GreenletExit:
            raise
        except FAILURES as error:
            if error is limit:
                self._took_too_long(exchange)
            else:
                self._raised(exchange, error)

    def _took_too_long(self, exchange: Exchange) -> None:
        logger.error("the authorization hook %r took longer than %s s", self._hook, self._seconds)
        exchange.answer = failure("The authorization took too long", SERVICE_UNAVAILABLE)

    def _raised(self, exchange: Exchange, error: BaseException) -> None:
        if says_status(error):
            self._refuse(exchange, error)
        else:
            logger.error("the authorization hook %r failed", self._hook, exc_info=error)
            exchange.answer = internal_error()

    def _refuse(self, exchange: Exchange, error: Any) -> None:
        exchange.answer = failure(error, UNAUTHORIZED)
        logger.info("authorization refused %r", exchange)

    def _block(self, exchange: Exchange) -> Any:
        result = self._hook(exchange.request)
        if result is False:
            return AuthorizationError()
        if isinstance(result, tuple):
            # Of anything else it can be told that it lets in: `return "log in first", 401` was to refuse.
            raise TypeError(
                f"an authorization hook does not answer as a Flask view does, by {result!r}: it raises "
                "AuthorizationError, or returns False or a Response"
            )
        refuses = isinstance(result, REFUSALS) or (isinstance(result, Mapping) and ERROR_KEYS & result.keys())
        return result if refuses else None

    def _call_back(self, exchange: Exchange) -> Any:
        answer: Any = AsyncResult()

        def done(error: Any = None, *_: Any) -> None:
            # The first call counts; what Node's callbacks have behind the error is not for us.
            if not answer.ready():
                answer.set(error)

        self._hook(exchange.request, done)
        return answer.get()
