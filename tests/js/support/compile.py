"""Prints the client library for the settings that come as JSON in the first argument, or just its parser."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from primus_gevent.library import LibrarySettings, compile_library, parser_source

given = json.loads(sys.argv[1])
sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
wanted = given.pop("format", "script")
part = given.pop("part", None)
settings = LibrarySettings(**{"version": "1.2.3", **given})
sys.stdout.write(parser_source(settings) if part == "parser" else compile_library(settings, format=wanted))
