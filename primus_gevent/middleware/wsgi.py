"""Any WSGI middleware as a layer: what people use for proxies, security headers or sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.utils import cached_property
from werkzeug.wrappers import Response

from ..request import Request
from .exchange import LayerResponse

__all__ = ["wsgi_layer"]

KEY = "primus_gevent.layer"

# What middleware may add to the empty answer of the stub, and says nothing about the real one.
_OF_THE_STUB = frozenset(
    {"content-type", "content-length", "content-encoding", "transfer-encoding", "etag", "accept-ranges"}
)
# What a request has read of its body, which can be read only once.
_OF_THE_BODY = frozenset({"stream", "data", "form", "files", "values"})


def wsgi_layer(middleware: Callable[..., Any], **options: Any) -> Callable[[Request, LayerResponse], Any]:
    """Adapt a WSGI middleware to `Primus.before`::

        primus.before("proxy", wsgi_layer(ProxyFix, x_for=1), index=0)

    The middleware is put around an application that stands for everything behind the layer. If it calls that
    application, and passes its answer on, the request goes on, with the changes that the middleware made to
    the environ, and with the headers that it added; if not, its answer is the answer. It does not see the
    body of the real answer.

    Args:
        middleware: called as ``middleware(app, **options)``, which is how WSGI middleware is made.
    """

    def behind(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # The middleware may have made an environ of its own, but what is in it is the same.
        environ[KEY].append(environ)
        start_response("200 OK", [])
        return []

    wrapped = middleware(behind, **options)

    def layer(request: Request, response: LayerResponse) -> Any:
        reached: list[dict[str, Any]] = []
        answer = Response.from_app(wrapped, {**request.environ, KEY: reached}, buffered=True)
        if not reached or answer.status_code != 200 or answer.get_data():
            return answer
        environ = reached[-1]
        del environ[KEY]
        _change(request, environ)
        for name, value in answer.headers:
            if name.lower() not in _OF_THE_STUB:
                response.headers.add(name, value)
        return None

    return layer


def _change(request: Request, environ: dict[str, Any]) -> None:
    """Give a request another environ, in place: everybody has this one."""
    if request.environ == environ:
        return
    request.environ.clear()
    request.environ.update(environ)
    Request.__init__(request, request.environ, populate_request=False)  # it copies some of it
    kind = type(request)
    for name in list(vars(request)):
        if isinstance(getattr(kind, name, None), cached_property) and name not in _OF_THE_BODY:
            del vars(request)[name]
