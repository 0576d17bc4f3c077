"""The same requests to the original server and to ours: the same answers, byte for byte.

What is different on purpose is not asked here: docs/topics/browserchannel.md tells it, and the contract suite
tests it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.browserchannel import FORM, JSON, STANDARD_HEADERS, channel_server
from tests.support.client import Client
from tests.support.interop import ADVICE

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
COMPARED = [*STANDARD_HEADERS, "x-accept"]


class Peer:
    """A client of one of the servers, and what it was answered: without the session's id, which is random."""

    def __init__(self, port: int, query: str) -> None:
        self.port = port
        self.query = query  # of its first request
        self.sid = ""
        self.answers: list[Any] = []
        self.clients: list[Client] = []

    def send(self, method: str, query: str, body: str | None = None, content_type: str = FORM) -> Client:
        client = Client(("127.0.0.1", self.port))
        self.clients.append(client)
        path, _, query = query.partition("?")
        headers = {"Connection": "close"}
        if body is not None:
            headers |= {"Content-Length": str(len(body.encode())), "Content-Type": content_type}
        path = f"/primus{path}?VER=8&{query.replace('SID=*', f'SID={self.sid}')}"
        client.send_request(path, headers, method=method, body=(body or "").encode())
        return client

    def note(self, client: Client) -> Any:
        data = client.rest()
        client.buffer += data
        response = client.recv_response()
        text = response.body.decode()
        if not self.sid and '["c","' in text:
            self.sid = json.loads(text.split("\n")[1])[0][1][1]
            text = text.partition("\n")[2]  # its length is that of the id, too
        headers = {name: response.headers.get(name) for name in COMPARED}
        reason = data.split(b"\r\n")[0].decode().removeprefix("HTTP/1.1 ")
        self.answers.append((reason, headers, text.replace(self.sid, "SID") if self.sid else text))
        return self.answers[-1]

    def ask(self, method: str, query: str, body: str | None = None, content_type: str = FORM) -> Any:
        return self.note(self.send(method, query, body, content_type))

    def open(self, body: str = "count=0") -> None:
        self.ask("POST", f"/bind?RID=100&CVER=1{self.query}", body)

    def post(self, rid: int, body: str, aid: int = 0, content_type: str = FORM) -> Any:
        return self.ask("POST", f"/bind?SID=*&RID={rid}&AID={aid}", body, content_type)

    def back(self, aid: int, *, kind: str = "xmlhttp", more: str = "") -> Any:
        return self.ask("GET", f"/bind?SID=*&RID=rpc&CI=1&AID={aid}&TYPE={kind}{more}")

    def close(self, rid: int) -> None:
        self.ask("GET", f"/bind?SID=*&TYPE=terminate&RID={rid}")
        self.ask("POST", f"/bind?SID=*&RID={rid + 1}", "count=0")


def maps(*texts: str, first: int = 0, key: str = "_S") -> str:
    fields = "".join(f"&req{n}_{key}={quote(text, safe='')}" for n, text in enumerate(texts))
    return f"count={len(texts)}&ofs={first}{fields}"


SCENARIOS: dict[str, Callable[[Peer], object]] = {}


def scenario(function: Callable[[Peer], object]) -> Callable[[Peer], object]:
    SCENARIOS[function.__name__] = function
    return function


@scenario
def requests_that_are_refused(peer: Peer) -> None:
    for query in (
        "/bind?SID=nobody&RID=rpc&TYPE=xmlhttp&CI=0",
        "/bind?SID=nobody&RID=rpc&TYPE=html",
        "/bind?SID=nobody&TYPE=terminate&RID=1",
        "/test?VER=7&MODE=init",
        "/bind?VER=9",
        "/doesnotexist?",
        "/bind/?",
    ):
        peer.ask("GET", query)
        peer.ask("POST", query, "count=0")
    for method in ("PUT", "DELETE", "OPTIONS"):
        peer.ask(method, "/bind?")
        peer.ask(method, "/bind?SID=nobody")


@scenario
def connection_tests(peer: Peer) -> None:
    peer.ask("GET", "/test?MODE=init")
    peer.ask("GET", "/test?TYPE=xmlhttp")


@scenario
def terminate_without_session(peer: Peer) -> None:
    peer.ask("GET", "/bind?TYPE=terminate&RID=1")


@scenario
def echo_and_acknowledgements(peer: Peer) -> None:
    peer.open(maps("first", "é😀", "</script>\n\0"))
    peer.back(0)
    peer.back(0)
    peer.post(101, maps("x", first=3), aid=1)
    peer.back(1)
    for aid in (2, 3, 4):
        peer.post(101 + aid, "count=0", aid=aid)
        peer.post(102, maps("again", first=3), aid=aid)
    peer.post(104, maps(*["many"] * 50, first=4), aid=4)
    peer.back(4)
    peer.post(106, "count=0", aid=10)
    # An escaped line separator counts as one character there in what is outstanding, and as six here.
    peer.post(107, maps("\u2028\u2029", first=54), aid=10)
    peer.back(54)
    peer.close(108)


