"""What every Python server under measurement says to the harness."""

from __future__ import annotations

import gc
import signal

import gevent


def announce(port: int) -> None:
    """Print the port for the harness, and collect garbage when it asks with SIGUSR2."""

    def collect() -> None:
        gc.collect()
        print("collected", flush=True)

    gevent.signal_handler(signal.SIGUSR2, collect)
    print(f"port {port}", flush=True)
