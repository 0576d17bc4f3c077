"""Server processes for tests: every WSGI server that the package supports, started, watched and ended the
same way.

::

    with serve("gunicorn") as server:
        with server.client() as client:
            client.upgrade("/primus?service=echo")

At the end the process has to exit in time, with the right status, and without a traceback in its log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gunicorn.config

from tests.support.client import Client

ROOT = pathlib.Path(__file__).parents[2]
START_SECONDS = 20.0
EXIT_SECONDS = 10.0
WAIT_SECONDS = 10.0

CREATE = "tests.support.app:create"


@dataclass(frozen=True)
class HostKind:
    """One row of the matrix.

    Attributes:
        server: of `tests.support.launch`, or the worker class of gunicorn.
        factory: import path of the function that makes the WSGI application.
        name: what `primus_gevent.hosts.find` calls it.
        upgraded: answers 101 before the application is asked.
        drains: SIGTERM drains it.
        variant: of another row: tested where a difference could show, not with the whole contract.
    """

    server: str
    name: str
    gunicorn: bool = False
    tls: bool = False
    patch: bool = False
    upgraded: bool = False
    drains: bool = False
    variant: bool = False
    factory: str = CREATE


HOSTS = {
    "own": HostKind("own", "primus", drains=True),
    "own-patched": HostKind("own", "primus", patch=True, drains=True, variant=True),
    "own-tls": HostKind("own", "primus", tls=True, drains=True),
    "pywsgi": HostKind("pywsgi", "pywsgi", patch=True),
    "pywsgi-unpatched": HostKind("pywsgi", "pywsgi", variant=True),
    "pywsgi-tls": HostKind("pywsgi", "pywsgi", patch=True, tls=True),
    "gunicorn": HostKind("gevent", "gunicorn", gunicorn=True, drains=True),
    "gunicorn-tls": HostKind("gevent", "gunicorn", gunicorn=True, tls=True, drains=True),
    "gunicorn-pywsgi": HostKind("gevent_pywsgi", "gunicorn-pywsgi", gunicorn=True, drains=True),
    "gevent-websocket": HostKind("gevent-websocket", "gevent-websocket", upgraded=True),
    "gunicorn-gevent-websocket": HostKind(
        "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
        "gevent-websocket",
        gunicorn=True,
        upgraded=True,
        drains=True,
    ),
    "pywsgi-init-app": HostKind(
        "pywsgi", "pywsgi", patch=True, variant=True, factory="tests.support.app:create_initialised"
    ),
    "pywsgi-hidden": HostKind("pywsgi", "pywsgi", variant=True, factory="tests.support.app:create_hidden"),
    "gunicorn-hidden": HostKind(
        "gevent",
        "gunicorn",
        gunicorn=True,
        drains=True,
        variant=True,
        factory="tests.support.app:create_hidden",
    ),
    "pywsgi-writeless": HostKind(
        "pywsgi", "pywsgi", variant=True, factory="tests.support.app:create_writeless"
    ),
    "gunicorn-writeless": HostKind(
        "gevent",
        "gunicorn",
        gunicorn=True,
        drains=True,
        variant=True,
        factory="tests.support.app:create_writeless",
    ),
}


@functools.cache
def certificate() -> tuple[str, str]:
    """Paths of a self-signed certificate for localhost and its key, made once per test run."""
    folder = tempfile.mkdtemp(prefix="primus-test-tls-")
    paths = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-subj", "/CN=localhost", "-days", "2", "-out", paths[0], "-keyout", paths[1]]
    subprocess.run(command, check=True, capture_output=True)
    return paths


@dataclass
class Server:
    """A running server process."""

    kind: HostKind
    process: subprocess.Popen[bytes]
    log_path: pathlib.Path
    port: int = 0
    pid: int = 0  # of the process that runs the application: gunicorn's worker
    clients: list[Client] = field(default_factory=list, repr=False)
    expected: list[str] = field(default_factory=list)  # errors that a test has provoked, by a text in them
    settled: dict[str, Any] | None = None  # its resources, as the last test has left them

    # -- the log

    def log(self) -> str:
        """All that the process has written to its standard output and error."""
        return self.log_path.read_text(errors="replace")

    def tail(self) -> str:
        """The end of the log, without the lines that the tests themselves have caused."""
        return "\n".join([line for line in self.log().splitlines() if "/control/" not in line][-40:])

    def wait_log(self, pattern: str, timeout: float = WAIT_SECONDS) -> re.Match[str]:
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.search(pattern, self.log())
            if match:
                found.append(match)
            elif self.process.poll() is not None:
                raise AssertionError(f"the server exited with {self.process.returncode}:\n{self.log()}")
            return match is not None

        wait_until(look, timeout, lambda: f"no {pattern!r} in the log:\n{self.log()}")
        return found[0]

    def tracebacks(self) -> list[str]:
        """Every traceback in the log, from its first line to its last, that no test has said to expect."""
        found = re.findall(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*.*\n?", self.log())
        return [text for text in found if not any(word in text for word in self.expected)]

    # -- connections

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def client(self, **options: Any) -> Client:
        client = Client(self.address, tls=self.kind.tls, **options)
        self.clients.append(client)
        return client

    def close_clients(self) -> None:
        """Close what tests have left open."""
        while self.clients:
            self.clients.pop().sock.close()

    def spark(self, service: str = "echo", *, early: bytes = b"", **options: Any) -> Client:
        """A client that is connected to one of the services of the test application."""
        client = self.client(**options)
        try:
            return client.upgrade(f"/primus?service={service}", early=early)
        except BaseException:
            client.sock.close()
            raise

    def request(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection: http.client.HTTPConnection
        if self.kind.tls:
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(*self.address, timeout=WAIT_SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection(*self.address, timeout=WAIT_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            return response, response.read()

    def control(self, action: str, *, method: str = "POST") -> Any:
        response, body = self.request(f"/control/{action}", method=method)
        assert response.status == 200, body
        return json.loads(body) if body else None

    # -- the inside of the process

    def state(self) -> dict[str, Any]:
        """Sparks, greenlets and counters of the process; and its sockets, without the one that asks."""
        with Client(self.address, tls=self.kind.tls) as client:
            client.send_request("/control/state", {"Connection": "close"})
            response = client.recv_response()
            assert response.status == 200, response
            client.expect_eof()  # the server has closed the socket that asks, so it is not counted below
        state: dict[str, Any] = response.json()
        state["sockets"] = self.sockets()
        return state

    def sockets(self) -> int:
        """Open socket descriptors of the process that runs the application."""
        count = 0
        folder = f"/proc/{self.pid}/fd"
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                count += os.readlink(f"{folder}/{name}").startswith("socket:")
        return count

    def wait_state(self, timeout: float = WAIT_SECONDS, **wanted: Any) -> dict[str, Any]:
        """Wait until these entries of `state` are as wanted (a value, or a predicate)."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            seen.update(self.state())
            return all(
                value(seen[name]) if callable(value) else seen[name] == value
                for name, value in wanted.items()
            )

        wait_until(look, timeout, lambda: f"wanted {wanted}, have {seen}\n{self.tail()}")
        return seen

    def resources(self) -> dict[str, Any]:
        """What must be the same again when a test is over."""
        state = self.state()
        return {name: state[name] for name in ("sparks", "connected", "objects", "greenlets", "sockets")}

    def baseline(self) -> dict[str, Any]:
        """The resources, when what came before has settled: twice the same in a row."""
        seen = [self.resources(), self.resources()]
        wait_until(lambda: seen[-1] == seen[-2] or bool(seen.append(self.resources())))
        return seen[-1]

    def wait_baseline(
        self, before: dict[str, Any], timeout: float = WAIT_SECONDS, *, release: bool = False
    ) -> None:
        """Wait until nothing is left of what a test has used; `release` lets `deaf` services listen."""
        after: dict[str, Any] = {}
        looks = 0

        def settled() -> bool:
            nonlocal looks
            looks += 1
            if release and looks == 3:  # hardly any test leaves one behind
                self.control("go")
            after.update(self.resources())
            return after == before

        wait_until(settled, timeout, lambda: f"before {before}, after {after}\n{self.tail()}")

    # -- the end

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def wait_exit(self, timeout: float = EXIT_SECONDS) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.tail()}") from None


