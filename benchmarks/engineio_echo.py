"""How many messages does one core echo over Engine.IO on WebSocket, 50 connections with 1 or 16 in flight?"""

from __future__ import annotations

from echo import DEPTHS, case
from harness import ENGINEIO_BLOCKING, ENGINEIO_EVENTS, ENGINEIO_ORIGINAL, Case, run


def cases(quick: bool) -> list[Case]:
    servers = (ENGINEIO_BLOCKING, ENGINEIO_EVENTS, ENGINEIO_ORIGINAL)
    return [case(depth, quick, servers, "engine.io") for depth in DEPTHS]


if __name__ == "__main__":
    run(__doc__, cases, "engineio_echo")
