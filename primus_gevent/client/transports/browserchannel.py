"""The transport for `browserchannel`, version 8.

One GET brings what the server has, as a stream or, where something on the way keeps answers until they are
whole, one piece at a time; one POST at a time takes what we have. Both are repeated when they break, and
nothing is lost or doubled by that. The times are those of the original client.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gevent

from ...errors import ConnectError, ConnectTimeout, PrimusError, RemoteProtocolError, UnexpectedResponse
from ...inbox import Raw
from ...protocols import browserchannel_client as wire
from ...protocols.carried import from_text, to_text
from ...transport_options import TransportOptions, flag, option, text
from ..http import Response
from ..session import ClientSession

if TYPE_CHECKING:
    from ..address import UrlParts
    from ..link import Link
    from ..socket import Socket

__all__ = ["BrowserChannel"]

POST_SECONDS = 10.0
POST_REPEATS = 2
GET_REPEATS = 3
PAUSE_SECONDS = 5.0

# The server sends something every 20 seconds.
SILENCE_SECONDS = 45.0

# A GET that the server does not know of, although it is so old, has got lost.
LOST_GET_SECONDS = 3.0

# One on which nothing comes, although the server says that it has sent something, may be dead; if it is much
# that it has sent, the connection is slow.
DEAD_GET_SECONDS = 6.0
SLOW_BYTES = 37500

FORM = "application/x-www-form-urlencoded"
STREAMING, POLLING = "streaming", "long-polling"


@dataclass(frozen=True)
class BrowserChannelOptions(TransportOptions):
    """What `transport` can have for `browserchannel`."""

    streaming: bool = option(True, flag)
    """False: do not try a stream, poll."""
    fail_fast: bool = option(False, flag)
    """True: repeat no POST."""
    app_version: str = option("", text)
    """Told to the server."""


class BrowserChannel(ClientSession):
    """A session of BrowserChannel."""

    def __init__(self, client: Socket, link: Link) -> None:
        super().__init__(client, link)
        self.name = ""
        # Of the host that GETs go to, so that they do not count among a browser's connections to ours.
        self._prefix: str | None = None
        self._rid = random.randrange(100_000)  # of the next POST
        self._offset = 0  # of the first message in it
        self._last = -1  # number of the last array that has come
        self._getting = False  # the reader waits for the network
        self._began = 0.0  # when the GET was made
        self._get_repeats = 0

    @classmethod
    def parse(cls, transport: Any) -> BrowserChannelOptions:
        return BrowserChannelOptions.parse(transport)

    def _address(self, path: str = "", more: Any = None) -> UrlParts:
        known: dict[str, Any] = {"VER": 8}
        if self.id is not None:
            known |= {"SID": quote(self.id, safe=""), "AID": self._last}
        return super()._address(path, {**known, **(more or {})})

    def _get(self, path: str, more: dict[str, Any]) -> Response:
        """A GET from the other host, if there is one."""
        url = self._address(path, more)
        if self._prefix:
            url = replace(url, host=f"{self._prefix}.{url.host}")
        return self._request("GET", url=url)

    # -- opening: the test phase, and the POST that makes the session

    def _run(self) -> None:
        body = self._fetch("GET", "test", {"MODE": "init"})
        try:
            self._prefix = json.loads(body)[0]
        except (ValueError, LookupError, TypeError):
            raise ConnectError(
                f"no BrowserChannel at {self._url}: it answered {body[:60]!r}", str(self._url)
            ) from None
        self.name = STREAMING if self._options.streaming and self._streams() else POLLING
        self._bind()
        self._receive_on()

    def _streams(self) -> bool:
        """Whether an answer comes as it is sent: its first five characters come alone then."""
        seen = b""
        with self._get("test", {"TYPE": "xmlhttp"}) as response:
            for piece in response:
                seen += piece
                if seen == b"11111":
                    return True
                if len(seen) > len(b"111112"):
                    break
        return False

    def _bind(self) -> None:
        """Not repeated, since that might make two sessions."""
        self._begun = True
        more: dict[str, Any] = {"RID": self._next_rid()}
        if self._options.app_version:
            more["CVER"] = quote(self._options.app_version, safe="")
        body = self._fetch("POST", "bind", more, b"count=0", FORM)
        for chunk in wire.ChunkReader().receive(body):
            self._arrays(chunk)
        if self.id is None:
            raise RemoteProtocolError(f"no session in the answer: {body[:80]!r}")

    def _next_rid(self) -> int:
        self._rid += 1
        return self._rid - 1

    # -- what comes

    def _receive_on(self) -> None:
        while True:
            self._wait_wanted()
            if self._over and not self._queue:
                return
            try:
                self._receive_some()
            except PrimusError as error:
                self._pause_or_raise(error, self._get_repeats, GET_REPEATS)
                self._get_repeats += 1

    def _receive_some(self) -> None:
        """One GET."""
        reader = wire.ChunkReader(2 * self.max_answer)
        any_came = False
        self._began = monotonic()
        more = {"RID": "rpc", "CI": int(self.name == POLLING), "TYPE": "xmlhttp"}
        with self._waiting():
            response = self._get("bind", more)
        with response:
            pieces = iter(response)
            while True:
                with self._waiting():
                    piece = next(pieces, None)
                if piece is None:
                    break
                for chunk in reader.receive(piece):
                    self._arrays(chunk)
                    any_came = True
                    self._get_repeats = 0
                self._wait_wanted()
        if not any_came:
            raise ConnectError(f"no data from {self._url}", str(self._url))

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """While the reader waits for the network, which may take so long, and `_again` may end it."""
        silent = ConnectTimeout(f"{self._url} was silent for {SILENCE_SECONDS:g} s", str(self._url))
        with gevent.Timeout(SILENCE_SECONDS, silent):
            self._getting = True
            try:
                yield
            finally:
                self._getting = False
                self._timers.clear("dead")

    def _arrays(self, chunk: str) -> None:
        """Each with its number. Those that have not been acknowledged come again with the next GET."""
        for number, data in wire.decode_arrays(chunk):
            if number <= self._last:
                continue
            self._last = number
            if not isinstance(data, list):
                self._later(self._take, (from_text(data if isinstance(data, str) else json.dumps(data)),))
            elif data[:1] == ["c"] and self.id is None and len(data) > 2:
                self.id, self._prefix, self._made = str(data[1]), data[2], True
                self._later(self._ready)
            elif data[:1] == ["stop"]:
                # Official clients report an error; it is the way in which sparks end here. The session is not
                # over by itself.
                self._later(self._stopped)

    def _stopped(self) -> None:
        self._queue.clear()
        self.close()

    def _pause_or_raise(self, error: PrimusError, times: int, limit: int) -> None:
        """At once at first, then after 5 to 15 seconds, then after 10 to 30."""
        if isinstance(error, UnexpectedResponse) and b"Unknown SID" in error.body:
            raise ConnectError(f"{self._url} does not know the session any more", str(self._url)) from error
        if times >= limit or self._over:
            raise error
        gevent.sleep(times * (PAUSE_SECONDS + random.random() * 2 * PAUSE_SECONDS))

    def _again(self) -> None:
        """Give the GET up, and make another. In the hub."""
        if self._getting:
            self._reader.throw(ConnectError(f"no data from {self._url}", str(self._url)))

    # -- what goes

    def _encode(self, payload: Raw) -> str:
        return wire.encode_map(to_text(payload))

    def _deliver(self, packets: Sequence[str]) -> None:
        """A repeated POST has the number of the first one, and its messages have theirs: what has arrived is
        not taken again."""
        body = wire.encode_maps(packets, self._offset)
        rid = self._next_rid()
        limit = 0 if self._options.fail_fast else POST_REPEATS
        times = 0
        while True:
            began = monotonic()
            late = POST_SECONDS * (1 + random.random())
            too_late = ConnectTimeout(f"{self._url} did not answer within {late:.0f} s", str(self._url))
            try:
                with gevent.Timeout(late, too_late):
                    answer = self._fetch("POST", "bind", {"RID": rid}, body, FORM)
                break
            except PrimusError as error:
                self._pause_or_raise(error, times, limit)
                times += 1
        self._offset += len(packets)
        if not self._over:
            self._later(self._compare, wire.decode_status(answer), began)

    def _compare(self, status: wire.Status, began: float) -> None:
        """What the server knows of our GET."""
        if self._over or not self._getting:
            return
        if not status.connected:
            if began - self._began > LOST_GET_SECONDS:
                self._again()
        elif status.last_sent > self._last and status.outstanding < SLOW_BYTES and "dead" not in self._timers:
            self._timers.set("dead", DEAD_GET_SECONDS, self._again)

    def _goodbye(self) -> None:
        self._fetch("GET", "bind", {"RID": self._next_rid(), "TYPE": "terminate"})
