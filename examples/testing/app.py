"""A chat for who has logged in with Flask; test_app.py tests it."""

from flask import Flask, request, session

from primus_gevent import AuthorizationError, Primus, ReadTimeout

PATIENCE = 10 * 60  # seconds that somebody may say nothing


def create_app():
    app = Flask(__name__)
    app.secret_key = "change me"
    primus = Primus(origins="self")
    primus.init_app(app)

    @app.post("/login")
    def login():
        session["user"] = request.form["user"]
        return "welcome"

    @app.get("/users")
    def users():
        return sorted(spark.request.user for spark in primus)

    @primus.authorize
    def authorize(request):
        with app.request_context(request.environ):
            request.user = session.get("user")
        if request.user is None:
            raise AuthorizationError("Log in first")

    @primus.on("connection")
    def chat(spark):
        user = spark.request.user
        primus.write({"user": user, "did": "came"})
        while True:
            try:
                text = spark.read(timeout=PATIENCE)
            except ReadTimeout:
                spark.end("Are you still there?")
                return
            primus.write({"user": user, "said": text.strip()})

    return app
