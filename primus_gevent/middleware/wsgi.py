"""Any WSGI middleware as a layer: what people use for proxies, security headers or sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Response

from ..request import Request
from .exchange import LayerResponse

__all__ = ["wsgi_layer"]

_OF_THE_STUB = frozenset({"content-type", "content-length"})


def wsgi_layer(middleware: Callable[..., Any], **options: Any) -> Callable[[Request, LayerResponse], Any]:
    """Adapt a WSGI middleware to `Primus.before`::

        primus.before("proxy", wsgi_layer(ProxyFix, x_for=1))

    The middleware is put around an application that stands for everything behind the layer. If it calls that
    application, the request goes on, with the changes that it made to the environ, and with the headers that
    it added; if not, its answer is the answer. It does not see the body of the real answer.

    Args:
        middleware: called as ``middleware(app, **options)``, which is how WSGI middleware is made.
    """
    passed: dict[int, dict[str, Any]] = {}  # by the identity of the request, because several may be under way

    def behind(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        passed[environ["primus_gevent.layer"]] = environ
        start_response("200 OK", [])
        return []

    wrapped = middleware(behind, **options)

    def layer(request: Request, response: LayerResponse) -> Any:
        environ = dict(request.environ)
        key = environ["primus_gevent.layer"] = id(environ)
        answer = Response.from_app(wrapped, environ, buffered=True)
        reached = passed.pop(key, None)
        if reached is None:
            return answer
        del reached["primus_gevent.layer"]
        request.environ.clear()
        request.environ.update(reached)
        Request.__init__(request, request.environ, populate_request=False)  # it copies some of it
        for name, value in answer.headers:
            if name.lower() not in _OF_THE_STUB:
                response.headers.add(name, value)
        return None

    return layer
