"""The stack of named layers that a request passes before the transformer does (specification, "Middleware").

Every kind of function that may be registered becomes the same thing here: something that is called with an
`Exchange`. Which layers a request passes is known when one is added, removed or switched, not per request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from inspect import signature
from typing import Any

from gevent.event import AsyncResult
from greenlet import GreenletExit
from werkzeug.wrappers import Response as WerkzeugResponse

from ..arity import arity
from ..dispatchers import FAILURES
from ..errors import OptionError, PrimusError, UnknownNameError
from .exchange import Exchange, WSGIAnswer
from .failures import failure, going_down, internal_error, is_refusal, says_status
from .functions import check_function, takes

__all__ = ["Layer", "Stack", "user_layer"]

logger = logging.getLogger("primus_gevent")

Run = Callable[[Exchange], None]

INTERNAL_ERROR = 500


class Layer:
    """One named layer.

    Attributes:
        name: unique in its stack.
        run: looks at an exchange, and sets its ``answer`` to end it.
        http, upgrade: for which kind of request it runs.
        enabled: `Stack.disable` skips it.
    """

    __slots__ = ("enabled", "http", "name", "run", "upgrade")

    def __init__(self, name: str, run: Run, *, http: bool = True, upgrade: bool = True) -> None:
        self.name = name
        self.run = run
        self.http = http
        self.upgrade = upgrade
        self.enabled = True

    def __repr__(self) -> str:
        return f"<Layer {self.name}{'' if self.enabled else ' disabled'}>"


class Stack:
    """Layers in their order."""

    def __init__(self, layers: list[Layer]) -> None:
        self._layers = layers
        self._sort()

    def _sort(self) -> None:
        self._http = tuple(layer for layer in self._layers if layer.enabled and layer.http)
        self._upgrade = tuple(layer for layer in self._layers if layer.enabled and layer.upgrade)

    @property
    def names(self) -> list[str]:
        """Of all layers, in order, those that are disabled included."""
        return [layer.name for layer in self._layers]

    def add(self, layer: Layer, index: int | None = None) -> None:
        """Put a layer at ``index``, or at the end without one and when there are not so many; one with the
        name of another takes its place, wherever that is."""
        names = self.names
        if layer.name in names:
            self._layers[names.index(layer.name)] = layer
        elif index is None or not 0 <= index < len(names):
            self._layers.append(layer)
        else:
            self._layers.insert(index, layer)
        self._sort()

    def remove(self, name: str) -> None:
        """Take a layer out.

        Raises:
            UnknownNameError: there is none of that name.
        """
        self._layers.remove(self._find(name))
        self._sort()

    def switch(self, name: str, *, enabled: bool) -> None:
        """Skip a layer, or run it again.

        Raises:
            UnknownNameError: there is none of that name.
        """
        self._find(name).enabled = enabled
        self._sort()

    def _find(self, name: str) -> Layer:
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise UnknownNameError("middleware layer", name, self.names)

    def run(self, exchange: Exchange) -> None:
        """Pass a request through the layers, up to the one that answers it. Blocks while they do."""
        for layer in self._upgrade if exchange.upgrade else self._http:
            try:
                layer.run(exchange)
            except GreenletExit:
                # The server stops, and has no patience left for who waits in a layer.
                exchange.answer = going_down()
            except FAILURES as error:
                exchange.answer = _failed(layer, error)
            if exchange.answer is not None:
                return


def _failed(layer: Layer, error: BaseException) -> WSGIAnswer:
    answer: WSGIAnswer
    if isinstance(error, _Refusal):
        reason = error.reason
        if isinstance(reason, BaseException) and not says_status(reason):
            logger.error("the middleware layer %r refused a request", layer.name, exc_info=reason)
        answer = failure(reason, INTERNAL_ERROR)
    elif says_status(error):
        answer = failure(error, INTERNAL_ERROR)  # `abort(404)` of werkzeug and Flask, say
    else:
        logger.error("the middleware layer %r failed", layer.name, exc_info=error)
        answer = internal_error()
    return answer


class _Refusal(Exception):
    """A layer called ``next(reason)``."""

    def __init__(self, reason: Any) -> None:
        super().__init__(reason)
        self.reason = reason


def user_layer(name: Any, function: Any, primus: Any, options: Any, seconds: float) -> Layer:
    """Make a layer of a function of the user's.

    Args:
        function: ``fn(request, response)``, ``fn(request, response, next)``, or with fewer than two
            parameters one that returns such a function: see `Primus.before`.
        options: for the last kind.
        seconds: that ``next`` may take.

    Raises:
        OptionError: it is none of these.
    """
    if not isinstance(name, str) or not name:
        raise OptionError(f"a middleware layer needs a name, not {name!r}", "name")
    what = f"the middleware layer {name!r}"
    check_function(what, function, name)
    if arity(function)[1] < 2:
        function = check_function(f"what {what} returned", _configure(function, primus, options), name)
    waits = arity(function)[0] >= 3
    if not takes(function, 3 if waits else 2):
        raise OptionError(
            f"{what} takes (request, response) or (request, response, next), or fewer than two parameters "
            f"and returns such a function; this is {function!r}",
            name,
        )
    run = _waiting(name, function, seconds) if waits else _direct(name, function)

    def run_where_wanted(exchange: Exchange) -> None:
        # Looked up now, as in the original: a function that a decorator has registered gets its `upgrade`
        # afterwards.
        if getattr(function, "upgrade" if exchange.upgrade else "http", True) is not False:
            run(exchange)

    return Layer(name, run_where_wanted)


def _configure(factory: Callable[..., Any], primus: Any, options: Any) -> Any:
    """Call a function that makes the layer. In JavaScript `this` is the server and `options` the argument;
    here it is the name of a parameter that tells which of the two it wants."""
    positional, named = [], {}
    for parameter in signature(factory).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = ({} if options is None else options) if parameter.name == "options" else primus
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.name in ("options", "primus"):
                named[parameter.name] = value
        else:
            positional.append(value)
    return factory(*positional, **named)


def _direct(name: str, function: Callable[..., Any]) -> Run:
    def run(exchange: Exchange) -> None:
        response = exchange.response
        result = function(exchange.request, response)
        if not _take(exchange, result) and result:
            # In the original it would end the request. A layer that was to refuse it must not let it pass for
            # having said so as a Flask view does.
            raise TypeError(
                f"the layer {name!r} returned {result!r}; it is nothing, or True, or a werkzeug Response"
            )

    return run


def _waiting(name: str, function: Callable[..., Any], seconds: float) -> Run:
    def run(exchange: Exchange) -> None:
        response = exchange.response
        done: Any = AsyncResult()

        def proceed(error: Any = None, *_: Any) -> None:
            if not done.ready():  # the first call counts
                done.set(_Refusal(error) if is_refusal(error) else None)

        response.on_end = proceed
        try:
            result = function(exchange.request, response, proceed)
            if not done.ready():
                if _take(exchange, result):
                    return
                done.wait(seconds)
            if not done.ready():
                raise PrimusError(f"the layer {name!r} neither called next nor answered within {seconds} s")
        finally:
            response.on_end = None
        if done.value is not None:
            raise done.value
        _take(exchange, None)

    return run


def _take(exchange: Exchange, result: Any) -> bool:
    """Whether a layer has answered: by what it returned, or by ending the response."""
    if isinstance(result, BaseException):
        raise result  # `return NotFound()`
    response = exchange.response
    if isinstance(result, WerkzeugResponse) and result is not response:
        exchange.answer = result
    elif result is True or result is response or response.ended:
        exchange.answer = response.complete()
    return exchange.answer is not None
