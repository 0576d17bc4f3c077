"""The two readers of a WebSocket, ours and gevent-websocket's with its limits, agree about any bytes.

Where they do not: gevent-websocket takes lengths that are not in their shortest form, and its verdict may
come later, when a header or a payload is whole.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primus_gevent.protocols.websocket import Event, Failure, Pong, WebSocketProtocol
from primus_gevent.transports.gevent_websocket import GeventWebSocketProtocol
from tests.fuzz.test_transport_websocket import frames, streams
from tests.unit.protocols.wire import build, cut_at, feed

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))

LIMITS: dict[str, Any] = {"max_length": 200, "max_fragments": 5}
REST = bytes(300)  # more than what a refused frame of these lengths can lack

fragments = st.builds(
    lambda text, cuts, opcode: (
        b"".join(
            build(0 if index else opcode, piece, fin=False) for index, piece in enumerate(cut_at(text, cuts))
        )
        + build(0)
    ),
    st.one_of(st.text(max_size=30).map(str.encode), st.binary(max_size=30)),
    st.lists(st.integers(0, 30), max_size=4),
    st.sampled_from([1, 1, 2]),
)


def told(events: list[Event]) -> list[Any]:
    """What the transport is told; it does not look at a Pong, and a reason is a matter of words."""
    return [
        ("failure", event.code) if isinstance(event, Failure) else event
        for event in events
        if not isinstance(event, Pong)
    ]


@settings(max_examples=EXAMPLES)
@given(
    data=st.one_of(streams, st.lists(st.one_of(fragments, frames), max_size=4).map(b"".join)),
    cuts=st.one_of(st.just(range(1000)), st.lists(st.integers(0, 200), max_size=5)),
)
def test_they_agree(data: bytes, cuts: Any) -> None:
    ours, theirs = WebSocketProtocol(**LIMITS), GeventWebSocketProtocol(**LIMITS)
    pieces = cut_at(data, cuts)
    expected, events = feed(ours, pieces), feed(theirs, pieces)
    if expected and isinstance(expected[-1], Failure):
        if "length is not in its shortest form" in expected[-1].reason or "64-bit" in expected[-1].reason:
            return
        if told(events) == told(expected[:-1]):
            events += theirs.receive(REST)
    else:
        assert theirs.partial == ours.partial
        assert theirs.ignored_bytes == ours.ignored_bytes
    assert told(events) == told(expected)
    theirs.stop()
    assert not theirs.partial
