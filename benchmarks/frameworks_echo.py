"""How many messages does one core echo over SockJS and Socket.IO 0.9 on WebSocket, with 1 or 16 in flight?"""

from __future__ import annotations

from echo import DEPTHS, case
from harness import (
    SOCKETIO_BLOCKING,
    SOCKETIO_EVENTS,
    SOCKETIO_ORIGINAL,
    SOCKJS_BLOCKING,
    SOCKJS_EVENTS,
    SOCKJS_ORIGINAL,
    Case,
    run,
)


def cases(quick: bool) -> list[Case]:
    sockjs = (SOCKJS_BLOCKING, SOCKJS_EVENTS, SOCKJS_ORIGINAL)
    socketio = (SOCKETIO_BLOCKING, SOCKETIO_EVENTS, SOCKETIO_ORIGINAL)
    return [
        *(case(depth, quick, sockjs, "sockjs") for depth in DEPTHS),
        *(case(depth, quick, socketio, "socket.io") for depth in DEPTHS),
    ]


if __name__ == "__main__":
    run(__doc__, cases, "frameworks_echo")
