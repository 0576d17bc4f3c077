"""What the tests that run programs of Node share.

Such a program plays scenarios: with ``--list`` it tells which there are, as JSON, and otherwise it plays them
and prints a line of JSON for each.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["ADVICE", "listed", "play", "serving", "slug"]

ADVICE = "`make test` installs what is missing; by hand: Node.js 18 or newer, and `npm ci` in tests/interop."
SECONDS = 115.0  # below the time limit of a test, so that the reason is told
SERVER = Path(__file__).parents[1] / "interop" / "server.py"


def slug(value: object) -> str:
    """A value in the name of a test."""
    return re.sub(r"\W+", "-", str(value)).strip("-").lower()


def node(script: Path, *arguments: str) -> list[str]:
    # Old clients use what Node has deprecated since.
    return ["node", "--no-deprecation", str(script), *arguments]


def listed(script: Path, otherwise: Any) -> Any:
    """What there is to play; without Node ``otherwise``, which cannot pass, so that nothing is left out."""
    try:
        done = subprocess.run(node(script, "--list"), capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return otherwise
    return json.loads(done.stdout)


def play(script: Path, *arguments: str) -> list[dict[str, Any]]:
    """Play all scenarios; the test fails where that is not possible. Blocks, for `SECONDS` at most."""
    try:
        done = subprocess.run(
            node(script, *arguments), capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.fail(f"{error}\n{ADVICE}", pytrace=False)
    if done.returncode:
        pytest.fail(f"{done.stderr}\n{ADVICE}", pytrace=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def serving(servers: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The addresses of test servers with these options. They must have nothing to complain about."""
    command = [sys.executable, SERVER, json.dumps(list(servers.values()))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        if line:
            ports = json.loads(line)["ports"]
            yield {name: f"http://127.0.0.1:{port}" for name, port in zip(servers, ports, strict=True)}
        process.kill()
        complaints = process.communicate()[1]
    assert complaints == ""
