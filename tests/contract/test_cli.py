"""The command line as it is used: processes of its own, pipes, terminals, signals, servers that go away.

What it prints and how it ends in ordinary cases is tested in ``tests/unit/cli``, in one process.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.support.certificates import family
from tests.support.interop import ADVICE
from tests.support.restartable import Restartable
from tests.support.terminal import ROOT, SECONDS, Terminal, command

INTEROP = ROOT / "tests" / "interop"


@pytest.fixture(scope="module")
def server() -> Iterator[Restartable]:
    with Restartable(credentials=False) as running:
        yield running


@contextmanager
def program(
    *arguments: str, cwd: Path = ROOT, prefix: Sequence[str] = ("-m",), **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """A run of the program, with pipes.

    Args:
        prefix: what runs the module, as arguments of Python.
    """
    with subprocess.Popen(
        command(*arguments, prefix=prefix),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(stream: IO[str] | None) -> str:
    """The next line, waited for; empty at the end."""
    assert stream
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([stream], [], [], SECONDS)[0], f"nothing came after {line!r}"
        byte = os.read(stream.fileno(), 1)
        if not byte:
            break
        line += byte
    return line.decode().rstrip("\n")


def type_line(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


# -- connect, in a pipe


def test_a_pipe_of_many_lines(server: Restartable) -> None:
    lines = "".join(f"{number} {'x' * 50}\n" for number in range(10_000))
    done = subprocess.run(
        command("connect", server.url, "--count", "10000", "-q"),
        input=lines,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == lines


def test_a_reader_that_has_enough(server: Restartable) -> None:
    with program("connect", server.url, "--wait", "inf", "-q") as running:
        assert running.stdout
        type_line(running, "one")
        assert line_of(running.stdout) == "one"
        running.stdout.close()
        type_line(running, "two")
        assert running.wait(SECONDS) == 141
        assert running.stderr
        assert running.stderr.read() == ""


def test_a_server_that_is_killed_and_comes_back() -> None:
    with Restartable(credentials=False) as server, program("connect", server.url, "--wait", "inf") as running:
        type_line(running, "before")
        assert line_of(running.stdout) == "before"
        assert line_of(running.stderr) == f"* connecting to {server.url}/primus (websockets, json)"
        assert line_of(running.stderr).startswith("* open, latency ")
        server.kill()
        assert line_of(running.stderr).startswith("! the connection to ")
        assert line_of(running.stderr) == "* reconnecting in 500 ms (attempt 1 of 10)"
        type_line(running, "while it was gone")
        second = line_of(running.stderr)
        server.start()
        assert re.fullmatch(
            r"\* reconnecting in [\d.]+ m?s \(attempt 2 of 10\): nothing listens at .*|\* open again.*",
            second,
        )
        assert line_of(running.stdout) == "while it was gone"
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == 143


def test_a_server_that_is_killed_for_good() -> None:
    with (
        Restartable(credentials=False) as server,
        program("connect", server.url, "--retries", "1") as running,
    ):
        type_line(running, "before")
        assert line_of(running.stdout) == "before"
        server.kill()
        assert running.wait(SECONDS) == 1
        assert running.stderr
        last = running.stderr.read().splitlines()[-1]
    assert re.fullmatch(
        r"! gave up after 1 attempt in [\d.]+ m?s: nothing listens at ws://127.0.0.1:\d+", last
    )


# -- connect, at a terminal


def test_a_conversation(server: Restartable) -> None:
    with Terminal("connect", server.url, "--json", "--ping", "0.1") as terminal:
        terminal.expect(r"\* open, latency [\d.]+ ms; Ctrl-D leaves\n")
        terminal.expect(r"\[open [\d.]+ ms\] > ")
        terminal.type('{"a": 1}\r')
        terminal.expect(r'> \{"a": 1\}\n')
        terminal.expect(r'^< \{"a": 1\}\n')
        terminal.type("helo\x1b[Dl\x1b[F w\x17world\r")
        terminal.expect(r'^< "helloworld"\n'.replace("helloworld", "hello world"))
        terminal.type("\x1b[A\x1b[A\r")
        terminal.expect(r'^< \{"a": 1\}\n')
        terminal.type("half a line")
        terminal.expect(r"\] > half a line")
        terminal.expect(r"\[open [\d.]+ ms\] > half a line")  # drawn again, with the next heartbeat's latency
        assert terminal.modes_now != terminal.modes
        terminal.type("\x15\x04")
        assert terminal.wait() == 0
        assert terminal.modes_now == terminal.modes
        assert "\x1b[32m* open" in terminal.raw


def test_the_state_is_shown_and_the_line_survives_it() -> None:
    with Restartable(credentials=False) as server, Terminal("connect", server.url, NO_COLOR="1") as terminal:
        terminal.expect(r"\[open [\d.]+ ms\] > ")
        terminal.type("typed")
        server.kill()
        terminal.expect(r"^! the connection to .* was lost\n")
        terminal.expect(r"^\* reconnecting in 500 ms \(attempt 1 of 10\)\n")
        terminal.expect(r"\[reconnecting 1/10\] > typed")
        server.start()
        terminal.expect(r"^\* open again, latency [\d.]+ ms\n")
        terminal.expect(r"\[open [\d.]+ ms\] > typed")
        terminal.type("\r")
        terminal.expect(r"^< typed\n")
        terminal.type("\x03")  # Ctrl-C
        assert terminal.wait() == 0
        assert terminal.modes_now == terminal.modes
        assert not re.search(r"\x1b\[\d+m", terminal.raw)


def test_a_suspended_one_comes_back(server: Restartable) -> None:
    with Terminal("connect", server.url) as terminal:
        terminal.expect(r"\[open [\d.]+ ms\] > ")
        terminal.type("typed")
        terminal.expect("> typed")
        terminal.suspend()
        terminal.expect(r"\] > typed")
        terminal.type("!\r")
        terminal.expect(r"^< typed!\n")
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_a_simple_terminal_gets_lines(server: Restartable) -> None:
    with Terminal("connect", server.url, TERM="dumb") as terminal:
        terminal.expect(r"\* open, latency ")
        terminal.type("hello\n")
        terminal.expect(r"^< hello\n")
        terminal.type("\x04")
        assert terminal.wait() == 0
        assert "\x1b" not in terminal.raw


# -- the original servers


@pytest.mark.interop
@pytest.mark.parametrize(("kind", "version"), [("primus8", "8.0.9"), ("primus24", "2.4.12")])
def test_official_servers(kind: str, version: str) -> None:
    options = json.dumps([{}, {"transformer": "engine.io"}])
    node = ["node", "--no-deprecation", str(INTEROP / "server.js"), kind, options]
    with subprocess.Popen(node, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = line_of(process.stdout)
            if not line:
                pytest.fail(f"the {kind} server did not start. {ADVICE}", pytrace=False)
            plain, engine = (f"127.0.0.1:{port}?service=echo&tag=cli" for port in json.loads(line)["ports"])
            with Terminal("connect", plain, "--json") as terminal:
                terminal.expect(r"\* open, latency ")
                terminal.type('{"greeting": "héllo"}\r')
                terminal.expect(r'^< \{"greeting": "héllo"\}\n')
                terminal.type("\x04")
                assert terminal.wait() == 0
            with program("connect", engine, "--transport", "polling", "--count", "2", "-q") as running:
                assert running.communicate("one\ntwo\n", timeout=SECONDS) == ("one\ntwo\n", "")
                assert running.returncode == 0
            with program("spec", plain) as running:
                out, _ = running.communicate(timeout=SECONDS)
                assert out.startswith(f"Primus {version} at http://127.0.0.1:")
        finally:
            process.kill()


# -- serve

CHAT = """
from primus_gevent import Primus
primus = Primus()
@primus.on("connection")
def echo(spark):
    for message in spark:
        spark.write(f"ONE {message}")
