"""A plugin that is found by its name, and another one in the same module."""

from __future__ import annotations

client = "function (primus) { primus.text = 'plugin_module says hello'; }"
other = {"client": "function (primus) { primus.text = 'other says hello'; }"}
