"""A raw WebSocket client over a blocking standard library socket, for tests of what is on the wire.

Its framing is written out by hand and shares nothing with the codec of the package, so that no test checks
the codec against itself. It sends whatever it is told to, legal or not, and hides nothing of what it
receives.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
SECONDS = 10.0  # the limit of every wait that does not say otherwise
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class EndOfFile(Exception):
    """The server has closed the connection; `data` is what came before and was not yet read."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(f"end of file after {data[:200]!r}")
        self.data = data


@dataclass
class Response:
    """An HTTP response as it was received. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def code(self) -> int | None:
        """Of a Close frame; None if it has none."""
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else None

    @property
    def reason(self) -> str:
        return self.payload[2:].decode()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x12\x34\x56\x78",
) -> bytes:
    """One frame; `mask=None` leaves it unmasked, which a client must not do."""
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    bit = 0x80 if mask is not None else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if mask is None:
        return head + payload
    repeated = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
    return head + mask + masked


def text(message: object) -> bytes:
    """A text frame with a message, as the JSON parser has it."""
    return frame(TEXT, json.dumps(message).encode())


def close(code: int | None = 1000, reason: str = "") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


@dataclass
class Client:
    """One connection. Every wait has a limit, and ends in `TimeoutError` or `EndOfFile`."""

    address: Any
    tls: bool = False
    receive_buffer: int | None = None  # bytes of SO_RCVBUF; small ones make a slow reader
    sock: socket.socket = field(init=False)
    buffer: bytearray = field(init=False, default_factory=bytearray)

    def __post_init__(self) -> None:
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        if self.receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        try:
            self.connect(family)
        except BaseException:
            self.sock.close()
            raise

    def connect(self, family: socket.AddressFamily) -> None:
        self.sock.connect(self.address)
        if family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)

    def __enter__(self) -> Client:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.sock.close()

    # -- bytes

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def fill(self, deadline: float) -> None:
        """Wait for more bytes."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing came; unread so far: {bytes(self.buffer[:200])!r}")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except ssl.SSLError:
            data = b""  # an end without close_notify, or the alert with which the server answers such an end
        finally:
            self.sock.settimeout(SECONDS)
        if not data:
            raise EndOfFile(bytes(self.buffer))
        self.buffer += data

    def take(self, size: int, deadline: float) -> bytes:
        while len(self.buffer) < size:
            self.fill(deadline)
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def take_until(self, end: bytes, deadline: float) -> bytes:
        while (index := self.buffer.find(end)) < 0:
            self.fill(deadline)
        return self.take(index + len(end), deadline)

    def rest(self, timeout: float = SECONDS) -> bytes:
        """Read to the end of file and return all that came; a reset counts as an end."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.fill(deadline)
        except EndOfFile as end:
            self.buffer.clear()
            return end.data
        except ConnectionError:
            data = bytes(self.buffer)
            self.buffer.clear()
            return data

    def expect_eof(self, timeout: float = SECONDS) -> None:
        """The server closes the connection, and sends nothing more: no frame, and no stray HTTP response."""
        assert self.rest(timeout) == b""

    def quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long; returns early if something does."""
        if self.buffer:
            return False
        readable, _, _ = select.select([self.sock], [], [], seconds)
        return not readable

    # -- HTTP

    def send_request(
        self,
        path: str = "/",
        headers: dict[str, str] | None = None,
        *,
        method: str = "GET",
        version: str = "1.1",
        body: bytes = b"",
    ) -> None:
        lines = [f"{method} {path} HTTP/{version}"]
        lines += [f"{name}: {value}" for name, value in {"Host": "localhost", **(headers or {})}.items()]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)

    def recv_response(self, *, head_only: bool = False, timeout: float = SECONDS) -> Response:
        deadline = time.monotonic() + timeout
        head = self.take_until(b"\r\n\r\n", deadline).decode("latin-1")
        status_line, *lines = head[:-4].split("\r\n")
        headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        response = Response(int(status_line.split()[1]), headers)
        if head_only or response.status in (101, 204, 304):
            return response
        if "content-length" in headers:
            response.body = self.take(int(headers["content-length"]), deadline)
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(self.take_until(b"\r\n", deadline), 16):
                response.body += self.take(size + 2, deadline)[:-2]
            self.take(2, deadline)
        else:
            response.body = self.rest(timeout)
        return response

    def request(self, path: str, headers: dict[str, str] | None = None, *, method: str = "GET") -> Response:
        self.send_request(path, headers, method=method)
        return self.recv_response(head_only=method == "HEAD")

    # -- WebSocket

    def handshake_headers(self, headers: dict[str, str | None] | None = None) -> dict[str, str]:
        """Those of a correct handshake; `headers` replaces some, and removes those that are None."""
        self.key = base64.b64encode(os.urandom(16)).decode()
        merged: dict[str, str | None] = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": self.key,
            **(headers or {}),
        }
        return {name: value for name, value in merged.items() if value is not None}

    def handshake(
        self, path: str = "/primus", headers: dict[str, str | None] | None = None, *, early: bytes = b""
    ) -> Response:
        """Ask for an upgrade; `early` is sent in the same packet as the request."""
        lines = [f"GET {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.handshake_headers(headers).items()]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + early)
        return self.recv_response()

    def upgrade(
        self, path: str = "/primus", headers: dict[str, str | None] | None = None, early: bytes = b""
    ) -> Client:
        """A handshake that has to succeed."""
        response = self.handshake(path, headers, early=early)
        assert response.status == 101, response
        assert response.headers["upgrade"].lower() == "websocket"
        assert response.headers["connection"].lower() == "upgrade"
        digest = hashlib.sha1(self.key.encode() + GUID).digest()
        assert response.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
        assert "transfer-encoding" not in response.headers
        assert "content-length" not in response.headers
        return self

    def recv_frame(self, timeout: float = SECONDS) -> Frame:
        deadline = time.monotonic() + timeout
        first, second = self.take(2, deadline)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.take(2, deadline))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.take(8, deadline))
        masked = bool(second & 0x80)
        assert not masked, "a server must not mask"
        payload = self.take(size, deadline)
        return Frame(first & 0x0F, payload, bool(first & 0x80), (first >> 4) & 7, masked)

    def recv_text(self, timeout: float = SECONDS) -> str:
        received = self.recv_frame(timeout)
        assert (received.opcode, received.fin, received.rsv) == (TEXT, True, 0), received
        return received.payload.decode()

    def recv_message(self, timeout: float = SECONDS) -> Any:
        """The next message, as the JSON parser has it."""
        return json.loads(self.recv_text(timeout))

    def send_message(self, message: object) -> None:
        self.send(text(message))

    def expect_close(self, code: int | None = None, timeout: float = SECONDS) -> Frame:
        """The next frame is a Close, with this code if one is given."""
        received = self.recv_frame(timeout)
        assert received.opcode == CLOSE, received
        assert received.fin
        if code is not None:
            assert received.code == code, received
        return received

    def expect_refusal(self, *, final: bool = True) -> Frame:
        """What a client gets that is refused behind its 101; ``final``: it is told to stay away."""
        if final:
            assert self.recv_message() == "primus::server::close"
        return self.expect_close(1008)

    def close_properly(self, code: int = 1000) -> None:
        """The whole goodbye: our Close, its echo, end of file, and nothing else."""
        self.send(close(code))
        self.expect_close(code)
        self.expect_eof()

    # -- other ends

    def fin(self) -> None:
        """No more from us; what the server sends can still be read."""
        # With TLS without a close_notify, as most clients leave; and past SSLSocket.shutdown, which would
        # forget the session, so that ciphertext is read from then on.
        socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def reset(self) -> None:
        """Cut the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