@scenario
def values_in_maps(peer: Peer) -> None:
    peer.open()
    peer.post(101, maps('{"a":[1,null]}', '"text"', "7", key="JSON"))
    peer.post(102, "count=3&ofs=3&req0_type=_badmap&req1_other=x&req2__S=y")
    peer.post(103, '{"ofs":6,"data":["hello",{"a":1}]}', content_type=JSON)
    peer.back(0)
    peer.close(104)


@scenario
def bodies_that_are_bad(peer: Peer) -> None:
    peer.open()
    peer.post(101, "")
    peer.post(101, "count=x&ofs=0&req0__S=1")
    peer.post(101, "count=1&req0__S=1")
    peer.post(101, '{"ofs":0,"data":["x"]}')
    peer.post(101, '{"ofs":0,"data":["x"]}', content_type=JSON + "; charset=utf-8")
    peer.post(101, '{"ofs":0}', content_type=JSON)
    peer.post(101, "{", content_type=JSON)
    peer.post(101, maps("x"))
    peer.back(0)
    peer.close(102)


@scenario
def json_that_is_none(peer: Peer) -> None:
    peer.open()
    peer.post(101, maps("{", key="JSON"))
    peer.post(102, "count=0")


@scenario
def requests_out_of_order(peer: Peer) -> None:
    peer.open()
    peer.post(103, maps("three", first=2))
    peer.post(102, maps("two", first=1))
    peer.post(101, maps("one", "two", first=0))
    peer.post(101, maps("one", "two", "three", "four", first=0))
    peer.post(104, maps("four", "five", first=3))
    peer.back(0)
    peer.close(105)


@scenario
def goodbye_that_is_early(peer: Peer) -> None:
    peer.open()
    peer.ask("GET", "/bind?SID=*&TYPE=terminate&RID=102")
    peer.post(101, maps("late"))
    peer.post(103, "count=0")


@scenario
def streaming(peer: Peer) -> None:
    peer.open()
    stream = peer.send("GET", "/bind?SID=*&RID=rpc&CI=0&AID=0&TYPE=xmlhttp")
    while not peer.post(101, "count=0")[2].endswith("[1,0,0]"):
        pass
    peer.answers = peer.answers[:1]  # what was answered until then depends on the time
    for number in range(3):
        peer.post(102 + number, maps(str(number), first=number))
    peer.close(105)
    peer.note(stream)


@scenario
def streaming_until_it_is_enough(peer: Peer) -> None:
    peer.open(maps("x" * 6000))
    stream = peer.send("GET", "/bind?SID=*&RID=rpc&CI=0&AID=0&TYPE=xmlhttp")
    while not peer.post(101, "count=0")[2].startswith("10\n[1,1"):
        pass
    peer.answers = peer.answers[:1]
    peer.post(102, maps("y" * 6000, first=1))
    peer.note(stream)
    peer.post(103, "count=0")
    peer.close(104)


@scenario
def another_back_channel(peer: Peer) -> None:
    peer.open()
    old = peer.send("GET", "/bind?SID=*&RID=rpc&CI=0&AID=0&TYPE=xmlhttp")
    while not peer.post(101, "count=0")[2].endswith("[1,0,0]"):
        pass
    peer.answers = peer.answers[:1]
    new = peer.send("GET", "/bind?SID=*&RID=rpc&CI=1&AID=0&TYPE=xmlhttp")
    peer.note(old)
    peer.post(102, maps("x"))
    peer.note(new)
    peer.close(103)


@scenario
def back_channel_that_is_none(peer: Peer) -> None:
    peer.open()
    peer.ask("GET", "/bind?SID=*&RID=100&CI=0&AID=0&TYPE=xmlhttp")
    peer.ask("GET", "/bind?SID=*&CI=0&AID=0&TYPE=html")
    peer.close(101)


@scenario
def forever_frame(peer: Peer) -> None:
    peer.open(maps('"é\u2028"'))
    peer.back(0, kind="html", more="&DOMAIN=a.com")
    peer.back(0, kind="html")
    peer.close(101)


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Of the original, and of ours."""
    try:
        original = subprocess.Popen(
            ["node", "--no-deprecation", HERE / "browserchannel_original.js"],
            stdout=subprocess.PIPE,
            text=True,
        )
    except OSError as error:
        pytest.fail(f"{error}\n{ADVICE}", pytrace=False)
    with original as process, channel_server("own") as server:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            pytest.fail(ADVICE, pytrace=False)
        yield int(line), server.port
        process.kill()


def without_padding(text: str) -> str:
    """The padding of a forever frame is any 290 hex digits."""
    pieces = text.split("\n")
    return "\n".join(
        ["0" * len(p) if len(p) == 290 and set(p) <= set("0123456789abcdef") else p for p in pieces]
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_answers(name: str, ports: tuple[int, int]) -> None:
    seen = []
    for port, query in zip(ports, ("", "&service=mirror"), strict=True):
        peer = Peer(port, query)
        try:
            SCENARIOS[name](peer)
        finally:
            for client in peer.clients:
                client.sock.close()
        seen.append([(reason, headers, without_padding(text)) for reason, headers, text in peer.answers])
    original, ours = seen
    assert ours == original
