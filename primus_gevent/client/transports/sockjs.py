"""The transport for `sockjs`: asks the server what it can do, then tries a WebSocket, a stream and polling.

SockJS loses what is under way when a request breaks. Our own server counts messages for clients that do too:
such a request is repeated, and nothing is lost or doubled. (`docs/reference/wire.md`, "SockJS".)
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import gevent
from gevent.event import AsyncResult

from ...errors import ConnectError, ConnectTimeout, PrimusError, RemoteProtocolError, UnexpectedResponse
from ...inbox import Raw
from ...protocols import sockjs
from ...protocols.carried import from_text, to_text
from ...transport_options import TransportOptions, choices, option, seconds
from ..address import Address
from ..session import ClientSession

if TYPE_CHECKING:
    from ..link import Link
    from ..socket import Socket

__all__ = ["SockJS"]

TRANSPORTS = ("websocket", "xhr-streaming", "xhr-polling")
URLS = {"xhr-streaming": "xhr_streaming", "xhr-polling": "xhr"}

INFO_SECONDS = 8.0

# What a transport may take to open: two round trips, as the original has it.
ROUND_TRIPS = 2

# A request that broke is repeated after 0.05 s, 0.1 s, ..., 3 s in all: our server keeps a session for 5.
REPEAT_SECONDS = 0.05
REPEATS = 6


@dataclass(frozen=True)
class SockJSOptions(TransportOptions):
    """What `transport` can have for `sockjs`."""

    transports: Sequence[str] = option(TRANSPORTS, choices(*TRANSPORTS))
    """Those that may be used; they are tried in SockJS's order."""
    timeout: float = option(0.0, seconds)
    """Seconds for one of them to open, if that is more than the server's round trip asks for."""


def closing(frame: str) -> tuple[int, str]:
    """Code and reason in a close frame.

    Raises:
        RemoteProtocolError: they are not there.
    """
    try:
        code, reason = json.loads(frame[1:])
        return int(code), str(reason)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise RemoteProtocolError(f"a broken close frame: {frame[:80]!r}") from None


class Refused(ConnectError):
    """The server has closed a session before it was open, and with a code that says that this is meant."""


