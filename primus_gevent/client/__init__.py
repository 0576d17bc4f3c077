"""The client in Python: what the specification calls "Connecting from the server"."""

from __future__ import annotations

from .socket import CLIENT_EVENTS, Socket

__all__ = ["CLIENT_EVENTS", "Socket"]
