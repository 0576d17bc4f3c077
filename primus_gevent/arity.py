"""Counting parameters: the specification tells apart functions with and without a callback by it.

Counted once, when a function is registered.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["UNLIMITED", "arity", "never_runs"]

UNLIMITED = 1 << 16  # the arity of a function that takes ``*args``

_DEFERRED = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def arity(function: Callable[..., Any]) -> tuple[int, int]:
    """Count the positional parameters that ``function`` requires, and those it accepts.

    Builtins without a signature count as accepting everything, because nothing better is known.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0, UNLIMITED
    required = accepted = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            accepted = UNLIMITED
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            accepted += 1
            required += parameter.default is parameter.empty
    return required, accepted


def never_runs(function: Callable[..., Any]) -> bool:
    """Whether a call only makes a coroutine or a generator, of which nobody here would run anything."""
    while isinstance(function, partial):
        function = function.func
    for candidate in (function, type(function).__call__):
        code = getattr(candidate, "__code__", None)
        if code is not None:
            return bool(code.co_flags & _DEFERRED)
    return False
