"""EJSON of Meteor, as the original's `ejson` 2.2 reads and writes it: JSON that can carry more types.

A Date is ``{"$date": <ms>}``, bytes are ``{"$binary": <base64>}``, NaN and the infinities ``{"$InfNaN": 0}``,
``1`` and ``-1``, a regular expression ``{"$regexp": ..., "$flags": ...}``, a type of the application's
``{"$type": <name>, "$value": ...}`` (`add_type`). A plain object that looks like one of them is sent inside
``{"$escape": ...}``.

Most messages hold nothing of that, so the C code of simplejson does all the work for them, and what is
special is found in one search.
"""

from __future__ import annotations

import binascii
import math
import re
from array import array
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from simplejson import RawJSON

from . import json
from .values import EPOCH, MILLISECOND, RegExp, from_ms, to_ms

__all__ = ["add_type", "decoder", "encoder"]

_types: dict[str, Callable[[Any], Any]] = {}


def add_type(name: str, factory: Callable[[Any], Any]) -> None:
    """Let values of an application's own type arrive as such.

    Objects with the methods ``type_name()``, which returns ``name``, and ``to_json_value()``, which returns
    plain JSON, are sent in that form; ``factory`` makes one of that plain JSON. The client has to know the
    type too: ``EJSON.addType``. For the whole process, once.

    Raises:
        ValueError: there is a type of that name already.
    """
    if name in _types:
        raise ValueError(f"the EJSON type {name!r} exists already")
    _types[name] = factory


# -- encoding

# Special forms are written with an escaped slash in place of the dollar, which simplejson never writes. So
# what has a real dollar in the result is an object of the application's, and the others are named after.
_MARK = '{"\\/'


def _date_form(value: datetime) -> RawJSON:
    return RawJSON(f'{_MARK}date":{to_ms(value)}}}')


def _bytes_form(value: Any) -> RawJSON:
    return RawJSON(f'{_MARK}binary":"{b64encode(bytes(value)).decode()}"}}')


def _regexp_form(value: RegExp) -> RawJSON:
    return RawJSON(f'{_MARK}regexp":{json.encoder(value.source)},"$flags":{json.encoder(value.flags)}}}')


def _number_form(value: float) -> RawJSON:
    return RawJSON(f'{_MARK}InfNaN":{0 if value != value else 1 if value > 0 else -1}}}')


def _stand_in(value: Any) -> Any:
    if isinstance(value, datetime):
        return _date_form(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes_form(value)
    if isinstance(value, array):
        # Uint8Array is a special form; all other typed arrays are objects to the original.
        return _bytes_form(value) if value.typecode == "B" else {str(n): item for n, item in enumerate(value)}
    if isinstance(value, RegExp):
        return _regexp_form(value)
    if isinstance(value, re.Pattern):
        return _regexp_form(RegExp.of(value))
    to_json_value = getattr(value, "to_json_value", None)
    if callable(to_json_value) and callable(getattr(value, "type_name", None)):
        # Plain JSON, in which nothing is special: that is how the other end hands it to its factory.
        name, plain = json.encoder(value.type_name()), json.encoder(to_json_value())
        return RawJSON(f'{_MARK}type":{name},"$value":{plain}}}')
    return json.stand_in(value)


_encode = json.make_encoder(_stand_in, ignore_nan=False)


def encoder(data: Any) -> str:
    """Encode ``data``; raises TypeError, ValueError or RecursionError for what has no form."""
    if type(data) is str:
        return json.encoder(data)
    try:
        text = _encode(data)
    except ValueError:  # a number that JSON does not have, or a cycle
        return _finish(_encode(_prepare(data)))
    # An object that needs an escape begins with a special key.
    if '{"$' in text:
        text = _encode(_prepare(data))
    return _finish(text)


def _finish(text: str) -> str:
    return text.replace(_MARK, '{"$') if _MARK in text else text


def _prepare(value: Any) -> Any:
    """Copy what has to be escaped, and what JSON has no number for; the rest is for `_encode`."""
    if isinstance(value, (float, Decimal)):
        return value if math.isfinite(value) else _number_form(float(value))
    if isinstance(value, (str, int)) or value is None:
        return value
    for_json = getattr(value, "for_json", None)
    if callable(for_json):
        return _prepare(for_json())
    if isinstance(value, array) and value.typecode in "fd":
        value = _stand_in(value)
    as_dict = getattr(value, "_asdict", None)  # named tuples are objects
    if isinstance(value, tuple) and callable(as_dict):
        value = as_dict()
    if isinstance(value, dict):
        copy = {key: _prepare(item) for key, item in value.items()}
        return {"$escape": copy} if _is_special(value) else copy
    if isinstance(value, (list, tuple)):
        return [_prepare(item) for item in value]
    return value


_ALONE = frozenset(("$date", "$InfNaN", "$binary", "$escape"))
_PAIRS = ({"$type", "$value"}, {"$regexp", "$flags"})


def _is_special(value: dict[Any, Any]) -> bool:
    if len(value) == 1:
        return not _ALONE.isdisjoint(value)
    return len(value) == 2 and value.keys() in _PAIRS


# -- decoding

# An object may be special only if all its keys, and so its first one, begin with a dollar.
_SPECIAL = re.compile(r'\{[ \t\r\n]*"(?:\$|\\u0024)')


def _revive(value: dict[str, Any]) -> Any:
    """The value of an object that may be special; a plain one is itself."""
    if len(value) == 1:
        ((key, item),) = value.items()
        reader = _READERS.get(key)
        return value if reader is None else reader(item)
    if len(value) == 2:
        if "$regexp" in value and "$flags" in value:
            return _regexp(value["$regexp"], value["$flags"])
        if "$type" in value and "$value" in value:
            return _custom(value["$type"], value["$value"])
    return value


def _revive_all(value: Any) -> Any:
    """The same from the outside to the inside: what an escape or a custom type holds is not special."""
    if isinstance(value, dict):
        if "$escape" in value and len(value) == 1:
            literal = value["$escape"]
            if not isinstance(literal, dict):
                raise ValueError("what is escaped must be an object")
            return {key: _revive_all(item) for key, item in literal.items()}
        revived = _revive(value)
        if revived is value:
            return {key: _revive_all(item) for key, item in value.items()}
        return revived
    if isinstance(value, list):
        return [_revive_all(item) for item in value]
    return value


# `new Date(text)`: the format of ECMAScript, 21.4.1.32. What engines read beyond it is an invalid Date here.
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)


