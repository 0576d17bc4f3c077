"""What the test suite of the original (browserchannel 2.1, test/server.coffee) asks of a server's wire.

Ours differs on purpose where a comment says so; docs/topics/browserchannel.md has the list.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.browserchannel import (
    JSON,
    Back,
    Channel,
    channel_server,
    expect_error,
    expect_headers,
    form,
    split_chunks,
)
from tests.support.client import Response
from tests.support.hosts import Server, leaves_nothing, serve, wait_until

ON_EVERY_HOST = ["own", "pywsgi", "gunicorn"]
KEEP_ALIVE, AWAY = 0.5, 0.8  # seconds, of the server `hasty`

BIG = 8_000_000  # bytes that no kernel takes at once

HTML_START = b"<html><body>"
HTML_END = b"<script>try  {parent.d(); }catch (e){}</script>\n"
PADDING = re.compile(rb"[0-9a-f]{290}\n")


@pytest.fixture(scope="module", params=ON_EVERY_HOST)
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with channel_server(request.param) as server:
        yield server


@pytest.fixture
def server(any_server: Server) -> Iterator[Server]:
    with leaves_nothing(any_server):
        yield any_server


@pytest.fixture(scope="module")
def hasty_server() -> Iterator[Server]:
    times = {"keep_alive_interval": KEEP_ALIVE, "session_timeout_interval": AWAY}
    with channel_server("own", transport=times) as server:
        yield server


@pytest.fixture
def hasty(hasty_server: Server) -> Iterator[Server]:
    with leaves_nothing(hasty_server):
        yield hasty_server


def get(server: Server, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Response:
    with server.client() as client:
        return client.request(path, headers, method=method)


# -- what is there


def test_script_of_the_original_is_not_served(server: Server) -> None:
    """Primus's own client has what is in it."""
    for method in ("GET", "HEAD"):
        response = get(server, "/primus/bcsocket.js", method)
        assert (response.status, response.body) == (404, b"" if method == "HEAD" else b"Not found")
        expect_headers(response)


@pytest.mark.parametrize("path", ["/primus/doesnotexist", "/primus/", "/primus/bind/", "/primus/test/x"])
def test_unknown_path(server: Server, path: str) -> None:
    response = get(server, path)
    assert (response.status, response.body) == (404, b"Not found")
    expect_headers(response)


def test_pathname_itself(server: Server) -> None:
    response = get(server, "/primus")
    assert (response.status, response.body) == (404, b"Not Found")
    assert response.headers["content-type"] == "text/plain"


def test_other_paths_are_passed_on(server: Server) -> None:
    assert get(server, "/primusfoo").body == b"not of primus"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods(server: Server, method: str) -> None:
    response = get(server, "/primus/bind?VER=8", method)
    assert (response.status, response.body) == (405, b"" if method == "HEAD" else b"Method not allowed")
    assert response.headers["allow"] == "GET, POST"
    expect_headers(response)


def test_upgrade(server: Server) -> None:
    with server.client() as client:
        assert client.handshake("/primus/bind?VER=8").status == 400
        client.expect_eof()


# -- the test


def test_first_phase(server: Server) -> None:
    response = get(server, "/primus/test?VER=8&MODE=init")
    assert (response.status, response.body) == (200, b"[null,null]")
    assert response.headers["x-accept"] == "application/json; application/x-www-form-urlencoded"
    expect_headers(response)


def test_host_prefixes_and_another_pathname() -> None:
    with serve(
        "own",
        transformer="browserchannel",
        pathname="channel/",
        close_timeout=0.2,
        transport={"host_prefixes": ["a", "b"]},
    ) as server:
        seen = {get(server, "/channel/test?VER=8&MODE=init").body for _ in range(50)}
        assert seen == {b'["a",null]', b'["b",null]'}
        body = form([], 0)
        with server.client() as client:
            headers = {"Content-Length": str(len(body))}
            client.send_request("/channel/bind?VER=8&RID=1", headers, method="POST", body=body)
            ((number, data),), _ = split_chunks(client.recv_response().body)
        assert number == 0
        assert data[2] in ("a", "b")
        assert get(server, f"/channel/bind?VER=8&TYPE=terminate&RID=2&SID={data[1]}").status == 200
        server.wait_state(sparks=0, sessions=0, objects=0)


