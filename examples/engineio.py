"""Another framework is one option: Engine.IO begins with long polling, which gets through every proxy, and
moves to a WebSocket where there is one. The rest is written as for any other.

python examples/engineio.py [PORT]    then open the address that it prints
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>engine.io</title>
<input id="line" placeholder="say something" autofocus><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();  // new Primus({ websockets: false }) stays with polling
  primus.on('data', (message) => { log.textContent += message.said + ' over ' + message.over + '\\n'; });
  line.onchange = () => { primus.write(line.value); line.value = ''; };
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def echo(spark):
    for message in spark:
        spark.write({"said": message, "over": spark.socket.name})  # "polling", later "websocket"


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(
        echo,
        port=port,
        host="127.0.0.1",
        app=page,
        iknowhttpsisbetter=True,
        transformer="engine.io",  # or "polling", which never moves
        transport={"ping_interval": 10.0},  # its own options; seconds
    )
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
