"""Plugins: named extensions of a server and of its clients (specification, "Plugins").

A plugin is a mapping, a module or any object with one or more of

- ``server(primus, options)``: called once, when the plugin is added. It may return a function without
  parameters, which is called when the plugin is removed.
- ``client``: JavaScript, a function expression ``function (primus, options) {...}`` that every client runs;
  or the path of a file that holds one.
- ``python_client``: the same for `primus_gevent.client.Socket`: a function ``(client, options)``, called when
  a client is made.
- ``library``: JavaScript that ``client`` needs, run once before it, in a scope that only the two share; or
  the path of such a file.
- ``options``: the names of options of its own, which may then stand beside those of `Primus`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..arity import arity
from ..errors import PluginError

__all__ = ["Ark", "Plugin", "load", "options_for"]

PARTS = ("server", "client", "python_client", "library", "options")

# A library is written for a script tag: it finds the global object in `this`, and no module loader whose
# exports it would take over. What it declares must not meet the names of our own client.
_SCOPE = """(function (Primus, module, exports, define) {{
return (function () {{
{library}
;{result}
}}).call(typeof globalThis === 'object' ? globalThis : self);
}})(Primus)"""


@dataclass(frozen=True)
class Plugin:
    """A plugin, checked.

    Attributes:
        name: in the ark, and in `Primus.prototype.ark` of the client.
        given: what the user gave: the events `plugin` and `plugout` carry it.
        server: the server side; may be called with two arguments.
        client: JavaScript function expression of the client side, around it the library that it needs.
        library: JavaScript statements of a library that comes without client side.
        python_client: the client side in Python; may be called with two arguments.
        options: names of its own options.
    """

    name: str
    given: Any
    server: Callable[..., Any] | None = None
    client: str | None = None
    python_client: Callable[..., Any] | None = None
    library: str | None = None
    options: tuple[str, ...] = ()


def load(name: Any, given: Any) -> Plugin:
    """Check a plugin; a text is the name to import it by, ``package.module`` or ``package.module:attribute``.

    Raises:
        PluginError: it cannot be a plugin; the message says why, ``plugin`` is its name.
    """
    if not isinstance(name, str) or not name:
        raise PluginError(f"the name of a plugin is a text, not {name!r}", name)
    if isinstance(given, str):
        given = _import(name, given)
    parts = _parts(name, given)
    if parts["server"] is None and parts["client"] is None and parts["python_client"] is None:
        raise PluginError(f"plugin {name!r} has neither a server nor a client side", name)
    client = _javascript(name, "client", parts["client"])
    library = _javascript(name, "library", parts["library"])
    if library is not None:
        result = "" if client is None else f"return (\n{client}\n);"
        scope = _SCOPE.format(library=library, result=result)
        client, library = (None, scope + ";") if client is None else (scope, None)
    return Plugin(
        name,
        given,
        _function(name, "server", "primus", parts["server"], given),
        client,
        _function(name, "Python client", "client", parts["python_client"], given),
        library,
        _names(name, parts["options"]),
    )


def _parts(name: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        return {part: getattr(given, part, None) for part in PARTS}
    unknown = [key for key in given if key not in PARTS]
    if unknown:
        raise PluginError(
            f"plugin {name!r} has the unknown part {unknown[0]!r}; known are: {', '.join(PARTS)}", name
        )
    return {part: given.get(part) for part in PARTS}


def _function(name: str, side: str, first: str, fn: Any, given: Any) -> Callable[..., Any] | None:
    """One side, so that it can be called with both arguments though it may take fewer."""
    if fn is None:
        return None
    if not callable(fn):
        raise PluginError(f"the {side} side of plugin {name!r} is a function, not {fn!r}", name)
    required, accepted = arity(fn)
    if required > 2:
        hint = "; the plugin is a class, and should be an instance of it" if isinstance(given, type) else ""
        raise PluginError(f"the {side} side of plugin {name!r} takes ({first}, options){hint}", name)
    function: Callable[..., Any] = fn
    return lambda primus, options: function(*(primus, options)[:accepted])


def _import(name: str, path: str) -> Any:
    module_name, _, attribute = path.partition(":")
    try:
        found = import_module(module_name)
        return getattr(found, attribute) if attribute else found
    except Exception as error:  # whatever a module does when it is imported
        raise PluginError(f"plugin {name!r} cannot be imported from {path!r}: {error}", name) from error


def _javascript(name: str, part: str, value: Any) -> str | None:
    """The source itself, or that of a file; a text of one line that ends with ``.js`` is the path of one."""
    if value is None:
        return None
    if isinstance(value, os.PathLike) or (
        isinstance(value, str) and "\n" not in value and value.strip().endswith((".js", ".mjs"))
    ):
        value = Path(value)
    if hasattr(value, "read_text"):  # a path, or a resource of `importlib.resources`
        try:
            value = value.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise PluginError(f"the {part} of plugin {name!r} cannot be read: {error}", name) from error
    if not isinstance(value, str) or not value.strip():
        raise PluginError(
            f"the {part} of plugin {name!r} is JavaScript, or a file of it, not {value!r}", name
        )
    # It becomes an expression.
    return value.strip().rstrip(";") if part == "client" else value.rstrip()


def _names(name: str, value: Any) -> tuple[str, ...]:
    value = () if value is None else value
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise PluginError(f"the options of plugin {name!r} are a list of names, not {value!r}", name)
    return tuple(str(item) for item in value)


def options_for(plugin: Plugin, given: Any) -> Mapping[str, Any]:
    """Check options that were given together with a plugin.

    Raises:
        PluginError: they are no mapping, or the plugin tells its options and has not all of these.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise PluginError(f"options for plugin {plugin.name!r} are a mapping, not {given!r}", plugin.name)
    for name in given:
        if plugin.options and name not in plugin.options:
            raise PluginError(
                f"plugin {plugin.name!r} has no option {name!r}; it has: {', '.join(plugin.options)}",
                plugin.name,
            )
    return given