@pytest.mark.parametrize("query", ["TYPE=xmlhttp", "MODE=other", "MODE=init&method"])
def test_second_phase(server: Server, query: str) -> None:
    """Two pieces, of which the client sees how they arrive."""
    method = "POST" if "method" in query else "GET"
    with server.client() as client:
        started = time.monotonic()
        client.send_request(f"/primus/test?VER=8&{query}", {"Content-Length": "0"}, method=method)
        held = Back(client)
        assert held.piece() == b"11111"
        expect_headers(held.response)
        assert held.piece() == b"2"
        assert time.monotonic() - started > 1.9
        held.expect_end()


@pytest.mark.parametrize("domain", ["", "a.com"])
def test_second_phase_in_html(server: Server, domain: str) -> None:
    with server.client() as client:
        client.send_request(f"/primus/test?VER=8&TYPE=html&DOMAIN={domain}")
        held = Back(client)
        start = HTML_START
        if domain:
            start += b'<script>try{document.domain="a.com";}catch(e){}</script>\n'
        first = held.piece()
        assert first.startswith(start + b'<script>try {parent.m("11111")} catch(e) {}</script>\n')
        assert PADDING.fullmatch(first[len(start) + 53 :])
        expect_headers(held.response, "text/html")
        assert held.piece() == b'<script>try {parent.m("2")} catch(e) {}</script>\n' + HTML_END
        held.expect_end()


def test_second_phase_cannot_be_made_to_run_a_script(server: Server) -> None:
    """Unlike in the original."""
    with server.client() as client:
        attack = quote("</script><script>alert(1)</script>", safe="")
        client.send_request(f"/primus/test?VER=8&TYPE=html&DOMAIN={attack}")
        assert b"<script>alert" not in Back(client).piece()


def test_second_phase_is_over_when_its_client_leaves(server: Server) -> None:
    with server.client() as client:
        client.send_request("/primus/test?VER=8&TYPE=xmlhttp")
        Back(client).piece()


@pytest.mark.parametrize("version", ["", "VER=7&", "VER=&", "VER=8&VER=7&"])
@pytest.mark.parametrize(
    "rest", ["test?{}MODE=init", "test?{}TYPE=xmlhttp", "test?{}TYPE=html", "bind?{}RID=1", "bind?{}SID=x"]
)
def test_other_versions(server: Server, version: str, rest: str) -> None:
    for method in ("GET", "POST"):
        expect_error(get(server, "/primus/" + rest.format(version), method), "Version 8 required")


def test_reason_phrase(server: Server) -> None:
    """The message is in the status line as well."""
    with server.client() as client:
        client.send_request("/primus/bind?VER=8&SID=nobody&RID=rpc&TYPE=xmlhttp", {"Connection": "close"})
        assert client.rest().startswith(b"HTTP/1.1 400 Unknown SID\r\n")


def test_beside_other_frameworks() -> None:
    """On one pathname; the address tells which one is asked."""
    with serve(
        "own",
        transformer=["engine.io", "browserchannel"],
        transport={"browserchannel": {"host_prefixes": ["a"]}},
        close_timeout=0.2,
    ) as server:
        assert get(server, "/primus/test?VER=8&MODE=init").body == b'["a",null]'
        channel = Channel(server).open("x").back()
        assert channel.opening[2] == "a"
        assert channel.recv_message() == "x"
        assert get(server, "/primus/?EIO=4&transport=polling").body.startswith(b"0{")
        server.wait_state(sparks=2, sessions=2)
        channel.close()


# -- origins: Primus's own layer


def test_origin(server: Server) -> None:
    origin = {"Origin": "http://a.example"}
    channel = Channel(server, headers=origin).open()
    answers = [
        get(server, "/primus/test?VER=8&MODE=init", headers=origin),
        get(server, "/primus/bind?VER=8&SID=nobody&RID=rpc&TYPE=xmlhttp", headers=origin),
        channel.post_response("x"),
        channel.back_response(streams=False),
    ]
    for response in answers:
        assert response.headers["access-control-allow-origin"] == "http://a.example"
        assert response.headers["access-control-allow-credentials"] == "true"
    channel.close()
    assert "access-control-allow-origin" not in get(server, "/primus/test?VER=8&MODE=init").headers


