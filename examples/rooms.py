"""A plugin with both sides: sparks can join rooms, and clients can ask for it.

python examples/rooms.py [PORT]       then open the address that it prints in two windows
"""

import sys

from primus_gevent import Primus

CLIENT = """function (primus, options) {
  primus.join = function join(room) { return primus.write({ 'rooms:join': room }); };
  primus.leave = function leave(room) { return primus.write({ 'rooms:leave': room }); };
}"""


def server(primus, options):
    rooms = {}  # name -> sparks

    def join(spark, name):
        rooms.setdefault(name, set()).add(spark)

    def leave(spark, name):
        rooms.get(name, set()).discard(spark)

    def room(spark, name, message):
        for other in list(rooms.get(name, ())):
            other.write(message)

    # The class of this server's sparks, and of no other's.
    primus.Spark.join, primus.Spark.leave, primus.Spark.room = join, leave, room

    @primus.transform("incoming")
    def control(packet):
        if isinstance(packet.data, dict) and isinstance(packet.data.get("rooms:join"), str):
            packet.spark.join(packet.data["rooms:join"][: options.get("rooms_letters", 20)])
            return False  # handled: no `data`, and `read` does not see it
        if isinstance(packet.data, dict) and isinstance(packet.data.get("rooms:leave"), str):
            packet.spark.leave(packet.data["rooms:leave"])
            return False

    @primus.on("disconnection")
    def disconnection(spark):
        for members in rooms.values():
            members.discard(spark)

    def undo():  # what `plugout` calls
        primus.off("disconnection", disconnection)
        primus.untransform("incoming", control)
        del primus.Spark.join, primus.Spark.leave, primus.Spark.room

    return undo


rooms = {"server": server, "client": CLIENT, "options": ["rooms_letters"]}

PAGE = b"""<!doctype html><meta charset="utf-8"><title>rooms</title>
<button onclick="primus.join('blue')">join blue</button>
<button onclick="primus.leave('blue')">leave blue</button>
<button onclick="primus.write({room: 'blue', text: 'hello'})">say hello to blue</button>
<pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def connection(spark):
    for message in spark:
        spark.room(message["room"], {"in": message["room"], "text": message["text"]})


if __name__ == "__main__":
    primus = Primus.create_server(
        connection,
        port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080,
        host="127.0.0.1",
        app=page,
        plugin={"rooms": rooms},
        rooms_letters=10,  # an option of the plugin
        iknowhttpsisbetter=True,
    )
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
