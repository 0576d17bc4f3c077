"""A Flask application factory with a Primus in it, for gunicorn.

cd examples/factory && gunicorn -c gunicorn.conf.py "app:create_app()"
"""

from flask import Flask

from primus_gevent import Primus

# Made at import, without an app, so that any module of the project can import it. Nothing is started before
# the first connection: `gunicorn --preload` is no problem.
primus = Primus()


@primus.on("connection")
def talk(spark):
    for message in spark:
        primus.write({"from": spark.query.get("name"), "said": message})


def create_app():
    app = Flask(__name__)

    @app.get("/")
    def index():
        return """<!doctype html><meta charset="utf-8"><title>factory</title>
            <input id="line" autofocus><pre id="log"></pre>
            <script src="/primus/primus.js"></script>
            <script>
              const primus = new Primus();
              primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
              line.onchange = () => { primus.write(line.value); line.value = ''; };
            </script>"""

    @app.get("/connected")
    def connected():
        return {"connected": primus.connected}

    primus.init_app(app)  # from here on `app` answers the requests below /primus too
    return app
