"""Transformers adapt one real-time framework each: they own its requests and make its sparks."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Protocol

from ..errors import UnknownNameError
from ..middleware.exchange import Exchange

__all__ = ["TRANSFORMERS", "Transformer", "load"]

#: Name to module and class; imported on first use.
TRANSFORMERS = {
    "websockets": (".websockets", "WebSockets"),
    "engine.io": (".engineio", "EngineIO"),
    "polling": (".engineio", "Polling"),
}


class Transformer(Protocol):
    """One framework on one server."""

    name: str

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request below the pathname that no layer has answered.

        Every answer carries ``exchange.headers``, where the framework's protocol does not say otherwise.
        """

    def refuse(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Give ``exchange.answer`` to an upgrade request, in a way that its client understands."""


def load(name: str) -> Any:
    """The class of the transformer with that lower-case name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in TRANSFORMERS:
        raise UnknownNameError("transformer", name, TRANSFORMERS)
    module, attribute = TRANSFORMERS[name]
    return getattr(import_module(module, __name__), attribute)
