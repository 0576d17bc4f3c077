import pytest
from app import PATIENCE

from primus_gevent import ConnectionClosed, UnexpectedResponse, connect
from primus_gevent.testing import NothingCame


def test_everybody_hears_of_it(world, log_in):
    ann = world.connect(browser=log_in("Ann"))
    bob = world.connect(browser=log_in("Bob"))
    assert ann.read_all() == [{"user": "Ann", "did": "came"}, {"user": "Bob", "did": "came"}]
    ann.write("hello")
    assert ann.read() == {"user": "Ann", "said": "hello"}
    assert bob.read_all()[-1] == {"user": "Ann", "said": "hello"}
    with pytest.raises(NothingCame):
        bob.read()


def test_only_who_has_logged_in(world):
    with pytest.raises(UnexpectedResponse) as refused:
        world.connect()
    assert refused.value.status == 401
    assert refused.value.reason == "Log in first"


def test_who_is_there(world, log_in):
    browser = log_in("Ann")
    world.connect(browser=browser)
    assert browser.get("/users").json == ["Ann"]


def test_whoever_says_nothing_is_asked_to_leave(world, log_in):
    ann = world.connect(browser=log_in("Ann"))
    ann.read()
    world.advance(PATIENCE - 1)
    assert ann.is_open
    world.advance(2)
    assert ann.events == ["open", "close", "end"]
    assert ann.read() == "Are you still there?"
    with pytest.raises(ConnectionClosed):
        ann.read()


def test_a_lost_connection_comes_back(world, log_in):
    ann = world.connect(browser=log_in("Ann"))
    ann.cut()
    ann.write("can you hear me?")
    world.advance(1)
    assert ann.events == ["open", "close", "reconnecting", "reconnect", "open", "reconnected"]
    assert ann.read_all()[-1] == {"user": "Ann", "said": "can you hear me?"}


def test_the_network_is_down_for_a_minute(world, log_in):
    ann = world.connect(browser=log_in("Ann"))
    with world.outage("silent"):
        world.advance(60)
        assert "offline" in ann.events
    world.advance(60)
    assert ann.is_open


def test_messages_that_are_no_text(world, log_in):
    ann = world.connect(browser=log_in("Ann"))
    with pytest.raises(AttributeError):  # of the handler: there is something to mend
        ann.write(42)


def test_over_a_real_connection(app, log_in, primus_server):
    server = primus_server(app.extensions["primus"])
    cookie = log_in("Ann").get_cookie("session").value
    with connect(server.url, cookies={"session": cookie}) as ann:
        assert ann.read(timeout=5) == {"user": "Ann", "did": "came"}
