"""HTTP basic authentication: who may connect is decided before there is a connection.

python examples/basic_auth.py [PORT]  then open the address that it prints; ann's password is "secret"
"""

import hmac
import sys

from werkzeug import Request, Response

from primus_gevent import AuthorizationError, Primus

PASSWORDS = {"ann": "secret", "bob": "hunter2"}
BANNED = {"bob"}

PAGE = """<!doctype html><meta charset="utf-8"><title>basic authentication</title>
<a href="/login">log in</a><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();  // the browser adds the password that it remembers for this site
  primus.on('data', (message) => { log.textContent += JSON.stringify(message) + '\\n'; });
  primus.on('error', () => { log.textContent += 'not let in; a page is never told why\\n'; });
</script>"""


@Request.application
def page(request):
    if request.path == "/login":
        if request.authorization is None:  # now the browser asks its user
            return Response("Log in", 401, {"WWW-Authenticate": 'Basic realm="myscheme"'})
        return Response(status=303, headers={"Location": "/"})
    return Response(PAGE, content_type="text/html; charset=utf-8")


def authorize(request):  # may block: look into a database, ask another server
    login = request.authorization  # werkzeug has taken the header apart
    if login is None or login.type != "basic" or not is_right(login.username, login.password):
        raise AuthorizationError("Authentication required", authenticate='Basic realm="myscheme"')
    if login.username in BANNED:
        raise AuthorizationError("Go away!", status_code=403)
    request.user = login.username  # for `spark.request`


def is_right(name, password):
    known = PASSWORDS.get(name, "")
    return known != "" and hmac.compare_digest(known.encode(), password.encode())


def connection(spark):  # only those come here who have made it through the hook
    spark.write({"hello": spark.request.user})


if __name__ == "__main__":
    primus = Primus.create_server(
        connection,
        port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080,
        host="127.0.0.1",
        app=page,
        authorization=authorize,
        origins="self",  # or any page of the web could connect with its visitor's password
        iknowhttpsisbetter=True,
    )
    print("http://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
