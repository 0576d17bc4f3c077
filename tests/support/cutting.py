"""A network that is bad in a way of the test's choosing: between a client of this process and a server."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gevent import socket
from gevent.pool import Group
from gevent.server import StreamServer

__all__ = ["Network", "Polite", "Rude"]

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is on its way is thrown away


class Network:
    """Passes bytes on, in small pieces. What else it does to a connection is a subclass's.

    Attributes:
        awake: nothing is done to connections before it is set: most frameworks repeat nothing before a
            session is open.
        cuts: connections that were ended.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.awake = False
        self.cuts = 0
        self.port = 0
        self._target = port
        self._served = Group()

    @contextmanager
    def running(self) -> Iterator[Network]:
        server = StreamServer(("127.0.0.1", 0), self._serve, spawn=self._served.spawn)
        server.start()
        self.port = server.server_port
        try:
            yield self
        finally:
            server.close()
            # What goes on in this hub is not seen by a test that waits for the server: it has to be over.
            assert self._served.join(timeout=5), "a connection was left"

    def _serve(self, near: Any, _: Any) -> None:
        far = socket.create_connection(("127.0.0.1", self._target))
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pumps: list[Any] = []
        plan = self.plan()
        try:
            pumps += [gevent.spawn(self._pump, near, far, plan, "up")]
            pumps += [gevent.spawn(self._pump, far, near, plan, "down")]
            gevent.joinall(pumps, count=1)
            if plan.cut:
                self.cuts += 1
                if plan.reset:
                    for sock in (near, far):
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        finally:
            gevent.killall(pumps)
            near.close()
            far.close()

    def plan(self) -> Plan:
        """What becomes of a new connection."""
        return Plan()

    def change(self, data: bytes, plan: Plan, way: str) -> bytes:
        """What of this goes on."""
        return data

    def _pump(self, source: Any, destination: Any, plan: Plan, way: str) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                if plan.delay:
                    gevent.sleep(plan.delay)
                data = self.change(data, plan, way)
                if self.random.random() < 0.3 and len(data) > 1:  # pieces arrive as they like
                    half = self.random.randrange(1, len(data))
                    destination.sendall(data[:half])
                    gevent.sleep(0)
                    data = data[half:]
                destination.sendall(data)
                if plan.cut:
                    return


class Plan:
    """What becomes of one connection."""

    def __init__(self) -> None:
        self.budget: dict[str, float] = {}  # bytes after which it ends, each way
        self.reset = False
        self.delay = 0.0  # seconds before each piece
        self.cut = False
        self.upgrading = False


class Rude(Network):
    """Ends connections anywhere, half of them with a reset."""

    def plan(self) -> Plan:
        plan = Plan()
        dice = self.random.random
        plan.reset = dice() < 0.5
        plan.delay = 0.002 * dice() if dice() < 0.2 else 0.0
        # In the middle of a request, or of an answer, or before it; some carry several requests before.
        plan.budget["up" if dice() < 0.5 else "down"] = self.random.randrange(1, 12_000)
        return plan

    def change(self, data: bytes, plan: Plan, way: str) -> bytes:
        if not self.awake:
            return data
        left = plan.budget.get(way)
        if left is not None:
            if len(data) >= left:
                plan.cut = True
                return data[: int(left)]
            plan.budget[way] = left - len(data)
        return data


class Polite(Network):
    """Ends a connection only with an answer that says so, and a WebSocket only while it is tried.

    Args:
        refuse: "probe": WebSockets end with the first thing that is said on them; "handshake": with their
            answer; "": not at all.
    """

    def __init__(self, port: int, seed: int, refuse: str = "") -> None:
        super().__init__(port, seed)
        self.refuse = refuse
        self.tried = 0

    def change(self, data: bytes, plan: Plan, way: str) -> bytes:
        if way == "up" and b"Upgrade: websocket" in data:
            self.tried += 1
            plan.upgrading = True
            plan.delay = 0.05 * self.random.random()
        elif plan.upgrading:
            if (self.refuse, way) in (("handshake", "down"), ("probe", "up")):
                plan.cut = True
                return b""
        elif way == "down" and data.startswith(b"HTTP/1.1 200 ") and self.random.random() < 0.2:
            head, _, body = data.partition(b"\r\n\r\n")
            if f"content-length: {len(body)}\r\n".encode() in head.lower() + b"\r\n":
                plan.cut = True
                lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
                return b"\r\n".join([*lines, b"Connection: close", b"", body])
        return data