"""


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    """A folder with a module ``chat``."""
    (tmp_path / "chat.py").write_text(CHAT)
    return tmp_path


def address_of(process: subprocess.Popen[str]) -> str:
    found = re.match(r"\S+: (https?://[\d.]+:\d+)/ ", line_of(process.stdout))
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("signum", "prefix"),
    [
        (signal.SIGTERM, ("-m",)),
        (signal.SIGHUP, ("-m", "gevent.monkey", "--module")),
        (signal.SIGINT, ("-m",)),
    ],
    ids=["SIGTERM", "SIGHUP-patched", "SIGINT"],
)
def test_serve_until_a_signal(signum: signal.Signals, prefix: tuple[str, ...], chat: Path) -> None:
    with program("serve", "chat:primus", "--port", "0", cwd=chat, prefix=prefix) as serving:
        url = address_of(serving)
        with program("connect", url, "--wait", "inf", "--retries", "0") as client:
            type_line(client, "hello")
            assert line_of(client.stdout) == "ONE hello"
            serving.send_signal(signum)
            assert serving.wait(SECONDS) == 0
            assert client.wait(SECONDS) in (0, 1)
            assert client.stderr
            assert "* closed by the server" in client.stderr.read(), "it said goodbye"
        assert serving.communicate() == ("", "")


def test_serve_again_after_changes(chat: Path) -> None:
    with program(
        "serve", "chat", "--port", "0", "--reload", cwd=chat, PYTHONDONTWRITEBYTECODE="1"
    ) as serving:
        url = address_of(serving)
        with program("connect", url, "--count", "1", "-q") as client:
            assert client.communicate("hello\n", timeout=SECONDS)[0] == "ONE hello\n"
        (chat / "chat.py").write_text(f"{CHAT}\noh no\n")
        while not line_of(serving.stderr).startswith("SyntaxError"):
            pass  # the lines of its traceback
        assert re.fullmatch(
            "chat cannot be imported: SyntaxError: .*; waiting for a change", line_of(serving.stderr)
        )
        (chat / "chat.py").write_text(CHAT.replace("ONE", "TWO"))
        url = address_of(serving)
        with program("connect", url, "--count", "1", "-q") as client:
            assert client.communicate("hello\n", timeout=SECONDS)[0] == "TWO hello\n"
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(SECONDS) == 0


def test_serve_https_with_a_flask_app(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    known = family()
    cert = known.write("cli.pem", known.server.pem(), known.between.pem(), known.server.key_pem())
    ca = known.write("cli-root.pem", known.root.pem())
    words = ["--cert", cert, "--path", "/live", "--port", "0"]
    with program("serve", "shop:app", *words, "--access-log", cwd=tmp_path) as serving:
        url = address_of(serving)
        assert url.startswith("https://")
        url = url.replace("127.0.0.1", "localhost") + "/live"
        with program("spec", url) as asking:
            out, err = asking.communicate(timeout=SECONDS)
            assert (out, asking.returncode) == ("", 1)
            assert "certificate" in err
        with program("connect", url, "--ca", ca, "--wait", "0", "-q") as client:
            assert client.communicate("", timeout=SECONDS) == ("", "")
            assert client.returncode == 0
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(SECONDS) == 0
        assert serving.stderr
        assert '"GET /live/spec HTTP/1.1" 200' in serving.stderr.read()


# -- load


def test_load_at_a_terminal(server: Restartable) -> None:
    with Terminal("load", server.url, "--clients", "5", "--duration", "0.5") as terminal:
        terminal.expect(r"5 clients to .* \(websockets, json\), 1 in flight each\n")
        terminal.expect(r"sending    \[#* *\] \d+, \d+/s")
        terminal.expect(r"^connected  5 of 5 in ")
        terminal.expect(r"^latency    p50 .* max .*s\n  <= ")
        assert terminal.wait() == 0
        assert "[" not in terminal.shown.rsplit("connected", 1)[1], "the bar is gone"
