"""primus_gevent in blocking style: one greenlet per connection, parked in ``for message in spark``.

usage: python ours_echo.py TRANSFORMER echo
"""

from __future__ import annotations

import sys

from common import announce

from primus_gevent import Primus, Spark


def echo(spark: Spark) -> None:
    for message in spark:
        spark.write(message)


primus = Primus.create_server(echo, host="127.0.0.1", port=0, transformer=sys.argv[1])
announce(primus.address[1])
primus.serve_forever()
