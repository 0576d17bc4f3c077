"""A server that can be killed, stopped and started again on its port, as often as a test likes.

It is a process of its own. Starting one takes a few milliseconds, because it is forked from one that has
imported everything already; that is this module, run as a program.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

__all__ = ["Nursery", "Restartable", "nursery"]

ROOT = Path(__file__).parents[2]
EXIT_SECONDS = 20.0
PR_SET_PDEATHSIG = 1
PORT = 8080  # where a network namespace has all of them to itself


class Nursery:
    """Where servers come from.

    Args:
        prefix: of the command, to run it somewhere else: in a network namespace for example.
    """

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.support.restartable"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, **order: Any) -> int:
        """Fork a server, and wait until it listens; tell its process. Blocks, the hub too."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        pid = int(self.process.stdout.readline() or 0)
        assert pid, f"the server did not start: {order}"
        return pid

    def close(self) -> None:
        """Its servers end with it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@functools.cache
def nursery() -> Nursery:
    """The one on this machine."""
    made = Nursery()
    atexit.register(made.close)
    return made


class Restartable:
    """Runs from its making to the end of the block.

    Args:
        host: address to listen at.
        born: where, if not on this machine itself.
        **options: of the `Primus`.
    """

    def __init__(self, host: str = "127.0.0.1", born: Nursery | None = None, **options: Any) -> None:
        self.host = host
        self.port = free_port(host) if born is None else PORT
        self.options = options
        self._nursery = born or nursery()
        self._process: int | None = None  # a descriptor: unlike a number, it is never another process
        self._log = tempfile.NamedTemporaryFile(prefix="primus-test-", suffix=".log")  # noqa: SIM115
        self.pid = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """What it has written to its standard error, since its first start."""
        return Path(self._log.name).read_text(errors="replace")

    def start(self, **options: Any) -> None:
        """Again, on the same port; ``options`` count for this time."""
        self.pid = self._nursery.start(
            host=self.host, port=self.port, options={**self.options, **options}, log=self._log.name
        )
        self._process = os.pidfd_open(self.pid)

    def kill(self) -> None:
        """No goodbye: the kernel resets its connections."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """It drains: says goodbye to all, who shall come back. Blocks, but not the hub."""
        self._end(signal.SIGTERM)

    def _end(self, signum: signal.Signals) -> None:
        if self._process is not None:
            import gevent.select  # not at the top: the program forks before it has a hub

            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signum)
            # A descriptor of a process is readable when that has ended.
            ended, _, _ = gevent.select.select([self._process], [], [], EXIT_SECONDS)
            assert ended, f"the server is still there {EXIT_SECONDS} s after {signum.name}"
            os.close(self._process)
            self._process = None

    def stop(self) -> None:
        """The network goes silent: connections stay, and nothing is answered."""
        assert self._process is not None
        signal.pidfd_send_signal(self._process, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        signal.pidfd_send_signal(self._process, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self.kill()
        log = self.log
        self._log.close()
        if kind is None:
            assert "Traceback" not in log, log


def free_port(host: str) -> int:
    """One that the kernel does not hand out by itself: while the server is away nobody else may get it, least
    of all a client that tries to reach it."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    while True:
        port = random.choice([*range(10_000, first), *range(last + 1, 65536)])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                return port


# -- the program


def main() -> None:
    """Fork a server for each line of standard input, and tell its process when it listens."""
    import primus_gevent.transformers
    from primus_gevent import Primus

    names = list(primus_gevent.transformers.TRANSFORMERS)
    Primus(transformer=[name for name in names if name not in ("faye", "uws")])  # imports what there is
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        if os.fork() == 0:
            try:
                serve(**json.loads(line))
            except BaseException:  # noqa: BLE001 - whoever has asked looks into the log
                traceback.print_exc()
            os._exit(0)


def serve(host: str, port: int, options: dict[str, Any], log: str) -> None:
    """Be a server, until a signal."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from primus_gevent import Primus

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    primus = Primus(**options)
    heard: defaultdict[str | None, list[Any]] = defaultdict(list)

    @primus.on("connection")
    def connection(spark: Any) -> None:
        mine = heard[spark.query.get("tag")]
        for message in spark:
            if message == "sparks?":
                spark.write(len(primus))
            else:
                act(spark, message, mine)

    @primus.authorize
    def authorize(request: Any) -> bool:
        return primus.options.global_name != "Closed"

    try:
        primus.listen(port, host)
    except OSError:
        print(0, flush=True)
        raise
    print(os.getpid(), flush=True)
    primus.serve_forever()


def act(spark: Any, message: Any, heard: list[Any]) -> None:
    """Echo, but for some words."""
    if message == "abort":
        spark.abort()
    elif message == "end":
        spark.end()
    elif message == "reconnect":
        spark.end(reconnect=True)
    elif message == "heard?":  # from clients with this tag
        spark.write(list(heard))
    else:
        heard.append(message)
        spark.write(message)


if __name__ == "__main__":
    main()
