"""Starts test servers as copies of one process, since Python takes longer to start than a dozen scenarios to
play: ``python forks.py HOST``.

Reads a line of JSON for each: ``{"id": ..., "options": [...]}``, the options as in server.py. Prints
``{"id": ..., "pid": ..., "ports": [...]}`` when it listens, and ``{"id": ..., "exit": ...}`` when it has
ended. Ends with its input, and its servers with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import server
from serving import serve

INPUT, OUTPUT = 0, 1


def tell(**values: Any) -> None:
    # In one piece: all processes write here.
    os.write(OUTPUT, (json.dumps(values) + "\n").encode())


def play(host: str, number: int, options: Sequence[Any]) -> NoReturn:
    """Be one of the servers, until it is killed."""
    try:
        server.quiet(options)
        serve(host, server.make, options, lambda ports: tell(id=number, pid=os.getpid(), ports=ports))
    except BaseException:  # noqa: BLE001 - whatever it is, nobody else would tell
        traceback.print_exc()
    finally:
        os._exit(1)


def main() -> None:
    host = sys.argv[1]
    numbers: dict[int, int] = {}  # of the servers that run, by their process
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    read = b""
    while True:
        ready, _, _ = select.select([INPUT, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            for pid in list(numbers):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    tell(id=numbers.pop(pid), exit=os.waitstatus_to_exitcode(status))
        if INPUT not in ready:
            continue
        data = os.read(INPUT, 1 << 16)
        if not data:
            break
        *lines, read = (read + data).split(b"\n")
        for line in lines:
            wanted = json.loads(line)
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.dup2(os.open(os.devnull, os.O_RDONLY), INPUT)
                os.close(woken)
                os.close(waker)
                play(host, wanted["id"], wanted["options"])
            numbers[pid] = wanted["id"]
    for pid in numbers:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