def test_origin_that_is_not_allowed() -> None:
    with channel_server("own", origins=["http://a.example"]) as server:
        body = form([], 0)
        for origin, status in (("http://a.example", 200), ("http://b.example", 403)):
            with server.client() as client:
                headers = {"Content-Length": str(len(body)), "Origin": origin}
                client.send_request("/primus/bind?VER=8&RID=1", headers, method="POST", body=body)
                response = client.recv_response()
            assert response.status == status, response
            if status == 200:
                ((_, data),), _ = split_chunks(response.body)
                get(server, f"/primus/bind?VER=8&TYPE=terminate&RID=2&SID={data[1]}")
        server.wait_state(sparks=0, sessions=0, objects=0)


# -- a new session


def test_first_request(server: Server) -> None:
    channel = Channel(server, "idle").open()
    assert channel.opening == ["c", channel.sid, None, 8]
    assert re.fullmatch("[A-Za-z0-9_-]{22}", channel.sid)  # 128 bits; the original has 40
    channel.close()


def test_framing_of_the_first_chunk(server: Server) -> None:
    channel = Channel(server, "idle")
    response = channel.first_response()
    channel.sid = json.loads(response.body.split(b"\n")[1])[0][1][1]
    assert response.body.decode() == f'44\n[[0,["c","{channel.sid}",null,8]]]\n'
    channel.close()


def test_what_the_spark_knows(server: Server) -> None:
    channel = Channel(server, "info", query={"foo": "bar baz"}, headers={"X-Mark": "here"}).open()
    info = channel.recv_message()
    assert info["id"] == channel.sid
    assert info["query"]["foo"] == "bar baz"
    assert info["query"]["CVER"] == "7"
    assert info["headers"]["x-mark"] == "here"
    assert info["ip"] == "127.0.0.1"
    assert info["path"] == "/primus/bind"
    assert info["socket"] == "browserchannel"
    channel.close()


def test_messages_in_the_first_request(server: Server) -> None:
    """Its answer has what is answered to them at once."""
    channel = Channel(server).open("one", {"two": 2})
    assert channel.waiting == ['"one"', '{"two":2}']
    channel.close()


@pytest.mark.parametrize("service", ["echo", "listen"])
def test_messages_later(server: Server, service: str) -> None:
    channel = Channel(server, service).open()
    channel.send_back()
    for message in ("", "a%20b+c&d=e;f", "line\nend", "\u2028\u2029", "😀", ["[", {"a": None}]):
        channel.post(message)
        assert channel.recv_message() == message
    channel.close()


def test_what_is_written_at_once_is_in_the_first_answer(server: Server) -> None:
    channel = Channel(server, "end-data").open()
    assert channel.waiting == ['{"bye":"all"}', '"primus::server::close"']
    assert channel.ids == [0, 1, 2, 3]
    server.wait_state(sparks=0)


@pytest.mark.parametrize(
    "body",
    [b"", b"count=x", b"count=1", b"count=1&ofs=0", b"count=1000000000&ofs=0", b"\xff", b"&" * 70_000],
)
def test_first_request_with_a_bad_body(server: Server, body: bytes) -> None:
    """No session is made of it, unlike in the original: nobody would know its id."""
    expect_error(Channel(server).first_response(body=body), "Bad data")
    server.wait_state(sparks=0, sessions=0)


def test_first_request_with_json_that_is_none(server: Server) -> None:
    channel = Channel(server)
    expect_error(channel.first_response(body=b"count=1&ofs=0&req0_JSON=%7B"), "Forbidden")
    server.wait_state(sparks=0, sessions=0)


def test_first_request_without_number(server: Server) -> None:
    """Its messages count; in the original they are never delivered."""
    channel = Channel(server).open("first", RID=None)
    channel.post("second", RID="7")
    channel.post("third", RID="8")
    assert channel.take_messages(3) == ["first", "second", "third"]
    channel.terminate(rid=9)
    channel.expect_unknown()


