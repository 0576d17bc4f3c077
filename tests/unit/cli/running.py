"""Runs commands in this process: beside servers that are in it, too."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pytest

from primus_gevent import Primus
from primus_gevent.cli import main


@dataclass
class Result:
    status: int
    out: str
    err: str


class Runner:
    """Calls `main` as the program does, and catches what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: str | IO[str] = "") -> Result:
        """Run a command.

        Args:
            stdin: what it reads, no more than fits a pipe; or an open file.
        """
        self._capsys.readouterr()
        with piped(stdin) if isinstance(stdin, str) else stdin as given:
            self._monkeypatch.setattr(sys, "stdin", given)
            try:
                status: Any = main(arguments)
            except SystemExit as error:
                status = error.code
        out, err = self._capsys.readouterr()
        return Result(int(status), out, err)


def piped(text: str) -> IO[str]:
    """The end of a pipe from which ``text`` can be read."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    return os.fdopen(read)


@contextmanager
def serving(service: Any = None, **options: Any) -> Iterator[tuple[Primus, str]]:
    """A server in this process; it echoes, or ``service(spark)`` says what it does."""
    primus = Primus(**options)

    @primus.on("connection")
    def connected(spark: Any) -> None:
        if service is not None:
            service(spark)
            return
        for message in spark:
            spark.write(message)

    primus.listen(0, "127.0.0.1")
    try:
        yield primus, f"127.0.0.1:{primus.address[1]}"
    finally:
        primus.destroy()
