"""A raw SockJS client over blocking sockets, for tests of what is on the wire: every transport.

It shares nothing with the codec of the package, and decides nothing by itself: no request is sent unless the
test says so.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.client import SECONDS, TEXT, Client, Response, frame
from tests.support.hosts import Server, serve

JAVASCRIPT = "application/javascript; charset=UTF-8"
PLAIN = "text/plain; charset=UTF-8"
PRELUDE = b"h" * 2048 + b"\n"
NEVER_CACHED = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
STILL_OPEN = 'c[2010,"Another connection still open"]'
GO_AWAY = 'c[3000,"Go away!"]'
NOT_FOUND = b"404 Error: Page not found\n"

_keys = itertools.count()


@contextmanager
def sockjs_server(host: str, **options: Any) -> Iterator[Server]:
    """A server process with SockJS, warmed up."""
    transport = {"disconnect_delay": 0.5, **options.pop("transport", {})}
    options = {"transformer": "sockjs", "close_timeout": 0.4, "transport": transport, **options}
    with serve(host, **options) as server:
        # what it imports, caches and connects on first use belongs to the baseline
        session = SockJS(server).open()
        session.send("warm up")
        session.poll()
        session.end()
        session.drop()
        socket = SockJS(server).open_websocket()
        socket.send_messages("warm up")
        socket.recv_messages()
        socket.drop()
        server.wait_state(sparks=0, sessions=0, objects=0)
        yield server


class Stream:
    """A response in chunks, read one by one."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.response = client.recv_response(head_only=True)
        assert self.response.status == 200, self.response

    def chunk(self, timeout: float = SECONDS) -> bytes:
        """The next one; empty at the end."""
        assert self.response.headers["transfer-encoding"] == "chunked"
        deadline = time.monotonic() + timeout
        size = int(self.client.take_until(b"\r\n", deadline), 16)
        data = self.client.take(size + 2, deadline)
        assert data.endswith(b"\r\n")
        return data[:-2]

    def rest(self) -> bytes:
        """All to the end of the response, which may be the end of the connection."""
        if "transfer-encoding" not in self.response.headers:
            return self.client.rest()
        data = b""
        while chunk := self.chunk():
            data += chunk
        return data

    def expect_end(self) -> None:
        assert self.chunk() == b""


