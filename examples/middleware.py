"""Middleware: every kind of layer around the requests below /primus.

python examples/middleware.py [PORT]  then open the address that it prints
"""

import sys
from collections import Counter

import gevent
from werkzeug.middleware.proxy_fix import ProxyFix

from primus_gevent import Primus, wsgi_layer

PAGE = b"""<!doctype html><meta charset="utf-8"><title>middleware</title>
<p><a href="/primus/status">status</a></p><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


primus = Primus(page)


# Ready to run: looks at the request, sets a header on the answer, whoever gives it, and lets it go on.
@primus.before("tenant")
def tenant(request, response):
    request.tenant = request.query.get("tenant", "nobody")  # `spark.request` has it too
    response.headers["X-Tenant"] = request.tenant


# With `next`: is waited for, and may answer later, from another greenlet.
@primus.before("quota")
def quota(request, response, next):
    def decide():
        if request.tenant == "greedy":
            next({"message": "enough for today", "status_code": 429})
        else:
            next()

    gevent.spawn(decide)


# Not ready yet: a function of fewer than two parameters is called once, and returns the layer.
def status(options):
    seen = Counter()

    def layer(request, response):
        seen[request.path] += 1
        if request.path == options["path"]:
            response.content_type = "application/json"
            response.end(f'{{"asked": {seen[request.path]}}}')  # an answer: nothing behind this layer runs

    layer.upgrade = False  # for plain requests only; `layer.http = False` is the opposite
    return layer


primus.before("status", status, {"path": "/primus/status"})


# At a place of its own: before all others, those of Primus too.
def log(request, response):
    print(request.method, request.full_path, flush=True)


primus.before("log", log, index=0)

# Any WSGI middleware. Primus reads X-Forwarded-For by itself; this one mends `request.host` and so on.
primus.before("proxy", wsgi_layer(ProxyFix, x_host=1), index=1)

primus.remove("x-xss")  # nobody has such a browser any more
primus.disable("spec")  # until primus.enable("spec")


@primus.on("connection")
def connection(spark):
    spark.write({"tenant": spark.request.tenant, "host": spark.request.host, "layers": primus.layers})


if __name__ == "__main__":
    primus.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, "127.0.0.1")
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
