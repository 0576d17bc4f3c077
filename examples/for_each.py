"""Walking over all sparks: at once, stopping early, and one after the other.

python examples/for_each.py [PORT]    then open the address that it prints, also with ?foo=bar
"""

import sys

import gevent

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>for each</title>
<button onclick="primus.write('bar')">to those with foo=bar</button>
<button onclick="primus.write('first')">to the first</button>
<button onclick="primus.write('in turn')">to all in turn</button><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus(location.origin + location.search);
  primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def to_bar(spark, id, connections):  # may take fewer of the three
    if spark.query.get("foo") == "bar":
        spark.write({"one of": len(connections)})


def to_first(spark):
    spark.write("you are the first")
    return False  # stops


def in_turn(spark, next):
    def work():
        spark.write("your turn")
        next()  # the next spark's turn; `next(error)` and `next(None, False)` stop

    gevent.spawn_later(0.01, work)


def done(error):
    primus.write({"done": error is None})


def connection(spark):
    for message in spark:
        if message == "bar":
            primus.for_each(to_bar)
        elif message == "first":
            primus.for_each(to_first)
        elif message == "in turn":
            primus.for_each(in_turn, done)  # returns at once


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(connection, port=port, host="127.0.0.1", app=page, iknowhttpsisbetter=True)
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
