"""Parsers by name, and in the other forms in which one may be given."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from primus_gevent import parsers
from primus_gevent.errors import OptionError, UnknownNameError


@pytest.mark.parametrize("name", parsers.PARSERS)
def test_a_name_is_a_module(name: str) -> None:
    parser = parsers.load(name)
    assert parser is import_module(f"primus_gevent.parsers.{name}")
    assert parser.decoder(parser.encoder("primus::ping::1")) == "primus::ping::1"
    assert getattr(parser, "wire_name", name) in parsers.PARSERS


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"known are: binary, ejson, json, jsonh, msgpack, orjson"):
        parsers.load("yaml")


def test_an_object_is_its_own_parser() -> None:
    own = SimpleNamespace(encoder=str, decoder=int)
    assert parsers.load(own) is own


def test_a_mapping_becomes_one() -> None:
    parser = parsers.load({"encoder": str, "decoder": int, "library": "{}"})
    assert (parser.encoder, parser.decoder, parser.library) == (str, int, "{}")


@pytest.mark.parametrize("parser", [None, 5, {}, {"encoder": str}, SimpleNamespace(encoder=1, decoder=str)])
def test_what_is_none_is_refused(parser: Any) -> None:
    with pytest.raises(OptionError, match="no function") as caught:
        parsers.load(parser)
    assert caught.value.option == "parser"
