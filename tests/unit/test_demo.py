"""The program ``primus-gevent`` and its chat: arguments, page, conversations, and how it stops.

The page in a browser is tested in ``tests/demo``.
"""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import Client as PageClient

import primus_gevent
from primus_gevent import demo
from primus_gevent.cli import main
from primus_gevent.cli.listening import address
from tests.support.client import TEXT, Client, close, frame
from tests.support.demo import Demo, running_demo

STATIC = {name: (demo.resources.files(demo) / "static" / name) for name, _ in demo.FILES.values()}


def exit_status(*arguments: str) -> Any:
    with pytest.raises(SystemExit) as info:
        main(arguments)
    return info.value.code


# -- arguments


def test_help_tells_a_newcomer_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("--help") == 0
    text = capsys.readouterr().out
    for word in ("primus-gevent demo --port 9000", "--transformer", "--parser", "http://127.0.0.1:8080/"):
        assert word in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("--version") == 0
    assert capsys.readouterr().out == f"primus-gevent {primus_gevent.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--transformer", "carrier-pigeon"], "unknown transformer 'carrier-pigeon'; known are: "),
        (["demo", "--parser", "morse"], "unknown parser 'morse'; known are: "),
        (["--port", "70000"], "a port is a number from 0 to 65535, not '70000'"),
        (["--port", "http"], "a port is a number from 0 to 65535, not 'http'"),
        (["--port=-1"], "a port is a number from 0 to 65535, not '-1'"),
        (["dome"], "invalid choice: 'dome'"),
    ],
)
def test_wrong_arguments(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(*arguments) == 2
    assert complaint in capsys.readouterr().err


# gevent does not close a socket that it could not bind; the program ends, and so does the socket.
unbound = pytest.mark.filterwarnings("ignore:.*<socket object:pytest.PytestUnraisableExceptionWarning")


@unbound
def test_a_taken_port_is_explained_and_the_advice_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    complaint = capsys.readouterr().err
    found = re.fullmatch(
        rf"primus-gevent: port {port} is taken by another program; try --port (\d+)\n", complaint
    )
    assert found, complaint
    socket.create_server(("127.0.0.1", int(found[1]))).close()


@unbound
@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", host, "--port", "0"]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"primus-gevent: cannot listen on {host}, port 0: ")
    assert complaint.count(host) == 1, "gevent's own mention of the address is left out"


@pytest.mark.parametrize(
    ("listening", "url"),
    [
        (("127.0.0.1", 8080), "http://127.0.0.1:8080/"),
        (("0.0.0.0", 80), "http://127.0.0.1:80/"),
        (("::", 8080), "http://127.0.0.1:8080/"),
        (("::1", 8080), "http://[::1]:8080/"),
    ],
)
def test_the_printed_address_is_one_to_open(listening: tuple[str, int], url: str) -> None:
    class Listening:
        address = listening

    assert address(Listening()) == url  # type: ignore[arg-type]


# -- the page


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/chat.js", "text/javascript; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ],
)
def test_files(path: str, content_type: str) -> None:
    page = PageClient(demo.page)
    answer = page.get(path)
    assert answer.status_code == 200
    # `image/svg+xml` has a charset or not, depending on werkzeug
    assert answer.headers["Content-Type"].startswith(content_type)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert len(answer.data) == int(answer.headers["Content-Length"]) > 100
    assert page.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert page.head(path).data == b""
    assert page.post(path).status_code == 405


@pytest.mark.parametrize("path", ["/nothing", "/../__init__.py", "/static/chat.js", "//etc/passwd"])
def test_other_paths(path: str) -> None:
    assert PageClient(demo.page).get(path).status_code == 404


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = STATIC["index.html"].read_text("utf-8")
    loaded = set(re.findall(r'(?:src|href)="([^"]*)"', html))
    assert loaded == (set(demo.FILES) - {"/"}) | {"/primus/primus.js"}
    for name in ("style.css", "chat.js"):
        assert not re.search(r"https?:|//\w|@import|url\(", STATIC[name].read_text("utf-8")), name


