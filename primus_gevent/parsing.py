"""Parsers as the server and the client call them: blocking, whatever form they were given in.

The specification's parsers call back, ``encoder(data, fn)`` and ``decoder(raw, fn)`` with ``fn(error,
result)``, at once or later; ours return. Both are accepted, each function by itself, told apart by the
number of its parameters when the parser is loaded. Where one calls back later, the greenlet that called it
waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent.event import AsyncResult
from greenlet import getcurrent

from . import parsers
from .arity import arity
from .errors import ParserError

__all__ = ["CALLBACK_SECONDS", "CustomParser", "load"]

#: Seconds that a parser may take to call back; then its message is dropped. The same as for a handshake: long
#: for anything that ought to happen per message, and short enough not to keep greenlets for ever.
CALLBACK_SECONDS = 10.0


class CustomParser:
    """A parser of the application's, with both functions blocking.

    Attributes:
        encoder: as of `parsers.Parser`.
        decoder: the same.
        library: its half in JavaScript, an expression as text, if there is one.
    """

    __slots__ = ("decoder", "encoder", "library", "original")

    def __init__(self, original: parsers.Parser) -> None:
        self.original = original
        self.encoder: Callable[[Any], str | bytes] = _checked(blocking(original.encoder))
        self.decoder: Callable[[Any], Any] = blocking(original.decoder)
        self.library: str | None = getattr(original, "library", None)

    def __repr__(self) -> str:
        return f"<CustomParser {self.original!r}>"


def load(parser: Any) -> Any:
    """The parser of a name, an object or a mapping (`parsers.load`), with blocking functions.

    What is ours comes as its module, everything else as a `CustomParser`.

    Raises:
        OptionError: it has no ``encoder`` or no ``decoder``.
        UnknownNameError: no parser has that name.
        MissingPackageError: it needs a package that is not installed.
    """
    found = parsers.load(parser)
    return found if isinstance(parser, str) else CustomParser(found)


def _checked(encode: Callable[[Any], Any]) -> Callable[[Any], str | bytes]:
    def encoder(data: Any) -> str | bytes:
        """Encode, and see to it that the result can be sent: ``bytes(1000)`` of a number would be, as zeros.

        Raises:
            TypeError: it is neither text nor bytes.
        """
        raw = encode(data)
        if isinstance(raw, (str, bytes)):
            return raw
        if isinstance(raw, (bytearray, memoryview)):
            return bytes(raw)
        raise TypeError(f"the encoder returned {type(raw).__name__}, not str or bytes")

    return encoder


def blocking(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """``function`` itself if it takes one argument; if it needs a callback, a function that waits for it."""
    required, _ = arity(function)
    if required < 2:
        return function

    def call(data: Any) -> Any:
        """Call with a callback, and return what that gets.

        Parks the greenlet until then, for `CALLBACK_SECONDS` at most.

        Raises:
            ParserError: it did not call back in time, or with an error that is no exception; or not at once,
                and this is the event loop, where nothing can wait.
        """
        answer = _Answer(data)
        function(data, answer)
        return answer.get()

    return call


class _Answer:
    """The callback of one call. The first answer counts; what comes later is ignored."""

    __slots__ = ("data", "done", "error", "result", "waiter")

    def __init__(self, data: Any) -> None:
        self.data = data
        self.done = False
        self.error: Any = None
        self.result: Any = None
        self.waiter: AsyncResult[None] | None = None  # made only for those that have to wait

    def __call__(self, error: Any = None, result: Any = None) -> None:
        if self.done:
            return
        self.error, self.result = error, result
        self.done = True
        # In this order, and the other one in `get`: the answer may come from another thread.
        if self.waiter is not None:
            self.waiter.set()

    def get(self) -> Any:
        if not self.done:
            self._wait()
        if isinstance(self.error, BaseException):
            raise self.error
        if self.error:  # as in JavaScript: null, false, 0 and "" are none
            raise ParserError(str(self.error), self.data)
        return self.result

    def _wait(self) -> None:
        if getcurrent() is get_hub():
            raise ParserError(
                "this parser calls back later, and the event loop cannot wait for it", self.data
            )
        self.waiter = AsyncResult()
        if not self.done:
            self.waiter.wait(timeout=CALLBACK_SECONDS)
        if not self.done:
            self.done = True
            raise ParserError(f"the parser did not call back within {CALLBACK_SECONDS:g} s", self.data)
