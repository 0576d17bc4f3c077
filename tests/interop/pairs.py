"""Which clients are played against which servers, over which transformers, and on which hosts.

``run.js`` plays one pair in one process; ``test_interop.py`` makes a test of each scenario of each, and
``scripts/matrix`` the tables of ``docs/reference/support.md``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.interop import ADVICE

__all__ = ["HERE", "PAIRS", "PARSER_PAIRS", "WAYS", "Outcome", "Pair", "Play", "Run", "play", "scenarios"]

HERE = Path(__file__).parent

PAIR_SECONDS = 280.0  # below the time limit of a test of them, so that the reason is told

# For each transformer the ways in which `frameworks.js` has its connections come about; the first is what a
# client takes by itself, and what is played where none is named.
WAYS = {
    "websockets": ("websocket",),
    "faye": ("websocket",),
    "engine.io": ("upgrade", "upgraded", "polling", "websocket"),
    "polling": ("polling",),
    "sockjs": ("websocket", "xhr-streaming", "xhr-polling"),
    "browserchannel": ("streaming", "polling"),
    "socket.io": ("websocket", "xhr-polling"),
}


class Play(NamedTuple):
    """What one pair plays over one transformer in one way, with one parser."""

    transformer: str
    way: str
    parser: str

    def __str__(self) -> str:
        way = f"-{self.way}" if len(WAYS[self.transformer]) > 1 else ""
        return f"{self.transformer}{way}-{self.parser}"


class Pair(NamedTuple):
    """One run of ``run.js``.

    Attributes:
        transformers: played one after the other.
        ways: of them, those that each transformer has.
        parsers: what depends on them is played, with each in turn; without any, everything else with json.
        several: against a server that runs all transformers at once; `suites` is "core".
        host: that serves, other than plain pywsgi; `suites` is "core".
    """

    client: str
    server: str
    transformers: tuple[str, ...] = ("websockets",)
    ways: tuple[str, ...] = ()
    browser: bool = False
    parsers: tuple[str, ...] = ()
    several: bool = False
    host: str = ""

    def __str__(self) -> str:
        server = self.host or ("several" if self.several else self.server)
        return f"{'chromium-' if self.browser else ''}{self.client}-to-{server}"

    @property
    def is_rehearsal(self) -> bool:
        """Whether nothing of ours takes part: what the suite asks for is what the originals do."""
        return self.client == self.server

    @property
    def can_wait(self) -> bool:
        """Whether `make soak` is soon enough for it.

        A rehearsal is. Official clients in Chromium are what they are in Node, but for how they open a
        connection: that is in the core, which they play against a server of all transformers, and over
        websockets one of them plays everything.
        """
        official_page = self.browser and self.client != "ours" and self.suites == "json"
        sample = self.client == "primus8" and self.transformers == ("websockets",)
        return self.is_rehearsal or (official_page and not sample)

    @property
    def suites(self) -> str:
        """Of which list of `scenarios` it plays all."""
        return "parsers" if self.parsers else "core" if self.several or self.host else "json"

    @property
    def plays(self) -> list[Play]:
        """What is played, in its order."""
        return [
            Play(transformer, way, parser)
            for transformer in self.transformers
            for parser in self.parsers or ("json",)
            for way in [way for way in self.ways if way in WAYS[transformer]] or WAYS[transformer][:1]
        ]


def over(transformers: str, client: str, server: str = "python", *, ways: str = "", **more: object) -> Pair:
    return Pair(client, server, tuple(transformers.split()), tuple(ways.split()), **more)  # type: ignore[arg-type]


TEXT = "sockjs browserchannel socket.io"  # the frameworks that carry text only
TEXT_8 = "sockjs browserchannel"  # those of them that Primus 8 has
ALL = "websockets engine.io sockjs browserchannel socket.io faye polling"
ALL_8 = "websockets engine.io sockjs browserchannel faye polling"
EVERY_WAY = "websocket xhr-streaming xhr-polling upgrade polling streaming"

# All of them would take minutes: each cell of client, server, transformer and way once.
PAIRS = [
    over("websockets", "primus8"),
    over("websockets", "primus24"),
    over("websockets", "ours"),
    over("websockets", "ours", browser=True),
    over("websockets", "primus8", browser=True),
    over("websockets", "primus24", browser=True),
    over("websockets", "ours", "primus8"),
    over("websockets", "ours", "primus24"),
    # The originals among themselves: what the suite asks for is what they do.
    over("websockets", "primus8", "primus8"),
    over("websockets", "primus24", "primus24"),
    # The wire is that of `websockets`; in Node the official clients speak it with another package.
    over("faye", "primus8"),
    over("faye", "primus24"),
    over("faye", "ours"),
    over("engine.io", "primus8", ways="upgrade polling"),
    over("engine.io", "primus24", ways="upgrade polling"),
    over("engine.io polling", "ours", ways="upgrade websocket"),
    over("engine.io", "ours", browser=True),
    over("engine.io", "primus8", browser=True),
    over("engine.io", "primus24", browser=True),
    over("engine.io", "ours", "primus8"),
    over("engine.io", "ours", "primus24"),
    over("engine.io", "primus8", "primus8"),
    over("engine.io", "primus24", "primus24"),
    over("sockjs", "ours", ways="websocket xhr-streaming xhr-polling"),
    over("browserchannel socket.io", "ours", ways="streaming polling websocket xhr-polling"),
    over(TEXT_8, "primus8", ways="websocket xhr-streaming xhr-polling"),
    over(TEXT, "primus24", ways="websocket xhr-polling"),
    over(TEXT, "ours", browser=True, ways="xhr-streaming xhr-polling"),
    over(TEXT_8, "primus8", browser=True, ways="xhr-streaming"),
    # Where SockJS 0.3 polls, its server learns of an end by the next heartbeat only.
    over(TEXT_8, "primus24", browser=True, ways="xhr-streaming"),
    over("socket.io", "primus24", browser=True, ways="xhr-polling"),
    over(f"{TEXT_8} faye", "ours", "primus8", ways="xhr-streaming websocket"),
    over(f"{TEXT} faye", "ours", "primus24", ways="xhr-streaming websocket"),
    over(TEXT_8, "primus8", "primus8", ways="websocket"),
    over(TEXT, "primus24", "primus24", ways="websocket"),
    # A server that runs all transformers at once.
    over(ALL, "ours", ways=EVERY_WAY, several=True),
    over(ALL, "ours", ways="xhr-streaming", several=True, browser=True),
    over(ALL_8, "primus8", ways=EVERY_WAY, several=True),
    over(ALL_8, "primus8", ways="xhr-streaming", several=True, browser=True),
    over(ALL, "primus24", ways=EVERY_WAY, several=True),
    over(ALL, "primus24", ways="xhr-streaming", several=True, browser=True),
    # All hosts; see serving.py.
    *(
        over(ALL, "ours", ways=EVERY_WAY, host=host)
        for host in (
            "own",
            "pywsgi",
            "gevent-websocket",
            "gunicorn",
            "gunicorn-pywsgi",
            "gunicorn-gevent-websocket",
        )
    ),
]

# `json` is what the connections are tested with: here it is only compared once per client with our server.
MORE = ("ejson", "msgpack", "binary")
# 2.4 has no msgpack of its own, and gets one as an object.
MORE_24 = (*MORE, "jsonh")

PARSER_PAIRS = [
    over("websockets", "ours", parsers=("json", *MORE_24, "orjson")),
    over("websockets", "ours", browser=True, parsers=(*MORE_24, "orjson")),
    over("websockets", "primus8", parsers=("json", *MORE)),
    over("websockets", "primus24", parsers=("json", *MORE_24)),
    # Its binary parser is another one there.
    over("websockets", "primus8", browser=True, parsers=MORE),
    over("websockets", "ours", "primus8", parsers=MORE),
    over("websockets", "ours", "primus24", parsers=MORE_24),
    over("websockets", "primus8", "primus8", parsers=MORE),
    over("websockets", "primus24", "primus24", parsers=MORE_24),
    # Whose frames are bytes.
    over("faye", "primus8", parsers=("msgpack", "binary")),
    over("faye", "primus24", parsers=("msgpack", "binary")),
    over("engine.io", "ours", ways="websocket polling", parsers=("json", *MORE_24, "orjson")),
    over("engine.io", "ours", browser=True, ways="polling", parsers=(*MORE_24, "orjson")),
    over("engine.io", "primus8", ways="upgraded polling", parsers=("json", *MORE)),
    over("engine.io", "primus24", ways="upgraded polling", parsers=("json", *MORE_24)),
    over("engine.io", "ours", "primus8", ways="polling", parsers=MORE),
    over("engine.io", "ours", "primus24", ways="polling", parsers=MORE_24),
    over("engine.io", "primus8", "primus8", ways="polling", parsers=MORE),
    over("engine.io", "primus24", "primus24", ways="polling", parsers=MORE_24),
    # Bytes travel as text between our ends, and cannot between others.
    over(TEXT, "ours", ways="xhr-streaming websocket", parsers=(*MORE_24, "orjson")),
    over(TEXT, "ours", ways="xhr-streaming xhr-polling", browser=True, parsers=("msgpack", "binary")),
    over(TEXT_8, "primus8", ways="xhr-streaming", parsers=MORE),
    over(TEXT, "primus24", ways="websocket", parsers=("ejson", "jsonh", "binary")),
    over(TEXT_8, "ours", "primus8", ways="websocket", parsers=("ejson",)),
    over(TEXT, "ours", "primus24", ways="websocket", parsers=("ejson", "jsonh")),
]


class Outcome(NamedTuple):
    outcome: str
    detail: str


class Run(NamedTuple):
    """What came of one pair: an outcome for each scenario, and what the runner itself had to say."""

    outcomes: dict[tuple[Play, str], Outcome]
    complaint: str


def scenarios() -> dict[str, list[str]]:
    """The names of all scenarios; without Node one that cannot pass, so that nothing is silently left out."""
    try:
        listed = subprocess.run(
            ["node", HERE / "run.js", "--list"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return {"json": ["the suite can be listed"], "parsers": [], "core": []}
    names: dict[str, list[str]] = json.loads(listed.stdout)
    return names


def play(pair: Pair) -> Run:
    """Run one pair, and wait for its end."""
    if not (HERE / "node_modules").is_dir():
        return Run({}, f"The npm packages of the interop suite are not installed. {ADVICE}")
    command = ["node", HERE / "run.js", "--client", pair.client, "--server", pair.server]
    command += ["--transformer", ",".join(pair.transformers), "--python", sys.executable]
    lists = {"--way": ",".join(pair.ways), "--parser": ",".join(pair.parsers), "--host": pair.host}
    for option, value in lists.items():
        command += [option, value] if value else []
    command += [*(["--browser"] if pair.browser else []), *(["--several"] if pair.several else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PAIR_SECONDS, check=False)
    except OSError as error:
        return Run({}, f"Node.js cannot be run: {error}. {ADVICE}")
    except subprocess.TimeoutExpired as error:
        return Run({}, f"not done after {PAIR_SECONDS} seconds; so far: {error.stdout!r} {error.stderr!r}")
    outcomes = {}
    for line in done.stdout.splitlines():
        result = json.loads(line)
        played = Play(result["transformer"], result["way"], result["parser"])
        outcomes[played, result["scenario"]] = Outcome(result["outcome"], result["detail"])
    return Run(outcomes, done.stderr)
