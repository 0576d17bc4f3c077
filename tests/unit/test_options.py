"""Every option: its default, what it takes, and what it says of what it does not take."""

from __future__ import annotations

import copy
import math
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from primus_gevent.errors import OptionError, PrimusError, UnknownNameError
from primus_gevent.options import _CHECKS, Options


def test_every_option_has_a_check() -> None:
    assert set(_CHECKS) == set(Options.__dataclass_fields__) - {"extra"}


def test_the_defaults_are_the_specifications_where_it_has_them() -> None:
    options = Options.parse({})
    assert (options.pathname, options.parser, options.transformer) == ("/primus", "json", "websockets")
    assert (options.timeout, options.effective_ping_interval) == (35.0, 30.0)
    assert (options.origins, options.global_name, options.max_length) == ("*", "Primus", 1 << 20)
    assert options.compression is False


def test_the_defaults_pass_their_own_checks() -> None:
    defaults = Options.parse({})
    values = {name: getattr(defaults, name) for name in _CHECKS}
    assert Options.parse(values) == defaults


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pingInterval", "ping_interval"),
        ("global", "global_name"),
        ("maxLength", "max_length"),
        ("idGenerator", "id_generator"),
        ("time_out", "timeout"),
        ("xyzzy", "known are"),
    ],
)
def test_an_unknown_option_is_refused_with_the_one_that_was_meant(name: str, hint: str) -> None:
    with pytest.raises(OptionError, match=hint) as caught:
        Options.parse({name: 1})
    assert caught.value.option == name


@pytest.mark.parametrize("name", ["handshake_timeout", "write_timeout", "close_timeout", "timeout"])
@pytest.mark.parametrize("value", ["35", 0, -1, math.nan, math.inf, True, None, [1], 1j])
def test_durations_are_seconds_above_zero(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name):
        Options.parse({name: value})


@pytest.mark.parametrize("name", ["timeout", "ping_interval"])
def test_heartbeats_can_be_turned_off(name: str) -> None:
    assert getattr(Options.parse({name: False}), name) is False
    assert getattr(Options.parse({name: 2}), name) == 2.0
    with pytest.raises(OptionError, match="False to turn it off"):
        Options.parse({name: 0})


@pytest.mark.parametrize(
    ("options", "interval"),
    [
        ({"timeout": 7}, 6),
        ({"timeout": False}, 30),
        ({"ping_interval": 3}, 3),
        ({"ping_interval": False}, False),
    ],
)
def test_the_ping_interval_follows_the_timeout(options: dict[str, Any], interval: Any) -> None:
    assert Options.parse(options).effective_ping_interval == interval


@pytest.mark.parametrize(
    "name",
    ["max_length", "max_fragments", "inbox_messages", "inbox_bytes", "write_buffer", "max_connections"],
)
@pytest.mark.parametrize("value", [0, -1, 1.5, "10", True, math.inf])
def test_limits_are_whole_numbers_above_zero(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name):
        Options.parse({name: value})
    assert getattr(Options.parse({name: 1}), name) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/primus", "/primus"),
        ("live", "/live"),
        ("/a/b/", "/a/b"),
        ("//x//", "/x"),
        ("/a-b.c_d~", "/a-b.c_d~"),
        ("/a;b=c,d@e", "/a;b=c,d@e"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
        ("/gr%C3%B6%c3%9fe", "/gr%C3%B6%c3%9fe"),
        ("/a\\b", "/a%5Cb"),
    ],
)
def test_the_pathname_gets_one_leading_slash(value: str, expected: str) -> None:
    assert Options.parse({"pathname": value}).pathname == expected


@pytest.mark.parametrize("value", ["", "/", "//", "/a?b", "/a#b", "/a b", "/a\r\nX: y", 5, None, b"/x"])
def test_a_pathname_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="pathname"):
        Options.parse({"pathname": value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("*", "*"),
        (["http://a.example", "*"], "*"),
        ("http://A.example", ("http://a.example",)),
        ("http://a.example/, https://b.example:8443", ("http://a.example", "https://b.example:8443")),
        ("http://a.example https://b.example", ("http://a.example", "https://b.example")),
        (("self", "http://a.example"), ("self", "http://a.example")),
        ("SELF", ("self",)),
    ],
)
def test_origins_may_be_a_text_or_a_list(value: Any, expected: Any) -> None:
    assert Options.parse({"origins": value}).origins == expected


def test_origins_may_be_a_function() -> None:
    assert Options.parse({"origins": str.isupper}).origins is str.isupper


