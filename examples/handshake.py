"""What is known about a connection, and a secret that the first message has to tell.

python examples/handshake.py [PORT]   then open the address that it prints
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>handshake</title>
<button onclick="primus.write({secrethandshake: 'foo'})">the right one</button>
<button onclick="primus.write({secrethandshake: 'bar'})">a wrong one</button><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  for (const event of ['data', 'end']) {
    primus.on(event, (value) => { log.textContent += event + ' ' + JSON.stringify(value) + '\\n'; });
  }
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def connection(spark):
    print("connection has the following headers", dict(spark.headers), flush=True)
    print("connection was made from", spark.address.ip, spark.address.port, flush=True)
    print("connection id", spark.id, flush=True)

    @spark.on("data")
    def data(message):
        print("received data from the client", message, flush=True)
        # Always close the connection if we did not receive our secret imaginary handshake.
        if not isinstance(message, dict) or message.get("secrethandshake") != "foo":
            spark.end()
        spark.write({"foo": "bar"})  # False, and nothing is sent, when the spark has ended
        spark.write("banana")

    spark.write("Hello world")


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(connection, port=port, host="127.0.0.1", app=page, iknowhttpsisbetter=True)
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
