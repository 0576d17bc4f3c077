"""The chat that ``primus-gevent`` serves: an example to read as much as one to play with.

It is written as an application of one's own would be: against the public names of the package, with
blocking code per connection, and a WSGI app (here a few static files) for everything that is not real-time.

    `Chat`    what happens on a connection
    `page`    the WSGI app
    `create`  both of them on one listening server
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from importlib import resources
from typing import Any

from werkzeug import Request, Response

from .. import Primus, Spark

__all__ = ["HISTORY", "NAME_CHARACTERS", "TEXT_CHARACTERS", "Chat", "create", "page"]

HISTORY = 50  # messages that a newcomer sees
NAME_CHARACTERS = 24
TEXT_CHARACTERS = 500
TAG_CHARACTERS = 32
MAX_MESSAGE_BYTES = 16 * 1024  # on the wire; above it the connection is closed with 1009

# -- the chat


class Chat:
    """One room. All of it runs in one thread, and nothing here waits except ``for message in spark``."""

    def __init__(self) -> None:
        self.names: dict[Spark, str] = {}  # of those who are here
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)

    def converse(self, spark: Spark) -> None:
        """Everything that happens on one connection; runs in a greenlet of its own, as long as it lasts."""
        # The name is in the URL, so that it is known before the first message: after a reconnect the client
        # first sends what was written in between.
        name = tidy_name(spark.query.get("name")) or "Guest"
        self.names[spark] = name
        spark.write({"type": "welcome", "history": list(self.history)})
        self.tell_all(spark, "joined", name=name)
        try:
            for message in spark:
                complaint = self.react(spark, message)
                if complaint:
                    spark.write({"type": "notice", "text": complaint})
        finally:
            name = self.names.pop(spark)
            self.tell_all(spark, "left", name=name)

    def react(self, spark: Spark, message: Any) -> str | None:
        """Do what a message asks for; returns what is wrong with it, if anything is.

        Messages come from outside: nothing about their shape may be taken for granted.
        """
        match message:
            case {"type": "say", "text": str(text)}:
                return self.say(spark, text.strip(), message.get("tag"))
            case {"type": "name", "name": str(name)}:
                return self.rename(spark, name)
            case {"type": "kill"}:
                spark.abort()  # no goodbye: to the client it is as if a cable had been cut
                return None
            case _:
                return "That message was not understood."

    def say(self, spark: Spark, text: str, tag: object) -> str | None:
        if not text or len(text) > TEXT_CHARACTERS:
            return f"A message has 1 to {TEXT_CHARACTERS} characters."
        said = {
            "type": "said",
            "id": secrets.token_hex(8),
            "name": self.names[spark],
            "text": text,
            "time": time.time(),
            # The sender's own mark, by which it knows that this one has arrived.
            "tag": tag if isinstance(tag, str) and len(tag) <= TAG_CHARACTERS else None,
        }
        self.history.append(said)
        spark.primus.write(said)
        return None

    def rename(self, spark: Spark, wanted: str) -> str | None:
        before, name = self.names[spark], tidy_name(wanted)
        if not name:
            return f"A name has 1 to {NAME_CHARACTERS} characters."
        if name != before:
            self.names[spark] = name
            self.tell_all(spark, "renamed", name=name, before=before)
        return None

    def tell_all(self, spark: Spark, event: str, **details: str) -> None:
        spark.primus.write({"type": event, "online": len(self.names), **details})


def tidy_name(name: object) -> str:
    """One line without invisible characters, or empty if ``name`` is no name at all."""
    if not isinstance(name, str):  # a query can hold a list: ?name=a&name=b
        return ""
    visible = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(visible.split())[:NAME_CHARACTERS].rstrip()


# -- the page

FILES = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/chat.js": ("chat.js", "text/javascript"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}

HEADERS = {
    # Nothing but our own files runs on this page, whatever people write in the chat. `ws:` is for browsers
    # that do not count WebSockets to 'self'.
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@Request.application
def page(request: Request) -> Response:
    """The WSGI app beside the chat: the files of its page. A Flask app would do just as well."""
    if request.path not in FILES:
        return Response("Not found\n", 404)
    if request.method not in ("GET", "HEAD"):
        return Response("Only GET is possible here\n", 405, {"Allow": "GET, HEAD"})
    name, content_type = FILES[request.path]
    body = resources.files(__name__).joinpath("static").joinpath(name).read_bytes()
    response = Response(body, mimetype=content_type, headers=HEADERS)
    response.add_etag()
    return response.make_conditional(request)


# -- the server


def create(*, host: str, port: int, **options: Any) -> Primus:
    """A chat that listens; ``serve_forever`` then serves it.

    Args:
        host: address to listen on; empty for all.
        port: 0 takes a free one.
        **options: of `Primus`, such as ``transformer`` and ``parser``.

    Raises:
        OptionError: an option cannot be used.
        OSError: the port is taken.
    """
    return Primus.create_server(
        Chat().converse,
        app=page,
        host=host,
        port=port,
        max_length=MAX_MESSAGE_BYTES,
        iknowhttpsisbetter=True,  # it is for this machine
        **options,
    )
