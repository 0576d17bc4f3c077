"""The walk over a message that the two packing parsers share; they differ in the bytes of each value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .values import key_text, stand_in

__all__ = ["LONG_LIST", "MAX_KEYS", "Packer", "encode_lone_surrogates"]

# Names of properties come again and again, so their bytes are kept, of so many names of at most so many
# characters; names that are data push no others out.
MAX_KEYS = 2048
MAX_KEY_CHARACTERS = 64
# Lists of at least so many items are offered to the parser as a whole.
LONG_LIST = 12

Put = Callable[[bytes], None]


def encode_lone_surrogates(text: str) -> bytes:
    """UTF-8 as Node writes it: half of a surrogate pair becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


class Packer:
    """Packs messages; `encode` is all that is called from outside.

    Args:
        scalars: the bytes of a value by its exact type; one of `str` is needed.
        array_header: what comes before so many items.
        map_header: what comes before so many pairs of key and value.
        long_list: the bytes of a list of `LONG_LIST` items or more, or None to have it item by item.
    """

    __slots__ = ("_array_header", "_known_keys", "_long_list", "_map_header", "_scalar", "_text")

    def __init__(
        self,
        scalars: Mapping[type, Callable[[Any], bytes]],
        array_header: Callable[[int], bytes],
        map_header: Callable[[int], bytes],
        long_list: Callable[[Sequence[Any]], bytes | None] = lambda items: None,
    ) -> None:
        self._scalar = scalars.get
        self._text = scalars[str]
        self._array_header = array_header
        self._map_header = map_header
        self._long_list = long_list
        self._known_keys: dict[str, bytes] = {}

    def encode(self, data: Any) -> bytes:
        """The bytes of one message; raises TypeError, ValueError, OverflowError or RecursionError."""
        pack = self._scalar(type(data))
        if pack is not None:
            return pack(data)
        parts: list[bytes] = []
        self._write(data, parts.append)
        return b"".join(parts)

    def _write(self, value: Any, put: Put) -> None:
        kind = type(value)
        if kind is dict:
            self._write_map(value, put)
        elif kind is list or kind is tuple:
            self._write_array(value, put)
        else:
            value = stand_in(value)
            pack = self._scalar(type(value))
            if pack is not None:
                put(pack(value))
            else:
                self._write(value, put)

    def _write_map(self, value: dict[Any, Any], put: Put) -> None:
        scalar = self._scalar
        known_key = self._known_keys.get
        put(self._map_header(len(value)))
        for key, item in value.items():
            put(known_key(key) or self._pack_key(key))
            pack = scalar(type(item))
            if pack is not None:
                put(pack(item))
            else:
                self._write(item, put)

    def _write_array(self, value: Sequence[Any], put: Put) -> None:
        if len(value) >= LONG_LIST:
            packed = self._long_list(value)
            if packed is not None:
                put(packed)
                return
        scalar = self._scalar
        put(self._array_header(len(value)))
        for item in value:
            pack = scalar(type(item))
            if pack is not None:
                put(pack(item))
            else:
                self._write(item, put)

    def _pack_key(self, key: Any) -> bytes:
        packed = self._text(key_text(key))
        if type(key) is str and len(key) <= MAX_KEY_CHARACTERS and len(self._known_keys) < MAX_KEYS:
            self._known_keys[key] = packed
        return packed
