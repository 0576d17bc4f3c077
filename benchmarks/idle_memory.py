"""How much memory does one idle connection cost the server, or one session of Engine.IO that polls?"""

from __future__ import annotations

import time

from harness import (
    ENGINEIO_BLOCKING,
    ENGINEIO_EVENTS,
    ENGINEIO_ORIGINAL,
    ORIGINAL,
    OURS_BLOCKING,
    OURS_EVENTS,
    RAW,
    BenchmarkError,
    Case,
    Load,
    Running,
    Sample,
    Server,
    run,
)

CONNECTIONS = 5000
SESSIONS = 2000
WARM_UP = 50  # connections opened and closed first: what is made once is no connection's cost
SETTLED = 0.002  # two readings that differ by less than this share are the same
SETTLE_SECONDS = 10.0
READING_SECONDS = 0.5  # between two readings


def settled_rss(running: Running) -> int:
    """Resident memory in bytes, once the process has collected its garbage and stopped giving pages back."""
    deadline = time.monotonic() + SETTLE_SECONDS
    before = 0
    while time.monotonic() < deadline:
        running.collect_garbage()
        rss = running.rss_bytes()
        if abs(rss - before) < SETTLED * rss:
            return rss
        before = rss
        time.sleep(READING_SECONDS)
    raise BenchmarkError(f"{running.server.label}: memory did not settle in {SETTLE_SECONDS:.0f} s")


def case(name: str, count: int, servers: tuple[Server, ...], mode: str, program: str) -> Case:
    def measure(running: Running, load: Load) -> Sample:
        with load.holding(running, WARM_UP, mode, program=program):
            pass
        empty = settled_rss(running)
        with load.holding(running, count, mode, program=program):
            full = settled_rss(running)
        return {
            "bytes_each": (full - empty) / count,
            "empty_mib": empty / 2**20,
            "full_mib": full / 2**20,
        }

    return Case(
        name=f"memory of {count:,} {name}",
        mode="echo",
        metric="bytes_each",
        unit="bytes each",
        servers=servers,
        measure=measure,
        shown=("empty_mib", "full_mib"),
        smaller_is_better=True,
    )


def cases(quick: bool) -> list[Case]:
    connections = CONNECTIONS // 5 if quick else CONNECTIONS
    sessions = SESSIONS // 4 if quick else SESSIONS
    polling = (ENGINEIO_BLOCKING, ENGINEIO_EVENTS, ENGINEIO_ORIGINAL)
    return [
        case(
            "idle connections",
            connections,
            (OURS_BLOCKING, OURS_EVENTS, ORIGINAL, RAW),
            "idle",
            "wsload",
        ),
        case("sessions whose poll waits", sessions, polling, "held", "pollload"),
        case("sessions between two polls", sessions, polling, "away", "pollload"),
    ]


if __name__ == "__main__":
    run(__doc__, cases, "idle_memory")
