"""Message transforms: change, swallow and refuse messages on their way, on the server and in the client.

python examples/transforms.py [PORT]  then open the address that it prints
"""

import sys

import gevent

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>transforms</title>
<input id="line" placeholder="say something" autofocus><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus(location.origin + '?name=Ann');
  primus.transform('incoming', (packet) => { packet.data.at = new Date().toLocaleTimeString(); });
  primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
  line.onchange = () => { primus.write(line.value); line.value = ''; };
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


primus = Primus(page)


# What a client sends, after the parser.
@primus.transform("incoming")
def tidy(packet):
    if isinstance(packet.data, str):
        packet.data = packet.data.strip()
    if packet.data == "":
        return False  # swallowed: no later transform runs, and nobody receives it


# With `next`: is waited for, so messages keep their order. It may also simply block.
@primus.transform("incoming")
def censor(packet, next):
    def decide():
        if packet.data == "damn":
            next(ValueError("mind your language"))  # `error` on the spark, and no message
        elif packet.data == "psst":
            next(None, False)  # no message, and no error
        else:
            packet.data = {"said": packet.data}
            next()

    gevent.spawn(decide)


# What a client is sent, before the parser. Looking at the spark makes a broadcast personal.
@primus.transform("outgoing")
def to_whom(packet):
    packet.data = {**packet.data, "to": packet.spark.query.get("name", "you")}


# Both halves in a plugin: texts travel backwards.
def backwards(primus, options):
    primus.transform("incoming", turn)


def turn(packet):
    if isinstance(packet.data, dict) and isinstance(packet.data["said"], str):
        packet.data["said"] = packet.data["said"][::-1]


primus.use(
    "backwards",
    {
        "server": backwards,
        "client": """function (primus) {
          primus.transform('outgoing', (packet) => {
            if (typeof packet.data === 'string') packet.data = [...packet.data].reverse().join('');
          });
        }""",
    },
)


@primus.on("connection")
def connection(spark):
    spark.on("error", lambda error: spark.write({"error": str(error)}))
    spark.on("data", primus.write)


if __name__ == "__main__":
    primus.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, "127.0.0.1")
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
