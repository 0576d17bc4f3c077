"""A raw BrowserChannel client over blocking sockets, for tests of what is on the wire.

Its framing is written out by hand and shares nothing with the codec of the package. It decides nothing by
itself: no request is sent unless the test says so. Arrays are lists of an id and the data; messages are what
the JSON parser has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.client import SECONDS, Client, EndOfFile, Response
from tests.support.hosts import Server, serve

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

STANDARD_HEADERS = {
    "content-type": "text/plain",
    "cache-control": "no-cache, no-store, max-age=0, must-revalidate",
    "pragma": "no-cache",
    "expires": "Fri, 01 Jan 1990 00:00:00 GMT",
    "x-content-type-options": "nosniff",
}
ERRORS = {
    "Version 8 required": 400,
    "Unknown SID": 400,
    "Bad data": 400,
    "Expected RPC": 400,
    "Forbidden": 403,
}


@contextmanager
def channel_server(host: str, **options: Any) -> Iterator[Server]:
    """A server process with BrowserChannel, warmed up."""
    with serve(host, **{"transformer": "browserchannel", "close_timeout": 0.4, **options}) as server:
        # what it imports, caches and connects on first use belongs to the baseline
        channel = Channel(server).open("warm up")
        channel.back().take_messages(1)
        channel.close()
        with server.client() as client:
            assert client.request(channel.path("/test", MODE="init")).status == 200
        server.wait_state(sparks=0, sessions=0, objects=0)
        yield server


def expect_headers(response: Response, content_type: str = "text/plain") -> None:
    """The standard ones, each once: Primus's own of the same names have given way."""
    for name, value in {**STANDARD_HEADERS, "content-type": content_type}.items():
        assert response.headers[name] == value, response


def expect_error(response: Response, message: str) -> None:
    """The answer is one of the error pages."""
    assert response.status == ERRORS[message], response
    assert response.body.decode() == f"<html><body><h1>{message}</h1></body></html>"
    expect_headers(response)


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def split_chunks(body: bytes) -> tuple[list[list[Any]], bytes]:
    """The arrays in a body, and what is behind the last whole chunk."""
    arrays: list[list[Any]] = []
    while True:
        length, mark, rest = body.partition(b"\n")
        if not mark:
            return arrays, body
        text = rest.decode("utf-8", "ignore").encode("utf-16-le")[: 2 * int(length)].decode("utf-16-le")
        if utf16_length(text) < int(length):
            return arrays, body
        assert text[-1] == "\n"
        arrays += json.loads(text)
        body = rest[len(text.encode()) :]


def form(messages: list[str], first: int, *, count: int | None = None) -> bytes:
    """The body of a request with messages, each the text of a packet."""
    fields = {"count": str(len(messages) if count is None else count)}
    if messages:
        fields["ofs"] = str(first)
    fields.update({f"req{index}__S": text for index, text in enumerate(messages)})
    return urlencode(fields, quote_via=quote, safe="").encode()


