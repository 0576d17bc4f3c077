"""Runs servers and the load generator side by side, and compares what they measured.

Every benchmark asks one question of several servers.  A round measures each server once, in a fresh process;
the rounds alternate between the servers, so that a machine that gets slower meanwhile slows all of them.
The server runs on one core and the load on another.  Only ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
RESULTS = HERE / "results"
START_SECONDS = 20.0  # for a server to print its port, or to answer a request to collect its garbage
REFERENCE = "original"  # every ratio is to this server


@dataclass(frozen=True)
class Server:
    """One server under measurement; ``command`` is what follows the interpreter."""

    key: str
    label: str
    command: tuple[str, ...]


def _python(key: str, label: str, script: str, *arguments: str) -> Server:
    return Server(key, label, (sys.executable, str(HERE / "servers" / script), *arguments))


def _original(label: str, generation: str, transformer: str) -> Server:
    script = str(HERE / "servers" / "original.js")
    return Server(REFERENCE, label, ("node", "--expose-gc", script, generation, transformer))


BLOCKING, EVENTS = "primus_gevent, blocking style", "primus_gevent, data listener"

OURS_BLOCKING = _python("ours", BLOCKING, "ours_echo.py", "websockets")
OURS_EVENTS = _python("ours_events", EVENTS, "ours_events.py", "websockets")
ORIGINAL = _original("the original (primus 8.0.9 + ws)", "8", "websockets")
RAW = _python("raw", "raw gevent-websocket", "gevent_websocket_raw.py")

ENGINEIO_BLOCKING = _python("ours", BLOCKING, "ours_echo.py", "engine.io")
ENGINEIO_EVENTS = _python("ours_events", EVENTS, "ours_events.py", "engine.io")
SOCKJS_BLOCKING = _python("ours", BLOCKING, "ours_echo.py", "sockjs")
SOCKJS_EVENTS = _python("ours_events", EVENTS, "ours_events.py", "sockjs")
SOCKJS_ORIGINAL = _original("primus 8.0.9 + sockjs 0.3.24", "8", "sockjs")
SOCKETIO_BLOCKING = _python("ours", BLOCKING, "ours_echo.py", "socket.io")
SOCKETIO_EVENTS = _python("ours_events", EVENTS, "ours_events.py", "socket.io")
SOCKETIO_ORIGINAL = _original("primus 2.4.12 + socket.io 0.9.19", "2", "socket.io")
ENGINEIO_ORIGINAL = _original("primus 8.0.9 + engine.io 6.6.4", "8", "engine.io")
ENGINEIO_ORIGINAL_2 = _original("primus 2.4.12 + engine.io 1.8.5", "2", "engine.io")

Sample = dict[str, float]


class BenchmarkError(Exception):
    """A server or the load generator failed; the message holds what it said."""


class Cores:
    """Which core serves and which one loads, out of those that this process may use."""

    def __init__(self) -> None:
        allowed = sorted(os.sched_getaffinity(0))
        self.server = allowed[0]
        self.load = allowed[-1]
        if self.server == self.load:
            print(
                "warning: only one core; server and load share it, and the figures say little",
                file=sys.stderr,
            )


def _pinned(core: int) -> tuple[str, ...]:
    return ("taskset", "--cpu-list", str(core))


class Running:
    """A server process that has printed its port."""

    def __init__(self, server: Server, process: subprocess.Popen[str], port: int) -> None:
        self.server = server
        self.process = process
        self.port = port

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def collect_garbage(self) -> None:
        """Have the process collect its garbage, and wait until it has."""
        self.process.send_signal(signal.SIGUSR2)
        _expect(self.process, "collected")


def _expect(process: subprocess.Popen[str], word: str) -> str:
    """Read the server's stdout up to the line that starts with `word`, and return the rest of that line."""
    assert process.stdout is not None
    timer = _kill_later(process)
    try:
        for line in process.stdout:
            first, _, rest = line.strip().partition(" ")
            if first == word:
                return rest
    finally:
        timer()
    raise BenchmarkError(
        f"the server ended or said nothing for {START_SECONDS:.0f} s, where it should say {word!r}"
    )


def _kill_later(process: subprocess.Popen[str]) -> Callable[[], None]:
    """Kill a process that says nothing, so that reading from it ends; returns what calls that off."""

    def kill(signum: int, frame: object) -> None:
        process.kill()

    before = signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, START_SECONDS)

    def call_off() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    return call_off


