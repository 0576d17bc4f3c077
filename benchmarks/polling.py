"""How many messages does one core echo over long-polling, with 50 sessions of Engine.IO?"""

from __future__ import annotations

from harness import (
    ENGINEIO_BLOCKING,
    ENGINEIO_EVENTS,
    ENGINEIO_ORIGINAL,
    ENGINEIO_ORIGINAL_2,
    Case,
    Load,
    Running,
    Sample,
    Server,
    run,
)

SESSIONS = 50


def case(
    name: str, quick: bool, *, apart: bool, browser: bool = False, revision: int, original: Server
) -> Case:
    def measure(running: Running, load: Load) -> Sample:
        return load.run(
            running,
            "echo",
            program="pollload",
            c=SESSIONS,
            e=revision,
            a=apart,
            b=browser,
            t=1 if quick else 5,
        )

    return Case(
        name=f"polling, revision {revision}, {name}",
        mode="echo",
        metric="cycles_per_s",
        unit="echoes/s, a POST and a GET each",
        servers=(ENGINEIO_BLOCKING, ENGINEIO_EVENTS, original),
        measure=measure,
        cpu_metric="cycles_per_cpu_s",
        shown=("p50_ms", "p99_ms", "server_us", "server_cpu", "cpu"),
    )


def cases(quick: bool) -> list[Case]:
    now, then = ENGINEIO_ORIGINAL, ENGINEIO_ORIGINAL_2
    return [
        case("POST and GET by turns", quick, apart=False, revision=4, original=now),
        case("a GET always waits", quick, apart=True, revision=4, original=now),
        case("the same from a browser", quick, apart=True, browser=True, revision=4, original=now),
        case("POST and GET by turns", quick, apart=False, revision=3, original=then),
        case("a GET always waits", quick, apart=True, revision=3, original=then),
    ]


if __name__ == "__main__":
    run(__doc__, cases, "polling")