class Ark:
    """Where the plugins of one server are kept, in the order in which they came."""

    def __init__(self) -> None:
        self._plugins: dict[str, Plugin] = {}
        self._undo: dict[str, Callable[[], Any]] = {}

    def add(self, plugin: Plugin, primus: Any, options: Any) -> None:
        """Keep a plugin and call its server side.

        Raises:
            PluginError: there is one of that name; or the server side failed, and the plugin is not kept.
        """
        name = plugin.name
        if name in self._plugins:
            raise PluginError(f"plugin {name!r} is already in the ark; plugout({name!r}) removes it", name)
        self._plugins[name] = plugin  # before the call: it may ask for it
        if plugin.server is None:
            return
        try:
            undo = plugin.server(primus, options)
        except BaseException as error:
            self._plugins.pop(name, None)
            if not isinstance(error, Exception):
                raise  # out of time, or killed
            raise PluginError(f"the server side of plugin {name!r} failed: {error}", name) from error
        # Not everything that can be called: a lambda also returns what `on` or `transform` gives back.
        if callable(undo) and arity(undo)[0] == 0:
            self._undo[name] = undo

    def remove(self, name: str) -> Plugin | None:
        """Take a plugin out, and call the function that its server side returned; None if it is not there.

        Raises:
            PluginError: that function failed; the plugin is out nevertheless.
        """
        plugin = self._plugins.pop(name, None)
        undo = self._undo.pop(name, None)
        if undo is not None:
            try:
                undo()
            except Exception as error:
                raise PluginError(f"plugin {name!r} failed to undo its server side: {error}", name) from error
        return plugin

    def __iter__(self) -> Iterator[Plugin]:
        return iter(list(self._plugins.values()))

    def get(self, name: str) -> Plugin | None:
        """The plugin of that name."""
        return self._plugins.get(name)
