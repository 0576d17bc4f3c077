"""What is set up on a server beside its options: middleware, authorization, plugins, message transforms.

The part of `Primus` that applications and plugins extend it through; what requests and messages then do with
it is elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import plugins
from .dispatchers import FAILURES
from .errors import OptionError
from .events import Emitter
from .middleware import builtin
from .middleware.authorization import Authorization
from .middleware.stack import Stack, user_layer
from .options import Options
from .transforms import DIRECTIONS, Transform

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Extensions"]

logger = logging.getLogger("primus_gevent")

F = TypeVar("F", bound=Callable[..., Any])


class Extensions(Emitter):
    """The extensible part of one server.

    Attributes:
        options: the checked options.
        authorization: what `authorize` has set; None without it.
        incoming, outgoing: the message transforms, in order.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.trusted_proxies = options.trusted_proxies
        self.authorization: Authorization | None = None
        self.incoming: tuple[Transform, ...] = ()
        self.outgoing: tuple[Transform, ...] = ()
        self._ark = plugins.Ark()
        self._stack = Stack(builtin.layers(self))

    def _extend(self) -> None:
        """Take over what the options bring along, when everything else of the server is there."""
        if self.options.authorization is not None:
            self.authorize(self.options.authorization)
        self._use_all(self.options.plugin)

    def _emit_safely(self, event: str, *args: Any) -> None:
        """Call the listeners of ``event``; what one of them raises is logged, and nobody else's concern."""
        for listener in self._registered(event):
            if listener.once:
                self._discard(event, listener)
            try:
                listener(*args)
            except FAILURES:
                logger.exception("a %s listener failed", event)

    # -- middleware; specification, "Middleware"

    @overload
    def before(self, name: F, *, options: Any = None, index: int | None = None) -> F: ...
    @overload
    def before(self, name: str, *, options: Any = None, index: int | None = None) -> Callable[[F], F]: ...
    @overload
    def before(self, name: str, fn: F, options: Any = None, index: int | None = None) -> F: ...
    def before(self, name: Any, fn: Any = None, options: Any = None, index: int | None = None) -> Any:
        """Add a middleware layer: every request below the pathname passes it before the transformer.

        The function is one of

        - ``fn(request, response)``: goes on by returning nothing; answers by filling in ``response`` and
          returning ``True``, by ``response.end(data)``, or by returning a werkzeug ``Response``. May block.
          Anything else that it returns is an error, and the request is answered 500.
        - ``fn(request, response, next)``: is waited for until it calls ``next()`` or answers. ``next(error)``
          answers with the error's ``status_code``, or 500, and ``{"error": message}``.
        - with fewer than two parameters: is called once, now, and returns one of the others. A parameter
          named ``options`` gets ``options``, any other this server.

        Headers that are set on ``response`` without answering become part of the later answer, the 101 of a
        WebSocket included. ``fn.http = False`` or ``fn.upgrade = False`` keep a layer away from that kind of
        request. Without ``fn`` this is a decorator; with the function alone, the layer has its name.

        Args:
            name: an existing layer of that name is replaced, in its place.
            options: for a function that makes the layer.
            index: where in the stack, from 0; at its end by default.

        Raises:
            OptionError: it is none of these functions.
        """
        if type(options) is int and index is None:  # the specification's `before(name, fn, index)`
            options, index = None, options
        if fn is None and callable(name):
            name, fn = getattr(name, "__name__", "").replace("<lambda>", ""), name

        def add(function: Any) -> Any:
            self._stack.add(user_layer(name, function, self, options, self.options.handshake_timeout), index)
            return function

        return add if fn is None else add(fn)

    def remove(self, name: str) -> None:
        """Take a middleware layer out, also one of Primus's own.

        Raises:
            UnknownNameError: there is none of that name.
        """
        self._stack.remove(name)

    def disable(self, name: str) -> None:
        """Skip a middleware layer until `enable`.

        Raises:
            UnknownNameError: there is none of that name.
        """
        self._stack.switch(name, enabled=False)

    def enable(self, name: str) -> None:
        """Run a disabled middleware layer again.

        Raises:
            UnknownNameError: there is none of that name.
        """
        self._stack.switch(name, enabled=True)

    @property
    def layers(self) -> list[str]:
        """The names of the middleware layers, in order."""
        return self._stack.names

    def authorize(self, fn: F) -> F:
        """Ask ``fn`` about every request and upgrade; also a decorator (specification, "Authorization").

        ``fn(request)`` may block; it refuses by raising `AuthorizationError`, or by returning ``False``.
        ``fn(request, done)`` calls ``done()``, or ``done(error)`` with a text, an exception or a mapping with
        ``message``, ``status_code`` and ``authenticate``. Either way it has ``handshake_timeout`` seconds.

        Raises:
            OptionError: it takes neither one nor two arguments.
        """
        self.authorization = Authorization(fn, self.options.handshake_timeout)
        if self.options.origins == "*" and self.options.credentials:
            logger.warning(
                "every web page may connect with the cookies of its visitor: with cookie or basic "
                "authentication set the option `origins` to your own, or `credentials=False`"
            )
        return fn

    # -- plugins; specification, "Plugins"

    def use(self, name: str, plugin: Any, options: Any = None, index: int | None = None) -> Self:
        """Add a plugin; see `primus_gevent.plugins` for what one is.

        A plain function is a middleware layer, as ``use`` means from Primus 5 on; see `before`.

        Args:
            name: of the plugin, in its clients too.
            plugin: a mapping, module or object with its parts, or a text to import it by.
            options: a mapping of further options for its server side.
            index: of a layer.

        Raises:
            PluginError: it cannot be added; ``plugin`` is its name.
        """
        if callable(plugin) and not any(hasattr(plugin, part) for part in plugins.PARTS):
            self.before(name, plugin, options, index)
            return self
        return self._use(name, plugin, options)

    def _use(self, name: str, plugin: Any, options: Any) -> Self:
        loaded = plugins.load(name, plugin)
        given = self.options
        if options is not None:
            given = given.for_plugin(plugins.options_for(loaded, options))
        self._ark.add(loaded, self, given)
        self._emit_safely("plugin", name, loaded.given)
        return self

    @overload
    def plugin(self, name: str) -> Any: ...
    @overload
    def plugin(self, name: str, plugin: Any, options: Any = None) -> Self: ...
    def plugin(self, name: str, plugin: Any = None, options: Any = None) -> Any:
        """Add a plugin, as `use` does, but never a layer; or without one, give back what was added under that
        name, or None."""
        if plugin is not None:
            return self._use(name, plugin, options)
        found = self._ark.get(name)
        return None if found is None else found.given

    def plugout(self, name: str) -> bool:
        """Remove a plugin, here and in clients that are compiled later; tell whether it was there.

        What its server side has set up stays, unless that returned a function that takes it back.

        Raises:
            PluginError: that function failed; the plugin is removed nevertheless.
        """
        found = self._ark.get(name)
        if found is None:
            return False
        try:
            self._ark.remove(name)
        finally:
            self._emit_safely("plugout", name, found.given)
        return True

    def _use_all(self, given: Mapping[str, Any] | Iterable[str]) -> None:
        named = given if isinstance(given, Mapping) else {name: name for name in given}
        loaded = [plugins.load(name, plugin) for name, plugin in named.items()]
        self.options.check_extra([plugin.options for plugin in loaded])
        for plugin in loaded:
            self._ark.add(plugin, self, self.options)
            self._emit_safely("plugin", plugin.name, plugin.given)

    # -- transforms; specification, "Transforming and intercepting messages"

    @overload
    def transform(self, direction: str) -> Callable[[F], F]: ...
    @overload
    def transform(self, direction: str, fn: F) -> F: ...
    def transform(self, direction: str, fn: Any = None) -> Any:
        """Let every message pass ``fn(packet)`` on its way; without ``fn`` this is a decorator.

        It changes ``packet.data``, or returns ``False`` to swallow the message; it may block. ``fn(packet,
        next)`` is waited for until it calls ``next()``, ``next(error)`` or ``next(None, False)``. What it
        raises is an ``error`` event of the spark, and the message is dropped. See `primus_gevent.transforms`.

        Args:
            direction: ``incoming`` or ``outgoing``.

        Raises:
            OptionError: another direction.
        """
        self._transforms(direction)

        def add(function: Any) -> Any:
            transform = Transform(function, self.options.transform_timeout)
            before = self._transforms(direction)
            if all(known.function != function for known in before):
                setattr(self, direction, (*before, transform))
            return function

        return add if fn is None else add(fn)

    def untransform(self, direction: str, fn: Callable[..., Any]) -> bool:
        """Take back a `transform`; tell whether it was there. Messages that are in it already go on.

        Raises:
            OptionError: another direction.
        """
        before = self._transforms(direction)
        rest = tuple(transform for transform in before if transform.function != fn)
        setattr(self, direction, rest)
        return len(rest) < len(before)

    def _transforms(self, direction: str) -> tuple[Transform, ...]:
        if direction not in DIRECTIONS:
            raise OptionError(f"a message is {' or '.join(DIRECTIONS)}, not {direction!r}", "transform")
        return self.incoming if direction == "incoming" else self.outgoing