class SockJS(ClientSession):
    """A session of SockJS, over whatever works."""

    def __init__(self, client: Socket, link: Link) -> None:
        super().__init__(client, link)
        self.name = ""
        self._path = ""  # of the session: the server part, which load balancers may look at, and its id
        self._patience = 0.0  # seconds that a transport may take to open
        self._resume = False  # the server counts
        self._seen = 0
        self._sent = 0
        self._opening: Any = AsyncResult()

    @classmethod
    def parse(cls, transport: Any) -> SockJSOptions:
        return SockJSOptions.parse(transport)

    # -- opening: one transport after the other

    def _run(self) -> None:
        began = monotonic()
        info = self._ask()
        took = monotonic() - began
        self._patience = max(self._options.timeout, ROUND_TRIPS * (4 * took if took > 0.1 else 0.3 + took))
        failure: PrimusError = ConnectError("none of those that may be used is offered")
        for name in self._possible(info):
            self._begin(name)
            try:
                batches = self._open_websocket() if name == "websocket" else self._open_http(name)
            except PrimusError as error:
                failure = error
                if isinstance(error, Refused):
                    raise
                if self._gives_up():
                    continue
                return
            for batch in batches:
                self._later(self.receive, batch)
            return
        if isinstance(failure, UnexpectedResponse):
            raise failure  # its status may say that it is of no use to come again
        raise ConnectError(
            f"no transport of SockJS reaches {self._url}: {failure}", str(self._url)
        ) from failure

    def _ask(self) -> Mapping[str, Any]:
        late = ConnectTimeout(f"no answer from {self._url} within {INFO_SECONDS} s", str(self._url))
        with gevent.Timeout(INFO_SECONDS, late):
            body = self._fetch("GET", "info", {"resume": 1})
        try:
            info = json.loads(body)
            self._resume = info.get("resume") is True
            base = info.get("base_url")
            if base:
                address = Address.parse(urljoin(str(self._url), base))
                if (address.host, address.port) != (self._url.host, self._url.port):
                    self._url.username = self._url.password = ""  # they are for the one that was asked
                self._url.scheme, self._url.host, self._url.port = address.scheme, address.host, address.port
                self._url.pathname = address.path
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ConnectError(
                f"no SockJS at {self._url}: it answered {body[:60]!r}", str(self._url)
            ) from error
        return info  # type: ignore[no-any-return]

    def _possible(self, info: Mapping[str, Any]) -> list[str]:
        sockets = self._client.options.websockets and info.get("websocket") is not False
        wanted = self._options.transports
        return [name for name in TRANSPORTS if name in wanted and (sockets or name != "websocket")]

    def _begin(self, name: str) -> None:
        """Every transport has a session of its own."""
        self.name = name
        self._path = f"{secrets.randbelow(1000):03}/{secrets.token_hex(8)}/"

    def _in_time(self, name: str) -> Any:
        return gevent.Timeout(
            self._patience,
            ConnectTimeout(f"no answer over {name} within {self._patience:.1f} s", str(self._url)),
        )

    def _open_websocket(self) -> Iterator[Sequence[str]]:
        with self._in_time("websocket"):
            self._opening = AsyncResult()
            self._later(self._adopt, *self._connect(f"{self._path}websocket"))
            self._opening.get()
        return iter(())  # it brings them itself

    def _open_http(self, name: str) -> Iterator[Sequence[str]]:
        self._begun = True
        batches = self._batches(f"{self._path}{URLS[name]}")
        try:
            with self._in_time(name):
                frames = self._first(batches)
        except BaseException:
            batches.close()  # and its request: the error would keep both
            raise
        self._made = True
        self._later(self._ready)
        return chain((frames[1:],), batches)

    def _first(self, batches: Iterator[Sequence[str]]) -> Sequence[str]:
        """The first frames, of which one opens the session."""
        frames: list[str] = []
        while not frames:
            # A stream begins with padding, which looks like a heartbeat.
            frames = [frame for frame in next(batches) if not frame.startswith(sockjs.HEARTBEAT)]
        if frames[0][:1] == "c":
            raise self._closed_before(*closing(frames[0]))
        if frames[0] != sockjs.OPEN:
            raise ConnectError(f"{self._url} did not open a session: {frames[0][:80]!r}", str(self._url))
        return frames

    # -- what comes

    def _batches(self, path: str) -> Generator[Sequence[str], None, None]:
        """The frames of the server, as they come: a stream ends when it has brought enough, a poll with its
        first one."""
        repeats = 0
        while True:
            self._wait_wanted()
            if self._over:
                return
            seen = self._seen
            try:
                any_came = False
                for lines in self._lines(path):
                    any_came = True
                    yield lines
                if not any_came:
                    raise ConnectError(f"{self._url} gave an empty answer", str(self._url))
                repeats = 0
            except PrimusError as error:
                gevent.sleep(0)
                if self._seen > seen:
                    repeats = 0
                self._pause_or_raise(error, repeats)
                repeats += 1

    def _lines(self, path: str) -> Iterator[Sequence[str]]:
        more: dict[str, Any] = {}
        if self._resume:
            more["seen"] = self._seen
            if self._opened:  # no other session is wanted
                more["open"] = 1
        rest = bytearray()
        with self._request("POST", path, more) as response:
            for piece in response:
                rest += piece
                if len(rest) > self.max_answer:
                    raise RemoteProtocolError(f"a frame of {self._url} has no end", status=502)
                if b"\n" in piece:
                    *lines, left = rest.split(b"\n")
                    rest = bytearray(left)
                    yield [line.decode("utf-8", "replace") for line in lines]
                    self._wait_wanted()

    def _pause_or_raise(self, error: PrimusError, repeats: int) -> None:
        """Wait a little, if the session may still be there. A refusal is an answer, but for the one that says
        that nobody has read for long."""
        refused = isinstance(error, UnexpectedResponse) and error.status != 503
        broken = isinstance(error, ConnectError) and not refused
        if not (broken and self._resume and self._opened and repeats < REPEATS):
            raise error
        gevent.sleep(REPEAT_SECONDS * 2**repeats)

    def _receive_frame(self, frame: Raw) -> None:
        kind, rest = frame[:1], frame[1:]
        if kind == "a":
            self._messages(json.loads(rest))
        elif kind == "m":
            self._messages([json.loads(rest)])
        elif kind == "c":
            self._ended(*closing(str(frame)))
        elif kind == "o":
            if self._opened:
                raise RemoteProtocolError("the server has lost the session")
            self._ready()
            self._opening.set(True)

    def _messages(self, texts: list[str]) -> None:
        self._seen += len(texts)
        self._take([from_text(text) for text in texts])

    def _ended(self, code: int, reason: str) -> None:
        """By the server: as official clients report it, anything but 1000 is an error too."""
        if not self._opened:
            self._opening.set_exception(self._closed_before(code, reason))
        elif code > 1000:
            self._fail(ConnectError(f"the server closed the session: {code} {reason}", str(self._url)))
        else:
            self._finish()

    def _closed_before(self, code: int, reason: str) -> ConnectError:
        """The error for a session that was closed instead of opened."""
        chosen = code == 1000 or 3000 <= code <= 4999  # what applications may close with
        kind = Refused if chosen else ConnectError
        return kind(f"the server did not open the session: {code} {reason}", str(self._url))

    def closed(self, clean: bool) -> None:
        if self._opened or self._over:
            super().closed(clean)
        else:
            self._opening.set_exception(
                ConnectError(f"{self._url} closed the WebSocket before it was open", str(self._url))
            )

    # -- what goes

    def _encode(self, payload: Raw) -> str:
        return sockjs.quote(to_text(payload))

    def _frame(self, packet: str) -> Raw:
        return f"[{packet}]"

    def _deliver(self, packets: Sequence[str], **more: int) -> None:
        body = f"[{','.join(packets)}]".encode()
        if self._resume:
            more["first"] = self._sent
        repeats = 0
        while True:
            try:
                self._fetch("POST", f"{self._path}xhr_send", more, body, "text/plain")
                break
            except PrimusError as error:
                self._pause_or_raise(error, repeats)
                repeats += 1
        self._sent += len(packets)

    def _goodbye(self) -> None:
        # The server takes the end of our request for the end, unless it keeps the session for those who come
        # back.
        if self._resume:
            self._deliver([], end=1)