def test_connection_that_is_cut_at_once(server: Server) -> None:
    """The original's `session.close()` in its connection callback."""
    expect_error(Channel(server, "abort").first_response("now"), "Forbidden")
    server.wait_state(sparks=0, sessions=0)


# -- the forward channel


def test_status(server: Server) -> None:
    """Whether there is a back channel, the last array, and characters that were not acknowledged."""
    channel = Channel(server).open()
    assert channel.post() == [0, 0, 0]
    channel.send_back()
    channel.post({"a": 1}, "é😀")
    assert channel.take_messages(2) == [{"a": 1}, "é😀"]
    first, second = json.dumps('{"a":1}'), json.dumps('"é😀"', ensure_ascii=False)
    outstanding = len(f"[{first},{second}]") + 1  # 😀 is two units
    assert channel.post(AID="0") == [1, 2, outstanding]
    assert channel.post(AID="1") == [1, 2, len(f"[{second}]") + 1]
    assert channel.post(AID="2") == [1, 2, 0]
    assert channel.post(AID="77") == [1, 2, 0]
    channel.close()


def test_status_has_no_line_end(server: Server) -> None:
    channel = Channel(server, "idle").open()
    assert channel.post_response().body == b"7\n[0,0,0]"
    channel.close()


@pytest.mark.parametrize(
    ("body", "echoed"),
    [
        (b"", []),
        (b"count=x&ofs=0&req0__S=1", []),
        (b"count=1&req0__S=1", []),
        (b"count=3&ofs=0&req0__S=1&req1__S=2", [1, 2]),
        (b"count=1000000000&ofs=0&req0__S=1", [1]),
        (b"count=999999999999999&ofs=0&req0__S=1&req5__S=2", [1]),
        (b'{"ofs":0,"data":["1"]}', []),
        (b"&" * 70_000, []),
        (b"\xff\xfe\x00", []),
    ],
)
def test_bad_data(server: Server, body: bytes, echoed: list[Any]) -> None:
    """What is in front of the fault counts, and the session goes on."""
    channel = Channel(server).open()
    expect_error(channel.post_response(body=body), "Bad data")
    channel.first = len(echoed)
    channel.post("next")
    assert channel.take_messages(len(echoed) + 1) == [*echoed, "next"]
    channel.close()


def test_json_maps(server: Server) -> None:
    """A value is delivered as its JSON; text as text, which JSON is expected to be in."""
    channel = Channel(server).open()
    values = ['{"a":[1,null]}', "null", "1.5", '"\\"text\\""']
    body = f"count={len(values) + 1}&ofs=0&req4_type=_badmap"
    for index, value in enumerate(values):
        body += f"&req{index}_JSON={quote(value, safe='')}"
    channel.first = 5
    channel.post(body=body.encode())
    channel.post("next")
    assert channel.take_messages(5) == [{"a": [1, None]}, None, 1.5, "text", "next"]
    channel.close()


@pytest.mark.parametrize("text", ["{", "NaN", "[" * 100_000])
def test_json_that_is_none(server: Server, text: str) -> None:
    channel = Channel(server).open()
    body = f"count=3&ofs=0&req0__S=1&req1_JSON={quote(text, safe='')}&req2__S=2".encode()
    channel.send_back()
    channel.post()
    expect_error(channel.post_response(body=body), "Forbidden")
    assert channel.held is not None
    assert split_chunks(channel.held.rest())[0] in ([], [[1, "1"]])
    expect_error(channel.post_response("x"), "Unknown SID")
    server.wait_state(sparks=0, sessions=0)


def test_body_that_is_json(server: Server) -> None:
    channel = Channel(server).open()
    body = json.dumps({"ofs": 0, "data": ['"text"', {"a": 1}, None, 2]}).encode()
    channel.post(body=body, content_type=JSON)
    assert channel.take_messages(4) == ["text", {"a": 1}, None, 2]
    expect_error(channel.post_response(body=body, content_type=JSON + "; charset=utf-8"), "Bad data")
    for broken in (b'{"ofs":4}', b'{"ofs":4,"data":null}', b"[]", b"", b"[" * 100_000):
        expect_error(channel.post_response(body=broken, content_type=JSON), "Bad data")
    channel.close()


