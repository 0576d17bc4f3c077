"""The cookies of one client: those it was given, and those that answers of the server set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request

from .address import Address

__all__ = ["Cookies"]


class Cookies:
    """A small jar. Which of an answer's cookies to keep, and where to send them, the standard library knows.

    Attributes:
        given: sent to the server of ``address`` only, until it sets one of that name.
        jar: what answers have set.
    """

    def __init__(self, address: Address, given: Mapping[str, str]) -> None:
        self.given = dict(given)
        self.jar = CookieJar(DefaultCookiePolicy(rfc2965=False))
        self._host = address.host  # as everywhere with cookies, whatever the port

    def header(self, url: str) -> str:
        """The value of ``Cookie`` in a request for ``url``; empty if there is none."""
        request = _request(url)
        self.jar.add_cookie_header(request)
        found = request.get_header("Cookie") or ""
        names = {pair.partition("=")[0] for pair in found.split("; ")}
        given = self.given if urlsplit(url).hostname == self._host else {}
        pieces = [f"{name}={value}" for name, value in given.items() if name not in names]
        return "; ".join([*pieces, found] if found else pieces)

    def keep(self, url: str, response: Any) -> None:
        """Take over what an answer of `http.client` sets."""
        if response.headers.get("set-cookie"):
            self.jar.extract_cookies(response, _request(url))


def _request(url: str) -> Request:
    """What the jar wants to know of a request. A WebSocket is opened by HTTP (RFC 6455, 4.1)."""
    return Request(re.sub(r"^ws", "http", url))
