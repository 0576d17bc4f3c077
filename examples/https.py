"""HTTPS with a certificate in files. For a try, make one:

openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 30 -keyout key.pem -out cert.pem
python examples/https.py FOLDER [PORT]    then open the address that it prints
"""

import sys

from primus_gevent import Primus

PAGE = b"""<!doctype html><meta charset="utf-8"><title>https</title><pre id="log"></pre>
<script src="/primus/primus.js"></script>
<script>
  const primus = new Primus();  // wss://, because the page is https://
  primus.on('data', (message) => { log.textContent += message + '\\n'; });
</script>"""


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


if __name__ == "__main__":
    primus = Primus.create_server(
        port=int(sys.argv[2]) if len(sys.argv) > 2 else 8443,
        host="127.0.0.1",
        app=page,
        root=sys.argv[1],  # the folder of the files
        cert="cert.pem",  # with the certificates that lead to its root behind it, or these in `ca`
        key="key.pem",  # or both in one `pfx`; `passphrase` if they have one
    )

    @primus.on("connection")
    def connection(spark):
        spark.write("hello connection")

    print("https://{}:{}/".format(*primus.address), flush=True)
    primus.serve_forever()