def test_requests_out_of_order(server: Server) -> None:
    channel = Channel(server).open()
    channel.send_back()
    rid = channel.rid
    channel.post("second", rid=rid + 1, first=1)
    channel.post("third", rid=rid + 2, first=2)
    assert channel.held is not None
    assert channel.held.quiet(0.05)
    channel.post("first", rid=rid, first=0)
    assert channel.take_messages(3) == ["first", "second", "third"]
    channel.terminate(rid=rid + 3)


def test_repeats(server: Server) -> None:
    channel = Channel(server).open()
    rid = channel.rid
    for _ in range(3):
        channel.post("one", rid=rid, first=0)
    channel.post("one", "two", rid=rid, first=0)  # with what has come meanwhile
    channel.post("two", "three", rid=rid + 1, first=1)
    assert channel.take_messages(3) == ["one", "two", "three"]
    channel.terminate(rid=rid + 2)


def test_maps_behind_a_gap_wait(server: Server) -> None:
    channel = Channel(server).open()
    channel.post("c", first=2)
    channel.post("b", first=1)
    channel.post("a", first=0)
    assert channel.take_messages(3) == ["a", "b", "c"]
    channel.close()


@pytest.mark.parametrize("what", ["requests", "maps"])
def test_a_gap_in_front_of_too_many(server: Server, what: str) -> None:
    """Official clients leave none. What waits is bounded, and who goes on is cut off."""
    channel = Channel(server).open()
    if what == "requests":
        responses = [channel.post_response("x", rid=5000 + n, first=7 + n) for n in range(65)]
    else:
        responses = [channel.post_response(*["x"] * 200, first=7 + 200 * n) for n in range(6)]
    assert {response.status for response in responses[:-1]} == {200}
    expect_error(responses[-1], "Forbidden")
    channel.expect_unknown()


def test_body_that_is_too_large(server: Server) -> None:
    channel = Channel(server).open()
    channel.send_post(body=b"x", rid=1)
    channel.recv_post()
    with server.client() as client:
        headers = {"Content-Length": str(1 << 30)}
        client.send_request(channel.path(RID="1001", AID="0"), headers, method="POST")
        assert client.recv_response().status == 413
    channel.post("next")
    assert channel.recv_message() == "next"
    channel.close()


def test_largest_message(server: Server) -> None:
    channel = Channel(server, "listen").open()
    message = "%" * ((1 << 20) - 2)
    channel.post(message)
    assert channel.recv_message() == message
    expect_error(channel.post_response(message + "x"), "Forbidden")
    channel.expect_unknown()


# -- the back channel


def test_arrays_wait_for_the_back_channel(server: Server) -> None:
    channel = Channel(server).open()
    channel.post("one", "two")
    assert channel.waiting == []
    channel.send_back(streams=False)
    assert channel.arrays() == [[1, '"one"'], [2, '"two"']]
    channel.close()


def test_bytes_of_a_chunk(server: Server) -> None:
    channel = Channel(server).open()
    channel.post("é😀\u2028")
    response = channel.back_response(streams=False)
    assert response.body == '23\n[[1,"\\"é😀\\\\u2028\\""]]\n'.encode()
    assert "content-length" not in response.headers
    assert response.headers.get("connection", "") != "close"
    channel.close()


def test_streaming(server: Server) -> None:
    """One response for many chunks."""
    channel = Channel(server).open()
    held = channel.send_back()
    for number in range(5):
        channel.post(number)
        assert channel.recv_message() == number
        assert channel.held is held
    expect_headers(held.response)
    channel.terminate()
    held.expect_end()


def test_streaming_ends_after_enough(server: Server) -> None:
    """So that the client comes again, and acknowledges."""
    channel = Channel(server).open()
    held = channel.send_back()
    message = "x" * 5000
    for _ in range(3):
        channel.post(message)
        assert channel.recv_message() == message
    held.expect_end()
    channel.close()


def test_polling(server: Server) -> None:
    """With CI=1 a response ends after one chunk; it waits for that."""
    channel = Channel(server).open()
    for number in range(3):
        held = channel.send_back(streams=False)
        assert held.quiet(0.02)
        channel.post(number)
        assert channel.recv_message() == number
        held.expect_end()
        channel.drop_back(keep=True)
    channel.close()


