"""How many frames does one core send out when one client's messages go to 100 or 1,000 receivers?"""

from __future__ import annotations

from harness import ORIGINAL, OURS_EVENTS, RAW, Case, Load, Running, Sample, run

RECEIVERS = (100, 1000)
DEPTHS = (1, 16)  # messages of the publisher that are on their way


def case(receivers: int, depth: int, quick: bool) -> Case:
    def measure(running: Running, load: Load) -> Sample:
        return load.run(running, "fanout", c=receivers, d=depth, t=1 if quick else 5)

    return Case(
        name=f"broadcast to {receivers}, {depth} in flight",
        mode="broadcast",
        metric="frames_per_s",
        unit="frames/s received by all clients together",
        servers=(OURS_EVENTS, ORIGINAL, RAW),
        measure=measure,
        cpu_metric="frames_per_cpu_s",
        shown=("p50_ms", "p99_ms", "server_cpu", "cpu"),
    )


def cases(quick: bool) -> list[Case]:
    return [case(receivers, depth, quick) for receivers in RECEIVERS for depth in DEPTHS]


if __name__ == "__main__":
    run(__doc__, cases, "broadcast")
