"""``connect`` in a pipe, beside servers in this process: what is sent and printed, and when it leaves.

Terminals, killed servers and the original ones are in ``tests/contract/test_cli.py``.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import gevent
import pytest
from gevent.event import Event

from primus_gevent import ConnectionClosed
from primus_gevent.cli.connect import Conversation
from tests.unit.cli.running import Runner, serving
from tests.unit.hub import LIMIT, eventually

QUICK = ("--wait", "0.1")


def collect(received: list[Any]) -> Any:
    """A service that echoes, and keeps what it gets."""

    def service(spark: Any) -> None:
        for message in spark:
            received.append(message)
            spark.write(message)

    return service


def test_lines_in_and_messages_out(run: Runner) -> None:
    received: list[Any] = []
    with serving(collect(received)) as (_, url):
        result = run("connect", url, "--count", "3", stdin='one\n\n{"a": 1}\r\nlast')
    assert (result.status, result.out) == (0, 'one\n{"a": 1}\nlast\n')
    assert received == ["one", '{"a": 1}', "last"], "texts all of them, and none for the empty line"
    first, second = result.err.splitlines()
    assert first == f"* connecting to http://{url}/primus (websockets, json)"
    assert second.startswith("* open, latency ")


def test_json(run: Runner) -> None:
    received: list[Any] = []
    lines = ['{"a": [1, null]}', '"text"', "no json", "12", "NaN", "[" * 100_000]
    with serving(collect(received)) as (_, url):
        result = run("connect", url, "--json", "--count", "4", stdin="\n".join(lines[:4]))
    assert (result.status, result.out) == (0, '{"a": [1, null]}\n"text"\n"no json"\n12\n')
    assert received == [{"a": [1, None]}, "text", "no json", 12]


def test_messages_that_are_no_texts(run: Runner) -> None:
    def service(spark: Any) -> None:
        for message in (b"\x00\x01", {"a": "é"}, "two\nlines", None, "\x1b[1m"):
            spark.write(message)
        spark.read()

    with serving(service, parser="msgpack") as (_, url):
        result = run("connect", url, *QUICK)
        assert result.out == '{"base64": "AAE="}\n{"a": "é"}\ntwo\nlines\nnull\n\x1b[1m\n', (
            "a pipe gets them as they are"
        )
        result = run("connect", url, "--json", *QUICK)
        assert result.out.splitlines() == [
            '{"base64": "AAE="}',
            '{"a": "é"}',
            '"two\\nlines"',
            "null",
            '"\\u001b[1m"',
        ]


def test_it_waits_for_silence(run: Runner) -> None:
    def service(spark: Any) -> None:
        spark.read()
        for number in range(5):
            gevent.sleep(0.06)
            spark.write(number)
        spark.read()

    with serving(service) as (_, url):
        result = run("connect", url, "--wait", "0.2", "-q", stdin="go")
    assert (result.status, result.out, result.err) == (0, "0\n1\n2\n3\n4\n", "")


def test_too_few_answers(run: Runner) -> None:
    with serving() as (_, url):
        result = run("connect", url, "--count", "2", "-q", *QUICK, stdin="one\n")
    assert (result.status, result.out) == (1, "one\n")
    assert result.err == "! only 1 message of 2 came\n"


def test_no_input_is_no_reason_to_leave_before_the_messages(run: Runner) -> None:
    with serving(lambda spark: [spark.write("hello"), spark.read()]) as (_, url):
        result = run("connect", url, "--count", "1", "--wait", "inf")
    assert (result.status, result.out) == (0, "hello\n")


def test_all_lines_are_sent_before_the_count_matters(run: Runner) -> None:
    received: list[Any] = []

    def service(spark: Any) -> None:
        spark.write("welcome")
        received.extend(spark)

    lines = [str(number) for number in range(2000)]
    with serving(service) as (_, url):
        result = run("connect", url, "--count", "1", stdin="\n".join(lines))
        eventually(lambda: len(received) == len(lines))
    assert (result.status, result.out) == (0, "welcome\n")
    assert received == lines


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        ((), 0, None),
        (("--count", "2"), 1, "! only 1 message of 2 came"),
    ],
)
def test_the_server_says_goodbye(
    words: tuple[str, ...], status: int, complaint: str | None, run: Runner
) -> None:
    def service(spark: Any) -> None:
        spark.read()
        spark.end("bye")

    with serving(service) as (_, url):
        result = run("connect", url, "--wait", "20", *words, stdin="hello\n")
    assert (result.status, result.out) == (status, "bye\n")
    assert "* closed by the server" in result.err
    assert (complaint is None) or result.err.splitlines()[-1] == complaint


def test_a_goodbye_before_all_was_sent(run: Runner) -> None:
    read, write = os.pipe()
    with serving(lambda spark: spark.end()) as (_, url), os.fdopen(write, "w"):  # which stays open
        result = run("connect", url, stdin=os.fdopen(read))
    assert result.status == 1
    assert "! the server has ended the connection before all lines were sent" in result.err


def test_a_refusal_is_final_and_explained(run: Runner) -> None:
    with serving() as (primus, url):

        @primus.authorize
        def authorize(request: Any) -> bool:
            return bool(request.headers.get("Authorization") == "Bearer yes")

        result = run("connect", url, stdin="hello\n")
        assert (result.status, result.out) == (1, "")
        told = result.err.splitlines()[1:]
        assert told[0].startswith(f"! ws://{url} answered 401")
        assert told[1:] == ["* the server has refused us; -H and --cookie can say who you are"]
        result = run("connect", url, "-H", "Authorization: Bearer yes", "--count", "1", stdin="hello\n")
        assert (result.status, result.out) == (0, "hello\n")


def test_without_retries_a_lost_connection_is_the_end(run: Runner) -> None:
    def service(spark: Any) -> None:
        spark.read()
        spark.abort()

    with serving(service) as (_, url):
        result = run("connect", url, "--retries", "0", "--wait", "20", stdin="hello\n")
    assert result.status == 1
    assert "reconnecting" not in result.err
    assert result.err.splitlines()[-1].startswith("! ")


def test_a_lost_connection_comes_back(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def service(spark: Any) -> None:
        for message in spark:
            spark.write(message)
            if message == "cut":
                spark.abort()

    read, write = os.pipe()

    noticed = Event()

    class Watched(Conversation):
        def run(self) -> int:
            self.client.on("close", noticed.set)
            return super().run()

    monkeypatch.setattr("primus_gevent.cli.connect.Conversation", Watched)

    def write_later() -> None:
        with os.fdopen(write, "wb", buffering=0) as lines:
            lines.write(b"before\ncut\n")
            assert noticed.wait(LIMIT)
            lines.write(b"behind\n")  # waits for the connection

    with serving(service) as (_, url):
        writing = gevent.spawn(write_later)
        result = run("connect", url, "--wait", "1", stdin=os.fdopen(read))
        writing.get()
    assert result.status == 0
    assert "behind" in result.out.splitlines()
    told = [line.partition(" latency")[0] for line in result.err.splitlines()]
    assert "* reconnecting in 500 ms (attempt 1 of 10)" in told
    assert "* open again," in told


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_end_it_politely(signum: int, status: int, run: Runner) -> None:
    goodbyes = []

    def service(spark: Any) -> None:
        with pytest.raises(ConnectionClosed) as caught:
            spark.read()
        goodbyes.append(caught.value.clean)

    with serving(service) as (primus, url):

        def interrupt() -> None:
            eventually(lambda: primus.connected)
            signal.raise_signal(signum)

        greenlet = gevent.spawn(interrupt)
        before = signal.getsignal(signum)
        result = run("connect", url, "--wait", "inf")
        greenlet.get()
        assert signal.getsignal(signum) is before
        eventually(lambda: goodbyes)
    assert goodbyes == [True]
    assert (result.status, result.out) == (status, "")


def test_input_that_is_no_text(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (_, url):
        monkeypatch.setattr("primus_gevent.cli.streams.MAX_LINE_BYTES", 10)
        result = run("connect", url, stdin="x" * 60_000)
    assert result.status == 1
    assert result.err.splitlines()[-1] == "primus-gevent: line 1 of the input is longer than 10 bytes"
