"""stdin and stdout that leave the event loop its time, over real pipes, files and terminals."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import gevent
import pytest

from primus_gevent import PrimusError
from primus_gevent.cli import streams
from primus_gevent.cli.streams import Input, Output
from tests.unit.hub import eventually

SECONDS = 10.0


@pytest.fixture
def pipe() -> Iterator[tuple[IO[str], IO[str]]]:
    """Its two ends; a test may close them."""
    read, write = os.pipe()
    with os.fdopen(read) as reader, os.fdopen(write, "w") as writer:
        yield reader, writer


def more_than(lines: list[str], number: int) -> bool:
    return len(lines) > number


def drain(reader: IO[str], length: int) -> bytes:
    found = b""
    while len(found) < length:
        gevent.socket.wait_read(reader.fileno())
        found += os.read(reader.fileno(), 65536)
    return found


def test_a_full_pipe_keeps_only_its_writer_waiting(pipe: tuple[IO[str], IO[str]]) -> None:
    reader, writer = pipe
    text = "".join(f"{number}\n" for number in range(100_000))
    writing = gevent.spawn(Output(writer).write, text)
    turns = 0
    while turns < 100:
        gevent.sleep(0)
        turns += 1
    assert not writing.ready()
    assert drain(reader, len(text)).decode() == text
    writing.get(timeout=SECONDS)


def test_nobody_reads(pipe: tuple[IO[str], IO[str]]) -> None:
    reader, writer = pipe
    reader.close()
    with pytest.raises(BrokenPipeError):
        Output(writer).write("anybody?\n")


def test_what_the_encoding_has_not_is_escaped(pipe: tuple[IO[str], IO[str]]) -> None:
    reader, writer = pipe
    Output(writer).write("\ud800é\n")
    assert drain(reader, 9) == "\\ud800é\n".encode()


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w") as file:
        Output(file).write("one\ntwo\n")
        assert not Output(file).is_terminal
    with path.open() as file:
        assert list(Input(file).lines()) == ["one", "two"]
    with open(os.devnull) as file:
        assert list(Input(file).lines()) == []


def test_without_a_descriptor() -> None:
    assert list(Input(None).lines()) == []
    assert Input(None).fd is None


def test_a_reader_waits_for_what_comes(pipe: tuple[IO[str], IO[str]]) -> None:
    reader, writer = pipe
    lines: list[str] = []
    reading = gevent.spawn(lambda: lines.extend(Input(reader).lines()))
    os.write(writer.fileno(), b"eins\r\nzw")
    gevent.sleep(0)
    os.write(writer.fileno(), "ölf".encode()[:2])
    gevent.sleep(0)
    os.write(writer.fileno(), "ölf\n\nlast".encode()[2:])
    assert not reading.ready()
    writer.close()
    reading.get(timeout=SECONDS)
    assert lines == ["eins", "zwölf", "", "last"]


def test_lines_come_one_by_one(pipe: tuple[IO[str], IO[str]]) -> None:
    reader, writer = pipe
    lines: list[str] = []

    reading = gevent.spawn(lambda: lines.extend(Input(reader).lines()))
    for number, line in enumerate(("one", "two"), 1):
        os.write(writer.fileno(), f"{line}\n".encode())
        eventually(partial(more_than, lines, number - 1))
        assert lines[-1] == line
    writer.close()
    reading.get(timeout=SECONDS)


def test_what_is_no_text_is_told_with_its_line(pipe: tuple[IO[str], IO[str]]) -> None:
    reader, writer = pipe
    os.write(writer.fileno(), b"fine\n\xff\n")
    writer.close()
    lines = Input(reader).lines()
    assert next(lines) == "fine"
    with pytest.raises(PrimusError, match="line 2 of the input is not UTF-8"):
        next(lines)


def test_a_line_without_end_has_one(pipe: tuple[IO[str], IO[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_LINE_BYTES", 1000)
    reader, writer = pipe
    writing = gevent.spawn(Output(writer).write, "x" * 200_000)
    with pytest.raises(PrimusError, match="line 1 of the input is longer than 1000 bytes"):
        list(Input(reader).lines())
    writing.kill()


def test_a_terminal_that_has_gone_is_an_end() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave) as terminal:
        given = Input(terminal)
        assert given.is_terminal
        os.close(master)
        assert given.read() == b""
