"""A plugin as a module; `Greeter` is one as a class, of which `greeter` is an instance."""

from __future__ import annotations

from typing import Any

client = "function (primus, options) { primus.greeting = 'hello'; }"
options = ("greeting",)


def server(primus: Any, options: Any) -> Any:
    primus.Spark.greet = lambda spark: spark.write(options.get("greeting", "hello"))

    def undo() -> None:
        del primus.Spark.greet

    return undo


class Greeter:
    def __init__(self) -> None:
        self.added: list[Any] = []

    def server(self, primus: Any, options: Any) -> None:
        self.added.append((primus, options))


greeter = Greeter()
empty: dict[str, Any] = {}
