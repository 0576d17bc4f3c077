from __future__ import annotations

import builtins
import importlib.util
import os
from typing import Any

import pytest

from primus_gevent.protocols import masking
from tests.unit.protocols.wire import xor

SIZES = [*range(20), 100, 125, 126, 767, 768, 769, 770, 771, 772, 4099, 70001]


@pytest.mark.parametrize("mask", [masking.mask, masking.mask_python])
@pytest.mark.parametrize("size", SIZES)
def test_every_byte_meets_its_byte_of_the_key(mask: Any, size: int) -> None:
    data = os.urandom(size)
    for key in (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", os.urandom(4)):
        masked = mask(data, key)
        assert masked == xor(data, key)
        assert type(masked) is bytes
        assert mask(masked, key) == data


def test_the_threshold_separates_two_ways_that_are_both_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    real = masking._translation
    monkeypatch.setattr(masking, "_translation", lambda byte: used.append(byte) or real(byte))  # type: ignore[func-returns-value]
    masking.mask_python(b"x" * (masking.LANES_FROM_BYTES - 1), b"abcd")
    assert used == []
    masking.mask_python(b"x" * masking.LANES_FROM_BYTES, b"abcd")
    assert used == list(b"abcd")


def test_without_websockets_the_python_function_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("websockets"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert masking.__file__ is not None
    spec = importlib.util.spec_from_file_location("masking_alone", masking.__file__)
    assert spec is not None
    assert spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    assert alone.mask is alone.mask_python
