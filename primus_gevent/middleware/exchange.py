"""One request on its way through the layers, and what they say about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.utils import cached_property
from werkzeug.wrappers import Response as WerkzeugResponse
from werkzeug.wsgi import get_input_stream

from .. import hosts
from ..request import Request
from . import OF_ONE_ANSWER, sendable, with_headers

__all__ = ["Exchange", "LayerResponse", "WSGIAnswer"]

logger = logging.getLogger("primus_gevent")

WSGIAnswer = Callable[..., Iterable[bytes]]

CLOSE = ("Connection", "close")


class LayerResponse(WerkzeugResponse):
    """The ``response`` that a layer is given.

    Headers and cookies that are set here are part of whatever answer the request gets in the end, the 101 of
    a WebSocket included. To answer at once, fill it in and return ``True``, or call `end`.
    """

    default_mimetype = None  # or every answer would inherit a Content-Type

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        super().__init__(headers=Headers(list(headers)))
        self.ended = False
        self.on_end: Callable[[], None] | None = None

    def end(self, data: str | bytes | None = None) -> None:
        """Answer the request, with ``data`` as the body: later layers and the transformer do not see it.

        Only the first call counts.
        """
        if self.ended:
            logger.debug("a layer has ended a response that had ended")
            return
        if data is not None:
            self.set_data(data)
        self.ended = True
        if self.on_end is not None:
            self.on_end()

    def complete(self) -> LayerResponse:
        """The response as it is sent."""
        # A stream is not looked into: it may never end.
        has_body = self.is_streamed or self.direct_passthrough or bool(self.get_data())
        if has_body and "Content-Type" not in self.headers:
            self.headers["Content-Type"] = "text/plain; charset=utf-8"
        return self


class LayerRequest(Request):
    """The ``request`` that a layer is given. Its body can be read, and is still there for the transformer."""

    @cached_property
    def stream(self) -> BytesIO:
        environ = self.environ
        if not environ.get("wsgi.input_terminated", True):
            # pywsgi's read file, of an upgrade: what it holds are the first frames of a WebSocket, and no
            # body. werkzeug only looks whether the key is there, and would wait until the client leaves.
            return BytesIO()
        body = get_input_stream(environ, max_content_length=self.max_content_length).read()
        if body:  # or it stays: the connection is found by it, where a middleware hides the server
            environ["wsgi.input"] = BytesIO(body)
            environ["wsgi.input_terminated"] = True
        return BytesIO(body)


class Exchange:
    """One request below the pathname.

    Objects of werkzeug are made when somebody asks for them: most requests are never looked at.

    Attributes:
        environ: of the WSGI request.
        path: what follows the pathname: empty, or beginning with a slash.
        upgrade: the client asks for a WebSocket. Other protocols that it offers to change to are ignored, as
            RFC 9110, section 7.8, allows: Java's client offers HTTP/2 with every first request.
        answer: set by the layer that answers; a WSGI application.
    """

    __slots__ = ("_early", "_request", "_response", "_trusted", "answer", "environ", "path", "upgrade")

    def __init__(self, environ: dict[str, Any], path: str) -> None:
        self.environ = environ
        self.path = path
        self.upgrade = (
            "HTTP_UPGRADE" in environ
            and "websocket" in environ["HTTP_UPGRADE"].lower()
            and "upgrade" in environ.get("HTTP_CONNECTION", "").lower()
        )
        self.answer: WSGIAnswer | None = None
        self._early: list[tuple[str, str]] = []  # headers, until there is a response that has them
        self._trusted: Sequence[str] | None = ()
        self._request: Request | None = None
        self._response: LayerResponse | None = None

    @property
    def request(self) -> Request:
        """The request as a werkzeug object."""
        if self._request is None:
            self._request = LayerRequest(self.environ, populate_request=False)
            self._request.trusted_proxies = self._trusted
        return self._request

    @property
    def seen_request(self) -> Request | None:
        """`request`, if anybody has asked for it: only then can it carry something of the user's."""
        return self._request

    @property
    def response(self) -> LayerResponse:
        """What the layers of the user's set headers on, or answer with."""
        if self._response is None:
            self._response = LayerResponse(self._early)
        return self._response

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Those that the answer is to have, whoever gives it; all of them can be sent, and none says anything
        about a body."""
        if self._response is None:
            return self._early
        return [h for h in sendable(self._response.headers) if h[0].lower() not in OF_ONE_ANSWER]

    def set_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """For layers of our own: add headers to the answer. Each but ``Vary`` takes the place of one that a
        layer of the user's has set before."""
        if self._response is None:
            self._early.extend(headers)
            return
        for name, value in headers:
            if name == "Vary":
                self._response.headers.add(name, value)
            else:
                self._response.headers[name] = value

    def trust(self, proxies: Sequence[str] | None) -> None:
        """Say whom `Request.forwarded` believes; nobody until then."""
        self._trusted = proxies
        if self._request is not None:
            self._request.trusted_proxies = proxies

    def respond(self, start_response: Any, answer: WSGIAnswer | None = None) -> Iterable[bytes]:
        """Give the answer (its own, or the one passed) together with the headers of the layers."""
        answer = answer or self.answer
        assert answer is not None
        headers = self.headers
        if self.upgrade:
            # What the client has sent behind its request are frames, and no further request.
            headers = [*headers, CLOSE]
            hosts.close_after(start_response)
        # Without a response no layer of the user's has run that could have made the answer.
        check = self._response is not None or isinstance(answer, WerkzeugResponse)
        chunks = answer(self.environ, with_headers(start_response, headers, check=check))
        if check and self.environ.get("REQUEST_METHOD") == "HEAD":
            # There are none; but of what has no length pywsgi would send the last chunk all the same, to be
            # taken for the beginning of the next answer.
            if hasattr(chunks, "close"):
                chunks.close()
            return []
        return chunks

    def __repr__(self) -> str:
        kind = "upgrade" if self.upgrade else self.environ.get("REQUEST_METHOD", "")
        return f"<Exchange {kind} {self.path or '/'!r}{' answered' if self.answer else ''}>"
