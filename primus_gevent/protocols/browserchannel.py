"""BrowserChannel, protocol version 8, without I/O: what its requests ask for, how its answers are written,
and what a session has to remember about both directions.

Downward there are *arrays*, numbered from 0, which the server keeps until the client says that it has seen
them (`Arrays`). Upward there are *maps*, numbered from 0 too, in requests that have numbers of their own
(`ForwardChannel`). Either way each arrives once and in order, whatever becomes of the requests.

An array is kept and sent as the JSON text of its data, made once by `encode_message`, so that a broadcast can
be shared. A map is read as the *message* in it: text, for a parser to decode.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from json.encoder import encode_basestring, encode_basestring_ascii
from math import isfinite
from typing import Final, Generic, NoReturn, TypeVar

from primus_gevent.errors import RemoteProtocolError
from primus_gevent.protocols.engineio_payloads import utf16_units
from primus_gevent.protocols.forms import unquote_plus

__all__ = [
    "BAD_DATA",
    "EXPECTED_RPC",
    "FORBIDDEN",
    "HTML",
    "JSON_TYPE",
    "MAX_MAPS",
    "NOOP",
    "RPC",
    "STOP",
    "TERMINATE",
    "UNKNOWN_SID",
    "VERSION_REQUIRED",
    "XMLHTTP",
    "Array",
    "Arrays",
    "BadData",
    "Batch",
    "Chunks",
    "ForwardChannel",
    "InOrder",
    "Message",
    "Query",
    "Scripts",
    "decode_post",
    "encode_arrays",
    "encode_chunk",
    "encode_message",
    "encode_opening",
    "encode_prefixes",
    "encode_status",
    "error_page",
]

VERSION: Final = "8"

#: Types of a GET, and what is its RID on the back channel.
XMLHTTP: Final = "xmlhttp"
HTML: Final = "html"
TERMINATE: Final = "terminate"
RPC: Final = "rpc"

#: The content type of a body that is no form. It counts without parameters only.
JSON_TYPE: Final = "application/json"

#: The data of arrays that are no messages: one that keeps the connection in use, and the goodbye.
NOOP: Final = '["noop"]'
STOP: Final = '["stop"]'

# What error answers say, in their status line and in their pages. The client looks for the second one: it is
# its only sign that the session is gone.
VERSION_REQUIRED: Final = "Version 8 required"
UNKNOWN_SID: Final = "Unknown SID"
BAD_DATA: Final = "Bad data"
EXPECTED_RPC: Final = "Expected RPC"
FORBIDDEN: Final = "Forbidden"

# Maps in one body; the official client sends up to a thousand. The original has no such limit.
MAX_MAPS: Final = 16_384
# Fields in one body: those that say what is in it, and a few for each map, of which only one is read.
MAX_FIELDS: Final = 4 * MAX_MAPS

# What is kept back until something in front of it arrives: requests, and maps. Official clients leave no gap.
MAX_KEPT_REQUESTS: Final = 64
MAX_KEPT_MAPS: Final = 1024

# JSON allows the first two in a string and older JavaScript does not; a lone surrogate has no UTF-8, and is
# escaped by JSON.stringify as well.
_UNSAFE: Final = re.compile("[\u2028\u2029\ud800-\udfff]")
# More digits are nobody's number, and would take long to read.
_NUMBER: Final = re.compile("[0-9]{1,15}")
_MAP_FIELD: Final = re.compile("req(0|[1-9][0-9]{0,8})_(.+)", re.DOTALL)

# Fills up a forever frame, so that an old browser begins to run its scripts. Any hex digits do.
_PADDING: Final = "0123456789abcdef" * 18 + "01\n"

#: An array: its id, and its data as JSON.
Array = tuple[int, str]
#: What a map says: the text for a parser; None for a map that says nothing.
Message = str | None

Item = TypeVar("Item")


class BadData(RemoteProtocolError):
    """The body of a request is broken. ``batch`` are the maps in front of the fault, which still count."""

    def __init__(self, reason: str, batch: Batch) -> None:
        super().__init__(reason)
        self.batch = batch


# --- requests -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Query:
    """What a request's query says. A number that is none is None, as if it were missing."""

    is_version_8: bool
    begins_test: bool
    """The first phase of the test is asked for."""
    type: str
    """Of a GET: `XMLHTTP`, `HTML`, `TERMINATE`, or anything else that a client may say."""
    rid: int | None
    """Number of the request."""
    is_rpc: bool
    """It is one for the back channel, which has no number."""
    sid: str | None
    aid: int | None
    """Id of the last array that the client has seen."""
    streams: bool
    """The response stays open for further arrays."""
    domain: str
    """For ``document.domain``, in HTML."""
    old_sid: str | None
    """The client's session before this one."""
    old_aid: int | None

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Query:
        """Make sense of the decoded fields."""
        get = fields.get
        rid = get("RID", "")
        return cls(
            is_version_8=get("VER") == VERSION,
            begins_test=get("MODE") == "init",
            type=get("TYPE", ""),
            rid=_number(rid),
            is_rpc=rid == RPC,
            sid=get("SID") or None,
            aid=_number(get("AID", "")),
            streams=get("CI") == "0",
            domain=get("DOMAIN", ""),
            old_sid=get("OSID") or None,
            old_aid=_number(get("OAID", "")),
        )


