"""`primus.Socket` and `Primus.create_socket`: classes of clients that fit a server."""

from __future__ import annotations

from typing import Any

import pytest

import primus_gevent
from primus_gevent import Primus, Socket
from primus_gevent.errors import OptionError
from primus_gevent.hosts.tls import tls_context
from tests.support.certificates import family

SECONDS = 5.0


def echo(spark: Any) -> None:
    for message in spark:
        spark.write(message)


def test_the_class_of_a_server_fits_it_and_finds_it() -> None:
    def greet(client: Any, options: Any) -> None:
        client.greet = lambda: client.write({"hello": 1})

    primus = Primus(
        parser="msgpack", pathname="/realtime", timeout=20.0, plugin={"greeter": {"python_client": greet}}
    )
    primus.on("connection", echo)
    assert primus.Socket is primus.Socket
    assert issubclass(primus.Socket, Socket)
    with pytest.raises(RuntimeError, match="does not listen"):
        primus.Socket()
    primus.listen(0, "127.0.0.1")
    try:
        with primus.Socket() as client:
            client.greet()
            assert client.read(SECONDS) == {"hello": 1}
            assert (client.options.ping, client.options.pathname) == (10, "/realtime")
            assert client.options.ping_timeout == pytest.approx(20 * 6 / 7 * 1.5, abs=0.01)
        with primus.Socket(f"http://localhost:{primus.address[1]}", ping=3) as other:
            assert other.wait_open(SECONDS).options.ping == 3
    finally:
        primus.destroy()


def test_its_class_can_be_extended_and_is_its_own() -> None:
    one, two = Primus(), Primus()
    one.Socket.shout = lambda self: "one"  # type: ignore[attr-defined]
    assert not hasattr(two.Socket, "shout")
    assert not hasattr(Socket, "shout")


def test_with_authorization_nobody_insists() -> None:
    assert Primus(authorization=lambda request: None).Socket.defaults["strategy"] == ("disconnect", "online")
    assert "strategy" not in Primus().Socket.defaults


def test_the_class_of_a_server_with_tls() -> None:
    certificates = family()
    chain = (certificates.server.pem(), certificates.between.pem(), certificates.server.key_pem())
    primus = Primus()
    primus.on("connection", echo)
    primus.listen(0, "127.0.0.1", ssl_context=tls_context(certificates.write("chain.pem", *chain)))
    try:
        with primus.Socket(verify=False) as client:
            assert client.address.secure
            client.write("hello")
            assert client.read(SECONDS) == "hello"
    finally:
        primus.destroy()


def test_create_socket() -> None:
    primus = Primus(parser="ejson")
    primus.on("connection", echo)
    primus.listen(0, "127.0.0.1")
    url = f"http://127.0.0.1:{primus.address[1]}"
    try:
        made = Primus.create_socket(transformer="websockets", parser="ejson")
        for client in (made(url), Primus.create_socket(url, parser="ejson")(), primus_gevent.connect(url)):
            with client:
                client.write({"a": b"\x00"})
                assert client.read(SECONDS) == {"a": b"\x00"}
    finally:
        primus.destroy()


def test_options_of_create_socket_are_checked_at_once() -> None:
    with pytest.raises(OptionError, match="did you mean 'parser'"):
        Primus.create_socket(parsre="json")
    with pytest.raises(OptionError, match="no URL"):
        Primus.create_socket("http://")


def test_without_an_address_it_is_the_one_of_the_specification() -> None:
    client = Socket(manual=True)
    assert (client.address.host, client.address.port, client.address.scheme) == ("127.0.0.1", 80, "http")
