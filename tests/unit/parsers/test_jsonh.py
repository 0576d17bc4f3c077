"""The JSONH parser against what the original's package writes and refuses; it differs on purpose in texts."""

from __future__ import annotations

from typing import Any

import pytest

from primus_gevent.parsers import jsonh as parser
from tests.unit.parsers.js_values import decoded, load, params, value

VECTORS = load("jsonh")

LOST = "the original changes it on its way; here it is refused"
TEXT = "the original makes a list of objects of a text; here it is JSON text, so that heartbeats work"
NOT_ENCODED = {
    "array of strings": LOST,
    "array of numbers": LOST,
    "array with one array": LOST,
    "object with length": LOST,
    "string": TEXT,
    "empty string": TEXT,
    "protocol string ping": TEXT,
    "protocol string close": TEXT,
}


@pytest.mark.parametrize("vector", params(VECTORS["vectors"], NOT_ENCODED))
def test_what_javascript_would_write_is_written(vector: dict[str, Any]) -> None:
    if "encode_error" in vector:
        with pytest.raises(TypeError, match="lists of objects"):
            parser.encoder(value(vector["value"]))
    else:
        assert parser.encoder(value(vector["value"])) == vector["text"]


DECODED = [v for v in VECTORS["vectors"] if "text" in v] + VECTORS["decode_only"]


@pytest.mark.parametrize(
    "vector", params(DECODED, {"a string is treated like a list of characters": "here it is a text"})
)
def test_what_javascript_writes_is_read(vector: dict[str, Any]) -> None:
    expected = vector["decodes_to"] if "decodes_to" in vector else vector["value"]
    assert parser.decoder(vector["text"]) == decoded(expected)


@pytest.mark.parametrize("vector", params(VECTORS["invalid"], {}))
def test_what_javascript_refuses_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parser.decoder(vector["text"])


def test_there_are_vectors() -> None:
    assert len(VECTORS["vectors"]) == 31


@pytest.mark.parametrize("text", ["primus::ping::1400000000123", "primus::server::close", "", "é\u2028"])
def test_texts_come_back(text: str) -> None:
    """Primus's own messages among them: without them every connection would be taken for dead."""
    assert parser.decoder(parser.encoder(text)) == text


@pytest.mark.parametrize(
    "data", [None, 5, True, 1.5, {"a": 1}, [1, 2], ["ab"], [{"a": 1}, 2], [None], [[1]], b"a"]
)
def test_what_jsonh_cannot_carry_is_refused(data: Any) -> None:
    with pytest.raises(TypeError, match="jsonh carries lists of objects"):
        parser.encoder(data)


def test_rows_may_have_keys_that_are_numbers() -> None:
    assert parser.encoder([{1: 2, None: 3}]) == '[2,"1","null",2,3]'


@pytest.mark.parametrize(
    "text", ["[-1]", '[true,"a",1]', '["1","a",2]', '[1.5,"a",1,2]', "[0,1]", "[1000000000]", '[1,{"x":1},5]']
)
def test_other_lists_are_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        parser.decoder(text)


def test_bytes_pass_as_they_are() -> None:
    assert parser.decoder(b"[1]") == b"[1]"