def test_nobodys_words_become_html() -> None:
    script = STATIC["chat.js"].read_text("utf-8")
    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script)


def test_the_fields_have_the_limits_of_the_server() -> None:
    html = STATIC["index.html"].read_text("utf-8")
    assert f'id="name" maxlength="{demo.NAME_CHARACTERS}"' in html
    assert f'id="text" maxlength="{demo.TEXT_CHARACTERS}"' in html


def test_every_element_that_the_script_asks_for_exists() -> None:
    html = STATIC["index.html"].read_text("utf-8")
    asked = set(re.findall(r"\$\('([a-z]+)'\)", STATIC["chat.js"].read_text("utf-8")))
    assert len(asked) > 10
    assert asked - set(re.findall(r'id="(\w+)"', html)) == set()


@pytest.mark.parametrize(
    ("name", "tidy"),
    [
        ("Ana", "Ana"),
        ("  Ana \n  Maria ", "Ana Maria"),
        ("a\u202eb\x00c", "a b c"),
        ("x" * 100, "x" * demo.NAME_CHARACTERS),
        ("\u200b \t", ""),
        ("", ""),
        (["a", "b"], ""),
        (None, ""),
    ],
)
def test_names_are_tidied(name: object, tidy: str) -> None:
    assert demo.tidy_name(name) == tidy


# -- the chat, over real connections


@pytest.fixture
def chat() -> Iterator[Demo]:
    """A demo that says nothing on stderr, whatever it is sent."""
    with running_demo() as running:
        yield running
        assert running.stop() == (0, "", "")


def join(chat: Demo, name: str | None) -> tuple[Client, dict[str, Any], dict[str, Any]]:
    """A connection, its welcome, and the notice that it has joined."""
    client = Client(chat.address).upgrade("/primus" if name is None else f"/primus?name={quote(name)}")
    return client, client.recv_message(), client.recv_message()


def test_the_server_has_the_page_and_the_client(chat: Demo) -> None:
    with Client(chat.address) as client:
        for path, content_type in [
            ("/", "text/html"),
            ("/style.css", "text/css"),
            ("/chat.js", "text/javascript"),
            ("/primus/primus.js", "text/javascript"),
            ("/primus/spec", "application/json"),
        ]:
            answer = client.request(path)
            assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, content_type)
        assert (answer.json()["transformer"], answer.json()["parser"]) == ("websockets", "json")
        assert client.request("/nothing").status == 404


def test_a_conversation(chat: Demo) -> None:
    ana, welcome, joined = join(chat, "Ana")
    assert welcome == {"type": "welcome", "history": []}
    assert joined == {"type": "joined", "name": "Ana", "online": 1}
    ben, _, joined = join(chat, "Ben")
    with ana, ben:
        assert joined == ana.recv_message() == {"type": "joined", "name": "Ben", "online": 2}

        ana.send_message({"type": "say", "text": " <b>hi</b> ", "tag": "1-2-3"})
        said = ben.recv_message()
        assert said == ana.recv_message()
        assert {**said, "id": "", "time": 0} == {
            "type": "said",
            "id": "",
            "name": "Ana",
            "text": "<b>hi</b>",
            "time": 0,
            "tag": "1-2-3",
        }

        ben.send_message({"type": "name", "name": "Benedict"})
        renamed = {"type": "renamed", "before": "Ben", "name": "Benedict", "online": 2}
        assert ana.recv_message() == ben.recv_message() == renamed

        ben.close_properly()
        assert ana.recv_message() == {"type": "left", "name": "Benedict", "online": 1}
        late, welcome, _ = join(chat, "Late")
        with late:
            late.close_properly()
        assert welcome["history"] == [said]


@pytest.mark.parametrize(("name", "shown"), [(None, "Guest"), ("\u200b", "Guest"), ("Zoë 🦊", "Zoë 🦊")])
def test_names_from_the_url(chat: Demo, name: str | None, shown: str) -> None:
    client, _, joined = join(chat, name)
    with client:
        assert joined["name"] == shown


