"""A response in pieces, for as long as its client listens: each carries what has come meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf

from ..session import GONE, OPEN, Packet, Session
from .polling import LEFT, Poll

__all__ = ["Fill", "Stream"]

#: Takes packets out of the outbox for one piece; returns them, and the piece.
Fill = Callable[[], tuple[Sequence[Packet], bytes]]


class Stream:
    """The body of a streaming response, for a WSGI server to iterate over.

    Which has sent a piece when it asks for the next one. Packets of a piece whose sending fails go back to
    the outbox. The session is held until the server finds the end, or calls `close`.

    Args:
        session: whose packets it carries; its carrier is ``poll`` already.
        poll: of the request.
        prelude: a piece that goes first, whatever there is to say; empty for none.
        fill: makes the other pieces.
        limit: bytes of these, after which the response ends and the client comes again.
        write_seconds: that the first bytes of a piece may take.
        end: the last piece, if any.
    """

    __slots__ = (
        "_end",
        "_fill",
        "_left",
        "_limit",
        "_packets",
        "_poll",
        "_prelude",
        "_session",
        "_state",
        "_write_seconds",
    )

    def __init__(
        self,
        session: Session,
        poll: Poll,
        fill: Fill,
        *,
        prelude: bytes = b"",
        limit: int,
        write_seconds: float,
        end: bytes = b"",
    ) -> None:
        self._session = session
        self._poll = poll
        self._fill = fill
        self._prelude = prelude
        self._limit = limit
        self._write_seconds = write_seconds
        self._end = end
        self._packets: Sequence[Packet] = ()  # on their way
        self._left = False
        self._state = "open"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._state == "open":
            self._sent()
            piece = self._piece()
            if piece:
                self._poll.answer_with(len(piece), self._write_seconds)
                return piece
            self._state = "ending"
            if self._end and not self._left:
                self._poll.answer_with(len(self._end), self._write_seconds)
                return self._end
        self._release()
        raise StopIteration

    def _sent(self) -> None:
        """The piece before has reached the network."""
        self._poll.deadline = inf
        if self._packets:
            self._packets = ()
            self._session.delivered()

    def _piece(self) -> bytes:
        """The next piece, or nothing at the end. Blocks until there is one."""
        if self._prelude:
            piece, self._prelude = self._prelude, b""
            return piece
        session, poll = self._session, self._poll
        while self._limit > 0 and not poll.dismissed:
            if session.ready:
                self._packets, piece = self._fill()
                self._limit -= len(piece)
                if piece or session.state != OPEN:
                    return piece
            elif session.transport is not None:
                break
            if poll.wait() == LEFT:
                self._left = True
                break
        return b""

    def close(self) -> None:
        """The server is done with the response, whatever has become of it."""
        if self._state != "closed":
            self._left = True
            self._session.put_back(self._packets)
            self._release()

    def _release(self) -> None:
        if self._state == "closed":
            return
        self._state = "closed"
        session = self._session
        session.release(self._poll, cut=self._left)
        if session.state != GONE and not self._left:
            session.delivered()
