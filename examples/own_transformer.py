"""A framework of one's own: WebSocket messages that travel backwards, with the client's half in JavaScript.

python examples/own_transformer.py [PORT]      then open the address that it prints
"""

import sys

from primus_gevent import Primus, transformers
from primus_gevent.middleware import Response
from primus_gevent.transformers.upgrade import Upgrades

LIBRARY = """
function transformer(client, relay) {
  const { Socket } = findWebSocket();
  const turned = (text) => Array.from(text).reverse().join('');
  const socket = new Socket(client.uri({ protocol: 'ws:' }) + '&framework=reversed');
  client.socket = socket;
  socket.onopen = () => relay('open');
  socket.onmessage = (event) => relay('data', turned(event.data));
  socket.onerror = (event) => relay('error', event);
  socket.onclose = (event) => relay('end', event);
  return { send(packet) { socket.send(turned(packet)); }, close() { socket.close(); } };
}
"""


class Connection:
    """Stands between a spark, which calls `send` and so on, and its WebSocket, which calls `receive`."""

    name = "reversed"
    framing = None  # what `prepare` makes is not shared with other sparks

    def __init__(self, transport):
        self.transport = transport
        self.spark = None

    def __getattr__(self, name):  # hub, full, pause, close, ...: as they are
        return getattr(self.transport, name)

    active = property(
        lambda self: self.transport.active, lambda self, value: setattr(self.transport, "active", value)
    )

    def send(self, payload):
        self.transport.send(payload[::-1])

    def prepare(self, payload):
        return self.transport.prepare(payload[::-1])

    def receive(self, messages):
        self.spark.receive([message[::-1] for message in messages])

    def closed(self, clean):
        self.spark.closed(clean)

    def gone(self):
        self.spark.gone()


class Reversed:
    name = "reversed"

    def __init__(self, primus, options):  # the option `transport`
        self.primus = primus
        self.options = options
        self.upgrades = Upgrades(primus)
        self.refuse = self.upgrades.refuse

    def claims(self, exchange):
        return "framework=reversed" in exchange.environ.get("QUERY_STRING", "")

    def __call__(self, exchange, start_response):
        if not exchange.upgrade:
            return exchange.respond(start_response, Response(426, "Come with a WebSocket"))
        return self.upgrades.accept(exchange, start_response, self.attach)

    def attach(self, transport, record, here):
        connection = Connection(transport)
        connection.spark = self.primus.make_spark(connection, record)
        return connection, self.primus.connect(connection.spark, here=here)


transformers.register("reversed", f"{__name__}:Reversed", LIBRARY, parts=["sockets"])

PAGE = b"""<!doctype html><meta charset="utf-8"><title>A transformer of one's own</title>
<button onclick="primus.write('stressed')">stressed</button><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  primus.on('data', (message) => { log.textContent += message + '\\n'; });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def connection(spark):
    for message in spark:
        spark.write(f"{message}, on the wire {message[::-1]}")


if __name__ == "__main__":
    primus = Primus.create_server(
        connection,
        port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080,
        host="127.0.0.1",
        app=page,
        transformer=["reversed", "websockets"],
        iknowhttpsisbetter=True,
    )
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
