import pytest
from app import create_app

pytest_plugins = ["primus_gevent.testing.fixtures"]


@pytest.fixture
def app():
    return create_app()


@pytest.fixture
def world(app, primus_world):
    return primus_world(app.extensions["primus"])


@pytest.fixture
def log_in(app):
    def log_in(user):
        browser = app.test_client()
        browser.post("/login", data={"user": user})
        return browser

    return log_in
