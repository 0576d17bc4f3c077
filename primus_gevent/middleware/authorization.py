"""The layer `authorization`: asks a hook of the user's whether a request may go on (specification,
"Authorization"). It is asked for each request and upgrade that reaches it, as in the original.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult

from ..arity import arity
from ..dispatchers import FAILURES
from ..errors import AuthorizationError, OptionError
from .exchange import Exchange
from .failures import UNAUTHORIZED, failure, internal_error, is_refusal, says_status

__all__ = ["Authorization"]

logger = logging.getLogger("primus_gevent")

SERVICE_UNAVAILABLE = 503


class Authorization:
    """A hook, ready to be a layer.

    Args:
        hook: ``fn(request, done)``, which calls ``done(error=None)`` now or later; or ``fn(request)``, which
            may block, and refuses by raising `AuthorizationError` or an `HTTPException` of werkzeug's, or by
            returning ``False``.
        seconds: that the hook may take.

    Raises:
        OptionError: the hook takes neither one nor two arguments.
    """

    def __init__(self, hook: Callable[..., Any], seconds: float) -> None:
        if not callable(hook):
            raise OptionError(f"the authorization hook is a function, not {hook!r}", "authorization")
        required, accepted = arity(hook)
        if required > 2 or not accepted:
            raise OptionError(
                f"the authorization hook {hook!r} takes (request, done) or, to block, (request)",
                "authorization",
            )
        self._hook = hook
        self._takes_done = required == 2
        self._seconds = seconds

    def __call__(self, exchange: Exchange) -> None:
        """Let the request pass, or answer it."""
        limit = gevent.Timeout(self._seconds)
        try:
            with limit:
                error = self._call_back(exchange) if self._takes_done else self._block(exchange)
            if is_refusal(error):
                self._refuse(exchange, error)
        except gevent.Timeout as timeout:
            if timeout is not limit:
                raise
            logger.error("the authorization hook %r took longer than %s s", self._hook, self._seconds)
            exchange.answer = failure("The authorization took too long", SERVICE_UNAVAILABLE)
        except FAILURES as error:
            self._raised(exchange, error)

    def _raised(self, exchange: Exchange, error: BaseException) -> None:
        if says_status(error):
            self._refuse(exchange, error)
        else:
            logger.error("the authorization hook %r failed", self._hook, exc_info=error)
            exchange.answer = internal_error()

    def _refuse(self, exchange: Exchange, error: Any) -> None:
        logger.info("authorization refused %r: %s", exchange, error)
        exchange.answer = failure(error, UNAUTHORIZED)

    def _block(self, exchange: Exchange) -> Any:
        allowed = self._hook(exchange.request)
        return AuthorizationError() if allowed is False else None

    def _call_back(self, exchange: Exchange) -> Any:
        answer: Any = AsyncResult()

        def done(error: Any = None) -> None:
            if not answer.ready():
                answer.set(error)

        self._hook(exchange.request, done)
        return answer.get()
