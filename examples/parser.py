"""A parser of one's own: lists of text, as lines of comma separated values, with its half in JavaScript.

python examples/parser.py [PORT]      then open the address that it prints
"""

import csv
import io
import sys

from primus_gevent import Primus


class Comma:
    """Lists of text, as a line of comma separated values."""

    library = """{
      encoder(data, fn) { fn(null, Array.isArray(data) ? data.join(',') : data); },
      decoder(raw, fn) { fn(null, /^primus::/.test(raw) ? raw : raw.split(',')); }
    }"""

    def encoder(self, data):
        if isinstance(data, str):  # Primus's own messages, such as heartbeats
            return data
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(data)
        return line.getvalue()

    def decoder(self, raw):
        return raw if raw.startswith("primus::") else next(csv.reader([raw]))


PAGE = b"""<!doctype html><meta charset="utf-8"><title>parser</title>
<button onclick="primus.write(['a', 'b', 'c'])">a, b, c</button><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  primus.on('data', (message, raw) => { log.textContent += JSON.stringify([message, raw]) + '\\n'; });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def connection(spark):
    for message in spark:
        spark.write(message[::-1])


if __name__ == "__main__":
    primus = Primus.create_server(
        connection,
        port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080,
        host="127.0.0.1",
        app=page,
        parser=Comma(),
        iknowhttpsisbetter=True,
    )
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
