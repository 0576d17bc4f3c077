"""How many small requests does one core answer over 50 kept connections?

A cycle is what a message costs a polling transport in HTTP: a POST with a small body, and a GET whose answer
would bring the echo. `polling.py` has the rest.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import HERE, REFERENCE, Case, Load, Running, Sample, Server, run

CONNECTIONS = 50


def _wsgi(key: str, label: str) -> Server:
    return Server(key, label, (sys.executable, str(HERE / "servers" / "http_wsgi.py"), key))


NODE = Server(REFERENCE, "Node's http", ("node", str(HERE / "servers" / "http_node.js")))
SERVERS = (
    _wsgi("ours", "our own server"),
    NODE,
    _wsgi("pywsgi", "gevent.pywsgi"),
    _wsgi("gunicorn", "gunicorn -k gevent"),
)


def _serving_process(running: Running) -> int:
    """gunicorn serves in a child, the others themselves."""
    pid = running.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def case(mode: str, quick: bool, *, browser: bool = False) -> Case:
    def measure(running: Running, load: Load) -> Sample:
        seconds = 1 if quick else 5
        process = _serving_process(running)
        return load.run(running, mode, program="httpload", P=process, c=CONNECTIONS, b=browser, t=seconds)

    return Case(
        name=f"{mode}, {'headers of a browser' if browser else 'few headers'}",
        mode=mode,
        metric="cycles_per_s",
        unit="cycles/s" if mode == "cycle" else "requests/s",
        servers=SERVERS,
        measure=measure,
        cpu_metric="cycles_per_cpu_s",
        shown=("server_us", "p50_ms", "p99_ms", "server_cpu", "cpu"),
    )


def cases(quick: bool) -> list[Case]:
    return [
        case("get", quick),
        case("post", quick),
        case("cycle", quick),
        case("cycle", quick, browser=True),
    ]


if __name__ == "__main__":
    run(__doc__ or "", cases, "http_requests")
