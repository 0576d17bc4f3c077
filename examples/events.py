"""Event style: listeners instead of a loop, every event of a spark, and events of one's own over the wire.

python examples/events.py [PORT]      then open the address that it prints
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>events</title>
<button onclick="primus.write({event: 'add', args: [20, 22]})">20 + 22</button>
<button onclick="primus.write({event: 'shout', args: ['hello']})">shout</button>
<button onclick="primus.write({event: 'end', args: []})">a reserved event</button>
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
    # A listener may block: it delays the later messages of its own spark, and nobody else.
    @spark.on("data")
    def message(data):
        event, args = data["event"], data["args"]
        if spark.reserved(event):  # or a client could play the server's part
            spark.write({"refused": event})
        elif not spark.emit(event, *args):
            spark.write({"unknown": event})

    @spark.on("add")
    def add(a, b):
        spark.write({"sum": a + b})

    @spark.on("shout")
    def shout(text):
        spark.write({"shouted": text.upper()})

    @spark.on("error")
    def error(problem):  # no JSON, or a listener has raised: the message is lost, the spark lives
        spark.write({"error": type(problem).__name__})

    @spark.on("end")
    def end():
        print(f"{spark.id} has left", flush=True)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(connection, port=port, host="127.0.0.1", app=page, iknowhttpsisbetter=True)
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
