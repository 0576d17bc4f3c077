"""Our Access-Control answers beside those of access-control@1.0.1, and where they differ on purpose.

The vectors are what the package said, over real HTTP; `tests/interop/access_control_vectors.js` makes them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from primus_gevent import checks
from primus_gevent.middleware import Response
from primus_gevent.middleware.cors import AccessControl
from primus_gevent.options import Options

VECTORS_PATH = Path(__file__).with_name("access_control_vectors.json")
VECTORS = json.loads(VECTORS_PATH.read_text(encoding="utf-8"))
INTEROP = Path(__file__).resolve().parents[2] / "interop"

CONTINUED = 299  # what the vectors say of a request that goes on to the next layer
FELL_OVER = 599  # and of one at which the package raised an error

PAGE = "http://a.example"


def control(
    origins: Any = "*",
    methods: Any = checks.DEFAULT_METHODS,
    credentials: Any = True,
    max_age: Any = checks.DEFAULT_MAX_AGE,
    headers: Any = False,
    exposed: Any = False,
) -> AccessControl:
    return AccessControl(
        origins=Options.parse({"origins": origins}).origins,
        methods=checks.methods("methods", methods),
        credentials=checks.flag("credentials", credentials),
        max_age=checks.max_age("max_age", max_age),
        headers=checks.header_names("headers", headers),
        exposed=checks.header_names("exposed", exposed),
    )


def make_environ(method: str, headers: dict[str, str]) -> dict[str, Any]:
    environ = {"REQUEST_METHOD": method, "HTTP_HOST": "here.example", "wsgi.url_scheme": "http"}
    for name, value in headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ


def preflight(origin: str = PAGE, method: str = "PUT", **more: str) -> dict[str, Any]:
    environ = make_environ("OPTIONS", {"origin": origin, "access-control-request-method": method})
    return {**environ, **more}


def ask(access: AccessControl, environ: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    """The answer in the form of the vectors."""
    carried, answer = access.decide(environ)
    status, headers, body = CONTINUED, carried, b""
    if answer is not None:
        assert carried == [], "an answer is complete"
        got: list[Any] = []
        body = b"".join(answer(environ, lambda *args: got.extend(args)))
        status, headers = int(got[0].split()[0]), got[1]
    names = [name.lower() for name, _ in headers]
    assert len(names) == len(set(names)), "a header stands there once"
    return status, {name.lower(): value for name, value in headers}, body.decode()


# -- as the original

CASES = [
    pytest.param(
        configuration["options"],
        request,
        VECTORS["answers"][number],
        id=f"{configuration['name']}-{request['method']}-{'&'.join(map(str, request['headers'].values()))}",
    )
    for configuration in VECTORS["configurations"]
    for request, number in zip(VECTORS["requests"], configuration["answers"], strict=True)
]


def as_ours(
    options: dict[str, Any], request: dict[str, Any], answer: list[Any]
) -> tuple[int, dict[str, str], str]:
    """What the original said, with the deliberate differences of cors.py."""
    status, headers, body = answer[0], dict(answer[1]), answer[2]
    open_to_all = "origins" not in options and options.get("credentials") is False
    origin = request["headers"].get("origin")
    if status == FELL_OVER:
        # url.parse, on what looks like a URL and is none; ours has no need to parse it
        if "origins" in options:
            status, headers = 403, {"content-type": "text/plain"}
            body = f"Invalid HTTP Access Control (CORS) request:\n  Origin: {origin}\n  Method: GET"
            headers["content-length"] = str(len(body))
        else:
            status, body = CONTINUED, ""
            headers = {"access-control-allow-origin": "*" if open_to_all else origin}
            if not open_to_all:
                headers["access-control-allow-credentials"] = "true"
            if "exposed" in options:
                exposed = checks.header_names("exposed", options["exposed"])
                headers["access-control-expose-headers"] = ", ".join(exposed or ())
    if open_to_all:
        if origin is None:
            headers["access-control-allow-origin"] = "*"
            if "exposed" in options:
                headers["access-control-expose-headers"] = options["exposed"]
    else:
        headers["vary"] = "Origin"
    return status, headers, body


@pytest.mark.parametrize(("options", "request_", "answer"), CASES)
def test_the_answer_is_the_originals(
    options: dict[str, Any], request_: dict[str, Any], answer: list[Any]
) -> None:
    named = {re.sub("A", "_a", name): value for name, value in options.items()}
    got = ask(control(**named), make_environ(request_["method"], request_["headers"]))
    expected = as_ours(options, request_, answer)
    if "content-length" not in expected[1]:
        got[1].pop("content-length", None)  # a 403 for HEAD: Node leaves it out
    assert got == expected


def test_the_vectors_hold_every_kind_of_answer() -> None:
    assert VECTORS["package"] == "access-control@1.0.1"
    assert {answer[0] for answer in VECTORS["answers"]} == {200, CONTINUED, 403, FELL_OVER}
    assert len(CASES) > 2000


@pytest.mark.interop
@pytest.mark.skipif(
    not (INTEROP / "node_modules" / "primus8").exists() or shutil.which("node") is None,
    reason="needs Node and the packages of tests/interop",
)
def test_the_vectors_are_what_the_package_says() -> None:
    command = ["node", "--no-deprecation", "access_control_vectors.js"]
    done = subprocess.run(command, cwd=INTEROP, check=True, capture_output=True, timeout=60)
    assert json.loads(done.stdout) == VECTORS


# -- not as the original


@pytest.mark.parametrize(
    ("options", "depends"),
    [
        ({}, True),
        ({"credentials": False}, False),
        ({"origins": [PAGE]}, True),
        ({"origins": [PAGE], "credentials": False}, True),
        ({"origins": "self", "credentials": False}, True),
        ({"origins": lambda origin: True, "credentials": False}, True),
    ],
)
@pytest.mark.parametrize(
    "environ",
    [
        make_environ("GET", {}),
        make_environ("GET", {"origin": PAGE}),
        make_environ("GET", {"origin": "http://evil.example"}),
        make_environ("GET", {"origin": "%"}),
        make_environ("PATCH", {"origin": PAGE}),
        make_environ("OPTIONS", {}),
        preflight(),
        preflight("http://evil.example"),
        preflight(HTTP_ACCESS_CONTROL_REQUEST_HEADERS="x\r\n y"),
    ],
)
def test_caches_are_told_when_the_origin_matters(
    options: dict[str, Any], depends: bool, environ: dict[str, Any]
) -> None:
    _, headers, _ = ask(control(**options), environ)
    assert headers.get("vary") == ("Origin" if depends else None)


def test_what_is_for_everybody_is_said_to_everybody() -> None:
    access = control(credentials=False, exposed="X-Seen")
    without = ask(access, make_environ("GET", {}))
    assert without == ask(access, make_environ("GET", {"origin": PAGE}))
    assert without[1] == {"access-control-allow-origin": "*", "access-control-expose-headers": "X-Seen"}


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://here.example", CONTINUED),
        ("https://here.example", CONTINUED),
        ("http://here.example:8080", 403),
        ("http://evil.example", 403),
        ("self", 403),
        ("null", 403),
    ],
)
def test_self_is_the_same_host(origin: str, status: int) -> None:
    assert ask(control(origins="self"), make_environ("GET", {"origin": origin}))[0] == status


def test_a_function_decides() -> None:
    asked: list[str] = []

    def ends_with_example(origin: str) -> bool:
        asked.append(origin)
        return origin.endswith(".example")

    access = control(origins=ends_with_example)
    status, headers, _ = ask(access, make_environ("GET", {"origin": "http://A.example"}))
    assert (status, headers["access-control-allow-origin"]) == (CONTINUED, "http://A.example")
    assert ask(access, preflight("http://a.evil"))[0] == 403
    assert asked == ["http://A.example", "http://a.evil"]
    assert ask(access, make_environ("GET", {"origin": "%"}))[0] == 403
    assert ask(access, make_environ("PATCH", {"origin": PAGE}))[0] == 403
    assert len(asked) == 2  # it is not asked about what is refused anyway


def test_a_request_without_origin_is_no_pages() -> None:
    assert ask(control(origins=lambda origin: False), make_environ("GET", {}))[0] == CONTINUED


def test_an_allowed_origin_may_end_with_a_slash() -> None:
    """In the option, where people copy it from the address bar; the original then lets nobody in."""
    assert ask(control(origins="http://a.example/"), make_environ("GET", {"origin": PAGE}))[0] == CONTINUED


def test_null_needs_to_be_allowed() -> None:
    for origins, status in (("*", CONTINUED), ([PAGE], 403), (["null"], CONTINUED)):
        got = ask(control(origins=origins), make_environ("GET", {"origin": "null"}))
        assert got[0] == status
        assert got[1].get("access-control-allow-origin") == ("null" if status == CONTINUED else None)


@pytest.mark.parametrize("value", ["\r\n", "\n", "\r", "\0", "\x1f", "\x7f", "\r\n\t"])
def test_a_line_end_in_a_header_forges_nothing(value: str) -> None:
    """pywsgi hands out folded headers as they came."""
    for environ in (
        make_environ("GET", {"origin": f"http://a.example{value}X-Admin: yes"}),
        preflight(f"http://a.example{value}X-Admin: yes"),
        preflight(HTTP_ACCESS_CONTROL_REQUEST_HEADERS=f"x-a,{value}X-Admin: yes"),
    ):
        for access in (control(), control(origins=lambda origin: True), control(headers="X-A")):
            status, headers, body = ask(access, environ)
            assert status == 403
            assert not re.search(r"[\0-\x1f\x7f]", "".join(headers.values()))
            assert body.count("\n") == 2
            assert "\r" not in body


def test_head_is_refused_without_a_body() -> None:
    status, headers, body = ask(control(origins=[PAGE]), make_environ("HEAD", {"origin": "http://b.example"}))
    assert (status, body) == (403, "")
    assert int(headers["content-length"]) > 0


def test_one_answer_does_not_touch_the_next() -> None:
    access = control(exposed="X-Seen")
    asked = preflight(HTTP_ACCESS_CONTROL_REQUEST_HEADERS="x-one")
    first = ask(access, asked)
    carried, _ = access.decide(make_environ("GET", {"origin": PAGE}))
    carried.append(("X-Mine", "1"))
    assert ask(access, asked) == first
    assert "x-mine" not in ask(access, make_environ("GET", {"origin": PAGE}))[1]
    assert "access-control-allow-headers" not in ask(access, preflight())[1]


def test_a_decision_is_no_empty_answer() -> None:
    carried, answer = control().decide(preflight())
    assert isinstance(answer, Response)
    assert carried == []
    assert "Content-Type" not in dict(answer.headers)
