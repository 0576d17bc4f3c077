"""An echo server that can be killed, stopped and started again on its port; a process of its own.

Run as a program it is that server: ``python -m tests.support.restartable PORT OPTIONS``.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from typing_extensions import Self

ROOT = Path(__file__).parents[2]


class Restartable:
    """Runs from its making to the end of the block.

    Args:
        **options: of the `Primus`.
    """

    def __init__(self, **options: Any) -> None:
        self.port = 0
        self.options = options
        self.process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, **options: Any) -> None:
        words = [str(self.port), json.dumps({**self.options, **options})]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.restartable", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        """No goodbye: the kernel resets its connections."""
        if self.process is not None:
            assert self.process.stdout is not None
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def stop(self) -> None:
        """The network goes silent: connections stay, and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()


def main() -> None:
    from primus_gevent import Primus

    primus = Primus(**json.loads(sys.argv[2]))

    @primus.on("connection")
    def echo(spark: Any) -> None:
        for message in spark:
            if message == "abort":
                spark.abort()
            spark.write(message)

    @primus.authorize
    def authorize(request: Any) -> bool:
        return primus.options.global_name != "Closed"

    primus.listen(int(sys.argv[1]), "127.0.0.1")
    print(primus.address[1], flush=True)
    primus.serve_forever()


if __name__ == "__main__":
    main()
