"""Every example runs alone, does what it says, and ends cleanly on SIGTERM."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from pathlib import Path
from typing import IO
from unittest.mock import ANY

import gunicorn.config
import pytest

from tests.support.client import Client, Response, close, frame
from tests.support.hosts import certificate, wait_until

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

    tls: bool = False

    @property
    def url(self) -> str:
        return f"http{'s' * self.tls}://127.0.0.1:{self.port}"

    def connect(self, query: str = "", headers: dict[str, str] | None = None) -> Client:
        client = Client(("127.0.0.1", self.port), tls=self.tls)
        try:
            return client.upgrade(f"/primus{query}", {**(headers or {})})
        except BaseException:
            client.sock.close()
            raise

    def refused(self, query: str = "", headers: dict[str, str] | None = None) -> Response:
        """The answer to a handshake that is not 101."""
        with Client(("127.0.0.1", self.port), tls=self.tls) as client:
            response = client.handshake(f"/primus{query}", {**(headers or {})})
        assert response.status != 101
        return response

    def ask(
        self, path: str, headers: dict[str, str] | None = None, *, body: bytes | None = None
    ) -> tuple[int, HTTPMessage, str]:
        """Status, headers and text; redirections are not followed."""
        kind = HTTPSConnection if self.tls else HTTPConnection
        context = {"context": ssl._create_unverified_context()} if self.tls else {}
        connection = kind("127.0.0.1", self.port, timeout=SECONDS, **context)  # type: ignore[arg-type]
        with contextlib.closing(connection):
            connection.request("GET" if body is None else "POST", path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()

    def get(self, path: str) -> str:
        status, _, text = self.ask(path)
        assert status == 200, text
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
            address = example.wait_for(r"http(s?)://127\.0\.0\.1:(\d+)")
            example.tls, example.port = bool(address[1]), int(address[2])
            yield example
            process.send_signal(signal.SIGTERM)  # one that has ended by itself gets none
            assert process.wait(SECONDS) == 0, example.log()
            assert example.may_fail or "Traceback" not in example.log(), example.log()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextlib.contextmanager
def script(name: str, *arguments: str) -> Iterator[Running]:
    with running([sys.executable, str(EXAMPLES / name), *arguments, "0"]) as example:
        yield example


def node(name: str, *arguments: str) -> str:
    """What a JavaScript example prints; it has to end by itself."""
    program = shutil.which("node")
    assert program, "Node.js is needed for the examples of the client"
    packages = ROOT / "tests" / "interop" / "node_modules"
    assert packages.is_dir(), "run `npm ci` in tests/interop first (make test does)"
    done = subprocess.run(
        [program, str(EXAMPLES / name), *arguments],
        env={**os.environ, "NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


NO_SERVERS = {"client.py", "library.py"}
SCRIPTS = sorted({path.name for path in EXAMPLES.glob("*.py")} - NO_SERVERS)
NEEDS_MORE = {"https.py"}  # than a port


def test_every_example_has_a_test() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.js")]:
        assert re.search(rf'(?:script|node|run)\(\s*"{re.escape(path.name)}"', tested), path.name


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - NEEDS_MORE))
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


# -- deciding who may connect


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_basic_auth() -> None:
    with script("basic_auth.py") as example:
        for headers in ({}, basic("ann", "wrong"), basic("nobody", ""), {"Authorization": "Bearer x"}):
            answer = example.refused("", headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == 'Basic realm="myscheme"'
            assert answer.json() == {"error": "Authentication required"}
        answer = example.refused("", basic("bob", "hunter2"))
        assert (answer.status, answer.json()) == (403, {"error": "Go away!"})
        assert "www-authenticate" not in answer.headers
        with example.connect("", basic("ann", "secret")) as ann:
            assert ann.recv_message() == {"hello": "ann"}
            ann.close_properly()
        assert example.refused("", {**basic("ann", "secret"), "Origin": "https://evil.example"}).status == 403
        assert example.ask("/login")[0] == 401
        assert example.ask("/login", basic("ann", "secret"))[0] == 303


def test_jwt_login() -> None:
    with script("jwt_login.py") as example:
        _, _, token = example.ask("/token?name=Ann", body=b"")
        for query, headers in ((f"?token={token}", {}), ("", {"Authorization": f"Bearer {token}"})):
            with example.connect(query, headers) as client:
                assert client.recv_message() == {"hello": "Ann"}
                client.close_properly()
        for query in ("", "?token=rubbish", f"?token={token[:-4]}AAAA"):
            answer = example.refused(query)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]


def test_a_new_token_for_a_new_attempt(tmp_path: Path) -> None:
    """What the page of jwt_login.py does when its connection is lost."""
    program = tmp_path / "reconnect.js"
    program.write_text(
        """
        const Primus = require(process.argv[2]);
        const [, , , url, first, second] = process.argv;
        const primus = new Primus(url + '?token=' + first, { reconnect: { minDelay: 10 } });
        primus.on('reconnecting', async () => { primus.url.query = 'token=' + await second; });
        primus.on('data', (data) => {
          console.log(data.hello);
          if (data.hello === 'Bob') primus.end();
          else primus.socket.terminate();
        });
        """,
        encoding="utf-8",
    )
    with script("jwt_login.py") as example:
        (tmp_path / "primus.js").write_text(example.get("/primus/primus.js"), encoding="utf-8")
        tokens = [example.ask(f"/token?name={name}", body=b"")[2] for name in ("Ann", "Bob")]
        printed = node(str(program), str(tmp_path / "primus.js"), example.url, *tokens)
        assert printed.split() == ["Ann", "Bob"]


def test_flask_session() -> None:
    with script("flask_session.py") as example:
        answer = example.refused()
        assert (answer.status, answer.json()) == (401, {"error": "Log in first"})
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, headers, _ = example.ask("/login", form, body=b"user=Ann")
        assert status == 303
        cookie = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
        with example.connect("", cookie) as client:
            assert client.recv_message() == {"hello": "Ann"}
            assert example.ask("/logout", cookie, body=b"")[0] == 303
            assert client.recv_message() == "primus::server::close"
            client.expect_close(1000)
            client.send(close(1000))
            client.expect_eof()


def test_unauthorized() -> None:
    with script("basic_auth.py") as example:
        printed = node("unauthorized.js", example.url).splitlines()
        assert printed[:3] == [
            "401",
            'Basic realm="myscheme"',
            "Something horrible has happened: Authentication required",
        ]
        assert printed[-1] == "end"  # and no further attempt
        printed = node("unauthorized.js", example.url.replace("//", "//ann:secret@")).splitlines()
        assert printed == ["{ hello: 'ann' }", "end"]


# -- extending


def test_middleware() -> None:
    with script("middleware.py") as example:
        with example.connect("?tenant=acme", {"X-Forwarded-Host": "acme.example"}) as client:
            message = client.recv_message()
            assert (message["tenant"], message["host"]) == ("acme", "acme.example")
            layers = message["layers"]
            assert layers[:2] == ["log", "proxy"]
            assert layers[-3:] == ["tenant", "quota", "status"]
            assert "spec" in layers  # disabled, but there
            assert "x-xss" not in layers
            client.close_properly()
        answer = example.refused("?tenant=greedy")
        assert (answer.status, answer.json()) == (429, {"error": "enough for today"})
        assert answer.headers["x-tenant"] == "greedy"
        for asked in (1, 2):
            status, headers, text = example.ask("/primus/status?tenant=acme")
            assert (status, json.loads(text)) == (200, {"asked": asked})
            assert headers["Content-Type"] == "application/json"
            assert headers["X-Tenant"] == "acme"
        assert example.ask("/primus/spec")[0] == 426  # it is the transformer's now
        assert example.ask("/elsewhere")[0] == 200
        assert "GET /primus?tenant=acme" in example.log()
        assert "elsewhere" not in example.log()


def test_rooms() -> None:
    with script("rooms.py") as example, example.connect() as ann, example.connect() as bob:
        assert "rooms:join" in example.get("/primus/primus.js")
        bob.send_message({"rooms:join": "blue"})
        bob.send_message({"room": "blue", "text": "is it me?"})
        assert bob.recv_message() == {"in": "blue", "text": "is it me?"}
        ann.send_message({"room": "blue", "text": "hello"})
        assert bob.recv_message() == {"in": "blue", "text": "hello"}
        ann.send_message({"rooms:join": "a name that is too long"})
        ann.send_message({"room": "a name tha", "text": "cut"})
        assert ann.recv_message() == {"in": "a name tha", "text": "cut"}
        bob.send_message({"rooms:leave": "blue"})
        bob.send_message({"rooms:join": "red"})
        bob.send_message({"room": "blue", "text": "to nobody"})
        bob.send_message({"room": "red", "text": "me"})
        assert bob.recv_message() == {"in": "red", "text": "me"}


def test_the_client_side_of_rooms(tmp_path: Path) -> None:
    program = tmp_path / "rooms.js"
    program.write_text(
        """
        const Primus = require(process.argv[2]);
        const primus = new Primus(process.argv[3]);
        primus.join('blue');
        primus.write({ room: 'blue', text: 'hello' });
        primus.on('data', (data) => { console.log(data.text); primus.end(); });
        """,
        encoding="utf-8",
    )
    with script("rooms.py") as example:
        (tmp_path / "primus.js").write_text(example.get("/primus/primus.js"), encoding="utf-8")
        assert node(str(program), str(tmp_path / "primus.js"), example.url) == "hello\n"


def test_plugins() -> None:
    with script("plugins.py") as example, example.connect() as client:
        example.wait_for("added shout")
        client.send_message("hello")
        assert client.recv_message() == "HELLO"
        source = example.get("/primus/primus.js")
        assert "const LOUD" in source
        assert "rooms:join" in source
        client.send_message("quiet")
        assert client.recv_message() == {"removed": True, "again": False}
        example.wait_for("removed shout")
        client.send_message("hello")
        assert client.recv_message() == "hello"
        assert "const LOUD" not in example.get("/primus/primus.js")
        client.close_properly()


def test_transforms() -> None:
    with (
        script("transforms.py") as example,
        example.connect("?name=Ann") as ann,
        example.connect() as bob,
    ):
        for sent in ("  ", "psst", " olleh "):  # swallowed, swallowed, and what the client's half makes of it
            ann.send_message(sent)
        assert ann.recv_message() == {"said": "hello", "to": "Ann"}
        assert bob.recv_message() == {"said": "hello", "to": "you"}
        bob.send_message("damn")
        assert bob.recv_message() == {"error": "mind your language", "to": "you"}
        example.wait_for(r"Traceback[^§]+mind your language")  # it is logged too
        example.may_fail = True


def test_intercept() -> None:
    with script("intercept.py") as example:
        with example.connect("?name=Ann") as client:
            assert client.recv_message() == {"first": False}
            assert client.recv_message() == {"third": 33}
            client.close_properly()
        with example.connect("?name=nobody") as client:
            assert client.recv_message() == {"first": False}
            assert client.recv_message() == "primus::server::close"
            client.expect_close(1000)
            client.send(close(1000))
        example.wait_for("refused: who are you?")


def test_parser() -> None:
    with script("parser.py") as example, example.connect() as client:
        client.send(frame(TEXT, b'a,"b, c",d'))
        assert client.recv_text() == 'd,"b, c",a'
        client.send(frame(TEXT, b"primus::ping::1"))
        assert client.recv_text() == "primus::pong::1"
        assert "raw.split(',')" in example.get("/primus/primus.js")
        assert json.loads(example.get("/primus/spec"))["parser"] == "custom"
        client.close_properly()


def test_own_transformer() -> None:
    with script("own_transformer.py") as example, example.connect("?framework=reversed") as client:
        client.send(frame(TEXT, b'"desserts"'))
        assert client.recv_text() == '"stressed, on the wire desserts"'[::-1]
        assert json.loads(example.get("/primus/spec"))["transformers"] == ["reversed", "websockets"]
        assert "turned" in example.get("/primus/primus.js")
        assert "turned" not in example.get("/primus/primus.js?transformer=websockets")
        client.close_properly()


# -- the rest of the specification


def test_for_each() -> None:
    with (
        script("for_each.py") as example,
        example.connect("?foo=bar") as first,
        example.connect() as second,
    ):
        second.send_message("bar")
        assert first.recv_message() == {"one of": 2}
        second.send_message("first")
        assert first.recv_message() == "you are the first"
        second.send_message("in turn")
        for client in (first, second):
            assert client.recv_message() == "your turn"
            assert client.recv_message() == {"done": True}


def test_destroy() -> None:
    with script("destroy.py") as example:
        with example.connect() as client:
            client.send_message("destroy")
            assert client.recv_message() == "in a moment"
            assert client.recv_message() == "primus::server::close"
            client.expect_close(1000)
            client.send(close(1000))
            client.expect_eof()
        assert example.process.wait(SECONDS) == 0
        assert "closed with {'close': True, 'timeout': 0.1, 'reconnect': False}\nand on" in example.log()


def test_handshake() -> None:
    with script("handshake.py") as example:
        with example.connect("", {"X-Forwarded-For": "192.0.2.7", "User-Agent": "me"}) as client:
            assert client.recv_message() == "Hello world"
            client.send_message({"secrethandshake": "foo"})
            assert client.recv_message() == {"foo": "bar"}
            assert client.recv_message() == "banana"
            client.send_message({"secrethandshake": "bar"})
            assert client.recv_message() == "primus::server::close"
            client.expect_close(1000)
            client.send(close(1000))
            client.expect_eof()
        example.wait_for("from 192.0.2.7 ")
        example.wait_for("'User-Agent': 'me'")
        example.wait_for(r"connection id \S{22}")


def test_pipe() -> None:
    with script("pipe.py") as example:
        with example.connect() as client:
            client.send_message({"text": "hello"})
            assert client.recv_message() == {"text": "hello"}
            assert client.recv_message() == {"letters": 5}
            client.close_properly()
        example.wait_for(r"recorded \{'text': 'hello'\}\nend of the record")


def test_https(tmp_path: Path) -> None:
    for source, name in zip(certificate(), ("cert.pem", "key.pem"), strict=True):
        shutil.copy(source, tmp_path / name)
    with script("https.py", str(tmp_path)) as example:
        assert example.tls
        assert 'src="/primus/primus.js"' in example.get("/")
        with example.connect() as client:
            assert client.recv_message() == "hello connection"
            client.close_properly()
        assert "iknowhttpsisbetter" not in example.log()


UNKNOWN = '{"code":1,"message":"Session ID unknown"}'


def test_engineio() -> None:
    with script("engineio.py") as example:
        opening = example.get("/primus?EIO=4&transport=polling")
        assert opening[0] == "0"
        assert json.loads(opening[1:])["pingInterval"] == 10_000
        session = f"/primus?EIO=4&transport=polling&sid={json.loads(opening[1:])['sid']}"
        assert example.ask(session, body=b'4"hello"\x1e4[1,null]') == (200, ANY, "ok")
        packets: list[str] = []
        while len(packets) < 2:
            packets += example.get(session).split("\x1e")
        assert packets == ['4{"said":"hello","over":"polling"}', '4{"said":[1,null],"over":"polling"}']
        assert example.ask(session, body=b"1") == (200, ANY, "ok")  # goodbye
        # So says any other process, too: behind a balancer the sessions have to be sticky.
        wait_until(lambda: example.ask(session) == (400, ANY, UNKNOWN), SECONDS, example.log)


@pytest.mark.parametrize(("options", "last"), [("{}", "websocket"), ("{ websockets: false }", "polling")])
def test_engineio_with_the_client_of_the_server(options: str, last: str, tmp_path: Path) -> None:
    program = tmp_path / "program.js"
    with script("engineio.py") as example:
        (tmp_path / "primus.js").write_text(example.get("/primus/primus.js"), encoding="utf-8")
        program.write_text(
            f"const Primus = require('./primus.js'); const primus = new Primus('{example.url}', {options});\n"
            "let count = 0;\n"
            "primus.on('open', () => primus.write(count));\n"
            "primus.on('data', ({ said, over }) => {\n"
            "  console.log(said, over);\n"
            f"  if (over === '{last}' && count >= 20) primus.end(); else primus.write(++count);\n"
            "});\n",
            encoding="utf-8",
        )
        lines = node(str(program)).splitlines()
    assert lines[0] == "0 polling"
    assert lines[-1] == f"{len(lines) - 1} {last}"
    assert [line.split()[0] for line in lines] == [str(n) for n in range(len(lines))]


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_library(tmp_path: Path) -> None:
    assert run("library.py", str(tmp_path)) == ""
    script_text = (tmp_path / "live.js").read_text(encoding="utf-8")
    assert '"/live"' in script_text
    assert (tmp_path / "ours.js").read_text(encoding="utf-8") == "// (c) somebody\n" + script_text
    program = tmp_path / "main.mjs"
    program.write_text(
        "import Live from './live.mjs'; import { createRequire } from 'node:module';\n"
        "const again = createRequire(import.meta.url)('./live.js');\n"
        "console.log(Live.prototype.pathname, again.prototype.pathname);\n",
        encoding="utf-8",
    )
    assert node(str(program)) == "/live /live\n"


def test_python_client() -> None:
    with script("echo.py") as example:
        lines = run("client.py", example.url).splitlines()
    assert lines[0] == "read hello"
    assert re.fullmatch(r"our spark is [\w-]{22}", lines[1])
    assert lines[2:] == [
        "Connection is alive and kicking",
        "heard {'n': 1}",
        "Connection closed",
        "read LOUD",
        "the client of http://127.0.0.1:1 has ended because nothing listens at ws://127.0.0.1:1",
    ]


def test_client() -> None:
    with script("end_reconnect.py") as example:
        lines = node("client.js", example.url).splitlines()
    rest = iter(lines)
    for expected in (
        "State opening",
        "State open",
        "Connection is alive and kicking",
        'Received a new message from the server {"id":',
        "id ",
        "State end",
        "Closed; it may come back",
        "Reconnecting in 50 ms",
        "This is attempt 1 out of 10",
        "Reconnect attempt started",
        "State opening",
        "State open",
        "Connection is alive and kicking",
        'Received a new message from the server {"goodbye":"and thanks"}',
        "State end",
        "Closed; it may come back",
        "Connection closed",
    ):
        assert any(line.startswith(expected) for line in rest), (expected, lines)
    assert not any("horrible" in line for line in lines)