@dataclass(frozen=True)
class Batch:
    """The maps of one request.

    Attributes:
        first: id of the first one; the others have those that follow.
        messages: one for each map.
        broken: the map behind them is JSON that is none: the session has to end there.
    """

    first: int = 0
    messages: Sequence[Message] = ()
    broken: bool = False


NOTHING: Final = Batch()


def decode_post(body: bytes, content_type: str, *, max_maps: int = MAX_MAPS) -> Batch:
    """The maps in the body of a request.

    Time and memory are in proportion to the body, whatever it announces.

    Args:
        content_type: of the request; anything but `JSON_TYPE` is a form.
        max_maps: more than so many are an error.

    Raises:
        BadData: it is broken; the maps in front of the fault are in the error.
    """
    text = body.decode("utf-8", "replace")
    return _decode_json(text, max_maps) if content_type == JSON_TYPE else _decode_form(text, max_maps)


def _decode_form(text: str, max_maps: int) -> Batch:
    if text.count("&") >= MAX_FIELDS:
        raise BadData(f"more than {MAX_FIELDS} fields in one body", NOTHING)
    numbers = {}
    maps: dict[int, dict[str, str]] = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if name in ("count", "ofs"):
            numbers[name] = _number(value)
            continue
        found = _MAP_FIELD.fullmatch(name)
        # A map that the client could not encode has a mark in place of its fields; it keeps its number.
        if found is not None:
            maps.setdefault(int(found[1]), {})[found[2]] = unquote_plus(value)
    count, first = numbers.get("count"), numbers.get("ofs")
    if count == 0:
        return NOTHING
    if count is None or first is None:
        raise BadData("count or ofs is no number", NOTHING)
    messages: list[Message] = []
    for index in range(min(count, max_maps)):
        if index not in maps:
            break
        try:
            messages.append(_map_message(maps[index]))
        except (ValueError, RecursionError):
            return Batch(first, messages, broken=True)
    if len(messages) < count:
        raise BadData("fewer maps than announced, or too many", Batch(first, messages))
    return Batch(first, messages)


def _map_message(fields: Mapping[str, str]) -> Message:
    text = fields.get("JSON")
    if text is None:
        return fields.get("_S")
    value = _check_json(text)
    return value if isinstance(value, str) else text


def _decode_json(text: str, max_maps: int) -> Batch:
    try:
        body = _read_json(text)
    except (ValueError, RecursionError) as error:
        raise BadData(f"the body is no JSON: {error}", NOTHING) from None
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        raise BadData("the body has no list of data", NOTHING)
    if not data:
        return NOTHING
    first = body.get("ofs")
    if type(first) is not int or not 0 <= first < 10**15:
        raise BadData("ofs is no number", NOTHING)
    if len(data) > max_maps:
        raise BadData(f"more than {max_maps} messages in one body", NOTHING)
    messages: list[Message] = []
    for value in data:
        try:
            messages.append(value if isinstance(value, str) else _write_json(value))
        except RecursionError:
            # The limit was not reached while it was read, but is now.
            raise BadData("the data are nested too deeply", Batch(first, messages)) from None
    return Batch(first, messages)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float | None:
    """A number; what is too large for one has no JSON form afterwards, and is null as in JSON.stringify."""
    value = float(text)
    return value if isfinite(value) else None


# Python's own module takes NaN and the infinities, which JSON does not have. The first decoder is for those
# who only want to know whether it is JSON, and if it is a string: numbers are not worth converting.
_check_json = json.JSONDecoder(
    parse_constant=_no_constant, parse_int=lambda _: 0, parse_float=lambda _: 0.0
).decode
_read_json = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).decode
_write_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _units(text: str) -> int:
    return len(text) if text.isascii() else utf16_units(text)


# --- answers ------------------------------------------------------------------------------------------------


def encode_message(text: str) -> str:
    """The data of an array with a message."""
    if text.isascii():
        return encode_basestring(text)
    return _UNSAFE.sub(lambda m: f"\\u{ord(m[0]):04x}", encode_basestring(text))


def encode_opening(sid: str, host_prefix: str | None) -> str:
    """The data of array 0, which begins a session."""
    return json.dumps(["c", sid, host_prefix, int(VERSION)], separators=(",", ":"))


