"""The vectors of the parsers, with the JavaScript values in them as their Python counterparts.

They were made by running the original's packages on Node 20 (`source` in each file); see there for the
notation. Copied from there, as the expectation for one parser must not change with another.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from primus_gevent.parsers.values import ExtBuffer, JSError, RegExp

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


class NotInPythonError(Exception):
    """There is no such value in Python."""


def load(name: str) -> dict[str, list[dict[str, Any]]]:
    path = Path(__file__).parent / "vectors" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def instant(ms: float) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def value(notation: Any) -> Any:
    """The Python value; raises NotInPythonError."""
    if isinstance(notation, list):
        return [value(item) for item in notation]
    if not isinstance(notation, dict):
        return notation
    if "$js" not in notation:
        return {key: value(item) for key, item in notation.items()}
    kind = notation["$js"]
    make = MAKERS.get(kind)
    if make is None:
        raise NotInPythonError(f"there is no {kind}")
    return make(notation)


def memory(notation: dict[str, Any]) -> bytes:
    return bytes.fromhex(notation["hex"])


def typed_array(code: str) -> Callable[[dict[str, Any]], Any]:
    return lambda notation: array(code, memory(notation))


def date(notation: dict[str, Any]) -> datetime:
    if isinstance(notation["ms"], dict):  # NaN
        raise NotInPythonError("there is no invalid datetime")
    return instant(notation["ms"])


MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    **dict.fromkeys(("undefined", "hole"), lambda notation: None),
    **dict.fromkeys(("NaN", "Infinity", "-Infinity", "-0"), lambda notation: float(notation["$js"])),
    **{name: typed_array(code) for name, code in ARRAYS.items()},
    "Buffer": memory,
    "Uint8Array": typed_array("B"),
    "number": lambda notation: int(notation["literal"]),
    "Date": date,
    "RegExp": lambda notation: RegExp(notation["source"], notation["flags"]),
    "Error": lambda notation: JSError(notation["name"], notation["message"], "S"),
    "ExtBuffer": lambda notation: ExtBuffer(notation["type"], memory(notation)),
}


def decoded(notation: Any) -> Any:
    """What a decoder makes of it: all that is only bytes is bytes, and all that is boxed is not."""
    if isinstance(notation, list):
        return [decoded(item) for item in notation]
    if isinstance(notation, dict):
        kind = notation.get("$js")
        if kind is None:
            return {key: decoded(item) for key, item in notation.items()}
        if kind in ("Uint8Array", "Uint8ClampedArray", "ArrayBuffer", "DataView"):
            return bytes.fromhex(notation["hex"])
        if kind.startswith("boxed "):
            return decoded(notation["value"])
        if kind == "Date" and notation["ms"] == {"$js": "NaN"}:
            return None
    return value(notation)


def by_rule(rule: str) -> Any:
    """The very large values, which the files only describe."""
    if rule.startswith("the character x repeated"):
        return "x" * int(rule.split()[4])
    if rule.startswith("byte ab repeated"):
        return b"\xab" * int(rule.split()[3])
    if rule.startswith("the number 1 repeated"):
        return [1] * int(rule.split()[4])
    assert rule == "keys k0 to k65535 in that order, every value 0", rule
    return {f"k{n}": 0 for n in range(65536)}


def check_bytes(vector: dict[str, Any], packed: bytes) -> None:
    if "encoded_hex" in vector:
        assert packed.hex() == vector["encoded_hex"]
    else:
        assert packed[:16].hex() == vector["encoded_head_hex"]
        assert len(packed) == vector["encoded_length"]
        assert hashlib.sha1(packed).hexdigest() == vector["encoded_sha1"]


def params(vectors: list[dict[str, Any]], skipped: dict[str, str]) -> list[Any]:
    """For `parametrize`. A vector that is not tested is not hidden: it is skipped, with its reason."""
    unknown = set(skipped) - {vector["name"] for vector in vectors}
    assert not unknown, f"no vector is called {unknown}"
    return [
        pytest.param(
            vector,
            id=vector["name"],
            marks=[pytest.mark.skip(skipped[vector["name"]])] if vector["name"] in skipped else [],
        )
        for vector in vectors
    ]


def same(one: Any, other: Any) -> bool:
    """Equal, where NaN equals itself, zero is the one of its sign, and bytes are not a list of numbers."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
        )
    if isinstance(one, array) or isinstance(other, array):
        return type(one) is type(other) and one.typecode == other.typecode and one == other
    number = isinstance(one, (int, float)) and not isinstance(one, bool)
    if number and isinstance(other, (int, float)) and not isinstance(other, bool):
        return float(one) == float(other)  # JavaScript has but one type of numbers
    return type(one) is type(other) and bool(one == other)