@contextmanager
def serving(server: Server, mode: str, cores: Cores) -> Iterator[Running]:
    """Start a server on its core and a free port; it is ended on the way out."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [*_pinned(cores.server), *server.command, mode],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            try:
                yield Running(server, process, int(_expect(process, "port")))
            except BenchmarkError as error:
                errors.seek(0)
                raise BenchmarkError(f"{server.label}: {error}\n{errors.read()[-4000:]}") from error
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


class Load:
    """The load generators, each compiled when its source is newer than the program."""

    def __init__(self, cores: Cores) -> None:
        self.cores = cores

    def _program(self, name: str) -> Path:
        program = BUILD / name
        source = HERE / f"{name}.c"
        newest = max(path.stat().st_mtime for path in (source, HERE / "load.h"))
        if not program.exists() or program.stat().st_mtime < newest:
            compiler = os.environ.get("CC") or shutil.which("cc")
            if compiler is None:
                raise BenchmarkError(
                    "the load generator needs a C compiler (Debian, Ubuntu: apt-get install gcc libc6-dev)"
                )
            BUILD.mkdir(exist_ok=True)
            subprocess.run(
                [compiler, "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", str(program), str(source)],
                check=True,
            )
        return program

    def _command(
        self, running: Running, program: str, mode: str, options: dict[str, bool | float | str]
    ) -> list[str]:
        flags = [
            f"-{name}" if value is True else f"-{name}{value}"
            for name, value in options.items()
            if value is not False
        ]
        return [
            *_pinned(self.cores.load),
            str(self._program(program)),
            f"-p{running.port}",
            f"-P{running.process.pid}",
            *flags,
            mode,
        ]

    def run(
        self, running: Running, mode: str, *, program: str = "wsload", **options: bool | float | str
    ) -> Sample:
        """Run one load to its end; the options are the program's letters.

        Adds to every rate the same for each second of the server's processor time: on a machine that others
        use too, it varies less than the rate itself. ``server_us`` is that time for one of what is counted,
        in microseconds.
        """
        done = subprocess.run(
            self._command(running, program, mode, options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchmarkError(f"{running.server.label}, {mode} {options}: {done.stderr.strip()}")
        sample: Sample = json.loads(done.stdout)
        for rate in ("connects_per_s", "frames_per_s", "cycles_per_s"):
            if sample.get(rate) and sample["server_cpu"]:
                per_cpu_s = sample[rate] / sample["server_cpu"]
                sample[rate.replace("_per_s", "_per_cpu_s")] = per_cpu_s
                sample["server_us"] = 1e6 / per_cpu_s
        return sample

    @contextmanager
    def holding(
        self, running: Running, conns: int, mode: str = "idle", *, program: str = "wsload"
    ) -> Iterator[Sample]:
        """Keep `conns` idle connections open for the body; an error if the server closed one of them."""
        process = subprocess.Popen(
            self._command(running, program, mode, {"c": conns}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise BenchmarkError(f"{running.server.label}: {conns} connections could not be opened")
            yield json.loads(line)
            process.stdin.close()
            lost = json.loads(process.stdout.readline())["lost"]
            if lost:
                raise BenchmarkError(f"{running.server.label} closed {lost} of {conns} idle connections")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


# What a question is asked with: measures one case on one running server and returns the sample.
Measure = Callable[[Running, Load], Sample]


@dataclass(frozen=True)
class Case:
    """One row of a benchmark's table: what is measured, on which servers, and which figure counts."""

    name: str
    mode: str
    metric: str
    unit: str
    servers: tuple[Server, ...]
    measure: Measure
    shown: tuple[str, ...] = ()  # further figures of the sample that the table shows
    cpu_metric: str | None = None  # the same figure for each second of the server's processor time
    smaller_is_better: bool = False


def _locked(packages: dict[str, Any], folder: str, name: str) -> str:
    """The version of an npm package; one that only one generation needs is at the top."""
    found = packages.get(f"{folder}node_modules/{name}") or packages[f"node_modules/{name}"]
    text: str = found["version"]
    return text


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load_average": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {
            "python": platform.python_version(),
            **{
                name: version(name)
                for name in ("gevent", "greenlet", "simplejson", "gevent-websocket", "websockets")
            },
            "node": node.removeprefix("v"),
            **{
                f"{folder}{name}": _locked(locked, folder, name)
                for folder, names in (
                    ("", ("primus", "ws", "engine.io", "sockjs")),
                    ("primus2/", ("primus", "engine.io", "socket.io")),
                )
                for name in names
            },
        },
    }


def _median(samples: Sequence[Sample]) -> Sample:
    """The median of each figure by itself."""
    return {
        key: statistics.median(sample[key] for sample in samples)
        for key, value in samples[0].items()
        if isinstance(value, int | float)
    }


