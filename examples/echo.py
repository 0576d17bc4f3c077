"""Every message comes back. Blocking style: the listener waits in a loop for what its client says.

python examples/echo.py [PORT]        then open the address that it prints
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>echo</title>
<input id="line" placeholder="say something" autofocus><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  primus.on('data', (message) => { log.textContent += message + '\\n'; });
  line.onchange = () => { primus.write(line.value); line.value = ''; };
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def echo(spark):
    for message in spark:  # waits here, in a greenlet of its own; the loop ends with the connection
        spark.write(message)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(echo, port=port, host="127.0.0.1", app=page, iknowhttpsisbetter=True)
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