@contextlib.contextmanager
def leaves_nothing(server: Server) -> Iterator[Server]:
    """At the end there is not a spark, greenlet or socket more than before, and no new traceback in the log,
    unless the test has put a text of it into `server.expected`."""
    server.control("reset")
    before = server.settled or server.baseline()
    server.settled = None
    yield server
    server.close_clients()
    server.wait_baseline(before, release=True)
    assert server.tracebacks() == []
    server.settled = before


def wait_until(
    condition: Callable[[], bool],
    timeout: float = WAIT_SECONDS,
    explain: Callable[[], str] = lambda: "never came",
) -> None:
    """Look again and again until a condition holds."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(explain())
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)


def gunicorn_command(kind: HostKind, extra: list[str], binds: Sequence[str] = ("127.0.0.1:0",)) -> list[str]:
    command = [sys.executable, "-m", "gunicorn", "-k", kind.server, "--workers", "1"]
    for bind in binds:
        command += ["--bind", bind]
    command += ["--access-logfile", "-", "--error-logfile", "-", "--graceful-timeout", "8"]
    if any(setting.name == "control_socket_disable" for setting in gunicorn.config.KNOWN_SETTINGS):
        command += [
            "--no-control-socket"
        ]  # it is in the home directory, one for all; older versions have none
    command += ["--config", str(pathlib.Path(__file__).with_name("gunicorn.conf.py"))]
    if kind.tls:
        command += ["--certfile", certificate()[0], "--keyfile", certificate()[1]]
    return [*command, *extra, f"{kind.factory}()"]


def launch_command(kind: HostKind) -> list[str]:
    command = [sys.executable, "-m", "tests.support.launch", kind.server, kind.factory]
    if kind.patch:
        command += ["--patch"]
    if kind.tls:
        command += ["--tls", *certificate()]
    return command


@contextlib.contextmanager
def serve(
    host: str | HostKind,
    *,
    expected: list[str] | None = None,
    arguments: list[str] | None = None,
    factory: str | None = None,
    server_options: dict[str, Any] | None = None,
    **options: Any,
) -> Iterator[Server]:
    """Run a server until the end of the block.

    Args:
        host: a name of `HOSTS`, or a row of one's own.
        expected: texts by which to know the tracebacks that the test provokes.
        arguments: further ones for gunicorn.
        factory: of another application than the one of the row.
        server_options: of our own server (`make_server`).
        options: of the `Primus`.
    """
    kind = HOSTS[host] if isinstance(host, str) else host
    if factory is not None:
        kind = dataclasses.replace(kind, factory=factory)
    if kind.gunicorn:
        command = gunicorn_command(kind, arguments or [])
    else:
        command = [*launch_command(kind), "--options", json.dumps(server_options or {})]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PRIMUS_TEST_OPTIONS": json.dumps(options),
    }
    with tempfile.TemporaryDirectory(prefix="primus-test-") as folder:
        path = pathlib.Path(folder, "log")
        with path.open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=ROOT
            )
        server = Server(kind, process, path, expected=expected or [])
        try:
            pattern = r"Listening at: https?://[\d.]+:(\d+)" if kind.gunicorn else r"listening on (\d+)"
            server.port = int(server.wait_log(pattern, START_SECONDS)[1])
            server.pid = server.control("state", method="GET")["pid"] if kind.gunicorn else process.pid
            yield server
            server.close_clients()
            if process.poll() is None:
                process.terminate()
            # a plain pywsgi server has no handler for SIGTERM, and dies of it
            allowed = (0,) if kind.drains else (0, -signal.SIGTERM)
            assert server.wait_exit() in allowed, server.log()
            assert server.tracebacks() == []
        finally:
            server.close_clients()
            if process.poll() is None:
                process.kill()
                process.wait()