def _date(value: Any) -> datetime | None:
    if isinstance(value, (int, float)):
        return from_ms(value)
    if value is None:
        return EPOCH
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    return match and _date_of(match)


def _date_of(match: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        found = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=timezone.utc,
        )
    except ValueError:
        return None
    found += MILLISECOND * int((fraction or "0").ljust(3, "0")[:3])
    if zone and zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        try:
            found = found - offset if zone[0] == "+" else found + offset
        except OverflowError:
            raise ValueError(f"the Date {match[0]} is out of the range of datetime") from None
    return found


def _not_finite(value: Any) -> float:
    if isinstance(value, str):
        value = float(value)
    return math.inf if value and value > 0 else -math.inf if value else math.nan


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NO_DIGIT = re.compile(f"[^{re.escape(_ALPHABET)}]")


def _binary(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("$binary must be base64")
    # As lenient as the original: what is no digit counts as a zero, and padding may be missing.
    digits = _NO_DIGIT.sub("A", value.rstrip("="))
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return binascii.a2b_base64(digits + "=" * (-len(digits) % 4))


def _regexp(source: Any, flags: Any) -> RegExp:
    if not isinstance(source, str) or not isinstance(flags, str):
        raise ValueError("$regexp and $flags must be text")
    return RegExp(source, "".join(sorted(set(flags[:50]) & set("gimuy"))))


def _custom(name: Any, value: Any) -> Any:
    factory = _types.get(name) if isinstance(name, str) else None
    if factory is None:
        raise ValueError(f"the EJSON type {name!r} is not defined: add_type() it")
    return factory(value)


_READERS: dict[str, Callable[[Any], Any]] = {"$date": _date, "$InfNaN": _not_finite, "$binary": _binary}

_decode_plain = json.make_decoder()
_decode_special = json.make_decoder(_revive)


def decoder(raw: str | bytes) -> Any:
    """Decode one text message.

    Raises:
        ValueError: it is no JSON, or a special form that cannot be read (an unknown type, say).
        TypeError: it is binary.
        RecursionError: it nests too deep.
    """
    if not isinstance(raw, str):
        raise TypeError("ejson reads text messages, and this one is binary")
    if _SPECIAL.search(raw) is None:
        return _decode_plain(raw)
    if "$escape" in raw or "$type" in raw or "\\u" in raw:
        return _revive_all(_decode_plain(raw))
    return _decode_special(raw)