def encode_prefixes(host_prefix: str | None) -> bytes:
    """The answer to the first phase of the test; the second item, a prefix that is blocked, is of no use."""
    return json.dumps([host_prefix, None], separators=(",", ":")).encode()


def encode_arrays(arrays: Iterable[Array]) -> str:
    """Arrays with their ids, as JSON."""
    return "[" + ",".join([f"[{number},{data}]" for number, data in arrays]) + "]"


def encode_chunk(text: str) -> bytes:
    """What `encode_arrays` made, with its length in UTF-16 units in front; its line end counts."""
    return f"{_units(text) + 1}\n{text}\n".encode()


def encode_status(*, connected: bool, last_sent: int, outstanding: int) -> bytes:
    """The answer to a request that has brought maps; other than a chunk it has no line end.

    Args:
        connected: whether there is a back channel now.
        last_sent: id of the last array that was sent; -1 for none.
        outstanding: characters of those that were sent and not acknowledged.
    """
    text = f"[{int(connected)},{last_sent},{outstanding}]"
    return f"{len(text)}\n{text}".encode()


def error_page(message: str) -> bytes:
    """The body of an error answer."""
    return f"<html><body><h1>{message}</h1></body></html>".encode()


class Chunks:
    """How a response is written for XMLHttpRequest: chunks with their lengths."""

    content_type: Final = "text/plain"
    prelude: Final = b""
    end: Final = b""

    def arrays(self, arrays: Iterable[Array]) -> bytes:
        """A piece of the response, with arrays."""
        return encode_chunk(encode_arrays(arrays))

    def text(self, text: str) -> bytes:
        """A piece of the response to a test."""
        return text.encode()


class Scripts:
    """How a response is written for a forever frame of an old Internet Explorer: an endless page of scripts.

    Args:
        domain: that the page declares as its own, so that its parent may hear it; empty for none.
    """

    content_type: Final = "text/html"
    end: Final = b"<script>try  {parent.d(); }catch (e){}</script>\n"

    def __init__(self, domain: str = "") -> None:
        start = "<html><body>"
        if domain:
            start += f"<script>try{{document.domain={_script_string(domain)};}}catch(e){{}}</script>\n"
        self.prelude = start.encode()
        self._padding = _PADDING  # once per response

    def arrays(self, arrays: Iterable[Array]) -> bytes:
        """A piece of the response, with arrays. No length: a script is whole or is not run."""
        return self.text(encode_arrays(arrays) + "\n")

    def text(self, text: str) -> bytes:
        """A piece of the response, with any text."""
        piece = f"<script>try {{parent.m({_script_string(text)})}} catch(e) {{}}</script>\n{self._padding}"
        self._padding = ""
        return piece.encode()


def _script_string(text: str) -> str:
    """Text as a string in a script.

    Unlike the original, in which a ``</script>`` in a message, or in the query of a test, ends the script and
    may begin another one.
    """
    return encode_basestring_ascii(text).replace("<", "\\u003c")


# --- what a session remembers -------------------------------------------------------------------------------


class Arrays:
    """The arrays of one session, each kept until the client has it.

    Attributes:
        last_sent: the highest id that has been sent; -1 for none.
        size: characters of the data of all that are kept.
    """

    __slots__ = ("_first", "_kept", "_sent_units", "_taken", "last_sent", "size")

    def __init__(self) -> None:
        self._kept: deque[str] = deque()
        self._first = 0  # id of the first one that is kept
        self._taken = 0  # how many of those that are kept the back channel of now has got
        self._sent_units = 0  # of those that are kept and have been sent, now or earlier
        self.last_sent = -1
        self.size = 0

    def add(self, data: str) -> None:
        """Queue one, by its data (JSON)."""
        self._kept.append(data)
        self.size += len(data)

    @property
    def waiting(self) -> int:
        """How many are to be taken."""
        return len(self._kept) - self._taken

    def take(self, max_size: int) -> list[Array]:
        """The next ones, of so many characters together; one that is longer by itself has to go alone."""
        taken: list[Array] = []
        number = self._first + self._taken
        for data in islice(self._kept, self._taken, None):
            max_size -= len(data)
            if max_size < 0 and taken:
                break
            taken.append((number, data))
            if number > self.last_sent:
                self.last_sent = number
                self._sent_units += _units(data)
            number += 1
        self._taken += len(taken)
        return taken

    def rewind(self) -> None:
        """There is a new back channel: what was taken for the last one, and not acknowledged, goes again."""
        self._taken = 0

    def acknowledge(self, aid: int | None) -> None:
        """The client has seen this one and all before it. What was never sent it cannot have seen."""
        if aid is None:
            return
        count = min(aid, self.last_sent) + 1 - self._first
        for _ in range(count):
            data = self._kept.popleft()
            self.size -= len(data)
            self._sent_units -= _units(data)
        if count > 0:
            self._first += count
            self._taken = max(0, self._taken - count)

    @property
    def outstanding(self) -> int:
        """Characters of the list of those that were sent and not acknowledged, as a status reports them."""
        count = self.last_sent + 1 - self._first
        return self._sent_units + count + 1 if count else 0

    def clear(self) -> None:
        """Nobody will come for them any more."""
        self._kept.clear()
        self._first = self.last_sent + 1
        self._taken = self._sent_units = self.size = 0

    def __repr__(self) -> str:
        return f"<Arrays from {self._first}: {len(self._kept)} kept, {self.waiting} waiting>"


