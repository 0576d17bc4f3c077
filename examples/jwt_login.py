"""A signed token (JWT): the page gets it from a route, and shows it when it connects. Needs PyJWT and Flask.

python examples/jwt_login.py [PORT]   then open the address that it prints
"""

import secrets
import sys
import time

import jwt
from flask import Flask, request

from primus_gevent import Primus

SECRET = secrets.token_bytes(32)  # in a real application one for all processes, from the configuration
TOKEN_SECONDS = 60

app = Flask(__name__)
primus = Primus(app, credentials=False)  # tokens instead of cookies, so any page may try

PAGE = """<!doctype html><meta charset="utf-8"><title>token</title><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  async function query() {
    return 'token=' + await (await fetch('/token?name=Ann', { method: 'POST' })).text();
  }

  query().then((first) => {
    const primus = new Primus(location.origin + '?' + first);
    // The token is short-lived, so every new attempt takes a new one.
    primus.on('reconnecting', () => { query().then((next) => { primus.url.query = next; }, () => {}); });
    primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
    primus.on('error', () => { log.textContent += 'not let in\\n'; });
  });
</script>"""


@app.get("/")
def index():
    return PAGE


@app.post("/token")
def token():  # in a real application this asks for a password first
    claims = {"name": request.args["name"], "exp": time.time() + TOKEN_SECONDS}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@primus.authorize
def authorize(request, done):  # `done` may be called later too, and in another greenlet
    bearer = request.authorization  # programs can send headers, pages cannot
    if bearer is not None and bearer.type == "bearer":
        given = bearer.token
    else:
        given = request.query.get("token", "")
    try:
        request.claims = jwt.decode(given, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        done({"message": str(error), "authenticate": "Bearer"})
    else:
        done()


@primus.on("connection")
def connection(spark):
    spark.write({"hello": spark.request.claims["name"]})


if __name__ == "__main__":
    primus.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, "127.0.0.1")
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
