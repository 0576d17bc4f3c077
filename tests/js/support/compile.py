"""Prints the client library for the settings that come as JSON in the first argument."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from primus_gevent.library import LibrarySettings, compile_library

given = json.loads(sys.argv[1])
sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
wanted = given.pop("format", "script")
sys.stdout.write(compile_library(LibrarySettings(**{"version": "1.2.3", **given}), format=wanted))