def test_back_channel_in_html(server: Server) -> None:
    channel = Channel(server).open()
    channel.post("</script>", "é")
    held = channel.send_back(type="html", DOMAIN="a.com")
    page = b""
    while not PADDING.search(page):
        page += held.piece()
    start = HTML_START + b'<script>try{document.domain="a.com";}catch(e){}</script>\n'
    script = (
        rb'<script>try {parent.m("[[1,\"\\\"\u003c/script>\\\"\"],[2,\"\\\"\u00e9\\\"\"]]\n")}'
        b" catch(e) {}</script>\n"
    )
    assert page.startswith(start + script)
    expect_headers(held.response, "text/html")
    assert PADDING.fullmatch(page[len(start + script) :])
    channel.aid = 2
    channel.post(3)
    assert held.piece() == b'<script>try {parent.m("[[3,\\"3\\"]]\\n")} catch(e) {}</script>\n'
    channel.terminate()
    assert held.rest().endswith(b"</script>\n" + HTML_END)


def test_connection_that_is_to_be_closed(server: Server) -> None:
    """The official client asks for it. Node would go on with it if the answer did not say so as well."""
    channel = Channel(server).open("x")
    with server.client() as client:
        channel.headers, channel.getting = {"Connection": "close"}, client
        held = channel.send_back(streams=False, AID="0")
        assert held.response.headers["connection"] == "close"
        assert split_chunks(held.rest())[0] == [[1, '"x"']]
        client.expect_eof()
        channel.headers, channel.getting = {}, None
    channel.close()


def test_polling_in_html(server: Server) -> None:
    channel = Channel(server).open()
    channel.post(1)
    response = channel.back_response(type="html", streams=False)
    script = b'<html><body><script>try {parent.m("[[1,\\"1\\"]]\\n")} catch(e) {}</script>\n'
    assert response.body.startswith(script)
    assert response.body.endswith(HTML_END)
    assert PADDING.fullmatch(response.body[len(script) : -len(HTML_END)])
    channel.close()


def test_a_new_back_channel_ends_the_old_one(server: Server) -> None:
    channel = Channel(server).open()
    old = channel.send_back()
    channel.getting = None
    wait_until(lambda: channel.post()[0] == 1)
    new = channel.send_back()
    assert old.rest() == b""
    assert old.response.status == 200
    channel.post("x")
    assert channel.recv_message() == "x"
    assert channel.held is new
    channel.close()


def test_lost_arrays_are_sent_again(server: Server) -> None:
    channel = Channel(server).open()
    channel.post("one", "two")
    for _ in range(3):
        response = channel.back_response(streams=False, AID="0")
        assert split_chunks(response.body)[0] == [[1, '"one"'], [2, '"two"']]
    response = channel.back_response(streams=False, AID="1")
    assert split_chunks(response.body)[0] == [[2, '"two"']]
    # an acknowledgement cannot be taken back
    response = channel.back_response(streams=False, AID="-1")
    assert split_chunks(response.body)[0] == [[2, '"two"']]
    channel.close()


def test_an_acknowledgement_of_what_was_never_sent(server: Server) -> None:
    channel = Channel(server).open()
    channel.post("one", AID="999999")
    assert channel.recv_message() == "one"
    channel.close()


def test_hanging_up_and_coming_again(server: Server) -> None:
    channel = Channel(server).open()
    channel.send_back()
    wait_until(lambda: channel.post()[0] == 1)
    channel.drop_back()
    wait_until(lambda: channel.post()[0] == 0)
    channel.post("x")
    assert channel.recv_message() == "x"
    channel.close()


# -- errors


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "SID=nobody&RID=rpc&TYPE=xmlhttp&CI=0"),
        ("GET", "SID=nobody&RID=rpc&TYPE=html&CI=0"),
        ("GET", "SID=nobody&RID=1&TYPE=terminate"),
        ("POST", "SID=nobody&RID=1"),
        ("PUT", "SID=nobody"),
        ("GET", "RID=rpc&TYPE=xmlhttp&CI=0"),  # the original breaks down
        ("GET", "SID=&RID=rpc&TYPE=html"),
    ],
)
def test_unknown_session(server: Server, method: str, query: str) -> None:
    expect_error(get(server, f"/primus/bind?VER=8&{query}", method), "Unknown SID")


