"""One root, and what each error carries for whoever handles it."""

from __future__ import annotations

import pickle

import pytest

from primus_gevent import errors


def test_all_errors_have_one_root() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.PrimusError)
    assert {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    } == set(errors.__all__)


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(errors.ReadTimeout, TimeoutError)
    assert issubclass(errors.OptionError, ValueError)
    assert issubclass(errors.MissingPackageError, ImportError)
    assert issubclass(errors.ConcurrencyError, RuntimeError)


def test_an_error_carries_what_its_handler_needs() -> None:
    assert errors.ConnectionClosed(clean=False).clean is False
    assert errors.ConnectionClosed().clean is True
    refusal = errors.AuthorizationError("no", 403, "Basic")
    assert (refusal.message, refusal.status_code, refusal.authenticate) == ("no", 403, "Basic")
    broken = errors.RemoteProtocolError("bad", close_code=1007)
    assert (broken.reason, broken.status, broken.close_code) == ("bad", 400, 1007)
    answer = errors.HandshakeError("old", status=426, headers=[("Upgrade", "websocket")])
    assert (answer.status, answer.headers) == (426, [("Upgrade", "websocket")])
    assert errors.ParserError("bad", "{").data == "{"
    assert errors.PluginError("bad", "rooms").plugin == "rooms"
    unknown = errors.UnknownNameError("parser", "yaml", ["msgpack", "json"])
    assert (unknown.name, unknown.known, unknown.option) == ("yaml", ["json", "msgpack"], "parser")


def test_a_missing_package_names_the_command_that_installs_it() -> None:
    error = errors.MissingPackageError("the parser 'msgpack'", "msgpack", "msgpack")
    assert "pip install 'primus-gevent[msgpack]'" in str(error)


@pytest.mark.parametrize(
    "error", [errors.PrimusError("x"), errors.ReadTimeout("x"), errors.ConnectionClosed("x")]
)
def test_simple_errors_can_be_pickled(error: Exception) -> None:
    assert str(pickle.loads(pickle.dumps(error))) == "x"
