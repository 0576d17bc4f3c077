"""``spec`` beside a server in this process; `arguments`, which asks it for the other commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from primus_gevent import ConnectError, OptionError, Primus
from primus_gevent.cli import make_parsers
from primus_gevent.cli.arguments import find_target, transport_options
from primus_gevent.cli.spec import described
from primus_gevent.client.transports import TRANSPORTS, load
from tests.unit.cli.running import Runner, serving


def test_it_is_readable(run: Runner) -> None:
    with serving(
        transformer=["engine.io", "websockets"], parser="msgpack", pathname="/live", timeout=False
    ) as (
        _,
        url,
    ):
        result = run("spec", f"http://{url}/live")
    assert (result.status, result.err) == (0, "")
    first, *rest = result.out.splitlines()
    assert first == f"Primus {Primus.spec.fget(Primus())['version']} at http://{url}/live"  # type: ignore[attr-defined]
    assert [line.split(None, 1) for line in rest[:2]] == [
        ["transformer", "engine.io"],
        ["transformers", "engine.io, websockets"],
    ]
    assert "  timeout        no" in rest
    assert "  pings every    30 s" in rest
    assert rest[-1].startswith("  answered in ")


def test_it_is_the_document_itself(run: Runner) -> None:
    with serving() as (primus, url):
        result = run("spec", url, "--json")
        assert json.loads(result.out) == primus.spec
    assert result.out.count("\n") == 1


def test_no_primus_there(run: Runner) -> None:
    with serving() as (_, url):
        result = run("spec", f"{url}/elsewhere")
    assert (result.status, result.out) == (1, "")
    assert f"there is no Primus server at http://{url}/elsewhere/spec" in result.err


class Own:
    encoder = decoder = staticmethod(str)


def test_what_we_cannot_speak_is_told(run: Runner) -> None:
    with serving(parser=Own()) as (_, url):
        result = run("spec", url)
        assert result.status == 0
        assert "warning: the server has a parser of its own" in result.err
        result = run("connect", url)
        assert result.status == 1
        assert "name that with --parser: binary, " in result.err
        assert run("connect", url, "--parser", "json", "--wait", "0").status == 0


def test_a_transformer_that_we_do_not_have() -> None:
    from primus_gevent.cli.arguments import understood

    spec = {"transformer": "smoke", "parser": "json"}
    with pytest.raises(
        ConnectError, match="the transformer of this server is smoke, which this program does not"
    ):
        understood(spec, {})


def test_what_else_a_server_says() -> None:
    spec = {
        "transformer": "x",
        "parser": "y",
        "timeout": 35000,
        "more": {"a": 1},
        "list": [1, 2],
        "none": None,
    }
    assert list(described(spec)) == [
        ("transformer", "x"),
        ("parser", "y"),
        ("timeout", "35 s"),
        ("more", '{"a": 1}'),
        ("list", "1, 2"),
        ("none", "none"),
    ]


# -- how the other commands find out


def target(*arguments: str) -> Any:
    return find_target(make_parsers()[0].parse_args(["connect", *arguments]))


def test_what_is_given_is_not_asked_for() -> None:
    found = target(
        "ws://127.0.0.1:1/live?x=1", "--transformer", "SockJS", "--parser", "EJSON", "--cookie", "a=b"
    )
    assert str(found) == "ws://127.0.0.1:1/live (sockjs, ejson)"
    assert found.options["cookies"] == {"a": "b"}


def test_the_options_reach_the_server() -> None:
    seen: list[Any] = []
    with serving(pathname="/live") as (primus, url):

        @primus.before("look")
        def look(request: Any, response: Any) -> None:
            seen.append((request.headers.get("X-Who"), request.cookies.get("a"), request.query_string))

        found = target(
            f"{url}?q=1", "--path", "live", "-H", "X-Who: me", "--cookie", "a=b", "--proxy", "none"
        )
        with found.socket() as client:
            client.wait_open(10)
    assert str(found) == f"http://{url}/live (websockets, json)"
    ((who, cookie, query),) = seen
    assert (who, cookie, b"q=1" in query) == ("me", "b", True)


@pytest.mark.parametrize(
    ("transformer", "words", "options"),
    [
        ("websockets", ["websocket"], {}),
        ("engine.io", ["polling"], {"transports": ["polling"], "upgrade": False}),
        ("engine.io", ["websocket"], {"transports": ["websocket"], "upgrade": False}),
        ("engine.io", ["polling,websocket"], {"transports": ["polling", "websocket"], "upgrade": True}),
        ("sockjs", ["polling", "WebSocket"], {"transports": ["xhr-polling", "websocket"]}),
        ("sockjs", ["xhr-streaming"], {"transports": ["xhr-streaming"]}),
        ("socket.io", ["polling"], {"transports": ["xhr-polling"]}),
        ("browserchannel", ["polling"], {"streaming": False}),
        ("browserchannel", ["streaming"], {"streaming": True}),
        ("polling", ["polling"], {}),
    ],
)
def test_transports(transformer: str, words: list[str], options: dict[str, Any]) -> None:
    from primus_gevent.client import ClientOptions

    assert transport_options(transformer, words) == options
    load(transformer).check(ClientOptions.parse({"transformer": transformer, "transport": options}))


@pytest.mark.parametrize("transformer", sorted(TRANSPORTS))
def test_a_transport_that_it_has_not(transformer: str) -> None:
    with pytest.raises(OptionError, match=f"--transport smoke: the transformer {transformer} has "):
        transport_options(transformer, ["smoke"])