def test_unknown_session_that_is_sent_something(server: Server) -> None:
    """The answer arrives, and the connection is in order behind it."""
    channel = Channel(server)
    channel.sid = "nobody"
    for size in (10, 300_000, 10):
        expect_error(channel.post_response("x" * size), "Unknown SID")
    channel.drop()


def test_back_channel_requests_that_are_none(server: Server) -> None:
    channel = Channel(server, "idle").open()
    for kind in ("xmlhttp", "html"):
        expect_error(channel.back_response(type=kind, RID="1000"), "Expected RPC")
        expect_error(channel.back_response(type=kind, RID=None), "Expected RPC")
    # the original does not answer
    expect_error(channel.back_response(type="other"), "Bad data")
    expect_error(channel.back_response(TYPE=None), "Bad data")
    channel.close()


# -- sessions that follow another one


def test_reconnect(server: Server) -> None:
    """The client's session before this one is acknowledged, and ends."""
    old = Channel(server).open("x")
    held = old.send_back()
    wait_until(lambda: old.post()[0] == 1)
    new = Channel(server).open(OSID=old.sid, OAID="1")
    held.expect_end()
    old.expect_unknown()
    new.post("y")
    assert new.recv_message() == "y"
    server.wait_state(sparks=1, sessions=1)
    new.close()


@pytest.mark.parametrize("fields", [{"OSID": "nobody", "OAID": "5"}, {"OSID": ""}, {"OAID": "5"}])
def test_reconnect_of_nobody(server: Server, fields: dict[str, str]) -> None:
    Channel(server).open(**fields).close()


# -- times


def test_session_without_back_channel_times_out(hasty: Server) -> None:
    channel = Channel(hasty, "idle").open()
    for _ in range(3):
        channel.post("x")  # this does not keep it
    hasty.wait_state(sparks=0, sessions=0)
    channel.expect_unknown()


def test_session_whose_back_channel_was_closed_times_out(hasty: Server) -> None:
    channel = Channel(hasty, "idle").open()
    channel.send_back()
    wait_until(lambda: channel.post()[0] == 1)
    channel.drop_back()
    hasty.wait_state(sparks=0, sessions=0)
    channel.expect_unknown()


def test_session_with_back_channel_stays_and_is_kept_alive(hasty: Server) -> None:
    """A noop is an array like any other."""
    channel = Channel(hasty).open()
    started = time.monotonic()
    held = channel.send_back()
    for number in (1, 2, 3):
        assert channel.arrays() == [[number, ["noop"]]]
    assert time.monotonic() - started >= 3 * KEEP_ALIVE - 0.1
    channel.post("x")
    assert channel.arrays() == [[4, '"x"']]
    assert channel.held is held
    channel.close()


def test_noops_that_are_not_acknowledged_are_kept(hasty: Server) -> None:
    channel = Channel(hasty).open()
    assert split_chunks(channel.back_response(streams=False).body)[0] == [[1, ["noop"]]]
    assert split_chunks(channel.back_response(streams=False).body)[0] == [[1, ["noop"]]]
    channel.close()


# -- the end


def test_goodbye_of_the_client(server: Server) -> None:
    channel = Channel(server, "idle").open()
    held = channel.send_back()
    wait_until(lambda: channel.post()[0] == 1)
    channel.terminate()
    held.expect_end()
    channel.expect_unknown()
    expect_error(channel.post_response("x"), "Unknown SID")
    server.wait_state(sparks=0, sessions=0)


def test_goodbye_without_session(server: Server) -> None:
    Channel(server).terminate()


def test_goodbye_that_is_early(server: Server) -> None:
    """What comes late is delivered; its own answer says that it was the last."""
    server.control("go")
    channel = Channel(server, "deaf").open()
    channel.terminate(rid=channel.rid + 2)
    channel.post("two", rid=channel.rid + 1, first=1)
    expect_error(channel.post_response("one", rid=channel.rid, first=0), "Forbidden")
    server.wait_state(sparks=0, sessions=0, counts=lambda counts: counts.get("heard") == 2)
    channel.expect_unknown()


