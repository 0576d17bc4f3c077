"""Clients in Python: one that reads, one that listens, and one that is told how its server is spoken to.

python examples/client.py URL     for example that of examples/echo.py
"""

import sys

from primus_gevent import ConnectionClosed, Primus, connect


def read(url):
    """`connect` asks the server which transformer and which parser it has."""
    with connect(url, reconnect={"retries": 3}) as client:
        client.write("hello")
        print("read", client.read(timeout=5))
        print("our spark is", client.id(timeout=5))


def listen(url):
    client = connect(url, manual=True)

    @client.on("open")
    def opened():
        print("Connection is alive and kicking")
        client.write({"n": 1})

    @client.on("data")
    def received(message):
        print("heard", message)
        client.end()

    client.on("reconnecting", lambda outage: print(f"Reconnecting in {outage.timeout} s"))
    client.on("error", lambda error: print("Something horrible has happened:", error))
    client.on("end", lambda: print("Connection closed"))
    client.open()
    client.wait_end()


def shout(client, options):
    """The client side of a plugin, in Python."""
    client.shout = lambda text: client.write(text.upper())


def told(url):
    """Nothing is asked: the options are those of the server, and the plugins too."""
    plugins = {"shout": {"python_client": shout}}
    with Primus.create_socket(transformer="websockets", parser="json", plugin=plugins)(url) as client:
        client.shout("loud")
        print("read", client.read(timeout=5))


def nobody():
    try:
        Primus.create_socket("http://127.0.0.1:1", strategy=False)().read()
    except ConnectionClosed as closed:
        print(closed, "because", closed.__cause__)


if __name__ == "__main__":
    read(sys.argv[1])
    listen(sys.argv[1])
    told(sys.argv[1])
    nobody()
