"""Pipes and events of one's own: messages flow into anything with `write`, or become another event.

python examples/pipe.py [PORT]        then open the address that it prints
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>pipe</title>
<input id="line" placeholder="say something" autofocus><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
  line.onchange = () => { primus.write({ text: line.value }); line.value = ''; };
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


class Recorder:
    """Somewhere to pipe to: a file, a queue, another spark."""

    def write(self, message):
        print("recorded", message, flush=True)

    def end(self):  # called at the end of the connection, where there is one
        print("end of the record", flush=True)


def connection(spark):
    spark.pipe(Recorder())
    spark.pipe(spark)  # an echo

    # A function that emits `text` with what the second function makes of the arguments.
    spark.on("data", spark.emits("text", lambda message, raw: message["text"]))
    spark.on("text", lambda text: spark.write({"letters": len(text)}))


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(connection, port=port, host="127.0.0.1", app=page, iknowhttpsisbetter=True)
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
