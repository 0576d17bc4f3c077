"""XOR of a WebSocket payload with its four-byte key (RFC 6455, 5.3), the quickest way this machine offers.

`mask` is the C function of the `websockets` package where that can be imported, else `mask_python`.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["mask", "mask_python"]

# Below this the integer wins (100 bytes: 0.6 us against 1.2 us), above it the eight strided slices do (10 kB:
# 12 us against 18 us); benchmarks/codec.py measures both, and the C function, which takes 0.1 us and 0.3 us.
LANES_FROM_BYTES = 768

_TRANSLATIONS: list[bytes | None] = [None] * 256  # 64 KiB when full, so each table is made on first use


def _translation(key_byte: int) -> bytes:
    table = _TRANSLATIONS[key_byte]
    if table is None:
        table = _TRANSLATIONS[key_byte] = bytes(value ^ key_byte for value in range(256))
    return table


def mask_integer(data: bytes, key: bytes) -> bytes:
    """XOR as one big number."""
    size = len(data)
    words = (size + 3) >> 2
    number = int.from_bytes(data, "little") ^ int.from_bytes(key * words, "little")
    # The key covers whole words: what it left beyond the last data byte is cut off again.
    return number.to_bytes(words << 2, "little")[:size]


def mask_lanes(data: bytes, key: bytes) -> bytes:
    """XOR as four strides, each of which meets one byte of the key only."""
    lanes = bytearray(data)
    for lane in range(4):
        lanes[lane::4] = lanes[lane::4].translate(_translation(key[lane]))
    return bytes(lanes)


def mask_python(data: bytes, key: bytes) -> bytes:
    """XOR `data` with the four bytes of `key`, repeated; the same call masks and unmasks."""
    return (mask_integer if len(data) < LANES_FROM_BYTES else mask_lanes)(data, key)


mask: Callable[[bytes, bytes], bytes]
try:
    from websockets.speedups import apply_mask
except ImportError:  # the package, or its compiled part, is not here
    mask = mask_python
else:
    mask = apply_mask
