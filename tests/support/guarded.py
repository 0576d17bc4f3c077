"""The application of `tests.support.app` behind middleware and authorization.

What the hooks and layers do to a request stands in its query, as the service of its connection does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from flask import Response, abort, redirect

from primus_gevent import AuthorizationError, Primus, wsgi_layer
from tests.support.app import HandlerFailure, app, configure, options, world


def authorize(request: Any) -> Any:
    """The blocking form."""
    how = request.query.get("auth", "")
    request.user = "ann"
    if how == "text":
        raise AuthorizationError("go away")
    if how == "challenge":
        raise AuthorizationError("log in", authenticate='Basic realm="x"')
    if how == "injection":
        raise AuthorizationError("a\r\nb", authenticate="Basic\r\nX-Evil: 1")
    if how == "abort":
        abort(403, "not you")
    if how == "false":
        return False
    if how == "redirect":
        return redirect("/login")
    if how == "raise":
        raise HandlerFailure(f"the hook was sent {request.query['tag']}")
    if how == "block":
        request.get_data()  # of an upgrade there is none, and nothing to wait for
        world.counts["waiting"] += 1
        world.go.wait(30)
        world.counts["waiting"] -= 1
    return None


def authorize_with_done(request: Any, done: Callable[..., None]) -> None:
    """The specification's form."""
    how = request.query.get("auth", "")
    if how == "text":
        done("go away")
    elif how == "challenge":
        done({"message": "log in", "authenticate": 'Basic realm="x"', "status_code": 401})
    elif how == "injection":
        done({"message": "a\r\nb", "authenticate": "Basic\r\nX-Evil: 1"})
    elif how == "abort":
        abort(403, "not you")
    elif how == "false":
        done({"message": "Authorization failed"})
    elif how == "redirect":
        abort(redirect("/login"))
    elif how == "raise":
        raise HandlerFailure(f"the hook was sent {request.query['tag']}")
    elif how == "later":
        gevent.spawn(done, "later")
    elif how == "twice":
        gevent.spawn(lambda: (done("first"), done()))
    elif how != "never":
        gevent.spawn(done)


def layer(request: Any, response: Any) -> Any:
    """Sync."""
    how = request.query.get("layer", "")
    if how == "headers":
        response.set_cookie("seen", "1")
        response.headers["X-Layer"] = "é"
        response.headers.add("Vary", "Cookie")
        response.headers["X-Bad\r\nX-Evil"] = "1"
        response.headers["X-Worse"] = "ł"
        response.headers["Sec-WebSocket-Accept"] = "forged"
    elif how == "true":
        response.status_code = 402
        response.set_data("pay")
        return True
    elif how == "response":
        return Response("<b>", 418, mimetype="text/html")
    elif how == "stream":
        return Response((f"{number} " for number in range(3)), 402, mimetype="text/plain")
    elif how == "status":
        response.status = "200 OK\r\nX-Evil: 1"
        response.end("ok")
    elif how == "raise":
        raise HandlerFailure(f"the layer was sent {request.query['tag']}")
    return None


def layer_with_next(request: Any, response: Any, next: Callable[..., None]) -> None:  # noqa: A002
    """Async."""
    how = request.query.get("layer", "")
    if how == "next":
        gevent.spawn(next, {"message": "full", "status_code": 507})
    elif how == "end":
        gevent.spawn(lambda: (response.end("ended"), next("too late"), response.end("too late")))
    elif how == "silent":
        pass
    else:
        next()


def marking(wrapped: Any) -> Any:
    """WSGI middleware."""

    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def own(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("X-WSGI", "yes")], exc_info)

        environ["layer.mark"] = "marked"
        if "layer=wsgi" in environ["QUERY_STRING"]:
            start_response("406 Not Acceptable", [("Content-Type", "text/plain")])
            return [b"wsgi"]
        return wrapped(environ, own)

    return middleware


def create() -> Any:
    """Layers of every kind and a hook that blocks; below ``/done`` another Primus, whose hook calls back."""
    primus = configure(Primus(app, authorization=authorize, origins="self", **options()))
    primus.before("sync", layer)
    primus.before("async", layer_with_next)
    primus.before("wsgi", wsgi_layer(marking))
    given = {**options(), "handshake_timeout": 0.4}
    return Primus(primus, pathname="/done", authorization=authorize_with_done, origins="self", **given)


def create_hidden() -> Any:
    """A middleware that passes its own `start_response` on, and so hides the server behind it."""
    guarded = create()

    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return guarded(
            environ, lambda status, headers, exc_info=None: start_response(status, headers, exc_info)
        )

    return middleware
