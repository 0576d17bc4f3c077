"""Intercepting `connection`: a listener with `next` prepares the spark before the later ones, or refuses it.

python examples/intercept.py [PORT]   then open the address that it prints, also with ?name=nobody
"""

import sys

import gevent

from primus_gevent import Primus

AGES = {"Ann": 33}

PAGE = b"""<!doctype html><meta charset="utf-8"><title>intercept</title><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus(location.origin + (location.search || '?name=Ann'));
  for (const event of ['data', 'end']) {
    primus.on(event, (value) => { log.textContent += event + ' ' + JSON.stringify(value) + '\\n'; });
  }
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


primus = Primus(page)


@primus.on("connection")
def first(spark):
    spark.write({"first": hasattr(spark, "age")})  # it has none yet
    spark.on("error", lambda error: print("refused:", error, flush=True))


@primus.on("connection")
def second(spark, next):  # two parameters: the later listeners and all messages wait for `next`
    gevent.sleep(0.01)  # asks a database, say
    if spark.query.get("name") not in AGES:
        next("who are you?")  # ends the connection, and the client does not come back
        return
    spark.age = AGES[spark.query["name"]]
    next()


@primus.on("connection")
def third(spark):
    spark.write({"third": spark.age})


if __name__ == "__main__":
    primus.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, "127.0.0.1")
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