def test_end(server: Server) -> None:
    """The goodbye of Primus 2.4 and 8 (transcript of the original)."""
    channel = Channel(server, "end-when-told").open()
    channel.post("end")
    server.wait_state(sparks=0)
    held = channel.send_back()
    assert channel.arrays() == [[1, '"bye"'], [2, '"primus::server::close"'], [3, ["stop"]]]
    held.expect_end()
    server.wait_state(objects=0)


def test_end_that_is_waited_for(server: Server) -> None:
    channel = Channel(server, "end-when-told").open()
    held = channel.send_back()
    channel.post("end")
    assert channel.arrays() == [[1, '"bye"'], [2, '"primus::server::close"'], [3, ["stop"]]]
    held.expect_end()
    server.wait_state(objects=0)


def test_end_for_a_reconnect(server: Server) -> None:
    channel = Channel(server, "end-when-told").open()
    channel.post("reconnect")
    channel.send_back()
    assert channel.arrays() == [[1, '"bye"'], [2, ["stop"]]]
    server.wait_state(sparks=0, objects=0)


def test_goodbye_that_is_lost_is_said_again(server: Server) -> None:
    """For `close_timeout`; then nobody knows the session any more."""
    channel = Channel(server, "end-when-told").open()
    channel.post("end")
    lost = channel.back_response(streams=False, AID="0")
    server.wait_state(sparks=0, objects=0)
    assert channel.back_response(streams=True, AID="0").body == lost.body
    assert channel.post("unheard") == [0, 3, len('["\\"bye\\"","\\"primus::server::close\\"",["stop"]]')]
    server.wait_state(sessions=0)
    channel.expect_unknown()


def test_goodbye_that_nobody_fetches(server: Server) -> None:
    channel = Channel(server, "end-data").open()
    server.wait_state(sparks=0, sessions=0, objects=0)
    channel.expect_unknown()


def test_abort(server: Server) -> None:
    """The original's `session.close()`: the client is to reconnect."""
    channel = Channel(server, "abort").open()
    held = channel.send_back()
    wait_until(lambda: channel.post()[0] == 1)
    expect_error(channel.post_response("now"), "Forbidden")
    assert held.rest() == b""
    assert held.response.status == 200
    channel.expect_unknown()


def test_destroy_ends_all_sessions() -> None:
    with channel_server("own") as server:
        channels = [Channel(server, "idle").open().back() for _ in range(3)]
        for channel in channels:
            wait_until(lambda channel=channel: channel.post()[0] == 1)  # type: ignore[misc]
        server.control("destroy")
        for channel in channels:
            assert channel.arrays() == [[1, '"primus::server::close"'], [2, ["stop"]]]
        assert get(server, "/primus/test?VER=8&MODE=init").status == 404
        server.wait_state(sparks=0, objects=0)


# -- cut connections


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_post_that_is_cut_off(server: Server, how: str) -> None:
    channel = Channel(server).open()
    with server.client() as client:
        headers = {"Content-Length": "100"}
        client.send_request(channel.path(RID="1001"), headers, method="POST", body=b"count=1&ofs=0&req0__S=1")
        getattr(client, how)()
    server.clients.remove(client)
    channel.post("whole")
    assert channel.recv_message() == "whole"
    channel.close()


def test_first_answer_that_nobody_reads(hasty: Server) -> None:
    """Nobody knows the session, and it times out."""
    channel = Channel(hasty, "idle")
    channel.send_post(service="idle").reset()
    channel.posting = None
    hasty.wait_state(counts=lambda counts: counts.get("connection") == 1)
    hasty.wait_state(sparks=0, sessions=0)


def test_chunk_that_is_not_read(server: Server) -> None:
    """It is cut off when the client asks elsewhere, and sent again there."""
    channel = Channel(server, "big").open()
    channel.getting = server.client(receive_buffer=2048)
    stuck = channel.send_back()
    wait_until(lambda: channel.post()[0] == 1)
    channel.post(BIG)
    stuck.client.take_until(b"\r\n\r\n", time.monotonic() + 10)
    channel.getting = channel.held = None
    assert channel.recv_message() == "x" * BIG
    assert len(stuck.client.rest()) < BIG
    channel.close()
