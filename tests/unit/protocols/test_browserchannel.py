"""The codec of BrowserChannel: the bytes of the original in both directions, what it refuses, the order of
things, and that nothing hostile costs more than its size."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols import browserchannel as bc
from primus_gevent.protocols.browserchannel import (
    Arrays,
    BadData,
    Batch,
    Chunks,
    ForwardChannel,
    InOrder,
    Query,
    Scripts,
    decode_post,
    encode_arrays,
    encode_chunk,
    encode_message,
    encode_opening,
    encode_prefixes,
    encode_status,
    error_page,
)

FORM = "application/x-www-form-urlencoded"


def chunk(*arrays: tuple[int, str]) -> bytes:
    return encode_chunk(encode_arrays(arrays))


# --- answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "written"),
    [
        ([(0, '["c","5iebsmdu",null,8]')], '30\n[[0,["c","5iebsmdu",null,8]]]\n'),
        ([(0, '["c","8wwb4jwz",null,8]'), (1, '"first"')], '42\n[[0,["c","8wwb4jwz",null,8]],[1,"first"]]\n'),
        ([(4, "1")], "8\n[[4,1]]\n"),
        ([(5, bc.NOOP)], '15\n[[5,["noop"]]]\n'),
        ([(6, '"😀"')], '11\n[[6,"😀"]]\n'),
    ],
)
def test_chunks_of_the_original(arrays: list[tuple[int, str]], written: str) -> None:
    assert chunk(*arrays) == written.encode()


def test_line_separators_are_escaped_before_they_are_counted() -> None:
    data = encode_message("\u2028é\u2029")
    assert data == '"\\u2028é\\u2029"'
    # the original's: 2 and 3 with `x` and {"a":["<U+2028>é"]}
    assert (
        chunk((2, encode_message("x")), (3, '{"a":["\\u2028é"]}'))
        == '32\n[[2,"x"],[3,{"a":["\\u2028é"]}]]\n'.encode()
    )


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", '""'),
        ('"bye"', '"\\"bye\\""'),
        ("\\/\b\f\n\r\t", '"\\\\/\\b\\f\\n\\r\\t"'),
        ("\x00\x1f\x7f", '"\\u0000\\u001f\x7f"'),
        ("é\x00", '"é\\u0000"'),
        ("a\ud800b", '"a\\ud800b"'),
        ("\ud83d\ude00", '"\\ud83d\\ude00"'),
        ("</script>", '"</script>"'),
    ],
)
def test_messages_are_written_as_by_json_stringify(text: str, data: str) -> None:
    assert encode_message(text) == data


@given(st.lists(st.text(st.characters() | st.sampled_from('\u2028\u2029😀\ud800\udc00\n\\"'))))
def test_any_message_comes_out_of_its_chunk(texts: list[str]) -> None:
    written = chunk(*enumerate(map(encode_message, texts))).decode()
    assert "\u2028" not in written
    length, rest = written.split("\n", 1)
    assert len(rest.encode("utf-16-le")) == 2 * int(length)
    assert rest[-1] == "\n"
    assert json.loads(rest) == json.loads(json.dumps([list(pair) for pair in enumerate(texts)]))


def test_opening() -> None:
    assert encode_opening("abc", None) == '["c","abc",null,8]'
    assert encode_opening('a"</', "chan") == '["c","a\\"</","chan",8]'


@pytest.mark.parametrize(("prefix", "written"), [(None, b"[null,null]"), ("chan", b'["chan",null]')])
def test_first_phase_of_the_test(prefix: str | None, written: bytes) -> None:
    assert encode_prefixes(prefix) == written


def test_status_has_no_line_end() -> None:
    assert encode_status(connected=False, last_sent=0, outstanding=0) == b"7\n[0,0,0]"
    assert encode_status(connected=True, last_sent=4, outstanding=16) == b"8\n[1,4,16]"
    assert encode_status(connected=False, last_sent=-1, outstanding=0) == b"8\n[0,-1,0]"


def test_error_page() -> None:
    assert error_page(bc.UNKNOWN_SID) == b"<html><body><h1>Unknown SID</h1></body></html>"


def test_plain_response() -> None:
    chunks = Chunks()
    assert (chunks.prelude, chunks.end, chunks.content_type) == (b"", b"", "text/plain")
    assert chunks.arrays([(4, "1")]) == b"8\n[[4,1]]\n"
    assert chunks.text("11111") == b"11111"


def test_forever_frame() -> None:
    scripts = Scripts("a.com")
    assert scripts.content_type == "text/html"
    assert scripts.prelude == b'<html><body><script>try{document.domain="a.com";}catch(e){}</script>\n'
    first = scripts.arrays([(4, "1")])
    script, padding = first[:-291], first[-291:]
    assert script == b'<script>try {parent.m("[[4,1]]\\n")} catch(e) {}</script>\n'
    assert len(padding) == 291
    assert int(padding, 16)
    assert padding[-1:] == b"\n"
    # once only
    assert scripts.arrays([(5, '"é\\u2028"')]) == (
        rb'<script>try {parent.m("[[5,\"\u00e9\\u2028\"]]\n")} catch(e) {}</script>' + b"\n"
    )
    assert scripts.text("2") == b'<script>try {parent.m("2")} catch(e) {}</script>\n'
    assert scripts.end == b"<script>try  {parent.d(); }catch (e){}</script>\n"
    assert Scripts().prelude == b"<html><body>"


@given(st.text() | st.just("</script><script>alert(1)</script><!--"))
def test_nothing_ends_a_script_early(text: str) -> None:
    scripts = Scripts(text)
    head = scripts.prelude + scripts.text("")
    for page in (scripts.prelude, scripts.arrays([(1, encode_message(text))]), scripts.text(text), head):
        assert page.isascii()
        marks = page.count(b"<script>")
        assert page.count(b"</script>") == marks
        assert page.count(b"<") == 2 * marks + 2 * page.startswith(b"<html><body>")
    quoted = scripts.text(text).split(b"parent.m(")[1].split(b")} catch")[0]
    assert json.loads(quoted) == text


# --- requests -----------------------------------------------------------------------------------------------


def read(**fields: str) -> Query:
    return Query.read(fields)


def test_query_of_the_back_channel() -> None:
    query = read(VER="8", RID="rpc", SID="abc", CI="0", AID="12", TYPE="xmlhttp", zx="1", t="1")
    assert query.is_version_8
    assert (query.is_rpc, query.rid, query.sid, query.aid) == (True, None, "abc", 12)
    assert (query.streams, query.type) == (True, bc.XMLHTTP)
    assert not read(CI="1").streams
    assert not read().streams


def test_query_of_a_first_post() -> None:
    query = read(VER="8", RID="1000", CVER="7", OSID="old", OAID="3")
    assert (query.rid, query.is_rpc, query.sid) == (1000, False, None)
    assert (query.old_sid, query.old_aid) == ("old", 3)


@pytest.mark.parametrize("version", ["", "7", "08", "8.0", " 8"])
def test_other_versions(version: str) -> None:
    assert not read(VER=version).is_version_8


@pytest.mark.parametrize("number", ["", "-1", "1e3", "1.0", "٣", " 1", "+1", "0x1", "1" * 16, "NaN"])
def test_what_is_no_number(number: str) -> None:
    query = read(RID=number, AID=number, OAID=number)
    assert (query.rid, query.aid, query.old_aid) == (None, None, None)


def test_empty_ids_are_none() -> None:
    query = read(SID="", OSID="")
    assert (query.sid, query.old_sid) == (None, None)


# --- bodies -------------------------------------------------------------------------------------------------


def batch(body: str | bytes, content_type: str = FORM, **limits: int) -> Batch:
    return decode_post(body.encode() if isinstance(body, str) else body, content_type, **limits)


def refused(body: str | bytes, content_type: str = FORM, **limits: int) -> Batch:
    with pytest.raises(BadData) as caught:
        batch(body, content_type, **limits)
    return caught.value.batch


def test_form_of_the_original() -> None:
    found = batch("count=2&ofs=5&req0__S=hello&req1_JSON=%7B%22a%22%3A1%7D")
    assert found == Batch(5, ["hello", '{"a":1}'])
    assert batch("count=0") == Batch()
    assert batch("count=0&ofs=abc") == Batch()


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("req0__S=", ""),
        ("req0__S", ""),
        ("req0__S=a%20b+c", "a b c"),
        ("req0__S=a=b", "a=b"),
        ("req0__S=%F0%9F%98%80%0A%00", "😀\n\0"),
        ("req0__S=%ff%zz%", "\ufffd%zz%"),
        ("req0__S=é", "é"),
        ("%72eq0_%5FS=x", "x"),
        ("req0__S=x&req0_JSON=1", "1"),
        ('req0_JSON="text"', "text"),
        ("req0_JSON=+null+", " null "),
        ("req0_JSON=1e400", "1e400"),
        ("req0_JSON=" + "1" * 5000, "1" * 5000),
        ("req0__S=x&req0__S=y", "y"),
        ("req0_other=x", None),
        ("req0_type=_badmap", None),
    ],
)
def test_maps(encoded: str, message: str | None) -> None:
    assert batch("count=1&ofs=0&" + encoded) == Batch(0, [message])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "count=",
        "count=x",
        "count=-1",
        "count=1",
        "count=1&req0__S=x",
        "count=1&ofs=&req0__S=x",
        "count=1&ofs=-1&req0__S=x",
        "count=1e1&ofs=0",
        "count=" + "9" * 5000,
        b"\xff\xfe",
        '{"ofs":0,"data":["x"]}',
    ],
)
def test_forms_that_are_none(body: str | bytes) -> None:
    assert refused(body) == Batch()


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ("count=2&ofs=3&req0__S=a", ["a"]),
        ("count=1000000000&ofs=3&req0__S=a&req1__S=b", ["a", "b"]),
        ("count=999999999999999&ofs=3&req1__S=b", []),
        ("count=3&ofs=3&req0__S=a&req2__S=b", ["a"]),
        ("count=1&ofs=3&req00__S=a", []),
        ("count=1&ofs=3&req٠__S=a", []),
        ("count=1&ofs=3&req0_=a", []),
    ],
)
def test_maps_in_front_of_one_that_is_missing_count(body: str, messages: list[str]) -> None:
    assert refused(body) == Batch(3, messages)


def test_a_map_beyond_count_is_not_there() -> None:
    assert batch("count=1&ofs=0&req0__S=a&req1__S=b") == Batch(0, ["a"])


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[Infinity]", "-Infinity", "'a'", "1 2", "\ufeff1", "[" * 100_000, '{"a":' * 50_000],
)
def test_json_that_is_none_ends_the_reading(text: str) -> None:
    body = "count=3&ofs=0&" + urlencode({"req0__S": "a", "req1_JSON": text, "req2__S": "b"})
    assert batch(body) == Batch(0, ["a"], broken=True)


def test_body_that_is_json() -> None:
    body = '{"ofs":5,"data":["hello",{"a":1},null,1.5,[true],"é\u2028"]}'
    assert batch(body, bc.JSON_TYPE) == Batch(5, ["hello", '{"a":1}', "null", "1.5", "[true]", "é\u2028"])
    assert batch('{"data":[]}', bc.JSON_TYPE) == Batch()
    assert batch('{"ofs":0,"data":[1e400]}', bc.JSON_TYPE) == Batch(0, ["null"])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        '"x"',
        "{}",
        '{"ofs":0}',
        '{"ofs":0,"data":null}',
        '{"ofs":0,"data":"x"}',
        '{"ofs":0,"data":{"0":"x"}}',
        '{"data":["x"]}',
        '{"ofs":null,"data":["x"]}',
        '{"ofs":true,"data":["x"]}',
        '{"ofs":"0","data":["x"]}',
        '{"ofs":-1,"data":["x"]}',
        '{"ofs":0.0,"data":["x"]}',
        '{"ofs":1' + "0" * 15 + ',"data":["x"]}',
        '{"ofs":0,"data":[NaN]}',
        '{"ofs":0,"data":[' + "1" * 5000 + "]}",
        '{"ofs":0,"data":' + "[" * 100_000,
        b'\xef\xbb\xbf{"ofs":0,"data":[]}',
        "count=0",
    ],
)
def test_json_bodies_that_are_none(body: str | bytes) -> None:
    assert refused(body, bc.JSON_TYPE) == Batch()


def test_json_with_parameters_is_a_form() -> None:
    refused('{"ofs":0,"data":["x"]}', "application/json; charset=utf-8")
    assert batch("count=0", "text/plain") == Batch()


def test_limits() -> None:
    fields = "&".join(f"req{n}__S={n}" for n in range(5))
    assert len(batch(f"count=5&ofs=0&{fields}", max_maps=5).messages) == 5
    assert refused(f"count=5&ofs=0&{fields}", max_maps=4).messages == ["0", "1", "2", "3"]
    assert refused('{"ofs":0,"data":[1,2,3]}', bc.JSON_TYPE, max_maps=2) == Batch()
    assert refused("count=0" + "&" * bc.MAX_FIELDS) == Batch()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.integers(0, 10**9), st.booleans())
def test_any_messages_come_out_of_a_form(texts: list[str], first: int, as_json: bool) -> None:
    body = f"count={len(texts)}&ofs={first}"
    for index, text in enumerate(texts):
        if as_json:
            body += f"&req{index}_JSON={quote(json.dumps([text]), safe='')}"
        else:
            body += f"&req{index}__S={quote(text, safe='')}"
    found = batch(body)
    assert found.first == (first if texts else 0)
    assert list(found.messages) == ([json.dumps([text]) for text in texts] if as_json else texts)


@given(st.binary(max_size=200), st.sampled_from([FORM, bc.JSON_TYPE]))
def test_any_body_is_a_batch_or_bad_data(body: bytes, content_type: str) -> None:
    try:
        found = decode_post(body, content_type)
    except BadData as error:
        found = error.batch
    assert all(message is None or isinstance(message, str) for message in found.messages)


# --- arrays -------------------------------------------------------------------------------------------------


def arrays_of(*data: str) -> Arrays:
    arrays = Arrays()
    for item in data:
        arrays.add(item)
    return arrays


def test_arrays_are_kept_until_they_are_acknowledged() -> None:
    arrays = arrays_of("1", "22", "333")
    assert (arrays.waiting, arrays.size, arrays.last_sent) == (3, 6, -1)
    assert arrays.take(100) == [(0, "1"), (1, "22"), (2, "333")]
    assert (arrays.waiting, arrays.size, arrays.last_sent) == (0, 6, 2)
    assert arrays.take(100) == []
    arrays.rewind()
    arrays.add("4")
    assert arrays.take(100) == [(0, "1"), (1, "22"), (2, "333"), (3, "4")]
    arrays.acknowledge(1)
    assert (arrays.size, arrays.waiting) == (4, 0)
    arrays.rewind()
    assert arrays.take(100) == [(2, "333"), (3, "4")]
    arrays.acknowledge(3)
    assert arrays.size == 0
    arrays.rewind()
    assert arrays.take(100) == []


def test_only_what_was_sent_can_be_acknowledged() -> None:
    arrays = arrays_of("1", "2")
    arrays.acknowledge(10**15)
    assert arrays.take(1) == [(0, "1")]
    arrays.acknowledge(10**15)
    arrays.acknowledge(None)
    arrays.acknowledge(0)  # an old one
    assert arrays.take(1) == [(1, "2")]
    assert arrays.last_sent == 1


def test_takes_are_limited() -> None:
    arrays = arrays_of("12345", "123", "12", "1")
    assert [arrays.take(4) for _ in range(4)] == [[(0, "12345")], [(1, "123")], [(2, "12"), (3, "1")], []]


def test_outstanding_of_the_original() -> None:
    """Characters of the list of what was sent, without ids."""
    arrays = arrays_of('{"a":1}', "[1,2,3]")  # [{"a":1},[1,2,3]]
    assert arrays.outstanding == 0
    arrays.take(100)
    assert arrays.outstanding == len('[{"a":1},[1,2,3]]')
    arrays.rewind()
    assert arrays.outstanding == 17
    arrays.acknowledge(0)
    assert arrays.outstanding == len("[[1,2,3]]")
    arrays.acknowledge(1)
    assert arrays.outstanding == 0
    arrays.add('"😀"')
    arrays.take(100)
    assert arrays.outstanding == 6


@given(st.data())
def test_arrays_against_a_list(data: st.DataObject) -> None:
    """Everything is sent in order, again and again until it is acknowledged, and never afterwards."""
    arrays, model = Arrays(), []
    acknowledged = taken = sent = 0
    for _ in range(data.draw(st.integers(0, 40))):
        action = data.draw(st.sampled_from(["add", "add", "take", "rewind", "acknowledge"]))
        if action == "add":
            item = data.draw(st.text("aé😀", max_size=4))
            arrays.add(item)
            model.append(item)
        elif action == "take":
            got = arrays.take(data.draw(st.integers(0, 10)))
            assert got == list(enumerate(model))[taken : taken + len(got)]
            assert got or taken == len(model)
            taken += len(got)
            sent = max(sent, taken)
        elif action == "rewind":
            arrays.rewind()
            taken = acknowledged
        else:
            aid = data.draw(st.integers(-1, 45))
            arrays.acknowledge(aid)
            acknowledged = max(acknowledged, min(aid + 1, sent))
            taken = max(taken, acknowledged)
        assert arrays.waiting == len(model) - taken
        assert arrays.size == sum(map(len, model[acknowledged:]))
        units = [len(item.encode("utf-16-le")) // 2 for item in model[acknowledged:sent]]
        assert arrays.outstanding == (sum(units) + len(units) + 1 if units else 0)
        assert arrays.last_sent == sent - 1


# --- order --------------------------------------------------------------------------------------------------


def in_order(following: int | None = 0) -> InOrder[str]:
    return InOrder(following, max_kept=3, max_size=10)


def test_in_order() -> None:
    order = in_order()
    assert order.put(0, "a") == ["a"]
    assert order.put(2, "c") == []
    assert order.put(3, "d") == []
    assert order.put(0, "a") == []
    assert order.put(1, "b") == ["b", "c", "d"]
    assert order.put(3, "d") == []
    assert order.following == 4


def test_the_first_number_may_be_any() -> None:
    order = in_order(None)
    assert not order.has_passed(0)
    assert order.put(77, "a") == ["a"]
    assert order.has_passed(77)
    assert not order.has_passed(78)


def test_of_what_is_kept_back_the_newer_counts() -> None:
    order = in_order()
    order.put(1, "b", 9)
    order.put(1, "bb", 10)
    assert order.put(0, "a") == ["a", "bb"]
    order.put(3, "c", 10)  # there is room again


@pytest.mark.parametrize("sizes", [[0, 0, 0, 0], [5, 6], [11]])
def test_what_is_kept_back_is_limited(sizes: list[int]) -> None:
    order = in_order()
    for number, size in enumerate(sizes[:-1], 1):
        order.put(number, "x", size)
    with pytest.raises(RemoteProtocolError):
        order.put(len(sizes), "x", sizes[-1])
    assert order.put(0, "a") == ["a"] + ["x"] * (len(sizes) - 1)


@given(st.permutations(range(12)))
def test_any_order_becomes_the_right_one(numbers: list[int]) -> None:
    order: InOrder[int] = InOrder(0, max_kept=12, max_size=0)
    out = []
    for number in numbers:
        out += order.put(number, number)
        out += order.put(0, -1) if order.has_passed(0) else []
    assert out == list(range(12))


def forward(rid: int | None = 1000, max_size: int = 1000) -> ForwardChannel:
    return ForwardChannel(rid, max_size=max_size)


def test_requests_in_order() -> None:
    channel = forward()
    assert channel.receive(1000, Batch(0, ["a", None, "b"])) == ["a", "b"]
    assert channel.receive(1001, Batch(3, ["c"])) == ["c"]
    assert channel.receive(1002, Batch()) == []


def test_a_repeat_may_bring_more() -> None:
    channel = forward()
    channel.receive(1000, Batch())
    assert channel.receive(1001, Batch(0, ["a"])) == ["a"]
    assert channel.receive(1001, Batch(0, ["a"])) == []
    assert channel.receive(1001, Batch(0, ["a", "b"])) == ["b"]
    assert channel.receive(1002, Batch(2, ["c"])) == ["c"]


def test_an_early_request_waits() -> None:
    channel = forward()
    channel.receive(1000, Batch())
    assert channel.receive(1002, Batch(0, ["x"])) == []  # though its map is the next one
    assert channel.receive(1002, Batch(0, ["x", "y"])) == []
    assert channel.receive(1001, Batch()) == ["x", "y"]


def test_a_gap_between_maps_waits() -> None:
    channel = forward()
    assert channel.receive(1000, Batch(1, ["b"])) == []
    assert channel.receive(1001, Batch(2, ["c"])) == []
    assert channel.receive(1002, Batch(0, ["a"])) == ["a", "b", "c"]


def test_requests_without_numbers() -> None:
    channel = forward(None)
    assert channel.receive(None, Batch(0, ["a"])) == ["a"]
    assert channel.receive(7, Batch(1, ["b"])) == ["b"]
    assert channel.receive(9, Batch(2, ["c"])) == []
    assert channel.receive(None, Batch(3, ["d"])) == []
    assert channel.receive(8, Batch()) == ["c", "d"]


def test_goodbye_waits_for_what_comes_late() -> None:
    channel = forward()
    channel.receive(1000, Batch())
    assert channel.terminate(1002) == []
    assert not channel.ended
    assert channel.receive(1001, Batch(0, ["late"])) == ["late"]
    assert channel.ended
    assert channel.receive(1003, Batch(1, ["never"])) == []


@pytest.mark.parametrize("rid", [None, 999, 1001])
def test_goodbye(rid: int | None) -> None:
    channel = forward()
    channel.receive(1000, Batch())
    assert channel.terminate(rid) == []
    assert channel.ended


def test_a_broken_map_ends_the_session_behind_what_came_before() -> None:
    channel = forward()
    assert channel.receive(1000, Batch(0, ["a"], broken=True)) == ["a"]
    assert channel.broken
    assert channel.receive(1001, Batch(1, ["b"])) == []


def test_a_broken_map_that_is_early_waits() -> None:
    channel = forward()
    assert channel.receive(1000, Batch(1, [], broken=True)) == []
    assert not channel.broken
    assert channel.receive(1001, Batch(0, ["a"])) == ["a"]
    assert channel.broken


def test_a_broken_map_that_was_there_is_not_looked_at() -> None:
    channel = forward()
    channel.receive(1000, Batch(0, ["a"]))
    assert channel.receive(1001, Batch(0, [], broken=True)) == []
    assert not channel.broken


@pytest.mark.parametrize("gap", ["requests", "maps", "size of requests", "size of maps"])
def test_what_waits_for_a_gap_is_bounded(gap: str) -> None:
    channel = forward()
    channel.receive(1000, Batch(0, ["a"]))
    text = "x" * 100 if "size" in gap else ""
    count = 0
    while not channel.broken:
        if "requests" in gap:
            assert channel.receive(1002 + count, Batch(1 + count, [text])) == []
        else:
            assert channel.receive(1001 + count, Batch(2 + count, [text])) == []
        count += 1
    assert count == {"requests": 65, "maps": 1025}.get(gap, 11)
    assert channel.receive(1001, Batch(1, ["b"])) == []


def test_what_came_before_a_gap_that_is_too_large_still_counts() -> None:
    channel = forward(max_size=100)
    channel.receive(1000, Batch())
    channel.receive(1002, Batch(5, ["x" * 60]))
    channel.receive(1003, Batch(8, ["x" * 40]))
    assert channel.receive(1001, Batch(0, ["a"])) == ["a"]
    assert channel.receive(1004, Batch(9, ["x" * 60])) == []
    assert channel.broken


@given(st.data())
def test_any_delivery_in_numbered_requests(data: st.DataObject) -> None:
    """However requests are repeated, extended and swapped, each message comes once and in order."""
    texts = [str(n) for n in range(data.draw(st.integers(0, 20)))]
    requests: list[tuple[int, Batch]] = []
    at, rid = 0, 5
    while at < len(texts):
        size = data.draw(st.integers(0, 4))
        requests.append((rid, Batch(at, texts[at : at + size])))
        if data.draw(st.booleans()):  # a repeat, with what has come meanwhile
            size += data.draw(st.integers(0, 2))
            requests.append((rid, Batch(at, texts[at : at + size])))
        at += size
        rid += 1
    late = data.draw(st.permutations(requests)) if len(requests) < 30 else requests
    channel = forward(5)
    out: list[Any] = []
    for number, sent in [*late, *requests]:
        out += channel.receive(number, sent)
    assert out == texts
    assert not channel.broken
