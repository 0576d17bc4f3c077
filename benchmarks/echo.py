"""How many messages does one core echo, with 50 connections that keep 1 or 16 of them in flight?"""

from __future__ import annotations

from harness import ORIGINAL, OURS_BLOCKING, OURS_EVENTS, RAW, Case, Load, Running, Sample, Server, run

CONNECTIONS = 50
DEPTHS = (1, 16)


def case(depth: int, quick: bool, servers: tuple[Server, ...], framework: str = "websockets") -> Case:
    def measure(running: Running, load: Load) -> Sample:
        return load.run(running, "echo", f=framework, c=CONNECTIONS, d=depth, t=1 if quick else 5)

    return Case(
        name=f"echo, {depth} in flight" if framework == "websockets" else f"{framework}, {depth} in flight",
        mode="echo",
        metric="frames_per_s",
        unit="frames/s",
        servers=servers,
        measure=measure,
        cpu_metric="frames_per_cpu_s",
        shown=("p50_ms", "p99_ms", "server_us", "server_cpu", "cpu"),
    )


def cases(quick: bool) -> list[Case]:
    return [case(depth, quick, (OURS_BLOCKING, OURS_EVENTS, ORIGINAL, RAW)) for depth in DEPTHS]


if __name__ == "__main__":
    run(__doc__, cases, "echo")
