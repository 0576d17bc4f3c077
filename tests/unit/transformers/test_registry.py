"""Transformers by name, several at once, and one from outside the package."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from examples import own_transformer
from primus_gevent import OptionError, Primus, UnknownNameError, library, transformers
from primus_gevent.testing.virtual import VirtualTime
from tests.unit.fakes import ENVIRON

# The example registers itself when it is imported; other tests want to know ours only.
del transformers.TRANSFORMERS["reversed"], library.OUTSIDE["reversed"], library.TRANSFORMER_PARTS["reversed"]

ROOT = Path(__file__).resolve().parents[3]
UPGRADE = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}


@pytest.fixture
def toy() -> Iterator[None]:
    transformers.register(
        "toy", "examples.own_transformer:Reversed", own_transformer.LIBRARY, parts=["sockets"]
    )
    yield
    del transformers.TRANSFORMERS["toy"], library.OUTSIDE["toy"], library.TRANSFORMER_PARTS["toy"]


def ask(primus: Primus, path: str = "/primus/", query: str = "", **environ: Any) -> tuple[str, bytes]:
    answer: list[Any] = []
    given = {**ENVIRON, "PATH_INFO": path, "QUERY_STRING": query, **environ}
    body = b"".join(primus(given, lambda *args: answer.append(args)))
    return answer[0][0], body


# -- from outside


def test_it_speaks_with_its_client(toy: None) -> None:
    primus = Primus(transformer="TOY")
    primus.on("connection", lambda spark: spark.pipe(spark))
    server = primus.listen(0, "127.0.0.1")
    server.start()
    program = (
        primus.library()
        + f"""
        const client = new module.exports('http://127.0.0.1:{server.server_port}');
        client.on('open', () => client.write({{ hello: 'world' }}));
        client.on('data', (data) => {{ console.log(JSON.stringify(data)); client.end(); }});
        """
    )
    try:
        # `ws` is beside the tests of the client
        done = gevent.get_hub().threadpool.apply(
            subprocess.run,
            (["node", "-e", program],),
            {"cwd": ROOT / "tests/js", "capture_output": True, "text": True, "timeout": 30, "check": False},
        )
        assert json.loads(done.stdout or done.stderr) == {"hello": "world"}
    finally:
        primus.destroy()


def test_it_beside_others(toy: None) -> None:
    primus = Primus(transformer=["engine.io", "toy"], transport={"toy": {"colour": "red"}})
    assert [one.name for one in primus.transformer.all] == ["engine.io", "reversed"]
    assert primus.transformer.all[1].options == {"colour": "red"}
    assert ask(primus, query="framework=reversed") == ("426 Upgrade Required", b"Come with a WebSocket")
    assert "turned" in primus.library(transformer="toy")
    primus.destroy()


@pytest.mark.parametrize("where", ["module", ":Class", "module:", ""])
def test_where_that_is_no_place(where: str) -> None:
    with pytest.raises(OptionError, match="'module:Class'"):
        transformers.register("toy", where, "")
    assert "toy" not in transformers.TRANSFORMERS


@pytest.mark.parametrize("name", ["Toy", " toy", ""])
def test_name_that_nobody_could_give(name: str) -> None:
    with pytest.raises(OptionError, match="in lower case"):
        transformers.register(name, "examples.own_transformer:Reversed", "")
    assert name not in transformers.TRANSFORMERS


@pytest.mark.parametrize("parts", ["sockets", ["sockets", "wires"]])
def test_parts_that_there_are_not(parts: Any) -> None:
    with pytest.raises(OptionError, match=r"parts is a list of: .*http.*sockets"):
        transformers.register("toy", "examples.own_transformer:Reversed", "", parts=parts)
    assert "toy" not in transformers.TRANSFORMERS


def test_library_from_a_file(tmp_path: Path, toy: None) -> None:
    path = tmp_path / "toy.js"
    path.write_text("function transformer() { return 'from a file'; }\n", "utf-8")
    transformers.register("toy", "examples.own_transformer:Reversed", path)
    assert "from a file" in Primus(transformer="toy").library()
    assert "findWebSocket" not in Primus(transformer="toy").library()


# -- several


def test_whose_a_request_is(virtual: VirtualTime) -> None:
    primus = Primus(transformer=["websockets", "engine.io"])
    engine = primus.transformer.all[1]
    status, body = ask(primus, query="EIO=4&transport=polling")
    assert (status, body[:1]) == ("200 OK", b"0")
    assert len(engine.requests.sessions) == 1
    # a plain request is the first one's
    assert ask(primus)[0].startswith("426")
    assert ask(Primus(transformer=["engine.io", "websockets"]))[0] == "400 Bad Request"
    ending = gevent.spawn(primus.destroy)
    virtual.advance(primus.options.close_timeout + 1)  # nobody comes for the goodbye
    assert ending.successful()


@pytest.mark.parametrize("names", [["engine.io", "websockets"], ["websockets", "engine.io"]])
def test_upgrades_are_told_apart(names: list[str]) -> None:
    primus = Primus(transformer=names)
    status, body = ask(primus, query="EIO=4&transport=websocket&sid=none", **UPGRADE)
    assert (status, body) == ("400 Bad Request", b"Session ID unknown")
    # no host and no key, but that is for the other one to say
    assert ask(primus, query="x=1", **UPGRADE)[1] != b"Transport unknown"


def test_spec_and_libraries_of_several() -> None:
    primus = Primus(transformer=["engine.io", "websockets"])
    assert (primus.spec["transformer"], primus.spec["transformers"]) == (
        "engine.io",
        ("engine.io", "websockets"),
    )
    assert json.loads(ask(primus, "/primus/spec")[1])["transformers"] == ["engine.io", "websockets"]
    assert "transformers" not in Primus().spec
    first, second = (ask(primus, "/primus/primus.js", query)[1] for query in ("", "transformer=WebSockets"))
    assert b"UpgradableEngine" in first
    assert b"UpgradableEngine" not in second
    assert ask(primus, "/primus/primus.js", "transformer=polling")[0] == "404 Not Found"
    assert primus.library() == primus.library(transformer="engine.io")
    with pytest.raises(UnknownNameError, match=r"engine\.io"):
        primus.library(transformer="polling")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transformer": ["engine.io", "telepathy"]}, "telepathy"),
        ({"transformer": ["engine.io", "Engine.IO"]}, "different names"),
        ({"transformer": []}, "different names"),
        ({"transformer": 5}, "list of texts"),
        ({"transformer": ["engine.io", "websockets"], "transport": {"cookie": "a"}}, "mapping for each"),
        ({"transformer": ["engine.io", "websockets"], "transport": {"engine.io": 1}}, "is a mapping"),
        ({"transformer": ["engine.io", "websockets"], "transport": {"websockets": {"a": 1}}}, "has none"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Primus(**options)


def test_list_of_one_is_that_one() -> None:
    primus = Primus(transformer=["engine.io"], transport={"cookie": "io"})
    assert primus.transformer.name == "engine.io"
    assert primus.transformers == ("engine.io",)