class InOrder(Generic[Item]):
    """Puts numbered items in order: one that was there is dropped, one that is early is kept back.

    Args:
        following: the number that is due; None: whichever comes first.
        max_kept: items that are kept back.
        max_size: the sum of their sizes.
    """

    __slots__ = ("_kept", "_max_kept", "_max_size", "_size", "following")

    def __init__(self, following: int | None, *, max_kept: int, max_size: int) -> None:
        self.following = following
        self._max_kept = max_kept
        self._max_size = max_size
        self._kept: dict[int, tuple[Item, int]] = {}
        self._size = 0

    def has_passed(self, number: int) -> bool:
        """Whether a higher one is due."""
        return self.following is not None and number < self.following

    def put(self, number: int, item: Item, size: int = 0) -> list[Item]:
        """Take one, and give back those that are due now, in order.

        Of one that is kept back already, the newer form counts: its sender may have added to it.

        Raises:
            RemoteProtocolError: it is early, and there is no room for it; it counts as not sent.
        """
        if self.following is None:
            self.following = number
        if number < self.following:
            return []
        if number > self.following:
            self._keep(number, item, size)
            return []
        due = [item]
        self.following += 1
        while self.following in self._kept:
            due.append(self._kept[self.following][0])
            self._drop(self.following)
            self.following += 1
        return due

    def _keep(self, number: int, item: Item, size: int) -> None:
        self._drop(number)
        if len(self._kept) >= self._max_kept or self._size + size > self._max_size:
            raise RemoteProtocolError("too much has come before what it has to follow")
        self._kept[number] = item, size
        self._size += size

    def _drop(self, number: int) -> None:
        self._size -= self._kept.pop(number, (None, 0))[1]


class ForwardChannel:
    """What has come from the client of one session: requests by their numbers, maps by theirs.

    Args:
        rid: the number of the request that begins the session; None where it has none, so that the first one
            that has begins to count.
        max_size: characters that are kept back.

    Attributes:
        ended: the client has said goodbye, and everything before it has come.
        broken: it has sent what the session cannot go on after: a map that is no JSON, or more behind a gap
            than there is room for. Nothing counts any more.
    """

    __slots__ = ("_maps", "_requests", "broken", "ended")

    def __init__(self, rid: int | None, *, max_size: int) -> None:
        self._requests: InOrder[Batch | None] = InOrder(rid, max_kept=MAX_KEPT_REQUESTS, max_size=max_size)
        # A batch stands for the broken map at its end.
        self._maps: InOrder[Message | Batch] = InOrder(0, max_kept=MAX_KEPT_MAPS, max_size=max_size)
        self.ended = False
        self.broken = False

    def receive(self, rid: int | None, batch: Batch) -> list[str]:
        """Take the maps of one request, and give back the messages that are due now.

        A request that was there is looked at again, because a client adds to one that it sends again; the
        maps that were there are not.
        """
        if rid is None or self._requests.has_passed(rid):
            return self._read([batch])
        return self._put(rid, batch, sum(len(message or "") for message in batch.messages))

    def terminate(self, rid: int | None) -> list[str]:
        """The client says goodbye; gives back the messages that are due now."""
        if rid is None or self._requests.has_passed(rid):
            return self._read([None])
        return self._put(rid, None, 0)

    def _put(self, rid: int, batch: Batch | None, size: int) -> list[str]:
        try:
            return self._read(self._requests.put(rid, batch, size))
        except RemoteProtocolError:
            self.broken = True
            return []

    def _read(self, requests: Iterable[Batch | None]) -> list[str]:
        messages: list[str] = []
        for batch in requests:
            if self.ended or self.broken:
                break
            if batch is None:
                self.ended = True
            else:
                self._read_batch(batch, messages)
        return messages

    def _read_batch(self, batch: Batch, messages: list[str]) -> None:
        items: list[Message | Batch] = [*batch.messages]
        if batch.broken:
            items.append(batch)
        try:
            for number, item in enumerate(items, batch.first):
                for due in self._maps.put(number, item, len(item) if isinstance(item, str) else 0):
                    if isinstance(due, Batch):
                        self.broken = True
                        return
                    if due is not None:
                        messages.append(due)
        except RemoteProtocolError:
            self.broken = True
