"""Runs the Autobahn test suite (crossbario, `wstest -m fuzzingclient`) against a WebSocket server.

The suite needs Python 2.7. It is installed once into `.cache/autobahn` (or $AUTOBAHN_CACHE), by a
`virtualenv` of the last line that still makes Python 2 environments. By hand, against a server that echoes::

    python -m tests.conformance.autobahn ws://127.0.0.1:8000/ [--cases 6.* 7.*]

`EXCEPTIONS` lists the cases whose verdict is allowed to be another than "passed", each with its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
SUITE = "autobahntestsuite==25.10.1"
VIRTUALENV = "virtualenv<20.22"  # 20.22 dropped Python 2.7

PASSED = frozenset(("OK", "NON-STRICT", "INFORMATIONAL"))
MAX_LENGTH = 16 << 20  # what the server under test has to accept: section 9 sends messages of 16 MiB
MAX_FRAGMENTS = 1 << 17  # 9.3.1 and 9.4.1 cut 4 MiB into frames of 64 bytes
RUN_SECONDS = 1800.0  # a run of everything on a slow machine

# Sections that a run has to have, so that a report of nothing does not count as success. There is no 8 and
# no 11 in the suite.
SECTIONS = ("1", "2", "3", "4", "5", "6", "7", "9", "10", "12", "13")

# Those of 12 and 13 whose 1,000 messages have 64 KiB or more: most of a whole run's quarter of an hour, spent
# in zlib on lengths and fragments that smaller cases have too. $AUTOBAHN_ALL=1 runs them as well.
LARGE = tuple(f"{section}.*.{number}" for section in (12, 13) for number in (9, 10, 14, 15, 16, 17, 18))

# What one process of the suite runs after the other; the compression cases take most of the time.
GROUPS = (
    *(f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 9, 10)),
    *(f"12.{kind}.*" for kind in range(1, 6)),
    *(f"13.{kind}.*" for kind in range(1, 8)),
)

# For the one host that plays every section in the normal run. The kinds of 13 differ in what the client
# offers, so that the heaviest of their sizes are played with one of them.
MOST = (
    *(group for group in GROUPS if group[:2] != "13" or group == "13.1.*"),
    *(f"13.{kind}.{size}" for kind in range(2, 8) for size in (1, 2, 3, 4, 5, 6, 7, 11)),
)

# For a host that only brings the bytes in another way, beside one that plays everything: of each kind of
# compression cases one.
BRIEF = (
    *(group for group in GROUPS if int(group.split(".")[0]) < 12),
    *(group[:-1] + "3" for group in GROUPS if int(group.split(".")[0]) >= 12),
)

# case -> why its verdict may differ. The rule of the house: a sentence each, and best none at all.
EXCEPTIONS: Mapping[str, str] = {}


class Python27MissingError(Exception):
    """There is no Python 2.7 on this machine; the message says where it was looked for."""


class Verdict(NamedTuple):
    case: str
    behavior: str
    behavior_close: str

    @property
    def passed(self) -> bool:
        return self.behavior in PASSED and self.behavior_close in PASSED


def python27_candidates() -> Iterator[str]:
    """Where a Python 2.7 may be: $PYTHON27, `python2.7` on the PATH, the versions of pyenv."""
    if os.environ.get("PYTHON27"):
        yield os.environ["PYTHON27"]
    found = shutil.which("python2.7")
    if found:
        yield found
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in sorted((root / "versions").glob("2.7*"), reverse=True):
        yield str(version / "bin" / "python2.7")


def find_python27() -> str:
    """The path of a Python 2.7 that runs (a pyenv shim exists even where its version is not active)."""
    tried = []
    for candidate in python27_candidates():
        tried.append(candidate)
        try:
            answer = subprocess.run(
                [candidate, "-c", "import sys; print(sys.version_info[:2] == (2, 7) and sys.executable)"],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if answer.stdout.strip() not in ("", "False"):
            return answer.stdout.strip()
    raise Python27MissingError(
        "The Autobahn suite needs Python 2.7 and there is none: looked at $PYTHON27, `python2.7` on the PATH "
        f"and ~/.pyenv/versions/2.7* (tried: {', '.join(tried) or 'nothing found'}). "
        "Install one, for example with `pyenv install 2.7.18`."
    )


def cache_folder() -> Path:
    return Path(os.environ.get("AUTOBAHN_CACHE") or REPOSITORY / ".cache" / "autobahn")


def install_wstest() -> Path:
    """Return the `wstest` command; makes its environment when that is not there yet (some 30 s, network)."""
    cache = cache_folder()
    environment = cache / "env"
    wstest = environment / "bin" / "wstest"
    stamp = cache / "installed"  # written last: a half-made environment is made again
    if stamp.exists() and stamp.read_text() == SUITE and wstest.exists():
        return wstest
    python27 = find_python27()
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    tools = cache / "tools"
    venv.create(tools, with_pip=True)
    _run([tools / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", VIRTUALENV])
    _run([tools / "bin" / "virtualenv", "--quiet", "--python", python27, environment])
    _run([environment / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", SUITE])
    stamp.write_text(SUITE)
    return wstest


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    if done.returncode:
        words = " ".join(str(word) for word in command)
        raise RuntimeError(f"`{words}` failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def run(
    url: str,
    folder: Path,
    *,
    agent: str = "primus_gevent",
    cases: Sequence[str] = GROUPS,
    shards: int | None = None,
) -> list[Verdict]:
    """Let the suite loose on the echo server at `url`; its reports, with every frame, go to `folder`.

    Args:
        cases: the suite's patterns, such as ``6.*``.
        shards: how many processes share the cases, each with one connection at a time; by default two where
            there are two processors, since client and server take turns.
    """
    wstest = install_wstest()
    if shards is None:
        shards = min(2, os.cpu_count() or 1)
    # Dealt out in turn, so that each process gets its share of the slow ones.
    hands = [hand for hand in (list(cases)[shard::shards] for shard in range(shards)) if hand]
    with ThreadPoolExecutor(len(hands)) as pool:
        jobs = [
            pool.submit(_run_hand, wstest, url, folder / str(number), agent, hand)
            for number, hand in enumerate(hands, 1)
        ]
        verdicts = [verdict for job in jobs for verdict in job.result()]
    return in_order(verdicts)


def _run_hand(wstest: Path, url: str, folder: Path, agent: str, cases: list[str]) -> list[Verdict]:
    shutil.rmtree(folder, ignore_errors=True)  # or an old report would stand for a run that never began
    folder.mkdir(parents=True)
    spec = folder / "fuzzingclient.json"
    spec.write_text(
        json.dumps(
            {
                "outdir": str(folder),
                "servers": [{"agent": agent, "url": url, "options": {"version": 18}}],
                "cases": cases,
                "exclude-cases": [] if os.environ.get("AUTOBAHN_ALL") else list(LARGE),
                "exclude-agent-cases": {},
            }
        )
    )
    _run([wstest, "-m", "fuzzingclient", "-s", spec])
    return read_report(folder / "index.json", agent)


def read_report(index: Path, agent: str) -> list[Verdict]:
    """The verdicts of one process."""
    report = json.loads(index.read_text())[agent]
    return [Verdict(case, row["behavior"], row["behaviorClose"]) for case, row in report.items()]


def in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Sorted as the suite numbers its cases: 2.9 before 2.10."""
    return sorted(verdicts, key=lambda verdict: [int(number) for number in verdict.case.split(".")])


