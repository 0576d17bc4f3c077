"""A raw Engine.IO client over blocking sockets, for tests of what is on the wire: revisions 2, 3 and 4;
polling, JSONP polling and WebSocket.

Its framing is written out by hand and shares nothing with the codec of the package. It decides nothing by
itself: no poll is sent and no ping is answered unless the test says so. Packets are ``str`` with their type's
digit in front, and ``bytes`` for binary messages.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.client import BINARY, CLOSE, SECONDS, TEXT, Client, Response, frame
from tests.support.hosts import Server, serve

Packet = str | bytes

OPEN_KEYS = {
    2: ["sid", "upgrades", "pingInterval", "pingTimeout"],
    3: ["sid", "upgrades", "pingInterval", "pingTimeout"],
    4: ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"],
}
JSONP_BODY = re.compile(r"___eio\[(\d*)\]\((.*)\);", re.DOTALL)


def error(code: int) -> dict[str, Any]:
    """What Engine.IO says to a request that it does not take."""
    messages = (
        "Transport unknown",
        "Session ID unknown",
        "Bad handshake method",
        "Bad request",
        "Forbidden",
        "Unsupported protocol version",
    )
    return {"code": code, "message": messages[code]}


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def expect_error(response: Response, code: int) -> None:
    """The answer is one of Engine.IO's errors."""
    assert response.status == 400, response
    assert response.headers["content-type"] == "application/json"
    assert response.json() == error(code)


@contextmanager
def engine_server(host: str, **options: Any) -> Iterator[Server]:
    """A server process with Engine.IO, warmed up."""
    options = {"transformer": "engine.io", "close_timeout": 0.4, "session_timeout": 6, **options}
    with serve(host, **options) as server:
        # what it imports, caches and connects on first use belongs to the baseline
        for session in (Engine(server).open().upgrade(), Engine(server).open()):
            session.send("warm up")
            session.recv()
            session.close()
        server.wait_state(sparks=0, sessions=0, objects=0)
        yield server


# -- payloads


def encode_payload(packets: Iterable[Packet], revision: int) -> bytes:
    """The body of a request, in text."""
    if revision == 4:
        return "\x1e".join([p if isinstance(p, str) else "b" + b64(p) for p in packets]).encode()
    texts = [p if isinstance(p, str) else "b4" + b64(p) for p in packets]
    return "".join([f"{utf16_length(text)}:{text}" for text in texts]).encode()


def encode_binary_payload(packets: Iterable[Packet]) -> bytes:
    """The body of a request, in the binary form of revision 3."""
    body = b""
    for packet in packets:
        data = packet.encode() if isinstance(packet, str) else b"\4" + packet
        digits = bytes(int(digit) for digit in str(len(data)))
        body += bytes([isinstance(packet, bytes)]) + digits + b"\xff" + data
    return body


def decode_payload(body: bytes, revision: int, content_type: str = "text/plain") -> list[Packet]:
    """The packets of an answer."""
    if revision == 4:
        pieces = body.decode().split("\x1e") if body else []
        return [base64.b64decode(p[1:]) if p.startswith("b") else p for p in pieces]
    if content_type.startswith("application/octet-stream"):
        return decode_binary_payload(body)
    packets: list[Packet] = []
    data = body.decode().encode("utf-16-le")
    while data:
        length, _, rest = data.partition(":".encode("utf-16-le"))
        size = 2 * int(length.decode("utf-16-le"))
        assert len(rest) >= size, body
        text = rest[:size].decode("utf-16-le")
        data = rest[size:]
        if text:
            packets.append(base64.b64decode(text[2:]) if text.startswith("b4") else text)
    return packets


def decode_binary_payload(body: bytes) -> list[Packet]:
    packets: list[Packet] = []
    while body:
        end = body.index(b"\xff")
        size = int("".join(str(digit) for digit in body[1:end]))
        data = body[end + 1 : end + 1 + size]
        assert len(data) == size, body
        packets.append(data[1:] if body[0] else data.decode())
        body = body[end + 1 + size :]
    return packets


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def jsonp_field(payload: bytes) -> str:
    """What the official client puts into the form field ``d``."""
    return payload.decode().replace("\\n", "\\\\n").replace("\n", "\\n")


