"""Counting parameters: the specification tells apart functions with and without a callback by it.

Counted once, when a function is registered.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["UNLIMITED", "arity"]

UNLIMITED = 1 << 16  # the arity of a function that takes ``*args``


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