def _ratio(mine: Sequence[Sample], others: Sequence[Sample], metric: str) -> float:
    """The median of the rounds' own ratios: what changes from round to round changes both alike."""
    return round(statistics.median(a[metric] / b[metric] for a, b in zip(mine, others, strict=True)), 3)


def compare(case: Case, rounds: int, load: Load, cores: Cores) -> dict[str, dict[str, Any]]:
    """Measure one case on all its servers, turn by turn; returns each server's medians and single figures."""
    samples: dict[str, list[Sample]] = {server.key: [] for server in case.servers}
    for number in range(rounds):
        for server in case.servers:
            print(
                f"\r{case.name}: round {number + 1} of {rounds}, {server.key:<14}",
                end="",
                file=sys.stderr,
                flush=True,
            )
            with serving(server, case.mode, cores) as running:
                samples[server.key].append(case.measure(running, load))
    print("\r" + " " * 78 + "\r", end="", file=sys.stderr, flush=True)
    results: dict[str, dict[str, Any]] = {}
    for server in case.servers:
        mine = samples[server.key]
        results[server.key] = {
            "ratio": _ratio(mine, samples[REFERENCE], case.metric),
            "median": {key: round(value, 3) for key, value in _median(mine).items()},
            "rounds": [round(sample[case.metric], 3) for sample in mine],
        }
        if case.cpu_metric:
            results[server.key]["cpu_ratio"] = _ratio(mine, samples[REFERENCE], case.cpu_metric)
    return results


def _recorded_ratio(recorded: dict[str, Any], case: str, server: str) -> str:
    result = recorded.get("cases", {}).get(case, {}).get("servers", {}).get(server)
    return f"{result['ratio']:.2f}" if result else "-"


def _print_case(case: Case, results: dict[str, dict[str, Any]], recorded: dict[str, Any]) -> None:
    direction = "smaller is better" if case.smaller_is_better else "larger is better"
    print(f"\n{case.name}: {case.metric} in {case.unit} ({direction})")
    header = f"  {'':34}{'median':>12}{'ratio':>8}{'recorded':>10}{'cpu ratio':>11}{'least .. most':>24}"
    print(header + "".join(f"{name:>12}" for name in case.shown))
    for server in case.servers:
        result = results[server.key]
        spread = f"{min(result['rounds']):,.0f} .. {max(result['rounds']):,.0f}"
        row = f"  {server.label:34}{result['median'][case.metric]:>12,.0f}{result['ratio']:>8.2f}"
        row += f"{_recorded_ratio(recorded, case.name, server.key):>10}"
        row += f"{result['cpu_ratio']:>11.2f}" if case.cpu_metric else f"{'-':>11}"
        row += f"{spread:>24}"
        print(row + "".join(f"{result['median'][name]:>12.2f}" for name in case.shown))
        if result["median"].get("cpu", 0) > 0.9:
            print(f"  {'':34}the load generator used all of its core: the server may be faster than this")


def main(question: str, cases: Callable[[bool], Sequence[Case]], name: str) -> None:
    """Ask one question from the command line.

    Args:
        question: printed above the tables.
        cases: returns the cases; its argument is true for a quick look.
        name: of the recorded result that is shown beside the new one.
    """
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is measured (3)")
    parser.add_argument("--quick", action="store_true", help="one short round, for a look; records nothing")
    parser.add_argument("--only", default="", help="only the cases whose name has this in it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="record the result in this file")
    options = parser.parse_args()
    if options.json and options.only:
        parser.error("--json records whole results, and --only leaves cases out")
    rounds = 1 if options.quick else options.rounds

    cores = Cores()
    load = Load(cores)
    about = machine()
    baseline = RESULTS / f"{name}.json"
    recorded = json.loads(baseline.read_text()) if baseline.exists() else {}
    print(question)
    print(f"{about['cpu']}, {about['cores']} cores, load average {about['load_average']} at the start")
    print(", ".join(f"{key} {value}" for key, value in about["versions"].items()))

    outcome: dict[str, Any] = {"question": question, "machine": about, "rounds": rounds, "cases": {}}
    for case in cases(options.quick):
        if options.only not in case.name:
            continue
        results = compare(case, rounds, load, cores)
        _print_case(case, results, recorded)
        outcome["cases"][case.name] = {"metric": case.metric, "unit": case.unit, "servers": results}
    if options.json and not options.quick:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(outcome, indent=2) + "\n")
        print(f"\nrecorded in {options.json}")


def run(question: str, cases: Callable[[bool], Sequence[Case]], name: str) -> None:
    """`main`, with a failure told in one line."""
    try:
        main(question, cases, name)
    except BenchmarkError as error:
        sys.exit(f"\n{error}")