@pytest.mark.parametrize("value", ["", " , ", [], [1], None, 5, b"http://a", {"http://a"}])
def test_origins_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="origins"):
        Options.parse({"origins": value})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("global_name", "My_App", "my-app"),
        ("global_name", "$primus", "primus$ "),
        ("global_name", "Primus", ""),
        ("compression", {"level": 1}, "yes"),
        ("compression", True, 1),
        ("id_generator", str, "uuid"),
        ("trusted_proxies", ["10.0.0.0/8", "::1"], "10.0.0.0/8"),
        ("trusted_proxies", None, [5]),
        ("trusted_proxies", [], ["10.0.0.0/99"]),
        ("trusted_proxies", ["10.0.0.1/8"], ["loadbalancer"]),
        ("transport", {"a": 1}, [("a", 1)]),
        ("slow_consumer", "drop", "wait"),
        ("transformer", "WebSockets", 5),
        ("parser", "JSON", ""),
        ("parser", SimpleNamespace(encoder=str, decoder=str), SimpleNamespace(encoder=str)),
        ("parser", SimpleNamespace(encoder=str, decoder=str), SimpleNamespace(encoder=1, decoder=2)),
    ],
)
def test_an_option_takes_its_own_kind_only(name: str, good: Any, bad: Any) -> None:
    Options.parse({name: good})
    with pytest.raises(OptionError, match=name) as caught:
        Options.parse({name: bad})
    assert isinstance(caught.value, (PrimusError, ValueError))


def test_names_are_case_insensitive() -> None:
    options = Options.parse({"parser": "JSON", "transformer": "WebSockets"})
    assert (options.parser, options.transformer) == ("json", "websockets")


@pytest.mark.parametrize(("option", "value"), [("parser", "yaml"), ("transformer", "carrier-pigeon")])
def test_an_unknown_name_lists_the_known_ones(option: str, value: str) -> None:
    from primus_gevent import Primus

    with pytest.raises(UnknownNameError, match=f"{value}.*known are") as caught:
        Primus(**{option: value})
    assert caught.value.known


@pytest.mark.parametrize(
    "value",
    [{"level": 99}, {"level": -2}, {"mem_level": 0}, {"mem_level": 10}, {"threshold": -1}, {"speed": 1}],
)
def test_compression_that_zlib_does_not_know_is_refused_at_once(value: dict[str, int]) -> None:
    from primus_gevent import Primus

    with pytest.raises(OptionError, match="compression"):
        Primus(compression=value)


def test_options_are_frozen_and_their_mappings_are_copies() -> None:
    transport = {"a": 1}
    options = Options.parse({"transport": transport})
    transport["a"] = 2
    assert options.transport == {"a": 1}
    with pytest.raises(AttributeError):
        options.timeout = 1  # type: ignore[misc]


# -- options of plugins


def test_without_plugins_every_name_has_to_be_ours() -> None:
    for plugin in ({}, "", " , ", ()):
        with pytest.raises(OptionError, match="unknown option 'rooms'"):
            Options.parse({"rooms": 1, "plugin": plugin})


def test_beside_plugins_other_names_are_kept_for_them() -> None:
    options = Options.parse({"rooms": 1, "timeout": 5, "plugin": "it"})
    assert (options.rooms, options["rooms"], options.get("rooms"), "rooms" in options) == (1, 1, 1, True)
    assert (options["timeout"], options.get("timeout"), "timeout" in options) == (5.0, 5.0, True)
    assert dict(options.extra) == {"rooms": 1}
    assert "extra" not in options
    assert (options.get("limit"), options.get("limit", 3), options.get(7)) == (None, 3, None)
    for name in ("limit", "extra", "parse", "effective_ping_interval"):
        with pytest.raises(KeyError, match=name):
            options[name]
    with pytest.raises(AttributeError, match="limit"):
        options.limit  # noqa: B018
    assert copy.copy(options) == options
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize(
    ("given", "declared", "refused"),
    [
        ({"rooms": 1}, [()], False),  # a plugin that says nothing may have any
        ({"rooms": 1}, [("limit",), ()], False),
        ({"rooms": 1}, [("limit",)], True),
        ({"rooms": 1}, [("limit",), ("rooms",)], False),
        ({"method": 1}, [()], True),  # looks like `methods`
        ({"method": 1}, [("method",)], False),
        ({"method": 1}, [("method",), ()], False),
        ({"maxAge": 1}, [()], True),
        ({}, [()], False),
    ],
)
def test_names_for_plugins_are_checked_when_the_plugins_are_known(
    given: Any, declared: Any, refused: bool
) -> None:
    options = Options.parse({**given, "plugin": "it"})
    if refused:
        with pytest.raises(OptionError, match=f"unknown option '{next(iter(given))}'"):
            options.check_extra(declared)
    else:
        options.check_extra(declared)


def test_what_comes_with_a_plugin_is_before_ours_and_leaves_ours_alone() -> None:
    options = Options.parse({"rooms": 1, "plugin": "it"})
    copied = options.for_plugin({"timeout": 7, "limit": 2})
    assert (copied.timeout, copied["timeout"], copied.limit, copied.rooms) == (7, 7, 2, 1)
    assert (options.timeout, "limit" in options) == (35.0, False)
