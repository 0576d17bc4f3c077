"""Any body becomes messages or an error, as its description says; and any deliveries become what was sent.

Long runs: ``FUZZ_EXAMPLES=100000 pytest tests/fuzz``.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from primus_gevent.protocols.browserchannel import (
    JSON_TYPE,
    Arrays,
    BadData,
    Batch,
    ForwardChannel,
    Query,
    Scripts,
    decode_post,
    encode_arrays,
    encode_chunk,
    encode_message,
)

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
MAX_MAPS = 5
FORM = "application/x-www-form-urlencoded"

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.one_of(
    st.sampled_from(["0", "1", "2", "3", "5", "6", "9", "01", "-1", "", "x", "1e3", "٣", "1" * 15, "1" * 16]),
    anything,
)
values = st.one_of(
    st.sampled_from(
        ["text", '"text"', "{}", '{"a":1}', "null", " 1 ", "NaN", "[", "1 2", "%", "+", "%2", "a=b", "é😀"]
    ),
    anything,
)
encodings = st.sampled_from([lambda text: quote(text, safe=""), lambda text: text, quote])
keys = st.one_of(st.sampled_from(["_S", "JSON", "type", "x"]), anything)
names = st.one_of(
    st.sampled_from(["count", "ofs"]),
    st.builds(
        lambda n, key: f"req{n}_{key}", st.sampled_from(["0", "1", "2", "3", "4", "5", "00", "٣"]), keys
    ),
    anything,
)
fields = st.builds(
    lambda encode, name, value: f"{encode(name)}={encode(value)}",
    encodings,
    names,
    st.one_of(numbers, values),
)
lawful = st.builds(
    lambda count, first, rest: "&".join([f"count={count}", f"ofs={first}", *rest]),
    st.integers(0, 7),
    st.integers(0, 9),
    st.lists(
        st.builds(
            lambda n, key, value: f"req{n}_{key}={quote(value, safe='')}",
            st.integers(0, 6),
            st.sampled_from(["_S", "_S", "_S", "JSON", "type"]),
            values,
        ),
        max_size=12,
    ),
)
forms = st.one_of(lawful, lawful, st.lists(fields, max_size=8).map("&".join)).map(str.encode)


def attempt(body: bytes, content_type: str) -> tuple[Batch, bool]:
    """What counts, and whether that is all."""
    try:
        return decode_post(body, content_type, max_maps=MAX_MAPS), True
    except BadData as error:
        return error.batch, False


def is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=lambda name: 1 // 0)
    except (ValueError, ZeroDivisionError):
        return False
    return True


def reference(body: bytes) -> tuple[Batch, bool]:
    """A form read as its description says, by other means than ours."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=None)
    given = dict(pairs)
    numbers = {
        name: int(value) if re.fullmatch("[0-9]{1,15}", value) else None
        for name, value in given.items()
        if name in ("count", "ofs")
    }
    count, first = numbers.get("count"), numbers.get("ofs")
    if count == 0:
        return Batch(), True
    if count is None or first is None:
        return Batch(), False
    messages: list[Any] = []
    for index in range(count):
        mine = {
            name.removeprefix(f"req{index}_"): value
            for name, value in given.items()
            if name.startswith(f"req{index}_") and name != f"req{index}_"
        }
        if not mine or index == MAX_MAPS:
            return Batch(first, messages), False
        if "JSON" in mine:
            if not is_json(mine["JSON"]):
                return Batch(first, messages, broken=True), True
            value = json.loads(mine["JSON"])
            messages.append(value if isinstance(value, str) else mine["JSON"])
        else:
            messages.append(mine.get("_S"))
    return Batch(first, messages), True


@settings(max_examples=EXAMPLES)
@given(body=forms)
@example(body=b"count=2&ofs=0&req0__S=a&req1_JSON=%7B")
@example(body=b"count=6&ofs=0&" + b"&".join(b"req%d__S=" % n for n in range(6)))
def test_a_form_is_read_as_its_description_says(body: bytes) -> None:
    assert attempt(body, FORM) == reference(body)


