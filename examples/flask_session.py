"""Log in with Flask: the session cookie decides who may connect, and logging out ends the connection.

python examples/flask_session.py [PORT]   then open the address that it prints
"""

import secrets
import sys

from flask import Flask, redirect, request, session

from primus_gevent import AuthorizationError, Primus

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)
primus = Primus(app, origins="self")  # or any page could connect with the cookie of its visitor

PAGE = """<!doctype html><meta charset="utf-8"><title>session</title>
<form method="post" action="/login"><input name="user" placeholder="your name"><button>log in</button></form>
<form method="post" action="/logout"><button>log out</button></form><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();
  primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
  primus.on('error', () => { log.textContent += 'log in first\\n'; });
  primus.on('end', () => { log.textContent += 'closed\\n'; });
</script>"""


@app.get("/")
def index():
    return PAGE


@app.post("/login")
def login():
    session["user"] = request.form["user"]
    return redirect("/", 303)


@app.post("/logout")
def logout():
    user = session.pop("user", None)
    for spark in primus:
        if spark.request.user == user:
            spark.end()
    return redirect("/", 303)


@primus.authorize
def authorize(request):
    with app.request_context(request.environ):
        user = session.get("user")
    if user is None:
        raise AuthorizationError("Log in first")
    request.user = user  # the session may change; the connection remembers who opened it


@primus.on("connection")
def connection(spark):
    spark.write({"hello": spark.request.user})


if __name__ == "__main__":
    primus.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, "127.0.0.1")
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
