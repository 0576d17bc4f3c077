"""Adding and removing plugins: with the constructor, by name, later, and out again.

python examples/plugins.py [PORT]     then open the address that it prints
"""

import sys

from primus_gevent import Primus


def upper(packet):
    if isinstance(packet.data, str):
        packet.data = packet.data.upper()


def server(primus, options):
    primus.transform("outgoing", upper)
    return lambda: primus.untransform("outgoing", upper)  # what `plugout` calls


# A module with these names would be a plugin too.
shout = {
    "server": server,
    "client": "function (primus, options) { primus.shout = (text) => primus.write(LOUD + text); }",
    "library": "const LOUD = '!';",  # put before the client side, in the same scope
}


PAGE = b"""<!doctype html><meta charset="utf-8"><title>plugins</title>
<button onclick="primus.shout('hello')">shout</button><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


# By name: it is imported, here from rooms.py beside this file. Several are separated by commas or spaces.
primus = Primus(page, plugin="rooms:rooms")
primus.on("plugin", lambda name, plugin: print("added", name, flush=True))
primus.on("plugout", lambda name, plugin: print("removed", name, flush=True))

primus.use("shout", shout)


@primus.on("connection")
def connection(spark):
    for message in spark:
        if message == "quiet":
            # Clients that are compiled from now on do not have it.
            spark.write({"removed": primus.plugout("shout"), "again": primus.plugout("shout")})
        else:
            spark.write(message)


if __name__ == "__main__":
    primus.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, "127.0.0.1")
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
