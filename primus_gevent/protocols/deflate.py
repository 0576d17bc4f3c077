"""permessage-deflate (RFC 7692): negotiation of its four parameters, and one connection's two zlib streams.

Knows nothing of frames or headers: `negotiate` takes parsed parameters, `PerMessageDeflate` whole messages.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from primus_gevent.errors import OptionError, RemoteProtocolError

if TYPE_CHECKING:
    # What CPython's zlib calls its objects; the names exist in the stubs only.
    from zlib import _Compress, _Decompress

__all__ = ["EXTENSION", "DeflateOptions", "PerMessageDeflate", "accept", "negotiate", "offer"]

EXTENSION = "permessage-deflate"

Parameters = list[tuple[str, "str | None"]]

# A message's compressed form ends in an empty stored block that is not sent (RFC 7692, 7.2.1).
TAIL = b"\x00\x00\xff\xff"

MAX_WINDOW_BITS = 15
# RFC 7692 allows windows of 2**8 bytes, but zlib's raw deflate does not: old versions used 2**9 in silence,
# so that the peer saw references outside its window, and newer ones (1.2.9) refuse. Inflating with a window
# larger than the peer's is always right: 8 is fine for what we receive, and declined for what we send.
MIN_ZLIB_WINDOW_BITS = 9


@dataclass(frozen=True)
class DeflateOptions:
    """How we compress; the peer never learns of it.

    Attributes:
        level: zlib's, 1 (quick) to 9 (small), -1 for its default.
        mem_level: zlib's, 1 to 9: a compressor takes about 2**(window bits + 2) + 2**(mem_level + 9) bytes.
        threshold: bytes; a shorter message is sent as it is, which RFC 7692 (6) allows. 1,024 as in `ws`: on
            less than that, deflate saves little and costs ten times what the rest of the codec does.
    """

    level: int = -1
    mem_level: int = 8
    threshold: int = 1024

    @classmethod
    def parse(cls, option: bool | Mapping[str, Any]) -> bool | DeflateOptions:
        """The option `compression`, checked.

        Raises:
            OptionError: a mapping that zlib would not take.
        """
        if isinstance(option, bool):
            return option
        try:
            deflate = cls(**option)
            zlib.compressobj(deflate.level, memLevel=deflate.mem_level)  # it knows best what it takes
            if deflate.threshold < 0:
                raise ValueError("threshold is below 0")
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"option 'compression' takes level, mem_level and threshold: {error}", "compression"
            ) from None
        return deflate


class PerMessageDeflate:
    """The compressor and decompressor of one connection, made when first needed.

    Without context takeover a stream is dropped after each message, so that an idle connection holds none.
    """

    __slots__ = (
        "_compressor",
        "_decompressor",
        "options",
        "receive_takeover",
        "receive_window_bits",
        "send_takeover",
        "send_window_bits",
    )

    def __init__(
        self,
        *,
        client: bool = False,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int = MAX_WINDOW_BITS,
        client_max_window_bits: int = MAX_WINDOW_BITS,
        options: DeflateOptions | None = None,
    ) -> None:
        """Take the parameters that both sides agreed on, by their names in RFC 7692, 7.1.

        Args:
            client: True when we are the client.

        Raises:
            ValueError: zlib cannot send with the window bits that fall to us.
        """
        if client:
            self.send_takeover = not client_no_context_takeover
            self.receive_takeover = not server_no_context_takeover
            self.send_window_bits = client_max_window_bits
            self.receive_window_bits = server_max_window_bits
        else:
            self.send_takeover = not server_no_context_takeover
            self.receive_takeover = not client_no_context_takeover
            self.send_window_bits = server_max_window_bits
            self.receive_window_bits = client_max_window_bits
        if not MIN_ZLIB_WINDOW_BITS <= self.send_window_bits <= MAX_WINDOW_BITS:
            raise ValueError(f"zlib cannot compress with {self.send_window_bits} window bits")
        self.options = options if options is not None else DeflateOptions()
        self._compressor: _Compress | None = None
        self._decompressor: _Decompress | None = None

    def compress(self, data: bytes) -> bytes:
        """Return the payload, for a frame with RSV1, that stands for `data`."""
        compressor = self._compressor
        if compressor is None:
            options = self.options
            compressor = zlib.compressobj(
                options.level, zlib.DEFLATED, -self.send_window_bits, options.mem_level
            )
            if self.send_takeover:
                self._compressor = compressor
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]

    def decompress(self, data: bytes | bytearray, max_length: int) -> bytes:
        """Return the message that `data`, the payload of its frames, stands for.

        Raises:
            RemoteProtocolError: close code 1009 when the message is longer than `max_length` bytes (no more
                than that is ever inflated), 1007 when `data` is not deflate. The stream is lost then.
        """
        decompressor = self._decompressor
        if decompressor is None:
            decompressor = self._new_decompressor()
        try:
            # One byte more than allowed tells "full" from "too long": zlib may hold back output with no input
            # left.
            message = decompressor.decompress(data + TAIL, max_length + 1)
            if decompressor.eof:
                # A final block ends a zlib stream, but not the message (RFC 7692, 7.2.3.4). What follows it
                # needs a fresh one, but only once: each final block would have us copy the whole rest again.
                rest = decompressor.unused_data
                decompressor = self._new_decompressor()
                message += decompressor.decompress(rest, max_length + 1 - min(len(message), max_length))
                if decompressor.eof:
                    raise RemoteProtocolError(
                        "more than one final block in a compressed message", close_code=1007
                    )
        except zlib.error:
            raise RemoteProtocolError(
                "the compressed message is not valid deflate", close_code=1007
            ) from None
        if len(message) > max_length:
            raise RemoteProtocolError("the message inflates beyond the limit", close_code=1009)
        self._decompressor = decompressor if self.receive_takeover else None
        return message

    def _new_decompressor(self) -> _Decompress:
        return zlib.decompressobj(-max(self.receive_window_bits, MIN_ZLIB_WINDOW_BITS))

    def __repr__(self) -> str:
        def side(bits: int, takeover: bool) -> str:
            return f"{bits} bits" if takeover else f"{bits} bits, no takeover"

        sending = side(self.send_window_bits, self.send_takeover)
        receiving = side(self.receive_window_bits, self.receive_takeover)
        return f"<PerMessageDeflate out {sending}; in {receiving}>"


def _parse(parameters: Parameters, *, bare_client_bits: bool) -> dict[str, int] | None:
    """Check names, values and repetitions; None when anything is not as RFC 7692, 7.1 has it.

    `bare_client_bits`: whether client_max_window_bits may come without a value (in an offer only).
    """
    agreed: dict[str, int] = {}
    for name, value in parameters:
        if name in agreed:
            return None
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
            agreed[name] = 1
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if value is None:
                if name == "server_max_window_bits" or not bare_client_bits:
                    return None
                agreed[name] = MAX_WINDOW_BITS
            elif value in ("8", "9", "10", "11", "12", "13", "14", "15"):  # no leading zeros (7.1.2)
                agreed[name] = int(value)
            else:
                return None
        else:
            return None
    return agreed


def _build(agreed: dict[str, int], client: bool, options: DeflateOptions | None) -> PerMessageDeflate:
    return PerMessageDeflate(
        client=client,
        server_no_context_takeover="server_no_context_takeover" in agreed,
        client_no_context_takeover="client_no_context_takeover" in agreed,
        server_max_window_bits=agreed.get("server_max_window_bits", MAX_WINDOW_BITS),
        client_max_window_bits=agreed.get("client_max_window_bits", MAX_WINDOW_BITS),
        options=options,
    )


def _spell(agreed: dict[str, int]) -> str:
    words = [EXTENSION]
    for name, value in agreed.items():
        words.append(f"{name}={value}" if name.endswith("_bits") else name)
    return "; ".join(words)


def negotiate(
    offers: Iterable[Parameters], options: DeflateOptions | None = None
) -> tuple[PerMessageDeflate, str] | None:
    """Server: take the first acceptable of the client's permessage-deflate offers, as it was asked for.

    Returns:
        The streams and our value for Sec-WebSocket-Extensions; None when no offer is acceptable.
    """
    for parameters in offers:
        agreed = _parse(parameters, bare_client_bits=True)
        if agreed is None or agreed.get("server_max_window_bits", MAX_WINDOW_BITS) < MIN_ZLIB_WINDOW_BITS:
            continue
        if agreed.get("client_max_window_bits") == MAX_WINDOW_BITS:
            del agreed["client_max_window_bits"]  # no limit at all, so not worth a word (7.1.2.2)
        return _build(agreed, False, options), _spell(agreed)
    return None


def offer(
    *,
    server_no_context_takeover: bool = False,
    client_no_context_takeover: bool = False,
    server_max_window_bits: int | None = None,
    client_max_window_bits: int | None = MAX_WINDOW_BITS,
) -> str:
    """Client: one offer for Sec-WebSocket-Extensions.

    `client_max_window_bits=None` forbids the server to limit our window, 15 lets it choose.
    """
    words = [EXTENSION]
    if server_no_context_takeover:
        words.append("server_no_context_takeover")
    if client_no_context_takeover:
        words.append("client_no_context_takeover")
    if server_max_window_bits is not None:
        words.append(f"server_max_window_bits={server_max_window_bits}")
    if client_max_window_bits == MAX_WINDOW_BITS:
        words.append("client_max_window_bits")
    elif client_max_window_bits is not None:
        words.append(f"client_max_window_bits={client_max_window_bits}")
    return "; ".join(words)


def accept(
    parameters: Parameters, offered: Parameters, options: DeflateOptions | None = None
) -> PerMessageDeflate | None:
    """Client: the streams for what the server answered to `offered`; None when it answered what it may not.

    RFC 7692, 7.1: the server has to grant server_no_context_takeover and server_max_window_bits when asked,
    and may send client_max_window_bits only when the offer had it; it may restrict itself beyond that.
    """
    answer = _parse(parameters, bare_client_bits=False)
    asked = _parse(offered, bare_client_bits=True)
    if answer is None or asked is None:
        return None
    if "server_no_context_takeover" in asked and "server_no_context_takeover" not in answer:
        return None
    server_bits = answer.get("server_max_window_bits", MAX_WINDOW_BITS)
    if server_bits > asked.get("server_max_window_bits", MAX_WINDOW_BITS):
        return None
    if "client_max_window_bits" in answer:
        if "client_max_window_bits" not in asked:
            return None
        if not MIN_ZLIB_WINDOW_BITS <= answer["client_max_window_bits"] <= asked["client_max_window_bits"]:
            return None
    if "client_no_context_takeover" in asked:
        answer.setdefault("client_no_context_takeover", 1)  # we said so; the server need not repeat it
    return _build(answer, True, options)
