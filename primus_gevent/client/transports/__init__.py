"""Transports of the client, one for each framework: they bring connections about, and report to a link.

Mirror of `primus_gevent.transformers`: what a server's transformer accepts, the transport of that name opens.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from ...errors import OptionError, UnknownNameError

__all__ = ["TRANSPORTS", "ClientTransport", "load", "register"]

#: Name of the transformer to module and class; imported on first use. A name with a dot in front is ours.
TRANSPORTS = {
    "websockets": (".websockets", "WebSockets"),
    "faye": (".websockets", "WebSockets"),  # the same wire; see `transformers.faye`
    "uws": (".websockets", "WebSockets"),  # a third package for it, which an original server may have
    "engine.io": (".engineio", "EngineIO"),
    "polling": (".engineio", "Polling"),
    "sockjs": (".sockjs", "SockJS"),
    "browserchannel": (".browserchannel", "BrowserChannel"),
    "socket.io": (".socketio", "SocketIO"),
}


class ClientTransport(Protocol):
    """One connection over one framework, or the attempt at one. All its methods are called in the hub.

    Made with the `Socket` and with a `Link`, to which it reports, in the hub too:

    - ``link.opened(connection)``, once, with what keeps the contract of `transports.base.Connection`;
    - ``link.receive(messages)`` with what has come, each as text or bytes;
    - ``link.error(error)`` with an exception, when something goes wrong;
    - ``link.closed(clean)``, once, when there is no connection any more, or none has come about;
    - ``link.gone()``, once, after `opened` and `closed`, when nothing is left of it.
    """

    @classmethod
    def check(cls, options: Any) -> None:
        """Check `ClientOptions.transport`. Called when a client is made.

        Raises:
            OptionError: it has what this transport does not know, or cannot use.
        """

    def open(self) -> None:
        """Begin to connect; ``client.uri()`` tells where. Must not block, and may raise."""

    def close(self) -> None:
        """Say goodbye, or give up the attempt. Never blocks; may be called at any time, and repeatedly."""


def register(name: str, where: str) -> None:
    """Make a transport from outside this package known, for every client that is made afterwards.

    Args:
        name: of the transformer, in lower case.
        where: the class, as ``module:Class``; imported on first use.

    Raises:
        OptionError: ``where`` has not this form.
    """
    module, _, attribute = where.partition(":")
    if not module or not attribute:
        raise OptionError(f"a transport is at 'module:Class', not {where!r}", "transformer")
    TRANSPORTS[name] = (module, attribute)


def load(name: str) -> Any:
    """The class of the transport with that lower-case name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in TRANSPORTS:
        raise UnknownNameError("transformer", name, TRANSPORTS)
    module, attribute = TRANSPORTS[name]
    return getattr(import_module(module, __name__), attribute)
