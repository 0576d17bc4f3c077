"""``load`` against servers in this process: what it counts, and what it says when things go wrong."""

from __future__ import annotations

import json
import resource
import signal
import socket
from typing import Any

import gevent
import pytest

from primus_gevent.cli import load as module
from primus_gevent.cli.errors import Failure
from tests.unit.cli.running import Runner, serving

FEW = ("--clients", "5", "--messages", "60")


def test_figures_for_machines(run: Runner) -> None:
    received: list[str] = []

    def service(spark: Any) -> None:
        for message in spark:
            received.append(message)
            spark.write(message)

    with serving(service) as (primus, url):
        result = run("load", url, *FEW, "--size", "40", "--in-flight", "3", "--json")
        assert primus.connected == 0, "they have said goodbye"
    assert result.status == 0
    figures = json.loads(result.out)
    assert len(received) == len(set(received)) == 60
    assert {len(message) for message in received} == {40}
    assert {name: figures[name] for name in ("clients", "connected", "messages", "size", "in_flight")} == {
        "clients": 5,
        "connected": 5,
        "messages": 60,
        "size": 40,
        "in_flight": 3,
    }
    assert figures["errors"] == {}
    assert sum(count for _, count in figures["histogram_ms"]) == 60
    latency = figures["latency_ms"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
    assert figures["per_second"] == pytest.approx(60 / figures["seconds"], rel=0.01)


def test_a_report_for_people(run: Runner) -> None:
    with serving() as (_, url):
        result = run("load", url, *FEW)
    assert result.status == 0
    lines = result.out.splitlines()
    assert lines[0].startswith("connected  5 of 5 in ")
    assert lines[1].startswith("           p50 ")
    assert lines[2].startswith("answered   60 messages in ")
    assert lines[3].startswith("latency    p50 ")
    assert all(line.startswith("  <= ") for line in lines[4:])
    assert len(lines) > 4
    assert result.err.startswith(f"5 clients to http://{url}/primus (websockets, json), 1 in flight each\n")


def test_so_many_are_in_flight_and_no_more(run: Runner) -> None:
    most = 0

    def service(spark: Any) -> None:
        nonlocal most
        waiting = []
        for message in spark:
            waiting.append(message)
            most = max(most, len(waiting))
            if len(waiting) == 4:
                for one in waiting:
                    spark.write(one)
                waiting.clear()

    with serving(service) as (_, url):
        result = run("load", url, "--clients", "2", "--messages", "80", "--in-flight", "4")
    assert result.status == 0
    assert most == 4


def test_for_some_time(run: Runner) -> None:
    with serving() as (_, url):
        result = run("load", url, "--clients", "2", "--duration", "0.2", "--json")
    figures = json.loads(result.out)
    assert (result.status, figures["errors"]) == (0, {})
    assert figures["messages"] > 2


def test_progress_in_lines_where_there_is_no_terminal(run: Runner) -> None:
    with serving() as (_, url):
        result = run("load", url, "--clients", "2", "--duration", "0.5")
    told = [line.split("%")[0].strip() for line in result.err.splitlines()[1:]]
    assert told == sorted(told, key=int)
    assert len(told) >= 2


def test_a_server_that_answers_otherwise(run: Runner) -> None:
    received = []

    def service(spark: Any) -> None:
        for message in spark:
            received.append(message)
            spark.write({"seen": message})

    with serving(service) as (_, url):
        result = run("load", url, *FEW, "--message", '{"a": 1}', "--json")
        assert (result.status, received) == (0, [{"a": 1}] * 60)
        received.clear()
        assert run("load", url, *FEW, "--message", "{a").status == 0
        assert received == ["{a"] * 60
        result = run("load", url, "--clients", "2", "--answer-timeout", "0.05")
    assert result.status == 1
    assert "failed     2: no answer within 50 ms" in result.out
    assert "other      2 messages that answered nothing" in result.out
    assert "Does this server send back what it gets? If it answers otherwise: --message" in result.out


def test_broadcasts_keep_nobody_alive_who_gets_no_answer(run: Runner) -> None:
    def service(spark: Any) -> None:
        while spark.writable:
            spark.write("news")
            gevent.sleep(0.01)

    with serving(service) as (_, url):
        result = run("load", url, "--clients", "1", "--answer-timeout", "0.1")
    assert result.status == 1
    assert "failed     1: no answer within 100 ms" in result.out


def test_connections_that_are_lost_are_counted(run: Runner) -> None:
    def service(spark: Any) -> None:
        for number, message in enumerate(spark):
            if number == 3:
                spark.abort()
            spark.write(message)

    with serving(service) as (_, url):
        result = run("load", url, "--clients", "4", "--in-flight", "2", "--json")
    figures = json.loads(result.out)
    assert result.status == 1
    ((what, often),) = figures["errors"].items()
    assert what.startswith("connection lost: ")
    assert often == 4 * 2
    assert figures["connected"] == 4


def test_connections_that_are_refused_are_counted(run: Runner) -> None:
    with serving(max_connections=3) as (_, url):
        result = run("load", url, "--clients", "5", "--messages", "50")
    assert result.status == 1
    assert result.out.startswith("connected  3 of 5 in ")
    assert "failed     2: not connected: " in result.out
    assert "answered 503" in result.out
    assert "answered   50 messages" in result.out


@pytest.mark.parametrize("service", [None, lambda spark: spark.read()], ids=["sending", "waiting"])
def test_an_interrupt_ends_it_with_what_there_is(service: Any, run: Runner) -> None:
    with serving(service) as (primus, url):

        def interrupt() -> None:
            while primus.connected < 3:
                gevent.sleep(0.01)
            signal.raise_signal(signal.SIGINT)

        greenlet = gevent.spawn_later(0.1, interrupt)
        result = run("load", url, "--clients", "3", "--duration", "60")
        greenlet.get()
        assert primus.connected == 0
    assert result.status == 130
    assert result.out.startswith("connected  3 of 3 in ")
    assert "failed" not in result.out


def test_an_interrupt_while_it_connects(run: Runner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gevent.spawn_later(0.1, signal.raise_signal, signal.SIGTERM)
        words = ["--transformer", "websockets", "--parser", "json", "--timeout", "60"]
        result = run("load", f"127.0.0.1:{silent.getsockname()[1]}", "--clients", "60", *words)
    assert result.status == 128 + signal.SIGTERM
    assert result.out.startswith("connected  0 of 60 in ")


def test_room_for_files_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 400))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: made.append(limits))
    module.make_room(10)
    assert made == []
    module.make_room(100)
    assert made == [(264, 400)]
    module.make_room(300)
    assert made[1:] == [(400, 400)]
    with pytest.raises(Failure, match="400 files open, which is enough for 336 clients; raise that with"):
        module.make_room(400)
