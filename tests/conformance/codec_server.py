"""An echo server made of the codec and blocking sockets: shows `protocols/` alone, without a transport.

A thread for each connection and no limit on them: fit for one patient client on the loopback interface.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from primus_gevent.errors import HandshakeError
from primus_gevent.protocols.deflate import DeflateOptions
from primus_gevent.protocols.handshake import ServerHandshake
from primus_gevent.protocols.websocket import Close, Event, Failure, Ping, WebSocketProtocol
from tests.conformance import autobahn

# Nothing is too short to be compressed here: the suite's shortest messages shall go through deflate as well.
# Level 1, because zlib's time is most of the time of a run.
COMPRESSION = DeflateOptions(level=1, threshold=0)
MAX_HEAD_BYTES = 1 << 16
SILENCE_SECONDS = 60.0


def read_request(connection: socket.socket) -> tuple[dict[str, str], bytes]:
    """The request as a WSGI environ, and what the client sent after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(4096)
        if not chunk or len(data) > MAX_HEAD_BYTES:
            raise ConnectionError("no request")
        data += chunk
    head, rest = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, protocol = first.split(" ")
    environ = {"REQUEST_METHOD": method, "SERVER_PROTOCOL": protocol}
    for line in lines:
        name, _, value = line.partition(":")
        key = "HTTP_" + name.strip().upper().replace("-", "_")
        environ[key] = f"{environ[key]},{value.strip()}" if key in environ else value.strip()
    return environ, rest


def answer(status: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def reply(protocol: WebSocketProtocol, event: Event) -> bytes:
    if isinstance(event, str):
        return protocol.text(event)
    if isinstance(event, bytes):
        return protocol.binary(event)
    if isinstance(event, Ping):
        return protocol.pong(event.payload)
    if isinstance(event, Close):
        return protocol.close(event.code if event.code != 1005 else None)
    if isinstance(event, Failure):
        return protocol.close(event.code, event.reason)
    return b""


def serve_connection(connection: socket.socket) -> None:
    connection.settimeout(SILENCE_SECONDS)
    with connection:
        environ, data = read_request(connection)
        try:
            handshake = ServerHandshake.parse(environ, compression=COMPRESSION)
        except HandshakeError as error:
            connection.sendall(answer(f"{error.status} Refused", error.headers))
            return
        connection.sendall(answer("101 Switching Protocols", handshake.response_headers()))
        protocol = WebSocketProtocol(
            max_length=autobahn.MAX_LENGTH, max_fragments=autobahn.MAX_FRAGMENTS, deflate=handshake.deflate
        )
        while not protocol.close_sent:
            out = b"".join([reply(protocol, event) for event in protocol.receive(data)])
            if out:
                connection.sendall(out)
            if not protocol.close_sent:
                data = connection.recv(1 << 16)
                if not data:
                    return
        # A close with unread bytes makes the kernel send RST, which can overtake our close frame.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass


def _guarded(connection: socket.socket) -> None:
    try:
        serve_connection(connection)
    except OSError:  # the suite hangs up in the middle of many a case
        pass


@contextmanager
def codec_server() -> Iterator[str]:
    """Run the server in threads; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=_guarded, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone does not
        listener.close()
        thread.join(10)


if __name__ == "__main__":
    with codec_server() as url:
        print(url, flush=True)
        threading.Event().wait()