def test_a_killed_connection_is_cut_without_a_goodbye(chat: Demo) -> None:
    ana, _, _ = join(chat, "Ana")
    ben, _, _ = join(chat, "Ben")
    with ana, ben:
        ana.recv_message()
        ben.send_message({"type": "kill"})
        ben.expect_eof()  # and no Close frame before it
        assert ana.recv_message() == {"type": "left", "name": "Ben", "online": 1}
        # What a client does next: it comes back, and sends what was written in between.
        again, _, joined = join(chat, "Ben")
        with again:
            assert joined == ana.recv_message() == {"type": "joined", "name": "Ben", "online": 2}
            again.send_message({"type": "say", "text": "written meanwhile"})
            assert ana.recv_message()["text"] == "written meanwhile"


BAD_MESSAGES = [
    None,
    True,
    0,
    "hello",
    [],
    {},
    {"type": None},
    {"type": ["say"]},
    {"type": "shout", "text": "HELLO"},
    {"type": "say"},
    {"type": "say", "text": None},
    {"type": "say", "text": 1},
    {"type": "say", "text": ""},
    {"type": "say", "text": " \n "},
    {"type": "say", "text": "x" * (demo.TEXT_CHARACTERS + 1)},
    {"type": "name"},
    {"type": "name", "name": ["Ana"]},
    {"type": "name", "name": " "},
]


def test_bad_messages_get_a_notice_and_nobody_else_sees_them(chat: Demo) -> None:
    ana, _, _ = join(chat, "Ana")
    ben, _, _ = join(chat, "Ben")
    with ana, ben:
        ana.recv_message()
        for message in BAD_MESSAGES:
            ben.send_message(message)
            notice = ben.recv_message()
            assert notice["type"] == "notice", message
            assert notice["text"], message
        # the first that all can see is the first that was good
        ben.send_message({"type": "say", "text": "y" * demo.TEXT_CHARACTERS, "tag": {"not": "a text"}})
        said = ana.recv_message()
        assert (said["text"], said["tag"]) == ("y" * demo.TEXT_CHARACTERS, None)
        ben.recv_message()
        ben.send_message({"type": "say", "text": "z", "tag": "t" * 33})
        assert ana.recv_message()["tag"] is None


def test_a_message_that_is_far_too_long_ends_the_connection(chat: Demo) -> None:
    ana, _, _ = join(chat, "Ana")
    with ana:
        ana.send(frame(TEXT, b'"' + b"x" * demo.MAX_MESSAGE_BYTES + b'"'))
        ana.expect_close(1009)
        ana.send(close(1009))
        ana.expect_eof()


def test_a_newcomer_sees_the_last_messages(chat: Demo) -> None:
    ana, _, _ = join(chat, "Ana")
    with ana:
        for number in range(demo.HISTORY + 5):
            ana.send_message({"type": "say", "text": str(number)})
            ana.recv_message()
        ben, welcome, _ = join(chat, "Ben")
        with ben:
            ben.close_properly()
    assert [said["text"] for said in welcome["history"]] == [
        str(number) for number in range(5, demo.HISTORY + 5)
    ]


# -- the end


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=lambda signum: signum.name)
def test_a_signal_stops_it_quietly(signum: signal.Signals) -> None:
    with running_demo() as running:
        client, _, _ = join(running, "Ana")
        with client:
            running.process.send_signal(signum)
            client.expect_close(1012)  # come back: perhaps it is only restarted
            client.send(close(1012))
            client.expect_eof()
        assert running.wait() == (0, "", "")


def test_a_second_ctrl_c_does_not_wait_for_goodbyes() -> None:
    with running_demo() as running:
        client, _, _ = join(running, "Ana")
        with client:
            running.process.send_signal(signal.SIGINT)
            client.expect_close(1012)  # never answered
            assert running.stop(signal.SIGINT) == (130, "", "")


def test_a_signal_at_once_stops_it_quietly() -> None:
    """Whoever waits for the address may stop it as soon as he has it."""
    with running_demo("--host", "127.0.0.1", "--transformer", "WebSockets") as running:
        assert running.stop(signal.SIGINT) == (0, "", "")
