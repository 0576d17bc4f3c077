"""Primus's own messages: texts that travel as any other message does, and that no application gets to see.

They are the same in every generation of Primus: ``primus::ping::<ms>``, ``primus::pong::<ms>``,
``primus::id::<id>`` and ``primus::server::close``; the parser encodes them like everything else.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ASK_ID", "SERVER_CLOSE", "answer_id", "is_own", "parse", "ping", "pong"]

PREFIX: Final = "primus::"

# What is looked for near the beginning of an encoded message, behind what the parser may put in front of it.
TEXT_MARK: Final = PREFIX
BYTES_MARK: Final = PREFIX.encode()

#: The server says that the next end of the transport is final: do not reconnect.
SERVER_CLOSE: Final = "primus::server::close"


#: A client asks for the id of its spark.
ASK_ID: Final = "primus::id::"


def is_own(message: object) -> bool:
    """Whether a decoded message begins as those of Primus do; `parse` then says which one it is."""
    return type(message) is str and message[:8] == PREFIX


def parse(message: str) -> tuple[str, str] | None:
    """Command and value of a message that begins with ``primus::``; None for one that is ordinary data.

    The rule of every generation: the command ends at the next colon, the value begins two further.
    """
    end = message.find(":", len(PREFIX))
    return None if end < 0 else (message[len(PREFIX) : end], message[end + 2 :])


def ping(now_ms: int) -> str:
    """Asks for a sign of life (specification, "Heartbeats and latency")."""
    return f"primus::ping::{now_ms}"


def pong(value: str) -> str:
    """Answers a ping with the value it had."""
    return f"primus::pong::{value}"


def answer_id(value: str) -> str:
    """Answers ``primus::id::``, with which a client asks for the id of its spark."""
    return f"primus::id::{value}"
