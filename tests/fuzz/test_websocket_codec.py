"""Any bytes, whole or cut, make equal events, and no bytes make `receive` raise.

Long runs: ``FUZZ_EXAMPLES=100000 pytest tests/fuzz``. What broke this codec, or others, is kept as a file in
`corpus/websocket`.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from primus_gevent.errors import HandshakeError
from primus_gevent.protocols.deflate import DeflateOptions, PerMessageDeflate
from primus_gevent.protocols.handshake import ClientHandshake, ServerHandshake, parse_extensions
from primus_gevent.protocols.websocket import Close, Event, Failure, Ping, Pong, WebSocketProtocol
from tests.unit.protocols.wire import build, cut_at, feed, single_bytes

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
CORPUS = sorted((Path(__file__).parent / "corpus" / "websocket").glob("*.json"))

MAX_LENGTH = 200
MAX_FRAGMENTS = 5


def make(*, client: bool = False, deflate: bool = False, **limits: int) -> WebSocketProtocol:
    streams = PerMessageDeflate(client=client, options=DeflateOptions(threshold=0)) if deflate else None
    return WebSocketProtocol(client=client, deflate=streams, **limits)


def raw_deflate(data: bytes, final: bool) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    if final:
        return compressor.compress(data) + compressor.flush()
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


# Mostly lawful, so that the streams get somewhere before they end; every field can also be anything.
payloads = st.one_of(
    st.text(max_size=60).map(str.encode),
    st.binary(max_size=20),
    st.builds(raw_deflate, st.text(max_size=300).map(str.encode), st.booleans()),
    st.sampled_from(
        [b"\xce\xba\xe1\xbd\xb9", b"\xf4", b"\x90", b"\xf0\x9f\x98", b"\x80", b"\x03\xe8", b"x" * 126]
    ),
)
lawful_opcodes = st.sampled_from([0, 0, 0, 1, 1, 1, 1, 2, 2, 9, 10])
frames = st.builds(
    build,
    st.one_of(lawful_opcodes, lawful_opcodes, st.sampled_from([8]), st.integers(0, 15)),
    payloads,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 4, 4, 2, 1]),
    key=st.one_of(st.binary(min_size=4, max_size=4), st.just(b"\0\0\0\0"), st.none()),
)
odd_frames = st.builds(
    build,
    st.integers(0, 15),
    payloads,
    form=st.sampled_from([16, 64]),
    announce=st.one_of(st.none(), st.integers(0, 65535)),
)
streams = st.one_of(
    st.lists(st.one_of(frames, frames, frames, odd_frames), max_size=12).map(b"".join),
    st.lists(st.one_of(frames, st.binary(max_size=4)), max_size=6).map(b"".join),
    st.binary(max_size=300),
)


@settings(max_examples=EXAMPLES)
@given(
    data=streams,
    places=st.lists(st.integers(0, 600), max_size=8),
    client=st.booleans(),
    deflate=st.booleans(),
)
@example(data=build(1, b"\xf4\x90" + b"x" * 200), places=[7], client=False, deflate=False)
def test_cutting_the_stream_changes_nothing(
    data: bytes, places: list[int], client: bool, deflate: bool
) -> None:
    outcomes = []
    for pieces in ([data], single_bytes(data), cut_at(data, places), [*single_bytes(data)[:3], data[3:]]):
        protocol = make(client=client, deflate=deflate, max_length=MAX_LENGTH, max_fragments=MAX_FRAGMENTS)
        events = feed(protocol, pieces)
        outcomes.append(
            (events, [type(event) for event in events], protocol.partial, protocol.close_received)
        )
        check_events(protocol, events)
    assert outcomes.count(outcomes[0]) == len(outcomes)


def check_events(protocol: WebSocketProtocol, events: list[Event]) -> None:
    for event in events[:-1]:
        assert not isinstance(event, (Close, Failure)), "an event after the last one"
    for event in events:
        if isinstance(event, str):
            assert len(event.encode()) <= MAX_LENGTH
        elif isinstance(event, bytes):
            assert len(event) <= MAX_LENGTH
        elif isinstance(event, (Ping, Pong)):
            assert len(event.payload) <= 125
        elif isinstance(event, Failure):
            assert event.code in (1002, 1007, 1008, 1009)
            # The transport sends this without looking: it has to be sendable.
            assert WebSocketProtocol(client=not protocol.client).receive(
                protocol.close(event.code, event.reason)
            ) == [Close(event.code, event.reason)]
    if events and isinstance(events[-1], (Close, Failure)):
        assert not protocol.partial
        assert protocol.receive(build(1, b"more")) == []


messages = st.lists(
    st.one_of(
        st.text(max_size=400),
        st.binary(max_size=400),
        st.builds(Ping, st.binary(max_size=125)),
        st.builds(Pong, st.binary(max_size=125)),
        st.sampled_from(["x" * 125, "x" * 126, b"y" * 65535, b"y" * 65536, "€" * 30_000]),
    ),
    max_size=8,
)


@settings(max_examples=EXAMPLES)
@given(
    messages=messages,
    places=st.lists(st.integers(0, 5000), max_size=8),
    from_client=st.booleans(),
    threshold=st.sampled_from([None, 0, 50]),
    takeover=st.booleans(),
)
def test_what_one_role_sends_the_other_receives(
    messages: list[Event], places: list[int], from_client: bool, threshold: int | None, takeover: bool
) -> None:
    def side(client: bool) -> WebSocketProtocol:
        if threshold is None:
            return WebSocketProtocol(client=client)
        streams = PerMessageDeflate(
            client=client,
            server_no_context_takeover=not takeover,
            client_no_context_takeover=not takeover,
            options=DeflateOptions(threshold=threshold),
        )
        return WebSocketProtocol(client=client, deflate=streams)

    sender, receiver = side(from_client), side(not from_client)
    wire = b""
    for message in messages:
        if isinstance(message, str):
            wire += sender.text(message)
        elif isinstance(message, bytes):
            wire += sender.binary(message)
        elif isinstance(message, Ping):
            wire += sender.ping(message.payload)
        elif isinstance(message, Pong):
            wire += sender.pong(message.payload)
    wire += sender.close(1001, "done")
    assert feed(receiver, cut_at(wire, places)) == [*messages, Close(1001, "done")]
    assert not receiver.partial


@settings(max_examples=EXAMPLES)
@given(
    parts=st.lists(st.tuples(st.binary(max_size=5), st.booleans()), min_size=1, max_size=20),
    places=st.lists(st.integers(0, 300), max_size=4),
)
def test_text_in_fragments_is_judged_as_python_judges_the_whole(
    parts: list[tuple[bytes, bool]], places: list[int]
) -> None:
    wire = b""
    for index, (part, ping_before) in enumerate(parts):
        if ping_before:
            wire += build(9)
        wire += build(1 if index == 0 else 0, part, fin=index == len(parts) - 1)
    whole = b"".join(part for part, _ in parts)
    events = feed(WebSocketProtocol(), cut_at(wire, places))
    found = [event for event in events if not isinstance(event, Ping)]
    try:
        assert found == [whole.decode()]
    except UnicodeDecodeError:
        assert found == [Failure(1007, "a text message is not valid UTF-8")]


header_values = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [
                *"abc,;=\"' \t\x00",
                "permessage-deflate",
                "server_max_window_bits",
                "client_max_window_bits",
                "client_no_context_takeover",
                "=10",
                "=8",
                "upgrade",
                "websocket",
                "13",
            ]
        ),
        max_size=12,
    ).map("".join),
)
HEADERS = [
    "UPGRADE",
    "CONNECTION",
    "SEC_WEBSOCKET_VERSION",
    "SEC_WEBSOCKET_PROTOCOL",
    "SEC_WEBSOCKET_EXTENSIONS",
]


@settings(max_examples=EXAMPLES)
@given(changes=st.dictionaries(st.sampled_from([*HEADERS, "SEC_WEBSOCKET_KEY"]), header_values, max_size=3))
def test_a_request_is_accepted_or_refused_and_nothing_else(changes: dict[str, str]) -> None:
    client = ClientHandshake()
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}
    for name, value in client.request_headers():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ.update({"HTTP_" + name: value for name, value in changes.items()})
    refused = None
    try:
        handshake = ServerHandshake.parse(environ, compression=True)
    except HandshakeError as error:
        refused = error.status
    if refused is not None:
        assert refused in (400, 426)
        return
    answer = handshake.response_headers()
    for name, value in answer:
        assert (name + value).isprintable(), "a header that could split the response"
    if handshake.deflate is not None:
        # What the client said is what we agreed to, or it would have to hang up.
        offers = [p for name, p in parse_extensions(changes["SEC_WEBSOCKET_EXTENSIONS"])]
        (agreed,) = parse_extensions(dict(answer)["Sec-WebSocket-Extensions"])
        assert any({name for name, _ in agreed[1]} <= {name for name, _ in offer} for offer in offers)


@settings(max_examples=EXAMPLES)
@given(value=header_values)
def test_extensions_are_read_or_refused(value: str) -> None:
    try:
        extensions = parse_extensions(value)
    except ValueError:
        return
    spelled = ", ".join(
        "; ".join([name, *(key if found is None else f"{key}={found}" for key, found in parameters)])
        for name, parameters in extensions
    )
    assert parse_extensions(spelled) == extensions


def event_of(kind: str, *arguments: Any) -> Event:
    if kind == "text":
        return str(arguments[0])
    if kind == "binary":
        return bytes.fromhex(arguments[0])
    if kind == "close":
        return Close(*arguments)
    if kind == "failure":
        return Failure(*arguments)
    return {"ping": Ping, "pong": Pong}[kind](bytes.fromhex(arguments[0]))


@pytest.mark.parametrize("path", CORPUS, ids=[path.stem for path in CORPUS])
def test_corpus(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    data = bytes.fromhex("".join(case["hex"]))
    expected = [event_of(*event) for event in case["events"]]
    ways = [[data], single_bytes(data), *(cut_at(data, [place]) for place in range(1, min(len(data), 300)))]
    for pieces in ways:
        assert feed(make(**case["codec"]), pieces) == expected, case["why"]


def test_the_corpus_is_there() -> None:
    assert len(CORPUS) >= 8