@dataclass
class SockJS:
    """One session. Receiving and sending requests have a connection each."""

    server: Server
    service: str | None = "mirror"
    prefix: str = "/primus"
    server_id: str = "000"
    key: str = ""
    query: dict[str, str] = field(default_factory=dict)  # on every request
    headers: dict[str, str] = field(default_factory=dict)
    getting: Client | None = field(init=False, default=None)
    posting: Client | None = field(init=False, default=None)
    socket: Client | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.key = self.key or f"s{next(_keys)}x{time.monotonic_ns():x}"

    def path(self, transport: str, **extra: str) -> str:
        query = {**({} if self.service is None else {"service": self.service}), **self.query, **extra}
        path = f"{self.prefix}/{self.server_id}/{self.key}/{transport}"
        return f"{path}?{urlencode(query, quote_via=quote)}" if query else path

    # -- receiving

    def send_poll(self, transport: str = "xhr", **extra: str) -> Client:
        """Begin a receiving request."""
        if self.getting is None:
            self.getting = self.server.client()
        method = "POST" if transport.startswith("xhr") else "GET"
        headers = {"Content-Length": "0"} if method == "POST" else {}
        self.getting.send_request(self.path(transport, **extra), {**headers, **self.headers}, method=method)
        return self.getting

    def recv_response(self, timeout: float = SECONDS) -> Response:
        assert self.getting is not None
        response = self.getting.recv_response(timeout=timeout)
        if response.headers.get("connection", "").lower() == "close":
            self.getting.sock.close()
            self.getting = None
        return response

    def recv_poll(self, timeout: float = SECONDS) -> str:
        """The frame of the answer to an xhr poll."""
        response = self.recv_response(timeout)
        assert response.status == 200, response
        body = response.body.decode()
        assert body.endswith("\n"), response
        assert body.count("\n") == 1
        return body[:-1]

    def poll(self, timeout: float = SECONDS, **extra: str) -> str:
        self.send_poll(**extra)
        return self.recv_poll(timeout)

    def poll_response(self, transport: str = "xhr", **extra: str) -> Response:
        self.send_poll(transport, **extra)
        return self.recv_response()

    def cut_poll(self) -> None:
        """Hang up the connection of the receiving requests."""
        assert self.getting is not None
        self.getting.sock.close()
        self.getting = None

    def open(self, **extra: str) -> SockJS:
        assert self.poll(**extra) == "o"
        return self

    def stream(self, transport: str = "xhr_streaming", **extra: str) -> Stream:
        return Stream(self.send_poll(transport, **extra))

    # -- sending

    def post(
        self,
        body: bytes | str,
        transport: str = "xhr_send",
        content_type: str | None = "text/plain",
        **extra: str,
    ) -> Response:
        if self.posting is None:
            self.posting = self.server.client()
        data = body.encode() if isinstance(body, str) else body
        headers = {"Content-Length": str(len(data)), **self.headers}
        if content_type is not None:
            headers["Content-Type"] = content_type
        self.posting.send_request(self.path(transport, **extra), headers, method="POST", body=data)
        response = self.posting.recv_response()
        if response.headers.get("connection", "").lower() == "close":
            self.posting.sock.close()
            self.posting = None
        return response

    def send(self, *messages: str, **extra: str) -> None:
        """Send messages, which the server has to take."""
        response = self.post(json.dumps(messages), **extra)
        assert (response.status, response.body) == (204, b""), response

    # -- WebSocket

    def open_websocket(self, headers: dict[str, str | None] | None = None) -> SockJS:
        self.socket = self.server.client()
        self.socket.upgrade(self.path("websocket"), {**self.headers, **(headers or {})})
        assert self.socket.recv_text() == "o"
        return self

    def send_text(self, text: str) -> None:
        """One WebSocket message as it is."""
        assert self.socket is not None
        self.socket.send(frame(TEXT, text.encode()))

    def send_messages(self, *messages: str) -> None:
        self.send_text(json.dumps(messages))

    def recv_messages(self, timeout: float = SECONDS) -> list[str]:
        assert self.socket is not None
        return messages_of(self.socket.recv_text(timeout))

    # -- the end

    def end(self) -> None:
        """Say goodbye, which only our own clients do."""
        assert self.post("[]", end="1").status == 204

    def drop(self) -> None:
        """Hang up, which is how official clients say goodbye."""
        for client in (self.getting, self.posting, self.socket):
            if client is not None:
                client.sock.close()
        self.getting = self.posting = self.socket = None


def messages_of(text: str) -> list[str]:
    """Those of an `a` frame."""
    assert text[0] == "a", text
    messages: list[str] = json.loads(text[1:])
    return messages


# -- the frames of a body, by transport


def sse_frames(body: bytes) -> list[str]:
    """Those of an event stream, whose prelude may be missing."""
    events = body.decode().removeprefix("\r\n").split("\r\n\r\n")
    assert events.pop() == ""
    return [re.sub("%([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), event[6:]) for event in events]


def html_frames(body: bytes) -> list[str]:
    """Those of htmlfile, without its page."""
    found = re.findall(r"<script>\np\((.*)\);\n</script>\r\n", body.decode())
    return [json.loads(literal) for literal in found]


def jsonp_frame(body: bytes, callback: str = "callback") -> str:
    """That of a JSONP answer."""
    found = re.fullmatch(rf"/\*\*/{re.escape(callback)}\((.*)\);\r\n", body.decode())
    assert found is not None, body
    text: str = json.loads(found[1])
    return text
