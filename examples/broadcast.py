"""To all, to some, and to one: a clock for everybody, rooms by query string, and a whisper by id.

python examples/broadcast.py [PORT]   then open the address that it prints, also with ?room=blue
"""

import sys
import time

import gevent

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>broadcast</title>
<button onclick="primus.write({room: 'blue', text: 'hello, blue room'})">to the blue room</button>
<pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus(location.origin + location.search);
  primus.on('data', (message) => { log.textContent = JSON.stringify(message) + '\\n' + log.textContent; });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def connection(spark):
    spark.write({"id": spark.id})
    for message in spark:
        if "to" in message:
            other = primus.spark(message["to"])  # None when it has left
            if other is not None:
                other.write({"whisper": message["text"]})
        else:
            to_room(message["room"], {"text": message["text"]})


def to_room(room, message):
    for spark in primus:
        if spark.query.get("room") == room:
            spark.write(message)


def tick():
    while True:
        gevent.sleep(1)
        # Encoded and framed once, however many listen; never waits for a slow client.
        primus.write({"time": time.strftime("%H:%M:%S")})


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(connection, port=port, host="127.0.0.1", app=page, iknowhttpsisbetter=True)
    clock = gevent.spawn(tick)
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
    clock.kill()