def judge(verdicts: Iterable[Verdict], exceptions: Mapping[str, str] = EXCEPTIONS) -> list[str]:
    """What is wrong with a whole run, as sentences; an exception that is no longer needed is wrong too."""
    verdicts = list(verdicts)
    seen = {verdict.case for verdict in verdicts}
    ran = {case.split(".")[0] for case in seen}
    wrong = [f"section {section}: not a single case was run" for section in SECTIONS if section not in ran]
    for verdict in verdicts:
        if verdict.passed and verdict.case in exceptions:
            wrong.append(f"{verdict.case}: passes, so its exception has to go ({exceptions[verdict.case]})")
        if not verdict.passed and verdict.case not in exceptions:
            wrong.append(f"{verdict.case}: {verdict.behavior}, close {verdict.behavior_close}")
    wrong.extend(f"{case}: excepted, but never run" for case in exceptions if case not in seen)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the Autobahn test suite against an echo server.")
    parser.add_argument("url")
    parser.add_argument("--cases", nargs="+", default=list(GROUPS))
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "reports" / "autobahn")
    arguments = parser.parse_args()
    verdicts = run(arguments.url, arguments.folder, cases=arguments.cases)
    wrong = [verdict for verdict in verdicts if not verdict.passed]
    for verdict in wrong:
        print(f"{verdict.case}: {verdict.behavior}, close {verdict.behavior_close}")
    counts: dict[str, int] = {}
    for verdict in verdicts:
        counts[verdict.behavior] = counts.get(verdict.behavior, 0) + 1
    print(f"{len(verdicts)} cases, {len(wrong)} failed: {counts}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