# -- the client


@dataclass
class Engine:
    """One session. Polls and posts have a connection each, which is opened again when it was cut."""

    server: Server
    service: str = "echo"
    revision: int = 4
    jsonp: str | None = None
    base64: bool = False  # `b64=1`
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    handshake: dict[str, Any] = field(init=False, default_factory=dict)
    getting: Client | None = field(init=False, default=None)
    posting: Client | None = field(init=False, default=None)
    socket: Client | None = field(init=False, default=None)
    waiting: list[Packet] = field(init=False, default_factory=list)  # received, and not yet asked for
    response: Response | None = field(init=False, default=None)  # to the last poll

    @property
    def sid(self) -> str:
        return str(self.handshake["sid"])

    def path(self, transport: str = "polling", **extra: str) -> str:
        query = {"EIO": str(self.revision), "transport": transport, "service": self.service, **self.query}
        if self.base64:
            query["b64"] = "1"
        if self.jsonp is not None:
            query["j"] = self.jsonp
        if self.handshake:
            query["sid"] = self.sid
        query.update(extra)
        return "/primus/?" + urlencode(query, quote_via=quote)

    # -- beginning

    def open(self) -> Engine:
        """Handshake by polling."""
        packets = self.poll()
        self._opened(packets.pop(0), ["websocket"])
        self.waiting += packets
        return self

    def open_websocket(self, early: bytes = b"") -> Engine:
        """Handshake by WebSocket."""
        self.socket = self.server.client()
        self.socket.upgrade(self.path("websocket"), dict(self.headers), early)
        self._opened(self.recv_frame(), [])
        return self

    def _opened(self, packet: Packet, upgrades: list[str]) -> None:
        assert isinstance(packet, str)
        assert packet[0] == "0", packet
        self.handshake = json.loads(packet[1:])
        assert list(self.handshake) == OPEN_KEYS[self.revision]
        assert self.handshake["upgrades"] == upgrades
        assert re.fullmatch(r"[\w-]{20,}", self.sid)

    # -- polls

    def send_poll(self) -> Client:
        """Begin a poll."""
        if self.getting is None:
            self.getting = self.server.client()
        self.getting.send_request(self.path(), self.headers)
        return self.getting

    def recv_poll(self, timeout: float = SECONDS) -> list[Packet]:
        """The packets of the answer to a poll that has begun."""
        response = self.recv_poll_response(timeout)
        assert response.status == 200, response
        return self.unpack(response)

    def recv_poll_response(self, timeout: float = SECONDS) -> Response:
        assert self.getting is not None
        self.response = self.getting.recv_response(timeout=timeout)
        if self.response.headers.get("connection", "").lower() == "close":
            self.getting.expect_eof()
            self.getting.sock.close()
            self.getting = None
        return self.response

    def unpack(self, response: Response) -> list[Packet]:
        body = response.body
        if self.jsonp is not None:
            found = JSONP_BODY.fullmatch(body.decode())
            assert found is not None, body
            assert found[1] == re.sub("[^0-9]", "", self.jsonp)
            body = json.loads(found[2]).encode()
        return decode_payload(body, self.revision, response.headers["content-type"])

    def poll(self, timeout: float = SECONDS) -> list[Packet]:
        self.send_poll()
        return self.recv_poll(timeout)

    def poll_response(self) -> Response:
        """A poll that may be refused."""
        self.send_poll()
        return self.recv_poll_response()

    def cut_poll(self) -> None:
        """Hang up the connection of the polls."""
        assert self.getting is not None
        self.getting.sock.close()
        self.getting = None

    # -- posts

    def body(self, packets: Iterable[Packet], *, binary: bool = False) -> tuple[bytes, dict[str, str]]:
        """The body of a request, and the headers that belong to it."""
        if binary:
            return encode_binary_payload(packets), {"Content-Type": "application/octet-stream"}
        body = encode_payload(packets, self.revision)
        if self.jsonp is None:
            return body, {"Content-Type": "text/plain;charset=UTF-8"}
        form = urlencode({"d": jsonp_field(body)}, quote_via=quote).encode()
        return form, {"Content-Type": "application/x-www-form-urlencoded"}

    def send_post(self, *packets: Packet, binary: bool = False, raw: bytes | None = None) -> Client:
        """Send a request with packets, or with a body as it is."""
        if self.posting is None:
            self.posting = self.server.client()
        body, headers = self.body(packets, binary=binary)
        body = body if raw is None else raw
        headers = {**headers, **self.headers, "Content-Length": str(len(body))}
        self.posting.send_request(self.path(), headers, method="POST", body=body)
        return self.posting

    def recv_post(self, timeout: float = SECONDS) -> Response:
        assert self.posting is not None
        response = self.posting.recv_response(timeout=timeout)
        if response.headers.get("connection", "").lower() == "close":
            self.posting.sock.close()
            self.posting = None
        return response

    def post_response(self, *packets: Packet, binary: bool = False, raw: bytes | None = None) -> Response:
        self.send_post(*packets, binary=binary, raw=raw)
        return self.recv_post()

    def post(self, *packets: Packet, binary: bool = False, raw: bytes | None = None) -> None:
        """Send packets, which the server has to take."""
        response = self.post_response(*packets, binary=binary, raw=raw)
        assert (response.status, response.body) == (200, b"ok"), response
        assert response.headers["content-type"] == "text/html"

    # -- WebSocket

    def send_frame(self, *packets: Packet) -> None:
        """Send packets, each in a frame of its own, in one piece."""
        assert self.socket is not None
        self.socket.send(self.frames(*packets))

    def frames(self, *packets: Packet) -> bytes:
        data = b""
        for packet in packets:
            if isinstance(packet, str):
                data += frame(TEXT, packet.encode())
            elif self.base64:
                data += frame(TEXT, (("b" if self.revision == 4 else "b4") + b64(packet)).encode())
            else:
                data += frame(BINARY, packet if self.revision == 4 else b"\4" + packet)
        return data

    def recv_frame(self, timeout: float = SECONDS) -> Packet:
        assert self.socket is not None
        received = self.socket.recv_frame(timeout)
        if received.opcode == TEXT:
            text = received.payload.decode()
            mark = "b" if self.revision == 4 else "b4"
            return base64.b64decode(text[len(mark) :]) if text.startswith("b") else text
        assert received.opcode == BINARY, received
        if self.revision == 4:
            return received.payload
        assert received.payload[0] == 4
        return received.payload[1:]

    def probe(self) -> Engine:
        """Open a WebSocket for the session, up to the answer to the probe."""
        self.socket = self.server.client()
        self.socket.upgrade(self.path("websocket"), dict(self.headers))
        self.send_frame("2probe")
        assert self.recv_frame() == "3probe"
        return self

    def upgrade(self) -> Engine:
        """Move over, without a poll that waits."""
        self.probe().send_frame("5")
        return self

    def expect_close(self, code: int | None = None) -> None:
        """The WebSocket ends with a Close frame, and nothing more."""
        assert self.socket is not None
        received = self.socket.expect_close(code)
        assert received.opcode == CLOSE
        self.socket.fin()
        self.socket.expect_eof()

    # -- either transport

    def send(self, *messages: object) -> None:
        """Send messages, as the JSON parser has them."""
        packets = ["4" + json.dumps(message, ensure_ascii=False) for message in messages]
        if self.socket is not None:
            self.send_frame(*packets)
        else:
            self.post(*packets)

    def recv(self, timeout: float = SECONDS) -> Packet:
        """The next packet, without what keeps the transports going."""
        while True:
            while not self.waiting:
                self.waiting += [self.recv_frame(timeout)] if self.socket is not None else self.poll(timeout)
            packet = self.waiting.pop(0)
            if packet not in ("2", "3", "6"):
                return packet

    def recv_message(self, timeout: float = SECONDS) -> Any:
        packet = self.recv(timeout)
        assert isinstance(packet, str)
        assert packet[0] == "4", packet
        return json.loads(packet[1:])

    # -- the end

    def close(self) -> None:
        """End the session as the official clients do."""
        if self.socket is not None:
            self.socket.close_properly()
            self.socket.sock.close()
        else:
            self.post("1")
        self.drop()

    def drop(self) -> None:
        """Hang up."""
        for client in (self.getting, self.posting, self.socket):
            if client is not None:
                client.sock.close()
        self.getting = self.posting = self.socket = None
