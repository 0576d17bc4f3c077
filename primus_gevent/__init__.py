"""Real-time connections for Python web apps: one blocking, greenlet-style interface over many wire protocols.

from primus_gevent import Primus

primus = Primus(app, transformer="websockets", parser="json")

@primus.on("connection")
def echo(spark):
    for message in spark:
        spark.write(message)
"""

from __future__ import annotations

from .client import Socket, connect
from .errors import (
    AuthorizationError,
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    HandshakeError,
    HostError,
    LocalProtocolError,
    MissingPackageError,
    OptionError,
    ParserError,
    PluginError,
    PrimusError,
    ProxyError,
    ReadTimeout,
    RemoteProtocolError,
    TLSError,
    TransformError,
    UnexpectedResponse,
    UnknownNameError,
)
from .middleware.wsgi import wsgi_layer
from .options import Options
from .primus import Primus
from .spark import NOTHING, Spark
from .version import __version__

__all__ = [
    "NOTHING",
    "AuthorizationError",
    "ConcurrencyError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionClosed",
    "HandshakeError",
    "HostError",
    "LocalProtocolError",
    "MissingPackageError",
    "OptionError",
    "Options",
    "ParserError",
    "PluginError",
    "Primus",
    "PrimusError",
    "ProxyError",
    "ReadTimeout",
    "RemoteProtocolError",
    "Socket",
    "Spark",
    "TLSError",
    "TransformError",
    "UnexpectedResponse",
    "UnknownNameError",
    "__version__",
    "connect",
    "wsgi_layer",
]
