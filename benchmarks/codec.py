"""How many nanoseconds does a WebSocket codec take for one text frame, received and sent?

The codec of `primus_gevent` against the sans-I/O layers of `websockets` (whose C masking both use) and
`wsproto`, in one process, without sockets, for frames that arrive whole. A figure is the best of many short
runs that take turns, since whatever else the machine does can only add to it.

    python benchmarks/codec.py            prints the table
    python benchmarks/codec.py --record   writes it to benchmarks/results/codec.txt as well

The target is 900 ns to receive and 300 ns to send 100 bytes of text (docs/project/design.md, "The hot path").
`pip install websockets wsproto`; a codec that is not installed is left out.
"""

from __future__ import annotations

import argparse
import platform
import sys
import timeit
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from primus_gevent.protocols import masking
from primus_gevent.protocols.websocket import WebSocketProtocol

RECORD = Path(__file__).resolve().parent / "results" / "codec.txt"

KEY = b"\x37\xfa\x21\x3d"

Work = Callable[[], object]
# One question: a name, and for each codec what to time and how many frames that is.
Question = tuple[str, dict[str, tuple[Work, int]]]


def masked(text: str) -> bytes:
    return WebSocketProtocol(client=True).text(text)


def ours(text: str, frames: int) -> tuple[Work, Work]:
    server = WebSocketProtocol()
    data = masked(text) * frames
    assert server.receive(data) == [text] * frames
    return (lambda: server.receive(data)), (lambda: server.text(text))


def websockets_sans_io(text: str, frames: int) -> tuple[Work, Work]:
    from websockets.protocol import OPEN, Protocol, Side

    server = Protocol(Side.SERVER, state=OPEN, max_size=None)
    data = masked(text) * frames
    encoded = text.encode()

    def receive() -> object:
        server.receive_data(data)
        return [event.data.decode() for event in server.events_received()]  # type: ignore[union-attr]

    def send() -> object:
        server.send_text(encoded)
        return server.data_to_send()

    assert receive() == [text] * frames
    return receive, send


def wsproto(text: str, frames: int) -> tuple[Work, Work]:
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import TextMessage

    server = Connection(ConnectionType.SERVER)
    data = masked(text) * frames

    def receive() -> object:
        server.receive_data(data)
        return [event.data for event in server.events()]  # type: ignore[attr-defined]

    def send() -> object:
        return server.send(TextMessage(data=text))

    assert receive() == [text] * frames
    return receive, send


CODECS: dict[str, Callable[[str, int], tuple[Work, Work]]] = {
    "ours": ours,
    "websockets": websockets_sans_io,
    "wsproto": wsproto,
}


def questions() -> list[Question]:
    found: list[Question] = []
    for size, frames in ((100, 1), (100, 16), (1000, 1), (10_000, 1)):
        receiving: dict[str, tuple[Work, int]] = {}
        sending: dict[str, tuple[Work, int]] = {}
        for name, codec in CODECS.items():
            try:
                receive, send = codec("x" * size, frames)
            except ImportError:
                continue
            receiving[name] = receive, frames
            sending[name] = send, 1
        found.append(
            (f"receive {size:,} bytes" + (f", {frames} in one read" if frames > 1 else ""), receiving)
        )
        if frames == 1:
            found.append((f"send {size:,} bytes", sending))
    return found


def masking_questions() -> list[Question]:
    """The same payloads through each way to mask; `LANES_FROM_BYTES` sits where the last two meet."""
    found: list[Question] = []
    for size in (20, 100, 400, 600, 1000, 10_000, 1 << 20):
        data = bytes(size)
        found.append(
            (
                f"mask {size:,} bytes",
                {
                    "the one in use": (lambda data=data: masking.mask(data, KEY), 1),  # type: ignore[misc]
                    "integer": (lambda data=data: masking.mask_integer(data, KEY), 1),  # type: ignore[misc]
                    "four lanes": (lambda data=data: masking.mask_lanes(data, KEY), 1),  # type: ignore[misc]
                },
            )
        )
    return found


def measure(question: Question, rounds: int) -> dict[str, float]:
    """Nanoseconds per frame."""
    best: dict[str, float] = {}
    timers = {name: (timeit.Timer(work), frames) for name, (work, frames) in question[1].items()}
    loops = {name: max(1, int(0.02 / (timer.timeit(20) / 20))) for name, (timer, _) in timers.items()}
    for _ in range(rounds):
        for name, (timer, frames) in timers.items():
            spent = timer.timeit(loops[name]) / loops[name] / frames * 1e9
            best[name] = min(best.get(name, spent), spent)
    return best


def table(rows: list[tuple[str, dict[str, float]]]) -> list[str]:
    names = list(rows[0][1])
    lines = [f"{'ns per frame':32}" + "".join(f"{name:>16}" for name in names)]
    lines += [f"{title:32}" + "".join(f"{row[name]:16,.0f}" for name in names) for title, row in rows]
    return lines


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
            model = next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    parts = [f"{platform.python_implementation()} {platform.python_version()}", platform.system(), model]
    for package in ("websockets", "wsproto"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"no {package}")
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the WebSocket codecs.")
    parser.add_argument("--record", action="store_true", help=f"write the table to {RECORD.name}")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else 30
    lines = [machine(), ""]
    for group in (questions(), masking_questions()):
        lines += [*table([(question[0], measure(question, rounds)) for question in group]), ""]
    text = "\n".join(lines).rstrip() + "\n"
    sys.stdout.write(text)
    if arguments.record:
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(f"{__doc__.splitlines()[0]}\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
