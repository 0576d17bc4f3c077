"""The documentation says what the code says: names, defaults, links and the code in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from primus_gevent import Options, Primus, Socket, Spark
from primus_gevent.client import CLIENT_EVENTS, ClientOptions, Outage, ReconnectOptions
from primus_gevent.events import SERVER_EVENTS, SPARK_EVENTS
from primus_gevent.transports.websocket import WebSocketTransport

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "primus_gevent"
# The design names the papers that it was made from, which are not in the tree.
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *(page for page in sorted(DOCS.rglob("*.md")) if page.parent.name != "project"),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of the same or a higher level."""
    lines = text.splitlines()
    start = lines.index(heading)
    level = len(heading) - len(heading.lstrip("#"))
    for end in range(start + 1, len(lines)):
        match = re.match(r"(#+) ", lines[end])
        if match and len(match[1]) <= level:
            return "\n".join(lines[start:end])
    return "\n".join(lines[start:])


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, without headings."""
    found = []
    for line, following in zip(text.splitlines(), [*text.splitlines()[1:], ""], strict=True):
        if line.startswith("|") and not line.startswith("|---") and not following.startswith("|---"):
            found.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def names(cell: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [code for kind, code in BLOCK.findall(text) if kind == language]


# -- links


def anchors(page: Path) -> set[str]:
    """Of every heading, as GitHub makes them."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http:", "https:")):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_in_the_index() -> None:
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "index.md")}
    assert {page.resolve() for page in DOCS.rglob("*.md")} - listed == {(DOCS / "index.md").resolve()}


# -- code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_code(page: Path) -> None:
    """It parses, and every attribute of a Primus or a spark exists."""
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            if isinstance(node.ctx, ast.Load) and node.value.id in ("primus", "spark"):
                assert exists(node.value.id, node.attr), f"{node.value.id}.{node.attr}"


PRIMUS = Primus()


