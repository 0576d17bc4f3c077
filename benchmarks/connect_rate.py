"""How many clients can come back in a second, when 2,000 of them do so at once?"""

from __future__ import annotations

from harness import ORIGINAL, OURS_BLOCKING, RAW, Case, Load, Running, Sample, run

CLIENTS = 2000
AT_A_TIME = 64


def cases(quick: bool) -> list[Case]:
    def measure(running: Running, load: Load) -> Sample:
        # The first storm is for the just-in-time compiler, and for what a server makes only once.
        load.run(running, "connect", c=CLIENTS, k=AT_A_TIME)
        return load.run(running, "connect", c=CLIENTS, k=AT_A_TIME)

    return [
        Case(
            name=f"connect, {AT_A_TIME} at a time",
            mode="echo",
            metric="connects_per_s",
            unit="connections/s",
            servers=(OURS_BLOCKING, ORIGINAL, RAW),
            measure=measure,
            cpu_metric="connects_per_cpu_s",
            shown=("p50_ms", "p99_ms", "server_cpu"),
        )
    ]


if __name__ == "__main__":
    run(__doc__, cases, "connect_rate")
