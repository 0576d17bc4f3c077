"""Transformers adapt one real-time framework each: they own its requests and make its sparks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from .. import library as javascript
from ..errors import OptionError, UnknownNameError
from ..middleware.exchange import Exchange

__all__ = ["TRANSFORMERS", "Several", "Transformer", "load", "make", "register"]

#: Name to module and class; imported on first use. A name with a dot in front is one of ours.
TRANSFORMERS = {
    "websockets": (".websockets", "WebSockets"),
    "engine.io": (".engineio", "EngineIO"),
    "polling": (".engineio", "Polling"),
    "faye": (".faye", "Faye"),
    "sockjs": (".sockjs", "SockJS"),
    "browserchannel": (".browserchannel", "BrowserChannel"),
    "socket.io": (".socketio", "SocketIO"),
}


class Transformer(Protocol):
    """One framework on one server. Made with the `Primus`, and the mapping that is its option `transport`."""

    name: str

    def claims(self, exchange: Exchange) -> bool:
        """Whether a request is this framework's. Asked only where there are several on one pathname."""

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request below the pathname that no layer has answered.

        Every answer carries ``exchange.headers``, where the framework's protocol does not say otherwise.
        """

    def refuse(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Give ``exchange.answer`` to an upgrade request, in a way that its client understands."""


class Several:
    """Several frameworks on one pathname. Whose a request is, its address tells; what it does not tell is the
    first one's. Of two that claim the same (WebSockets at the pathname) the first one gets it.

    Attributes:
        all: the transformers.
    """

    def __init__(self, all_of_them: Iterable[Transformer]) -> None:
        self.all = tuple(all_of_them)
        self.name = self.all[0].name

    def _of(self, exchange: Exchange) -> Transformer:
        for transformer in self.all:
            if transformer.claims(exchange):
                return transformer
        return self.all[0]

    def claims(self, exchange: Exchange) -> bool:
        """Whether one of them does."""
        return any(transformer.claims(exchange) for transformer in self.all)

    def answers_preflight(self, exchange: Exchange) -> bool:
        """Whether the one whose request it is wants to answer it itself; those that do not say no."""
        answers: Any = getattr(self._of(exchange), "answers_preflight", None)
        return answers is not None and bool(answers(exchange))

    def takes_any_origin(self, exchange: Exchange) -> bool:
        """Whether the one whose request it is answers origins that are none by their form."""
        takes: Any = getattr(self._of(exchange), "takes_any_origin", None)
        return takes is not None and bool(takes(exchange))

    def __call__(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Answer a request that the layers have let pass."""
        return self._of(exchange)(exchange, start_response)

    def refuse(self, exchange: Exchange, start_response: Any) -> Iterable[bytes]:
        """Refuse an upgrade."""
        return self._of(exchange).refuse(exchange, start_response)


def register(name: str, where: str, library: str | Path, parts: Sequence[str] = ()) -> None:
    """Make a transformer from outside this package known, for every `Primus` that is made afterwards.

    Args:
        name: for the option ``transformer``, in lower case.
        where: the class, as ``module:Class``; imported on first use.
        library: JavaScript that defines ``function transformer(client, relay)``, or the path of its file.
        parts: names of our own files that it is built on, such as ``sockets`` and ``http``.

    Raises:
        OptionError: the name is not in lower case, ``where`` has not this form, or there is no such part.
        OSError: the file cannot be read.
    """
    if not name or name != name.strip().lower():
        raise OptionError(f"the name of a transformer is a text in lower case, not {name!r}", "transformer")
    module, _, attribute = where.partition(":")
    if not module or not attribute:
        raise OptionError(f"a transformer is at 'module:Class', not {where!r}", "transformer")
    known = sorted({part for parts in javascript.TRANSFORMER_PARTS.values() for part in parts})
    if isinstance(parts, str) or not all(part in known for part in parts):
        raise OptionError(f"parts is a list of: {', '.join(known)}; not {parts!r}", "transformer")
    text = library.read_text("utf-8") if isinstance(library, Path) else library
    TRANSFORMERS[name] = (module, attribute)
    javascript.OUTSIDE[name] = text
    javascript.TRANSFORMER_PARTS[name] = tuple(parts)


def load(name: str) -> Any:
    """The class of the transformer with that lower-case name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in TRANSFORMERS:
        raise UnknownNameError("transformer", name, TRANSFORMERS)
    module, attribute = TRANSFORMERS[name]
    return getattr(import_module(module, __name__), attribute)


def make(primus: Any, names: str | tuple[str, ...], given: Mapping[str, Any]) -> Transformer:
    """The transformer of a server, or several as one.

    Args:
        given: the option `transport`: its own options of one transformer, of several by their names.

    Raises:
        UnknownNameError: there is none of a name.
        OptionError: one of ``given`` cannot be used.
    """
    if isinstance(names, str):
        one: Transformer = load(names)(primus, given)
        return one
    for name, value in given.items():
        if name not in names:
            raise OptionError(
                f"with several transformers the option 'transport' has a mapping for each, by its name; "
                f"{name!r} is none of: {', '.join(names)}",
                "transport",
            )
        if not isinstance(value, Mapping):
            raise OptionError(f"transport option {name!r} is a mapping, not {value!r}", "transport")
    return Several([load(name)(primus, given.get(name, {})) for name in names])
