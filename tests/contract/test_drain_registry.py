"""The registry of drains and its signal handlers, in processes of their own."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[2]

PREAMBLE = """
import os, signal, sys, gc, logging
import gevent
from gevent.event import Event
from primus_gevent.hosts import drain
logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)
def say(*words): print(*words, flush=True)
def send(signum): os.kill(os.getpid(), signum)
class Thing:
    def __init__(self, name, seconds=0.0):
        self.name, self.seconds, self.begun, self.ended = name, seconds, Event(), Event()
    def drain(self, timeout):
        say("begin", self.name)
        self.begun.set()
        gevent.sleep(self.seconds)  # how long this drain takes
        say("end", self.name)
        self.ended.set()
"""


def run(program: str) -> tuple[int, list[str]]:
    """Run a program; its exit status and the lines that it has printed."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout.splitlines()


def test_drains_run_beside_one_another() -> None:
    status, lines = run("""
        a, b = Thing("a", 0.2), Thing("b", 0.1)
        drain.register(a.drain); drain.register(b.drain); drain.register(a.drain)
        say(drain.start(5).wait(5))
    """)
    assert (status, lines) == (0, ["begin a", "begin b", "end b", "end a", "True"])


def test_registering_keeps_nobody_alive() -> None:
    status, lines = run("""
        a, b, c = Thing("a"), Thing("b"), Thing("c")
        drain.register(a.drain); drain.register(b.drain); drain.register(c.drain)
        drain.register(lambda timeout: say("function", timeout))
        del a; gc.collect()
        drain.unregister(b.drain); drain.unregister(print)
        drain.start(5).wait(5)
    """)
    assert (status, lines) == (0, ["begin c", "function 5", "end c"])


def test_a_drain_that_fails_or_hangs_harms_no_other() -> None:
    status, lines = run("""
        def fail(timeout): raise RuntimeError("no")
        a, b = Thing("a", 60), Thing("b", 0.1)
        drain.register(fail); drain.register(a.drain); drain.register(b.drain)
        say(drain.start(0.5).wait(5))
    """)
    assert status == 0
    assert [line for line in lines if line.startswith(("begin", "end", "True"))] == [
        "begin a",
        "begin b",
        "end b",
        "True",
    ]
    assert any(line.startswith("ERROR primus_gevent: drain failed") for line in lines)
    assert lines.count("RuntimeError: no") == 1


def test_asking_again_while_it_runs() -> None:
    status, lines = run("""
        a = Thing("a", 0.2)
        drain.register(a.drain)
        first = drain.start(5)
        say(drain.start(5) is first)
        first.wait()
        drain.start(5).wait()
    """)
    assert (status, lines) == (0, ["True", "begin a", "end a", "begin a", "end a"])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_signal_drains_between_before_and_after(name: str) -> None:
    status, lines = run(f"""
        from gevent.event import Event
        a, done = Thing("a", 0.1), Event()
        drain.register(a.drain)
        def after(): say("after"); done.set()
        drain.install_signals(lambda: say("before"), after)
        send(signal.{name}); send(signal.{name}) if "{name}" != "SIGINT" else None
        done.wait(5)
    """)
    assert (status, lines) == (0, ["before", "begin a", "end a", "after"])


def test_signal_that_would_have_ended_the_process_still_does() -> None:
    status, lines = run("""
        a = Thing("a", 0.1)
        drain.register(a.drain)
        drain.install_signals()
        send(signal.SIGTERM)
        Event().wait(10)  # the signal ends this process
        say("alive")
    """)
    assert (status, lines) == (-signal.SIGTERM, ["begin a", "end a"])


def test_ctrl_c_twice_is_a_keyboard_interrupt() -> None:
    status, lines = run("""
        a = Thing("a", 60)
        drain.register(a.drain)
        drain.install_signals(timeout=60)
        send(signal.SIGINT)
        a.begun.wait(5)
        try:
            send(signal.SIGINT)
            Event().wait(10)
        except KeyboardInterrupt:
            say("interrupted")
    """)
    assert (status, lines) == (0, ["begin a", "interrupted"])


def test_earlier_handler_still_runs_and_comes_back() -> None:
    status, lines = run("""
        signal.signal(signal.SIGTERM, lambda *_: say("earlier"))
        a, done = Thing("a"), Event()
        drain.register(a.drain)
        first = drain.install_signals()
        second = drain.install_signals(lambda: say("second"), done.set)
        send(signal.SIGTERM)
        done.wait(5) and a.ended.wait(5)
        first(); first(); second()
        send(signal.SIGTERM)
        gevent.sleep(0)
    """)
    assert status == 0
    assert lines[0] == lines[-1] == "earlier"
    assert sorted(lines) == ["begin a", "earlier", "earlier", "end a", "second"]


def test_ignored_signal_stays_ignored() -> None:
    status, lines = run("""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        drain.install_signals()
        send(signal.SIGHUP)
        gevent.sleep(0)
        say(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
    """)
    assert (status, lines) == (0, ["True"])


def test_child_process_drains_for_itself() -> None:
    """A fork inherits the registry, and not a drain that runs in its parent."""
    status, lines = run("""
        a = Thing("a", 0.2)
        drain.register(a.drain)
        drain.start(5)
        a.begun.wait(5)
        pid = os.fork()
        if pid == 0:
            gevent.reinit()
            ok = drain.start(5).wait(3)
            os._exit(0 if ok else 1)
        say("child", os.waitpid(pid, 0)[1])
    """)
    assert status == 0, lines
    assert lines[-1] == "child 0"
    assert lines.count("begin a") == 2