jsons = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=EXAMPLES)
@given(first=st.integers(0, 10**6), data=st.lists(jsons, max_size=7), cut=st.integers(0, 400))
def test_a_json_body_comes_out_as_it_went_in(first: int, data: list[Any], cut: int) -> None:
    body = json.dumps({"ofs": first, "data": data}).encode()
    found, complete = attempt(body, JSON_TYPE)
    assert complete == (len(data) <= MAX_MAPS)
    if complete and data:
        assert found.first == first
        for message, value in zip(found.messages, data, strict=True):
            assert isinstance(message, str)
            assert (message if isinstance(value, str) else json.loads(message)) == value
    if cut < len(body):
        assert attempt(body[:cut], JSON_TYPE) == (Batch(), False)


@settings(max_examples=EXAMPLES)
@given(
    query=st.dictionaries(
        st.sampled_from(["VER", "RID", "SID", "AID", "CI", "TYPE", "OSID", "OAID"]), numbers
    )
)
def test_any_query_means_something(query: dict[str, str]) -> None:
    read = Query.read(query)
    for number in (read.rid, read.aid, read.old_aid):
        assert number is None or 0 <= number < 10**15
    assert read.sid != ""


@settings(max_examples=EXAMPLES)
@given(texts=st.lists(st.text(), max_size=6))
def test_what_is_written_is_read_by_others(texts: list[str]) -> None:
    """By any JSON reader, in a chunk, and in a script."""
    arrays = [(number, encode_message(text)) for number, text in enumerate(texts)]
    length, _, rest = encode_chunk(encode_arrays(arrays)).decode().partition("\n")
    assert len(rest.encode("utf-16-le")) == 2 * int(length)
    expected = json.loads(json.dumps([list(pair) for pair in enumerate(texts)]))
    assert json.loads(rest) == expected
    script = Scripts().arrays(arrays).decode("ascii")
    found = re.fullmatch(
        r'<script>try \{parent\.m\(("(?:[^"\\<]|\\.)*")\)\} catch\(e\) \{\}</script>\n[0-9a-f]{290}\n', script
    )
    assert found is not None
    assert json.loads(json.loads(found[1])) == expected


steps = st.lists(
    st.tuples(
        st.sampled_from(["post", "repeat", "late", "lost"]),
        st.integers(0, 5),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=EXAMPLES)
@given(plan=steps)
def test_maps_arrive_once_and_in_order(plan: list[tuple[str, int, int, bool]]) -> None:
    """Requests that are lost and repeated, with what has come meanwhile, or overtaken by others."""
    channel = ForwardChannel(7, max_size=10_000)
    out: list[str] = []
    late: list[tuple[int, Batch]] = []
    rid, sent = 7, 0
    for kind, size, more, at_once in plan:
        batch = Batch(sent, [str(n) for n in range(sent, sent + size)])
        longer = Batch(sent, [str(n) for n in range(sent, sent + size + more)])
        if kind == "late":
            late.append((rid, batch))
        elif kind == "lost":
            out += channel.receive(rid, longer)
            batch = longer
        else:
            out += channel.receive(rid, batch)
            if kind == "repeat":
                out += channel.receive(rid, longer)
                batch = longer
        rid, sent = rid + 1, sent + len(batch.messages)
        if at_once:
            for number, request in late:
                out += channel.receive(number, request)
            late.clear()
        assert out == [str(n) for n in range(len(out))]
    for number, request in reversed(late):
        out += channel.receive(number, request)
    assert out == [str(n) for n in range(sent)]
    assert not channel.broken


@settings(max_examples=EXAMPLES)
@given(plan=st.lists(st.tuples(st.sampled_from("atrkl"), st.integers(0, 8)), max_size=60))
def test_a_client_gets_every_array_once_and_in_order(plan: list[tuple[str, int]]) -> None:
    """Chunks that are lost, back channels that begin anew, and acknowledgements that are late."""
    arrays = Arrays()
    count = 0
    seen: list[str] = []

    def deliver(taken: list[tuple[int, str]]) -> None:
        for number, data in taken:
            assert number <= len(seen)
            if number == len(seen):
                seen.append(data)

    for action, amount in plan:
        if action == "a":
            for _ in range(amount):
                arrays.add(str(count))
                count += 1
        elif action == "t":
            deliver(arrays.take(amount))
        elif action == "l":  # it is lost, which the client notices
            arrays.take(amount)
            arrays.acknowledge(len(seen) - 1)
            arrays.rewind()
        elif action == "r":
            arrays.rewind()
        else:
            arrays.acknowledge(max(-1, len(seen) - 1 - amount))
    arrays.acknowledge(len(seen) - 1)
    arrays.rewind()
    deliver(arrays.take(10**6))
    assert seen == [str(n) for n in range(count)]
