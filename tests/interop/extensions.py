"""What the test server has with the options ``authorization`` and ``extended``; server.js has the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gevent

from primus_gevent import AuthorizationError, Primus

__all__ = ["AUTHORIZATION", "PLUGIN", "label", "transforms"]

HERE = Path(__file__).parent


class Label(NamedTuple):
    """What a client asks for, and which scenario it is of."""

    service: str
    tag: str


def label(asks: Any) -> Label:
    """Of a spark or a request. Without a query the host tells it: ``<service>.<tag>.localhost``."""
    if "tag" in asks.query:
        return Label(asks.query.get("service", "echo"), asks.query["tag"])
    host = asks.headers.get("Host", "").partition(":")[0]
    service, _, tag = host.removesuffix(".localhost").partition(".")
    return Label(service, tag) if host.endswith(".localhost") else Label("echo", "")


# -- authorization

# Why a request is refused, by its token; None lets it pass.
VERDICTS: dict[str, Any] = {
    "good": None,
    "forbidden": {"status_code": 403, "message": "Go away!"},
    "text": "Not you.",
    "none": {"message": "Authentication required", "authenticate": 'Basic realm="myscheme"'},
}


def token_of(request: Any) -> str:
    given = request.headers.get("Authorization", "")
    if given.startswith("Bearer "):
        return str(given.removeprefix("Bearer "))
    return str(request.query.get("token", "none"))


def callback_hook(asked: Callable[[str], None]) -> Callable[..., None]:
    """The specification's form: it answers later, in another greenlet."""

    def authorize(request: Any, done: Callable[..., None]) -> None:
        asked(label(request).tag)
        gevent.spawn(done, VERDICTS[token_of(request)])

    return authorize


def blocking_hook(asked: Callable[[str], None]) -> Callable[..., None]:
    """Ours: it may block, and raises."""

    def authorize(request: Any) -> None:
        asked(label(request).tag)
        gevent.sleep(0)
        verdict = VERDICTS[token_of(request)]
        if isinstance(verdict, str):
            raise AuthorizationError(verdict)
        if verdict:
            raise AuthorizationError(**verdict)

    return authorize


AUTHORIZATION = {"callback": callback_hook, "blocking": blocking_hook}

# -- a plugin


def shout(primus: Primus, _: Any) -> None:
    """The server side: answers what the client side sends, and the application sees none of it."""

    def reply(spark: Any, text: str) -> None:
        spark.write({"heard": text})

    primus.Spark.reply = reply  # type: ignore[attr-defined]

    @primus.transform("incoming")
    def heard(packet: Any) -> bool:
        if not (isinstance(packet.data, dict) and "shout" in packet.data):
            return True
        packet.spark.reply(packet.data["shout"])
        return False


PLUGIN = {
    "server": shout,
    "client": HERE / "plugin" / "client.js",
    "library": HERE / "plugin" / "library.js",
}

# -- transforms


def transforms(primus: Primus) -> None:
    """Transforms that write their name into messages that have ``steps``, or stop them there."""
    for direction, way in (("incoming", "in"), ("outgoing", "out")):
        primus.transform(direction, at_once(f"server {way}"))
        primus.transform(direction, later(f"server {way} later"))


def travels(data: Any) -> bool:
    return isinstance(data, dict) and "steps" in data


def step(packet: Any, name: str) -> bool:
    packet.data = {**packet.data, "steps": [*packet.data["steps"], name]}
    return packet.data.get("stop") != name


def at_once(name: str) -> Callable[[Any], bool]:
    return lambda packet: not travels(packet.data) or step(packet, name)


def later(name: str) -> Callable[..., None]:
    def transform(packet: Any, next: Callable[..., None]) -> None:  # noqa: A002 - the specification's name
        if not travels(packet.data):
            next()
            return
        error = f"failed: {name}" if packet.data.get("fail") == name else None
        seconds = 0.05 if packet.data.get("slow") == name else 0.001
        gevent.spawn_later(seconds, lambda: next(error, step(packet, name)))

    return transform
