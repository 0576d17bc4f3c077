"""The values of values.js in terms of Python: how the server tells what it got, and is told what to send.

``{"$js": kind, ...}`` stands for a value that JSON does not have.
"""

from __future__ import annotations

import math
from array import array
from datetime import datetime, timedelta, timezone
from typing import Any

from primus_gevent.parsers.values import JSError, RegExp

__all__ = ["describe", "revive"]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

ARRAYS = {
    "Int8Array": "b",
    "Int16Array": "h",
    "Uint16Array": "H",
    "Int32Array": "i",
    "Uint32Array": "I",
    "Float32Array": "f",
    "Float64Array": "d",
}
ARRAY_KINDS = {code: kind for kind, code in ARRAYS.items()}


def describe(value: Any) -> Any:
    """A value that a parser has decoded, in terms of JSON; anything that no parser makes is an error."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return describe_float(value)
    if isinstance(value, list):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {key: describe(member) for key, member in value.items()}
    if isinstance(value, bytes):
        return {"$js": "bytes", "hex": value.hex()}
    if isinstance(value, datetime):
        return {"$js": "Date", "ms": (value - EPOCH) // timedelta(milliseconds=1)}
    if isinstance(value, RegExp):
        return {"$js": "RegExp", "source": value.source, "flags": value.flags}
    if isinstance(value, JSError):
        return {"$js": "Error", "name": value.name, "message": value.message}
    if isinstance(value, array):
        return {"$js": ARRAY_KINDS[value.typecode], "hex": value.tobytes().hex()}
    raise TypeError(f"what is {value!r}?")


def describe_float(value: float) -> Any:
    if math.isnan(value):
        return {"$js": "NaN"}
    if math.isinf(value):
        return {"$js": "Infinity" if value > 0 else "-Infinity"}
    if value == 0 and math.copysign(1, value) < 0:
        return {"$js": "-0"}
    return value


def revive(description: Any) -> Any:
    """The value that a description stands for."""
    if isinstance(description, list):
        return [revive(item) for item in description]
    if not isinstance(description, dict):
        return description
    kind = description.get("$js")
    if kind is None:
        return {key: revive(member) for key, member in description.items()}
    if kind in ("NaN", "Infinity", "-Infinity", "-0"):
        return float(kind)
    if kind == "Date":
        return EPOCH + timedelta(milliseconds=description["ms"])
    if kind == "RegExp":
        return RegExp(description["source"], description["flags"])
    if kind == "Error":
        return JSError(description["name"], description["message"])
    content = bytes.fromhex(description["hex"])
    return array(ARRAYS[kind], content) if kind in ARRAYS else content
