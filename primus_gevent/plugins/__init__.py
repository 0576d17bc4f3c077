"""Plugins: named extensions of a server and of its clients (specification, "Plugins").

A plugin is a mapping, a module or any object with one or more of

- ``server(primus, options)``: called once, when the plugin is added. It may return a function, which is
  called when the plugin is removed.
- ``client``: JavaScript, a function expression ``function (primus, options) {...}`` that every client runs;
  or the path of a file that holds one.
- ``library``: JavaScript that ``client`` needs, put before it in the same scope; or the path of such a file.
- ``options``: the names of options of its own, which may then stand beside those of `Primus`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import PluginError

__all__ = ["Ark", "Plugin", "load"]

PARTS = ("server", "client", "library", "options")


@dataclass(frozen=True)
class Plugin:
    """A plugin, checked.

    Attributes:
        name: in the ark, and in `Primus.prototype.ark` of the client.
        given: what the user gave: the events `plugin` and `plugout` carry it.
        server: the server side.
        client: JavaScript function expression of the client side.
        library: JavaScript that the client side needs.
        options: names of its own options.
    """

    name: str
    given: Any
    server: Callable[..., Any] | None = None
    client: str | None = None
    library: str | None = None
    options: tuple[str, ...] = ()


def load(name: str, given: Any) -> Plugin:
    """Check a plugin; a text is the name to import it by, ``package.module`` or ``package.module:attribute``.

    Raises:
        PluginError: it cannot be a plugin; the message says why, ``plugin`` is its name.
    """
    if not name:
        raise PluginError("a plugin needs a name", name)
    if isinstance(given, str):
        given = _import(name, given)
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in PARTS]
        if unknown:
            raise PluginError(
                f"plugin {name!r} has the unknown part {unknown[0]!r}; known are: {', '.join(PARTS)}", name
            )
        parts = {part: given.get(part) for part in PARTS}
    else:
        parts = {part: getattr(given, part, None) for part in PARTS}
    server = parts["server"]
    if server is not None and not callable(server):
        raise PluginError(f"the server side of plugin {name!r} is a function, not {server!r}", name)
    if server is None and parts["client"] is None:
        raise PluginError(f"plugin {name!r} has neither a server nor a client side", name)
    return Plugin(
        name,
        given,
        server,
        _javascript(name, "client", parts["client"]),
        _javascript(name, "library", parts["library"]),
        _names(name, parts["options"]),
    )


def _import(name: str, path: str) -> Any:
    module_name, _, attribute = path.partition(":")
    try:
        found = import_module(module_name)
        return getattr(found, attribute) if attribute else found
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"plugin {name!r} cannot be imported from {path!r}: {error}", name) from error


def _javascript(name: str, part: str, value: Any) -> str | None:
    """The source itself, or that of a file; a text of one line that ends with ``.js`` is the path of one."""
    if value is None:
        return None
    is_path = isinstance(value, os.PathLike)
    if isinstance(value, str) and "\n" not in value and value.strip().endswith((".js", ".mjs")):
        is_path = True
    if is_path:
        try:
            value = Path(value).read_text("utf-8")
        except (OSError, ValueError) as error:
            raise PluginError(f"the {part} of plugin {name!r} cannot be read: {error}", name) from error
    if not isinstance(value, str) or not value.strip():
        raise PluginError(
            f"the {part} of plugin {name!r} is JavaScript, or a file of it, not {value!r}", name
        )
    # It becomes an expression, or stands before one.
    return value.strip().rstrip(";") if part == "client" else value


def _names(name: str, value: Any) -> tuple[str, ...]:
    value = () if value is None else value
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise PluginError(f"the options of plugin {name!r} are a list of names, not {value!r}", name)
    return tuple(str(item) for item in value)


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
        except Exception as error:
            del self._plugins[name]
            raise PluginError(f"the server side of plugin {name!r} failed: {error}", name) from error
        if callable(undo):
            self._undo[name] = undo

    def remove(self, name: str) -> Plugin | None:
        """Take a plugin out, and call the function that its server side returned; None if it is not there."""
        plugin = self._plugins.pop(name, None)
        undo = self._undo.pop(name, None)
        if undo is not None:
            undo()
        return plugin

    def __iter__(self) -> Iterator[Plugin]:
        return iter(list(self._plugins.values()))

    def get(self, name: str) -> Plugin | None:
        """The plugin of that name."""
        return self._plugins.get(name)
