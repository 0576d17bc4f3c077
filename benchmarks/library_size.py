"""How large is the client? `primus.js` by transformer, and the original's: bytes raw, minified, gzipped."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

from harness import HERE, RESULTS

from primus_gevent import Primus
from primus_gevent.transformers import TRANSFORMERS

# The original's transformers by its generation; what 8 has not, only 2 had.
ORIGINALS = {
    "8": ("websockets", "faye", "engine.io", "sockjs", "browserchannel"),
    "2": ("websockets", "faye", "engine.io", "sockjs", "browserchannel", "socket.io"),
}
MEASURES = ("raw", "minified", "gzipped")

# Compiles the original's client, which needs its transformer installed, and prints it.
ORIGINAL_PROGRAM = """
const [folder, transformer] = process.argv.slice(1);
const Primus = require(require.resolve('primus', { paths: [folder] }));
const options = { transformer, parser: 'json', pingInterval: false };
const primus = new Primus(require('http').createServer(), options);
process.stdout.write(primus.library(), () => process.exit(0));
"""


def minified(source: str) -> bytes:
    """What terser makes of it, with the same options for all."""
    done = subprocess.run(
        ["node", str(HERE / "node_modules/terser/bin/terser"), "--compress", "--mangle"],
        input=source.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout


def sizes(source: str) -> dict[str, int]:
    """The three figures; gzipped is what is minified, as a site would serve it."""
    small = minified(source)
    return {
        "raw": len(source.encode()),
        "minified": len(small),
        "gzipped": len(gzip.compress(small, mtime=0)),
    }


def original(generation: str, transformer: str) -> str:
    folder = HERE if generation == "8" else HERE / "primus2"
    done = subprocess.run(
        ["node", "--no-deprecation", "-e", ORIGINAL_PROGRAM, str(folder), transformer],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "NODE_ENV": "production"},
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="record the result in this file")
    parser.add_argument("--quick", action="store_true", help="records nothing")
    options = parser.parse_args()
    outcome: dict[str, dict[str, dict[str, int]]] = {}
    larger: list[str] = []
    print(f"{'':28}" + "".join(f"{name:>12}" for name in MEASURES))
    for name in TRANSFORMERS:
        found = {"primus_gevent": sizes(Primus(transformer=name).library())}
        for generation, names in ORIGINALS.items():
            if name in names:
                found[f"primus {generation}"] = sizes(original(generation, name))
        for who, figures in found.items():
            print(f"{name + ', ' + who:28}" + "".join(f"{figures[one]:>12,}" for one in MEASURES))
        ours = found["primus_gevent"]
        for who, theirs in found.items():
            if who != "primus_gevent" and any(ours[one] >= theirs[one] for one in MEASURES):
                larger.append(f"! the client for {name} is not smaller than that of {who}")
        outcome[name] = found
    if options.json and not options.quick:
        options.json.write_text(json.dumps(outcome, indent=2) + "\n")
        print(f"\nrecorded in {RESULTS / options.json.name}")
    if larger:
        sys.exit("\n".join(larger))


if __name__ == "__main__":
    main()
