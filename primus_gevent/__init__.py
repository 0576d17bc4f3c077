"""Real-time connections for Python web apps: one blocking, greenlet-style interface over many wire protocols.

from primus_gevent import Primus

primus = Primus(app, transformer="websockets", parser="json")

@primus.on("connection")
def echo(spark):
    for message in spark:
        spark.write(message)
"""

from __future__ import annotations

from .errors import (
    AuthorizationError,
    ConcurrencyError,
    ConnectionClosed,
    HandshakeError,
    HostError,
    LocalProtocolError,
    MissingPackageError,
    OptionError,
    ParserError,
    PluginError,
    PrimusError,
    ReadTimeout,
    RemoteProtocolError,
    TransformError,
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
    "ReadTimeout",
    "RemoteProtocolError",
    "Spark",
    "TransformError",
    "UnknownNameError",
    "__version__",
    "wsgi_layer",
]
