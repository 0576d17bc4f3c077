"""JSONH of Primus 2.4: a list of uniform objects as one flat list, ``[columns, names..., cells...]``.

The original packs everything as if it were such a list: texts turn into lists of objects, Primus's own among
them, so that heartbeats are never recognised; numbers get lost. Here a text is a JSON text, in both
directions, which is enough for heartbeats between this server and its own clients, and what is no list of
objects is an error.
"""

from __future__ import annotations

from typing import Any

from . import json
from .values import key_text

__all__ = ["decoder", "encoder"]


def encoder(data: Any) -> str:
    """Encode a list of objects, or a text.

    The columns are the keys of the first object; what a later one lacks is null, what it has more is left
    out, as in the original.

    Raises:
        TypeError: it is something else, or has no JSON form.
    """
    if isinstance(data, str):
        return json.encoder(data)
    if not isinstance(data, (list, tuple)) or not all(isinstance(row, dict) for row in data):
        raise TypeError("jsonh carries lists of objects (dict), and texts; json and ejson carry the rest")
    if not data:
        return "[0]"
    keys = list(data[0])
    flat = [len(keys), *map(key_text, keys)]
    flat += [row.get(key) for row in data for key in keys]
    return json.encoder(flat)


def decoder(raw: str | bytes) -> Any:
    """Decode one text message; bytes pass as they are, as in the original.

    What is no list is none of objects either, and comes as an empty one.

    Raises:
        ValueError: the text is no JSON, null, or a list whose cells do not fill its rows.
        RecursionError: it nests too deep.
    """
    flat = json.decoder(raw)
    if isinstance(flat, (str, bytes)):
        return flat
    if flat is None:
        raise ValueError("null is no jsonh")
    if not isinstance(flat, list) or not flat:
        return []
    columns = flat[0]
    if isinstance(columns, bool) or not isinstance(columns, int) or columns < 0:
        raise ValueError("jsonh begins with the number of columns")
    names = [key_text(name) for name in flat[1 : columns + 1]]
    cells = len(flat) - 1 - columns
    if cells < 0 or (cells % columns if columns else cells):
        raise ValueError(f"{len(flat) - 1} names and cells are no rows of {columns} columns")
    rows = range(columns + 1, len(flat), columns) if columns else ()
    return [dict(zip(names, flat[row : row + columns], strict=True)) for row in rows]