class Back:
    """The answer to a request for the back channel, as far as it has come."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.raw = b""
        self.data = b""  # what is not taken yet
        self.ended = False
        self._response: Response | None = None
        self._left = 0  # of a body whose length is known

    @property
    def response(self) -> Response:
        """Its head. Waits for it."""
        if self._response is None:
            self._response = self.client.recv_response(head_only=True)
            if "content-length" in self._response.headers:
                self._left = int(self._response.headers["content-length"])
                self.ended = not self._left
        return self._response

    def more(self, timeout: float = SECONDS) -> bytes:
        """The next piece of the body; empty at its end."""
        deadline = time.monotonic() + timeout
        chunked = self.response.headers.get("transfer-encoding") == "chunked"
        if self.ended:
            return b""
        if chunked:
            size = int(self.client.take_until(b"\r\n", deadline), 16)
            piece = self.client.take(size + 2, deadline)[:-2]
            self.ended = not size
        elif self._left:
            piece = self.client.take(self._left, deadline)
            self.ended = True
        else:
            piece = self.client.rest(timeout)
            self.ended = True
        self.raw += piece
        self.data += piece
        return piece

    def piece(self) -> bytes:
        """What comes in one piece; empty at the end."""
        assert self.data == b""
        self.more()
        piece, self.data = self.data, b""
        return piece

    def arrays(self, timeout: float = SECONDS) -> list[list[Any]]:
        """The arrays of the next chunks; none at the end."""
        while True:
            arrays, self.data = split_chunks(self.data)
            if arrays or self.ended:
                return arrays
            self.more(timeout)

    def rest(self, timeout: float = SECONDS) -> bytes:
        """The body, when it has ended."""
        while self.more(timeout):
            pass
        return self.raw

    def expect_end(self) -> None:
        """Nothing more comes."""
        assert self.data == b""
        assert self.more() == b""
        assert self.ended

    def quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return not self.data and self.client.quiet(seconds)


@dataclass
class Channel:
    """One session. Both channels have a connection each, which is opened again when it was cut."""

    server: Server
    service: str = "echo"
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    rid: int = 1000
    sid: str = field(init=False, default="")
    opening: list[Any] = field(init=False, default_factory=list)  # array 0
    aid: int = field(init=False, default=-1)  # the highest array that was seen
    first: int = field(init=False, default=0)  # id of the next map
    getting: Client | None = field(init=False, default=None)
    posting: Client | None = field(init=False, default=None)
    held: Back | None = field(init=False, default=None)
    waiting: list[Any] = field(init=False, default_factory=list)  # data that have come, and are not asked for
    ids: list[int] = field(init=False, default_factory=list)  # of all arrays

    def path(self, where: str = "/bind", **fields: str | None) -> str:
        """The address of a request; a field that is None is left out."""
        query: dict[str, str | None] = {"VER": "8", **self.query}
        if self.sid:
            query["SID"] = self.sid
        query.update({"zx": "abcdef", "t": "1"})
        query.update(fields)
        known = {name: value for name, value in query.items() if value is not None}
        return f"/primus{where}?" + urlencode(known, quote_via=quote, safe="")

    # -- the forward channel

    def open(self, *messages: object, **fields: str | None) -> Channel:
        """The first request, which has to succeed."""
        response = self.first_response(*messages, **fields)
        assert response.status == 200, response
        expect_headers(response)
        arrays, rest = split_chunks(response.body)
        assert rest == b""
        self.opening = arrays[0][1]
        assert arrays[0][0] == 0
        assert self.opening[0] == "c"
        assert self.opening[3] == 8
        self.sid = self.opening[1]
        self.note(arrays)
        return self

    def first_response(self, *messages: object, body: bytes | None = None, **fields: str | None) -> Response:
        """The answer to a first request that may be refused."""
        return self.post_response(*messages, body=body, service=self.service, CVER="7", **fields)

    def send_post(
        self,
        *messages: object,
        rid: int | None = None,
        first: int | None = None,
        body: bytes | None = None,
        content_type: str = FORM,
        cut: float = 0,
        **fields: str | None,
    ) -> Client:
        """Send a request with messages, or with a body as it is. Without numbers it is the next one; with
        ``cut`` so much of its body is left out (1 is all of it)."""
        if rid is None:
            rid, self.rid = self.rid, self.rid + 1
        if body is None:
            texts = [json.dumps(message, ensure_ascii=False) for message in messages]
            if first is None:
                first, self.first = self.first, self.first + len(texts)
            body = form(texts, first)
        if self.posting is None:
            self.posting = self.server.client()
        aid = str(self.aid) if self.sid else None
        path = self.path(**{"RID": str(rid), "AID": aid, **fields})
        headers = {"Content-Type": content_type, **self.headers, "Content-Length": str(len(body))}
        body = body[: round(len(body) * (1 - cut))]
        self.posting.send_request(path, headers, method="POST", body=body)
        return self.posting

    def recv_post(self, timeout: float = SECONDS) -> Response:
        assert self.posting is not None
        response = self.posting.recv_response(timeout=timeout)
        if response.headers.get("connection", "").lower() == "close":
            self.posting.sock.close()
            self.posting = None
        return response

    def post_response(self, *messages: object, **more: Any) -> Response:
        self.send_post(*messages, **more)
        return self.recv_post()

    def post(self, *messages: object, **more: Any) -> list[int]:
        """Send messages, which the server has to take; returns the status."""
        response = self.post_response(*messages, **more)
        assert response.status == 200, response
        expect_headers(response)
        length, _, text = response.body.decode().partition("\n")
        assert len(text) == int(length)
        status: list[int] = json.loads(text)
        assert len(status) == 3
        return status

    # -- the back channel

    def send_back(self, *, streams: bool = True, type: str = "xmlhttp", **fields: str | None) -> Back:  # noqa: A002
        """Ask for it."""
        if self.getting is None:
            self.getting = self.server.client()
        more = {"RID": "rpc", "CI": "0" if streams else "1", "AID": str(self.aid), "TYPE": type}
        self.getting.send_request(self.path(**{**more, **fields}), self.headers)
        self.held = Back(self.getting)
        return self.held

    def back(self, **more: Any) -> Channel:
        """Ask for it, and go on."""
        self.send_back(**more)
        return self

    def back_response(self, **more: Any) -> Response:
        """One that may be refused, or is whole soon."""
        held = self.send_back(**more)
        held.rest()
        self.drop_back(keep=True)
        held.response.body = held.raw
        return held.response

    def note(self, arrays: list[list[Any]]) -> list[Any]:
        """Take notice of arrays; gives back the data of new ones."""
        new = []
        for number, data in arrays:
            if number > self.aid:
                assert number == self.aid + 1
                self.aid = number
                self.ids.append(number)
                new.append(data)
        self.waiting += [data for data in new if isinstance(data, str)]
        return new

    def arrays(self, timeout: float = SECONDS) -> list[list[Any]]:
        """Those of the next chunk of the back channel that is there; none at its end."""
        assert self.held is not None
        arrays = self.held.arrays(timeout)
        self.note(arrays)
        if not arrays:
            self.drop_back(keep=True)
        return arrays

    def drop_back(self, *, keep: bool = False) -> None:
        """Forget the response; with ``keep`` its connection can be used again."""
        held, self.held = self.held, None
        if held is not None and not (keep and held.response.headers.get("connection", "").lower() != "close"):
            held.client.sock.close()
            if self.getting is held.client:
                self.getting = None

    def recv(self, timeout: float = SECONDS) -> str:
        """The next message as it is; asks for the back channel as often as it takes."""
        while not self.waiting:
            if self.held is None:
                self.send_back()
            self.arrays(timeout)
        text: str = self.waiting.pop(0)
        return text

    def recv_message(self, timeout: float = SECONDS) -> Any:
        return json.loads(self.recv(timeout))

    def take_messages(self, count: int) -> list[Any]:
        return [self.recv_message() for _ in range(count)]

    # -- the end

    def terminate(self, rid: int | None = None, **fields: str | None) -> Response:
        """Say goodbye as the official client does: with an image."""
        number = self.rid if rid is None else rid
        with self.server.client() as client:
            response = client.request(self.path(**{"RID": str(number), "TYPE": "terminate", **fields}))
        assert (response.status, response.body) == (200, b""), response
        expect_headers(response)
        return response

    def close(self) -> None:
        """End the session."""
        self.terminate()
        self.drop()

    def expect_unknown(self) -> None:
        """Nobody knows the session any more."""
        with self.server.client() as client:
            fields = {"RID": "rpc", "CI": "0", "AID": str(self.aid), "TYPE": "xmlhttp"}
            expect_error(client.request(self.path(**fields)), "Unknown SID")

    def drop(self) -> None:
        """Hang up."""
        for client in (self.getting, self.posting):
            if client is not None:
                client.sock.close()
        self.getting = self.posting = self.held = None


__all__ = [
    "ERRORS",
    "FORM",
    "JSON",
    "Back",
    "Channel",
    "EndOfFile",
    "channel_server",
    "expect_error",
    "expect_headers",
    "form",
    "split_chunks",
]
