"""The end of a Primus: every connection is ended, `close` is emitted, and the program goes on behind it.

python examples/destroy.py [PORT]     then open the address that it prints, and press the button
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>destroy</title>
<button onclick="primus.write('destroy')">destroy the server</button><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  for (const event of ['data', 'reconnecting', 'end']) {
    primus.on(event, (value) => { log.textContent += event + ' ' + JSON.stringify(value) + '\\n'; });
  }
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def connection(spark):
    for message in spark:
        if message == "destroy":
            spark.write("in a moment")
            # After a tenth of a second. The clients are told that this is final; `reconnect=True` lets them
            # come back, `close=False` leaves the server to whoever else uses it.
            primus.destroy(timeout=0.1)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(connection, port=port, host="127.0.0.1", app=page, iknowhttpsisbetter=True)
    primus.on("close", lambda options: print("closed with", options, flush=True))
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
    print("and on", flush=True)
