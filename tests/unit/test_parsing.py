"""Parsers of an application: both forms of its functions, and what is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event

from primus_gevent import parsing
from primus_gevent.errors import OptionError, ParserError, UnknownNameError
from primus_gevent.parsers import json

LIMIT = 5  # seconds, for everything here that waits


def parser_of(function: Callable[..., Any]) -> Any:
    return parsing.load({"encoder": function, "decoder": function})


def in_greenlet(function: Callable[..., Any], *args: Any) -> Any:
    return gevent.spawn(function, *args).get(timeout=LIMIT)


def test_a_name_is_the_module_itself() -> None:
    assert parsing.load("json") is json
    with pytest.raises(UnknownNameError):
        parsing.load("yaml")
    with pytest.raises(OptionError):
        parsing.load(object())


def test_functions_that_return_are_called_as_they_are() -> None:
    def encoder(data: Any, indent: int = 0) -> str:
        return f"{data}"

    parser = parsing.load({"encoder": encoder, "decoder": int})
    assert parser.encoder(5) == "5"
    assert parser.decoder is int  # it tells of no parameters
    assert parser.library is None


@pytest.mark.parametrize("wrong", [3, 10**12, None, [1, 2], {"a": 1}, 1.5, True])
def test_an_encoder_gives_text_or_bytes(wrong: Any) -> None:
    """A parser that passes everything on as it is, say: `bytes` makes as many zeros of a number."""
    for function in (lambda data: data, lambda data, fn: fn(None, data)):
        parser = parser_of(function)
        assert [parser.encoder(data) for data in ("a", b"b")] == ["a", b"b"]
        assert parser.encoder(bytearray(b"c")) == parser.encoder(memoryview(b"c")) == b"c"
        with pytest.raises(TypeError, match=f"returned {type(wrong).__name__}, not str or bytes"):
            parser.encoder(wrong)


def test_methods_and_the_library_of_an_object() -> None:
    class Numbers:
        library = "{}"

        def encoder(self, data: Any, fn: Callable[..., None]) -> None:
            fn(None, str(data))

        def decoder(self, raw: str) -> int:
            return int(raw)

    parser = parsing.load(Numbers())
    assert parser.encoder(5) == "5"
    assert parser.decoder("5") == 5
    assert parser.library == "{}"
    assert "Numbers" in repr(parser)


def test_a_callback_at_once() -> None:
    parser = parser_of(lambda data, fn: fn(None, data * 2))
    assert parser.encoder("a") == "aa"
    assert parser.decoder(2) == 4


def test_a_callback_at_once_is_heard_in_the_hub() -> None:
    parser = parser_of(lambda data, fn: fn(None, data * 2))
    seen: AsyncResult[Any] = AsyncResult()
    gevent.get_hub().loop.run_callback(lambda: seen.set(parser.decoder(2)))
    assert seen.get(timeout=LIMIT) == 4


@pytest.mark.parametrize("how", [gevent.spawn, lambda *args: gevent.spawn_later(0.01, *args)])
def test_a_callback_from_another_greenlet(how: Callable[..., Any]) -> None:
    parser = parser_of(lambda data, fn: how(fn, None, data * 2))
    assert in_greenlet(parser.decoder, 2) == 4
    assert parser.decoder(3) == 6  # the main greenlet can wait as well


def test_a_callback_from_the_hub() -> None:
    parser = parser_of(lambda data, fn: gevent.get_hub().loop.run_callback(fn, None, data))
    assert in_greenlet(parser.decoder, 2) == 2


def test_a_callback_from_another_thread() -> None:
    started: list[threading.Thread] = []

    def decoder(data: Any, fn: Callable[..., None]) -> None:
        thread = threading.Thread(target=fn, args=(None, data))
        started.append(thread)
        thread.start()

    assert in_greenlet(parser_of(decoder).decoder, 2) == 2
    for thread in started:
        thread.join(LIMIT)


def test_only_its_own_caller_waits() -> None:
    callbacks: dict[str, Callable[..., None]] = {}
    parser = parser_of(lambda data, fn: callbacks.update({data: fn}))
    one, two = gevent.spawn(parser.decoder, "one"), gevent.spawn(parser.decoder, "two")
    gevent.idle()
    callbacks["two"](None, 2)
    assert two.get(timeout=LIMIT) == 2
    assert not one.ready()
    callbacks["one"](None, 1)
    assert one.get(timeout=LIMIT) == 1


class Unwell(Exception):
    pass


@pytest.mark.parametrize("later", [False, True])
def test_an_exception_is_raised(later: bool) -> None:
    def decoder(raw: Any, fn: Callable[..., None]) -> None:
        gevent.spawn(fn, Unwell("x")) if later else fn(Unwell("x"))

    with pytest.raises(Unwell):
        parser_of(decoder).decoder("raw")


def test_an_error_that_is_none_is_a_parser_error() -> None:
    with pytest.raises(ParserError, match="no good") as caught:
        parser_of(lambda raw, fn: fn("no good")).decoder("raw")
    assert caught.value.data == "raw"


@pytest.mark.parametrize("nothing", [None, False, 0, ""])
def test_what_javascript_takes_for_no_error(nothing: Any) -> None:
    assert parser_of(lambda raw, fn: fn(nothing, raw)).decoder("raw") == "raw"


def test_what_it_raises_itself_is_raised() -> None:
    def encoder(data: Any, fn: Callable[..., None]) -> None:
        raise Unwell

    with pytest.raises(Unwell):
        parser_of(encoder).encoder(1)


def test_the_first_answer_counts() -> None:
    def decoder(data: Any, fn: Callable[..., None]) -> None:
        fn(None, 1)
        fn(Unwell())

    assert parser_of(decoder).decoder(0) == 1


def test_one_that_never_calls_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsing.CALLBACK_SECONDS == 10
    monkeypatch.setattr(parsing, "CALLBACK_SECONDS", 0.01)
    kept: list[Callable[..., None]] = []
    with pytest.raises(ParserError, match=r"did not call back within 0\.01 s"):
        parser_of(lambda data, fn: kept.append(fn)).encoder("data")
    kept[0](None, "too late")  # and nothing happens


def test_a_time_limit_of_the_caller_is_its_own() -> None:
    parser = parser_of(lambda data, fn: None)
    with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(0.01) as limit:
        parser.encoder("data")
    assert caught.value is limit


def test_in_the_hub_it_says_that_it_cannot_wait() -> None:
    parser = parser_of(lambda data, fn: gevent.spawn(fn, None, data))
    failed: AsyncResult[Any] = AsyncResult()

    def in_hub() -> None:
        try:
            parser.decoder("raw")
        except ParserError as error:
            failed.set(error)

    gevent.get_hub().loop.run_callback(in_hub)
    error = failed.get(timeout=LIMIT)
    assert "the event loop cannot wait" in str(error)
    assert error.data == "raw"


def test_one_that_is_killed_stops_waiting() -> None:
    asked = Event()
    waiting = gevent.spawn(parser_of(lambda data, fn: asked.set()).encoder, 1)
    assert asked.wait(LIMIT)
    waiting.kill(timeout=LIMIT)
    assert waiting.successful()  # of GreenletExit
    assert isinstance(waiting.value, gevent.GreenletExit)


def test_the_attributes_of_a_mapping_are_those_of_the_parser() -> None:
    parser = parsing.load(SimpleNamespace(encoder=str, decoder=int, library="{}"))
    assert (parser.encoder(1), parser.decoder("1"), parser.library) == ("1", 1, "{}")
