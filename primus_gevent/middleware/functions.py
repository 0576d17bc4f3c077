"""Which functions can be layers and hooks: told when they are registered, not by what goes wrong later."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..arity import never_runs
from ..errors import OptionError

__all__ = ["check_function", "takes"]


def check_function(what: str, function: Any, option: str) -> Callable[..., Any]:
    """``function``, if calling it runs it.

    Args:
        what: it is, for the error.

    Raises:
        OptionError: it is none, or one whose call only makes a coroutine or a generator. Nothing of such a
            function would ever run, and a hook that does not run lets everybody in.
    """
    if not callable(function):
        raise OptionError(f"{what} is a function, not {function!r}", option)
    if never_runs(function):
        raise OptionError(
            f"{what} is a plain function, which may block; {function!r} would never run", option
        )
    made: Callable[..., Any] = function
    return made


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether ``function`` can be called with so many positional arguments and no other."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin that does not tell
        return True
    return True
