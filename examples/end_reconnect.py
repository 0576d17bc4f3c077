"""All the ways in which a server ends a connection, and what its client makes of each.

python examples/end_reconnect.py [PORT]   then open the address that it prints, and press the buttons
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>end and reconnect</title>
<p><button>end</button> <button>end with data</button> <button>reconnect</button>
<button>abort</button> <button>code 4000</button> <button onclick="primus.open()">open()</button></p>
<pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  for (const event of ['open', 'data', 'close', 'reconnecting', 'reconnected', 'end']) {
    primus.on(event, (value) => {
      log.textContent += event + ' ' + (event === 'data' ? JSON.stringify(value) : '') + '\\n';
    });
  }
  document.onclick = (click) => {
    if (click.target.tagName === 'BUTTON' && !click.target.onclick) primus.write(click.target.textContent);
  };
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def connection(spark):
    spark.write({"id": spark.id})  # another one after each reconnect
    for message in spark:
        if message == "end":
            spark.end()  # final: the client does not come back by itself
        elif message == "end with data":
            spark.end({"goodbye": "and thanks"})
        elif message == "reconnect":
            spark.end(reconnect=True)  # WebSocket close code 1012: come back
        elif message == "abort":
            spark.abort()  # no goodbye: the client believes in an accident, and comes back
        elif message == "code 4000":
            spark.socket.close(4000, "our own reason")  # without Primus's goodbye, so it comes back


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(connection, port=port, host="127.0.0.1", app=page, iknowhttpsisbetter=True)
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
