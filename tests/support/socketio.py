"""A raw client of Socket.IO 0.9 over blocking sockets, for tests of what is on the wire: every transport.

It shares nothing with the codec of the package, and decides nothing by itself: no request is sent and no
heartbeat answered unless the test says so. Packets are text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.client import SECONDS, TEXT, Client, Response, frame
from tests.support.hosts import Server, serve
from tests.support.sockjs import Stream

MARK = "\ufffd"
PLAIN = "text/plain; charset=UTF-8"
UNKNOWN = "7:::1+0"
PRELUDE = b"<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>" + 173 * b" "
JSONP_BODY = re.compile(r"io\.j\[(\d+)\]\((.*)\);", re.DOTALL)


@contextmanager
def socketio_server(host: str, **options: Any) -> Iterator[Server]:
    """A server process with Socket.IO, warmed up."""
    options = {"transformer": "socket.io", "close_timeout": 0.4, "session_timeout": 6, **options}
    with serve(host, **options) as server:
        # what it imports, caches and connects on first use belongs to the baseline
        for session in (SocketIO(server).open(), SocketIO(server).open_websocket()):
            session.send("warm up")
            session.recv()
            session.close()
        server.wait_state(sparks=0, sessions=0, objects=0)
        yield server


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def encode_payload(packets: list[str] | tuple[str, ...]) -> str:
    if len(packets) == 1:
        return packets[0]
    return "".join(f"{MARK}{units(packet)}{MARK}{packet}" for packet in packets)


def decode_payload(text: str) -> list[str]:
    if not text.startswith(MARK):
        return [text]
    packets = []
    data = text.encode("utf-16-le")
    mark = MARK.encode("utf-16-le")
    while data:
        assert data.startswith(mark)
        digits, _, rest = data[2:].partition(mark)
        size = 2 * int(digits.decode("utf-16-le"))
        assert len(rest) >= size, text
        packets.append(rest[:size].decode("utf-16-le"))
        data = rest[size:]
    return packets


@dataclass
class SocketIO:
    """One session. Polls and posts have a connection each, which is opened again when it was cut."""

    server: Server
    service: str = "echo"
    transport: str = "xhr-polling"
    query: dict[str, str] = field(default_factory=dict)  # of the handshake
    headers: dict[str, str] = field(default_factory=dict)
    sid: str = field(init=False, default="")
    answer: list[str] = field(init=False, default_factory=list)  # of the handshake
    getting: Client | None = field(init=False, default=None)
    posting: Client | None = field(init=False, default=None)
    socket: Client | None = field(init=False, default=None)
    waiting: list[str] = field(init=False, default_factory=list)  # received, and not yet asked for
    response: Response | None = field(init=False, default=None)  # to the last poll

    def path(self, transport: str | None = None, **extra: str) -> str:
        query = urlencode({"t": "1400000000000", **extra}, quote_via=quote)
        return f"/primus/1/{transport or self.transport}/{self.sid}?{query}"

    # -- beginning

    def shake_hands(self) -> SocketIO:
        with self.server.client() as client:
            query = urlencode({"service": self.service, **self.query}, quote_via=quote)
            response = client.request(f"/primus/1/?{query}&t=1400000000000", self.headers)
        self.server.clients.remove(client)
        assert response.status == 200, response
        assert response.headers["content-type"] == "text/plain"
        self.answer = response.body.decode().split(":")
        assert len(self.answer) == 4
        self.sid = self.answer[0]
        return self

    def open(self) -> SocketIO:
        """Begin with a poll."""
        if not self.sid:
            self.shake_hands()
        packets = self.poll()
        assert packets.pop(0) == "1::"
        self.waiting += packets
        return self

    def open_websocket(self, early: bytes = b"") -> SocketIO:
        if not self.sid:
            self.shake_hands()
        self.socket = self.server.client()
        self.socket.upgrade(self.path("websocket"), dict(self.headers), early)
        assert self.recv_packet() == "1::"
        return self

    # -- polls

    def send_poll(self, **extra: str) -> Client:
        """Begin a poll."""
        if self.getting is None:
            self.getting = self.server.client()
        self.getting.send_request(self.path(**extra), self.headers)
        return self.getting

    def recv_poll_response(self, timeout: float = SECONDS) -> Response:
        assert self.getting is not None
        self.response = self.getting.recv_response(timeout=timeout)
        if self.response.headers.get("connection", "").lower() == "close":
            self.getting.expect_eof()
            self.getting.sock.close()
            self.getting = None
        return self.response

    def recv_poll(self, timeout: float = SECONDS) -> list[str]:
        """The packets of the answer to a poll that has begun."""
        response = self.recv_poll_response(timeout)
        assert response.status == 200, response
        text = response.body.decode()
        if self.transport == "jsonp-polling":
            found = JSONP_BODY.fullmatch(text)
            assert found is not None, text
            text = json.loads(found[2])
        return decode_payload(text)

    def poll(self, timeout: float = SECONDS, **extra: str) -> list[str]:
        self.send_poll(**extra)
        return self.recv_poll(timeout)

    def cut_poll(self) -> None:
        """Hang up the connection of the polls."""
        assert self.getting is not None
        self.getting.sock.close()
        self.getting = None

    def stream(self) -> Stream:
        """Begin with htmlfile."""
        self.transport = "htmlfile"
        if not self.sid:
            self.shake_hands()
        return Stream(self.send_poll())

    # -- posts

    def body(self, *packets: str) -> bytes:
        text = encode_payload(packets)
        if self.transport == "jsonp-polling":
            return urlencode({"d": json.dumps(text)}, quote_via=quote).encode()
        return text.encode()

    def send_post(self, *packets: str, raw: bytes | None = None) -> Client:
        if self.posting is None:
            self.posting = self.server.client()
        body = self.body(*packets) if raw is None else raw
        headers = {"Content-Length": str(len(body)), **self.headers}
        self.posting.send_request(self.path(), headers, method="POST", body=body)
        return self.posting

    def recv_post(self) -> Response:
        assert self.posting is not None
        response = self.posting.recv_response()
        if response.headers.get("connection", "").lower() == "close":
            self.posting.sock.close()
            self.posting = None
        return response

    def post_response(self, *packets: str, raw: bytes | None = None) -> Response:
        self.send_post(*packets, raw=raw)
        return self.recv_post()

    def post(self, *packets: str, raw: bytes | None = None) -> None:
        """Send packets, which the server has to take."""
        response = self.post_response(*packets, raw=raw)
        assert (response.status, response.body) == (200, b"1"), response
        assert response.headers["content-type"] == PLAIN

    # -- WebSocket

    def send_packet(self, *packets: str) -> None:
        """Each in a message of its own, all in one piece."""
        assert self.socket is not None
        self.socket.send(b"".join(frame(TEXT, packet.encode()) for packet in packets))

    def recv_packet(self, timeout: float = SECONDS) -> str:
        assert self.socket is not None
        return self.socket.recv_text(timeout)

    def expect_close(self, code: int = 1000) -> None:
        """The WebSocket ends properly."""
        assert self.socket is not None
        self.socket.expect_close(code)
        self.socket.fin()
        self.socket.expect_eof()

    # -- either transport

    def send(self, *messages: object) -> None:
        """Send messages, as the JSON parser has them."""
        packets = ["3:::" + json.dumps(message, ensure_ascii=False) for message in messages]
        if self.socket is not None:
            self.send_packet(*packets)
        else:
            self.post(*packets)

    def recv(self, timeout: float = SECONDS) -> str:
        """The next packet that is no noop and no heartbeat."""
        while True:
            while not self.waiting:
                self.waiting += [self.recv_packet(timeout)] if self.socket is not None else self.poll(timeout)
            packet = self.waiting.pop(0)
            if packet not in ("2::", "8::"):
                return packet

    def recv_message(self, timeout: float = SECONDS) -> Any:
        packet = self.recv(timeout)
        assert packet.startswith("3:::"), packet
        return json.loads(packet[4:])

    # -- the end

    def expect_unknown(self) -> None:
        """Nobody knows the session any more."""
        assert self.poll() == [UNKNOWN]

    def close(self) -> None:
        """End the session as official clients do, and hang up."""
        if self.socket is not None:
            self.send_packet("0::")
            assert self.recv() == "0::"
            self.expect_close()
        else:
            self.post("0::")
        self.drop()

    def drop(self) -> None:
        """Hang up."""
        for client in (self.getting, self.posting, self.socket):
            if client is not None:
                client.sock.close()
        self.getting = self.posting = self.socket = None