def exists(owner: str, attribute: str) -> bool:
    if owner.lower() == "spark":
        return hasattr(Spark, attribute)
    return hasattr(Primus, attribute) or attribute in vars(PRIMUS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_in_code(page: Path) -> None:
    """Keyword arguments of `Primus(...)` are options, or beside the plugin `rooms` one of its."""
    known = {field.name for field in fields(Options)} - {"extra"}
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Primus":
                given = {str(keyword.arg) for keyword in node.keywords}
                assert given - known <= ({"rooms_limit"} if "plugin" in given else set())


def test_extras() -> None:
    """Those that the pages name exist; gunicorn's brings along what its worker for gevent needs."""
    tree = ast.parse(read("setup.py"))
    (extras,) = [
        ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "extras_require"
    ]
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {
        name
        for found in re.findall(r"pip install '(?:primus-gevent|\.)\[([\w,]+)\]'", text)
        for name in found.split(",")
    }
    assert {"flask", "gunicorn", "pfx"} <= named <= set(extras)
    assert all(requirement.startswith("gunicorn[gevent]") for requirement in extras["gunicorn"])


def test_settings_of_gunicorn_are_those_of_the_example() -> None:
    (conf,) = [code for code in blocks(DOCS / "howto/gunicorn.md", "python") if "worker_class" in code]
    assert read("examples/factory/gunicorn.conf.py").endswith(conf)


# -- reference


def test_options() -> None:
    table = {names(row[0])[0]: row for row in rows(read("docs/reference/options.md")) if len(row) == 4}
    options = [field for field in fields(Options) if field.name != "extra"]  # what plugins have
    assert set(table) == {field.name for field in options}
    for field in options:
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        written = ast.literal_eval(names(table[field.name][1])[0])
        assert written == default, field.name
        assert type(written) is type(default), field.name


def test_defaults_of_compression() -> None:
    from primus_gevent.protocols.deflate import DeflateOptions

    table = rows(section(read("docs/reference/options.md"), "## compression"))
    documented = {names(name)[0]: ast.literal_eval(names(default)[0]) for name, default, _ in table}
    assert documented == {field.name: field.default for field in fields(DeflateOptions)}


@pytest.mark.parametrize(("heading", "events"), [("## Primus", SERVER_EVENTS), ("## Spark", SPARK_EVENTS)])
def test_events(heading: str, events: frozenset[str]) -> None:
    text = section(read("docs/reference/events.md"), heading)
    listed = [name for row in rows(text) for name in names(row[0])]
    public = [name for name in listed if "::" not in name]
    assert set(public) == events
    assert len(public) == len(set(public))


def test_private_events_are_those_that_are_emitted() -> None:
    source = "".join((PACKAGE / name).read_text(encoding="utf-8") for name in ("spark.py", "inbox.py"))
    emitted = set(re.findall(r'_(?:note|emit_safely)\("((?:incoming|outgoing)::\w+)"', source))
    text = section(read("docs/reference/events.md"), "## Spark")
    assert {name for row in rows(text) for name in names(row[0]) if "::" in name} == emitted


@pytest.mark.parametrize(
    ("kind", "heading"),
    [(Primus, "## `Primus`"), (Spark, "## `Spark`")],
)
def test_every_public_attribute_is_documented(kind: type, heading: str) -> None:
    text = section(read("docs/reference/api.md"), heading)
    if kind is Spark:
        text += section(read("docs/reference/api.md"), "### Events")
    internal = {
        # what transports, transformers and sparks call, on each other
        Primus: {"connect", "forget", "gone", "make_spark", "refuses", "report", "spark_ended", "dropped"}
        | {"library_response"}  # for the layer `primus.js`
        | {"draining", "new_id", "start_sweep", "watch"},  # for sessions
        Spark: {"announced", "closed", "fail", "gone", "ping", "ready", "receive", "refuse"}
        | {"seen_at", "pinged_at", "pings_itself"}  # for the sweep
        | {"not_sent", "sending", "watched"},  # for broadcasts
    }[kind]
    public = {name for name in dir(kind) if not name.startswith("_")} - internal
    if kind is Primus:
        public |= {name for name in vars(PRIMUS) if not name.startswith("_")} - CACHED
    documented = set(re.findall(r"`(?:Primus\.|Spark\.|primus\.|spark\.)?(\w+)", text))
    assert public - documented == set()


# What every message needs, looked up once; no part of the interface.
CACHED = {"encode", "decode", "run", "inbox_messages", "inbox_bytes", "trusted_proxies", "transformer"}


def test_names_of_the_specification() -> None:
    """What the right column calls ours does exist."""
    for row in rows(read("docs/reference/names.md")):
        for owner, attribute in re.findall(r"`(primus|Primus|spark|Spark)\.(\w+)", row[1]):
            assert exists(owner, attribute), row


def test_socket() -> None:
    text = section(read("docs/reference/api.md"), "### `spark.socket`")
    for name in re.findall(r"^- `(\w+)|, `(\w+)`: |; `(\w+)`: ", text, re.MULTILINE):
        assert hasattr(WebSocketTransport, next(filter(None, name)))


def test_layers() -> None:
    table = rows(section(read("docs/topics/middleware.md"), "## The layers of Primus"))
    assert [names(row[0])[0] for row in table] == PRIMUS.layers
    routes = read("docs/reference/routes.md").replace("\n", " ")
    order = re.search(r"in this order: (.*?), and the application's own", routes)
    assert order is not None
    assert names(order[1]) == PRIMUS.layers


def test_spec() -> None:
    (document,) = blocks(DOCS / "reference/routes.md", "json")
    documented = ast.literal_eval(document)
    assert {**documented, "version": ""} == {**PRIMUS.spec, "version": ""}
    assert list(documented) == list(PRIMUS.spec)


def test_what_is_counted() -> None:
    counted = set()
    for source in PACKAGE.rglob("*.py"):
        counted |= set(re.findall(r'\b_?dropped\("([^"]+)"\)', source.read_text(encoding="utf-8")))
    text = section(read("docs/topics/back-pressure.md"), "## What is counted")
    assert {names(row[0])[0] for row in rows(text)} == counted


# -- the JavaScript client


def client_source() -> str:
    return (PACKAGE / "library/js/primus.js").read_text(encoding="utf-8")


def test_options_of_the_client() -> None:
    match = re.search(r"const DEFAULTS = \{(.*?)^\};", client_source(), re.DOTALL | re.MULTILINE)
    assert match is not None
    known = set(re.findall(r"^  (\w+):", match[1], re.MULTILINE)) | {"network", "websockets"}
    # "### ..." have tables of their own
    text = section(read("docs/reference/client.md"), "## Options").partition("\n### ")[0]
    assert {names(row[0])[0] for row in rows(text)} == known


def test_events_of_the_client() -> None:
    match = re.search(r"const RESERVED = new Set\(\[(.*?)\]\)", client_source(), re.DOTALL)
    assert match is not None
    text = section(read("docs/reference/client.md"), "## Events")
    documented = {name for row in rows(text) if len(row) == 3 for name in names(row[0])}
    documented |= set(re.findall(r"`(reconnect scheduled)` is the same", text))
    assert documented == set(re.findall(r"'([^']+)'", match[1]))


def test_methods_of_the_client() -> None:
    types = (PACKAGE / "library/primus.d.ts").read_text(encoding="utf-8")
    body = re.search(r"declare class Primus<.*?^\}", types, re.DOTALL | re.MULTILINE)
    assert body is not None
    methods = set(re.findall(r"^  (\w+)(?:<.*?>)?\(", body[0], re.MULTILINE)) - {"constructor"}
    text = section(read("docs/reference/client.md"), "## Methods")
    documented = {re.match(r"\w+", name)[0] for row in rows(text) for name in names(row[0])}  # type: ignore[index]
    assert methods - documented == {"transforms", "uri"}  # the README's other spelling; for transformers


# -- the Python client


def client_page(heading: str) -> str:
    return section(read("docs/reference/python-client.md"), heading)


@pytest.mark.parametrize(
    ("heading", "options"), [("## Options", ClientOptions), ("### `reconnect`", ReconnectOptions)]
)
def test_options_of_the_python_client(heading: str, options: type) -> None:
    text = client_page(heading)[1:].partition("\n### ")[0]  # sections of it have tables of their own
    table = {names(row[0])[0]: row for row in rows(text)}
    known = [field for field in fields(options) if field.name not in ("extra", "expect_pings")]
    assert set(table) == {field.name for field in known}
    for field in known:
        if field.name == "reconnect":
            continue
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        text = names(table[field.name][1])[0]
        assert (float("inf") if text == "inf" else ast.literal_eval(text)) == default, field.name


def test_events_of_the_python_client() -> None:
    listed = {name for row in rows(client_page("## Events")) for name in names(row[0])}
    assert listed == CLIENT_EVENTS


def test_what_a_python_client_has_is_documented() -> None:
    # what transports, the recovery and the heartbeat call, on each other
    internal = {"announce", "give_up", "let_go", "lost", "reopen", "send_own", "uri", "receive"}
    internal |= {"clock", "timers", "recovery", "heartbeat", "watched", "make_clock"}
    internal |= {"bound", "defaults", "default_url", "OPENING", "CLOSED", "OPEN"}  # for `primus.Socket`
    client = Socket(manual=True)
    public = {name for name in {*dir(Socket), *vars(client)} if not name.startswith("_")} - internal
    text = client_page("## Attributes") + client_page("## Methods")
    documented = {found for row in rows(text) for name in names(row[0]) for found in re.findall(r"\w+", name)}
    assert public - documented == set()


def test_an_outage_has_what_is_documented() -> None:
    text = client_page("## Events")
    listed = re.search(r"`outage` has (.*?)The order", text, re.DOTALL)
    assert listed is not None
    outage = Outage(ReconnectOptions(), 0.0)
    assert set(names(listed[1])) == {*vars(outage), "scheduled"}


def test_names_of_the_python_client() -> None:
    client = Socket(manual=True)
    for row in rows(client_page("## Names")):
        for attribute in re.findall(r"`client\.(\w+)", row[1]):
            assert hasattr(client, attribute), row
