"""A chat in a Flask app: names from the query string, who comes and goes, and a broadcast per line.

python examples/chat.py [PORT]        then open the address that it prints in two windows
"""

from gevent import monkey

monkey.patch_all()  # not needed by Primus, but by whatever else blocks in a web app

import sys  # noqa: E402

from flask import Flask  # noqa: E402

from primus_gevent import Primus  # noqa: E402

app = Flask(__name__)
primus = Primus(app)

PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>chat</title>
<input id="line" placeholder="your message" autofocus> <span id="state"></span>
<ul id="log"></ul>
<script src="/primus/primus.js"></script>
<script>
  const name = prompt('Your name?') || 'somebody';
  const primus = new Primus(location.origin + '?name=' + encodeURIComponent(name));

  function show(text) {
    const item = document.createElement('li');
    item.textContent = text;  // never innerHTML: others wrote this
    log.prepend(item);
  }

  primus.on('open', () => { state.textContent = 'connected'; });
  primus.on('reconnecting', (outage) => { state.textContent = 'back in ' + outage.timeout + ' ms'; });
  primus.on('end', () => { state.textContent = 'closed'; });
  primus.on('data', (message) => {
    show('said' in message ? message.name + ': ' + message.said : message.name + ' ' + message.did);
  });
  line.onchange = () => { primus.write(line.value); line.value = ''; };
</script>"""


@app.get("/")
def index():
    return PAGE


@app.get("/people")
def people():
    return {"people": [name(spark) for spark in primus]}  # routes and sparks live in one process


def name(spark):
    return str(spark.query.get("name", "somebody"))[:20]


@primus.on("connection")
def talk(spark):
    primus.write({"name": name(spark), "did": "came"})
    for line in spark:
        # A client can send any JSON: look before you use it.
        if isinstance(line, str) and line.strip():
            primus.write({"name": name(spark), "said": line[:500]})


@primus.on("disconnection")
def left(spark):
    primus.write({"name": name(spark), "did": "left"})


if __name__ == "__main__":
    primus.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, "127.0.0.1")
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
