"""One request on its way through the layers, and what they say about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as WerkzeugResponse

from ..request import Request
from . import with_headers

__all__ = ["Exchange", "LayerResponse"]

WSGIAnswer = Callable[..., Iterable[bytes]]


class LayerResponse(WerkzeugResponse):
    """The ``response`` that a layer is given.

    Headers and cookies that are set here are part of whatever answer the request gets in the end, the 101 of
    a WebSocket included. To answer at once, fill it in and return ``True``, or call `end`.
    """

    default_mimetype = None  # or every answer would inherit a Content-Type

    def __init__(self, headers: Headers) -> None:
        super().__init__(headers=headers)
        self.headers = headers
        self.ended = False
        self.on_end: Callable[[], None] | None = None

    def end(self, data: str | bytes | None = None) -> None:
        """Answer the request, with ``data`` as the body: later layers and the transformer do not see it."""
        if data is not None:
            self.set_data(data)
        self.ended = True
        if self.on_end is not None:
            self.on_end()

    def complete(self) -> LayerResponse:
        """The response as it is sent."""
        if self.get_data() and "Content-Type" not in self.headers:
            self.headers["Content-Type"] = "text/plain; charset=utf-8"
        return self


class Exchange:
    """One request below the pathname.

    Attributes:
        environ: of the WSGI request.
        path: what follows the pathname: empty, or beginning with a slash.
        upgrade: the client wants to leave HTTP, for WebSocket usually.
        headers: of the answer, whoever gives it.
        answer: set by the layer that answers; a WSGI application.
        trusted_proxies: whom `Request.forwarded` believes; set by the layer `forwarded`.
    """

    __slots__ = (
        "_request",
        "_response",
        "answer",
        "environ",
        "headers",
        "path",
        "trusted_proxies",
        "upgrade",
    )

    def __init__(self, environ: dict[str, Any], path: str) -> None:
        self.environ = environ
        self.path = path
        self.upgrade = "HTTP_UPGRADE" in environ and "upgrade" in environ.get("HTTP_CONNECTION", "").lower()
        self.headers = Headers()
        self.answer: WSGIAnswer | None = None
        self.trusted_proxies: Sequence[str] | None = ()
        self._request: Request | None = None
        self._response: LayerResponse | None = None

    @property
    def request(self) -> Request:
        """The request as a werkzeug object; made on first use, because most requests are never looked at."""
        if self._request is None:
            self._request = Request(self.environ, populate_request=False)
            self._request.trusted_proxies = self.trusted_proxies
        return self._request

    @property
    def seen_request(self) -> Request | None:
        """`request`, if anybody has asked for it: only then can it carry something of the user's."""
        return self._request

    @property
    def response(self) -> LayerResponse:
        """What the layers of the user's set headers on, or answer with."""
        if self._response is None:
            self._response = LayerResponse(self.headers)
        return self._response

    def respond(self, start_response: Any, answer: WSGIAnswer | None = None) -> Iterable[bytes]:
        """Give the answer (its own, or the one passed) together with the headers of the layers."""
        answer = answer or self.answer
        assert answer is not None
        return answer(self.environ, with_headers(start_response, list(self.headers)))

    def __repr__(self) -> str:
        kind = "upgrade" if self.upgrade else self.environ.get("REQUEST_METHOD", "")
        return f"<Exchange {kind} {self.path or '/'}{' answered' if self.answer else ''}>"
