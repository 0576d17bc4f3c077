"""The sources of our client for a list of options of the test server: ``python libraries.py '[{...}, ...]'``.

For the official servers, which compile none of ours. Prints one line of JSON, a list of texts.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from extensions import PLUGIN

from primus_gevent import Primus


def library(options: dict[str, Any]) -> str:
    given: dict[str, Any] = {
        "parser": options.get("parser", "json"),
        "transformer": options.get("transformer", "websockets"),
    }
    if options.get("extended"):
        given["plugin"] = {"shout": PLUGIN}
    if "authorization" in options:
        given["authorization"] = lambda request: None  # the client is only told that there is a hook
        given["credentials"] = False
    return Primus(**given).library()


if __name__ == "__main__":
    print(json.dumps([library(options) for options in json.loads(sys.argv[1])]))
