"""A real network that can go silent: behind a router, in network namespaces of their own.

::

    this process  <->  router  <->  server

The router forwards, or it drops every packet without a word, as a firewall does that has forgotten its
connections. Links and routes of both ends stay as they are, so that neither is told anything.

The namespaces are those of two processes, and go with them: nothing is left behind, also after a crash.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from typing import Any

from typing_extensions import Self

from tests.support.restartable import Nursery, Restartable

__all__ = ["ADVICE", "Network", "NoNetwork"]

ADVICE = (
    "Networks that go silent are made with network namespaces. That needs root (in a container: the "
    "capabilities NET_ADMIN and SYS_ADMIN), and the programs ip (`make system` installs it), unshare and "
    "nsenter."
)
UNSHARED = ("unshare", "--net")
FORWARDING = "/proc/sys/net/ipv4/ip_forward"
START_SECONDS = 10.0


class NoNetwork(Exception):
    """This machine, or this user, cannot make one; says why, and what to do."""


class Network:
    """Lasts until the end of the block.

    Attributes:
        host: the server's address; all ports are free there.

    Raises:
        NoNetwork: it could not be made.
    """

    def __init__(self) -> None:
        # Of the addresses for tests of network devices (RFC 2544), eight that no other process takes.
        number = os.getpid() % (1 << 14) * 8
        block = f"198.{18 + (number >> 16)}.{number >> 8 & 255}."
        ours, near, far, self.host = (block + str((number & 255) + offset) for offset in (1, 2, 5, 6))
        link = f"primus{os.getpid()}"
        self._router: Any = None
        self._nursery: Nursery | None = None
        try:
            # Waits for the end of its input, which comes when this process ends in whichever way.
            self._router = subprocess.Popen([*UNSHARED, "cat"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            _wait_unshared(self._router)
            self._nursery = Nursery(UNSHARED)
            _wait_unshared(self._nursery.process)
            router, server = self._router.pid, self._nursery.process.pid
            _run(f"ip link add {link} type veth peer name near netns {router}")
            _run(f"ip link add far type veth peer name end netns {server}", router)
            _run(f"ip addr add {ours}/30 dev {link}")
            _run(f"ip addr add {near}/30 dev near", router)
            _run(f"ip addr add {far}/30 dev far", router)
            _run(f"ip addr add {self.host}/30 dev end", server)
            _run(f"ip link set {link} up")
            _run("ip link set near up", router)
            _run("ip link set far up", router)
            _run("ip link set end up", server)
            _run(f"ip route add {self.host} via {near}")
            # Nowhere else: a question for a name fails at once there, instead of being waited for.
            _run(f"ip route add {ours} via {far}", server)
            _run(f"sh -c 'echo 1 > {FORWARDING}'", router)
        except (OSError, subprocess.SubprocessError) as error:
            self.close()
            raise NoNetwork(f"{getattr(error, 'stderr', None) or error}\n{ADVICE}") from error

    def serve(self, **options: Any) -> Restartable:
        """A server on the other side."""
        return Restartable(self.host, self._nursery, **options)

    def silence(self) -> None:
        """The router drops what comes, from both sides."""
        _run("ip rule add pref 1 blackhole", self._router.pid)

    def heal(self) -> None:
        """It forwards again."""
        _run("ip rule del pref 1", self._router.pid)

    def close(self) -> None:
        if self._nursery is not None:
            self._nursery.close()
        if self._router is not None:
            self._router.kill()
            self._router.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _run(command: str, where: int | None = None) -> None:
    """Run a command, in the network namespace of the process ``where``."""
    entering = [] if where is None else ["nsenter", "--net", "--target", str(where)]
    subprocess.run([*entering, *shlex.split(command)], check=True, capture_output=True, text=True)


def _wait_unshared(process: subprocess.Popen[Any]) -> None:
    """A process begins in our namespace, and ends there if it may not leave it."""
    ours = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is not None or os.readlink(f"/proc/{process.pid}/ns/net") == ours:
        if process.poll() is not None:
            raise OSError((process.stderr.read() if process.stderr else b"").decode() or "no namespace")
        if time.monotonic() > deadline:
            raise OSError("no namespace in time")
        time.sleep(0.005)
