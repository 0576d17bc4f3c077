"""The first program of a new user, as it stands in the README and in the introduction, runs and answers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from tests.support.client import Client
from tests.support.hosts import wait_until

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20.0


def program(page: str) -> str:
    """The one Python block of a page that starts a server, listening on a free port."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if "serve_forever()" in block]
    assert found.count("8080") == 1
    return found.replace("8080", "0")


def other_files(page: str) -> list[tuple[str, str]]:
    """Those that the page tells the reader to save beside the program."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"this as `(\w+/[\w.]+)`:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@contextlib.contextmanager
def served(page: str, folder: Path) -> Iterator[int]:
    """Run the program of a page as a user does, from a file; at the end stop it by SIGTERM."""
    script, log = folder / "app.py", folder / "log.txt"
    script.write_text(program(page), encoding="utf-8")
    for path, text in other_files(page):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(script)], cwd=folder, env=environ, stdout=output, stderr=subprocess.STDOUT
        )
    try:

        def printed() -> bool:
            assert process.poll() is None, log.read_text()
            return re.search(r"^http://127\.0\.0\.1:\d+/$", log.read_text(), re.MULTILINE) is not None

        wait_until(printed, SECONDS, log.read_text)
        yield int(re.findall(r"http://127\.0\.0\.1:(\d+)/", log.read_text())[0])
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
        assert "Warning" not in log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def get(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as response:
        text: str = response.read().decode()
        return text


def test_the_readme_example_has_20_lines() -> None:
    lines = [line for line in program("README.md").splitlines() if line.strip()]
    assert len(lines) <= 20


def test_the_readme_example(tmp_path: Path) -> None:
    with served("README.md", tmp_path) as port:
        assert "primus.js" in get(port, "/")
        assert "Primus" in get(port, "/primus/primus.js")
        with Client(("127.0.0.1", port)) as ann, Client(("127.0.0.1", port)) as bob:
            ann.upgrade("/primus?name=Ann")
            assert ann.recv_message() == {"name": "server", "said": "hello Ann"}
            bob.upgrade("/primus")
            assert bob.recv_message() == {"name": "server", "said": "hello you"}
            ann.send_message(["any", {"JSON": True}])
            said = {"name": "Ann", "said": ["any", {"JSON": True}]}
            assert ann.recv_message() == bob.recv_message() == said
            ann.close_properly()
            bob.close_properly()


def test_the_quickstart(tmp_path: Path) -> None:
    with served("docs/intro/quickstart.md", tmp_path) as port, Client(("127.0.0.1", port)) as client:
        client.upgrade("/primus")
        client.send_message("hello")
        assert client.recv_message() == "hello"
        client.close_properly()


def test_the_tutorial_has_30_lines() -> None:
    assert len([line for line in program("docs/intro/tutorial.md").splitlines() if line.strip()]) <= 30


def test_the_tutorial(tmp_path: Path) -> None:
    with served("docs/intro/tutorial.md", tmp_path) as port:
        assert "primus.js" in get(port, "/")
        with Client(("127.0.0.1", port)) as ann, Client(("127.0.0.1", port)) as bob:
            ann.upgrade("/primus?name=Ann")
            assert ann.recv_message() == {"people": ["Ann"]}
            bob.upgrade("/primus?name=Bob")
            assert bob.recv_message() == ann.recv_message() == {"people": ["Ann", "Bob"]}
            ann.send_message({"not": "text"})
            ann.send_message("hello")
            assert ann.recv_message() == bob.recv_message() == {"name": "Ann", "said": "hello"}
            ann.close_properly()
            assert bob.recv_message() == {"people": ["Bob"]}
