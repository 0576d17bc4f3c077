"""The client in Python: what the specification calls "Connecting from the server"."""

from __future__ import annotations

from .connect import connect
from .options import ClientOptions, ReconnectOptions
from .recovery import Outage
from .socket import CLIENT_EVENTS, Socket

__all__ = ["CLIENT_EVENTS", "ClientOptions", "Outage", "ReconnectOptions", "Socket", "connect"]
