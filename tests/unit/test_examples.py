"""Every example runs alone, does what it says, and ends cleanly on SIGTERM."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import gunicorn.config
import pytest

from tests.support.client import Client, close, frame
from tests.support.hosts import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SECONDS = 20.0
TEXT = 1

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are not part of an installation")


@dataclass
class Running:
    """One example in a process of its own."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    port: int = 0
    may_fail: bool = False  # a test has provoked a traceback

    def log(self) -> str:
        return Path(self.output.name).read_text(errors="replace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        def look() -> bool:
            assert self.process.poll() is None, f"it has exited:\n{self.log()}"
            return re.search(pattern, self.log()) is not None

        wait_until(look, SECONDS, lambda: f"no {pattern!r} in:\n{self.log()}")
        match = re.search(pattern, self.log())
        assert match is not None
        return match

    def connect(self, query: str = "") -> Client:
        client = Client(("127.0.0.1", self.port))
        try:
            return client.upgrade(f"/primus{query}")
        except BaseException:
            client.sock.close()
            raise

    def get(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=SECONDS) as response:
            text: str = response.read().decode()
            return text


@contextlib.contextmanager
def running(command: list[str], cwd: Path = ROOT) -> Iterator[Running]:
    """Start a command that prints its address; at the end stop it by SIGTERM, and look at how it went."""
    with tempfile.NamedTemporaryFile(prefix="primus-example-") as output:
        # The examples are run as from a checkout, whether the package is installed or not.
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, cwd=cwd, env=environ, stdout=output, stderr=subprocess.STDOUT)
        example = Running(process, output)
        try:
            example.port = int(example.wait_for(r"http://127\.0\.0\.1:(\d+)")[1])
            yield example
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0, example.log()
            assert example.may_fail or "Traceback" not in example.log(), example.log()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextlib.contextmanager
def script(name: str) -> Iterator[Running]:
    with running([sys.executable, str(EXAMPLES / name), "0"]) as example:
        yield example


SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
WITH_ITS_OWN_TEST = {
    "broadcast.py",
    "chat.py",
    "echo.py",
    "end_reconnect.py",
    "events.py",
    "latency.py",
}


def test_every_example_has_a_test() -> None:
    assert set(SCRIPTS) == WITH_ITS_OWN_TEST


@pytest.mark.parametrize("name", SCRIPTS)
def test_page_and_client(name: str) -> None:
    with script(name) as example:
        page = example.get("/")
        assert "<!doctype html>" in page
        assert 'src="/primus/primus.js"' in page
        assert "Primus" in example.get("/primus/primus.js")


def test_echo() -> None:
    with script("echo.py") as example, example.connect() as client:
        for message in ("hello", {"n": [1, None, "ü"]}, None):
            client.send_message(message)
            assert client.recv_message() == message
        client.close_properly()


def test_chat() -> None:
    with script("chat.py") as example, example.connect("?name=Ann") as ann:
        assert ann.recv_message() == {"name": "Ann", "did": "came"}
        with example.connect("?name=Bob") as bob:
            assert ann.recv_message() == bob.recv_message() == {"name": "Bob", "did": "came"}
            assert sorted(example.get("/people").split('"')[3::2]) == ["Ann", "Bob"]
            bob.send_message({"no": "text"})
            bob.send_message("  ")
            bob.send_message("hello")
            assert ann.recv_message() == bob.recv_message() == {"name": "Bob", "said": "hello"}
            bob.close_properly()
        assert ann.recv_message() == {"name": "Bob", "did": "left"}


def test_events() -> None:
    with script("events.py") as example:
        with example.connect() as client:
            for sent, answer in (
                ({"event": "add", "args": [20, 22]}, {"sum": 42}),
                ({"event": "shout", "args": ["hello"]}, {"shouted": "HELLO"}),
                ({"event": "end", "args": []}, {"refused": "end"}),
                ({"event": "outgoing::open", "args": []}, {"refused": "outgoing::open"}),
                ({"event": "sing", "args": []}, {"unknown": "sing"}),
            ):
                client.send_message(sent)
                assert client.recv_message() == answer
            client.send(frame(TEXT, b"{"))
            assert client.recv_message() == {"error": "ParserError"}
            client.close_properly()
        example.wait_for("has left")


def test_events_survive_a_listener_that_raises() -> None:
    with script("events.py") as example, example.connect() as client:
        client.send_message({"event": "add", "args": []})
        assert client.recv_message() == {"error": "TypeError"}
        client.send_message({"event": "add", "args": [1, 1]})
        assert client.recv_message() == {"sum": 2}
        example.wait_for(r"Traceback[^§]+TypeError: .*\badd\(\)")  # the failure is logged
        example.may_fail = True


def test_broadcast() -> None:
    with (
        script("broadcast.py") as example,
        example.connect("?room=blue") as blue,
        example.connect("?room=red") as red,
    ):
        first = message_with("id", blue)["id"]
        second = message_with("id", red)["id"]
        assert first != second
        red.send_message({"room": "blue", "text": "hello"})
        assert message_with("text", blue) == {"text": "hello"}
        blue.send_message({"to": second, "text": "psst"})
        blue.send_message({"to": "nobody", "text": "is there"})
        assert message_with("whisper", red) == {"whisper": "psst"}
        assert message_with("time", blue)


def message_with(key: str, client: Client) -> dict[str, object]:
    """The next message with that key; the clock may strike at any time."""
    for _ in range(50):
        message: dict[str, object] = client.recv_message()
        if key in message:
            return message
    raise AssertionError(f"no message with {key!r}")


def test_latency() -> None:
    with script("latency.py") as example:
        with example.connect() as client:
            example.wait_for("open")  # its listeners are in place
            client.send_message("primus::ping::1400000000000")
            assert client.recv_message() == "primus::pong::1400000000000"
            example.wait_for("is alive")
            client.close_properly()
        example.wait_for("said goodbye")
        with example.connect() as client:
            example.wait_for(r"goodbye\n\S+ open")  # reset earlier, it would never become a spark
            client.reset()
        example.wait_for("was lost")


@pytest.mark.parametrize(
    ("command", "messages", "code"),
    [
        ("end", ["primus::server::close"], 1000),
        ("end with data", [{"goodbye": "and thanks"}, "primus::server::close"], 1000),
        ("reconnect", [], 1012),
        ("code 4000", [], 4000),
    ],
)
def test_end_reconnect(command: str, messages: list[object], code: int) -> None:
    with script("end_reconnect.py") as example, example.connect() as client:
        client.recv_message()
        client.send_message(command)
        assert [client.recv_message() for _ in messages] == messages
        client.expect_close(code)
        client.send(close(code))
        client.expect_eof()


def test_end_reconnect_by_cutting_the_connection() -> None:
    with script("end_reconnect.py") as example, example.connect() as client:
        client.recv_message()
        client.send_message("abort")
        assert client.rest() == b""


def test_factory_under_gunicorn() -> None:
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", "127.0.0.1:0"]
    if any(setting.name == "control_socket_disable" for setting in gunicorn.config.KNOWN_SETTINGS):
        command.append("--no-control-socket")  # it is in the home directory, one for all runs
    with running([*command, "app:create_app()"], EXAMPLES / "factory") as example:
        assert 'src="/primus/primus.js"' in example.get("/")
        with example.connect() as client:
            client.send_message("hello")
            assert client.recv_message()["said"] == "hello"
            assert example.get("/connected").strip() == '{"connected":1}'
            example.process.send_signal(signal.SIGTERM)  # the hook drains
            client.expect_close(1012)
            client.send(close(1012))
            client.expect_eof()
