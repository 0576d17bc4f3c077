"""Heartbeats: the page shows how long a message takes there and back, and what happens without an answer.

python examples/latency.py [PORT]     then open the address that it prints, and stop the server for a while
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>latency</title>
<h1 id="ms">...</h1><p id="state"></p>
<script src="/primus/primus.js"></script>
<script>
  // Every second for the show; by default the client pings every 25 s. Milliseconds, as always in JavaScript.
  const primus = new Primus({ ping: 1000, pong: 2000, reconnect: { maxDelay: 5000, retries: Infinity } });
  primus.on('incoming::pong', () => { ms.textContent = primus.latency + ' ms'; });
  primus.on('open', () => { ms.textContent = primus.latency + ' ms'; state.textContent = 'open'; });
  primus.on('reconnecting', (outage) => {
    state.textContent = 'attempt ' + outage.attempt + ' in ' + outage.timeout + ' ms';
  });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def connection(spark):
    print(f"{spark.id} open", flush=True)
    spark.on("heartbeat", lambda: print(f"{spark.id} is alive", flush=True))
    spark.on("end", lambda: print(f"{spark.id} {'said goodbye' if spark.clean else 'was lost'}", flush=True))


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    primus = Primus.create_server(
        connection,
        port=port,
        host="127.0.0.1",
        app=page,
        iknowhttpsisbetter=True,
        timeout=10.0,  # seconds of silence after which a spark is ended, so that its client comes back
    )
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
