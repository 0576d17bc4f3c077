"""The stack of named layers that a request passes before the transformer does (specification, "Middleware").

Every kind of function that may be registered becomes the same thing here: something that is called with an
`Exchange`. Which layers a request passes is known when one is added, removed or switched, not per request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from gevent.event import AsyncResult
from werkzeug.wrappers import Response as WerkzeugResponse

from ..arity import arity
from ..dispatchers import FAILURES
from ..errors import OptionError, PrimusError, UnknownNameError
from .exchange import Exchange
from .failures import failure, internal_error, is_refusal, says_status

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
        """Put a layer at the end, or at ``index``; one with the name of another takes its place."""
        names = self.names
        if layer.name in names:
            position = names.index(layer.name)
            del self._layers[position]
            index = position if index is None else index
        self._layers.insert(len(self._layers) if index is None else index, layer)
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
            except FAILURES as error:
                exchange.answer = _failed(layer, error)
            if exchange.answer is not None:
                return


def _failed(layer: Layer, error: BaseException) -> Any:
    if isinstance(error, _Refusal):
        return failure(error.reason, INTERNAL_ERROR)
    if says_status(error):
        return failure(error, INTERNAL_ERROR)  # `abort(404)` of werkzeug and Flask, say
    logger.error("the middleware layer %r failed", layer.name, exc_info=error)
    return internal_error()


class _Refusal(Exception):
    """A layer called ``next(reason)``."""

    def __init__(self, reason: Any) -> None:
        super().__init__(reason)
        self.reason = reason


def user_layer(name: str, function: Callable[..., Any], primus: Any, options: Any, seconds: float) -> Layer:
    """Make a layer of a function of the user's.

    Args:
        function: ``fn(request, response)``, ``fn(request, response, next)``, or with fewer than two
            parameters one that returns such a function: see `Primus.before`.
        options: for the last kind.
        seconds: that ``next`` may take.

    Raises:
        OptionError: it is none of these.
    """
    if not name:
        raise OptionError(f"a middleware layer needs a name, not {name!r}", "name")
    if not callable(function):
        raise OptionError(f"the middleware layer {name!r} is a function, not {function!r}", name)
    if arity(function)[1] < 2:
        function = _configure(name, function, primus, options)
    return Layer(
        name,
        _waiting(name, function, seconds) if arity(function)[0] >= 3 else _direct(function),
        http=getattr(function, "http", True) is not False,
        upgrade=getattr(function, "upgrade", True) is not False,
    )


def _configure(name: str, factory: Callable[..., Any], primus: Any, options: Any) -> Callable[..., Any]:
    """Call a function that makes the layer. In JavaScript `this` is the server and `options` the argument;
    here it is the name of a parameter that tells which of the two it wants."""
    positional, named = [], {}
    for parameter in signature(factory).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = (options if isinstance(options, Mapping) else {}) if parameter.name == "options" else primus
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.name in ("options", "primus"):
                named[parameter.name] = value
        else:
            positional.append(value)
    function = factory(*positional, **named)
    if not callable(function) or arity(function)[1] < 2:
        raise OptionError(
            f"the middleware layer {name!r} takes fewer than two parameters, so it has to return a function "
            f"(request, response) to run, and returned {function!r}",
            name,
        )
    made: Callable[..., Any] = function
    return made


def _direct(function: Callable[..., Any]) -> Run:
    def run(exchange: Exchange) -> None:
        response = exchange.response
        _take(exchange, function(exchange.request, response))

    return run


def _waiting(name: str, function: Callable[..., Any], seconds: float) -> Run:
    def run(exchange: Exchange) -> None:
        response = exchange.response
        done: Any = AsyncResult()

        def proceed(error: Any = None) -> None:
            if not done.ready():
                done.set(_Refusal(error) if is_refusal(error) else None)

        response.on_end = lambda: done.ready() or done.set(None)
        _take(exchange, function(exchange.request, response, proceed))
        if exchange.answer is None:
            done.wait(seconds)
            if not done.ready():
                raise PrimusError(f"the layer {name!r} neither called next nor answered within {seconds} s")
            if done.value is not None:
                raise done.value
            _take(exchange, None)
        response.on_end = None

    return run


def _take(exchange: Exchange, result: Any) -> None:
    """What a layer has said: by what it returned, or by ending the response."""
    if isinstance(result, WerkzeugResponse) and result is not exchange.response:
        exchange.answer = result
    elif result is True or exchange.response.ended or result is exchange.response:
        exchange.answer = exchange.response.complete()
